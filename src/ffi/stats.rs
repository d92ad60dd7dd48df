//! `tu_stats`.

use std::ffi::{CStr, c_char};

use super::token::{millis, millis_to_wait};
use super::{OK, guard, text, tu_client, tu_error, tu_status};
use crate::cache::entry::State;
use crate::client::Stats;
use crate::error::Error;

/// State and counters of the cache entry for one scope. Cache hits are not counted.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tu_stats {
    /// Set by the caller to sizeof(tu_stats); the library writes no more than that.
    pub struct_size: usize,
    /// TU_STATE_*, see tu_state_name.
    pub state: i32,
    /// Result of the last fetch.
    pub last_status: tu_status,
    /// Remaining lifetime of the cached token.
    pub expires_in_ms: i64,
    /// Time until the next token request is allowed; 0: now.
    pub next_request_in_ms: i64,
    /// Duration of the last fetch.
    pub last_fetch_ms: i64,
    /// Calls that waited for a fetch.
    pub waits: u64,
    /// Token requests sent.
    pub requests: u64,
    /// Tokens received while the previous one was still valid.
    pub renewals: u64,
    /// Failed fetches.
    pub failures: u64,
}

const STATES: [(State, &CStr); 5] = [
    (State::Empty, c"TU_STATE_EMPTY"),
    (State::Fresh, c"TU_STATE_FRESH"),
    (State::Soft, c"TU_STATE_SOFT"),
    (State::Hard, c"TU_STATE_HARD"),
    (State::Expired, c"TU_STATE_EXPIRED"),
];

/// The name of a state, such as "TU_STATE_FRESH"; "TU_UNKNOWN" for any other number. Static.
#[unsafe(no_mangle)]
pub extern "C" fn tu_state_name(state: i32) -> *const c_char {
    let known = STATES.iter().find(|(known, _)| *known as i32 == state);
    known.map_or(c"TU_UNKNOWN", |(_, name)| name).as_ptr()
}

/// Fills in `stats` for a scope; NULL: the client's `scope` option.
///
/// # Safety
/// `client` is NULL or a live handle, `scope` NULL or NUL-terminated, `stats` NULL or valid to
/// write `stats->struct_size` bytes to, `error` NULL or valid to write to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_client_stats(
    client: *mut tu_client,
    scope: *const c_char,
    stats: *mut tu_stats,
    error: *mut *mut tu_error,
) -> tu_status {
    // SAFETY: the caller guarantees all four.
    unsafe {
        guard::status(error, || {
            let client = super::client::live(client)?;
            if stats.is_null() {
                return Err(Error::argument("tu_client_stats: stats is NULL"));
            }
            let room = stats.cast::<usize>().read();
            if room < size_of::<usize>() {
                return Err(Error::argument(
                    "tu_client_stats: set stats->struct_size to sizeof(tu_stats) first",
                ));
            }
            let found = client.stats(text::read_optional(scope, "scope")?)?;
            let known = room.min(size_of::<tu_stats>());
            let full = of(&found, room);
            std::ptr::copy_nonoverlapping((&raw const full).cast::<u8>(), stats.cast(), known);
            Ok(())
        })
    }
}

fn of(stats: &Stats, struct_size: usize) -> tu_stats {
    tu_stats {
        struct_size,
        state: stats.state as i32,
        last_status: stats.last_error.map_or(OK, |kind| kind.status()),
        expires_in_ms: millis(stats.expires_in),
        next_request_in_ms: millis_to_wait(stats.next_request_in),
        last_fetch_ms: millis(stats.last_fetch),
        waits: stats.waits,
        requests: stats.requests,
        renewals: stats.renewals,
        failures: stats.failures,
    }
}
