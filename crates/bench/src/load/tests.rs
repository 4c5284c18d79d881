//! The generator against a server that stalls once.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use transom_core::Limits;

use super::{Lapses, Load, Pace, Tally, Traffic};

const STALL: Duration = Duration::from_millis(400);
const STALLED_AT: usize = 20;
const FAILURE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
const DEGRADED: &[u8] =
    b"HTTP/1.1 200 OK\r\nx-ratelimit-degraded: timeout\r\ncontent-length: 0\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n{\"allowed\":true }";

/// Answers whatever comes on one connection, one request of it late, and with `late`.
async fn server(late: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1_024];
        for number in 0.. {
            if stream.read(&mut request).await.unwrap() == 0 {
                return;
            }
            if number == STALLED_AT {
                tokio::time::sleep(STALL).await;
            }
            let answer = if number == STALLED_AT { late } else { ANSWER };
            stream.write_all(answer).await.unwrap();
        }
    });
    address
}

async fn drive(pace: Pace, late: &'static [u8]) -> Tally {
    let load = Load {
        servers: vec![server(late).await],
        traffic: Traffic::decide(1),
        connections: 1,
        pace,
        warm_up: Duration::ZERO,
        lasts: Duration::from_secs(1),
    };
    load.run().await.unwrap()
}

fn slower_than(tally: &Tally, bound: Duration) -> u64 {
    let bound = u64::try_from(bound.as_nanos()).unwrap();
    tally
        .latency_ns
        .iter_recorded()
        .filter(|step| step.value_iterated_to() >= bound)
        .fold(0, |count, step| count + step.count_at_value())
}

#[tokio::test]
async fn a_stall_is_charged_for_every_request_that_was_due_in_it() {
    let tally = drive(Pace::PerSecond(1_000), ANSWER).await;
    // Half of the stall holds up at least what was due in its other half.
    let late = slower_than(&tally, STALL / 2);
    assert!(late >= 190, "{late} of {} were late", tally.answered);
    assert_eq!(tally.answered, 1_000, "nothing that was due is left out");
}

#[tokio::test]
async fn a_closed_loop_asks_when_it_was_answered() {
    let tally = drive(Pace::Closed, ANSWER).await;
    assert!(slower_than(&tally, STALL / 2) >= 1);
    let nothing = Limits { minute: 0, second: 0 };
    assert_eq!((tally.denied, tally.above(|_| nothing)), (0, tally.all));
}

#[tokio::test]
async fn whoever_admits_all_is_found_out() {
    let started = Instant::now();
    let tally = drive(Pace::Closed, ANSWER).await;
    let most = u64::from(Limits::DEFAULT.second) * (started.elapsed().as_secs() + 1);
    let due = tally.all - tally.above(|_| Limits::DEFAULT);
    assert!((2..=most).contains(&due), "{due} of {} were taken as due", tally.all);
}

#[tokio::test]
async fn a_failure_is_no_answer_and_is_waited_for_all_the_same() {
    let tally = drive(Pace::Closed, FAILURE).await;
    assert!(slower_than(&tally, STALL) >= 1, "the failure took that long");
    assert_eq!(tally.latency_ns.len(), tally.answered + 1);
    assert_eq!(tally.lapses, Lapses { failed: 1, degraded: 0, of: tally.all + 1 });
}

#[tokio::test]
async fn a_decision_without_redis_is_an_answer_and_is_named() {
    let tally = drive(Pace::Closed, DEGRADED).await;
    let of = tally.all;
    assert_eq!(tally.lapses, Lapses { failed: 0, degraded: 1, of });
    assert_eq!(tally.latency_ns.len(), tally.answered);
    let lapses = Lapses { of: 9_000, ..tally.lapses };
    assert_eq!(lapses.behind("decide"), "decide (0 of 9,000 failed, 1 decided without Redis)");
    assert_eq!(Lapses { degraded: 0, ..lapses }.behind("decide"), "decide");
}
