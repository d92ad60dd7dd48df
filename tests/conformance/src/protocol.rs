//! The requests to a testee and their members.

use serde_json::{Map, Value, json};

/// Every request with its members. The first one, if any, is `client` or the subject of the request.
const REQUESTS: &[(&str, &[&str])] = &[
    ("new", &["client", "options", "credentials"]),
    ("get", &["client", "scope", "timeout_ms", "min_ttl_ms", "callers"]),
    ("get_async", &["client", "scope", "timeout_ms", "min_ttl_ms", "callers"]),
    ("start", &["client", "id", "scope", "timeout_ms", "min_ttl_ms", "callers"]),
    ("cancel", &["id"]),
    ("join", &["id"]),
    ("invalidate", &["client", "token"]),
    ("rotate", &["client", "id", "secret"]),
    ("wake", &["client"]),
    ("close", &["client"]),
    ("stats", &["client", "scope"]),
    ("may_send_to", &["client", "url"]),
    ("advance", &["ms"]),
    ("events", &["client"]),
];

/// The client of a request that names none.
pub const DEFAULT_CLIENT: &str = "a";

/// Checks a request and its members, and adds the default client.
pub fn request(name: &str, mut members: Map<String, Value>) -> Result<Value, String> {
    let (_, known) = REQUESTS
        .iter()
        .find(|(request, _)| *request == name)
        .ok_or_else(|| format!("unknown step \"{name}\""))?;
    if let Some(member) = members.keys().find(|member| !known.contains(&member.as_str())) {
        return Err(format!("\"{name}\" has no member \"{member}\""));
    }
    if known.contains(&"client") {
        members.entry("client").or_insert_with(|| DEFAULT_CLIENT.into());
    }
    members.insert("do".to_owned(), name.into());
    Ok(Value::Object(members))
}

/// The default expected answer. `None` means that the transcript must give one.
pub fn usual_answer(name: &str) -> Option<Value> {
    match name {
        "new" | "start" | "cancel" | "invalidate" | "rotate" | "wake" | "close" | "advance" => {
            Some(json!({"ok": true}))
        }
        _ => None,
    }
}

/// Checks properties of every answer, whatever the transcript expects.
pub fn check_answer(answer: &Value) -> Result<(), String> {
    if let Some(what) = answer.get("unsupported") {
        return Err(format!("the testee does not support {what}"));
    }
    if let Some(error) = answer.get("error") {
        check_error(error)?;
    }
    for result in answer.get("results").and_then(Value::as_array).into_iter().flatten() {
        match result.get("error") {
            Some(error) => check_error(error)?,
            None => check_token(result)?,
        }
    }
    Ok(())
}

fn check_error(error: &Value) -> Result<(), String> {
    let is = |name: &str, fits: fn(&Value) -> bool| match error.get(name) {
        Some(value) if fits(value) => Ok(()),
        found => Err(format!("an error's {name} is {found:?}, in {error}")),
    };
    is("status", |status| status.as_i64().is_some_and(|status| status > 0))?;
    is("message", |message| message.as_str().is_some_and(|text| !text.is_empty()))?;
    is("message", |message| message.as_str().is_some_and(|text| !text.contains(['\n', '\r'])))?;
    is("oauth_code", |code| code.is_null() || code.is_string())?;
    is("http_status", |status| status.as_i64().is_some_and(|status| (0..600).contains(&status)))?;
    is("retryable", Value::is_boolean)?;
    is("retry_after_ms", |wait| wait.as_f64().is_some_and(|wait| wait >= 0.0 || wait == -1.0))
}

fn check_token(result: &Value) -> Result<(), String> {
    let text = |name: &str| result.get(name).and_then(Value::as_str).map(str::to_owned);
    let token = text("token").ok_or_else(|| format!("neither token nor error: {result}"))?;
    if text("bearer") != Some(format!("Bearer {token}")) {
        return Err(format!("the bearer of token \"{token}\" is {:?}", text("bearer")));
    }
    if text("header") != Some(format!("Authorization: Bearer {token}")) {
        return Err(format!("the header of token \"{token}\" is {:?}", text("header")));
    }
    let has_scope = text("scope").is_some();
    let has_life = result.get("expires_in_ms").is_some_and(Value::is_number);
    (has_scope && has_life)
        .then_some(())
        .ok_or_else(|| format!("scope or life is missing: {result}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_member_is_an_error_in_the_transcript() {
        let members = |value: Value| value.as_object().cloned().unwrap_or_default();
        let asked = request("get", members(json!({"scope": "a"})));
        assert_eq!(asked, Ok(json!({"do": "get", "client": "a", "scope": "a"})));
        assert!(request("get", members(json!({"scop": "a"}))).is_err());
        assert!(request("fetch", Map::new()).is_err());
    }

    #[test]
    fn answers_that_lack_something_are_noticed() {
        let whole = json!({"status": 1, "message": "m", "oauth_code": null, "http_status": 0,
            "retryable": false, "retry_after_ms": -1});
        assert_eq!(check_answer(&json!({"error": whole})), Ok(()));
        for (name, bad) in [
            ("status", json!(0)),
            ("message", json!("two\nlines")),
            ("message", json!("")),
            ("oauth_code", json!(7)),
            ("http_status", json!("200")),
            ("retryable", json!(null)),
            ("retry_after_ms", json!(-2)),
        ] {
            let mut error = whole.clone();
            error[name] = bad;
            assert!(check_answer(&json!({"results": [{"error": error}]})).is_err(), "{name}");
        }
        let token = json!({"token": "t", "bearer": "Bearer t", "header": "Authorization: Bearer t",
            "scope": "a", "expires_in_ms": 5});
        assert_eq!(check_answer(&json!({"results": [token]})), Ok(()));
        for name in ["token", "bearer", "header", "scope", "expires_in_ms"] {
            let mut result = token.clone();
            result[name] = json!(null);
            assert!(check_answer(&json!({"results": [result]})).is_err(), "{name}");
        }
        assert!(check_answer(&json!({"unsupported": "get_async"})).is_err());
    }
}
