//! Records on a Redis or Valkey server, for the processes of many machines.
//!
//! - this file: the server as this process knows it, and one operation on it
//! - [`keys`] the store's operations: records, and the lock that ends by itself
//! - [`link`] a connection that ends by a deadline; `unix` one to a Unix socket; [`wire`] commands and replies; [`idle`]
//!   connections between two operations
//! - [`trouble`] what can go wrong, and what to do then
//!
//! Operations run on the pool's threads for stores, as all stores' do. Their time limit is kept
//! twice: here, so that no thread is occupied for longer and the reason is known, and by the one
//! who waits, in case a system call hangs nevertheless.

mod idle;
mod keys;
mod link;
mod trouble;
#[cfg(unix)]
mod unix;
mod wire;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

pub(crate) use keys::RedisStore;

use self::link::Link;
pub(crate) use self::trouble::Class;
use self::trouble::Trouble;
#[cfg(any(test, feature = "__fuzz"))]
pub(crate) use self::wire::check_replies;
use super::Problem;
use super::circuit::Circuit;
use crate::clock::Clock;
use crate::config::redis_url::{Choice, Target};
use crate::config::variables::Variables;
use crate::endpoint::trust::Trust;
use crate::leftovers::Depth;
use crate::process::{AnyProcess, Locked};
use crate::sync::global;

/// Tries a server out, for diagnosis: everything that a fetch does with it, leaving nothing behind.
/// Returns its URL without user and password.
pub(crate) fn try_server(choice: &Choice, timeout: Duration) -> Result<String, Problem> {
    let store = RedisStore::new(choice, timeout, TRIAL_LOCK_LIFE, &Variables::now());
    super::within(Depth::Deep, TRIAL_OPERATIONS * timeout, move || store.try_out())?;
    Ok(choice.as_ref().map(Target::shown).unwrap_or_default())
}

const TRIAL_OPERATIONS: u32 = 6;
const TRIAL_LOCK_LIFE: Duration = Duration::from_secs(10);

/// A server as this process knows it; shared by the clients that name it.
pub(super) struct Server {
    /// Tells the servers of this process apart.
    number: u64,
    choice: Choice,
    trust: Trust,
    timeout: Duration,
    /// True for a forked child as well.
    circuit: Locked<AnyProcess<Circuit>>,
}

global! {
    static SERVERS: Locked<AnyProcess<Vec<Weak<Server>>>> = Locked::empty();
}

static LAST_NUMBER: AtomicU64 = AtomicU64::new(0);

impl Server {
    /// The server that a client's options name: the one that other clients use already, if any.
    fn get(choice: &Choice, timeout: Duration, variables: &Variables) -> Arc<Self> {
        let others: Vec<Arc<Self>> = {
            let mut servers = SERVERS.lock();
            servers.retain(|server| server.strong_count() > 0);
            servers.iter().filter_map(Weak::upgrade).collect()
        };
        let is_same = |server: &&Arc<Self>| {
            server.choice == *choice && server.timeout == timeout && server.trust.is_of(variables)
        };
        if let Some(same) = others.iter().find(is_same) {
            return same.clone();
        }
        let ca_file = choice.as_ref().ok().and_then(|target| target.ca_file.clone());
        let server = Arc::new(Self {
            number: LAST_NUMBER.fetch_add(1, Ordering::Relaxed),
            choice: choice.clone(),
            trust: Trust::for_store(ca_file, timeout, variables),
            timeout,
            circuit: Locked::new(AnyProcess::default()),
        });
        SERVERS.lock().push(Arc::downgrade(&server));
        server
    }

    /// Runs one operation within `store_timeout`, unless the server is left alone.
    fn run<T>(
        self: &Arc<Self>,
        act: impl Fn(&mut Link) -> Result<T, Trouble>,
    ) -> Result<T, Problem> {
        let may_try = self.circuit.lock().may_try(Clock::System.now());
        let done = match (&self.choice, may_try) {
            (Err(mistake), _) => Err(Trouble::new(Class::Setting, mistake.as_str())),
            (_, false) => Err(Trouble::new(Class::Resting, "is not tried again yet")),
            (Ok(target), true) => self.within_time(target, act),
        };
        match &done {
            Err(trouble) if trouble.class == Class::Resting => {}
            Err(trouble) if trouble.is_failure() => {
                self.circuit.lock().failed(Clock::System.now());
            }
            _ => self.circuit.lock().succeeded(),
        }
        done.map_err(|trouble| {
            let shown = self.choice.as_ref().map(Target::shown).unwrap_or_default();
            trouble.problem(&shown, self.timeout)
        })
    }

    fn within_time<T>(
        self: &Arc<Self>,
        target: &Target,
        act: impl Fn(&mut Link) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        // A little earlier than the one who waits: then the reason is known.
        let deadline = Instant::now() + self.timeout * 15 / 16;
        let mut idle = idle::take(self);
        if let Some(mut link) = idle.take_if(|link| link.wake(deadline)) {
            match act(&mut link) {
                // The server may have ended it for its age, or have been restarted.
                Err(trouble) if trouble.has_ended => {}
                done => return self.finish(link, done),
            }
        }
        let mut link = Link::open(target, &self.trust, deadline)?;
        let done = act(&mut link);
        self.finish(link, done)
    }

    fn finish<T>(self: &Arc<Self>, link: Link, done: Result<T, Trouble>) -> Result<T, Trouble> {
        let is_refusal = |trouble: &Trouble| trouble.class == Class::Refused;
        if link.is_sound() && done.as_ref().err().is_none_or(is_refusal) {
            idle::keep(self, link);
        }
        done
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        idle::close(self.number);
    }
}

#[cfg(all(test, unix, not(feature = "__shuttle")))]
pub(crate) mod tests;
