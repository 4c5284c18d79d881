//! `transom override`

use clap::Subcommand;
use http::Method;
use transom_server::operator::{Done, List, NewOverride, OverrideDoc};

use crate::Exit;
use crate::api::{Api, path};
use crate::args::{By, Form, Signed, identity};
use crate::commands::say_either;
use crate::show::{both, end, listing, now_us, plain, table};

/// Gives an identity limits of its own.
#[derive(Clone, Debug, clap::Args)]
#[command(arg_required_else_help = false)]
pub(crate) struct Override {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Set limits, in place of any before for the same policy
    Set {
        /// user:ID or ip:ADDRESS
        #[arg(value_parser = identity)]
        identity: String,
        /// Units in any 60 seconds, 0 to 1000000
        #[arg(long, value_name = "N")]
        minute: u32,
        /// Units in any second, 0 to 1000000
        #[arg(long, value_name = "N")]
        second: u32,
        /// For this policy only; it goes before one for all
        #[arg(long, value_name = "NAME")]
        policy: Option<String>,
        /// How long, such as 2h; without it for good
        #[arg(long = "for", value_name = "TIME")]
        lasting: Option<String>,
        #[command(flatten)]
        signed: Signed,
        #[command(flatten)]
        form: Form,
    },
    /// List every override in force
    List {
        #[command(flatten)]
        form: Form,
    },
    /// Take an override back
    Delete {
        /// user:ID or ip:ADDRESS
        #[arg(value_parser = identity)]
        identity: String,
        /// The one for this policy, and not the one for all
        #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
        policy: String,
        #[command(flatten)]
        signed: Signed,
        #[command(flatten)]
        form: Form,
    },
}

impl Override {
    pub(crate) async fn run(self, api: &Api) -> anyhow::Result<Exit> {
        match self.action {
            Action::Set { identity, minute, second, policy, lasting, signed, form } => {
                let Signed { by: By { by }, reason } = signed;
                let (minute, second) = (Some(minute), Some(second));
                let wish = NewOverride { minute, second, policy, lasting, by, reason };
                let path = path(&["overrides", &identity], &[]);
                let held: OverrideDoc = api.send(Method::PUT, &path, &wish).await?;
                say_either(form, &held, || said(&held))?;
            }
            Action::List { form } => {
                let held: List<OverrideDoc> = api.get(&path(&["overrides"], &[])).await?;
                say_either(form, &held, || {
                    let table = render(&held.items, now_us());
                    listing(&table, held.items.len(), held.more, "no override is in force")
                })?;
            }
            Action::Delete { identity, policy, signed, form } => {
                let Signed { by: By { by }, reason } = signed;
                let query = [("policy", policy.as_str()), ("by", &by), ("reason", &reason)];
                let done: Done = api.delete(&path(&["overrides", &identity], &query)).await?;
                say_either(form, &done, || {
                    let policy = if policy.is_empty() { "*" } else { &policy };
                    plain(&format!("{identity} has no override for {} any more", scope(policy)))
                })?;
            }
        }
        Ok(Exit::Done)
    }
}

/// What an override is for, in words.
pub(crate) fn scope(policy: &str) -> String {
    if policy == "*" { "every policy".to_owned() } else { format!("the policy {policy}") }
}

fn said(held: &OverrideDoc) -> String {
    let OverrideDoc { identity, minute, second, .. } = held;
    let until = match held.until_us {
        None => "for good".to_owned(),
        Some(until_us) => format!("until {}", both(until_us, held.at_us)),
    };
    let scope = scope(&held.policy);
    plain(&format!(
        "{identity} may do {minute} a minute and {second} a second under {scope} {until}"
    ))
}

/// Overrides as a table.
pub(crate) fn render(held: &[OverrideDoc], now_us: u64) -> String {
    let rows = held.iter().map(|one| {
        let policy = if one.policy == "*" { "all".to_owned() } else { one.policy.clone() };
        let (minute, second) = (one.minute.to_string(), one.second.to_string());
        let (until, at) = (end(one.until_us, now_us), both(one.at_us, now_us));
        let (by, reason) = (one.by.clone(), one.reason.clone());
        [one.identity.clone(), policy, minute, second, until, at, by, reason]
    });
    let header = ["identity", "policy", "minute", "second", "until", "set", "by", "reason"];
    table(header, &[2, 3], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(policy: &str, until_us: Option<u64>) -> OverrideDoc {
        OverrideDoc {
            identity: "user:42".to_owned(),
            policy: policy.to_owned(),
            minute: 600,
            second: 20,
            until_us,
            at_us: 1_800_000_000_000_000,
            by: "ann".to_owned(),
            reason: "migration".to_owned(),
        }
    }

    #[test]
    fn what_was_set_is_one_sentence() {
        let until_us = Some(1_800_007_200_000_000);
        let expected = "user:42 may do 600 a minute and 20 a second under every policy until \
                        2027-01-15 10:00:00 UTC (in 2 h)";
        assert_eq!(said(&held("*", until_us)), expected);
        let expected = "user:42 may do 600 a minute and 20 a second under the policy search for \
                        good";
        assert_eq!(said(&held("search", None)), expected);
    }

    #[test]
    fn overrides_stand_in_a_table() {
        let shown = render(&[held("*", None), held("search", None)], 1_800_000_012_000_000);
        let lines: Vec<_> = shown.lines().map(str::split_whitespace).collect();
        let expected =
            "user:42 all 600 20 for good 2027-01-15 08:00:00 UTC (12 s ago) ann migration";
        assert!(lines[1].clone().eq(expected.split(' ')), "{shown}");
        assert_eq!(lines[2].clone().nth(1), Some("search"), "{shown}");
    }
}
