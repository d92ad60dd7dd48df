//! A fetch's wait for its credentials, and the handling of refused credentials.
//!
//! Files and credentials functions may hang. So a fetch waits for them without holding a thread,
//! and the wait does not count against the fetch's own time. One read serves all fetches that need
//! the same.
//!
//! Files with different content are a new version, and a refusal of the previous version no longer
//! counts. A function is asked again once for all fetches that were refused: one of them tries out
//! the result, the others wait for its outcome.

use super::super::entry::Entry;
use super::super::flight::{Class, Failure};
use super::super::input::{CredentialStatus, Pair, Source, SourceKind};
use super::super::output::{Output, ResumeWith};
use super::super::policy;
use super::fetch::{Flight, For, Stage};
use super::{Entries, Fault, Step};
use crate::clock::BootTime;

impl<E: Clone> Step<'_, E> {
    /// Makes a fetch wait without holding a thread.
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
                self.put(Output::UseLastPair { refused });
            }
        }
    }

    /// Reads the credentials, unless a read is in progress.
    fn ask_source(&mut self, refused: bool) {
        let reads = &mut self.core.reads;
        if let Some(ticket) = reads.join(refused, None, self.now) {
            let is_retry = reads.is_tried_again(&refused);
            self.put(Output::AskSource { refused, ticket, is_retry });
        }
    }

    pub(super) fn look_at_files(&mut self) {
        if self.now.since(self.core.files_checked_at) >= policy::FILE_LOOK_SPACING {
            self.core.files_checked_at = self.now;
            self.put(Output::Looking);
            self.ask_source(false);
        }
    }

    /// A caller waits for a fetch whose credentials are pending: if the read has taken too long,
    /// start another one.
    pub(super) fn ask_source_again(&mut self) {
        for refused in [false, true] {
            let is_asked = self.core.reads.is_under_way(|asked| *asked == refused);
            if is_asked && self.core.someone_waits_for_read(refused) {
                self.ask_source(refused);
            }
        }
        // A read that has hung for long no longer occupies a thread slot: another may start.
        self.put(Output::MakeRoom);
    }

    /// Stops relying on reads that started a second or more ago: the next to need them starts
    /// another.
    pub(super) fn suspect_source(&mut self) {
        for refused in [false, true] {
            self.core.reads.suspect(&refused, self.now.before(policy::MIN_SPACING));
        }
    }

    /// Whether the entry's fetch waits for its credentials, or its successor will.
    pub(super) fn credentials_pending(&self, index: usize) -> bool {
        let now = self.now;
        let credentials_pending = self.core.entries[index].credentials_pending();
        let by = if credentials_pending { now } else { now.before(policy::MIN_SPACING) };
        [false, true].iter().any(|refused| self.core.reads.is_under_way_since(refused, by))
    }

    /// The credentials have arrived, or the reason why there are none.
    pub(super) fn have_read(&mut self, refused: bool, version: Option<u64>) {
        if let Some(version) = version {
            self.credentials_changed(version);
        }
        self.release(ResumeWith::Credentials, |waits_for| waits_for == For::Credentials(refused));
    }

    /// The source was replaced: fetches no longer wait for the old one.
    pub(super) fn release_all(&mut self) {
        self.release(ResumeWith::Nothing, |waits_for| !matches!(waits_for, For::Time(_)));
    }

    /// Resumes the fetches that wait for this, each on a thread.
    fn release(&mut self, resume_with: ResumeWith, waits_for: impl Fn(For) -> bool) {
        for place in 0..self.core.flights.len() {
            let flight = &mut self.core.flights[place];
            let Stage::Waits(what) = flight.stage else { continue };
            if what != For::Thread && waits_for(what) {
                flight.stage = Stage::Waits(For::Thread);
                let (id, index) = (flight.id, flight.entry);
                self.resume(id, index, resume_with);
            }
        }
    }

    /// Other credentials are in use from now on: refusals and back-offs of the previous ones are
    /// forgotten.
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

    // --- refused credentials
    // ----------------------------------------------------------------------

    /// The credentials were refused and are still current. Files are reread once per fetch; a
    /// function is asked once for all fetches.
    pub(super) fn refused_or_failed(
        &mut self,
        mut flight: Flight<E>,
        failure: Failure<Fault<E>>,
        source: Source,
    ) {
        // The thread may have read the source before a rotation that the core already knows of.
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

    /// The source was asked to replace the refused credentials, by this fetch or by another.
    pub(super) fn after_reread(
        &mut self,
        mut flight: Flight<E>,
        failure: Failure<Fault<E>>,
        status: CredentialStatus<E>,
    ) {
        let was_told = match &status.credentials {
            Some(Ok(Pair { is_other: true, version, .. })) => {
                flight.version = *version;
                if self.core.trial == Some(flight.id) {
                    self.put(Output::NoteTrial { flight: flight.id });
                }
                return self.send(flight);
            }
            Some(Ok(pair)) => pair.was_requested,
            Some(Err(_)) => true,
            None => false,
        };
        // The trial was inconclusive: it neither succeeded nor was refused, or it ended too soon.
        let tells_nothing = !was_told && !self.core.limits.has_refusal();
        match tells_nothing.then(|| self.begin_trial(&flight)).flatten() {
            Some(waits_for) => {
                flight.refused = Some(failure);
                self.park(flight, waits_for);
            }
            None => self.attempt_failed(flight, failure),
        }
    }

    /// One fetch tries out what the function returns; the others that were refused meanwhile wait
    /// for the outcome.
    fn begin_trial(&mut self, flight: &Flight<E>) -> Option<For> {
        // It would wait for itself.
        if self.core.trial == Some(flight.id) {
            return None;
        }
        if self.trial_is_under_way() {
            return Some(For::Trial);
        }
        self.core.limits.may_reread().then(|| {
            self.core.trial = Some(flight.id);
            For::Credentials(true)
        })
    }

    fn trial_is_under_way(&self) -> bool {
        let is_it = |entry: &Entry<E>| entry.flight() == self.core.trial;
        self.core.trial.is_some() && self.core.entries.iter().any(is_it)
    }

    /// Once the trial is over, the fetches that waited for it continue: with the same credentials,
    /// unless those were refused.
    pub(super) fn end_trial(&mut self) {
        let waits = |flight: &Flight<E>| flight.stage == Stage::Waits(For::Trial);
        let is_needed = self.core.trial.is_some() || self.core.flights.iter().any(waits);
        if !is_needed || self.trial_is_under_way() {
            return;
        }
        let trial = self.core.trial.take().filter(|_| !self.core.limits.has_refusal());
        let resume_with = trial.map_or(ResumeWith::Nothing, ResumeWith::TriedPair);
        self.release(resume_with, |waits_for| waits_for == For::Trial);
    }
}

impl<E> super::Core<E> {
    pub(super) fn someone_waits_for_read(&self, refused: bool) -> bool {
        let stage = Stage::Waits(For::Credentials(refused));
        self.flights.iter().any(|flight| flight.stage == stage)
    }
}
