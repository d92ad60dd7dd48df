//! The core: what a cached token is worth and when to ask for a new one.
//!
//! Nothing here starts a thread, opens a socket or looks at a clock. Time and chance are handed
//! in, and what should happen is handed back, so the same code runs in a gateway and in a
//! simulation of a hundred thousand clients.
//!
//! - [`policy`] every number, once, with its reason
//! - [`entry`] the life of one token
//! - [`limits`] what binds all entries of a client: `Retry-After`, refusals, the budget
//! - [`logins`] logins to a proxy, by all clients of the process
//! - [`jumps`] suspend, and a wall clock that was set
//! - [`flight`] one fetch: its attempts and how long it may take
//! - [`current`] the token as readers see it, without a lock; [`copy`] how they copy it

mod copy;
pub(crate) mod core;
pub(crate) mod counters;
pub(crate) mod current;
pub(crate) mod entry;
pub(crate) mod flight;
pub(crate) mod input;
pub(crate) mod joint;
pub(crate) mod jumps;
pub(crate) mod limits;
pub(crate) mod logins;
pub(crate) mod output;
pub(crate) mod policy;

use crate::sync::atomic;

/// Where chance comes from: numbers evenly spread over 0 <= x < 1.
pub(crate) trait Random {
    fn unit(&mut self) -> f64;
}

impl<F: FnMut() -> f64> Random for F {
    fn unit(&mut self) -> f64 {
        self()
    }
}
