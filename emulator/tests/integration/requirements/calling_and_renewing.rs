//! Calls with a token, its expiry, and the next token.

use super::*;

#[test]
fn the_four_steps_lead_from_a_key_to_a_renewed_token() {
    let emulator = emulator();
    let key = create(&emulator, "reports", "asset.view");
    let first = post(&emulator, &form(&key, "asset.view")).member("access_token");
    assert_eq!(get(&emulator, ASSETS, &first).status, 200);
    emulator.advance(Duration::from_secs(1200));
    assert_eq!(get(&emulator, ASSETS, &first).status, 401);
    let second = post(&emulator, &form(&key, "asset.view")).member("access_token");
    assert_eq!(get(&emulator, ASSETS, &second).status, 200);
}

#[test]
fn the_token_goes_in_the_authorization_header() {
    let emulator = emulator();
    let good = token(&emulator, "asset.view");
    let url = format!("{}{ASSETS}", emulator.url());
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let header = format!("{scheme} {good}");
        assert_eq!(send("GET", &url, &[("authorization", &header)], "").status, 200);
    }
    let in_the_address = format!("{url}?access_token={good}");
    for (url, headers) in
        [(&url, vec![("authorization", good.as_str())]), (&in_the_address, vec![])]
    {
        let answer = send("GET", url, &headers, "");
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")));
    }
}

#[test]
fn tokens_expire_after_twenty_minutes() {
    let emulator = emulator();
    let good = token(&emulator, "asset.view");
    emulator.advance(Duration::from_secs(1190));
    assert_eq!(get(&emulator, ASSETS, &good).status, 200);
    emulator.advance(Duration::from_secs(10));
    let answer = get(&emulator, ASSETS, &good);
    let challenge = answer.header("www-authenticate");
    assert_eq!((answer.status, challenge), (401, Some("Bearer error=\"invalid_token\"")));
}

#[test]
fn there_is_no_refresh_grant() {
    let emulator = emulator();
    let answer = post(&emulator, &form(emulator.demo_key(), "asset.view"));
    assert!(!answer.body.contains("refresh"), "{}", answer.body);
    let refresh = form(emulator.demo_key(), "asset.view")
        .replace("client_credentials", "refresh_token")
        + &format!("&refresh_token={}", answer.member("access_token"));
    assert_error(&post(&emulator, &refresh), 400, "unsupported_grant_type");
}

#[test]
fn the_same_request_renews_and_the_old_token_lives_on() {
    for single in [false, true] {
        let readings = Readings { single_token: single, ..Readings::default() };
        let emulator = Emulator::builder().readings(readings).start().expect("an emulator");
        let request = form(emulator.demo_key(), "site.view asset.view");
        let (first, second) = (post(&emulator, &request), post(&emulator, &request));
        assert_eq!(first.member("scope"), second.member("scope"));
        let tokens = [first, second].map(|answer| answer.member("access_token"));
        assert_ne!(tokens[0], tokens[1]);
        let seen = tokens.each_ref().map(|token| get(&emulator, ASSETS, token).status);
        assert_eq!(seen, [if single { 401 } else { 200 }, 200]);
    }
}

#[test]
fn a_key_is_rotated_without_a_gap_if_secrets_overlap() {
    let readings = Readings { rotate_overlap: true, ..Readings::default() };
    let emulator = Emulator::builder().readings(readings).start().expect("an emulator");
    let old = emulator.demo_key().clone();
    let new = emulator.rotate(&old.client_id).expect("rotated");
    assert_eq!([&old, &new].map(|key| post(&emulator, &form(key, "a.b")).status), [400, 400]);
    let seen = [&old, &new].map(|key| post(&emulator, &form(key, "asset.view")).status);
    assert_eq!(seen, [200, 200]);
}
