//! The program as it is run: a quick run of its cheapest parts, what it refuses, and that what it
//! compares with does comparable work.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use http::Method;
use transom_tests::fleet::{Client, Fleet, Setup};

fn bench() -> Command {
    Command::new(env!("CARGO_BIN_EXE_transom-bench"))
}

fn run(arguments: &[&str]) -> Output {
    bench().args(arguments).output().unwrap()
}

/// What stands in the cells of the row that begins with `name`.
fn row(page: &str, name: &str) -> Vec<String> {
    let begin = format!("| {name} |");
    let line = page.lines().find(|line| line.starts_with(&begin));
    let line = line.unwrap_or_else(|| panic!("no row {name} in:\n{page}"));
    line.split('|').skip(2).map(|cell| cell.trim().replace(',', "")).collect()
}

#[test]
fn a_quick_run_writes_the_page_and_its_plots() {
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().to_str().unwrap();
    let ran = run(&["--quick", "--only", "script", "--only", "bytes", "--out", folder]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let page = fs::read_to_string(out.path().join("benchmarks.md")).unwrap();

    for name in ["GCRA, says yes or no", "GCRA, says remaining, reset and retry"] {
        let per_second: u64 = row(&page, name)[1].parse().unwrap();
        assert!(per_second > 0, "{page}");
    }
    assert_eq!(row(&page, "GCRA, says yes or no")[0], "1.00");
    assert_eq!(row(&page, "admit.lua, 4 requests a call")[5], "0.250", "calls a decision");
    assert_eq!(row(&page, "the commands alone, 16 requests a call")[5], "0.062");
    // A window of one unit more is kept in another way, which takes more than one unit.
    let bytes = |limit: &str| row(&page, limit)[0].parse::<u64>().unwrap();
    assert!(bytes("60") < bytes("128") && bytes("128") * 2 < bytes("129"), "{page}");
    assert!(page.contains("- Not yet: faces, latency"), "{page}");
    assert!(page.contains("**a quick run"), "{page}");
    for plot in ["script.svg", "bytes.svg"] {
        assert!(page.contains(&format!("(benchmarks/{plot})")), "{page}");
        assert!(is_drawn(&out.path().join("benchmarks").join(plot)), "{plot}");
    }
}

fn is_drawn(plot: &Path) -> bool {
    let text = fs::read_to_string(plot).unwrap();
    text.starts_with("<svg") && text.trim_end().ends_with("</svg>") && text.contains("<text")
}

#[test]
fn what_cannot_be_followed_is_refused_in_one_line() {
    for (arguments, names) in [
        (&["--only", "everything"][..], "everything"),
        (&["--quickly"], "--quickly"),
        (&["serve", "nothing"], "nothing"),
    ] {
        let ran = run(arguments);
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(2), "{said}");
        assert!(said.contains(names) && said.lines().count() == 1, "{said}");
    }
    let nowhere = run(&["--only", "cluster", "--out", "/dev/null/nowhere"]);
    assert_eq!(nowhere.status.code(), Some(1));
    let said = String::from_utf8(nowhere.stderr).unwrap();
    assert!(said.contains("/dev/null/nowhere"), "{said}");
}

/// A handler that ends with the test.
struct Handler {
    child: Child,
    client: Client,
}

impl Handler {
    fn start(kind: &str, limits: &[&str]) -> Self {
        let mut command = bench();
        command.args(["serve", kind]).args(limits).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { client: Client::new(line.trim().parse().unwrap()), child }
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_handler_answers_as_many_bytes_as_a_worker() {
    let fleet = Fleet::start(&Setup { workers: 1, ..Setup::default() });
    let worker = Client::new(fleet.workers[0].check);
    let body = r#"{"identity":"user:10000001","method":"GET","path":"/","cost":1,"peek":false}"#;
    let ask = async |client: &Client| {
        let answer = client.send(Method::POST, "/v1/decide", body.to_owned()).await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.body().len()
    };
    let due = ask(&worker).await;
    for kind in ["noop", "governor"] {
        // Sources are called by names that are not equally long.
        let answered = ask(&Handler::start(kind, &[]).client).await;
        assert!(answered.abs_diff(due) <= 3, "{kind}: {answered}, a worker {due}");
    }
}

#[tokio::test]
async fn a_handler_with_limits_denies_what_is_above_them() {
    let handler = Handler::start("governor", &["--minute", "3", "--second", "100"]);
    let mut allowed = 0;
    for _ in 0..20 {
        let body = r#"{"identity":"user:1","method":"GET","path":"/","cost":1,"peek":false}"#;
        let answer = handler.client.send(Method::POST, "/v1/decide", body.to_owned()).await;
        let text = answer.unwrap();
        allowed += usize::from(text.body().starts_with(b"{\"allowed\":true"));
    }
    // One more passes after 20 s.
    assert!((3..=4).contains(&allowed), "{allowed} of 20 were admitted");
}

/// The processes that a process has started.
fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let told = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    told.collect::<String>().split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Whether a process is there and has not ended.
fn runs(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[cfg(target_os = "linux")]
#[test]
fn whoever_stops_it_leaves_no_process_behind_and_keeps_what_was_measured() {
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().to_str().unwrap();
    let page = out.path().join("benchmarks.md");
    fs::write(&page, "of before").unwrap();
    let mut command = bench();
    command.args(["--quick", "--only", "cluster", "--out", folder]).stderr(Stdio::piped());
    let mut ran = command.spawn().unwrap();
    let mut said = BufReader::new(ran.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("one server, no cluster") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "it has ended");
    }
    let started = children(ran.id());
    assert!(started.len() > 6, "servers and workers: {started:?}");
    let pid = ran.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(ran.wait().unwrap().code(), Some(1), "{rest}");
    assert!(rest.ends_with("transom-bench: stopped; what was measured before stays\n"), "{rest}");
    let left: Vec<_> = started.into_iter().filter(|pid| runs(*pid)).collect();
    assert!(left.is_empty(), "{left:?} still run");
    assert_eq!(fs::read_to_string(page).unwrap(), "of before");
}

#[test]
fn a_server_that_does_not_start_is_a_part_that_is_not_measured() {
    let out = tempfile::tempdir().unwrap();
    let server = out.path().join("redis-server");
    let script = "#!/bin/sh\n[ \"$1\" = --version ] && echo Redis v=7.0.15 || echo out of order\n";
    fs::write(&server, script).unwrap();
    assert!(Command::new("chmod").arg("+x").arg(&server).status().unwrap().success());
    let mut command = bench();
    command.args(["--quick", "--only", "bytes", "--out"]).arg(out.path());
    let ran = command.env("TRANSOM_REDIS_SERVER", &server).output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains("not measured: bytes: no redis: out of order"), "{said}");
    let page = fs::read_to_string(out.path().join("benchmarks.md")).unwrap();
    assert!(page.contains("- bytes: no redis: out of order"), "{page}");
}

/// The program in `crates/bench/peer` is built here, so that it does not rot.
#[test]
fn what_is_compared_with_is_measured_and_a_part_measured_again_leaves_the_others() {
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().to_str().unwrap();
    let page = |arguments: &[&str]| {
        let ran = run(&[&["--quick", "--out", folder], arguments].concat());
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        fs::read_to_string(out.path().join("benchmarks.md")).unwrap()
    };
    let first = page(&["--only", "faces", "--only", "peers", "--only", "memory"]);
    for name in
        ["gateway", "rls", "tower", "limitador-redis", "limitador-memory", "limitador, in memory"]
    {
        let fast: u64 = row(&first, name)[0].parse().unwrap();
        assert!(fast > 0, "{first}");
    }
    // Fixed windows admit at least what is due, and an exact limiter no more.
    let admitted = |name: &str| row(&first, name)[1].parse::<u64>().unwrap();
    assert_eq!(admitted("transom, two workers"), 80, "{first}");
    assert!(admitted("limitador-redis, two processes") >= 80, "{first}");
    // Three seconds, of five for each of 50 callers; more where answers are late.
    let (_, sliding) = first.split_once("Of 6,000 requests ").unwrap();
    let (admitted, above) = sliding.split_once(" were admitted, ").unwrap();
    assert!(above.starts_with("0 above the limits; 750 are due"), "{first}");
    let admitted: u64 = admitted.replace(',', "").parse().unwrap();
    assert!((750..=1_000).contains(&admitted), "{admitted} of 750");
    // A load that was not run admits nobody, and so shows nothing.
    assert!(first.contains("| over-admissions in any of it | at most 0 | - | - | not measured"));

    let second = page(&["--only", "bytes"]);
    assert!(second.contains("## Bytes in Redis"), "{second}");
    let kept = first.split_once("## On Redis").unwrap().1.split_once("## Not").unwrap().0;
    assert!(second.contains(kept), "{second}");
}
