//! The load generator: keep-alive HTTP/1.1 on one thread, in a closed loop or at a constant rate.
//!
//! At a constant rate every request has the time at which it is due, whether or not a connection
//! is free then, and its latency counts from that time. A server that stalls is so charged for
//! every request that it kept from being sent. In a closed loop a request is due when the answer
//! before it is there.

mod connection;
mod grpc;
mod law;
mod pace;
mod tally;
#[cfg(test)]
mod tests;
mod traffic;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::task::{LocalSet, spawn_local};

pub(crate) use connection::{Connection, Verdict};
pub(crate) use pace::Pace;
use pace::Schedule;
pub(crate) use tally::{Lapses, Tally};
pub(crate) use traffic::{
    CALM_KEYS, Callers, Face, KEYS, SPENT, SPENT_PATH, Traffic, decide_request,
};

/// Connections unless a part says otherwise.
pub(crate) const CONNECTIONS: usize = 64;

/// More failures than one in so many requests, and the figures of a load say nothing.
const FAILED_ONE_IN: u64 = 100;

/// How much is asked, of whom.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// Over which the connections are spread evenly.
    pub(crate) servers: Vec<SocketAddr>,
    /// What is sent.
    pub(crate) traffic: Traffic,
    /// How many are open.
    pub(crate) connections: usize,
    /// When requests are due.
    pub(crate) pace: Pace,
    /// Left out of the figures.
    pub(crate) warm_up: Duration,
    /// What is measured.
    pub(crate) lasts: Duration,
}

impl Load {
    /// Sends it, and returns what came back.
    ///
    /// # Errors
    ///
    /// Connections that break or are refused, and answers that are neither a decision nor a denial.
    pub(crate) async fn run(&self) -> Result<Tally> {
        let tally = Rc::new(RefCell::new(Tally::new()?));
        let mut open = Vec::with_capacity(self.connections);
        for number in 0..self.connections {
            let server = self.servers[number % self.servers.len()];
            open.push(Connection::open(server, self.traffic.face).await?);
        }
        let started = Instant::now();
        let from = started + self.warm_up;
        let schedule = Schedule::start(self.pace, started, from + self.lasts, self.connections);
        let local = LocalSet::new();
        let sent = local.run_until(async {
            let senders = open.into_iter().map(|connection| {
                let (schedule, tally) = (schedule.clone(), Rc::clone(&tally));
                spawn_local(send(connection, self.traffic.clone(), schedule, tally, from))
            });
            let senders: Vec<_> = senders.collect();
            for sender in senders {
                sender.await.context("a sender has ended badly")??;
            }
            anyhow::Ok(())
        });
        sent.await?;
        drop(schedule);
        let Ok(tally) = Rc::try_unwrap(tally) else { bail!("a sender has not ended") };
        let tally = tally.into_inner();
        let Lapses { failed, of, .. } = tally.lapses;
        ensure!(failed * FAILED_ONE_IN <= of, "{failed} of {of} requests were answered 503");
        Ok(tally.over(self.lasts))
    }
}

/// One connection, until nothing is due any more.
async fn send(
    mut connection: Connection,
    traffic: Traffic,
    schedule: Schedule,
    tally: Rc<RefCell<Tally>>,
    from: Instant,
) -> Result<()> {
    let mut random = fastrand::Rng::new();
    while let Some(due) = schedule.next().await {
        let caller = traffic.write(&mut random, connection.request());
        let sent = Instant::now();
        let verdict = connection.exchange().await?;
        let now = Instant::now();
        let latency = schedule.counts(from, due, now).then_some(now - due);
        tally.borrow_mut().record(caller, sent, now, verdict, latency);
    }
    Ok(())
}
