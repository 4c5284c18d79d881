//! `transom serve`: a worker, from its first line to the last request.

use std::fmt::Write as _;
use std::net::SocketAddr;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use transom_server::config::Config;
use transom_server::telemetry;
use transom_server::worker::Worker;

use crate::Exit;
use crate::args::Args;
use crate::commands::{AskedToEnd, config, say, source};

pub(crate) async fn run(args: &Args) -> anyhow::Result<Exit> {
    let source = source(args);
    let config = config(args, &source)?;
    let mut asked = AskedToEnd::listen()?;
    let mut hangup = signal(SignalKind::hangup())?;
    telemetry::start(&config.log, &config.tracing)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let worker = Worker::start(&config, source).await?;
    if let Err(error) = say(banner(&config, &worker).trim_end()) {
        tracing::warn!("{error:#}");
    }

    let reload = worker.reload();
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            reload.notify_one();
        }
    });
    let (stop, hurry) = (CancellationToken::new(), CancellationToken::new());
    let serving = tokio::spawn(worker.run(stop.clone(), hurry.clone()));
    // A load balancer sends SIGTERM and needs a moment; a person at a terminal does not.
    let signal = asked.next().await;
    tracing::info!(signal, "draining");
    stop.cancel();
    if signal == "SIGINT" {
        hurry.cancel();
    }
    tokio::spawn(async move {
        asked.next().await;
        hurry.cancel();
    });
    let drained = serving.await?;
    telemetry::stop().await;
    match drained.cut {
        0 => tracing::info!("stopped"),
        cut => tracing::warn!(cut, "stopped; connections were cut that did not end in time"),
    }
    Ok(Exit::Done)
}

/// Where the worker listens, what is in force, and what a newcomer may try.
fn banner(config: &Config, worker: &Worker) -> String {
    let addresses = worker.addresses();
    let mut text = format!("transom {}\n\n", env!("CARGO_PKG_VERSION"));
    for (name, what) in [
        ("gateway", upstream(config)),
        ("check", "decisions for proxies and services: /check, POST /v1/decide".to_owned()),
        ("rls", "decisions for Envoy: its rate limit service, gRPC".to_owned()),
        ("admin", "console: /; health: /healthz, /readyz; metrics: /metrics".to_owned()),
    ] {
        let Some(address) = addresses.get(name) else { continue };
        // Writing to a String does not fail.
        let _ = writeln!(text, "  {name:<9}{:<24}{what}", format!("http://{address}"));
    }
    let _ = writeln!(text, "  limiter  {}\n\n{}", limiter(config, worker), config.policy_table());
    if let Some(gateway) = addresses.get("gateway") {
        let _ = writeln!(
            text,
            "\nTry it three times within a second; the third is denied:\n\n  curl -i {}",
            url(*gateway)
        );
    }
    text
}

fn upstream(config: &Config) -> String {
    match &config.gateway.upstream {
        Some(uri) => format!("reverse proxy to {uri}"),
        None => "reverse proxy to a built-in echo (gateway.upstream is not set)".to_owned(),
    }
}

fn limiter(config: &Config, worker: &Worker) -> String {
    match (config.redis.place(), worker.redis_said()) {
        (None, _) => "in process, this worker alone (redis.url is not set)".to_owned(),
        (Some(place), None) => format!("{place}, shared by every worker that uses it"),
        (Some(place), Some(reason)) => format!(
            "{place} does not answer yet ({reason}); until it does, policies say what happens \
             (redis.on_failure = {})",
            config.redis.on_failure
        ),
    }
}

/// What a person on this machine can call.
fn url(gateway: SocketAddr) -> String {
    if gateway.ip().is_unspecified() {
        format!("http://127.0.0.1:{}/v1/people", gateway.port())
    } else {
        format!("http://{gateway}/v1/people")
    }
}
