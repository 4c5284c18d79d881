//! The order within a batch.
//!
//! Requests of different identities are decided at the same time, so that they go out together in
//! the calls of the limiter. Requests of one identity are decided one after the other, as they
//! stand: if there is room for two, the first two get it, whichever connection is faster.
//!
//! That takes one round trip for each request of an identity. So that a batch ends in good time,
//! what is left of an identity goes out together, in any order, once the store has failed one of
//! its requests or [`ORDERED_FOR`] has passed.

use std::cmp::Ordering;
use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream;
use tokio::time::Instant;
use transom_core::{Answer, Outcome};

/// Identities whose requests are in flight at once: enough to fill the calls of the limiter's two
/// lanes, and few enough that peeks, each a call of its own on one connection, end within the
/// deadline.
const IDENTITIES_AT_ONCE: usize = 64;

/// How long the requests of one identity are kept in order.
const ORDERED_FOR: Duration = Duration::from_millis(250);

/// Decides every request of a batch, in order for each identity; the answers are in the order of
/// the batch.
pub(super) async fn decide<'a, R, F>(
    requests: &'a [R],
    by_identity: impl Fn(&R, &R) -> Ordering,
    ask: impl Fn(&'a R) -> F,
) -> Vec<Answer>
where
    F: Future<Output = Answer>,
{
    let mut queued: Vec<_> = requests.iter().enumerate().collect();
    // A stable sort: what is of one identity stays in order.
    queued.sort_by(|(_, one), (_, other)| by_identity(one, other));
    let identities: Vec<_> = queued
        .chunk_by(|(_, one), (_, other)| by_identity(one, other).is_eq())
        .map(|requests| in_order(requests, &ask))
        .collect();
    let answers: Vec<_> =
        stream::iter(identities).buffer_unordered(IDENTITIES_AT_ONCE).collect().await;
    let mut answers: Vec<(usize, Answer)> = answers.into_iter().flatten().collect();
    answers.sort_by_key(|(place, _)| *place);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

async fn in_order<'a, R, F>(
    mut requests: &[(usize, &'a R)],
    ask: &impl Fn(&'a R) -> F,
) -> Vec<(usize, Answer)>
where
    F: Future<Output = Answer>,
{
    let begun = Instant::now();
    let mut answers = Vec::with_capacity(requests.len());
    while let [(place, request), rest @ ..] = requests {
        let answer = ask(request).await;
        let goes_on = is_from_store(&answer) && begun.elapsed() < ORDERED_FOR;
        answers.push((*place, answer));
        requests = rest;
        if !goes_on {
            break;
        }
    }
    let left = requests.iter().map(async |(place, request)| (*place, ask(request).await));
    answers.extend(join_all(left).await);
    answers
}

/// Whether the configured store is well, as far as an answer tells.
const fn is_from_store(answer: &Answer) -> bool {
    match &answer.outcome {
        Outcome::Exempt => true,
        Outcome::Decided { decision, .. } => decision.degraded.is_none(),
        Outcome::Unknown { .. } => false,
    }
}

#[cfg(test)]
mod tests;
