//! The token request and its response.

use super::*;

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
}

#[test]
fn there_is_one_token_endpoint() {
    let emulator = emulator();
    assert_eq!(emulator.token_url(), format!("{}/token/v2", emulator.url()));
    for path in ["/token", "/token/v1", "/token/v2/", "/TOKEN/V2", "/apptoken", "/"] {
        let good = form(emulator.demo_key(), "asset.view");
        let url = format!("{}{path}", emulator.url());
        let answer = send("POST", &url, &[("content-type", FORM)], &good);
        assert!([404, 405].contains(&answer.status), "{path}: {}", answer.status);
    }
}

#[test]
fn tokens_come_by_post_with_a_form_only() {
    let emulator = emulator();
    let (url, good) = (emulator.token_url(), form(emulator.demo_key(), "asset.view"));
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "PROPFIND"] {
        let answer = send(method, &url, &[], "");
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method}");
    }
    let kinds = ["application/json", "multipart/form-data", "text/plain"];
    for headers in kinds.map(|kind| vec![("content-type", kind)]).iter().chain([&vec![]]) {
        assert_error(&send("POST", &url, headers, &good), 400, "invalid_request");
    }
    for kind in ["Application/X-WWW-Form-Urlencoded", &format!("{FORM}; charset=utf-8")] {
        assert_eq!(send("POST", &url, &[("content-type", kind)], &good).status, 200, "{kind}");
    }
}

#[test]
fn the_form_is_url_encoded_utf_8() {
    let odd = NewKey::new("odd", "asset.view").client_secret("s+e/c r=t&%\u{e9}");
    let emulator = Emulator::builder().demo_key(odd.client_id("id")).start().expect("started");
    let with = |secret: &str| {
        let rest = "grant_type=client_credentials&client_id=id&scope=asset.view";
        post(&emulator, &format!("{rest}&client_secret={secret}"))
    };
    for secret in ["s%2Be%2Fc+r%3Dt%26%25%C3%A9", "s%2be/c%20r%3dt%26%25%c3%a9"] {
        assert_eq!(with(secret).status, 200, "{secret}");
    }
    assert_error(&with("s+e%2Fc+r%3Dt%26%25%C3%A9"), 401, "invalid_client");
    for broken in ["%", "%G1", "%E9"] {
        assert_error(&with(broken), 400, "invalid_request");
    }
}

#[test]
fn credentials_travel_in_the_body_or_by_basic_and_never_twice() {
    let demo = NewKey::new("demo", "asset.view").client_id("x").client_secret("y");
    let emulator = Emulator::builder().demo_key(demo.clone()).start().expect("started");
    let body = form(emulator.demo_key(), "asset.view");
    let bare = body.replace("&client_id=x&client_secret=y", "");
    let basic = ("authorization", "Basic eDp5");
    let ask = |emulator: &Emulator, query: &str, header: Option<(&str, &str)>, body: &str| {
        let headers: Vec<_> = [("content-type", FORM)].into_iter().chain(header).collect();
        send("POST", &format!("{}{query}", emulator.token_url()), &headers, body)
    };
    assert_eq!(ask(&emulator, "", None, &body).status, 200);
    assert_eq!(ask(&emulator, "", Some(basic), &bare).status, 200);
    assert_error(&ask(&emulator, "", Some(basic), &body), 400, "invalid_request");
    let query = "?client_id=x&client_secret=y";
    assert_error(&ask(&emulator, query, None, &bare), 400, "invalid_request");
    let readings = Readings { basic: false, ..Readings::default() };
    let strict = Emulator::builder().demo_key(demo).readings(readings).start().expect("started");
    assert_error(&ask(&strict, "", Some(basic), &bare), 401, "invalid_client");
}

#[test]
fn scopes_are_space_separated_and_one_or_more() {
    let emulator = emulator();
    let ask = |scope: &str| post(&emulator, &format!("{}{scope}", form(emulator.demo_key(), "")));
    for scope in ["scope1", "scope1+scope2", "scope2%20scope1"] {
        assert_eq!(ask(scope).status, 200, "{scope}");
    }
    for scope in ["", "+", "scope1,scope2", "scope1%09scope2", "%22scope1%22", "scope1%5C"] {
        assert_error(&ask(scope), 400, "invalid_scope");
    }
    let readings = Readings { scope_optional: true, ..Readings::default() };
    let lenient = Emulator::builder().readings(readings).start().expect("an emulator");
    let answer = post(&lenient, &form(lenient.demo_key(), ""));
    assert_eq!(answer.member("scope"), tu_token_emulator::DEMO_SCOPES);
}

#[test]
fn scopes_are_a_subset_of_the_keys() {
    let emulator = emulator();
    let key = create(&emulator, "reports", "a b c");
    for scope in ["a", "c a", "a b c", "c b a", "b b"] {
        let answer = post(&emulator, &form(&key, scope));
        assert_eq!((answer.status, answer.member("scope").as_str()), (200, scope));
    }
    for scope in ["d", "a b c d", "A", "a.b", "ab"] {
        assert_error(&post(&emulator, &form(&key, scope)), 400, "invalid_scope");
    }
}

#[test]
fn no_other_origin_may_read_a_token() {
    let emulator = emulator();
    let good = form(emulator.demo_key(), "asset.view");
    let headers = [("content-type", FORM), ("origin", "http://localhost:3000")];
    for answer in [
        send("POST", &emulator.token_url(), &headers, &good),
        send("OPTIONS", &emulator.token_url(), &headers[1..], ""),
    ] {
        let mut names = answer.headers.keys().map(|name| name.as_str());
        assert!(names.all(|name| !name.starts_with("access-control")), "{answer:?}");
    }
}
