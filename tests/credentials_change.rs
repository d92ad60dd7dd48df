//! Credentials that are others at each call, and files that are mended.

#![cfg(unix)]

mod support;

use std::time::{Duration, Instant};

use support::credentials::*;
use support::tls::Files;
use support::{Server, after, answer, oauth_error, together, token, until, with_timeout};
use tu_token::ErrorKind::{
    Budget, Credentials as NoCredentials, InvalidClient, InvalidScope, Pending, RateLimited,
};
use tu_token::{Credentials, Error, ErrorKind};

// --- another pair at each call -------------------------------------------------------------------

/// A function that gives another secret at each call.
fn fresh(before: usize, _refused: bool) -> Option<Credentials> {
    pair(&format!("secret-of-call-{before}"))
}

#[test]
fn a_secret_that_is_another_at_each_call_is_refused_once_for_all_scopes() {
    let _alone = alone();
    for scopes in [1, 4] {
        let server = Server::always(oauth_error(401, "invalid_client"));
        let (client, clock, ..) = of_function(&server, &[], fresh);
        for _ in 0..20 {
            for scope in 0..scopes {
                assert_eq!(kind(of_scope(&client, &format!("s{scope}"))), InvalidClient);
            }
            clock.advance(SECOND);
        }
        assert_eq!(server.requests(), 2, "{scopes} scopes");
        // The probe after the cool-down, and its second try.
        clock.advance(Duration::from_secs(45));
        for scope in 0..scopes {
            assert_eq!(kind(of_scope(&client, &format!("s{scope}"))), InvalidClient);
        }
        assert_eq!(server.requests(), 4, "{scopes} scopes");
    }
}

#[test]
fn callers_of_four_scopes_together_make_few_requests_and_hear_the_refusal() {
    let _alone = alone();
    let server =
        Server::always(after(Duration::from_millis(50), oauth_error(401, "invalid_client")));
    let (client, ..) = of_function(&server, &[], fresh);
    let outcomes = together(4, |thread| {
        let scope = format!("s{thread}");
        let end = Instant::now() + SECOND;
        loop {
            let outcome = of_scope(&client, &scope);
            assert_ne!(outcome.as_ref().err().map(Error::kind), Some(Budget));
            if Instant::now() > end {
                return outcome;
            }
        }
    });
    assert!(outcomes.into_iter().all(|outcome| kind(outcome) == InvalidClient));
    // Those that were out when the first was refused, and the one more try for all of them.
    assert!(server.requests() <= 5, "{} requests", server.requests());
}

#[test]
fn a_function_that_knows_the_new_pair_costs_no_scope_an_error() {
    let _alone = alone();
    let server = Server::new(|before, request| {
        let reply = match request.body.contains(NEW) {
            true => token(&format!("token-{before}"), 1200),
            false => oauth_error(401, "invalid_client"),
        };
        after(Duration::from_millis(50), reply)
    });
    let (client, ..) =
        of_function(&server, &[], |_, refused| pair(if refused { NEW } else { OLD }));
    let outcomes = together(4, |thread| of_scope(&client, &format!("s{thread}")));
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert!(server.requests() <= 8, "{} requests", server.requests());
}

#[test]
fn a_new_pair_of_a_function_ends_no_cool_down() {
    let _alone = alone();
    let server = Server::new(|_, request| match request.body.contains("scope=bad") {
        true => oauth_error(400, "invalid_scope"),
        false => token("good", 1200),
    });
    let (client, clock, ..) = of_function(&server, &[], fresh);
    for second in 0..5 {
        assert_eq!(kind(of_scope(&client, "bad")), InvalidScope);
        assert!(of_scope(&client, &format!("good-{second}")).is_ok());
        clock.advance(SECOND);
    }
    assert_eq!(server.requests(), 6);
}

// --- files that are mended ------------------------------------------------------------------------

#[test]
fn a_mended_file_is_used_within_a_second_whatever_the_callers_were_told() {
    let _alone = alone();
    type Reply = fn() -> support::Reply;
    let rows: [(&str, ErrorKind, Reply); 5] = [
        ("403", ErrorKind::BadResponse, || answer(403, "", "")),
        ("invalid_client", InvalidClient, || oauth_error(401, "invalid_client")),
        ("invalid_scope", InvalidScope, || oauth_error(400, "invalid_scope")),
        ("500", ErrorKind::Server, || answer(500, "", "")),
        ("no file", NoCredentials, || unreachable!("nothing is sent")),
    ];
    for (what, expected, reply) in rows {
        let server = Server::new(move |before, request| match request.body.contains(NEW) {
            true => token(&format!("token-{before}"), 1200),
            false => reply(),
        });
        let files = Files::new();
        let path = files.write("secret", OLD);
        let (client, clock) = of_file(&server, &path, &[]);
        if what == "no file" {
            std::fs::remove_file(&path).unwrap();
        }
        // The pauses between the attempts of a first fetch are real ones.
        let asker = client.clone();
        let ticking = clock.clone();
        let ticker = std::thread::spawn(move || {
            for _ in 0..100 {
                std::thread::sleep(Duration::from_millis(2));
                ticking.advance(Duration::from_millis(20));
            }
        });
        assert_eq!(kind(asker.token()), expected, "{what}");
        ticker.join().unwrap();
        // Let the pauses grow.
        for _ in 0..6 {
            clock.advance(Duration::from_secs(45));
            assert_eq!(kind(client.token()), expected, "{what}");
        }
        files.write("secret", NEW);
        let mut waited = Duration::ZERO;
        while let Err(error) = client.get(&with_timeout(Duration::ZERO)) {
            clock.advance(SECOND / 4);
            waited += SECOND / 4;
            // What that asks for, and what comes of it.
            std::thread::sleep(Duration::from_millis(50));
            assert!(waited <= 3 * SECOND, "{what}: {error}");
        }
    }
}

#[test]
fn a_file_that_comes_back_with_what_it_held_ends_the_wait_for_it_and_no_other() {
    let _alone = alone();
    let server = Server::new(|before, request| match request.body.contains("scope=bad") {
        true => oauth_error(400, "invalid_scope"),
        false => token(&format!("token-{before}"), 1200),
    });
    let files = Files::new();
    let path = files.write("secret", OLD);
    let (client, clock) = of_file(&server, &path, &[]);
    assert_eq!(kind(of_scope(&client, "bad")), InvalidScope);
    std::fs::remove_file(&path).unwrap();
    let fails = || kind(client.get(&with_timeout(Duration::ZERO)));
    until("the file is missed", || {
        clock.advance(SECOND / 10);
        fails() == NoCredentials
    });
    files.write("secret", OLD);
    until("the file is used", || {
        clock.advance(SECOND / 10);
        client.get(&with_timeout(Duration::ZERO)).is_ok()
    });
    assert_eq!(kind(of_scope(&client, "bad")), InvalidScope);
    assert_eq!(server.requests(), 2);
}

#[test]
fn a_mended_file_does_not_shorten_a_retry_after() {
    let _alone = alone();
    let server = Server::always(answer(429, "Retry-After: 600\r\n", ""));
    let files = Files::new();
    let path = files.write("secret", OLD);
    let (client, clock) = of_file(&server, &path, &[]);
    assert_eq!(kind(client.token()), RateLimited);
    files.write("secret", NEW);
    for _ in 0..5 {
        clock.advance(2 * SECOND);
        assert_eq!(kind(client.token()), RateLimited);
    }
    assert_eq!(server.requests(), 1);
}

#[test]
fn kept_warm_a_client_whose_file_was_mended_asks_by_itself() {
    let _alone = alone();
    let server = server_that_takes_the_new_secret();
    let files = Files::new();
    let path = files.write("secret", OLD);
    let (client, clock) = of_file(&server, &path, &[("keep_warm", "true")]);
    assert_eq!(kind(client.token()), InvalidClient);
    files.write("secret", NEW);
    clock.advance(2 * SECOND);
    // One call that fails has the file looked at; it does not wait for what comes of that.
    assert_eq!(kind(client.get(&with_timeout(Duration::ZERO))), InvalidClient);
    until("a token that nobody asked for", || {
        client.stats(None).unwrap().state == tu_token::State::Fresh
    });
}

#[test]
fn a_file_that_is_another_at_each_read_makes_few_requests() {
    let _alone = alone();
    if !std::path::Path::new("/proc/sys/kernel/random/uuid").exists() {
        return;
    }
    let server = Server::always(oauth_error(401, "invalid_client"));
    let (client, clock) = of_file(&server, "/proc/sys/kernel/random/uuid", &[]);
    for _ in 0..50 {
        let outcome = kind(client.get(&with_timeout(Duration::ZERO)));
        assert!([InvalidClient, Pending].contains(&outcome), "{outcome:?}");
        clock.advance(SECOND / 10);
        std::thread::sleep(Duration::from_millis(2));
    }
    // One fetch a second at most, of two requests each and a few more.
    assert!(server.requests() <= 6 * 6, "{} requests", server.requests());
}
