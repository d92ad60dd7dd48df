//! A fetch's store operations, on its thread. The core decides when to do which; callers wait as
//! for any fetch.
//!
//! Store problems are never errors. A failure is reported in one event per fetch and otherwise
//! ignored.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::drive::StepContext;
use super::fetch::Fetch;
use super::shared::Shared;
use super::state::Seat;
use crate::cache::input::{Input, Lock, Record};
use crate::clock::BootTime;
use crate::config::options::{Options, StoreChoice};
use crate::config::variables::Variables;
use crate::credentials::Pair;
use crate::endpoint::Granted;
use crate::error::ErrorKind;
use crate::events::{Event, EventKind};
#[cfg(feature = "redis")]
use crate::store::holder::{Holder, is_new_record};
use crate::store::record::{self, Asked, Clocks, LocalLife, Unusable};
use crate::store::seal::Seal;
use crate::store::{Bounded, Problem, SAME_LIFE, StoreLock, Tried, Watch, boot};
use crate::threads;

/// The store chosen by the options.
pub(super) fn open(options: &Options, variables: &Variables) -> Option<Bounded> {
    match &options.store {
        StoreChoice::Memory => None,
        #[cfg(unix)]
        StoreChoice::File(directory) => {
            let store = crate::store::file::FileStore::new(directory.as_deref(), variables);
            Some(Bounded::new(Arc::new(store), options.store_timeout))
        }
        #[cfg(feature = "redis")]
        StoreChoice::Redis(choice) => {
            let (timeout, lock_life) = (options.store_timeout, options.policy.lock_life());
            let store = crate::store::redis::RedisStore::new(choice, timeout, lock_life, variables);
            Some(Bounded::new(Arc::new(store), timeout))
        }
        // Rejected when the option was parsed.
        #[cfg(not(unix))]
        StoreChoice::File(_) => None,
    }
}

/// How long the end of a fetch waits for the release of its lock.
#[cfg(feature = "redis")]
const LONGEST_RELEASE: Duration = Duration::from_millis(50);

/// How often the record of a refused token is read and removed, if other processes change it.
const REMOVALS: u32 = 3;

const ENDED: &str = "its token has expired, or may have";
#[cfg(feature = "redis")]
const OFF_CLOCK: &str = "its record is valid by the store's clock and not by this machine's: set the \
                         clocks of the machines that share it (NTP); the record is left as it is";
#[cfg(feature = "redis")]
const WRITERS_CLOCK: &str = "its record was written on a machine whose clock is wrong by the store's: \
                             set the clocks of the machines that share it (NTP); the record is \
                             replaced";

/// A fetch's state at the store.
#[derive(Default)]
pub(super) struct Stored {
    /// Held while this process fetches for all.
    lock: Option<Arc<StoreLock>>,
    /// The store is too slow: it is not used for the rest of the fetch.
    is_off: bool,
    /// A failure has been reported; once per fetch is enough.
    pub(super) was_told: bool,
    /// Who held the lock when it was last tried.
    watch: Watch,
    /// When the store ends the record that was last seen.
    #[cfg(feature = "redis")]
    ends_at: Option<BootTime>,
    /// The record is alive by the store's clock and not by this machine's: it is not replaced.
    #[cfg(feature = "redis")]
    is_off_clock: bool,
    /// The record as last seen.
    kept: Option<Kept>,
    /// Why there was no usable record, and whether that indicates a problem.
    pub(super) miss: (&'static str, bool),
}

/// The contents of a record.
struct Kept {
    granted: Granted,
    asked: Asked,
    life: LocalLife,
}

impl Kept {
    fn fresh_until(&self) -> BootTime {
        self.life.requested_at.after(Duration::from_nanos(self.asked.fresh_ns))
    }

    fn again_at(&self) -> BootTime {
        self.life.requested_at.after(Duration::from_nanos(self.asked.again_ns))
    }
}

impl Stored {
    /// The fetch has ended: releases a lock that does not end with this process, before a caller
    /// hears of it and perhaps ends the process.
    #[cfg(feature = "redis")]
    pub(super) fn release_lock(&mut self) {
        if let Some(lock) = self.lock.take_if(|lock| lock.outlives_process()) {
            lock.release_now(LONGEST_RELEASE);
        }
    }

    /// Before an attempt: keeps the lock for as long as that may take.
    #[cfg(feature = "redis")]
    pub(super) fn renew_lock(&self) {
        if let Some(lock) = &self.lock {
            lock.renew();
        }
    }

    pub(super) fn found(&self) -> Option<&Granted> {
        self.kept.as_ref().map(|kept| &kept.granted)
    }

    /// The record as the core sees it.
    fn record(&self, seat: &Seat) -> Option<Record> {
        let kept = self.kept.as_ref()?;
        let value = kept.granted.value.reveal();
        Some(Record {
            requested_at: kept.life.requested_at,
            lifetime: kept.life.lifetime,
            granted_for: kept.granted.lifetime,
            fresh_until: kept.fresh_until(),
            tried: kept.asked.tried,
            again_at: kept.again_at(),
            same_value: seat.shows(value),
            was_refused: seat.refused(value),
        })
    }
}

impl Shared {
    /// Looks for a token that is better than this process's own.
    pub(super) fn look_into_store(self: &Arc<Self>, context: &mut StepContext<'_>) {
        let Some(fetch) = &mut context.fetch else { return };
        let id = fetch.id;
        fetch.stored.kept = match self.look(fetch) {
            Ok(kept) => Some(kept),
            Err(miss) => {
                fetch.stored.miss = miss;
                None
            }
        };
        let view = self.source.view();
        let mut is_same = false;
        self.step(context, &mut |state, context, _| {
            let fetch = context.fetch.as_mut()?;
            let record = fetch.stored.record(&state.seats[fetch.slot.index]);
            is_same = record.is_some_and(|record| record.same_value && !record.was_refused);
            Some(Input::Looked {
                flight: id,
                record,
                status: context.credential_status_after_store(&view),
            })
        });
        if let Some(fetch) = context.fetch.as_mut().filter(|_| !is_same) {
            fetch.stored.kept = None;
        }
    }

    /// Reads the record once. On a miss, returns the reason and whether it indicates a problem.
    fn look(self: &Arc<Self>, fetch: &mut Fetch) -> Result<Kept, (&'static str, bool)> {
        let odd = |why| (why, true);
        #[cfg(feature = "redis")]
        {
            fetch.stored.is_off_clock = false;
            fetch.stored.ends_at = None;
        }
        // The core has made sure that there are credentials.
        let (Some(store), Some(Ok(pair))) = (&self.store, fetch.fresh.clone()) else {
            return Err(("no store is set", false));
        };
        if fetch.stored.is_off {
            return Err(("it is not used for the rest of this fetch", false));
        }
        let seal = self.seal(fetch, &pair);
        let found = match store.load(seal.name()) {
            Ok(found) => found.ok_or(("it has no such token", false))?,
            Err(problem) => {
                self.store_failed(fetch, "look for a token", &problem);
                return Err(("it could not be read", false));
            }
        };
        #[cfg(feature = "redis")]
        {
            fetch.stored.ends_at = found.left.map(|left| self.clock.now().after(left));
        }
        let text = seal.open(&found.record).ok_or(odd("the record is damaged or foreign"))?;
        let narrowed = self.options.allow_narrowed_scope;
        let record = record::Record::read(&text, &fetch.slot.scope, narrowed).map_err(odd)?;
        let record::Record { granted, asked } = record;
        let (here, policy) = (self.here(store), &self.options.policy);
        #[cfg(not(feature = "redis"))]
        let life = record::life(&asked, granted.lifetime, &here, policy);
        #[cfg(feature = "redis")]
        let life = record::life_on_server(&asked, granted.lifetime, found.left, &here, policy);
        let life = life.map_err(|unusable| match unusable {
            Unusable::Ended => (ENDED, false),
            #[cfg(feature = "redis")]
            Unusable::OffClock => odd(self.off_clock(fetch, store, &asked, granted.lifetime)),
            _ => odd("the record is from the future"),
        })?;
        Ok(Kept { granted, asked, life })
    }

    /// A record is alive by the store's clock and not by this machine's. Decides whether it may be
    /// replaced: not if this machine's clock is wrong, for that would only make the others miss.
    #[cfg(feature = "redis")]
    fn off_clock(
        self: &Arc<Self>,
        fetch: &mut Fetch,
        store: &Bounded,
        asked: &Asked,
        lifetime: Duration,
    ) -> &'static str {
        fetch.stored.is_off_clock = true;
        let server_ms = match store.wall_ms() {
            Ok(server_ms) => server_ms,
            Err(problem) => {
                self.store_failed(fetch, "read its clock", &problem);
                None
            }
        };
        let (now, here_ms) = (self.clock.now(), self.clock.wall_ms());
        let left = fetch.stored.ends_at.map_or(Duration::ZERO, |at| at.until(now));
        // The key's life was set, and the clock was read, in an operation each.
        let slack = 2 * store.timeout();
        let is_writers_fault = server_ms.is_some_and(|server_ms| {
            record::is_writers_fault(asked, lifetime, left, here_ms, server_ms, slack)
        });
        if is_writers_fault {
            fetch.stored.is_off_clock = false;
            return WRITERS_CLOCK;
        }
        OFF_CLOCK
    }

    /// The seal for the entry's records with these credentials.
    fn seal(self: &Arc<Self>, fetch: &Fetch, pair: &Pair) -> Arc<Seal> {
        let seal = Arc::new(Seal::new(&self.options, &pair.credentials, &fetch.slot.scope));
        let former = self.state().seats[fetch.slot.index].seal.replace(seal.clone());
        drop(former);
        seal
    }

    fn here(&self, store: &Bounded) -> Clocks {
        let boot = if store.is_local() { boot::session() } else { None };
        Clocks { boot, now: self.clock.now(), wall_ms: self.clock.wall_ms() }
    }

    /// Tries to take the entry's lock, so that one process asks the endpoint while the others wait.
    pub(super) fn try_store_lock(self: &Arc<Self>, context: &mut StepContext<'_>) {
        let Some(fetch) = &mut context.fetch else { return };
        let id = fetch.id;
        let lock = self.lock_store(fetch);
        context.keeps_pair = true;
        self.step(context, &mut |_, _, _| Some(Input::LockTried { flight: id, lock }));
        context.keeps_pair = false;
    }

    fn lock_store(self: &Arc<Self>, fetch: &mut Fetch) -> Lock {
        let seal = self.state().seats[fetch.slot.index].seal.clone();
        let (Some(store), Some(seal), false) = (&self.store, seal, fetch.stored.is_off) else {
            return Lock::Failed;
        };
        // What this machine fetches, it will not save.
        #[cfg(feature = "redis")]
        if fetch.stored.is_off_clock {
            return Lock::Failed;
        }
        let began = self.clock.now();
        match store.try_lock(seal.name()) {
            Ok(Tried::Taken(lock)) => {
                self.hold(fetch, lock);
                Lock::Taken
            }
            // Its holder has saved a token: no need to wait for the lock itself, one after another.
            #[cfg(feature = "redis")]
            Ok(Tried::Held(Holder { record_left, .. }))
                if is_new_record(fetch.stored.ends_at, record_left, self.clock.now()) =>
            {
                Lock::Failed
            }
            Ok(Tried::Held(holder)) => {
                let is_successor = fetch.stored.watch.sees(holder, began, self.clock.now());
                Lock::Busy { is_successor }
            }
            Err(problem) => {
                self.store_failed(fetch, "take its lock", &problem);
                Lock::Failed
            }
        }
    }

    /// Keeps the lock, but no longer than a fetch may take: a fetch that hangs must not block the
    /// other processes.
    fn hold(&self, fetch: &mut Fetch, lock: Arc<StoreLock>) {
        let until = self.clock.now().after(self.options.policy.longest_fetch());
        threads::at(until, Arc::downgrade(&lock), |lock| lock.release());
        fetch.stored.lock = Some(lock);
    }

    /// Tells the other processes when they may renew the record's token.
    pub(super) fn announce_renewal(
        self: &Arc<Self>,
        context: &mut StepContext<'_>,
        again_at: BootTime,
    ) {
        let Some(fetch) = &mut context.fetch else { return };
        let id = fetch.id;
        if let Some(kept) = &mut fetch.stored.kept {
            kept.asked.tried = kept.asked.tried.saturating_add(1);
        }
        self.write_again_at(fetch, again_at);
        let view = self.source.view();
        self.step(context, &mut |_, context, _| {
            Some(Input::Announced {
                flight: id,
                status: context.credential_status_after_store(&view),
            })
        });
    }

    pub(super) fn put_off_renewals(self: &Arc<Self>, fetch: &mut Fetch, pause: Duration) {
        let again_at = self.clock.now().after(pause);
        self.write_again_at(fetch, again_at);
    }

    /// Writes into the token's record when its renewal may be tried again, if there is a record and
    /// no other process can be changing it.
    fn write_again_at(self: &Arc<Self>, fetch: &mut Fetch, again_at: BootTime) {
        let Some(store) = &self.store else { return };
        if fetch.stored.is_off || fetch.stored.lock.is_none() {
            return;
        }
        let Some(kept) = &mut fetch.stored.kept else { return };
        kept.asked.again_ns = again_at.nanos().saturating_sub(kept.life.requested_at.nanos());
        let text = record::rewrite(&kept.granted, &kept.asked);
        let Some(seal) = self.state().seats[fetch.slot.index].seal.clone() else { return };
        self.save(fetch, store, &seal, &text, SAME_LIFE);
    }

    /// Saves what the endpoint granted and releases the lock.
    pub(super) fn put_into_store(
        self: &Arc<Self>,
        context: &mut StepContext<'_>,
        fresh_for: Duration,
    ) {
        let Some(fetch) = &mut context.fetch else { return };
        let id = fetch.id;
        self.save_granted(fetch, fresh_for);
        self.step(context, &mut |state, context, _| {
            Some(Input::Saved { flight: id, granted: context.grant(state)? })
        });
    }

    fn save_granted(self: &Arc<Self>, fetch: &mut Fetch, fresh_for: Duration) {
        let (Some(store), Some(pair), Some(granted)) = (&self.store, &fetch.used, &fetch.granted)
        else {
            return;
        };
        let was_refused = self.state().seats[fetch.slot.index].refused(granted.value.reveal());
        if fetch.stored.is_off || was_refused {
            return;
        }
        #[cfg(feature = "redis")]
        if fetch.stored.is_off_clock {
            return;
        }
        let seal = self.seal(fetch, pair);
        let here = self.here(store);
        let text = record::write(granted, fetch.sent_at, fresh_for, &here);
        let left = fetch.sent_at.after(granted.lifetime).until(here.now);
        self.save(fetch, store, &seal, &text, left);
        #[cfg(feature = "redis")]
        fetch.stored.release_lock();
        fetch.stored.lock = None;
    }

    #[inline(never)]
    fn save(
        self: &Arc<Self>,
        fetch: &mut Fetch,
        store: &Bounded,
        seal: &Seal,
        text: &[u8],
        left: Duration,
    ) {
        let saved = match seal.seal(text) {
            Some(sealed) => store.save(seal.name(), sealed, left),
            None => Err(Problem::new("the system's random generator failed")),
        };
        if let Err(problem) = saved {
            self.store_failed(fetch, "save a token", &problem);
        }
    }

    /// An API refused this token: other processes should not find it. Does not block.
    pub(super) fn drop_from_store(&self, seal: &Option<Arc<Seal>>, value: &str) {
        let (Some(store), Some(seal)) = (&self.store, seal.clone()) else { return };
        let value = Zeroizing::new(value.to_owned());
        store.run_later(move |store| {
            for _ in 0..REMOVALS {
                let kept = store.load(seal.name()).ok().flatten();
                let Some(found) = kept else { return };
                // Another process may have saved its successor already.
                if !seal.open(&found.record).is_some_and(|text| record::is_of(&text, &value)) {
                    return;
                }
                // A server removes only what was read, and another process may have written into
                // the record meanwhile.
                let is_removed = store.remove(seal.name(), &found.record).is_ok();
                if !is_removed || store.is_local() {
                    return;
                }
            }
        });
    }

    fn store_failed(self: &Arc<Self>, fetch: &mut Fetch, what: &str, problem: &Problem) {
        fetch.stored.is_off |= problem.kind == ErrorKind::Timeout;
        let was_told = std::mem::replace(&mut fetch.stored.was_told, true);
        #[cfg(feature = "redis")]
        let was_told = {
            let is_news = self.store.as_ref().and_then(|store| store.is_news(problem));
            is_news.map_or(was_told, |is_news| !is_news)
        };
        if was_told {
            return;
        }
        self.tell(&fetch.slot, || {
            let mut event = Event::new(
                EventKind::Store,
                format!("store failure: cannot {what}: {}", problem.message),
            );
            event.error = Some(problem.kind);
            event.duration = self.clock.now().since(fetch.began);
            event
        });
    }
}

#[cfg(all(test, not(feature = "__shuttle")))]
#[path = "stored_tests.rs"]
mod tests;
