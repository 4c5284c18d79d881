//! Handlers to compare with.

mod handler;
mod layer;
mod memory;
mod redis;
mod wire;

use anyhow::{Context as _, Result};
use transom_core::Limits;

use crate::args::{Kind, Serve};

use handler::{Decider, routes};
pub(crate) use memory::Governor;

/// Nothing decides.
struct Noop;

impl Decider for Noop {
    async fn admit(&self, _identity: &str) -> Result<bool> {
        Ok(true)
    }
}

/// Serves until standard input ends.
pub(crate) fn run(asked: &Serve) -> Result<()> {
    handler::serve(async {
        let limits = Limits { minute: asked.minute, second: asked.second };
        let url = || asked.redis.as_deref().context("--redis: this handler needs one");
        Ok(match asked.kind {
            Kind::Noop => routes(Noop),
            Kind::Ping => routes(redis::Ping::open(url()?).await?),
            Kind::Textbook => routes(redis::Textbook::open(url()?, limits)?),
            Kind::TwoSteps => routes(redis::TwoSteps::open(url()?, limits).await?),
            Kind::Governor => routes(Governor::new(limits)?),
            Kind::Tower => layer::router(url()?, limits).await?,
        })
    })
}
