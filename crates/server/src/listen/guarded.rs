//! The bytes of a connection on their way to hyper and back.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::activity::Activity;
use super::framing::Framing;

/// What hyper refuses wherever it stands, with 400: NUL in a head and where a chunk begins or ends,
/// LF within a chunk's extension. hyper looks at a head again when that has an end, so there is one.
const MALFORMED: &[u8] = b"\0\n\r\n\r\n";

/// A connection on which hyper finds [`MALFORMED`] in the place of what is ambiguous, and nothing
/// after it.
#[derive(Debug)]
pub(super) struct Guarded {
    stream: TcpStream,
    framing: Framing,
    /// What is left of [`MALFORMED`], once something was refused.
    refused: Option<&'static [u8]>,
    activity: Arc<Activity>,
}

impl Guarded {
    pub(super) fn new(stream: TcpStream, activity: Arc<Activity>) -> Self {
        Self { stream, framing: Framing::default(), refused: None, activity }
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(left) = &mut this.refused {
            return refuse(left, buffer);
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        if this.activity.is_tunnel() {
            return Poll::Ready(Ok(()));
        }
        let read = buffer.filled().get(before..).unwrap_or_default();
        if let Err(at) = this.framing.follow(read) {
            buffer.set_filled(before + at);
            return refuse(this.refused.insert(MALFORMED), buffer);
        }
        if this.framing.is_http2() {
            this.activity.speaks_http2();
        }
        Poll::Ready(Ok(()))
    }
}

fn refuse(left: &mut &'static [u8], buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
    if left.is_empty() {
        // hyper has an answer to give and does not wait for more.
        return Poll::Pending;
    }
    let (now, later) = left.split_at(left.len().min(buffer.remaining()));
    buffer.put_slice(now);
    *left = later;
    Poll::Ready(Ok(()))
}

impl AsyncWrite for Guarded {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.activity.written(written.is_pending());
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.activity.written(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
