//! The manifests in `deploy/kubernetes` against each other and against the worker: what the
//! schema, which `tests/worker` holds them against, cannot see.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use transom_server::config::Config;
use transom_tests::kubernetes::{
    configuration, container, kustomization, names, pod, read, text, variables,
};
use yaml_rust2::Yaml;

/// The configuration of a worker in the cluster.
fn config() -> Config {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("transom.toml");
    std::fs::write(&file, configuration()).unwrap();
    Config::load(Some(&file), variables()).unwrap()
}

/// A table of texts, such as labels.
fn labels(table: &Yaml) -> BTreeMap<String, String> {
    let entries = table.as_hash().unwrap_or_else(|| panic!("{table:?} is no table"));
    entries.iter().map(|(key, value)| (text(key), text(value))).collect()
}

fn list(value: &Yaml) -> &[Yaml] {
    value.as_vec().unwrap_or_else(|| panic!("{value:?} is no list"))
}

/// The port of the container that has a name.
fn container_port(name: &str) -> i64 {
    let container = container();
    let named = |port: &&Yaml| port["name"].as_str() == Some(name);
    let port = list(&container["ports"]).iter().find(named);
    port.and_then(|port| port["containerPort"].as_i64()).unwrap_or_else(|| panic!("no port {name}"))
}

fn ports(rule: &Yaml) -> Vec<i64> {
    list(&rule["ports"]).iter().map(|port| port["port"].as_i64().unwrap()).collect()
}

#[test]
fn every_manifest_is_applied_but_the_namespace_which_may_be() {
    let (applied, all) = kustomization();
    let optional = "namespace.yaml".to_owned();
    assert!(all.contains(&format!("# - {optional}")));
    let mut expected = names();
    expected.retain(|name| *name != optional);
    let mut sorted = applied;
    sorted.sort();
    assert_eq!(sorted, expected);
}

#[test]
fn a_worker_listens_where_the_manifests_say() {
    let config = config();
    let reached = |address: Option<SocketAddr>, port: &str| {
        let address = address.unwrap_or_else(|| panic!("{port} is off"));
        assert!(address.ip().is_unspecified(), "{port}: nobody reaches {address} in a pod");
        assert_eq!(i64::from(address.port()), container_port(port), "{port}");
    };
    reached(config.listen.gateway, "gateway");
    reached(config.listen.admin, "admin");
    let on = config.listen.all().into_iter().filter(|(_, address)| address.is_some()).count();
    assert_eq!(on, list(&container()["ports"]).len(), "every port is a listener's");
    assert_eq!(read("service.yaml")["spec"]["ports"][0]["targetPort"].as_str(), Some("gateway"));
}

#[test]
fn the_network_lets_through_what_a_worker_needs_and_nothing_else() {
    let (config, policy) = (config(), read("networkpolicy.yaml"));
    let spec = &policy["spec"];
    let [incoming, outgoing] = ["ingress", "egress"].map(|way| {
        let rules = list(&spec[way]).iter();
        rules.map(ports).collect::<Vec<_>>()
    });
    assert_eq!(incoming, [vec![container_port("gateway")], vec![container_port("admin")]]);
    let upstream = config.gateway.upstream.unwrap().port_u16().unwrap();
    let redis = config.redis.url.unwrap().to_string();
    let redis: i64 = redis.rsplit_once(':').unwrap().1.parse().unwrap();
    assert_eq!(outgoing, [vec![53, 53], vec![redis], vec![i64::from(upstream)]]);
    let monitoring = &spec["ingress"][1]["from"][0]["namespaceSelector"]["matchLabels"];
    assert_eq!(labels(monitoring)["kubernetes.io/metadata.name"], "monitoring");
    for rule in list(&spec["ingress"]) {
        assert!(!list(&rule["from"]).is_empty(), "from anywhere: {rule:?}");
    }
    let ways: Vec<_> = list(&spec["policyTypes"]).iter().map(text).collect();
    assert_eq!(ways, ["Ingress", "Egress"]);
}

#[test]
fn a_worker_has_ended_before_it_is_killed() {
    let gateway = config().gateway;
    let grace = pod()["terminationGracePeriodSeconds"].as_i64().unwrap();
    let grace = Duration::from_secs(grace.try_into().unwrap());
    assert!(gateway.drain_delay >= Duration::from_secs(5), "endpoints take seconds to go");
    let rest = Duration::from_secs(5);
    assert!(gateway.drain_delay + gateway.drain + rest <= grace, "{gateway:?} in {grace:?}");
}

#[test]
fn every_container_gives_up_what_it_does_not_need() {
    let pod = pod();
    assert_eq!(pod["automountServiceAccountToken"].as_bool(), Some(false));
    let account = read("serviceaccount.yaml");
    assert_eq!(account["automountServiceAccountToken"].as_bool(), Some(false));
    assert_eq!(pod["serviceAccountName"], account["metadata"]["name"]);
    for host in ["hostNetwork", "hostPID", "hostIPC"] {
        assert!(pod[host].is_badvalue(), "{host}");
    }
    let of_pod = &pod["securityContext"];
    assert_eq!(of_pod["seccompProfile"]["type"].as_str(), Some("RuntimeDefault"));
    assert!(of_pod["runAsUser"].as_i64() > Some(0) && of_pod["runAsGroup"].as_i64() > Some(0));
    let more = pod["initContainers"].as_vec().cloned().unwrap_or_default();
    for container in list(&pod["containers"]).iter().chain(&more) {
        let own = &container["securityContext"];
        assert_eq!(own["allowPrivilegeEscalation"].as_bool(), Some(false));
        assert_eq!(own["readOnlyRootFilesystem"].as_bool(), Some(true));
        assert_eq!(own["runAsNonRoot"].as_bool(), Some(true));
        assert_eq!(list(&own["capabilities"]["drop"]), [Yaml::String("ALL".to_owned())]);
        for loosened in ["privileged", "runAsUser", "seccompProfile"] {
            assert!(own[loosened].is_badvalue(), "{loosened}");
        }
        assert!(own["capabilities"]["add"].is_badvalue());
        let resources = &container["resources"];
        for bound in [&resources["requests"]["cpu"], &resources["requests"]["memory"]] {
            text(bound);
        }
        text(&resources["limits"]["memory"]);
    }
}

#[test]
fn every_selector_selects_the_workers() {
    let deployment = read("deployment.yaml");
    let template = &deployment["spec"]["template"];
    let own = labels(&template["metadata"]["labels"]);
    let mut selectors = vec![
        labels(&deployment["spec"]["selector"]["matchLabels"]),
        labels(&read("service.yaml")["spec"]["selector"]),
        labels(&read("pdb.yaml")["spec"]["selector"]["matchLabels"]),
        labels(&read("networkpolicy.yaml")["spec"]["podSelector"]["matchLabels"]),
    ];
    let spread = list(&template["spec"]["topologySpreadConstraints"]);
    selectors.extend(spread.iter().map(|rule| labels(&rule["labelSelector"]["matchLabels"])));
    assert_eq!(selectors.len(), 6);
    for selector in selectors {
        assert!(!selector.is_empty() && selector.iter().all(|(key, value)| own[key] == *value));
    }
    let scaled = &read("hpa.yaml")["spec"]["scaleTargetRef"];
    for (of_target, of_deployment) in [
        (&scaled["kind"], &deployment["kind"]),
        (&scaled["apiVersion"], &deployment["apiVersion"]),
        (&scaled["name"], &deployment["metadata"]["name"]),
    ] {
        assert_eq!(of_target, of_deployment);
    }
    assert!(deployment["spec"]["replicas"].is_badvalue(), "the autoscaler says how many");
}

/// Goal: a change of the ConfigMap reaches the file, which it does in a folder and not in a file
/// that is mounted by itself.
#[test]
fn the_configuration_is_a_folder_that_follows_the_config_map() {
    let (pod, container, map) = (pod(), container(), read("configmap.yaml"));
    let mount = &container["volumeMounts"][0];
    assert!(mount["subPath"].is_badvalue());
    assert_eq!(mount["name"], pod["volumes"][0]["name"]);
    assert_eq!(pod["volumes"][0]["configMap"]["name"], map["metadata"]["name"]);
    let arguments: Vec<_> = list(&container["args"]).iter().map(text).collect();
    let file = format!("{}/transom.toml", text(&mount["mountPath"]));
    assert_eq!(arguments, ["--config", &file, "serve"]);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(text(&container["image"]), format!("transom:{version}"));
}

#[test]
fn the_secret_is_a_placeholder_that_a_worker_takes() {
    let config = config();
    assert!(config.admin.token.is_none(), "a token that everybody can read is none");
    assert!(!config.redis.url.unwrap().expose().contains('@'));
    for (name, _) in variables() {
        assert!(name.starts_with("TRANSOM__"), "{name} is no setting");
    }
    let name = read("secret.yaml")["metadata"]["name"].clone();
    assert_eq!(container()["envFrom"][0]["secretRef"]["name"], name);
}
