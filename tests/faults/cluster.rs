//! A cluster, whose first shard is broken.

use crate::cell::cells;

cells! {
    "cluster" Cluster:
    failover Failover,
    kill Kill,
    stop Stop,
    black_hole BlackHole,
    script_flush ScriptFlush,
}
