//! Requests that two readers could take for two things: refused, closed, and never sent on.

use super::recorder::{Manner, Recorder};
use super::*;

/// What each of them would smuggle.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: api\r\n\r\n";

/// Heads without their last, empty line; the body comes behind it.
const SHAPES: [&str; 36] = [
    "POST / HTTP/1.1\r\nHost: api\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nContent-Length: 4\r\nContent-Length: 5\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nContent-Length: 4\r\nContent-Length: 4\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nContent-Length: 4, 4\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nContent-Length: +4\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nContent-Length: -4\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nContent-Length: 0x4\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nContent-Length: 4 0\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nContent-Length:\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nContent-Length: 99999999999999999999\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nContent-Length : 4\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nContent-Length\x0b: 4\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nContent-Length: \x0b4\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: xchunked\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked, identity\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: gzip, chunked\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: identity\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nTransfer-Encoding:\x0bchunked\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nTransfer-Encoding : chunked\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nTransfer-Encoding\r\n : chunked\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: \"chunked\"\r\n",
    "POST / HTTP/1.0\r\nHost: api\r\nTransfer-Encoding: chunked\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nX: y\r\n Content-Length: 4\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nX: y\r\n\tz\r\n",
    "POST / HTTP/1.1\r\n Host: api\r\n",
    "POST / HTTP/1.1\nHost: api\r\n",
    "POST / HTTP/1.1\r\nHost: api\nContent-Length: 4\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nX: y\rContent-Length: 4\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nX: a\0b\r\n",
    "POST /\0 HTTP/1.1\r\nHost: api\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\n: nameless\r\n",
    "POST / HTTP/1.1\r\nHost: api\r\nno colon\r\n",
    "POST / HTTP/9.9\r\nHost: api\r\n",
];

/// What follows a head with `Transfer-Encoding: chunked`.
const CHUNKS: [&str; 13] = [
    "4 \r\nabcd\r\n",
    " 4\r\nabcd\r\n",
    "+4\r\nabcd\r\n",
    "0x4\r\nabcd\r\n",
    "4\nabcd\r\n",
    "4\rabcd\r\n",
    "4;x\nabcd\r\n",
    "00000000000000004\r\nabcd\r\n",
    "ffffffffffffffff4\r\nabcd\r\n",
    "4\r\nabcde\r\n",
    "4\r\nabcd\n",
    "\r\nabcd\r\n",
    "4\r\nabcd\r\n0\r\nX: y\nZ: w\r\n\r\n",
];

/// The statuses of all answers on a connection that sends this, until it is closed.
async fn statuses(gateway: SocketAddr, request: &str) -> Vec<u16> {
    let mut client = begin(gateway, request.as_bytes()).await;
    let answers = rest(&mut client, Duration::ZERO).await;
    let heads = answers.split("HTTP/1.").skip(1);
    heads.map(|head| head[2..5].parse().expect("a status")).collect()
}

#[tokio::test]
async fn a_request_that_can_be_read_in_two_ways_is_a_400_and_goes_nowhere() {
    let upstream = Recorder::start(Manner::Answer).await;
    let worker = worker(Some(upstream.address), &[]).await;
    for shape in SHAPES {
        for body in ["", "0\r\n\r\n"] {
            let request = format!("{shape}\r\n{body}{SMUGGLED}");
            let statuses = served_meanwhile(&worker, statuses(worker.gateway, &request)).await;
            assert_eq!(statuses, [400], "{request:?}");
        }
    }
    assert_eq!(upstream.heard(), [""; 0]);
    cuts(&worker, "malformed", 2 * u64::try_from(SHAPES.len()).expect("a few")).await;
}

#[tokio::test]
async fn what_follows_a_request_is_held_to_the_same() {
    let upstream = Recorder::start(Manner::Answer).await;
    let worker = worker(Some(upstream.address), &[]).await;
    for first in [
        "GET /first HTTP/1.1\r\nHost: api\r\n\r\n",
        "POST /first HTTP/1.1\r\nHost: api\r\nContent-Length: 5\r\n\r\n\n\n\n\n\n",
        "POST /first HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n\r\n\
         2;x=y\r\n\n\n\r\n0\r\nX: y\r\n\r\n",
    ] {
        let request = format!("{first}{}\r\n0\r\n\r\n{SMUGGLED}", SHAPES[0]);
        assert_eq!(statuses(worker.gateway, &request).await, [200, 400], "{first:?}");
    }
    assert_eq!(upstream.heard().len(), 3);
    assert!(upstream.heard().iter().all(|heard| heard.contains(" /first ")));
}

#[tokio::test]
async fn chunks_that_can_be_read_in_two_ways_are_a_400_and_never_a_whole_body() {
    let upstream = Recorder::start(Manner::Answer).await;
    let worker = worker(Some(upstream.address), &[]).await;
    for chunk in CHUNKS {
        let head = "POST / HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n\r\n";
        let request = format!("{head}{chunk}0\r\n\r\n{SMUGGLED}");
        let statuses = served_meanwhile(&worker, statuses(worker.gateway, &request)).await;
        assert_eq!(statuses, [400], "{chunk:?}");
    }
    for heard in upstream.heard() {
        assert!(!heard.contains("\r\n0\r\n"), "the upstream takes it for whole: {heard:?}");
        assert!(!heard.contains("smuggled"), "{heard:?}");
    }
}

#[tokio::test]
async fn a_request_names_one_host() {
    let upstream = Recorder::start(Manner::Answer).await;
    let worker = worker(Some(upstream.address), &[]).await;
    for head in [
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: api\r\nHost: api\r\n",
        "GET / HTTP/1.1\r\nHost: api\r\nhost: other\r\n",
        "GET http://other/ HTTP/1.1\r\nHost: api\r\n",
        "GET http://api:81/ HTTP/1.1\r\nHost: api\r\n",
    ] {
        let request = format!("{head}Connection: close\r\n\r\n");
        assert_eq!(statuses(worker.gateway, &request).await, [400], "{head:?}");
    }
    assert_eq!(upstream.heard(), [""; 0]);
    let same = "GET http://API/ HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n";
    assert_eq!(statuses(worker.gateway, same).await, [200]);
}

/// Goal: what goes on is framed anew from what was read, whatever the client wrote.
#[tokio::test]
async fn what_goes_on_is_framed_anew() {
    let upstream = Recorder::start(Manner::Answer).await;
    let worker = worker(Some(upstream.address), &[]).await;
    let request = "POST / HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: CHUNKED\r\n\
                   Transfer_Encoding: x\r\nContent_Length: 99\r\nConnection: close\r\n\r\n\
                   0004;ext=\"1\"\r\nabcd\r\n0000\r\nX-Late: y\r\n\r\n";
    assert_eq!(statuses(worker.gateway, request).await, [200]);
    let heard = upstream.heard().join("");
    let (head, body) = heard.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    for other in ["CHUNKED", "content", "transfer_encoding"] {
        assert!(!head.contains(other), "{head}");
    }
    assert_eq!(body, "4\r\nabcd\r\n0\r\n\r\n");
}
