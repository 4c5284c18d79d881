//! One file per question: what is refused, which layer wins, what the example file says, what is
//! shown, what a running worker takes up.

mod example;
mod exempt;
mod layers;
mod limits;
mod refusals;
mod restart;
mod shown;
mod sources;
mod users;

use super::Config;

/// Loads a file of this name and text; the folder is taken out of an error.
fn load_file(name: &str, text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    std::fs::write(&file, text).unwrap();
    let environment = environment.iter().map(|(name, text)| (name.to_string(), text.to_string()));
    Config::load(Some(&file), environment).map_err(|error| {
        let line = error.to_string();
        line.replace(&format!("{}/", folder.path().display()), "")
    })
}

fn load(text: &str) -> Result<Config, String> {
    load_file("transom.toml", text, &[])
}

fn load_environment(environment: &[(&str, &str)]) -> Result<Config, String> {
    let environment = environment.iter().map(|(name, text)| (name.to_string(), text.to_string()));
    Config::load(None, environment).map_err(|error| error.to_string())
}

/// Settings in TOML, and what is said about them behind `transom.toml: `.
fn check(cases: &[(&str, &str)]) {
    for (text, says) in cases {
        let error = load(text).expect_err(text);
        assert_eq!(error, format!("transom.toml: {says}"), "{text}");
    }
}
