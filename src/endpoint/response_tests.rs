use super::*;
use crate::config::options::Options;
use crate::config::token_url::TokenUrl;

fn answer(status: u16, body: &str) -> HttpAnswer {
    HttpAnswer {
        status,
        body: zeroize::Zeroizing::new(body.as_bytes().to_vec()),
        origin: "https://auth.example".to_owned(),
        ..HttpAnswer::default()
    }
}

fn read_with(answer: &HttpAnswer, allow_narrowed: bool) -> Result<Granted, Failure> {
    let options = Options { allow_narrowed_scope: allow_narrowed, ..Options::default() };
    read_by(answer, &options, "hush-hush", "a b")
}

fn read_by(
    answer: &HttpAnswer,
    options: &Options,
    secret: &str,
    asked: &str,
) -> Result<Granted, Failure> {
    let credentials = Credentials::new("id", secret);
    let asked = ScopeSet::parse(asked).unwrap();
    let request = TokenRequest::new(options, None, &credentials, &asked);
    read(answer, options, &asked, &credentials, &request)
}

/// The message of a refusal.
fn said(status: u16, body: &str) -> String {
    let failure = read_with(&answer(status, body), false).unwrap_err();
    assert!(!failure.error.message().contains('\n'));
    failure.error.message().to_owned()
}

fn token_answer(body: &str) -> Result<Granted, Failure> {
    read_with(&answer(200, body), false)
}

fn with_expiry(expires_in: &str) -> Result<Granted, Failure> {
    token_answer(&format!(r#"{{"access_token":"t","expires_in":{expires_in}}}"#))
}

fn refused(status: u16, body: &str) -> (ErrorKind, Class) {
    let failure = read_with(&answer(status, body), false).unwrap_err();
    assert!(!failure.error.message().contains("hush"));
    (failure.error.kind(), failure.class)
}

#[test]
fn each_mistake_is_named_with_one_remedy() {
    let named = |body: &str| said(200, body);
    assert!(named(r#"{"access_token":"t","expires"#).contains("is cut off"));
    assert!(named(r#"{"scope":"a","scope":"a"}"#).contains("has a member twice"));
    assert!(named(r#"{"scope":a}"#).contains("is not valid JSON"));
    assert!(named("<!DOCTYPE html><html>").contains("a web page"));
    let unreadable = Some("is compressed".to_owned());
    let compressed = HttpAnswer { unreadable, ..answer(200, "") };
    let failure = read_with(&compressed, false).unwrap_err();
    assert!(failure.error.message().ends_with("is compressed"), "{}", failure.error);
}

#[test]
fn a_token_of_sixteen_kibibytes_is_accepted() {
    for (length, is_accepted) in [(MAX_TOKEN_BYTES, true), (MAX_TOKEN_BYTES + 1, false)] {
        let token = "t".repeat(length);
        let granted = token_answer(&format!(r#"{{"access_token":"{token}","expires_in":60}}"#));
        assert_eq!(granted.is_ok(), is_accepted, "{length}");
    }
}

#[test]
fn only_a_passing_oauth_error_is_retryable() {
    for (code, is_retryable) in [("some_error", true), ("invalid_request", false)] {
        let body = format!(r#"{{"error":"{code}"}}"#);
        let error = read_with(&answer(400, &body), false).unwrap_err().error;
        assert_eq!(error.is_retryable(), is_retryable, "{code}: {error}");
    }
}

#[test]
fn the_documented_answer_is_a_token() {
    let granted = token_answer(
        r#"{"token_type":"Bearer","expires_in":1200,"access_token":"abc","scope":"a b"}"#,
    )
    .unwrap();
    assert_eq!(granted.value.reveal(), "abc");
    assert_eq!(granted.lifetime, Duration::from_secs(1200));
    assert_eq!(granted.scope, "a b");
    assert!(granted.warnings.is_empty());
}

#[test]
fn expires_in_in_every_form() {
    for (written, seconds) in [
        ("1200", 1200),
        ("\"1200\"", 1200),
        ("1200.0", 1200),
        ("1200.9", 1200),
        ("1.2e3", 1200),
        ("86401", 86400),
        ("18446744073709551616", 86400),
        ("\"99999999999999999999999\"", 86400),
    ] {
        let lifetime = with_expiry(written).unwrap().lifetime;
        assert_eq!(lifetime, Duration::from_secs(seconds), "{written}");
    }
    for written in [
        "0",
        "-1",
        "0.5",
        "true",
        "false",
        "\"\"",
        "\"1e3\"",
        "\"0x10\"",
        "\"+5\"",
        "\" 5\"",
        "\"5 \"",
        "\"-5\"",
        "\"\u{663}\"",
        "[]",
        "{}",
        "\"0\"",
        "-0.0",
        "\"1200.0\"",
    ] {
        let failure = with_expiry(written).unwrap_err();
        assert_eq!(failure.error.kind(), ErrorKind::BadResponse, "{written}");
    }
}

#[test]
fn a_missing_lifetime_is_short_and_causes_a_warning() {
    for body in [r#"{"access_token":"t"}"#, r#"{"access_token":"t","expires_in":null}"#] {
        let granted = token_answer(body).unwrap();
        assert_eq!(granted.lifetime, Duration::from_secs(60));
        assert_eq!(granted.warnings.len(), 1);
    }
}

#[test]
fn access_tokens_that_no_header_may_carry_are_refused() {
    for value in
        ["\"\"", "5", "null", "\"a b\"", "\"a\\r\\nX: y\"", "\"a\\u0000\"", "\"\u{e9}\"", "[]"]
    {
        let body = format!(r#"{{"access_token":{value},"expires_in":9}}"#);
        assert_eq!(refused(200, &body).0, ErrorKind::BadResponse, "{value}");
    }
    let long = format!(r#"{{"access_token":"{}","expires_in":9}}"#, "x".repeat(16 * 1024 + 1));
    assert_eq!(refused(200, &long).0, ErrorKind::BadResponse);
}

#[test]
fn an_unusual_but_safe_token_is_accepted_with_a_warning() {
    let granted = token_answer(r#"{"access_token":"a|b!","expires_in":9}"#).unwrap();
    assert_eq!(granted.warnings.len(), 1);
}

#[test]
fn the_token_type_is_bearer_in_any_case_or_missing() {
    for kind in ["\"Bearer\"", "\"bearer\"", "\"BEARER\"", "null"] {
        let body = format!(r#"{{"access_token":"t","expires_in":9,"token_type":{kind}}}"#);
        assert!(token_answer(&body).is_ok(), "{kind}");
    }
    for kind in ["\"DPoP\"", "\"mac\"", "\"\"", "7"] {
        let body = format!(r#"{{"access_token":"t","expires_in":9,"token_type":{kind}}}"#);
        assert_eq!(refused(200, &body).0, ErrorKind::BadResponse, "{kind}");
    }
}

#[test]
fn scopes_are_compared_as_sets() {
    let scope = |scope: &str, allow: bool| {
        let body = format!(r#"{{"access_token":"t","expires_in":9,"scope":{scope}}}"#);
        read_with(&answer(200, &body), allow)
    };
    assert!(scope("null", false).unwrap().warnings.is_empty());
    assert!(scope("\"b a\"", false).unwrap().warnings.is_empty());
    assert_eq!(scope("\"b c a\"", false).unwrap().warnings.len(), 1);
    assert_eq!(scope("[\"a\",\"b\"]", false).unwrap().warnings.len(), 1);
    for narrow in ["\"a\"", "\"\"", "[]"] {
        let failure = scope(narrow, false).unwrap_err();
        assert_eq!(
            (failure.error.kind(), failure.class),
            (ErrorKind::InvalidScope, Class::Terminal)
        );
        assert!(failure.error.message().contains('b'));
    }
    assert_eq!(scope("\"a\"", true).unwrap().scope, "a");
    for odd in ["5", "{}", "[1]", "\"a\\\"b\""] {
        assert_eq!(scope(odd, false).unwrap_err().error.kind(), ErrorKind::BadResponse, "{odd}");
    }
}

#[test]
fn bodies_other_than_one_json_object_are_refused() {
    for body in [
        "",
        "  ",
        "[]",
        "\"x\"",
        "null",
        r#"["t","Bearer",9,"a b",null,null]"#,
        r#"{"access_token":"t","expires_in":9}x"#,
        r#"{"access_token":"t","expires_in":9"#,
        r#"{"access_token":"t","access_token":"u","expires_in":9}"#,
        r#"{"access_token":"t","expires_in":9,"expires_in":9}"#,
        "<html><body>Please log in</body></html>",
    ] {
        assert_eq!(refused(200, body), (ErrorKind::BadResponse, Class::Transient), "{body}");
    }
    let mut bad_utf8 = answer(200, r#"{"access_token":"t","expires_in":9,"x":"?"}"#);
    let mark = bad_utf8.body.iter().position(|byte| *byte == b'?').unwrap();
    bad_utf8.body[mark] = 0xff;
    assert!(read_with(&bad_utf8, false).is_err());
}

#[test]
fn unknown_members_and_a_refresh_token_are_ignored() {
    let body =
        r#"{"refresh_token":"r","x":{"deep":[1,2,{}]},"expires_in":9,"access_token":"t","x":1}"#;
    assert!(token_answer(body).is_ok());
}

#[test]
fn the_table_of_failures_row_by_row() {
    use Class::*;
    use ErrorKind::*;
    let error = |code: &str| format!(r#"{{"error":"{code}"}}"#);
    for (status, body, kind, class) in [
        (429, String::new(), ErrorKind::RateLimited, Class::RateLimited),
        (429, error("invalid_client"), ErrorKind::RateLimited, Class::RateLimited),
        (400, error("invalid_client"), InvalidClient, Refused),
        (401, error("unauthorized_client"), InvalidClient, Refused),
        (401, String::new(), InvalidClient, Refused),
        (401, "<html>".to_owned(), InvalidClient, Refused),
        (401, error("invalid_scope"), InvalidScope, Terminal),
        (500, error("invalid_scope"), InvalidScope, Terminal),
        (400, error("unsupported_grant_type"), OAuth, Terminal),
        (400, error("invalid_request"), OAuth, Terminal),
        (400, error("invalid_grant"), OAuth, Terminal),
        (400, error("server_error"), Server, Transient),
        (400, error("temporarily_unavailable"), Server, Transient),
        (408, String::new(), Server, Transient),
        (425, String::new(), Server, Transient),
        (500, String::new(), Server, Transient),
        (503, String::new(), Server, Transient),
        (502, error("whatever"), Server, Transient),
        (400, error("scope_invalid"), OAuth, Transient),
        (200, error("whatever"), OAuth, Transient),
        (302, String::new(), BadResponse, Terminal),
        (403, String::new(), BadResponse, Transient),
        (404, "<html>".to_owned(), BadResponse, Transient),
        (404, String::new(), BadResponse, Transient),
        (404, error("Not Found"), BadResponse, Transient),
        (404, error("access_denied"), BadResponse, Transient),
        (405, error("Method Not Allowed"), BadResponse, Transient),
        (404, error("invalid_client"), InvalidClient, Refused),
        (405, error("invalid_request"), OAuth, Terminal),
        (404, error("temporarily_unavailable"), Server, Transient),
        (401, r#"{"error":{"code":401}}"#.to_owned(), BadResponse, Transient),
        (401, r#"{"error":true}"#.to_owned(), BadResponse, Transient),
        (401, r#"{"error":null}"#.to_owned(), InvalidClient, Refused),
        (401, error(""), InvalidClient, Refused),
        (401, error("Unauthorized"), OAuth, Transient),
        (201, r#"{"access_token":"t","expires_in":9}"#.to_owned(), BadResponse, Transient),
        (400, r#"{"error":{"code":5}}"#.to_owned(), BadResponse, Transient),
        (400, r#"{"title":"problem"}"#.to_owned(), BadResponse, Transient),
    ] {
        assert_eq!(refused(status, &body), (kind, class), "{status} {body}");
    }
}

#[test]
fn a_503_with_a_wait_is_a_rate_limit_and_a_long_wait_is_cut() {
    let mut limited = answer(503, "");
    limited.retry_after = Some(Duration::from_secs(5000));
    let failure = read_with(&limited, false).unwrap_err();
    assert_eq!(failure.class, Class::RateLimited);
    assert_eq!(failure.retry_after, Some(Duration::from_secs(900)));
    assert_eq!(failure.error.retry_after(), Some(Duration::from_secs(900)));
}

#[test]
fn a_reflected_secret_is_not_repeated() {
    let body = r#"{"error":"invalid_client","error_description":"hush-hush is wrong\u001b[0m"}"#;
    let failure = read_with(&answer(400, body), false).unwrap_err();
    assert!(!failure.error.message().contains("hush"));
    assert!(!failure.error.message().contains('\u{1b}'));
    assert_eq!(failure.error.oauth_code(), Some("invalid_client"));
    let body = r#"{"error":"hush-hush"}"#;
    let failure = read_with(&answer(400, body), false).unwrap_err();
    assert_eq!(failure.error.oauth_code(), Some("[removed]"));
}

/// The error for a failure, with a secret, a parameter and a token that must not be seen.
fn error_for(answer: &HttpAnswer) -> Error {
    let options =
        Options { params: vec![("key".to_owned(), "par am/1".to_owned())], ..Options::default() };
    read_by(answer, &options, "hush~hush/1", "a b").unwrap_err().error
}

#[test]
fn a_text_with_a_piece_of_a_secret_is_replaced_by_a_note() {
    for text in [
        "hush%7ehush/1 is wrong",
        "%68ush~hush%2F1 is wrong",
        r"hush~hush\\/1 is wrong",
        r"hush~hush\/2 is wrong",
        "~hush%2F is wrong",
        "par%20a%6d%2f1 is wrong",
        "aHVzaH5odXNoLzE= is wrong",
    ] {
        let body = format!(r#"{{"error":"invalid_client","error_description":"{text}"}}"#);
        let error = error_for(&answer(400, &body));
        let message = error.message();
        assert!(message.contains("invalid_client"), "{message}");
        assert!(!message.contains("is wrong"), "{message}");
        assert!(
            message.contains("the server's text is not shown: it may hold a secret"),
            "{message}"
        );
        let body = format!(r#"{{"error":"{text}"}}"#);
        let error = error_for(&answer(400, &body));
        assert_eq!(error.oauth_code(), Some("[removed]"));
        assert!(error.message().contains("is not shown"), "{error}");
        let body = format!(r#"{{"access_token":"t","token_type":"{text}"}}"#);
        assert!(error_for(&answer(200, &body)).message().contains("is not shown"), "{text}");
        let mut redirect = answer(307, "");
        redirect.location = Some(format!("https://{}", text.replace(' ', "-")));
        assert!(error_for(&redirect).message().contains("is not shown"), "{text}");
    }
    let body = r#"{"access_token":"tok~en/123456","token_type":"tok%7Een"}"#;
    assert!(error_for(&answer(200, body)).message().contains("is not shown"));
}

#[test]
fn a_registered_code_is_shown_whatever_the_secret_is() {
    let body = r#"{"error":"invalid_client","error_description":"invalid client"}"#;
    let read = read_by(&answer(400, body), &Options::default(), "my-invalid_client-secret", "a");
    let failure = read.unwrap_err();
    assert_eq!(failure.error.oauth_code(), Some("invalid_client"));
    assert!(failure.error.message().contains(": invalid_client (the server's text is not shown"));
}

#[test]
fn requested_scopes_are_shown_and_others_only_without_a_secret() {
    let granted = |asked: &str, scope: &str| {
        let body = format!(r#"{{"access_token":"the-token","expires_in":9,"scope":{scope}}}"#);
        read_by(&answer(200, &body), &Options::default(), "hush/hush.a.view", asked).unwrap()
    };
    // The requested scopes are the program's own text.
    let own = granted("a.view", r#""a.view""#);
    assert_eq!((own.scope.as_str(), own.warnings.len()), ("a.view", 0));
    let more = granted("b", r#""b c.read""#);
    assert_eq!((more.scope.as_str(), more.warnings.len()), ("b c.read", 1));
    assert!(more.warnings[0].ends_with("c.read"));
    for scope in [
        r#""b hush/hush.a.view""#,
        r#""c HUSH/HUSH b""#,
        r#""b hush%2Fhush""#,
        r#""b aHVzaC9odXNo""#,
        r#"["hush/", "b", "hush"]"#,
        r#""the-token b""#,
        r#""the%2Dtoken b""#,
    ] {
        let hidden = granted("b", scope);
        assert_eq!(hidden.scope, "b", "{scope}");
        let warning = hidden.warnings.last().unwrap();
        assert!(
            warning.contains("more was granted") && warning.contains("is not shown"),
            "{warning}"
        );
        assert!(!warning.to_lowercase().contains("hush"), "{warning}");
    }
}

#[test]
fn a_redirect_names_its_target_and_is_not_retryable() {
    let mut redirect = answer(307, "");
    redirect.location = Some("https://trap.example".to_owned());
    let error = read_with(&redirect, false).unwrap_err().error;
    assert!(error.message().contains("https://trap.example"));
    assert!(!error.is_retryable());
}

#[test]
fn a_3xx_without_a_location_is_no_redirect() {
    for status in [300, 304, 307] {
        let failure = read_with(&answer(status, ""), false).unwrap_err();
        assert_eq!(failure.class, Class::Terminal);
        assert_eq!(failure.error.kind(), ErrorKind::BadResponse);
        let told = failure.error.message();
        assert!(told.contains("names no other place") && !told.contains("redirect"), "{told}");
    }
}

#[test]
fn an_error_next_to_a_token_is_an_error() {
    let with = |error: &str| {
        let body = format!(r#"{{"access_token":"the-token","expires_in":9,"error":{error}}}"#);
        read_with(&answer(200, &body), false)
    };
    for (error, kind, class) in [
        ("invalid_client", ErrorKind::InvalidClient, Class::Refused),
        ("invalid_scope", ErrorKind::InvalidScope, Class::Terminal),
        ("invalid_request", ErrorKind::OAuth, Class::Terminal),
        ("temporarily_unavailable", ErrorKind::Server, Class::Transient),
        ("whatever", ErrorKind::OAuth, Class::Transient),
    ] {
        let failure = with(&format!("\"{error}\"")).unwrap_err();
        assert_eq!((failure.error.kind(), failure.class), (kind, class), "{error}");
        assert_eq!(failure.error.oauth_code(), Some(error));
    }
    let body = r#"{"access_token":"the-token","error":"odd","error_description":"the-token"}"#;
    assert!(!said(200, body).contains("the-token"));
    for none in ["null", "\"\"", "false", "0", "{}"] {
        assert_eq!(with(none).unwrap().value.reveal(), "the-token", "{none}");
    }
}

#[test]
fn a_byte_order_mark_is_skipped() {
    let body = "\u{feff}{\"access_token\":\"t\",\"expires_in\":9}";
    assert_eq!(token_answer(body).unwrap().value.reveal(), "t");
    assert_eq!(refused(400, "\u{feff} {\"error\":\"invalid_client\"}").0, ErrorKind::InvalidClient);
    for body in ["\u{feff}", "\u{feff}\u{feff}{\"access_token\":\"t\",\"expires_in\":9}"] {
        assert_eq!(refused(200, body).0, ErrorKind::BadResponse);
    }
}

#[test]
fn a_wrong_path_is_named_without_its_query_and_token_url_first() {
    let options = Options {
        token_url: TokenUrl::parse("https://auth.example/tokens/v3?tenant=hidden").unwrap(),
        ..Options::default()
    };
    for (status, body) in [
        (404, ""),
        (405, "<html>no</html>"),
        (404, r#"{"status":404,"error":"Not Found","path":"/tokens/v3"}"#),
        (401, r#"{"error":{"code":401,"message":"hidden"}}"#),
        (400, r#"{"error":{"code":5}}"#),
    ] {
        let read = read_by(&answer(status, body), &options, "hush-hush", "a");
        let error = read.unwrap_err().error;
        assert_eq!(
            error.message(),
            format!(
                "https://auth.example does not answer as a token endpoint at /tokens/v3 (status \
                 {status}). Check token_url first; if that is right, API Tokens v2 may not be \
                 enabled for the account"
            ),
            "{body}"
        );
        assert_eq!((error.oauth_code(), error.http_status()), (None, Some(status)));
        assert!(error.is_retryable());
    }
}

#[test]
fn an_error_about_scopes_names_the_requested_ones() {
    for body in [
        r#"{"error":"invalid_scope"}"#,
        r#"{"error":"scope_invalid"}"#,
        r#"{"error":"InsufficientScope"}"#,
        r#"{"error":"access_denied","error_description":"Client has not been granted Scopes"}"#,
        r#"{"error":"invalid_request","error_description":"unknown scope"}"#,
    ] {
        assert!(said(400, body).contains("(asked for: a b)"), "{body}: {}", said(400, body));
    }
    assert!(!said(400, r#"{"error":"access_denied"}"#).contains("asked for"));
}

#[test]
fn a_refusal_reports_what_looks_wrong_in_the_credentials() {
    let told = |status: u16, body: &str| {
        let read = read_by(&answer(status, body), &Options::default(), "'hush-Hush9'", "a,b");
        let error = read.unwrap_err().error;
        assert!(!error.message().contains("ush"), "{error}");
        error.message().to_owned()
    };
    for (status, body) in [
        (401, ""),
        (403, ""),
        (401, r#"{"error":"invalid_client"}"#),
        (401, r#"{"error":"unauthorized_client"}"#),
        (400, r#"{"error":"invalid_scope"}"#),
        (400, r#"{"error":"invalid_request"}"#),
        (400, r#"{"error":"scope_invalid"}"#),
        (200, r#"{"access_token":"t","expires_in":9,"scope":""}"#),
    ] {
        let told = told(status, body);
        for remark in [
            "the secret begins and ends with a quote",
            "the scope has a comma: scopes are separated by blanks",
        ] {
            assert!(told.contains(remark), "{status} {body}: {told}");
        }
    }
    for (status, body) in [(500, ""), (404, ""), (429, ""), (200, ""), (302, "")] {
        assert!(!told(status, body).contains("quote"), "{status}: it was not refused");
    }
}

#[test]
fn refused_credentials_get_advice_about_client_auth() {
    let told = |url: &str, client_auth: ClientAuth, secret: &str, status: u16, body: &str| {
        let token_url = TokenUrl::parse(url).unwrap();
        let options = Options { token_url, client_auth, ..Options::default() };
        let read = read_by(&answer(status, body), &options, secret, "a");
        read.unwrap_err().error.message().to_owned()
    };
    let (other, service) = ("https://auth.example/token", "https://auth.trackunit.com/token/v2");
    let refused = r#"{"error":"invalid_client"}"#;
    for (status, body) in [(400, refused), (401, "")] {
        let post = told(other, ClientAuth::Post, "plain", status, body);
        assert!(post.ends_with(". Some servers want client_auth=basic"), "{post}");
        let basic = told(other, ClientAuth::Basic, "plain", status, body);
        assert!(basic.ends_with(". Some servers want client_auth=post"), "{basic}");
        for secret in ["pl+ain", "pl ain", "pl/ain", "pl\u{e9}in"] {
            let changed = told(other, ClientAuth::Basic, secret, status, body);
            assert!(changed.contains("form-encoding"), "{changed}");
            assert!(changed.ends_with("try client_auth=post"), "{changed}");
        }
        // How the service takes them is known.
        assert!(!told(service, ClientAuth::Post, "plain", status, body).contains("client_auth"));
        assert!(told(service, ClientAuth::Basic, "plain", status, body).contains("=post"));
    }
    let unauthorized = r#"{"error":"unauthorized_client"}"#;
    assert!(!told(other, ClientAuth::Post, "plain", 400, unauthorized).contains("client_auth"));
}

#[test]
fn a_response_without_a_token_says_where_to_look() {
    assert!(said(200, "").ends_with("is empty. Check token_url"));
    assert!(said(200, "{}").ends_with("Check token_url"));
    assert!(said(418, "").ends_with("has status 418 without an OAuth error. Check token_url"));
    assert!(said(200, "<html>").ends_with("is a captive portal or a proxy in the way?"));
    let broken = said(200, r#"{"access_token":"t","expires_in":0}"#);
    assert!(broken.ends_with(". The server's operator has to fix that"), "{broken}");
}

/// As serde_json presents them if a program's build enables its `arbitrary_precision`.
#[cfg(not(feature = "capi"))]
#[test]
fn numbers_that_come_as_their_text_are_read() {
    use serde::de::value::{Error, MapDeserializer};
    let seconds_of = |digits: &str| {
        let members = [(DIGITS, digits)].into_iter();
        let value = Value::deserialize(MapDeserializer::<_, Error>::new(members)).unwrap();
        whole_seconds(&value)
    };
    for (digits, seconds) in [
        ("1200", Some(1200)),
        ("1200.9", Some(1200)),
        ("1.2e3", Some(1200)),
        ("18446744073709551616", Some(u64::MAX)),
        ("-1", None),
        ("0.5", None),
        ("text", None),
    ] {
        assert_eq!(seconds_of(digits), seconds, "{digits}");
    }
}
