//! `transom mode`

use clap::ValueEnum;
use http::Method;
use transom_core::Mode as FleetMode;
use transom_server::operator::{ModeDoc, NewMode};

use crate::Exit;
use crate::api::{Api, path};
use crate::args::{By, Form, Signed};
use crate::commands::say_either;

/// Shows or sets the mode of the whole fleet.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Mode {
    /// What to set; without it the mode is shown
    mode: Option<Wanted>,
    /// Take back what was set: each worker's limiter.mode holds again
    #[arg(long, conflicts_with = "mode")]
    unset: bool,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    form: Form,
}

/// A mode as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Wanted {
    /// What is denied is refused
    Enforce,
    /// What would be denied passes, and is counted
    Shadow,
    /// Nothing is decided
    Off,
}

impl From<Wanted> for FleetMode {
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Enforce => Self::Enforce,
            Wanted::Shadow => Self::Shadow,
            Wanted::Off => Self::Off,
        }
    }
}

impl Mode {
    pub(crate) async fn run(self, api: &Api) -> anyhow::Result<Exit> {
        let path = path(&["mode"], &[]);
        if self.mode.is_none() && !self.unset {
            let mode: ModeDoc = api.get(&path).await?;
            say_either(self.form, &mode, || render(&mode))?;
            return Ok(Exit::Done);
        }
        let Signed { by: By { by }, reason } = self.signed;
        let wish = NewMode { mode: self.mode.map(FleetMode::from), by, reason };
        let mode: ModeDoc = api.send(Method::PUT, &path, &wish).await?;
        say_either(self.form, &mode, || {
            let what =
                if self.unset { "the mode of the configuration" } else { mode.mode.as_str() };
            format!("{what} is set for the whole fleet, and in force within a second")
        })?;
        Ok(Exit::Done)
    }
}

fn render(doc: &ModeDoc) -> String {
    match doc.fleet {
        None => format!("{} (limiter.mode; nothing is set for the fleet)", doc.mode),
        Some(_) => format!("{} (set for the fleet; limiter.mode is {})", doc.mode, doc.configured),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_where_the_mode_comes_from() {
        let configured = FleetMode::Enforce;
        let doc = ModeDoc { mode: configured, fleet: None, configured };
        assert_eq!(render(&doc), "enforce (limiter.mode; nothing is set for the fleet)");
        let (mode, fleet) = (FleetMode::Shadow, Some(FleetMode::Shadow));
        let doc = ModeDoc { mode, fleet, configured };
        assert_eq!(render(&doc), "shadow (set for the fleet; limiter.mode is enforce)");
    }
}
