//! The console over HTTP: who gets in, whose forms are taken, and what they do.

mod changes;
mod in_a_browser;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::client::{Reply, decide, get, send};
use crate::process::{LOOK_AGAIN, Worker};

const TOKEN: &str = "the-admins-token";

const CONFIG: &str = r#"
[redis]
deadline = "5s"

[identity]
trusted_proxies = ["127.0.0.1"]

[admin]
token = "the-admins-token"

[[policy]]
name = "default"
minute = 60
second = 2

[[policy]]
name = "search"
path = "/search"
minute = 30
second = 1
"#;

/// Somebody with a cookie.
struct Visitor<'a> {
    worker: &'a Worker,
    cookie: String,
}

/// Text as the value of a field of a form.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<_> =
        fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    pairs.join("&")
}

async fn post(worker: &Worker, path: &str, lines: &[&str], fields: &[(&str, &str)]) -> Reply {
    let lines = [lines, &["Content-Type: application/x-www-form-urlencoded"]].concat();
    let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
    send(worker.admin, "POST", path, &lines, &form(fields)).await
}

async fn log_in(worker: &Worker, token: &str, lines: &[&str]) -> Reply {
    post(worker, "/login", lines, &[("token", token), ("name", "Ada")]).await
}

fn field<'a>(reply: &'a Reply, name: &str) -> &'a str {
    reply.headers().get(name).map_or("", |value| value.to_str().expect("plain letters"))
}

impl<'a> Visitor<'a> {
    async fn enter(worker: &'a Worker) -> Self {
        let reply = log_in(worker, TOKEN, &[]).await;
        assert_eq!((reply.status().as_u16(), field(&reply, "location")), (303, "/"), "{reply:?}");
        let cookie = field(&reply, "set-cookie").split(';').next().expect("a cookie");
        Self { worker, cookie: format!("Cookie: other=1; {cookie}") }
    }

    async fn get(&self, path: &str) -> Reply {
        send(self.worker.admin, "GET", path, &[self.cookie.as_bytes()], "").await
    }

    /// The token that the forms of this session carry.
    async fn form_token(&self) -> String {
        let page = self.get("/").await;
        let begin = "name=\"form_token\" value=\"";
        let (_, rest) = page.body().split_once(begin).expect("a form with a token");
        rest.split('"').next().expect("its end").to_owned()
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let token = self.form_token().await;
        let fields = [fields, &[("form_token", token.as_str())]].concat();
        post(self.worker, path, &[&self.cookie], &fields).await
    }

    /// What an action came to, with its confirmation before it.
    async fn act(&self, action: &str, fields: &[(&str, &str)]) -> Reply {
        let path = format!("/identities/user:42/{action}");
        let asked = self.post(&format!("{path}/confirm"), fields).await;
        assert_eq!(asked.status(), 200, "{action}: {}", asked.body());
        assert!(asked.body().contains(&format!("action=\"{path}\"")), "{}", asked.body());
        let done = self.post(&path, fields).await;
        assert_eq!(done.status(), 303, "{action}: {}", done.body());
        done
    }
}

async fn limits(worker: &Worker) -> (Value, Value) {
    let asked = json!({"identity": "user:42", "path": "/", "peek": true});
    let answer = decide(worker.check, &asked).await;
    (answer["minute"]["limit"].clone(), answer["limited_by"].clone())
}

#[tokio::test]
async fn whoever_has_no_session_is_sent_to_the_log_in_and_from_there_back() {
    let worker = Worker::start(CONFIG).await;
    let reply = get(worker.admin, "/identities/user:42?path=/a").await;
    let next = "/login?next=%2Fidentities%2Fuser:42%3Fpath%3D%2Fa";
    assert_eq!((reply.status().as_u16(), field(&reply, "location")), (303, next));
    let fields = [("token", TOKEN), ("next", "/identities/user:42?path=/a")];
    let reply = post(&worker, "/login", &[], &fields).await;
    assert_eq!(field(&reply, "location"), "/identities/user:42?path=/a");
    let live = send(worker.admin, "GET", "/", &[b"X-Transom-Live: 1"], "").await;
    assert_eq!(live.status(), 401);
    let forged = [b"Cookie: transom_session=9999999999.00.00.00".as_slice()];
    assert_eq!(send(worker.admin, "GET", "/", &forged, "").await.status(), 303);
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_a_flood_of_them_is_not_looked_at() {
    let worker = Worker::start(CONFIG).await;
    for wrong in 0.. {
        let reply = log_in(&worker, "guess", &[]).await;
        assert!(reply.headers().get("set-cookie").is_none(), "{reply:?}");
        if reply.status() == 429 {
            assert!(
                wrong >= 5 && reply.headers().contains_key("retry-after"),
                "{wrong}: {reply:?}"
            );
            break;
        }
        assert!(reply.status() == 401 && wrong < 30, "{wrong}: {reply:?}");
    }
    assert_eq!(log_in(&worker, TOKEN, &[]).await.status(), 303, "the right one is let in");
}

#[tokio::test]
async fn no_script_reads_the_cookie_and_no_other_site_sends_it() {
    let worker = Worker::start(CONFIG).await;
    let reply = log_in(&worker, TOKEN, &[]).await;
    let cookie = field(&reply, "set-cookie");
    for attribute in ["; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age=43200"] {
        assert!(cookie.contains(attribute), "{attribute}: {cookie}");
    }
    assert!(!cookie.contains("Secure"), "over plain HTTP a browser would drop it: {cookie}");
    let secure = log_in(&worker, TOKEN, &["X-Forwarded-Proto: https"]).await;
    assert!(field(&secure, "set-cookie").ends_with("; Secure"), "{secure:?}");
}

#[tokio::test]
async fn a_link_on_another_site_leads_to_the_log_in() {
    let worker = Worker::start(CONFIG).await;
    let lines: [&[u8]; 1] = [b"Sec-Fetch-Site: cross-site"];
    let reply = send(worker.admin, "GET", "/identities/user:42", &lines, "").await;
    assert_eq!(reply.status(), 303, "{reply:?}");
    assert!(field(&reply, "location").starts_with("/login?next="), "{reply:?}");
    let reply = send(worker.admin, "GET", "/login", &lines, "").await;
    assert_eq!(reply.status(), 200, "{reply:?}");
}

#[tokio::test]
async fn a_session_is_known_to_every_worker_and_ends_when_the_token_changes() {
    let one = Worker::start(CONFIG).await;
    let two = Worker::start(CONFIG).await;
    let visitor = Visitor::enter(&one).await;
    let elsewhere = Visitor { worker: &two, cookie: visitor.cookie.clone() };
    assert_eq!(elsewhere.get("/").await.status(), 200);

    two.configure(&CONFIG.replace(TOKEN, "another-admins-token"));
    let changed = Instant::now();
    while elsewhere.get("/").await.status() != 303 {
        assert!(changed.elapsed() < Duration::from_secs(20), "the session goes on");
        sleep(LOOK_AGAIN).await;
    }
}

#[tokio::test]
async fn logging_out_clears_the_cookie() {
    let worker = Worker::start(CONFIG).await;
    let reply = Visitor::enter(&worker).await.post("/logout", &[]).await;
    assert_eq!(field(&reply, "location"), "/login?done=left");
    let cookie = field(&reply, "set-cookie");
    assert!(cookie.starts_with("transom_session=;") && cookie.contains("Max-Age=0"), "{cookie}");
}

/// Every path that changes something.
const CHANGES: [&str; 6] = [
    "/identities/user:42/override",
    "/identities/user:42/block",
    "/identities/user:42/reset",
    "/mode",
    "/keys",
    "/logout",
];

#[tokio::test]
async fn a_form_without_the_token_of_its_session_is_refused() {
    let worker = Worker::start(CONFIG).await;
    let visitor = Visitor::enter(&worker).await;
    let other = Visitor::enter(&worker).await.form_token().await;
    for path in CHANGES {
        let fields = [("minute", "1"), ("second", "1"), ("mode", "off"), ("user", "42")];
        for token in [None, Some(""), Some("00"), Some(other.as_str())] {
            let token: Vec<_> = token.map(|token| ("form_token", token)).into_iter().collect();
            let fields = [&fields[..], &token].concat();
            let reply = post(&worker, path, &[&visitor.cookie], &fields).await;
            assert_eq!(reply.status(), 403, "{path}: {reply:?}");
        }
    }
    assert_eq!(limits(&worker).await, (json!(60), json!("minute")));
}

#[tokio::test]
async fn a_form_that_another_site_sends_is_refused_even_with_its_token() {
    let worker = Worker::start(CONFIG).await;
    let visitor = Visitor::enter(&worker).await;
    let token = visitor.form_token().await;
    let fields = [("mode", "off"), ("form_token", token.as_str())];
    for line in [
        "Origin: https://evil.example",
        "Origin: null",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
    ] {
        for path in CHANGES {
            let reply = post(&worker, path, &[&visitor.cookie, line], &fields).await;
            assert_eq!(reply.status(), 403, "{path}, {line}: {reply:?}");
        }
        assert_eq!(log_in(&worker, TOKEN, &[line]).await.status(), 403, "{line}");
    }
    let own = format!("Origin: http://{}", worker.admin);
    let reply = post(&worker, "/mode", &[&visitor.cookie, &own], &fields).await;
    assert_eq!(reply.status(), 303, "{reply:?}");
}

#[tokio::test]
async fn without_a_token_forms_are_guarded_all_the_same() {
    let worker = Worker::by_default().await;
    let visitor = Visitor { worker: &worker, cookie: "Cookie: none=1".to_owned() };
    assert_eq!(visitor.get("/").await.status(), 200);
    let reply = post(&worker, "/mode", &[], &[("mode", "off")]).await;
    assert_eq!(reply.status(), 403, "{reply:?}");
    assert_eq!(visitor.post("/mode", &[("mode", "shadow")]).await.status(), 303);
    assert!(visitor.get("/audit").await.body().contains("mode.set"));
}

#[tokio::test]
async fn a_form_that_is_too_long_is_refused() {
    let worker = Worker::start(CONFIG).await;
    let visitor = Visitor::enter(&worker).await;
    let reply = visitor.post("/mode", &[("mode", "off"), ("reason", &"x".repeat(70_000))]).await;
    assert_eq!(reply.status(), 413, "{}", reply.body());
}
