//! One server.

use transom_tests::RedisServer;
use transom_tests::stepped_clock::SteppedClock;

use super::{BREAKABLE, Node, address};
use crate::fault::Fault;

/// A step of the clock.
const HOUR_US: i64 = 3_600_000_000;
/// Settings under which a server that is killed has lost nothing that it said: it writes before it
/// answers, and what it wrote outlives the process, if not the machine.
const DURABLE: [(&str, &str); 2] = [("appendonly", "yes"), ("appendfsync", "no")];

pub(super) struct Single {
    server: RedisServer,
    pub(super) node: Node,
    clock: Option<SteppedClock>,
}

impl Single {
    pub(super) async fn start(fault: Fault) -> Self {
        let durable = if fault == Fault::Kill { &DURABLE[..] } else { &[] };
        let arguments: Vec<String> = BREAKABLE
            .iter()
            .chain(durable)
            .flat_map(|(name, value)| [format!("--{name}"), (*value).to_owned()])
            .collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let steps = matches!(fault, Fault::ClockBack | Fault::ClockForward);
        let clock = steps.then(SteppedClock::new);
        let variables: Vec<_> = clock.iter().flat_map(SteppedClock::variables).collect();
        let variables: Vec<_> = variables.iter().map(|(name, of)| (*name, of.as_str())).collect();
        let server = RedisServer::process_with(&arguments, &variables).await;
        let node = Node::start(address(&server)).await;
        Self { server, node, clock }
    }

    pub(super) fn inject(&mut self, fault: Fault) {
        match fault {
            Fault::Stop => self.server.signal("STOP"),
            Fault::Kill => self.server.stop(),
            Fault::ClockBack => self.step(-HOUR_US),
            Fault::ClockForward => self.step(HOUR_US),
            other => panic!("{other:?} makes no sense for a single server"),
        }
    }

    pub(super) async fn mend(&mut self, fault: Fault) {
        match fault {
            Fault::Stop => self.server.signal("CONT"),
            Fault::Kill => self.server.start_again().await,
            _ => {}
        }
    }

    fn step(&self, us: i64) {
        self.clock.as_ref().expect("a server with a clock of its own").step(us);
    }
}
