//! Where the time of an answer goes: the cores' time in each process, and the bound that it sets.

use anyhow::{Context as _, Result, ensure};
use transom_core::Limits;
use transom_tests::RedisServer;

use super::calls;
use super::connect;
use super::system::{self, System};
use crate::args::Kind;
use crate::bench::Bench;
use crate::load::{CALM_KEYS, Lapses, Traffic};
use crate::machine::{CANNOT_BE_MEASURED, CpuTime, cores};
use crate::must::Figure;
use crate::plot::{self, Bar};
use crate::process::{Handler, Program};
use crate::report::Section;
use crate::stats::{PerMille, Series, grouped, micros};

/// Places of the systems.
const NOOP: usize = 0;
const PING: usize = 1;
const DECIDE: usize = 2;
const HOT: usize = 3;

/// What an answer took, round by round.
#[derive(Debug, Default)]
struct Spent {
    rate: Series,
    /// Of generator, server and Redis, in the program and in the kernel.
    user_ns: [Series; 3],
    kernel_ns: [Series; 3],
    sum_ns: Series,
    script_ns: Series,
    decisions_a_call: Series,
    lapses: Lapses,
}

pub(super) async fn measure(bench: &mut Bench) -> Result<Section> {
    let (redis, limits) = (RedisServer::process(&[]).await, Limits::DEFAULT);
    let noop = Handler::start(Program::Own(Kind::Noop), &redis.url, limits)?;
    let ping = Handler::start(Program::Own(Kind::Ping), &redis.url, limits)?;
    let worker = system::workers(&redis.url, "profile", limits, 1);
    let systems = [
        System::of_handler(&noop, Traffic::decide(CALM_KEYS)),
        System::of_handler(&ping, Traffic::decide(CALM_KEYS)),
        System::of_workers("decide", &worker, Traffic::decide(CALM_KEYS), limits),
        System::of_workers("decide, one hot key", &worker, Traffic::decide(1), limits),
    ];
    let mut spent: Vec<Spent> = systems.iter().map(|_| Spent::default()).collect();
    for number in 0..bench.rounds() {
        for place in system::turns(number, systems.len()) {
            let system = &systems[place];
            bench.step(number, &system.name);
            system::empty(&redis).await?;
            round(bench, &redis, system, &mut spent[place]).await?;
        }
    }

    let mut section = Section::new("Profile");
    section.say(&format!(
        "Time of a core for one answer, in µs, in a closed loop: in the program and, after the +, \
         in the kernel for it (`/proc/PID/stat`). Generator, server and Redis share {0} cores, so \
         that no system can answer more often than {0} / (sum of the three); *of the bound* is how \
         much of that was reached. All are medians of the rounds by themselves. *script* is \
         `INFO commandstats` of EVALSHA: by the clock, so that waiting for a core is in it. In the \
         load of *decide* an identity comes again after seconds, \
         when the key of its second has expired: it is made and deleted for each decision, which \
         takes Redis longer than under *The script*.",
        cores()
    ));
    let rows: Vec<_> = systems.iter().zip(&spent).map(|(it, spent)| spent.row(&it.name)).collect();
    section.table(&HEAD, &rows);
    section.say(
        "What the bounds ask for: an answer may take as long as that of the handler it is held \
         against, divided by the ratio, if the cores are used alike. *Without a limiter* is what is \
         left where the worker does no more than noop, parse and answer: generator and server of \
         noop, and Redis as it is.",
    );
    let against = [
        (Figure::PingHandler, "decide, against ping", DECIDE, PING),
        (Figure::HotKey, "one hot key, against noop", HOT, NOOP),
    ];
    let rows = against.map(|(figure, name, own, base)| {
        let ([generator, server, _], [.., redis]) = (spent[NOOP].parts_ns(), spent[own].parts_ns());
        let least = generator + server + redis;
        let (own, base) = (spent[own].sum_ns.median(), spent[base].sum_ns.median());
        let most = base * 1_000 / figure.ratio().max(1);
        let ratio_of = |sum: u64| PerMille(base * 1_000 / sum.max(1)).to_string();
        let [own_us, base_us, most_us, least_us] = [own, base, most, least].map(micros);
        let asked = PerMille(figure.ratio()).to_string();
        let (at_hand, at_best) = (ratio_of(own), ratio_of(least));
        let numbers = [own_us, base_us, asked, most_us, at_hand, least_us, at_best];
        [name.to_owned()].into_iter().chain(numbers).collect()
    });
    section.table(&ASKED_HEAD, &rows);
    draw(bench, &mut section, &systems, &spent)?;
    Ok(section)
}

/// The head of the table of [`Spent::row`].
const HEAD: [&str; 9] = [
    "",
    "generator",
    "server",
    "Redis",
    "sum",
    "at most a second",
    "of the bound",
    "script",
    "answers for a call of it",
];

/// The head of what the bounds ask for.
const ASKED_HEAD: [&str; 8] = [
    "",
    "µs",
    "µs of the handler",
    "ratio asked",
    "µs at most",
    "ratio of the sums",
    "µs without a limiter",
    "ratio without a limiter",
];

impl Spent {
    /// Of generator, server and Redis.
    fn parts_ns(&self) -> [u64; 3] {
        let parts = |place: usize| self.user_ns[place].median() + self.kernel_ns[place].median();
        [0, 1, 2].map(parts)
    }

    fn row(&self, name: &str) -> Vec<String> {
        let most = bound(self.sum_ns.median());
        let mut row = vec![self.lapses.behind(name)];
        row.extend(self.user_ns.iter().zip(&self.kernel_ns).map(|(user, kernel)| {
            format!("{} + {}", micros(user.median()), micros(kernel.median()))
        }));
        row.push(micros(self.sum_ns.median()));
        row.push(grouped(most));
        row.push(PerMille(self.rate.median() * 1_000 / most.max(1)).to_string());
        row.push(micros(self.script_ns.median()));
        row.push(PerMille(self.decisions_a_call.median()).to_string());
        row
    }
}

/// Answers a second where each takes so much of the cores.
fn bound(sum_ns: u64) -> u64 {
    cores() as u64 * 1_000_000_000 / sum_ns.max(1)
}

async fn round(
    bench: &mut Bench,
    redis: &RedisServer,
    system: &System,
    spent: &mut Spent,
) -> Result<()> {
    let mut connection = connect(redis).await?;
    calls::reset(&mut connection).await?;
    let redis_pid = redis.pid().context("a server that runs as a process")?;
    let times = || {
        let mut servers = system.pids.iter().map(|pid| CpuTime::of(*pid));
        let server = servers.try_fold(CpuTime::default(), |sum, own| Some(sum + own?));
        Some([CpuTime::of(std::process::id())?, server?, CpuTime::of(redis_pid)?])
    };
    let before = times().context(CANNOT_BE_MEASURED)?;
    let tally = system.run(bench).await?;
    let after = times().context(CANNOT_BE_MEASURED)?;
    system.judge(bench, &tally);
    let answers = tally.all.max(1);
    let mut sum_ns = 0;
    for place in 0..before.len() {
        let took = after[place] - before[place];
        spent.user_ns[place].push(took.user_ns / answers);
        spent.kernel_ns[place].push(took.kernel_ns / answers);
        sum_ns += took.sum_ns();
    }
    ensure!(sum_ns > 0, CANNOT_BE_MEASURED);
    spent.sum_ns.push(sum_ns / answers);
    spent.rate.push(tally.rate());
    spent.lapses = spent.lapses.and(tally.lapses);
    // What asks Redis nothing calls no script.
    let (calls, script_us) = calls::evalsha(&mut connection).await?.unwrap_or_default();
    spent.script_ns.push(script_us * 1_000 / answers);
    spent.decisions_a_call.push(answers * 1_000 / calls.max(1) * u64::from(calls > 0));
    Ok(())
}

fn draw(bench: &Bench, section: &mut Section, systems: &[System], spent: &[Spent]) -> Result<()> {
    let bars: Vec<_> = systems
        .iter()
        .zip(spent)
        .map(|(system, own)| Bar {
            name: system.name.clone(),
            parts: own.parts_ns().to_vec(),
            shown: micros(own.sum_ns.median()),
        })
        .collect();
    let title = "Time of a core for an answer, µs";
    plot::stacked(
        &bench.plots.join("profile.svg"),
        title,
        &["generator", "server", "Redis"],
        &bars,
    )?;
    section.plot("profile.svg", title);
    Ok(())
}
