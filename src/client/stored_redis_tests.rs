//! Clients that share a store on a server.

use super::*;
use crate::clock::Clock;
use crate::store::redis::tests::Redis;

/// A store on a server, which ends the records' lives itself.
struct Remote(Scripted, Arc<Mutex<Server>>);

/// What a server says of a record's life, and its own time.
#[derive(Default)]
struct Server {
    left: Option<Duration>,
    wall_ms: Option<i64>,
}

/// The same, and another machine holds its lock.
struct Locked(Remote, Arc<AtomicUsize>);

impl Store for Locked {
    fn load(&self, name: &str) -> Result<Option<Found>, Problem> {
        self.0.load(name)
    }
    fn save(&self, name: &str, record: &[u8], life: Duration) -> Result<(), Problem> {
        self.0.save(name, record, life)
    }
    fn remove(&self, name: &str, record: &[u8]) -> Result<(), Problem> {
        self.0.remove(name, record)
    }
    fn try_lock(&self, name: &str) -> Result<Tried<Box<dyn HeldLock>>, Problem> {
        self.1.fetch_add(1, Ordering::SeqCst);
        let record_left = self.0.load(name)?.and_then(|found| found.left);
        Ok(Tried::Held(Holder { record_left, ..Holder::default() }))
    }
    fn is_local(&self) -> bool {
        false
    }
}

/// Another process writes into the record before it is removed for the first time.
struct Rewritten(Remote, AtomicUsize);

impl Store for Rewritten {
    fn load(&self, name: &str) -> Result<Option<Found>, Problem> {
        self.0.load(name)
    }
    fn save(&self, name: &str, record: &[u8], life: Duration) -> Result<(), Problem> {
        self.0.save(name, record, life)
    }
    fn remove(&self, name: &str, record: &[u8]) -> Result<(), Problem> {
        match self.1.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(()),
            _ => self.0.remove(name, record),
        }
    }
    fn try_lock(&self, name: &str) -> Result<Tried<Box<dyn HeldLock>>, Problem> {
        self.0.try_lock(name)
    }
    fn is_local(&self) -> bool {
        false
    }
}

#[test]
fn a_refused_token_goes_even_if_its_record_is_written_to_meanwhile() {
    let world = World::default();
    let remote = Remote(world.store.clone(), Arc::default());
    let store = Arc::new(Rewritten(remote, AtomicUsize::new(0)));
    let process = world.process_with(&[], store.clone());
    assert_eq!(world.saving(|| process.get()), "token-1");
    process.client.invalidate_value("token-1");
    until("removed", || world.store.records().is_empty());
    assert_eq!(store.1.load(Ordering::SeqCst), 2);
}

impl Store for Remote {
    fn load(&self, name: &str) -> Result<Option<Found>, Problem> {
        let left = self.1.lock().unwrap().left;
        Ok(self.0.load(name)?.map(|found| Found { left, ..found }))
    }
    fn save(&self, name: &str, record: &[u8], life: Duration) -> Result<(), Problem> {
        self.0.save(name, record, life)
    }
    fn remove(&self, name: &str, record: &[u8]) -> Result<(), Problem> {
        self.0.remove(name, record)
    }
    fn try_lock(&self, name: &str) -> Result<Tried<Box<dyn HeldLock>>, Problem> {
        self.0.try_lock(name)
    }
    fn wall_ms(&self) -> Result<Option<i64>, Problem> {
        Ok(self.1.lock().unwrap().wall_ms)
    }
    fn is_local(&self) -> bool {
        false
    }
}

/// A world whose store is on a server.
fn remote() -> (World, Arc<Mutex<Server>>, impl Fn(&World) -> Process) {
    let (world, left) = (World::default(), Arc::<Mutex<Server>>::default());
    let of_store = Arc::clone(&left);
    let process = move |world: &World| {
        world.process_with(&[], Arc::new(Remote(world.store.clone(), of_store.clone())))
    };
    (world, left, process)
}

#[test]
fn a_token_lives_no_longer_than_its_record() {
    let (world, left, process) = remote();
    assert_eq!(world.saving(|| process(&world).get()), "token-1");
    for (says, lives) in [(None, 1170), (Some(1200), 1170), (Some(700), 700), (Some(0), 0)] {
        left.lock().unwrap().left = says.map(Duration::from_secs);
        let next = process(&world);
        if lives == 0 {
            assert_eq!(world.saving(|| next.get()), "token-2");
        } else {
            assert_eq!(next.get(), "token-1");
            let stats = next.client.stats(None).unwrap();
            assert_eq!(stats.expires_in.as_secs(), lives, "{says:?}");
        }
    }
}

#[test]
fn those_who_wait_take_a_saved_token_before_the_lock_is_free() {
    for has_old in [false, true] {
        let (world, left, process) = remote();
        let tries = Arc::<AtomicUsize>::default();
        if has_old {
            left.lock().unwrap().left = Some(Duration::from_secs(1200));
            assert_eq!(world.saving(|| process(&world).get()), "token-1");
            world.pass(1150);
            left.lock().unwrap().left = Some(Duration::from_secs(50));
        }
        let store = Locked(Remote(world.store.clone(), left.clone()), tries.clone());
        let waiting = world.process_with(&[], Arc::new(store));
        let got = waiting.getting(Duration::ZERO);
        until("waiting", || {
            world.clock.advance(Duration::from_millis(5));
            tries.load(Ordering::SeqCst) > 5
        });
        // The holder saves its token.
        let expected = if has_old { "token-2" } else { "token-1" };
        assert_eq!(world.saving(|| process(&world).get()), expected);
        left.lock().unwrap().left = Some(Duration::from_secs(1200));
        let saved_at = Clock::Manual(world.clock.clone()).now();
        assert_eq!(got.token(), expected);
        // Much less than the wait for a lock that is never free.
        let took = Clock::Manual(world.clock.clone()).now().since(saved_at);
        assert!(took < Duration::from_secs(6), "{took:?}");
        assert_eq!(world.requests(), if has_old { 2 } else { 1 });
    }
}

#[test]
fn a_machine_that_misses_because_of_its_clock_replaces_no_live_record() {
    const HOUR: i64 = 3_600_000;
    for (off, left, is_replaced) in [
        (-HOUR, 1200, false),
        (HOUR, 1200, false),
        // By any clock it is about to end.
        (HOUR, 90, true),
        // A second too slow is enough to see a record from the future.
        (-1000, 1199, false),
    ] {
        let (world, says, process) = remote();
        assert_eq!(world.saving(|| process(&world).get()), "token-1");
        let kept = world.store.records();
        says.lock().unwrap().left = Some(Duration::from_secs(left));
        world.clock.set_wall(off);
        let other = process(&world);
        let got = other.get();
        assert_eq!(got, "token-2", "{off} ms");
        until("unlocked", || !world.store.is_locked());
        assert_eq!(world.store.records() != kept, is_replaced, "{off} ms, {left} s");
        if !is_replaced {
            other.heard("set the clocks of the machines that share it");
        }
        // On a machine whose clock is right.
        world.clock.set_wall(-off);
        let expected = if is_replaced { "token-3" } else { "token-1" };
        assert_eq!(process(&world).get(), expected, "{off} ms");
    }
}

#[test]
fn machines_whose_clocks_are_right_replace_the_record_of_one_whose_clock_is_wrong() {
    const HOUR: i64 = 3_600_000;
    // The server's clock is right, an hour off itself, or not known.
    for (server, is_replaced) in [(Some(0), true), (Some(HOUR), false), (None, false)] {
        for off in [HOUR, -HOUR] {
            let (world, says, process) = remote();
            let here = || Clock::Manual(world.clock.clone()).wall_ms();
            world.clock.set_wall(off);
            assert_eq!(world.saving(|| process(&world).get()), "token-1");
            world.clock.set_wall(-off);
            says.lock().unwrap().left = Some(Duration::from_secs(1200));
            says.lock().unwrap().wall_ms = server.map(|off| here() + off);
            let first = process(&world);
            if !is_replaced {
                assert_eq!(first.get(), "token-2");
                first.heard("is valid by the store's clock and not by this machine's");
                assert_eq!(process(&world).get(), "token-3", "{server:?}");
                continue;
            }
            assert_eq!(world.saving(|| first.get()), "token-2");
            first.heard("was written on a machine whose clock is wrong");
            assert_eq!((process(&world).get(), world.requests()), ("token-2".to_owned(), 2));
            // The other machine leaves it alone.
            world.clock.set_wall(off);
            let other = process(&world);
            assert_eq!(other.get(), "token-3");
            other.heard("set the clocks of the machines that share it");
            world.clock.set_wall(-off);
            assert_eq!((process(&world).get(), world.requests()), ("token-2".to_owned(), 3));
        }
    }
}

/// A store whose locks end by themselves, by the world's clock.
#[derive(Clone)]
struct Leasing {
    store: Scripted,
    clock: Arc<ManualClock>,
    /// The holder, and when its lock ends.
    lock: Arc<Mutex<(u64, BootTime)>>,
    tries: Arc<AtomicUsize>,
}

struct Lease(Leasing, u64);

impl HeldLock for Lease {}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut lock = self.0.lock.lock().unwrap();
        if lock.0 == self.1 {
            lock.1 = BootTime::ZERO;
        }
    }
}

impl Leasing {
    fn now(&self) -> BootTime {
        Clock::Manual(self.clock.clone()).now()
    }
}

impl Store for Leasing {
    fn load(&self, name: &str) -> Result<Option<Found>, Problem> {
        self.store.load(name)
    }
    fn save(&self, name: &str, record: &[u8], life: Duration) -> Result<(), Problem> {
        self.store.save(name, record, life)
    }
    fn remove(&self, name: &str, record: &[u8]) -> Result<(), Problem> {
        self.store.remove(name, record)
    }
    fn try_lock(&self, _: &str) -> Result<Tried<Box<dyn HeldLock>>, Problem> {
        self.tries.fetch_add(1, Ordering::SeqCst);
        let (mut lock, now) = (self.lock.lock().unwrap(), self.now());
        let (id, ends_at) = *lock;
        if now < ends_at {
            let left = Some(ends_at.until(now));
            return Ok(Tried::Held(Holder { id, left, ..Holder::default() }));
        }
        *lock = (id + 1, now.after(crate::cache::policy::usual().lock_life()));
        Ok(Tried::Taken(Box::new(Lease(self.clone(), id + 1))))
    }
    fn is_local(&self) -> bool {
        false
    }
}

#[test]
fn a_holder_that_is_killed_costs_one_request_more_even_if_the_endpoint_is_slow() {
    let world = World::default();
    // Later than this machine's clock: that one bounds how long locks are held.
    world.pass(1 << 32);
    let store = Leasing {
        store: world.store.clone(),
        clock: world.clock.clone(),
        lock: Arc::default(),
        tries: Arc::default(),
    };
    // It was killed as soon as it had the lock.
    *store.lock.lock().unwrap() = (1, store.now().after(Duration::from_millis(10_500)));
    let processes: Vec<Process> = (0..5)
        .map(|_| world.process_with(&[("timeout", "10m")], Arc::new(store.clone())))
        .collect();
    let mut endpoint = world.endpoint.1.lock().unwrap();
    let getting: Vec<Getting> =
        processes.iter().map(|process| process.getting(Duration::ZERO)).collect();
    until("all wait", || store.tries.load(Ordering::SeqCst) >= 5);
    let pass = |seconds: u32| {
        for _ in 0..50 * seconds {
            world.clock.advance(Duration::from_millis(20));
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    pass(10);
    until("one takes the lock", || {
        world.clock.advance(Duration::from_millis(2));
        world.requests() == 1
    });
    // The endpoint takes nine seconds; the others began to wait twelve seconds before their end.
    pass(9);
    assert_eq!(world.requests(), 1);
    *endpoint = None;
    drop(endpoint);
    assert!(getting.into_iter().all(|get| get.token() == "token-1"));
    assert_eq!(world.requests(), 1);
}

/// A store each of whose operations takes nearly all of its time.
struct Sluggish(World, Arc<Mutex<Vec<&'static str>>>);

impl Sluggish {
    fn does(&self, what: &'static str) {
        self.1.lock().unwrap().push(what);
        self.0.pass(19);
    }
}

impl Store for Sluggish {
    fn load(&self, name: &str) -> Result<Option<Found>, Problem> {
        self.does("load");
        self.0.store.load(name)
    }
    fn save(&self, name: &str, record: &[u8], life: Duration) -> Result<(), Problem> {
        self.does("save");
        self.0.store.save(name, record, life)
    }
    fn remove(&self, _: &str, _: &[u8]) -> Result<(), Problem> {
        Ok(())
    }
    /// Taken at every second try.
    fn try_lock(&self, name: &str) -> Result<Tried<Box<dyn HeldLock>>, Problem> {
        let is_first = self.1.lock().unwrap().last() != Some(&"lock");
        self.does("lock");
        if is_first { Ok(Tried::Held(Holder::default())) } else { self.0.store.try_lock(name) }
    }
    fn is_local(&self) -> bool {
        false
    }
}

#[test]
fn a_store_that_is_just_fast_enough_leaves_a_fetch_its_own_time() {
    let (world, did) = (World::default(), Arc::<Mutex<Vec<&str>>>::default());
    let short = [("fetch_timeout", "1s"), ("request_timeout", "1s"), ("timeout", "10m")];
    let process = world.process_with(&short, Arc::new(Sluggish(world.clone(), did.clone())));
    assert_eq!(process.get(), "token-1");
    assert_eq!(std::mem::take(&mut *did.lock().unwrap()), ["load", "lock", "lock", "load", "save"]);
    world.pass(500);
    assert_eq!(process.get_longer(), "token-2");
    assert_eq!(process.client.stats(None).unwrap().failures, 0);
    // The first save announces the renewal.
    let did = did.lock().unwrap();
    assert_eq!(*did, ["load", "lock", "lock", "load", "save", "save"]);
    // With the server's clock.
    assert_eq!(did.len() + 1, crate::cache::policy::VISIT_OPERATIONS as usize);
}

/// A process with a store as the option says.
fn process_at(world: &World, url: &str) -> Process {
    process_with_secret(world, url, "secret")
}

fn process_with_secret(world: &World, url: &str, secret: &str) -> Process {
    let mut config = Config::new();
    config.set("client_id", "id").set("client_secret", secret).set("scope", "a");
    // The tests must not depend on the machine's load.
    config.set("store_timeout", "20s").set("store", url);
    let told = Arc::new(Mutex::new(Vec::new()));
    let events = told.clone();
    config.on_event(move |event: &Event| events.lock().unwrap().push(event.clone()));
    let (endpoint, clock) = (world.endpoint.clone(), Clock::Manual(world.clock.clone()));
    let client = Client::with_endpoint(&config, clock, |_| Ok(Endpoint::over(endpoint)));
    Process { client: client.unwrap(), clock: world.clock.clone(), told }
}

#[test]
fn clients_share_a_token_through_a_server_until_it_is_refused_or_the_secret_changes() {
    let Some(redis) = Redis::start(&[]) else { return };
    let (world, url) = (World::default(), redis.url("", ""));
    let (first, second) = (process_at(&world, &url), process_at(&world, &url));
    assert_eq!(first.get(), "token-1");
    first.heard("store miss: it has no such token");
    until("saved", || redis.keys() == 1);
    assert_eq!((second.get(), world.requests()), ("token-1".to_owned(), 1));
    second.heard("store hit");
    // An API refuses it: no other process finds it.
    let refused = second.getting(Duration::ZERO).outcome().unwrap();
    second.client.invalidate(&refused);
    until("removed", || redis.keys() == 0);
    assert_eq!(process_at(&world, &url).get(), "token-2");
    until("saved", || redis.keys() == 1);
    assert_eq!((second.get(), world.requests()), ("token-2".to_owned(), 2));
    let rotated = process_with_secret(&world, &url, "rotated");
    assert_eq!((rotated.get(), world.requests()), ("token-3".to_owned(), 3));
}

#[test]
fn a_store_that_cannot_be_used_costs_one_event_and_no_token() {
    let Some(redis) = Redis::start(&[]) else { return };
    for (url, part) in [
        ("redis:/host".to_owned(), "lacks \"//\""),
        ("redis://host?prefix=a{b}".to_owned(), "braces"),
        ("redis://127.0.0.1:1".to_owned(), "cannot be connected to"),
        (redis.url("", "db=99"), "has no database 99"),
        (redis.url(":hush@", ""), "accepts no such login"),
        (redis.url("someone:hush@", ""), "refuses the user or password"),
    ] {
        let world = World::default();
        let process = process_at(&world, &url);
        for number in 1..=6 {
            assert_eq!(process.getting_longer().token(), format!("token-{number}"));
            world.pass(1200);
        }
        process.heard(part);
        let failures = process.store_events();
        let failures: Vec<_> =
            failures.iter().filter(|(message, _)| message.contains("store failure")).collect();
        assert_eq!(failures.len(), 1, "{failures:?}");
        assert!(failures[0].1 && !failures[0].0.contains("hush"));
    }
}
