//! What an entry does by itself: renewals that nobody asks for (`keep_warm`), and the fetch that a
//! caller was promised who did not wait.
//!
//! Starting a fetch and setting an alarm are two steps, and the second starts nothing. So a start
//! that fails, and sets the alarm for the next try, cannot lead to another start.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::shared::Shared;
use super::state::ClientState;
use crate::cache::policy::{KEEP_WARM_IDLE, OVERRUN};
use crate::clock::BootTime;
use crate::threads::{self, Rank};

/// The alarms of an entry, told apart.
const RENEWAL: u64 = 0;
const OWED_START: u64 = 1;

fn alarm_number(index: usize, what: u64) -> u64 {
    2 * index as u64 + what
}

impl Shared {
    /// With `keep_warm`, sees to it that entries are renewed without being asked for.
    pub(super) fn keep_warm(self: &Arc<Self>, indexes: impl IntoIterator<Item = usize>) {
        if self.options.keep_warm {
            for index in indexes {
                self.renew_if_due(index);
            }
        }
    }

    /// Starts a renewal that is due, or has this called again when it will be.
    fn renew_if_due(self: &Arc<Self>, index: usize) {
        self.notice_jumps();
        self.give_up_overrun(index);
        let now = self.clock.now();
        let (start, alarm) = {
            let mut state = self.state();
            match self.next_renewal(&mut state, index, now) {
                Some(due) if due <= now => {
                    (state.ask_for_nobody(&self.options.policy, index, now), None)
                }
                alarm => (None, alarm),
            }
        };
        if let Some(flight) = start {
            // Whether a thread could be had for it or not: the alarm says when to look again.
            let _ = self.start_flight(index, flight, Rank::Background);
            return self.set_alarm(index);
        }
        self.ring_at(index, alarm);
    }

    /// Has a renewal looked at when it is due. Starts nothing.
    pub(super) fn set_alarm(self: &Arc<Self>, index: usize) {
        if self.options.keep_warm {
            let now = self.clock.now();
            let alarm = self.next_renewal(&mut self.state(), index, now);
            self.ring_at(index, alarm);
        }
    }

    /// Alarms that ring too early do no harm: it is looked again what is due.
    fn ring_at(self: &Arc<Self>, index: usize, alarm: Option<BootTime>) {
        if let Some(due) = alarm {
            let number = alarm_number(index, RENEWAL);
            let owner = Arc::downgrade(self);
            threads::alarm(due, owner, number, 0, move |shared| shared.renew_if_due(index));
        }
    }

    /// When an entry that is kept warm is to be looked at next. `None`: somebody else will see to it,
    /// or nobody wants it.
    fn next_renewal(
        &self,
        state: &mut ClientState,
        index: usize,
        now: BootTime,
    ) -> Option<BootTime> {
        let closed = state.closed;
        let (cell, limits) = state.cell(index);
        if cell.slot.asked.swap(false, Ordering::Relaxed) {
            cell.asked_at = now;
        }
        let is_own = self.own.as_ref().is_some_and(|own| own.index == index);
        let is_wanted = is_own || now.since(cell.asked_at) < KEEP_WARM_IDLE;
        // A fetch under way sets the alarm when it ends; if it never does, it is given up.
        let overdue = now.after(self.options.policy.fetch_timeout).after(OVERRUN);
        let end_of_fetch = cell.entry.flight().map(|_| cell.entry.give_up_at().unwrap_or(overdue));
        let next = end_of_fetch.or_else(|| cell.entry.renew_at(limits, now));
        next.filter(|_| is_wanted && !closed)
    }

    /// A caller that does not wait came before a fetch may start: it is started in its time.
    pub(super) fn owe_a_start(self: &Arc<Self>, index: usize, at: BootTime) {
        let is_owed = std::mem::replace(&mut self.state().cells[index].start_is_owed, true);
        if !is_owed {
            let number = alarm_number(index, OWED_START);
            let owner = Arc::downgrade(self);
            threads::alarm(at, owner, number, 0, move |shared| shared.start_what_is_owed(index));
        }
    }

    fn start_what_is_owed(self: &Arc<Self>, index: usize) {
        let policy = &self.options.policy;
        let now = self.clock.now();
        let start = {
            let mut state = self.state();
            if state.closed {
                return;
            }
            state.cells[index].start_is_owed = false;
            state.ask_for_nobody(policy, index, now)
        };
        if let Some(flight) = start
            && self.start_flight(index, flight, Rank::Background).is_err()
        {
            // Without a thread it is still owed.
            let at = self.state().cells[index].entry.by_itself_at();
            self.owe_a_start(index, at);
        }
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
#[path = "alarm_tests.rs"]
mod tests;
