//! Fetches, caches and hands out OAuth 2.0 access tokens for Trackunit's IRIS APIs ("API Tokens
//! v2": client credentials grant, 20-minute tokens, no refresh token). Not affiliated with
//! Trackunit.
//!
//! ```no_run
//! # fn main() -> Result<(), tu_token::Error> {
//! let client = tu_token::Client::builder()
//!     .client_id("...")
//!     .client_secret("...")
//!     .scope("asset.view")
//!     .build()?;
//! let token = client.token()?; // from the cache, or fetched once for all callers
//! println!("{} s left", token.expires_in().as_secs());
//! # Ok(()) }
//! ```
//!
//! Source map:
//! - [`Client`] the cached tokens of one API key; [`Config`] its options
//! - `cache` the core: a pure state machine that decides which token to serve and when to renew it
//! - `store` tokens shared between processes
//! - `endpoint` the token request and its response
//! - `credentials` the sources of client id and secret; `files` file reads that may hang, shared
//! - `threads` the library's threads; `process` fork-safe locks, mailboxes and callbacks
//! - `diagnosis` the checks behind the command's `doctor`
//! - `sync` the lock, atomic and thread primitives, replaceable in tests
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
#[cfg(any(test, feature = "__fuzz"))]
#[allow(missing_docs)]
#[doc(hidden)]
pub mod fuzzing;
mod leftovers;
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
mod words;

pub use cache::entry::State;
#[doc(hidden)]
pub use client::KnownScope;
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

/// Compiles the Rust code in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The Rust test in the page on testing passes.
#[cfg(doctest)]
#[doc = include_str!("../docs/testing.md")]
struct Testing;
