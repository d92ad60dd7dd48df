//! The truth about a client, independent of what its core believes: the token that was really
//! issued, the waits really imposed, the requests really sent. The core is judged by this.

use std::time::Duration;

use super::scenario::{START, Scenario, minute_of};
use super::server::Reply;
use super::tally::{Recovery, Tally};
use crate::clock::BootTime;

/// A token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given {
    /// Tells tokens apart.
    pub(super) number: u64,
    /// The endpoint accepts it until then.
    pub(super) dies_at: BootTime,
    /// The client was told that it is valid until then.
    pub(super) expires_at: BootTime,
}

pub(super) struct Account<'a> {
    scenario: &'a Scenario,
    tally: &'a mut Tally,
    /// The number of the next token that it fetches.
    next_number: u64,
    token: Given,
    /// The last token that arrived, whether or not the core has taken it.
    arrived: Given,
    retry_after: BootTime,
    /// Since when callers have been asking for a token without success.
    wanting: Option<BootTime>,
    /// When the last failed request was sent.
    failure_sent_at: BootTime,
    requests_in_outage: Vec<u32>,
}

impl<'a> Account<'a> {
    pub(super) fn new(scenario: &'a Scenario, tally: &'a mut Tally, index: u64) -> Self {
        let none = Given { number: 0, dies_at: BootTime::ZERO, expires_at: BootTime::ZERO };
        Self {
            scenario,
            tally,
            next_number: (index + 1) << 32,
            token: none,
            arrived: none,
            retry_after: BootTime::ZERO,
            wanting: None,
            failure_sent_at: BootTime::ZERO,
            requests_in_outage: vec![0; scenario.outages().count()],
        }
    }

    pub(super) fn expires_at(&self) -> BootTime {
        self.token.expires_at
    }

    /// The number of the client's token.
    pub(super) fn shown(&self) -> Option<u64> {
        Some(self.token.number).filter(|number| *number != 0)
    }

    pub(super) fn arrived(&self) -> Given {
        self.arrived
    }

    /// A token that another client fetched is in the store.
    pub(super) fn is_found(&mut self, given: Given) {
        self.arrived = given;
    }

    // --- callers ----------------------------------------------------------------------------------

    pub(super) fn is_asked(&mut self, now: BootTime) {
        if now >= self.token.expires_at {
            self.wanting.get_or_insert(now);
        }
    }

    /// A call got a token. Further calls before `quiet_until` are served the same way.
    pub(super) fn is_served(&mut self, took: Duration, quiet_until: BootTime, now: BootTime) {
        let dies_at = self.token.dies_at;
        self.tally.served_dead += u64::from(now >= dies_at || quiet_until > dies_at);
        self.call_ends(took);
    }

    /// `calls` calls failed, until the caller gets a different result.
    pub(super) fn is_failed(&mut self, took: Duration, calls: u64, now: BootTime) {
        self.tally.failed_with_token += u64::from(now < self.token.expires_at);
        self.tally.failed_calls += calls;
        self.call_ends(took);
    }

    fn call_ends(&mut self, took: Duration) {
        self.tally.longest_call = self.tally.longest_call.max(took);
    }

    // --- the endpoint -----------------------------------------------------------------------------

    pub(super) fn fetch_starts(&mut self, is_second: bool, now: BootTime) {
        self.is_asked(now);
        self.tally.second_flights += u64::from(is_second);
    }

    pub(super) fn request_is_sent(&mut self, now: BootTime) {
        let time = now.since(START);
        self.tally.requests[minute_of(time)] += 1;
        self.tally.sent_in_retry_after += u64::from(now < self.retry_after);
        let counts = self.requests_in_outage.iter_mut();
        for (count, outage) in counts.zip(self.scenario.outages()) {
            *count += u32::from(outage.covers(time));
        }
    }

    pub(super) fn is_answered(&mut self, sent_at: BootTime, reply: &Reply, now: BootTime) {
        match reply {
            Reply::Token { dies_at } => {
                let expires_at = sent_at.after(self.scenario.lifetime);
                self.arrived = Given { number: self.next_number, dies_at: *dies_at, expires_at };
                self.next_number += 1;
            }
            Reply::Failed(failure) => {
                self.failure_sent_at = sent_at;
                let wait = failure.retry_after.map_or(BootTime::ZERO, |wait| now.after(wait));
                self.retry_after = self.retry_after.max(wait);
            }
        }
    }

    /// The token that arrived is now the client's.
    pub(super) fn has_token(&mut self, now: BootTime) {
        self.token = self.arrived;
        self.tally.tokens += 1;
        self.recovers(now);
    }

    // --- outages ----------------------------------------------------------------------------------

    /// Records the recovery time from each outage that was waited through.
    fn recovers(&mut self, now: BootTime) {
        let Some(since) = self.wanting.take() else { return };
        for (outage, tally) in self.scenario.outages().zip(&mut self.tally.outages) {
            let end = START.after(outage.to);
            if since < end && end <= now {
                let failed_again = self.failure_sent_at >= end;
                let took = now.since(end);
                tally.recoveries.push(Recovery { took, failed_again });
            }
        }
    }

    pub(super) fn day_ends(&mut self, end: BootTime) {
        // A client that still has no token has not recovered; it counts as the latest time that can
        // be known.
        self.recovers(end);
        for (outage, requests) in self.tally.outages.iter_mut().zip(&self.requests_in_outage) {
            outage.most_requests = outage.most_requests.max(*requests);
        }
    }
}
