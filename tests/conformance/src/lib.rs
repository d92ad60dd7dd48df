//! One suite for all languages: transcripts in `tests/vectors`, played against a program that only calls the library in its
//! language (the testee), with one line of JSON in each direction.
//!
//! - [`case`]: a transcript; [`vectors`]: how it is read; [`placeholders`]: placeholders in its texts
//! - [`protocol`]: the requests to a testee
//! - [`endpoint`]: the scripted token endpoint
//! - [`testee`]: the testee's process
//! - [`matching`]: compares expected and actual values
//! - [`secrets`]: texts that must not appear in errors, events or logs
//! - [`play`]: plays one case; [`suite`]: plays all of them

#![forbid(unsafe_code)]

mod case;
mod endpoint;
mod matching;
mod placeholders;
mod play;
mod protocol;
mod secrets;
pub mod suite;
mod testee;
mod vectors;
