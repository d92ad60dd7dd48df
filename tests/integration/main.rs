//! The library with real sockets, TLS, proxies, files and processes. One binary, so that it is linked once. Tests that
//! need the process to themselves are in `tests/alone`, and in files of their own if they measure its memory
//! (`bounded_memory`) or replace its name resolution (`names`, `forked_names`) and `connect` (`network`).
//!
//! `cargo test --test integration tls::` runs the tests of one module.

mod crowd;
mod diagnosis;
mod documents;
mod error_table;
mod events;
mod failures;
mod hostile_endpoint;
mod pages;
mod proxy;
mod proxy_logins;
mod redis;
mod requirements;
mod rotation;
mod single_flight;
mod stores;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod token_life;
