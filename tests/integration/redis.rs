//! Processes of many machines and one Redis server. Skipped where none is installed.
//!
//! - [`server`] a server of a test; [`leaks`] whether the server was shown a secret
//! - [`hosts`] the machines that the processes of [`crate::crowd`] run on
//! - [`fleet`] forty processes make the requests of one; [`outage`] whatever happens to the server costs no
//!   token; [`records`] damaged and foreign records; [`forks`] children of a busy process
//!
//! Tests that take a minute are ignored: tests/redis/run.sh runs them, all at the same time.
#![cfg(all(unix, feature = "redis"))]

mod fleet;
mod forks;
mod hosts;
mod leaks;
mod outage;
mod records;
mod server;
