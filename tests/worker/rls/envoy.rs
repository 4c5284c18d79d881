//! Envoy as a process, with the configuration in `deploy/envoy`, in front of an API and a worker.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use transom_tests::redis_server::{free_port, repository};

use crate::process::Worker;
use crate::proxy_process::{ProxyProcess, replaced};

/// The binary, where `./test` could get one.
pub(super) fn binary() -> Option<PathBuf> {
    Some(repository().join("target/envoy/envoy")).filter(|binary| binary.exists())
}

/// Starts one with more or other text in its file, and waits until it listens.
pub(super) async fn start(
    binary: &Path,
    worker: &Worker,
    api: SocketAddr,
    changes: &[(&str, &str)],
) -> ProxyProcess {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let command = |file: &Path| {
        let mut command = Command::new(binary);
        command.args(["--concurrency", "1", "--disable-hot-restart", "-l", "warning", "-c"]);
        command.arg(file);
        command
    };
    let configuration = configuration(address, worker, api, changes);
    ProxyProcess::start("envoy", address, &configuration, command, |_| true).await
}

/// The file of the repository, with these addresses in the place of names.
fn configuration(
    address: SocketAddr,
    worker: &Worker,
    api: SocketAddr,
    changes: &[(&str, &str)],
) -> String {
    let at = |address: SocketAddr| {
        format!("{{address: {}, port_value: {}}}", address.ip(), address.port())
    };
    let rls = at(worker.rls);
    let admin = format!("{{port_value: {}}}", worker.admin.port());
    let (address, api) = (at(address), at(api));
    let places = [
        ("{address: 0.0.0.0, port_value: 8080}", address.as_str()),
        ("{address: api, port_value: 3000}", &api),
        ("{address: worker, port_value: 8082}", &rls),
        ("{port_value: 8083}", &admin),
    ];
    replaced("deploy/envoy/envoy.yaml", places.into_iter().chain(changes.iter().copied()))
}
