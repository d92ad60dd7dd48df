//! What the service's documentation asks of a client, one test for each statement, in the order of its sections. Each
//! name is the statement, so that a failure reads as a broken promise.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{
    ID, SECRET, Server, answer, builder, client, failure_in_time, header, manual_client,
    oauth_error, options, token, until, value,
};
use tu_token::ErrorKind::{
    BadResponse, Config as BadConfig, InvalidArgument, InvalidClient, InvalidScope, OAuth,
};
use tu_token::{Client, Error, Event, GetOptions, OPTIONS};

/// What a client makes of a token answer with these members.
fn read(members: &str) -> Result<String, Error> {
    let server = Server::always(answer(200, "", &format!("{{{members}}}")));
    client(&server).token().map(|token| token.value().to_owned())
}

fn default_of(key: &str) -> &'static str {
    OPTIONS.iter().find(|option| option.key == key).expect("an option").default
}

/// Why a client with one option set differently cannot be built.
fn refused(key: &str, value: &str) -> Error {
    builder("https://auth.example.test/token/v2").set(key, value).build().unwrap_err()
}

#[test]
fn tokens_are_opaque() {
    let parts = "header.payload.signature";
    for access_token in ["x", parts, "-._~+/=", &"long".repeat(4096)] {
        let server = Server::always(token(access_token, 1200));
        assert_eq!(value(client(&server).token()), access_token);
    }
}

#[test]
fn the_request_is_the_documented_one() {
    let server = Server::tokens(1200);
    client(&server).token().unwrap();
    let request = &server.received()[0];
    assert!(request.head.starts_with("POST /token/v2 HTTP/1.1\r\n"), "{}", request.head);
    let kind = header(&request.head, "content-type");
    assert_eq!(kind, Some("application/x-www-form-urlencoded"));
    assert_eq!(header(&request.head, "authorization"), None);
    assert_eq!(
        request.body,
        format!("grant_type=client_credentials&client_id={ID}&client_secret={SECRET}&scope=a+b")
    );
}

#[test]
fn every_value_of_the_form_is_url_encoded() {
    let server = Server::tokens(1200);
    let odd = builder(&server.url()).client_secret("s+e/c r=t&%\u{e9}").build().unwrap();
    odd.token().unwrap();
    let body = &server.received()[0].body;
    assert!(body.contains("&client_secret=s%2Be%2Fc+r%3Dt%26%25%C3%A9&"), "{body}");
}

#[test]
fn credentials_by_basic_are_not_in_the_body() {
    let server = Server::tokens(1200);
    builder(&server.url()).set("client_auth", "basic").build().unwrap().token().unwrap();
    let request = &server.received()[0];
    assert!(header(&request.head, "authorization").is_some_and(|by| by.starts_with("Basic ")));
    assert_eq!(request.body, "grant_type=client_credentials&scope=a+b");
}

#[test]
fn the_token_url_is_the_documented_one_until_another_is_given() {
    assert_eq!(default_of("token_url"), "https://auth.trackunit.com/token/v2");
}

#[test]
fn nothing_is_sent_but_over_https() {
    for url in ["http://auth.trackunit.com/token/v2", "http://10.0.0.1/token/v2", "ftp://x/"] {
        assert_eq!(refused("token_url", url).kind(), BadConfig, "{url}");
    }
    let server = Server::tokens(1200);
    assert!(client(&server).token().is_ok(), "this machine is no network");
}

#[test]
fn a_client_asks_for_the_scopes_it_was_given_and_has_no_default() {
    let server = Server::tokens(1200);
    let url = server.url();
    let without = options(&url).into_iter().filter(|(key, _)| *key != "scope");
    let without = without.fold(Client::builder(), |builder, (key, value)| builder.set(key, value));
    let failed = without.build().and_then(|client| client.token()).map(drop).unwrap_err();
    assert!(matches!(failed.kind(), BadConfig | InvalidArgument), "{failed}");
    assert!(failed.message().contains("scope"), "{failed}");
    assert_eq!(server.connections(), 0);
}

#[test]
fn the_secret_goes_to_the_token_endpoint_and_follows_no_redirect() {
    let trap = Server::tokens(1200);
    for status in [301, 302, 303, 307, 308] {
        let location = format!("Location: {}\r\n", trap.url());
        let error = failure_in_time(&client(&Server::always(answer(status, &location, ""))));
        assert_eq!(error.kind(), BadResponse, "{status}");
    }
    assert_eq!(trap.connections(), 0);
}

#[test]
fn the_secret_is_kept_in_a_file_and_read_when_it_is_needed() {
    let server = Server::tokens(1200);
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("secret");
    std::fs::write(&file, "kept-in-a-file\n").unwrap();
    let url = server.url();
    let others = options(&url).into_iter().filter(|(key, _)| *key != "client_secret");
    let builder = others.fold(Client::builder(), |builder, (key, value)| builder.set(key, value));
    let client = builder.set("client_secret_file", file.to_str().unwrap()).build().unwrap();
    client.token().unwrap();
    let body = &server.received()[0].body;
    assert!(body.contains("&client_secret=kept-in-a-file&"), "{body}");
}

#[test]
fn an_id_and_a_secret_are_needed() {
    for key in ["client_id", "client_secret"] {
        assert!([BadConfig, InvalidArgument].contains(&refused(key, "").kind()), "{key}");
    }
}

#[test]
fn scopes_are_sent_once_each_with_a_space_between() {
    let server = Server::tokens(1200);
    let client = client(&server);
    for scope in ["a", "c a c", " a  c ", "a,c"] {
        let options = GetOptions { scope: Some(scope), ..GetOptions::default() };
        client.get(&options).unwrap();
    }
    let sent: Vec<String> = server
        .received()
        .into_iter()
        .map(|request| request.body.split("&scope=").nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(sent, ["a", "c+a", "a%2Cc"], "the third is the second's set");
    for scope in ["a\tb", "\"a\"", "a\\b", "\u{e9}", "a\nb"] {
        let options = GetOptions { scope: Some(scope), ..GetOptions::default() };
        assert_eq!(client.get(&options).unwrap_err().kind(), InvalidArgument, "{scope:?}");
    }
}

#[test]
fn keys_for_different_services_never_share_a_token() {
    let server = Server::new(|_, request| {
        let id = request.body.split("client_id=").nth(1).unwrap().split('&').next().unwrap();
        token(&format!("of-{id}"), 1200)
    });
    let clients =
        ["first", "second"].map(|id| builder(&server.url()).client_id(id).build().unwrap());
    for _ in 0..2 {
        let seen = clients.each_ref().map(|client| value(client.token()));
        assert_eq!(seen, ["of-first", "of-second"]);
    }
    assert_eq!(server.requests(), 2);
}

#[test]
fn no_way_around_scoped_tokens_is_tried() {
    for reply in [answer(404, "", ""), answer(403, "", ""), oauth_error(401, "invalid_client")] {
        let server = Server::always(reply);
        failure_in_time(&client(&server));
        for request in server.received() {
            assert!(request.head.starts_with("POST /token/v2 "), "{}", request.head);
            assert!(request.body.starts_with("grant_type=client_credentials&"));
        }
    }
}

#[test]
fn an_account_without_access_is_told_so() {
    for reply in [answer(401, "", ""), oauth_error(403, "unauthorized_client")] {
        let error = failure_in_time(&client(&Server::always(reply)));
        assert_eq!(error.kind(), InvalidClient);
        assert!(error.message().contains("may not be enabled"), "{error}");
    }
    for status in [403, 404] {
        let error = failure_in_time(&client(&Server::always(answer(status, "", ""))));
        assert_eq!(error.kind(), BadResponse);
        assert!(error.message().contains("may not be enabled"), "{error}");
    }
}

#[test]
fn an_api_that_does_not_take_scoped_tokens_is_told_of() {
    let server = Server::tokens(1200);
    let heard = Arc::new(Mutex::new(String::new()));
    let events = heard.clone();
    let client = builder(&server.url())
        .on_event(move |event: &Event| {
            events.lock().unwrap().push_str(&format!("{event:?}\n"));
        })
        .build()
        .unwrap();
    client.invalidate(&client.token().unwrap());
    until("the warning", || heard.lock().unwrap().contains("may not accept API Tokens v2"));
    assert_eq!(server.requests(), 1, "no loop: the next call asks, nobody else");
}

#[test]
fn an_answer_is_one_json_object_with_status_200() {
    let good = r#"{"access_token":"t","expires_in":1200}"#;
    for (status, body) in [(201, good), (202, good), (200, "[]"), (200, "\"t\""), (200, "")] {
        let error = failure_in_time(&client(&Server::always(answer(status, "", body))));
        assert_eq!(error.kind(), BadResponse, "{status} {body}");
    }
}

#[test]
fn the_order_of_members_and_further_ones_do_not_matter() {
    let documented = r#""token_type":"Bearer","expires_in":1200,"access_token":"t","scope":"a b""#;
    let turned = r#""scope":"b a","new":{"x":[1]},"access_token":"t","expires_in":1200"#;
    for members in [documented, turned] {
        assert_eq!(read(members).unwrap(), "t");
    }
}

#[test]
fn only_a_bearer_token_is_one() {
    let with = |kind| read(&format!(r#""access_token":"t","expires_in":9,"token_type":"{kind}""#));
    for kind in ["Bearer", "bearer", "BEARER"] {
        assert_eq!(with(kind).unwrap(), "t");
    }
    for kind in ["DPoP", "mac", ""] {
        assert_eq!(with(kind).unwrap_err().kind(), BadResponse, "{kind:?}");
    }
}

#[test]
fn the_lifetime_is_what_the_answer_says() {
    for seconds in [120, 1200, 7200] {
        let server = Server::tokens(seconds);
        let (client, clock) = manual_client(&server);
        client.token().unwrap();
        clock.advance(Duration::from_secs(seconds / 4));
        assert_eq!(value(client.token()), "token-1");
        clock.advance(Duration::from_secs(seconds));
        assert_eq!(value(client.token()), "token-2");
    }
}

#[test]
fn a_token_for_fewer_scopes_is_not_taken_silently() {
    let narrow = r#"{"access_token":"t","expires_in":1200,"scope":"a"}"#;
    let server = Server::always(answer(200, "", narrow));
    let error = failure_in_time(&client(&server));
    assert_eq!((error.kind(), server.requests()), (InvalidScope, 1));
    let content = builder(&server.url()).set("allow_narrowed_scope", "true").build().unwrap();
    assert_eq!(content.token().unwrap().scope(), "a", "what was granted is told");
}

#[test]
fn a_token_goes_into_one_bearer_header() {
    let server = Server::always(token("t", 1200));
    let token = client(&server).token().unwrap();
    assert_eq!((token.bearer(), token.header()), ("Bearer t", "Authorization: Bearer t"));
}

#[test]
fn a_token_goes_to_iris_alone() {
    assert_eq!(default_of("api_hosts"), "iris.trackunit.com");
    let client = builder("https://auth.example.test/").build().unwrap();
    assert!(client.may_send_to("https://iris.trackunit.com/api/asset/v2/assets"));
    for elsewhere in [
        "http://iris.trackunit.com/",
        "https://iris.trackunit.com.example/",
        "https://iris.trackunit.com@example.com/",
        "https://trackunit.com/",
        "https://iris.trackunit.com:8443/",
    ] {
        assert!(!client.may_send_to(elsewhere), "{elsewhere}");
    }
}

#[test]
fn an_expired_token_is_replaced_by_the_same_request() {
    let server = Server::tokens(1200);
    let (client, clock) = manual_client(&server);
    let first = client.token().unwrap();
    clock.advance(Duration::from_secs(1201));
    let second = client.token().unwrap();
    assert_eq!((first.value(), second.value()), ("token-1", "token-2"));
    let bodies: Vec<String> = server.received().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies[0], bodies[1]);
}

#[test]
fn there_is_no_refresh_grant() {
    let server = Server::always(answer(
        200,
        "",
        r#"{"access_token":"t","expires_in":1200,"refresh_token":"never-sent"}"#,
    ));
    let (client, clock) = manual_client(&server);
    for _ in 0..3 {
        // The same token again is no progress, which is another test's matter.
        let _ = client.token();
        clock.advance(Duration::from_secs(1300));
    }
    assert!(server.requests() >= 3);
    for request in server.received() {
        assert!(request.body.starts_with("grant_type=client_credentials&"), "{}", request.body);
        assert!(!request.body.contains("never-sent") && !request.head.contains("never-sent"));
    }
}

#[test]
fn each_documented_error_is_an_error_of_its_own_and_asked_for_once() {
    for (code, kind) in [
        ("invalid_client", InvalidClient),
        ("invalid_scope", InvalidScope),
        ("unsupported_grant_type", OAuth),
    ] {
        let server = Server::always(oauth_error(400, code));
        let client = client(&server);
        let errors = [failure_in_time(&client), failure_in_time(&client)];
        for error in errors {
            assert_eq!((error.kind(), error.oauth_code()), (kind, Some(code)));
        }
        assert_eq!(server.requests(), 1, "{code}");
    }
}

#[test]
fn a_refused_scope_is_named_with_the_services_words() {
    let said = r#"{"error":"invalid_scope","error_description":"Requested scope is not allowed for this API Key."}"#;
    let error = failure_in_time(&client(&Server::always(answer(400, "", said))));
    let message = error.message();
    assert!(message.contains("Requested scope is not allowed for this API Key."), "{error}");
    assert!(message.contains("asked for: a b") && !message.contains(SECRET), "{error}");
}

#[test]
fn an_error_that_is_not_documented_keeps_its_code() {
    let error = failure_in_time(&client(&Server::always(oauth_error(400, "out_of_coffee"))));
    assert_eq!((error.kind(), error.oauth_code()), (OAuth, Some("out_of_coffee")));
}

#[test]
fn a_key_is_rotated_while_the_client_runs() {
    let server = Server::tokens(1200);
    let (client, clock) = manual_client(&server);
    client.token().unwrap();
    client.rotate("new-id", "new-secret").unwrap();
    clock.advance(Duration::from_secs(1201));
    client.token().unwrap();
    let body = server.received().pop().unwrap().body;
    assert!(body.contains("client_id=new-id&client_secret=new-secret"), "{body}");
}

#[test]
fn which_service_uses_a_key_is_told_by_its_name() {
    let server = Server::tokens(1200);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let events = heard.clone();
    let client = builder(&server.url())
        .set("name", "nightly-reports")
        .on_event(move |event: &Event| events.lock().unwrap().push(event.clone()))
        .build()
        .unwrap();
    client.token().unwrap();
    let head = server.received()[0].head.clone();
    assert!(header(&head, "user-agent").is_some_and(|it| it.contains("nightly-reports")), "{head}");
    until("events", || heard.lock().unwrap().len() >= 2);
    for event in heard.lock().unwrap().iter() {
        assert_eq!(&*event.client, "nightly-reports");
        assert!(!format!("{event:?}").contains(ID), "the name stands for the id");
    }
}

#[test]
fn secrets_and_tokens_are_in_nothing_that_is_shown() {
    let server = Server::always(token("a-token-to-hide", 1200));
    let client = client(&server);
    let token = client.token().unwrap();
    let shown = format!("{client:?} {token:?} {:?}", client.stats(None).unwrap());
    assert!(!shown.contains(SECRET) && !shown.contains("a-token-to-hide"), "{shown}");
    let keyed = builder(&format!("{}?key=hush", server.url())).build().unwrap();
    let shown = format!("{keyed:?}");
    assert!(shown.contains("/token/v2?...") && !shown.contains("hush"), "{shown}");
}
