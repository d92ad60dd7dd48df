//! A transcript: the endpoint's responses, the requests to the testee, and the expected results. Parsed strictly: unknown
//! names are errors.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::protocol;

/// One case, ready to be played.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The promise, in one sentence.
    pub name: String,
    /// The reason for it.
    pub why: String,
    /// Options of the implicit client, in addition to the usual ones; null removes one.
    #[serde(default)]
    pub options: BTreeMap<String, Option<String>>,
    /// The results of that client's credentials callback, call by call.
    #[serde(default)]
    pub credentials: Option<Vec<Value>>,
    /// Files that exist when the first client is made. Those with `secret` in their names contain secrets.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Further texts that must not be shown, in addition to the known secrets.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// The responses to the token requests, in order.
    #[serde(default)]
    pub answers: Vec<Answer>,
    /// The actions and expectations, in order.
    #[serde(deserialize_with = "steps")]
    pub steps: Vec<Step>,
    /// The total number of token requests.
    pub requests: usize,
    /// The path prefix of this case on the endpoint.
    #[serde(skip)]
    pub path: String,
    #[serde(skip)]
    pub(crate) directory: PathBuf,
    #[serde(skip)]
    pub(crate) url: String,
}

/// A response of the token endpoint. Its body is `token` with related members, `json`, `body` or `body_hex`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    #[serde(default = "ok")]
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// A response like the service's with this token, for the requested scope.
    pub(crate) token: Option<String>,
    pub(crate) expires_in: Option<Value>,
    pub(crate) scope: Option<Value>,
    pub(crate) json: Option<Value>,
    pub(crate) body: Option<String>,
    /// For bytes that are not text.
    pub(crate) body_hex: Option<String>,
    pub(crate) fault: Option<Fault>,
    /// Held until this name is released.
    pub(crate) hold: Option<String>,
    /// The number of requests it answers.
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
    /// Checks that it can be sent and is unambiguous.
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

/// Decodes pairs of hexadecimal digits.
pub(crate) fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        hex.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    let pairs = digits.chunks(2);
    pairs.map(|pair| Some(pair.first()? * 16 + pair.get(1)?)).collect()
}

/// What goes wrong with a response.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The connection is reset.
    Reset,
    /// The body is cut off in the middle.
    Cut,
}

/// One step of a case.
#[derive(Debug)]
pub enum Step {
    /// An action of the driver itself, with its JSON.
    Own(Own, Value),
    /// A request to the testee.
    Ask(Ask),
}

/// The driver's own actions.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Own {
    /// Waits, for a limited time, until this many token requests have arrived.
    AwaitRequests {
        count: usize,
    },
    /// Expects that this many token requests have arrived.
    ExpectRequests {
        count: usize,
    },
    /// Releases held responses.
    Release {
        name: String,
    },
    /// Expects the content of a request; they are numbered from 1.
    ExpectSent(Sent),
    /// Waits, for a limited time, for a client's events, in any order.
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
        /// In octal digits; by default accessible only by its owner.
        #[serde(default)]
        mode: Option<String>,
    },
    Remove {
        file: String,
    },
}

/// The expected content of a token request.
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
    /// Byte for byte the same as in this other request.
    #[serde(default)]
    pub(crate) same_body_as: Option<usize>,
    /// By lower-case name; null means that the header is absent.
    #[serde(default)]
    pub(crate) headers: Option<Value>,
    #[serde(default)]
    pub(crate) method: Option<Value>,
}

/// A request to the testee and the expected answer.
#[derive(Debug)]
pub struct Ask {
    pub(crate) request: Value,
    pub(crate) expect: Value,
    /// Repeat, for a limited time, until the answer matches.
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
    let name = members.get("do").and_then(Value::as_str).ok_or("has no \"do\"")?.to_owned();
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
    // First: an unknown step or member is a misspelling, perhaps of "expect".
    let request = protocol::request(&name, members)?;
    let expect = expect.ok_or_else(|| format!("\"{name}\" needs an \"expect\""))?;
    Ok(Step::Ask(Ask { request, expect, poll }))
}
