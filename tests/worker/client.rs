//! A client of HTTP/1.1 that sends what it is told, byte for byte, on a connection of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// How long an exchange may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The fields of every response to a request that was decided.
pub(crate) const DECIDED: [&str; 6] = [
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-limit-second",
    "x-ratelimit-remaining-second",
    "x-ratelimit-reset",
    "x-ratelimit-limited-by",
];

/// A response, and how to read it.
pub(crate) type Reply = Response<String>;

/// `GET` without further fields.
pub(crate) async fn get(address: SocketAddr, target: &str) -> Reply {
    send(address, "GET", target, &[], "").await
}

/// A request with these lines in its head, as they stand.
pub(crate) async fn send(
    address: SocketAddr,
    method: &str,
    target: &str,
    lines: &[&[u8]],
    body: &str,
) -> Reply {
    send_from(Ipv4Addr::LOCALHOST, address, method, target, lines, body).await
}

/// The same from another address of this machine, such as 127.0.0.2.
pub(crate) async fn send_from(
    source: Ipv4Addr,
    address: SocketAddr,
    method: &str,
    target: &str,
    lines: &[&[u8]],
    body: &str,
) -> Reply {
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\n").into_bytes();
    for line in lines {
        request.extend_from_slice(line);
        request.extend_from_slice(b"\r\n");
    }
    let length = if body.is_empty() { String::new() } else { content_length(body) };
    request.extend_from_slice(format!("{length}Connection: close\r\n\r\n{body}").as_bytes());
    let answered = timeout(PATIENCE, exchange(source, address, &request)).await;
    let (head_only, bytes) = (method == "HEAD", answered.expect("an answer in time"));
    read(&bytes.expect("a connection that does not break"), head_only)
}

/// Sends what it is given, and returns all that comes back.
pub(crate) async fn raw(address: SocketAddr, request: &[u8]) -> String {
    let answered = timeout(PATIENCE, exchange(Ipv4Addr::LOCALHOST, address, request)).await;
    let bytes = answered.expect("an answer in time").expect("a connection that does not break");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Asks the check listener for a decision.
pub(crate) async fn decide(check: SocketAddr, asked: &Value) -> Value {
    let reply = send(check, "POST", "/v1/decide", &[], &asked.to_string()).await;
    assert_eq!(reply.status(), 200, "{}", reply.body());
    serde_json::from_str(reply.body()).expect("an answer in JSON")
}

/// How many units an identity has left in the minute under a policy that matches `path`.
pub(crate) async fn left(check: SocketAddr, identity: &str, path: &str) -> u64 {
    let asked = json!({"identity": identity, "path": path, "peek": true});
    let answer = decide(check, &asked).await;
    answer["minute"]["remaining"].as_u64().unwrap_or_else(|| panic!("no decision: {answer}"))
}

/// The number in a field.
pub(crate) fn number(reply: &Reply, field: &str) -> u64 {
    let value = reply.headers().get(field);
    let number = value.and_then(|value| value.to_str().ok()?.parse().ok());
    number.unwrap_or_else(|| panic!("{field} is {value:?} in {reply:?}"))
}

/// Whether a response has all the fields of one that was decided, or none.
pub(crate) fn is_decided(reply: &Reply) -> bool {
    let there = DECIDED.iter().filter(|field| reply.headers().contains_key(**field)).count();
    assert!([0, DECIDED.len()].contains(&there), "some fields without the others: {reply:?}");
    there > 0
}

fn content_length(body: &str) -> String {
    format!("Content-Length: {}\r\n", body.len())
}

async fn exchange(
    source: Ipv4Addr,
    address: SocketAddr,
    request: &[u8],
) -> std::io::Result<Vec<u8>> {
    let mut stream = if source == Ipv4Addr::LOCALHOST {
        TcpStream::connect(address).await?
    } else {
        let socket = TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        socket.connect(address).await?
    };
    stream.write_all(request).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// Reads a response that ends with its connection.
fn read(bytes: &[u8], head_only: bool) -> Reply {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse::<u16>().ok());
    let status = status.unwrap_or_else(|| panic!("no status: {text:?}"));
    let mut fields = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a field");
        let name: HeaderName = name.parse().expect("the name of a field");
        fields.append(name, HeaderValue::from_str(value).expect("the value of a field"));
    }
    assert!(!fields.contains_key("transfer-encoding"), "this client reads no chunks: {text:?}");
    let length = fields.get("content-length").map(|length| length.to_str().expect("a number"));
    assert!(
        head_only || length.is_none_or(|length| length == body.len().to_string()),
        "a body that is not as long as it says: {text:?}"
    );
    let mut reply = Response::builder().status(status).body(body.to_owned()).expect("a response");
    *reply.headers_mut() = fields;
    reply
}
