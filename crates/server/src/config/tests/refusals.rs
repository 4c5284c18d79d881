//! What a setting of the worker itself cannot be.

use super::{check, load};

#[test]
fn an_unknown_key_is_named_with_the_one_that_was_meant() {
    check(&[
        ("[redis]\ndeadlin = '50ms'", "redis.deadlin: unknown key; did you mean deadline?"),
        ("[Redis]\nurl = ''", "Redis: unknown key; did you mean redis?"),
        (
            "[admin]\npassword = 'x'",
            "admin.password: unknown key; known here: token, ready_while_degraded",
        ),
        ("[headers]\nietff = true", "headers.ietff: unknown key; did you mean ietf?"),
        (
            "[[policy]]\nname = 'a'\nminute = 1\nseconds = 1",
            "policy[0].seconds: unknown key; did you mean second?",
        ),
        ("'redis.url' = 'redis://h'", "redis.url: unknown key"),
        ("'policy[99999999999]' = 1", "policy[99999999999]: unknown key"),
    ]);
}

#[test]
fn an_admin_token_that_can_be_guessed_is_warned_of() {
    let warned = |token: &str| {
        let config = load(&format!("[admin]\ntoken = '{token}'")).unwrap();
        config
            .warnings()
            .iter()
            .any(|warning| warning.starts_with("admin.token is shorter than 16"))
    };
    assert!(warned("x") && warned("123456789012345") && warned("  123456789012345  "));
    assert!(!warned("") && !warned("1234567890123456"));
}

#[test]
fn a_value_of_the_wrong_kind_is_refused_and_not_converted() {
    check(&[
        ("redis = 'redis://h'", "redis: a section is expected, not text"),
        ("[redis]\nlanes = '2'", "redis.lanes: a whole number is expected, not text"),
        ("[redis]\nlanes = 2.5", "redis.lanes: a whole number is expected, not a fraction"),
        ("[redis]\nlanes = -2", "redis.lanes: must be 1 to 64, not -2"),
        ("[redis]\nprefix = 1", "redis.prefix: text is expected, not a whole number"),
        ("[redis]\non_failure = true", "redis.on_failure: text is expected, not true"),
        ("[headers]\nietf = 'yes'", "headers.ietf: true or false is expected, not text"),
        ("[headers]\nietf = 1", "headers.ietf: true or false is expected, not a whole number"),
        ("[messages]\nip = []", "messages.ip: text is expected, not a list"),
        ("policy = 'default'", "policy: a list is expected, not text"),
        ("[policy]\nname = 'a'", "policy: a list is expected, not a section"),
        ("[identity]\nexempt = 'user:a'", "identity.exempt: a list is expected, not text"),
        (
            "[identity]\nexempt = ['user:a', 5]",
            "identity.exempt[1]: text is expected, not a whole number",
        ),
    ]);
}

#[test]
fn a_duration_carries_its_unit_and_has_a_range() {
    check(&[
        (
            "[redis]\ndeadline = 50",
            "redis.deadline: a duration carries a unit; write 50ms or 50s, not 50",
        ),
        (
            "[redis]\ndeadline = '50'",
            "redis.deadline: a duration carries a unit; write 50ms or 50s, not 50",
        ),
        ("[redis]\ndeadline = '0ms'", "redis.deadline: must be 1ms to 10s, not 0s"),
        ("[redis]\ndeadline = '11s'", "redis.deadline: must be 1ms to 10s, not 11s"),
        (
            "[gateway]\ndrain = 'soon'",
            r#"gateway.drain: "soon" is no duration; write 50ms, 10s or 5m"#,
        ),
        (
            "[gateway]\ndrain = true",
            "gateway.drain: invalid type: boolean `true`, expected a duration such as 50ms",
        ),
        (
            "[penalty]\nblock = '100d'",
            "penalty.block: must be 1s to 1day, not 3months 8days 16h 19m 12s",
        ),
        (
            "[penalty]\nblock = '2h'\nmax = '1h'",
            "penalty.block and penalty.max: the first block is longer than the longest",
        ),
    ]);
}

#[test]
fn listeners_that_cannot_be_are_refused() {
    check(&[
        (
            "[listen]\ngateway = '8080'",
            r#"listen.gateway: "8080" is no address; write 127.0.0.1:8080"#,
        ),
        (
            "[listen]\ncheck = '127.0.0.1:8080'",
            "listen.gateway and listen.check: both take 127.0.0.1:8080",
        ),
        (
            "[listen]\nadmin = '0.0.0.0:8081'",
            "listen.check and listen.admin: both take 0.0.0.0:8081",
        ),
        (
            "[listen]\ngateway = '[::]:8081'",
            "listen.gateway and listen.check: both take 127.0.0.1:8081",
        ),
        (
            "[listen]\nrls = '127.0.0.1:8083'",
            "listen.rls and listen.admin: both take 127.0.0.1:8083",
        ),
        (
            "[listen]\ngateway = ''\ncheck = ''\nrls = ''\nadmin = ''",
            "listen: every listener is off, a worker would do nothing",
        ),
    ]);
    assert!(load("[listen]\ngateway = '127.0.0.1:0'\ncheck = '127.0.0.1:0'").is_ok());
}

#[test]
fn an_upstream_is_a_scheme_a_host_and_a_port() {
    check(&[
        (
            "[gateway]\nupstream = 'api:3000'",
            "gateway.upstream: no upstream; write http://HOST:PORT",
        ),
        (
            "[gateway]\nupstream = 'ftp://api'",
            "gateway.upstream: no upstream; write http://HOST:PORT",
        ),
        (
            "[gateway]\nupstream = 'http://'",
            "gateway.upstream: no upstream; write http://HOST:PORT",
        ),
        (
            "[gateway]\nupstream = 'http://api:99999'",
            "gateway.upstream: no upstream; write http://HOST:PORT",
        ),
        (
            "[gateway]\nupstream = 'https://api'",
            "gateway.upstream: an upstream over https is not in this build; write http://HOST:PORT",
        ),
        (
            "[gateway]\nupstream = 'http://api/v1?x=1'",
            "gateway.upstream: an upstream has no query; requests keep their own",
        ),
        (
            "[gateway]\nupstream = 'http://me:hunter2@api'",
            "gateway.upstream: an upstream carries no user or password",
        ),
        (
            "[gateway]\nupstream = 'http://localhost:8080'",
            "gateway.upstream and listen.gateway: the gateway on 127.0.0.1:8080 would be its own \
             upstream",
        ),
        (
            "[gateway]\nmax_body = '10'",
            "gateway.max_body: a size carries a unit; write 10KiB or 10MiB, not 10",
        ),
        ("[gateway]\nmax_connections = 0", "gateway.max_connections: must be 1 to 1000000, not 0"),
    ]);
}

#[test]
fn what_redis_cannot_be_is_refused() {
    let no_url = "no Redis URL; write redis://HOST:PORT, rediss:// for TLS, or unix:///PATH";
    check(&[
        ("[redis]\nurl = 'localhost:6379'", &format!("redis.url: {no_url}")),
        ("[redis]\nurl = 'http://localhost'", &format!("redis.url: {no_url}")),
        ("[redis]\nmode = 'solo'", r#"redis.mode: "solo" is not one of single, sentinel, cluster"#),
        (
            "[redis]\nprefix = 'transom:{1}'",
            r#"redis.prefix: "transom:{1}" is not 1 to 64 of A-Z a-z 0-9 . _ : -"#,
        ),
        ("[redis]\nprefix = ''", r#"redis.prefix: "" is not 1 to 64 of A-Z a-z 0-9 . _ : -"#),
        (
            "[redis]\non_failure = 'open'",
            r#"redis.on_failure: "open" is not one of local, allow, deny"#,
        ),
        (
            "[redis]\nurl = 'rediss://h'\ntls_cert = 'c.pem'",
            "redis.tls_cert and redis.tls_key: a client certificate takes both, one is missing",
        ),
        (
            "[redis]\nurl = 'redis://h'\ntls_ca = 'ca.pem'",
            "redis.tls_ca: it takes a redis.url that begins with rediss://",
        ),
    ]);
}

#[test]
fn addresses_that_do_not_fit_the_mode_are_refused() {
    let both = "redis.url and redis.nodes: a single server has a url, sentinels and a cluster have \
                nodes; not both";
    check(&[
        ("[redis]\nurl = 'redis://h'\nnodes = ['redis://a']", both),
        ("[redis]\nmode = 'cluster'\nurl = 'redis://h'\nnodes = ['redis://a']", both),
        (
            "[redis]\nnodes = ['redis://a', 'redis://b']",
            "redis.nodes and redis.mode: the mode single takes redis.url",
        ),
        (
            "[redis]\nmode = 'cluster'\nurl = 'redis://h'",
            "redis.url and redis.mode: the mode cluster takes redis.nodes",
        ),
        (
            "[redis]\nmode = 'sentinel'\nmaster = 'm'",
            "redis.mode: the mode sentinel takes redis.nodes, and there are none",
        ),
        (
            "[redis]\nmode = 'sentinel'\nnodes = ['redis://a']",
            "redis.mode and redis.master: the mode sentinel takes the name of the master, and there \
             is none",
        ),
        (
            "[redis]\nurl = 'redis://h'\nmaster = 'm'",
            "redis.master and redis.mode: it belongs to the mode sentinel, and the mode is single",
        ),
        (
            "[redis]\nmode = 'cluster'\nnodes = ['redis://a']\nsentinel_password = 'p'",
            "redis.sentinel_password and redis.mode: it belongs to the mode sentinel, and the mode \
             is cluster",
        ),
        (
            "[redis]\nmode = 'sentinel'\nmaster = 'm'\nnodes = ['redis://a']\nsentinel_user = 'u'",
            "redis.sentinel_user and redis.sentinel_password: a user takes a password",
        ),
        (
            "[redis]\nmode = 'cluster'\nnodes = ['redis://a']\ntls_ca = 'ca.pem'",
            "redis.tls_ca: it takes a redis.nodes that begins with rediss://",
        ),
        ("[redis]\nmaster = 'my master'", r#"redis.master: "my master" has a blank"#),
    ]);
}

#[test]
fn nodes_that_are_not_alike_are_refused() {
    let of = |nodes: &str, says: &str| {
        let text = format!("[redis]\nmode = 'cluster'\nnodes = [{nodes}]");
        check(&[(text.as_str(), says)]);
    };
    of(
        "'redis://a', 'a:1'",
        "redis.nodes[1]: no Redis URL; write redis://HOST:PORT, rediss:// for \
        TLS, or unix:///PATH",
    );
    of("'unix:///s'", "redis.nodes[0]: a node is reached by redis:// or rediss://");
    of("'redis://a/2'", "redis.nodes[0]: a cluster has no database but 0");
    let other = |what: &str| format!("redis.nodes[1]: it has another {what} than redis.nodes[0]");
    of("'redis://a', 'rediss://b'", &other("scheme"));
    of("'redis://u:hunter2@a', 'redis://u:hunter3@b'", &other("user or password"));
    of("'redis://a', 'redis://b?protocol=resp3'", &other("query"));
    let sentinels = "[redis]\nmode = 'sentinel'\nmaster = 'm'\nnodes = [";
    let text = format!("{sentinels}'redis://a/1', 'redis://b/2']");
    check(&[(text.as_str(), &other("database"))]);
    assert!(load(&format!("{sentinels}'redis://u:p@a:1/1', 'redis://u:p@b:2/1']")).is_ok());
    assert!(
        load("[redis]\nmode = 'cluster'\nnodes = ['redis://a', 'redis://b/0', 'redis://c/']")
            .is_ok()
    );
}

#[test]
fn what_later_versions_bring_is_refused_by_name() {
    check(&[(
        "[penalty]\nwithin = '2h'\nforget = '1h'",
        "penalty.within and penalty.forget: strikes would be forgotten before their span ends",
    )]);
}

#[test]
fn a_log_takes_the_words_it_knows() {
    check(&[
        (
            "[log]\nlevel = 'loud'",
            r#"log.level: "loud" is not one of off, error, warn, info, debug, trace"#,
        ),
        ("[log]\nformat = 'xml'", r#"log.format: "xml" is not one of text, json"#),
        ("[local]\nmax_identities = 0", "local.max_identities: must be 1 to 10000000, not 0"),
        ("[headers]\nreset = 'date'", r#"headers.reset: "date" is not one of seconds, epoch"#),
        ("[limiter]\nmode = 'on'", r#"limiter.mode: "on" is not one of enforce, shadow, off"#),
    ]);
}

#[test]
fn a_collector_is_a_url_and_a_ratio_a_part() {
    check(&[
        (
            "[tracing]\notlp_endpoint = 'collector:4318'",
            "tracing.otlp_endpoint: no collector; write http://HOST:PORT",
        ),
        (
            "[tracing]\notlp_endpoint = 'https://collector'",
            "tracing.otlp_endpoint: a collector over https is not in this build; write \
             http://HOST:PORT",
        ),
        (
            "[tracing]\notlp_endpoint = 'http://me:hunter2@collector'",
            "tracing.otlp_endpoint: a collector carries no user, password or query",
        ),
        ("[tracing]\nsample_ratio = 1.5", "tracing.sample_ratio: must be 0 to 1, not 1.5"),
        ("[tracing]\nsample_ratio = -1", "tracing.sample_ratio: must be 0 to 1, not -1"),
        ("[tracing]\nsample_ratio = nan", "tracing.sample_ratio: must be 0 to 1, not NaN"),
        ("[tracing]\nsample_ratio = '0.5'", "tracing.sample_ratio: a number is expected, not text"),
    ]);
    for ratio in ["0", "1", "0.25", "1.0"] {
        assert!(load(&format!("[tracing]\nsample_ratio = {ratio}")).is_ok(), "{ratio}");
    }
}
