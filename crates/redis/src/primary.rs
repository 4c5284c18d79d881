//! The server that decides, and connections to it.

use deadpool_redis::{Connection, Pool};

use crate::error;

/// Where the server is that decides. Clones share its connections.
#[derive(Clone, Debug)]
pub(crate) enum Primary {
    /// At an address that does not change.
    Fixed(Pool),
}

impl Primary {
    /// A connection that nobody else uses.
    pub(crate) async fn connection(&self) -> Result<Connection, String> {
        let Self::Fixed(pool) = self;
        pool.get().await.map_err(|error| error::of_pool(&error))
    }
}
