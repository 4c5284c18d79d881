//! S3 and S5: no denial that was not due, no number that the log contradicts.

use transom_core::Window;

use super::KeyLog;
use super::record::{Decided, ToldWindow};
use super::report::{Findings, Rule};

/// The admission time of every unit charged so far, and how many of them have left each window.
#[derive(Default)]
struct History {
    times: Vec<u64>,
    gone: [usize; 2],
}

/// Goes through the decisions in order, those of one microsecond together.
pub(super) fn just_and_honest(log: &KeyLog<'_>, findings: &mut Findings) {
    let first_unknown_ns = log.unknown.iter().map(|record| record.sent_ns).min();
    let mut history = History::default();
    for instant in log.decided.chunk_by(|a, b| a.told.at_us == b.told.at_us) {
        history.advance(instant[0].told.at_us);
        // How many units the log may have held when something that left it alone was decided.
        let mut lengths = vec![history.times.len()];
        for entry in instant.iter().filter(|entry| entry.charged() > 0) {
            history.charge(entry);
            lengths.push(history.times.len());
            let clear = first_unknown_ns.is_none_or(|sent_ns| sent_ns > entry.record.received_ns);
            if clear && !history.agrees(entry, history.times.len()) {
                findings.add(Rule::S5Hints, log.key, history.contradiction(entry));
            }
        }
        for entry in instant.iter().filter(|entry| entry.charged() == 0) {
            let unseen = log.unseen(entry.record.received_ns);
            if !entry.told.allowed && !history.due(entry, unseen) {
                findings.add(Rule::S3DenialDue, log.key, history.contradiction(entry));
            }
            let clear = entry.told.source.stands_for_redis() && unseen == 0;
            if clear && !lengths.iter().any(|length| history.agrees(entry, *length)) {
                findings.add(Rule::S5Hints, log.key, history.contradiction(entry));
            }
        }
    }
}

impl History {
    /// Lets what is a window old leave.
    fn advance(&mut self, now_us: u64) {
        for window in Window::ALL {
            let gone = &mut self.gone[window as usize];
            while self.times.get(*gone).is_some_and(|at| now_us - at >= window.length_us()) {
                *gone += 1;
            }
        }
    }

    fn charge(&mut self, entry: &Decided<'_>) {
        self.times.extend(std::iter::repeat_n(entry.told.at_us, entry.charged() as usize));
    }

    /// Units that count in a window when the log holds `length` of them.
    fn used(&self, window: Window, length: usize) -> u64 {
        length.saturating_sub(self.gone[window as usize]) as u64
    }

    /// Whether a window was full for a denied request, all that happened in its microsecond
    /// taken as earlier.
    fn due(&self, denied: &Decided<'_>, unseen: u64) -> bool {
        let cost = u64::from(denied.record.cost);
        let length = self.times.len();
        Window::ALL.iter().any(|w| self.used(*w, length) + unseen + cost > denied.limit(*w))
    }

    /// Whether everything told is what a log of `length` units says.
    fn agrees(&self, entry: &Decided<'_>, length: usize) -> bool {
        let told = entry.told;
        let up = |us: u64| us.next_multiple_of(told.grain_us);
        let wait_us = self.wait_us(entry, length);
        told.retry_after_us == (!told.allowed).then(|| up(wait_us))
            && told.allowed == (entry.charged() > 0 || wait_us == 0)
            && Window::ALL.iter().all(|window| {
                let ToldWindow { limit, remaining, reset_us } = told.windows[*window as usize];
                let left = u64::from(limit).saturating_sub(self.used(*window, length));
                u64::from(remaining) == left
                    && reset_us == up(self.reset_us(*window, told.at_us, length))
            })
    }

    /// Until the oldest unit leaves; 0 if there is none.
    fn reset_us(&self, window: Window, now_us: u64, length: usize) -> u64 {
        let counted = self.times.get(self.gone[window as usize]..length);
        counted.and_then(<[u64]>::first).map_or(0, |at_us| at_us + window.length_us() - now_us)
    }

    /// Until a request that was not charged would fit both windows.
    fn wait_us(&self, entry: &Decided<'_>, length: usize) -> u64 {
        let cost = u64::from(entry.record.cost);
        let wait = |window: Window| {
            let limit = entry.limit(window);
            let over = (self.used(window, length) + cost).saturating_sub(limit);
            if over == 0 {
                return 0;
            }
            if cost > limit {
                return window.length_us();
            }
            // The cost is within the limit, so no more has to leave than the window holds.
            let over = usize::try_from(over).expect("no more units than a vector holds");
            let leaving_us = self.times[self.gone[window as usize] + over - 1];
            leaving_us + window.length_us() - entry.told.at_us
        };
        wait(Window::Minute).max(wait(Window::Second))
    }

    fn contradiction(&self, entry: &Decided<'_>) -> String {
        let length = self.times.len();
        let [minute, second] = Window::ALL.map(|window| self.used(window, length));
        format!(
            "worker {} cost {}: told {:?}, where the log holds at most {minute} and {second}",
            entry.record.worker, entry.record.cost, entry.told
        )
    }
}
