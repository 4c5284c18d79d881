//! What decides on Redis, or only asks it.

use ::redis::aio::MultiplexedConnection;
use ::redis::io::tcp::TcpSettings;
use ::redis::{Client, IntoConnectionInfo as _, Script, cmd};
use anyhow::Result;
use deadpool_redis::{Config, Pool, Runtime};
use transom_core::{Limits, Window};

use super::Decider;
use crate::scripts;

/// Connections of the textbook's pool.
const POOL: usize = 32;

/// A connection as a worker's: Nagle's algorithm would hold a call back until the one before it is
/// acknowledged.
async fn connect(url: &str) -> Result<MultiplexedConnection> {
    let tcp = TcpSettings::default().set_nodelay(true);
    let client = Client::open(url.into_connection_info()?.set_tcp_settings(tcp))?;
    Ok(client.get_multiplexed_async_connection().await?)
}

/// One PING for each request, on a connection that all share.
pub(super) struct Ping(MultiplexedConnection);

impl Ping {
    pub(super) async fn open(url: &str) -> Result<Self> {
        Ok(Self(connect(url).await?))
    }
}

impl Decider for Ping {
    async fn admit(&self, _identity: &str) -> Result<bool> {
        cmd("PING").exec_async(&mut self.0.clone()).await?;
        Ok(true)
    }
}

/// A connection out of the pool for each request, and the plain script on it. No call follows
/// another one before its reply, so that Nagle's algorithm holds nothing back.
pub(super) struct Textbook {
    pool: Pool,
    script: Script,
    limits: Limits,
}

impl Textbook {
    pub(super) fn open(url: &str, limits: Limits) -> Result<Self> {
        let mut config = Config::from_url(url);
        config.pool = Some(deadpool_redis::PoolConfig::new(POOL));
        let pool = config.create_pool(Some(Runtime::Tokio1))?;
        let script = Script::new(scripts::TEXTBOOK);
        Ok(Self { pool, script, limits })
    }
}

impl Decider for Textbook {
    async fn admit(&self, identity: &str) -> Result<bool> {
        let mut connection = self.pool.get().await?;
        // No other process makes the same one.
        let member = format!("{:016x}", fastrand::u64(..));
        let allowed: u8 = self
            .script
            .key(format!("textbook:{{{identity}}}:minute"))
            .key(format!("textbook:{{{identity}}}:second"))
            .arg(self.limits.minute)
            .arg(self.limits.second)
            .arg(member)
            .invoke_async(&mut connection)
            .await?;
        Ok(allowed == 1)
    }
}

/// Fixed windows, read in one round trip and written in a second one, on a connection that all
/// share: what the crate limitador does in its version 0.14, without the crate.
pub(super) struct TwoSteps {
    connection: MultiplexedConnection,
    count: Script,
    limits: Limits,
}

impl TwoSteps {
    pub(super) async fn open(url: &str, limits: Limits) -> Result<Self> {
        let mut connection = connect(url).await?;
        let count = Script::new(scripts::COUNT);
        count.load_async(&mut connection).await?;
        Ok(Self { connection, count, limits })
    }
}

impl Decider for TwoSteps {
    async fn admit(&self, identity: &str) -> Result<bool> {
        let mut connection = self.connection.clone();
        let keys = Window::ALL.map(|window| format!("steps:{{{identity}}}:{}", window.as_str()));
        let counts: Vec<Option<u32>> = cmd("MGET").arg(&keys).query_async(&mut connection).await?;
        let fits =
            |(count, window): (&Option<u32>, Window)| count.unwrap_or(0) < self.limits.of(window);
        if !counts.iter().zip(Window::ALL).all(fits) {
            return Ok(false);
        }
        let mut both = ::redis::pipe();
        for (key, window) in keys.iter().zip(Window::ALL) {
            both.cmd("EVALSHA").arg(self.count.get_hash()).arg(1).arg(key).arg(window.length_s());
        }
        both.exec_async(&mut connection).await?;
        Ok(true)
    }
}
