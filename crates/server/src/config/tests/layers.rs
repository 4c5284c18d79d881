//! Defaults, then the file, then the environment.

use std::time::Duration;

use transom_core::{Limits, Mode, OnFailure};

use super::super::Config;
use super::{load, load_environment, load_file};

#[test]
fn nothing_at_all_gives_the_defaults() {
    let config = load_environment(&[]).unwrap();
    super::example::check_equal(&config, &Config::default());
    assert_eq!(config.policies.default_policy().limits, Limits::DEFAULT);
    assert_eq!(config.warnings(), Vec::<String>::new());
}

#[test]
fn a_variable_goes_before_the_file_and_the_file_before_the_default() {
    let file = "[redis]\ndeadline = '20ms'\nlanes = 4\n[log]\nformat = 'json'";
    let variables = [("TRANSOM__REDIS__DEADLINE", "30ms"), ("TRANSOM__LOG__LEVEL", "debug")];
    let config = load_file("transom.toml", file, &variables).unwrap();
    assert_eq!(config.redis.deadline, Duration::from_millis(30));
    assert_eq!(config.redis.lanes, 4);
    assert_eq!(config.redis.prefix, "transom:1");
    assert_eq!(config.log.level.to_string(), "debug");
}

#[test]
fn text_in_a_variable_becomes_what_the_key_takes() {
    let config = load_environment(&[
        ("TRANSOM__GATEWAY__MAX_CONNECTIONS", "7"),
        ("TRANSOM__GATEWAY__PRESERVE_HOST", "false"),
        ("TRANSOM__GATEWAY__MAX_BODY", "1MiB"),
        ("TRANSOM__IDENTITY__TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1"),
        ("TRANSOM__IDENTITY__EXEMPT", "user:42"),
        ("TRANSOM__LIMITER__MODE", "shadow"),
        ("TRANSOM__MESSAGES__USER", "Slow down, please."),
        ("TRANSOM__ADMIN__TOKEN", "1234567890123456"),
        ("TRANSOM__TRACING__SAMPLE_RATIO", "0.25"),
    ])
    .unwrap();
    assert_eq!(config.gateway.max_connections, 7);
    assert!(!config.gateway.preserve_host);
    assert_eq!(config.gateway.max_body, Some(1 << 20));
    let proxies: Vec<_> = config.identity.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["10.0.0.0/8", "192.0.2.1/32"]);
    assert_eq!(config.identity.exempt[0].to_string(), "user:42");
    assert_eq!(config.limiter.mode, Mode::Shadow);
    assert_eq!(config.messages.user, "Slow down, please.");
    assert_eq!(config.admin.token.unwrap().expose(), "1234567890123456");
    assert!((0.2..0.3).contains(&config.tracing.sample_ratio));
}

#[test]
fn empty_text_takes_back_what_the_file_sets() {
    let file = "[redis]\nurl = 'redis://h'\n[identity]\ntrusted_proxies = ['10.0.0.0/8']";
    let variables = [
        ("TRANSOM__REDIS__URL", ""),
        ("TRANSOM__IDENTITY__TRUSTED_PROXIES", ""),
        ("TRANSOM__LISTEN__CHECK", ""),
    ];
    let config = load_file("transom.toml", file, &variables).unwrap();
    assert_eq!(config.redis.url, None);
    assert!(config.identity.trusted_proxies.is_empty());
    assert_eq!(config.listen.check, None);
}

#[test]
fn other_variables_are_no_settings() {
    let config = load_environment(&[
        ("TRANSOM_CONFIG", "/etc/transom.toml"),
        ("TRANSOM_PORT", "tcp://10.0.0.1:80"),
        ("REDIS__URL", "redis://h"),
    ]);
    super::example::check_equal(&config.unwrap(), &Config::default());
}

#[test]
fn yaml_says_the_same_as_toml() {
    let yaml = "
listen:
  rls: 127.0.0.1:9082
redis:
  url: redis://redis:6379
  deadline: 20ms
  on_failure: deny
identity:
penalty: ~
policy:
  - name: search
    methods: [GET]
    path: /v1/search/{*rest}
    minute: 30
    second: 1
";
    let toml = "
listen = { rls = '127.0.0.1:9082' }
redis = { url = 'redis://redis:6379', deadline = '20ms', on_failure = 'deny' }
[[policy]]
name = 'search'
methods = ['GET']
path = '/v1/search/{*rest}'
minute = 30
second = 1
";
    for name in ["t.yaml", "t.yml"] {
        super::example::check_equal(&load_file(name, yaml, &[]).unwrap(), &load(toml).unwrap());
    }
}

#[test]
fn a_policy_that_does_not_say_fails_as_redis_does() {
    let policies = "
[[policy]]
name = 'a'
path = '/a'
minute = 1
second = 1
[[policy]]
name = 'b'
path = '/b'
minute = 1
second = 1
on_failure = 'local'
";
    let config = load(&format!("[redis]\non_failure = 'deny'\n{policies}")).unwrap();
    let of = |name| config.policies.by_name(name).unwrap().on_failure;
    assert_eq!(of("a"), OnFailure::Deny);
    assert_eq!(of("b"), OnFailure::Local);
    assert_eq!(of("default"), OnFailure::Deny);
}

#[test]
fn the_digest_is_that_of_the_file_and_of_nothing_else() {
    // printf '# abc\n' | sha256sum
    let variables = [("TRANSOM__REDIS__LANES", "4")];
    let config = load_file("transom.toml", "# abc\n", &variables).unwrap();
    let digest = "c96d70129517a804082ed92c0ff5cc78c880c661376df954acf1d349484a7715";
    assert_eq!(config.digest, digest);
    assert_eq!(load_environment(&variables).unwrap().digest, "");
}
