//! API keys as JSON: creating, reading, rotating, revoking, and access control.

use crate::common::{Answer, FORM, form, post, raw, send};
use tu_token_emulator::serde_json::{Value, from_str, json};
use tu_token_emulator::{Emulator, IssuedKey};

const JSON: (&str, &str) = ("content-type", "application/json");

fn emulator() -> Emulator {
    Emulator::start().expect("an emulator")
}

fn keys(emulator: &Emulator, method: &str, path: &str, body: &str) -> Answer {
    send(method, &format!("{}/api-keys{path}", emulator.url()), &[JSON], body)
}

fn value(answer: &Answer) -> Value {
    from_str(&answer.body).expect("JSON")
}

/// Creates a key and returns it like the Rust API.
fn create(emulator: &Emulator, name: &str, scopes: &str) -> IssuedKey {
    let body = json!({ "name": name, "scopes": scopes }).to_string();
    issued(emulator, &keys(emulator, "POST", "", &body))
}

fn issued(emulator: &Emulator, answer: &Answer) -> IssuedKey {
    let mut key = emulator.demo_key().clone();
    key.client_id = answer.member("client_id");
    key.client_secret = answer.member("client_secret");
    key
}

fn assert_refused(answer: &Answer, status: u16, code: &str) {
    let told = value(answer);
    assert_eq!((answer.status, told["code"].as_str()), (status, Some(code)), "{}", answer.body);
    assert_eq!(told["status"], status);
    assert!(told["message"].as_str().is_some_and(|text| text.len() > 10), "{}", answer.body);
    assert_eq!(told.as_object().map(|members| members.len()), Some(3));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[test]
fn a_key_is_made_used_rotated_and_revoked() {
    let emulator = emulator();
    let body = r#"{"name":" reports ","description":"nightly","scopes":["b","a","b"]}"#;
    let made = keys(&emulator, "POST", "", body);
    let key = issued(&emulator, &made);
    assert_eq!((made.status, made.header("cache-control")), (201, Some("no-store")));
    let path = format!("/{}", key.client_id);
    let location = made.header("location").expect("a place").to_owned();
    let found = send("GET", &format!("{}{location}", emulator.url()), &[], "");
    assert_eq!(found.body, keys(&emulator, "GET", &path, "").body);
    let shown = value(&found);
    assert_eq!((&shown["name"], &shown["description"]), (&json!("reports"), &json!("nightly")));
    assert_eq!((&shown["scopes"], &shown["state"]), (&json!(["b", "a"]), &json!("active")));
    assert_eq!((&shown["tokens_minted"], &shown["last_used"]), (&json!(0), &json!(null)));

    assert_eq!(post(&emulator, &form(&key, "a")).status, 200);
    assert_eq!(post(&emulator, &form(&key, "c")).status, 400);
    assert_eq!(post(&emulator, &form(&key, "a b")).status, 200);
    let used = value(&keys(&emulator, "GET", &path, ""));
    assert_eq!(used["tokens_minted"], 2);
    assert!(used["last_used"].as_str() >= used["created"].as_str(), "{used}");

    let rotated = keys(&emulator, "POST", &format!("{path}/rotate"), "{}");
    assert_eq!((rotated.status, rotated.header("cache-control")), (200, Some("no-store")));
    let fresh = issued(&emulator, &rotated);
    assert_ne!(fresh.client_secret, key.client_secret);
    assert_eq!(post(&emulator, &form(&key, "a")).status, 401);
    assert_eq!(post(&emulator, &form(&fresh, "a")).status, 200);

    let gone = keys(&emulator, "DELETE", &path, "");
    assert_eq!((gone.status, &value(&gone)["state"]), (200, &json!("revoked")));
    assert_eq!(post(&emulator, &form(&fresh, "a")).status, 401);
    assert_refused(&keys(&emulator, "DELETE", &path, ""), 409, "REVOKED");
    assert_refused(&keys(&emulator, "POST", &format!("{path}/rotate"), "{}"), 409, "REVOKED");
    let list = value(&keys(&emulator, "GET", "", ""));
    assert_eq!((&list["active"], &list["limit"]), (&json!(1), &json!(10)));
    assert_eq!(list["api_keys"].as_array().map(Vec::len), Some(2));
}

#[test]
fn ten_keys_with_ten_names() {
    let emulator = emulator();
    let made: Vec<IssuedKey> =
        (1..10).map(|n| create(&emulator, &format!("key {n}"), "a")).collect();
    let eleventh = r#"{"name":"one more","scopes":"a"}"#;
    assert_refused(&keys(&emulator, "POST", "", eleventh), 409, "LIMIT_REACHED");
    keys(&emulator, "DELETE", &format!("/{}", made[0].client_id), "");
    let taken = r#"{"name":"key 2","scopes":"a"}"#;
    assert_refused(&keys(&emulator, "POST", "", taken), 409, "NAME_TAKEN");
    let free = r#"{"name":"key 1","scopes":"a"}"#;
    assert_eq!(keys(&emulator, "POST", "", free).status, 201, "a revoked key's name is free");
    let few = Emulator::builder().max_keys(1).start().expect("an emulator");
    assert_refused(&keys(&few, "POST", "", eleventh), 409, "LIMIT_REACHED");
}

#[test]
fn wrong_testees_and_cases_are_reported() {
    let emulator = emulator();
    let long = format!(r#"{{"name":"{}","scopes":"a"}}"#, "n".repeat(101));
    let scopes: Vec<String> = (0..501).map(|n| n.to_string()).collect();
    let many = json!({ "name": "n", "scopes": scopes }).to_string();
    for (body, status, code) in [
        (r#"{"name":"#, 400, "BAD_REQUEST"),
        ("", 400, "BAD_REQUEST"),
        ("7", 422, "UNPROCESSABLE"),
        (r#"{"name":1,"scopes":"a"}"#, 422, "UNPROCESSABLE"),
        (r#"{"name":"n","scopes":"a","client_secret":"x"}"#, 422, "UNPROCESSABLE"),
        (r#"{"name":"n","scopes":7}"#, 422, "UNPROCESSABLE"),
        (r#"{"scopes":"a"}"#, 422, "NAME_MISSING"),
        (r#"{"name":"  ","scopes":"a"}"#, 422, "NAME_MISSING"),
        (r#"{"name":"n"}"#, 422, "SCOPES_MISSING"),
        (r#"{"name":"n","scopes":[]}"#, 422, "SCOPES_MISSING"),
        (r#"{"name":"n","scopes":["a b"]}"#, 422, "SCOPES_INVALID"),
        (r#"{"name":"n","scopes":["a",""]}"#, 422, "SCOPES_INVALID"),
        (r#"{"name":"n","scopes":"\u00e9"}"#, 422, "SCOPES_INVALID"),
        (r#"{"name":"a\nb","scopes":"a"}"#, 422, "TEXT_INVALID"),
        (r#"{"name":"a\u2028b","scopes":"a"}"#, 422, "TEXT_INVALID"),
        (r#"{"name":"a\u202eb","scopes":"a"}"#, 422, "TEXT_INVALID"),
        (r#"{"name":"demo\u200b","scopes":"a"}"#, 422, "TEXT_INVALID"),
        (r#"{"name":"n","description":"d\u2029d","scopes":"a"}"#, 422, "TEXT_INVALID"),
        (r#"{"name":"n","description":"d\u2066d","scopes":"a"}"#, 422, "TEXT_INVALID"),
        (&many, 422, "SCOPES_INVALID"),
        (&long, 422, "TEXT_INVALID"),
    ] {
        assert_refused(&keys(&emulator, "POST", "", body), status, code);
    }
    assert_refused(&keys(&emulator, "GET", "/nobody", ""), 404, "NOT_FOUND");
    assert_refused(&keys(&emulator, "DELETE", "/nobody", ""), 404, "NOT_FOUND");
    assert_refused(&keys(&emulator, "POST", "/nobody/rotate", "{}"), 404, "NOT_FOUND");
    for odd in ["/%ff", "/%C3%28", "/a%FFb"] {
        assert_refused(&keys(&emulator, "GET", odd, ""), 400, "BAD_REQUEST");
        assert_refused(&keys(&emulator, "DELETE", odd, ""), 400, "BAD_REQUEST");
        let rotate = format!("{odd}/rotate");
        assert_refused(&keys(&emulator, "POST", &rotate, "{}"), 400, "BAD_REQUEST");
        let fleet = format!("{}/public/api/aemp/v2/15143/-3/Fleet{odd}", emulator.url());
        assert_refused(&send("GET", &fleet, &[], ""), 400, "BAD_REQUEST");
        assert_eq!(emulator.journal().pop().expect("an entry").outcome, "bad_request");
    }
    let put = keys(&emulator, "PUT", "", "{}");
    assert_refused(&put, 405, "METHOD_NOT_ALLOWED");
    assert_eq!(put.header("allow"), Some("GET,HEAD,POST"));
    assert_eq!(emulator.keys().len(), 1, "nothing was made");
}

#[test]
fn other_pages_cannot_change_keys() {
    let emulator = emulator();
    let id = emulator.demo_key().client_id.clone();
    let body = r#"{"name":"n","scopes":"a"}"#;
    let (create, rotate) = (
        format!("{}/api-keys", emulator.url()),
        format!("{}/api-keys/{id}/rotate", emulator.url()),
    );
    for url in [&create, &rotate] {
        for kind in ["text/plain", FORM, "multipart/form-data", ""] {
            let answer = send("POST", url, &[("content-type", kind)], body);
            assert_refused(&answer, 415, "UNSUPPORTED_MEDIA_TYPE");
        }
    }
    let elsewhere = [("origin", "http://localhost:3000"), JSON];
    let revoke = format!("{}/api-keys/{id}", emulator.url());
    for (method, url) in [("POST", &create), ("POST", &rotate), ("DELETE", &revoke)] {
        let body = if method == "POST" { body } else { "" };
        assert_refused(&send(method, url, &elsewhere, body), 403, "FOREIGN_ORIGIN");
        let foreign = [("origin", "https://example.com"), JSON];
        assert_refused(&send(method, url, &foreign, body), 403, "NOT_LOOPBACK");
        let request = format!("{method} /api-keys/{id} HTTP/1.1\r\nHost: example.com\r\n");
        let rebound =
            format!("{request}Content-Type: application/json\r\nConnection: close\r\n\r\n");
        let answer = raw(&emulator, rebound.as_bytes()).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    }
    let preflight =
        [("origin", "http://localhost:3000"), ("access-control-request-method", "DELETE")];
    let answer = send("OPTIONS", &revoke, &preflight, "");
    assert_eq!(answer.status, 405);
    assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control")));
    let keys = emulator.keys();
    assert!(keys.len() == 1 && keys[0].is_active() && keys[0].rotated.is_none(), "{keys:?}");
    assert!(emulator.journal().iter().any(|entry| entry.outcome == "not_loopback"));

    let own = emulator.url();
    let answer = send("POST", &create, &[("origin", &own), JSON], body);
    assert_eq!(answer.status, 201, "{}", answer.body);
}

#[test]
fn secrets_are_shown_once_and_nowhere_else() {
    let emulator = emulator();
    let key = create(&emulator, "second", "a");
    let path = format!("/api-keys/{}/rotate", key.client_id);
    let rotated = send("POST", &format!("{}{path}", emulator.url()), &[JSON], "");
    let fresh = issued(&emulator, &rotated);
    post(&emulator, &form(&fresh, "a"));
    post(&emulator, &form(&key, "a"));
    let basic = [("content-type", FORM), ("authorization", "Basic eDp5")];
    send("POST", &emulator.token_url(), &basic, "grant_type=client_credentials");
    let one = format!("/api-keys/{}", key.client_id);
    for path in ["/api-keys", &one, "/", "/_emulator/journal", "/_emulator/faults"] {
        let text = send("GET", &format!("{}{path}", emulator.url()), &[], "").body;
        for secret in [&key.client_secret, &fresh.client_secret, &emulator.demo_key().client_secret]
        {
            assert!(!text.contains(secret.as_str()), "{path}: {text}");
        }
        assert!(!text.contains("tuemu_") && !text.contains("eDp5"), "{path}: {text}");
    }
    let forms: Vec<String> =
        emulator.journal().into_iter().filter_map(|entry| entry.form).collect();
    let black = "\u{2588}\u{2588}\u{2588}\u{2588}";
    let expected = format!(
        "grant_type=client_credentials&client_id={}&client_secret={black}&scope=a",
        key.client_id
    );
    assert_eq!(forms[..2], [expected.clone(), expected]);
    assert_eq!(forms[2], format!("Authorization: {black} grant_type=client_credentials"));
}

#[test]
fn own_routes_meet_no_fault_and_no_journal() {
    let emulator = emulator();
    let fault = r#"{"route":"/","status":503}"#;
    assert_eq!(crate::common::control(&emulator, "POST", "faults", fault).status, 201);
    assert_eq!(keys(&emulator, "GET", "", "").status, 200);
    assert_eq!(send("GET", &format!("{}/", emulator.url()), &[], "").status, 200);
    assert_eq!(post(&emulator, "x=y").status, 503);
    assert_eq!(emulator.journal().len(), 1);
}
