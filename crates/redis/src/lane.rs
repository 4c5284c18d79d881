//! Lanes: long-lived connections that carry decisions, several in one call where several wait.

mod carry;
mod health;
mod turns;

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout_at;
use tracing::Span;
use transom_core::Unavailable;

use self::carry::Lane;
use self::health::Health;
use self::turns::Turns;
use crate::breaker::Breaker;
use crate::clock::ClockWatch;
use crate::cluster::Member;
use crate::metrics::LaneMetrics;
use crate::primary::Primary;
use crate::reply::Answer;
use crate::script::{Item, Script};

/// Requests in one call of the script.
const BATCH_MAX: usize = 32;
/// Units in one call, but for its last request; both bound how long Redis is held by it.
const BATCH_UNITS: u32 = 1_000;
/// Requests that may wait for a lane.
const QUEUE_MAX: usize = 4_096;

/// A request on its way to Redis.
#[derive(Debug)]
struct Job {
    item: Item,
    caller: Caller,
}

impl Job {
    /// By this those who share a call become neighbours, and of these those who ask alike.
    fn order(&self) -> ((u16, bool), (&str, u32)) {
        (self.caller.call(), self.item.likeness())
    }
}

/// Where the answer to a request goes, and how the request is sent.
#[derive(Debug)]
struct Caller {
    answer: oneshot::Sender<Answer>,
    /// What the caller was doing, for its trace.
    span: Span,
    /// Requests in one slot go out in one call.
    slot: u16,
    /// Another node that is giving the slot away has sent it here.
    asking: bool,
    /// How often it was sent elsewhere.
    hops: u8,
}

impl Caller {
    /// Those who are equal in this share a call.
    const fn call(&self) -> (u16, bool) {
        (self.slot, self.asking)
    }
}

/// The way into the lanes. Dropping the last clone ends them.
#[derive(Clone, Debug)]
pub(crate) struct Lanes {
    jobs: mpsc::Sender<Job>,
    turns: Arc<Turns>,
    health: Arc<Health>,
    breaker: Breaker,
}

impl Lanes {
    /// Starts `count` lanes. They connect on their own and reconnect for ever.
    pub(crate) fn start(primary: &Primary, script: Script, count: usize, member: Member) -> Self {
        let (jobs, waiting) = mpsc::channel(QUEUE_MAX);
        let turns = Arc::new(Turns::new(waiting));
        let health = Arc::new(Health::new());
        let breaker = Breaker::new();
        let lane = Lane {
            primary: primary.clone(),
            member,
            script,
            turns: Arc::clone(&turns),
            health: Arc::clone(&health),
            breaker: breaker.clone(),
            clock: Arc::new(ClockWatch::new()),
            metrics: LaneMetrics::new(),
        };
        for _ in 0..count.max(1) {
            tokio::spawn(lane.clone().run());
        }
        Self { jobs, turns, health, breaker }
    }

    /// Resolves when a lane has tried to connect, with or without success.
    pub(crate) async fn tried(&self) {
        self.health.tried().await;
    }

    /// Whether requests are sent; else why not.
    pub(crate) fn state(&self) -> Result<(), Unavailable> {
        self.connected()?;
        self.breaker.state()
    }

    /// Whether any lane is connected; else what the last attempt said.
    pub(crate) fn connected(&self) -> Result<(), Unavailable> {
        self.health.connected()
    }

    /// How many requests wait for a lane now.
    pub(crate) fn waiting(&self) -> usize {
        self.jobs.max_capacity() - self.jobs.capacity()
    }

    /// Sends a request along and waits for its answer, until `deadline` at the latest. One whose
    /// time ends before it was sent is not charged.
    pub(crate) async fn ask(&self, item: Item, slot: u16, deadline: Instant) -> Answer {
        // A node that a cluster has just told of is a few milliseconds away.
        if !self.health.has_tried() {
            let tried = timeout_at(deadline.into(), self.tried()).await;
            tried.map_err(|_elapsed| Unavailable::Deadline)?;
        }
        self.connected()?;
        let permit = self.breaker.permit()?;
        let answer = match timeout_at(deadline.into(), self.submit(item, slot)?).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_lane_has_ended)) => Err(Unavailable::ConnectionLost),
            Err(_elapsed) => Err(Unavailable::Deadline),
        };
        permit.end(&answer);
        answer
    }

    /// Sends a request along. The answer may never come. Once nobody waits for it, a request
    /// that was not sent yet is not.
    pub(crate) fn submit(
        &self,
        item: Item,
        slot: u16,
    ) -> Result<oneshot::Receiver<Answer>, Unavailable> {
        self.open()?;
        let (answer, receiver) = oneshot::channel();
        let caller = Caller { answer, span: Span::current(), slot, asking: false, hops: 0 };
        self.jobs.try_send(Job { item, caller }).map_err(|_| Unavailable::Overloaded)?;
        self.tell_of_many();
        Ok(receiver)
    }

    /// One more waits, which may make a batch full.
    fn tell_of_many(&self) {
        if self.waiting() >= BATCH_MAX {
            self.turns.many_wait();
        }
    }

    /// Takes over a request that another node has refused.
    fn take_over(&self, job: Job) {
        let answer = match self.open() {
            Ok(()) => self.jobs.try_send(job).map_err(|job| (job, Unavailable::Overloaded)),
            Err(reason) => Err((TrySendError::Closed(job), reason)),
        };
        match answer {
            Ok(()) => self.tell_of_many(),
            Err((TrySendError::Full(job) | TrySendError::Closed(job), reason)) => {
                let _ = job.caller.answer.send(Err(reason));
            }
        }
    }

    /// Whether a request may wait here. It may for the first attempt to connect: a node that a
    /// cluster has just told of is a few milliseconds away.
    fn open(&self) -> Result<(), Unavailable> {
        if self.health.has_tried() { self.connected() } else { Ok(()) }
    }
}
