//! Failures that depend on threads, real time or memory. Which answer gives which error: `error_table.rs`; how long it
//! is remembered: `tests/vectors/retries.json`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::{
    ID, SECRET, Server, answer, builder, manual_client, patient_builder, together, token, until,
    value,
};
use tu_token::ErrorKind::{Budget, Credentials as NoCredentials, RateLimited};
use tu_token::{Client, Credentials, CredentialsFn, GetOptions};

#[test]
fn credentials_that_cannot_be_had() {
    let (server, has_some) = (Server::tokens(1200), Arc::new(AtomicBool::new(false)));
    let asked = has_some.clone();
    let client = Client::builder()
        .on_credentials(move |_| asked.load(Ordering::SeqCst).then(|| Credentials::new(ID, SECRET)))
        .scope("a")
        .token_url(&server.url())
        .build()
        .unwrap();
    let error = client.token().unwrap_err();
    assert_eq!(error.kind(), NoCredentials, "{error}");
    assert!(error.is_retryable());
    assert_eq!(client.token().unwrap_err().kind(), NoCredentials);
    assert_eq!(server.connections(), 0);
    // The function has some: no new client is needed.
    has_some.store(true, Ordering::SeqCst);
    client.wake();
    assert_eq!(value(client.token()), "token-1");
}

// --- Retry-After -----------------------------------------------------------------------------

#[test]
fn a_retry_after_in_the_past_ends_no_fetch() {
    let server = Server::new(|before, _| match before {
        0 => answer(429, "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n", ""),
        _ => token("t", 1200),
    });
    assert_eq!(value(patient_builder(&server.url()).build().unwrap().token()), "t");
}

/// The clock stands still: whoever pauses does so until it is turned.
#[test]
fn a_rate_limit_without_a_time_holds_back_the_whole_client_from_the_first_attempt_on() {
    // One date is past; the others are less than a second ahead, or have been by the time they come.
    let soon = httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(1));
    for (status, wait) in [
        (429, ""),
        (429, "Retry-After: 0\r\n"),
        (503, "Retry-After: 0\r\n"),
        (429, "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
        (429, &format!("Retry-After: {soon}\r\n")),
        (429, "Retry-After: -5\r\n"),
    ] {
        let server = Server::always(answer(status, wait, ""));
        let (client, clock) = manual_client(&server);
        let other = GetOptions { scope: Some("c"), ..GetOptions::default() };
        let held_back = || client.stats(other.scope).unwrap().next_request_in > Duration::ZERO;
        let refused = |requests| {
            let error = client.get(&other).unwrap_err();
            assert_eq!(error.kind(), RateLimited, "{wait}: {error}");
            assert!(error.retry_after().unwrap() > Duration::ZERO, "{wait}");
            assert_eq!(server.requests(), requests, "{wait}");
        };
        let first = {
            let client = client.clone();
            std::thread::spawn(move || client.token().unwrap_err())
        };
        until("the first attempt has failed", held_back);
        refused(1);
        until("the fetch ends", || {
            clock.advance(Duration::from_millis(5));
            first.is_finished()
        });
        assert_eq!(first.join().unwrap().kind(), RateLimited);
        let requests = server.requests();
        assert!((2..=3).contains(&requests), "{wait}: {requests}");
        refused(requests);
        client.wake();
        assert!(!held_back(), "{wait}: the network is back, and no time was named");
    }
}

// --- the budget, and the cause of a failure ---------------------------------------------------

#[test]
fn a_program_gone_wild_runs_into_its_budget() {
    let server = Server::always(answer(500, "", ""));
    // Less than the minute of the budget, which a fetch would wait for.
    let client = builder(&server.url())
        .set("fetch_timeout", "10s")
        .set("max_requests_per_minute", "5")
        .build()
        .unwrap();
    until("the budget is used up", || {
        client.wake();
        client.token().unwrap_err().kind() == Budget
    });
    let error = client.token().unwrap_err();
    assert!(error.message().contains("500"), "the last failure is told: {error}");
    assert!(error.retry_after().unwrap() > Duration::from_secs(30));
    assert_eq!(server.requests(), 5);
}

#[test]
fn what_a_credentials_function_failed_with_is_for_those_who_waited() {
    #[derive(Debug)]
    struct Sealed(#[allow(dead_code)] Arc<()>);
    impl std::fmt::Display for Sealed {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the vault is sealed")
        }
    }
    impl std::error::Error for Sealed {}

    let (alive, server) = (Arc::new(()), Server::tokens(1200));
    let held = alive.clone();
    let client = Client::builder()
        .set("token_url", &server.url())
        .set("scope", "a")
        .on_credentials(CredentialsFn::fallible(move |_| Err(Sealed(held.clone()).into())))
        .build()
        .unwrap();
    let errors: Vec<tu_token::Error> =
        together(8, |_| client.token()).into_iter().map(Result::unwrap_err).collect();
    for error in &errors {
        assert_eq!(error.kind(), NoCredentials);
        let cause = std::error::Error::source(error).expect("they all waited");
        assert!(cause.is::<Sealed>() && !error.message().contains("sealed"));
    }
    let later = client.token().unwrap_err();
    assert_eq!(
        later.message().strip_suffix(" (remembered; next try in 1 s)"),
        Some(errors[0].message())
    );
    assert!(std::error::Error::source(&later).is_none(), "it waited for nothing");
    drop(errors);
    // One here, one in the function: nothing remembers what it failed with.
    until("the last of it has gone", || Arc::strong_count(&alive) == 2);
    assert_eq!(server.requests(), 0);
}
