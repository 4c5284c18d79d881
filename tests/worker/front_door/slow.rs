//! Clients that take their time: each is cut at its time-out, while another is served.

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::recorder::{Manner, Recorder};
use super::*;

const POST: &str = "POST / HTTP/1.1\r\nHost: api\r\nContent-Length: 100000\r\n\r\n";
const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n\r\n";

#[tokio::test]
async fn a_head_that_does_not_come_is_cut_at_its_time() {
    let worker = worker(None, &[("TRANSOM__GATEWAY__HEADER_TIMEOUT", SHORT)]).await;
    let begun =
        ["", "G", "\r\n", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: api\r\nX: ", "PRI * HT"];
    let gateway = worker.gateway;
    let slow = join_all(begun.map(|begun| async move {
        let began = Instant::now();
        let (mut stops, dribbles) =
            (begin(gateway, begun.as_bytes()).await, begin(gateway, begun.as_bytes()).await);
        let (stopped, dribbled) =
            tokio::join!(rest(&mut stops, SHORT_TIME), dribble(dribbles, b'x', SHORT_TIME));
        assert!(began.elapsed() >= SHORT_TIME || begun.starts_with("PRI"), "{begun:?}");
        assert_eq!(stopped, "", "{begun:?}");
        assert!(dribbled.is_empty() || begun.starts_with("PRI"), "{begun:?}: {dribbled:?}");
    }));
    served_meanwhile(&worker, slow).await;
    // What goes on as no preface is refused as a version that is not known.
    let timed_out = cut(&worker, "gateway", "head_timeout").await;
    let malformed = cut(&worker, "gateway", "malformed").await;
    assert_eq!(timed_out + malformed, 12);
    assert!(timed_out >= 11, "{timed_out}");
}

#[tokio::test]
async fn a_body_that_stops_or_dribbles_is_a_408_and_never_whole() {
    let upstream = Recorder::start(Manner::Answer).await;
    let settings = [("TRANSOM__GATEWAY__BODY_TIMEOUT", SHORT)];
    let worker = worker(Some(upstream.address), &settings).await;
    let gateway = worker.gateway;
    let slow = join_all([POST, CHUNKED].map(|head| async move {
        let mut stops = begin(gateway, head.as_bytes()).await;
        // To the chunked one, a size that goes on and on comes to more than a size may have.
        let dribbles = begin(gateway, format!("{head}fff\r\n").as_bytes()).await;
        let (stopped, dribbled) =
            tokio::join!(rest(&mut stops, SHORT_TIME), dribble(dribbles, b'x', SHORT_TIME));
        for answer in [stopped, dribbled] {
            assert!(answer.starts_with("HTTP/1.1 408 "), "{head:?}: {answer:?}");
        }
    }));
    served_meanwhile(&worker, slow).await;
    cuts(&worker, "body_timeout", 4).await;
    for heard in upstream.heard() {
        assert!(!heard.contains("\r\n0\r\n"), "the upstream takes it for whole: {heard:?}");
    }
}

#[tokio::test]
async fn a_body_that_takes_longer_than_its_time_out_but_moves_is_served() {
    let worker = worker(None, &[("TRANSOM__GATEWAY__BODY_TIMEOUT", SHORT)]).await;
    let head = "POST / HTTP/1.1\r\nHost: api\r\nConnection: close\r\nContent-Length: 12288\r\n\r\n";
    let mut client = begin(worker.gateway, head.as_bytes()).await;
    for _ in 0..12 {
        client.write_all(&[b'x'; 1_024]).await.expect("a connection");
        sleep(SHORT_TIME / 6).await;
    }
    let answer = rest(&mut client, SHORT_TIME).await;
    assert!(answer.contains("\"body_bytes\":12288"), "{answer:?}");
}

#[tokio::test]
async fn a_body_that_goes_on_after_its_answer_is_taken_to_its_end() {
    let upstream = Recorder::start(Manner::Early).await;
    let settings =
        [("TRANSOM__GATEWAY__HEADER_TIMEOUT", SHORT), ("TRANSOM__GATEWAY__IDLE_TIMEOUT", SHORT)];
    let worker = worker(Some(upstream.address), &settings).await;
    let head = "POST / HTTP/1.1\r\nHost: api\r\nContent-Length: 12288\r\n\r\n";
    let mut client = begin(worker.gateway, head.as_bytes()).await;
    let mut answer = Vec::new();
    while !answer.ends_with(b"ok") {
        answer.push(client.read_u8().await.expect("a response"));
    }
    for _ in 0..12 {
        client.write_all(&[b'x'; 1_024]).await.expect("a connection");
        sleep(SHORT_TIME / 6).await;
    }
    let since = Instant::now();
    let taken = || upstream.heard().iter().any(|heard| heard.matches('x').count() >= 12 * 1_024);
    while !taken() {
        assert!(since.elapsed() < SLACK, "{:?}", upstream.heard());
        sleep(LOOK_AGAIN).await;
    }
}

#[tokio::test]
async fn a_head_that_does_not_come_holds_up_no_drain() {
    let settings = [
        ("TRANSOM__GATEWAY__HEADER_TIMEOUT", SHORT),
        ("TRANSOM__GATEWAY__DRAIN_DELAY", "0s"),
        ("TRANSOM__GATEWAY__DRAIN", "1h"),
    ];
    let mut worker = worker(None, &settings).await;
    let _client = begin(worker.gateway, b"GET / HTTP/1.1\r\nHost").await;
    assert_eq!(get(worker.gateway, "/").await.status(), 200);
    worker.process.signal("TERM");
    let ended = worker.process.end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn the_other_listeners_do_not_wait_for_a_body_either() {
    let worker = worker(None, &[("TRANSOM__GATEWAY__BODY_TIMEOUT", SHORT)]).await;
    let asked =
        [(worker.check, "check", "POST /v1/decide"), (worker.admin, "admin", "POST /api/keys")];
    for (address, listener, request) in asked {
        let head = format!(
            "{request} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Content-Length: 9\r\n\r\n{{"
        );
        let mut client = begin(address, head.as_bytes()).await;
        let answer = rest(&mut client, SHORT_TIME).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{listener}: {answer:?}");
        assert_eq!(cut(&worker, listener, "body_timeout").await, 1, "{listener}: {answer:?}");
    }
}

#[tokio::test]
async fn a_connection_that_asks_for_nothing_more_is_closed() {
    let worker = worker(None, &[("TRANSOM__GATEWAY__HEADER_TIMEOUT", SHORT)]).await;
    let mut client = begin(worker.gateway, b"GET / HTTP/1.1\r\nHost: api\r\n\r\n").await;
    let answers = served_meanwhile(&worker, rest(&mut client, SHORT_TIME)).await;
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers:?}");
    cuts(&worker, "head_timeout", 1).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_and_holds_little() {
    let upstream = Recorder::start(Manner::Endless).await;
    let settings = [("TRANSOM__GATEWAY__WRITE_TIMEOUT", SHORT)];
    let worker = worker(Some(upstream.address), &settings).await;
    assert_eq!(get(worker.gateway, "/healthy").await.status(), 200);
    let (_, before) = worker.process.holds();
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(begin(worker.gateway, b"GET / HTTP/1.1\r\nHost: api\r\n\r\n").await);
    }
    served_meanwhile(&worker, cuts(&worker, "slow_reader", 8)).await;
    let (_, after) = worker.process.holds();
    assert!(after < before + 8 * 1_024, "{before} KiB became {after} KiB");
    for mut client in clients {
        // What the kernel holds, and then the end.
        rest(&mut client, SHORT_TIME).await;
    }
}

#[tokio::test]
async fn a_tunnel_in_which_nothing_moves_is_closed_and_another_is_not() {
    let upstream = Recorder::start(Manner::Tunnel).await;
    let settings = [("TRANSOM__GATEWAY__TUNNEL_TIMEOUT", SHORT)];
    let worker = worker(Some(upstream.address), &settings).await;
    let request = b"GET / HTTP/1.1\r\nHost: api\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    let (mut still, mut moves) =
        (begin(worker.gateway, request).await, begin(worker.gateway, request).await);
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(moves.read_u8().await.expect("a response"));
    }
    let began = Instant::now();
    let moving = async {
        // What no request may hold is nothing to a tunnel.
        while began.elapsed() < SHORT_TIME * 4 {
            moves.write_all(b"\n \r\0").await.expect("a tunnel");
            let mut back = [0; 4];
            timeout(SLACK, moves.read_exact(&mut back)).await.expect("an echo").expect("a tunnel");
            assert_eq!(&back, b"\n \r\0");
            sleep(SHORT_TIME / 10).await;
        }
    };
    let (ended, ()) =
        served_meanwhile(&worker, async { tokio::join!(rest(&mut still, SHORT_TIME * 2), moving) })
            .await;
    assert!(ended.starts_with("HTTP/1.1 101 "), "{ended:?}");
    cuts(&worker, "idle_tunnel", 1).await;
}
