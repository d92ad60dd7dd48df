//! Shared tokens: what one process has fetched, others with the same key need not fetch.
//!
//! - this file: what a store is, and the time limit on its operations
//! - [`record`] what is stored, and whether it may be used here and now
//! - [`seal`] how a record is encrypted and named
//! - [`file`](mod@file) records in a directory; [`directory`], [`lock`] the system calls for that
//! - `redis` records on a server, for the processes of many machines (feature `redis`)
//! - [`holder`] whose lock it is, and whether that process has died
//! - [`circuit`] when a server that failed is left alone
//! - [`trial`] a trial of all operations, for diagnosis
//! - [`boot`] which boot of which machine the boot clock belongs to
//!
//! A store is optional at every step: whatever happens to it, the token can still be fetched. And
//! it is never trusted: its records are sealed with a key that only holders of the client secret
//! have, and are validated like a response from the endpoint.

pub(crate) mod boot;
#[cfg(any(feature = "redis", feature = "__simulation", test))]
pub(crate) mod circuit;
#[cfg(unix)]
mod directory;
#[cfg(unix)]
pub(crate) mod file;
pub(crate) mod holder;
#[cfg(unix)]
mod lock;
pub(crate) mod record;
#[cfg(feature = "redis")]
pub(crate) mod redis;
#[cfg(all(test, not(feature = "__shuttle")))]
pub(crate) mod scripted;
pub(crate) mod seal;
#[cfg(unix)]
mod trial;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
#[cfg(unix)]
use crate::config::variables::Variables;
use crate::error::ErrorKind;
use crate::leftovers::Depth;
use crate::process::{Inherited, Locked, Mailbox};
use crate::threads::{self, Job, Rank};
use crate::words;
pub(crate) use holder::{Holder, Tried, Watch};

/// Maximum size of a sealed record; a token of 16 KiB with its scopes fits.
pub(crate) const MAX_RECORD_BYTES: usize = 64 * 1024;

/// Why a store operation failed. Says what to fix, and contains no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    /// What kind of problem it is to a store that keeps account of which were reported.
    #[cfg(feature = "redis")]
    pub(crate) class: Option<redis::Class>,
}

impl Problem {
    /// A problem that a person has to fix.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::of(ErrorKind::Config, message.into())
    }

    fn of(kind: ErrorKind, message: String) -> Self {
        Self {
            kind,
            message,
            #[cfg(feature = "redis")]
            class: None,
        }
    }

    fn slow(timeout: Duration) -> Self {
        let message = format!("it did not answer within store_timeout ({timeout:?})");
        Self::of(ErrorKind::Timeout, message)
    }
}

/// Tries out a file store. Returns its directory.
#[cfg(unix)]
pub(crate) fn try_files(directory: Option<PathBuf>, timeout: Duration) -> Result<PathBuf, Problem> {
    let variables = Variables::now();
    within(Depth::Deep, timeout, move || {
        file::FileStore::new(directory.as_deref(), &variables).try_out()
    })
}

/// File stores are not available on this system.
#[cfg(not(unix))]
pub(crate) fn try_files(_: Option<PathBuf>, _: Duration) -> Result<PathBuf, Problem> {
    Err(Problem::new("the file store is not supported on this system"))
}

/// A lock that is held until this is dropped. Dropping may block.
pub(crate) trait HeldLock: Send {
    /// Whether it stays for a while if this process is killed.
    #[cfg(feature = "redis")]
    fn outlives_process(&self) -> bool {
        false
    }

    /// What keeps it for another attempt of the fetch, if it ends by itself. May block.
    #[cfg(feature = "redis")]
    fn renewal(&mut self) -> Option<Box<dyn FnOnce() + Send>> {
        None
    }
}

/// A record as it was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) record: Vec<u8>,
    /// How much longer the store keeps it, if the store ends its life.
    #[cfg(feature = "redis")]
    pub(crate) left: Option<Duration>,
}

impl Found {
    /// A record that stays until it is replaced.
    pub(crate) fn lasting(record: Vec<u8>) -> Self {
        Self {
            record,
            #[cfg(feature = "redis")]
            left: None,
        }
    }
}

/// As the life of a record that is saved: the one that it has. If there is no record any more, none
/// is saved.
pub(crate) const SAME_LIFE: Duration = Duration::MAX;

/// Where sealed records are stored. Every operation may block, and runs on a thread meant for that.
pub(crate) trait Store: Send + Sync + 'static {
    /// Returns the record of this name, if there is one.
    fn load(&self, name: &str) -> Result<Option<Found>, Problem>;

    /// Replaces the record of this name atomically. It is useful for `life`, see [`SAME_LIFE`].
    fn save(&self, name: &str, record: &[u8], life: Duration) -> Result<(), Problem>;

    /// Removes the record of this name; on a server only if it is still this one.
    fn remove(&self, name: &str, record: &[u8]) -> Result<(), Problem>;

    /// Takes the lock of this name if it is free. It ends with the process that holds it.
    fn try_lock(&self, name: &str) -> Result<Tried<Box<dyn HeldLock>>, Problem>;

    /// The time by the store's own clock, in milliseconds since 1970. `None`: it has no clock, or
    /// does not tell.
    #[cfg(feature = "redis")]
    fn wall_ms(&self) -> Result<Option<i64>, Problem> {
        Ok(None)
    }

    /// Whether a problem that is about to be reported was not reported before. `None`: the store
    /// keeps no account.
    #[cfg(feature = "redis")]
    fn is_news(&self, _problem: &Problem) -> Option<bool> {
        None
    }

    /// Whether only this machine sees the records, so that boot times are comparable.
    fn is_local(&self) -> bool;
}

/// A store whose operations have a time limit.
///
/// A system call on a file may hang for minutes (an NFS server that is down), and nothing can
/// interrupt it. So each operation runs on a pool thread reserved for stores, and the caller
/// continues without it after `store_timeout`. Threads that hang keep counting: a store that is
/// down costs a process at most eight threads, however many clients it has.
#[derive(Clone)]
pub(crate) struct Bounded {
    store: Arc<dyn Store>,
    timeout: Duration,
}

impl Bounded {
    pub(crate) fn new(store: Arc<dyn Store>, timeout: Duration) -> Self {
        Self { store, timeout }
    }

    pub(crate) fn is_local(&self) -> bool {
        self.store.is_local()
    }

    #[cfg(feature = "redis")]
    pub(crate) fn wall_ms(&self) -> Result<Option<i64>, Problem> {
        self.run(|store| store.wall_ms())
    }

    #[cfg(feature = "redis")]
    pub(crate) fn is_news(&self, problem: &Problem) -> Option<bool> {
        self.store.is_news(problem)
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn load(&self, name: &str) -> Result<Option<Found>, Problem> {
        let name = name.to_owned();
        self.run(move |store| store.load(&name))
    }

    pub(crate) fn save(&self, name: &str, record: Vec<u8>, life: Duration) -> Result<(), Problem> {
        let name = name.to_owned();
        self.run(move |store| store.save(&name, &record, life))
    }

    pub(crate) fn try_lock(&self, name: &str) -> Result<Tried<Arc<StoreLock>>, Problem> {
        let name = name.to_owned();
        Ok(match self.run(move |store| store.try_lock(&name))? {
            Tried::Taken(lock) => Tried::Taken(Arc::new(StoreLock(Locked::new(Own(Some(lock)))))),
            Tried::Held(holder) => Tried::Held(holder),
        })
    }

    /// Runs a store operation in the background, if a thread can be started. Its result is
    /// discarded.
    pub(crate) fn run_later(&self, act: impl FnOnce(&dyn Store) + Send + 'static) {
        let store = self.store.clone();
        let job = Job::of_depth(self.depth(), Duration::MAX, move || act(&*store));
        let _ = threads::submit(&job, Rank::Store);
    }

    fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(&dyn Store) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let store = self.store.clone();
        within(self.depth(), self.timeout, move || act(&*store))
    }

    /// On a server it makes a connection, perhaps with TLS.
    fn depth(&self) -> Depth {
        if self.is_local() { Depth::Shallow } else { Depth::Deep }
    }
}

/// Runs a store operation on a pool thread, and gives up after `timeout`.
fn within<T: Send + 'static>(
    depth: Depth,
    timeout: Duration,
    act: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let outcome = Arc::new(Mailbox::default());
    let told = outcome.clone();
    let job = Job::of_depth(depth, Duration::MAX, move || {
        told.put(act());
    });
    threads::submit(&job, Rank::Store).map_err(|error| {
        Problem::new(format!("no thread can be started for it: {}", words::of(&error)))
    })?;
    let clock = Clock::System;
    outcome.take(&clock, clock.now().after(timeout)).unwrap_or_else(|| {
        threads::cancel(&job);
        Err(Problem::slow(timeout))
    })
}

/// A store lock held by this process. Released once: when dropped, or before.
pub(crate) struct StoreLock(Locked<Own>);

#[derive(Default)]
struct Own(Option<Box<dyn HeldLock>>);

impl Inherited for Own {
    type Remains = ();

    /// The parent holds the lock, and releases it.
    fn adopt(&mut self) {
        std::mem::forget(self.0.take());
    }
}

impl StoreLock {
    /// Whether it stays if this process is killed.
    #[cfg(feature = "redis")]
    pub(crate) fn outlives_process(&self) -> bool {
        self.0.lock().0.as_ref().is_some_and(|held| held.outlives_process())
    }

    /// Keeps the lock for another attempt, in the background.
    #[cfg(feature = "redis")]
    pub(crate) fn renew(&self) {
        let renewal = self.0.lock().0.as_mut().and_then(|held| held.renewal());
        if let Some(renewal) = renewal {
            let _ = threads::submit(&Job::new(Duration::MAX, renewal), Rank::Store);
        }
    }

    /// Releases the lock, and waits for that a little: a process that ends now must not leave it
    /// to the others until it ends by itself.
    #[cfg(feature = "redis")]
    pub(crate) fn release_now(&self, longest: Duration) {
        let Some(held) = self.0.lock().0.take() else { return };
        let done = Arc::new(Mailbox::default());
        let told = done.clone();
        let job = Job::new(Duration::MAX, move || {
            drop(held);
            told.put(());
        });
        if threads::submit(&job, Rank::Store).is_ok() {
            let clock = Clock::System;
            done.take(&clock, clock.now().after(longest));
        }
    }

    /// Releases the lock, on a thread that may block.
    pub(crate) fn release(&self) {
        let Some(held) = self.0.lock().0.take() else { return };
        let job = Job::new(Duration::MAX, move || drop(held));
        // If no thread can be started, the job is dropped here, and the lock with it.
        let _ = threads::submit(&job, Rank::Store);
    }
}

impl Drop for StoreLock {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(all(test, not(feature = "__shuttle")))]
mod tests {
    use super::*;

    /// Reports when it is released.
    struct Told(Arc<Mailbox<()>>);

    impl HeldLock for Told {}

    impl Drop for Told {
        fn drop(&mut self) {
            self.0.put(());
        }
    }

    #[test]
    fn a_lock_is_released_by_the_process_that_took_it_and_by_no_child() {
        let told = Arc::<Mailbox<()>>::default();
        let held = || Own(Some(Box::new(Told(told.clone()))));
        drop(StoreLock(Locked::inherited(held())));
        assert!(told.is_empty());
        drop(StoreLock(Locked::new(held())));
        let clock = Clock::System;
        assert!(told.take(&clock, clock.now().after(Duration::from_secs(30))).is_some());
    }
}
