//! The core: what a cached token is worth, and when to fetch a new one.
//!
//! Nothing here starts a thread, opens a socket or reads a clock. Time and randomness are passed
//! in, and what to do is returned, so the same code runs in a gateway and in a simulation of a
//! hundred thousand clients.
//!
//! - [`core`] the value with one entry point; [`input`], [`output`] what goes in and what comes out
//! - [`policy`] every number, once, with its reason
//! - [`entry`] the life of one token; [`counters`] its counters
//! - [`limits`] what binds all entries of a client: `Retry-After`, refusals, the budget
//! - [`logins`] logins to a proxy, shared by all clients of the process
//! - [`jumps`] detecting suspend and wall clock changes
//! - [`flight`] one fetch: its attempts and its time limits
//! - [`single_flight`] one read shared by all who need it
//! - [`current`] the token as readers see it, without a lock; [`copy`] how they copy it

mod copy;
pub(crate) mod core;
pub(crate) mod counters;
pub(crate) mod current;
pub(crate) mod entry;
pub(crate) mod flight;
pub(crate) mod input;
pub(crate) mod jumps;
pub(crate) mod limits;
pub(crate) mod logins;
pub(crate) mod output;
pub(crate) mod policy;
pub(crate) mod single_flight;

use crate::sync::atomic;

/// A source of randomness: numbers uniformly distributed over 0 <= x < 1.
pub(crate) trait Random {
    fn unit(&mut self) -> f64;
}

impl<F: FnMut() -> f64> Random for F {
    fn unit(&mut self) -> f64 {
        self()
    }
}
