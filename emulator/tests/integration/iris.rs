//! The sample routes: which requests are accepted, and how others are refused.

use std::time::Duration;

use crate::common::{get, send, token};
use tu_token_emulator::{Emulator, Fault, Readings};

const ASSETS: &str = "/api/asset/v2/assets";
const FLEET: &str = "/public/api/aemp/v2/15143/-3/Fleet/1";

fn emulator() -> Emulator {
    Emulator::start().expect("an emulator")
}

#[test]
fn a_token_opens_only_the_routes_of_its_scopes() {
    let emulator = emulator();
    let assets = token(&emulator, "asset.view");
    let answer = get(&emulator, &format!("{ASSETS}?size=1"), &assets);
    assert_eq!(answer.status, 200);
    assert!(answer.body.starts_with("{\"content\":[{\"assetId\":\"00000000-"), "{}", answer.body);

    let refused = get(&emulator, FLEET, &assets);
    assert_eq!(refused.status, 403);
    let challenge = "Bearer error=\"insufficient_scope\", scope=\"api.iso15143.snapshot\"";
    assert_eq!(refused.header("www-authenticate"), Some(challenge));
    assert!(refused.body.starts_with("{\"status\":403,\"code\":\""), "{}", refused.body);

    let fleet = token(&emulator, "api.iso15143.snapshot");
    assert_eq!(get(&emulator, FLEET, &fleet).status, 200);
    assert_eq!(get(&emulator, &FLEET.replace("/1", "/99"), &fleet).status, 404);
    assert_eq!(get(&emulator, ASSETS, &fleet).status, 403);
    assert_eq!(get(&emulator, &format!("{ASSETS}?size=x"), &assets).status, 400);
}

#[test]
fn graphql_accepts_any_token_and_reports_errors_with_200() {
    let emulator = emulator();
    let header = format!("bearer {}", token(&emulator, "scope1"));
    for path in ["/api/graphql/", "/api/graphql"] {
        let url = format!("{}{path}", emulator.url());
        let query = r#"{"query":"{ assets { edges { node { name } } } }"}"#;
        let answer = send("POST", &url, &[("authorization", &header)], query);
        assert!(answer.status == 200 && answer.body.starts_with("{\"data\""), "{}", answer.body);
        let answer = send("POST", &url, &[("authorization", &header)], "{");
        assert!(answer.status == 200 && answer.body.starts_with("{\"errors\""), "{}", answer.body);
        assert_eq!(send("POST", &url, &[], query).status, 401);
    }
}

#[test]
fn a_token_belongs_in_the_header() {
    let emulator = emulator();
    let good = token(&emulator, "asset.view");
    let url = format!("{}{ASSETS}?access_token={good}", emulator.url());
    for headers in [&[][..], &[("authorization", "Basic eDp5")]] {
        let answer = send("GET", &url, headers, "");
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")));
    }
    for wrong in ["x", "", &format!("{good}x"), &format!("{good} ")[1..]] {
        let answer = get(&emulator, ASSETS, wrong);
        assert_eq!(answer.status, 401, "{wrong}");
        if !wrong.is_empty() {
            assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
        }
    }
    let answer = send("DELETE", &url, &[], "");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET,HEAD")));
}

#[test]
fn a_token_expires_when_the_clock_is_advanced() {
    let emulator = Emulator::builder().expires_in(60).start().expect("an emulator");
    let good = token(&emulator, "asset.view");
    assert_eq!(emulator.advance(Duration::from_secs(50)), Duration::from_secs(50));
    assert_eq!(get(&emulator, ASSETS, &good).status, 200);
    assert_eq!(emulator.advance(Duration::from_secs(10)), Duration::from_secs(60));
    let answer = get(&emulator, ASSETS, &good);
    assert_eq!(
        (answer.status, answer.header("www-authenticate")),
        (401, Some("Bearer error=\"invalid_token\""))
    );
    emulator.advance(Duration::MAX);
    assert_eq!(get(&emulator, ASSETS, &token(&emulator, "asset.view")).status, 200);
}

#[test]
fn a_route_can_refuse_good_tokens() {
    let emulator = emulator();
    let good = token(&emulator, "asset.view api.iso15143.snapshot");
    emulator.faults([Fault::reject_v2("/api/asset").times(2)]).expect("taken");
    for status in [401, 401, 200] {
        assert_eq!(get(&emulator, ASSETS, &good).status, status);
        assert_eq!(get(&emulator, FLEET, &good).status, 200);
    }
}

#[test]
fn readings_decide_what_ends_a_token() {
    for ends in [false, true] {
        let readings =
            Readings { revoke_ends_tokens: ends, single_token: ends, ..Readings::default() };
        let emulator = Emulator::builder().readings(readings).start().expect("an emulator");
        let first = token(&emulator, "asset.view");
        let second = token(&emulator, "asset.view");
        assert_eq!(get(&emulator, ASSETS, &first).status, if ends { 401 } else { 200 });
        emulator.revoke(&emulator.demo_key().client_id).expect("revoked");
        assert_eq!(get(&emulator, ASSETS, &second).status, if ends { 401 } else { 200 });
    }
}
