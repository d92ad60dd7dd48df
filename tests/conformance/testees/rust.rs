//! The testee for Rust: performs the request in each line through the crate's public API and reports the result. It checks
//! nothing.

use std::collections::HashMap;
use std::error::Error as _;
use std::io::{self, BufRead as _, Write as _};
use std::sync::{Arc, Barrier, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tu_token::{
    Builder, Cancel, Client, Credentials, CredentialsFn, Error, Event, GetOptions, Stats, Token,
};

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
enum Request {
    New { client: String, options: HashMap<String, String>, credentials: Option<Vec<Value>> },
    Get(Want),
    GetAsync(Want),
    Start(Want),
    Cancel { id: String },
    Join { id: String },
    Invalidate { client: String, token: String },
    Rotate { client: String, id: String, secret: String },
    Wake { client: String },
    Close { client: String },
    Stats { client: String, scope: Option<String> },
    MaySendTo { client: String, url: String },
    Advance { ms: u64 },
    Events { client: String },
}

/// How tokens are requested, and by how many callers.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Want {
    client: String,
    #[serde(default)]
    id: String,
    scope: Option<String>,
    timeout_ms: Option<i64>,
    #[serde(default)]
    min_ttl_ms: u64,
    #[serde(default = "one")]
    callers: usize,
}

fn one() -> usize {
    1
}

impl Want {
    fn options<'a>(&'a self, cancel: Option<&'a Cancel>) -> GetOptions<'a> {
        // "Do not wait" is -1 in the protocol and a zero timeout here.
        let time = |ms: i64| Duration::from_millis(ms.try_into().unwrap_or(0));
        GetOptions {
            scope: self.scope.as_deref(),
            timeout: self.timeout_ms.map(time),
            min_ttl: Duration::from_millis(self.min_ttl_ms),
            cancel,
        }
    }
}

type Events = Arc<Mutex<Vec<Value>>>;
type Waits = (Cancel, Vec<JoinHandle<Value>>);

#[derive(Default)]
struct Testee {
    clients: HashMap<String, (Client, Events)>,
    waits: HashMap<String, Waits>,
}

impl Testee {
    /// The report: the answer, or the error.
    fn answer(&mut self, request: Request) -> Result<Value, Value> {
        match request {
            Request::New { client, options, credentials } => {
                return self.new_client(client, &options, credentials);
            }
            Request::Get(want) => return Ok(joined(self.started(&want)?)),
            Request::GetAsync(want) => return Ok(awaited(self.client(&want.client)?, &want)),
            Request::Start(want) => {
                let waits = self.started(&want)?;
                self.waits.insert(want.id, waits);
            }
            Request::Cancel { id } => self.waits.get(&id).ok_or_else(|| unknown(&id))?.0.trigger(),
            Request::Join { id } => {
                return Ok(joined(self.waits.remove(&id).ok_or_else(|| unknown(&id))?));
            }
            Request::Invalidate { client, token } => self.client(&client)?.invalidate_value(&token),
            Request::Rotate { client, id, secret } => {
                self.client(&client)?.rotate(&id, &secret).map_err(|error| failed(&error))?;
            }
            Request::Wake { client } => self.client(&client)?.wake(),
            Request::Close { client } => self.client(&client)?.close(),
            Request::Stats { client, scope } => {
                let stats = self.client(&client)?.stats(scope.as_deref());
                return stats.map(|stats| shown_stats(&stats)).map_err(|error| failed(&error));
            }
            Request::MaySendTo { client, url } => {
                return Ok(json!({ "value": self.client(&client)?.may_send_to(&url) }));
            }
            Request::Advance { ms } => tu_token::advance_test_clock(Duration::from_millis(ms)),
            Request::Events { client } => {
                let (_, events) = self.clients.get(&client).ok_or_else(|| unknown(&client))?;
                return Ok(json!({ "events": *locked(events) }));
            }
        }
        Ok(json!({ "ok": true }))
    }

    fn client(&self, name: &str) -> Result<&Client, Value> {
        self.clients.get(name).map(|(client, _)| client).ok_or_else(|| unknown(name))
    }

    fn new_client(
        &mut self,
        name: String,
        options: &HashMap<String, String>,
        credentials: Option<Vec<Value>>,
    ) -> Result<Value, Value> {
        self.clients.remove(&name);
        let events = Events::default();
        let told = events.clone();
        let mut builder =
            Client::builder().on_event(move |event: &Event| locked(&told).push(shown_event(event)));
        for (key, value) in options {
            builder = builder.set(key, value);
        }
        if let Some(script) = credentials {
            builder = with_credentials(builder, script);
        }
        let client = builder.build().map_err(|error| failed(&error))?;
        self.clients.insert(name, (client, events));
        Ok(json!({ "ok": true }))
    }

    /// This many callers, started at the same time on separate threads.
    fn started(&self, want: &Want) -> Result<Waits, Value> {
        let client = self.client(&want.client)?;
        let (cancel, barrier) = (Cancel::new(), Arc::new(Barrier::new(want.callers)));
        let caller = |_| {
            let (client, want) = (client.clone(), want.clone());
            let (cancel, barrier) = (cancel.clone(), barrier.clone());
            thread::spawn(move || {
                barrier.wait();
                shown(client.get(&want.options(Some(&cancel))))
            })
        };
        let threads = (0..want.callers).map(caller).collect();
        Ok((cancel, threads))
    }
}

fn joined((_, threads): Waits) -> Value {
    let result =
        |thread: JoinHandle<Value>| thread.join().unwrap_or_else(|_| json!({ "panicked": true }));
    json!({ "results": threads.into_iter().map(result).collect::<Vec<_>>() })
}

/// The same with futures: starts all, then awaits each.
fn awaited(client: &Client, want: &Want) -> Value {
    let options = want.options(None);
    let futures: Vec<_> = (0..want.callers).map(|_| client.get_future(&options)).collect();
    let results: Vec<_> =
        futures.into_iter().map(|token| shown(pollster::block_on(token))).collect();
    json!({ "results": results })
}

/// A callback that returns one item of the script per call and then repeats the last one.
fn with_credentials(builder: Builder, script: Vec<Value>) -> Builder {
    let calls = Mutex::new(0);
    let next = move || {
        let mut calls = locked(&calls);
        let item = script.get(*calls).or(script.last()).cloned().unwrap_or_default();
        *calls += 1;
        item
    };
    let pair = |item: &Value| Some(Credentials::new(item[0].as_str()?, item[1].as_str()?));
    builder.on_credentials(CredentialsFn::optional(move |_| {
        let item = next();
        match item.as_str() {
            Some(text) => Err(text.trim_start_matches("fail: ").into()),
            None => Ok(pair(&item)),
        }
    }))
}

fn shown(outcome: Result<Token, Error>) -> Value {
    match outcome {
        Err(error) => failed(&error),
        Ok(token) => json!({
            "token": token.value(),
            "bearer": token.bearer(),
            "header": token.header(),
            "scope": token.scope(),
            "expires_in_ms": ms(token.expires_in()),
            "fresh_for_ms": ms(token.fresh_for()),
        }),
    }
}

fn failed(error: &Error) -> Value {
    json!({ "error": {
        "status": error.kind().status(),
        "message": error.message(),
        "oauth_code": error.oauth_code(),
        "http_status": error.http_status().unwrap_or(0),
        "retryable": error.is_retryable(),
        "retry_after_ms": error.retry_after().map_or(-1, ms),
        "cause": error.source().map(|cause| cause.to_string()),
    } })
}

fn shown_stats(stats: &Stats) -> Value {
    json!({ "stats": {
        "state": stats.state as i32,
        "last_status": stats.last_error.map_or(0, |kind| kind.status()),
        "expires_in_ms": ms(stats.expires_in),
        "next_request_in_ms": ms(stats.next_request_in),
        "last_fetch_ms": ms(stats.last_fetch),
        "waits": stats.waits,
        "requests": stats.requests,
        "renewals": stats.renewals,
        "failures": stats.failures,
    } })
}

fn shown_event(event: &Event) -> Value {
    json!({
        "kind": event.kind as i32,
        "status": event.error.map_or(0, |kind| kind.status()),
        "client": event.client.as_ref(),
        "scope": event.scope,
        "message": event.message,
        "fingerprint": event.fingerprint.as_deref().unwrap_or_default(),
        "http_status": event.http_status.unwrap_or(0),
        "attempt": event.attempt,
        "duration_ms": ms(event.duration),
        "wait_ms": event.wait.map_or(-1, ms),
    })
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn unknown(name: &str) -> Value {
    json!({ "unsupported": format!("nothing is called \"{name}\"") })
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn main() -> io::Result<()> {
    let mut testee = Testee::default();
    for line in io::stdin().lock().lines() {
        let answer = match serde_json::from_str(&line?) {
            Ok(request) => testee.answer(request).unwrap_or_else(|answer| answer),
            Err(error) => json!({ "unsupported": error.to_string() }),
        };
        let mut output = io::stdout().lock();
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}
