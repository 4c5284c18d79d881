//! `transom reset`

use http::Method;
use transom_server::operator::{Done, Reset as Wish};

use crate::Exit;
use crate::api::{Api, path};
use crate::args::{By, Form, Signed, identity};
use crate::commands::say_either;
use crate::show::plain;

/// Empties windows, and ends the block and the strikes.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Reset {
    /// user:ID or ip:ADDRESS
    #[arg(value_parser = identity)]
    identity: String,
    /// Only the windows of this policy; the block and the strikes are of no policy
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    form: Form,
}

impl Reset {
    pub(crate) async fn run(self, api: &Api) -> anyhow::Result<Exit> {
        let Signed { by: By { by }, reason } = self.signed;
        let wish = Wish { policy: self.policy, by, reason };
        let path = path(&["identities", &self.identity, "reset"], &[]);
        let done: Done = api.send(Method::POST, &path, &wish).await?;
        say_either(self.form, &done, || {
            let under = wish.policy.as_deref().unwrap_or("every policy");
            plain(&format!("{} starts afresh under {under}, and is not blocked", self.identity))
        })?;
        Ok(Exit::Done)
    }
}
