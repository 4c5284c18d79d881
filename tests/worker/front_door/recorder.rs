//! An upstream that writes down every byte it gets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// What an upstream does with a request whose head has come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Manner {
    /// Answers 200 and closes, when the body has come.
    Answer,
    /// Answers 200 as soon as the head has come, and goes on taking the body.
    Early,
    /// Answers 200, the body a little after the head; the connection stays.
    Halting,
    /// Sends a response that has no end.
    Endless,
    /// Never answers.
    Silent,
    /// Agrees to change the protocol, and sends back what comes.
    Tunnel,
}

#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) address: SocketAddr,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    serving: JoinHandle<()>,
}

impl Recorder {
    pub(super) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its number");
        let heard = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let noted = Arc::clone(&heard);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let place = {
                    let mut heard = noted.lock().expect("a lock");
                    heard.push(Vec::new());
                    heard.len() - 1
                };
                tokio::spawn(serve(stream, manner, Arc::clone(&noted), place));
            }
        });
        Self { address, heard, serving }
    }

    /// What came over each connection, for the healthy client's requests left out.
    pub(super) fn heard(&self) -> Vec<String> {
        let heard = self.heard.lock().expect("a lock");
        let text = heard.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        text.filter(|text| !text.contains(" /healthy ") && !text.is_empty()).collect()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    manner: Manner,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    place: usize,
) {
    let mut request = Vec::new();
    while !is_whole(&request) {
        match stream.read_buf(&mut request).await {
            Ok(0) | Err(_) => break,
            Ok(_) => heard.lock().expect("a lock")[place] = request.clone(),
        }
        if matches!(manner, Manner::Early) && request.ends_with(b"\r\n\r\n") {
            let _ended = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
    }
    if !is_whole(&request) {
        return;
    }
    let healthy = String::from_utf8_lossy(&request).contains(" /healthy ");
    let manner = if healthy { Manner::Answer } else { manner };
    let _ended = answer(&mut stream, manner).await;
}

async fn answer(stream: &mut TcpStream, manner: Manner) -> std::io::Result<()> {
    match manner {
        Manner::Answer => {
            let response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
            stream.write_all(response).await
        }
        Manner::Halting => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").await?;
            sleep(Duration::from_millis(100)).await;
            stream.write_all(b"ok").await?;
            stream.read_to_end(&mut Vec::new()).await.map(drop)
        }
        Manner::Silent | Manner::Early => stream.read_to_end(&mut Vec::new()).await.map(drop),
        Manner::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").await?;
            loop {
                stream.write_all(&[b'x'; 16 * 1024]).await?;
            }
        }
        Manner::Tunnel => {
            let response = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
                             Upgrade: echo\r\n\r\n";
            stream.write_all(response).await?;
            let (mut reads, mut writes) = stream.split();
            tokio::io::copy(&mut reads, &mut writes).await.map(drop)
        }
    }
}

/// Whether a request has all come, its body included.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    if head.contains("transfer-encoding: chunked") {
        return body.starts_with("0\r\n") || body.contains("\r\n0\r\n");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}
