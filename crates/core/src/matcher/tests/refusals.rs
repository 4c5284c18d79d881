//! What a set of policies is refused for, and what it is not.

use super::*;

fn refusal(lines: &[&str]) -> String {
    policies(lines).unwrap_err().to_string()
}

#[test]
fn a_tie_is_refused_with_both_names() {
    assert_eq!(
        refusal(&["GET * /v1/{id}", "POST,GET * /v1/{name}/"]),
        "policies p0 and p1 tie: neither is more specific, both match GET, /v1/{name}/, any host"
    );
    assert_eq!(
        refusal(&["* a.example *", "* A.example. *"]),
        "policies p0 and p1 tie: neither is more specific, \
         both match any method, any path, a.example"
    );
    assert!(refusal(&["* * /%7Ea/{*x}", "* * /~a/{*y}"]).contains("policies p0 and p1 tie"));
    assert!(refusal(&["* [::1] /", "* [0::1] /"]).contains("policies p0 and p1 tie"));
    assert!(refusal(&["* * *"]).contains("policies p0 and default tie"));
}

#[test]
fn policies_that_differ_in_host_shape_or_level_of_methods_do_not_tie() {
    let lines = [
        "GET * /v1/{id}",
        "POST * /v1/{id}",
        "* * /v1/{id}",
        "GET a.example /v1/{id}",
        "GET * /v1/{*id}",
        "GET * /v1/id",
        "GET,GET * *",
    ];
    assert_eq!(policies(&lines).unwrap().iter().len(), 8);
}

#[test]
fn a_default_with_a_condition_is_refused() {
    for (line, condition) in [("GET * *", "methods"), ("* a.example *", "host"), ("* * /", "path")]
    {
        let error = Policies::new(vec![policy("default", line)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("policy default: it matches every request and takes no {condition}")
        );
    }
}

#[test]
fn a_name_used_twice_is_refused() {
    let error = Policies::new(vec![policy("a", "* * /a"), policy("a", "* * /b")]).unwrap_err();
    assert_eq!(error.to_string(), "policy a: the name is used twice");
}

#[test]
fn a_host_or_method_that_no_request_can_have_is_refused_by_policy_and_reason() {
    for (host, reason) in [
        ("example.com:443", "it is no IPv6 address, and a port takes no part in matching"),
        ("[::1]:443", "it is no IPv6 address, and a port takes no part in matching"),
        ("*.example.com", "a host is matched as a whole, without wildcards"),
        ("bücher.example", "it is not ASCII; write the form that begins with xn--"),
        ("http//example.com", "a name is made of letters, digits, -, _ and ."),
        (".", "it is empty"),
    ] {
        let refusal = refusal(&[&format!("* {host} /")]);
        assert_eq!(refusal, format!("policy p0: host {host:?}: {reason}"));
    }
    assert_eq!(
        refusal(&["GET,post * /"]),
        "policy p0: method post: methods are compared by case, write POST"
    );
}
