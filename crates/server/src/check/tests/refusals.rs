use super::*;

type Headers<'a> = &'a [(&'a str, &'a str)];

fn problem(status: u16, message: &str) -> String {
    format!("{{\"message\":{},\"status_code\":{status}}}", serde_json::to_string(message).unwrap())
}

#[tokio::test]
async fn a_proxy_that_is_set_up_wrong_is_told_what_is_missing() {
    let method = ("x-forwarded-method", "GET");
    let uri = ("x-forwarded-uri", "/a");
    let cases: [(&str, Headers<'_>, &str); 11] = [
        (
            "profile=apache",
            &[],
            r#"there is no profile "apache"; there are nginx, traefik, caddy, haproxy and envoy"#,
        ),
        (
            "profile=",
            &[],
            r#"there is no profile ""; there are nginx, traefik, caddy, haproxy and envoy"#,
        ),
        (
            "proflie=nginx",
            &[],
            r#"the query of /check is profile=NAME, once; it cannot hold "proflie=nginx""#,
        ),
        (
            "profile=nginx&profile=caddy",
            &[],
            r#"the query of /check is profile=NAME, once; it cannot hold "profile=caddy""#,
        ),
        ("profile=nginx", &[], "profile nginx: the header X-Original-Method is missing"),
        (
            "profile=nginx",
            &[("x-original-method", "GET"), method, uri],
            "profile nginx: the header X-Original-URI is missing",
        ),
        ("profile=traefik", &[uri], "profile traefik: the header X-Forwarded-Method is missing"),
        (
            "profile=caddy",
            &[method, ("x-forwarded-uri", "")],
            "profile caddy: the header X-Forwarded-Uri is missing",
        ),
        (
            "profile=haproxy",
            &[method, ("x-forwarded-uri", "/forged"), uri],
            "profile haproxy: the header X-Forwarded-Uri comes more than once",
        ),
        (
            "profile=haproxy",
            &[method, uri, ("x-forwarded-host", "a"), ("x-forwarded-host", "b")],
            "profile haproxy: the header X-Forwarded-Host comes more than once",
        ),
        (
            "profile=caddy",
            &[("x-forwarded-method", "G T"), uri],
            r#"profile caddy: the header X-Forwarded-Method holds no method: "G T""#,
        ),
    ];
    let router = listener();
    for (query, headers, message) in cases {
        let got = send(&router, "GET", &format!("/check?{query}"), headers, "").await;
        assert_eq!((got.status.as_u16(), got.body), (400, problem(400, message)));
        assert_eq!(got.headers["content-type"], "application/json");
        assert!(!got.headers.contains_key("x-ratelimit-limit"));
    }
}

#[tokio::test]
async fn a_bad_request_is_refused_by_field_and_reason() {
    let router = listener();
    for (body, message) in [
        ("", "body: this is no JSON: EOF while parsing a value at line 1 column 0"),
        ("[]", "body: this is an object, not a list"),
        ("{}", "identity: this field is required: user:ID or ip:ADDRESS"),
        (r#"{"identity":null}"#, "identity: this field is required: user:ID or ip:ADDRESS"),
        (r#"{"identity":42}"#, "identity: this is a string, not a number"),
        (r#"{"identity":"42"}"#, r#"identity: an identity is user:ID or ip:ADDRESS, not "42""#),
        (r#"{"identity":"user:1","method":"G T"}"#, r#"method: "G T" is no method"#),
        (r#"{"identity":"user:1","path":[]}"#, "path: this is a string, not a list"),
        (r#"{"identity":"user:1","host":{}}"#, "host: this is a string, not an object"),
        (r#"{"identity":"user:1","peek":1}"#, "peek: this is true or false, not a number"),
        (r#"{"identity":"user:1","cost":1001}"#, "cost: a cost is 0 to 1000, not 1001"),
        (r#"{"identity":"user:1","cost":-1}"#, "cost: a cost is 0 to 1000, not -1"),
        (r#"{"identity":"user:1","cost":1.5}"#, "cost: a cost is 0 to 1000, not 1.5"),
        (r#"{"identity":"user:1","cost":"1"}"#, "cost: this is a number, not a string"),
        (
            r#"{"identity":"user:1","key":"x"}"#,
            "key: there is no such field; there are identity, method, path, host, cost and peek",
        ),
        (r#"{"requests":{}}"#, "requests: this is a list, not an object"),
        (r#"{"requests":[],"peek":true}"#, "peek: a batch holds `requests` alone"),
        (r#"{"requests":[7]}"#, "requests[0]: this is an object, not a number"),
    ] {
        let got = decide(&router, body).await;
        assert_eq!((got.status.as_u16(), got.body), (400, problem(400, message)), "{body}");
    }
}

#[tokio::test]
async fn a_batch_with_one_bad_request_is_refused_whole_and_charges_nothing() {
    let router = listener();
    let good = r#"{"identity":"user:1"}"#;
    let bad = r#"{"identity":"user:1","cost":1001}"#;
    let got = decide(&router, &format!(r#"{{"requests":[{good},{good},{good},{bad}]}}"#)).await;
    let message = "requests[3].cost: a cost is 0 to 1000, not 1001";
    assert_eq!((got.status.as_u16(), got.body), (400, problem(400, message)));
    let after = decide(&router, r#"{"identity":"user:1","peek":true}"#).await;
    assert!(after.body.contains(r#""minute":{"limit":60,"remaining":60"#), "{}", after.body);
}

#[tokio::test]
async fn a_batch_of_more_than_a_thousand_is_refused() {
    let requests = vec![r#"{"identity":"user:1","cost":0}"#; 1_001].join(",");
    let got = decide(&listener(), &format!(r#"{{"requests":[{requests}]}}"#)).await;
    let message = "requests: a batch holds at most 1000, not 1001";
    assert_eq!((got.status.as_u16(), got.body), (400, problem(400, message)));
}

#[tokio::test]
async fn a_body_above_a_mebibyte_is_refused_and_one_of_a_mebibyte_is_read() {
    let router = listener();
    let padded = |length| {
        let start = r#"{"identity":"user:1"}"#;
        format!("{start}{}", " ".repeat(length - start.len()))
    };
    assert_eq!(decide(&router, &padded(1 << 20)).await.status, StatusCode::OK);
    let got = decide(&router, &padded((1 << 20) + 1)).await;
    let message = "body: it has more than 1048576 bytes";
    assert_eq!((got.status.as_u16(), got.body), (413, problem(413, message)));
}

#[tokio::test]
async fn what_is_not_here_is_refused_in_json() {
    let router = listener();
    let got = send(&router, "GET", "/v1/decide", &[], "").await;
    assert_eq!(got.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(got.headers["allow"], "POST");
    assert_eq!(got.body, problem(405, "this path does not take this method"));
    for uri in ["/", "/checks", "/v1", "/v1/decide/"] {
        let got = send(&router, "GET", uri, &[], "").await;
        assert_eq!(got.status, StatusCode::NOT_FOUND);
        assert_eq!(got.body, problem(404, "there is nothing at this path"), "{uri}");
    }
}

#[tokio::test]
async fn a_request_without_the_address_of_its_peer_is_not_decided() {
    let request = Request::builder().uri("/check").body(Body::empty()).unwrap();
    let response = listener().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}
