//! `transom check-config`

use transom_server::identity::tokens;
use transom_server::worker::redis_settings;

use crate::Exit;
use crate::args::Args;
use crate::commands::{config, say, source};

pub(crate) fn run(args: &Args, json: bool) -> anyhow::Result<Exit> {
    let config = config(args, &source(args))?;
    redis_settings(&config.redis)?;
    tokens(&config.identity)?;
    if json {
        say(serde_json::to_string_pretty(&config.to_json())?)?;
    } else {
        say(config.describe().trim_end())?;
    }
    Ok(Exit::Done)
}
