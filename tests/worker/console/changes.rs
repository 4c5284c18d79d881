//! What is done through the console, and what becomes of what is entered.

use serde_json::json;
use transom_tests::RedisServer;

use super::{CONFIG, Visitor, encoded, field, limits};
use crate::client::decide;
use crate::process::Worker;

#[tokio::test]
async fn what_is_done_is_in_force_and_on_record_under_the_name_given() {
    let server = RedisServer::start().await;
    let worker = Worker::with(CONFIG, &[("TRANSOM__REDIS__URL", &server.url)]).await;
    let visitor = Visitor::enter(&worker).await;
    let wish =
        [("minute", "600"), ("second", "20"), ("policy", "*"), ("for", "2h"), ("reason", "launch")];
    let done = visitor.act("override", &wish).await;
    assert_eq!(field(&done, "location"), "/identities/user:42?done=override");
    assert_eq!(limits(&worker).await.0, json!(600));
    let page = visitor.get("/identities/user:42?done=override").await;
    for says in ["The override is in force.", "600 a minute, 20 a second", "launch", "Ada"] {
        assert!(page.body().contains(says), "{says}: {}", page.body());
    }
    assert!(visitor.get("/overrides").await.body().contains("/identities/user:42"));
    visitor.act("delete-override", &[("policy", "*")]).await;
    assert_eq!(limits(&worker).await.0, json!(60));

    visitor.act("block", &[("for", "10m"), ("reason", "scraping")]).await;
    assert_eq!(limits(&worker).await.1, json!("penalty"));
    let blocked = visitor.get("/identities/user:42").await;
    assert!(blocked.body().contains("Blocked now"), "{}", blocked.body());
    assert!(visitor.get("/blocks").await.body().contains("scraping"));
    visitor.act("unblock", &[]).await;
    assert_eq!(limits(&worker).await.1, json!("minute"));

    decide(worker.check, &json!({"identity": "user:42", "path": "/"})).await;
    visitor.act("reset", &[("policy", "*"), ("path", "/search"), ("reason", "afresh")]).await;
    let page = visitor.get("/identities/user:42?path=/search").await;
    assert!(page.body().contains("0 of 30"), "{}", page.body());

    let audit = visitor.get("/audit").await;
    for action in ["override.set", "override.delete", "block.set", "block.delete", "reset"] {
        assert!(audit.body().contains(action), "{action}: {}", audit.body());
    }
    assert_eq!(audit.body().matches("<td>Ada</td>").count(), 5, "{}", audit.body());
}

#[tokio::test]
async fn the_mode_of_the_fleet_is_set_and_taken_back() {
    let worker = Worker::start(CONFIG).await;
    let visitor = Visitor::enter(&worker).await;
    for (mode, then) in
        [("shadow", "shadow, set for the fleet"), ("configured", "enforce, as configured")]
    {
        let asked = visitor.post("/mode/confirm", &[("mode", mode)]).await;
        assert!(asked.body().contains(then), "{then}: {}", asked.body());
        let done = visitor.post("/mode", &[("mode", mode), ("reason", "trial")]).await;
        assert_eq!(field(&done, "location"), "/?done=mode", "{}", done.body());
        let chosen = format!("<option value=\"{mode}\" selected>");
        let page = visitor.get("/").await;
        assert!(page.body().contains(&chosen), "{chosen}: {}", page.body());
    }
    let refused = visitor.post("/mode/confirm", &[("mode", "strict")]).await;
    assert_eq!(refused.status(), 400, "{}", refused.body());
}

#[tokio::test]
async fn what_cannot_be_is_refused_before_it_is_confirmed() {
    let worker = Worker::start(CONFIG).await;
    let visitor = Visitor::enter(&worker).await;
    for (action, fields, says) in [
        ("override", &[("minute", "many"), ("second", "1")][..], "minute: &quot;many&quot;"),
        ("override", &[("minute", "1")], "second: missing"),
        ("override", &[("minute", "1"), ("second", "1"), ("policy", "none")], "policy:"),
        ("block", &[("for", "soon")], "for: &quot;soon&quot; is no duration"),
    ] {
        let reply = visitor.post(&format!("/identities/user:42/{action}/confirm"), fields).await;
        assert_eq!(reply.status(), 400, "{action}: {}", reply.body());
        assert!(reply.body().contains(says), "{says}: {}", reply.body());
    }
    let reply = visitor.post("/identities/user:42/destroy/confirm", &[]).await;
    assert_eq!(reply.status(), 404);
}

#[tokio::test]
async fn a_key_is_shown_once_and_can_be_revoked() {
    let server = RedisServer::start().await;
    let worker = Worker::with(CONFIG, &[("TRANSOM__REDIS__URL", &server.url)]).await;
    let visitor = Visitor::enter(&worker).await;
    let created = visitor.post("/keys", &[("user", "42"), ("label", "a <i>label</i>")]).await;
    assert!(created.body().contains("<code>tk_"), "{}", created.body());
    let listed = visitor.get("/keys").await;
    assert!(!listed.body().contains("tk_"), "{}", listed.body());
    assert!(listed.body().contains("a &lt;i&gt;label&lt;/i&gt;"), "{}", listed.body());
    let (_, rest) = listed.body().split_once("action=\"/keys/").unwrap();
    let digest = rest.split('/').next().unwrap();
    let asked = visitor.post(&format!("/keys/{digest}/revoke/confirm"), &[]).await;
    assert_eq!(asked.status(), 200);
    let done = visitor.post(&format!("/keys/{digest}/revoke"), &[]).await;
    assert_eq!(field(&done, "location"), "/keys?done=revoked");
    assert!(visitor.get("/keys").await.body().contains("There are no keys"));
}

#[tokio::test]
async fn nothing_that_was_entered_becomes_part_of_a_page() {
    const EVIL: &str = "<script>alert(1)</script>\"'&";
    let worker = Worker::start(CONFIG).await;
    let visitor = Visitor::enter(&worker).await;
    let identity = format!("/identities/{}", encoded(&format!("user:{EVIL}")));
    let reply = visitor.post(&format!("{identity}/block"), &[("reason", EVIL)]).await;
    assert_eq!(reply.status(), 303, "{}", reply.body());
    let evil = encoded(EVIL);
    let pages = [
        identity.clone(),
        format!("{identity}?path={evil}&host={evil}&done={evil}"),
        format!("/policies?path={evil}&host={evil}"),
        format!("/identities?identity={evil}"),
        format!("/login?next={evil}&done={evil}"),
        "/blocks".to_owned(),
        "/audit".to_owned(),
    ];
    for page in pages {
        let shown = visitor.get(&page).await;
        assert!(!shown.body().contains("<script>"), "{page}: {}", shown.body());
        assert!(!shown.body().contains("alert(1)</script>"), "{page}: {}", shown.body());
    }
    assert!(visitor.get("/blocks").await.body().contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
}
