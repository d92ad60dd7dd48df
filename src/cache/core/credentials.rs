//! A fetch's wait for its credentials, and what becomes of refused ones.
//!
//! Files and functions may hang, so a fetch waits for them on no thread, and its own time stands
//! still. They are asked once for all fetches that need the same.
//!
//! Files that hold something else are another version, and what was refused before is nobody's. A
//! function is asked once more, for all fetches that were refused: one of them tries out what it
//! gives, the others wait for what that one finds.

use super::super::entry::Entry;
use super::super::flight::{Class, Failure};
use super::super::input::{Hand, Pair, Source, SourceKind};
use super::super::output::{Brings, Output};
use super::super::policy;
use super::fetch::{Flight, For, Stage};
use super::{Entries, Fault, Step};
use crate::clock::BootTime;

impl<E: Clone> Step<'_, E> {
    /// Has a fetch wait, on no thread.
    pub(super) fn park(&mut self, mut flight: Flight<E>, waits_for: For) {
        let (now, id, index) = (self.now, flight.id, flight.entry);
        if !self.entry(index).0.waits_for_credentials(id, now) {
            return self.forget(id);
        }
        self.stale.add(index);
        let refused = flight.refused.is_some();
        flight.stage = Stage::Waits(waits_for);
        self.keep(flight);
        self.put(Output::Park { flight: id, refused });
        if let For::Credentials(refused) = waits_for {
            self.ask_source(refused);
            let late = now.before(policy::FILE_PATIENCE);
            if self.core.reads.is_under_way_since(&refused, late) {
                self.put(Output::DoWithoutFiles { refused });
            }
        }
    }

    /// Asks for the credentials, unless somebody does already.
    fn ask_source(&mut self, refused: bool) {
        let reads = &mut self.core.reads;
        if let Some(ticket) = reads.join(refused, None, self.now) {
            let anew = reads.is_tried_again(&refused);
            self.put(Output::AskSource { refused, ticket, anew });
        }
    }

    pub(super) fn look_at_files(&mut self) {
        if self.now.since(self.core.looked_at_files) >= policy::FILE_LOOK_SPACING {
            self.core.looked_at_files = self.now;
            self.put(Output::Looking);
            self.ask_source(false);
        }
    }

    /// Somebody waits for a fetch that waits for its credentials: if they have not come for long,
    /// they are asked for once more.
    pub(super) fn ask_source_again(&mut self) {
        for refused in [false, true] {
            let is_asked = self.core.reads.is_under_way(|asked| *asked == refused);
            if is_asked && self.core.someone_waits_for_read(refused) {
                self.ask_source(refused);
            }
        }
        // A read that has hung for long holds no place any more: another one may begin.
        self.put(Output::MakeRoom);
    }

    /// No longer counts on what has been asked for a second or longer: the next to ask begins anew.
    pub(super) fn doubt_source(&mut self) {
        for refused in [false, true] {
            self.core.reads.doubt(&refused, self.now.before(policy::MIN_SPACING));
        }
    }

    /// Whether the entry's fetch waits for its credentials, or its successor will.
    pub(super) fn is_unread(&self, index: usize) -> bool {
        let now = self.now;
        let is_unread = self.core.entries[index].is_unread();
        let by = if is_unread { now } else { now.before(policy::MIN_SPACING) };
        [false, true].iter().any(|refused| self.core.reads.is_under_way_since(refused, by))
    }

    /// The credentials have come, or the reason why not.
    pub(super) fn have_read(&mut self, refused: bool, version: Option<u64>) {
        if let Some(version) = version {
            self.credentials_changed(version);
        }
        self.release(Brings::Credentials, |waits_for| waits_for == For::Credentials(refused));
    }

    /// Whoever waits for what the former source gives waits for nothing.
    pub(super) fn release_all(&mut self) {
        self.release(Brings::Nothing, |waits_for| !matches!(waits_for, For::Time(_)));
    }

    /// Lets fetches go on that wait for this, each on a thread.
    fn release(&mut self, brings: Brings, waits_for: impl Fn(For) -> bool) {
        for place in 0..self.core.flights.len() {
            let flight = &mut self.core.flights[place];
            let Stage::Waits(what) = flight.stage else { continue };
            if what != For::Thread && waits_for(what) {
                flight.stage = Stage::Waits(For::Thread);
                let (id, index) = (flight.id, flight.entry);
                self.resume(id, index, brings);
            }
        }
    }

    /// Other credentials are in use from now on: what the former earned is forgotten.
    pub(super) fn credentials_changed(&mut self, version: u64) {
        if version <= self.core.credentials_version {
            return;
        }
        self.core.credentials_version = version;
        self.core.limits.credentials_changed();
        for entry in &mut self.core.entries {
            entry.credentials_changed();
        }
        self.stale = Entries::All;
        self.touched = Entries::All;
    }

    // --- refused ----------------------------------------------------------------------------------

    /// A pair that still stands was refused: its source is asked for another, once a fetch, and a
    /// function once for all fetches.
    pub(super) fn refused_or_failed(
        &mut self,
        mut flight: Flight<E>,
        failure: Failure<Fault<E>>,
        source: Source,
    ) {
        // Whoever looked at the source before a rotation may come after it.
        let version = source.version.max(self.core.credentials_version);
        if self.is_outdated(&mut flight, &failure, version) {
            return self.pause(flight, BootTime::ZERO);
        }
        let is_refused = failure.class == Class::Refused && !flight.was_reread;
        let waits_for = match source.kind {
            SourceKind::Files if is_refused => Some(For::Credentials(true)),
            SourceKind::Function if is_refused => self.begin_trial(&flight),
            _ => None,
        };
        match waits_for {
            Some(waits_for) => {
                flight.was_reread = true;
                flight.refused = Some(failure);
                self.park(flight, waits_for);
            }
            None => self.attempt_failed(flight, failure),
        }
    }

    /// The source was asked for another pair than the refused one, by this fetch or by another.
    pub(super) fn after_asking_anew(
        &mut self,
        mut flight: Flight<E>,
        failure: Failure<Fault<E>>,
        hand: Hand<E>,
    ) {
        let was_told = match &hand.credentials {
            Some(Ok(Pair { is_other: true, version, .. })) => {
                flight.version = *version;
                if self.core.trial == Some(flight.id) {
                    self.put(Output::NoteTrial { flight: flight.id });
                }
                return self.send(flight);
            }
            Some(Ok(pair)) => pair.was_asked_for,
            Some(Err(_)) => true,
            None => false,
        };
        // A trial that was not a success, nor refused, or was over too soon, told nothing.
        let tells_nothing = !was_told && !self.core.limits.has_refusal();
        match tells_nothing.then(|| self.begin_trial(&flight)).flatten() {
            Some(waits_for) => {
                flight.refused = Some(failure);
                self.park(flight, waits_for);
            }
            None => self.attempt_failed(flight, failure),
        }
    }

    /// One fetch tries out what the function gives; the others that were refused meanwhile wait for
    /// what it finds.
    fn begin_trial(&mut self, flight: &Flight<E>) -> Option<For> {
        // It would wait for itself.
        if self.core.trial == Some(flight.id) {
            return None;
        }
        if self.trial_is_under_way() {
            return Some(For::Trial);
        }
        self.core.limits.may_ask_anew().then(|| {
            self.core.trial = Some(flight.id);
            For::Credentials(true)
        })
    }

    fn trial_is_under_way(&self) -> bool {
        let is_it = |entry: &Entry<E>| entry.flight() == self.core.trial;
        self.core.trial.is_some() && self.core.entries.iter().any(is_it)
    }

    /// If a trial is over, those who waited for it go on: with the same pair, unless it was refused.
    pub(super) fn end_trial(&mut self) {
        let waits = |flight: &Flight<E>| flight.stage == Stage::Waits(For::Trial);
        let is_needed = self.core.trial.is_some() || self.core.flights.iter().any(waits);
        if !is_needed || self.trial_is_under_way() {
            return;
        }
        let trial = self.core.trial.take().filter(|_| !self.core.limits.has_refusal());
        let brings = trial.map_or(Brings::Nothing, Brings::TriedPair);
        self.release(brings, |waits_for| waits_for == For::Trial);
    }
}

impl<E> super::Core<E> {
    pub(super) fn someone_waits_for_read(&self, refused: bool) -> bool {
        let stage = Stage::Waits(For::Credentials(refused));
        self.flights.iter().any(|flight| flight.stage == stage)
    }
}
