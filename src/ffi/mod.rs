//! The C ABI: converts, calls, converts back. No policy lives here.
//!
//! One file for each C object, and:
//! - [`guard`] panics and errors on their way out
//! - [`owned`] what `tu_free` releases
//! - [`text`] strings on their way in and out
//! - [`allocator`] wipes whatever the library frees
//!
//! The doc comments of what is exported become `include/tu_token.h`: they speak C.

#![allow(non_camel_case_types)]

mod allocator;
mod cancel;
mod client;
mod config;
mod error;
mod event;
mod get;
mod guard;
mod owned;
mod stats;
mod text;
mod token;
mod user_data;
mod version;

pub use cancel::*;
pub use client::*;
pub use config::*;
pub use error::*;
pub use event::*;
pub use get::*;
pub use owned::tu_free;
pub use stats::*;
pub use token::*;
pub use version::*;

/// `typedef int32_t tu_status;` with its enumerators stands in the header's opening.
pub type tu_status = i32;

/// Nothing went wrong.
pub(crate) const OK: tu_status = 0;

#[cfg(test)]
mod tests {
    use crate::cache::entry::State;
    use crate::error::ErrorKind;
    use crate::events::EventKind;

    fn header_has(name: &str, number: i32) -> bool {
        let header = include_str!("../../include/tu_token.h");
        let line = format!("{name} = {number}");
        header.lines().any(|found| found.trim().trim_end_matches(',') == line)
    }

    #[test]
    fn the_header_defines_nothing_of_somebody_elses() {
        let header = include_str!("../../include/tu_token.h");
        let names = header.lines().filter_map(|line| line.strip_prefix("#define "));
        let others: Vec<&str> = names.filter(|name| !name.starts_with("TU_")).collect();
        assert!(others.is_empty(), "{others:?}");
    }

    #[test]
    fn the_headers_numbers_are_those_of_the_library() {
        assert!(header_has("TU_OK", super::OK));
        for kind in ErrorKind::ALL {
            assert!(header_has(kind.name(), kind.status()), "{kind:?}");
        }
        assert!(header_has("TU_STATE_FRESH", State::Fresh as i32));
        assert!(header_has("TU_STATE_EXPIRED", State::Expired as i32));
        assert!(header_has("TU_EVENT_FETCH_STARTED", EventKind::FetchStarted as i32));
        assert!(header_has("TU_EVENT_WARNING", EventKind::Warning as i32));
    }
}
