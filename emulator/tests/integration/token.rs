//! The token endpoint over a real connection: behaviour that the service's documentation leaves open.

use crate::common::{FORM, form, post, send};
use tu_token_emulator::{Emulator, NewKey};

fn emulator() -> Emulator {
    Emulator::start().expect("an emulator")
}

#[test]
fn malformed_requests_and_other_grants_are_distinguished() {
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
    // The credentials and their encoding are a published test vector.
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
