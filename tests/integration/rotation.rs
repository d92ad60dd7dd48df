//! Credentials that change while the client lives, and tokens that an API refuses.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::tls::Files;
use crate::support::{
    ID, Server, builder, manual_client, oauth_error, patient_builder, token, until, value,
    with_timeout,
};
use tu_token::ErrorKind::{
    Credentials as NoCredentials, InvalidArgument, InvalidClient, InvalidScope, Pending,
};
use tu_token::{
    Builder, Client, Clock, Config, Credentials, Error, ErrorKind, Event, EventKind, GetOptions,
    ManualClock, State, Token,
};

const OLD: &str = "old-secret-0123456789";
const NEW: &str = "new-secret-9876543210";

/// A server that refuses every secret but the new one, and says so in this way.
fn refuses_old(status: u16, code: &'static str) -> Server {
    Server::new(move |before, request| match request.body.contains(NEW) {
        true => token(&format!("token-{}", before + 1), 1200),
        false => oauth_error(status, code),
    })
}

fn of_scope(client: &Client, scope: &str) -> Result<Token, Error> {
    client.get(&GetOptions { scope: Some(scope), ..GetOptions::default() })
}

fn state(client: &Client, scope: Option<&str>) -> State {
    client.stats(scope).unwrap().state
}

// --- rotate ----------------------------------------------------------------------------------

#[test]
fn a_refusal_of_the_pair_that_was_rotated_away_is_nobodys() {
    for (status, code) in [(401, "invalid_client"), (400, "invalid_scope")] {
        let rotated = Arc::new(AtomicBool::new(false));
        let is_rotated = rotated.clone();
        let server = Server::new(move |_, request| match request.body.contains(NEW) {
            true => token("of-the-new-pair", 1200),
            false => {
                until("the rotation", || is_rotated.load(Ordering::SeqCst));
                oauth_error(status, code)
            }
        });
        let told = Arc::<Mutex<Vec<EventKind>>>::default();
        let seen = told.clone();
        let client = patient_builder(&server.url())
            .set("client_secret", OLD)
            .on_event(move |event: &Event| seen.lock().unwrap().push(event.kind))
            .build()
            .unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| client.token());
            until("the old pair is sent", || server.requests() == 1);
            client.rotate(ID, NEW).unwrap();
            rotated.store(true, Ordering::SeqCst);
            assert_eq!(value(waiting.join().unwrap()), "of-the-new-pair", "{code}");
        });
        let stats = client.stats(None).unwrap();
        assert_eq!((stats.waits, stats.failures, stats.last_error), (1, 0, None), "{code}");
        until("the success is told", || told.lock().unwrap().contains(&EventKind::FetchSucceeded));
        assert!(!told.lock().unwrap().contains(&EventKind::FetchFailed), "{code}");
        assert_eq!(value(of_scope(&client, "c")), "of-the-new-pair", "{code}");
        assert_eq!(server.requests(), 3);
    }
}

#[test]
fn a_rotation_ends_what_is_remembered_of_the_old_pair() {
    for (status, code, kind) in
        [(401, "invalid_client", InvalidClient), (400, "invalid_scope", InvalidScope)]
    {
        let server = refuses_old(status, code);
        let (client, clock) = manual_client(&server);
        client.rotate(ID, OLD).unwrap();
        for _ in 0..2 {
            assert_eq!(client.token().unwrap_err().kind(), kind);
        }
        // The minimum between two fetches of one scope; far less than the refusal's minute.
        clock.advance(Duration::from_secs(1));
        assert!(client.stats(None).unwrap().next_request_in > Duration::from_secs(50));
        assert_eq!((client.token().unwrap_err().kind(), server.requests()), (kind, 1));
        client.rotate(ID, NEW).unwrap();
        assert_eq!(client.stats(None).unwrap().next_request_in, Duration::ZERO);
        assert_eq!(value(client.token()), "token-2", "{code}");
        assert_eq!(value(of_scope(&client, "c")), "token-3", "{code}");
    }
}

// --- files -----------------------------------------------------------------------------------

/// Options of a client that reads its secret from a file.
fn file_options<'a>(url: &'a str, path: &'a str) -> [(&'a str, &'a str); 4] {
    [("client_id", ID), ("client_secret_file", path), ("scope", "a b"), ("token_url", url)]
}

fn with_file(url: &str, path: &str) -> Builder {
    file_options(url, path).into_iter().fold(Client::builder(), |to, (key, at)| to.set(key, at))
}

#[test]
fn a_mended_file_ends_a_refusal_within_a_second_of_calls() {
    let server = refuses_old(401, "invalid_client");
    let files = Files::new();
    let path = files.write("secret", OLD);
    let client = with_file(&server.url(), &path).build().unwrap();
    for _ in 0..10 {
        assert_eq!(client.token().unwrap_err().kind(), InvalidClient);
    }
    assert_eq!(server.requests(), 1, "the same pair was not sent again");
    files.write("secret", NEW);
    let at = Instant::now();
    until("the new file is used", || client.token().is_ok());
    assert!(at.elapsed() < Duration::from_millis(2500), "{:?}", at.elapsed());
    assert_eq!(server.requests(), 2);
}

#[test]
fn a_changed_file_is_read_before_the_next_renewal() {
    let server = Server::tokens(1200);
    let files = Files::new();
    let path = files.write("secret", OLD);
    let (mut config, url) = (Config::new(), server.url());
    for (key, at) in file_options(&url, &path) {
        config.set(key, at);
    }
    let clock = Arc::new(ManualClock::default());
    let client = Client::with_clock(&config, Clock::Manual(clock.clone())).unwrap();
    assert_eq!(value(client.token()), "token-1");
    files.write("secret", &format!("{NEW}\n"));
    assert_eq!((value(client.token()).as_str(), server.requests()), ("token-1", 1));
    clock.advance(Duration::from_secs(1000));
    assert_eq!(value(client.token()), "token-1");
    until("the renewal", || value(client.token()) == "token-2");
    let bodies: Vec<String> = server.received().into_iter().map(|request| request.body).collect();
    assert!(bodies[0].contains(OLD) && bodies[1].contains(NEW) && !bodies[1].contains(OLD));
}

#[cfg(unix)]
#[test]
fn a_file_that_everybody_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::tokens(1200);
    let files = Files::new();
    let path = files.write("secret", NEW);
    for (mode, warnings) in [(0o600, 0), (0o640, 0), (0o644, 1), (0o604, 1)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let events = Arc::new(Mutex::new(Vec::new()));
        let seen = events.clone();
        let record = move |event: &Event| seen.lock().unwrap().push(event.clone());
        let client = with_file(&server.url(), &path).on_event(record).build().unwrap();
        client.rotate(ID, NEW).unwrap();
        // Events are told in order: the warning comes before this one.
        let told = |kind| events.lock().unwrap().iter().filter(|event| event.kind == kind).count();
        until("the last event", || told(EventKind::Rotated) == 1);
        assert_eq!(told(EventKind::Warning), warnings, "{mode:o}");
        let events = events.lock().unwrap();
        for warning in events.iter().filter(|event| event.kind == EventKind::Warning) {
            assert!(warning.message.contains(&path) && !warning.message.contains(NEW));
        }
    }
}

// --- the callback ----------------------------------------------------------------------------

#[test]
fn a_callback_is_asked_for_another_pair_once_when_one_is_refused() {
    let server = refuses_old(401, "invalid_client");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let client = builder(&server.url())
        .on_credentials(move |refused: bool| {
            seen.lock().unwrap().push(refused);
            Some(Credentials::new(ID, if refused { NEW } else { OLD }))
        })
        .build()
        .unwrap();
    let at = Instant::now();
    assert_eq!(value(client.token()), "token-2");
    assert!(at.elapsed() < Duration::from_millis(900), "no pause: {:?}", at.elapsed());
    assert_eq!(server.requests(), 2);
    assert_eq!(*asked.lock().unwrap(), [false, true]);
    assert_eq!(client.stats(None).unwrap().failures, 0);
}

#[test]
fn a_callback_without_another_pair_is_not_asked_in_circles() {
    let server = refuses_old(401, "invalid_client");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let client = builder(&server.url())
        .on_credentials(move |refused: bool| {
            seen.lock().unwrap().push(refused);
            (!refused).then(|| Credentials::new(ID, OLD))
        })
        .build()
        .unwrap();
    for _ in 0..5 {
        assert_eq!(client.token().unwrap_err().kind(), InvalidClient);
    }
    assert_eq!((server.requests(), asked.lock().unwrap().as_slice()), (1, &[false, true][..]));
}

#[test]
fn a_callback_that_gives_nothing_sends_nothing() {
    let server = Server::tokens(1200);
    let client = builder(&server.url()).on_credentials(|_| None::<Credentials>).build().unwrap();
    let error = client.token().unwrap_err();
    assert_eq!((error.kind(), server.connections()), (NoCredentials, 0), "{error}");
    client.rotate(ID, NEW).unwrap();
    assert_eq!(value(client.token()), "token-1");
}

#[test]
fn a_callback_that_waits_for_its_own_client_is_told_so() {
    let server = Server::tokens(1200);
    let itself = Arc::new(Mutex::new(None::<Client>));
    let inside = Arc::new(Mutex::new(Vec::<ErrorKind>::new()));
    let (own, seen) = (itself.clone(), inside.clone());
    let client = patient_builder(&server.url())
        .on_credentials(move |_| {
            let client = own.lock().unwrap().clone().unwrap();
            let no_wait = client.get(&with_timeout(Duration::ZERO));
            let by_function = client.get_async(&GetOptions::default(), |_| panic!("called"));
            seen.lock().unwrap().extend([
                client.token().unwrap_err().kind(),
                of_scope(&client, "c").unwrap_err().kind(),
                by_function.unwrap_err().kind(),
                no_wait.unwrap_err().kind(),
            ]);
            Some(Credentials::new(ID, NEW))
        })
        .build()
        .unwrap();
    *itself.lock().unwrap() = Some(client.clone());
    let at = Instant::now();
    assert_eq!(value(client.token()), "token-1");
    assert!(at.elapsed() < Duration::from_secs(2), "it hung for {:?}", at.elapsed());
    // The client and its callback hold each other: part them.
    itself.lock().unwrap().take();
    let inside = inside.lock().unwrap();
    assert_eq!(inside[..], [InvalidArgument, InvalidArgument, InvalidArgument, Pending]);
}

// --- invalidate ------------------------------------------------------------------------------

#[test]
fn the_same_token_again_is_refused_once() {
    let server = Server::always(token("the-same", 1200));
    let (client, clock) = manual_client(&server);
    for _ in 0..4 {
        let token = client.token().unwrap();
        clock.advance(Duration::from_secs(2));
        client.invalidate(&token);
        client.invalidate_value("Bearer the-same");
    }
    assert!(server.requests() <= 2, "{}", server.requests());
}

#[test]
fn a_refused_token_is_dropped_wherever_it_is_held() {
    let server = Server::new(|before, _| match before {
        0 | 1 => token("held-twice", 1200),
        _ => token(&format!("token-{before}"), 1200),
    });
    let (client, clock) = manual_client(&server);
    assert_eq!(value(client.token()), value(of_scope(&client, "c")));
    clock.advance(Duration::from_secs(2));
    client.invalidate_value("held-twice");
    assert_eq!((state(&client, None), state(&client, Some("c"))), (State::Empty, State::Empty));
    assert_eq!(
        (value(client.token()), value(of_scope(&client, "c"))),
        ("token-2".into(), "token-3".into())
    );
}
