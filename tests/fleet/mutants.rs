//! The checker is checked: scripts with one rule broken on purpose are driven by several clients
//! at once, against a real Redis in real time, and must each be caught by the rules named here.
//! The script itself passes the same drives.

mod drive;

use Rule::{S1Exact, S2RealTime, S3DenialDue, S4ChargedOnce, S5Hints};
use drive::{Mutant, TICK_US, caught, passes};
use transom_tests::checker::Rule;

/// The decision, the same in the script that checks and in the one that adds.
const FITS: &str = "minute_used + cost <= minute_limit and second_used + cost <= second_limit";
const MEMBER: &str = "\
    local added = pcall('ZADD', key, 'NX', stamp, member)
";
const TAKEN: &str = "if added ~= 0 and added ~= 1 then return added.err end";
const EXPIRY_MS: &str = "= '120000', '2000'";
const RENEWAL: &str = "if second_used + second_gone == 0 or last < second_half or future then";

#[tokio::test]
async fn the_script_itself_passes_every_drive() {
    passes(&[
        Mutant::new("nothing changed", TAKEN, TAKEN),
        Mutant::new("a coarse clock", TAKEN, TAKEN).coarse(),
        Mutant::skewed(&[0, 0, 0, 0]),
    ])
    .await;
}

#[tokio::test]
async fn check_and_add_in_two_calls_are_caught() {
    let adds = Mutant::new("a peek decides", FITS, "true");
    caught(&[adds.after_a_peek().by(&[S1Exact, S2RealTime])]).await;
}

#[tokio::test]
async fn a_limit_off_by_one_is_caught_either_way() {
    let left_out = FITS.replace("cost <=", "1 <=");
    let (minute, second) = FITS.split_once(" and ").expect("two windows");
    caught(&[
        Mutant::new("< for <=", FITS, &FITS.replace("<=", "<")).by(&[S3DenialDue]),
        Mutant::new("one more", FITS, &FITS.replace("limit", "limit + 1")).by(&[S1Exact]),
        Mutant::new("cost left out", FITS, &left_out).by(&[S1Exact]),
        Mutant::new("second left out", FITS, minute).by(&[S1Exact]),
        Mutant::new("minute left out", FITS, second).by(&[S1Exact]),
    ])
    .await;
}

/// With a coarse clock, requests fall on the very edge of a window all the time.
#[tokio::test]
async fn a_window_edge_off_by_one_is_caught_either_way() {
    let since = "format('%d', now - SECOND_US + 1)";
    let gone = "oldest < since and";
    let a_tick_early = format!("oldest < format('%d', since + {TICK_US}) and");
    let trimmed = "'ZREMRANGEBYSCORE', second_key, '-inf', '(' .. second_since";
    let trimmed_early =
        format!("'ZREMRANGEBYSCORE', second_key, '-inf', format('(%d', second_since + {TICK_US})");
    let counted = "'ZCOUNT', key, '-inf', '(' .. since)";
    let shorter = format!("= 60000000, {}", 1_000_000 - TICK_US);
    caught(&[
        Mutant::new("oldest stays at the edge", since, "format('%d', now - SECOND_US)")
            .coarse()
            .by(&[S3DenialDue]),
        Mutant::new(
            "gone without the edge",
            counted,
            "'ZCOUNT', key, '-inf', string.format('(%d', since - 1))",
        )
        .coarse()
        .by(&[S3DenialDue]),
        Mutant::new("oldest leaves early", gone, &a_tick_early).coarse().by(&[S1Exact]),
        Mutant::new("trimmed early", trimmed, &trimmed_early).coarse().by(&[S5Hints]),
        Mutant::new("a shorter second", "= 60000000, 1000000", &shorter).coarse().by(&[S1Exact]),
    ])
    .await;
}

#[tokio::test]
async fn members_that_merge_are_caught() {
    let the_microsecond_alone = "\
    local added = pcall('ZADD', key, stamp, stamp .. '000')
    if added == 0 then added = 1 end
";
    caught(&[Mutant::new("the microsecond alone", MEMBER, the_microsecond_alone)
        .by(&[S1Exact, S4ChargedOnce])])
    .await;
}

#[tokio::test]
async fn an_expiry_that_forgets_what_counts_is_caught() {
    caught(&[
        Mutant::new("half a window", EXPIRY_MS, "= '30000', '500'").by(&[S1Exact]),
        Mutant::new("one window", EXPIRY_MS, "= '60000', '1000'").by(&[S5Hints]),
        Mutant::new("never renewed", RENEWAL, "if second_used + second_gone == 0 then")
            .by(&[S1Exact]),
    ])
    .await;
}

#[tokio::test]
async fn an_expiry_that_is_missing_or_too_long_is_caught() {
    caught(&[
        Mutant::new("none", RENEWAL, "if false then").by_expiry(),
        Mutant::new("three windows", EXPIRY_MS, "= '180000', '3000'").by_expiry(),
    ])
    .await;
}

#[tokio::test]
async fn a_clock_of_each_workers_own_is_caught() {
    caught(&[Mutant::skewed(&[0, 3, -2, 0]).by(&[S2RealTime])]).await;
}

#[tokio::test]
async fn a_request_charged_wrongly_is_caught() {
    caught(&[
        Mutant::new("a denial is charged", "if allowed and not err then", "if not err then")
            .by(&[S3DenialDue, S4ChargedOnce])
            .by_expiry(),
        Mutant::new("charged twice", "units - added", "units - added / 2")
            .by(&[S3DenialDue, S4ChargedOnce]),
        Mutant::new("charged once for any cost", "units - added", "0")
            .by(&[S1Exact, S4ChargedOnce]),
    ])
    .await;
}

#[tokio::test]
async fn a_hint_that_is_wrong_is_caught() {
    caught(&[
        Mutant::new("the wait for one more", "gone + over - 1", "gone + over").by(&[S5Hints]),
        Mutant::new("what was left before", "second_used + cost\n", "second_used\n").by(&[S5Hints]),
        Mutant::new(
            "no reset of the first",
            "if second_used == 0 then second_reset = SECOND_US end",
            "",
        )
        .by(&[S5Hints]),
    ])
    .await;
}
