//! What is wrong with this Redis or this configuration.

use transom_core::Mode;
use transom_redis::{Examined, Severity};

use super::{Finding, Level, ModeDoc, Operator};

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
        findings.extend(self.examine_mode().await);
        match front.gate.limiter().redis() {
            None => {
                let said = "redis.url is not set: this worker decides in process, alone".to_owned();
                findings.push(finding("redis", Level::Ok, said));
            }
            Some(redis) => findings.extend(redis.examine().await.into_iter().map(examined)),
        }
        findings
    }

    /// Which mode is in force, and whether it is the one of the configuration.
    async fn examine_mode(&self) -> Vec<Finding> {
        const WHAT: &str = "mode";
        let ModeDoc { mode, fleet, configured } = match self.mode().await {
            Ok(mode) => mode,
            Err(reason) => {
                return vec![finding(WHAT, Level::Unknown, format!("not known: {reason}"))];
            }
        };
        let mut findings = Vec::new();
        if let Some(fleet) = fleet.filter(|fleet| *fleet != configured) {
            let said = format!(
                "the fleet is set to {fleet}, which goes before limiter.mode, {configured} here; \
                 transom mode {configured} changes it"
            );
            findings.push(finding(WHAT, Level::Warning, said));
        }
        match mode {
            Mode::Enforce => {}
            Mode::Shadow => {
                let said = "shadow is in force: what would be denied passes".to_owned();
                findings.push(finding(WHAT, Level::Warning, said));
            }
            Mode::Off => {
                let said = "off is in force: nothing is limited".to_owned();
                findings.push(finding(WHAT, Level::Warning, said));
            }
        }
        if findings.is_empty() {
            findings.push(finding(WHAT, Level::Ok, mode.to_string()));
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
