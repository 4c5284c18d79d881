//! What hashes and stream entries say, in the words of core. What cannot be read is left out:
//! the script refuses it for the request that meets it, and `transom doctor` names it.

use std::collections::{BTreeMap, HashMap};

use redis::streams::StreamId;
use transom_core::{Block, Change, Identity, Limits, Note, Override, Penalty, Scope};

type Fields = HashMap<String, String>;

/// The overrides of a hash that `lua/override.lua` has written.
pub(super) fn overrides(fields: &Fields) -> BTreeMap<Scope, Override> {
    let scopes = fields.keys().filter_map(|field| field.strip_suffix(":until_us"));
    scopes.filter_map(|scope| Some((scope.parse().ok()?, one_override(fields, scope)?))).collect()
}

fn one_override(fields: &Fields, scope: &str) -> Option<Override> {
    let field = |name: &str| fields.get(&format!("{scope}:{name}"));
    let number = |name: &str| field(name)?.parse::<u64>().ok();
    let units = |name: &str| field(name)?.parse::<u32>().ok();
    let text = |name: &str| field(name).cloned().unwrap_or_default();
    Some(Override {
        limits: Limits { minute: units("minute")?, second: units("second")? },
        until_us: Some(number("until_us")?).filter(|until_us| *until_us > 0),
        at_us: number("at_us").unwrap_or(0),
        note: Note { by: text("by"), reason: text("reason") },
    })
}

/// The penalty of a hash that `lua/admit.lua` or `lua/block.lua` has written.
pub(super) fn penalty(fields: &Fields) -> Penalty {
    let number = |name: &str| fields.get(name)?.parse::<u64>().ok();
    let count = |name: &str| fields.get(name).and_then(|text| text.parse().ok()).unwrap_or(0);
    let text = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let block = number("until_us").map(|until_us| Block {
        until_us: Some(until_us).filter(|until_us| *until_us > 0),
        at_us: number("at_us").unwrap_or(0),
        note: Note { by: text("by"), reason: text("reason") },
    });
    Penalty {
        strikes: count("strikes"),
        since_us: number("since_us").unwrap_or(0),
        blocks: count("blocks"),
        block,
        forget_at_us: number("forget_at_us").unwrap_or(0),
    }
}

/// Whose hash it is; a key names an identity in full only if it is not too long.
pub(super) fn identity(fields: &Fields) -> Option<Identity> {
    // 128 bits: what is on record was cut when it was made.
    Identity::parse(fields.get("identity")?, 128).ok()
}

/// A change as the fields of an entry.
pub(super) fn fields(change: &Change) -> [(&'static str, &str); 5] {
    let Change { action, target, detail, note: Note { by, reason }, .. } = change;
    [("action", action), ("target", target), ("detail", detail), ("by", by), ("reason", reason)]
}

/// A change out of an entry, whose id begins with its time in ms.
pub(super) fn change(entry: &StreamId) -> Change {
    let text = |name: &str| entry.get::<String>(name).unwrap_or_default();
    let at_ms = entry.id.split('-').next().and_then(|ms| ms.parse().ok());
    Change {
        at_ms: at_ms.unwrap_or(0),
        action: text("action"),
        target: text("target"),
        detail: text("detail"),
        note: Note { by: text("by"), reason: text("reason") },
    }
}
