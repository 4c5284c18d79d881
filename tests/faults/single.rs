//! One server.

use crate::cell::run;
use crate::fault::Fault;

/// One test for each fault, and the names of their rows.
macro_rules! cells {
    ($($name:ident $fault:ident,)*) => {
        /// The rows of this file.
        pub(crate) const ROWS: &[&str] = &[$(concat!("single::", stringify!($name))),*];

        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                run(concat!("single::", stringify!($name)), Fault::$fault).await;
            }
        )*
    };
}

cells! {
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
