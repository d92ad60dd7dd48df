//! `tu_token`: a copy of an access token that the caller owns.

use std::ffi::c_char;
use std::time::Duration;

use super::guard::contained;
use super::owned;
use crate::token::{Layout, TEXT, Token};

/// An access token, owned by the caller. Immutable; may be read from any thread; outlives its
/// client. Its strings live as long as it does. Release it with tu_free, which wipes it.
pub struct tu_token(());

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A waiting time, rounded up: 0 means "now", and a caller that returns too early would wait again.
pub(super) fn millis_to_wait(wait: Duration) -> i64 {
    millis(wait.saturating_add(Duration::from_nanos(999_999)))
}

/// # Safety
/// As [`owned::as_token_words`].
#[inline(always)]
unsafe fn part(token: *const tu_token, offset: impl FnOnce(&Layout) -> usize) -> *const c_char {
    // SAFETY: the caller guarantees the handle; the offset is inside the token's text, which ends
    // with a NUL. (Indexing would be two calls in code compiled for size.)
    unsafe {
        match owned::as_token_words(token) {
            Some(words) => {
                words.as_ptr().add(TEXT).cast::<c_char>().add(offset(&Token::layout(words)))
            }
            None => c"".as_ptr(),
        }
    }
}

/// The bare access token. "" for NULL.
///
/// # Safety
/// `token` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_token_value(token: *const tu_token) -> *const c_char {
    // SAFETY: the caller guarantees the handle.
    unsafe { part(token, |layout| layout.value) }
}

/// "Bearer <token>": the value of an Authorization header (RFC 6750 section 2.1). "" for NULL.
///
/// # Safety
/// `token` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_token_bearer(token: *const tu_token) -> *const c_char {
    // SAFETY: the caller guarantees the handle.
    unsafe { part(token, |layout| layout.bearer) }
}

/// "Authorization: Bearer <token>": a complete header line without line ending, as libcurl expects.
/// "" for NULL.
///
/// # Safety
/// `token` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_token_header(token: *const tu_token) -> *const c_char {
    // SAFETY: the caller guarantees the handle.
    unsafe { part(token, |layout| layout.header) }
}

/// Length of the bare token in bytes; 0 for NULL.
///
/// # Safety
/// `token` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_token_length(token: *const tu_token) -> usize {
    // SAFETY: the caller guarantees the handle.
    unsafe { owned::as_token_words(token) }.map_or(0, |words| Token::layout(words).length)
}

/// The granted scopes, separated by spaces. "" for NULL.
///
/// # Safety
/// `token` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_token_scope(token: *const tu_token) -> *const c_char {
    // SAFETY: the caller guarantees the handle.
    unsafe { part(token, |layout| layout.scope) }
}

/// Remaining lifetime in milliseconds, measured on a clock that includes suspend; 0 if expired, and
/// for NULL.
///
/// # Safety
/// `token` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_token_expires_in_ms(token: *const tu_token) -> i64 {
    contained(0, || {
        // SAFETY: the caller guarantees the handle.
        unsafe { owned::as_token_words(token) }.map_or(0, |words| millis(Token::life_left(words)))
    })
}

/// Milliseconds until the library would renew the token: how long a program may use its own copy
/// without another get. 0 for NULL.
///
/// # Safety
/// `token` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_token_fresh_for_ms(token: *const tu_token) -> i64 {
    contained(0, || {
        // SAFETY: the caller guarantees the handle.
        unsafe { owned::as_token_words(token) }.map_or(0, |words| millis(Token::fresh_left(words)))
    })
}

/// A number that identifies this token among the tokens of its client; see tu_token_at_hand. 0 for
/// NULL.
///
/// # Safety
/// `token` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_token_serial(token: *const tu_token) -> u64 {
    // SAFETY: the caller guarantees the handle.
    unsafe { owned::as_token_words(token) }.map_or(0, Token::serial_of)
}

/// Expiry as Unix time in milliseconds, computed from the wall clock when the token was received.
/// For display only: the wall clock may since have been set. 0 for NULL.
///
/// # Safety
/// `token` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_token_expires_at_ms(token: *const tu_token) -> i64 {
    // SAFETY: the caller guarantees the handle.
    unsafe { owned::as_token_words(token) }.map_or(0, Token::expires_at_unix_ms_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_of_less_than_a_millisecond_is_one() {
        for (nanos, cut, to_wait) in
            [(0, 0, 0), (1, 0, 1), (500_000, 0, 1), (1_000_000, 1, 1), (1_000_001, 1, 2)]
        {
            let time = Duration::from_nanos(nanos);
            assert_eq!((millis(time), millis_to_wait(time)), (cut, to_wait), "{nanos} ns");
        }
        assert_eq!(millis_to_wait(Duration::MAX), i64::MAX);
    }
}
