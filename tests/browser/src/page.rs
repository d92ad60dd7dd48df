//! The emulator's page: an emulator, a browser that shows it, and the actions of a user.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tu_token::Client;
use tu_token_emulator::Emulator;

use crate::Browser;

/// How long to wait for something to appear.
pub const BOUND: Duration = Duration::from_secs(30);

/// Waits for a condition.
///
/// # Panics
///
/// If it does not become true within [`BOUND`].
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let from = Instant::now();
    while !condition() {
        assert!(from.elapsed() < BOUND, "not within {BOUND:?}: {what}");
        sleep(Duration::from_millis(50));
    }
}

/// The id and the secret of a key, as the page shows them once.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The client id.
    pub id: String,
    /// The client secret.
    pub secret: String,
}

/// The page in a browser, with its own emulator.
pub struct Page {
    /// The browser.
    pub browser: Browser,
    /// The emulator.
    pub emulator: Emulator,
}

impl Page {
    /// Starts both and opens the page.
    pub fn open() -> Page {
        let emulator = Emulator::start().expect("an emulator");
        let browser = Browser::start();
        let page = Page { browser, emulator };
        page.browser.open(&page.emulator.url());
        page.is_live();
        page
    }

    /// Reloads the page.
    pub fn reload(&self) {
        self.browser.reload();
        self.is_live();
    }

    fn is_live(&self) {
        until("the stream is connected", || self.text("#connection") == "Live");
    }

    /// The text shown by an element; empty if there is none.
    pub fn text(&self, selector: &str) -> String {
        let script = "return document.querySelector(arguments[0])?.innerText ?? ''";
        self.read(script, selector)
    }

    /// The value of a field.
    pub fn value(&self, selector: &str) -> String {
        self.read("return document.querySelector(arguments[0]).value", selector)
    }

    fn read(&self, script: &str, selector: &str) -> String {
        self.browser.run(script, json!([selector])).as_str().expect("a text").to_owned()
    }

    /// Whether a selector matches anything.
    pub fn has(&self, selector: &str) -> bool {
        self.number("return document.querySelectorAll(arguments[0]).length", selector) > 0
    }

    /// The number that a script returns.
    pub fn number(&self, script: &str, selector: &str) -> i64 {
        self.browser.run(script, json!([selector])).as_i64().expect("a number")
    }

    /// A CSS selector for the focused element: its id, or else its element name.
    pub fn focus(&self) -> String {
        let script = "const at = document.activeElement; return at.id ? '#' + at.id : at.localName";
        self.browser.run(script, json!([])).as_str().expect("a name").to_owned()
    }

    /// Fills in and submits the dialog for a new key.
    pub fn ask_for_key(&self, name: &str, description: &str, other_scopes: &str) {
        self.browser.click("#new-key");
        self.browser.fill("#key-name", name);
        self.browser.fill("#key-description", description);
        self.browser.fill("#other-scopes", other_scopes);
        self.browser.click("#create [type=submit]");
    }

    /// Waits for the dialog with the secret and returns its content.
    pub fn shown(&self) -> Shown {
        until("the secret is shown", || self.has("#secret[open]"));
        let secret = self.value("#client-secret");
        let id = self
            .text("#exports")
            .lines()
            .find_map(|line| Some(line.strip_prefix("export TRACKUNIT_CLIENT_ID=")?.to_owned()));
        Shown { id: id.expect("a line with the id"), secret }
    }

    /// Closes the dialog with the secret.
    pub fn saved(&self) {
        self.browser.click("#secret [data-close]");
        assert!(!self.has("dialog[open]"));
    }

    /// Clicks an action of a key and confirms it.
    pub fn confirm(&self, action: &str, id: &str) {
        self.browser.click(&format!("[data-action={action}][data-id='{id}']"));
        assert!(self.text("#confirm-text").len() > 20, "what it means is said");
        self.browser.click("#confirm-yes");
    }

    /// Requests a token with the library, as a program would.
    ///
    /// # Errors
    ///
    /// The library's error.
    pub fn mint(&self, key: &Shown) -> Result<(), tu_token::Error> {
        let client = Client::builder()
            .token_url(&self.emulator.token_url())
            .client_id(&key.id)
            .client_secret(&key.secret)
            .scope("asset.view")
            .build()?;
        client.token().map(|_| ())
    }

    /// Checks that the console is empty and that nothing was loaded from other origins.
    pub fn is_clean(&self) {
        let lines = self.browser.console();
        assert!(lines.is_empty(), "{lines:?}");
        self.loads_nothing_else();
    }

    /// Checks that everything was loaded from the emulator.
    pub fn loads_nothing_else(&self) {
        let script = "return performance.getEntries().filter((entry) => /^(navigation|resource)$/.test(entry.entryType))
            .map((entry) => entry.name)";
        let loaded = self.browser.run(script, json!([]));
        let names: Vec<&str> =
            loaded.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        assert!(names.len() >= 3, "the document, its style and its script: {names:?}");
        let home = format!("{}/", self.emulator.url().trim_end_matches('/'));
        assert!(names.iter().all(|name| name.starts_with(&home)), "{names:?}");
    }
}
