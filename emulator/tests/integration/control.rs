//! Clock, faults and journal, through HTTP and the Rust API.

mod combinations;

use std::time::{Duration, Instant};

use crate::common::{control, form, get, post, raw, raw_token_request, send, token, try_send};
use tu_token_emulator::serde_json::{Value, from_str, json};
use tu_token_emulator::{Emulator, Fault, Narrow};

fn emulator() -> Emulator {
    Emulator::start().expect("an emulator")
}

/// One token request with the demo key.
fn ask(emulator: &Emulator) -> crate::common::Answer {
    post(emulator, &form(emulator.demo_key(), "asset.view site.view"))
}

fn switch_on(emulator: &Emulator, fault: &str) {
    let answer = control(emulator, "POST", "faults", fault);
    assert_eq!(answer.status, 201, "{}", answer.body);
}

#[test]
fn the_clock_is_advanced_by_a_request() {
    let emulator = emulator();
    let good = token(&emulator, "asset.view");
    let answer = control(&emulator, "POST", "clock", r#"{"advance":"19m"}"#);
    let value: Value = from_str(&answer.body).expect("JSON");
    assert_eq!(
        (answer.status, &value["offset_ms"], &value["offset"]),
        (200, &json!(1_140_000), &json!("19m"))
    );
    assert_eq!(get(&emulator, "/api/asset/v2/assets", &good).status, 200);
    control(&emulator, "POST", "clock", r#"{"advance":60}"#);
    assert_eq!(get(&emulator, "/api/asset/v2/assets", &good).status, 401);
    assert!(control(&emulator, "GET", "clock", "").body.contains("\"offset_ms\":1200000"));
    for (wrong, reason) in [
        ("{}", "missing field `advance`"),
        (r#"{"advance":"soon"}"#, "not a duration"),
        (r#"{"advance":-1}"#, "not a duration"),
        (r#"{"advance":"101y"}"#, "hundred years"),
        (r#"{"advance":1,"x":1}"#, "unknown field `x`"),
        ("soon", "expected value"),
    ] {
        let answer = control(&emulator, "POST", "clock", wrong);
        assert!(answer.status == 400 && answer.body.contains(reason), "{wrong}: {}", answer.body);
    }
}

#[test]
fn answers_can_be_replaced() {
    let emulator = emulator();
    let faults = r#"[
        {"status": 503, "count": 1},
        {"retry_after": 7, "count": 1},
        {"status": 503, "retry_after": "Fri, 31 Dec 1999 23:59:59 GMT", "count": 1},
        {"error": "server_error", "error_description": "why", "status": 500, "count": 1},
        {"error": "invented", "count": 1},
        {"error": "invalid_client", "count": 1},
        {"html": true, "count": 1},
        {"status": 404, "html": true, "count": 1},
        {"body": "{\"access_token\":", "count": 1},
        {"body": "x", "content_type": "", "count": 1},
        {"status": 307, "headers": {"Location": "http://127.0.0.1:9/trap"}, "count": 1},
        {"headers": {"X-Odd": "yes"}, "count": 1}
    ]"#;
    switch_on(&emulator, faults);
    let answers: Vec<_> = (0..13).map(|_| ask(&emulator)).collect();
    let seen: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(seen, [503, 429, 503, 500, 400, 401, 200, 404, 200, 200, 307, 200, 200]);
    assert_eq!((answers[0].body.as_str(), answers[0].header("content-type")), ("", None));
    assert_eq!(answers[1].header("retry-after"), Some("7"));
    assert_eq!(answers[2].header("retry-after"), Some("Fri, 31 Dec 1999 23:59:59 GMT"));
    assert_eq!(
        answers[3].body,
        "{\n  \"error\": \"server_error\",\n  \"error_description\": \"why\"\n}"
    );
    assert_eq!(answers[4].body, "{\n  \"error\": \"invented\"\n}");
    assert!(answers[6].body.starts_with("<!DOCTYPE html>"));
    assert_eq!(answers[6].header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answers[8].body, "{\"access_token\":");
    assert_eq!((answers[9].body.as_str(), answers[9].header("content-type")), ("x", None));
    assert_eq!(answers[10].header("location"), Some("http://127.0.0.1:9/trap"));
    assert_eq!(answers[11].header("x-odd"), Some("yes"));
    assert!(answers[12].header("x-odd").is_none() && answers[12].body.contains("access_token"));
    assert!(emulator.waiting_faults().is_empty());
}

#[test]
fn token_responses_can_be_changed() {
    let emulator = emulator();
    emulator
        .faults([
            Fault { narrow: Some(Narrow::Last), ..Fault::default() }.once(),
            Fault {
                expires_in: Some(json!("1200")),
                omit: vec!["scope".into()],
                ..Fault::default()
            }
            .once(),
            Fault { same_token: true, ..Fault::default() }.times(2),
        ])
        .expect("taken");
    let narrowed = ask(&emulator);
    assert_eq!(narrowed.member("scope"), "asset.view");
    let odd = ask(&emulator);
    assert!(
        odd.body.contains("\"expires_in\": \"1200\"") && !odd.body.contains("scope"),
        "{}",
        odd.body
    );
    emulator.advance(Duration::from_secs(100));
    let again = ask(&emulator);
    assert_eq!(again.member("access_token"), odd.member("access_token"));
    assert!(again.body.contains("\"expires_in\": 1099,"), "{}", again.body);
    assert_eq!(ask(&emulator).member("access_token"), odd.member("access_token"));
    assert_ne!(ask(&emulator).member("access_token"), odd.member("access_token"));
}

#[test]
fn connections_can_be_cut_and_reset() {
    let emulator = emulator();
    emulator
        .faults([Fault::cut().once(), Fault { status: Some(500), ..Fault::cut() }.once()])
        .expect("taken");
    let request = raw_token_request(&emulator, "localhost", "");
    let answer = raw(&emulator, request.as_bytes()).expect("an orderly end");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let announced: usize = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned)
        })
        .and_then(|value| value.parse().ok())
        .expect("a length");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(!body.is_empty() && body.len() < announced, "{} of {announced}", body.len());
    let answer = raw(&emulator, request.as_bytes()).expect("an orderly end");
    assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
    assert!(answer.contains("content-length: 1\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");

    emulator.faults([Fault::reset().once()]).expect("taken");
    let error = raw(&emulator, request.as_bytes()).expect_err("no answer");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    emulator.faults([Fault::reset().once()]).expect("taken");
    assert!(
        try_send("POST", &emulator.token_url(), &[("content-type", crate::common::FORM)], "x=y")
            .is_err()
    );
    let outcomes: Vec<_> =
        emulator.journal().into_iter().map(|entry| (entry.outcome, entry.status)).collect();
    assert_eq!(
        outcomes,
        [("cut", Some(200)), ("cut", Some(500)), ("reset", None), ("reset", None)]
    );
    assert_eq!(ask(&emulator).status, 200);
}

#[test]
fn impossible_faults_are_refused_and_not_counted() {
    let emulator = emulator();
    for fault in [
        r#"{"status":204,"cut":true}"#,
        r#"{"status":304,"cut":true,"count":1}"#,
        r#"{"status":304,"html":true}"#,
        r#"{"status":204,"body":"x"}"#,
        r#"{"reset":true,"status":500}"#,
        r#"{"status":503,"expires_in":3}"#,
    ] {
        let answer = control(&emulator, "POST", "faults", fault);
        assert_eq!(answer.status, 400, "{fault}: {}", answer.body);
    }
    assert!(emulator.waiting_faults().is_empty());
    switch_on(&emulator, r#"{"route":"/api","cut":true}"#);
    let url = format!("{}/api/asset/v2/assets", emulator.url());
    assert_eq!(send("HEAD", &url, &[], "").status, 401);
    assert!(try_send("GET", &url, &[], "").is_err());
    let outcomes: Vec<_> = emulator.journal().iter().map(|entry| entry.outcome).collect();
    assert_eq!(outcomes, ["no_token", "cut"]);
    assert_eq!(ask(&emulator).status, 200);
}

#[test]
fn a_list_with_too_little_room_changes_nothing() {
    let emulator = emulator();
    emulator.faults(vec![Fault::status(500).on("/x"); 9_998]).expect("taken");
    let ten = format!("[{}]", [r#"{"route":"/y","status":500}"#; 10].join(","));
    let answer = control(&emulator, "POST", "faults", &ten);
    assert!(answer.status == 400 && answer.body.contains("no room"), "{}", answer.body);
    assert_eq!(emulator.waiting_faults().len(), 9_998);
}

#[test]
fn a_held_request_counts_and_continues_when_the_faults_are_cleared() {
    let emulator = emulator();
    emulator.faults([Fault::delay(Duration::from_secs(3600))]).expect("taken");
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| ask(&emulator));
        while emulator.token_requests() == 0 || emulator.journal()[0].fault.is_none() {
            std::thread::yield_now();
        }
        assert_eq!(
            (emulator.journal()[0].outcome, emulator.journal()[0].status),
            ("unanswered", None)
        );
        assert_eq!(control(&emulator, "DELETE", "faults", "").body, "{\"faults\":[]}");
        assert_eq!(answer.join().expect("an answer").status, 200);
    });
    assert!(begun.elapsed() < Duration::from_secs(60));

    switch_on(&emulator, r#"{"delay":"30ms","count":1}"#);
    let begun = Instant::now();
    ask(&emulator);
    assert!(begun.elapsed() >= Duration::from_millis(30));
}

#[test]
fn faults_have_a_route_and_a_list() {
    let emulator = emulator();
    switch_on(&emulator, r#"{"route":"/api","status":502}"#);
    switch_on(&emulator, r#"{"status":500,"count":2}"#);
    let good = get(&emulator, "/api/asset/v2/assets", "x");
    assert!(good.status == 502 && good.body.starts_with("{\"status\":502,"), "{}", good.body);
    assert_eq!(ask(&emulator).status, 500);
    assert_eq!(
        control(&emulator, "GET", "faults", "").body,
        r#"{"faults":[{"id":1,"left":null,"route":"/api","status":502},{"id":2,"left":1,"count":2,"status":500}]}"#
    );
    for (wrong, reason) in [
        (r#"{"stauts":500}"#, "unknown field `stauts`, expected one of `route`"),
        (r#"[{"status":500},{}]"#, "does nothing"),
        (r#"{"route":"/_emulator","status":500}"#, "emulator's own routes"),
        ("", "EOF"),
    ] {
        let answer = control(&emulator, "POST", "faults", wrong);
        assert!(answer.status == 400 && answer.body.contains(reason), "{wrong}: {}", answer.body);
    }
    assert_eq!(emulator.waiting_faults().len(), 2);
}

#[test]
fn the_journal_shows_everything_but_secrets() {
    let emulator = emulator();
    let key = emulator.demo_key();
    let minted = token(&emulator, "asset.view");
    token(&emulator, "asset.view");
    post(&emulator, &form(key, "site.update"));
    let swapped =
        form(key, "asset.view").replace("client_id", "x").replace("client_secret", "client_id");
    post(&emulator, &swapped);
    get(&emulator, "/api/asset/v2/assets", &minted);
    get(&emulator, &format!("/nowhere?secret={}", key.client_secret), "x");
    send("GET", &format!("{}/api/graphql/", emulator.url()), &[("user-agent", "me/1")], "");
    emulator.faults([Fault::status(503).once()]).expect("taken");
    post(&emulator, &form(key, "site.view"));

    let text = control(&emulator, "GET", "journal", "").body;
    assert!(!text.contains(&key.client_secret) && !text.contains(&minted), "{text}");
    let entries: Vec<Value> = from_str(&text).expect("JSON");
    let brief: Vec<_> = entries
        .iter()
        .map(|entry| {
            json!([
                entry["sequence"],
                entry["route"],
                entry["scope"],
                entry["status"],
                entry["outcome"],
                entry["fault"]
            ])
        })
        .collect();
    let assets = "/api/asset/v2/assets";
    let expected = [
        json!([1, "/token/v2", "asset.view", 200, "token", null]),
        json!([2, "/token/v2", "asset.view", 200, "token", null]),
        json!([3, "/token/v2", "site.update", 400, "invalid_scope", null]),
        json!([4, "/token/v2", "asset.view", 401, "invalid_client", null]),
        json!([5, assets, "asset.view", 200, "ok", null]),
        json!([6, "/nowhere", null, 404, "not_found", null]),
        json!([7, "/api/graphql/", null, 405, "method_not_allowed", null]),
        json!([8, "/token/v2", "site.view", 503, "fault", 1]),
    ];
    assert_eq!(brief, expected);
    for (at, id) in [
        (0, json!(key.client_id)),
        (3, json!(null)),
        (4, json!(key.client_id)),
        (7, json!(key.client_id)),
    ] {
        assert_eq!(entries[at]["client_id"], id, "{at}");
    }
    assert_eq!(entries[6]["user_agent"], "me/1");
    let print = |at: usize| entries[at]["body_fingerprint"].as_str().unwrap_or_default().to_owned();
    assert!(
        print(0).len() == 16 && print(0) == print(1) && print(0) != print(2) && print(4).is_empty()
    );

    let tokens: Vec<Value> =
        from_str(&control(&emulator, "GET", "journal?route=/token/v2", "").body).expect("JSON");
    assert_eq!(tokens.len(), 5);
    assert_eq!(control(&emulator, "GET", "count?route=/token/v2", "").body, "5\n");
    assert_eq!(control(&emulator, "GET", "count?route=token", "").body, "5\n");
    assert_eq!(control(&emulator, "GET", "count", "").body, "8\n");
    assert_eq!((emulator.token_requests(), emulator.requests("/api")), (5, 2));
    let part = control(&emulator, "GET", "journal?route=token&after=1&limit=2", "").body;
    let part: Vec<Value> = from_str(&part).expect("JSON");
    assert_eq!(part.iter().map(|entry| &entry["sequence"]).collect::<Vec<_>>(), [2, 3]);
    for (wrong, reason) in [
        ("rout=x", "unknown parameter"),
        ("route=api", "the beginning of a path"),
        ("route=Token", "the beginning of a path"),
        ("route=", "the beginning of a path"),
        ("route=/api/asset/v2/assets?size=1", "without a query"),
        ("route=/api-keys", "own routes"),
        ("route=/_emulator", "own routes"),
        ("route=/a%20b", "percent-encoded"),
        ("route=/api&route=token", "given twice"),
    ] {
        for list in ["count", "journal"] {
            let answer = control(&emulator, "GET", &format!("{list}?{wrong}"), "");
            assert!(answer.status == 400 && answer.body.contains(reason), "{list}?{wrong}");
            assert_eq!(answer.header("content-type"), Some("application/json"));
        }
    }
    for wrong in ["after=x", "limit=-1", "after=1&after=2"] {
        assert_eq!(control(&emulator, "GET", &format!("journal?{wrong}"), "").status, 400);
        assert_eq!(control(&emulator, "GET", &format!("count?{wrong}"), "").status, 400);
    }
    let silent =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| emulator.requests("api")));
    assert!(silent.is_err(), "a count of 0 would look like a finding");
    assert_eq!(control(&emulator, "DELETE", "journal", "").status, 200);
    assert_eq!((emulator.token_requests(), emulator.journal().len()), (0, 0));
}
