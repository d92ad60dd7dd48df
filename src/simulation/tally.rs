//! Counts of a simulated fleet.

use std::time::Duration;

use super::scenario::Scenario;

/// One client's recovery from an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Recovery {
    /// From the end of the outage to the token.
    pub(super) took: Duration,
    /// A request sent after the end of the outage failed once more, at random.
    pub(super) failed_again: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct OutageTally {
    /// Clients whose callers had been asking without success when it ended.
    pub(super) recoveries: Vec<Recovery>,
    pub(super) most_requests: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub(super) requests: Vec<u64>,
    pub(super) tokens: u64,
    pub(super) failed_calls: u64,
    pub(super) longest_call: Duration,
    pub(super) outages: Vec<OutageTally>,
    // Violations.
    pub(super) failed_with_token: u64,
    pub(super) served_dead: u64,
    pub(super) sent_in_retry_after: u64,
    pub(super) second_flights: u64,
}

impl Tally {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            requests: vec![0; scenario.minutes()],
            tokens: 0,
            failed_calls: 0,
            longest_call: Duration::ZERO,
            outages: scenario.outages().map(|_| OutageTally::default()).collect(),
            failed_with_token: 0,
            served_dead: 0,
            sent_in_retry_after: 0,
            second_flights: 0,
        }
    }

    /// Adds two tallies.
    pub(super) fn and(mut self, other: Self) -> Self {
        for (own, others) in self.requests.iter_mut().zip(other.requests) {
            *own += others;
        }
        for (own, others) in self.outages.iter_mut().zip(other.outages) {
            own.recoveries.extend(others.recoveries);
            own.most_requests = own.most_requests.max(others.most_requests);
        }
        self.tokens += other.tokens;
        self.failed_calls += other.failed_calls;
        self.longest_call = self.longest_call.max(other.longest_call);
        self.failed_with_token += other.failed_with_token;
        self.served_dead += other.served_dead;
        self.sent_in_retry_after += other.sent_in_retry_after;
        self.second_flights += other.second_flights;
        self
    }
}
