//! A client with a scripted endpoint, and its callers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use shuttle::thread::{self, JoinHandle};
use zeroize::Zeroizing;

use super::time;
use crate::clock::{BootTime, Clock};
use crate::endpoint::Failure;
use crate::endpoint::http::HttpAnswer;
use crate::endpoint::request::TokenRequest;
use crate::endpoint::{Endpoint, TimeLimit, Transport};
use crate::process::Mailbox;
use crate::{Client, Config, Error, ErrorKind, GetOptions, Token};

/// A caller's result: the token's text, or the kind of the error.
pub(super) type Got = Result<String, ErrorKind>;

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// An answer of the endpoint.
pub(super) struct Answer {
    after: Duration,
    status: u16,
    body: String,
}

/// A token of twenty minutes.
pub(super) fn token(value: &str) -> Answer {
    token_of(value, 1200)
}

/// A token with this lifetime in seconds.
pub(super) fn token_of(value: &str, lifetime: u32) -> Answer {
    let body =
        format!(r#"{{"access_token":"{value}","token_type":"Bearer","expires_in":{lifetime}}}"#);
    Answer { after: Duration::ZERO, status: 200, body }
}

/// A failure with an OAuth error.
pub(super) fn failure(status: u16, error: &str) -> Answer {
    Answer { after: Duration::ZERO, status, body: format!(r#"{{"error":"{error}"}}"#) }
}

impl Answer {
    /// The same answer, delayed.
    pub(super) fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }
}

/// Gets the request's number, from 1, and its form.
type Script = Box<dyn Fn(usize, &str) -> Answer + Send + Sync>;

/// The endpoint's side of a client.
pub(super) struct Scripted {
    requests: AtomicUsize,
    script: Script,
}

impl Scripted {
    /// The number of requests so far.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

struct Wire(Arc<Scripted>);

impl Transport for Wire {
    fn post(&self, request: &TokenRequest, _limit: TimeLimit) -> Result<HttpAnswer, Failure> {
        let number = self.0.requests.fetch_add(1, Ordering::SeqCst) + 1;
        let answer = (self.0.script)(number, &request.body);
        time::sleep(answer.after);
        Ok(HttpAnswer {
            status: answer.status,
            body: Zeroizing::new(answer.body.into_bytes()),
            origin: "https://scripted.example".to_owned(),
            ..HttpAnswer::default()
        })
    }
}

/// The options of a client with the secret "old".
pub(super) fn config() -> Config {
    let mut config = Config::new();
    config.set("client_id", "id").set("client_secret", "old").set("scope", "a");
    config
}

/// A client with these options, and its endpoint.
pub(super) fn client(
    script: impl Fn(usize, &str) -> Answer + Send + Sync + 'static,
) -> (Client, Arc<Scripted>) {
    client_of(&config(), script)
}

pub(super) fn client_of(
    config: &Config,
    script: impl Fn(usize, &str) -> Answer + Send + Sync + 'static,
) -> (Client, Arc<Scripted>) {
    let scripted = Arc::new(Scripted { requests: AtomicUsize::new(0), script: Box::new(script) });
    let wire = Wire(scripted.clone());
    let client = Client::with_endpoint(config, Clock::System, |_| Ok(Endpoint::over(wire)));
    (client.unwrap(), scripted)
}

pub(super) fn got(outcome: Result<Token, Error>) -> Got {
    outcome.map(|token| token.value().to_owned()).map_err(|error| error.kind())
}

pub(super) fn ok(value: &str) -> Got {
    Ok(value.to_owned())
}

/// A caller on its own thread.
pub(super) fn caller(client: &Client) -> JoinHandle<Got> {
    let client = client.clone();
    thread::spawn(move || got(client.token()))
}

/// Runs an action on its own thread at this time.
pub(super) fn at(when: Duration, action: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::spawn(move || {
        time::sleep_until(when);
        action();
    })
}

/// A call of `get_async`. Its callback is called once and then dropped.
pub(super) struct Call {
    got: Mailbox<Got>,
    times: AtomicUsize,
}

impl Call {
    pub(super) fn new(client: &Client, options: &GetOptions<'_>) -> Arc<Self> {
        let call = Arc::new(Self { got: Mailbox::default(), times: AtomicUsize::new(0) });
        let told = call.clone();
        let accepted = client.get_async(options, move |outcome| {
            told.times.fetch_add(1, Ordering::SeqCst);
            told.got.put(got(outcome));
        });
        accepted.unwrap();
        call
    }

    pub(super) fn wait(&self) -> Got {
        self.got.take(&Clock::System, BootTime::from_nanos(u64::MAX)).unwrap()
    }

    /// After [`end`]: whether the callback was called once and has been dropped.
    pub(super) fn is_over(self: &Arc<Self>) -> bool {
        self.times.load(Ordering::SeqCst) == 1 && Arc::strong_count(self) == 1
    }
}

/// Drops the client, and checks that nothing of it is left when every thread is idle.
pub(super) fn end(client: Client, scripted: &Arc<Scripted>) {
    drop(client);
    // If the clock may jump, a quarter of an hour does not prove that every thread is idle.
    let most = if time::is_restless() { 200 } else { 1 };
    for _ in 0..most {
        time::sleep(900 * SECOND);
        if Arc::strong_count(scripted) == 1 {
            return;
        }
    }
    panic!("something still holds the client");
}
