//! What the library does to the world: sockets, TLS, proxies, files, other processes. One program, so that it is linked
//! once. What needs a process for itself is elsewhere: `tests/alone`, and a file each for tests that measure its
//! memory (`bounded_memory`) or replace its name look-ups (`names`, `forked_names`).
//!
//! `cargo test --test integration tls::` runs the tests of one module.

mod diagnosis;
mod documents;
mod events;
mod failures;
mod hostile_endpoint;
mod pages;
mod proxy;
mod proxy_logins;
mod requirements;
mod rotation;
mod single_flight;
mod stores;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod token_life;
