//! What the script leaves undone where it can, done again: the difference is what it saves.

use anyhow::{Result, ensure};
use transom_redis::Script;

/// Pieces of `lua/admit.lua`, and what stands there where nothing is saved.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Saving {
    pub(super) without: &'static str,
    changes: &'static [(&'static str, &'static str)],
}

pub(super) const SAVINGS: [Saving; 7] = [
    Saving {
        without: "removes in every admission what has left",
        changes: &[
            ("if minute_gone > 0 then", "if true then"),
            ("if second_gone > 0 then", "if true then"),
        ],
    },
    Saving {
        without: "renews the time to live in every admission",
        changes: &[
            ("or last < minute_half or future then", "or true then"),
            ("or last < second_half or future then", "or true then"),
        ],
    },
    Saving {
        without: "looks for the newest entry, known or not",
        changes: &[("if not last then last =", "if true then last =")],
    },
    Saving {
        without: "reads override and penalty, there or not",
        changes: &[(
            "if some_stand_alone and call('EXISTS', override_key, penalty_key) > 0 then",
            "if true then",
        )],
    },
    Saving {
        without: "asks for each request whether there is an override or a penalty",
        changes: &[("if some_stand_alone and call('EXISTS'", "if call('EXISTS'")],
    },
    Saving {
        without: "builds for each request what few need",
        changes: &[(
            "    if future and not err then\n",
            "    seldom_written(now, stamp, add)\n    if future and not err then\n",
        )],
    },
    Saving {
        without: "replies with integers in place of a text",
        changes: &[(
            "= format(says, minute_used, minute_reset, second_used, second_reset)",
            "= { 1, minute_limit, minute_used, minute_reset, 0, second_limit, second_used, second_reset, \
             0, limits_from, 0 }",
        )],
    },
];

impl Saving {
    /// The text of the script without it.
    ///
    /// # Errors
    ///
    /// The script has not exactly one of each piece.
    pub(super) fn undone(&self) -> Result<String> {
        let mut source = Script::admit().source().to_owned();
        for (piece, instead) in self.changes {
            let found = source.matches(piece).count();
            ensure!(found == 1, "lua/admit.lua has {found} times: {piece}");
            source = source.replace(piece, instead);
        }
        Ok(source)
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
