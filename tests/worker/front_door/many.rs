//! Many connections: as many as there are places, and not all of them for one address.

use std::net::{Ipv4Addr, SocketAddrV4};

use tokio::net::TcpSocket;
use transom_tests::fleet::long;

use super::*;

const GET: &[u8] = b"GET /healthy HTTP/1.1\r\nHost: api\r\n\r\n";

/// Connects from an address of this machine.
async fn from(last: u8, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    let own = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, last), 0);
    socket.bind(own.into()).expect("an address of loopback");
    timeout(SLACK, socket.connect(to)).await.expect("in time").expect("a connection")
}

/// Whether a request is answered on this connection.
async fn is_served(mut stream: TcpStream) -> (bool, TcpStream) {
    let mut bytes = [0; 12];
    let _closed = stream.write_all(GET).await;
    let read = timeout(SLACK, stream.read_exact(&mut bytes)).await.expect("an answer or an end");
    (read.is_ok() && bytes.ends_with(b" 200"), stream)
}

#[tokio::test]
async fn one_address_cannot_take_all_places() {
    let settings = [
        ("TRANSOM__GATEWAY__MAX_CONNECTIONS", "40"),
        ("TRANSOM__GATEWAY__MAX_CONNECTIONS_PER_ADDRESS", "20"),
    ];
    let worker = worker(None, &settings).await;
    let (mut held, mut refused) = (Vec::new(), 0);
    for _ in 0..60 {
        let (served, stream) = is_served(from(2, worker.gateway).await).await;
        refused += u64::from(!served);
        held.push((served, stream));
    }
    assert_eq!(refused, 40);
    assert!(is_served(from(3, worker.gateway).await).await.0, "another address");
    cuts(&worker, "too_many", 40).await;
    held.retain(|(served, _)| !served);
    let asked = Instant::now();
    while !is_served(from(2, worker.gateway).await).await.0 {
        assert!(asked.elapsed() < SLACK, "a place that was given back is free");
        sleep(LOOK_AGAIN).await;
    }
}

#[tokio::test]
async fn a_trusted_proxy_is_not_held_to_the_places_of_one_address() {
    let settings = [
        ("TRANSOM__GATEWAY__MAX_CONNECTIONS_PER_ADDRESS", "2"),
        ("TRANSOM__IDENTITY__TRUSTED_PROXIES", "127.0.0.2"),
    ];
    let worker = worker(None, &settings).await;
    let mut held = Vec::new();
    for _ in 0..20 {
        let (served, stream) = is_served(from(2, worker.gateway).await).await;
        assert!(served);
        held.push(stream);
    }
    assert_eq!(cut(&worker, "gateway", "too_many").await, 0);
}

/// Goal: idle connections cost a descriptor and little memory each, at most so many, and end.
#[tokio::test]
async fn idle_connections_are_bounded_and_end_and_others_get_their_turn() {
    let places: u16 = if long() { 9_000 } else { 500 };
    let text = places.to_string();
    let settings = [
        ("TRANSOM__GATEWAY__MAX_CONNECTIONS", text.as_str()),
        ("TRANSOM__GATEWAY__MAX_CONNECTIONS_PER_ADDRESS", text.as_str()),
        ("TRANSOM__GATEWAY__HEADER_TIMEOUT", if long() { "20s" } else { "5s" }),
    ];
    let worker = worker(None, &settings).await;
    let (open, memory) = worker.process.holds();
    let mut idle = Vec::new();
    for number in 0..places {
        let last = if number % 2 == 0 { 2 } else { 3 };
        idle.push(from(last, worker.gateway).await);
    }
    let asked = Instant::now();
    while worker.process.holds().0 < open + usize::from(places) - 20 {
        assert!(asked.elapsed() < SLACK, "{:?} from {open}", worker.process.holds());
        sleep(LOOK_AGAIN).await;
    }
    let waiting = tokio::spawn(is_served(from(4, worker.gateway).await));
    let (more, larger) = worker.process.holds();
    assert!(more <= open + usize::from(places) + 20, "{open} became {more}");
    let each = larger.saturating_sub(memory) / u64::from(places);
    assert!(each <= 64, "{each} KiB for an idle connection");
    assert!(waiting.await.expect("a client").0, "it waits until one of the idle has ended");
    let asked = Instant::now();
    while worker.process.holds().0 > open + 20 {
        assert!(asked.elapsed() < SLACK * 3, "{:?} from {open}", worker.process.holds());
        sleep(LOOK_AGAIN).await;
    }
    drop(idle);
}
