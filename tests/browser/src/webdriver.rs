//! The few commands of the WebDriver protocol that the tests use.

use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;

/// The member that marks an element in WebDriver's JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The most bytes of an answer: a picture of a long page is a megabyte or two.
const MAX_ANSWER: u64 = 64 << 20;

/// One session: one browser with one window.
pub struct Session {
    agent: Agent,
    url: String,
}

impl Session {
    /// Opens a browser. `driver` is the base of the driver's address.
    pub fn open(driver: &str, capabilities: Value) -> Result<Session, String> {
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        let mut session = Session { agent, url: format!("{driver}/session") };
        let made = session.post("", json!({ "capabilities": { "alwaysMatch": capabilities } }))?;
        let id = made["sessionId"].as_str().ok_or_else(|| format!("no session in {made}"))?;
        session.url = format!("{driver}/session/{id}");
        Ok(session)
    }

    /// Sends a command; its value, or what the driver says is wrong.
    pub fn post(&self, command: &str, body: Value) -> Result<Value, String> {
        let url = format!("{}{command}", self.url);
        let answer = self.agent.post(url).content_type("application/json").send(body.to_string());
        let (head, mut body) = answer.map_err(|error| error.to_string())?.into_parts();
        let text = body.with_config().limit(MAX_ANSWER).read_to_string();
        let text = text.map_err(|error| error.to_string())?;
        let mut told: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        match head.status.is_success() {
            true => Ok(told["value"].take()),
            false => Err(format!("{command}: {}", told["value"]["message"])),
        }
    }

    /// Ends the browser.
    pub fn close(&self) {
        // A driver that is gone has taken the browser with it, or `processes` does.
        let _ = self.agent.delete(&self.url).call();
    }

    /// The element that a CSS selector finds first, as the path of its commands.
    pub fn element(&self, selector: &str) -> Result<String, String> {
        let query = json!({ "using": "css selector", "value": selector });
        let found = self.post("/element", query)?;
        let id = found[ELEMENT].as_str().ok_or_else(|| format!("no element in {found}"))?;
        Ok(format!("/element/{id}"))
    }
}
