//! What a fleet admits whose store comes and goes: PROMISES.md, P6.

use std::sync::atomic::AtomicBool;

use proptest::prelude::*;
use transom_core::{Fallback, Note, OnFailure, Operations, Scope, Share, Window};

use super::*;

type Store = LocalLimiter<Arc<Hand>>;

/// The store that all workers share, while it is there.
#[derive(Clone)]
struct Shared {
    store: Arc<Store>,
    gone: Arc<AtomicBool>,
}

impl Shared {
    fn there(&self) -> Result<&Store, Unavailable> {
        if self.gone.load(Ordering::SeqCst) { Err(Unavailable::Deadline) } else { Ok(&self.store) }
    }
}

impl Limiter for Shared {
    async fn admit(&self, request: &Request) -> Result<Decision, Unavailable> {
        self.there()?.admit(request).await
    }

    async fn peek(&self, request: &Request) -> Result<Decision, Unavailable> {
        self.there()?.peek(request).await
    }

    async fn reset(&self, identity: &Identity, policy: &PolicyName) -> Result<(), Unavailable> {
        self.there()?.reset(identity, policy).await
    }
}

struct Fleet {
    hand: Arc<Hand>,
    shared: Shared,
    workers: Vec<Fallback<Shared, Store>>,
}

impl Fleet {
    fn of(workers: u32) -> Self {
        let (store, hand) = by_hand(100);
        let shared = Shared { store: Arc::new(store), gone: Arc::default() };
        let worker = |_| {
            let local = LocalLimiter::with_clock(100, Arc::clone(&hand));
            Fallback::new(shared.clone(), local, Share::of(workers))
        };
        Self { workers: (0..workers).map(worker).collect(), hand, shared }
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// So many microseconds pass.
    Wait(u64),
    /// The store goes, or comes back.
    Turn,
    /// A worker is asked so often.
    Ask { worker: usize, times: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..2_500_000u64).prop_map(Step::Wait),
        1 => (0..40_000_000u64).prop_map(Step::Wait),
        2 => Just(Step::Turn),
        6 => (0..4usize, 1..9u8).prop_map(|(worker, times)| Step::Ask { worker, times }),
    ]
}

/// An admission: when, and after how many turns of the store; after an odd number it is gone.
type Admitted = (u64, usize);

async fn run(fleet: &Fleet, request: &Request, steps: &[Step]) -> Vec<Admitted> {
    let (mut now_us, mut turns, mut admitted) = (1_800_000_000_000_000, 0, Vec::new());
    for step in steps {
        match *step {
            Step::Wait(us) => now_us += us,
            Step::Turn => turns += 1,
            Step::Ask { worker, times } => {
                fleet.hand.set(now_us);
                fleet.shared.gone.store(turns % 2 == 1, Ordering::SeqCst);
                let worker = &fleet.workers[worker % fleet.workers.len()];
                for _ in 0..times {
                    if worker.admit(request).await.unwrap().allowed {
                        admitted.push((now_us, turns));
                    }
                }
            }
        }
    }
    admitted
}

/// The most admissions that any window of this length holds, of those that count `together`.
fn most(admitted: &[Admitted], length_us: u64, together: impl Fn(usize, usize) -> bool) -> u32 {
    let from = |&(first_us, first): &Admitted| {
        let window = first_us..first_us + length_us;
        let within = admitted.iter().filter(|(at_us, _)| window.contains(at_us));
        within.filter(|(_, turn)| together(first, *turn)).count()
    };
    u32::try_from(admitted.iter().map(from).max().unwrap_or(0)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_store_that_comes_and_goes_lets_no_more_pass_than_was_promised(
        workers in 1u32..5,
        minute in 1u32..14,
        second in 1u32..6,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let fleet = Fleet::of(workers);
        let limits = Limits { minute, second };
        let request = Request { limits, ..request("a") };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let admitted = runtime.block_on(run(&fleet, &request, &steps));
        for window in Window::ALL {
            let n = limits.of(window);
            let shares = workers * (n / workers).max(1);
            let most = |together: fn(usize, usize) -> bool| {
                most(&admitted, window.length_us(), together)
            };
            let crossing = most(|_, _| true);
            prop_assert!(crossing <= n + shares, "{window:?}: {crossing} of {n} + {shares}");
            let healthy = most(|one, other| one == other && one % 2 == 0);
            prop_assert!(healthy <= n, "{window:?}: {healthy} of {n} in health");
            let outage = most(|one, other| one == other && one % 2 == 1);
            prop_assert!(outage <= shares, "{window:?}: {outage} of {shares} in an outage");
        }
    }
}

#[tokio::test]
async fn an_outage_begins_with_what_the_worker_had_admitted_before() {
    let fleet = Fleet::of(1);
    let request = request("a");
    let worker = &fleet.workers[0];
    assert!(worker.admit(&request).await.unwrap().allowed);
    fleet.shared.gone.store(true, Ordering::SeqCst);
    let second = worker.admit(&request).await.unwrap();
    assert_eq!((second.allowed, second.minute.used, second.degraded), (true, 2, Some("deadline")));
    assert!(!worker.admit(&request).await.unwrap().allowed);
}

#[tokio::test]
async fn nothing_is_counted_for_a_policy_that_is_not_decided_locally() {
    let (store, hand) = by_hand(100);
    let policy = Policy { on_failure: OnFailure::Allow, ..Policy::clone(&policy()) };
    let request = Request { policy: Arc::new(policy), ..request("a") };
    let worker = Fallback::new(store, LocalLimiter::with_clock(100, hand), Share::of(1));
    assert!(worker.admit(&request).await.unwrap().allowed);
    assert!(worker.stand_in().is_empty());
}

/// Limits of an identity's own are divided like a policy's, by the workers of that time.
#[tokio::test]
async fn an_override_is_shared_among_the_workers_that_there_are_in_the_outage() {
    let (store, hand) = by_hand(100);
    let (scope, wide) = (Scope::All, Limits { minute: 40, second: 40 });
    let request = request("a");
    store.set_override(&request.identity, &scope, wide, None, &Note::default()).await.unwrap();
    let shared = Shared { store: Arc::new(store), gone: Arc::default() };
    let share = Share::of(1);
    let local = LocalLimiter::with_clock(100, hand);
    let worker = Fallback::new(shared.clone(), local, share.clone());
    assert_eq!(worker.admit(&request).await.unwrap().minute.limit, 40);
    share.set(4);
    shared.gone.store(true, Ordering::SeqCst);
    let mut admitted = 1;
    while worker.admit(&request).await.unwrap().allowed {
        admitted += 1;
    }
    assert_eq!(admitted, 10);
}
