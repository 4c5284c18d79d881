//! Whether a worker hears of changes at a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The ears are trusted for so long after a question that the server has answered: what it published
/// before it was asked had come by then. So no change stays unheard of for longer.
pub(crate) const TRUSTED_FOR: Duration = Duration::from_millis(100);

/// The ears at one server. Clones are the same ears.
#[derive(Clone, Debug)]
pub(crate) struct Ears(Arc<State>);

#[derive(Debug)]
struct State {
    made: Instant,
    /// How many subscriptions have ended: between two of them something may have been missed.
    subscription: AtomicU64,
    /// When the last question was sent that was answered, in us since `made`; 0: none.
    asked_us: AtomicU64,
}

impl Ears {
    /// Deaf, for now.
    pub(crate) fn new() -> Self {
        let (subscription, asked_us) = (AtomicU64::new(0), AtomicU64::new(0));
        Self(Arc::new(State { made: Instant::now(), subscription, asked_us }))
    }

    /// What was published before `asked` has been heard.
    pub(crate) fn heard_until(&self, asked: Instant) {
        self.0.asked_us.store(self.us(asked).max(1), Ordering::Release);
    }

    /// The subscription has ended.
    pub(crate) fn deafen(&self) {
        self.0.subscription.fetch_add(1, Ordering::AcqRel);
        self.0.asked_us.store(0, Ordering::Release);
    }

    /// The subscription on which every change is heard of now; `None` while some may be missed.
    pub(crate) fn hear(&self, now: Instant) -> Option<u64> {
        // Before the question: one that is answered later belongs to this subscription or to none.
        let subscription = self.0.subscription.load(Ordering::Acquire);
        let asked_us = self.0.asked_us.load(Ordering::Acquire);
        let since_us = self.us(now).saturating_sub(asked_us);
        let trusted = asked_us > 0 && u128::from(since_us) <= TRUSTED_FOR.as_micros();
        trusted.then_some(subscription)
    }

    fn us(&self, at: Instant) -> u64 {
        let us = at.saturating_duration_since(self.0.made).as_micros();
        u64::try_from(us).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_deaf_until_the_server_has_answered_and_when_it_does_not() {
        let (ears, now) = (Ears::new(), Instant::now());
        assert_eq!(ears.hear(now), None);
        ears.heard_until(now);
        assert_eq!(ears.hear(now + TRUSTED_FOR), Some(0));
        assert_eq!(ears.hear(now + TRUSTED_FOR + Duration::from_millis(1)), None);
    }

    #[test]
    fn another_subscription_is_another() {
        let (ears, now) = (Ears::new(), Instant::now());
        ears.heard_until(now);
        ears.deafen();
        assert_eq!(ears.hear(now), None);
        ears.heard_until(now);
        assert_eq!(ears.hear(now), Some(1));
    }
}
