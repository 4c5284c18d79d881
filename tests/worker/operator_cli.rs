//! The commands of operators as processes: over Redis itself, over the admin API of a worker, and
//! as clients of a fleet meet what they change.

mod everywhere;
mod fleet;
mod keys;
mod refused;
mod watch;

use serde_json::Value;
use transom_tests::RedisServer;

use crate::process::{Ended, Worker, run};

/// A deadline that a busy machine keeps, and limits that a test fills without a clock.
const CONFIG: &str = r#"
[redis]
deadline = "5s"

[[policy]]
name = "default"
minute = 3
second = 3

[[policy]]
name = "search"
methods = ["GET"]
path = "/v1/search/{*rest}"
minute = 30
second = 30
"#;

/// Commands, and where they find what they are about.
#[derive(Debug)]
struct Cli {
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Cli {
    fn new(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self { arguments, variables: Vec::new() }
    }

    /// Over a Redis, with nothing else configured.
    fn over_redis(server: &RedisServer) -> Self {
        Self::new(&["--redis", &server.url])
    }

    /// Over the admin API of a worker.
    fn over(worker: &Worker) -> Self {
        Self::new(&["--admin", &format!("http://{}", worker.admin)])
    }

    /// With a variable.
    fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs a command, written with spaces, to its end.
    async fn run(&self, command: &str) -> Ended {
        let own = self.arguments.iter().map(String::as_str);
        let arguments: Vec<_> = command.split(' ').chain(own).collect();
        let variables: Vec<_> =
            self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        run(&arguments, &variables).await
    }

    /// What a command says that ends well and has nothing to complain about.
    async fn done(&self, command: &str) -> String {
        let ended = self.run(command).await;
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{command}: {ended:?}");
        ended.stdout
    }

    /// The document of a command that ends with this code and has nothing to complain about.
    async fn json(&self, command: &str, code: i32) -> Value {
        let ended = self.run(&format!("{command} --json")).await;
        assert_eq!((ended.code, &*ended.stderr), (Some(code), ""), "{command}: {ended:?}");
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
    }

    /// Asserts that a command ends with this code and one line that has these parts.
    async fn fails(&self, command: &str, code: i32, parts: &[&str]) -> String {
        let ended = self.run(command).await;
        assert_eq!((ended.code, &*ended.stdout), (Some(code), ""), "{command}: {ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{command}: {ended:?}");
        for part in [&["transom: "], parts].concat() {
            assert!(ended.stderr.contains(part), "{command}, {part:?}: {ended:?}");
        }
        ended.stderr
    }
}
