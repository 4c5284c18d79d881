//! A connection that sends one request and reads its answer, again and again: HTTP/1.1, or gRPC.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Face;
use super::grpc::Grpc;

/// An answer that takes longer is a fault of the run.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Fields in the head of an answer.
const FIELDS: usize = 32;
/// How a denial at `/v1/decide` begins.
const DENIAL: &[u8] = br#"{"allowed":false"#;
/// What only a decision without Redis has.
const DEGRADED: &[u8] = br#""degraded":"#;
/// The field of such a decision at the other faces.
const DEGRADED_FIELD: &str = "x-ratelimit-degraded";

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Whether the request passes.
    pub(crate) allowed: bool,
    /// Whether a worker decided without its Redis.
    pub(crate) degraded: bool,
    /// Whether nothing decided, as where a handler waited for Redis for too long.
    pub(crate) failed: bool,
}

/// A keep-alive connection.
#[derive(Debug)]
pub(crate) struct Connection {
    wire: Wire,
    request: Vec<u8>,
}

#[derive(Debug)]
enum Wire {
    Http1(Http1),
    Grpc(Grpc),
}

impl Connection {
    /// Connects, by what a face speaks.
    pub(crate) async fn open(server: SocketAddr, face: Face) -> Result<Self> {
        let stream = TcpStream::connect(server)
            .await
            .with_context(|| format!("cannot connect to {server}"))?;
        stream.set_nodelay(true)?;
        let wire = match face {
            Face::Rls => Wire::Grpc(Grpc::open(stream, server).await?),
            Face::Decide | Face::Check | Face::Get => {
                Wire::Http1(Http1 { stream, answer: Vec::with_capacity(4_096) })
            }
        };
        Ok(Self { wire, request: Vec::with_capacity(512) })
    }

    /// The bytes that [`exchange`](Self::exchange) sends.
    pub(crate) const fn request(&mut self) -> &mut Vec<u8> {
        &mut self.request
    }

    /// Sends the request and reads the whole answer.
    pub(crate) async fn exchange(&mut self) -> Result<Verdict> {
        let exchange = async {
            match &mut self.wire {
                Wire::Http1(wire) => wire.exchange(&self.request).await,
                Wire::Grpc(wire) => wire.exchange(&self.request).await,
            }
        };
        timeout(ANSWER_WITHIN, exchange)
            .await
            .with_context(|| format!("no answer within {ANSWER_WITHIN:?}"))?
    }
}

#[derive(Debug)]
struct Http1 {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Http1 {
    async fn exchange(&mut self, request: &[u8]) -> Result<Verdict> {
        self.stream.write_all(request).await.context("a request could not be sent")?;
        self.answer.clear();
        self.read().await
    }

    async fn read(&mut self) -> Result<Verdict> {
        loop {
            let read = self.stream.read_buf(&mut self.answer).await.context("a lost connection")?;
            ensure!(read > 0, "a server has closed a connection");
            if let Some(verdict) = parse(&self.answer)? {
                return Ok(verdict);
            }
        }
    }
}

/// What an answer says; `None` while it is not all there.
fn parse(answer: &[u8]) -> Result<Option<Verdict>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(begin) = head.parse(answer).context("this is no HTTP")? else {
        return Ok(None);
    };
    let (mut length, mut degraded) = (None, false);
    for field in head.headers.iter() {
        if field.name.eq_ignore_ascii_case("content-length") {
            length = std::str::from_utf8(field.value).ok().and_then(|text| text.parse().ok());
        } else if field.name.eq_ignore_ascii_case(DEGRADED_FIELD) {
            degraded = true;
        }
    }
    let length: usize = length.context("an answer without a length")?;
    let Some(body) = answer.get(begin..begin + length) else { return Ok(None) };
    match head.code {
        Some(200) => Ok(Some(Verdict {
            allowed: !body.starts_with(DENIAL),
            degraded: degraded || body.windows(DEGRADED.len()).any(|part| part == DEGRADED),
            failed: false,
        })),
        Some(429) => Ok(Some(Verdict { allowed: false, degraded, failed: false })),
        Some(503) => Ok(Some(Verdict { allowed: false, degraded, failed: true })),
        code => bail!("an answer of {code:?}: {}", String::from_utf8_lossy(body)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(answer: &str) -> Option<Verdict> {
        parse(answer.as_bytes()).unwrap()
    }

    #[test]
    fn an_answer_is_read_to_its_end() {
        let whole = "HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n{\"allowed\":false}";
        for end in 0..whole.len() {
            assert_eq!(verdict(&whole[..end]), None, "{end}");
        }
        assert_eq!(
            verdict(whole),
            Some(Verdict { allowed: false, degraded: false, failed: false })
        );
    }

    #[test]
    fn denials_and_what_was_decided_without_redis_are_told_apart() {
        let limited = "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(
            verdict(limited),
            Some(Verdict { allowed: false, degraded: false, failed: false })
        );
        let local = "HTTP/1.1 200 OK\r\nX-RateLimit-Degraded: timeout\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(verdict(local), Some(Verdict { allowed: true, degraded: true, failed: false }));
        let body =
            "HTTP/1.1 200 OK\r\ncontent-length: 33\r\n\r\n{\"allowed\":true,\"degraded\":\"full\"}";
        let none = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
        assert!(verdict(none).is_some_and(|verdict| verdict.failed && !verdict.allowed));
        assert_eq!(verdict(body), Some(Verdict { allowed: true, degraded: true, failed: false }));
    }

    #[test]
    fn any_other_answer_is_a_fault_of_the_run() {
        let broken = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
        assert!(parse(broken.as_bytes()).is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err(), "a body without an end");
    }
}
