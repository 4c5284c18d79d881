//! One path in many spellings: one pair of windows, and an upstream that gets it as it was sent.

use crate::client::{get, left, number, send};
use crate::process::Worker;
use crate::upstream::Upstream;

const PEER: &str = "ip:127.0.0.1";

/// A policy for one path, and a parameter beside it.
fn config(upstream: &Upstream) -> String {
    format!(
        r#"
        [gateway]
        upstream = "http://{}"

        [[policy]]
        name = "default"
        minute = 1000
        second = 1000

        [[policy]]
        name = "people"
        path = "/v1/people"
        minute = 50
        second = 50

        [[policy]]
        name = "person"
        path = "/v1/people/{{id}}"
        methods = ["GET"]
        minute = 40
        second = 40
        "#,
        upstream.address
    )
}

#[tokio::test]
async fn no_spelling_of_a_path_opens_a_second_bucket() {
    let upstream = Upstream::start().await;
    let worker = Worker::start(&config(&upstream)).await;
    let mut remaining = 50;
    for target in [
        "/v1/people",
        "/v1/people/",
        "/v1/people//",
        "//v1//people/",
        "/v1/./people",
        "/./v1/people/.",
        "/v1/x/../people",
        "/../v1/people",
        "/v1/%70eople",
        "/v1/%70%65%6f%70%6C%65",
        "/v1/%2e/people",
        "/v1/x/%2E%2e/people",
        "/%76%31//people/?",
        "/v1/people?x=1",
        "/v1/people?path=/v2/other&y=//..",
    ] {
        let reply = get(worker.gateway, target).await;
        remaining -= 1;
        assert_eq!(reply.status(), 200, "{target}");
        assert_eq!(number(&reply, "x-ratelimit-limit"), 50, "{target}");
        assert_eq!(number(&reply, "x-ratelimit-remaining"), remaining, "{target}");
        assert_eq!(reply.body(), &format!("GET {target} HTTP/1.1"), "as the upstream got it");
    }
    let absolute = format!("http://{}/v1//people?x=2", worker.gateway);
    let reply = get(worker.gateway, &absolute).await;
    assert_eq!(number(&reply, "x-ratelimit-remaining"), remaining - 1);
    assert_eq!(reply.body(), "GET /v1//people?x=2 HTTP/1.1");
    let reply = get(worker.check, "/check//v1/./%70eople/").await;
    assert_eq!(number(&reply, "x-ratelimit-remaining"), remaining - 2);
    assert_eq!(left(worker.check, PEER, "/v1/x/../people/?x=3").await, remaining - 2);
    assert_eq!(left(worker.check, PEER, "/v1/People").await, 1_000, "letter case is kept");
}

#[tokio::test]
async fn every_value_of_a_parameter_shares_one_bucket_and_other_methods_do_not() {
    let upstream = Upstream::start().await;
    let worker = Worker::start(&config(&upstream)).await;
    for (id, remaining) in (0..40).rev().enumerate() {
        let reply = get(worker.gateway, &format!("/v1/people/{id}")).await;
        assert_eq!(number(&reply, "x-ratelimit-remaining"), remaining);
    }
    assert_eq!(get(worker.gateway, "/v1/people/41").await.status(), 429);
    let post = send(worker.gateway, "POST", "/v1/people/41", &[], "x").await;
    assert_eq!((post.status().as_u16(), number(&post, "x-ratelimit-limit")), (200, 1_000));
    assert_eq!(upstream.requests(), 41, "a denied request does not reach the upstream");
}
