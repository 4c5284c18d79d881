//! The server that decides, and connections to it.

mod dial;
mod link;
mod sentinel;

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::Pool;
use redis::aio::PubSub;
use tokio::time::sleep;

pub(crate) use dial::Dialer;
pub(crate) use link::Link;
pub(crate) use sentinel::Watched;

use crate::error;

/// The first and the longest pause between two attempts to connect.
const BACKOFF: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(250)];

/// Where the server is that decides. Clones share its connections.
#[derive(Clone, Debug)]
pub(crate) enum Primary {
    /// At an address that does not change. Where it is a name, it may come to lead elsewhere: it is
    /// looked up for each connection.
    Fixed(Pool, Arc<Dialer>),
    /// Where sentinels say.
    Watched(Watched),
}

impl Primary {
    /// A connection that nobody else uses. It has not been checked.
    pub(crate) async fn connection(&self) -> Result<Link, String> {
        let (pool, mastery) = match self {
            Self::Fixed(pool, _) => (pool.clone(), None),
            Self::Watched(watched) => {
                let mastery = watched.master().await?;
                (mastery.pool(), Some(mastery))
            }
        };
        let connection = pool.get().await.map_err(|error| error::of_pool(&error))?;
        Ok(Link::new(connection, mastery, pool.timeouts().create))
    }

    /// A connection that can subscribe and nothing else. It has not been checked.
    pub(crate) async fn subscriber(&self) -> Result<PubSub, String> {
        match self {
            Self::Fixed(_, dialer) => dialer.subscriber().await,
            Self::Watched(watched) => watched.master().await?.dialer().subscriber().await,
        }
    }

    /// A connection to a server that answers and takes decisions, however long that takes.
    /// `failed` hears why an attempt failed, and says whether to go on.
    pub(crate) async fn establish(&self, mut failed: impl FnMut(String) -> bool) -> Option<Link> {
        let [mut pause, longest] = BACKOFF;
        loop {
            let news = self.news();
            tokio::pin!(news);
            let attempt = tokio::select! {
                attempt = self.attempt() => attempt,
                // The address that was tried is that of the past.
                () = &mut news => continue,
            };
            match attempt {
                Ok(link) => return Some(link),
                Err(reason) => {
                    if !failed(reason) {
                        return None;
                    }
                }
            }
            tokio::select! {
                // Half of the pause to all of it, so that a fleet does not knock in step.
                () = sleep(pause * fastrand::u32(50..=100) / 100) => {}
                () = news => {}
            }
            pause = longest.min(pause * 2);
        }
    }

    async fn attempt(&self) -> Result<Link, String> {
        let attempt = match self.connection().await {
            // That it could be made has not shown that it answers.
            Ok(link) => link.first_check().await,
            Err(reason) => Err(reason),
        };
        if let (Err(_), Self::Watched(watched)) = (&attempt, self) {
            watched.doubt();
        }
        attempt
    }

    /// Resolves when the server is to be looked for at another address than now.
    fn news(&self) -> impl Future<Output = ()> + use<> {
        let watched = match self {
            Self::Fixed(..) => None,
            Self::Watched(watched) => Some(watched.news()),
        };
        async move {
            match watched {
                Some(news) => news.await,
                None => std::future::pending().await,
            }
        }
    }
}
