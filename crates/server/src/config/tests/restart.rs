//! What a running worker takes up of a changed file, and what it keeps.

use std::time::Duration;

use transom_core::{Mode, OnFailure};

use super::super::restart::{Changed, KEPT};
use super::super::{Config, ConfigSource};
use super::example::sections;

/// Sections of which a running worker takes up everything.
const TAKEN_UP: [&str; 8] =
    ["identity", "api_key", "limiter", "headers", "messages", "penalty", "admin", "policy"];
/// What it takes up of sections that it takes up in part.
const TAKEN_UP_KEYS: [&str; 7] = [
    "gateway.upstream",
    "gateway.connect_timeout",
    "gateway.response_timeout",
    "gateway.tunnel_timeout",
    "gateway.max_body",
    "gateway.preserve_host",
    "redis.on_failure",
];
/// What is kept, and cannot be beside the mode of [`ALL_KEPT`].
const OTHER_MODE: [&str; 1] = ["redis.url"];

/// A file in which every setting that is kept differs from its default.
const ALL_KEPT: &str = "
[listen]
gateway = '127.0.0.1:9080'
check = '127.0.0.1:9081'
rls = '127.0.0.1:9082'
admin = '127.0.0.1:9083'
[gateway]
header_timeout = '1s'
body_timeout = '1s'
write_timeout = '1s'
idle_timeout = '1s'
max_connections = 1
max_connections_per_address = 1
drain_delay = '1s'
drain = '1s'
[redis]
mode = 'sentinel'
nodes = ['rediss://hunter2@redis.example']
master = 'm'
sentinel_user = 'u'
sentinel_password = 'hunter2'
deadline = '1s'
prefix = 'other:1'
workers = 1
lanes = 1
known_denials = false
tls_ca = 'ca.pem'
tls_cert = 'client.pem'
tls_key = 'client.key'
[log]
level = 'error'
format = 'json'
decisions = true
requests = true
[tracing]
otlp_endpoint = 'http://127.0.0.1:4318'
sample_ratio = 0.5
[local]
max_identities = 1
";

/// A file in which nothing that is kept differs, and the rest does.
const ALL_TAKEN_UP: &str = "
[gateway]
upstream = 'http://127.0.0.1:3000'
connect_timeout = '1s'
response_timeout = '1s'
tunnel_timeout = '1s'
max_body = '1KiB'
preserve_host = false
[redis]
on_failure = 'deny'
[identity]
ipv6_prefix = 56
[limiter]
mode = 'shadow'
[headers]
ietf = true
[messages]
ip = 'No.'
[penalty]
strikes = 1
[admin]
token = 'hunter2-of-a-test'
ready_while_degraded = false
[[policy]]
name = 'default'
minute = 7
second = 7
";

/// What a worker takes up that runs under `running` when its file holds `text`.
fn change(running: &Config, text: &str) -> Result<Changed, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("transom.toml");
    std::fs::write(&file, text).unwrap();
    let source = ConfigSource::new(Some(&file), []);
    source
        .parse_changed(&source.read().unwrap(), running)
        .map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

#[test]
fn every_setting_is_either_taken_up_or_kept() {
    for (section, keys) in sections() {
        for key in keys {
            let key = format!("{section}.{key}");
            let lists = [KEPT, &TAKEN_UP_KEYS];
            let listed = lists.iter().filter(|list| list.contains(&key.as_str())).count();
            let places = listed + usize::from(TAKEN_UP.contains(&section));
            assert_eq!(places, 1, "{key}: does a running worker take it up, or keep what it had?");
        }
    }
}

#[test]
fn a_setting_that_takes_a_restart_is_named_and_stays_as_it_was() {
    let running = Config::default();
    let Changed { config, needs_restart } = change(&running, ALL_KEPT).unwrap();
    let settable: Vec<_> = KEPT.iter().copied().filter(|key| !OTHER_MODE.contains(key)).collect();
    assert_eq!(needs_restart, settable);
    super::example::check_equal(&config, &running);
}

#[test]
fn another_server_takes_a_restart() {
    let Changed { config, needs_restart } =
        change(&Config::default(), "[redis]\nurl = 'redis://h'").unwrap();
    assert_eq!((needs_restart, config.redis.url), (vec!["redis.url"], None));
}

#[test]
fn one_setting_that_takes_a_restart_does_not_hold_up_the_rest() {
    let text = format!("[listen]\ngateway = '127.0.0.1:9080'\n{ALL_TAKEN_UP}");
    let Changed { config, needs_restart } = change(&Config::default(), &text).unwrap();
    assert_eq!(needs_restart, ["listen.gateway"]);
    assert_eq!(config.policies.default_policy().limits.minute, 7);
}

#[test]
fn a_setting_that_takes_none_is_taken_up() {
    let Changed { config, needs_restart } = change(&Config::default(), ALL_TAKEN_UP).unwrap();
    assert_eq!(needs_restart, Vec::<&str>::new());
    let second = Duration::from_secs(1);
    assert_eq!(config.gateway.upstream.unwrap().host(), Some("127.0.0.1"));
    assert_eq!((config.gateway.connect_timeout, config.gateway.response_timeout), (second, second));
    assert_eq!((config.gateway.max_body, config.gateway.preserve_host), (Some(1024), false));
    let default = config.policies.default_policy();
    assert_eq!((default.limits.minute, default.on_failure), (7, OnFailure::Deny));
    assert_eq!((config.identity.ipv6_prefix, config.limiter.mode), (56, Mode::Shadow));
    assert_eq!((config.headers.ietf, config.messages.ip.as_str()), (true, "No."));
    assert_eq!((config.penalty.strikes, config.admin.token.is_some()), (1, true));
}

/// Goal: no worker forwards to itself because a new upstream was held against a new port.
#[test]
fn what_is_new_is_held_against_what_stays() {
    let text =
        "[listen]\ngateway = '127.0.0.1:9080'\n[gateway]\nupstream = 'http://localhost:8080'";
    let says = "transom.toml: gateway.upstream and listen.gateway: the gateway on 127.0.0.1:8080 \
                would be its own upstream";
    assert_eq!(change(&Config::default(), text).unwrap_err(), says);
}
