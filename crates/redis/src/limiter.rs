//! The limiter on Redis.

use std::sync::Arc;
use std::time::Instant;

use tokio::time::timeout;
use transom_core::{
    Decision, FleetMode, Identity, Limiter, PolicyName, Request, Share, Source, Unavailable,
    Verdict,
};

use crate::api_keys::{KeyDirectory, REVISION_PERIOD};
use crate::changes::Listener;
use crate::cluster::{Cluster, Member};
use crate::control::Control;
use crate::denials::Denials;
use crate::error::OpenError;
use crate::keyspace::Keyspace;
use crate::metrics::ChangesMetrics;
use crate::node::{Node, Nodes, WeakNodes};
use crate::operations::{CHANGES, RESET};
use crate::reply;
use crate::roster;
use crate::script::{Item, Script};
use crate::settings::{Servers, Settings};
use crate::strikes::{self, Strikes};
use crate::walk::Walks;
use crate::watch::Warnings;

/// Decides in Redis, exactly, over every worker that uses the same server and prefix.
///
/// Every call ends within the deadline of its [`Settings`]. Nothing is sent twice unless it is
/// certain that it has not run.
#[derive(Clone, Debug)]
pub struct RedisLimiter {
    pub(crate) control: Control,
    peek: Script,
    pub(crate) denials: Denials,
    strikes: Strikes,
    pub(crate) warnings: Warnings,
}

impl RedisLimiter {
    /// Sets up the lanes, which connect in the background and keep trying. Redis need not be
    /// there. Must be called on a tokio runtime.
    ///
    /// # Errors
    ///
    /// Settings that cannot work whether Redis is there or not.
    pub fn open(settings: &Settings) -> Result<Self, OpenError> {
        Self::open_with(settings, Script::admit(), Script::peek())
    }

    /// As [`open`](Self::open), with other scripts: for tests, which replace the clock or break
    /// a rule on purpose.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_with(settings: &Settings, admit: Script, peek: Script) -> Result<Self, OpenError> {
        let (keyspace, denials) = (Keyspace::new(&settings.prefix), Denials::new());
        let (channel, metrics) = (keyspace.named(CHANGES), ChangesMetrics::new());
        let listener = Listener { channel, denials: denials.clone(), metrics };
        let listener = settings.known_denials.then_some(listener);
        let nodes = match &settings.servers {
            Servers::Cluster(seeds) => {
                Nodes::Cluster(Cluster::start(settings, seeds, admit, listener)?)
            }
            _ => {
                let (primary, member) = (settings.primary()?, Member::of_none());
                let node = Node::start(primary, admit, settings.lanes, member, listener);
                Nodes::One(Arc::new(node))
            }
        };
        let worker = format!("{:016x}", fastrand::u64(..)).into();
        let (walks, deadline) = (Walks::default(), settings.deadline);
        let control = Control { nodes, walks, keyspace, deadline, worker };
        let (strikes, warnings) = (Strikes::new(), Warnings::default());
        let limiter = Self { control, peek, denials, strikes, warnings };
        tokio::spawn(report_strikes(
            limiter.control.nodes.downgrade(),
            limiter.control.keyspace.clone(),
            limiter.strikes.clone(),
        ));
        Ok(limiter)
    }

    /// Waits until a first attempt to connect has ended.
    ///
    /// # Errors
    ///
    /// [`Unavailable::Unreachable`] where it failed; the lanes keep trying all the same.
    pub async fn connected(&self) -> Result<(), Unavailable> {
        self.control.nodes.tried().await;
        self.control.nodes.connected()
    }

    /// Whether requests are sent to Redis now; on a cluster, to every node.
    ///
    /// # Errors
    ///
    /// [`Unavailable::Unreachable`] with what the last attempt to connect said, or
    /// [`Unavailable::BreakerOpen`]. Of a cluster it names the nodes that are not there.
    pub fn state(&self) -> Result<(), Unavailable> {
        self.control.nodes.state()
    }

    /// The nodes of a cluster that get no requests now, by host and port.
    pub fn lost_nodes(&self) -> Vec<String> {
        let named = self.control.nodes.all().into_iter();
        named.filter_map(|(name, node)| name.filter(|_| node.lanes.state().is_err())).collect()
    }

    /// Whether changes are heard of now, on a cluster at every node: only then are denials that are
    /// known said again.
    pub fn hears_changes(&self) -> bool {
        let (nodes, now) = (self.control.nodes.all(), Instant::now());
        !nodes.is_empty() && nodes.iter().all(|(_, node)| node.ears.hear(now).is_some())
    }

    /// How many requests wait for a lane now.
    pub fn waiting(&self) -> usize {
        self.control.nodes.waiting()
    }

    /// Signs this worker on, for as long as the future is polled, and keeps `share` at the number
    /// of workers that live. While Redis does not answer the last number stays.
    pub async fn join(&self, share: Share) {
        roster::stay(&self.control, &share).await;
    }

    /// Signs this worker off at once, where [`join`](Self::join) would leave it to be forgotten.
    pub async fn leave(&self) {
        roster::leave(&self.control).await;
    }

    /// Keeps `mode` at what the fleet is set to, for as long as the future is polled. While Redis
    /// does not answer the last one stays, and so it does where Redis has forgotten.
    pub async fn follow_mode(&self, mode: FleetMode) {
        let mut complained = false;
        loop {
            match self.mode_on_record().await {
                Ok(set) => {
                    if let Some(set) = set {
                        mode.set(set);
                    }
                    complained = false;
                }
                Err(reason @ Unavailable::Reply(_)) if !complained => {
                    tracing::warn!(%reason, "the mode of the fleet cannot be read");
                    complained = true;
                }
                Err(_) => {}
            }
            tokio::time::sleep(REVISION_PERIOD).await;
        }
    }

    /// The API keys kept in the same Redis. It starts a task that watches for changes.
    pub fn api_keys(&self) -> KeyDirectory {
        KeyDirectory::start(self.control.clone())
    }
}

impl RedisLimiter {
    /// Says a denial again that is known to hold, or asks Redis. What is to be reported goes there.
    async fn decide(
        &self,
        request: &Request,
        unreported: Option<u32>,
    ) -> Result<Decision, Unavailable> {
        let known = unreported.is_none().then(|| self.denials.answer(request)).flatten();
        match known {
            Some(denial) => Ok(denial),
            // Boxed, since whoever waits for it would hold and move its room, known or not.
            None => Box::pin(self.submit(request, unreported)).await,
        }
    }

    /// Asks Redis, with others that wait.
    async fn submit(
        &self,
        request: &Request,
        unreported: Option<u32>,
    ) -> Result<Decision, Unavailable> {
        let deadline = Instant::now() + self.control.within(request)?;
        let item = Item::new(&self.control.keyspace, request, unreported);
        let (node, slot) = self.control.nodes.of_key(item.tag())?;
        let asked = self.denials.asking(&node.ears);
        let verdict = node.lanes.ask(item, slot, deadline).await?;
        // Another node may have decided, which tells its changes itself.
        if let Some(asked) = asked
            && self.control.nodes.is_of_slot(&node, slot)
        {
            self.denials.learn(request, asked, &verdict);
        }
        Ok(decision(&verdict))
    }

    /// Asks Redis alone, and charges nothing.
    async fn look(&self, request: &Request) -> Result<Decision, Unavailable> {
        let items = [Item::new(&self.control.keyspace, request, None)];
        let within = self.control.within(request)?;
        let [by_digest, by_text] = self.peek.commands(&items);
        let call = async {
            match self.control.nodes.send(&by_digest).await {
                Err(Unavailable::Refused { code, .. }) if code == "NOSCRIPT" => {
                    self.control.nodes.send(&by_text).await
                }
                answer => answer,
            }
        };
        let reply = timeout(within, call).await.unwrap_or(Err(Unavailable::Deadline))?;
        let verdict = reply::decode(&reply, items.len())?.pop();
        verdict
            .unwrap_or_else(|| Err(Unavailable::Reply("no answer".into())))
            .map(|verdict| decision(&verdict))
    }
}

impl Limiter for RedisLimiter {
    async fn admit(&self, request: &Request) -> Result<Decision, Unavailable> {
        if request.penalty.is_none() || !request.enforced {
            return self.decide(request, None).await;
        }
        let report = self.strikes.begin(request);
        let decided = self.decide(request, report.unreported).await;
        report.end(&decided);
        decided
    }

    async fn peek(&self, request: &Request) -> Result<Decision, Unavailable> {
        Box::pin(self.look(request)).await
    }

    async fn reset(&self, identity: &Identity, policy: &PolicyName) -> Result<(), Unavailable> {
        let keys = self.control.keyspace.windows(identity, policy);
        self.change::<u8>(RESET, &keys, |_| {}).await.map(drop)
    }
}

/// Reports strikes of those who send no further request, for as long as the limiter lives. Nobody
/// waits for the answers.
async fn report_strikes(nodes: WeakNodes, keyspace: Keyspace, strikes: Strikes) {
    loop {
        tokio::time::sleep(strikes::PERIOD).await;
        let Some(nodes) = nodes.upgrade() else {
            return;
        };
        for (request, denials) in strikes.due() {
            let item = Item::new(&keyspace, &request, Some(denials));
            let sent = nodes.of_key(item.tag());
            let sent = sent.and_then(|(node, slot)| node.lanes.submit(item, slot));
            if let Ok(answer) = sent {
                tokio::spawn(answer);
            }
        }
    }
}

fn decision(verdict: &Verdict) -> Decision {
    Decision::new(verdict, Source::Redis)
}
