//! The fleet of `docker-compose.yml`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Empty;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::TokioExecutor;
use tokio::sync::Mutex;
use transom_core::PolicyName;
use transom_redis::Digest;
use transom_tests::checker::{Clock, Key, Outcome, Record, check, check_members};
use transom_tests::clients::{CONNECTIONS, Client, Got, KEYS, Load, Seen};
use transom_tests::decisions::{ahead_ns, decisions, unknown};
use transom_tests::fleet::monotonic_ns;
use transom_tests::windows::Windows;

use crate::docker::{Compose, docker};
use crate::stack::{ADMIN_TOKEN, Stack};

/// Beside the default limits: wide ones, under which many are admitted, and ones that a few
/// requests use up.
const POLICIES: &str = r#"
[[policy]]
name = "default"
minute = 60
second = 2

[[policy]]
name = "wide"
path = "/wide/{*rest}"
minute = 1000
second = 40

[[policy]]
name = "few"
path = "/few"
minute = 2
second = 2
"#;

/// What is set between two things that happen to the fleet, in requests of the load.
const MEANWHILE: usize = 2_000;
/// How long the logs may take to hold what clients have been told.
const LOGGED_WITHIN: Duration = Duration::from_secs(20);

/// One stack at a time: they would slow each other down.
pub(crate) static ALONE: Mutex<()> = Mutex::const_new(());

pub(crate) fn config() -> String {
    KEYS.iter().fold(POLICIES.to_owned(), |mut config, (user, key)| {
        let sha256 = Digest::of(key.as_bytes());
        let _ = write!(config, "\n[[api_key]]\nsha256 = \"{sha256}\"\nuser = \"{user}\"\n");
        config
    })
}

/// Goal: P1 and P22 on what a stranger starts. Whatever happens to its workers, the fleet admits
/// what its limits allow and denies nothing else, and only a killed worker's requests in flight
/// fail. Method: clients of the load balancer and the log of every worker, the killed one included,
/// judged by the checker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_is_one_limiter_while_its_workers_die_multiply_and_restart() {
    let _alone = ALONE.lock().await;
    let stack = Stack::up(Compose::preferred(), 3, &config());
    let redis = redis::Client::open(stack.redis_url()).unwrap();
    let mut redis = redis.get_multiplexed_async_connection().await.unwrap();
    let ahead_ns = ahead_ns(&mut redis).await;
    let mut seen = two_of_three_are_admitted(&stack).await;
    operators_get_in_with_the_token(&stack).await;

    let load = Load::start(stack.address(), &stack.gateway_address());
    load.goes_on(MEANWHILE).await.unwrap();
    let killed_from_ns = monotonic_ns();
    // Stopped first, so that there are requests in flight.
    docker(&["kill", "-s", "STOP", &stack.workers()[1]]);
    docker(&["kill", &stack.workers()[1]]);
    let killed_to_ns = monotonic_ns();
    load.goes_on(MEANWHILE).await.unwrap();
    stack.scale(5);
    load.goes_on(MEANWHILE).await.unwrap();
    for worker in &stack.workers()[..2] {
        docker(&["restart", "-t", "15", worker]);
        stack.well(worker);
        load.goes_on(MEANWHILE).await.unwrap();
    }
    seen.extend(load.stop().await);

    let mut failed = Vec::new();
    for seen in &seen {
        let Got::Failed(why) = &seen.got else { continue };
        let in_flight = seen.sent_ns < killed_to_ns && seen.received_ns > killed_from_ns;
        assert!(in_flight, "failed, and not because a worker was killed: {why}, {seen:?}");
        failed.push(seen);
    }
    assert!((1..=CONNECTIONS).contains(&failed.len()), "{} were in flight", failed.len());

    let mut records = logged(&stack, &seen).await;
    clients_and_workers_agree(&seen, &records);
    let workers = stack.workers();
    for (worker, id) in workers.iter().enumerate() {
        let decided = records.iter().filter(|record| record.worker == worker).count();
        println!("worker {worker}, {id:.12}: {decided} decisions");
        assert!(decided >= 100, "in turn, each worker gets its share");
    }

    // What a killed worker charged without a word, if anything.
    records.extend(failed.iter().map(|seen| unknown(seen, 1, ahead_ns)));
    let windows = Windows::read(&mut redis, "transom:1").await;
    let mut report = check(&records, Clock::REDIS);
    let kept = windows.minute_logs();
    report.violations.extend(check_members(&records, &kept, windows.read_at_us));
    println!("{} requests, {} failed; {report}", seen.len(), failed.len());
    report.assert_clean();
    let counts = report.counts;
    assert_eq!(counts.degraded, 0, "every request was decided in Redis");
    assert!(counts.admitted >= 2_000 && counts.denied + counts.cached >= 2_000, "{report}");
    let kept_too_long = windows.kept_too_long();
    assert!(kept_too_long.is_empty(), "{kept_too_long:?}");
}

/// The admin API behind the load balancer, with and without the token.
async fn operators_get_in_with_the_token(stack: &Stack) {
    let pool = Pool::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let url = format!("http://{}/api/status", stack.admin());
    for (token, expected) in [(ADMIN_TOKEN, StatusCode::OK), ("guess", StatusCode::UNAUTHORIZED)] {
        let request = Request::get(&url).header("authorization", format!("Bearer {token}"));
        let request = request.body(Empty::new()).expect("a request");
        let answer = pool.request(request).await.expect("an answer");
        assert_eq!(answer.status(), expected, "{token}");
    }
}

/// As the README shows it: twice 200, then 429, with every field and the body. Returns the three.
async fn two_of_three_are_admitted(stack: &Stack) -> Vec<Seen> {
    let client = Client::new(stack.address());
    let key = Key {
        identity: format!("ip:{}", stack.gateway_address()).parse().expect("an identity"),
        policy: PolicyName::new("few").expect("a name"),
    };
    let mut seen = Vec::new();
    for (remaining, status) in [("1", 200), ("0", 200), ("0", 429)] {
        let sent_ns = monotonic_ns();
        let answer = client.get("/few", HeaderMap::new()).await.expect("an answer");
        assert_eq!(answer.status(), status, "{answer:?}");
        let field = |name| answer.headers().get(name).map(|value| value.to_str().expect("a text"));
        for name in ["x-ratelimit-limit", "x-ratelimit-limit-second"] {
            assert_eq!(field(name), Some("2"), "{name}: {answer:?}");
        }
        for name in ["x-ratelimit-remaining", "x-ratelimit-reset", "x-ratelimit-limited-by"] {
            assert!(field(name).is_some(), "{name}: {answer:?}");
        }
        assert_eq!(field("x-ratelimit-remaining"), Some(remaining));
        let got = if answer.status() == StatusCode::OK {
            Got::Admitted
        } else {
            let body: serde_json::Value =
                serde_json::from_slice(answer.body()).expect("a JSON body");
            assert_eq!(body["message"], "You have exceeded your IP rate limit.");
            assert_eq!(body["status_code"], 429);
            assert_eq!(field("retry-after"), Some(body["retry_after"].to_string().as_str()));
            Got::Denied
        };
        seen.push(Seen { key: key.clone(), sent_ns, received_ns: monotonic_ns(), got });
    }
    seen
}

/// What all workers have logged, once it is as much as the clients were told.
async fn logged(stack: &Stack, seen: &[Seen]) -> Vec<Record> {
    let told = seen.iter().filter(|seen| !matches!(seen.got, Got::Failed(_))).count();
    let started = Instant::now();
    loop {
        let workers = stack.workers().into_iter().enumerate();
        let records: Vec<Record> =
            workers.flat_map(|(worker, id)| decisions(worker, &Stack::log(&id))).collect();
        if records.len() >= told {
            return records;
        }
        let waited = started.elapsed();
        assert!(waited < LOGGED_WITHIN, "{} decisions logged of {told} told", records.len());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Every answer is in a log, and the logs hold no more than that but for what failed.
fn clients_and_workers_agree(seen: &[Seen], records: &[Record]) {
    #[derive(Debug, Default)]
    struct Tally {
        logged: [u64; 2],
        told: [u64; 2],
        failed: u64,
    }
    let mut tallies: HashMap<&Key, Tally> = HashMap::new();
    for record in records {
        let Outcome::Told(told) = &record.outcome else { continue };
        tallies.entry(&record.key).or_default().logged[usize::from(told.allowed)] += 1;
    }
    for seen in seen {
        let tally = tallies.entry(&seen.key).or_default();
        match seen.got {
            Got::Admitted => tally.told[1] += 1,
            Got::Denied => tally.told[0] += 1,
            Got::Failed(_) => tally.failed += 1,
        }
    }
    // Five users and one address under two policies, and the address under a third: had a lie
    // about an address been believed, there would be more.
    assert_eq!(tallies.len(), 13, "{tallies:#?}");
    for (key, tally) in tallies {
        let Tally { logged, told, failed } = tally;
        let agree = |which: usize| (told[which]..=told[which] + failed).contains(&logged[which]);
        let in_all = logged[0] + logged[1] <= told[0] + told[1] + failed;
        assert!(agree(0) && agree(1) && in_all, "{key:?}: {tally:?}");
    }
}

/// The older Compose takes the same file. Where only one kind is there, it is tested above.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_compose_1_29_starts_the_same_fleet() {
    if !Compose::Classic.is_there() {
        println!("not run: this machine has no docker-compose 1.29");
        return;
    }
    let _alone = ALONE.lock().await;
    let stack = Stack::up(Compose::Classic, 1, &config());
    two_of_three_are_admitted(&stack).await;
}
