//! The two directions of one connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::sleep;

use super::{Inner, Mode, Way};

/// Read at a time.
const PIECE: usize = 16 * 1_024;

/// How a direction ends.
enum End {
    /// Both ends of the connection are closed as they should be.
    Close,
    /// The client gets a reset.
    Reset,
}

/// Carries a connection to its end.
pub(super) async fn both_ways(
    mut client: TcpStream,
    mut server: TcpStream,
    modes: watch::Receiver<Mode>,
    inner: &Inner,
) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let meant = AtomicBool::new(false);
    let end = {
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let pump = |way| {
            let modes = modes.clone();
            Pump { way, modes, meant: &meant, inner, passed: 0, lost: false }
        };
        tokio::select! {
            end = pump(Way::Requests).run(from_client, to_server) => end,
            end = pump(Way::Replies).run(from_server, to_client) => end,
        }
    };
    if matches!(end, End::Reset) {
        reset(&client);
    }
}

/// Makes the close of a connection a reset.
pub(super) fn reset(client: &TcpStream) {
    let _ = client.set_zero_linger();
}

struct Pump<'a> {
    way: Way,
    modes: watch::Receiver<Mode>,
    /// The last request is one whose reply is to be taken.
    meant: &'a AtomicBool,
    inner: &'a Inner,
    passed: u64,
    /// Something was lost this way, so nothing that follows can arrive.
    lost: bool,
}

impl Pump<'_> {
    async fn run(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> End {
        let mut piece = vec![0; PIECE];
        loop {
            let mode = *self.modes.borrow_and_update();
            match mode {
                Mode::Reset | Mode::Refuse => return End::Reset,
                Mode::HalfClose if self.way == Way::Replies => {
                    let _ = to.shutdown().await;
                }
                _ => {}
            }
            let length = tokio::select! {
                read = from.read(&mut piece) => read.unwrap_or(0),
                changed = self.modes.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return End::Close,
                },
            };
            if length == 0 {
                return End::Close;
            }
            let mode = *self.modes.borrow();
            if let Some(end) = self.pass(&piece[..length], mode, &mut to).await {
                return end;
            }
        }
    }

    /// Does with a piece what the mode says; `Some` ends the connection.
    async fn pass(&mut self, piece: &[u8], mode: Mode, to: &mut WriteHalf<'_>) -> Option<End> {
        let replies = self.way == Way::Replies;
        match mode {
            Mode::BlackHole(way) if way == Way::Both || way == self.way => {
                self.lost = true;
            }
            _ if self.lost => {}
            Mode::HalfClose if replies => {}
            Mode::Reset | Mode::Refuse => return Some(End::Reset),
            Mode::ResetReply { to: meant, .. } if !replies => {
                let found = piece.windows(meant.len()).any(|part| part == meant);
                self.meant.store(found, Ordering::Relaxed);
                return self.write(piece, to).await;
            }
            Mode::ResetReply { one_in, .. } => {
                let meant = self.meant.load(Ordering::Relaxed);
                if meant && fastrand::u32(..one_in) == 0 {
                    self.inner.resets.fetch_add(1, Ordering::Relaxed);
                    return Some(End::Reset);
                }
                return self.write(piece, to).await;
            }
            Mode::Late { least, jitter } if replies => {
                sleep(least + jitter * fastrand::u32(..=100) / 100).await;
                return self.write(piece, to).await;
            }
            Mode::Trickle { bytes_per_s } if replies => {
                return self.trickle(piece, bytes_per_s, to).await;
            }
            Mode::CloseAfter { bytes } if replies => {
                let left = usize::try_from(bytes.saturating_sub(self.passed)).unwrap_or(usize::MAX);
                let end = self.write(&piece[..left.min(piece.len())], to).await;
                return end.or((left <= piece.len()).then_some(End::Close));
            }
            _ => return self.write(piece, to).await,
        }
        None
    }

    /// A byte at a time, until the mode is another; then the rest at once.
    async fn trickle(&mut self, piece: &[u8], per_s: u32, to: &mut WriteHalf<'_>) -> Option<End> {
        for (place, byte) in piece.iter().enumerate() {
            tokio::select! {
                () = sleep(Duration::from_secs(1) / per_s.max(1)) => {}
                _ = self.modes.changed() => return self.write(&piece[place..], to).await,
            }
            if let Some(end) = self.write(&[*byte], to).await {
                return Some(end);
            }
        }
        None
    }

    async fn write(&mut self, piece: &[u8], to: &mut WriteHalf<'_>) -> Option<End> {
        self.passed += piece.len() as u64;
        self.inner.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
        to.write_all(piece).await.err().map(|_| End::Close)
    }
}
