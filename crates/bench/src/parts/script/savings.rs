//! What the script leaves undone where it can, done again: the difference is what it saves.

use anyhow::{Result, ensure};
use transom_redis::Script;

/// A line of `lua/admit.lua`, and what stands there where nothing is saved.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Saving {
    pub(super) without: &'static str,
    line: &'static str,
    instead: &'static str,
}

pub(super) const SAVINGS: [Saving; 4] = [
    Saving {
        without: "removes in every admission what has left",
        line: "if log.gone > 0 then call('ZREMRANGEBYSCORE'",
        instead: "if true then call('ZREMRANGEBYSCORE'",
    },
    Saving {
        without: "renews the time to live in every admission",
        line: "if log.newest < now - now % (log.length / 2) then expire(log) end",
        instead: "expire(log)",
    },
    Saving {
        without: "looks for the newest entry in both logs",
        line: "last = other and other.last or call('ZRANGE', key, '-1', '-1')[1]",
        instead: "last = call('ZRANGE', key, '-1', '-1')[1]",
    },
    Saving {
        without: "reads override and penalty, there or not",
        line: "if call('EXISTS', override_key, penalty_key) > 0 then",
        instead: "if true then",
    },
];

impl Saving {
    /// The text of the script without it.
    ///
    /// # Errors
    ///
    /// The script has not exactly one such line.
    pub(super) fn undone(&self) -> Result<String> {
        let admit = Script::admit();
        let found = admit.source().matches(self.line).count();
        ensure!(found == 1, "lua/admit.lua has {found} times: {}", self.line);
        Ok(admit.source().replace(self.line, self.instead))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_in_the_script() {
        for saving in &SAVINGS {
            assert_ne!(saving.undone().unwrap(), Script::admit().source());
        }
    }
}
