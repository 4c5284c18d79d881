//! Calls of Envoy's rate limit service on a connection of HTTP/2, one after the other.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Method, Request, Uri};
use tokio::net::TcpStream;

use super::Verdict;

const PATH: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
/// Before a message: not compressed, and its length.
const PREFIX: usize = 5;
/// `overall_code`, which is the first field: over the limit.
const OVER_LIMIT: [u8; 2] = [0x08, 2];
/// The same: not over it.
const OK: [u8; 2] = [0x08, 1];
/// A field that only a decision without Redis has.
const DEGRADED: &[u8] = b"X-RateLimit-Degraded";
const UNAVAILABLE: &str = "14";

/// A connection.
#[derive(Debug)]
pub(super) struct Grpc {
    calls: SendRequest<Bytes>,
    uri: Uri,
}

impl Grpc {
    pub(super) async fn open(stream: TcpStream, server: SocketAddr) -> Result<Self> {
        let (calls, connection) = h2::client::handshake(stream).await?;
        // It ends with the last of its calls; a call that it fails says why.
        tokio::spawn(connection);
        Ok(Self { calls, uri: format!("http://{server}{PATH}").parse()? })
    }

    pub(super) async fn exchange(&mut self, message: &[u8]) -> Result<Verdict> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.uri.clone())
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        let mut calls = self.calls.clone().ready().await.context("a lost connection")?;
        let (answer, mut sent) = calls.send_request(request, false)?;
        sent.send_data(Bytes::copy_from_slice(message), true)?;
        let (head, mut body) = answer.await.context("no answer to a call")?.into_parts();
        let mut said = Vec::new();
        while let Some(part) = body.data().await {
            let part = part.context("an answer that breaks off")?;
            body.flow_control().release_capacity(part.len())?;
            said.extend_from_slice(&part);
        }
        let trailers = body.trailers().await?;
        verdict(&said, trailers.as_ref().unwrap_or(&head.headers))
    }
}

/// What an answer says, given where its status stands.
fn verdict(said: &[u8], status: &HeaderMap) -> Result<Verdict> {
    let code = status.get("grpc-status").map_or("", |value| value.to_str().unwrap_or_default());
    match code {
        "0" => {}
        UNAVAILABLE => return Ok(Verdict { allowed: false, degraded: false, failed: true }),
        _ => bail!("a call ended with {code:?}: {:?}", status.get("grpc-message")),
    }
    let message = said.get(PREFIX..).unwrap_or_default();
    let allowed = match message.get(..OK.len()) {
        Some(code) if code == OK => true,
        Some(code) if code == OVER_LIMIT => false,
        _ => bail!("an answer without a code"),
    };
    let degraded = message.windows(DEGRADED.len()).any(|part| part.eq_ignore_ascii_case(DEGRADED));
    Ok(Verdict { allowed, degraded, failed: false })
}

/// Writes a call for a user on a path: the message of `ShouldRateLimit` behind its prefix.
pub(super) fn write(request: &mut Vec<u8>, user: &str, path: &str) {
    let mut descriptor = Vec::with_capacity(64);
    for (key, value) in [("user", user), ("path", path)] {
        let mut entry = Vec::with_capacity(32);
        field(&mut entry, 1, key.as_bytes());
        field(&mut entry, 2, value.as_bytes());
        field(&mut descriptor, 1, &entry);
    }
    request.extend_from_slice(&[0; PREFIX]);
    field(request, 1, b"bench");
    field(request, 2, &descriptor);
    let length = u32::try_from(request.len() - PREFIX).unwrap_or(u32::MAX);
    request[1..PREFIX].copy_from_slice(&length.to_be_bytes());
}

/// A field of bytes, shorter than 128.
fn field(message: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    debug_assert!(bytes.len() < 128, "a length of one byte");
    message.extend([number << 3 | 2, u8::try_from(bytes.len()).unwrap_or(u8::MAX)]);
    message.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: u8) -> Vec<u8> {
        [&[0, 0, 0, 0, 2][..], &[0x08, code]].concat()
    }

    fn status(code: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            http::HeaderValue::from_static(code),
        )])
    }

    #[test]
    fn answers_are_told_apart() {
        assert!(verdict(&said(1), &status("0")).unwrap().allowed);
        assert!(!verdict(&said(2), &status("0")).unwrap().allowed);
        assert!(verdict(&[], &status("14")).unwrap().failed);
        for (said, code) in [(said(1), "3"), (said(0), "0"), (vec![], "0")] {
            assert!(verdict(&said, &status(code)).is_err(), "{said:?} {code}");
        }
    }

    #[test]
    fn a_call_has_its_length_before_it() {
        let mut call = Vec::new();
        write(&mut call, "1", "/a");
        let message =
            b"\x0a\x05bench\x12\x17\x0a\x09\x0a\x04user\x12\x011\x0a\x0a\x0a\x04path\x12\x02/a";
        assert_eq!(call[PREFIX..], message[..]);
        assert_eq!(call[..PREFIX], [0, 0, 0, 0, 32]);
    }
}
