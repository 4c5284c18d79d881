//! Hears of what operators change: each server publishes it, and a worker subscribes to each.
//!
//! A subscription that has died in silence looks like peace, so the server is asked for a sign of
//! life all the time; the [`Ears`] are trusted for a moment after each answer. A subscription lasts
//! as long as the connection for what is not a decision does, which is left when the server is no
//! primary any more.

use std::pin::pin;
use std::time::Duration;

use futures_util::{FutureExt as _, Stream, StreamExt as _};
use redis::aio::PubSubSink;
use redis::{Msg, RedisError};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::connection::Shared;
use crate::denials::Denials;
use crate::ears::Ears;
use crate::metrics::ChangesMetrics;
use crate::primary::Primary;

/// The server is asked for a sign of life this often.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// One that gives none for so long has lost its subscriber.
const SILENT_AFTER: Duration = Duration::from_millis(250);
/// The longest pause before another attempt, and the one after a refusal.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(2)];

/// What a worker does when it hears of a change, and where it listens.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    /// `PREFIX:changes`.
    pub(crate) channel: String,
    pub(crate) denials: Denials,
    pub(crate) metrics: ChangesMetrics,
}

/// Why changes are not heard of.
enum Deaf {
    /// There is no connection, or none any more.
    Lost,
    /// The server does not take a subscription.
    Refused(RedisError),
}

impl Listener {
    /// Listens at a server, until what is returned is dropped.
    pub(crate) fn start(self, primary: Primary, control: Shared, ears: Ears) -> JoinSet<()> {
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            let mut complained = false;
            loop {
                let [mut pause, long] = PAUSES;
                if control.get().await.is_ok() {
                    let end = tokio::select! {
                        () = control.lost() => Deaf::Lost,
                        end = self.listen(&primary, &ears) => end,
                    };
                    match end {
                        Deaf::Refused(error) => {
                            pause = long;
                            if !std::mem::replace(&mut complained, true) {
                                let reason = error.to_string();
                                tracing::warn!(reason, "changes are not heard of");
                            }
                        }
                        Deaf::Lost => complained = false,
                    }
                }
                sleep(pause * fastrand::u32(20..=100) / 100).await;
            }
        });
        listening
    }

    /// Subscribes and listens until that is over.
    async fn listen(&self, primary: &Primary, ears: &Ears) -> Deaf {
        let Ok(mut connection) = primary.subscriber().await else { return Deaf::Lost };
        match timeout(SILENT_AFTER, connection.subscribe(&self.channel)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) if error.code().is_some() => return Deaf::Refused(error),
            _ => return Deaf::Lost,
        }
        let (mut server, messages) = connection.split();
        let mut messages = pin!(messages);
        let _subscribed = Subscribed::new(ears, &self.metrics);
        loop {
            let asked = Instant::now();
            let answered = self.until(ping(&mut server), &mut messages).await;
            let Some(Some(())) = answered else { return Deaf::Lost };
            ears.heard_until(asked.into_std());
            if self.until(sleep_until(asked + ASK_EVERY), &mut messages).await.is_none() {
                return Deaf::Lost;
            }
        }
    }

    /// Hears of changes until something else is done, those included that came before it. `None`
    /// where no more will come.
    async fn until<T>(
        &self,
        done: impl Future<Output = T>,
        messages: &mut (impl Stream<Item = Msg> + Unpin),
    ) -> Option<T> {
        let mut done = pin!(done);
        let done = loop {
            tokio::select! {
                message = messages.next() => self.heard(message)?,
                done = &mut done => break done,
            }
        };
        while let Some(message) = messages.next().now_or_never() {
            self.heard(message)?;
        }
        Some(done)
    }

    fn heard(&self, message: Option<Msg>) -> Option<()> {
        message.map(|_| self.denials.forget())
    }
}

/// A sign of life, if it comes in time.
async fn ping(server: &mut PubSubSink) -> Option<()> {
    let answer = timeout(SILENT_AFTER, server.ping::<redis::Value>()).await;
    answer.ok()?.ok().map(drop)
}

/// A subscription that stands; the ears are deaf when it ends, however it does.
struct Subscribed<'a>(&'a Ears, &'a ChangesMetrics);

impl<'a> Subscribed<'a> {
    fn new(ears: &'a Ears, metrics: &'a ChangesMetrics) -> Self {
        metrics.heard.increment(1);
        Self(ears, metrics)
    }
}

impl Drop for Subscribed<'_> {
    fn drop(&mut self) {
        self.0.deafen();
        self.1.heard.decrement(1);
    }
}
