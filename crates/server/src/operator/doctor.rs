//! What is wrong with this Redis or this configuration.

use transom_redis::{Examined, Severity};

use super::{Finding, Level, Operator};

impl Operator {
    /// Looks at the configuration and at the store. Changes nothing that stays.
    pub async fn doctor(&self) -> Vec<Finding> {
        let front = self.front();
        let mut findings: Vec<_> = front
            .warnings
            .iter()
            .map(|said| finding("configuration", Level::Warning, said.clone()))
            .collect();
        if findings.is_empty() {
            let said = "nothing that is likely not meant".to_owned();
            findings.push(finding("configuration", Level::Ok, said));
        }
        match front.gate.limiter().redis() {
            None => {
                let said = "redis.url is not set: this worker decides in process, alone".to_owned();
                findings.push(finding("redis", Level::Ok, said));
            }
            Some(redis) => findings.extend(redis.examine().await.into_iter().map(examined)),
        }
        findings
    }
}

fn finding(check: &str, level: Level, said: String) -> Finding {
    Finding { check: check.to_owned(), level, said }
}

fn examined(one: Examined) -> Finding {
    let level = match one.severity {
        Severity::Fine => Level::Ok,
        Severity::Unknown => Level::Unknown,
        Severity::Odd => Level::Warning,
        Severity::Broken => Level::Problem,
    };
    finding(one.what, level, one.said)
}
