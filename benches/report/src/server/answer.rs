//! What the endpoint answers. The segments of a path are options, in any order:
//!
//! - `delay-200`: waits 200 ms before it answers
//! - `length-4096`: the token has 4,096 bytes (otherwise 900)
//! - `count`: the number of token requests so far, in place of a token

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Of a signed token with a few claims.
const LENGTH: usize = 900;

static TOKENS: AtomicU64 = AtomicU64::new(0);

/// A body, and how long it is held back.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub body: String,
    pub delay: Duration,
}

/// Answers a request for this path. `base` is the scheme and the host that the client named.
pub(crate) fn answer(base: &str, path: &str, body: &str) -> Answer {
    let segments = || path.split(['/', '?']);
    let option = |name: &str| segments().find_map(|one| one.strip_prefix(name)?.parse().ok());
    let delay = Duration::from_millis(option("delay-").unwrap_or(0));
    if segments().any(|segment| segment == "count") {
        return Answer { body: TOKENS.load(Ordering::SeqCst).to_string(), delay };
    }
    if segments().any(|segment| segment == ".well-known") {
        let tenant = segments().nth(1).unwrap_or_default();
        return Answer { body: discovery(&format!("{base}/{tenant}")), delay };
    }
    TOKENS.fetch_add(1, Ordering::SeqCst);
    let token = "x".repeat(option("length-").map_or(LENGTH, |length| length as usize));
    let scope = scope(body).map_or(String::new(), |scope| format!(r#","scope":"{scope}""#));
    let body =
        format!(r#"{{"token_type":"Bearer","expires_in":3600,"access_token":"{token}"{scope}}}"#);
    Answer { body, delay }
}

/// The scope of a form, if it names one of plain characters.
fn scope(form: &str) -> Option<String> {
    let value = form.split('&').find_map(|pair| pair.strip_prefix("scope="))?;
    let value = value.replace(['+'], " ").replace("%20", " ");
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b" .-_".contains(&byte);
    value.bytes().all(is_plain).then_some(value)
}

/// Where the endpoints of a tenant are, for the peers that ask for it.
fn discovery(tenant: &str) -> String {
    format!(
        r#"{{"issuer":"{tenant}/v2.0","token_endpoint":"{tenant}/oauth2/v2.0/token","authorization_endpoint":"{tenant}/oauth2/v2.0/authorize","device_authorization_endpoint":"{tenant}/oauth2/v2.0/devicecode","jwks_uri":"{tenant}/discovery/v2.0/keys","response_types_supported":["code"],"subject_types_supported":["pairwise"],"id_token_signing_alg_values_supported":["RS256"]}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://localhost:1";

    #[test]
    fn the_path_says_how_to_answer() {
        let slow = answer(BASE, "/delay-200/length-4096/token", "scope=a+b.c");
        assert_eq!(slow.delay, Duration::from_millis(200));
        assert!(
            slow.body.contains(&"x".repeat(4096)) && slow.body.ends_with(r#""scope":"a b.c"}"#)
        );
        let usual = answer(BASE, "/token", "");
        assert!(usual.body.contains(&format!("\"{}\"", "x".repeat(LENGTH))));
        assert!(!usual.body.contains("scope"));
    }

    #[test]
    fn a_scope_that_would_need_quoting_is_left_out() {
        assert_eq!(scope("grant_type=x&scope=https%3A%2F%2Fhost%2F.default"), None);
        assert_eq!(scope("scope=a%20b&x=y").as_deref(), Some("a b"));
    }

    #[test]
    fn a_tenant_is_told_where_its_endpoints_are() {
        let found = answer(BASE, "/tenant/v2.0/.well-known/openid-configuration?x=y", "");
        assert!(found.body.contains(r#""token_endpoint":"https://localhost:1/tenant/oauth2/"#));
    }
}
