//! A master that sentinels watch.

use crate::cell::cells;

cells! {
    "sentinel" Sentinel:
    failover Failover,
    kill Kill,
    stop Stop,
    refuse Refuse,
    black_hole BlackHole,
    script_flush ScriptFlush,
}
