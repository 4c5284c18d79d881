//! HAProxy as a process, with the configuration of the compose file, in front of workers.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use transom_tests::redis_server::free_port;

use crate::proxy_process::{ProxyProcess, replaced};

/// Where a worker listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) gateway: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// Starts a load balancer and waits until it listens.
pub(crate) async fn start(workers: &[Place]) -> ProxyProcess {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let command = |file: &Path| {
        let mut command = Command::new("haproxy");
        command.args(["-db", "-f"]).arg(file);
        command
    };
    // Of what it says of requests, what went wrong is enough.
    let is_shown = |line: &str| !line.contains(" edge workers/") || line.contains(" 50");
    let configuration = configuration(address, workers);
    ProxyProcess::start("haproxy", address, &configuration, command, is_shown).await
}

/// The file of the repository, with these addresses in the place of Docker's names.
fn configuration(address: SocketAddr, workers: &[Place]) -> String {
    let servers = |line: &dyn Fn(&Place) -> String| {
        let lines = workers.iter().enumerate();
        let lines = lines.map(|(number, place)| format!("server worker{number} {}", line(place)));
        lines.collect::<Vec<_>>().join("\n    ")
    };
    let docker = "resolvers docker resolve-prefer ipv4 init-addr none";
    let checked = servers(&|place| format!("{} check port {}", place.gateway, place.admin.port()));
    let places = [
        ("bind :8080".to_owned(), format!("bind {address}")),
        ("bind :8083".to_owned(), format!("bind 127.0.0.1:{}", free_port())),
        ("bind 127.0.0.1:8404".to_owned(), format!("bind 127.0.0.1:{}", free_port())),
        ("default-server check port 8083 inter".to_owned(), "default-server inter".to_owned()),
        (format!("server-template worker 32 worker:8080 {docker}"), checked),
        (
            format!("server-template admin 32 worker:8083 {docker}"),
            servers(&|place| format!("{} check", place.admin)),
        ),
    ];
    let places = places.iter().map(|(from, to)| (from.as_str(), to.as_str()));
    replaced("deploy/haproxy/haproxy.cfg", places)
}
