//! One server.

use crate::cell::cells;

cells! {
    "single" Single:
    refuse Refuse,
    reset Reset,
    black_hole BlackHole,
    lost_replies LostReplies,
    latency Latency,
    trickle Trickle,
    stop Stop,
    kill Kill,
    script_flush ScriptFlush,
    loading Loading,
    busy Busy,
    out_of_memory OutOfMemory,
    read_only ReadOnly,
    clock_back ClockBack,
    clock_forward ClockForward,
}
