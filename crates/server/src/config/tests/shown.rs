//! What is shown of a configuration, and what is not.

use super::super::{Config, ConfigSource};
use super::load;

const FULL: &str = "
[listen]
gateway = '0.0.0.0:8080'
check = '[::]:8081'
rls = '[::]:8082'
admin = ''
[gateway]
upstream = 'http://api:3000'
[redis]
url = 'rediss://app:hunter2@redis.example:6380/1'
[identity]
trusted_proxies = ['10.0.0.0/8', '0.0.0.0/0']
exempt = ['user:monitor', 'ip:192.0.2.0/24']
[admin]
token = 'hunter2-of-a-test'
[penalty]
enabled = true
[[policy]]
name = 'people'
path = '/v1/people/{id}'
minute = 60
second = 2
[[policy]]
name = 'me'
methods = ['GET', 'PUT']
path = '/v1/people/me'
minute = 60
second = 2
cost = 3
[[policy]]
name = 'rest'
path = '/v1/{*rest}'
minute = 600
second = 20
mode = 'shadow'
[[policy]]
name = 'partner'
host = 'partner.example'
minute = 10
second = 20
on_failure = 'allow'
[[policy]]
name = 'read'
methods = ['GTE']
path = '/v1/people/{id}'
minute = 60
second = 2
";

#[test]
fn a_description_shows_what_is_in_force() {
    let description = load(FULL).unwrap().describe();
    assert_eq!(
        description,
        "\
listen.gateway     0.0.0.0:8080
listen.check       [::]:8081
listen.rls         [::]:8082
listen.admin       off
upstream           http://api:3000
store              rediss://***@redis.example:6380/1, prefix transom:1, deadline 50ms, 2 lanes
identity           api_key (0 in the file), else the address, IPv6 by /64; x-forwarded-for from \
10.0.0.0/8, 0.0.0.0/0; exempt user:monitor, ip:192.0.2.0/24
mode               enforce
penalty            more than 100 denials within 1m: a block of 5m, then twice as long, up to 1day; \
forgotten after 1day
operators          whoever has admin.token

Policies, the most specific first:
 name     methods   host             path             minute  second  cost  mode     on_failure
 partner  any       partner.example  any                  10      20     1  enforce  allow
 me       GET, PUT  any              /v1/people/me        60       2     3  enforce  local
 read     GTE       any              /v1/people/{id}      60       2     1  enforce  local
 people   any       any              /v1/people/{id}      60       2     1  enforce  local
 rest     any       any              /v1/{*rest}         600      20     1  shadow   local
 default  any       any              any                  60       2     1  enforce  local

Warnings:
- listen.check is [::]:8081: it trusts whoever reaches it and belongs on an inner network
- listen.rls is [::]:8082: it trusts whoever reaches it and belongs on an inner network
- identity.trusted_proxies[1] is 0.0.0.0/0: any client in it can name any address
- policy: none is named default; what no policy matches gets 60 a minute and 2 a second
- policy me: a cost of 3 never fits 2 a second, every request is denied
- policy partner: 20 a second is more than 10 a minute and limits nothing
- policy read: method GTE is not a common one
"
    );
}

#[test]
fn policies_are_listed_with_the_most_specific_first() {
    let config = load(FULL).unwrap();
    let names: Vec<_> =
        config.by_specificity().iter().map(|policy| policy.name.to_string()).collect();
    assert_eq!(names, ["partner", "me", "read", "people", "rest", "default"]);
}

#[test]
fn the_json_says_the_same() {
    let config = load(FULL).unwrap();
    let json = config.to_json();
    assert_eq!(json["listen"]["gateway"], "0.0.0.0:8080");
    assert_eq!(json["listen"]["admin"], serde_json::Value::Null);
    assert_eq!(json["store"]["url"], "rediss://***@redis.example:6380/1");
    assert_eq!(json["identity"]["exempt"][1], "ip:192.0.2.0/24");
    assert_eq!(json["policies"][1]["name"], "me");
    assert_eq!(json["policies"][1]["methods"], serde_json::json!(["GET", "PUT"]));
    assert_eq!(json["policies"][1]["cost"], 3);
    assert_eq!(json["policies"][5]["on_failure"], "local");
    assert_eq!(json["warnings"], serde_json::json!(config.warnings()));
    assert_eq!(json["penalty"]["block"], "5m");
    assert_eq!(json["admin"], "token");
    let default = Config::default().to_json();
    assert_eq!(default["store"]["kind"], "local");
    assert_eq!(
        (&default["penalty"]["enabled"], &default["admin"]),
        (&false.into(), &"loopback".into())
    );
}

#[test]
fn a_worker_that_is_not_ready_without_redis_says_so() {
    let config = load("[admin]\nready_while_degraded = false").unwrap();
    assert!(config.describe().contains("\nready              only while Redis decides\n"));
    assert_eq!(config.to_json()["ready_while_degraded"], false);
    assert_eq!(Config::default().to_json()["ready_while_degraded"], true);
}

#[test]
fn a_warning_names_what_it_is_about() {
    let begins = [
        "listen.check is [::]:8081",
        "listen.rls is [::]:8082",
        "identity.trusted_proxies[1] is 0.0.0.0/0",
        "policy: none is named default; what no policy matches gets 60 a minute and 2 a second",
        "policy me: a cost of 3 never fits 2 a second",
        "policy partner: 20 a second is more than 10 a minute",
        "policy read: method GTE is not a common one",
    ];
    let warnings = load(FULL).unwrap().warnings();
    assert_eq!(warnings.len(), begins.len(), "{warnings:#?}");
    for (warning, begins) in warnings.iter().zip(begins) {
        assert!(warning.starts_with(begins), "{warning}");
    }
}

#[test]
fn a_worker_that_is_open_to_others_and_alone_is_warned_of() {
    let listen = "[listen]\ngateway = '0.0.0.0:8080'\nadmin = '0.0.0.0:8083'";
    let warnings = load(listen).unwrap().warnings();
    assert_eq!(
        warnings,
        [
            "listen.gateway is 0.0.0.0:8080 without Redis: each worker counts alone",
            "listen.admin is 0.0.0.0:8083 without admin.token: health and metrics are open \
             to whoever reaches it",
        ]
    );
    let warnings = load("[listen]\ngateway = '[::ffff:127.0.0.1]:8080'").unwrap().warnings();
    assert_eq!(warnings, Vec::<String>::new());
}

const SENTINELS: &str = "[redis]
mode = 'sentinel'
master = 'limits'
nodes = ['redis://app:hunter2@a:1/2', 'redis://app:hunter2@b:1/2']
sentinel_user = 'watcher'
sentinel_password = 'hunter3'";

#[test]
fn sentinels_and_clusters_are_shown_by_their_nodes() {
    let config = load(SENTINELS).unwrap();
    let place = "the master limits of the sentinels redis://***@a:1/2, redis://***@b:1/2";
    assert_eq!(config.redis.place().unwrap(), place);
    assert!(config.describe().contains(&format!("store              {place}, prefix")));
    let store = &config.to_json()["store"];
    assert_eq!((&store["mode"], &store["master"]), (&"sentinel".into(), &"limits".into()));
    assert_eq!(store["nodes"][1], "redis://***@b:1/2");
    for shown in [config.describe(), config.to_json().to_string(), format!("{config:?}")] {
        assert!(!shown.contains("hunter"), "{shown}");
    }
    let cluster = load("[redis]\nmode = 'cluster'\nnodes = ['redis://a', 'redis://b']").unwrap();
    assert_eq!(cluster.redis.place().unwrap(), "the cluster of redis://a, redis://b");
}

#[test]
fn no_secret_is_shown() {
    let config = load(FULL).unwrap();
    let variable = ("TRANSOM__ADMIN__TOKEN".to_owned(), "hunter2-of-a-test".to_owned());
    let source = ConfigSource::new(None, [variable]);
    for shown in [
        format!("{config:?}"),
        format!("{source:?}"),
        config.describe(),
        config.to_json().to_string(),
    ] {
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(!shown.contains("app:"), "{shown}");
    }
    for bad in [
        "[redis]\nurl = 'hunter2://h'",
        "[redis]\nurl = 'redis://:hunter2'",
        "[redis]\nurl = ['hunter2']",
        "[admin]\ntoken = 'hunter2 with blanks'",
        "[admin]\ntoken = ['hunter2']",
        "[admin]\ntoken = { hunter = 'hunter2' }",
        "[admin]\ntoken = 'hunter2' 'hunter2'",
        "[admin]\ntoken = 'hunter2 '' '",
        "[[api_key]]\nuser = 'a'\nsha256 = 'hunter2'",
        "[gateway]\nupstream = 'http://a:hunter2@h'",
    ] {
        let error = load(bad).unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
