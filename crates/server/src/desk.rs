//! The API for operators without a worker: what the commands of `transom` use where the
//! configuration says which Redis.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use tokio_util::sync::CancellationToken;

use crate::admin::{Admin, api_router};
use crate::config::Config;
use crate::operator::Operator;
use crate::reload::ConfigStatus;
use crate::worker::{Lasting, StartError};

/// The routes of `/api/...` under a configuration, for whoever holds this router: nobody is asked
/// for a token. Must be called on a tokio runtime.
///
/// # Errors
///
/// A configuration that cannot work whether Redis answers or not.
pub fn open(config: &Config) -> Result<Router, StartError> {
    let lasting = Lasting::open(config)?;
    let front = Arc::new(ArcSwap::from_pointee(lasting.front(config)?));
    let operator = Operator::new(Arc::clone(&front), lasting.directory().cloned());
    let status = ConfigStatus::shared_at_start();
    let admin = Admin::new(front, operator, status, CancellationToken::new());
    Ok(api_router(admin).0)
}
