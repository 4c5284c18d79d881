use std::sync::{Arc, Mutex};

use transom_core::{Limits, Policy, PolicyName, Unavailable};

use super::*;

/// Identity, and the place within it.
type Asked = (u16, u16);

fn answer(outcome: Outcome) -> Answer {
    let policy = Arc::new(Policy::new(PolicyName::default(), Limits::DEFAULT));
    Answer { policy, outcome }
}

/// Decides a batch; says when each request began and ended.
async fn seen(requests: &[Asked], outcome: Outcome, takes: Duration) -> Vec<(Asked, &'static str)> {
    let seen = Mutex::new(Vec::new());
    let answers = decide(
        requests,
        |one, other| one.0.cmp(&other.0),
        |request| {
            let (seen, outcome) = (&seen, outcome.clone());
            async move {
                seen.lock().unwrap().push((*request, "begins"));
                tokio::time::sleep(takes).await;
                seen.lock().unwrap().push((*request, "ends"));
                answer(outcome)
            }
        },
    )
    .await;
    assert_eq!(answers.len(), requests.len());
    seen.into_inner().unwrap()
}

fn places(seen: &[(Asked, &'static str)], what: &str) -> Vec<Asked> {
    seen.iter().filter(|(_, then)| *then == what).map(|(asked, _)| *asked).collect()
}

#[tokio::test]
async fn identities_go_together_and_one_identity_in_order() {
    let requests = [(2, 0), (1, 0), (2, 1), (1, 1), (2, 2)];
    let seen = seen(&requests, Outcome::Exempt, Duration::from_millis(1)).await;
    let began = places(&seen[..2], "begins");
    assert_eq!(began, [(1, 0), (2, 0)], "both identities begin before any ends");
    for (asked, place) in [((1, 1), (1, 0)), ((2, 1), (2, 0)), ((2, 2), (2, 1))] {
        let at = |wanted| seen.iter().position(|one| *one == wanted).unwrap();
        assert!(at((asked, "begins")) > at((place, "ends")), "{asked:?} after {place:?}");
    }
}

#[tokio::test]
async fn after_a_failure_the_rest_of_an_identity_goes_out_together() {
    let requests: Vec<_> = (0..5).map(|place| (1, place)).collect();
    let failed = Outcome::Unknown { reason: Unavailable::Deadline, pass: true };
    let seen = seen(&requests, failed, Duration::from_millis(1)).await;
    assert_eq!(seen[..2], [((1, 0), "begins"), ((1, 0), "ends")]);
    assert_eq!(places(&seen[2..6], "begins"), [(1, 1), (1, 2), (1, 3), (1, 4)]);
}

#[tokio::test]
async fn a_slow_store_is_waited_for_in_order_for_a_quarter_of_a_second() {
    let requests: Vec<_> = (0..5).map(|place| (1, place)).collect();
    let seen = seen(&requests, Outcome::Exempt, ORDERED_FOR).await;
    assert_eq!(places(&seen[2..6], "begins"), [(1, 1), (1, 2), (1, 3), (1, 4)]);
}

#[tokio::test]
async fn at_most_a_stated_number_of_identities_is_in_flight() {
    let requests: Vec<_> = (0..300).map(|identity| (identity, 0)).collect();
    let seen = seen(&requests, Outcome::Exempt, Duration::from_millis(50)).await;
    let (mut now, mut most) = (0_usize, 0);
    for (_, what) in seen {
        now = if what == "begins" { now + 1 } else { now - 1 };
        most = most.max(now);
    }
    assert_eq!(most, IDENTITIES_AT_ONCE);
}
