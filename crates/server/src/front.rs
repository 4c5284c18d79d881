//! What every listener does with a request before it goes on: who asks, and may they?

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use tracing::Instrument as _;
use transom_core::body::Messages;
use transom_core::{Answer, Ask, Gate, Identity, Outcome, headers, problem};

use crate::backend::Backend;
use crate::config::Secret;
use crate::exempt::ExemptRequests;
use crate::gateway::Upstream;
use crate::identity::Identities;
use crate::reporter::Reporter;
use crate::telemetry::{self, metrics, traces};

/// The front of a worker under one configuration.
#[derive(Debug)]
pub struct Front {
    /// Policies and limiter.
    pub gate: Gate<Backend>,
    /// Who asks.
    pub identities: Identities,
    /// What is not limited, whoever asks.
    pub exempt: ExemptRequests,
    /// How header fields are written.
    pub style: headers::Style,
    /// What refused clients are told.
    pub messages: Messages,
    /// The longest that finding out who asks and deciding may take together.
    pub deadline: Duration,
    /// What is likely not meant in the configuration.
    pub warnings: Vec<String>,
    /// Who knows it may act as an operator; without one whoever is on this machine.
    pub admin_token: Option<Secret>,
    /// Whether the worker is ready while Redis does not decide.
    pub ready_while_degraded: bool,
    /// What was decided and not reported yet.
    pub reporter: Arc<Reporter>,
    /// Where the gateway sends what passes.
    pub upstream: Arc<Upstream>,
}

/// The front in force; replaced as a whole when the configuration changes.
pub type SharedFront = Arc<ArcSwap<Front>>;

/// A request as a listener has read it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The other end of the TCP connection.
    pub peer: IpAddr,
    /// The method.
    pub method: &'a Method,
    /// The host asked for, with or without a port.
    pub host: Option<&'a str>,
    /// The path as received; a query may follow.
    pub path: &'a str,
    /// The header fields as received.
    pub headers: &'a HeaderMap,
}

/// Who asked, and what became of it.
#[derive(Clone, Debug)]
pub struct Decided {
    /// Who asked.
    pub identity: Identity,
    /// What became of it.
    pub answer: Answer,
}

impl Front {
    /// Identifies the caller of a request and decides it.
    pub async fn decide(&self, asked: Asked<'_>) -> Decided {
        let Asked { peer, method, host, path, headers } = asked;
        let (identity, left) = self.identify(peer, headers).await;
        let within = Some(left);
        let ask = Ask { identity: &identity, method, host, path, cost: None, peek: false, within };
        let answer = self.answer(ask, self.exempt.has_preflight(method, headers)).await;
        Decided { identity, answer }
    }

    /// Finds out who asks, and how much of the deadline that leaves for a decision.
    pub async fn identify(&self, peer: IpAddr, headers: &HeaderMap) -> (Identity, Duration) {
        let started = Instant::now();
        // One deadline over everything; looking a key up leaves the decision at least half of it.
        let identity = self.identities.of(peer, headers, self.deadline / 2).await;
        let took = started.elapsed();
        metrics::identified(took);
        (identity, self.deadline.saturating_sub(took))
    }

    /// Decides for a caller who is known.
    pub fn ask(&self, ask: Ask<'_>) -> impl Future<Output = Answer> {
        self.answer(ask, false)
    }

    async fn answer(&self, ask: Ask<'_>, is_exempt: bool) -> Answer {
        let started = Instant::now();
        let span = traces::decision();
        let exempt =
            is_exempt || self.identities.is_exempt(ask.identity) || self.exempt.has_path(ask.path);
        let answer = if exempt {
            let policy = self.gate.policies().find(ask.method, ask.host, ask.path);
            Answer { policy: Arc::clone(policy), outcome: Outcome::Exempt }
        } else {
            self.gate.ask(ask).instrument(span.clone()).await
        };
        traces::decided(&span, &answer);
        if !ask.peek {
            metrics::decided(&answer, started.elapsed());
            self.reporter.count(ask.identity, &answer);
            telemetry::decision(ask.identity, ask.cost, &answer);
        }
        answer
    }

    /// The response to a request that does not pass, in the form that its `Accept` asks for.
    pub fn refusal_for(&self, decided: &Decided, request: &HeaderMap) -> Option<Response<Bytes>> {
        let refusal = self.refusal(decided)?;
        if problem::is_asked_for(request) {
            return Some(problem::of(refusal, decided.answer.decision()));
        }
        Some(refusal)
    }

    /// The response to a request that does not pass; `None` where it does.
    pub fn refusal(&self, decided: &Decided) -> Option<Response<Bytes>> {
        decided.answer.refusal(&decided.identity, self.style, &self.messages)
    }

    /// Makes the header fields of a response say what was decided.
    pub fn write_headers(&self, decided: &Decided, fields: &mut HeaderMap) {
        decided.answer.write_headers(self.style, fields);
    }
}
