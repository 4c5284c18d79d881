//! A Redis that answers what a test tells it to: errors and broken replies that a real one gives
//! seldom or never.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What it does when a script is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reaction {
    /// Answers these bytes.
    Reply(String),
    /// Closes the connection without an answer.
    Close,
    /// Does not answer, to this and to what follows on the connection.
    Silence,
}

/// A server on loopback, until this is dropped. It knows no data: `PING`, and `ROLE` as a master;
/// everything else but a script is nil.
#[derive(Debug)]
pub struct FakeRedis {
    /// Where it answers.
    pub address: SocketAddr,
    reaction: Arc<Mutex<Reaction>>,
    accepted: Arc<AtomicUsize>,
    calls: watch::Sender<usize>,
    accepting: JoinHandle<()>,
}

impl FakeRedis {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// If there is no free port.
    pub async fn start(reaction: Reaction) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let reaction = Arc::new(Mutex::new(reaction));
        let accepted = Arc::new(AtomicUsize::new(0));
        let (told, counted) = (Arc::clone(&reaction), Arc::clone(&accepted));
        let calls = watch::Sender::new(0);
        let called = calls.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(stream, Arc::clone(&told), called.clone()));
            }
        });
        Self { address, reaction, accepted, calls, accepting }
    }

    /// Changes what it does from the next call of a script on.
    pub fn react(&self, reaction: Reaction) {
        *self.reaction.lock().unwrap_or_else(PoisonError::into_inner) = reaction;
    }

    /// How many connections were made to it so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Resolves when scripts were called so often.
    pub async fn called(&self, times: usize) {
        // It fails where nobody counts any more, which is not before this ends.
        let _ = self.calls.subscribe().wait_for(|calls| *calls >= times).await;
    }

    /// Its address as a worker is told.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

impl Drop for FakeRedis {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(
    stream: TcpStream,
    reaction: Arc<Mutex<Reaction>>,
    calls: watch::Sender<usize>,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let command = read_command(&mut stream).await?;
        let name = command.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
        let reply = match name.as_slice() {
            b"PING" => "+PONG\r\n".to_owned(),
            b"ROLE" => "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n".to_owned(),
            b"EVAL" | b"EVALSHA" => {
                let told = reaction.lock().unwrap_or_else(PoisonError::into_inner).clone();
                calls.send_modify(|calls| *calls += 1);
                match told {
                    Reaction::Reply(reply) => reply,
                    Reaction::Close => return Ok(()),
                    Reaction::Silence => std::future::pending().await,
                }
            }
            _ => "$-1\r\n".to_owned(),
        };
        stream.get_mut().write_all(reply.as_bytes()).await?;
    }
}

/// An array of bulk strings, which is how clients send commands.
async fn read_command(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<Vec<u8>>> {
    let count = read_length(stream, '*').await?;
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        let mut word = vec![0; read_length(stream, '$').await? + 2];
        stream.read_exact(&mut word).await?;
        word.truncate(word.len() - 2);
        words.push(word);
    }
    Ok(words)
}

async fn read_length(stream: &mut BufReader<TcpStream>, sign: char) -> io::Result<usize> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let length = line.trim_end().strip_prefix(sign).and_then(|digits| digits.parse().ok());
    length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, line))
}
