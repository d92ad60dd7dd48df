//! A headless Chromium behind its driver, with what the tests ask of it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::processes::{MARK, await_end, marked};
use crate::webdriver::Session;

/// How long the browser has to end after it was told to.
const ENDING: Duration = Duration::from_secs(20);

/// The driver, until the pipe to this process is closed: also when this process is killed. The browser is on a pipe to
/// the driver and does the same.
const WHILE_WE_LIVE: &str = "chromedriver --port=0 & read -r _; kill $!; wait";

/// What a page is looked at with; width and height in CSS pixels. A phone has fingers, and lays a
/// page out by its own viewport.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    /// The width.
    pub width: u32,
    /// The height.
    pub height: u32,
    /// Whether it is a phone.
    pub is_phone: bool,
}

/// A browser with one window. All its processes are gone when it is dropped.
pub struct Browser {
    session: Option<Session>,
    driver: Child,
    // What the driver says; held for as long as it may write.
    said: BufReader<ChildStdout>,
    profile: TempDir,
}

impl Browser {
    /// Starts `chromedriver`, on a free port, and a browser with an empty profile.
    pub fn start() -> Browser {
        let profile = tempfile::tempdir().expect("a directory for the profile");
        // In the test's own process group, so that what ends the group ends the driver too.
        let mut driver = Command::new("sh")
            .args(["-c", WHILE_WE_LIVE])
            .env(MARK, profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let said = BufReader::new(driver.stdout.take().expect("a pipe"));
        // From here on `drop` ends whatever has been started.
        let mut browser = Browser { session: None, driver, said, profile };
        let address = format!("http://127.0.0.1:{}", browser.port());
        let opened = Session::open(&address, capabilities(&browser.profile));
        browser.session = Some(opened.expect("a browser"));
        assert!(marked(browser.mark()).len() > 1, "driver and browser are found again");
        browser
    }

    /// The port that the driver found free, which it tells in a line.
    fn port(&mut self) -> u16 {
        let mut line = String::new();
        while self.said.read_line(&mut line).expect("a line") > 0 {
            if let Some((_, port)) = line.trim_end().split_once("started successfully on port ") {
                return port.trim_end_matches('.').parse().expect("a port");
            }
            line.clear();
        }
        panic!("chromedriver (Debian package chromium-driver) did not start");
    }

    /// What its processes are found by: the path of its profile.
    fn mark(&self) -> &str {
        self.profile.path().to_str().expect("a path of plain letters")
    }

    fn session(&self) -> &Session {
        self.session.as_ref().expect("an open session")
    }

    fn send(&self, command: &str, body: Value) -> Value {
        self.session().post(command, body).expect("a command that succeeds")
    }

    /// Goes to an address and returns when the document is loaded.
    pub fn open(&self, url: &str) {
        self.send("/url", json!({ "url": url }));
    }

    /// Loads the document anew.
    pub fn reload(&self) {
        self.send("/refresh", json!({}));
    }

    /// The result of a script, the body of a function that gets `arguments`.
    pub fn run(&self, script: &str, arguments: Value) -> Value {
        self.send("/execute/sync", json!({ "script": script, "args": arguments }))
    }

    /// Clicks as a person does: fails when the element cannot be seen, or something is before it.
    pub fn click(&self, selector: &str) {
        let element = self.session().element(selector).expect("an element");
        self.send(&format!("{element}/click"), json!({}));
    }

    /// Types a text into an element.
    pub fn fill(&self, selector: &str, text: &str) {
        let element = self.session().element(selector).expect("an element");
        self.send(&format!("{element}/value"), json!({ "text": text }));
    }

    /// Presses and releases keys, one after another, wherever the focus is.
    pub fn press(&self, keys: &str) {
        let actions: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key })))
            .collect();
        let source = json!({ "type": "key", "id": "keyboard", "actions": actions });
        self.send("/actions", json!({ "actions": [source] }));
    }

    /// A command of the browser's own protocol.
    pub fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.send("/goog/cdp/execute", json!({ "cmd": command, "params": parameters }))
    }

    /// The lines of the console since the last call.
    pub fn console(&self) -> Vec<String> {
        let lines = self.send("/se/log", json!({ "type": "browser" }));
        lines.as_array().expect("a list").iter().map(|line| line["message"].to_string()).collect()
    }

    /// Makes the window that of a device, and gives the page a colour scheme: `light` or `dark`.
    pub fn look(&self, device: Device, scheme: &str) {
        let Device { width, height, is_phone } = device;
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", size);
        self.devtools("Emulation.setTouchEmulationEnabled", json!({ "enabled": is_phone }));
        // Else a picture of the whole document lacks a strip as wide as the bar.
        self.devtools("Emulation.setScrollbarsHidden", json!({ "hidden": true }));
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// A picture of the window, or of the whole document, as PNG.
    pub fn picture(&self, whole: bool) -> Vec<u8> {
        let picture =
            self.devtools("Page.captureScreenshot", json!({ "captureBeyondViewport": whole }));
        STANDARD.decode(picture["data"].as_str().expect("a picture")).expect("base64")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            session.close();
        }
        drop(self.driver.stdin.take());
        let _ = self.driver.wait();
        let left = await_end(self.mark(), ENDING);
        if !std::thread::panicking() {
            assert!(left.is_empty(), "processes {left:?} of the browser did not end");
        }
    }
}

fn capabilities(profile: &TempDir) -> Value {
    let directory = format!("--user-data-dir={}", profile.path().display());
    let arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        // Not on a port: without its driver a browser on a pipe ends by itself.
        "--remote-debugging-pipe",
        &directory,
    ];
    json!({
        "browserName": "chrome",
        "goog:chromeOptions": { "args": arguments },
        "goog:loggingPrefs": { "browser": "ALL" },
    })
}
