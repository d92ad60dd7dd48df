//! Refusals, and what must not be in them.

use super::*;

#[test]
fn an_invalid_client_learns_no_details() {
    let emulator = emulator();
    let demo = emulator.demo_key();
    let gone = create(&emulator, "gone", "asset.view");
    emulator.revoke(&gone.client_id).expect("revoked");
    let unknown = IssuedKey { client_id: "unknown".to_owned(), ..demo.clone() };
    let answers =
        [unknown, spoilt(demo), gone].map(|key| post(&emulator, &form(&key, "asset.view")));
    for answer in &answers {
        assert_error(answer, 401, "invalid_client");
        assert_eq!((&answer.body, answer.header("www-authenticate")), (&answers[0].body, None));
    }
    let readings = Readings { invalid_client_status: 400, ..Readings::default() };
    let lenient = Emulator::builder().readings(readings).start().expect("an emulator");
    let answer = post(&lenient, &form(&spoilt(lenient.demo_key()), "asset.view"));
    assert_eq!((answer.status, &answer.body), (400, &answers[0].body));
}

#[test]
fn guessing_a_secret_is_slow() {
    let emulator = emulator();
    let (demo, other) = (emulator.demo_key(), create(&emulator, "other", "asset.view"));
    let (wrong, good) = (form(&spoilt(demo), "asset.view"), form(demo, "asset.view"));
    let took = |body: &str| {
        let from = std::time::Instant::now();
        (post(&emulator, body).status, from.elapsed() >= Duration::from_millis(250))
    };
    for _ in 0..100 {
        assert_eq!(post(&emulator, &wrong).status, 401);
    }
    assert_eq!(took(&wrong), (401, true), "the 101st in a row");
    assert_eq!(post(&emulator, &form(&spoilt(&other), "asset.view")).status, 401);
    assert_eq!(post(&emulator, &good).status, 200, "who knows it is let in");
}

#[test]
fn a_scope_that_is_not_allowed_gets_invalid_scope_and_no_token() {
    const BODY: &str = "{\n  \"error\": \"invalid_scope\",\n  \"error_description\": \"Requested scope is not allowed for this API Key.\"\n}";
    let emulator = emulator();
    for scope in ["site.update", "asset.view site.update", "site.update asset.view"] {
        let answer = post(&emulator, &form(emulator.demo_key(), scope));
        assert_eq!((answer.status, answer.body.as_str()), (400, BODY));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    assert_eq!(emulator.keys()[0].tokens_minted, 0);
}

#[test]
fn any_other_grant_type_is_unsupported() {
    let emulator = emulator();
    let good = form(emulator.demo_key(), "asset.view");
    for grant in ["password", "authorization_code", "CLIENT_CREDENTIALS", "client_credentials+"] {
        let body = good.replace("client_credentials", grant);
        assert_error(&post(&emulator, &body), 400, "unsupported_grant_type");
    }
    let without = good.replace("grant_type=client_credentials&", "");
    assert_error(&post(&emulator, &without), 400, "invalid_request");
}

#[test]
fn errors_may_be_others_than_the_documented_ones() {
    let emulator = emulator();
    emulator.faults([Fault::error("out_of_coffee").once()]).expect("taken");
    let answer = post(&emulator, &form(emulator.demo_key(), "asset.view"));
    assert_error(&answer, 400, "out_of_coffee");
}

#[test]
fn secrets_are_in_no_log() {
    let emulator = emulator();
    let key = emulator.demo_key();
    let minted = token(&emulator, "asset.view");
    get(&emulator, ASSETS, &minted);
    post(&emulator, &form(&spoilt(key), "asset.view"));
    let log = format!("{:?}{emulator:?}{key:?}", emulator.journal());
    assert!(log.contains(&key.client_id), "the log tells who asked");
    assert!(!log.contains(&key.client_secret) && !log.contains(&minted), "{log}");
}
