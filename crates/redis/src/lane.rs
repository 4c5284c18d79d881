//! Lanes: long-lived connections that carry decisions, several in one call where several wait.

mod health;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout_at};
use tracing::Span;
use transom_core::Unavailable;

use self::health::Health;
use crate::breaker::Breaker;
use crate::clock::ClockWatch;
use crate::cluster::{HOPS_MAX, Member, Redirect};
use crate::error;
use crate::metrics::LaneMetrics;
use crate::primary::{Link, Primary};
use crate::reply::{self, Answer};
use crate::script::{Call, Item, Script};

/// Requests in one call of the script.
const BATCH_MAX: usize = 32;
/// Units in one call, but for its last request; both bound how long Redis is held by it.
const BATCH_UNITS: u32 = 1_000;
/// Requests that may wait for a lane.
const QUEUE_MAX: usize = 4_096;
/// A connection that was lost sooner than this did not help, and the next one has to wait.
const SHORT_LIFE: Duration = Duration::from_millis(250);
/// A request on its way to Redis.
#[derive(Debug)]
struct Job {
    item: Item,
    caller: Caller,
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
    health: Arc<Health>,
    breaker: Breaker,
}

/// Jobs that wait; the lane that holds the lock takes the next ones.
type Waiting = Arc<tokio::sync::Mutex<mpsc::Receiver<Job>>>;

impl Lanes {
    /// Starts `count` lanes. They connect on their own and reconnect for ever.
    pub(crate) fn start(primary: &Primary, script: Script, count: usize, member: Member) -> Self {
        let (jobs, waiting) = mpsc::channel(QUEUE_MAX);
        let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
        let health = Arc::new(Health::new());
        let breaker = Breaker::new();
        let lane = Lane {
            primary: primary.clone(),
            member,
            script,
            waiting,
            health: Arc::clone(&health),
            breaker: breaker.clone(),
            clock: Arc::new(ClockWatch::new()),
            metrics: LaneMetrics::new(),
        };
        for _ in 0..count.max(1) {
            tokio::spawn(lane.clone().run());
        }
        Self { jobs, health, breaker }
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
        Ok(receiver)
    }

    /// Takes over a request that another node has refused.
    fn take_over(&self, job: Job) {
        let answer = match self.open() {
            Ok(()) => self.jobs.try_send(job).map_err(|job| (job, Unavailable::Overloaded)),
            Err(reason) => Err((TrySendError::Closed(job), reason)),
        };
        if let Err((TrySendError::Full(job) | TrySendError::Closed(job), reason)) = answer {
            let _ = job.caller.answer.send(Err(reason));
        }
    }

    /// Whether a request may wait here. It may for the first attempt to connect: a node that a
    /// cluster has just told of is a few milliseconds away.
    fn open(&self) -> Result<(), Unavailable> {
        if self.health.has_tried() { self.connected() } else { Ok(()) }
    }
}

/// One lane: a connection at a time, a call at a time.
#[derive(Clone)]
struct Lane {
    primary: Primary,
    member: Member,
    script: Script,
    waiting: Waiting,
    health: Arc<Health>,
    breaker: Breaker,
    clock: Arc<ClockWatch>,
    metrics: LaneMetrics,
}

impl Lane {
    async fn run(self) {
        let (mut again, mut short_lived) = (false, false);
        while let Some(mut connection) = self.connect().await {
            self.health.found();
            if !short_lived {
                self.breaker.probe_now();
            }
            self.metrics.connected(again);
            again = true;
            let since = Instant::now();
            let closed = self.carry(&mut connection).await;
            short_lived = since.elapsed() < SHORT_LIFE;
            self.health.lost(closed);
            self.metrics.lost();
            self.member.lost();
            connection.discard();
            if closed {
                return;
            }
            if short_lived {
                // A server that takes connections and nothing else is not asked without a pause.
                sleep(SHORT_LIFE * fastrand::u32(50..=100) / 100).await;
            }
        }
    }

    async fn connect(&self) -> Option<Link> {
        let failed = |reason| {
            self.health.failed(reason);
            !self.waiting.try_lock().is_ok_and(|waiting| waiting.is_closed())
        };
        self.primary.establish(failed).await
    }

    /// Carries calls until the connection should carry none any more (false) or nobody is left to
    /// ask (true).
    async fn carry(&self, link: &mut Link) -> bool {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            tokio::select! {
                biased;
                // A lane that is never idle is checked too.
                () = link.due() => {
                    if link.check().await.is_err() {
                        return false;
                    }
                }
                more = self.take(&mut batch) => {
                    if !more {
                        return true;
                    }
                    if !self.call(link, &mut batch).await {
                        return false;
                    }
                }
            }
        }
    }

    /// Waits for the next job and takes what else is there; false when no more will come.
    /// Nothing is lost when this future is dropped: it waits only while the batch is empty.
    async fn take(&self, batch: &mut Vec<Job>) -> bool {
        batch.clear();
        let mut waiting = self.waiting.lock().await;
        let Some(first) = waiting.recv().await else {
            return false;
        };
        let mut units = first.item.units();
        batch.push(first);
        while batch.len() < BATCH_MAX && units < BATCH_UNITS {
            let Ok(job) = waiting.try_recv() else { break };
            units += job.item.units();
            batch.push(job);
        }
        true
    }

    /// Calls the script for the whole batch, once for each slot; whether the connection is still
    /// good.
    async fn call(&self, link: &mut Link, batch: &mut Vec<Job>) -> bool {
        batch.retain(|job| !job.caller.answer.is_closed());
        if batch.is_empty() {
            return true;
        }
        let call = |job: &Job| job.caller.call();
        if !batch.is_sorted_by_key(call) {
            batch.sort_by_key(call);
        }
        let requests = batch.len();
        let spans: Vec<_> = batch.iter().map(|job| call_span(&job.caller.span, requests)).collect();
        let (items, callers): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|job| (job.item, job.caller)).unzip();
        let sent = Instant::now();
        let answers = self.answers(link, &items, &callers).await;
        if let Some(Ok(verdict)) = answers.iter().find(|answer| answer.is_ok()) {
            self.clock.read(verdict.at_us, sent, Instant::now());
        }
        self.metrics.called(sent.elapsed(), requests);
        drop(spans);
        let spoilt =
            answers.iter().any(|answer| answer.as_ref().is_err_and(error::spoils_connection));
        for ((item, caller), answer) in items.into_iter().zip(callers).zip(answers) {
            self.answer(Job { item, caller }, answer);
        }
        !spoilt
    }

    /// Sends the calls of a batch at once, and reads the answer to each request.
    async fn answers(&self, link: &mut Link, items: &[Item], callers: &[Caller]) -> Vec<Answer> {
        let mut rest = items;
        let calls: Vec<_> = callers
            .chunk_by(|one, next| one.call() == next.call())
            .filter_map(|alike| {
                let (items, others) = rest.split_at_checked(alike.len())?;
                rest = others;
                Some(Call { items, asking: alike.first()?.asking })
            })
            .collect();
        let replies = self.script.call_each(&mut **link, &calls).await;
        let mut answers = Vec::with_capacity(items.len());
        for (call, reply) in calls.iter().zip(replies) {
            let decoded = match reply {
                Ok(value) => reply::decode(&value, call.items.len()),
                Err(error) => Err(error::of_call(&error)),
            };
            answers.extend(decoded.unwrap_or_else(|reason| vec![Err(reason); call.items.len()]));
        }
        answers
    }

    /// Gives a caller its answer, unless the answer is that another node knows it.
    fn answer(&self, mut job: Job, answer: Answer) {
        if let Err(said) = &answer {
            self.metrics.refused(said);
            let redirect = self.member.follow(said).filter(|_| job.caller.hops < HOPS_MAX);
            if let Some(Redirect { node, asking }) = redirect {
                self.breaker.answered();
                job.caller.hops += 1;
                job.caller.asking = asking;
                node.lanes.take_over(job);
                return;
            }
            self.metrics.failed(said);
        }
        // A caller whose deadline has passed is no longer there.
        let _ = job.caller.answer.send(answer);
    }
}

/// The span of a call, as a part of the trace of one of its callers. It ends when it is dropped.
fn call_span(caller: &Span, requests: usize) -> Span {
    tracing::info_span!(
        target: "transom::trace",
        parent: caller,
        "redis",
        otel.kind = "client",
        db.system.name = "redis",
        db.operation.batch.size = requests,
    )
}
