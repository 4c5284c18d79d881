//! `transom inspect`

mod time_line;

use transom_core::LimitsFrom;
use transom_server::operator::{Inspection, WindowsDoc};

use crate::Exit;
use crate::api::{Api, path};
use crate::args::{Form, identity};
use crate::commands::explain::strikes;
use crate::commands::{block, overrides, say_either};
use crate::show::{Paint, plain, utc};

use time_line::{MINUTE, SECOND};

/// Shows everything that is kept of an identity.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Inspect {
    /// user:ID or ip:ADDRESS
    #[arg(value_parser = identity)]
    identity: String,
    #[command(flatten)]
    form: Form,
}

impl Inspect {
    pub(crate) async fn run(self, api: &Api) -> anyhow::Result<Exit> {
        let path = path(&["identities", &self.identity], &[]);
        let kept: Inspection = api.get(&path).await?;
        say_either(self.form, &kept, || render(&kept, Paint::for_stdout()))?;
        Ok(Exit::Done)
    }
}

/// Windows, then what holds for the identity alone.
fn render(kept: &Inspection, paint: Paint) -> String {
    let at_us = kept.at_us;
    let mut parts = vec![format!("{} at {}", paint.bold(&plain(&kept.identity)), utc(at_us))];
    if let Some(why) = &kept.exempt {
        parts.push(format!("not limited: {}", plain(why)));
    }
    parts.extend(kept.windows.iter().map(|windows| both_windows(windows, at_us, paint)));
    if !kept.overrides.is_empty() {
        let table = overrides::render(&kept.overrides, at_us);
        parts.push(format!("{}\n{table}", paint.bold("overrides")));
    }
    let mut rest = vec![format!("strikes  {}", strikes(&kept.strikes, at_us))];
    match &kept.block {
        None => rest.push("block    none".to_owned()),
        Some(held) => rest.push(format!(
            "\n{}\n{}",
            paint.bad("blocked"),
            block::render(std::slice::from_ref(held), at_us)
        )),
    }
    parts.push(rest.join("\n"));
    parts.join("\n\n")
}

fn both_windows(windows: &WindowsDoc, at_us: u64, paint: Paint) -> String {
    let from = match windows.limits_from {
        LimitsFrom::Policy => "limits of the policy",
        LimitsFrom::Override => "limits of an override for this policy",
        LimitsFrom::OverrideAll => "limits of an override for every policy",
    };
    let title = format!("policy {}", plain(&windows.policy));
    let minute = MINUTE.render(&windows.minute, at_us, paint);
    let second = SECOND.render(&windows.second, at_us, paint);
    format!("{} ({from})\n\n{minute}\n\n{second}", paint.bold(&title))
}

#[cfg(test)]
mod tests {
    use transom_server::operator::{BlockDoc, OverrideDoc, StrikesDoc, TimeLine};

    use super::*;

    const NOW_US: u64 = 1_800_000_000_000_000;

    fn inspection() -> Inspection {
        Inspection {
            identity: "user:42".to_owned(),
            at_us: NOW_US,
            windows: vec![WindowsDoc {
                policy: "default".to_owned(),
                limits_from: LimitsFrom::Policy,
                minute: TimeLine::default(),
                second: TimeLine::default(),
            }],
            overrides: Vec::new(),
            block: None,
            strikes: StrikesDoc::default(),
            exempt: None,
        }
    }

    #[test]
    fn an_identity_of_which_nothing_is_kept_has_empty_windows() {
        let shown = render(&inspection(), Paint::NONE);
        assert!(shown.starts_with(
            "user:42 at 2027-01-15 08:00:00 UTC\n\npolicy default (limits of the policy)\n\nminute"
        ));
        let ends = "\n\nstrikes  0 (penalties are not enabled)\nblock    none";
        assert!(shown.ends_with(ends), "{shown}");
    }

    #[test]
    fn overrides_and_a_block_follow_the_windows() {
        let (identity, by, reason) = ("user:42".to_owned(), "ann".to_owned(), "audit".to_owned());
        let mut kept = inspection();
        kept.block = Some(BlockDoc {
            identity: identity.clone(),
            until_us: None,
            at_us: NOW_US,
            by: by.clone(),
            reason: reason.clone(),
        });
        kept.overrides = vec![OverrideDoc {
            identity,
            policy: "*".to_owned(),
            minute: 600,
            second: 20,
            until_us: None,
            at_us: NOW_US,
            by,
            reason,
        }];
        kept.windows[0].limits_from = LimitsFrom::OverrideAll;
        kept.exempt = Some("identity.exempt names it".to_owned());
        let shown = render(&kept, Paint::NONE);
        let mut from = 0;
        for part in [
            "not limited: identity.exempt names it",
            "limits of an override for every policy",
            "overrides\n",
            "600",
            "strikes",
            "blocked\n",
            "for good",
        ] {
            let at = shown[from..].find(part);
            from += at.unwrap_or_else(|| panic!("{part:?} in its place: {shown}"));
        }
    }
}
