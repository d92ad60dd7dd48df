//! The purpose of scoped tokens, and who can get them.

use super::*;

#[test]
fn tokens_are_opaque_random_and_never_the_same() {
    let emulator = emulator();
    let tokens: BTreeSet<String> = (0..100).map(|_| token(&emulator, "asset.view")).collect();
    assert_eq!(tokens.len(), 100);
    for token in &tokens {
        assert!(token.len() >= 22, "128 bits need 22 letters: {token}");
        assert!(!token.contains('.'), "there is nothing in it to take apart: {token}");
    }
}

#[test]
fn a_token_belongs_to_one_account_and_to_no_user() {
    let (ours, theirs) = (emulator(), emulator());
    let good = token(&ours, "asset.view");
    assert_eq!(get(&ours, ASSETS, &good).status, 200);
    assert_eq!(get(&theirs, ASSETS, &good).status, 401);
    let crossed = form(ours.demo_key(), "asset.view");
    assert_error(&post(&theirs, &crossed), 401, "invalid_client");
    let of_a_user = "grant_type=password&username=me&password=mine&scope=asset.view";
    assert_error(&post(&ours, of_a_user), 400, "unsupported_grant_type");
}

#[test]
fn a_token_is_limited_to_the_requested_scopes() {
    let emulator = emulator();
    let narrow = token(&emulator, "api.iso15143.snapshot");
    let wide = token(&emulator, "api.iso15143.snapshot asset.view");
    assert_eq!([&narrow, &wide].map(|token| get(&emulator, FLEET, token).status), [200, 200]);
    let refused = get(&emulator, ASSETS, &narrow);
    let challenge = "Bearer error=\"insufficient_scope\", scope=\"asset.view\"";
    assert_eq!(
        (refused.status, refused.header("www-authenticate")),
        (403, Some(challenge)),
        "the key allows more than the token"
    );
    assert_eq!(get(&emulator, ASSETS, &wide).status, 200);
}

#[test]
fn each_key_serves_a_purpose_of_its_own() {
    let emulator = emulator();
    let assets = create(&emulator, "assets", "asset.view");
    let fleet = create(&emulator, "fleet", "api.iso15143.snapshot");
    assert_error(&post(&emulator, &form(&assets, "api.iso15143.snapshot")), 400, "invalid_scope");
    assert_error(&post(&emulator, &form(&fleet, "asset.view")), 400, "invalid_scope");
    let mixed = IssuedKey { client_secret: fleet.client_secret.clone(), ..assets.clone() };
    assert_error(&post(&emulator, &form(&mixed, "asset.view")), 401, "invalid_client");
    emulator.revoke(&assets.client_id).expect("revoked");
    assert_eq!(post(&emulator, &form(&fleet, "api.iso15143.snapshot")).status, 200);
}

#[test]
fn keys_are_created_rotated_and_revoked() {
    let emulator = emulator();
    let first = create(&emulator, "reports", "asset.view");
    assert_eq!(post(&emulator, &form(&first, "asset.view")).status, 200);
    let second = emulator.rotate(&first.client_id).expect("rotated");
    assert_eq!(second.client_id, first.client_id);
    assert_error(&post(&emulator, &form(&first, "asset.view")), 401, "invalid_client");
    assert_eq!(post(&emulator, &form(&second, "asset.view")).status, 200);
    emulator.revoke(&first.client_id).expect("revoked");
    assert_error(&post(&emulator, &form(&second, "asset.view")), 401, "invalid_client");
}

#[test]
fn key_names_are_unique() {
    let emulator = emulator();
    let key = create(&emulator, "reports", "asset.view");
    for same in ["reports", "  reports "] {
        let body = json!({ "name": same, "scopes": "site.view" }).to_string();
        let answer = api_keys(&emulator, "POST", "", &body);
        assert_eq!((answer.status, answer.member("code").as_str()), (409, "NAME_TAKEN"));
    }
    create(&emulator, "Reports", "asset.view");
    emulator.revoke(&key.client_id).expect("revoked");
    create(&emulator, "reports", "asset.view");
}

#[test]
fn an_account_without_access_can_be_emulated() {
    let emulator = emulator();
    let good = form(emulator.demo_key(), "asset.view");
    let no_access = [Fault::status(403), Fault::status(404), Fault::error("unauthorized_client")];
    emulator.faults(no_access.map(Fault::once)).expect("taken");
    assert_eq!([0; 4].map(|_| post(&emulator, &good).status), [403, 404, 400, 200]);
}

#[test]
fn a_system_may_not_support_scoped_tokens_yet() {
    let emulator = emulator();
    let good = token(&emulator, "asset.view api.iso15143.snapshot");
    emulator.faults([Fault::reject_v2("/api/asset")]).expect("taken");
    assert_eq!([ASSETS, FLEET].map(|route| get(&emulator, route, &good).status), [401, 200]);
}
