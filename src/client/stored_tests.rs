//! Clients that share a store under virtual time; each stands for a process.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use super::*;
use crate::cache::entry::State;
use crate::clock::{Clock, ManualClock};
use crate::endpoint::Failure;
use crate::endpoint::http::HttpAnswer;
use crate::endpoint::request::TokenRequest;
use crate::endpoint::{Endpoint, TimeLimit, Transport};
use crate::process::Mailbox;
use crate::store::scripted::{Health, Scripted};
use crate::store::{Found, HeldLock, Holder, Store, Tried};
use crate::{Client, Config, Error, Event, EventKind, GetOptions, Token};

const PATIENCE: Duration = Duration::from_secs(60);

/// A status and a `Retry-After`.
type Failing = Option<(u16, Option<Duration>)>;

/// An endpoint that numbers its tokens, or fails.
#[derive(Clone, Default)]
struct Tokens(Arc<AtomicUsize>, Arc<Mutex<Failing>>);

impl Transport for Tokens {
    fn post(&self, _: &TokenRequest, _: TimeLimit) -> Result<HttpAnswer, Failure> {
        let number = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        let body = format!(r#"{{"access_token":"token-{number}","expires_in":1200}}"#);
        let (status, retry_after) = self.1.lock().unwrap().unwrap_or((200, None));
        Ok(HttpAnswer {
            status,
            body: Zeroizing::new(if status == 200 { body.into_bytes() } else { Vec::new() }),
            retry_after,
            origin: "test".to_owned(),
            ..HttpAnswer::default()
        })
    }
}

#[derive(Clone, Default)]
struct World {
    endpoint: Tokens,
    store: Scripted,
    clock: Arc<ManualClock>,
}

/// One process.
struct Process {
    client: Client,
    clock: Arc<ManualClock>,
    told: Arc<Mutex<Vec<Event>>>,
}

impl World {
    fn process(&self) -> Process {
        self.process_with(&[], Arc::new(self.store.clone()))
    }

    fn process_with(&self, more: &[(&str, &str)], store: Arc<dyn Store>) -> Process {
        let mut config = Config::new();
        config.set("client_id", "id").set("client_secret", "secret").set("scope", "a");
        // The tests must not depend on the machine's load.
        config.set("store_timeout", "20s");
        for (key, value) in more {
            config.set(key, value);
        }
        let told = Arc::new(Mutex::new(Vec::new()));
        let events = told.clone();
        config.on_event(move |event: &Event| events.lock().unwrap().push(event.clone()));
        let endpoint = self.endpoint.clone();
        let client = Client::with_store(
            &config,
            Clock::Manual(self.clock.clone()),
            |_| Ok(Endpoint::over(endpoint)),
            |options| Some(Bounded::new(store, options.store_timeout)),
        );
        Process { client: client.unwrap(), clock: self.clock.clone(), told }
    }

    fn requests(&self) -> usize {
        self.endpoint.0.load(Ordering::SeqCst)
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Sets the endpoint's answer; `None`: tokens.
    fn answers(&self, with: Option<(u16, Option<u64>)>) {
        let with = with.map(|(status, wait)| (status, wait.map(Duration::from_secs)));
        *self.endpoint.1.lock().unwrap() = with;
    }

    /// Returns a short-lived process's token and its number of requests.
    fn short_lived(&self) -> (String, usize) {
        let before = self.requests();
        let process = self.process();
        let first = process.get();
        let got = if process.state() == State::Fresh { first } else { process.get_longer() };
        until("unlocked", || !self.store.is_locked());
        (got, self.requests() - before)
    }

    /// Runs an action that saves a record. A fetch may unlock after its callers have returned.
    fn saving<T>(&self, act: impl FnOnce() -> T) -> T {
        let before = self.store.records();
        let outcome = act();
        until("saved", || self.store.records() != before && !self.store.is_locked());
        outcome
    }

    /// A process that has fetched and saved a token.
    fn first(&self) -> Process {
        let first = self.process();
        assert_eq!(self.saving(|| first.get()), "token-1");
        first
    }
}

/// A get on its own thread. Not a scoped one: a failing test must end even though its clock stands
/// still and the get never returns.
struct Getting {
    thread: JoinHandle<Result<Token, Error>>,
    clock: Arc<ManualClock>,
}

impl Getting {
    /// Its result. The get may wait for a time that has not come yet, e.g. for a lock that the
    /// previous fetch has not released, so the clock advances if it takes long.
    fn outcome(self) -> Result<Token, Error> {
        let begun = Instant::now();
        until("the get returns", || {
            if begun.elapsed() > Duration::from_millis(100) {
                self.clock.advance(Duration::from_millis(1));
            }
            self.thread.is_finished()
        });
        self.thread.join().unwrap()
    }

    fn token(self) -> String {
        self.outcome().unwrap().value().to_owned()
    }
}

impl Process {
    fn getting(&self, min_ttl: Duration) -> Getting {
        let client = self.client.clone();
        let get = move || client.get(&GetOptions { min_ttl, ..GetOptions::default() });
        Getting { thread: std::thread::spawn(get), clock: self.clock.clone() }
    }

    fn get(&self) -> String {
        self.getting(Duration::ZERO).token()
    }

    /// Asks for more life than any token has, so that the cached one is renewed.
    fn get_longer(&self) -> String {
        self.getting_longer().token()
    }

    fn getting_longer(&self) -> Getting {
        self.getting(Duration::from_secs(1300))
    }

    fn state(&self) -> State {
        self.client.stats(None).unwrap().state
    }

    fn store_events(&self) -> Vec<(String, bool)> {
        let told = self.told.lock().unwrap();
        let of_store = told.iter().filter(|event| event.kind == EventKind::Store);
        of_store.map(|event| (event.message.clone(), event.error.is_some())).collect()
    }

    fn heard(&self, text: &str) {
        until(text, || self.store_events().iter().any(|(message, _)| message.contains(text)));
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn one_process_finds_anothers_token_with_its_remaining_life() {
    let world = World::default();
    let first = world.first();
    world.pass(100);
    let second = world.process();
    assert_eq!(second.get(), "token-1");
    let stats = second.client.stats(None).unwrap();
    assert_eq!(stats.expires_in, Duration::from_secs(1100));
    assert_eq!((stats.requests, stats.failures, world.requests()), (0, 0, 1));
    first.heard("store miss: it has no such token");
    second.heard("store hit");
    let told = second.told.lock().unwrap();
    assert!(!told.iter().any(|event| event.kind == EventKind::FetchStarted));
    assert!(told[0].fingerprint.is_some() && told[0].error.is_none());
}

#[test]
fn one_process_renews_for_all() {
    let world = World::default();
    let (first, second) = (world.first(), world.process());
    assert_eq!(second.get(), "token-1");
    world.pass(1000);
    assert_eq!((first.state(), second.state()), (State::Soft, State::Soft));
    world.saving(|| assert_eq!(first.get(), "token-1"));
    until("renewed", || first.get() == "token-2");
    assert_eq!(second.get(), "token-1");
    until("found", || second.get() == "token-2");
    assert_eq!(world.requests(), 2);
}

#[test]
fn a_stored_token_in_its_soft_window_is_served_and_renewed_by_the_next_get() {
    let world = World::default();
    world.first();
    world.pass(1000);
    let second = world.process();
    assert_eq!(second.get(), "token-1");
    assert_eq!((second.state(), world.requests()), (State::Soft, 1));
    world.pass(1);
    until("renewed", || second.get() == "token-2");
}

#[test]
fn a_stored_token_in_its_hard_window_is_renewed_first_and_served_if_that_fails() {
    let world = World::default();
    world.first();
    world.pass(1175);
    world.answers(Some((503, None)));
    assert_eq!((world.process().get().as_str(), world.requests()), ("token-1", 2));
    world.answers(None);
    world.pass(20);
    assert_eq!(world.process().get(), "token-3");
    world.pass(1200);
    world.answers(Some((429, Some(100))));
    let after = world.process();
    let failed = after.getting(Duration::ZERO).outcome().map(drop).map_err(|error| error.kind());
    assert_eq!(failed, Err(ErrorKind::RateLimited));
    after.heard("has expired");
}

#[test]
fn a_short_lived_process_renews_ahead() {
    let world = World::default();
    world.first();
    assert_eq!(world.short_lived(), ("token-1".to_owned(), 0));
    world.pass(1000);
    assert_eq!(world.short_lived(), ("token-2".to_owned(), 1));
    assert_eq!(world.short_lived(), ("token-2".to_owned(), 0));
}

#[test]
fn renewals_that_fail_pause_for_all_processes() {
    let world = World::default();
    world.first();
    world.pass(1000);
    world.answers(Some((503, None)));
    let mut asked_after = Vec::new();
    for second in 0..120 {
        let (token, requests) = world.short_lived();
        assert_eq!(token, "token-1");
        asked_after.extend((requests > 0).then_some(second));
        world.pass(1);
    }
    // After 5, 10, 20, 40 and 60 seconds, or down to half of that.
    assert!((4..=8).contains(&asked_after.len()), "{asked_after:?}");
    assert!(asked_after[0] == 0 && (3..=5).contains(&asked_after[1]), "{asked_after:?}");
    world.answers(None);
    world.pass(60);
    assert_eq!(world.short_lived().1, 1);
    // Nothing of it is left.
    world.pass(1000);
    assert_eq!(world.short_lived().1, 1);
}

#[test]
fn a_retry_after_binds_all_processes() {
    let world = World::default();
    world.first();
    world.pass(950);
    world.answers(Some((429, Some(100))));
    assert_eq!(world.short_lived(), ("token-1".to_owned(), 1));
    for _ in 0..9 {
        assert_eq!(world.short_lived(), ("token-1".to_owned(), 0));
        world.pass(10);
    }
    world.pass(10);
    assert_eq!(world.short_lived(), ("token-1".to_owned(), 1));
    // The same in the hard window.
    world.pass(80);
    assert_eq!(world.short_lived(), ("token-1".to_owned(), 0));
}

#[test]
fn a_process_that_waited_for_anothers_renewal_shares_its_failure() {
    let world = World::default();
    // Longer than this machine has been up; its own clock bounds how long locks are held.
    world.pass(1 << 32);
    world.first();
    world.pass(1000);
    let processes = [world.process(), world.process(), world.process()];
    processes.iter().for_each(|process| assert_eq!(process.get(), "token-1"));
    // The endpoint hangs.
    let mut endpoint = world.endpoint.1.lock().unwrap();
    let getting = processes.each_ref().map(Process::getting_longer);
    until("asked", || world.requests() == 2);
    // The clock stands still, so each of the two others checks the lock once.
    until("waiting", || world.store.refused_locks() >= 2);
    *endpoint = Some((503, None));
    drop(endpoint);
    getting.into_iter().for_each(|get| assert_eq!(get.token(), "token-1"));
    assert_eq!(world.requests(), 2);
}

#[test]
fn a_token_too_short_for_a_caller_is_not_taken_for_it() {
    let world = World::default();
    world.first();
    world.pass(500);
    let second = world.process();
    let long = Duration::from_secs(1000);
    assert_eq!(world.saving(|| second.getting(long).token()), "token-2");
    // Younger than a quarter of its life, so it is good enough.
    world.pass(250);
    assert_eq!(world.process().getting(long).token(), "token-2");
}

#[test]
fn a_refused_token_goes_from_the_store_and_does_not_come_back() {
    let world = World::default();
    let first = world.first();
    let kept = world.store.records();
    first.client.invalidate_value("Bearer token-1");
    until("removed", || world.store.records().is_empty());
    // Another process saves it again.
    let other = world.process();
    assert_eq!(world.saving(|| other.get()), "token-2");
    world.store.tamper(|record| record.clone_from(&kept[0]));
    world.pass(2);
    assert_eq!(first.get(), "token-3");
    first.heard("an API has refused its token");
}

#[test]
fn the_successor_of_a_refused_token_stays_and_is_found() {
    let world = World::default();
    let (first, second) = (world.first(), world.process());
    assert_eq!(second.get(), "token-1");
    first.client.invalidate_value("token-1");
    until("removed", || world.store.records().is_empty());
    world.pass(2);
    assert_eq!(world.saving(|| first.get()), "token-2");
    second.client.invalidate_value("token-1");
    world.pass(2);
    assert_eq!(second.get(), "token-2");
    assert_eq!(world.requests(), 2);
}

#[test]
fn other_credentials_start_afresh() {
    let world = World::default();
    world.first();
    let other = world.process_with(&[("client_secret", "other")], Arc::new(world.store.clone()));
    assert_eq!(world.saving(|| other.get()), "token-2");
    other.client.rotate("id", "secret").unwrap();
    other.client.invalidate_value("token-2");
    world.pass(2);
    assert_eq!(other.get(), "token-1");
}

#[test]
fn a_store_that_fails_costs_one_event_a_fetch_and_no_token() {
    for (mood, events) in [(Health::Down, 1), (Health::Full, 2)] {
        let world = World::default();
        world.store.set_health(mood);
        let process = world.process();
        for _ in 0..100 {
            assert_eq!(process.get(), "token-1");
        }
        process.heard("store failure: ");
        assert_eq!(process.client.stats(None).unwrap().failures, 0);
        assert_eq!(process.store_events().len(), events, "{:?}", process.store_events());
        assert_eq!(process.store_events().iter().filter(|(_, is_failure)| *is_failure).count(), 1);
        world.store.set_health(Health::Up);
        process.client.invalidate_value("token-1");
        world.pass(2);
        assert_eq!(process.get(), "token-2");
        until("saved", || world.store.records().len() == 1);
    }
}

#[test]
fn a_record_damaged_anywhere_is_a_miss_and_is_replaced() {
    let world = World::default();
    world.first();
    let is_replaced = |change: &dyn Fn(&mut Vec<u8>)| {
        world.store.tamper(change);
        let requests = world.requests();
        let process = world.process();
        let got = world.saving(|| process.get());
        assert_eq!((got, world.requests()), (format!("token-{}", requests + 1), requests + 1));
        process.heard("the record is damaged");
    };
    // Records of one token have the same length, apart from the digits of its number.
    let shortest = world.store.records()[0].len();
    for at in 0..shortest {
        is_replaced(&|record| record[at] ^= 1 << (at % 8));
        is_replaced(&|record| record.truncate(at));
    }
    is_replaced(&|record| record.resize(1 << 20, 0));
    is_replaced(&|record| record.push(0));
}

#[test]
fn a_record_is_checked_like_an_answer() {
    let world = World::default();
    world.first();
    let process = world.process();
    process.get();
    let seal = process.client.shared.state().seats[0].seal.clone().unwrap();
    let here = process.client.shared.here(process.client.shared.store.as_ref().unwrap());
    let asked = |more: &str| {
        format!(
            r#"{{"boot":"{}","asked_boot_ns":{},"asked_wall_ms":{}{more}}}"#,
            here.boot.clone().unwrap_or_default(),
            here.now.nanos(),
            here.wall_ms
        )
    };
    for (more, why) in [
        (r#","access_token":"good","expires_in":1200"#, None),
        (r#","access_token":"x y","expires_in":1200"#, Some("would not be accepted")),
        (r#","access_token":"x","expires_in":0"#, Some("would not be accepted")),
        (r#","access_token":"x","expires_in":9,"token_type":"mac""#, Some("not be accepted")),
        (r#","access_token":"x","expires_in":9,"scope":"b""#, Some("would not be accepted")),
        (r#","access_token":"x","access_token":"x""#, Some("would not be accepted")),
        (r#","boot":"twice""#, Some("another format")),
    ] {
        let sealed = seal.seal(asked(more).as_bytes()).unwrap();
        world.store.tamper(|record| record.clone_from(&sealed));
        let process = world.process();
        match why {
            None => assert_eq!(process.get(), "good"),
            Some(_) => assert!(world.saving(|| process.get()).starts_with("token-")),
        }
        process.heard(why.unwrap_or("store hit"));
    }
}

/// A store whose locks another process holds until the test releases them.
#[derive(Clone)]
struct Busy {
    store: Scripted,
    is_free: Arc<Mutex<bool>>,
    tries: Arc<AtomicUsize>,
}

impl Busy {
    fn new(world: &World) -> Self {
        let store = world.store.clone();
        Self { store, is_free: Arc::default(), tries: Arc::default() }
    }

    /// Waits until a fetch waits for a lock; its time runs from then on.
    fn is_waited_for(&self) {
        until("waiting", || self.tries.load(Ordering::SeqCst) > 0);
    }
}

impl Store for Busy {
    fn load(&self, name: &str) -> Result<Option<Found>, Problem> {
        self.store.load(name)
    }
    fn save(&self, name: &str, record: &[u8], life: Duration) -> Result<(), Problem> {
        self.store.save(name, record, life)
    }
    fn remove(&self, name: &str, record: &[u8]) -> Result<(), Problem> {
        self.store.remove(name, record)
    }
    fn try_lock(&self, name: &str) -> Result<Tried<Box<dyn HeldLock>>, Problem> {
        self.tries.fetch_add(1, Ordering::SeqCst);
        if *self.is_free.lock().unwrap() {
            self.store.try_lock(name)
        } else {
            Ok(Tried::Held(Holder::default()))
        }
    }
    fn is_local(&self) -> bool {
        true
    }
}

#[test]
fn a_process_waits_for_anothers_fetch_and_takes_its_token() {
    let world = World::default();
    let store = Busy::new(&world);
    let waiting = world.process_with(&[], Arc::new(store.clone()));
    let brief = GetOptions { timeout: Some(Duration::ZERO), ..GetOptions::default() };
    assert!(waiting.client.get(&brief).is_err());
    store.is_waited_for();
    // Longer than a fetch may take: none of this counts against the fetch.
    world.pass(11);
    assert_eq!(world.requests(), 0);
    let other = world.process();
    assert_eq!(world.saving(|| other.get()), "token-1");
    world.pass(2);
    assert_eq!(waiting.get(), "token-1");
    assert_eq!(world.requests(), 1);
}

#[test]
fn the_wait_for_a_lock_that_is_never_free_is_bounded() {
    let world = World::default();
    let store = Busy::new(&world);
    let waiting = world.process_with(
        &[("fetch_timeout", "5s"), ("request_timeout", "5s")],
        Arc::new(store.clone()),
    );
    let got = waiting.getting(Duration::ZERO);
    store.is_waited_for();
    world.pass(8);
    assert_eq!(got.token(), "token-1");
    assert_eq!(waiting.client.stats(None).unwrap().failures, 0);
}

#[test]
fn credentials_that_change_during_the_lock_wait_are_used() {
    let world = World::default();
    let store = Busy::new(&world);
    let waiting = world.process_with(&[], Arc::new(store.clone()));
    let got = waiting.getting(Duration::ZERO);
    store.is_waited_for();
    waiting.client.rotate("id", "rotated").unwrap();
    *store.is_free.lock().unwrap() = true;
    assert_eq!(got.token(), "token-1");
    until("saved", || world.store.records().len() == 1);
    let next = world.process_with(&[("client_secret", "rotated")], Arc::new(world.store.clone()));
    assert_eq!(next.get(), "token-1");
}

/// A store whose operations hang until the test is over.
struct Hung(Arc<Mailbox<()>>);

impl Hung {
    fn hang<T>(&self) -> Result<T, Problem> {
        let clock = Clock::System;
        self.0.take(&clock, clock.now().after(PATIENCE));
        self.0.put(());
        Err(Problem::new("it hung"))
    }
}

impl Store for Hung {
    fn load(&self, _: &str) -> Result<Option<Found>, Problem> {
        self.hang()
    }
    fn save(&self, _: &str, _: &[u8], _: Duration) -> Result<(), Problem> {
        self.hang()
    }
    fn remove(&self, _: &str, _: &[u8]) -> Result<(), Problem> {
        self.hang()
    }
    fn try_lock(&self, _: &str) -> Result<Tried<Box<dyn HeldLock>>, Problem> {
        self.hang()
    }
    fn is_local(&self) -> bool {
        true
    }
}

#[test]
fn a_store_that_hangs_is_not_used_after_its_timeout() {
    let world = World::default();
    let end = Arc::new(Mailbox::default());
    let process = world.process_with(&[("store_timeout", "10ms")], Arc::new(Hung(end.clone())));
    assert_eq!(process.get(), "token-1");
    process.heard("did not answer within store_timeout (10ms)");
    assert_eq!(process.store_events().len(), 1);
    end.put(());
}

/// A store whose first save takes longer than a token of twenty minutes lives.
struct Slow(World, AtomicUsize);

impl Store for Slow {
    fn load(&self, name: &str) -> Result<Option<Found>, Problem> {
        self.0.store.load(name)
    }
    fn save(&self, name: &str, record: &[u8], life: Duration) -> Result<(), Problem> {
        if self.1.fetch_add(1, Ordering::SeqCst) == 0 {
            self.0.pass(1200);
        }
        self.0.store.save(name, record, life)
    }
    fn remove(&self, name: &str, record: &[u8]) -> Result<(), Problem> {
        self.0.store.remove(name, record)
    }
    fn try_lock(&self, name: &str) -> Result<Tried<Box<dyn HeldLock>>, Problem> {
        self.0.store.try_lock(name)
    }
    fn is_local(&self) -> bool {
        true
    }
}

#[test]
fn a_token_that_expires_while_it_is_saved_is_replaced() {
    let world = World::default();
    let store = Arc::new(Slow(world.clone(), AtomicUsize::new(0)));
    let patient = [("timeout", "2h"), ("fetch_timeout", "1h"), ("store_timeout", "1h")];
    let process = world.process_with(&patient, store);
    let got = process.getting(Duration::ZERO);
    // The pause between two attempts.
    until("the fetch ends", || {
        world.pass(1);
        got.thread.is_finished()
    });
    assert_eq!(got.token(), "token-2");
}

#[cfg(all(unix, feature = "redis"))]
#[path = "stored_redis_tests.rs"]
mod redis;
