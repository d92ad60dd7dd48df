//! The emulator's page: an emulator, a browser that shows it, and what people do there.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tu_token::Client;
use tu_token_emulator::Emulator;

use crate::Browser;

/// How long something may take to be seen.
pub const BOUND: Duration = Duration::from_secs(10);

/// Waits for a condition.
///
/// # Panics
///
/// When it does not come true within [`BOUND`].
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

/// The page in a browser, on an emulator of its own.
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

    /// Loads the page anew.
    pub fn reload(&self) {
        self.browser.reload();
        self.is_live();
    }

    fn is_live(&self) {
        until("the stream is connected", || self.text("#connection") == "Live");
    }

    /// The text that an element shows, nothing if it is not there.
    pub fn text(&self, selector: &str) -> String {
        let script = "return document.querySelector(arguments[0])?.innerText ?? ''";
        self.read(script, selector)
    }

    /// What is in a field.
    pub fn value(&self, selector: &str) -> String {
        self.read("return document.querySelector(arguments[0]).value", selector)
    }

    fn read(&self, script: &str, selector: &str) -> String {
        self.browser.run(script, json!([selector])).as_str().expect("a text").to_owned()
    }

    /// Whether a selector finds anything.
    pub fn has(&self, selector: &str) -> bool {
        self.number("return document.querySelectorAll(arguments[0]).length", selector) > 0
    }

    /// The number that a script returns.
    pub fn number(&self, script: &str, selector: &str) -> i64 {
        self.browser.run(script, json!([selector])).as_i64().expect("a number")
    }

    /// The CSS selector of what has the focus: its id, or the name of its element.
    pub fn focus(&self) -> String {
        let script = "const at = document.activeElement; return at.id ? '#' + at.id : at.localName";
        self.browser.run(script, json!([])).as_str().expect("a name").to_owned()
    }

    /// Fills in the dialog for a new key and sends it.
    pub fn ask_for_key(&self, name: &str, description: &str, other_scopes: &str) {
        self.browser.click("#new-key");
        self.browser.fill("#key-name", name);
        self.browser.fill("#key-description", description);
        self.browser.fill("#other-scopes", other_scopes);
        self.browser.click("#create [type=submit]");
    }

    /// What the dialog for the secret shows, once it is open.
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

    /// Clicks what is done to a key and says yes.
    pub fn confirm(&self, action: &str, id: &str) {
        self.browser.click(&format!("[data-action={action}][data-id='{id}']"));
        assert!(self.text("#confirm-text").len() > 20, "what it means is said");
        self.browser.click("#confirm-yes");
    }

    /// Asks for a token with the library, as a program does.
    ///
    /// # Errors
    ///
    /// What the library says.
    pub fn mint(&self, key: &Shown) -> Result<(), tu_token::Error> {
        let client = Client::builder()
            .token_url(&self.emulator.token_url())
            .client_id(&key.id)
            .client_secret(&key.secret)
            .scope("asset.view")
            .build()?;
        client.token().map(|_| ())
    }

    /// Nothing is in the console, and nothing has been loaded from elsewhere.
    pub fn is_clean(&self) {
        let lines = self.browser.console();
        assert!(lines.is_empty(), "{lines:?}");
        self.loads_nothing_else();
    }

    /// Everything that was loaded came from the emulator.
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
