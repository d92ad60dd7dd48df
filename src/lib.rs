//! Gets, keeps and hands out OAuth 2.0 access tokens for Trackunit's IRIS APIs ("API Tokens v2":
//! client credentials, tokens of 20 minutes, no refresh token). Not affiliated with Trackunit.
//!
//! ```no_run
//! # fn main() -> Result<(), tu_token::Error> {
//! let client = tu_token::Client::builder()
//!     .client_id("...")
//!     .client_secret("...")
//!     .scope("asset.view")
//!     .build()?;
//! let token = client.token()?; // at hand, or fetched once for all callers
//! println!("{} s left", token.expires_in().as_secs());
//! # Ok(()) }
//! ```
//!
//! What is where:
//! - [`Client`] the cached tokens of one API key; [`Config`] its options
//! - `cache` the core: what a token is worth and when to ask for a new one, as a pure state machine
//! - `store` tokens beyond one process
//! - `endpoint` the token request and the reading of its answer
//! - `credentials` where id and secret come from; `files` reads that may hang, done once
//! - `threads`, `process` the library's threads, and what survives a fork: locks, mailboxes, and
//!   functions of the program
//! - `diagnosis` what the command's `doctor` looks at
//! - `sync` which locks, atomics and threads those are made of
//! - `ffi` the C ABI, behind the feature `capi`

mod cache;
mod client;
mod clock;
mod config;
mod credentials;
#[doc(hidden)]
pub mod diagnosis;
mod endpoint;
mod error;
mod events;
#[cfg(feature = "capi")]
#[allow(missing_docs)]
pub mod ffi;
mod files;
mod life;
mod lists;
mod process;
#[cfg(all(test, feature = "__shuttle"))]
mod schedules;
mod scope;
mod secret;
#[cfg(any(test, feature = "__simulation"))]
#[allow(missing_docs)]
#[doc(hidden)]
pub mod simulation;
mod store;
mod sync;
mod threads;
mod token;

pub use cache::entry::State;
pub use client::{Builder, Cancel, Client, Config, GetOptions, Stats, TokenFuture};
#[doc(hidden)]
pub use clock::{BootTime, Clock, ManualClock};
pub use config::secrecy::Secrecy;
pub use config::table::{OPTIONS, OptionSpec};
pub use credentials::{Credentials, CredentialsFn};
pub use error::{Error, ErrorKind};
pub use events::{Event, EventFn, EventKind, Severity};
pub use token::Token;

#[cfg(feature = "test-clock")]
#[doc(hidden)]
pub use clock::advance as advance_test_clock;

#[cfg(all(feature = "capi", not(panic = "unwind")))]
compile_error!("the feature capi needs panic = \"unwind\": panics may not cross the C ABI");

/// The Rust code in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
