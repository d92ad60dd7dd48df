//! Faults: what shall go wrong, on which route, for how many requests.
//!
//! [`Fault`] is both the Rust API and the JSON of `POST /_emulator/faults`. `check.rs` says whether a fault makes
//! sense, `queue.rs` and `reach.rs` which request meets which fault, `effect.rs` what it does to the answer.

mod check;
pub(crate) mod effect;
pub(crate) mod queue;
pub(crate) mod reach;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::clock;

/// Something that shall go wrong.
///
/// Members can be combined: a `delay` with a `status`, `headers` with `cut`. Those of which one would keep the other from
/// happening cannot. With neither `status`, `error`,
/// `body`, `html`, `retry_after` nor `reject_v2` the route itself answers, and the fault only changes that answer.
///
/// ```
/// use tu_token_emulator::Fault;
///
/// let outage = Fault { status: Some(503), retry_after: Some("2".into()), count: Some(3), ..Fault::default() };
/// let same = Fault::status(503).retry_after(2).times(3);
/// assert_eq!(outage, same);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// Where: `"token"`, which is also meant when nothing is said, or the beginning of a path such as `"/api/asset"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// For how many requests; without it until the faults are cleared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How long the request is held before anything else happens to it. Clearing the faults lets it go on at once.
    #[serde(skip_serializing_if = "Option::is_none", with = "clock::json")]
    pub delay: Option<Duration>,
    /// The answer's status. Alone: an empty body at the token endpoint, IRIS's error body elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Headers to set, on whatever answer there is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// `Retry-After`, seconds or a date. Without a `status` the answer is 429, also with an `error`, `body` or `html`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "number_or_text")]
    pub retry_after: Option<String>,
    /// An OAuth error, invented or not. With neither `status` nor `retry_after` 400, and 401 for `invalid_client`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The description that goes with `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_description: Option<String>,
    /// The whole body, as it is. With neither `status` nor `retry_after` 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The type of `body`; `application/json` if nothing is said. Empty: no such header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// A web page instead of an answer, as from a gateway or a captive portal. With neither `status` nor `retry_after` 200.
    #[serde(skip_serializing_if = "is_false")]
    pub html: bool,
    /// Half of the body is sent, then the connection is closed. A `HEAD` request, whose answer has no body, does not meet
    /// the fault.
    #[serde(skip_serializing_if = "is_false")]
    pub cut: bool,
    /// No answer: the connection is reset. Of the others only `route`, `count` and `delay` go with it.
    #[serde(skip_serializing_if = "is_false")]
    pub reset: bool,
    /// An IRIS route refuses every token with 401, good or not.
    #[serde(skip_serializing_if = "is_false")]
    pub reject_v2: bool,
    /// The token gets fewer scopes than were asked for. A fault with this or one of the following members waits for a
    /// request that gets a token, and changes that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub narrow: Option<Narrow>,
    /// What a token answer says instead of its lifetime: any JSON. A whole number of seconds is also how long the
    /// token is then good for; anything else changes the answer alone.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "any_json")]
    pub expires_in: Option<Value>,
    /// What a token answer says instead of `"Bearer"`: any JSON.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "any_json")]
    pub token_type: Option<Value>,
    /// What a token answer says instead of a random token: any JSON. A string is also good as a token.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "any_json")]
    pub access_token: Option<Value>,
    /// What a token answer says instead of the scopes: any JSON. What the token may do stays as it was.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "any_json")]
    pub scope: Option<Value>,
    /// Members a token answer lacks: some of `token_type`, `expires_in`, `access_token` and `scope`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub omit: Vec<String>,
    /// Members a token answer has more, for example a `refresh_token`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
    /// The key's last token for these scopes is handed out again, with the life it has left. Met by the first request for
    /// which there is one.
    #[serde(skip_serializing_if = "is_false")]
    pub same_token: bool,
}

/// How scopes are narrowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Narrow {
    /// All but the last one that was asked for. In JSON `true`.
    Last,
    /// Those of this list that were asked for. In JSON a list of strings.
    To(Vec<String>),
}

/// Why a fault was not taken; the text says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultError(pub(crate) String);

impl fmt::Display for FaultError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for FaultError {}

/// Short ways to write the usual faults.
impl Fault {
    /// The answer has this status.
    #[must_use]
    pub fn status(status: u16) -> Fault {
        Fault { status: Some(status), ..Fault::default() }
    }

    /// The answer is this OAuth error.
    #[must_use]
    pub fn error(error: impl Into<String>) -> Fault {
        Fault { error: Some(error.into()), ..Fault::default() }
    }

    /// The answer is held for this long.
    #[must_use]
    pub fn delay(delay: Duration) -> Fault {
        Fault { delay: Some(delay), ..Fault::default() }
    }

    /// The answer has this body, as JSON unless `content_type` is set.
    #[must_use]
    pub fn body(body: impl Into<String>) -> Fault {
        Fault { body: Some(body.into()), ..Fault::default() }
    }

    /// The connection is reset.
    #[must_use]
    pub fn reset() -> Fault {
        Fault { reset: true, ..Fault::default() }
    }

    /// The answer is cut off in its middle.
    #[must_use]
    pub fn cut() -> Fault {
        Fault { cut: true, ..Fault::default() }
    }

    /// Routes below this path refuse every token.
    #[must_use]
    pub fn reject_v2(route: impl Into<String>) -> Fault {
        Fault { reject_v2: true, ..Fault::default() }.on(route)
    }

    /// On this route instead of the token endpoint.
    #[must_use]
    pub fn on(mut self, route: impl Into<String>) -> Fault {
        self.route = Some(route.into());
        self
    }

    /// For this many requests.
    #[must_use]
    pub fn times(mut self, count: u64) -> Fault {
        self.count = Some(count);
        self
    }

    /// For the next request alone.
    #[must_use]
    pub fn once(self) -> Fault {
        self.times(1)
    }

    /// With `Retry-After`: seconds, or a date as text.
    #[must_use]
    pub fn retry_after(mut self, value: impl ToString) -> Fault {
        self.retry_after = Some(value.to_string());
        self
    }

    /// With this header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Fault {
        self.headers.insert(name.into(), value.into());
        self
    }
}

impl Serialize for Narrow {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        match self {
            Narrow::Last => output.serialize_bool(true),
            Narrow::To(scopes) => scopes.serialize(output),
        }
    }
}

impl<'de> Deserialize<'de> for Narrow {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Narrow, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "narrow must be true or a list of scopes")]
        enum Spelling {
            Flag(bool),
            List(Vec<String>),
        }
        match Spelling::deserialize(input)? {
            Spelling::Flag(true) => Ok(Narrow::Last),
            Spelling::Flag(false) => {
                Err(serde::de::Error::custom("narrow must be true or a list of scopes"))
            }
            Spelling::List(scopes) => Ok(Narrow::To(scopes)),
        }
    }
}

/// Keeps `null` apart from a member that is not there.
fn any_json<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(input).map(Some)
}

fn number_or_text<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "retry_after must be a number of seconds or a string")]
    enum Spelling {
        Number(serde_json::Number),
        Text(String),
    }
    Ok(Some(match Spelling::deserialize(input)? {
        Spelling::Number(number) => number.to_string(),
        Spelling::Text(text) => text,
    }))
}

fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Fault, String> {
        let fault: Fault = serde_json::from_str(json).map_err(|error| error.to_string())?;
        fault.check().map_err(|error| error.to_string())?;
        Ok(fault)
    }

    #[test]
    fn every_member_is_read_and_written_back() {
        let texts = [
            r#"{"route":"/api/asset","count":2,"delay":"1s 500ms","status":503,"headers":{"x-a":"b"},"retry_after":"7"}"#,
            r#"{"error":"odd","error_description":"why","cut":true}"#,
            r#"{"body":"<x/>","content_type":"text/xml"}"#,
            r#"{"html":true}"#,
            r#"{"reset":true}"#,
            r#"{"route":"/api","reject_v2":true}"#,
            r#"{"narrow":true,"expires_in":null,"token_type":1,"access_token":[],"scope":["a"]}"#,
            r#"{"narrow":["a"],"omit":["scope"],"extra":{"refresh_token":"r"},"same_token":true}"#,
        ];
        for text in texts {
            let fault = read(text).expect(text);
            assert_eq!(serde_json::to_string(&fault).expect("JSON"), text);
        }
        assert_eq!(read(r#"{"retry_after":7}"#), Ok(Fault::default().retry_after(7)));
        assert_eq!(read(r#"{"delay":2}"#), Ok(Fault::delay(Duration::from_secs(2))));
    }
}
