//! One switch for the whole fleet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::Mode;

/// The mode that an operator has set for every worker, if one has. Clones are one switch.
#[derive(Clone, Debug, Default)]
pub struct FleetMode(Arc<AtomicU8>);

/// The modes, at the place of their number less one; 0 is none.
const MODES: [Mode; 3] = [Mode::Enforce, Mode::Shadow, Mode::Off];

impl FleetMode {
    /// What is set.
    pub fn get(&self) -> Option<Mode> {
        let number = usize::from(self.0.load(Ordering::Relaxed));
        number.checked_sub(1).and_then(|place| MODES.get(place)).copied()
    }

    /// Sets it, or takes it back.
    pub fn set(&self, mode: Option<Mode>) {
        let place = mode.and_then(|mode| MODES.iter().position(|other| *other == mode));
        let number = place.and_then(|place| u8::try_from(place + 1).ok()).unwrap_or(0);
        self.0.store(number, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_was_set() {
        let mode = FleetMode::default();
        let same = mode.clone();
        assert_eq!(mode.get(), None);
        for set in [Some(Mode::Enforce), Some(Mode::Shadow), Some(Mode::Off), None] {
            mode.set(set);
            assert_eq!(same.get(), set);
        }
    }
}
