//! What takes a peer that no test on this machine can be.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::backend::Backend;
use crate::check::tests::{Got, front, local, lost_redis, send};
use crate::operator::Operator;
use crate::reload::ConfigStatus;

fn console(backend: Backend) -> Router {
    let front = front(Vec::new(), backend);
    let operator = Operator::new(Arc::clone(&front), None);
    let stop = CancellationToken::new();
    router(Admin::new(front, operator, ConfigStatus::shared_at_start(), stop))
}

/// A console as one on loopback sees it.
fn here(backend: Backend) -> Router {
    let here: std::net::SocketAddr = "127.0.0.1:4711".parse().unwrap();
    console(backend).layer(middleware::map_request(move |mut request: axum::extract::Request| {
        request.extensions_mut().insert(axum::extract::ConnectInfo(here));
        std::future::ready(request)
    }))
}

const LOOPBACK: (&str, &str) = ("host", "localhost:8083");

async fn get(router: &Router, path: &str) -> Got {
    send(router, "GET", path, &[LOOPBACK], "").await
}

#[tokio::test]
async fn without_a_token_nobody_from_another_machine_is_let_in() {
    let console = console(local());
    for path in ["/", "/policies", "/identities/user:42", "/audit"] {
        let got = get(&console, path).await;
        assert_eq!(got.status, 403, "{path}: {}", got.body);
        assert!(got.body.contains("without admin.token only this machine"), "{}", got.body);
    }
    let form = [LOOPBACK, ("content-type", "application/x-www-form-urlencoded")];
    let got = send(&console, "POST", "/login", &form, "token=guess").await;
    assert_eq!(got.status, 403, "{}", got.body);
}

#[tokio::test]
async fn without_a_token_a_name_that_was_made_to_point_here_is_refused() {
    let console = here(local());
    assert_eq!(get(&console, "/").await.status, 200);
    let got = send(&console, "GET", "/", &[("host", "evil.example:8083")], "").await;
    assert_eq!(got.status, 403, "{}", got.body);
}

#[tokio::test]
async fn without_a_token_nobody_is_asked_to_log_in() {
    let got = get(&here(local()), "/login").await;
    assert_eq!((got.status.as_u16(), got.header("location")), (303, Some("/")));
}

#[tokio::test]
async fn every_page_says_what_may_be_loaded_and_may_not_be_kept() {
    let console = here(local());
    let pages =
        ["/", "/policies", "/identities/user:42", "/identities/x", "/overrides", "/audit", "/keys"];
    for path in pages {
        let got = get(&console, path).await;
        assert_eq!(got.header("content-security-policy"), Some(POLICY), "{path}");
        assert_eq!(got.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(got.header("referrer-policy"), Some("same-origin"), "{path}");
        assert_eq!(got.header("cache-control"), Some("no-store"), "{path}");
    }
}

#[tokio::test]
async fn no_page_has_a_script_or_a_style_of_its_own() {
    let console = here(local());
    for path in ["/", "/policies", "/identities/user:42", "/overrides", "/blocks", "/audit"] {
        let body = get(&console, path).await.body;
        assert!(!body.contains("style="), "{path}");
        assert!(!body.contains("<style"), "{path}");
        assert_eq!(body.matches("<script").count(), 1, "{path}");
        assert!(body.contains("<script src=\"/assets/console."), "{path}");
        assert!(!body.contains("://"), "{path} loads or names another site");
    }
}

#[tokio::test]
async fn assets_are_kept_for_good_under_a_name_of_their_content() {
    let console = here(local());
    let body = get(&console, "/").await.body;
    for (begins, content_type) in
        [("/assets/console.", "text/css"), ("/assets/icon.", "image/svg+xml")]
    {
        let start = body.find(begins).unwrap();
        let path = body[start..].split('"').next().unwrap();
        let got = get(&console, path).await;
        assert_eq!(got.status, 200, "{path}");
        assert!(got.header("content-type").unwrap().starts_with(content_type), "{path}");
        assert_eq!(got.header("cache-control"), Some("public, max-age=31536000, immutable"));
        let known = [LOOPBACK, ("if-none-match", got.header("etag").unwrap())];
        let again = send(&console, "GET", path, &known, "").await;
        assert_eq!((again.status.as_u16(), again.body.as_str()), (304, ""));
    }
    assert_eq!(get(&console, "/assets/console.0000000000000000.css").await.status, 404);
}

#[tokio::test]
async fn a_mistake_is_a_page_that_names_it() {
    let console = here(local());
    for (path, status, says) in [
        ("/identities/nonsense", 400, "an identity is user:ID or ip:ADDRESS"),
        ("/identities?identity=nonsense", 400, "an identity is user:ID or ip:ADDRESS"),
        ("/identities/user:42?method=A%20B", 400, "is no method"),
        ("/policies?method=A%20B&path=/", 400, "is no method"),
        ("/keys", 409, "redis.url is not set"),
    ] {
        let got = get(&console, path).await;
        assert_eq!(got.status, status, "{path}");
        assert!(got.body.contains("role=\"alert\"") && got.body.contains(says), "{}", got.body);
    }
}

#[tokio::test]
async fn of_a_field_that_is_named_twice_the_first_counts() {
    let got = get(&here(local()), "/policies?path=/one&path=/two&path").await;
    assert!(got.status == 200 && got.body.contains("GET /one"), "{}", got.body);
}

#[tokio::test]
async fn without_the_store_pages_say_so_and_the_overview_shows_the_rest() {
    let console = here(lost_redis());
    for path in ["/identities/user:42", "/overrides", "/blocks", "/audit"] {
        let got = get(&console, path).await;
        assert_eq!(got.status, 503, "{path}");
        assert!(got.body.contains("redis"), "{}", got.body);
    }
    let got = get(&console, "/").await;
    assert!(got.body.contains("does not decide: unreachable"), "{}", got.body);
    assert_eq!(got.status, 200);
}

#[tokio::test]
async fn the_live_parts_come_without_the_rest_of_the_page() {
    let console = here(local());
    let got = send(&console, "GET", "/", &[LOOPBACK, ("x-transom-live", "1")], "").await;
    assert!(got.body.contains("data-live") && !got.body.contains("<html"), "{}", got.body);
}
