//! Why a request would be admitted or denied, and where each number comes from.

use http::Method;
use transom_core::{
    Answer, Cost, Decision, Identity, LimitedBy, Limiter, LimitsFrom, Mark, Mode, Operations,
    Outcome, Policy, PolicyName, Request, Scope, Standing, WindowState, delay,
};

use super::documents::{
    BlockDoc, Explanation, OverrideDoc, PolicyDoc, StrikesDoc, TimeLine, WindowsDoc,
};
use super::error::OperatorError;
use crate::front::Front;

/// Said of an identity that nothing limits.
pub(super) const EXEMPT: &str = "identity.exempt names it";

/// The request in question.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) identity: &'a Identity,
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
}

pub(super) fn explanation(
    front: &Front,
    asked: Asked<'_>,
    answer: &Answer,
    standing: &Standing,
) -> Explanation {
    let (policy, name) = (&answer.policy, asked.identity.as_str());
    let mode = front.gate.mode_of(policy);
    let decision = answer.decision();
    let at_us = decision.map_or(0, |decision| decision.at_us);
    let held = decision.and_then(|decision| match decision.limits_from {
        LimitsFrom::Policy => None,
        LimitsFrom::Override => Some(Scope::Policy(policy.name.clone())),
        LimitsFrom::OverrideAll => Some(Scope::All),
    });
    let block = standing.penalty.block.as_ref();
    let blocks = |_: &&_| standing.penalty.blocked_us(at_us) > 0;
    let exempt = matches!(answer.outcome, Outcome::Exempt).then(|| {
        if front.exempt.has_path(asked.path) {
            "limiter.exempt_paths names its path".to_owned()
        } else if front.identities.is_exempt(asked.identity) {
            EXEMPT.to_owned()
        } else {
            format!("the mode of {} is off", policy.name)
        }
    });
    let mut explanation = Explanation {
        identity: name.to_owned(),
        method: asked.method.to_string(),
        path: asked.path.to_owned(),
        summary: String::new(),
        exempt,
        policy: PolicyDoc::new(policy, mode),
        allowed: answer.passes(),
        shadow: answer.passes() && decision.is_some_and(|decision| !decision.allowed),
        limited_by: decision.map(|decision| decision.limited_by),
        retry_after_ms: decision
            .and_then(|decision| decision.retry_after_us)
            .map(delay::milliseconds),
        passes_at_us: decision.map(|decision| at_us + decision.retry_after_us.unwrap_or(0)),
        limits_from: decision.map(|decision| decision.limits_from),
        minute: decision.map(|decision| decision.minute.into()),
        second: decision.map(|decision| decision.second.into()),
        held: held.and_then(|scope| {
            standing.overrides.get(&scope).map(|held| OverrideDoc::new(name, &scope, held))
        }),
        block: block.filter(blocks).map(|block| BlockDoc::new(name, block)),
        strikes: StrikesDoc::new(&standing.penalty, front.gate.penalty().map(|r| r.strikes)),
        at_us,
        source: decision.map(|decision| decision.source),
        degraded: decision.and_then(|decision| decision.degraded).map(str::to_owned),
    };
    if never_passes(&explanation) {
        explanation.passes_at_us = None;
    }
    explanation.summary = summary(&explanation, decision);
    explanation
}

/// The answer to "why am I being limited?", in a sentence or two.
fn summary(said: &Explanation, decision: Option<&Decision>) -> String {
    let request = format!("{} {} by {}", said.method, said.path, said.identity);
    let Some(decision) = decision else {
        let why = said.exempt.as_deref().unwrap_or("nothing limits it");
        return format!("{request} is not limited: {why}.");
    };
    let verdict = match (decision.allowed, said.shadow) {
        (true, _) => "would be admitted now".to_owned(),
        (false, true) => format!("would pass now, since {} is in shadow mode", said.policy.name),
        (false, false) => "would be denied now".to_owned(),
    };
    let why = match decision.limited_by {
        LimitedBy::Penalty => match &said.block {
            Some(block) if block.by == "penalty" => "it is blocked for too many denials".to_owned(),
            Some(block) => format!("it was blocked by {}", or_somebody(&block.by)),
            None => "it is blocked".to_owned(),
        },
        LimitedBy::Minute => used("minute", &decision.minute),
        LimitedBy::Second => used("second", &decision.second),
    };
    let limits = match &said.held {
        None => format!("the limits are those of the policy {}", said.policy.name),
        Some(held) => format!("the limits are an override by {}", or_somebody(&held.by)),
    };
    let next = match decision.retry_after_us {
        None => String::new(),
        Some(_) if never_passes(said) => " As things stand, none ever passes.".to_owned(),
        Some(wait_us) => format!(" The next one passes in {}.", wait(wait_us)),
    };
    format!("{request} {verdict}: {why}; {limits}.{next}")
}

/// Whether waiting does not help: a block without end, or a cost above a limit.
fn never_passes(said: &Explanation) -> bool {
    let endless = said.block.as_ref().is_some_and(|block| block.until_us.is_none());
    let mut windows = said.minute.iter().chain(&said.second);
    endless || windows.any(|window| said.policy.cost.units() > window.limit)
}

fn used(window: &str, state: &WindowState) -> String {
    format!("{} of {} units of the {window} are used", state.used, state.limit)
}

fn or_somebody(by: &str) -> &str {
    if by.is_empty() { "an operator" } else { by }
}

/// A wait as a person reads it, rounded up to what is shown: tenths of a second in the first minute.
pub(crate) fn wait(wait_us: u64) -> String {
    let tenths = delay::tenths(wait_us);
    if tenths < 600 {
        return format!("{}.{} s", tenths / 10, tenths % 10);
    }
    humantime::format_duration(std::time::Duration::from_secs(delay::seconds(wait_us))).to_string()
}

/// Both windows under one policy; none where the policy is not there any more.
pub(super) async fn windows(
    front: &Front,
    identity: &Identity,
    name: &PolicyName,
    max: usize,
) -> Result<Option<WindowsDoc>, OperatorError> {
    let Some(policy) = front.gate.policies().by_name(name.as_str()) else {
        return Ok(None);
    };
    let store = front.gate.limiter();
    let marks = store.marks(identity, name, max).await?;
    let asked = Request {
        enforced: front.gate.mode_of(policy) == Mode::Enforce,
        ..Request::new(identity.clone(), std::sync::Arc::<Policy>::clone(policy), Cost::ONE)
    };
    let decision = store.peek(&asked).await?;
    Ok(Some(WindowsDoc {
        policy: name.to_string(),
        limits_from: decision.limits_from,
        minute: time_line(decision.minute, &marks.minute),
        second: time_line(decision.second, &marks.second),
    }))
}

fn time_line(state: WindowState, marks: &[Mark]) -> TimeLine {
    let shown: u64 = marks.iter().map(|mark| u64::from(mark.units)).sum();
    TimeLine {
        window: state.into(),
        marks: marks.iter().copied().map(Into::into).collect(),
        truncated: shown < u64::from(state.used),
    }
}
