//! The checker is checked: scripts with one rule broken on purpose are driven by several clients
//! at once, against a real Redis in real time, and must each be caught by the rules named here.
//! The script itself passes the same drives.

mod drive;

use Rule::{S1Exact, S2RealTime, S3DenialDue, S4ChargedOnce, S5Hints};
use drive::{Mutant, TICK_US, caught, passes};
use transom_tests::checker::Rule;

/// The decision, the same in the script that checks and in the one that adds.
const ALLOWED: &str = "fits(MINUTE, cost) and fits(SECOND, cost)";
const FITS: &str = "return log.used + cost <= log.limit";
const MEMBER: &str = "\
    added = pcall('ZADD', log.key, 'NX', stamp, log.last)
";
const TAKEN: &str = "if type(added) == 'table' then return nil, added.err end";
const EXPIRY_MS: &str = "int(2 * log.length / 1000)";
const RENEWAL: &str = "if log.newest < now - now % (log.length / 2) then";

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
    let adds = Mutant::new("a peek decides", ALLOWED, "true");
    caught(&[adds.after_a_peek().by(&[S1Exact, S2RealTime])]).await;
}

#[tokio::test]
async fn a_limit_off_by_one_is_caught_either_way() {
    caught(&[
        Mutant::new("< for <=", FITS, "return log.used + cost < log.limit").by(&[S3DenialDue]),
        Mutant::new("one more", FITS, "return log.used + cost <= log.limit + 1").by(&[S1Exact]),
        Mutant::new("cost left out", FITS, "return log.used < log.limit").by(&[S1Exact]),
        Mutant::new("second left out", ALLOWED, "fits(MINUTE, cost)").by(&[S1Exact]),
        Mutant::new("minute left out", ALLOWED, "fits(SECOND, cost)").by(&[S1Exact]),
    ])
    .await;
}

/// With a coarse clock, requests fall on the very edge of a window all the time.
#[tokio::test]
async fn a_window_edge_off_by_one_is_caught_either_way() {
    let gone = "while oldest and oldest <= log.left do";
    let a_tick_early = format!("while oldest and oldest <= log.left + {TICK_US} do");
    let trimmed = "'ZREMRANGEBYSCORE', log.key, '-inf', left(log)";
    let trimmed_early = format!("'ZREMRANGEBYSCORE', log.key, '-inf', int(log.left + {TICK_US})");
    let counted = "'ZCOUNT', key, '-inf', left(log)";
    let shorter = format!("= 60000000, {}", 1_000_000 - TICK_US);
    caught(&[
        Mutant::new("oldest stays at the edge", gone, "while oldest and oldest < log.left do")
            .coarse()
            .by(&[S3DenialDue]),
        Mutant::new("gone without the edge", counted, "'ZCOUNT', key, '-inf', '(' .. left(log)")
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
    added = pcall('ZADD', log.key, stamp, stamp .. '000')
    if added == 0 then added = 1 end
";
    caught(&[Mutant::new("the microsecond alone", MEMBER, the_microsecond_alone)
        .by(&[S1Exact, S4ChargedOnce])])
    .await;
}

#[tokio::test]
async fn an_expiry_that_forgets_what_counts_is_caught() {
    caught(&[
        Mutant::new("half a window", EXPIRY_MS, "int(log.length / 2000)").by(&[S1Exact]),
        Mutant::new("one window", EXPIRY_MS, "int(log.length / 1000)").by(&[S5Hints]),
        Mutant::new("never renewed", RENEWAL, "if log.newest == 0 then").by(&[S1Exact]),
    ])
    .await;
}

#[tokio::test]
async fn an_expiry_that_is_missing_or_too_long_is_caught() {
    caught(&[
        Mutant::new("none", RENEWAL, "if false then").by_expiry(),
        Mutant::new("three windows", EXPIRY_MS, "int(3 * log.length / 1000)").by_expiry(),
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
        Mutant::new("a denial is charged", "if allowed and cost > 0 then", "if cost > 0 then")
            .by(&[S3DenialDue, S4ChargedOnce]),
        Mutant::new("charged twice", "for _ = 1, cost do", "for _ = 1, 2 * cost do")
            .by(&[S3DenialDue, S4ChargedOnce]),
        Mutant::new("charged once for any cost", "for _ = 1, cost do", "for _ = 1, 1 do")
            .by(&[S1Exact, S4ChargedOnce]),
    ])
    .await;
}

#[tokio::test]
async fn a_hint_that_is_wrong_is_caught() {
    caught(&[
        Mutant::new("the wait for one more", "gone + over - 1", "gone + over").by(&[S5Hints]),
        Mutant::new("what was left before", "log.used = log.used + cost", "").by(&[S5Hints]),
        Mutant::new(
            "no reset of the first",
            "if log.used == 0 then log.reset = log.length end",
            "",
        )
        .by(&[S5Hints]),
    ])
    .await;
}
