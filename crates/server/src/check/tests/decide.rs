use serde_json::Value;

use super::*;

/// A body without its time, which is the clock's.
fn timeless(body: &str) -> String {
    let (before, after) = body.split_once("\"at_us\":").unwrap();
    format!(
        "{before}\"at_us\":AT{}",
        after.trim_start_matches(|digit: char| digit.is_ascii_digit())
    )
}

fn json(got: &Got) -> Value {
    assert_eq!(got.status, StatusCode::OK, "{}", got.body);
    serde_json::from_str(&got.body).unwrap()
}

/// Which items of a batch are allowed.
async fn allowed(router: &Router, requests: &[String]) -> Vec<bool> {
    let got = decide(router, &format!(r#"{{"requests":[{}]}}"#, requests.join(","))).await;
    let results = json(&got)["results"].as_array().unwrap().clone();
    assert_eq!(results.len(), requests.len());
    results.iter().map(|result| result["allowed"].as_bool().unwrap()).collect()
}

fn wide(identity: &str, cost: u32) -> String {
    format!(r#"{{"identity":"{identity}","path":"/wide","cost":{cost}}}"#)
}

#[tokio::test]
async fn an_answer_has_its_fields_in_the_stated_order() {
    let body = r#"{"identity":"user:42","method":"GET","path":"/v1/people","cost":1,"peek":false}"#;
    let got = decide(&listener(), body).await;
    assert_eq!(got.status, StatusCode::OK);
    assert_eq!(got.header("content-type"), Some("application/json"));
    assert_eq!(
        timeless(&got.body),
        concat!(
            r#"{"allowed":true,"identity":"user:42","policy":"default","limited_by":"minute","#,
            r#""retry_after_ms":null,"reset_ms":60000,"#,
            r#""minute":{"limit":60,"remaining":59,"reset_ms":60000},"#,
            r#""second":{"limit":2,"remaining":1,"reset_ms":1000},"#,
            r#""at_us":AT,"source":"local"}"#
        )
    );
    assert!(json(&got)["at_us"].as_u64().unwrap() > 1_700_000_000_000_000);
}

#[tokio::test]
async fn a_denial_is_a_value_without_rate_limit_fields() {
    let router = listener();
    let body = r#"{"identity":"user:42","cost":3}"#;
    let got = decide(&router, body).await;
    assert_eq!(
        timeless(&got.body),
        concat!(
            r#"{"allowed":false,"identity":"user:42","policy":"default","limited_by":"second","#,
            r#""retry_after_ms":1000,"reset_ms":1000,"#,
            r#""minute":{"limit":60,"remaining":60,"reset_ms":0},"#,
            r#""second":{"limit":2,"remaining":2,"reset_ms":0},"#,
            r#""at_us":AT,"source":"local"}"#
        )
    );
    assert_eq!(got.status, StatusCode::OK);
    for name in ["retry-after", "x-ratelimit-limit", "x-ratelimit-limited-by"] {
        assert_eq!(got.header(name), None);
    }
}

#[tokio::test]
async fn defaults_are_get_the_root_and_the_cost_of_the_policy() {
    let mut dear = policy("dear", "/", 60, 60);
    dear.methods = vec![Method::GET];
    dear.cost = transom_core::Cost::new(7).unwrap();
    let router = crate::check::router(front(vec![dear], local()));
    let body = r#"{"identity":"user:1","method":null,"cost":null,"peek":null}"#;
    let got = json(&decide(&router, body).await);
    assert_eq!((&got["policy"], &got["minute"]["remaining"]), (&"dear".into(), &53.into()));
}

#[tokio::test]
async fn method_path_and_host_find_the_policy() {
    let router = listener();
    for (rest, policy) in [
        (r#""path":"/v1/search/x?page=2""#, "search"),
        (r#""path":"/v1/./search//x""#, "search"),
        (r#""path":"/v1/search/x","method":"POST""#, "default"),
        (r#""path":"/v1/people","host":"Shop.Example:443""#, "shop"),
    ] {
        let got = decide(&router, &format!(r#"{{"identity":"user:1",{rest}}}"#)).await;
        assert_eq!(json(&got)["policy"], policy, "{rest}");
    }
}

#[tokio::test]
async fn an_address_in_any_spelling_is_one_identity_and_may_be_exempt() {
    let router = listener();
    let ask =
        async |identity| json(&decide(&router, &format!(r#"{{"identity":"{identity}"}}"#)).await);
    assert_eq!(ask("ip:[2001:DB8:0:1::7]").await["identity"], "ip:2001:db8:0:1::");
    assert_eq!(ask("ip:::ffff:203.0.113.9").await["identity"], "ip:203.0.113.9");
    let got = decide(&router, r#"{"identity":"ip:192.0.2.7"}"#).await;
    assert_eq!(
        got.body,
        concat!(
            r#"{"allowed":true,"identity":"ip:192.0.2.7","policy":"default","limited_by":null,"#,
            r#""retry_after_ms":null,"reset_ms":null,"minute":null,"second":null,"#,
            r#""at_us":null,"source":"none"}"#
        )
    );
}

#[tokio::test]
async fn a_peek_says_what_would_be_and_charges_nothing() {
    let router = listener();
    for _ in 0..5 {
        let got = json(&decide(&router, r#"{"identity":"user:1","cost":2,"peek":true}"#).await);
        assert_eq!((&got["allowed"], &got["minute"]["remaining"]), (&true.into(), &60.into()));
    }
}

#[tokio::test]
async fn a_denial_on_trial_is_allowed_and_says_so() {
    let router = listener();
    let body = r#"{"identity":"user:1","path":"/trial"}"#;
    let first = json(&decide(&router, body).await);
    assert_eq!((&first["allowed"], first.get("shadow")), (&true.into(), None));
    let second = decide(&router, body).await;
    assert!(second.body.ends_with(r#","source":"local","shadow":true}"#), "{}", second.body);
    let second = json(&second);
    assert_eq!((&second["allowed"], &second["limited_by"]), (&true.into(), &"minute".into()));
    assert!(second["retry_after_ms"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn a_batch_answers_in_its_own_order() {
    let router = listener();
    let identities = ["user:b", "user:a", "ip:203.0.113.9", "user:b", "user:a", "user:b"];
    let requests: Vec<_> =
        identities.iter().map(|id| format!(r#"{{"identity":"{id}"}}"#)).collect();
    let got = decide(&router, &format!(r#"{{"requests":[{}]}}"#, requests.join(","))).await;
    assert!(got.body.starts_with(r#"{"results":[{"allowed":true,"identity":"user:b","#));
    let results = json(&got)["results"].as_array().unwrap().clone();
    let answered: Vec<_> = results.iter().map(|r| r["identity"].as_str().unwrap()).collect();
    assert_eq!(answered, identities);
    let passed: Vec<_> = results.iter().map(|r| r["allowed"] == true).collect();
    assert_eq!(passed, [true, true, true, true, true, false]);
}

#[tokio::test]
async fn requests_of_one_identity_are_charged_as_they_stand() {
    let router = listener();
    let costs = [600, 500, 300, 101, 100, 1];
    let requests: Vec<_> = costs.iter().map(|cost| wide("user:1", *cost)).collect();
    assert_eq!(allowed(&router, &requests).await, [true, false, true, false, true, false]);
}

#[tokio::test]
async fn a_thousand_requests_are_one_batch() {
    let router = listener();
    let requests: Vec<_> = (0..1_000).map(|n| wide(&format!("user:{}", n % 3), 10)).collect();
    let passed = allowed(&router, &requests).await;
    assert_eq!(passed.iter().filter(|passed| **passed).count(), 300);
    assert!(passed.iter().take(300).all(|passed| *passed));
    assert_eq!(allowed(&router, &[]).await, [] as [bool; 0]);
}

#[tokio::test]
async fn the_content_type_is_not_looked_at() {
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let body = r#"{"identity":"user:1"}"#;
    let got = send(&listener(), "POST", "/v1/decide", &form, body).await;
    assert_eq!(got.status, StatusCode::OK);
}
