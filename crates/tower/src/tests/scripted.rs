//! A limiter that answers what it is told to.

use std::future::pending;
use std::sync::{Arc, Mutex};

use transom_core::{
    Cost, Decision, Gate, Identity, Limiter, Limits, Mode, Policies, PolicyName, Request, Source,
    Unavailable, WindowLogs,
};

pub(super) const AT_US: u64 = 1_800_000_000_000_000;

/// Answers every request in the same way, or never, and keeps what it was asked.
pub(super) struct Scripted {
    answer: Option<Result<Decision, Unavailable>>,
    asked: Mutex<Vec<Request>>,
}

impl Scripted {
    /// A gate that enforces `policies` with a limiter of this `answer`.
    pub(super) fn gate(
        policies: Policies,
        answer: Result<Decision, Unavailable>,
    ) -> Arc<Gate<Self>> {
        Self::gate_with(policies, Some(answer))
    }

    /// A gate whose limiter never answers.
    pub(super) fn silent() -> Arc<Gate<Self>> {
        Self::gate_with(Policies::default(), None)
    }

    fn gate_with(
        policies: Policies,
        answer: Option<Result<Decision, Unavailable>>,
    ) -> Arc<Gate<Self>> {
        let asked = Mutex::default();
        Arc::new(Gate::new(policies, Mode::Enforce, Self { answer, asked }))
    }

    /// What was asked, as `identity policy cost`.
    pub(super) fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        let line = |request: &Request| {
            let Request { identity, policy, cost, .. } = request;
            format!("{identity} {} {}", policy.name, cost.units())
        };
        asked.iter().map(line).collect()
    }
}

impl Limiter for Scripted {
    async fn admit(&self, request: &Request) -> Result<Decision, Unavailable> {
        self.asked.lock().unwrap().push(request.clone());
        match &self.answer {
            Some(answer) => answer.clone(),
            None => pending().await,
        }
    }

    async fn peek(&self, _: &Request) -> Result<Decision, Unavailable> {
        Err(Unavailable::Reply("the layer does not peek".into()))
    }

    async fn reset(&self, _: &Identity, _: &PolicyName) -> Result<(), Unavailable> {
        Err(Unavailable::Reply("the layer does not reset".into()))
    }
}

/// The first, second and third decision of one microsecond: admitted, admitted, denied.
fn decisions() -> [Decision; 3] {
    let mut logs = WindowLogs::default();
    std::array::from_fn(|_| {
        let verdict = logs.admit(AT_US, Limits::DEFAULT, Cost::ONE);
        Decision::new(&verdict, Source::Redis)
    })
}

pub(super) fn admitted() -> Decision {
    let [first, ..] = decisions();
    first
}

pub(super) fn denied() -> Decision {
    let [.., third] = decisions();
    third
}
