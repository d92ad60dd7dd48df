//! Clients for tests with a misbehaving server, and checks of their calls.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use tu_token::{Builder, Client, Clock, Config, Error, GetOptions, ManualClock, Token};

use super::{Reply, Server};

pub const ID: &str = "test-id";
pub const SECRET: &str = "test-secret-0123456789";

/// The options of every client here. Long enough for a machine on which a thread may not run for seconds.
pub fn options(url: &str) -> [(&str, &str); 7] {
    [
        ("client_id", ID),
        ("client_secret", SECRET),
        ("scope", "a b"),
        ("token_url", url),
        ("fetch_timeout", "20s"),
        ("request_timeout", "20s"),
        ("connect_timeout", "20s"),
    ]
}

/// The same client with limits by which a fetch is to end.
pub fn hasty(builder: Builder) -> Builder {
    ["fetch_timeout", "request_timeout", "connect_timeout"]
        .into_iter()
        .fold(builder, |builder, key| builder.set(key, "1s"))
}

pub fn builder(url: &str) -> Builder {
    options(url)
        .into_iter()
        .fold(Client::builder(), |builder, (key, value)| builder.set(key, value))
}

/// A client with time for all attempts of a fetch and the pauses between them.
pub fn patient_builder(url: &str) -> Builder {
    builder(url).set("fetch_timeout", "60s")
}

pub fn client(server: &Server) -> Client {
    builder(&server.url()).build().unwrap()
}

/// A client whose clock only the test advances.
pub fn manual_client(server: &Server) -> (Client, Arc<ManualClock>) {
    let mut config = Config::new();
    for (key, value) in options(&server.url()) {
        config.set(key, value);
    }
    let clock = Arc::new(ManualClock::default());
    (Client::with_clock(&config, Clock::Manual(clock.clone())).unwrap(), clock)
}

/// The failure of a call that ends long before the time limits of a fetch, or by those of a hasty client.
pub fn failure_in_time(client: &Client) -> Error {
    let started = Instant::now();
    let error = client.token().map(|token| token.value().to_owned()).unwrap_err();
    let took = started.elapsed();
    assert!(took < Duration::from_secs(10), "took {took:?}: {error}");
    error
}

pub fn value(outcome: Result<Token, Error>) -> String {
    outcome.unwrap().value().to_owned()
}

/// Checks all cases, each on its own thread.
pub fn each<T: Send>(cases: impl IntoIterator<Item = T>, check: impl Fn(T) + Sync) {
    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(|| check(case));
        }
    });
}

/// Waits, at most a minute, until a condition holds: on a busy machine a thread may not run for seconds.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A server that answers once the gate is open, and the gate.
pub fn gated(reply: Reply) -> (Server, Arc<AtomicBool>) {
    let gate = Arc::new(AtomicBool::new(false));
    let is_open = gate.clone();
    let server = Server::new(move |_, _| {
        until("the gate opens", || is_open.load(Ordering::SeqCst));
        reply.clone()
    });
    (server, gate)
}

/// The outcomes of `count` callers on as many threads that start at the same time.
pub fn together(
    count: usize,
    call: impl Fn(usize) -> Result<Token, Error> + Sync,
) -> Vec<Result<Token, Error>> {
    let barrier = Barrier::new(count);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|number| {
                let (barrier, call) = (&barrier, &call);
                scope.spawn(move || {
                    barrier.wait();
                    call(number)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

pub fn with_timeout(time: Duration) -> GetOptions<'static> {
    GetOptions { timeout: Some(time), ..GetOptions::default() }
}
