//! What a fetch has to do with a token store.
//!
//! Before it asks the endpoint it looks whether another process has a token already; if not, it
//! takes the lock of the entry, so that one process asks and the others wait for it, and looks once
//! more. What it got it saves before it tells anybody, because a command ends when it has its token.
//! All of this happens on the fetch's thread; callers wait as they wait for any fetch, and the time of
//! the fetch itself begins when the look is over.
//!
//! Nothing about a store is an error. What cannot be done is told in one event a fetch and left.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::fetch::{Flight, Origin, fingerprint};
use super::shared::{Shared, SystemRandom};
use crate::cache::{Random, policy};
use crate::clock::BootTime;
use crate::config::options::{Options, StoreChoice};
use crate::credentials::Pair;
use crate::endpoint::Granted;
use crate::error::ErrorKind;
use crate::events::{Event, EventKind};
use crate::store::record::{self, Asked, Here, LifeHere, Unusable};
use crate::store::seal::Seal;
use crate::store::{
    Bounded, FIRST_LOCK_PAUSE, LOCK_MARGIN, MAX_LOCK_PAUSE, Problem, StoreLock, boot,
};
use crate::threads;

/// The store that the options name.
pub(super) fn open(options: &Options) -> Option<Bounded> {
    match &options.store {
        StoreChoice::Memory => None,
        #[cfg(unix)]
        StoreChoice::File(directory) => {
            let store = crate::store::file::FileStore::new(directory.as_deref());
            Some(Bounded::new(Arc::new(store), options.store_timeout))
        }
        // The option's reader has refused it.
        #[cfg(not(unix))]
        StoreChoice::File(_) => None,
    }
}

/// What one fetch knows of its store.
#[derive(Default)]
pub(super) struct Stored {
    /// Held while this process asks for all.
    lock: Option<Arc<StoreLock>>,
    /// The store is too slow: it is left alone for the rest of the fetch.
    is_off: bool,
    /// A failure has been told: once a fetch is enough.
    was_told: bool,
    /// The credentials that the token was had with.
    pub(super) used: Option<Pair>,
    /// The record of the token that is to be renewed, as it was last seen.
    kept: Option<Kept>,
}

/// What a record holds.
struct Kept {
    granted: Granted,
    asked: Asked,
    life: LifeHere,
}

impl Kept {
    fn again_at(&self) -> BootTime {
        self.life.requested_at.after(Duration::from_nanos(self.asked.again_ns))
    }

    /// A record that is worth more than what this process has.
    fn found(mut self) -> (Granted, BootTime, Origin) {
        let origin = Origin::Store { tried: self.asked.tried, again_at: self.again_at() };
        self.granted.lifetime = self.life.lifetime;
        (self.granted, self.life.requested_at, origin)
    }
}

/// Why there is no token to be had from the store.
struct Miss {
    why: &'static str,
    /// Something is wrong with the record.
    error: Option<ErrorKind>,
    /// It is that of the token that this process has.
    is_same: bool,
}

impl Miss {
    fn new(why: &'static str) -> Self {
        Self { why, error: None, is_same: false }
    }

    fn odd(why: &'static str) -> Self {
        Self { why, error: Some(ErrorKind::BadResponse), is_same: false }
    }
}

/// A way into the store for one entry, with one pair of credentials.
struct Way<'a> {
    store: &'a Bounded,
    seal: Arc<Seal>,
    pair: Pair,
}

impl Shared {
    /// The longest time that a store may add to a fetch's own.
    pub(super) fn longest_store_look(&self) -> Duration {
        self.store.as_ref().map_or(Duration::ZERO, |store| {
            // One look before the lock, one after it, the last try for the lock, and the saving.
            self.longest_lock_wait() + 4 * store.timeout()
        })
    }

    fn longest_lock_wait(&self) -> Duration {
        self.options.policy.request_timeout + LOCK_MARGIN
    }

    /// Looks into the store first. False: the fetch has ended there, or nobody wants it any more.
    pub(super) fn must_ask_endpoint(self: &Arc<Self>, flight: &mut Flight) -> bool {
        if let Some(kept) = self.look_into_store(flight) {
            let (granted, requested_at, origin) = kept.found();
            self.succeed(flight, &granted, requested_at, origin);
            return false;
        }
        self.announce_renewal(flight);
        // Rotated while another process was waited for: read again.
        let version = self.source.version();
        flight.fresh_pair.take_if(|read| read.as_ref().is_ok_and(|pair| pair.version != version));
        let policy = &self.options.policy;
        let now = self.clock.now();
        let mut state = self.state();
        let index = flight.slot.index;
        // Saving comes behind the fetch's own time.
        let at = now.after(self.store.as_ref().map_or(Duration::ZERO, Bounded::timeout));
        let goes_on = !state.closed && state.cells[index].entry.begins_at(policy, flight.id, at);
        state.publish_serve_until(policy, index, now);
        flight.attempts.begin_anew(policy, now);
        goes_on
    }

    fn look_into_store(self: &Arc<Self>, flight: &mut Flight) -> Option<Kept> {
        let store = self.store.as_ref()?;
        // That there are none, the fetch itself will say.
        let pair = flight.fresh_pair.clone()?.ok()?;
        let way = self.way_in(store, flight, pair);
        if let Ok(found) = self.look(flight, &way) {
            return Some(found);
        }
        let known = flight.stored.kept.take().map_or(u64::MAX, |kept| kept.asked.tried);
        let has_waited = self.take_store_lock(flight, &way);
        match self.look(flight, &way) {
            Ok(found) => Some(found),
            Err(miss) => {
                // Whoever waited for another process's fetch shares its failure.
                let now = self.clock.now();
                let has_failed = |kept: &mut Kept| {
                    (has_waited || kept.asked.tried > known) && kept.again_at() > now
                };
                let kept = flight.stored.kept.take_if(has_failed);
                if kept.is_none() {
                    self.tell_miss(flight, &miss);
                }
                kept
            }
        }
    }

    /// Before the endpoint is asked to renew a token of the store, the others are told when they may.
    /// First, because this process may end before there is an answer.
    fn announce_renewal(self: &Arc<Self>, flight: &mut Flight) {
        let now = self.clock.now();
        let Some(kept) = &mut flight.stored.kept else { return };
        kept.asked.tried = kept.asked.tried.saturating_add(1);
        let remaining = kept.life.expires_at().until(now);
        let tried = u32::try_from(kept.asked.tried).unwrap_or(u32::MAX);
        let pause = policy::pause_with_token(tried, remaining, &mut SystemRandom);
        self.put_off_renewals(flight, Some(pause));
    }

    /// Writes into the record of a token when its renewal may be begun again; as far as it has a
    /// record, and nobody else can be changing that.
    #[inline(never)]
    pub(super) fn put_off_renewals(self: &Arc<Self>, flight: &mut Flight, pause: Option<Duration>) {
        let (Some(store), Some(pause)) = (&self.store, pause) else { return };
        if flight.stored.is_off || flight.stored.lock.is_none() {
            return;
        }
        let Some(kept) = &mut flight.stored.kept else { return };
        let now = self.clock.now();
        let again_at = now.after(pause);
        kept.asked.again_ns = again_at.nanos().saturating_sub(kept.life.requested_at.nanos());
        let left = kept.life.expires_at().until(now);
        let text = record::rewrite(&kept.granted, &kept.asked);
        let Some(seal) = self.state().cells[flight.slot.index].seal.clone() else { return };
        self.save(flight, store, &seal, &text, left);
    }

    #[inline(never)]
    fn save(
        self: &Arc<Self>,
        flight: &mut Flight,
        store: &Bounded,
        seal: &Seal,
        text: &[u8],
        left: Duration,
    ) {
        let saved = match seal.seal(text) {
            Some(sealed) => store.save(seal.name(), sealed, left),
            None => Err(Problem::new("the system has no randomness to give")),
        };
        if let Err(problem) = saved {
            self.store_failed(flight, "save a token", &problem);
        }
    }

    fn way_in<'a>(self: &Arc<Self>, store: &'a Bounded, flight: &Flight, pair: Pair) -> Way<'a> {
        let seal = Arc::new(Seal::new(&self.options, &pair.credentials, &flight.slot.scope));
        let former = self.state().cells[flight.slot.index].seal.replace(seal.clone());
        drop(former);
        Way { store, seal, pair }
    }

    /// One look: a token that is worth more than what this process has.
    fn look(self: &Arc<Self>, flight: &mut Flight, way: &Way<'_>) -> Result<Kept, Miss> {
        if flight.stored.is_off {
            return Err(Miss::new("it is left alone for now"));
        }
        let sealed = match way.store.load(way.seal.name()) {
            Ok(sealed) => sealed.ok_or(Miss::new("it has no such token"))?,
            Err(problem) => {
                self.store_failed(flight, "look for a token", &problem);
                return Err(Miss::new("it could not be looked at"));
            }
        };
        let text = way.seal.open(&sealed).ok_or(Miss::odd("the record is damaged, or not ours"))?;
        let asked = record::asked(&text).ok_or(Miss::odd("the record is of another format"))?;
        let granted = self
            .endpoint
            .read_kept(&self.options, &way.pair.credentials, &flight.slot.scope, text)
            .map_err(|_| Miss::odd("the record would not be accepted as an answer"))?;
        let here = self.here(way.store);
        let life = record::life(&asked, granted.lifetime, &here, &self.options.policy).map_err(
            |unusable| match unusable {
                Unusable::Ended => Miss::new("its token has ended, or may have"),
                Unusable::FromTheFuture => Miss::odd("the record is from the future"),
            },
        )?;
        let compared = self.compare(flight, &granted, &life, here.now);
        let kept = Kept { granted, asked, life };
        let Err(miss) = compared else { return Ok(kept) };
        flight.stored.kept = miss.is_same.then_some(kept);
        Err(miss)
    }

    /// Whether a stored token is worth more than what this process has.
    fn compare(
        self: &Arc<Self>,
        flight: &Flight,
        granted: &Granted,
        life: &LifeHere,
        now: BootTime,
    ) -> Result<(), Miss> {
        let value = granted.value.reveal();
        let fingerprint = fingerprint(value);
        let state = self.state();
        let cell = &state.cells[flight.slot.index];
        if fingerprint.is_some() && cell.invalidated == fingerprint {
            return Err(Miss::new("an API has refused its token"));
        }
        if let Some(held) = cell.entry.life().filter(|held| held.expires_at() > now) {
            let is_same = cell.slot.current.read().is_some_and(|token| token.value() == value);
            if is_same || life.expires_at() <= held.expires_at() {
                return Err(Miss { is_same, ..Miss::new("it has none that is newer") });
            }
        }
        let is_short = life.expires_at().until(now) < cell.wanted_ttl;
        if is_short && now.since(life.requested_at) >= life.lifetime / policy::MIN_TTL_SHARE {
            return Err(Miss::new("its token is too short for a caller's min_ttl"));
        }
        Ok(())
    }

    fn here(&self, store: &Bounded) -> Here {
        let boot = if store.is_local() { boot::session() } else { None };
        Here { boot, now: self.clock.now(), wall_ms: self.clock.wall_ms() }
    }

    /// Takes the entry's lock, waiting while another process has it. Without the lock, when that
    /// takes too long or cannot be done, this process asks the endpoint all the same. Whether another
    /// process had it.
    fn take_store_lock(self: &Arc<Self>, flight: &mut Flight, way: &Way<'_>) -> bool {
        let until = self.clock.now().after(self.longest_lock_wait());
        let mut pause = FIRST_LOCK_PAUSE;
        let mut has_waited = false;
        while !flight.stored.is_off {
            match way.store.try_lock(way.seal.name()) {
                Ok(Some(lock)) => {
                    self.hold(flight, lock);
                    break;
                }
                Ok(None) => has_waited = true,
                Err(problem) => {
                    self.store_failed(flight, "take its lock", &problem);
                    break;
                }
            }
            let now = self.clock.now();
            if now >= until || !self.is_wanted(flight) {
                break;
            }
            let nap = pause / 2 + (pause / 2).mul_f64(SystemRandom.unit());
            flight.bell.take(&self.clock, now.after(nap));
            pause = (2 * pause).min(MAX_LOCK_PAUSE);
        }
        has_waited
    }

    /// Keeps the lock, but not longer than a fetch may take: one that hangs must not hold up the
    /// other processes.
    fn hold(&self, flight: &mut Flight, lock: Arc<StoreLock>) {
        let until = self.clock.now().after(self.options.policy.fetch_timeout + policy::OVERRUN);
        threads::at(until, Arc::downgrade(&lock), |lock| lock.release());
        flight.stored.lock = Some(lock);
    }

    /// Saves what the endpoint granted, and lets the other processes go on.
    pub(super) fn put_into_store(
        self: &Arc<Self>,
        flight: &mut Flight,
        granted: &Granted,
        requested_at: BootTime,
    ) {
        let (Some(store), Some(pair)) = (&self.store, flight.stored.used.take()) else { return };
        let fingerprint = fingerprint(granted.value.reveal());
        let was_refused = fingerprint.is_some()
            && self.state().cells[flight.slot.index].invalidated == fingerprint;
        if flight.stored.is_off || was_refused {
            return;
        }
        let way = self.way_in(store, flight, pair);
        let here = self.here(store);
        let text = record::write(granted, requested_at, &here);
        let left = requested_at.after(granted.lifetime).until(here.now);
        self.save(flight, store, &way.seal, &text, left);
        flight.stored.lock = None;
    }

    /// An API refused this token: other processes should not find it. Nobody waits for that.
    pub(super) fn drop_from_store(&self, seal: &Option<Arc<Seal>>, value: &str) {
        let (Some(store), Some(seal)) = (&self.store, seal.clone()) else { return };
        let value = Zeroizing::new(value.to_owned());
        store.run_later(move |store| {
            let kept = store.load(seal.name()).ok().flatten();
            let text = kept.and_then(|sealed| seal.open(&sealed));
            // Another process may have saved its successor already.
            if text.is_some_and(|text| record::is_of(&text, &value)) {
                let _ = store.remove(seal.name());
            }
        });
    }

    // --- events ----------------------------------------------------------------------------

    pub(super) fn tell_hit(self: &Arc<Self>, flight: &Flight, granted: &Granted, now: BootTime) {
        self.tell(&flight.slot, || {
            let mut event =
                Event::new(EventKind::Store, "store hit: another process had a token already");
            event.duration = now.since(flight.started);
            event.fingerprint = fingerprint(granted.value.reveal());
            event
        });
    }

    fn tell_miss(self: &Arc<Self>, flight: &Flight, miss: &Miss) {
        if flight.stored.was_told {
            return;
        }
        self.tell(&flight.slot, || {
            let mut event = Event::new(EventKind::Store, format!("store miss: {}", miss.why));
            event.error = miss.error;
            event.duration = self.clock.now().since(flight.started);
            event
        });
    }

    fn store_failed(self: &Arc<Self>, flight: &mut Flight, what: &str, problem: &Problem) {
        flight.stored.is_off |= problem.kind == ErrorKind::Timeout;
        if std::mem::replace(&mut flight.stored.was_told, true) {
            return;
        }
        self.tell(&flight.slot, || {
            let mut event = Event::new(
                EventKind::Store,
                format!("store failure: cannot {what}: {}", problem.message),
            );
            event.error = Some(problem.kind);
            event.duration = self.clock.now().since(flight.started);
            event
        });
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
#[path = "stored_tests.rs"]
mod tests;
