//! One lane: a connection at a time, a call at a time.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tracing::Span;

use super::health::Health;
use super::turns::{Turn, Turns};
use super::{BATCH_MAX, Caller, Job};
use crate::breaker::Breaker;
use crate::clock::ClockWatch;
use crate::cluster::{HOPS_MAX, Member, Redirect};
use crate::error;
use crate::metrics::LaneMetrics;
use crate::primary::{Link, Primary};
use crate::reply::{self, Answer};
use crate::script::{Call, Item, Script};

/// A connection that was lost sooner than this did not help, and the next one has to wait.
const SHORT_LIFE: Duration = Duration::from_millis(250);

/// A lane, before it runs.
#[derive(Clone)]
pub(super) struct Lane {
    pub(super) primary: Primary,
    pub(super) member: Member,
    pub(super) script: Script,
    pub(super) turns: Arc<Turns>,
    pub(super) health: Arc<Health>,
    pub(super) breaker: Breaker,
    pub(super) clock: Arc<ClockWatch>,
    pub(super) metrics: LaneMetrics,
}

impl Lane {
    pub(super) async fn run(self) {
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
            !self.turns.are_over()
        };
        self.primary.establish(failed).await
    }

    /// Carries calls until the connection should carry none any more (false) or nobody is left to
    /// ask (true).
    async fn carry(&self, link: &mut Link) -> bool {
        let (mut batch, mut turn) = (Vec::with_capacity(BATCH_MAX), None);
        loop {
            tokio::select! {
                biased;
                // A lane that is never idle is checked too.
                () = link.due() => {
                    turn = None;
                    if link.check().await.is_err() {
                        return false;
                    }
                }
                more = self.turns.take(&mut turn, &mut batch) => {
                    if !more {
                        return true;
                    }
                    if !self.call(link, &mut batch, &mut turn).await {
                        return false;
                    }
                }
            }
        }
    }

    /// Calls the script for the whole batch, once for each slot; whether the connection is still
    /// good.
    async fn call(&self, link: &mut Link, batch: &mut Vec<Job>, turn: &mut Turn<'_>) -> bool {
        batch.retain(|job| !job.caller.answer.is_closed());
        if batch.is_empty() {
            return true;
        }
        if !batch.is_sorted_by(|one, next| one.order() <= next.order()) {
            batch.sort_by(|one, next| one.order().cmp(&next.order()));
        }
        let requests = batch.len();
        let spans: Vec<_> = batch.iter().map(|job| call_span(&job.caller.span, requests)).collect();
        let (items, callers): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|job| (job.item, job.caller)).unzip();
        let sent = Instant::now();
        let answers = {
            let mut answers = pin!(self.answers(link, &items, &callers));
            tokio::select! {
                biased;
                answers = answers.as_mut() => answers,
                () = self.turns.end(turn) => {
                    *turn = None;
                    answers.await
                }
            }
        };
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
