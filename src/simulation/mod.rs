//! A fleet of clients under virtual time: what many caches together do to a token endpoint.
//!
//! A cache that is right by itself can still be wrong in numbers: after an outage all clients want
//! a token in the same minute, and with equal lifetimes they all want the next one together again.
//! Here the real core is driven through a day by the one door that a client drives it by, with the
//! endpoint and the callers played by chance. Nothing is decided here that the library decides, and
//! nothing waits, so a day of 100,000 clients takes seconds.
//!
//! Clients share nothing but the endpoint, and what the endpoint answers depends on the time and
//! on chance only. So each client lives its whole day alone, with its own few pending events as
//! the queue, and threads take clients in any order without changing a figure.
//!
//! - [`scenario`] what is simulated, and the bounds
//! - `server`, `caller` the two sides that the core stands between
//! - `client` one client's day
//! - `account` what is true of it, whatever the core believes
//! - `tally`, [`report`] what was counted, and what follows from it
//!
//! Not part of the library: compiled for tests and, by the feature `__simulation`, for the example
//! `fleet`. It lives here so that the core need not be public to be simulated.

mod account;
mod caller;
mod chance;
mod client;
pub mod report;
pub mod scenario;
mod server;
mod tally;

use std::thread;

use crate::cache::policy::Policy;
use crate::config::options::Options;
use report::Report;
use scenario::Scenario;
use tally::Tally;

/// Lives through the scenario with every client, on as many threads as there are processors.
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

/// Every `step`-th client from `first` on.
fn run_share(scenario: &Scenario, policy: &Policy, first: usize, step: usize) -> Tally {
    let server = server::Server::new(scenario);
    let mut tally = Tally::new(scenario);
    for index in (first..scenario.clients as usize).step_by(step) {
        client::SimulatedClient::new(scenario, policy, &server, &mut tally, index as u64).live();
    }
    tally
}

#[cfg(test)]
mod tests;
