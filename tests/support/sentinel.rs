//! A master, its replica and three sentinels of a test's own, each a process on a free port.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{Client, FromRedisValue, TlsCertificates};
use tempfile::TempDir;

use crate::redis_server::free_port;
use crate::signal::signal;

/// The name of the master.
pub const MASTER: &str = "limits";
/// Sentinels take a master for down that has not answered for this long.
pub const DOWN_AFTER: Duration = Duration::from_millis(500);
/// How long processes may take to find each other, and a failover.
const WITHIN: Duration = Duration::from_secs(30);

/// What the processes are to ask for.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Lines of the configuration of the nodes.
    pub nodes: Vec<String>,
    /// Lines of the configuration of the sentinels.
    pub sentinels: Vec<String>,
    /// The password of the user that this support is, on nodes and on sentinels.
    pub password: Option<String>,
    /// A folder with `ca.pem`, `server.pem` and `server.key`: all speak TLS and nothing else.
    pub tls: Option<PathBuf>,
}

impl Access {
    /// The lines by which a process listens and lets in.
    fn lines(&self, port: u16) -> Vec<String> {
        let mut lines = vec!["bind 127.0.0.1".to_owned()];
        match &self.tls {
            None => lines.push(format!("port {port}")),
            Some(folder) => lines.extend([
                format!("port 0\ntls-port {port}\ntls-replication yes\ntls-auth-clients no"),
                format!("tls-cert-file {}", folder.join("server.pem").display()),
                format!("tls-key-file {}", folder.join("server.key").display()),
                format!("tls-ca-cert-file {}", folder.join("ca.pem").display()),
            ]),
        }
        lines.extend(self.password.iter().map(|password| format!("requirepass {password}")));
        lines
    }

    /// What stands before `://` in an address.
    fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "rediss" } else { "redis" }
    }

    fn client(&self, port: u16) -> Client {
        let login = self.password.as_ref().map_or(String::new(), |word| format!(":{word}@"));
        let url = format!("{}://{login}127.0.0.1:{port}", self.scheme());
        match &self.tls {
            None => Client::open(url).unwrap(),
            Some(folder) => {
                let root_cert = Some(std::fs::read(folder.join("ca.pem")).unwrap());
                let tls = TlsCertificates { client_tls: None, root_cert };
                Client::build_with_tls(url, tls).unwrap()
            }
        }
    }
}

/// A process with its address. It ends when this is dropped.
#[derive(Debug)]
pub struct Node {
    /// Where it listens.
    pub port: u16,
    client: Client,
    child: Child,
    command: Command,
}

/// Two nodes, one of them the master, and three sentinels.
#[derive(Debug)]
pub struct Sentinels {
    /// The master at the beginning, then its replica.
    pub nodes: [Node; 2],
    /// Those who watch.
    pub sentinels: [Node; 3],
    scheme: &'static str,
    _folder: TempDir,
}

impl Sentinels {
    /// Starts all, and waits until the sentinels know the replica and each other.
    ///
    /// # Panics
    ///
    /// If there is no `redis-server`, or they do not find each other.
    pub async fn start() -> Self {
        Self::with(&Access::default()).await
    }

    /// As [`start`](Self::start), with log-ins.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub async fn with(access: &Access) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports = [free_port(), free_port()];
        let nodes = ports.map(|port| {
            let mut lines = vec![
                "save \"\"".to_owned(),
                "appendonly no".to_owned(),
                "repl-diskless-sync-delay 0".to_owned(),
                "repl-ping-replica-period 1".to_owned(),
            ];
            lines.extend(access.password.iter().map(|password| format!("masterauth {password}")));
            if port != ports[0] {
                lines.push(format!("replicaof 127.0.0.1 {}", ports[0]));
            }
            lines.extend_from_slice(&access.nodes);
            Node::start(folder.path(), port, &lines, &[], access)
        });
        nodes[0].ready().await;
        let sentinels = [free_port(), free_port(), free_port()].map(|port| {
            let mut lines = vec![
                format!("sentinel monitor {MASTER} 127.0.0.1 {} 2", ports[0]),
                format!("sentinel down-after-milliseconds {MASTER} {}", DOWN_AFTER.as_millis()),
                format!("sentinel failover-timeout {MASTER} 5000"),
            ];
            if let Some(password) = &access.password {
                lines.push(format!("sentinel auth-pass {MASTER} {password}"));
            }
            lines.extend_from_slice(&access.sentinels);
            Node::start(folder.path(), port, &lines, &["--sentinel"], access)
        });
        let all = Self { nodes, sentinels, scheme: access.scheme(), _folder: folder };
        all.settle().await;
        all
    }

    /// Waits until every sentinel knows a replica that is up to date and both other sentinels.
    async fn settle(&self) {
        for sentinel in &self.sentinels {
            eventually("the sentinels know each other", async || {
                let mut connection = sentinel.try_connect().await?;
                let master: Vec<String> =
                    query(&mut connection, &["SENTINEL", "MASTER", MASTER]).await?;
                let replicas: Vec<Vec<String>> =
                    query(&mut connection, &["SENTINEL", "REPLICAS", MASTER]).await?;
                let others = field(&master, "num-other-sentinels") == Some("2");
                let replica = replicas.first().and_then(|said| field(said, "master-link-status"));
                (others && replica == Some("ok")).then_some(())
            })
            .await;
        }
    }

    /// The addresses of the sentinels, with what stands before the `@` in them.
    pub fn urls(&self, login: &str) -> Vec<String> {
        self.sentinels
            .each_ref()
            .map(|node| format!("{}://{login}127.0.0.1:{}", self.scheme, node.port))
            .into()
    }

    /// The node that says that it is the master, and takes writes. Of two, the last.
    ///
    /// # Panics
    ///
    /// If none does for half a minute.
    pub async fn master(&self) -> usize {
        eventually("there is a master", async || {
            let mut found = None;
            for (place, node) in self.nodes.iter().enumerate() {
                if node.is_master().await {
                    found = Some(place);
                }
            }
            found
        })
        .await
    }

    /// Whether a sentinel names the node as the master.
    pub async fn is_named(&self, node: usize) -> bool {
        let named = self.sentinels.iter().map(async |sentinel| {
            let mut connection = sentinel.try_connect().await?;
            let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER];
            query::<(String, u16)>(&mut connection, &words).await
        });
        // One that is frozen does not hold up the others.
        let named = named.map(|named| tokio::time::timeout(Duration::from_millis(100), named));
        let named = futures_util::future::join_all(named).await;
        named.into_iter().flatten().flatten().any(|(_, port)| port == self.nodes[node].port)
    }

    /// Asks the first sentinel for a failover.
    ///
    /// # Panics
    ///
    /// If it refuses for half a minute.
    pub async fn fail_over(&self) {
        eventually("a failover is taken up", async || {
            let mut connection = self.sentinels[0].try_connect().await?;
            query::<()>(&mut connection, &["SENTINEL", "FAILOVER", MASTER]).await
        })
        .await;
    }
}

impl Node {
    fn start(
        folder: &Path,
        port: u16,
        lines: &[String],
        arguments: &[&str],
        access: &Access,
    ) -> Self {
        let folder = folder.join(port.to_string());
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("redis.conf");
        let mut text = access.lines(port);
        text.push(format!("dir {}", folder.display()));
        text.extend_from_slice(lines);
        text.push(String::new());
        std::fs::write(&file, text.join("\n")).unwrap();
        let mut command = Command::new(crate::redis_server::binary());
        command.arg(&file).args(arguments).stdout(Stdio::null());
        let child = spawn(&mut command);
        Self { port, client: access.client(port), child, command }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once.
    ///
    /// # Panics
    ///
    /// If it cannot be ended.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again after [`kill`](Self::kill), with the configuration that it has written.
    pub fn start_again(&mut self) {
        self.child = spawn(&mut self.command);
    }

    /// Stops it without ending it.
    pub fn freeze(&self) {
        signal(self.pid(), &["STOP"]);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        signal(self.pid(), &["CONT"]);
    }

    /// A connection of its own.
    ///
    /// # Panics
    ///
    /// If it does not answer for half a minute.
    pub async fn connect(&self) -> MultiplexedConnection {
        eventually("a node answers", async || self.try_connect().await).await
    }

    /// Whether it says now that it is the master, and not that it is to become a replica.
    pub async fn is_master(&self) -> bool {
        let said = async {
            let mut connection = self.try_connect().await?;
            query::<Vec<redis::Value>>(&mut connection, &["ROLE"]).await
        };
        let role =
            said.await.and_then(|said| redis::from_redis_value(said.into_iter().next()?).ok());
        role == Some("master".to_owned())
    }

    async fn ready(&self) {
        self.connect().await;
    }

    async fn try_connect(&self) -> Option<MultiplexedConnection> {
        let mut connection = self.client.get_multiplexed_async_connection().await.ok()?;
        query::<()>(&mut connection, &["PING"]).await?;
        Some(connection)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(command: &mut Command) -> Child {
    command.spawn().expect("redis-server is missing: ./test installs it, or use your packages")
}

/// The reply to one command; `None` where there is none, or it is an error.
async fn query<T: FromRedisValue>(
    connection: &mut MultiplexedConnection,
    words: &[&str],
) -> Option<T> {
    redis::cmd(words[0]).arg(&words[1..]).query_async(connection).await.ok()
}

/// A field of what a sentinel says.
fn field<'a>(said: &'a [String], name: &str) -> Option<&'a str> {
    let at = said.iter().position(|word| word == name)?;
    said.get(at + 1).map(String::as_str)
}

/// What comes to be within half a minute.
async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = attempt().await {
            return found;
        }
        assert!(started.elapsed() < WITHIN, "{what}: not within {WITHIN:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
