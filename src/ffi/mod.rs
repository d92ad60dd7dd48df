//! The C ABI: converts arguments, calls the Rust API, converts the result. No policy here.
//!
//! One file per C object, and:
//! - [`guard`] returns panics and errors to C
//! - [`owned`] the objects that `tu_free` releases
//! - [`text`] converts strings
//! - [`allocator`] wipes memory that the library frees
//!
//! Doc comments of exported items become `include/tu_token.h`: write them for C programmers.

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
mod watch;

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
pub use watch::*;

/// The header's `typedef int32_t tu_status;` and its enumerators are in cbindgen.toml.
pub type tu_status = i32;

/// Success.
pub(crate) const OK: tu_status = 0;

#[cfg(test)]
mod tests {
    use crate::cache::entry::State;
    use crate::error::ErrorKind;
    use crate::events::{EventKind, Severity};

    /// The header's enumerators with this prefix, and their values.
    fn enumerators(prefix: &str) -> Vec<(String, i32)> {
        let header = include_str!("../../include/tu_token.h");
        let lines = header.lines().filter_map(|line| line.trim().split_once(" = "));
        lines
            .filter(|(name, _)| name.starts_with(prefix))
            .map(|(name, number)| (name.to_owned(), number.trim_end_matches(',').parse().unwrap()))
            .collect()
    }

    fn text(name: *const std::ffi::c_char) -> &'static str {
        // SAFETY: the tested functions return static strings.
        unsafe { std::ffi::CStr::from_ptr(name) }.to_str().unwrap()
    }

    #[test]
    fn header_names_every_event_kind_and_state() {
        let kinds = enumerators("TU_EVENT_");
        assert_eq!(kinds.len(), EventKind::Warning as usize);
        for (name, number) in kinds {
            assert_eq!(text(super::tu_event_kind_name(number)), name);
        }
        let states = enumerators("TU_STATE_");
        assert_eq!(states.len(), State::Expired as usize + 1);
        for (name, number) in states {
            assert_eq!(text(super::tu_state_name(number)), name);
        }
        for number in [i32::MIN, -1, 0, 12, i32::MAX] {
            assert_eq!(text(super::tu_event_kind_name(number)), "TU_UNKNOWN");
        }
        assert_eq!(text(super::tu_state_name(5)), "TU_UNKNOWN");
    }

    fn header_has(name: &str, number: i32) -> bool {
        let header = include_str!("../../include/tu_token.h");
        let line = format!("{name} = {number}");
        header.lines().any(|found| found.trim().trim_end_matches(',') == line)
    }

    #[test]
    fn header_macros_have_the_prefix() {
        let header = include_str!("../../include/tu_token.h");
        let names = header.lines().filter_map(|line| line.strip_prefix("#define "));
        let others: Vec<&str> = names.filter(|name| !name.starts_with("TU_")).collect();
        assert!(others.is_empty(), "{others:?}");
    }

    #[test]
    fn header_numbers_match_the_library() {
        assert!(header_has("TU_OK", super::OK));
        for kind in ErrorKind::ALL {
            assert!(header_has(kind.name(), kind.status()), "{kind:?}");
        }
        assert!(header_has("TU_STATE_FRESH", State::Fresh as i32));
        assert!(header_has("TU_STATE_EXPIRED", State::Expired as i32));
        assert!(header_has("TU_EVENT_FETCH_STARTED", EventKind::FetchStarted as i32));
        assert!(header_has("TU_EVENT_WARNING", EventKind::Warning as i32));
        assert!(header_has("TU_SEVERITY_DEBUG", Severity::Debug as i32));
        assert!(header_has("TU_SEVERITY_INFO", Severity::Info as i32));
        assert!(header_has("TU_SEVERITY_WARNING", Severity::Warning as i32));
    }
}
