//! API keys: how many, their properties, and what is shown when.

use super::*;

#[test]
fn at_most_ten_active_keys() {
    let emulator = emulator();
    let made: Vec<_> =
        (2..=10).map(|n| create(&emulator, &format!("key {n}"), "asset.view")).collect();
    for _ in 0..2 {
        let answer = super::api_keys(&emulator, "POST", "", r#"{"name":"one more","scopes":"a"}"#);
        assert_eq!((answer.status, answer.member("code").as_str()), (409, "LIMIT_REACHED"));
    }
    for key in made.iter().chain([emulator.demo_key()]) {
        assert_eq!(post(&emulator, &form(key, "asset.view")).status, 200, "{}", key.name);
    }
}

#[test]
fn revoked_keys_do_not_count() {
    let emulator = emulator();
    for n in 0..30 {
        let key = create(&emulator, &format!("key {n}"), "a");
        emulator.revoke(&key.client_id).expect("revoked");
    }
    assert_eq!(emulator.keys().iter().filter(|key| key.is_active()).count(), 1);
}

#[test]
fn the_limit_can_be_five() {
    let five = Emulator::builder().max_keys(5).start().expect("an emulator");
    for n in 2..=5 {
        create(&five, &format!("key {n}"), "a");
    }
    assert!(five.create_key(NewKey::new("six", "a")).is_err());
    let list: Value = from_str(&super::api_keys(&five, "GET", "", "").body).expect("JSON");
    assert_eq!((&list["active"], &list["limit"]), (&json!(5), &json!(5)));
}

#[test]
fn keys_are_for_accounts_with_the_api_keys_app() {
    let readings = Readings { api_keys_app: false, ..Readings::default() };
    let without = Emulator::builder().readings(readings).start().expect("an emulator");
    let key = without.demo_key();
    let id = &key.client_id;
    for (method, path, body) in [
        ("POST", "", r#"{"name":"n","scopes":"a"}"#),
        ("POST", &format!("/{id}/rotate"), ""),
        ("DELETE", &format!("/{id}"), ""),
    ] {
        let answer = super::api_keys(&without, method, path, body);
        assert_eq!((answer.status, answer.member("code").as_str()), (403, "NO_ACCESS"), "{path}");
    }
    assert_eq!((without.keys().len(), post(&without, &form(key, "asset.view")).status), (1, 200));
}

#[test]
fn a_key_has_a_name_a_description_and_a_set_of_scopes() {
    let emulator = emulator();
    let body = r#"{"name":"reports","description":"nightly","scopes":["b","a","b"]}"#;
    let id = super::api_keys(&emulator, "POST", "", body).member("client_id");
    let shown = super::api_keys(&emulator, "GET", &format!("/{id}"), "").body;
    let shown: Value = from_str(&shown).expect("JSON");
    assert_eq!((&shown["name"], &shown["description"]), (&json!("reports"), &json!("nightly")));
    assert_eq!(shown["scopes"], json!(["b", "a"]));
}

#[test]
fn a_key_needs_a_name_and_a_scope_but_no_description() {
    let emulator = emulator();
    for (body, status) in [
        (r#"{"description":"d","scopes":["a"]}"#, 422),
        (r#"{"name":" ","description":"d","scopes":["a"]}"#, 422),
        (r#"{"name":"n","description":"d"}"#, 422),
        (r#"{"name":"n","description":"d","scopes":[]}"#, 422),
        (r#"{"name":"n","scopes":["a"]}"#, 201),
    ] {
        assert_eq!(super::api_keys(&emulator, "POST", "", body).status, status, "{body}");
    }
}

#[test]
fn every_key_gets_an_id_and_a_secret_of_its_own() {
    let emulator = Emulator::builder().max_keys(301).start().expect("an emulator");
    let mut seen = BTreeSet::new();
    for n in 0..300 {
        let key = create(&emulator, &n.to_string(), "a");
        assert!(key.client_secret.len() >= 22, "128 bits need 22 letters");
        assert!(seen.insert(key.client_id) && seen.insert(key.client_secret));
    }
}

#[test]
fn keys_are_made_on_a_page() {
    let emulator = emulator();
    let page = send("GET", &format!("{}/", emulator.url()), &[], "");
    let page = scraper::Html::parse_document(&page.body);
    let labels = scraper::Selector::parse("#create label, #create legend").expect("a selector");
    let asked: Vec<String> = page.select(&labels).map(|label| label.text().collect()).collect();
    for wanted in ["Name", "Description", "Allowed scopes"] {
        assert!(asked.iter().any(|label| label.starts_with(wanted)), "{wanted}: {asked:?}");
    }
}

#[test]
fn the_secret_is_shown_once() {
    let emulator = emulator();
    let made =
        super::api_keys(&emulator, "POST", "", r#"{"name":"reports","scopes":"asset.view"}"#);
    let (id, secret) = (made.member("client_id"), made.member("client_secret"));
    let one = format!("/api-keys/{id}");
    for path in ["/api-keys", &one, "/", "/_emulator/journal"] {
        let text = send("GET", &format!("{}{path}", emulator.url()), &[], "").body;
        assert!(!text.contains(&secret) && !text.contains("client_secret\":"), "{path}");
    }
    let gone = super::api_keys(&emulator, "DELETE", &format!("/{id}"), "").body;
    assert!(!gone.contains(&secret) && !gone.contains("client_secret\":"), "{gone}");
}

#[test]
fn each_keys_use_is_reported() {
    let emulator = emulator();
    let key = create(&emulator, "reports", "asset.view");
    post(&emulator, &form(&key, "asset.view"));
    post(&emulator, &form(&key, "site.view"));
    post(&emulator, &form(&spoilt(&key), "asset.view"));
    let keys = emulator.keys();
    assert_eq!((keys[0].tokens_minted, keys[0].last_used.is_some()), (0, false));
    assert_eq!((keys[1].tokens_minted, keys[1].last_used.is_some()), (1, true));
}
