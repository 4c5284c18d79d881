use std::sync::Arc;

use transom_core::{Limits, PenaltyRules, Policy, PolicyName, Source, WindowLogs};

use super::*;

const WITHIN: Duration = Duration::from_secs(60);

fn request(user: &str) -> Request {
    let second = 1_000_000;
    let rules = PenaltyRules {
        strikes: 5,
        within_us: 60 * second,
        block_us: second,
        max_us: second,
        forget_us: 60 * second,
    };
    let policy = Arc::new(Policy::new(PolicyName::default(), Limits::DEFAULT));
    let request = Request::new(Identity::user(user).unwrap(), policy, Cost::ONE);
    Request { penalty: Some(rules), ..request }
}

fn decision(limits: Limits) -> Result<Decision, Unavailable> {
    let verdict = WindowLogs::default().admit(1_000_000, limits, Cost::ONE);
    Ok(Decision::new(&verdict, Source::Redis))
}

fn denied() -> Result<Decision, Unavailable> {
    decision(Limits { minute: 0, second: 0 })
}

fn held(strikes: &Strikes) -> usize {
    strikes.shards.iter().map(|shard| lock(shard).len()).sum()
}

#[tokio::test(start_paused = true)]
async fn a_second_of_denials_is_one_report() {
    let (strikes, asked) = (Strikes::new(), request("42"));
    let first = strikes.begin(&asked);
    assert_eq!(first.unreported, Some(0), "the first denial is reported at once");
    first.end(&denied());
    for _ in 0..50 {
        let next = strikes.begin(&asked);
        assert_eq!(next.unreported, None);
        next.end(&denied());
    }
    tokio::time::advance(PERIOD).await;
    let next = strikes.begin(&asked);
    assert_eq!(next.unreported, Some(50));
    next.end(&denied());
    assert_eq!(strikes.begin(&asked).unreported, None);
}

#[tokio::test(start_paused = true)]
async fn of_many_requests_under_way_one_reports() {
    let (strikes, asked) = (Strikes::new(), request("42"));
    let under_way: Vec<_> = (0..20).map(|_| strikes.begin(&asked)).collect();
    let reporting = under_way.iter().filter(|report| report.unreported.is_some()).count();
    assert_eq!(reporting, 1);
    under_way.into_iter().for_each(|report| report.end(&denied()));
    tokio::time::advance(PERIOD).await;
    assert_eq!(strikes.begin(&asked).unreported, Some(19));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_admitted_leaves_nothing_behind() {
    let (strikes, asked) = (Strikes::new(), request("42"));
    for _ in 0..3 {
        let report = strikes.begin(&asked);
        assert_eq!(report.unreported, Some(0));
        report.end(&decision(Limits::DEFAULT));
    }
    assert_eq!(held(&strikes), 0);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_comes_back_for_is_reported_without_a_request_and_then_forgotten() {
    let (strikes, asked) = (Strikes::new(), request("42"));
    for _ in 0..3 {
        strikes.begin(&asked).end(&denied());
    }
    assert!(strikes.due().is_empty(), "a report was sent within the last second");
    tokio::time::advance(PERIOD).await;
    let due = strikes.due();
    assert_eq!(due.len(), 1);
    assert_eq!((due[0].0.cost, due[0].1), (Cost::NOTHING, 2));
    assert_eq!(due[0].0.identity, asked.identity);
    assert!(strikes.due().is_empty());
    assert_eq!(strikes.begin(&asked).unreported, None, "that was a report");
    tokio::time::advance(PERIOD).await;
    assert!(strikes.due().is_empty());
    assert_eq!(held(&strikes), 0);
}

#[tokio::test(start_paused = true)]
async fn reports_without_a_request_are_few_at_a_time_and_what_is_too_old_goes() {
    let strikes = Strikes::new();
    let asked: Vec<_> = (0..1_000).map(|n| request(&n.to_string())).collect();
    for asked in &asked {
        strikes.begin(asked).end(&denied());
        strikes.begin(asked).end(&denied());
    }
    tokio::time::advance(PERIOD).await;
    assert_eq!(strikes.due().len(), DUE_MAX);
    tokio::time::advance(WITHIN).await;
    assert!(strikes.due().is_empty(), "a minute later they are no strikes");
    assert_eq!(held(&strikes), 0);
    assert_eq!(strikes.begin(&asked[999]).unreported, Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_full_map_counts_nobody_else() {
    let strikes = Strikes::new();
    let mut free = 0;
    for n in 0..SHARDS * SHARD_MAX * 2 {
        let asked = request(&n.to_string());
        let report = strikes.begin(&asked);
        free += usize::from(report.unreported.is_some());
        report.end(&denied());
    }
    assert!(free <= SHARDS * SHARD_MAX, "{free}");
    assert!(held(&strikes) <= SHARDS * SHARD_MAX);
    tokio::time::advance(PERIOD).await;
    strikes.due();
    assert_eq!(held(&strikes), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent_is_kept_and_what_may_have_arrived_is_a_report() {
    let (strikes, asked) = (Strikes::new(), request("42"));
    strikes.begin(&asked).end(&denied());
    strikes.begin(&asked).end(&denied());
    tokio::time::advance(PERIOD).await;
    let report = strikes.begin(&asked);
    assert_eq!(report.unreported, Some(1));
    report.end(&Err(Unavailable::Overloaded));
    let report = strikes.begin(&asked);
    assert_eq!(report.unreported, Some(1));
    report.end(&Err(Unavailable::Deadline));
    assert_eq!(strikes.begin(&asked).unreported, None, "it may have been written");
    tokio::time::advance(PERIOD).await;
    let report = strikes.begin(&asked);
    assert_eq!(report.unreported, Some(0));
    drop(report);
    assert_eq!(strikes.begin(&asked).unreported, None, "whose caller left may have been written");
}

#[tokio::test(start_paused = true)]
async fn a_block_is_no_strike() {
    let (strikes, asked) = (Strikes::new(), request("42"));
    let mut blocked = denied().unwrap();
    blocked.limited_by = LimitedBy::Penalty;
    strikes.begin(&asked).end(&Ok(blocked.clone()));
    strikes.begin(&asked).end(&Ok(blocked));
    tokio::time::advance(PERIOD).await;
    assert_eq!(strikes.begin(&asked).unreported, Some(0));
}
