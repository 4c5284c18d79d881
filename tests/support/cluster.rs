//! A Redis Cluster of a test's own: processes on free ports of the loopback interface, each of
//! which can be killed, frozen, promoted, or given slots while it is in use.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisError, cmd};

use crate::RedisServer;
use crate::redis_server::free_port;

/// How long the nodes may take to agree.
const AGREED_WITHIN: Duration = Duration::from_secs(60);
/// How long a node may be silent before the others replace it, in ms.
const NODE_TIMEOUT_MS: &str = "1500";
const SLOTS: u16 = 16_384;

/// A running cluster. It ends when this is dropped.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<RedisServer>,
    primaries: usize,
    /// What the nodes call each other.
    ids: Vec<String>,
}

impl Cluster {
    /// This many primaries, each with so many replicas. The first are the primaries, with a like
    /// share of the slots; then come their replicas, one for each in turn.
    ///
    /// # Panics
    ///
    /// If there is no `redis-server`, or the nodes do not agree within a minute.
    pub async fn start(primaries: usize, replicas: usize) -> Self {
        Self::start_with(primaries, replicas, |_| Vec::new()).await
    }

    /// The same with further arguments for each node, by its port.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub async fn start_with(
        primaries: usize,
        replicas: usize,
        arguments: impl Fn(u16) -> Vec<String>,
    ) -> Self {
        let spawn = |_| {
            let port = free_port();
            let more = arguments(port);
            let mut all = vec![
                "--cluster-enabled",
                "yes",
                "--cluster-node-timeout",
                NODE_TIMEOUT_MS,
                "--cluster-require-full-coverage",
                "no",
                "--cluster-replica-validity-factor",
                "0",
                "--repl-diskless-sync-delay",
                "0",
            ];
            all.extend(more.iter().map(String::as_str));
            RedisServer::spawn_on(port, &all, &[])
        };
        let nodes: Vec<_> = (0..primaries * (1 + replicas)).map(spawn).collect();
        let mut cluster = Self { nodes, primaries, ids: Vec::new() };
        for node in &cluster.nodes {
            node.ready().await;
        }
        for place in 0..cluster.nodes.len() {
            let id = cluster.ask(place, &["CLUSTER", "MYID"]).await;
            cluster.ids.push(id);
        }
        cluster.join().await;
        cluster
    }

    async fn join(&self) {
        for place in 0..self.nodes.len() {
            let epoch = (place + 1).to_string();
            self.ask::<()>(place, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await;
            if place < self.primaries {
                let [first, last] =
                    [place, place + 1].map(|n| n * usize::from(SLOTS) / self.primaries);
                let slots: Vec<_> = (first..last).map(|slot| slot.to_string()).collect();
                let mut words = vec!["CLUSTER", "ADDSLOTS"];
                words.extend(slots.iter().map(String::as_str));
                self.ask::<()>(place, &words).await;
            }
            if place > 0 {
                let port = self.port(0).to_string();
                self.ask::<()>(place, &["CLUSTER", "MEET", "127.0.0.1", &port]).await;
            }
        }
        self.agree("cluster_known_nodes", &self.nodes.len().to_string()).await;
        for replica in self.primaries..self.nodes.len() {
            let primary = &self.ids[replica % self.primaries];
            self.ask::<()>(replica, &["CLUSTER", "REPLICATE", primary]).await;
        }
        self.agree("cluster_state", "ok").await;
        self.agree("cluster_slots_ok", &SLOTS.to_string()).await;
        for replica in self.primaries..self.nodes.len() {
            let linked = async || {
                let info: String = self.ask(replica, &["INFO", "replication"]).await;
                info.contains("master_link_status:up")
            };
            eventually("a replica follows its primary", linked).await;
        }
    }

    /// Waits until every node says this of the cluster.
    async fn agree(&self, field: &str, value: &str) {
        for place in 0..self.nodes.len() {
            let said = async || {
                let info: String = self.ask(place, &["CLUSTER", "INFO"]).await;
                info.lines().any(|line| line.trim_end() == format!("{field}:{value}"))
            };
            eventually(&format!("{field} is {value}"), said).await;
        }
    }

    /// Where the nodes answer, `redis://…`.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.url.clone()).collect()
    }

    /// How many of the nodes were primaries at the start; they are the first.
    pub fn primaries(&self) -> usize {
        self.primaries
    }

    /// The server at a place, to be looked at.
    pub fn node(&self, place: usize) -> &RedisServer {
        &self.nodes[place]
    }

    /// `127.0.0.1:PORT`, as the nodes call it.
    pub fn address(&self, place: usize) -> String {
        format!("127.0.0.1:{}", self.port(place))
    }

    fn port(&self, place: usize) -> u16 {
        self.nodes[place].url.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Sends one command to a node, its words apart.
    ///
    /// # Panics
    ///
    /// If the node does not answer, or refuses.
    pub async fn ask<T: FromRedisValue>(&self, place: usize, words: &[&str]) -> T {
        self.try_ask(place, words).await.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// The same, for what may be refused.
    ///
    /// # Errors
    ///
    /// What the node says.
    pub async fn try_ask<T: FromRedisValue>(
        &self,
        place: usize,
        words: &[&str],
    ) -> Result<T, RedisError> {
        let mut command = cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut self.connect(place).await?).await
    }

    /// A connection of its own to a node.
    ///
    /// # Errors
    ///
    /// The node does not answer.
    pub async fn connect(&self, place: usize) -> Result<MultiplexedConnection, RedisError> {
        let client = redis::Client::open(self.nodes[place].url.as_str())?;
        client.get_multiplexed_async_connection().await
    }

    /// The slot of a key, as a node says.
    pub async fn slot_of(&self, key: &str) -> u16 {
        self.ask(self.alive(), &["CLUSTER", "KEYSLOT", key]).await
    }

    /// The place of the node that has a slot, as a node that answers says.
    ///
    /// # Panics
    ///
    /// If no node has it.
    pub async fn node_of(&self, slot: u16) -> usize {
        let rows: Vec<redis::Value> = self.ask(self.alive(), &["CLUSTER", "SLOTS"]).await;
        for row in &rows {
            let redis::Value::Array(row) = row else { panic!("{row:?}") };
            let redis::Value::Array(primary) = &row[2] else { panic!("{row:?}") };
            let number = |value| redis::from_redis_value_ref::<u16>(value).unwrap();
            if (number(&row[0])..=number(&row[1])).contains(&slot) {
                let id: String = redis::from_redis_value_ref(&primary[2]).unwrap();
                return self.ids.iter().position(|known| *known == id).unwrap();
            }
        }
        panic!("no node has slot {slot}");
    }

    /// The first node that is neither killed nor frozen.
    fn alive(&self) -> usize {
        (0..self.nodes.len()).find(|place| self.nodes[*place].runs()).expect("a node that runs")
    }

    /// Kills a node.
    pub fn kill(&mut self, place: usize) {
        self.nodes[place].stop();
    }

    /// Starts a node that was killed, with what it knew of the cluster.
    pub async fn start_again(&mut self, place: usize) {
        self.nodes[place].start_again().await;
    }

    /// Freezes a node: it keeps its connections and does not answer.
    pub fn freeze(&self, place: usize) {
        self.nodes[place].signal("STOP");
    }

    /// Lets a frozen node go on.
    pub fn thaw(&self, place: usize) {
        self.nodes[place].signal("CONT");
    }

    /// Makes a replica the primary, with the consent of the old one, and waits for it.
    pub async fn failover(&self, replica: usize) {
        let promoted = async || {
            // The old one may take longer than the five seconds that it has.
            let _: Result<(), _> = self.try_ask(replica, &["CLUSTER", "FAILOVER"]).await;
            self.is_promoted(replica, Duration::from_secs(6)).await
        };
        eventually("the replica is promoted by consent", promoted).await;
    }

    /// Waits until a node takes writes.
    ///
    /// # Panics
    ///
    /// If it does not within a minute.
    pub async fn promoted(&self, replica: usize) {
        assert!(self.is_promoted(replica, AGREED_WITHIN).await, "no replica took over");
    }

    async fn is_promoted(&self, replica: usize, within: Duration) -> bool {
        let started = Instant::now();
        while started.elapsed() < within {
            let role: Result<Vec<redis::Value>, _> = self.try_ask(replica, &["ROLE"]).await;
            if role.is_ok_and(|role| role[0] == redis::Value::BulkString(b"master".to_vec())) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        false
    }

    /// Begins to move a slot: from here on both nodes send each other's clients back and forth.
    pub async fn begin_move(&self, slot: u16, to: usize) -> usize {
        let from = self.node_of(slot).await;
        let (slot, source, target) = (slot.to_string(), &self.ids[from], &self.ids[to]);
        self.ask::<()>(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", source]).await;
        self.ask::<()>(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", target]).await;
        from
    }

    /// Moves the keys of a slot that is [being moved](Self::begin_move), and the slot.
    pub async fn finish_move(&self, slot: u16, from: usize, to: usize) {
        let (slot, port) = (slot.to_string(), self.port(to).to_string());
        loop {
            let keys: Vec<String> =
                self.ask(from, &["CLUSTER", "GETKEYSINSLOT", &slot, "100"]).await;
            if keys.is_empty() {
                break;
            }
            let mut words = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            words.extend(keys.iter().map(String::as_str));
            self.ask::<redis::Value>(from, &words).await;
        }
        let target = &self.ids[to];
        // The new owner first: a slot that nobody owns is refused by both. The others hear of it
        // by and by, or are told here.
        let others = (0..self.primaries).filter(|place| *place != to && *place != from);
        for place in [to, from].into_iter().chain(others) {
            self.ask::<()>(place, &["CLUSTER", "SETSLOT", &slot, "NODE", target]).await;
        }
    }

    /// Moves a slot with its keys to another node.
    pub async fn move_slot(&self, slot: u16, to: usize) {
        let from = self.begin_move(slot, to).await;
        if from != to {
            self.finish_move(slot, from, to).await;
        }
    }
}

async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < AGREED_WITHIN, "not within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
