//! How many workers live: what a limit is divided by while each decides alone.

use std::time::Duration;

use transom_core::{Share, Unavailable};

use crate::control::Control;

/// How often a worker says that it lives. It is forgotten after five times as long.
const PERIOD: Duration = Duration::from_secs(1);

const SCRIPT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../lua/roster.lua"));

/// Signs on again and again, and keeps `share` at what Redis counts.
pub(crate) async fn stay(control: &Control, share: &Share) {
    let mut last = None;
    loop {
        if let Ok(workers) = call(control, false).await {
            // Fewer workers mean larger shares, and a Redis that has just come back has heard of
            // few: a lower count is believed when it is read twice.
            if workers >= share.workers() || last == Some(workers) {
                share.set(workers);
            }
            last = Some(workers);
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Signs off. Where Redis does not answer the worker is forgotten soon enough.
pub(crate) async fn leave(control: &Control) {
    if let Err(reason) = call(control, true).await {
        tracing::debug!(%reason, "not signed off");
    }
}

async fn call(control: &Control, leaving: bool) -> Result<u32, Unavailable> {
    let mut invocation = redis::cmd("EVAL");
    invocation.arg(SCRIPT).arg(1).arg(control.keyspace.roster());
    invocation.arg(&*control.worker).arg(u8::from(leaving));
    control.query(&invocation).await
}
