//! Connections that change their protocol, such as WebSocket.
//!
//! The upstream is asked in the client's words. If it agrees with 101, the two connections become
//! a tunnel: bytes are copied both ways until either side ends, or nothing has moved for
//! `gateway.tunnel_timeout`.
//!
//! Another version of HTTP or TLS is not asked for: what came through such a tunnel would be
//! requests that nobody decided.

use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::{self, Either};
use http::header::{CONNECTION, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf, copy, split};
use tokio::time::sleep;

use super::failure::Failure;
use super::hop_by_hop::options;
use crate::listen::Lease;

/// How long one direction of a tunnel may go on when the other has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A client's wish to change the protocol.
#[derive(Debug)]
pub(super) struct Asked {
    protocols: Vec<String>,
    client: OnUpgrade,
    lease: Option<Lease>,
}

impl Asked {
    /// Takes the wish out of a request, if there is one that may be passed on.
    pub(super) fn take(parts: &mut Parts) -> Option<Self> {
        let client = parts.extensions.remove::<OnUpgrade>()?;
        options(&parts.headers, &CONNECTION)
            .find(|option| option.eq_ignore_ascii_case("upgrade"))?;
        let protocols: Vec<_> = options(&parts.headers, &UPGRADE)
            .filter(|protocol| may_pass(protocol))
            .map(str::to_owned)
            .collect();
        let lease = parts.extensions.remove::<Lease>();
        (!protocols.is_empty()).then_some(Self { protocols, client, lease })
    }

    /// Asks the upstream.
    pub(super) fn write(&self, fields: &mut HeaderMap) {
        if let Ok(protocols) = HeaderValue::from_str(&self.protocols.join(", ")) {
            fields.insert(UPGRADE, protocols);
            fields.append(CONNECTION, HeaderValue::from_static("upgrade"));
        }
    }

    /// Begins the tunnel that the upstream has agreed to, and returns what it is to speak.
    pub(super) fn granted(
        self,
        response: &mut Response<Incoming>,
        idle: Duration,
    ) -> Result<HeaderValue, Failure> {
        let protocol = response.headers().get(UPGRADE).ok_or(Failure::Unasked)?.clone();
        let asked = |asked: &String| protocol.as_bytes().eq_ignore_ascii_case(asked.as_bytes());
        if !self.protocols.iter().any(asked) {
            return Err(Failure::Unasked);
        }
        let upstream = hyper::upgrade::on(response);
        tokio::spawn(run(self.client, upstream, self.lease, idle));
        Ok(protocol)
    }
}

fn may_pass(protocol: &str) -> bool {
    let name = protocol.split('/').next().unwrap_or_default();
    !["", "h2c", "h2", "http", "tls"].iter().any(|other| name.eq_ignore_ascii_case(other))
}

async fn run(client: OnUpgrade, upstream: OnUpgrade, lease: Option<Lease>, idle: Duration) {
    let cut = async {
        match &lease {
            Some(lease) => lease.cut().await,
            None => future::pending().await,
        }
    };
    let tunnel = async {
        match future::try_join(client, upstream).await {
            Ok((client, upstream)) => {
                let moved = &AtomicU64::new(0);
                tokio::select! {
                    () = tunnel(client, upstream, moved) => {}
                    () = still(moved, idle) => {
                        if let Some(lease) = &lease {
                            lease.was_idle();
                        }
                    }
                }
            }
            Err(error) => tracing::debug!(%error, "a tunnel did not come about"),
        }
    };
    tokio::select! {
        () = tunnel => {}
        () = cut => {}
    }
}

/// Returns when nothing has moved for as long as `idle`, or up to twice that.
async fn still(moved: &AtomicU64, idle: Duration) {
    let mut before = None;
    loop {
        let now = moved.load(Ordering::Relaxed);
        if before.replace(now) == Some(now) {
            return;
        }
        sleep(idle).await;
    }
}

/// One direction of a tunnel, which counts what it reads.
struct Counted<'a, R> {
    inner: R,
    moved: &'a AtomicU64,
}

impl<R: AsyncRead + Unpin> AsyncRead for Counted<'_, R> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buffer))?;
        this.moved.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

async fn tunnel(client: Upgraded, upstream: Upgraded, moved: &AtomicU64) {
    let (client_reads, mut client_writes) = split(TokioIo::new(client));
    let (upstream_reads, mut upstream_writes) = split(TokioIo::new(upstream));
    let mut client_reads = Counted { inner: client_reads, moved };
    let mut upstream_reads = Counted { inner: upstream_reads, moved };
    let up = pin!(async {
        copy(&mut client_reads, &mut upstream_writes).await?;
        upstream_writes.shutdown().await
    });
    let down = pin!(async {
        copy(&mut upstream_reads, &mut client_writes).await?;
        client_writes.shutdown().await
    });
    let (ended, other): (io::Result<()>, _) = match future::select(up, down).await {
        Either::Left((ended, down)) => (ended, Either::Left(down)),
        Either::Right((ended, up)) => (ended, Either::Right(up)),
    };
    if ended.is_ok() {
        // Whatever is still under way to the other side.
        let _late = tokio::time::timeout(LAST_WORDS, other).await;
    }
}
