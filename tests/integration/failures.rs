//! The table of failures, row by row: which error, how many requests, how long it is remembered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::tls::Files;
use crate::support::{
    ID, Reply, SECRET, Server, Step, answer, builder, each, failure_in_time, manual_client,
    oauth_error, patient_builder, together, token, until, value,
};
use tu_token::ErrorKind::{
    BadResponse, Budget, Credentials as NoCredentials, InvalidClient, InvalidScope, Network, OAuth,
    RateLimited, Server as InTrouble,
};
use tu_token::{Client, Credentials, CredentialsFn, ErrorKind, GetOptions};

/// The first fetch makes so many requests and fails so; the next call gets the same from memory.
fn check(reply: Reply, kind: ErrorKind, requests: usize) {
    let shown = match &reply[..] {
        [Step::Send(bytes)] => String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned(),
        steps => format!("{steps:?}"),
    };
    let server = Server::always(reply);
    let client = patient_builder(&server.url()).build().unwrap();
    let error = client.token().unwrap_err();
    assert_eq!((error.kind(), server.requests()), (kind, requests), "{shown}: {error}");
    let again = client.token().unwrap_err();
    assert_eq!((again.kind(), server.requests()), (kind, requests), "again, {shown}: {again}");
    let wait = again.retry_after().expect("the wait is known");
    // A rate limit says how long from the first on.
    let live = error.message().split(" (next try in ").next().unwrap();
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    assert_eq!(again.message(), format!("{live} (remembered; next try in {seconds} s)"));
    assert_eq!(live == error.message(), kind != RateLimited, "{error}");
    // A refusal is remembered for a minute, a transient error for a second at most.
    let most = Duration::from_secs(if requests == 1 { 60 } else { 1 });
    assert!(wait <= most && wait > Duration::ZERO, "{shown}: {wait:?}");
    let transient = requests > 1;
    if kind != ErrorKind::InvalidClient && kind != ErrorKind::InvalidScope {
        assert_eq!(error.is_retryable(), transient, "{shown}");
    }
}

fn check_all(rows: Vec<(Reply, ErrorKind)>, requests: usize) {
    each(rows, |(reply, kind)| check(reply, kind, requests));
}

#[test]
fn what_will_not_pass_is_asked_once() {
    let narrow = r#"{"access_token":"t","expires_in":1200,"scope":"a"}"#;
    let mut rows = vec![
        (oauth_error(400, "invalid_client"), InvalidClient),
        (oauth_error(401, "invalid_client"), InvalidClient),
        (oauth_error(500, "invalid_client"), InvalidClient),
        (oauth_error(200, "invalid_client"), InvalidClient),
        (oauth_error(403, "unauthorized_client"), InvalidClient),
        (answer(401, "", ""), InvalidClient),
        (answer(401, "", "<html>401</html>"), InvalidClient),
        (answer(401, "", r#"{"message":"no"}"#), InvalidClient),
        (oauth_error(400, "invalid_scope"), InvalidScope),
        (oauth_error(401, "invalid_scope"), InvalidScope),
        (answer(200, "", narrow), InvalidScope),
        (oauth_error(400, "unsupported_grant_type"), OAuth),
        (oauth_error(400, "invalid_request"), OAuth),
        (oauth_error(400, "invalid_grant"), OAuth),
    ];
    for status in [300, 301, 302, 303, 304, 307, 308] {
        rows.push((answer(status, "Location: https://trap.example/\r\n", ""), BadResponse));
    }
    check_all(rows, 1);
}

#[test]
fn what_may_pass_is_asked_three_times() {
    let mut rows = vec![
        (answer(429, "", ""), RateLimited),
        (oauth_error(429, "invalid_client"), RateLimited),
        (answer(503, "Retry-After: 0\r\n", ""), RateLimited),
        (oauth_error(400, "server_error"), InTrouble),
        (oauth_error(400, "temporarily_unavailable"), InTrouble),
        (answer(503, "Retry-After: soon\r\n", ""), InTrouble),
        (oauth_error(400, "slow_down"), OAuth),
        (oauth_error(200, "access_denied"), OAuth),
        (vec![Step::Reset], Network),
        (vec![], Network),
    ];
    for status in [408, 425, 500, 501, 502, 503, 504, 599] {
        rows.push((answer(status, "", "<html>oops</html>"), InTrouble));
    }
    check_all(rows, 3);
}

#[test]
fn what_is_not_a_token_is_asked_three_times() {
    let token = |members: &str| answer(200, "", &format!("{{{members}}}"));
    let mut replies = vec![
        answer(403, "", ""),
        answer(404, "", "<html>404</html>"),
        answer(400, "", r#"{"error":7}"#),
        answer(201, "", r#"{"access_token":"t","expires_in":9}"#),
        answer(204, "", ""),
        answer(200, "", ""),
        answer(200, "", "<html>log in</html>"),
        answer(200, "", r#"{"access_token":"t","expi"#),
        answer(200, "", r#"[{"access_token":"t","expires_in":9}]"#),
        answer(200, "", r#"{"access_token":"t","expires_in":9} {}"#),
        answer(200, "", &format!(r#"{{"access_token":"t","x":"{}"}}"#, "x".repeat(65_536))),
        answer(200, "", &r#"{"a":"#.repeat(13_000)),
        token(r#""expires_in":9"#),
        token(&format!(r#""expires_in":9,"access_token":"{}""#, "x".repeat(16_385))),
    ];
    for access_token in [r#""""#, "7", "null", r#""a b""#, r#""a\r\nX-Evil: 1""#, r#""\u0000""#] {
        replies.push(token(&format!(r#""expires_in":9,"access_token":{access_token}"#)));
    }
    for expires_in in ["0", "-5", "true", r#""1e3""#, r#""+5""#, r#""""#, "{}"] {
        replies.push(token(&format!(r#""access_token":"t","expires_in":{expires_in}"#)));
    }
    for more in [r#""token_type":"DPoP""#, r#""expires_in":9"#, r#""scope":7"#] {
        replies.push(token(&format!(r#""access_token":"t","expires_in":9,{more}"#)));
    }
    check_all(replies.into_iter().map(|reply| (reply, BadResponse)).collect(), 3);
}

#[test]
fn nobody_at_the_port() {
    let url = Server::always(vec![]).url();
    let client = patient_builder(&url).build().unwrap();
    assert_eq!(client.token().unwrap_err().kind(), Network);
    assert_eq!(client.token().unwrap_err().kind(), Network);
    assert_eq!(client.stats(None).unwrap().requests, 3);
}

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

#[test]
fn a_credential_file_that_has_gone_is_served_from_memory() {
    let (server, files) = (Server::tokens(1200), Files::new());
    let path = files.write("secret", SECRET);
    let client = Client::builder()
        .client_id(ID)
        .set("client_secret_file", &path)
        .scope("a")
        .token_url(&server.url())
        .build()
        .unwrap();
    std::fs::remove_file(files.path("secret")).unwrap();
    assert_eq!(value(client.token()), "token-1");
}

// --- Retry-After -----------------------------------------------------------------------------

#[test]
fn a_short_retry_after_is_waited_for_inside_the_fetch() {
    for (status, wait) in [(429, "1"), (503, "1")] {
        let server = Server::new(move |before, _| match before {
            0 => answer(status, &format!("Retry-After: {wait}\r\n"), ""),
            _ => token("after-the-wait", 1200),
        });
        let client = patient_builder(&server.url()).build().unwrap();
        assert_eq!(value(client.token()), "after-the-wait");
        let times: Vec<Instant> = server.received().iter().map(|request| request.at).collect();
        assert_eq!(times.len(), 2);
        assert!(times[1] - times[0] >= Duration::from_millis(990), "{:?}", times[1] - times[0]);
    }
}

#[test]
fn a_long_retry_after_ends_the_fetch_and_binds_the_whole_client() {
    for (written, seconds) in [
        ("60", 60),
        ("901", 900),
        ("99999999999999999999999999", 900),
        ("Sun, 06 Nov 1994 08:51:07 GMT\r\nDate: Sun, 06 Nov 1994 08:49:07 GMT", 120),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 900),
    ] {
        let server = Server::always(answer(429, &format!("Retry-After: {written}\r\n"), ""));
        let client = builder(&server.url()).build().unwrap();
        let started = Instant::now();
        let error = failure_in_time(&client);
        assert!(started.elapsed() < Duration::from_millis(700), "it waited");
        assert_eq!(error.kind(), RateLimited, "{written}");
        // Whatever the program does, nothing is sent before that.
        client.wake();
        client.rotate("other-id", "other-secret").unwrap();
        let other = client.get(&GetOptions { scope: Some("c"), ..GetOptions::default() });
        for error in [error, failure_in_time(&client), other.unwrap_err()] {
            assert_eq!(error.kind(), RateLimited, "{written}");
            let (wait, most) = (error.retry_after().unwrap(), Duration::from_secs(seconds));
            assert!(wait <= most && wait > most - Duration::from_secs(3), "{written}: {wait:?}");
        }
        assert_eq!(server.requests(), 1);
    }
}

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

#[test]
fn requests_go_on_when_a_retry_after_has_passed() {
    let server = Server::new(|before, _| match before {
        0 => answer(503, "Retry-After: 100\r\n", ""),
        _ => token("t", 1200),
    });
    let (client, clock) = manual_client(&server);
    assert_eq!(client.token().unwrap_err().kind(), RateLimited);
    clock.advance(Duration::from_secs(99));
    let error = client.token().unwrap_err();
    assert_eq!((error.retry_after(), server.requests()), (Some(Duration::from_secs(1)), 1));
    clock.advance(Duration::from_secs(1));
    assert_eq!(value(client.token()), "t");
}

// --- how long it is remembered ---------------------------------------------------------------

#[test]
fn a_refusal_is_probed_after_a_minute_then_after_two() {
    for code in ["invalid_client", "invalid_scope", "invalid_request"] {
        let server = Server::always(oauth_error(400, code));
        let (client, clock) = manual_client(&server);
        let mut requests = 0;
        for seconds in [60, 120, 240, 480, 600, 600] {
            client.token().unwrap_err();
            requests += 1;
            assert_eq!(server.requests(), requests, "{code}");
            clock.advance(Duration::from_secs(seconds - 1));
            let error = client.token().unwrap_err();
            assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
            assert_eq!(server.requests(), requests, "{code}");
            clock.advance(Duration::from_secs(1));
        }
    }
}

#[test]
fn new_credentials_end_a_refusal_at_once() {
    let server = Server::new(|_, request| match request.body.contains("good-secret") {
        true => token("t", 1200),
        false => oauth_error(401, "invalid_client"),
    });
    let client = builder(&server.url()).build().unwrap();
    assert_eq!(failure_in_time(&client).kind(), InvalidClient);
    // The whole client is refused, so another scope is not even asked for.
    let other = client.get(&GetOptions { scope: Some("c"), ..GetOptions::default() });
    assert_eq!(other.unwrap_err().kind(), InvalidClient);
    assert_eq!(server.requests(), 1);
    client.rotate(ID, "good-secret").unwrap();
    assert_eq!(value(client.token()), "t");
    assert_eq!(server.requests(), 2);
}

#[test]
fn a_refused_scope_leaves_the_others_alone() {
    let server = Server::new(|_, request| match request.body.ends_with("scope=a+b") {
        true => oauth_error(400, "invalid_scope"),
        false => token("t", 1200),
    });
    let client = builder(&server.url()).build().unwrap();
    let error = failure_in_time(&client);
    assert_eq!(error.kind(), InvalidScope);
    assert!(error.message().contains("a b"), "{error}");
    let other = client.get(&GetOptions { scope: Some("c"), ..GetOptions::default() });
    assert_eq!(value(other), "t");
}

#[test]
fn after_a_failed_fetch_the_next_makes_one_attempt() {
    let server = Server::always(answer(500, "", ""));
    let (client, clock) = manual_client(&server);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| client.token().unwrap_err());
        // Turns the pauses between the attempts into nothing.
        until("the first fetch ends", || {
            clock.advance(Duration::from_millis(5));
            first.is_finished()
        });
    });
    let first = server.requests();
    assert!((1..=3).contains(&first), "{first}");
    for failed in 1..=3 {
        clock.advance(Duration::from_secs(60));
        assert_eq!(client.token().unwrap_err().kind(), InTrouble);
        assert_eq!(server.requests(), first + failed);
    }
}

#[test]
fn a_program_gone_wild_runs_into_its_budget() {
    let server = Server::always(answer(500, "", ""));
    let client =
        patient_builder(&server.url()).set("max_requests_per_minute", "5").build().unwrap();
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
