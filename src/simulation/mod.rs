//! A fleet of clients under virtual time: the combined effect of many caches on a token endpoint.
//!
//! A cache that is correct on its own can still be wrong in numbers: after an outage all clients
//! want a token in the same minute, and with equal lifetimes they all want the next one together
//! again. The real core is driven through a day, by the same entry point as in a client, against a
//! random endpoint and random callers. Nothing is decided here that the library decides, and
//! nothing waits, so a day of 100,000 clients takes seconds.
//!
//! Clients without a store share only the endpoint, and its answers depend only on time and chance. So each client
//! runs through its whole day alone, with its own few pending events, and threads can take clients
//! in any order without changing a figure.
//!
//! - [`scenario`] what is simulated, and the bounds
//! - `server`, `caller` the two sides of the core
//! - `client` one client's day
//! - `account` the truth about it, independent of what the core believes
//! - [`stores`] clients that share a key's tokens: `shelf` the store, `visitor` their side of it
//! - `tally`, [`report`] counts, and the figures derived from them
//!
//! Not part of the library: compiled for tests and, with the feature `__simulation`, for the
//! example `fleet`. It is in this crate so that the core can stay private.

mod account;
mod caller;
mod chance;
mod client;
pub mod report;
pub mod scenario;
mod server;
mod shelf;
pub mod stores;
mod tally;
mod visitor;

use std::thread;

use crate::cache::policy::Policy;
use crate::config::options::Options;
use client::SimulatedClient;
use report::Report;
use scenario::Scenario;
use tally::Tally;

/// Runs the scenario for every client, with one thread per processor.
pub fn run(scenario: &Scenario) -> Report {
    let policy = &Options::default().policy;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let tallies: Vec<Tally> = thread::scope(|scope| {
        let spawn = |first| scope.spawn(move || run_share(scenario, policy, first, threads));
        let running: Vec<_> = (0..threads).map(spawn).collect();
        running.into_iter().map(|thread| thread.join().expect("a simulating thread")).collect()
    });
    let total = tallies.into_iter().reduce(Tally::and).expect("there is at least one thread");
    Report::new(scenario.clone(), total)
}

/// Runs every `step`-th client from `first` on.
fn run_share(scenario: &Scenario, policy: &Policy, first: usize, step: usize) -> Tally {
    let server = server::Server::new(scenario);
    let mut tally = Tally::new(scenario);
    for index in (first..scenario.clients as usize).step_by(step) {
        let index = index as u64;
        let client = SimulatedClient::new(scenario, policy, &server, &mut tally, index, None);
        client.live();
    }
    tally
}

#[cfg(test)]
mod tests;
