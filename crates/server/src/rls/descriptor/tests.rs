use prost::Message as _;

use super::wire::{Descriptor, Entry, LimitOverride, RateLimitRequest, UInt64Value};
use super::*;

fn descriptor(entries: &[(&str, &str)]) -> Descriptor {
    let entry = |(key, value): &(&str, &str)| Entry {
        key: (*key).to_owned(),
        value: value.as_bytes().to_vec(),
    };
    Descriptor { entries: entries.iter().map(entry).collect(), ..Descriptor::default() }
}

fn request(descriptors: Vec<Descriptor>, hits_addend: u32) -> RateLimitRequest {
    RateLimitRequest { domain: "any".to_owned(), descriptors, hits_addend }
}

fn one(descriptor: Descriptor) -> Asked {
    read(&request(vec![descriptor], 0)).unwrap().remove(0)
}

fn refused(request: &RateLimitRequest) -> String {
    read(request).unwrap_err().to_string()
}

fn user(id: &str) -> Caller {
    Caller::User(Identity::user(id).unwrap())
}

#[test]
fn a_request_is_read_as_envoy_writes_it() {
    // By hand: domain "d"; one descriptor, with remote_address 192.0.2.1, path "/p" and 3 hits.
    let mut bytes = b"\x0a\x01d\x12\x2d".to_vec();
    bytes.extend(b"\x0a\x1b\x0a\x0eremote_address\x12\x09192.0.2.1");
    bytes.extend(b"\x0a\x0a\x0a\x04path\x12\x02/p");
    bytes.extend(b"\x1a\x02\x08\x03");
    let read = read(&RateLimitRequest::decode(bytes.as_slice()).unwrap()).unwrap().remove(0);
    assert_eq!(read.caller, Caller::At("192.0.2.1".parse().unwrap(), HeaderMap::new()));
    assert_eq!((read.path.as_str(), read.cost), ("/p", Some(Cost::new(3).unwrap())));
}

#[test]
fn what_is_absent_is_as_in_a_decision_asked_for() {
    let asked = one(descriptor(&[("user", "42")]));
    assert_eq!(asked.caller, user("42"));
    assert_eq!((asked.method, asked.path.as_str(), asked.host), (Method::GET, "/", None));
    assert_eq!((asked.cost, asked.peek), (None, false));
}

#[test]
fn a_user_goes_before_what_the_address_shows() {
    let shows = [
        ("remote_address", "192.0.2.1"),
        ("authorization", "Bearer a"),
        ("api_key", "b"),
        ("method", "PUT"),
        ("host", "h:1"),
    ];
    let asked = one(descriptor(&shows));
    let Caller::At(address, headers) = asked.caller else { panic!("{asked:?}") };
    assert_eq!(address.to_string(), "192.0.2.1");
    assert_eq!(
        (&headers["authorization"], &headers["x-api-key"]),
        (&HeaderValue::from_static("Bearer a"), &HeaderValue::from_static("b"))
    );
    assert_eq!((asked.method, asked.host.as_deref()), (Method::PUT, Some("h:1")));
    let named = [&shows[..], &[("user", "42")]].concat();
    assert_eq!(one(descriptor(&named)).caller, user("42"));
}

/// Goal: a client cannot have its request refused as unreadable, which Envoy may let pass.
#[test]
fn whatever_a_client_sends_it_is_somebody() {
    let long = "x".repeat(2_000);
    for value in ["", "\0", "a\nb", "\u{7f}", "é", &long] {
        let of = ["user", "authorization", "api_key", "method", "path", "host"];
        for key in of {
            let asked = one(descriptor(&[("remote_address", "::1"), (key, value)]));
            let is_named = matches!(&asked.caller, Caller::User(_));
            let names = key == "user" && !value.is_empty() && value != long;
            assert_eq!(is_named, names, "{key} {value:?}");
        }
    }
    let mut bytes = descriptor(&[("remote_address", "::1"), ("authorization", ""), ("path", "")]);
    bytes.entries[1].value = b"Bearer \xff".to_vec();
    bytes.entries[2].value = b"/\xff".to_vec();
    let asked = one(bytes);
    assert_eq!(asked.path, "/\u{fffd}");
    let Caller::At(_, headers) = asked.caller else { panic!("a user") };
    assert_eq!(headers["authorization"].as_bytes(), b"Bearer \xff");
}

#[test]
fn the_cost_is_the_descriptors_else_the_requests() {
    let with = |hits| {
        let hits_addend = Some(UInt64Value { value: hits });
        Descriptor { hits_addend, ..descriptor(&[("user", "42")]) }
    };
    let descriptors = vec![with(7), descriptor(&[("user", "42")]), with(0)];
    let asked = read(&request(descriptors, 3)).unwrap();
    let cost = |units| Some(Cost::new(units).unwrap());
    let read: Vec<_> = asked.iter().map(|asked| (asked.cost, asked.peek)).collect();
    assert_eq!(read, [(cost(7), false), (cost(3), false), (cost(3), true)]);
    assert!(refused(&request(vec![with(1_001)], 0)).starts_with("descriptors[0].hits_addend: "));
    let most = request(vec![descriptor(&[("user", "42")])], 1_001);
    assert!(refused(&most).starts_with("hits_addend: "), "{}", refused(&most));
}

#[test]
fn what_envoy_is_set_up_wrong_for_is_refused_by_name() {
    let good = descriptor(&[("user", "42")]);
    let limit = Some(LimitOverride { requests_per_unit: 1 });
    for (bad, says) in [
        (descriptor(&[]), "descriptors[1]: it names nobody; it takes remote_address, or a user"),
        (descriptor(&[("path", "/")]), "descriptors[1]: it names nobody"),
        (descriptor(&[("user", "")]), "descriptors[1]: it names nobody"),
        (
            descriptor(&[("remote_address", "here")]),
            r#"descriptors[1]: remote_address: "here" is no IP address"#,
        ),
        (
            descriptor(&[("user", "1"), ("paht", "/")]),
            r#"descriptors[1].entries[1]: there is no key "paht"; there are user, authorization"#,
        ),
        (
            descriptor(&[("user", "1"), ("user", "2")]),
            r#"descriptors[1].entries[1]: the key "user" comes twice"#,
        ),
        (
            Descriptor { limit, ..good.clone() },
            "descriptors[1].limit: limits are those of policies",
        ),
        (
            Descriptor { is_negative_hits: true, ..good.clone() },
            "descriptors[1].is_negative_hits: what was charged is not given back",
        ),
    ] {
        let said = refused(&request(vec![good.clone(), bad], 0));
        assert!(said.starts_with(says), "{said}");
    }
    assert_eq!(refused(&request(vec![], 0)), "descriptors: there are 1 to 64, not 0");
    let many = request(vec![good; 65], 0);
    assert_eq!(refused(&many), "descriptors: there are 1 to 64, not 65");
}
