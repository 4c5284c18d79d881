//! `transom top`

use std::io::IsTerminal as _;
use std::time::Duration;

use transom_server::operator::{DeniedDoc, List};

use crate::Exit;
use crate::api::{Api, path};
use crate::args::Form;
use crate::commands::{AskedToEnd, say_either, tell};
use crate::show::{Paint, listing, now_us, table, utc};

/// How often `--watch` looks.
const PERIOD: Duration = Duration::from_secs(1);
/// Puts the cursor into the corner of a terminal and clears it.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Shows who was denied most.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Top {
    /// Look again every second, until interrupted
    #[arg(long)]
    watch: bool,
    /// At most so many identities
    #[arg(long, default_value_t = 20, value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=1_000))]
    max: u16,
    #[command(flatten)]
    form: Form,
}

impl Top {
    pub(crate) async fn run(self, api: &Api) -> anyhow::Result<Exit> {
        let path = path(&["top"], &[("max", &self.max.to_string())]);
        if self.watch {
            return self.watch(api, &path).await;
        }
        let top: List<DeniedDoc> = api.get(&path).await?;
        say_either(self.form, &top, || render(&top))?;
        Ok(Exit::Done)
    }

    /// Ends when it is asked to, or when nobody reads any more.
    async fn watch(self, api: &Api, path: &str) -> anyhow::Result<Exit> {
        let mut asked = AskedToEnd::listen()?;
        let clear = if std::io::stdout().is_terminal() { CLEAR } else { "" };
        let mut next = tokio::time::interval(PERIOD);
        loop {
            let top: List<DeniedDoc> = tokio::select! {
                _ = asked.next() => return Ok(Exit::Done),
                top = async { next.tick().await; api.get(path).await } => top?,
            };
            let read = if self.form.json {
                tell(serde_json::to_string(&top)?)?
            } else {
                let title = Paint::for_stdout().bold(&utc(now_us()));
                tell(format_args!("{clear}{title}\n{}\n", render(&top)))?
            };
            if !read {
                return Ok(Exit::Done);
            }
        }
    }
}

fn render(top: &List<DeniedDoc>) -> String {
    let rows = top.items.iter().map(|one| [one.identity.clone(), one.denials.to_string()]);
    let table = table(["identity", "denials"], &[1], rows);
    let nothing = "nobody was denied in the last five to ten minutes";
    listing(&table, top.items.len(), top.more, nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_denied_stand_in_a_table() {
        let one = |identity: &str, denials| DeniedDoc { identity: identity.to_owned(), denials };
        let items = vec![one("user:42", 1_234), one("ip:192.0.2.7", 5)];
        let mut top = List { items, more: false };
        let expected = " identity      denials
 user:42          1234
 ip:192.0.2.7        5";
        assert_eq!(render(&top), expected);
        top.more = true;
        assert_eq!(render(&top), format!("{expected}\n\nThere are more; these are 2."));
        let nobody = List { items: Vec::new(), more: false };
        assert_eq!(render(&nobody), "nobody was denied in the last five to ten minutes");
    }
}
