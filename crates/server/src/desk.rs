//! The API for operators without a worker: what the commands of `transom` use where the
//! configuration says which Redis.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use tokio_util::sync::CancellationToken;
use transom_core::Operations as _;

use crate::admin::{Admin, api_router};
use crate::config::Config;
use crate::operator::Operator;
use crate::reload::ConfigStatus;
use crate::worker::{Lasting, StartError};

/// The least that one answer of Redis may take here. No request of a client waits for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// The routes of `/api/...` under a configuration, for whoever holds this router: nobody is asked
/// for a token. The mode of the fleet is read once, here. A Redis that does not answer is no error
/// of this, but of what is asked later.
///
/// # Errors
///
/// A configuration that cannot work whether Redis answers or not.
pub async fn open(config: &Config) -> Result<Router, StartError> {
    let mut config = config.clone();
    config.redis.deadline = config.redis.deadline.max(PATIENCE);
    // Nobody asks twice here.
    config.redis.known_denials = false;
    let lasting = Lasting::open(&config)?;
    let front = Arc::new(ArcSwap::from_pointee(lasting.front(&config)?));
    let store = front.load_full();
    if let Ok(mode) = store.gate.limiter().fleet_mode().await {
        store.gate.fleet_mode().set(mode);
    }
    let operator = Operator::new(Arc::clone(&front), lasting.directory().cloned());
    let status = ConfigStatus::shared_at_start();
    let admin = Admin::new(front, operator, status, CancellationToken::new());
    Ok(api_router(admin).0)
}
