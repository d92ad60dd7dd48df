//! The token endpoint over a real connection.

mod common;

use std::process::Command;

use common::{FORM, form, post, send, token};
use tu_token_emulator::{Emulator, NewKey, Readings};

const INVALID_SCOPE: &str = "{\n  \"error\": \"invalid_scope\",\n  \"error_description\": \"Requested scope is not allowed for this API Key.\"\n}";

fn emulator() -> Emulator {
    Emulator::start().expect("an emulator")
}

#[test]
fn a_token_comes_in_the_documented_shape() {
    let emulator = emulator();
    let answer = post(&emulator, &form(emulator.demo_key(), "scope2 scope1"));
    let expected = format!(
        "{{\n  \"token_type\": \"Bearer\",\n  \"expires_in\": 1200,\n  \"access_token\": \"{}\",\n  \"scope\": \"scope2 scope1\"\n}}",
        answer.member("access_token")
    );
    assert_eq!((answer.status, &answer.body), (200, &expected));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("pragma"), Some("no-cache"));
    assert!(answer.header("access-control-allow-origin").is_none());
    assert_ne!(answer.member("access_token"), token(&emulator, "scope2 scope1"));
}

#[test]
fn a_scope_that_is_not_allowed_gets_the_documented_body() {
    let emulator = emulator();
    for scope in ["site.update", "asset.view site.update", ""] {
        let answer = post(&emulator, &form(emulator.demo_key(), scope));
        assert_eq!((answer.status, answer.body.as_str()), (400, INVALID_SCOPE));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

#[test]
fn unknown_wrong_and_revoked_credentials_look_the_same() {
    let emulator = emulator();
    let good = form(emulator.demo_key(), "asset.view");
    let gone = emulator.create_key(NewKey::new("gone", "asset.view")).expect("a key");
    emulator.revoke(&gone.client_id).expect("revoked");
    let bodies = [
        good.replace("client_id=", "client_id=x"),
        good.replace("client_secret=", "client_secret=x"),
        form(&gone, "asset.view"),
    ];
    let answers = bodies.map(|body| post(&emulator, &body));
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (401, &answers[0].body));
        assert_eq!(answer.member("error"), "invalid_client");
        assert_eq!(answer.header("www-authenticate"), None);
    }
    let readings = Readings { invalid_client_status: 400, ..Readings::default() };
    let lenient = Emulator::builder().readings(readings);
    let answer = post(&lenient.start().expect("an emulator"), &good);
    assert_eq!((answer.status, &answer.body), (400, &answers[0].body));
}

#[test]
fn malformed_requests_and_other_grants_are_told_apart() {
    let emulator = emulator();
    let good = form(emulator.demo_key(), "asset.view");
    let cases = [
        (good.replace("client_credentials", "refresh_token"), "unsupported_grant_type"),
        (good.replace("client_credentials", "password"), "unsupported_grant_type"),
        (good.replace("grant_type", "other"), "invalid_request"),
        (format!("{good}&scope=asset.view"), "invalid_request"),
        (format!("{good}&x=%G1"), "invalid_request"),
        (format!("{good}&x=%FF"), "invalid_request"),
    ];
    for (body, error) in cases {
        let answer = post(&emulator, &body);
        assert_eq!((answer.status, answer.member("error").as_str()), (400, error), "{body}");
    }
    for headers in [&[("content-type", "application/json")][..], &[]] {
        let answer = send("POST", &emulator.token_url(), headers, &good);
        assert_eq!((answer.status, answer.member("error").as_str()), (400, "invalid_request"));
    }
    let url = format!("{}?client_secret=x", emulator.token_url());
    let answer = send("POST", &url, &[("content-type", FORM)], &good);
    assert_eq!(answer.member("error"), "invalid_request");
}

#[test]
fn basic_works_and_names_its_scheme_when_it_fails() {
    // The pair and its encoding are a published test vector.
    const ID: &str = "1PpG/Q 1";
    const SECRET: &str = "z/tZ9VwFZqApmIQ+ZH1I5pLk/uB4ud:X2/8bL+wfFTt1rFw=";
    const HEADER: &str = "Basic MVBwRyUyRlErMTp6JTJGdFo5VndGWnFBcG1JUSUyQlpIMUk1cExrJTJGdUI0dWQlM0FYMiUyRjhiTCUyQndmRlR0MXJGdyUzRA==";
    let demo = NewKey::new("demo", "a").client_id(ID).client_secret(SECRET);
    let emulator = Emulator::builder().demo_key(demo).start().expect("an emulator");
    let rest = "grant_type=client_credentials&scope=a";
    let ask = |header: &str, body: &str| {
        send(
            "POST",
            &emulator.token_url(),
            &[("content-type", FORM), ("authorization", header)],
            body,
        )
    };
    assert_eq!(ask(HEADER, rest).status, 200);
    let wrong = ask("Basic eDp5", rest);
    assert_eq!((wrong.status, wrong.member("error").as_str()), (401, "invalid_client"));
    assert!(wrong.header("www-authenticate").is_some_and(|value| value.starts_with("Basic ")));
    let both = ask(HEADER, &format!("{rest}&client_id=x&client_secret=y"));
    assert_eq!((both.status, both.member("error").as_str()), (400, "invalid_request"));
}

#[test]
fn post_is_the_only_method() {
    let emulator = emulator();
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "PROPFIND"] {
        let answer = send(method, &emulator.token_url(), &[], "");
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method}");
    }
}

#[test]
fn neighbouring_paths_are_not_there() {
    let emulator = emulator();
    for path in ["/token", "/apptoken", "/token/v2/", "/token/v1", "/token/apptoken", "/index.html"]
    {
        let url = format!("{}{path}", emulator.url());
        let answer =
            send("POST", &url, &[("content-type", FORM)], &form(emulator.demo_key(), "asset.view"));
        assert_eq!(answer.status, 404, "{path}");
    }
    assert_eq!(emulator.token_requests(), 1, "/token/v2/ alone is near enough to count");
}

#[test]
fn keys_are_made_rotated_and_revoked_while_it_runs() {
    let emulator = Emulator::builder().max_keys(2).start().expect("an emulator");
    let key = emulator.create_key(NewKey::new("second", "a b")).expect("a key");
    assert!(emulator.create_key(NewKey::new("third", "a")).is_err());
    assert_eq!(post(&emulator, &form(&key, "b")).status, 200);
    let rotated = emulator.rotate(&key.client_id).expect("rotated");
    assert_eq!(post(&emulator, &form(&key, "b")).status, 401);
    assert_eq!(post(&emulator, &form(&rotated, "b")).status, 200);
    emulator.revoke(&key.client_id).expect("revoked");
    assert_eq!(post(&emulator, &form(&rotated, "b")).status, 401);
}

#[test]
fn the_documented_curl_command_works_unchanged() {
    let emulator = emulator();
    let key = emulator.demo_key();
    let output = Command::new("curl")
        .args(["--silent", "--noproxy", "*", "--location", &emulator.token_url()])
        .args(["--header", "Content-Type: application/x-www-form-urlencoded"])
        .args(["--data-urlencode", "grant_type=client_credentials"])
        .args(["--data-urlencode", &format!("client_id={}", key.client_id)])
        .args(["--data-urlencode", &format!("client_secret={}", key.client_secret)])
        .args(["--data-urlencode", "scope=scope1 scope2"])
        .output();
    match output {
        Ok(output) => {
            let text = String::from_utf8(output.stdout).expect("text");
            assert!(text.starts_with("{\n  \"token_type\": \"Bearer\","), "{text}");
            assert!(text.ends_with("\"scope\": \"scope1 scope2\"\n}"), "{text}");
        }
        Err(error) => eprintln!("no curl here, nothing tested: {error}"),
    }
}
