//! The compose file against the worker: what its schema cannot see.

use std::time::Duration;

use transom_server::config::Config;
use transom_tests::kubernetes::text;
use transom_tests::redis_server::repository;
use yaml_rust2::YamlLoader;

#[test]
fn a_worker_has_ended_before_it_is_killed() {
    let file = std::fs::read_to_string(repository().join("docker-compose.yml")).unwrap();
    let documents = YamlLoader::load_from_str(&file).unwrap();
    let worker = &documents[0]["services"]["worker"];
    let name = "TRANSOM__GATEWAY__DRAIN_DELAY";
    let delay = (name.to_owned(), text(&worker["environment"][name]));
    let gateway = Config::load(None, [delay]).unwrap().gateway;
    let grace = text(&worker["stop_grace_period"]);
    let grace = grace.strip_suffix('s').and_then(|seconds| seconds.parse().ok());
    let grace = Duration::from_secs(grace.unwrap());
    let rest = Duration::from_secs(2);
    assert!(gateway.drain_delay + gateway.drain + rest <= grace, "{gateway:?} in {grace:?}");
    // Two checks of the load balancer that fail, a second and a quarter apart.
    assert!(gateway.drain_delay >= Duration::from_secs(2), "the load balancer takes a while");
}
