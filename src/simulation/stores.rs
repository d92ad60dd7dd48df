//! Clients of one key on several machines: how many token requests they make together, with each kind
//! of store, and while a server is down.
//!
//! Here clients are not independent: what one saves, the others find. So the clients of a key run
//! together, event by event; keys are independent, and shared out among threads.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use super::chance::Chance;
use super::client::{Sharing, SimulatedClient};
use super::report::thousands;
use super::scenario::{START, Scenario, Spell, Trouble, minute_of};
use super::server::Server;
pub use super::shelf::Kind;
use super::shelf::Shelf;
use super::tally::Tally;
use super::visitor::{Machine, Visitor};
use crate::cache::Random;
use crate::cache::policy::Policy;
use crate::config::options::Options;

/// After the start of the first program, the others start within this time.
const ROLLOUT: Duration = Duration::from_secs(60);
/// Clocks that NTP sets differ by at most this.
const MAX_CLOCK_ERROR: Duration = Duration::from_millis(10);
/// The wall clock at boot time zero.
const WALL_MS: i64 = 1_700_000_000_000;

/// Many keys, each used by the same number of programs.
#[derive(Clone, Debug)]
pub struct Sharers {
    pub keys: u32,
    pub programs: u32,
    /// Either one for each program, or one that all of them ask.
    pub clients: u32,
    pub machines: u32,
    pub length: Duration,
    pub seed: u64,
    pub lifetime: Duration,
    /// When the server of a Redis store cannot be reached.
    pub outage: Spell,
}

impl Sharers {
    /// Six hours of 200 keys with 40 clients on 4 machines each, and 10 minutes without the server.
    pub fn usual(seed: u64) -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Self {
            keys: 200,
            programs: 40,
            clients: 40,
            machines: 4,
            length: minutes(360),
            seed,
            lifetime: minutes(20),
            outage: Spell::new(Trouble::Outage, minutes(200), minutes(10)),
        }
    }

    /// The same with all programs of a key in one process.
    pub fn alone(&self) -> Self {
        Self { clients: 1, machines: 1, ..self.clone() }
    }

    /// Runs them with a store of this kind.
    pub fn run(&self, kind: Kind) -> Outcome {
        let policy = &Options::default().policy;
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let of_threads: Vec<Vec<KeyTally>> = thread::scope(|scope| {
            let share = |first| {
                move || {
                    let keys = (first..self.keys).step_by(threads);
                    keys.map(|key| run_key(self, kind, policy, u64::from(key))).collect()
                }
            };
            let running: Vec<_> =
                (0..threads as u32).map(|first| scope.spawn(share(first))).collect();
            running.into_iter().map(|thread| thread.join().expect("a simulating thread")).collect()
        });
        let keys = of_threads.into_iter().flatten().collect();
        Outcome { sharers: self.clone(), kind, keys }
    }

    /// The day as the clients' accounts see it: an endpoint with random failures and no outage.
    fn scenario(&self) -> Scenario {
        Scenario {
            length: self.length,
            lifetime: self.lifetime,
            spells: Vec::new(),
            ..Scenario::day(self.clients, Scenario::LEAST_HOURS, self.seed)
        }
    }
}

/// What the clients of one key did.
#[derive(Clone, Debug)]
struct KeyTally {
    clients: Vec<Tally>,
    operations: Vec<u32>,
}

fn run_key(sharers: &Sharers, kind: Kind, policy: &Policy, key: u64) -> KeyTally {
    let scenario = sharers.scenario();
    let mut chance = Chance::new(sharers.seed, u64::MAX - key);
    let (server, minutes) = (Server::new(&scenario), scenario.minutes());
    let shelf = || {
        let shelf = Shelf::new(kind, vec![sharers.outage], policy.lock_life(), minutes);
        Rc::new(RefCell::new(shelf))
    };
    let shelves: Vec<_> = match kind {
        Kind::None => Vec::new(),
        Kind::Redis => {
            let server = shelf();
            (0..sharers.machines).map(|_| server.clone()).collect()
        }
        Kind::File => (0..sharers.machines).map(|_| shelf()).collect(),
    };
    let machines: Vec<Machine> = (0..sharers.machines)
        .map(|number| {
            let error = MAX_CLOCK_ERROR.mul_f64(chance.unit()).as_millis();
            let boot = (kind == Kind::File).then(|| format!("boot {number}"));
            Machine { boot, wall_ms: WALL_MS + i64::try_from(error).unwrap_or_default() }
        })
        .collect();
    let mut tallies = vec![Tally::new(&scenario); sharers.clients as usize];
    let mut clients: Vec<SimulatedClient<'_>> = tallies
        .iter_mut()
        .enumerate()
        .map(|(number, tally)| {
            let machine = number % machines.len();
            let index = key * u64::from(sharers.clients) + number as u64;
            let started = START.after(ROLLOUT.mul_f64(chance.unit()));
            let visitor = shelves
                .get(machine)
                .map(|shelf| Visitor::new(shelf.clone(), machines[machine].clone(), index + 1));
            let sharing =
                Sharing { visitor, programs: sharers.programs / sharers.clients, started };
            SimulatedClient::new(&scenario, policy, &server, tally, index, Some(sharing))
        })
        .collect();
    run_together(&mut clients, &scenario);
    drop(clients);
    let mut operations = vec![0; minutes];
    let shelves = if kind == Kind::Redis { &shelves[..1] } else { &shelves[..] };
    for shelf in shelves {
        for (all, own) in operations.iter_mut().zip(&shelf.borrow().operations) {
            *all += own;
        }
    }
    KeyTally { clients: tallies, operations }
}

fn run_together(clients: &mut [SimulatedClient<'_>], scenario: &Scenario) {
    let end = START.after(scenario.length);
    let mut due: Vec<_> = clients.iter().map(SimulatedClient::next_at).collect();
    while let Some((next, at)) = due.iter().copied().enumerate().min_by_key(|(_, at)| *at) {
        if at >= end {
            break;
        }
        clients[next].goes_on();
        due[next] = clients[next].next_at();
    }
    clients.iter_mut().for_each(SimulatedClient::day_ends);
}

/// What the clients of all keys did.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub sharers: Sharers,
    pub kind: Kind,
    keys: Vec<KeyTally>,
}

impl Outcome {
    /// Mean token requests of a key in each minute.
    pub fn requests(&self) -> Vec<f64> {
        let of_minute = |minute: usize| {
            let clients = self.keys.iter().flat_map(|key| &key.clients);
            clients.map(|client| client.requests[minute]).sum::<u64>() as f64
                / self.keys.len() as f64
        };
        (0..minute_of(self.sharers.length)).map(of_minute).collect()
    }

    /// Whether the minute is in the lifetime that begins with the outage.
    fn is_in_outage(&self, minute: usize) -> bool {
        let outage = &self.sharers.outage;
        (minute_of(outage.from)..minute_of(outage.from + self.sharers.lifetime)).contains(&minute)
    }

    /// Whether neither the start nor the outage, nor the two lifetimes after each, is in the minute.
    fn is_calm(&self, minute: usize) -> bool {
        let (outage, settled) = (&self.sharers.outage, 2 * self.sharers.lifetime);
        let disturbed = minute_of(outage.from)..minute_of(outage.to + settled);
        minute >= minute_of(settled) && !disturbed.contains(&minute)
    }

    fn per_lifetime(&self, is_such: impl Fn(usize) -> bool) -> f64 {
        let requests = self.requests();
        let such: Vec<f64> =
            (0..requests.len()).filter(|at| is_such(*at)).map(|at| requests[at]).collect();
        such.iter().sum::<f64>() / such.len() as f64
            * (self.sharers.lifetime.as_secs() as f64 / 60.0)
    }

    /// Mean token requests of a key in a lifetime in which nothing is wrong with the store.
    pub fn in_calm(&self) -> f64 {
        self.per_lifetime(|minute| self.is_calm(minute))
    }

    /// The same in the lifetime that begins with the outage.
    pub fn in_outage(&self) -> f64 {
        self.per_lifetime(|minute| self.is_in_outage(minute))
    }

    /// The most requests of one client in the outage.
    pub fn most_of_client(&self) -> u64 {
        let outage = &self.sharers.outage;
        let minutes = minute_of(outage.from)..minute_of(outage.to);
        let clients = self.keys.iter().flat_map(|key| &key.clients);
        let requests = clients.map(|client| client.requests[minutes.clone()].iter().sum());
        requests.max().unwrap_or_default()
    }

    /// The most store operations of a key in a minute.
    pub fn most_operations(&self) -> u32 {
        let of_keys = self.keys.iter().flat_map(|key| &key.operations);
        of_keys.copied().max().unwrap_or_default()
    }

    /// Mean store operations of a key in a lifetime in which nothing is wrong with the store.
    pub fn operations(&self) -> f64 {
        let minutes = (0..minute_of(self.sharers.length)).filter(|at| self.is_calm(*at));
        let minutes: Vec<usize> = minutes.collect();
        let of_key = |key: &KeyTally| minutes.iter().map(|at| key.operations[*at]).sum::<u32>();
        let all: f64 = self.keys.iter().map(|key| f64::from(of_key(key))).sum();
        let lifetime = self.sharers.lifetime.as_secs() as f64 / 60.0;
        all / self.keys.len() as f64 / minutes.len() as f64 * lifetime
    }

    /// What a client must never do, all together.
    pub fn violations(&self) -> u64 {
        let of = |tally: &Tally| {
            tally.failed_with_token
                + tally.served_dead
                + tally.sent_in_retry_after
                + tally.second_flights
        };
        self.keys.iter().flat_map(|key| &key.clients).map(of).sum()
    }
}

/// The outcomes with all kinds of stores.
#[derive(Clone, Debug)]
pub struct Comparison {
    pub alone: Outcome,
    pub none: Outcome,
    pub file: Outcome,
    pub redis: Outcome,
}

impl Comparison {
    /// Runs the sharers with each kind of store.
    pub fn new(sharers: &Sharers) -> Self {
        Self {
            alone: sharers.alone().run(Kind::None),
            none: sharers.run(Kind::None),
            file: sharers.run(Kind::File),
            redis: sharers.run(Kind::Redis),
        }
    }

    /// All must hold.
    pub fn bounds(&self) -> [(&'static str, bool); 4] {
        let alone = self.alone.in_calm();
        let machines = f64::from(self.file.sharers.machines);
        let all = [&self.alone, &self.none, &self.file, &self.redis];
        [
            (
                "with Redis, as few requests as one client alone",
                self.redis.in_calm() <= 1.05 * alone,
            ),
            ("with files, as few on each machine", self.file.in_calm() <= 1.05 * machines * alone),
            ("in the outage, no more than without a store", {
                self.redis.in_outage() <= 1.1 * self.none.in_outage()
            }),
            (
                "no call failed with a token, no dead token, no request too early",
                all.iter().all(|outcome| outcome.violations() == 0),
            ),
        ]
    }

    pub fn keeps_its_bounds(&self) -> bool {
        self.bounds().iter().all(|(_, kept)| *kept)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sharers = &self.redis.sharers;
        writeln!(
            f,
            "{} keys with {} clients each on {} machines, {} hours; per key and lifetime:",
            thousands(u64::from(sharers.keys)),
            sharers.clients,
            sharers.machines,
            sharers.length.as_secs() / 3600,
        )?;
        writeln!(f, "{:<44}{:>16}{:>18}", "", "token requests", "store operations")?;
        let mut row = |name: &str, requests: f64, operations: String| {
            writeln!(f, "{name:<44}{requests:>16.2}{operations:>18}")
        };
        let operations = |outcome: &Outcome| format!("{:.0}", outcome.operations());
        row("one client alone", self.alone.in_calm(), String::new())?;
        row("no store", self.none.in_calm(), String::new())?;
        row("files", self.file.in_calm(), operations(&self.file))?;
        row("Redis", self.redis.in_calm(), operations(&self.redis))?;
        row("Redis, in the lifetime with the outage", self.redis.in_outage(), String::new())?;
        for (what, kept) in self.bounds() {
            writeln!(f, "{what:<72}{}", if kept { "PASS" } else { "FAIL" })?;
        }
        Ok(())
    }
}
