//! The console as an operator meets it: in a real browser, live, by mouse and by keyboard.

use serde_json::json;
use transom_tests::RedisServer;

use super::TOKEN;
use crate::browser::{Browser, ENTER, LOOKS, TAB};
use crate::client::send;
use crate::process::Worker;

/// Limits that a test reaches, and the key of user 42: `k1`.
const CONFIG: &str = r#"
[redis]
deadline = "5s"

[admin]
token = "the-admins-token"

[[api_key]]
sha256 = "6ab9f1eb8f7d3388f4f9d586f66e99fd54080df2c446f0e58668b09c08a16dd0"
user = "42"

[[policy]]
name = "default"
minute = 5
second = 5

[[policy]]
name = "search"
path = "/v1/search/{*rest}"
minute = 30
second = 3
"#;

async fn ask(worker: &Worker, path: &str) -> u16 {
    send(worker.gateway, "GET", path, &[b"X-Api-Key: k1"], "").await.status().as_u16()
}

/// Asks until the limit of `default` is reached, and once more.
async fn reach_the_limit(worker: &Worker) {
    for _ in 0..5 {
        assert_eq!(ask(worker, "/").await, 200);
    }
    assert_eq!(ask(worker, "/").await, 429);
}

async fn log_in(browser: &Browser, worker: &Worker) {
    browser.open(&format!("http://{}/", worker.admin)).await;
    browser.enter("#token", TOKEN).await;
    browser.enter("#name", &format!("Ada{ENTER}")).await;
    browser.until("document.querySelector('#traffic')").await;
}

fn shows(selector: &str, text: &str) -> String {
    format!("document.querySelector({})?.textContent.includes({})", json!(selector), json!(text))
}

const USER_42: &str = "a[href='/identities/user:42']";
const MINUTE: &str = "[data-window=minute] .numbers";

#[tokio::test]
async fn an_operator_sees_why_a_user_is_denied_and_helps_without_loading_a_page_again() {
    let server = RedisServer::start().await;
    let worker = Worker::with(CONFIG, &[("TRANSOM__REDIS__URL", &server.url)]).await;
    let browser = Browser::start().await;
    log_in(&browser, &worker).await;

    reach_the_limit(&worker).await;
    browser.until(&format!("document.querySelector({})", json!(USER_42))).await;
    browser.until("document.querySelectorAll('.bars g rect').length > 0").await;
    browser.click(USER_42).await;
    browser.until(&shows("#verdict", "Denied now by the minute")).await;
    browser.until(&shows(MINUTE, "5 of 5")).await;
    let units = "[...document.querySelectorAll('[data-window=minute] .mark title')]";
    browser.until(&format!("{units}.length === 5")).await;
    browser.until("document.querySelector('[data-window=minute] .waits')").await;
    let before = browser.run("return document.querySelector('.next strong').textContent").await;
    browser
        .until(&format!("document.querySelector('.next strong').textContent !== {before}"))
        .await;

    for (field, text) in [
        ("#minute", "100"),
        ("#second", "50"),
        ("#override-for", "2h"),
        ("#override-reason", "launch <b>day</b>"),
    ] {
        browser.enter(field, text).await;
    }
    browser.click("form[action$='/override/confirm'] button").await;
    browser.until(&shows("table.changes", "launch <b>day</b>")).await;
    browser.screenshot("confirmation").await;
    browser.click("form.decide button").await;
    browser.until(&shows(".done", "The override is in force.")).await;
    browser.until(&shows("#verdict", "Admitted now")).await;
    browser.until(&shows("#in-force", "100 a minute, 50 a second")).await;
    browser.until(&shows("#in-force", "Ada")).await;

    // Live: the next request shows, while what is being entered stays.
    browser.run("window.kept = true").await;
    browser.enter("#block-for", "10m").await;
    assert_eq!(ask(&worker, "/").await, 200);
    browser.until(&shows(MINUTE, "6 of 100")).await;
    let kept = "return [window.kept, document.activeElement.id, document.activeElement.value]";
    assert_eq!(browser.run(kept).await, json!([true, "block-for", "10m"]));

    browser.enter("#block-reason", "scraping").await;
    browser.click("form[action$='/block/confirm'] button").await;
    browser.click("form.decide button").await;
    browser.until(&shows("#verdict", "Blocked now")).await;
    browser.screenshot("blocked").await;
    assert_eq!(ask(&worker, "/").await, 429);
    browser.click("#unblock-button").await;
    browser.click("form.decide button").await;
    browser.until(&shows("#verdict", "Admitted now")).await;
    assert_eq!(ask(&worker, "/").await, 200);
    assert_eq!(browser.complaints().await, Vec::<serde_json::Value>::new());
}

#[tokio::test]
async fn a_page_says_when_it_is_not_live_any_more() {
    let worker = Worker::start(CONFIG).await;
    let browser = Browser::start().await;
    log_in(&browser, &worker).await;
    browser.until("document.querySelector('#live-state').textContent === 'Live'").await;
    drop(worker);
    browser.until(&shows("#live-state", "Not live since")).await;
}

#[tokio::test]
async fn an_override_is_set_by_the_keyboard_alone_and_the_focus_is_always_seen() {
    let worker = Worker::by_default().await;
    let browser = Browser::start().await;
    browser.open(&format!("http://{}/", worker.admin)).await;
    browser.press(TAB).await;
    browser.until("document.activeElement.matches('.skip')").await;
    browser.press(ENTER).await;
    browser.until("location.hash === '#main'").await;

    browser.open(&format!("http://{}/", worker.admin)).await;
    browser.tab_to("#search").await;
    browser.press(&format!("user:7{ENTER}")).await;
    browser.until(&shows("h1", "user:7")).await;
    for (field, text) in [("#minute", "70"), ("#second", "7"), ("#override-reason", "by keys")] {
        browser.tab_to(field).await;
        browser.press(text).await;
    }
    browser.tab_to("form[action$='/override/confirm'] button").await;
    browser.press(ENTER).await;
    browser.until(&shows("h1", "Give user:7 limits of its own?")).await;
    browser.tab_to("form.decide button").await;
    browser.press(ENTER).await;
    browser.until(&shows("#in-force", "70 a minute, 7 a second")).await;
}

/// Texts whose contrast with what they stand on is below 4.5 to 1, or 3 to 1 where they are large.
const PALE: &str = r"
const rgb = (text) => text.match(/[\d.]+/g).map(Number);
const part = (c) => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
const ground = (e) => {
  for (; e; e = e.parentElement) {
    const c = rgb(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] === 1) return c;
  }
  return [255, 255, 255];
};
const pale = [];
for (const e of document.querySelectorAll('body *')) {
  const shown = e.getClientRects().length > 0 && !e.closest('svg, option, noscript');
  const text = [...e.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim()).join('');
  if (!shown || !(text || e.matches('input'))) continue;
  const style = getComputedStyle(e);
  const [a, b] = [light(rgb(style.color)), light(ground(e))].sort((x, y) => y - x);
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  const contrast = (a + 0.05) / (b + 0.05);
  if (contrast < (large ? 3 : 4.5)) pale.push(`${text}: ${contrast.toFixed(2)}`);
}
return pale;
";

/// Goal: pages can be read in light and dark, on a desk and on a phone. Method: each is measured,
/// and a picture of it is left in `target/screenshots`.
#[tokio::test]
async fn every_page_can_be_read_in_light_and_dark_and_on_a_phone() {
    let server = RedisServer::start().await;
    let worker = Worker::with(CONFIG, &[("TRANSOM__REDIS__URL", &server.url)]).await;
    let browser = Browser::start().await;
    log_in(&browser, &worker).await;
    reach_the_limit(&worker).await;
    for _ in 0..4 {
        ask(&worker, "/v1/search/shoes").await;
    }
    let name = "n".repeat(60);
    let long = format!("identities/user:{name}?path=/{name}{name}{name}");
    let pages = [
        ("overview", ""),
        ("identity", "identities/user:42"),
        ("policies", "policies?method=GET&path=/v1/search/shoes"),
        ("overrides", "overrides"),
        ("audit", "audit"),
        ("keys", "keys"),
        ("long", long.as_str()),
        ("mistake", "identities/nonsense"),
    ];
    browser.until(&format!("document.querySelector({})", json!(USER_42))).await;
    for (look, dark, width) in LOOKS {
        browser.look(dark, width).await;
        for (page, path) in pages {
            browser.open(&format!("http://{}/{path}", worker.admin)).await;
            browser.screenshot(&format!("{page}-{look}")).await;
            let pale = browser.run(PALE).await;
            assert_eq!(pale, json!([]), "{page}, {look}: texts that are hard to read");
            let wide = "return document.documentElement.scrollWidth - innerWidth";
            let wide = browser.run(wide).await.as_i64().expect("pixels");
            assert!(wide <= 0, "{page}, {look}: {wide} pixels are beyond the edge");
        }
    }
}
