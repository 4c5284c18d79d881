//! The limiter on Redis.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisError};
use tokio::time::timeout;
use transom_core::{
    Decision, FleetMode, Identity, Limiter, PolicyName, Request, Share, Source, Unavailable,
    Verdict,
};

use crate::api_keys::{KeyDirectory, REVISION_PERIOD};
use crate::connection::Shared;
use crate::error::{self, OpenError};
use crate::keyspace::Keyspace;
use crate::lane::{Lanes, WeakLanes};
use crate::reply;
use crate::roster;
use crate::script::{Item, Script};
use crate::settings::{STUCK_AFTER, Settings};
use crate::strikes::{self, Strikes};
use crate::walk::Walks;
use crate::watch::Warnings;

/// Decides in Redis, exactly, over every worker that uses the same server and prefix.
///
/// Every call ends within the deadline of its [`Settings`]. Nothing is sent twice unless it is
/// certain that it has not run.
#[derive(Clone, Debug)]
pub struct RedisLimiter {
    lanes: Lanes,
    pub(crate) control: Control,
    peek: Script,
    strikes: Strikes,
    pub(crate) warnings: Warnings,
}

impl RedisLimiter {
    /// Sets up the lanes, which connect in the background and keep trying. Redis need not be
    /// there. Must be called on a tokio runtime.
    ///
    /// # Errors
    ///
    /// Settings that cannot work whether Redis is there or not.
    pub fn open(settings: &Settings) -> Result<Self, OpenError> {
        Self::open_with(settings, Script::admit(), Script::peek())
    }

    /// As [`open`](Self::open), with other scripts: for tests, which replace the clock or break
    /// a rule on purpose.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_with(settings: &Settings, admit: Script, peek: Script) -> Result<Self, OpenError> {
        let primary = settings.primary()?;
        let lanes = Lanes::start(&primary, admit, settings.lanes);
        let keyspace = Keyspace::new(&settings.prefix);
        let worker = format!("{:016x}", fastrand::u64(..)).into();
        let (connection, walks) = (Shared::start(primary.clone()), Walks::new(primary));
        let control = Control { connection, walks, keyspace, deadline: settings.deadline, worker };
        let (strikes, warnings) = (Strikes::new(), Warnings::default());
        let limiter = Self { lanes, control, peek, strikes, warnings };
        tokio::spawn(report_strikes(
            limiter.lanes.downgrade(),
            limiter.control.keyspace.clone(),
            limiter.strikes.clone(),
        ));
        Ok(limiter)
    }

    /// Waits until a first attempt to connect has ended.
    ///
    /// # Errors
    ///
    /// [`Unavailable::Unreachable`] where it failed; the lanes keep trying all the same.
    pub async fn connected(&self) -> Result<(), Unavailable> {
        self.lanes.tried().await;
        self.lanes.connected()
    }

    /// Whether requests are sent to Redis now.
    ///
    /// # Errors
    ///
    /// [`Unavailable::Unreachable`] with what the last attempt to connect said, or
    /// [`Unavailable::BreakerOpen`].
    pub fn state(&self) -> Result<(), Unavailable> {
        self.lanes.state()
    }

    /// How many requests wait for a lane now.
    pub fn waiting(&self) -> usize {
        self.lanes.waiting()
    }

    /// Signs this worker on, for as long as the future is polled, and keeps `share` at the number
    /// of workers that live. While Redis does not answer the last number stays.
    pub async fn join(&self, share: Share) {
        roster::stay(&self.control, &share).await;
    }

    /// Signs this worker off at once, where [`join`](Self::join) would leave it to be forgotten.
    pub async fn leave(&self) {
        roster::leave(&self.control).await;
    }

    /// Keeps `mode` at what the fleet is set to, for as long as the future is polled. While Redis
    /// does not answer the last one stays, and so it does where Redis has forgotten.
    pub async fn follow_mode(&self, mode: FleetMode) {
        let mut complained = false;
        loop {
            match self.mode_on_record().await {
                Ok(set) => {
                    if let Some(set) = set {
                        mode.set(set);
                    }
                    complained = false;
                }
                Err(reason @ Unavailable::Reply(_)) if !complained => {
                    tracing::warn!(%reason, "the mode of the fleet cannot be read");
                    complained = true;
                }
                Err(_) => {}
            }
            tokio::time::sleep(REVISION_PERIOD).await;
        }
    }

    /// The API keys kept in the same Redis. It starts a task that watches for changes.
    pub fn api_keys(&self) -> KeyDirectory {
        KeyDirectory::start(self.control.clone())
    }
}

impl RedisLimiter {
    async fn submit(
        &self,
        request: &Request,
        unreported: Option<u32>,
    ) -> Result<Decision, Unavailable> {
        let deadline = Instant::now() + self.control.within(request)?;
        let item = Item::new(&self.control.keyspace, request, unreported);
        self.lanes.ask(item, deadline).await.map(|verdict| decision(&verdict))
    }
}

impl Limiter for RedisLimiter {
    async fn admit(&self, request: &Request) -> Result<Decision, Unavailable> {
        if request.penalty.is_none() || !request.enforced {
            return self.submit(request, None).await;
        }
        let report = self.strikes.begin(request);
        let decided = self.submit(request, report.unreported).await;
        report.end(&decided);
        decided
    }

    async fn peek(&self, request: &Request) -> Result<Decision, Unavailable> {
        let items = [Item::new(&self.control.keyspace, request, None)];
        let within = self.control.within(request)?;
        let call =
            async |connection: &mut MultiplexedConnection| self.peek.call(connection, &items).await;
        let reply = self.control.run(within, call).await?;
        let verdict = reply::decode(&reply, items.len())?.pop();
        verdict
            .unwrap_or_else(|| Err(Unavailable::Reply("no answer".into())))
            .map(|verdict| decision(&verdict))
    }

    async fn reset(&self, identity: &Identity, policy: &PolicyName) -> Result<(), Unavailable> {
        let keys = self.control.keyspace.windows(identity, policy);
        self.control.query(redis::cmd("DEL").arg(&keys)).await
    }
}

/// Reports strikes of those who send no further request, for as long as the limiter lives. Nobody
/// waits for the answers.
async fn report_strikes(lanes: WeakLanes, keyspace: Keyspace, strikes: Strikes) {
    loop {
        tokio::time::sleep(strikes::PERIOD).await;
        let Some(lanes) = lanes.upgrade() else {
            return;
        };
        for (request, denials) in strikes.due() {
            let item = Item::new(&keyspace, &request, Some(denials));
            if let Ok(answer) = lanes.submit(item) {
                tokio::spawn(answer);
            }
        }
    }
}

fn decision(verdict: &Verdict) -> Decision {
    Decision::new(verdict, Source::Redis)
}

/// What is not a decision shares a connection of its own.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    connection: Shared,
    pub(crate) walks: Walks,
    pub(crate) keyspace: Keyspace,
    deadline: Duration,
    /// A name that no other worker has.
    pub(crate) worker: Arc<str>,
}

impl Control {
    /// Sends one command and reads its reply. For what nobody waits for but an operator or a
    /// task of the worker's own: it takes as long as a connection may be silent.
    pub(crate) async fn query<T: FromRedisValue>(
        &self,
        command: &redis::Cmd,
    ) -> Result<T, Unavailable> {
        self.query_within(STUCK_AFTER, command).await
    }

    /// Sends one command and reads its reply, within a time of the caller's.
    pub(crate) async fn query_within<T: FromRedisValue>(
        &self,
        within: Duration,
        command: &redis::Cmd,
    ) -> Result<T, Unavailable> {
        self.run(within, async |connection| command.query_async(connection).await).await
    }

    /// Sends some commands at once and reads their replies.
    pub(crate) async fn pipeline<T: FromRedisValue>(
        &self,
        commands: &redis::Pipeline,
    ) -> Result<T, Unavailable> {
        let call =
            async |connection: &mut MultiplexedConnection| commands.query_async(connection).await;
        self.run(STUCK_AFTER, call).await
    }

    /// The least of the deadline and a time of the caller's. Where nothing is left, nothing is
    /// sent.
    fn within(&self, request: &Request) -> Result<Duration, Unavailable> {
        let within = request.within.map_or(self.deadline, |left| left.min(self.deadline));
        if within.is_zero() { Err(Unavailable::Deadline) } else { Ok(within) }
    }

    pub(crate) async fn run<T>(
        &self,
        within: Duration,
        call: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Result<T, Unavailable> {
        let run = async {
            let mut connection = self.connection.get().await?;
            call(&mut connection).await.map_err(|error| error::of_call(&error))
        };
        timeout(within, run).await.unwrap_or(Err(Unavailable::Deadline))
    }
}
