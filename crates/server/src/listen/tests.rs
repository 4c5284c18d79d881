use std::io::ErrorKind;
use std::sync::Mutex;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;

const PATIENCE: Duration = Duration::from_secs(5);
const SOON: Duration = Duration::from_millis(50);
const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

struct Running {
    address: SocketAddr,
    shutdown: Shutdown,
    ended: JoinHandle<Drained>,
    /// Lets `/held` answer.
    go: Arc<Notify>,
    /// Notified when `/held` is asked for.
    held: Arc<Notify>,
}

/// Serves a router: `/` tells the peer, `/held` answers when it is let.
async fn start(settings: ListenSettings) -> Running {
    let (go, held) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (wait, tell) = (Arc::clone(&go), Arc::clone(&held));
    let hold = async move || {
        tell.notify_one();
        wait.notified().await;
        "done"
    };
    let router = Router::new()
        .route("/", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string()))
        .route("/held", get(hold));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::default();
    let ended = tokio::spawn(serve(listener, settings, router, shutdown.clone()));
    Running { address, shutdown, ended, go, held }
}

impl Running {
    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn ended(self) -> Drained {
        timeout(PATIENCE, self.ended).await.unwrap().unwrap()
    }
}

/// Reads until `mark` has come.
async fn until(stream: &mut TcpStream, mark: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(mark) {
        let more = timeout(PATIENCE, stream.read_buf(&mut read)).await.expect("more").unwrap();
        assert!(more > 0, "ended before {mark:?}: {read:?}");
    }
    String::from_utf8(read).unwrap()
}

/// Reads to the end of the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let _reset = timeout(PATIENCE, stream.read_to_end(&mut read)).await.expect("an end");
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn a_router_is_told_the_peer() {
    let server = start(ListenSettings::default()).await;
    let mut client = server.send(GET).await;
    let own = client.local_addr().unwrap().to_string();
    until(&mut client, &own).await;
}

#[tokio::test]
async fn a_connection_that_does_not_finish_a_head_is_closed() {
    let settings = ListenSettings { header_read_timeout: SOON, ..ListenSettings::default() };
    let server = start(settings).await;
    for begun in
        ["", "P", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r", "GET / HTTP/1.1\r\nhost", "GET / HTTP/1.1\r\n"]
    {
        let began = Instant::now();
        let mut client = server.send(begun).await;
        assert_eq!(rest(&mut client).await, "", "{begun:?}");
        assert!(began.elapsed() >= SOON, "{begun:?}");
    }
}

#[tokio::test]
async fn a_connection_that_idles_between_requests_is_closed() {
    let settings = ListenSettings { header_read_timeout: SOON, ..ListenSettings::default() };
    let server = start(settings).await;
    let mut client = server.send(GET).await;
    assert!(rest(&mut client).await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn a_slow_response_is_not_taken_for_a_slow_request() {
    let settings = ListenSettings { header_read_timeout: SOON, ..ListenSettings::default() };
    let server = start(settings).await;
    let mut client = server.send("GET /held HTTP/1.1\r\nhost: x\r\n\r\n").await;
    server.held.notified().await;
    sleep(SOON * 2).await;
    server.go.notify_one();
    until(&mut client, "done").await;
}

#[tokio::test]
async fn a_head_of_too_many_fields_or_bytes_is_a_431() {
    let server = start(ListenSettings::default()).await;
    let many = "x: y\r\n".repeat(MAX_HEADERS);
    let large = format!("x: {}\r\n", "y".repeat(MAX_BUFFER_BYTES));
    for fields in [many, large] {
        let mut client = server.send(&format!("GET / HTTP/1.1\r\nhost: x\r\n{fields}\r\n")).await;
        until(&mut client, "HTTP/1.1 431 ").await;
    }
}

#[tokio::test]
async fn one_connection_too_many_waits_for_its_turn() {
    let server = start(ListenSettings { max_connections: 1, ..ListenSettings::default() }).await;
    let mut first = server.send(GET).await;
    until(&mut first, "200 OK").await;
    let mut second = server.send(GET).await;
    assert!(timeout(SOON, second.readable()).await.is_err());
    drop(first);
    until(&mut second, "200 OK").await;
}

#[tokio::test]
async fn a_connection_ends_with_its_next_answer_once_shutdown_is_announced() {
    let server = start(ListenSettings::default()).await;
    let mut kept = server.send(GET).await;
    let first = until(&mut kept, "200 OK").await;
    assert!(!first.contains("connection: close"), "{first}");
    server.shutdown.announce();
    for client in [&mut kept, &mut server.send("").await] {
        client.write_all(GET.as_bytes()).await.unwrap();
        let answer = rest(client).await;
        assert!(answer.contains(" 200 OK\r\n"), "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }
    server.shutdown.begin();
    assert_eq!(server.ended().await.cut, 0);
}

#[tokio::test]
async fn shutdown_finishes_what_is_in_flight_and_closes_what_is_idle() {
    let server = start(ListenSettings::default()).await;
    let mut used = server.send(GET).await;
    until(&mut used, "200 OK").await;
    let mut fresh = server.send("").await;
    let mut held = server.send("GET /held HTTP/1.1\r\nhost: x\r\n\r\n").await;
    server.held.notified().await;
    server.shutdown.begin();
    rest(&mut used).await;
    assert_eq!(rest(&mut fresh).await, "");
    server.go.notify_one();
    let response = rest(&mut held).await;
    assert!(response.contains("connection: close\r\n"), "{response}");
    assert!(response.ends_with("done"), "{response}");
    assert_eq!(server.ended().await.cut, 0);
}

#[tokio::test]
async fn a_connection_that_waits_in_the_backlog_at_shutdown_is_served() {
    let server = start(ListenSettings::default()).await;
    // Nothing is awaited in between that would let the listener accept.
    let client = std::net::TcpStream::connect(server.address).unwrap();
    server.shutdown.begin();
    client.set_nonblocking(true).unwrap();
    let mut client = TcpStream::from_std(client).unwrap();
    client.write_all(GET.as_bytes()).await.unwrap();
    assert!(rest(&mut client).await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(server.ended().await.cut, 0);
}

/// Goal: connections that come while the listener closes are served too.
/// Method: its last moments pass before it is let look at any of them.
#[tokio::test]
async fn connections_that_come_with_the_end_of_the_last_call_are_served() {
    let server = start(ListenSettings::default()).await;
    let mut used = server.send(GET).await;
    until(&mut used, "200 OK").await;
    server.shutdown.begin();
    rest(&mut used).await;
    let clients: Vec<_> = (0..32)
        .map(|_| std::net::TcpStream::connect(server.address).unwrap())
        .map(|mut client| {
            std::io::Write::write_all(&mut client, GET.as_bytes()).unwrap();
            client.set_nonblocking(true).unwrap();
            client
        })
        .collect();
    std::thread::sleep(LAST_CALL * 2);
    for client in clients {
        let answer = rest(&mut TcpStream::from_std(client).unwrap()).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
    }
    assert_eq!(server.ended().await.cut, 0);
}

#[tokio::test]
async fn a_connection_that_is_new_at_shutdown_may_send_its_first_request() {
    let server = start(ListenSettings::default()).await;
    let mut fresh = server.send("").await;
    // It was accepted before this one, which is answered.
    let mut used = server.send(GET).await;
    until(&mut used, "200 OK").await;
    server.shutdown.begin();
    rest(&mut used).await;
    fresh.write_all(GET.as_bytes()).await.unwrap();
    assert!(rest(&mut fresh).await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(server.ended().await.cut, 0);
}

#[tokio::test]
async fn shutdown_cuts_what_does_not_finish_and_counts_it() {
    let server = start(ListenSettings { drain: SOON, ..ListenSettings::default() }).await;
    let mut held = server.send("GET /held HTTP/1.1\r\nhost: x\r\n\r\n").await;
    server.held.notified().await;
    server.shutdown.begin();
    assert_eq!(rest(&mut held).await, "");
    assert_eq!(server.ended().await.cut, 1);
}

#[tokio::test]
async fn errors_of_the_machine_are_waited_out_and_those_of_a_connection_are_not() {
    let aborted = || io::Error::from(ErrorKind::ConnectionAborted);
    // EMFILE: too many open files.
    let exhausted = || io::Error::from_raw_os_error(24);
    let mut attempts = vec![Ok(7), Err(exhausted()), Err(exhausted())];
    attempts.extend((0..9).map(|_| Err(aborted())));
    let attempts = Mutex::new(attempts);
    let began = Instant::now();
    let accepted = accept(async || attempts.lock().unwrap().pop().unwrap()).await;
    assert_eq!(accepted, 7);
    let waited = ACCEPT_PAUSE.0 * 3;
    assert!((waited..waited * 4).contains(&began.elapsed()), "{:?}", began.elapsed());
}
