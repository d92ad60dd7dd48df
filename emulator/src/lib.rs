//! An emulator of Trackunit's token service and a few IRIS routes, for examples, demonstrations and tests.
//!
//! It issues opaque access tokens to the API keys of one account at `POST /token/v2`, checks them on sample routes, and
//! does what a real service rarely does on request: advance its clock, fail in many ways, and report the requests it
//! received. It is not affiliated with Trackunit. Do not use real secrets with it.
//!
//! ```
//! use tu_token_emulator::Emulator;
//!
//! let emulator = Emulator::start()?;
//! let key = emulator.demo_key();
//! println!("{} takes {} from {}", emulator.token_url(), key.scopes.join(" "), key.client_id);
//! # Ok::<(), tu_token_emulator::StartError>(())
//! ```
//!
//! Source map: `account` (keys), `tokens`, `clock`, `faults` and `journal` are the state, free of any I/O, and `world`
//! combines them. `oauth` decides on token requests; `guesses` slows down secret guessing. `gate` takes a request
//! through all of these to its route: the token endpoint, `iris`, or one of the emulator's own: `page`, `live`,
//! `api_keys`, `control`. `state` persists data across processes. `server` handles the sockets, `thread` the thread of
//! an [`Emulator`], and [`run()`] the command.

#![forbid(unsafe_code)]

mod account;
mod api_keys;
mod builder;
mod clock;
mod control;
mod emulator;
mod env_file;
mod faults;
mod form;
mod gate;
mod guesses;
mod iris;
mod journal;
mod journal_stream;
mod live;
mod loopback;
mod oauth;
mod one_line;
mod options;
mod page;
mod patience;
mod random;
mod reply;
mod route;
mod run;
mod samples;
mod scope;
mod segment;
mod server;
mod shell;
mod state;
mod thread;
mod tokens;
mod world;

pub use account::{ApiKey, IssuedKey, KeyError, NewKey};
pub use builder::{Builder, DEMO_SCOPES, StartError};
pub use emulator::Emulator;
pub use faults::queue::QueuedFault;
pub use faults::{Fault, FaultError, Narrow};
pub use journal::Entry;
pub use oauth::Readings;
pub use options::Options;
pub use run::{RunError, run};
/// For the JSON members of [`Fault`].
pub use serde_json;
pub use state::StateError;

/// The Rust code in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
