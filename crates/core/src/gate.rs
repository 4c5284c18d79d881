//! From a request to an answer: match the policy, ask the limiter, apply the mode and the failure
//! policy. Every face of Transom (gateway, check, decide, tower layer) goes through here and
//! differs only in how it reads a request and writes an answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Response, StatusCode};

use crate::body::{Messages, Refusal};
use crate::{
    Cost, Decision, FleetMode, Identity, Limiter, Mode, OnFailure, PenaltyRules, Policies, Policy,
    Request, Unavailable, delay, headers,
};

/// Seconds after which a client may try again where no decision could be had.
const UNAVAILABLE_RETRY_US: u64 = 1_000_000;

/// What a face reads off a request.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Who asks.
    pub identity: &'a Identity,
    /// The method.
    pub method: &'a Method,
    /// The host asked for, with or without a port.
    pub host: Option<&'a str>,
    /// The path as received; a query takes no part.
    pub path: &'a str,
    /// The units asked for, where the caller says so; else the policy's cost.
    pub cost: Option<Cost>,
    /// Only ask, charge nothing.
    pub peek: bool,
    /// How long the decision may take, where less is left than the limiter's own deadline.
    pub within: Option<Duration>,
}

/// Policies, a mode and the limiter that decides.
#[derive(Debug)]
pub struct Gate<L> {
    policies: Policies,
    mode: Mode,
    fleet_mode: FleetMode,
    penalty: Option<PenaltyRules>,
    limiter: L,
}

impl<L: Limiter> Gate<L> {
    /// A gate in a `mode` for everything: the milder of it and a policy's own mode counts.
    pub fn new(policies: Policies, mode: Mode, limiter: L) -> Self {
        Self { policies, mode, fleet_mode: FleetMode::default(), penalty: None, limiter }
    }

    /// While the fleet has a mode, it stands in place of the gate's.
    #[must_use]
    pub fn with_fleet_mode(self, fleet_mode: FleetMode) -> Self {
        Self { fleet_mode, ..self }
    }

    /// Denials may turn into a block.
    #[must_use]
    pub fn with_penalty(self, penalty: Option<PenaltyRules>) -> Self {
        Self { penalty, ..self }
    }

    /// The policies in force.
    pub const fn policies(&self) -> &Policies {
        &self.policies
    }

    /// The limiter that decides.
    pub const fn limiter(&self) -> &L {
        &self.limiter
    }

    /// The mode of everything: the fleet's where it has one, else the gate's.
    pub fn mode(&self) -> Mode {
        self.fleet_mode.get().unwrap_or(self.mode)
    }

    /// The mode that holds for a policy: the milder of the policy's own and that of everything.
    pub fn mode_of(&self, policy: &Policy) -> Mode {
        milder(self.mode(), policy.mode)
    }

    /// The mode of the fleet, to read or to set.
    pub const fn fleet_mode(&self) -> &FleetMode {
        &self.fleet_mode
    }

    /// The mode that holds while the fleet has none.
    pub const fn own_mode(&self) -> Mode {
        self.mode
    }

    /// When denials turn into a block.
    pub const fn penalty(&self) -> Option<PenaltyRules> {
        self.penalty
    }

    /// Decides one request.
    pub async fn ask(&self, ask: Ask<'_>) -> Answer {
        let policy = self.policies.find(ask.method, ask.host, ask.path);
        let mode = self.mode_of(policy);
        if mode == Mode::Off {
            return Answer { policy: Arc::clone(policy), outcome: Outcome::Exempt };
        }
        let cost = ask.cost.unwrap_or(policy.cost);
        let request = Request {
            within: ask.within,
            enforced: mode == Mode::Enforce,
            penalty: self.penalty,
            ..Request::new(ask.identity.clone(), Arc::clone(policy), cost)
        };
        let decided = if ask.peek {
            self.limiter.peek(&request).await
        } else {
            self.limiter.admit(&request).await
        };
        let outcome = match decided {
            Ok(decision) => {
                let pass = decision.allowed || mode == Mode::Shadow;
                Outcome::Decided { decision, pass }
            }
            Err(reason) => {
                let pass = policy.on_failure == OnFailure::Allow || mode == Mode::Shadow;
                Outcome::Unknown { reason, pass }
            }
        };
        Answer { policy: request.policy, outcome }
    }
}

/// The mode that interferes less.
const fn milder(one: Mode, other: Mode) -> Mode {
    match (one, other) {
        (Mode::Off, _) | (_, Mode::Off) => Mode::Off,
        (Mode::Shadow, _) | (_, Mode::Shadow) => Mode::Shadow,
        (Mode::Enforce, Mode::Enforce) => Mode::Enforce,
    }
}

/// What became of a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The policy that matched.
    pub policy: Arc<Policy>,
    /// The decision, or why there is none.
    pub outcome: Outcome,
}

/// The three ends of a request.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Not limited: passes without any field.
    Exempt,
    /// Decided. `pass` is true where it was admitted, and for a denial in shadow mode.
    Decided {
        /// The decision.
        decision: Decision,
        /// Whether the request goes on.
        pass: bool,
    },
    /// No decision could be had. `pass` is true where the policy says `allow`, and in shadow mode
    /// whatever it says.
    Unknown {
        /// Why not.
        reason: Unavailable,
        /// Whether the request goes on.
        pass: bool,
    },
}

impl Answer {
    /// Whether the request goes on to what is behind the gate.
    pub const fn passes(&self) -> bool {
        match self.outcome {
            Outcome::Exempt => true,
            Outcome::Decided { pass, .. } | Outcome::Unknown { pass, .. } => pass,
        }
    }

    /// The decision, where there is one.
    pub const fn decision(&self) -> Option<&Decision> {
        match &self.outcome {
            Outcome::Decided { decision, .. } => Some(decision),
            Outcome::Exempt | Outcome::Unknown { .. } => None,
        }
    }

    /// Makes the fields of a response say what was decided, and nothing else: fields of these
    /// names that something behind the gate has set are replaced or taken away.
    pub fn write_headers(&self, style: headers::Style, fields: &mut HeaderMap) {
        headers::remove(fields);
        match &self.outcome {
            Outcome::Decided { decision, .. } => headers::write(decision, style, fields),
            Outcome::Unknown { reason, pass: true } => {
                fields.insert(headers::DEGRADED, HeaderValue::from_static(reason.label()));
            }
            Outcome::Exempt | Outcome::Unknown { pass: false, .. } => {}
        }
    }

    /// The response to a request that does not pass: 429 for a denial, 503 where no decision
    /// could be had. `None` where it passes.
    pub fn refusal(
        &self,
        identity: &Identity,
        style: headers::Style,
        messages: &Messages,
    ) -> Option<Response<Bytes>> {
        let (status, wait_us, message) = match &self.outcome {
            Outcome::Decided { decision, pass: false } => (
                StatusCode::TOO_MANY_REQUESTS,
                decision.retry_after_us.unwrap_or(UNAVAILABLE_RETRY_US),
                messages.denied(identity),
            ),
            Outcome::Unknown { pass: false, .. } => (
                StatusCode::SERVICE_UNAVAILABLE,
                UNAVAILABLE_RETRY_US,
                messages.unavailable.as_str(),
            ),
            _ => return None,
        };
        let body = Refusal::new(message, status, delay::seconds(wait_us)).json();
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let fields = response.headers_mut();
        self.write_headers(style, fields);
        headers::write_retry_after(wait_us, fields);
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Some(response)
    }
}
