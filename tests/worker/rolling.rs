//! Workers that end, well or badly, behind a load balancer and under load.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![expect(clippy::print_stdout, reason = "the numbers belong to the result")]

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::cmd;
use tokio::time::sleep;
use transom_redis::Digest;
use transom_tests::RedisServer;
use transom_tests::checker::{Clock, Key, Outcome, Record, check, check_members};
use transom_tests::clients::{CONNECTIONS, Got, KEYS, Load, Seen};
use transom_tests::decisions::{ahead_ns, decisions, unknown};
use transom_tests::fleet::{long, monotonic_ns};
use transom_tests::redis_server::{free_port, repository};
use transom_tests::windows::Windows;

use crate::client::get;
use crate::haproxy::{self, Place};
use crate::process::{Ended, Worker, write};
use crate::proxy_process::ProxyProcess;

/// Beside the default limits wide ones, under which many are admitted. Long deadlines, so that
/// none is decided without Redis on a machine that is busy.
const CONFIG: &str = r#"
[redis]
deadline = "5s"

[identity]
trusted_proxies = ["127.0.0.1"]

[log]
format = "json"
decisions = true

[[policy]]
name = "default"
minute = 60
second = 2

[[policy]]
name = "wide"
path = "/wide/{*rest}"
minute = 1000
second = 40
"#;

/// As in the compose file: long enough for the load balancer to notice.
const DRAIN_DELAY: (&str, &str) = ("TRANSOM__GATEWAY__DRAIN_DELAY", "3s");
/// The delay and the drain's own bound, and a rest for a machine that is busy.
const DRAINED_WITHIN: Duration = Duration::from_secs(3 + 10 + 7);
const WORKERS: usize = 3;
/// Between two requests of a client pass 25 ms.
const STOPPED: Duration = Duration::from_millis(50);
/// What is set between two things that happen to the fleet, in requests of the load.
const MEANWHILE: usize = 300;

/// Three workers on one Redis, a load balancer before them, and clients that do not stop.
struct Fleet {
    server: RedisServer,
    redis: MultiplexedConnection,
    ahead_ns: u64,
    folder: tempfile::TempDir,
    places: Vec<Place>,
    workers: Vec<Worker>,
    _load_balancer: ProxyProcess,
    load: Load,
    /// What the workers that have ended had logged.
    logs: Vec<String>,
}

impl Fleet {
    async fn start() -> Self {
        let compose = std::fs::read_to_string(repository().join("docker-compose.yml")).unwrap();
        let (name, delay) = DRAIN_DELAY;
        assert!(compose.contains(&format!("{name}: {delay}\n")), "another delay than {delay}");
        let server = RedisServer::start().await;
        let mut redis = server.connect().await;
        let ahead_ns = ahead_ns(&mut redis).await;
        let folder = tempfile::tempdir().unwrap();
        let keys = KEYS.map(|(user, key)| {
            format!("[[api_key]]\nsha256 = \"{}\"\nuser = \"{user}\"\n", Digest::of(key.as_bytes()))
        });
        write(&folder, "transom.toml", &(CONFIG.to_owned() + &keys.join("\n")));
        let places: Vec<_> = (1..=WORKERS).map(place).collect();
        let mut workers = Vec::new();
        for place in &places {
            workers.push(worker(&server, &folder, *place).await);
        }
        let load_balancer = haproxy::start(&places).await;
        let load = Load::start(load_balancer.address, "127.0.0.1");
        let fleet = Self {
            server,
            redis,
            ahead_ns,
            folder,
            places,
            workers,
            _load_balancer: load_balancer,
            load,
            logs: Vec::new(),
        };
        for number in 0..WORKERS {
            fleet.serves(number).await;
        }
        fleet
    }

    /// Waits until the load balancer sends requests to a worker, and some more.
    async fn serves(&self, number: usize) {
        self.workers[number].says("transom::decision", 1).await;
        self.load.goes_on(MEANWHILE).await.unwrap();
    }

    /// Waits until a worker has ended that was told to, or was killed.
    async fn ends(&mut self, number: usize) -> Ended {
        let ended = self.workers[number].process.end().await;
        self.logs.push(ended.stdout.clone() + &ended.stderr);
        ended
    }

    /// Puts a new worker in the place of one that has ended.
    async fn replace(&mut self, number: usize) {
        self.load.goes_on(MEANWHILE).await.unwrap();
        self.workers[number] = worker(&self.server, &self.folder, self.places[number]).await;
        self.serves(number).await;
    }

    /// Ends all, and judges what was decided and what failed; how many requests that were.
    async fn judge(mut self, is_excused: impl Fn(&Seen) -> bool) -> usize {
        let seen = self.load.stop().await;
        for worker in &mut self.workers {
            worker.process.signal("INT");
            let ended = worker.process.end().await;
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
            self.logs.push(ended.stdout + &ended.stderr);
        }
        let mut failed = Vec::new();
        for seen in seen.iter().filter(|seen| matches!(seen.got, Got::Failed(_))) {
            assert!(is_excused(seen), "failed without a reason: {seen:?}");
            failed.push(seen);
        }
        let logs = self.logs.iter().enumerate();
        let mut records: Vec<_> = logs.flat_map(|(worker, log)| decisions(worker, log)).collect();
        workers_logged_what_clients_saw(&seen, &records);
        records.extend(failed.iter().map(|seen| unknown(seen, 0, self.ahead_ns)));
        let windows = Windows::read(&mut self.redis, "transom:1").await;
        let mut report = check(&records, Clock::REDIS);
        let kept = windows.minute_logs();
        report.violations.extend(check_members(&records, &kept, windows.read_at_us));
        println!("{} requests, {} failed; {report}", seen.len(), failed.len());
        report.assert_clean();
        let counts = report.counts;
        assert_eq!(counts.degraded, 0, "every request was decided in Redis");
        assert!(counts.admitted >= 500 && counts.denied + counts.cached >= 300, "{report}");
        let kept_too_long = windows.kept_too_long();
        assert!(!windows.found.is_empty() && kept_too_long.is_empty(), "{kept_too_long:?}");
        let forever = without_ttl(&mut self.redis).await;
        assert!(forever.is_empty(), "{forever:?} stay for ever");
        failed.len()
    }
}

/// Where a worker is, and where its successor will be. Clients leave from 127.0.0.1, so that none
/// takes its port meanwhile.
fn place(number: usize) -> Place {
    let host = IpAddr::from([127, 0, 83, u8::try_from(number).unwrap()]);
    let [gateway, admin] = [(); 2].map(|()| SocketAddr::new(host, free_port()));
    Place { gateway, admin }
}

async fn worker(server: &RedisServer, folder: &tempfile::TempDir, place: Place) -> Worker {
    let (gateway, admin) = (place.gateway.to_string(), place.admin.to_string());
    let variables = [
        ("TRANSOM__REDIS__URL", server.url.as_str()),
        ("TRANSOM__LISTEN__GATEWAY", &gateway),
        ("TRANSOM__LISTEN__ADMIN", &admin),
        DRAIN_DELAY,
    ];
    let worker = Worker::with_file(&[], &folder.path().join("transom.toml"), &variables).await;
    assert_eq!(get(worker.admin, "/readyz").await.status(), 200);
    worker
}

/// For each key as many as clients were told, and of what failed each at most once.
fn workers_logged_what_clients_saw(seen: &[Seen], records: &[Record]) {
    let mut tallies: HashMap<(&Key, bool), [u64; 2]> = HashMap::new();
    let mut failed: HashMap<&Key, u64> = HashMap::new();
    for record in records {
        let Outcome::Told(told) = &record.outcome else { continue };
        tallies.entry((&record.key, told.allowed)).or_default()[0] += 1;
    }
    for seen in seen {
        match seen.got {
            Got::Admitted => tallies.entry((&seen.key, true)).or_default()[1] += 1,
            Got::Denied => tallies.entry((&seen.key, false)).or_default()[1] += 1,
            Got::Failed(_) => *failed.entry(&seen.key).or_default() += 1,
        }
    }
    for ((key, allowed), [logged, told]) in tallies {
        let more = failed.get(key).copied().unwrap_or_default();
        let agree = (told..=told + more).contains(&logged);
        assert!(agree, "{key:?}, allowed {allowed}: {logged} logged, {told} told, {more} failed");
    }
}

/// The keys of a Redis that never expire.
async fn without_ttl(redis: &mut MultiplexedConnection) -> Vec<String> {
    let keys: Vec<String> = cmd("KEYS").arg("*").query_async(redis).await.unwrap();
    let mut forever = Vec::new();
    for key in keys {
        let ttl: i64 = cmd("PTTL").arg(&key).query_async(redis).await.unwrap();
        if ttl == -1 {
            forever.push(key);
        }
    }
    forever
}

/// Goal: a new version is put in place and no client notices. (P22)
/// Method: each worker in turn gets SIGTERM and a successor, behind the load balancer of the
/// compose file. Whatever was decided is judged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_fails_no_request() {
    let mut fleet = Fleet::start().await;
    for number in 0..WORKERS {
        let told = Instant::now();
        fleet.workers[number].process.signal("TERM");
        let ended = fleet.ends(number).await;
        let took = told.elapsed();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(took < DRAINED_WITHIN, "{took:?}");
        fleet.replace(number).await;
    }
    assert_eq!(fleet.judge(|_| false).await, 0);
}

/// Goal: a worker that is killed takes its requests in flight along, and nothing else. (P22)
/// Method: each worker in turn is stopped, so that there are requests in flight, and killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_workers_fail_only_what_they_had_in_flight() {
    let mut fleet = Fleet::start().await;
    let rounds = if long() { 50 } else { 4 };
    let mut deaths = Vec::new();
    for round in 0..rounds {
        let number = round % WORKERS;
        let from_ns = monotonic_ns();
        fleet.workers[number].process.signal("STOP");
        sleep(STOPPED).await;
        fleet.workers[number].process.signal("KILL");
        let ended = fleet.ends(number).await;
        deaths.push(from_ns..=monotonic_ns());
        assert_eq!(ended.code, None, "a signal ends it: {ended:?}");
        fleet.replace(number).await;
    }
    let in_flight = |seen: &Seen| {
        deaths.iter().any(|death| seen.sent_ns < *death.end() && seen.received_ns > *death.start())
    };
    let failed = fleet.judge(in_flight).await;
    assert!(failed > 0, "none was in flight, so that nothing was shown");
    assert!(failed <= rounds * CONNECTIONS, "{failed} were in flight at {rounds} deaths");
}
