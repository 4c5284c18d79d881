mod differential;
mod refusals;

use http::Method;

use super::*;
use crate::policy::PathPattern;

/// A policy from a line such as `GET,HEAD example.com /v1/{id}`, with `*` for any.
fn policy(name: &str, line: &str) -> Policy {
    let [methods, host, path] =
        line.split_whitespace().collect::<Vec<_>>().try_into().expect("three words");
    let mut policy = Policy::new(PolicyName::new(name).unwrap(), Limits { minute: 1, second: 1 });
    if methods != "*" {
        policy.methods = methods.split(',').map(|method| method.parse().unwrap()).collect();
    }
    policy.host = (host != "*").then(|| host.to_owned());
    policy.path = (path != "*").then(|| PathPattern::parse(path).unwrap());
    policy
}

/// Policies named by their own lines' numbers: `p0`, `p1` and so on.
fn policies(lines: &[&str]) -> Result<Policies, PolicyError> {
    let numbered = lines.iter().enumerate();
    Policies::new(numbered.map(|(number, line)| policy(&format!("p{number}"), line)).collect())
}

/// The name of the policy for a request such as `GET example.com /v1/42?page=2`.
fn found<'a>(policies: &'a Policies, request: &str) -> &'a str {
    let [method, host, path] =
        request.split_whitespace().collect::<Vec<_>>().try_into().expect("three words");
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    policies.find(&method, (host != "*").then_some(host), path).name.as_str()
}

fn check(lines: &[&str], answers: &[(&str, &str)]) {
    let policies = policies(lines).unwrap();
    for (request, name) in answers {
        assert_eq!(found(&policies, request), *name, "{request}");
    }
}

#[test]
fn a_literal_goes_before_a_parameter_before_a_catch_all_before_no_path() {
    check(
        &["* * /v1/people", "* * /v1/{any}", "* * /v1/{*rest}", "POST * *"],
        &[
            ("GET * /v1/people", "p0"),
            ("GET * /v1/people/", "p0"),
            ("GET * /v1/places", "p1"),
            ("GET * /v1/people/42", "p2"),
            ("GET * /v1", "default"),
            ("POST * /v1", "p3"),
            ("POST * /v2", "p3"),
            ("GET * /v2", "default"),
            ("GET * /V1/people", "default"),
        ],
    );
}

#[test]
fn the_leftmost_segment_that_differs_decides() {
    check(
        &["* * /a/{x}/{y}", "* * /{x}/b/c", "* * /a/{*rest}", "* * /{x}/{y}/{z}", "* * /a/b/d"],
        &[
            ("GET * /a/b/c", "p0"),
            ("GET * /a/b/d", "p4"),
            ("GET * /x/b/c", "p1"),
            ("GET * /x/b/d", "p3"),
            ("GET * /a/b", "p2"),
            ("GET * /a/b/c/d", "p2"),
            ("GET * /x/b/c/d", "default"),
        ],
    );
}

#[test]
fn a_catch_all_takes_at_least_one_segment() {
    check(
        &["* * /v1/search/{*rest}", "* * /{*all}", "* * /"],
        &[
            ("GET * /v1/search/a", "p0"),
            ("GET * /v1/search/a/b/c", "p0"),
            ("GET * /v1/search", "p1"),
            ("GET * /v1/search/", "p1"),
            ("GET * /v1/search//", "p1"),
            ("GET * /", "p2"),
            ("GET * /?q=/v1/search/a", "p2"),
        ],
    );
    check(&["* * /{*all}"], &[("GET * /", "default"), ("OPTIONS * *", "p0")]);
}

#[test]
fn the_host_goes_before_the_path() {
    check(
        &["* a.example /{*all}", "* * /v1/people", "* a.example /v1/{id}", "GET b.example *"],
        &[
            ("GET a.example /v1/people", "p2"),
            ("GET a.example /v1/people/42", "p0"),
            ("GET * /v1/people", "p1"),
            ("GET c.example /v1/people", "p1"),
            ("GET b.example /v1/people", "p3"),
            ("POST b.example /v1/people", "p1"),
            ("GET a.example /", "default"),
        ],
    );
}

#[test]
fn listed_methods_go_before_any_method() {
    check(
        &["* * /v1/{id}", "GET,POST * /v1/{id}", "PROPFIND * /v1/{id}", "PUT * /v1/{*rest}"],
        &[
            ("GET * /v1/42", "p1"),
            ("POST * /v1/42", "p1"),
            ("PROPFIND * /v1/42", "p2"),
            ("REPORT * /v1/42", "p0"),
            ("PUT * /v1/42", "p0"),
            ("PUT * /v1/42/a", "p3"),
            ("GET * /v1/42/a", "default"),
        ],
    );
}

#[test]
fn a_request_whose_method_the_best_path_does_not_take_falls_to_the_next_best() {
    let lines = [
        "GET * /v1/search/{*rest}",
        "POST * /v1/{*all}",
        "DELETE a.example /v1/search/x",
        "GET * /v1/{any}/x",
    ];
    check(
        &lines,
        &[
            ("GET * /v1/search/x", "p0"),
            ("POST * /v1/search/x", "p1"),
            ("PUT * /v1/search/x", "default"),
            ("DELETE a.example /v1/search/x", "p2"),
            ("GET a.example /v1/search/x", "p0"),
            ("GET * /v1/find/x", "p3"),
        ],
    );
}

#[test]
fn get_does_not_cover_head() {
    check(&["GET * /v1"], &[("GET * /v1", "p0"), ("HEAD * /v1", "default")]);
}

#[test]
fn a_host_is_compared_without_case_port_trailing_dot_and_brackets() {
    check(
        &["* API.example.com. *", "* [2001:DB8::1] *", "* ::1 *", "* 192.0.2.1 *"],
        &[
            ("GET api.example.com /", "p0"),
            ("GET Api.Example.Com:8443 /", "p0"),
            ("GET api.example.com. /", "p0"),
            ("GET api.example.com.:443 /", "p0"),
            ("GET user:secret@api.example.com:443 /", "p0"),
            ("GET example.com /", "default"),
            ("GET x.api.example.com /", "default"),
            ("GET [2001:db8::1] /", "p1"),
            ("GET [2001:db8:0:0::1]:8443 /", "p1"),
            ("GET [::1]:80 /", "p2"),
            ("GET ::1 /", "p2"),
            ("GET 192.0.2.1:80 /", "p3"),
            ("GET [::2] /", "default"),
            ("GET [::1 /", "p2"),
            ("GET [ /", "default"),
            ("GET : /", "default"),
        ],
    );
    let policies = policies(&["* API.example.com. /", "* 2001:DB8:0::1 /"]).unwrap();
    let hosts: Vec<_> = policies.iter().map(|policy| policy.host.as_deref()).collect();
    assert_eq!(hosts, [Some("api.example.com"), Some("[2001:db8::1]"), None]);
}

#[test]
fn any_spelling_of_a_path_finds_the_same_policy() {
    check(
        &["* * /caf%c3%a9/{id}", "* * /v1/a%2fb"],
        &[
            ("GET * /caf%C3%A9/1", "p0"),
            ("GET * /café/1", "p0"),
            ("GET * //x/..//%63af%c3%A9/./1/?q=1", "p0"),
            ("GET * /caf%c3%a9/%2e%2e/caf%c3%a9/1", "p0"),
            ("GET * /caf%C3%A9/a%2Fb", "p0"),
            ("GET * /caf%C3%A9/a/b", "default"),
            ("GET * /v1/a%2Fb", "p1"),
            ("GET * /v1/a/b", "default"),
        ],
    );
}

#[test]
fn a_default_always_exists_and_matches_everything() {
    let implied = policies(&["GET * /v1"]).unwrap();
    assert_eq!(implied.default_policy().limits, Limits { minute: 60, second: 2 });
    let names: Vec<_> = implied.iter().map(|policy| policy.name.as_str()).collect();
    assert_eq!(names, ["p0", "default"]);
    assert_eq!(found(&implied, "BREW * teapot"), "default");

    let limits = Limits { minute: 5, second: 1 };
    let given = Policies::new(vec![Policy::new(PolicyName::default(), limits)]).unwrap();
    assert_eq!(given.default_policy().limits, limits);
    assert_eq!(given.by_name("default"), Some(given.default_policy()));
    assert_eq!(given.by_name("p0"), None);

    let nothing = Policies::new(Vec::new()).unwrap();
    assert_eq!(nothing.default_policy(), Policies::default().default_policy());
    assert_eq!(found(&Policies::default(), "GET a.example /v1"), "default");
}
