//! A transcript: what the endpoint answers, what the testee is asked, what is expected. Read strictly: whatever a case
//! names and nobody knows is a mistake that is told, not passed over.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::protocol;

/// One case, ready to be played.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What is so, in one sentence.
    pub name: String,
    /// Why it has to be so.
    pub why: String,
    /// Of the client that is made by itself, beside or in the place of the usual ones; null: not that one.
    #[serde(default)]
    pub options: BTreeMap<String, Option<String>>,
    /// What that client's credentials callback gives, call by call.
    #[serde(default)]
    pub credentials: Option<Vec<Value>>,
    /// There when the first client is made. Those whose names say so hold secrets.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// More that nobody may see, beside what is known to be secret.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// To the token requests, one after the other.
    #[serde(default)]
    pub answers: Vec<Answer>,
    /// What is done and expected, in this order.
    #[serde(deserialize_with = "steps")]
    pub steps: Vec<Step>,
    /// How many token requests there are in all.
    pub requests: usize,
    /// Which part of the endpoint's address space is the case's own.
    #[serde(skip)]
    pub path: String,
    #[serde(skip)]
    pub(crate) directory: PathBuf,
    #[serde(skip)]
    pub(crate) url: String,
}

/// An answer of the token endpoint. Its body is `token` with what belongs to it, `json`, `body` or `body_hex`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    #[serde(default = "ok")]
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// The service's own answer with this token, for the scope that was asked for.
    pub(crate) token: Option<String>,
    pub(crate) expires_in: Option<Value>,
    pub(crate) scope: Option<Value>,
    pub(crate) json: Option<Value>,
    pub(crate) body: Option<String>,
    /// For bytes that are no text.
    pub(crate) body_hex: Option<String>,
    pub(crate) fault: Option<Fault>,
    /// It waits until this is released.
    pub(crate) hold: Option<String>,
    /// To so many requests.
    #[serde(default = "once")]
    pub(crate) times: usize,
}

fn ok() -> u16 {
    200
}

fn once() -> usize {
    1
}

impl Answer {
    /// Whether it can be sent, and means one thing.
    pub(crate) fn check(&self) -> Result<(), String> {
        let bodies = [
            self.token.is_some(),
            self.json.is_some(),
            self.body.is_some(),
            self.body_hex.is_some(),
        ];
        if bodies.iter().filter(|is_given| **is_given).count() > 1 {
            return Err("an answer has more than one body".to_owned());
        }
        if self.token.is_none() && (self.expires_in.is_some() || self.scope.is_some()) {
            return Err("an answer without \"token\" has \"expires_in\" or \"scope\"".to_owned());
        }
        if !(200..600).contains(&self.status) || self.times == 0 {
            return Err(format!("an answer has status {}, {} times", self.status, self.times));
        }
        match &self.body_hex {
            Some(hex) if bytes(hex).is_none() => Err(format!("\"{hex}\" is not hexadecimal")),
            _ => Ok(()),
        }
    }
}

/// What pairs of hexadecimal digits stand for.
pub(crate) fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        hex.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    let pairs = digits.chunks(2);
    pairs.map(|pair| Some(pair.first()? * 16 + pair.get(1)?)).collect()
}

/// What goes wrong with an answer.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The connection is reset.
    Reset,
    /// The body ends in its middle.
    Cut,
}

/// One step of a case.
#[derive(Debug)]
pub enum Step {
    /// Of the driver alone, and as it is written.
    Own(Own, Value),
    /// A request to the testee.
    Ask(Ask),
}

/// What the driver does by itself.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Own {
    /// Waits, for a bounded time, until so many token requests have come.
    AwaitRequests {
        count: usize,
    },
    /// So many have come.
    ExpectRequests {
        count: usize,
    },
    /// Lets answers go that were held.
    Release {
        name: String,
    },
    /// What a request was, from 1 on.
    ExpectSent(Sent),
    /// Waits, for a bounded time, for a client's events, in any order.
    ExpectEvents {
        #[serde(default)]
        client: Option<String>,
        #[serde(default)]
        contains: Vec<Value>,
        #[serde(default)]
        lacks: Vec<Value>,
    },
    Write {
        file: String,
        text: String,
        /// In octal digits; else for its owner alone.
        #[serde(default)]
        mode: Option<String>,
    },
    Remove {
        file: String,
    },
}

/// What is expected of a token request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    pub(crate) request: usize,
    /// All fields of the form, decoded.
    #[serde(default)]
    pub(crate) form: Option<Map<String, Value>>,
    /// The form as it was sent.
    #[serde(default)]
    pub(crate) body: Option<Value>,
    /// Byte by byte as in this other request.
    #[serde(default)]
    pub(crate) same_body_as: Option<usize>,
    /// By lower-case name; null: there is none.
    #[serde(default)]
    pub(crate) headers: Option<Value>,
    #[serde(default)]
    pub(crate) method: Option<Value>,
}

/// A request to the testee and what it should answer.
#[derive(Debug)]
pub struct Ask {
    pub(crate) request: Value,
    pub(crate) expect: Value,
    /// Again and again, for a bounded time, until the answer fits.
    pub(crate) poll: bool,
}

impl Ask {
    pub(crate) fn name(&self) -> &str {
        self.request["do"].as_str().unwrap_or_default()
    }
}

const OWN: [&str; 7] = [
    "await_requests",
    "expect_requests",
    "release",
    "expect_sent",
    "expect_events",
    "write",
    "remove",
];

fn steps<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Vec<Step>, D::Error> {
    let steps = Vec::<Map<String, Value>>::deserialize(source)?;
    let read = |(index, members)| {
        step(members)
            .map_err(|problem| serde::de::Error::custom(format!("step {}: {problem}", index + 1)))
    };
    steps.into_iter().enumerate().map(read).collect()
}

fn step(mut members: Map<String, Value>) -> Result<Step, String> {
    let name = members.get("do").and_then(Value::as_str).ok_or("it does nothing")?.to_owned();
    if OWN.contains(&name.as_str()) {
        let written = Value::Object(members);
        let own = serde_json::from_value(written.clone()).map_err(|error| error.to_string())?;
        return Ok(Step::Own(own, written));
    }
    members.remove("do");
    let expect = members.remove("expect").or_else(|| protocol::usual_answer(&name));
    let poll = match members.remove("poll") {
        None => false,
        Some(Value::Bool(poll)) => poll,
        Some(other) => return Err(format!("\"poll\" is {other}")),
    };
    let expect = expect.ok_or_else(|| format!("what \"{name}\" should answer is not said"))?;
    Ok(Step::Ask(Ask { request: protocol::request(&name, members)?, expect, poll }))
}
