//! One suite for every language: transcripts in `tests/vectors`, played to a program that does nothing but call the
//! library's interface in its language (the testee), over a line of JSON each way.
//!
//! - [`case`] a transcript; [`vectors`] how it is read; [`placeholders`] what may stand in its texts
//! - [`protocol`] what a testee can be asked
//! - [`endpoint`] the token endpoint that answers by the transcript
//! - [`testee`] the other program
//! - [`matching`] an expectation and what was found
//! - [`secrets`] what may appear in no error, event or log
//! - [`play`] a case, step by step; [`suite`] all of them

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
