//! Makes inputs out of those that are kept.

/// The longest input that is made, in bytes.
const BYTES_MAX: usize = 16 * 1024;

/// Makes one input after the other.
pub(crate) struct Mutator {
    corpus: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
}

impl Mutator {
    pub(crate) fn new(corpus: Vec<Vec<u8>>, words: Vec<Vec<u8>>) -> Self {
        Self { corpus, words }
    }

    /// Now and then random bytes; else an input of the corpus with up to eight changes.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        if fastrand::u8(..20) == 0 {
            return (0..fastrand::usize(..256)).map(|_| fastrand::u8(..)).collect();
        }
        let mut input = pick(&self.corpus).to_vec();
        for _ in 0..fastrand::usize(1..=8) {
            self.change(&mut input);
        }
        input.truncate(BYTES_MAX);
        input
    }

    fn change(&self, input: &mut Vec<u8>) {
        let at = fastrand::usize(..=input.len());
        let end = (at + fastrand::usize(..=16)).min(input.len());
        match fastrand::u8(..9) {
            0 => input.truncate(at),
            1 => drop(input.drain(at..end)),
            2 => input.insert(at, fastrand::u8(..)),
            3 => input.extend_from_within(at..end),
            4 => insert(input, at..end, pick(&self.words)),
            5 | 6 => insert(input, at..at, pick(&self.words)),
            7 => {
                let other = pick(&self.corpus);
                let from = fastrand::usize(..=other.len());
                let to = (from + fastrand::usize(..=64)).min(other.len());
                insert(input, at..end, &other[from..to]);
            }
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    // A neighbour in ASCII, or any other.
                    *byte = if fastrand::bool() {
                        *byte ^ (1 << fastrand::u8(..8))
                    } else {
                        fastrand::u8(..)
                    };
                }
            }
        }
    }
}

fn insert(input: &mut Vec<u8>, place: std::ops::Range<usize>, bytes: &[u8]) {
    input.splice(place, bytes.iter().copied());
}

fn pick(of: &[Vec<u8>]) -> &[u8] {
    &of[fastrand::usize(..of.len())]
}
