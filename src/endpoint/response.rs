//! Reading the endpoint's answer: tolerant where servers differ, strict where it matters.
//!
//! RFC 6749 sections 5.1 and 5.2, and what real servers make of them. The body of an answer never
//! appears in an error; only its `error` and `error_description` do, and scopes that were not asked for,
//! cleaned.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::Granted;
use super::http::HttpAnswer;
use super::redact::{Hidden, NOT_SHOWN, REMOVED};
use super::request::TokenRequest;
use crate::cache::flight::{Class, Failure};
use crate::cache::policy;
use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind};
use crate::scope::ScopeSet;
use crate::token::{MAX_TOKEN_BYTES, Secret};

/// Error codes that are shown as they are: RFC 6749 sections 4.1.2.1 and 5.2, RFC 6750 section 3.1,
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

/// The members that matter. A derived struct refuses a repeated member; unknown ones are skipped.
#[derive(Deserialize)]
struct Members {
    access_token: Option<Value>,
    token_type: Option<Value>,
    expires_in: Option<Value>,
    scope: Option<Value>,
    error: Option<Value>,
    error_description: Option<Value>,
}

impl Drop for Members {
    fn drop(&mut self) {
        if let Some(Value::String(token)) = &mut self.access_token {
            zeroize::Zeroize::zeroize(token);
        }
    }
}

/// Everything needed to judge one answer.
struct Reader<'a> {
    answer: &'a HttpAnswer,
    asked: &'a ScopeSet,
    credentials: &'a Credentials,
    request: &'a TokenRequest,
    allow_narrowed: bool,
}

/// Reads an answer to a request for `asked`.
pub(crate) fn read(
    answer: &HttpAnswer,
    asked: &ScopeSet,
    credentials: &Credentials,
    request: &TokenRequest,
    allow_narrowed: bool,
) -> Result<Granted, Failure> {
    let reader = Reader { answer, asked, credentials, request, allow_narrowed };
    let members = reader.members();
    match (answer.status, &members) {
        (200, Ok(members)) if members.error.is_none() || members.access_token.is_some() => {
            reader.token(members)
        }
        (200, Err(problem)) => Err(reader.bad(problem)),
        (_, Ok(members)) => Err(reader.failure(Some(members))),
        (_, Err(_)) => Err(reader.failure(None)),
    }
}

impl Reader<'_> {
    fn members(&self) -> Result<Members, String> {
        if let Some(problem) = &self.answer.unreadable {
            return Err(problem.clone());
        }
        let text =
            std::str::from_utf8(&self.answer.body).map_err(|_| "is not valid UTF-8".to_owned())?;
        if text.trim_ascii().is_empty() {
            return Err("is empty".to_owned());
        }
        // serde_json would also take an array for a struct.
        if !text.trim_ascii_start().starts_with('{') {
            return Err("is not a JSON object".to_owned());
        }
        serde_json::from_str(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Eof => "is cut off".to_owned(),
            serde_json::error::Category::Data => "names a member twice".to_owned(),
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
        let Some(Value::String(value)) = &members.access_token else {
            return Err(self.bad("has no access_token that is a string"));
        };
        if value.is_empty() {
            return Err(self.bad("has an empty access_token"));
        }
        if value.len() > MAX_TOKEN_BYTES {
            return Err(self.bad("has an access_token over 16 KiB"));
        }
        if !value.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) {
            return Err(self.bad("has an access_token with a byte that no header may carry"));
        }
        if !is_b64token(value) {
            warnings.push(
                "the access token has characters outside RFC 6750's b64token; it is used as it is"
                    .to_owned(),
            );
        }
        Ok(Secret::new(value.as_str()))
    }

    fn check_token_type(&self, members: &Members) -> Result<(), Failure> {
        match &members.token_type {
            None => Ok(()),
            Some(Value::String(kind)) if kind.eq_ignore_ascii_case("bearer") => Ok(()),
            Some(Value::String(kind)) => {
                Err(self.bad(&match self.hidden(Some(members)).clean(kind) {
                    Some(kind) => format!("has the token_type \"{kind}\"; only Bearer can be used"),
                    None => format!("has a token_type that is not Bearer ({NOT_SHOWN})"),
                }))
            }
            Some(_) => Err(self.bad("has a token_type that is not a string")),
        }
    }

    fn lifetime(&self, members: &Members, warnings: &mut Vec<String>) -> Result<Duration, Failure> {
        let Some(value) = &members.expires_in else {
            warnings.push(format!(
                "the answer names no expires_in; the token is used for {} s",
                policy::LIFETIME_WHEN_MISSING.as_secs()
            ));
            return Ok(policy::LIFETIME_WHEN_MISSING);
        };
        let seconds = whole_seconds(value)
            .ok_or_else(|| self.bad("has an expires_in that is not a positive number"))?;
        Ok(Duration::from_secs(seconds).min(policy::MAX_LIFETIME))
    }

    fn granted_scope(
        &self,
        members: &Members,
        warnings: &mut Vec<String>,
    ) -> Result<String, Failure> {
        let text = match &members.scope {
            None => return Ok(self.asked.wire().to_owned()),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(list)) => {
                warnings.push("the answer's scope is an array, not a string".to_owned());
                let names: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
                names.ok_or_else(|| self.bad("has a scope that is not text"))?.join(" ")
            }
            Some(_) => return Err(self.bad("has a scope that is not text")),
        };
        if text.trim_matches(' ').is_empty() {
            let all: Vec<String> = self.asked.wire().split(' ').map(str::to_owned).collect();
            return self.narrowed(&all, String::new(), warnings);
        }
        let granted = ScopeSet::parse(&text)
            .map_err(|_| self.bad("has a scope with characters that are not allowed"))?;
        let missing = self.asked.missing_from(&granted);
        let shown = self.shown_scope(members, &granted, warnings);
        if missing.is_empty() { Ok(shown) } else { self.narrowed(&missing, shown, warnings) }
    }

    /// What was granted, as far as it may be shown: what was not asked for is the server's text.
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
        if self.allow_narrowed {
            warnings.push(format!("not granted, although asked for: {missing}"));
            return Ok(granted);
        }
        let error = self.error(
            ErrorKind::InvalidScope,
            format!(
                "the token endpoint granted less than was asked for; missing: \"{missing}\" \
                 (asked for: {}). Allow it for the API key, or set allow_narrowed_scope",
                self.asked.wire()
            ),
        );
        Err(Failure::new(Class::Terminal, error))
    }

    // --- a failure -------------------------------------------------------------------------

    fn failure(&self, members: Option<&Members>) -> Failure {
        let text = |value: &Option<Value>| match value {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            _ => None,
        };
        let code = members.and_then(|members| text(&members.error));
        let description = members.and_then(|members| text(&members.error_description));
        let hidden = self.hidden(members);
        // A registered code tells nothing, even if a secret looks like one.
        let shown_code = code.as_deref().map(|code| match REGISTERED.contains(&code) {
            true => Some(code.to_owned()),
            false => hidden.clean(code),
        });
        let told = description.map(|text| hidden.clean(&text).unwrap_or(NOT_SHOWN.to_owned()));
        let said = match (&shown_code, told) {
            (Some(Some(code)), Some(told)) => format!("{code} ({told})"),
            (Some(Some(code)), None) => code.clone(),
            (Some(None), _) => format!("{REMOVED} ({NOT_SHOWN})"),
            (None, _) => format!("status {}", self.answer.status),
        };
        let shown_code = shown_code.map(|code| code.unwrap_or(REMOVED.to_owned()));
        let mut failure = self.judge(code.as_deref(), &said);
        failure.error = failure
            .error
            .with_http_status(self.answer.status)
            .with_oauth_code(shown_code.as_deref())
            .with_retry_after(failure.retry_after);
        failure
    }

    /// The table of failures: the first row that fits decides.
    fn judge(&self, code: Option<&str>, said: &str) -> Failure {
        let status = self.answer.status;
        let retry_after = self.answer.retry_after;
        if status == 429 || (status == 503 && retry_after.is_some()) {
            let mut failure = self.of(
                Class::RateLimited,
                ErrorKind::RateLimited,
                format!("the token endpoint asks to slow down: {said}"),
            );
            failure.retry_after = retry_after
                .filter(|wait| *wait >= policy::LEAST_RETRY_AFTER)
                .map(|wait| wait.min(policy::MAX_RETRY_AFTER));
            return failure;
        }
        match (status, code) {
            (_, Some("invalid_client" | "unauthorized_client")) | (401, None) => self.of(
                Class::Refused,
                ErrorKind::InvalidClient,
                format!(
                    "the token endpoint refused the client id and secret: {said}. Check both; the \
                     API key may have been rotated or revoked, or API Tokens v2 may not be enabled \
                     for the account"
                ),
            ),
            (_, Some("invalid_scope")) => self.of(
                Class::Terminal,
                ErrorKind::InvalidScope,
                format!(
                    "the API key does not allow a scope that was asked for: {said} (asked for: {})",
                    self.asked.wire()
                ),
            ),
            (_, Some("unsupported_grant_type" | "invalid_request" | "invalid_grant")) => {
                let mut failure = self.of(
                    Class::Terminal,
                    ErrorKind::OAuth,
                    format!("the token endpoint refused the request: {said}"),
                );
                failure.error = failure.error.with_retryable(false);
                failure
            }
            (_, Some("server_error" | "temporarily_unavailable")) | (408 | 425 | 500..=599, _) => {
                self.of(
                    Class::Transient,
                    ErrorKind::Server,
                    format!("the token endpoint is in trouble: {said}"),
                )
            }
            (_, Some(_)) => {
                let mut failure = self.of(
                    Class::Transient,
                    ErrorKind::OAuth,
                    format!("the token endpoint answered with the error {said}"),
                );
                failure.error = failure.error.with_retryable(true);
                failure
            }
            (300..=399, None) => {
                // Even a host name may hold what the server was sent.
                let target = self.answer.location.as_deref().unwrap_or("nowhere");
                let target = self.hidden(None).clean(target);
                let target = target.unwrap_or_else(|| format!("a host ({NOT_SHOWN})"));
                let mut failure = self.of(
                    Class::Terminal,
                    ErrorKind::BadResponse,
                    format!(
                        "the token endpoint redirects (status {status}) to {target}; a redirect is \
                         never followed, because the secret would go with it. Check token_url"
                    ),
                );
                failure.error = failure.error.with_retryable(false);
                failure
            }
            (403, None) => self.bad(
                "has status 403 without an OAuth error: often a wrong secret; or API Tokens v2 may \
                 not be enabled for the account",
            ),
            (404, None) => self.bad(
                "has status 404 without an OAuth error: check token_url; or API Tokens v2 may not \
                 be enabled for the account",
            ),
            _ => self.bad(&format!("has status {status} without an OAuth error")),
        }
    }

    fn of(&self, class: Class, kind: ErrorKind, message: String) -> Failure {
        Failure::new(class, self.error(kind, message))
    }

    fn error(&self, kind: ErrorKind, message: String) -> Error {
        Error::new(kind, message).with_http_status(self.answer.status)
    }

    /// An answer that is not a token. `problem` continues "the answer ...".
    fn bad(&self, problem: &str) -> Failure {
        let hint = match (&self.answer.hint, self.answer.looks_like_html()) {
            (Some(hint), _) => format!("; {hint}"),
            (None, true) => {
                "; it looks like a web page: is a captive portal or a proxy in the way?".to_owned()
            }
            (None, false) => String::new(),
        };
        self.of(
            Class::Transient,
            ErrorKind::BadResponse,
            format!("the answer of {} {problem}{hint}", self.answer.origin),
        )
    }

    /// What may not be shown of this answer.
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
        Value::Number(number) => match number.as_u64() {
            Some(whole) => whole,
            // Floats are floored; casting saturates, and negative numbers become zero.
            None => number.as_f64()? as u64,
        },
        Value::String(digits)
            if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) =>
        {
            // More digits than fit mean "very long", which is cut to a day anyway.
            digits.parse().unwrap_or(u64::MAX)
        }
        _ => return None,
    };
    (seconds > 0).then_some(seconds)
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
