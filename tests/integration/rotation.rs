//! Credentials that change while the client lives. More in `tests/vectors/credentials.json`.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::credentials::soon;
use crate::support::tls::Files;
use crate::support::{
    ID, Server, builder, oauth_error, options, patient_builder, token, until, value, with_timeout,
};
use tu_token::ErrorKind::{InvalidArgument, InvalidClient, Pending};
use tu_token::{Builder, Client, Clock, Config, Credentials, Error, ErrorKind, GetOptions, Token};

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
    // Ten times the second. A refusal of values that do not change is remembered for longer.
    assert!(at.elapsed() < Duration::from_secs(10), "{:?}", at.elapsed());
    assert_eq!(server.requests(), 2);
}

// --- the callback ----------------------------------------------------------------------------

#[test]
fn a_callback_is_asked_for_another_pair_once_when_one_is_refused() {
    let server = refuses_old(401, "invalid_client");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let mut config = Config::new();
    for (key, value) in
        options(&server.url()).into_iter().filter(|(key, _)| !key.starts_with("client_"))
    {
        config.set(key, value);
    }
    config.on_credentials(move |refused: bool| {
        seen.lock().unwrap().push(refused);
        Some(Credentials::new(ID, if refused { NEW } else { OLD }))
    });
    // Its clock stands still: a pause would not end.
    let client = Client::with_clock(&config, Clock::Manual(Arc::default())).unwrap();
    let asker = client.clone();
    assert_eq!(value(soon("the call", move || asker.token())), "token-2");
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
    assert!(at.elapsed() < Duration::from_secs(10), "it hung for {:?}", at.elapsed());
    // The client and its callback hold each other: part them.
    itself.lock().unwrap().take();
    let inside = inside.lock().unwrap();
    assert_eq!(inside[..], [InvalidArgument, InvalidArgument, InvalidArgument, Pending]);
}
