//! The other end of a worker's connections: an upstream inside the test, which answers with the
//! request line that it got, now or when told, and a port where nobody answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long a request may take to arrive.
const PATIENCE: Duration = Duration::from_secs(20);
/// A request to a path that begins like this is answered only after [`Upstream::let_go`].
pub(crate) const SLOW: &str = "/slow";

/// A server of HTTP/1.1 that ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    requests: AtomicUsize,
    waiting: watch::Sender<usize>,
    let_go: watch::Sender<bool>,
}

impl Upstream {
    /// Listens on a free port.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its number");
        let state = Arc::new(State {
            requests: AtomicUsize::new(0),
            waiting: watch::Sender::new(0),
            let_go: watch::Sender::new(false),
        });
        let shared = Arc::clone(&state);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, state, serving }
    }

    /// How many requests have come.
    pub(crate) fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// Waits until so many slow requests wait here.
    pub(crate) async fn holds(&self, requests: usize) {
        let mut waiting = self.state.waiting.subscribe();
        let come = waiting.wait_for(|waiting| *waiting >= requests);
        timeout(PATIENCE, come).await.expect("a request in time").expect("an upstream that lives");
    }

    /// Answers the slow requests, those that wait and those to come.
    pub(crate) fn let_go(&self) {
        self.state.let_go.send_replace(true);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Answers one request after the other until the connection ends.
async fn serve(mut stream: TcpStream, state: Arc<State>) {
    while let Some(line) = request_line(&mut stream).await {
        state.requests.fetch_add(1, Ordering::SeqCst);
        if line.contains(&format!(" {SLOW}")) {
            let mut let_go = state.let_go.subscribe();
            state.waiting.send_modify(|waiting| *waiting += 1);
            if let_go.wait_for(|let_go| *let_go).await.is_err() {
                return;
            }
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", line.len());
        if stream.write_all(format!("{head}{line}").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Reads a request, with a body whose length is told; its first line.
async fn request_line(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&head);
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    head.lines().next().map(str::to_owned)
}

/// A port that refuses connections, and that nobody else takes as long as this lives.
#[derive(Debug)]
pub(crate) struct ClosedPort {
    /// Where.
    pub(crate) address: SocketAddr,
    _bound: TcpSocket,
}

impl ClosedPort {
    /// Binds a free port and does not listen.
    pub(crate) fn new() -> Self {
        let bound = TcpSocket::new_v4().expect("a socket");
        bound.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        Self { address: bound.local_addr().expect("its number"), _bound: bound }
    }
}
