//! nginx and Caddy as processes, with the configurations in `deploy/`.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use transom_tests::redis_server::free_port;

use crate::proxy_process::{ProxyProcess, replaced};

/// A proxy that asks a worker before it forwards.
#[derive(Clone, Copy, Debug)]
pub(super) enum Proxy {
    Nginx,
    Caddy,
}

impl Proxy {
    pub(super) const ALL: [Self; 2] = [Self::Nginx, Self::Caddy];

    /// Starts one in front of an API, which asks the check listener of a worker, and waits until
    /// it listens.
    pub(super) async fn start(self, check: SocketAddr, api: SocketAddr) -> ProxyProcess {
        match self {
            Self::Nginx => nginx(&[check], api).await,
            Self::Caddy => caddy(check, api).await,
        }
    }
}

/// Starts an nginx that knows these workers.
///
/// It is one process, and keeps its files where its configuration is.
pub(super) async fn nginx(checks: &[SocketAddr], api: SocketAddr) -> ProxyProcess {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let workers: Vec<_> = checks.iter().map(|check| format!("server {check};")).collect();
    let own = "error_log stderr warn; pid nginx.pid; events {}";
    let http = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {what};"));
    let places = [
        ("events {}".to_owned(), own.to_owned()),
        ("http {".to_owned(), format!("http {{ access_log off; {}", http.join(" "))),
        ("listen 8080;".to_owned(), format!("listen {address};")),
        ("server api:3000;".to_owned(), format!("server {api};")),
        ("server worker:8081;".to_owned(), workers.join(" ")),
    ];
    let command = |file: &Path| {
        let mut command = Command::new("nginx");
        command.args(["-e", "stderr", "-g", "daemon off; master_process off;", "-c"]).arg(file);
        command.arg("-p").arg(file.parent().expect("a folder"));
        command
    };
    start("nginx", "deploy/nginx/nginx.conf", address, &places, command).await
}

/// Starts a Caddy without its admin endpoint, whose port another may have.
async fn caddy(check: SocketAddr, api: SocketAddr) -> ProxyProcess {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let site = format!(":{} {{\n\tbind {}", address.port(), address.ip());
    let places = [
        ("{\n\tservers {".to_owned(), "{\n\tadmin off\n\tservers {".to_owned()),
        (":8080 {".to_owned(), site),
        ("reverse_proxy api:3000".to_owned(), format!("reverse_proxy {api}")),
        ("reverse_proxy worker:8081".to_owned(), format!("reverse_proxy {check}")),
    ];
    let command = |file: &Path| {
        let folder = file.parent().expect("a folder");
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
        command.envs([("XDG_CONFIG_HOME", folder), ("XDG_DATA_HOME", folder)]);
        command
    };
    start("caddy", "deploy/caddy/Caddyfile", address, &places, command).await
}

async fn start(
    name: &'static str,
    file: &str,
    address: SocketAddr,
    places: &[(String, String)],
    command: impl FnOnce(&Path) -> Command,
) -> ProxyProcess {
    let places = places.iter().map(|(from, to)| (from.as_str(), to.as_str()));
    ProxyProcess::start(name, address, &replaced(file, places), command, |_| true).await
}
