//! The store's operations: a record and its lock are two keys of one slot.
//!
//! The lock ends by itself a little after an attempt must have ended, and its holder renews it for
//! each further attempt. Its value names the holder: only the holder's own lock is removed or
//! renewed, even if it ended meanwhile and another process has taken it.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};

use super::Server;
use super::link::Link;
use super::trouble::{Class, Trouble};
use super::wire::{Reply, command};
use crate::config::redis_url::Choice;
use crate::config::variables::Variables;
use crate::lists::add_new;
use crate::process::{AnyProcess, Locked, Process};
use crate::store::{Found, HeldLock, Holder, MAX_RECORD_BYTES, Problem, SAME_LIFE, Store, Tried};
use crate::threads::{self, Job, Rank};

/// Removes a key if it still has this value.
const REMOVE: &[u8] = b"if redis.call('get',KEYS[1])==ARGV[1] then \
                        return redis.call('del',KEYS[1]) else return 0 end";
/// Lets a key that still has this value live for so many milliseconds.
const RENEW: &[u8] = b"if redis.call('get',KEYS[1])==ARGV[1] then \
                       return redis.call('pexpire',KEYS[1],ARGV[2]) else return 0 end";

/// The server's time in milliseconds. As a script, because the reply to TIME itself is a list.
const TIME: &[u8] = b"local t=redis.call('time') return t[1]*1000+math.floor(t[2]/1000)";

/// PTTL of a key that stays until it is removed.
const LASTING: i64 = -1;

/// A lock this young needs no renewal.
const YOUNG: Duration = Duration::from_millis(500);

/// The store.
pub(crate) struct RedisStore {
    server: Arc<Server>,
    lock_life: Duration,
    /// Troubles that the client reported since it last saved a token: everything works then.
    told: Locked<AnyProcess<Vec<Class>>>,
}

impl RedisStore {
    /// `lock_life`: longer than one attempt of a fetch may take.
    pub(crate) fn new(
        choice: &Choice,
        timeout: Duration,
        lock_life: Duration,
        variables: &Variables,
    ) -> Self {
        let told = Locked::new(AnyProcess::default());
        Self { server: Server::get(choice, timeout, variables), lock_life, told }
    }

    /// As if a token had been saved.
    #[cfg(all(test, not(feature = "__shuttle")))]
    pub(super) fn forget_told(&self) {
        self.told.lock().clear();
    }

    #[cfg(all(test, not(feature = "__shuttle")))]
    pub(super) fn server(&self) -> &Arc<Server> {
        &self.server
    }

    fn key(&self, name: &str, kind: &str) -> Vec<u8> {
        let prefix = self.server.choice.as_ref().map_or("", |target| target.prefix.as_str());
        // What the braces enclose decides the slot.
        format!("{prefix}{{{name}}}:{kind}").into_bytes()
    }

    fn record_key(&self, name: &str) -> Vec<u8> {
        self.key(name, "token")
    }
}

impl RedisStore {
    /// Locks, saves, reads and removes a record whose name no other process uses.
    pub(super) fn try_out(&self) -> Result<(), Problem> {
        let name = owner().map_err(Problem::new)?;
        let name = format!("trial-{}", String::from_utf8_lossy(&name));
        let lock = self.try_lock(&name)?;
        self.save(&name, TRIAL, TRIAL_LIFE)?;
        let found = self.load(&name)?;
        self.remove(&name, TRIAL)?;
        let is_whole = |found: &Found| found.record == TRIAL && found.left.is_some();
        match matches!(lock, Tried::Taken(_)) && found.as_ref().is_some_and(is_whole) {
            true => Ok(()),
            false => Err(Problem::new("reading it back returned something else")),
        }
    }
}

/// About as long as a record.
const TRIAL: &[u8] = &[b'x'; 4096];
const TRIAL_LIFE: Duration = Duration::from_secs(10);

fn millis(life: Duration) -> Vec<u8> {
    life.as_millis().to_string().into_bytes()
}

/// Sends commands; an error in reply to any of them is the operation's.
fn ask<const N: usize>(link: &mut Link, commands: [&[u8]; N]) -> Result<[Reply; N], Trouble> {
    let replies = link.ask(&commands)?;
    for reply in &replies {
        if let Reply::Refused(code) = reply {
            return Err(Trouble::refused(code));
        }
    }
    replies.try_into().map_err(|_| odd())
}

/// A reply to PTTL. Negative: no such key, or one that lives until it is removed.
fn lifetime(left: i64) -> Option<Duration> {
    u64::try_from(left).ok().map(Duration::from_millis)
}

/// Replies of another type than the commands have.
fn odd() -> Trouble {
    Trouble::foreign(0)
}

fn eval(
    script: &[u8],
    key: &[u8],
    args: &[&[u8]],
) -> impl Fn(&mut Link) -> Result<bool, Trouble> + use<> {
    let eval = command(&[&[b"EVAL", script, b"1", key], args].concat());
    move |link| match &link.ask(&[&eval])?[..] {
        [Reply::Number(number)] => Ok(*number != 0),
        [Reply::Refused(code)] => Err(Trouble::script(code)),
        _ => Err(odd()),
    }
}

impl Store for RedisStore {
    fn load(&self, name: &str) -> Result<Option<Found>, Problem> {
        let key = self.record_key(name);
        // Not GET: whatever the key holds, no more than this is sent.
        let get = command(&[b"GETRANGE", &key, b"0", MAX_RECORD_BYTES.to_string().as_bytes()]);
        let life = command(&[b"PTTL", &key]);
        self.server.run(|link| match ask(link, [&get, &life])? {
            [Reply::Bytes(record), Reply::Number(left)] => {
                Ok((!record.is_empty()).then_some(Found { record, left: lifetime(left) }))
            }
            _ => Err(odd()),
        })
    }

    fn save(&self, name: &str, record: &[u8], life: Duration) -> Result<(), Problem> {
        let key = self.record_key(name);
        let set = match life {
            SAME_LIFE => command(&[b"SET", &key, record, b"XX", b"KEEPTTL"]),
            _ if life < Duration::from_millis(1) => return Ok(()),
            _ => command(&[b"SET", &key, record, b"PX", &millis(life)]),
        };
        self.server.run(|link| match ask(link, [&set])? {
            [Reply::Done | Reply::Nothing] => Ok(()),
            _ => Err(odd()),
        })?;
        self.told.lock().clear();
        Ok(())
    }

    fn remove(&self, name: &str, record: &[u8]) -> Result<(), Problem> {
        self.server.run(eval(REMOVE, &self.record_key(name), &[record])).map(drop)
    }

    fn try_lock(&self, name: &str) -> Result<Tried<Box<dyn HeldLock>>, Problem> {
        let key = self.key(name, "lock");
        let owner = owner().map_err(Problem::new)?;
        let set = command(&[b"SET", &key, &owner, b"NX", b"PX", &millis(self.lock_life)]);
        // The value decides, not whether it was set now: the reply to an earlier try may have been
        // lost with its connection.
        let get = command(&[b"GET", &key]);
        let life = command(&[b"PTTL", &key]);
        let record_life = command(&[b"PTTL", &self.record_key(name)]);
        let end = command(&[b"PEXPIRE", &key, &millis(self.lock_life)]);
        let lock = RedisLock {
            server: self.server.clone(),
            key,
            owner,
            life: self.lock_life,
            renewed: Instant::now(),
            process: Process::this(),
        };
        // Whether the server may have received it.
        let is_sent = Cell::new(false);
        let taken = self.server.run(|link| {
            is_sent.set(true);
            let [set, value, left, record_left] = ask(link, [&set, &get, &life, &record_life])?;
            let (Reply::Number(left), Reply::Number(record_left)) = (left, record_left) else {
                return Err(odd());
            };
            if left == LASTING {
                // A lock of this library's has an end. Without one, all would wait for it each time.
                let _ = ask(link, [&end]);
            }
            let holder =
                |id| Holder { id, left: lifetime(left), record_left: lifetime(record_left) };
            match (set, value) {
                (Reply::Done | Reply::Nothing, Reply::Bytes(value)) if value == lock.owner => {
                    Ok(None)
                }
                (Reply::Done | Reply::Nothing, Reply::Bytes(value)) => Ok(Some(holder(id(&value)))),
                // It ended in between.
                (Reply::Nothing, Reply::Nothing) => Ok(Some(holder(0))),
                _ => Err(odd()),
            }
        });
        match taken {
            Ok(None) => Ok(Tried::Taken(Box::new(lock))),
            Ok(Some(holder)) => {
                lock.forget();
                Ok(Tried::Held(holder))
            }
            Err(problem) if !is_sent.get() || problem.class == Some(Class::Refused) => {
                lock.forget();
                Err(problem)
            }
            Err(problem) => {
                // The server may have set it nevertheless, and the others would wait for its end.
                let _ = threads::submit(&Job::new(Duration::MAX, move || drop(lock)), Rank::Store);
                Err(problem)
            }
        }
    }

    fn wall_ms(&self) -> Result<Option<i64>, Problem> {
        let time = command(&[b"EVAL", TIME, b"0"]);
        self.server.run(|link| match &link.ask(&[&time])?[..] {
            [Reply::Number(ms)] => Ok(Some(*ms)),
            // A right that the user may lack.
            [Reply::Refused(_)] => Ok(None),
            _ => Err(odd()),
        })
    }

    fn is_news(&self, problem: &Problem) -> Option<bool> {
        let class = problem.class?;
        Some(class != Class::Resting && add_new(&mut self.told.lock(), class))
    }

    fn is_local(&self) -> bool {
        false
    }
}

/// Tells the owners of a lock apart, short of a coincidence.
fn id(owner: &[u8]) -> u64 {
    let digits = owner.get(..16).and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default()
}

/// A value that no other try for a lock has.
fn owner() -> Result<Vec<u8>, &'static str> {
    let mut chance = [0; 16];
    SystemRandom::new().fill(&mut chance).map_err(|_| "the system's random generator failed")?;
    Ok(format!("{:032x}", u128::from_ne_bytes(chance)).into_bytes())
}

/// A lock that this process holds, or may hold, until it is removed or its time is over.
struct RedisLock {
    server: Arc<Server>,
    key: Vec<u8>,
    owner: Vec<u8>,
    life: Duration,
    /// When its time last began, at the latest.
    renewed: Instant,
    process: Process,
}

impl RedisLock {
    /// It is another process's.
    fn forget(mut self) {
        self.owner.clear();
    }
}

impl HeldLock for RedisLock {
    fn outlives_process(&self) -> bool {
        true
    }

    fn renewal(&mut self) -> Option<Box<dyn FnOnce() + Send>> {
        if self.renewed.elapsed() < YOUNG {
            return None;
        }
        self.renewed = Instant::now();
        let server = self.server.clone();
        let renew = eval(RENEW, &self.key, &[&self.owner, &millis(self.life)]);
        // If it was lost, another process may fetch as well: one request more.
        Some(Box::new(move || drop(server.run(renew))))
    }
}

impl Drop for RedisLock {
    fn drop(&mut self) {
        if !self.owner.is_empty() && self.process.is_this() {
            let _ = self.server.run(eval(REMOVE, &self.key, &[&self.owner]));
        }
    }
}
