//! A headless Chromium with its driver, and the operations that the tests need.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::processes::{MARK, await_end, marked};
use crate::webdriver::Session;

/// How long the browser may take to exit.
const ENDING: Duration = Duration::from_secs(20);

/// Runs the driver until the pipe from this process closes, even if this process is killed. The browser is connected to
/// the driver by a pipe in the same way.
const WHILE_WE_LIVE: &str = "chromedriver --port=0 & read -r _; kill $!; wait";

/// A device to view the page on; width and height in CSS pixels. A phone has touch input and a mobile
/// viewport.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    /// The width.
    pub width: u32,
    /// The height.
    pub height: u32,
    /// Whether it is a phone.
    pub is_phone: bool,
}

/// A browser with one window. Dropping it ends all its processes.
pub struct Browser {
    session: Option<Session>,
    driver: Child,
    // The driver's output; kept open while it may write.
    said: BufReader<ChildStdout>,
    profile: TempDir,
}

impl Browser {
    /// Starts `chromedriver`, on a free port, and a browser with an empty profile.
    pub fn start() -> Browser {
        let profile = tempfile::tempdir().expect("a directory for the profile");
        // In the test's process group, so that whatever ends the group also ends the driver.
        let mut driver = Command::new("sh")
            .args(["-c", WHILE_WE_LIVE])
            .env(MARK, profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let said = BufReader::new(driver.stdout.take().expect("a pipe"));
        // From here on, dropping the browser ends everything that has been started.
        let mut browser = Browser { session: None, driver, said, profile };
        let address = format!("http://127.0.0.1:{}", browser.port());
        let opened = Session::open(&address, capabilities(&browser.profile));
        browser.session = Some(opened.expect("a browser"));
        assert!(marked(browser.mark()).len() > 1, "driver and browser are found again");
        browser
    }

    /// The free port chosen by the driver, from its output.
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

    /// The mark by which its processes are found: the path of its profile.
    fn mark(&self) -> &str {
        self.profile.path().to_str().expect("a path of plain letters")
    }

    fn session(&self) -> &Session {
        self.session.as_ref().expect("an open session")
    }

    fn send(&self, command: &str, body: Value) -> Value {
        self.session().post(command, body).expect("a command that succeeds")
    }

    /// Opens a URL and returns once the document is loaded.
    pub fn open(&self, url: &str) {
        self.send("/url", json!({ "url": url }));
    }

    /// Reloads the document.
    pub fn reload(&self) {
        self.send("/refresh", json!({}));
    }

    /// Runs a script, the body of a function called with `arguments`, and returns its result.
    pub fn run(&self, script: &str, arguments: Value) -> Value {
        self.send("/execute/sync", json!({ "script": script, "args": arguments }))
    }

    /// Clicks like a user: fails if the element is invisible or covered.
    pub fn click(&self, selector: &str) {
        let element = self.session().element(selector).expect("an element");
        self.send(&format!("{element}/click"), json!({}));
    }

    /// Types a text into an element.
    pub fn fill(&self, selector: &str, text: &str) {
        let element = self.session().element(selector).expect("an element");
        self.send(&format!("{element}/value"), json!({ "text": text }));
    }

    /// Presses and releases keys one after another in the focused element.
    pub fn press(&self, keys: &str) {
        let actions: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key })))
            .collect();
        let source = json!({ "type": "key", "id": "keyboard", "actions": actions });
        self.send("/actions", json!({ "actions": [source] }));
    }

    /// Sends a DevTools protocol command.
    pub fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.send("/goog/cdp/execute", json!({ "cmd": command, "params": parameters }))
    }

    /// The console messages since the last call.
    pub fn console(&self) -> Vec<String> {
        let lines = self.send("/se/log", json!({ "type": "browser" }));
        lines.as_array().expect("a list").iter().map(|line| line["message"].to_string()).collect()
    }

    /// Emulates a device and a colour scheme, `light` or `dark`.
    pub fn look(&self, device: Device, scheme: &str) {
        let Device { width, height, is_phone } = device;
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", size);
        self.devtools("Emulation.setTouchEmulationEnabled", json!({ "enabled": is_phone }));
        // Otherwise a screenshot of the whole document lacks a strip as wide as the scrollbar.
        self.devtools("Emulation.setScrollbarsHidden", json!({ "hidden": true }));
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// A screenshot of the window or of the whole document, as PNG.
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
        // Not on a port: a browser on a pipe exits by itself when its driver is gone.
        "--remote-debugging-pipe",
        &directory,
    ];
    json!({
        "browserName": "chrome",
        "goog:chromeOptions": { "args": arguments },
        "goog:loggingPrefs": { "browser": "ALL" },
    })
}
