//! A proxy in front of one address that behaves as networks and servers do on a bad day. It runs
//! in the process of the test; what it does is set while it runs.

mod pump;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Both ways, as they come.
    Pass,
    /// Each piece of a reply comes later, by `least` to `least` and `jitter`.
    Late {
        /// At least.
        least: Duration,
        /// What chance adds at most.
        jitter: Duration,
    },
    /// What is sent this way gets lost. A connection that has lost something never works again.
    BlackHole(Way),
    /// Nobody listens, and the port stays taken; connections that are open are reset.
    Refuse,
    /// Connections are reset at once.
    Reset,
    /// The server gets a request that contains `to` and acts on it; when its reply comes, the
    /// connection is reset instead, `one_in` so many times.
    ResetReply {
        /// A part of the requests that are meant.
        to: &'static [u8],
        /// 1 is each time.
        one_in: u32,
    },
    /// Replies come a byte at a time, so many a second.
    Trickle {
        /// At least 1.
        bytes_per_s: u32,
    },
    /// The client is told that no more will come; what it sends goes on.
    HalfClose,
    /// The connection ends when so many bytes of replies have gone through.
    CloseAfter {
        /// The last one is sent.
        bytes: u64,
    },
}

/// The directions of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    Requests,
    /// From the server to the client.
    Replies,
    /// One and the other.
    Both,
}

/// Whose behaviour is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Connections that are open now.
    Open,
    /// Connections that come later.
    New,
    /// All of them.
    All,
}

/// A running proxy. It ends, and its connections with it, when this is dropped.
#[derive(Debug)]
pub struct Chaos {
    /// Where it listens.
    pub address: SocketAddr,
    inner: Arc<Inner>,
    listening: AbortHandle,
    /// Bound to the port and never listening, so that nobody else gets it.
    _port: TcpSocket,
}

#[derive(Debug)]
struct Inner {
    upstream: SocketAddr,
    state: Mutex<State>,
    /// Whether the proxy listens.
    listens: watch::Sender<bool>,
    most_open: AtomicUsize,
    bytes: AtomicU64,
    resets: AtomicU64,
}

#[derive(Debug)]
struct State {
    new: Mode,
    open: HashMap<u64, watch::Sender<Mode>>,
    next: u64,
    accepted: Vec<Instant>,
}

impl Chaos {
    /// A proxy on a free port of loopback that passes everything on to `upstream`.
    ///
    /// # Panics
    ///
    /// If there is no port left.
    pub async fn start(upstream: SocketAddr) -> Self {
        let port = socket((Ipv4Addr::LOCALHOST, 0).into());
        let address = port.local_addr().expect("the address of a socket that is bound");
        let inner = Arc::new(Inner {
            upstream,
            state: Mutex::new(State {
                new: Mode::Pass,
                open: HashMap::new(),
                next: 0,
                accepted: Vec::new(),
            }),
            listens: watch::Sender::new(false),
            most_open: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
            resets: AtomicU64::new(0),
        });
        let listening = tokio::spawn(listen(address, Arc::clone(&inner))).abort_handle();
        let proxy = Self { address, inner, listening, _port: port };
        proxy.is(true).await;
        proxy
    }

    /// Sets what becomes of connections. When this returns, it is so.
    pub async fn set(&self, mode: Mode, which: Which) {
        {
            let mut state = self.inner.lock();
            if which != Which::New {
                for open in state.open.values() {
                    open.send_replace(mode);
                }
            }
            if which != Which::Open {
                state.new = mode;
            }
        }
        if which != Which::Open {
            self.is(mode != Mode::Refuse).await;
        }
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.inner.lock().open.len()
    }

    /// The most that were open at a time.
    pub fn most_open(&self) -> usize {
        self.inner.most_open.load(Ordering::Relaxed)
    }

    /// How many bytes have gone through, both ways.
    pub fn bytes(&self) -> u64 {
        self.inner.bytes.load(Ordering::Relaxed)
    }

    /// How many replies were taken by a reset.
    pub fn resets(&self) -> u64 {
        self.inner.resets.load(Ordering::Relaxed)
    }

    /// When each connection since `since` was accepted, as the number of accepts in each tenth of
    /// a second.
    pub fn accepts_since(&self, since: Instant) -> Vec<usize> {
        let mut counts = Vec::new();
        for at in self.inner.lock().accepted.iter().filter(|at| **at >= since) {
            let tenth = usize::try_from((*at - since).as_millis() / 100).unwrap_or(usize::MAX);
            counts.resize(counts.len().max(tenth + 1), 0);
            counts[tenth] += 1;
        }
        counts
    }

    /// Waits until the proxy listens, or no more.
    async fn is(&self, listening: bool) {
        let mut listens = self.inner.listens.subscribe();
        self.inner.listens.send_if_modified(|_| true);
        while *listens.borrow_and_update() != listening {
            listens.changed().await.expect("its sender is held by this proxy");
        }
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        self.listening.abort();
        for open in self.inner.lock().open.values() {
            open.send_replace(Mode::Reset);
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refuses(&self) -> bool {
        self.lock().new == Mode::Refuse
    }
}

/// A socket bound to an address that others like it may share, as long as one of them listens.
fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an address that can be shared");
    socket.bind(address).expect("an address of this proxy's own");
    socket
}

async fn listen(address: SocketAddr, inner: Arc<Inner>) {
    let mut asked = inner.listens.subscribe();
    loop {
        let listener = socket(address).listen(1_024).expect("nobody else listens there");
        inner.listens.send_replace(true);
        accept(&listener, &inner, &mut asked).await;
        drop(listener);
        inner.listens.send_replace(false);
        while inner.refuses() {
            asked.changed().await.expect("its sender is held by this proxy");
        }
    }
}

/// Accepts until connections are to be refused.
async fn accept(listener: &TcpListener, inner: &Arc<Inner>, asked: &mut watch::Receiver<bool>) {
    while !inner.refuses() {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((client, _)) = accepted {
                    let (number, modes) = inner.enter();
                    let inner = Arc::clone(inner);
                    tokio::spawn(async move {
                        carry(client, modes, &inner).await;
                        inner.lock().open.remove(&number);
                    });
                }
            }
            _ = asked.changed() => {}
        }
    }
}

impl Inner {
    fn enter(&self) -> (u64, watch::Receiver<Mode>) {
        let mut state = self.lock();
        state.accepted.push(Instant::now());
        state.next += 1;
        let (number, (sender, modes)) = (state.next, watch::channel(state.new));
        state.open.insert(number, sender);
        self.most_open.fetch_max(state.open.len(), Ordering::Relaxed);
        (number, modes)
    }
}

async fn carry(client: TcpStream, modes: watch::Receiver<Mode>, inner: &Inner) {
    match TcpStream::connect(inner.upstream).await {
        Ok(server) => pump::both_ways(client, server, modes, inner).await,
        Err(_) => pump::reset(&client),
    }
}
