//! HTTP/2 frame by frame: floods end their own connection or are borne, and others are served.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::recorder::{Manner, Recorder};
use super::*;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

const PROTOCOL_ERROR: u32 = 1;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame that came.
#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Header fields without compression.
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block
                .push(u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("short"));
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

fn request(stream: u32, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut all =
        vec![(":method", "GET"), (":scheme", "http"), (":authority", "api"), (":path", path)];
    all.extend_from_slice(more);
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &fields(&all))
}

/// Connects, and agrees on these settings.
async fn connect(worker: &Worker, settings: &[u8]) -> TcpStream {
    let mut client = begin(worker.gateway, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    client.write_all(&frame(SETTINGS, 0, 0, settings)).await.expect("a connection");
    client.write_all(&frame(SETTINGS, ACK, 0, &[])).await.expect("a connection");
    client
}

async fn next(client: &mut TcpStream) -> Option<Frame> {
    let mut head = [0; 9];
    client.read_exact(&mut head).await.ok()?;
    let [a, b, c, kind, flags, stream @ ..] = head;
    let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).expect("small")];
    client.read_exact(&mut payload).await.ok()?;
    Some(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
}

/// Reads until there is such a frame.
async fn until(client: &mut TcpStream, wanted: impl Fn(&Frame) -> bool) -> Frame {
    let search = async {
        loop {
            let frame = next(client).await.expect("a frame before the end");
            if wanted(&frame) {
                return frame;
            }
        }
    };
    timeout(SLACK, search).await.expect("a frame in time")
}

/// The status of a response, whose name HPACK's static table has.
fn status(frame: &Frame) -> Option<u16> {
    match frame.payload.first()? {
        0x88 => Some(200),
        0x8c => Some(400),
        // A literal value, in plain digits or in Huffman code: "431" takes three octets at most.
        _ => None,
    }
}

fn code(frame: &Frame) -> u32 {
    let at = if frame.kind == GOAWAY { 4 } else { 0 };
    let bytes: [u8; 4] = frame.payload[at..at + 4].try_into().expect("four bytes");
    u32::from_be_bytes(bytes)
}

/// Sends this over and over, reads what comes, and returns the code of the GOAWAY that ends it;
/// `None` if it is borne to its end.
async fn flood(client: TcpStream, bytes: impl Fn(u32) -> Vec<u8>, times: u32) -> Option<u32> {
    let (mut reads, mut writes) = client.into_split();
    let sending = async {
        for time in 0..times {
            if writes.write_all(&bytes(time)).await.is_err() {
                break;
            }
        }
        let ping = frame(PING, 0, 0, b"the last");
        let _closed = writes.write_all(&ping).await;
        writes
    };
    let reading = async {
        let mut head = [0; 9];
        while reads.read_exact(&mut head).await.is_ok() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).expect("small")];
            if reads.read_exact(&mut payload).await.is_err() {
                break;
            }
            match head[3] {
                GOAWAY => {
                    return Some(u32::from_be_bytes(payload[4..8].try_into().expect("a code")));
                }
                PING if payload == b"the last" => return None,
                _ => {}
            }
        }
        panic!("it ends without a word");
    };
    let both = async { tokio::join!(sending, reading).1 };
    timeout(SLACK * 6, both).await.expect("an end")
}

#[tokio::test]
async fn a_rapid_reset_ends_its_connection() {
    let upstream = Recorder::start(Manner::Silent).await;
    let worker = worker(Some(upstream.address), &[]).await;
    assert_eq!(get(worker.gateway, "/healthy").await.status(), 200);
    let (open, memory) = worker.process.holds();
    let client = connect(&worker, &[]).await;
    let burst = |time: u32| {
        let pair = |place: u32| {
            let stream = (time * 64 + place) * 2 + 1;
            let reset = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
            [request(stream, "/", &[]), reset].concat()
        };
        (0..64).flat_map(pair).collect()
    };
    let ended = served_meanwhile(&worker, flood(client, burst, 200)).await;
    assert_eq!(ended, Some(ENHANCE_YOUR_CALM));
    cuts(&worker, "http2", 1).await;
    let (more, larger) = worker.process.holds();
    assert!(more < open + 100 && larger < memory + 64 * 1_024, "{open} {memory}, {more} {larger}");
}

#[tokio::test]
async fn a_head_without_end_ends_its_connection() {
    let worker = worker(None, &[]).await;
    let client = connect(&worker, &[]).await;
    let continued = |time: u32| match time {
        0 => frame(HEADERS, END_STREAM, 1, &fields(&[(":method", "GET")])),
        _ => frame(CONTINUATION, 0, 1, &fields(&[("x", "y")]).repeat(100)),
    };
    let ended = served_meanwhile(&worker, flood(client, continued, 100_000)).await;
    assert!(ended.is_some());
    cuts(&worker, "http2", 1).await;
}

/// Goal: a header list that grows as it is unpacked is not unpacked beyond its bound.
/// Method: a long field goes into the table, and one octet stands for it from then on.
#[tokio::test]
async fn a_header_bomb_is_refused_and_never_goes_on() {
    let upstream = Recorder::start(Manner::Answer).await;
    let worker = worker(Some(upstream.address), &[]).await;
    assert_eq!(get(worker.gateway, "/healthy").await.status(), 200);
    let (_, before) = worker.process.holds();
    let mut client = connect(&worker, &[]).await;
    let mut block =
        fields(&[(":method", "GET"), (":scheme", "http"), (":authority", "api"), (":path", "/")]);
    // A literal that is put into the table: name "x", 3,000 octets of value.
    block.extend_from_slice(&[0x40, 1, b'x', 127, 0xb9, 0x16]);
    block.extend_from_slice(&[b'y'; 3_000]);
    block.extend_from_slice(&[0xbe; 10_000]);
    client.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block)).await.expect("sent");
    let answer = until(&mut client, |frame| {
        frame.kind == GOAWAY || (frame.stream == 1 && [HEADERS, RST_STREAM].contains(&frame.kind))
    })
    .await;
    assert!(answer.kind != HEADERS || status(&answer) != Some(200), "{answer:?}");
    assert!(upstream.heard().is_empty());
    let (_, after) = worker.process.holds();
    assert!(after < before + 16 * 1_024, "{before} KiB became {after} KiB");
}

#[tokio::test]
async fn floods_of_pings_and_settings_are_borne_or_ended() {
    let worker = worker(None, &[]).await;
    let (_, before) = worker.process.holds();
    let ping = |_| frame(PING, 0, 0, b"12345678").repeat(100);
    let settings = |_| frame(SETTINGS, 0, 0, &[]).repeat(100);
    let data = |_| frame(DATA, 0, 1, &[]).repeat(100);
    for (what, bytes) in
        [("ping", &ping as &dyn Fn(u32) -> Vec<u8>), ("settings", &settings), ("data", &data)]
    {
        let client = connect(&worker, &[]).await;
        let ended = served_meanwhile(&worker, flood(client, bytes, 1_000)).await;
        assert_eq!(ended.is_some(), what == "data", "{what}: {ended:?}");
    }
    let (_, after) = worker.process.holds();
    assert!(after < before + 16 * 1_024, "{before} KiB became {after} KiB");
}

#[tokio::test]
async fn a_stream_too_many_is_refused() {
    let upstream = Recorder::start(Manner::Silent).await;
    let worker = worker(Some(upstream.address), &[]).await;
    let mut client = connect(&worker, &[]).await;
    let requests: Vec<_> = (0..129).flat_map(|place| request(place * 2 + 1, "/", &[])).collect();
    client.write_all(&requests).await.expect("sent");
    let refused = until(&mut client, |frame| frame.kind == RST_STREAM).await;
    assert_eq!((refused.stream, code(&refused)), (128 * 2 + 1, REFUSED_STREAM));
    served_meanwhile(&worker, sleep(LOOK_AGAIN)).await;
}

/// Also where the response has ended, and its last part alone waits for the client.
#[tokio::test]
async fn a_window_of_zero_is_a_client_that_does_not_read() {
    for manner in [Manner::Endless, Manner::Halting] {
        let upstream = Recorder::start(manner).await;
        let settings = [("TRANSOM__GATEWAY__WRITE_TIMEOUT", SHORT)];
        let worker = worker(Some(upstream.address), &settings).await;
        // SETTINGS_INITIAL_WINDOW_SIZE
        let mut client = connect(&worker, &[0, 4, 0, 0, 0, 0]).await;
        let requests = (0..100).flat_map(|place| request(place * 2 + 1, "/", &[]));
        client.write_all(&requests.collect::<Vec<_>>()).await.expect("sent");
        let pings = flood_slowly(client);
        served_meanwhile(&worker, pings).await;
        cuts(&worker, "slow_reader", 1).await;
    }
}

#[tokio::test]
async fn who_asks_after_the_farewell_is_held_to_his_time_too() {
    let upstream = Recorder::start(Manner::Endless).await;
    let settings =
        [("TRANSOM__GATEWAY__IDLE_TIMEOUT", SHORT), ("TRANSOM__GATEWAY__WRITE_TIMEOUT", SHORT)];
    let worker = worker(Some(upstream.address), &settings).await;
    let mut client = connect(&worker, &[0, 4, 0, 0, 0, 0]).await;
    until(&mut client, |frame| frame.kind == GOAWAY).await;
    client.write_all(&request(1, "/", &[])).await.expect("sent");
    served_meanwhile(&worker, flood_slowly(client)).await;
    cuts(&worker, "slow_reader", 1).await;
}

#[tokio::test]
async fn a_connection_that_only_pings_is_idle() {
    let worker = worker(None, &[("TRANSOM__GATEWAY__IDLE_TIMEOUT", SHORT)]).await;
    let mut client = connect(&worker, &[]).await;
    client.write_all(&request(1, "/", &[])).await.expect("sent");
    let answer = until(&mut client, |frame| frame.kind == HEADERS).await;
    assert_eq!(status(&answer), Some(200), "{answer:?}");
    served_meanwhile(&worker, flood_slowly(client)).await;
    cuts(&worker, "idle", 1).await;
}

/// A load balancer opens connections before it has a request for them.
#[tokio::test]
async fn a_connection_that_was_opened_in_advance_is_held_to_the_time_of_an_idle_one() {
    let settings = [("TRANSOM__GATEWAY__HEADER_TIMEOUT", SHORT)];
    let worker = worker(None, &settings).await;
    let mut client = connect(&worker, &[]).await;
    sleep(SHORT_TIME * 2).await;
    client.write_all(&request(1, "/", &[])).await.expect("sent");
    let answer = until(&mut client, |frame| frame.kind == HEADERS).await;
    assert_eq!(status(&answer), Some(200), "{answer:?}");
}

#[tokio::test]
async fn a_request_that_crosses_the_farewell_of_an_idle_connection_is_answered() {
    let worker = worker(None, &[("TRANSOM__GATEWAY__IDLE_TIMEOUT", SHORT)]).await;
    let mut client = connect(&worker, &[]).await;
    client.write_all(&request(1, "/", &[])).await.expect("sent");
    until(&mut client, |frame| frame.kind == HEADERS).await;
    until(&mut client, |frame| frame.kind == GOAWAY).await;
    client.write_all(&request(3, "/", &[])).await.expect("sent");
    let answer = until(&mut client, |frame| frame.kind == HEADERS && frame.stream == 3).await;
    assert_eq!(status(&answer), Some(200), "{answer:?}");
}

/// Pings every 50 ms until the connection ends.
async fn flood_slowly(client: TcpStream) {
    let began = Instant::now();
    let (mut reads, mut writes) = client.into_split();
    let mut nothing = tokio::io::sink();
    let reading = tokio::io::copy(&mut reads, &mut nothing);
    let pinging = async {
        while writes.write_all(&frame(PING, 0, 0, b"12345678")).await.is_ok() {
            assert!(began.elapsed() < SHORT_TIME * 2 + SLACK, "not closed");
            sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        _ended = reading => {}
        () = pinging => {}
    }
}

#[tokio::test]
async fn what_belongs_to_a_connection_or_names_two_hosts_is_refused() {
    let upstream = Recorder::start(Manner::Answer).await;
    let worker = worker(Some(upstream.address), &[]).await;
    let mut client = connect(&worker, &[]).await;
    let of_a_connection = [
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("keep-alive", "1"),
        ("te", "gzip"),
        ("content-length", "5"),
    ];
    for (place, field) in (0..).zip(of_a_connection) {
        let stream = place * 2 + 1;
        client.write_all(&request(stream, "/", &[field])).await.expect("sent");
        let answer = until(&mut client, |frame| frame.stream == stream).await;
        assert_eq!((answer.kind, code(&answer)), (RST_STREAM, PROTOCOL_ERROR), "{field:?}");
    }
    client.write_all(&request(101, "/", &[("host", "other")])).await.expect("sent");
    let answer = until(&mut client, |frame| frame.stream == 101).await;
    assert_eq!(status(&answer), Some(400), "{answer:?}");
    assert_eq!(answer.flags & END_HEADERS, END_HEADERS);
    assert_eq!(upstream.heard(), [""; 0]);
    client.write_all(&request(103, "/", &[("host", "API")])).await.expect("sent");
    let answer = until(&mut client, |frame| frame.stream == 103).await;
    assert_eq!(status(&answer), Some(200), "{answer:?}");
}
