//! Faults: what goes wrong, on which route, for how many requests.
//!
//! [`Fault`] is both the Rust API and the JSON of `POST /_emulator/faults`. `check.rs` validates a fault, `queue.rs` and
//! `reach.rs` decide which request meets which fault, `effect.rs` applies it to the response.

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

/// Something that goes wrong on purpose.
///
/// Members can be combined, such as a `delay` with a `status` or `headers` with `cut`, unless one would prevent another
/// from taking effect. Without `status`, `error`, `body`, `html`, `retry_after` and `reject_v2`, the route itself answers
/// and the fault only changes its response.
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
    /// The route: `"token"` (the default) or the beginning of a path, such as `"/api/asset"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The number of requests to affect; without it, until the faults are cleared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How long the request is held before anything else happens. Clearing the faults releases it at once.
    #[serde(skip_serializing_if = "Option::is_none", with = "clock::json")]
    pub delay: Option<Duration>,
    /// The HTTP status. On its own, the body is empty at the token endpoint and IRIS's error body elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Headers to set on the response.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// `Retry-After`, in seconds or as a date. Without a `status` the response is 429, even with an `error`, `body` or
    /// `html`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "number_or_text")]
    pub retry_after: Option<String>,
    /// An OAuth error, real or invented. Without `status` and `retry_after` the status is 400, or 401 for `invalid_client`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The description that goes with `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_description: Option<String>,
    /// The exact body. Without `status` and `retry_after` the status is 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The content type of `body`, by default `application/json`. If empty, there is no such header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// A web page as the response, as from a gateway or a captive portal. Without `status` and `retry_after` the status is
    /// 200.
    #[serde(skip_serializing_if = "is_false")]
    pub html: bool,
    /// The connection is closed after half of the body. Does not apply to `HEAD` requests, whose responses have no body.
    #[serde(skip_serializing_if = "is_false")]
    pub cut: bool,
    /// No response: the connection is reset. Can be combined only with `route`, `count` and `delay`.
    #[serde(skip_serializing_if = "is_false")]
    pub reset: bool,
    /// An IRIS route refuses every token with 401, valid or not.
    #[serde(skip_serializing_if = "is_false")]
    pub reject_v2: bool,
    /// The token gets fewer scopes than requested. A fault with this or one of the following members applies to the next
    /// request that gets a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub narrow: Option<Narrow>,
    /// `expires_in` in the response: any JSON. A whole number of seconds is also the token's real lifetime; anything else
    /// changes only the response.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "any_json")]
    pub expires_in: Option<Value>,
    /// `token_type` in the response instead of `"Bearer"`: any JSON.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "any_json")]
    pub token_type: Option<Value>,
    /// `access_token` in the response instead of a random token: any JSON. A string is also valid as a token.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "any_json")]
    pub access_token: Option<Value>,
    /// `scope` in the response: any JSON. The token's real scopes do not change.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "any_json")]
    pub scope: Option<Value>,
    /// Members left out of the response: some of `token_type`, `expires_in`, `access_token` and `scope`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub omit: Vec<String>,
    /// Members added to the response, for example a `refresh_token`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
    /// Returns the key's previous token for these scopes again, with its remaining life. Applies to the first request for
    /// which there is one.
    #[serde(skip_serializing_if = "is_false")]
    pub same_token: bool,
}

/// How scopes are narrowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Narrow {
    /// All but the last requested scope. In JSON `true`.
    Last,
    /// Those of this list that were requested. In JSON a list of strings.
    To(Vec<String>),
}

/// Why a fault was refused; the message says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultError(pub(crate) String);

impl fmt::Display for FaultError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for FaultError {}

/// Shortcuts for common faults.
impl Fault {
    /// The response has this status.
    #[must_use]
    pub fn status(status: u16) -> Fault {
        Fault { status: Some(status), ..Fault::default() }
    }

    /// The response is this OAuth error.
    #[must_use]
    pub fn error(error: impl Into<String>) -> Fault {
        Fault { error: Some(error.into()), ..Fault::default() }
    }

    /// The response is delayed by this long.
    #[must_use]
    pub fn delay(delay: Duration) -> Fault {
        Fault { delay: Some(delay), ..Fault::default() }
    }

    /// The response has this body, as JSON unless `content_type` is set.
    #[must_use]
    pub fn body(body: impl Into<String>) -> Fault {
        Fault { body: Some(body.into()), ..Fault::default() }
    }

    /// The connection is reset.
    #[must_use]
    pub fn reset() -> Fault {
        Fault { reset: true, ..Fault::default() }
    }

    /// The response is cut off in the middle.
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

    /// For the next request only.
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

/// Distinguishes `null` from a missing member.
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
