//! The body of `POST /v1/decide`: a whole batch, or one clear error.

use std::cell::OnceCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use http::{HeaderName, Method, Request, StatusCode, header};
use serde_json::{Map, Value};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;
use transom_core::body::Messages;
use transom_core::headers::Style;
use transom_core::{Gate, Identity, Mode, Policies};
use transom_local::LocalLimiter;
use transom_server::backend::Backend;
use transom_server::check::router;
use transom_server::exempt::ExemptRequests;
use transom_server::front::Front;
use transom_server::gateway::{Upstream, UpstreamSettings};
use transom_server::identity::{Exempt, Identities};

use crate::runner::run;

#[test]
fn decide_body() {
    run("decide_body", check);
}

pub(crate) fn check(input: &[u8]) {
    let (status, answer) = ask(input);
    match asked_slowly(input) {
        Ok(requests) => {
            assert_eq!(status, StatusCode::OK, "{answer}");
            let answers = match requests {
                Asked::One(request) => vec![(request, answer)],
                Asked::Many(requests) => {
                    let answers = answer["results"].as_array().unwrap().clone();
                    assert_eq!(answers.len(), requests.len());
                    requests.into_iter().zip(answers).collect()
                }
            };
            for (identity, answer) in answers {
                check_answer(&identity, &answer);
            }
        }
        Err(key) => {
            assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
            let message = answer["message"].as_str().unwrap();
            assert!(message.starts_with(&format!("{key}: ")), "{message:?} is not about {key:?}");
            assert_eq!(answer["status_code"], 400);
        }
    }
}

fn check_answer(identity: &str, answer: &Value) {
    assert_eq!(answer["identity"], identity);
    assert_eq!(answer["source"], "local");
    assert_eq!(answer["allowed"].as_bool().unwrap(), answer["retry_after_ms"].is_null());
    for (window, length_ms) in [("minute", 60_000), ("second", 1_000)] {
        let number = |name: &str| answer[window][name].as_u64().unwrap();
        assert!(number("remaining") <= number("limit"), "{answer}");
        assert!(number("reset_ms") <= length_ms, "{answer}");
    }
    assert!(answer["retry_after_ms"].as_u64().unwrap_or(0) <= 60_000, "{answer}");
}

/// The identities of a body that can be read.
enum Asked {
    One(String),
    Many(Vec<String>),
}

/// Reads a body, or says which of its keys is at fault: the first in the order of reading.
fn asked_slowly(body: &[u8]) -> Result<Asked, String> {
    let value = serde_json::from_slice(body).map_err(|_| "body".to_owned())?;
    let Value::Object(object) = value else { return Err("body".to_owned()) };
    let Some(requests) = object.get("requests") else {
        return read(&object, "").map(Asked::One);
    };
    if let Some(key) = object.keys().find(|key| *key != "requests") {
        return Err(key.clone());
    }
    let Some(requests) = requests.as_array().filter(|requests| requests.len() <= 1_000) else {
        return Err("requests".to_owned());
    };
    let mut identities = Vec::new();
    for (place, request) in requests.iter().enumerate() {
        let at = format!("requests[{place}]");
        let object = request.as_object().ok_or_else(|| at.clone())?;
        identities.push(read(object, &format!("{at}."))?);
    }
    Ok(Asked::Many(identities))
}

type Fits = fn(&Value) -> bool;

fn read(object: &Map<String, Value>, at: &str) -> Result<String, String> {
    let wrong = |key: &str| Err(format!("{at}{key}"));
    let given = |key: &str| object.get(key).filter(|value| !value.is_null());
    let Some(identity) = given("identity").and_then(Value::as_str) else {
        return wrong("identity");
    };
    let Ok(identity) = identity.parse::<Identity>() else { return wrong("identity") };
    let is_method = |value: &Value| {
        value.as_str().is_some_and(|text| Method::from_bytes(text.as_bytes()).is_ok())
    };
    let is_cost = |value: &Value| value.as_u64().is_some_and(|units| units <= 1_000);
    let checks: [(&str, Fits); 5] = [
        ("method", is_method),
        ("path", Value::is_string),
        ("host", Value::is_string),
        ("cost", is_cost),
        ("peek", Value::is_boolean),
    ];
    for (key, fits) in checks {
        if given(key).is_some_and(|value| !fits(value)) {
            return wrong(key);
        }
    }
    let known = |key: &&String| *key == "identity" || checks.iter().any(|(name, _)| name == key);
    match object.keys().find(|key| !known(key)) {
        Some(key) => wrong(key),
        None => Ok(identity.to_string()),
    }
}

thread_local! {
    static LISTENER: OnceCell<(Runtime, Router)> = const { OnceCell::new() };
}

fn ask(body: &[u8]) -> (StatusCode, Value) {
    LISTENER.with(|listener| {
        let (runtime, router) = listener.get_or_init(listen);
        let peer = ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 4711)));
        let request = Request::post("/v1/decide").extension(peer);
        let request = request.body(Body::from(body.to_vec())).unwrap();
        runtime.block_on(async {
            let response = router.clone().oneshot(request).await.unwrap();
            let (parts, body) = response.into_parts();
            assert_eq!(parts.headers[header::CONTENT_TYPE], "application/json");
            let body = to_bytes(body, usize::MAX).await.unwrap();
            (parts.status, serde_json::from_slice(&body).unwrap())
        })
    })
}

/// A check listener without a socket, on a limiter in process.
fn listen() -> (Runtime, Router) {
    let header = HeaderName::from_static("x-forwarded-for");
    let limiter = Backend::Local(Arc::new(LocalLimiter::default()));
    let front = Front {
        gate: Gate::new(Policies::default(), Mode::Enforce, limiter),
        identities: Identities::new(Vec::new(), header, 64, Exempt::default()),
        exempt: ExemptRequests::default(),
        style: Style::default(),
        messages: Messages::default(),
        deadline: Duration::from_secs(60),
        warnings: Vec::new(),
        admin_token: None,
        ready_while_degraded: true,
        reporter: Arc::default(),
        upstream: Arc::new(Upstream::new(&UpstreamSettings::default()).unwrap()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    (runtime, router(Arc::new(ArcSwap::from_pointee(front))))
}
