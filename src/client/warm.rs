//! `keep_warm`: renewals that nobody asks for.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::shared::Shared;
use crate::cache::policy::{KEEP_WARM_IDLE, OVERRUN};
use crate::clock::BootTime;
use crate::runtime::{self, Rank};

impl Shared {
    /// With `keep_warm`, sees to it that entries are renewed without being asked for.
    pub(super) fn keep_warm(self: &Arc<Self>, indexes: impl IntoIterator<Item = usize>) {
        if self.options.keep_warm {
            for index in indexes {
                self.renew_if_due(index, None);
            }
        }
    }

    /// Starts a renewal that is due, or has this called again when it will be. `alarm`: the point
    /// in time this was set for; one that has been set anew since is ignored.
    fn renew_if_due(self: &Arc<Self>, index: usize, alarm: Option<BootTime>) {
        self.notice_jumps();
        self.give_up_overrun(index);
        let policy = &self.options.policy;
        let now = self.clock.now();
        let (mut start, mut wait_until) = (None, None);
        {
            let mut state = self.state();
            if state.closed || alarm.is_some_and(|at| state.cells[index].alarm != Some(at)) {
                return;
            }
            let (cell, limits) = state.cell(index);
            if cell.slot.asked.swap(false, Ordering::Relaxed) {
                cell.asked_at = now;
            }
            let is_own = self.own.as_ref().is_some_and(|own| own.index == index);
            let is_wanted = is_own || now.since(cell.asked_at) < KEEP_WARM_IDLE;
            // A fetch under way sets the alarm when it ends; if it never does, it is given up.
            let overdue = now.after(policy.fetch_timeout).after(OVERRUN);
            let end_of_fetch =
                cell.entry.flight().map(|_| cell.entry.give_up_at().unwrap_or(overdue));
            let next = end_of_fetch.or_else(|| cell.entry.renew_at(limits, now));
            cell.alarm = next.filter(|_| is_wanted);
            match cell.alarm {
                Some(due) if due <= now => {
                    start = state.ask_for_nobody(policy, index, now);
                }
                due => wait_until = due,
            }
        }
        if let Some(flight) = start {
            // Without a thread there is no renewal; the next caller will find out.
            let _ = self.start_flight(index, flight, Rank::Background);
        }
        if let Some(due) = wait_until {
            runtime::at(due, Arc::downgrade(self), move |shared| {
                shared.renew_if_due(index, Some(due));
            });
        }
    }
}
