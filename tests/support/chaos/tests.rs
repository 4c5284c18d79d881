//! Each mode on a plain echo.

use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::*;

/// Longer than anything takes that does come.
const PATIENCE: Duration = Duration::from_secs(10);
/// What has not come by then is not coming.
const SILENCE: Duration = Duration::from_millis(150);

async fn echo() -> Chaos {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                tokio::io::copy(&mut reader, &mut writer).await
            });
        }
    });
    Chaos::start(address).await
}

async fn client(proxy: &Chaos) -> TcpStream {
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    assert_eq!(says(&mut client, b"hello").await.unwrap(), b"hello");
    client
}

/// Sends, and reads as many bytes back; fewer where the connection ends.
async fn says(client: &mut TcpStream, what: &[u8]) -> std::io::Result<Vec<u8>> {
    client.write_all(what).await?;
    reads(client, what.len()).await
}

async fn reads(client: &mut TcpStream, length: usize) -> std::io::Result<Vec<u8>> {
    let mut got = Vec::new();
    let mut answer = client.take(length as u64);
    timeout(PATIENCE, answer.read_to_end(&mut got)).await.expect("an answer or an end")?;
    Ok(got)
}

async fn is_silent(client: &mut TcpStream) {
    client.write_all(b"anybody?").await.unwrap();
    let read = timeout(SILENCE, client.read(&mut [0; 8])).await;
    assert!(read.is_err(), "{read:?}");
}

fn is_reset(result: std::io::Result<Vec<u8>>) {
    assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn what_passes_is_counted() {
    let proxy = echo().await;
    let started = Instant::now();
    let mut one = client(&proxy).await;
    let two = client(&proxy).await;
    assert_eq!(says(&mut one, &[7; 100_000]).await.unwrap(), [7; 100_000]);
    assert_eq!((proxy.open(), proxy.most_open(), proxy.bytes()), (2, 2, 200_020));
    assert_eq!(proxy.accepts_since(started).iter().sum::<usize>(), 2);
    assert!(proxy.accepts_since(Instant::now()).is_empty());
    drop((one, two));
    while proxy.open() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(proxy.most_open(), 2);
}

#[tokio::test]
async fn late_replies_are_late_and_whole() {
    let proxy = echo().await;
    let mut client = client(&proxy).await;
    let least = Duration::from_millis(80);
    proxy.set(Mode::Late { least, jitter: Duration::from_millis(20) }, Which::All).await;
    let asked = Instant::now();
    assert_eq!(says(&mut client, b"late").await.unwrap(), b"late");
    assert!(asked.elapsed() >= least);
}

#[tokio::test]
async fn a_black_hole_takes_connections_and_what_they_say_and_gives_nothing() {
    let proxy = echo().await;
    let mut old = client(&proxy).await;
    proxy.set(Mode::BlackHole(Way::Both), Which::All).await;
    let mut new = TcpStream::connect(proxy.address).await.unwrap();
    is_silent(&mut old).await;
    is_silent(&mut new).await;
    proxy.set(Mode::Pass, Which::All).await;
    is_silent(&mut old).await;
    client(&proxy).await;
}

#[tokio::test]
async fn a_black_hole_may_be_one_way() {
    for way in [Way::Requests, Way::Replies] {
        let proxy = echo().await;
        let mut client = client(&proxy).await;
        let before = proxy.bytes();
        proxy.set(Mode::BlackHole(way), Which::All).await;
        is_silent(&mut client).await;
        let through = if way == Way::Requests { 0 } else { 8 };
        assert_eq!(proxy.bytes() - before, through, "{way:?}");
    }
}

#[tokio::test]
async fn a_closed_port_refuses_resets_what_is_open_and_opens_again() {
    let proxy = echo().await;
    for _ in 0..3 {
        let mut old = client(&proxy).await;
        proxy.set(Mode::Refuse, Which::All).await;
        let refused = TcpStream::connect(proxy.address).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        is_reset(reads(&mut old, 1).await);
        proxy.set(Mode::Pass, Which::All).await;
        client(&proxy).await;
    }
}

#[tokio::test]
async fn a_reset_is_one() {
    let proxy = echo().await;
    let mut client = client(&proxy).await;
    proxy.set(Mode::Reset, Which::Open).await;
    is_reset(reads(&mut client, 1).await);
}

#[tokio::test]
async fn a_reset_may_take_the_reply_to_a_request_that_was_carried_out() {
    let proxy = echo().await;
    let mut client = client(&proxy).await;
    proxy.set(Mode::ResetReply { to: b"DO", one_in: 1 }, Which::All).await;
    assert_eq!(says(&mut client, b"see").await.unwrap(), b"see");
    let before = proxy.bytes();
    is_reset(says(&mut client, b"DO it").await);
    assert_eq!((proxy.bytes() - before, proxy.resets()), (5, 1), "the request went through");
}

#[tokio::test]
async fn a_trickle_comes_byte_by_byte_and_ends_with_its_mode() {
    let proxy = echo().await;
    let mut client = client(&proxy).await;
    proxy.set(Mode::Trickle { bytes_per_s: 50 }, Which::All).await;
    let asked = Instant::now();
    assert_eq!(says(&mut client, b"drips").await.unwrap(), b"drips");
    assert!(asked.elapsed() >= Duration::from_millis(100));
    proxy.set(Mode::Trickle { bytes_per_s: 1 }, Which::All).await;
    client.write_all(&[1; 1_000]).await.unwrap();
    tokio::time::sleep(SILENCE).await;
    proxy.set(Mode::Pass, Which::All).await;
    assert_eq!(reads(&mut client, 1_000).await.unwrap().len(), 1_000);
}

#[tokio::test]
async fn a_half_closed_connection_ends_for_the_client_and_takes_what_it_sends() {
    let proxy = echo().await;
    let mut client = client(&proxy).await;
    proxy.set(Mode::HalfClose, Which::All).await;
    assert_eq!(reads(&mut client, 1).await.unwrap(), b"");
    let before = proxy.bytes();
    client.write_all(b"still there").await.unwrap();
    let asked = Instant::now();
    while proxy.bytes() == before {
        assert!(asked.elapsed() < PATIENCE, "what was sent did not go on");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_connection_may_end_after_so_many_bytes() {
    let proxy = echo().await;
    proxy.set(Mode::CloseAfter { bytes: 8 }, Which::New).await;
    let mut client = client(&proxy).await;
    assert_eq!(says(&mut client, b"goodbye").await.unwrap(), b"goo");
}

#[tokio::test]
async fn old_and_new_connections_may_be_treated_apart() {
    let proxy = echo().await;
    let mut old = client(&proxy).await;
    proxy.set(Mode::BlackHole(Way::Both), Which::Open).await;
    client(&proxy).await;
    is_silent(&mut old).await;

    let proxy = echo().await;
    let mut old = client(&proxy).await;
    proxy.set(Mode::BlackHole(Way::Both), Which::New).await;
    assert_eq!(says(&mut old, b"old").await.unwrap(), b"old");
    is_silent(&mut TcpStream::connect(proxy.address).await.unwrap()).await;
}
