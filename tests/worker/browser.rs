//! A Chromium without a window, driven through chromedriver as WebDriver says.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use transom_tests::redis_server::repository;

use crate::process::LOOK_AGAIN;

/// How long something may take to appear. Long, for a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(30);
/// What chromedriver says when it listens.
const LISTENS: &str = "was started successfully on port ";
/// The member of an element's reference, by the standard.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The tabulator.
pub(crate) const TAB: &str = "\u{e004}";
/// The enter key.
pub(crate) const ENTER: &str = "\u{e007}";

/// What a page may be looked at with: a name, whether it is dark, and the width in pixels.
pub(crate) const LOOKS: [(&str, bool, u32); 4] = [
    ("light-wide", false, 1_280),
    ("light-narrow", false, 390),
    ("dark-wide", true, 1_280),
    ("dark-narrow", true, 390),
];

/// A browser with a profile of its own. It is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Browser {
    driver: Child,
    address: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    session: String,
    process: Option<u64>,
    folder: TempDir,
}

impl Browser {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder for a profile");
        let said = folder.path().join("chromedriver");
        let driver = Command::new("chromedriver")
            .args(["--port=0", "--log-level=SEVERE"])
            .env("HOME", folder.path())
            .stdout(File::create(&said).expect("a file in it"))
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("chromedriver in PATH; ./test installs it");
        let mut browser = Self {
            driver,
            address: ([127, 0, 0, 1], 0).into(),
            client: Client::builder(TokioExecutor::new()).build_http(),
            session: String::new(),
            process: None,
            folder,
        };
        let started = Instant::now();
        let port = loop {
            let said = std::fs::read_to_string(&said).expect("what chromedriver says");
            if let Some((_, rest)) = said.split_once(LISTENS) {
                let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                if rest.len() > digits.len() {
                    break digits.parse().expect("a port");
                }
            }
            assert!(started.elapsed() < PATIENCE, "chromedriver does not listen: {said}");
            sleep(LOOK_AGAIN).await;
        };
        browser.address.set_port(port);
        browser.open_session().await;
        browser
    }

    async fn open_session(&mut self) {
        let profile = self.folder.path().join("profile");
        let arguments = [
            "--headless=new",
            // Its sandbox does not work for root, and the only pages it sees are those of this test.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--no-first-run",
            "--hide-scrollbars",
            &format!("--user-data-dir={}", profile.display()),
        ];
        let wish = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"args": arguments},
        }}});
        let opened = self.ask("POST", "/session", &wish).await;
        self.session = opened["sessionId"].as_str().expect("a session").to_owned();
        self.process = opened["capabilities"]["goog:processID"].as_u64();
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        // Chromedriver keeps its connections, so a client is needed that knows where an answer ends.
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .body(Full::new(Bytes::from(body)))
            .expect("a request");
        let reply = timeout(PATIENCE, self.client.request(request)).await;
        let reply = reply.expect("an answer in time").expect("an answer of chromedriver");
        let status = reply.status();
        let body = reply.into_body().collect().await.expect("a whole answer").to_bytes();
        let answer: Value = serde_json::from_slice(&body).expect("an answer in JSON");
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer["value"].clone()
    }

    async fn on_page(&self, method: &str, path: &str, body: &Value) -> Value {
        self.ask(method, &format!("/session/{}{path}", self.session), body).await
    }

    /// Opens a page.
    pub(crate) async fn open(&self, url: &str) {
        self.on_page("POST", "/url", &json!({"url": url})).await;
    }

    /// What the body of a function returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.on_page("POST", "/execute/sync", &json!({"script": script, "args": []})).await
    }

    /// Waits until an expression is true.
    pub(crate) async fn until(&self, expression: &str) {
        let started = Instant::now();
        while self.run(&format!("return Boolean({expression})")).await != json!(true) {
            let page = self.run("return document.body.innerText").await;
            assert!(started.elapsed() < PATIENCE, "{expression} does not come true: {page}");
            sleep(LOOK_AGAIN * 10).await;
        }
    }

    /// Waits until there is an element, and clicks on it.
    pub(crate) async fn click(&self, selector: &str) {
        let element = self.find(selector).await;
        self.on_page("POST", &format!("/element/{element}/click"), &json!({})).await;
    }

    /// Types into a field.
    pub(crate) async fn enter(&self, selector: &str, text: &str) {
        let element = self.find(selector).await;
        let path = format!("/element/{element}/value");
        self.on_page("POST", &path, &json!({"text": text})).await;
    }

    async fn find(&self, selector: &str) -> String {
        self.until(&format!("document.querySelector({})", json!(selector))).await;
        let wish = json!({"using": "css selector", "value": selector});
        let found = self.on_page("POST", "/element", &wish).await;
        found[ELEMENT].as_str().expect("an element").to_owned()
    }

    /// Presses keys one after the other, wherever the focus is.
    pub(crate) async fn press(&self, keys: &str) {
        let presses: Vec<_> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key})))
            .collect();
        let wish = json!({"actions": [{"type": "key", "id": "keyboard", "actions": presses}]});
        self.on_page("POST", "/actions", &wish).await;
    }

    /// Goes on from field to field until one is reached, and says how many it took.
    pub(crate) async fn tab_to(&self, selector: &str) {
        for _ in 0..60 {
            self.press(TAB).await;
            let script = format!(
                "const at = document.activeElement; \
                 return [at.matches({}), getComputedStyle(at).outlineStyle !== 'none']",
                json!(selector)
            );
            let reached = self.run(&script).await;
            assert_eq!(reached[1], true, "the focus cannot be seen on the way to {selector}");
            if reached[0] == true {
                return;
            }
        }
        panic!("{selector} cannot be reached by the keyboard");
    }

    /// Looks at pages in light or dark, at a width.
    pub(crate) async fn look(&self, dark: bool, width: u32) {
        let scheme = if dark { "dark" } else { "light" };
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.devtools("Emulation.setEmulatedMedia", &json!({"features": [feature]})).await;
        let size =
            json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500});
        self.devtools("Emulation.setDeviceMetricsOverride", &size).await;
    }

    /// Writes what the page looks like, in full, to `target/screenshots`.
    pub(crate) async fn screenshot(&self, name: &str) {
        let wish = json!({"format": "png", "captureBeyondViewport": true});
        let taken = self.devtools("Page.captureScreenshot", &wish).await;
        let image = BASE64_STANDARD.decode(taken["data"].as_str().expect("an image"));
        let image = image.expect("an image in base64");
        let folder: PathBuf = repository().join("target").join("screenshots");
        std::fs::create_dir_all(&folder).expect("a folder for screenshots");
        std::fs::write(folder.join(format!("{name}.png")), image).expect("a screenshot");
    }

    async fn devtools(&self, command: &str, parameters: &Value) -> Value {
        let wish = json!({"cmd": command, "params": parameters});
        self.on_page("POST", "/goog/cdp/execute", &wish).await
    }

    /// What the browser has complained about since it was last asked, such as what a page may not
    /// load.
    pub(crate) async fn complaints(&self) -> Vec<Value> {
        let log = self.on_page("POST", "/se/log", &json!({"type": "browser"})).await;
        let entries = log.as_array().cloned().unwrap_or_default();
        entries.into_iter().filter(|entry| entry["level"] == "SEVERE").collect()
    }

    /// Asks chromedriver to end the browser.
    fn close(&self) -> std::io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let (session, host) = (&self.session, self.address);
        write!(stream, "DELETE /session/{session} HTTP/1.1\r\nHost: {host}\r\n")?;
        stream.write_all(b"\r\n")?;
        stream.read(&mut [0; 512]).map(|_| ())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let closed = !self.session.is_empty() && self.close().is_ok();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        if let Some(process) = self.process.filter(|_| !closed) {
            let _ = Command::new("kill").args(["-s", "KILL", &process.to_string()]).status();
        }
    }
}
