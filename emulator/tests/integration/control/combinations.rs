//! Every accepted combination of fault members takes full effect, and the journal says so.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use crate::common::{form, get, raw, token};
use tu_token_emulator::serde_json::{Map, Value, from_value, json};
use tu_token_emulator::{Emulator, Fault};

const ASKED: &str = "asset.view api.iso15143.snapshot";
const ASSETS: &str = "/api/asset/v2/assets";
const FLEET: &str = "/public/api/aemp/v2/15143/-3/Fleet/1";

/// Members, each with a value to try; only one of each name is used at a time.
fn members(at_token: bool) -> Vec<(&'static str, Value)> {
    let mut members = vec![
        ("delay", json!("4ms")),
        ("status", json!(503)),
        ("status", json!(200)),
        ("status", json!(204)),
        ("status", json!(205)),
        ("status", json!(304)),
        ("headers", json!({ "X-Odd": "yes", "Content-Type": "odd/type" })),
        ("headers", json!({ "Retry-After": "9" })),
        ("retry_after", json!("7")),
        ("error", json!("invented")),
        ("error", json!("invalid_client")),
        ("error_description", json!("why")),
        ("body", json!("xyz")),
        ("body", json!("")),
        ("content_type", json!("a/b")),
        ("html", json!(true)),
        ("cut", json!(true)),
        ("reset", json!(true)),
    ];
    if at_token {
        members.extend([
            ("narrow", json!(true)),
            ("narrow", json!(["asset.view"])),
            ("narrow", json!(["asset.view", "api.iso15143.snapshot"])),
            ("expires_in", json!(3)),
            ("expires_in", json!("odd")),
            ("token_type", json!("DPoP")),
            ("access_token", json!("tok")),
            ("access_token", json!(1)),
            ("scope", json!("other")),
            ("omit", json!(["scope"])),
            ("omit", json!(["expires_in", "access_token"])),
            ("omit", json!(["unknown"])),
            ("extra", json!({ "refresh_token": "r" })),
            ("same_token", json!(true)),
        ]);
    } else {
        members.push(("reject_v2", json!(true)));
    }
    members
}

/// All accepted faults with one, two and three members.
fn faults(at_token: bool) -> Vec<Map<String, Value>> {
    let members = members(at_token);
    let probe = Emulator::start().expect("an emulator");
    let mut found = Vec::new();
    for a in 0..members.len() {
        for b in a..members.len() {
            for c in b..members.len() {
                let names = [members[a].0, members[b].0, members[c].0];
                let twice = (a != b && names[0] == names[1])
                    || (b != c && names[1] == names[2])
                    || (a != c && names[0] == names[2])
                    || (a == b && b != c);
                if twice {
                    continue;
                }
                let mut fault: Map<String, Value> = [a, b, c]
                    .iter()
                    .map(|at| (members[*at].0.to_owned(), members[*at].1.clone()))
                    .collect();
                fault.insert("count".to_owned(), json!(1));
                if !at_token {
                    fault.insert("route".to_owned(), json!("/api"));
                }
                if probe.faults([read(&fault)]).is_ok() {
                    found.push(fault);
                }
            }
        }
    }
    found
}

fn read(fault: &Map<String, Value>) -> Fault {
    from_value(Value::Object(fault.clone())).expect("a fault")
}

/// The response on the wire; `None` means a reset without a byte before it.
struct Seen {
    status: u16,
    head: String,
    body: String,
    took: Duration,
}

fn exchange(emulator: &Emulator, request: &str) -> Option<Seen> {
    let begun = Instant::now();
    let answer = match raw(emulator, request.as_bytes()) {
        Ok(answer) => answer,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            return None;
        }
    };
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer}"));
    let status = head.get(9..12).and_then(|digits| digits.parse().ok()).expect("a status");
    let (head, body) = (head.to_ascii_lowercase() + "\r\n", body.to_owned());
    Some(Seen { status, head, body, took: begun.elapsed() })
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn announced(&self) -> Option<usize> {
        self.header("content-length").and_then(|digits| digits.parse().ok())
    }
}

/// Checks the effect of every member of a fault. `None` for a part of a body that was cut off.
fn assert_happened(fault: &Map<String, Value>, seen: &Seen, is_head: bool) {
    let has = |name: &str| fault.contains_key(name);
    let text = |name: &str| fault.get(name).and_then(Value::as_str).unwrap_or_default();
    let whole = !has("cut") && !is_head;
    if has("delay") {
        assert!(seen.took >= Duration::from_millis(4), "{:?}", seen.took);
    }
    let default = if has("reject_v2") {
        401
    } else if has("retry_after") {
        429
    } else if has("error") {
        if text("error") == "invalid_client" { 401 } else { 400 }
    } else {
        200
    };
    let status = fault.get("status").and_then(Value::as_u64).unwrap_or(default);
    assert_eq!(u64::from(seen.status), status);
    if let Some(headers) = fault.get("headers").and_then(Value::as_object) {
        for (name, value) in headers {
            assert_eq!(seen.header(&name.to_ascii_lowercase()), value.as_str(), "{name}");
        }
    }
    if has("retry_after") {
        assert_eq!(seen.header("retry-after"), Some("7"));
    }
    if has("content_type") {
        assert_eq!(seen.header("content-type"), Some("a/b"));
    }
    if has("cut") {
        let announced = seen.announced().expect("a length");
        assert_eq!(seen.body.len(), if announced == 1 { 0 } else { announced / 2 }, "half of it");
    } else if !is_head && ![204, 304].contains(&seen.status) {
        assert_eq!(seen.announced(), Some(seen.body.len()), "all of it");
    }
    if whole && has("body") {
        assert_eq!(seen.body, text("body"));
    }
    for (member, part) in
        [("error", text("error")), ("error_description", "why"), ("html", "<!DOCTYPE html>")]
    {
        assert!(!whole || !has(member) || seen.body.contains(part), "{member}");
    }
}

/// Checks every change of a token response, in the response and in what the token can do.
fn assert_changed(
    emulator: &Emulator,
    fault: &Map<String, Value>,
    seen: &Seen,
    last: Option<&str>,
) {
    let omitted = |name: &str| {
        fault.get("omit").and_then(Value::as_array).is_some_and(|list| list.contains(&json!(name)))
    };
    let answer: Value = tu_token_emulator::serde_json::from_str(&seen.body).expect("JSON");
    for name in ["expires_in", "token_type", "access_token", "scope"] {
        if omitted(name) {
            assert!(answer.get(name).is_none(), "{name}");
        } else if let Some(value) = fault.get(name) {
            assert_eq!(&answer[name], value);
        }
    }
    let narrowed = fault.contains_key("narrow");
    if !omitted("scope") && !fault.contains_key("scope") {
        assert_eq!(answer["scope"], if narrowed { "asset.view" } else { ASKED });
    }
    if fault.contains_key("extra") {
        assert_eq!(answer["refresh_token"], "r");
    }
    let told = answer["access_token"].as_str();
    if fault.contains_key("same_token") && !omitted("access_token") {
        assert_eq!(told, last);
    }
    let given = fault.get("access_token").and_then(Value::as_str);
    let Some(token) = given.or(told) else { return };
    assert_eq!(get(emulator, ASSETS, token).status, 200);
    assert_eq!(get(emulator, FLEET, token).status, if narrowed { 403 } else { 200 });
    if fault.get("expires_in") == Some(&json!(3)) {
        emulator.advance(Duration::from_secs(3));
        assert_eq!(get(emulator, ASSETS, token).status, 401);
    }
}

/// The expected journal entry of a request that met the fault.
fn assert_journal(emulator: &Emulator, fault: &Map<String, Value>, id: u64, seen: Option<&Seen>) {
    let entries = emulator.journal();
    let [entry] = &entries[..] else { panic!("{entries:?}") };
    let has = |name: &str| fault.contains_key(name);
    let replaced = ["status", "retry_after", "error", "body", "html", "reject_v2"];
    let outcome = if has("reset") {
        "reset"
    } else if has("cut") {
        "cut"
    } else if replaced.iter().any(|name| has(name)) {
        "fault"
    } else if has("route") {
        "ok"
    } else {
        "token"
    };
    assert_eq!((entry.fault, entry.outcome), (Some(id), outcome));
    assert_eq!(entry.status, seen.map(|seen| seen.status));
}

#[test]
fn every_combination_at_the_token_endpoint() {
    let emulator = Emulator::start().expect("an emulator");
    let body = form(emulator.demo_key(), ASKED);
    let request = super::raw_token_request(&emulator, "localhost", "");
    let request =
        request.replace("scope=asset.view", &format!("scope={}", ASKED.replace(' ', "+")));
    let request = request.replace(
        &format!("Content-Length: {}", form(emulator.demo_key(), "asset.view").len()),
        &format!("Content-Length: {}", body.len()),
    );
    let faults = faults(true);
    assert!(faults.len() > 500, "{}", faults.len());
    for fault in faults {
        let scope = if fault.contains_key("narrow") { "asset.view" } else { ASKED };
        let last = fault.contains_key("same_token").then(|| token(&emulator, scope));
        emulator.clear_journal();
        let [id] = emulator.faults([read(&fault)]).expect("taken")[..] else { panic!("one") };
        let seen = exchange(&emulator, &request);
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let nothing_to_narrow =
                fault.get("narrow") == Some(&json!(ASKED.split(' ').collect::<Vec<_>>()));
            if nothing_to_narrow {
                assert_eq!(emulator.waiting_faults().len(), 1, "it waits for more scopes");
                assert_eq!(emulator.journal()[0].fault, None);
                emulator.clear_faults();
                return;
            }
            assert_eq!(seen.is_none(), fault.contains_key("reset"));
            assert_journal(&emulator, &fault, id, seen.as_ref());
            let Some(seen) = seen else { return };
            assert_happened(&fault, &seen, false);
            if emulator.journal()[0].outcome == "token" {
                assert_changed(&emulator, &fault, &seen, last.as_deref());
            }
        }));
        assert!(told.is_ok(), "{fault:?}");
    }
}

#[test]
fn every_combination_at_an_api() {
    let emulator = Emulator::start().expect("an emulator");
    let faults = faults(false);
    assert!(faults.len() > 200, "{}", faults.len());
    let good = token(&emulator, "asset.view");
    for fault in faults {
        for method in ["GET", "HEAD"] {
            emulator.clear_journal();
            let [id] = emulator.faults([read(&fault)]).expect("taken")[..] else { panic!("one") };
            let request = format!(
                "{method} {ASSETS} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {good}\r\n\r\n"
            );
            let seen = exchange(&emulator, &request);
            let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                if method == "HEAD" && fault.contains_key("cut") {
                    assert_eq!(emulator.waiting_faults().len(), 1, "it waits for a body");
                    let entry = &emulator.journal()[0];
                    assert_eq!((entry.fault, entry.outcome, entry.status), (None, "ok", Some(200)));
                    emulator.clear_faults();
                    return;
                }
                assert_eq!(seen.is_none(), fault.contains_key("reset"));
                assert_journal(&emulator, &fault, id, seen.as_ref());
                if let Some(seen) = &seen {
                    assert_happened(&fault, seen, method == "HEAD");
                }
            }));
            assert!(told.is_ok(), "{method} {fault:?}");
        }
    }
}

/// Members that change a token response apply to the next request that gets a token.
#[test]
fn a_refused_request_takes_nothing_away() {
    let emulator = Emulator::start().expect("an emulator");
    let fault = json!({ "route": "/", "expires_in": 3, "count": 1 });
    emulator.faults([from_value(fault).expect("a fault")]).expect("taken");
    super::post(&emulator, "x=y");
    super::post(&emulator, &form(emulator.demo_key(), "site.update"));
    get(&emulator, ASSETS, "x");
    super::send("GET", &emulator.token_url(), &[], "");
    assert!(emulator.journal().iter().all(|entry| entry.fault.is_none()));
    assert!(super::ask(&emulator).body.contains("\"expires_in\": 3,"));
    assert!(emulator.waiting_faults().is_empty());
}
