//! Whose turn it is to take what waits.
//!
//! A lane has its turn until its call is answered: what comes meanwhile goes together in its next
//! call, which costs Redis and the worker less than two calls at once. The turn passes to another
//! lane where a whole batch waits already, and where a call takes long, so that one slow call holds
//! nothing up.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::sync::{Mutex, MutexGuard, Notify};
use tokio::time::sleep;

use super::{BATCH_MAX, BATCH_UNITS, Job};

/// A lane keeps its turn for so long while its call is not answered, to the next tick of the timer.
const TURN_MAX: Duration = Duration::from_millis(1);

/// The turns of the lanes of a server.
#[derive(Debug)]
pub(super) struct Turns {
    /// The lane that holds the lock has its turn.
    waiting: Mutex<Receiver<Job>>,
    /// Told that there is a whole batch.
    many: Notify,
}

/// The turn of a lane, while it has it.
pub(super) type Turn<'a> = Option<MutexGuard<'a, Receiver<Job>>>;

impl Turns {
    pub(super) fn new(waiting: Receiver<Job>) -> Self {
        Self { waiting: Mutex::new(waiting), many: Notify::new() }
    }

    /// Waits for the turn and the next job, and takes what else is there; false when no more will
    /// come. Nothing is lost when this future is dropped: it waits only while the batch is empty.
    pub(super) async fn take<'a>(&'a self, turn: &mut Turn<'a>, batch: &mut Vec<Job>) -> bool {
        batch.clear();
        let waiting = match turn {
            Some(waiting) => waiting,
            None => turn.insert(self.waiting.lock().await),
        };
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

    /// As many wait as one call takes.
    pub(super) fn many_wait(&self) {
        self.many.notify_one();
    }

    /// Resolves when a turn should pass on, though its call is not answered yet.
    pub(super) async fn end(&self, turn: &Turn<'_>) {
        let mut late = pin!(sleep(TURN_MAX));
        // What was told may be of a batch that was taken since.
        while turn.as_ref().is_some_and(|waiting| waiting.len() < BATCH_MAX) {
            tokio::select! {
                () = self.many.notified() => {}
                () = &mut late => return,
            }
        }
    }

    /// Whether nobody is left to ask, as far as can be seen.
    pub(super) fn are_over(&self) -> bool {
        self.waiting.try_lock().is_ok_and(|waiting| waiting.is_closed())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::{mpsc, oneshot};
    use tokio::time::{Instant, timeout};
    use tracing::Span;
    use transom_core::{Cost, Identity, Policies, Request};

    use super::*;
    use crate::breaker::Breaker;
    use crate::keyspace::Keyspace;
    use crate::lane::health::Health;
    use crate::lane::{Caller, Lanes};
    use crate::script::Item;

    fn job(cost: u64) -> Job {
        let policy = Arc::clone(Policies::new(vec![]).unwrap().default_policy());
        let asked = Request::new(Identity::user("a").unwrap(), policy, Cost::new(cost).unwrap());
        let item = Item::new(&Keyspace::new("p"), &asked, None);
        let answer = oneshot::channel().0;
        let caller = Caller { answer, span: Span::none(), slot: 0, asking: false, hops: 0 };
        Job { item, caller }
    }

    /// As many jobs wait as there are costs.
    fn waiting(costs: &[u64]) -> (mpsc::Sender<Job>, Turns) {
        let (jobs, waiting) = mpsc::channel(64);
        for cost in costs {
            jobs.try_send(job(*cost)).unwrap();
        }
        (jobs, Turns::new(waiting))
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_is_kept_and_takes_what_has_come_meanwhile() {
        let (jobs, turns) = waiting(&[1]);
        let (mut turn, mut batch) = (None, Vec::new());
        assert!(turns.take(&mut turn, &mut batch).await);
        assert_eq!(batch.len(), 1);

        // The call is under way, and another lane is idle.
        jobs.try_send(job(1)).unwrap();
        jobs.try_send(job(1)).unwrap();
        let (mut others_turn, mut others) = (None, Vec::new());
        let other = turns.take(&mut others_turn, &mut others);
        assert!(timeout(TURN_MAX * 10, other).await.is_err(), "another lane had its turn");
        assert!(turns.take(&mut turn, &mut batch).await);
        assert_eq!(batch.len(), 2);

        // The turn has passed on.
        turn = None;
        jobs.try_send(job(1)).unwrap();
        let (mut others_turn, mut others) = (None, Vec::new());
        assert!(turns.take(&mut others_turn, &mut others).await);
        assert_eq!((others.len(), turn.is_none()), (1, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_ends_after_a_while_or_when_a_batch_waits() {
        let (jobs, turns) = waiting(&[1]);
        let (mut turn, mut batch) = (None, Vec::new());
        assert!(turns.take(&mut turn, &mut batch).await);
        let since = Instant::now();
        // Told of a batch that nobody waits in any more.
        turns.many_wait();
        turns.end(&turn).await;
        assert!(since.elapsed() >= TURN_MAX);

        // Two batches, told of at once: the one who takes the first passes the turn on to another.
        for _ in 0..2 * BATCH_MAX {
            jobs.try_send(job(1)).unwrap();
        }
        turns.many_wait();
        let since = Instant::now();
        turns.end(&turn).await;
        assert!(turns.take(&mut turn, &mut batch).await);
        turns.end(&turn).await;
        assert_eq!(since.elapsed(), Duration::ZERO);
        assert!(turns.take(&mut turn, &mut batch).await);
        turns.end(&turn).await;
        assert!(since.elapsed() >= TURN_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn who_makes_a_batch_full_tells_it() {
        let (jobs, turns) = waiting(&[]);
        let turns = Arc::new(turns);
        let (health, breaker) = (Arc::new(Health::new()), Breaker::new());
        let lanes = Lanes { jobs, turns: Arc::clone(&turns), health, breaker };
        let told = async || timeout(Duration::ZERO, turns.many.notified()).await.is_ok();
        for _ in 1..BATCH_MAX {
            lanes.submit(job(1).item, 0).unwrap();
        }
        assert!(!told().await);
        lanes.submit(job(1).item, 0).unwrap();
        assert!(told().await);
        lanes.take_over(job(1));
        assert!(told().await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_stops_waiting_takes_nothing_along() {
        let (jobs, turns) = waiting(&[]);
        let (mut turn, mut batch) = (None, Vec::new());
        assert!(timeout(TURN_MAX, turns.take(&mut turn, &mut batch)).await.is_err());
        assert!(turn.is_some(), "it had its turn");
        let (mut others_turn, mut others) = (None, Vec::new());
        let other = turns.take(&mut others_turn, &mut others);
        assert!(timeout(TURN_MAX, other).await.is_err());
        turn = None;
        jobs.try_send(job(1)).unwrap();
        assert!(turns.take(&mut others_turn, &mut others).await);
        assert_eq!((others.len(), turn.is_none()), (1, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_bounded_by_requests_and_by_units() {
        let mut batch = Vec::new();
        let (_jobs, many) = waiting(&[1; BATCH_MAX + 8]);
        let mut turn = None;
        assert!(many.take(&mut turn, &mut batch).await);
        assert_eq!(batch.len(), BATCH_MAX);
        let (_jobs, dear) = waiting(&[600, 399, 600, 1]);
        let mut turn = None;
        assert!(dear.take(&mut turn, &mut batch).await);
        // The last one may go beyond.
        assert_eq!(batch.len(), 3);
        assert!(dear.take(&mut turn, &mut batch).await);
        assert_eq!(batch.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_all_who_ask_ends_the_turns() {
        let (jobs, turns) = waiting(&[1]);
        drop(jobs);
        let (mut turn, mut batch) = (None, Vec::new());
        assert!(turns.take(&mut turn, &mut batch).await);
        assert!(!turns.take(&mut turn, &mut batch).await);
    }
}
