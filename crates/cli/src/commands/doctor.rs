//! `transom doctor`

use http::Method;
use transom_server::operator::{Finding, Level};

use crate::Exit;
use crate::api::{Api, path};
use crate::args::Form;
use crate::commands::say_either;
use crate::show::{Paint, plain};

/// The check whose problem is that nothing else could be looked at.
const CONNECTION: &str = "connection";

/// Looks for what is wrong.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    form: Form,
}

impl Doctor {
    pub(crate) async fn run(self, api: &Api) -> anyhow::Result<Exit> {
        let findings: Vec<Finding> = api.send(Method::POST, &path(&["doctor"], &[]), &()).await?;
        say_either(self.form, &findings, || render(&findings, Paint::for_stdout()))?;
        Ok(exit(&findings))
    }
}

fn exit(findings: &[Finding]) -> Exit {
    let problem = |finding: &&Finding| finding.level == Level::Problem;
    if findings.iter().filter(problem).any(|finding| finding.check == CONNECTION) {
        return Exit::Unavailable;
    }
    if findings.iter().any(|finding| problem(&finding)) { Exit::No } else { Exit::Done }
}

/// One line for each finding.
fn render(findings: &[Finding], paint: Paint) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let line = |finding: &Finding| {
        let level = match finding.level {
            Level::Ok => paint.good("ok     "),
            Level::Unknown => paint.odd("unknown"),
            Level::Warning => paint.odd("warning"),
            Level::Problem => paint.bad("PROBLEM"),
        };
        format!("{level}  {:<width$}  {}", plain(&finding.check), plain(&finding.said))
    };
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(check: &str, level: Level) -> Finding {
        Finding { check: check.to_owned(), level, said: "what was found".to_owned() }
    }

    #[test]
    fn each_finding_is_a_line() {
        let findings = [
            finding("configuration", Level::Ok),
            finding("clock", Level::Unknown),
            finding("eviction", Level::Warning),
            finding("role", Level::Problem),
        ];
        let expected = "\
ok       configuration  what was found
unknown  clock          what was found
warning  eviction       what was found
PROBLEM  role           what was found";
        assert_eq!(render(&findings, Paint::NONE), expected);
    }

    #[test]
    fn a_problem_is_told_by_the_exit_code() {
        let fine = [finding("clock", Level::Ok), finding("memory", Level::Warning)];
        assert_eq!(exit(&fine), Exit::Done);
        assert_eq!(exit(&[finding("connection", Level::Ok)]), Exit::Done);
        assert_eq!(exit(&[finding("role", Level::Problem)]), Exit::No);
        assert_eq!(exit(&[finding("connection", Level::Problem)]), Exit::Unavailable);
    }
}
