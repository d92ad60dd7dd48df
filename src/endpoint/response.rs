//! Reads the endpoint's response: tolerant where servers differ, strict where it matters.
//!
//! RFC 6749 sections 5.1 and 5.2, and how real servers implement them. The body never appears in an
//! error; only its `error` and `error_description` do, and scopes that were not requested,
//! redacted.

use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Failure;
use super::Granted;
use super::http::HttpAnswer;
use super::redact::{Hidden, NOT_SHOWN, REMOVED};
use super::remarks;
use super::request::{TokenRequest, form_encoded};
use crate::cache::flight::Class;
use crate::cache::policy;
use crate::config::options::{ClientAuth, Options};
use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind};
use crate::scope::ScopeSet;
use crate::secret::Secret;
use crate::token::MAX_TOKEN_BYTES;

/// Error codes that are shown unchanged: RFC 6749 sections 4.1.2.1 and 5.2, RFC 6750 section 3.1,
/// RFC 8707 section 2, RFC 9449 sections 5 and 8.
const REGISTERED: [&str; 13] = [
    "access_denied",
    "insufficient_scope",
    "invalid_client",
    "invalid_dpop_proof",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "invalid_token",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
];

/// Advice for a response that is not a token endpoint's, and for one that violates the protocol.
const CHECK_URL: &str = "Check token_url";
const TELL_OPERATOR: &str = "The server's operator has to fix that";

/// A row of the table of failures: what was found, followed by the server's words, and what to do.
type Row = (Class, ErrorKind, &'static str, &'static str);

const SLOW_DOWN: Row = (
    Class::RateLimited,
    ErrorKind::RateLimited,
    "the token endpoint asks to slow down",
    "Wait; if it happens again, check what else uses this key",
);
const REFUSED: Row = (
    Class::Refused,
    ErrorKind::InvalidClient,
    "the token endpoint refused the client id and secret",
    "Check both; the API key may have been rotated or revoked, or API Tokens v2 may not be enabled for \
     the account",
);
const UNAUTHORIZED: Row = (
    REFUSED.0,
    REFUSED.1,
    REFUSED.2,
    "API Tokens v2 may not be enabled for the account, or the secret is wrong",
);
const SCOPE_REFUSED: Row = (
    Class::Terminal,
    ErrorKind::InvalidScope,
    "the API key does not allow a requested scope",
    "Allow it for the key in the API Keys application, or request less",
);
const REQUEST_REFUSED: Row = (
    Class::Terminal,
    ErrorKind::OAuth,
    "the token endpoint refused the request",
    "Check token_url, client_auth and params",
);
const IN_TROUBLE: Row =
    (Class::Transient, ErrorKind::Server, "the token endpoint has a problem", "Try again later");
const OTHER_ERROR: Row = (
    Class::Transient,
    ErrorKind::OAuth,
    "the token endpoint sent another error",
    "See the server's documentation, or check token_url",
);

/// A member's value, as far as it matters. (`serde_json::Value` brings a tree for objects.)
enum Value {
    Text(String),
    /// Fractions are dropped, numbers that do not fit are the nearest that does.
    Number(u64),
    List(Vec<Value>),
    Other,
}

impl Value {
    fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// See [`DIGITS`].
    fn of_digits(text: &str) -> Self {
        let number = serde_json::from_slice::<f64>(text.as_bytes());
        number.map_or(Self::Other, |number| Self::Number(number as u64))
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.to_owned()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
                Ok(Value::Number(number))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
                Ok(Value::Number(number.try_into().unwrap_or(0)))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
                Ok(Value::Number(number as u64))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Value::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut value = Value::Other;
                while let Some(Member(place)) = map.next_key()? {
                    if IN_A_PROGRAM_OF_OTHERS && place == Some(NUMBER) {
                        let item: Value = map.next_value()?;
                        value = item.as_str().map_or(Value::Other, Value::of_digits);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(value)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// The members that matter. `null` counts as missing.
struct Members {
    access_token: Option<Value>,
    token_type: Option<Value>,
    expires_in: Option<Value>,
    scope: Option<Value>,
    error: Option<Value>,
    error_description: Option<Value>,
}

/// Their names, in that order.
const NAMES: [&str; 6] =
    ["access_token", "token_type", "expires_in", "scope", "error", "error_description"];

/// If anything in a program's build enables serde_json's `arbitrary_precision`, numbers are objects
/// with a single member of this name, the number's text.
const DIGITS: &str = "$serde_json::private::Number";
const NUMBER: usize = NAMES.len();
/// The C library is built alone: nothing else decides on its features.
const IN_A_PROGRAM_OF_OTHERS: bool = !cfg!(feature = "capi");

/// The index of a member's name in [`NAMES`], or [`NUMBER`].
struct Member(Option<usize>);

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = Member;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Member, E> {
                let mut known = NAMES.iter().chain(IN_A_PROGRAM_OF_OTHERS.then_some(&DIGITS));
                Ok(Member(known.position(|known| *known == name)))
            }
        }
        deserializer.deserialize_identifier(Name)
    }
}

/// Like a derived implementation, with a third of its code: rejects repeated members and skips
/// unknown ones.
impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let (mut values, mut seen) = ([const { None }; NAMES.len()], 0);
                while let Some(Member(place)) = map.next_key()? {
                    let Some(place) = place.filter(|place| *place != NUMBER) else {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    if seen >> place & 1 != 0 {
                        return Err(A::Error::duplicate_field(NAMES[place]));
                    }
                    seen |= 1 << place;
                    values[place] = map.next_value()?;
                }
                let [access_token, token_type, expires_in, scope, error, error_description] =
                    values;
                Ok(Members {
                    access_token,
                    token_type,
                    expires_in,
                    scope,
                    error,
                    error_description,
                })
            }
        }
        deserializer.deserialize_map(Object)
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        if let Some(Value::Text(token)) = &mut self.access_token {
            zeroize::Zeroize::zeroize(token);
        }
    }
}

/// Everything needed to judge one response.
struct Reader<'a> {
    answer: &'a HttpAnswer,
    options: &'a Options,
    asked: &'a ScopeSet,
    credentials: &'a Credentials,
    request: &'a TokenRequest,
}

/// Reads a response to a request for `asked`.
pub(crate) fn read(
    answer: &HttpAnswer,
    options: &Options,
    asked: &ScopeSet,
    credentials: &Credentials,
    request: &TokenRequest,
) -> Result<Granted, Failure> {
    let reader = Reader { answer, options, asked, credentials, request };
    let members = reader.members();
    match (answer.status, &members) {
        // A token next to an error cannot be relied on.
        (200, Ok(members)) if text(&members.error).is_none() => reader.token(members),
        // The message about the header already says what to do.
        (200, Err(problem)) if answer.unreadable.is_some() => Err(reader.bad(problem, "")),
        (200, Err(problem)) => Err(reader.bad(problem, CHECK_URL)),
        (_, Ok(members)) => Err(reader.failure(Some(members))),
        (_, Err(_)) => Err(reader.failure(None)),
    }
}

/// A member that is a non-empty string.
fn text(member: &Option<Value>) -> Option<&str> {
    member.as_ref()?.as_str().filter(|text| !text.is_empty())
}

impl Reader<'_> {
    fn members(&self) -> Result<Members, String> {
        if let Some(problem) = &self.answer.unreadable {
            return Err(problem.clone());
        }
        let text =
            std::str::from_utf8(&self.answer.body).map_err(|_| "is not valid UTF-8".to_owned())?;
        // RFC 8259 section 8.1 allows parsers to ignore a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim_ascii().is_empty() {
            return Err("is empty".to_owned());
        }
        // serde_json would also accept an array for a struct.
        if !text.trim_ascii_start().starts_with('{') {
            return Err("is not a JSON object".to_owned());
        }
        // As bytes, like a record of the store: a second kind of reader is 5 KB of code.
        serde_json::from_slice(text.as_bytes()).map_err(|error| match error.classify() {
            serde_json::error::Category::Eof => "is cut off".to_owned(),
            serde_json::error::Category::Data => "has a member twice".to_owned(),
            _ => "is not valid JSON".to_owned(),
        })
    }

    // --- a token ---------------------------------------------------------------------------

    fn token(&self, members: &Members) -> Result<Granted, Failure> {
        let mut warnings = Vec::new();
        let value = self.access_token(members, &mut warnings)?;
        self.check_token_type(members)?;
        let lifetime = self.lifetime(members, &mut warnings)?;
        let scope = self.granted_scope(members, &mut warnings)?;
        Ok(Granted { value, scope, lifetime, warnings })
    }

    fn access_token(
        &self,
        members: &Members,
        warnings: &mut Vec<String>,
    ) -> Result<Secret, Failure> {
        let Some(Value::Text(value)) = &members.access_token else {
            return Err(self.bad("has no access_token that is a string", CHECK_URL));
        };
        if value.is_empty() {
            return Err(self.broken("has an empty access_token"));
        }
        if value.len() > MAX_TOKEN_BYTES {
            return Err(self.broken("has an access_token over 16 KiB"));
        }
        if !value.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) {
            return Err(self.broken("has an access_token with a byte that no header may carry"));
        }
        if !is_b64token(value) {
            warnings.push(
                "the access token has characters outside RFC 6750's b64token; it is used unchanged"
                    .to_owned(),
            );
        }
        Ok(Secret::new(value.as_str()))
    }

    fn check_token_type(&self, members: &Members) -> Result<(), Failure> {
        match &members.token_type {
            None => Ok(()),
            Some(Value::Text(kind)) if kind.eq_ignore_ascii_case("bearer") => Ok(()),
            Some(Value::Text(kind)) => {
                Err(self.broken(&match self.hidden(Some(members)).clean(kind) {
                    Some(kind) => format!("has the token_type \"{kind}\"; only Bearer can be used"),
                    None => format!("has a token_type that is not Bearer ({NOT_SHOWN})"),
                }))
            }
            Some(_) => Err(self.broken("has a token_type that is not a string")),
        }
    }

    fn lifetime(&self, members: &Members, warnings: &mut Vec<String>) -> Result<Duration, Failure> {
        let Some(value) = &members.expires_in else {
            warnings.push(format!(
                "the answer has no expires_in; the token is used for {} s",
                policy::LIFETIME_WHEN_MISSING.as_secs()
            ));
            return Ok(policy::LIFETIME_WHEN_MISSING);
        };
        let seconds = whole_seconds(value)
            .ok_or_else(|| self.broken("has an expires_in that is not a positive number"))?;
        Ok(Duration::from_secs(seconds).min(policy::MAX_LIFETIME))
    }

    fn granted_scope(
        &self,
        members: &Members,
        warnings: &mut Vec<String>,
    ) -> Result<String, Failure> {
        let text = match &members.scope {
            None => return Ok(self.asked.wire().to_owned()),
            Some(Value::Text(text)) => text.clone(),
            Some(Value::List(list)) => {
                warnings.push("the answer's scope is an array, not a string".to_owned());
                let names: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
                names.ok_or_else(|| self.broken("has a scope that is not text"))?.join(" ")
            }
            Some(_) => return Err(self.broken("has a scope that is not text")),
        };
        if text.trim_matches(' ').is_empty() {
            let all: Vec<String> = self.asked.wire().split(' ').map(str::to_owned).collect();
            return self.narrowed(&all, String::new(), warnings);
        }
        let granted = ScopeSet::parse(&text)
            .map_err(|_| self.broken("has a scope with characters that are not allowed"))?;
        let missing = self.asked.missing_from(&granted);
        let shown = self.shown_scope(members, &granted, warnings);
        if missing.is_empty() { Ok(shown) } else { self.narrowed(&missing, shown, warnings) }
    }

    /// The granted scopes, as far as they may be shown: those not requested are the server's text.
    fn shown_scope(
        &self,
        members: &Members,
        granted: &ScopeSet,
        warnings: &mut Vec<String>,
    ) -> String {
        let more = granted.missing_from(self.asked);
        if more.is_empty() {
            return granted.wire().to_owned();
        }
        let (hidden, text) = (self.hidden(Some(members)), more.join(" "));
        let shown = hidden.clean(&text).filter(|_| hidden.may_show(&text));
        let told = shown.as_deref().unwrap_or(NOT_SHOWN);
        warnings.push(format!("more was granted than asked for: {told}"));
        if shown.is_some() {
            return granted.wire().to_owned();
        }
        let known = granted.wire().split(' ').filter(|scope| !more.iter().any(|one| one == scope));
        known.collect::<Vec<_>>().join(" ")
    }

    fn narrowed(
        &self,
        missing: &[String],
        granted: String,
        warnings: &mut Vec<String>,
    ) -> Result<String, Failure> {
        let missing = missing.join(" ");
        if self.options.allow_narrowed_scope {
            warnings.push(format!("not granted, although asked for: {missing}"));
            return Ok(granted);
        }
        let error = self.error(
            ErrorKind::InvalidScope,
            format!(
                "the token endpoint granted less than requested; missing: \"{missing}\" \
                 (asked for: {}). {}",
                self.asked.wire(),
                self.advice("Allow it for the API key, or set allow_narrowed_scope")
            ),
        );
        Err(Failure::new(Class::Terminal, error))
    }

    // --- a failure -------------------------------------------------------------------------

    fn failure(&self, members: Option<&Members>) -> Failure {
        let code = members.and_then(|members| text(&members.error));
        let description = members.and_then(|members| text(&members.error_description));
        let hidden = self.hidden(members);
        // A registered code reveals nothing, even if it equals a secret.
        let shown_code = code.map(|code| match REGISTERED.contains(&code) {
            true => Some(code.to_owned()),
            false => hidden.clean(code),
        });
        let told = description.map(|text| hidden.clean(text).unwrap_or(NOT_SHOWN.to_owned()));
        let mut said = match (&shown_code, told) {
            (Some(Some(code)), Some(told)) => format!("{code} ({told})"),
            (Some(Some(code)), None) => code.clone(),
            (Some(None), _) => format!("{REMOVED} ({NOT_SHOWN})"),
            (None, _) => format!("status {}", self.answer.status),
        };
        let names_scope = |text: &str| remarks::spells(text.as_bytes(), "scope");
        if code.is_some_and(names_scope) || description.is_some_and(names_scope) {
            said += &format!(" (asked for: {})", self.asked.wire());
        }
        // An error that is not a string belongs to an API other than OAuth.
        let is_foreign = members.is_some_and(|members| {
            members.error.as_ref().is_some_and(|error| error.as_str().is_none())
        });
        let mut failure = self.judge(code, &said, is_foreign);
        let shown_code = shown_code.map(|code| code.unwrap_or(REMOVED.to_owned()));
        let shown_code = shown_code.filter(|_| failure.error.kind() != ErrorKind::BadResponse);
        failure.error = failure
            .error
            .with_oauth_code(shown_code.as_deref())
            .with_retry_after(failure.retry_after);
        failure
    }

    /// The table of failures: the first row that matches decides.
    fn judge(&self, code: Option<&str>, said: &str, is_foreign: bool) -> Failure {
        let status = self.answer.status;
        let (class, kind, what, advice) = match (status, code) {
            // The wait is added when the error is handed out: see `Error::told`.
            (429, _) => SLOW_DOWN,
            (503, _) if self.answer.retry_after.is_some() => SLOW_DOWN,
            (_, Some("unauthorized_client")) => UNAUTHORIZED,
            (_, Some("invalid_client")) => REFUSED,
            (401, None) if !is_foreign => REFUSED,
            (_, Some("invalid_scope")) => SCOPE_REFUSED,
            (_, Some("unsupported_grant_type" | "invalid_request" | "invalid_grant")) => {
                REQUEST_REFUSED
            }
            (_, Some("server_error" | "temporarily_unavailable")) | (408 | 425 | 500..=599, _) => {
                IN_TROUBLE
            }
            (404 | 405, _) => return self.no_endpoint(),
            (_, Some(_)) => OTHER_ERROR,
            (300..=399, None) => return self.redirect(),
            (403, None) => {
                return self.bad(
                    "has status 403 without an OAuth error: often a wrong secret",
                    &self.advice("Or API Tokens v2 may not be enabled for the account"),
                );
            }
            _ if is_foreign => return self.no_endpoint(),
            _ => {
                let problem = format!("has status {status} without an OAuth error");
                return self.bad(&problem, CHECK_URL);
            }
        };
        let is_limit = kind == ErrorKind::RateLimited;
        let advice = match is_limit || kind == ErrorKind::Server {
            true => advice.to_owned(),
            false => self.advice(advice),
        };
        let may_be_the_way =
            kind == ErrorKind::InvalidClient && code != Some("unauthorized_client");
        let hint = if may_be_the_way { self.other_way() } else { "" };
        let mut failure = self.of(class, kind, format!("{what}: {said}. {advice}{hint}"));
        if kind == ErrorKind::OAuth {
            failure.error = failure.error.with_retryable(class == Class::Transient);
        }
        if is_limit {
            let wait = self.answer.retry_after.filter(|wait| *wait >= policy::MIN_RETRY_AFTER);
            failure.retry_after = wait.map(|wait| wait.min(policy::MAX_RETRY_AFTER));
        }
        failure
    }

    /// Advice to try the other `client_auth`. The service itself takes `post`.
    fn other_way(&self) -> &'static str {
        let is_changed = |text: &str| *form_encoded(text) != text;
        let Credentials { client_id, client_secret } = self.credentials;
        match self.options.client_auth {
            ClientAuth::Post if self.options.token_url.host() == "auth.trackunit.com" => "",
            ClientAuth::Post => ". Some servers want client_auth=basic",
            ClientAuth::Basic
                if is_changed(client_id.reveal()) || is_changed(client_secret.reveal()) =>
            {
                ". The form-encoding of client_auth=basic changes these, and many servers do not \
                 undo it: try client_auth=post"
            }
            ClientAuth::Basic => ". Some servers want client_auth=post",
        }
    }

    fn redirect(&self) -> Failure {
        let status = self.answer.status;
        let what = match &self.answer.location {
            // Even a host name may contain what was sent to the server.
            Some(target) => {
                let target = self.hidden(None).clean(target);
                let target = target.unwrap_or_else(|| format!("a host ({NOT_SHOWN})"));
                format!(
                    "the token endpoint redirects (status {status}) to {target}; a redirect is never \
                     followed, because the secret would go with it"
                )
            }
            // 304 is no redirect, but a cache's response.
            None => format!(
                "the answer of {} has status {status} and names no other place: a cache or a proxy \
                 may have answered",
                self.answer.origin
            ),
        };
        let what = what + ". Check token_url";
        let mut failure = self.of(Class::Terminal, ErrorKind::BadResponse, what);
        failure.error = failure.error.with_retryable(false);
        failure
    }

    /// Something responds, but hardly a token endpoint.
    fn no_endpoint(&self) -> Failure {
        self.of(
            Class::Transient,
            ErrorKind::BadResponse,
            format!(
                "{} does not answer as a token endpoint at {} (status {}). Check token_url first; \
                 if that is right, API Tokens v2 may not be enabled for the account",
                self.answer.origin,
                self.options.token_url.uri().path(),
                self.answer.status
            ),
        )
    }

    /// What to do: first of all, check what looks wrong in what was sent.
    fn advice(&self, otherwise: &str) -> String {
        let Credentials { client_id, client_secret } = self.credentials;
        let remarks = remarks::of(client_id.reveal(), client_secret.reveal(), self.asked.wire());
        match remarks.is_empty() {
            true => otherwise.to_owned(),
            false => format!("Look at this first: {remarks}"),
        }
    }

    fn of(&self, class: Class, kind: ErrorKind, message: String) -> Failure {
        Failure::new(class, self.error(kind, message))
    }

    fn error(&self, kind: ErrorKind, message: String) -> Error {
        Error::new(kind, message).with_http_status(self.answer.status)
    }

    /// A response without a token. `problem` continues "the answer ..."; `remedy` is a sentence,
    /// used when neither the connection nor the page suggests a better one.
    fn bad(&self, problem: &str, remedy: &str) -> Failure {
        let end = match &self.answer.hint {
            Some(hint) => format!("; {hint}"),
            None if self.answer.looks_like_html() => {
                ". It looks like a web page: is a captive portal or a proxy in the way?".to_owned()
            }
            None if remedy.is_empty() => String::new(),
            None => format!(". {remedy}"),
        };
        self.of(
            Class::Transient,
            ErrorKind::BadResponse,
            format!("the answer of {} {problem}{end}", self.answer.origin),
        )
    }

    /// A token endpoint's response that violates the protocol.
    fn broken(&self, problem: &str) -> Failure {
        self.bad(problem, TELL_OPERATOR)
    }

    /// What must not be shown of this response.
    fn hidden(&self, members: Option<&Members>) -> Hidden {
        let token = members.and_then(|members| members.access_token.as_ref());
        let token = token.and_then(Value::as_str).unwrap_or_default();
        Hidden::new(self.credentials, self.request, token)
    }
}

/// RFC 6750 section 2.1.
fn is_b64token(value: &str) -> bool {
    let body = value.trim_end_matches('=');
    !body.is_empty()
        && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

/// A lifetime in whole seconds, at least 1: a number, or a string of ASCII digits.
fn whole_seconds(value: &Value) -> Option<u64> {
    let seconds = match value {
        Value::Number(number) => *number,
        Value::Text(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            // More digits than fit mean "very long", which is capped at a day anyway.
            digits.parse().unwrap_or(u64::MAX)
        }
        _ => return None,
    };
    (seconds > 0).then_some(seconds)
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
