//! A gateway on a port of its own, and the two ends that a test plays.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderName;
use ipnet::IpNet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use transom_core::body::Messages;
use transom_core::headers::Style;
use transom_core::{Gate, Limits, Mode, Policies, Policy, PolicyName};
use transom_local::LocalLimiter;

use crate::backend::Backend;
use crate::front::Front;
use crate::gateway::{Gateway, Upstream, UpstreamSettings};
use crate::identity::{Exempt, Identities};
use crate::listen::{self, Drained, ListenSettings};

/// Long enough for anything that is going to happen.
const PATIENCE: Duration = Duration::from_secs(5);

/// How a test wants its gateway.
pub(super) struct Setup {
    /// 60 a minute, as the tests expect to read, and as many a second as they need.
    pub(super) limits: Limits,
    /// Whether the client stands for a trusted proxy.
    pub(super) trusted: bool,
    pub(super) upstream: UpstreamSettings,
    pub(super) listen: ListenSettings,
}

impl Setup {
    /// A gateway that admits nothing.
    pub(super) fn denying() -> Self {
        Self { limits: Limits { minute: 60, second: 0 }, ..Self::default() }
    }
}

impl Default for Setup {
    fn default() -> Self {
        let (upstream, listen) = (UpstreamSettings::default(), ListenSettings::default());
        Self { limits: Limits { minute: 60, second: 60 }, trusted: false, upstream, listen }
    }
}

impl Setup {
    /// Starts a gateway in front of `stage`.
    pub(super) async fn before(mut self, stage: &Stage) -> Running {
        let path = self.upstream.url.as_ref().map_or("", |url| url.path());
        let url = format!("http://{}{path}", stage.address());
        self.upstream.url = Some(url.parse().unwrap());
        self.start().await
    }

    /// Starts a gateway as it is set up; without an upstream it echoes.
    pub(super) async fn start(self) -> Running {
        let trusted = if self.trusted { vec!["127.0.0.0/8".parse().unwrap()] } else { vec![] };
        let upstream = Upstream::new(&self.upstream).unwrap();
        let front = front(self.limits, trusted, upstream);
        let gateway = Gateway::new(Arc::new(ArcSwap::from_pointee(front)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let ended = tokio::spawn(listen::serve(listener, self.listen, gateway, shutdown.clone()));
        Running { address, shutdown, ended }
    }
}

fn front(limits: Limits, trusted: Vec<IpNet>, upstream: Upstream) -> Front {
    let policies = Policies::new(vec![Policy::new(PolicyName::default(), limits)]).unwrap();
    let backend = Backend::Local(Arc::new(LocalLimiter::default()));
    let header = HeaderName::from_static("x-forwarded-for");
    Front {
        warnings: Vec::new(),
        admin_token: None,
        ready_while_degraded: true,
        reporter: std::sync::Arc::default(),
        gate: Gate::new(policies, Mode::Enforce, backend),
        identities: Identities::new(trusted, header, 64, Exempt::default()),
        exempt: crate::exempt::ExemptRequests::default(),
        style: Style::default(),
        messages: Messages::default(),
        deadline: std::time::Duration::from_secs(5),
        upstream: Arc::new(upstream),
    }
}

/// A gateway with every default in front of `stage`.
pub(super) async fn gateway(stage: &Stage) -> Running {
    Setup::default().before(stage).await
}

/// A gateway that serves.
pub(super) struct Running {
    address: SocketAddr,
    shutdown: CancellationToken,
    ended: JoinHandle<Drained>,
}

impl Running {
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connects a client.
    pub(super) async fn connect(&self) -> Wire {
        Wire::to(TcpStream::connect(self.address).await.unwrap())
    }

    /// Connects a client that sends this.
    pub(super) async fn send(&self, text: &str) -> Wire {
        let mut client = self.connect().await;
        client.send(text).await;
        client
    }

    /// Begins the shutdown.
    pub(super) fn shut_down(&self) {
        self.shutdown.cancel();
    }

    /// Waits for the end of the shutdown.
    pub(super) async fn ended(self) -> Drained {
        timeout(PATIENCE, self.ended).await.expect("the drain ends").unwrap()
    }
}

/// Where a test waits for connections of the gateway, in the place of an upstream.
pub(super) struct Stage(TcpListener);

impl Stage {
    pub(super) async fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// The next connection.
    pub(super) async fn accept(&self) -> Wire {
        let accepted = timeout(PATIENCE, self.0.accept()).await.expect("a connection").unwrap();
        Wire::to(accepted.0)
    }

    /// Whether nobody has connected.
    pub(super) async fn is_empty(&self) -> bool {
        timeout(Duration::from_millis(20), self.0.accept()).await.is_err()
    }
}

/// One end of a connection.
pub(super) struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Wire {
    const fn to(stream: TcpStream) -> Self {
        Self { stream, unread: Vec::new() }
    }

    pub(super) async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Ends this direction; the other goes on.
    pub(super) async fn end(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Everything up to and with `mark`.
    pub(super) async fn until(&mut self, mark: &str) -> String {
        loop {
            let found = self.unread.windows(mark.len()).position(|bytes| bytes == mark.as_bytes());
            if let Some(at) = found {
                let rest = self.unread.split_off(at + mark.len());
                return String::from_utf8(std::mem::replace(&mut self.unread, rest)).unwrap();
            }
            let so_far = String::from_utf8_lossy(&self.unread).into_owned();
            assert!(self.read().await > 0, "ended before {mark:?}: {so_far:?}");
        }
    }

    /// The head of a message, in lower case but for the first line.
    pub(super) async fn head(&mut self) -> Head {
        let text = self.until("\r\n\r\n").await;
        let mut lines = text.trim_end().split("\r\n").map(str::to_owned);
        Head { first: lines.next().unwrap(), fields: lines.collect() }
    }

    /// Everything up to the end of the connection.
    pub(super) async fn rest(&mut self) -> String {
        while self.read().await > 0 {}
        String::from_utf8(std::mem::take(&mut self.unread)).unwrap()
    }

    /// Waits until the other end has closed, which it must without sending more.
    pub(super) async fn closed(&mut self) {
        let rest = self.rest().await;
        assert_eq!(rest, "", "more came before the connection was closed");
    }

    /// Reads more; 0 at the end, and where the connection is reset.
    async fn read(&mut self) -> usize {
        let read = self.stream.read_buf(&mut self.unread);
        timeout(PATIENCE, read).await.expect("bytes or an end").unwrap_or(0)
    }
}

/// The head of a message.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) first: String,
    fields: Vec<String>,
}

impl Head {
    /// The values of a field, one for each line.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.fields.iter().filter_map(|line| line.split_once(": "));
        lines.filter(|(own, _)| *own == name).map(|(_, value)| value).collect()
    }

    /// The value of a field that is there once.
    #[track_caller]
    pub(super) fn one(&self, name: &str) -> &str {
        match self.all(name)[..] {
            [value] => value,
            ref values => panic!("{name} is there {} times: {self:?}", values.len()),
        }
    }

    /// Whether a field is there.
    pub(super) fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    /// Asserts that the response says where the caller stands.
    #[track_caller]
    pub(super) fn is_limited(&self) {
        assert_eq!(self.one("x-ratelimit-limit"), "60");
        for name in ["remaining", "limit-second", "remaining-second", "reset", "limited-by"] {
            self.one(&format!("x-ratelimit-{name}"));
        }
    }
}
