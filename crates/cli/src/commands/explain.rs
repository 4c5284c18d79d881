//! `transom explain`

use transom_core::LimitsFrom;
use transom_server::operator::{Explanation, OverrideDoc, PolicyDoc, StrikesDoc, WindowDoc};

use crate::Exit;
use crate::api::{Api, path};
use crate::args::{Form, identity};
use crate::commands::overrides::scope;
use crate::commands::say_either;
use crate::show::{Paint, both, counted, end, facts, plain, relative, table, wait};

/// Says why a request would be admitted or denied now. Exit code 1 where it would be denied.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Explain {
    /// user:ID or ip:ADDRESS
    #[arg(value_parser = identity)]
    identity: String,
    /// The method of the request
    #[arg(long, default_value = "GET", value_name = "METHOD")]
    method: String,
    /// The path of the request
    #[arg(long, default_value = "/", value_name = "PATH")]
    path: String,
    /// The host of the request; without it only policies for any host match
    #[arg(long, default_value = "", hide_default_value = true, value_name = "HOST")]
    host: String,
    #[command(flatten)]
    form: Form,
}

impl Explain {
    pub(crate) async fn run(self, api: &Api) -> anyhow::Result<Exit> {
        let query = [("method", self.method.as_str()), ("path", &self.path), ("host", &self.host)];
        let path = path(&["identities", &self.identity, "explain"], &query);
        let said: Explanation = api.get(&path).await?;
        say_either(self.form, &said, || render(&said, Paint::for_stdout()))?;
        Ok(if said.allowed { Exit::Done } else { Exit::No })
    }
}

/// The sentence, then what it stands on.
fn render(said: &Explanation, paint: Paint) -> String {
    let summary = plain(&said.summary);
    let summary = match (said.allowed, said.shadow) {
        (false, _) => paint.bad(&summary),
        (true, true) => paint.odd(&summary),
        (true, false) => paint.good(&summary),
    };
    let mut lines = vec![("policy", matched(&said.policy)), ("mode", said.policy.mode.to_string())];
    if let Some(why) = &said.exempt {
        lines.push(("exempt", why.clone()));
        return format!("{summary}\n\n{}", facts(&lines));
    }
    lines.push(("limits", limits(said)));
    lines.push(("strikes", strikes(&said.strikes, said.at_us)));
    lines.push(("block", block(said)));
    lines.push(("next passes", next(said)));
    if let Some(source) = said.source {
        let why = said.degraded.as_ref().map(|why| format!(", for redis is {why}"));
        lines.push(("decided by", format!("{}{}", source.as_str(), why.unwrap_or_default())));
    }
    let windows = [("minute", said.minute), ("second", said.second)];
    let rows = windows.into_iter().filter_map(|(name, window)| Some(row(name, &window?)));
    let header = ["window", "used", "limit", "remaining", "wait", "oldest leaves"];
    let windows = table(header, &[1, 2, 3], rows);
    format!("{summary}\n\n{}\n\n{windows}", facts(&lines))
}

/// A policy and why it matched.
fn matched(policy: &PolicyDoc) -> String {
    let mut why = Vec::new();
    if !policy.methods.is_empty() {
        why.push(format!("method {}", policy.methods.join(", ")));
    }
    why.extend(policy.path.as_ref().map(|path| format!("path {path}")));
    why.extend(policy.host.as_ref().map(|host| format!("host {host}")));
    let why = if why.is_empty() { "it matches everything".to_owned() } else { why.join("; ") };
    format!("{} ({why})", policy.name)
}

/// Where each number comes from.
fn limits(said: &Explanation) -> String {
    let of = |minute, second| format!("{minute} a minute, {second} a second");
    let (Some(minute), Some(second)) = (said.minute, said.second) else {
        return "none".to_owned();
    };
    let own = of(said.policy.minute, said.policy.second);
    let in_force = of(minute.limit, second.limit);
    match (said.limits_from, &said.held) {
        (Some(LimitsFrom::Override | LimitsFrom::OverrideAll), Some(held)) => {
            format!("{in_force}, an {} (the policy: {own})", whose(held, said.at_us))
        }
        (Some(LimitsFrom::Override | LimitsFrom::OverrideAll), None) => {
            format!("{in_force}, an override (the policy: {own})")
        }
        _ if in_force != own => format!("{in_force}, this worker's share (the policy: {own})"),
        _ => format!("{in_force}, of the policy"),
    }
}

fn whose(held: &OverrideDoc, now_us: u64) -> String {
    let by = if held.by.is_empty() { "somebody" } else { &held.by };
    let until = match held.until_us {
        None => "for good".to_owned(),
        Some(until_us) => format!("until {}", both(until_us, now_us)),
    };
    let why = if held.reason.is_empty() { "no reason" } else { &held.reason };
    format!("override for {} by {by} {until}: {why}", scope(&held.policy))
}

fn row(name: &str, window: &WindowDoc) -> [String; 6] {
    let after = |ms: u64| wait(ms.saturating_mul(1_000));
    let fits = if window.wait_ms == 0 { "none".to_owned() } else { after(window.wait_ms) };
    let leaves =
        if window.used == 0 { "-".to_owned() } else { format!("in {}", after(window.reset_ms)) };
    let [used, limit, remaining] = [window.used, window.limit, window.remaining];
    [name.to_owned(), used.to_string(), limit.to_string(), remaining.to_string(), fits, leaves]
}

/// Strikes towards a block.
pub(crate) fn strikes(strikes: &StrikesDoc, now_us: u64) -> String {
    let mut text = match strikes.borne {
        None => format!("{} (penalties are not enabled)", strikes.strikes),
        Some(borne) => format!("{} of {borne} that are borne", strikes.strikes),
    };
    if let Some(since_us) = strikes.since_us {
        text.push_str(&format!(", the first {}", relative(since_us, now_us)));
    }
    if strikes.blocks > 0 {
        text.push_str(&format!("; {} before", counted(strikes.blocks.into(), "block")));
    }
    text
}

fn block(said: &Explanation) -> String {
    let Some(block) = &said.block else {
        return "none".to_owned();
    };
    let by = match block.by.as_str() {
        "penalty" => "for too many denials",
        "" => "by somebody",
        by => &format!("by {by}"),
    };
    let why = if block.reason.is_empty() { String::new() } else { format!(": {}", block.reason) };
    let until = if block.until_us.is_some() { "until " } else { "" };
    format!("{by}, {until}{}{why}", end(block.until_us, said.at_us))
}

/// When the next request passes.
fn next(said: &Explanation) -> String {
    let cost = said.policy.cost.units();
    let never = |window: Option<WindowDoc>| window.is_some_and(|window| window.limit < cost);
    if said.allowed {
        return "now".to_owned();
    }
    if said.block.as_ref().is_some_and(|block| block.until_us.is_none()) {
        return "when the block is ended by hand".to_owned();
    }
    if never(said.minute) || never(said.second) {
        return format!("never, as limits stand: it takes {}", counted(cost.into(), "unit"));
    }
    said.passes_at_us.map_or("not known".to_owned(), |at_us| both(at_us, said.at_us))
}

#[cfg(test)]
mod tests;
