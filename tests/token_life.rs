//! The life of a token, on a clock that the test turns: fresh, soft, hard, dead, refused.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::{
    Reply, Server, Step, after, answer, client, manual_client, oauth_error, together, token, until,
    value, with_timeout,
};
use tu_token::ErrorKind::{Pending, Server as InTrouble, Timeout};
use tu_token::{Client, GetOptions, State};

const SLOW: Duration = Duration::from_millis(200);

/// A server whose second answer and all later ones are another token, or a failure.
fn first_then(second: Reply) -> Server {
    Server::new(move |before, _| match before {
        0 => token("first", 1200),
        _ => second.clone(),
    })
}

const SOFT: Duration = Duration::from_secs(1000);
const HARD: Duration = Duration::from_secs(1175);
const EXPIRED: Duration = Duration::from_secs(1201);

fn state(client: &Client) -> State {
    client.stats(None).unwrap().state
}

#[test]
fn a_fresh_token_causes_no_request() {
    let server = Server::tokens(1200);
    let (client, clock) = manual_client(&server);
    client.token().unwrap();
    clock.advance(Duration::from_secs(599));
    for outcome in together(8, |_| client.token()) {
        assert_eq!(value(outcome), "token-1");
    }
    assert_eq!((server.requests(), state(&client)), (1, State::Fresh));
}

#[test]
fn a_soft_token_is_served_while_one_request_renews_it() {
    let server = first_then(after(SLOW, token("second", 1200)));
    let (client, clock) = manual_client(&server);
    client.token().unwrap();
    clock.advance(SOFT);
    assert_eq!(state(&client), State::Soft);
    let started = Instant::now();
    let outcomes = together(32, |_| client.token());
    assert!(started.elapsed() < SLOW, "a caller waited");
    assert!(outcomes.into_iter().all(|outcome| value(outcome) == "first"));
    until("the renewal", || value(client.token()) == "second");
    assert_eq!((server.requests(), client.stats(None).unwrap().renewals), (2, 1));
    let bodies: Vec<String> = server.received().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies[0], bodies[1], "a renewal repeats the request");
}

#[test]
fn a_hard_token_is_waited_out_and_kept_if_the_fetch_fails() {
    let server = first_then(after(SLOW, token("second", 1200)));
    let (client, clock) = manual_client(&server);
    client.token().unwrap();
    clock.advance(HARD);
    assert!(together(8, |_| client.token()).into_iter().all(|outcome| value(outcome) == "second"));
    assert_eq!(server.requests(), 2);

    let server = first_then(answer(500, "", ""));
    let (client, clock) = manual_client(&server);
    client.token().unwrap();
    clock.advance(HARD);
    assert_eq!((value(client.token()), state(&client)), ("first".to_owned(), State::Hard));
    assert_eq!(value(client.get(&with_timeout(Duration::ZERO))), "first");
    assert_eq!(server.requests(), 2, "one attempt, and then a pause");
}

#[test]
fn a_failing_endpoint_hurts_only_when_the_token_is_dead() {
    for failing in [answer(500, "", ""), oauth_error(401, "invalid_client"), vec![Step::Reset]] {
        let server = first_then(failing);
        let (client, clock) = manual_client(&server);
        client.token().unwrap();
        clock.advance(SOFT);
        for failures in 1..=2 {
            assert_eq!(value(client.token()), "first");
            until("the renewal fails", || client.stats(None).unwrap().failures == failures);
            assert_eq!(value(client.token()), "first");
            assert_eq!(server.requests() as u64, 1 + failures, "one attempt a fetch");
            clock.advance(Duration::from_secs(61));
        }
        clock.advance(EXPIRED - SOFT);
        let error = client.token().unwrap_err();
        assert!(!matches!(error.kind(), Timeout | Pending), "{error}");
        assert_eq!(state(&client), State::Expired);
    }
}

#[test]
fn a_client_heals_with_its_endpoint() {
    let ill = Arc::new(AtomicBool::new(false));
    let is_ill = ill.clone();
    let server = Server::new(move |before, _| match is_ill.load(Ordering::SeqCst) {
        true => answer(500, "", ""),
        false => token(&format!("token-{before}"), 1200),
    });
    let (client, clock) = manual_client(&server);
    client.token().unwrap();
    ill.store(true, Ordering::SeqCst);
    clock.advance(SOFT);
    client.token().unwrap();
    until("the renewal fails", || client.stats(None).unwrap().failures == 1);
    clock.advance(EXPIRED - SOFT);
    assert_eq!(client.token().unwrap_err().kind(), InTrouble);
    ill.store(false, Ordering::SeqCst);
    clock.advance(Duration::from_secs(60));
    assert_eq!(value(client.token()), "token-3");
}

#[test]
fn min_ttl_asks_at_most_four_times_a_lifetime() {
    let server = Server::tokens(1200);
    let (client, clock) = manual_client(&server);
    let long = GetOptions { min_ttl: Duration::from_secs(5000), ..GetOptions::default() };
    for _ in 0..1200 {
        client.get(&long).unwrap();
        clock.advance(Duration::from_secs(1));
    }
    assert!(server.requests() <= 5, "{}", server.requests());
}

#[test]
fn a_refused_token_is_dropped_once() {
    let server = Server::tokens(1200);
    let (client, clock) = manual_client(&server);
    let first = client.token().unwrap();
    clock.advance(Duration::from_secs(2));
    client.invalidate(&first);
    assert_eq!(state(&client), State::Empty);
    let second = client.token().unwrap();
    assert_eq!(second.value(), "token-2");
    // The API answers 401 to the first one's last requests, and to the second token as well.
    clock.advance(Duration::from_secs(2));
    client.invalidate(&first);
    client.invalidate_value("Bearer token-1");
    assert_eq!(value(client.token()), "token-2");
    client.invalidate_value("bearer token-2");
    client.invalidate(&second);
    assert_eq!(value(client.token()), "token-3");
    assert_eq!(server.requests(), 3);
}

#[test]
fn a_storm_of_401_is_spaced() {
    let server = Server::tokens(1200);
    let client = client(&server);
    let started = Instant::now();
    for _ in 0..3 {
        let token = client.token().unwrap();
        client.invalidate(&token);
    }
    assert_eq!(server.requests(), 3);
    assert!(started.elapsed() >= Duration::from_millis(1990), "{:?}", started.elapsed());
}

#[test]
fn a_wrapper_sees_by_the_serial_until_when_its_own_copy_holds() {
    let server = Server::tokens(1200);
    let (client, clock) = manual_client(&server);
    assert_eq!(client.serial_at_hand(None), None, "no token yet");
    let first = client.token().unwrap();
    let at_hand = || client.serial_at_hand(None).map(|serial| serial.get());
    assert_eq!(at_hand(), Some(first.serial()));
    assert_eq!(client.serial_at_hand(Some("some.other")), None);
    clock.advance(SOFT);
    assert_eq!(at_hand(), None, "somebody has to ask for the renewal");
    value(client.token());
    // While it is under way, the first one is at hand again.
    until("the renewal", || at_hand().is_some_and(|serial| serial != first.serial()));
    let second = client.token().unwrap();
    assert_ne!(first.serial(), second.serial());
    client.invalidate(&second);
    assert_eq!(at_hand(), None, "an API refused it");
    clock.advance(Duration::from_secs(1));
    value(client.token());
    client.close();
    assert_eq!(at_hand(), None, "the client is closed");
    assert_eq!(server.requests(), 3);
}
