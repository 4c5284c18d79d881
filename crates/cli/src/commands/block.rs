//! `transom block` and `transom unblock`

use clap::Subcommand;
use http::Method;
use transom_server::operator::{BlockDoc, Done, List, NewBlock};

use crate::Exit;
use crate::api::{Api, path};
use crate::args::{By, Form, Signed, identity};
use crate::commands::say_either;
use crate::show::{both, end, listing, now_us, plain, table};

/// Denies everything to an identity, in place of any block before.
#[derive(Clone, Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    override_usage = "transom block [OPTIONS] <IDENTITY>\n       transom block list [--json]"
)]
pub(crate) struct Block {
    #[command(subcommand)]
    action: Option<Action>,
    /// user:ID or ip:ADDRESS
    #[arg(value_parser = identity, required = true)]
    identity: Option<String>,
    /// How long, such as 10m; without it for good
    #[arg(long = "for", value_name = "TIME")]
    lasting: Option<String>,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    form: Form,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// List every block in force
    List {
        #[command(flatten)]
        form: Form,
    },
}

/// Ends a block, and forgets strikes and past blocks.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Unblock {
    /// user:ID or ip:ADDRESS
    #[arg(value_parser = identity)]
    identity: String,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    form: Form,
}

impl Block {
    pub(crate) async fn run(self, api: &Api) -> anyhow::Result<Exit> {
        let Some(identity) = self.identity else {
            let form = self.action.map_or(self.form, |Action::List { form }| form);
            let blocks: List<BlockDoc> = api.get(&path(&["blocks"], &[])).await?;
            say_either(form, &blocks, || {
                let table = render(&blocks.items, now_us());
                listing(&table, blocks.items.len(), blocks.more, "nobody is blocked")
            })?;
            return Ok(Exit::Done);
        };
        let Signed { by: By { by }, reason } = self.signed;
        let wish = NewBlock { lasting: self.lasting, by, reason };
        let path = path(&["blocks", &identity], &[]);
        let block: BlockDoc = api.send(Method::PUT, &path, &wish).await?;
        say_either(self.form, &block, || said(&block))?;
        Ok(Exit::Done)
    }
}

impl Unblock {
    pub(crate) async fn run(self, api: &Api) -> anyhow::Result<Exit> {
        let query = [("by", self.signed.by.by.as_str()), ("reason", &self.signed.reason)];
        let done: Done = api.delete(&path(&["blocks", &self.identity], &query)).await?;
        say_either(self.form, &done, || {
            plain(&format!("{} is not blocked, and its strikes are forgotten", self.identity))
        })?;
        Ok(Exit::Done)
    }
}

fn said(block: &BlockDoc) -> String {
    let until = match block.until_us {
        None => "for good".to_owned(),
        Some(until_us) => format!("until {}", both(until_us, block.at_us)),
    };
    plain(&format!("{} is blocked {until}", block.identity))
}

/// Blocks as a table.
pub(crate) fn render(blocks: &[BlockDoc], now_us: u64) -> String {
    let rows = blocks.iter().map(|block| {
        let (until, at) = (end(block.until_us, now_us), both(block.at_us, now_us));
        [block.identity.clone(), until, at, block.by.clone(), block.reason.clone()]
    });
    table(["identity", "until", "since", "by", "reason"], &[], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(until_us: Option<u64>) -> BlockDoc {
        BlockDoc {
            identity: "ip:192.0.2.7".to_owned(),
            until_us,
            at_us: 1_800_000_000_000_000,
            by: "ann".to_owned(),
            reason: "scraping".to_owned(),
        }
    }

    #[test]
    fn what_was_blocked_is_one_sentence() {
        let expected = "ip:192.0.2.7 is blocked until 2027-01-15 08:10:00 UTC (in 10 min)";
        assert_eq!(said(&block(Some(1_800_000_600_000_000))), expected);
        assert_eq!(said(&block(None)), "ip:192.0.2.7 is blocked for good");
    }

    #[test]
    fn blocks_stand_in_a_table() {
        let shown = render(&[block(None)], 1_800_000_012_000_000);
        let expected = "ip:192.0.2.7 for good 2027-01-15 08:00:00 UTC (12 s ago) ann scraping";
        let line = shown.lines().nth(1).map(str::split_whitespace);
        assert!(line.is_some_and(|line| line.eq(expected.split(' '))), "{shown}");
    }
}
