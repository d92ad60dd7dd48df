//! Credentials that were refused, and others in their place.
//!
//! Files that hold something else are another version, and what was refused before is nobody's. A
//! function is asked once more, for all fetches that were refused: one of them tries out what it
//! gives, the others wait for what that one finds.

use std::sync::Arc;

use super::fetch::{Flight, Step};
use super::reading::For;
use super::shared::Shared;
use super::state::Trial;
use crate::cache::flight::{Class, Failure};
use crate::clock::BootTime;
use crate::credentials::Pair;

impl Shared {
    /// A refusal of a pair that nobody would use any more is nobody's. The source of one that still
    /// stands is asked for another: once a fetch, and a function once for all fetches.
    pub(super) fn refused_or_failed(
        self: &Arc<Self>,
        flight: &mut Flight,
        failure: Failure,
        pair: Pair,
    ) -> Step {
        let is_refusal = matches!(failure.class, Class::Refused | Class::Terminal);
        if is_refusal && self.source.version() != pair.version && flight.may_be_replaced() {
            return Step::Again(BootTime::ZERO);
        }
        let parked_for = match failure.class {
            Class::Refused if flight.reread => None,
            Class::Refused if self.source.is_files() => Some(For::Credentials(true)),
            Class::Refused if self.source.is_function() => self.begin_trial(flight),
            _ => None,
        };
        match parked_for {
            Some(parked_for) => {
                flight.reread = true;
                flight.refused = Some((failure, pair));
                Step::Park(parked_for)
            }
            None => self.attempt_failed(flight, failure, pair.version),
        }
    }

    /// The source was asked for another pair than the refused one, by this fetch or by another.
    pub(super) fn after_asking_anew(
        self: &Arc<Self>,
        flight: &mut Flight,
        failure: Failure,
        refused: &Pair,
    ) -> Step {
        let (was_told, rotated) = (flight.fresh_pair.is_some(), self.source.latest());
        let other = match flight.fresh_pair.take() {
            Some(read) => read.ok(),
            None => rotated.filter(|latest| latest.version != refused.version),
        };
        if let Some(other) = other.filter(|other| !other.same_as(refused)) {
            self.note_trial(flight, &other);
            flight.fresh_pair = Some(Ok(other));
            return Step::Again(BootTime::ZERO);
        }
        // A trial that was not a success, nor refused, or was over too soon, told nothing.
        let tells_nothing = !was_told && !self.state().limits.has_refusal();
        match tells_nothing.then(|| self.begin_trial(flight)).flatten() {
            Some(parked_for) => {
                flight.refused = Some((failure, refused.clone()));
                Step::Park(parked_for)
            }
            None => self.attempt_failed(flight, failure, refused.version),
        }
    }

    /// A function gives other credentials when it is told that the last were refused. One fetch
    /// tries them out; the others that were refused meanwhile wait for what it finds.
    pub(super) fn begin_trial(self: &Arc<Self>, flight: &Flight) -> Option<For> {
        let mut state = self.state();
        if state.trial_is_under_way() {
            return Some(For::Trial);
        }
        let may_ask = state.limits.may_ask_anew();
        may_ask.then(|| {
            let (index, id) = (flight.slot.index, flight.id);
            state.trial = Some(Trial { index, id, given: None });
            For::Credentials(true)
        })
    }

    /// The fetch on trial was given another pair.
    pub(super) fn note_trial(self: &Arc<Self>, flight: &Flight, given: &Pair) {
        let mut state = self.state();
        if let Some(trial) = state.trial.as_mut().filter(|trial| trial.id == flight.id) {
            trial.given = Some(given.clone());
        }
    }

    /// If a trial is over, those who waited for it go on: with the same pair, unless it was refused.
    pub(super) fn end_trial(self: &Arc<Self>) {
        let (is_refused, trial) = {
            let mut state = self.state();
            if state.trial_is_under_way() {
                return;
            }
            (state.limits.has_refusal(), state.trial.take())
        };
        let given = trial.and_then(|trial| trial.given).filter(|_| !is_refused);
        self.release_parked(|parked| parked == For::Trial, given.map(Ok).as_ref());
    }
}
