//! What the service's documentation asks of a client and no transcript (`tests/vectors`) states in full: one test for
//! each statement, in the order of its sections. Each name is the statement, so that a failure reads as a broken
//! promise.

use std::sync::{Arc, Mutex};

use crate::support::{
    ID, SECRET, Server, answer, builder, client, failure_in_time, header, oauth_error, token, until,
};
use tu_token::ErrorKind::{Config as BadConfig, InvalidArgument};
use tu_token::{Error, Event, OPTIONS};

fn default_of(key: &str) -> &'static str {
    OPTIONS.iter().find(|option| option.key == key).expect("an option").default
}

/// Why a client with one option set differently cannot be built.
fn refused(key: &str, value: &str) -> Error {
    builder("https://auth.example.test/token/v2").set(key, value).build().unwrap_err()
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
fn the_token_url_is_the_documented_one_until_another_is_given() {
    assert_eq!(default_of("token_url"), "https://auth.trackunit.com/token/v2");
}

#[test]
fn an_id_and_a_secret_are_needed() {
    for key in ["client_id", "client_secret"] {
        assert!([BadConfig, InvalidArgument].contains(&refused(key, "").kind()), "{key}");
    }
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
