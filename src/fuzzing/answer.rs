//! Responses of a token endpoint.

use std::time::{Duration, SystemTime};

use ureq::http::HeaderMap;
use ureq::http::header::{DATE, HeaderValue, RETRY_AFTER};
use zeroize::Zeroizing;

use super::bytes::Bytes;
use super::text::{assert_hidden, assert_plain, odd_pieces};
use crate::cache::policy;
use crate::config::options::{ClientAuth, Options};
use crate::credentials::Credentials;
use crate::endpoint::http::HttpAnswer;
use crate::endpoint::request::{TokenRequest, form_encoded};
use crate::endpoint::{Failure, Granted, headers, response};
use crate::error::ErrorKind;
use crate::scope::ScopeSet;
use crate::token::MAX_TOKEN_BYTES;

/// With the characters that encodings change. No five of these bytes are in any message of this library.
const SECRET: &str = "Zk~9/q<\"R&w8%Xy";
const ASKED: &str = "a b";

fn read(answer: &HttpAnswer, options: &Options) -> Result<Granted, Failure> {
    let credentials = Credentials::new("id", SECRET);
    let asked = ScopeSet::parse(ASKED).expect("a scope");
    let request = TokenRequest::new(options, None, &credentials, &asked);
    response::read(answer, options, &asked, &credentials, &request)
}

/// A body that may quote the secret: the first control characters stand for its spellings.
fn body(template: &[u8]) -> Zeroizing<Vec<u8>> {
    let json: String = SECRET.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    let spellings = [
        SECRET.replace('"', "\\\""),
        SECRET[..6].to_owned(),
        (*form_encoded(SECRET)).clone(),
        json,
        "Wmt+OS9xPCJSJnc4JVh5".to_owned(),
    ];
    let mut body = Vec::new();
    for byte in template {
        match usize::from(*byte).checked_sub(1).and_then(|at| spellings.get(at)) {
            Some(spelling) => body.extend_from_slice(spelling.as_bytes()),
            None => body.push(*byte),
        }
    }
    Zeroizing::new(body)
}

fn check_failure(failure: &Failure) {
    let error = &failure.error;
    for text in [error.message(), &error.to_string(), error.oauth_code().unwrap_or_default()] {
        assert_plain(text);
        assert_hidden(SECRET, text);
    }
    if let Some(wait) = failure.retry_after {
        assert!((policy::MIN_RETRY_AFTER..=policy::MAX_RETRY_AFTER).contains(&wait));
        assert_eq!(error.kind(), ErrorKind::RateLimited);
    }
}

/// A response with status 200: a token is what the body says, or there is none.
pub fn answer(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let options = Options { allow_narrowed_scope: bytes.flag(), ..Options::default() };
    let answer = HttpAnswer {
        status: 200,
        body: body(bytes.rest()),
        origin: "https://auth.example".to_owned(),
        ..HttpAnswer::default()
    };
    let told: Option<serde_json::Value> = {
        let text = answer.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&answer.body);
        serde_json::from_slice(text).ok()
    };
    let token = told.as_ref().and_then(|told| told.get("access_token")?.as_str());
    match read(&answer, &options) {
        Ok(granted) => {
            let value = granted.value.reveal();
            assert_eq!(Some(value), token);
            assert!((1..=MAX_TOKEN_BYTES).contains(&value.len()));
            assert!(value.bytes().all(|byte| byte.is_ascii_graphic()));
            assert!((Duration::from_secs(1)..=policy::MAX_LIFETIME).contains(&granted.lifetime));
            check_scope(&granted.scope, options.allow_narrowed_scope);
            for warning in &granted.warnings {
                assert_plain(warning);
                assert_hidden(SECRET, warning);
                odd_pieces(value).for_each(|piece| assert!(!warning.contains(piece), "{piece}"));
            }
        }
        Err(failure) => {
            check_failure(&failure);
            let shown = failure.error.message();
            let token = token.unwrap_or_default();
            odd_pieces(token).for_each(|piece| assert!(!shown.contains(piece), "{piece}"));
        }
    }
}

fn check_scope(granted: &str, may_be_narrowed: bool) {
    let granted = ScopeSet::parse(granted);
    let asked = ScopeSet::parse(ASKED).expect("a scope");
    let has_all = granted.is_ok_and(|granted| asked.missing_from(&granted).is_empty());
    assert!(has_all || may_be_narrowed);
}

/// Any other response: an error that says what to do, and nothing of what was sent.
pub fn error_answer(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let choices = bytes.byte();
    let status = 200 + u16::from(bytes.byte()) * 2;
    let client_auth = if choices & 1 == 0 { ClientAuth::Post } else { ClientAuth::Basic };
    let options = Options { client_auth, ..Options::default() };
    let retry_after = (choices & 2 != 0).then(|| Duration::from_secs(bytes.number()));
    let location = (choices & 4 != 0).then(|| {
        let host = bytes.take(12).to_vec();
        String::from_utf8_lossy(&body(&host)).into_owned()
    });
    let answer = HttpAnswer {
        status,
        retry_after,
        location,
        is_html: choices & 8 != 0,
        body: body(bytes.rest()),
        origin: "https://auth.example".to_owned(),
        ..HttpAnswer::default()
    };
    match read(&answer, &options) {
        Ok(_) => assert_eq!(status, 200),
        Err(failure) => check_failure(&failure),
    }
}

/// The first line is the value of Retry-After, the second that of Date.
pub fn retry_after(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut headers_received = HeaderMap::new();
    let value = lines.next().unwrap_or_default();
    for (name, value) in [(RETRY_AFTER, Some(value)), (DATE, lines.next())] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_bytes(value).ok()) {
            headers_received.append(name, value);
        }
    }
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let wait = headers::retry_after(&headers_received, now);
    // Some values cannot be sent.
    let digits = headers_received.get(RETRY_AFTER).map_or(&b""[..], HeaderValue::as_bytes);
    let digits = digits.trim_ascii();
    if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
        let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u64>().ok());
        let wait = wait.expect("a number of seconds");
        assert!(number.is_none_or(|number| wait == Duration::from_secs(number)), "{wait:?}");
        assert!(number.is_some() || wait >= policy::MAX_RETRY_AFTER);
    }
    for status in [429, 503] {
        let answer = HttpAnswer { status, retry_after: wait, ..HttpAnswer::default() };
        let failure = read(&answer, &Options::default()).expect_err("no token");
        check_failure(&failure);
        let usable = wait.filter(|wait| *wait >= policy::MIN_RETRY_AFTER);
        assert_eq!(failure.retry_after, usable.map(|wait| wait.min(policy::MAX_RETRY_AFTER)));
    }
}
