//! Tokens beyond one process: what one process fetched, others of the same key need not.
//!
//! - this file: what a store is, and how long one operation on it may take
//! - [`record`] what is kept, and whether it may be used here and now
//! - [`seal`] how a record is encrypted, and what it is called
//! - [`file`](mod@file) records in a directory; [`directory`], [`lock`] the system calls under it
//! - [`trial`] the same tried out, for a diagnosis
//! - [`boot`] which run of which machine the boot clock belongs to
//!
//! A store is a courtesy. Whatever happens to it, the token still comes from the endpoint; and it is
//! never trusted: what comes out of it was sealed with a key that only holders of the client secret
//! have, and is checked like an answer of the endpoint.

pub(crate) mod boot;
#[cfg(unix)]
mod directory;
#[cfg(unix)]
pub(crate) mod file;
#[cfg(unix)]
mod lock;
pub(crate) mod record;
#[cfg(all(test, not(feature = "__shuttle")))]
pub(crate) mod scripted;
pub(crate) mod seal;
#[cfg(unix)]
mod trial;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::error::ErrorKind;
use crate::process::{Inherited, Locked, Mailbox};
use crate::threads::{self, Job, Rank};

/// Most bytes a sealed record may have; a token of 16 KiB with its scopes fits well.
pub(crate) const MAX_RECORD_BYTES: usize = 64 * 1024;

/// Why an operation on a store could not be done. Says what to mend, and names no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
}

impl Problem {
    /// Something a person has to set right.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Config, message: message.into() }
    }

    fn slow(timeout: Duration) -> Self {
        let message = format!("it did not answer within store_timeout ({timeout:?})");
        Self { kind: ErrorKind::Timeout, message }
    }
}

/// Tries out a store of files: its directory, or what is in the way.
#[cfg(unix)]
pub(crate) fn try_files(directory: Option<PathBuf>, timeout: Duration) -> Result<PathBuf, Problem> {
    within(timeout, move || file::FileStore::new(directory.as_deref()).try_out())
}

/// The same where there is no such store.
#[cfg(not(unix))]
pub(crate) fn try_files(_: Option<PathBuf>, _: Duration) -> Result<PathBuf, Problem> {
    Err(Problem::new("a store of files is not built in here"))
}

/// A lock that is held until this is dropped. Dropping may block.
pub(crate) trait HeldLock: Send {}

/// Where sealed records are kept. Every operation may block, and runs on a thread for that.
pub(crate) trait Store: Send + Sync + 'static {
    /// The record of this name, if there is one.
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>, Problem>;

    /// Puts a record in the place of the one of this name, in one step. It is of use for `life`.
    fn save(&self, name: &str, record: &[u8], life: Duration) -> Result<(), Problem>;

    /// Takes the record of this name away.
    fn remove(&self, name: &str) -> Result<(), Problem>;

    /// Takes the lock of this name if it is free. It ends with the process that holds it.
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn HeldLock>>, Problem>;

    /// Whether records are seen by this machine alone, so that the boot clock can tell their age.
    fn is_local(&self) -> bool;
}

/// A store whose operations end in time.
///
/// A system call on a file may hang for minutes (an NFS server that is down), and nothing can end
/// it. So each operation runs on a thread of the pool that is there for stores alone, and whoever
/// asked goes on without it after `store_timeout`. Threads that hang keep their places: a store that
/// is down costs a process eight threads at most, however many clients it has.
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

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn load(&self, name: &str) -> Result<Option<Vec<u8>>, Problem> {
        let name = name.to_owned();
        self.run(move |store| store.load(&name))
    }

    pub(crate) fn save(&self, name: &str, record: Vec<u8>, life: Duration) -> Result<(), Problem> {
        let name = name.to_owned();
        self.run(move |store| store.save(&name, &record, life))
    }

    pub(crate) fn try_lock(&self, name: &str) -> Result<Option<Arc<StoreLock>>, Problem> {
        let name = name.to_owned();
        let lock = self.run(move |store| store.try_lock(&name))?;
        Ok(lock.map(|lock| Arc::new(StoreLock(Locked::new(Holder(Some(lock)))))))
    }

    /// Does something with the store, if and when a thread can; nobody waits for it.
    pub(crate) fn run_later(&self, act: impl FnOnce(&dyn Store) + Send + 'static) {
        let store = self.store.clone();
        let job = Job::new(Duration::MAX, move || act(&*store));
        let _ = threads::submit(&job, Rank::Store);
    }

    fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(&dyn Store) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let store = self.store.clone();
        within(self.timeout, move || act(&*store))
    }
}

/// Does something with a store on a thread of the pool, and goes on without it after a while.
fn within<T: Send + 'static>(
    timeout: Duration,
    act: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let outcome = Arc::new(Mailbox::default());
    let told = outcome.clone();
    let job = Job::new(Duration::MAX, move || {
        told.put(act());
    });
    threads::submit(&job, Rank::Store)
        .map_err(|error| Problem::new(format!("no thread can be started for it: {error}")))?;
    let clock = Clock::System;
    outcome.take(&clock, clock.now().after(timeout)).unwrap_or_else(|| {
        threads::cancel(&job);
        Err(Problem::slow(timeout))
    })
}

/// A lock of a store that this process holds. Let go once: when dropped, or before.
pub(crate) struct StoreLock(Locked<Holder>);

#[derive(Default)]
struct Holder(Option<Box<dyn HeldLock>>);

impl Inherited for Holder {
    type Remains = ();

    /// The parent holds it, and lets go of it.
    fn adopt(&mut self) {
        std::mem::forget(self.0.take());
    }
}

impl StoreLock {
    /// Lets go of the lock, on a thread that may block.
    pub(crate) fn release(&self) {
        let Some(held) = self.0.lock().0.take() else { return };
        let job = Job::new(Duration::MAX, move || drop(held));
        // Without a thread the job is dropped here, and the lock with it.
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

    /// Tells when it is let go of.
    struct Told(Arc<Mailbox<()>>);

    impl HeldLock for Told {}

    impl Drop for Told {
        fn drop(&mut self) {
            self.0.put(());
        }
    }

    #[test]
    fn a_lock_is_let_go_of_by_the_process_that_took_it_and_by_no_child() {
        let told = Arc::<Mailbox<()>>::default();
        let held = || Holder(Some(Box::new(Told(told.clone()))));
        drop(StoreLock(Locked::inherited(held())));
        assert!(told.is_empty());
        drop(StoreLock(Locked::new(held())));
        let clock = Clock::System;
        assert!(told.take(&clock, clock.now().after(Duration::from_secs(30))).is_some());
    }
}
