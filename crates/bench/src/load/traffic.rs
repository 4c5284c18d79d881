//! What is sent, and for whom.

use std::io::Write as _;

use transom_core::Limits;

use super::grpc;
use crate::timed::{FIRST, user};

/// A path under a policy that admits a caller once a minute.
pub(crate) const SPENT_PATH: &str = "/v1/spent";
/// What that policy admits.
pub(crate) const SPENT: Limits = Limits { minute: 1, second: 1 };
/// A path under no policy but the default one.
pub(crate) const PATH: &str = "/v1/people";
/// Callers that are denied on purpose.
const SPENT_CALLERS: u32 = 100;

/// How a worker is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Face {
    /// `POST /v1/decide`
    Decide,
    /// `GET /check/...`
    Check,
    /// Any other `GET`: the gateway with its echo, or a router behind the tower layer.
    Get,
    /// `ShouldRateLimit` of Envoy's rate limit service.
    Rls,
}

/// For whom requests are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Callers {
    /// One out of so many, any of them as often as another.
    AnyOf(u32),
    /// As many as there are, out of 20,000; a part of the requests, in thousandths, is for
    /// callers that have used up what they may.
    PartlySpent(u32),
}

impl Callers {
    /// What one of them may, by its number, given what the default policy admits.
    pub(crate) const fn limits(self, caller: usize, default: Limits) -> Limits {
        match self {
            Self::PartlySpent(_) if caller < SPENT_CALLERS as usize => SPENT,
            Self::AnyOf(_) | Self::PartlySpent(_) => default,
        }
    }
}

/// Callers of whom some ask more often than they may, at the rates of one machine.
pub(crate) const KEYS: u32 = 20_000;
/// Callers of whom hardly any does.
pub(crate) const CALM_KEYS: u32 = 100_000;

/// Requests of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    /// How the worker is asked.
    pub(crate) face: Face,
    /// For whom.
    pub(crate) callers: Callers,
}

impl Traffic {
    /// Decisions for any of so many callers.
    pub(crate) const fn decide(callers: u32) -> Self {
        Self { face: Face::Decide, callers: Callers::AnyOf(callers) }
    }

    /// Writes the next request in place of the one before, and returns the caller's number.
    pub(super) fn write(&self, random: &mut fastrand::Rng, request: &mut Vec<u8>) -> usize {
        let (caller, path) = match self.callers {
            Callers::AnyOf(callers) => (random.u32(..callers.max(1)), PATH),
            Callers::PartlySpent(per_mille) if random.u32(..1_000) < per_mille => {
                (random.u32(..SPENT_CALLERS), SPENT_PATH)
            }
            Callers::PartlySpent(_) => (SPENT_CALLERS + random.u32(..KEYS), PATH),
        };
        request.clear();
        // Writing to memory does not fail.
        let _ = match self.face {
            Face::Decide => decide(request, caller, path),
            Face::Check => get(request, caller, "/check", path),
            Face::Get => get(request, caller, "", path),
            Face::Rls => {
                grpc::write(request, &user(caller), path);
                Ok(())
            }
        };
        caller as usize
    }
}

fn decide(request: &mut Vec<u8>, caller: u32, path: &str) -> std::io::Result<()> {
    const AROUND: usize =
        r#"{"identity":"user:10000000","method":"GET","path":"","cost":1,"peek":false}"#.len();
    let caller = FIRST + caller;
    let length = AROUND + path.len();
    write!(
        request,
        "POST /v1/decide HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{{\"identity\":\"user:{caller}\",\"method\":\"GET\",\
         \"path\":\"{path}\",\"cost\":1,\"peek\":false}}"
    )
}

fn get(request: &mut Vec<u8>, caller: u32, under: &str, path: &str) -> std::io::Result<()> {
    let caller = FIRST + caller;
    write!(request, "GET {under}{path} HTTP/1.1\r\nhost: bench\r\nx-user-id: {caller}\r\n\r\n")
}

/// Writes a decision for one caller in place of the request before.
pub(crate) fn decide_request(request: &mut Vec<u8>, caller: u32) {
    request.clear();
    let _ = decide(request, caller, PATH);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_that_are_denied_on_purpose_have_the_limits_of_their_policy() {
        let callers = Callers::PartlySpent(500);
        let (traffic, mut random) = (Traffic { face: Face::Check, callers }, fastrand::Rng::new());
        let (mut request, mut spent) = (Vec::new(), 0);
        for _ in 0..1_000 {
            let caller = traffic.write(&mut random, &mut request);
            let under_spent = String::from_utf8_lossy(&request).contains(SPENT_PATH);
            let limits = if under_spent { SPENT } else { Limits::DEFAULT };
            assert_eq!(callers.limits(caller, Limits::DEFAULT), limits, "caller {caller}");
            spent += u32::from(under_spent);
        }
        assert!((1..1_000).contains(&spent), "{spent} of 1,000");
        assert_eq!(Callers::AnyOf(1).limits(0, Limits::DEFAULT), Limits::DEFAULT);
    }
}
