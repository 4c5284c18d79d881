//! The ways to ask a worker, against handlers that decide nothing.

use anyhow::Result;
use transom_core::Limits;
use transom_tests::RedisServer;

use super::system::{self, Reached, System};
use crate::args::Kind;
use crate::bench::Bench;
use crate::load::{CALM_KEYS, Callers, Face, Traffic};
use crate::machine::CANNOT_BE_MEASURED;
use crate::must::Figure;
use crate::plot;
use crate::process::{Handler, Program};
use crate::report::Section;
use crate::stats::{grouped, micros};

/// Places of the systems.
const NOOP: usize = 0;
const PING: usize = 1;
const DECIDE: usize = 2;
const RLS: usize = 5;

pub(super) async fn measure(bench: &mut Bench) -> Result<Section> {
    let (redis, limits) = (RedisServer::process(&[]).await, Limits::DEFAULT);
    let handler = |kind| Handler::start(Program::Own(kind), &redis.url, limits);
    let (noop, ping) = (handler(Kind::Noop)?, handler(Kind::Ping)?);
    let tower = handler(Kind::Tower)?;
    let worker = system::workers(&redis.url, "faces", limits, 1);
    let local = system::workers("", "faces", limits, 1);

    let get = |face| Traffic { face, callers: Callers::AnyOf(CALM_KEYS) };
    let decide = Traffic::decide(CALM_KEYS);
    let pid = worker.workers[0].pid();
    let gateway = vec![worker.workers[0].gateway];
    let rls = vec![worker.workers[0].rls];
    let held = |system: System| system.held_to(limits);
    let systems = [
        System::of_handler(&noop, decide.clone()),
        System::of_handler(&ping, decide.clone()),
        System::of_workers("decide", &worker, decide.clone(), limits),
        System::of_workers("check", &worker, get(Face::Check), limits),
        held(System::new("gateway", gateway, vec![pid], get(Face::Get))),
        held(System::new("rls", rls, vec![pid], get(Face::Rls))),
        held(System::of_handler(&tower, get(Face::Get))),
        System::of_workers("decide, in process", &local, decide, limits),
    ];
    let reached = system::rounds(bench, &redis, &systems).await?;
    reached[DECIDE].find(bench, Figure::PingHandler, &reached[PING]);

    let mut section = Section::new("Faces");
    section.say(
        "One worker, 100,000 identities, so that hardly any is denied, 60 a minute and 2 a second, 64 connections in a closed \
         loop. *noop* and *ping* parse the JSON of `POST /v1/decide` and answer as many bytes; \
         ping waits for one PING on a connection that all share. *check* and *gateway* name the \
         user in a header; the gateway answers by its built-in echo. *rls* is Envoy's rate limit service over gRPC, one call at a time on each connection. *tower* is a router behind \
         the layer. The ratio is to noop.",
    );
    system::table(&mut section, system::names(&systems), &reached, 0);
    generator(&mut section, &reached);
    let title = "Answers a second against a no-op handler, closed loop";
    plot::bars(&bench.plots.join("faces.svg"), title, &system::ratio_bars(&systems, &reached, 0))?;
    section.plot("faces.svg", title);
    Ok(section)
}

/// What the generator itself takes.
fn generator(section: &mut Section, reached: &[Reached]) {
    let (http, grpc) = (&reached[NOOP].generator_ns, &reached[RLS].generator_ns);
    if http.is_empty() || grpc.is_empty() {
        return section.not_measured("what the generator takes of a core", CANNOT_BE_MEASURED);
    }
    section.say(&format!(
        "The generator is one thread. It takes {} µs of a core for an answer of noop, so that with \
         a core of its own it would ask {} times a second. For an answer of rls, a call over \
         HTTP/2, it takes {} µs: the cores are shared, so this lowers the rate and the ratio of rls \
         more than those of the others, which it asks over HTTP/1.1.",
        micros(http.median()),
        grouped(1_000_000_000 / http.median().max(1)),
        micros(grpc.median()),
    ));
}
