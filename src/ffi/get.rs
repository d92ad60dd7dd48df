//! Getting a token: waiting, copying, asynchronously.

use std::ffi::{c_char, c_void};
use std::num::NonZeroU64;
use std::time::Duration;

use super::guard::{caught, contained, no_error, report, status};
use super::user_data::UserData;
use super::{
    OK, client, owned, text, tu_cancel, tu_client, tu_drop_fn, tu_error, tu_status, tu_token,
};
use crate::client::GetOptions;
use crate::error::Error;
use crate::token::Token;

/// For tu_get_options.timeout_ms: do not wait. (The header's opening defines it.)
pub const TU_NO_WAIT: i64 = -1;

/// How a token is asked for. Begin with TU_GET_OPTIONS_INIT; all zero behind struct_size is the
/// default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tu_get_options {
    /// sizeof(tu_get_options).
    pub struct_size: usize,
    /// Scopes, separated by blanks; NULL: the client's own.
    pub scope: *const c_char,
    /// The longest wait; 0: the client's `timeout`; TU_NO_WAIT: do not wait.
    pub timeout_ms: i64,
    /// The token should live at least this much longer; best effort.
    pub min_ttl_ms: i64,
    /// Ends the wait early; NULL: nothing does.
    pub cancel: *mut tu_cancel,
}

/// A larger struct than this is not from any later version of the header.
const LARGEST_STRUCT: usize = 4096;

/// Is given a token or an error, exactly one of them not NULL, and owns it: tu_free. Should be
/// short: the library has few threads to call it on.
pub type tu_token_fn = Option<
    unsafe extern "C-unwind" fn(user_data: *mut c_void, token: *mut tu_token, error: *mut tu_error),
>;

/// # Safety
/// `options` is NULL or points to `struct_size` bytes whose pointers are NULL or live.
unsafe fn read_options<'a>(options: *const tu_get_options) -> Result<GetOptions<'a>, Error> {
    if options.is_null() {
        return Ok(GetOptions::default());
    }
    // SAFETY: every version of the struct begins with its size.
    let size = unsafe { options.cast::<usize>().read() };
    if !(size_of::<tu_get_options>()..=LARGEST_STRUCT).contains(&size) {
        return Err(Error::argument(format!(
            "tu_get_options.struct_size is {size}: begin with TU_GET_OPTIONS_INIT"
        )));
    }
    // SAFETY: the caller vouches for `size` bytes.
    let bytes = unsafe { std::slice::from_raw_parts(options.cast::<u8>(), size) };
    if bytes[size_of::<tu_get_options>()..].iter().any(|byte| *byte != 0) {
        return Err(Error::argument(
            "tu_get_options sets a member that this version of the library does not know",
        ));
    }
    // SAFETY: the struct is at least as large as ours.
    let options = unsafe { options.read() };
    Ok(GetOptions {
        // SAFETY: the caller vouches for the string.
        scope: unsafe { text::read_optional(options.scope, "scope") }?,
        timeout: match options.timeout_ms {
            0 => None,
            TU_NO_WAIT => Some(Duration::ZERO),
            other => Some(non_negative(other, "timeout_ms")?),
        },
        min_ttl: non_negative(options.min_ttl_ms, "min_ttl_ms")?,
        // SAFETY: the caller vouches for the handle.
        cancel: unsafe { owned::as_cancel(options.cancel) },
    })
}

fn non_negative(value: i64, name: &str) -> Result<Duration, Error> {
    u64::try_from(value).map(Duration::from_millis).map_err(|_| {
        let rule = "only timeout_ms may be below zero, and then TU_NO_WAIT (-1)";
        Error::argument(format!("tu_get_options.{name} is {value}: {rule}"))
    })
}

/// # Safety
/// `error` is NULL or valid to write to.
unsafe fn hand_out(outcome: Result<Token, Error>, error: *mut *mut tu_error) -> *mut tu_token {
    // SAFETY: the caller vouches for `error`.
    unsafe { report(outcome, error) }.map_or(std::ptr::null_mut(), owned::token)
}

/// A token for `scope` (NULL: the client's own) that is valid now: at hand, or fetched once for
/// all callers. Waits at most the client's `timeout`. NULL on failure: there is no valid token, the
/// client is closed, or an argument cannot be used. Release it with tu_free.
///
/// # Safety
/// `client` is NULL or a live handle, `scope` NULL or NUL-terminated, `error` NULL or valid to
/// write to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_token_get(
    client: *mut tu_client,
    scope: *const c_char,
    error: *mut *mut tu_error,
) -> *mut tu_token {
    // SAFETY: the caller vouches for all three.
    unsafe {
        let hit = contained(None, || owned::as_client(client)?.at_hand(text::bytes(scope)));
        match hit {
            Some(token) => {
                no_error(error);
                owned::token(token)
            }
            None => hand_out(caught(|| wait(client, scope)), error),
        }
    }
}

/// # Safety
/// `client` is NULL or a live handle, `scope` NULL or NUL-terminated.
#[cold]
unsafe fn wait(client: *const tu_client, scope: *const c_char) -> Result<Token, Error> {
    // SAFETY: the caller vouches for both.
    let (scope, client) = unsafe { (text::read_optional(scope, "scope")?, client::live(client)?) };
    client.get(&GetOptions { scope, ..GetOptions::default() })
}

/// The same with options; NULL options: all defaults.
///
/// # Safety
/// `client` is NULL or a live handle, `options` NULL or valid, `error` NULL or valid to write to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_token_get_with(
    client: *mut tu_client,
    options: *const tu_get_options,
    error: *mut *mut tu_error,
) -> *mut tu_token {
    // SAFETY: the caller vouches for all three.
    unsafe {
        let outcome = caught(|| client::live(client)?.get(&read_options(options)?));
        hand_out(outcome, error)
    }
}

/// Which token tu_token_get would hand out now without asking anybody: its tu_token_serial. 0: it
/// would have to ask. A wrapper that keeps its own copy of a token may hand that out for as long as
/// this returns its serial: the copy then never outlives a renewal, an invalidation, a fork or a
/// suspend. Never blocks; costs a look at the clock.
///
/// # Safety
/// `client` is NULL or a live handle, `scope` NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_token_at_hand(client: *const tu_client, scope: *const c_char) -> u64 {
    // SAFETY: the caller vouches for both.
    let found = contained(None, || unsafe {
        owned::as_client(client)?.serial_of_bytes(text::bytes(scope), Duration::ZERO)
    });
    found.map_or(0, NonZeroU64::get)
}

/// The same for tu_token_get_with and its min_ttl_ms: 0 also if the token at hand does not live so
/// much longer. Below zero: 0.
///
/// # Safety
/// `client` is NULL or a live handle, `scope` NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_token_at_hand_for(
    client: *const tu_client,
    scope: *const c_char,
    min_ttl_ms: i64,
) -> u64 {
    let Ok(min_ttl) = u64::try_from(min_ttl_ms).map(Duration::from_millis) else { return 0 };
    // SAFETY: the caller vouches for both.
    let found = contained(None, || unsafe {
        owned::as_client(client)?.serial_of_bytes(text::bytes(scope), min_ttl)
    });
    found.map_or(0, NonZeroU64::get)
}

/// Copies "Bearer <token>" into `buffer`: no allocation when the token is at hand. `*length` (may
/// be NULL) becomes its length. If `capacity` is larger than that, a NUL follows; so give a byte
/// more than a token needs. If `capacity` is too small, nothing is written to `buffer`, `*length`
/// is the length needed, and the status is TU_INVALID_ARGUMENT. After any other failure `*length`
/// is 0, and what is in `buffer` is no part of a token. Wiping the buffer is up to you.
///
/// # Safety
/// `client` is NULL or a live handle, `scope` NULL or NUL-terminated, `buffer` NULL or valid to
/// write `capacity` bytes to, `length` and `error` NULL or valid to write to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_token_copy(
    client: *mut tu_client,
    scope: *const c_char,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
    error: *mut *mut tu_error,
) -> tu_status {
    // SAFETY: the caller vouches for all six.
    unsafe {
        // No slice is longer than this, and no token nearly as long.
        let place = match if buffer.is_null() { 0 } else { capacity.min(isize::MAX as usize) } {
            0 => &mut [][..],
            room => std::slice::from_raw_parts_mut(buffer.cast::<u8>(), room),
        };
        let hit =
            contained(None, || owned::as_client(client)?.copy_at_hand(text::bytes(scope), place));
        match hit {
            Some(Ok(copied)) => {
                no_error(error);
                finish_copy(place, copied, length);
                OK
            }
            _ => {
                if !length.is_null() {
                    length.write(0);
                }
                status(error, || copy_slowly(client, scope, place, length))
            }
        }
    }
}

/// # Safety
/// `client` is NULL or a live handle, `scope` NULL or NUL-terminated, `length` NULL or valid to
/// write to.
#[cold]
unsafe fn copy_slowly(
    client: *const tu_client,
    scope: *const c_char,
    place: &mut [u8],
    length: *mut usize,
) -> Result<(), Error> {
    // SAFETY: the caller vouches for all of them.
    unsafe {
        match wait(client, scope)?.copy_bearer(place) {
            Ok(copied) => {
                finish_copy(place, copied, length);
                Ok(())
            }
            Err(needed) => {
                if !length.is_null() {
                    length.write(needed);
                }
                Err(Error::argument(format!(
                    "tu_token_copy needs a buffer of {needed} bytes, and one more for a NUL; it \
                     got {}",
                    place.len()
                )))
            }
        }
    }
}

/// Tells the length, and adds a NUL if there is room.
///
/// # Safety
/// `length` is NULL or valid to write to.
#[inline]
unsafe fn finish_copy(place: &mut [u8], copied: usize, length: *mut usize) {
    if !length.is_null() {
        // SAFETY: the caller vouches for it.
        unsafe { length.write(copied) };
    }
    if let Some(next) = place.get_mut(copied) {
        *next = 0;
    }
}

/// Asks for a token without waiting. TU_OK: `function` is called exactly once, before this returns
/// if the answer is there, else on a thread of the library's, never on one that closes, cancels or
/// frees; then `drop` (may be NULL) is. It should be short. Another status: `function` is not
/// called, `drop` is; TU_INTERNAL, retryable, if no thread can be had that watches the time limit.
/// Should there be none later to call it on, it is called when there is, or after a second on the
/// one that watches. A child forked meanwhile only calls `drop`, when it next uses the library;
/// neither, if the parent was inside of `function` at that moment.
///
/// # Safety
/// `client` is NULL or a live handle, `options` NULL or valid, `error` NULL or valid to write to;
/// the functions may be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_token_get_async(
    client: *mut tu_client,
    options: *const tu_get_options,
    function: tu_token_fn,
    user_data: *mut c_void,
    drop: tu_drop_fn,
    error: *mut *mut tu_error,
) -> tu_status {
    let user_data = UserData::new(user_data, drop);
    // SAFETY: the caller vouches for the rest.
    unsafe {
        status(error, || {
            let function =
                function.ok_or_else(|| Error::argument("tu_token_get_async got no function"))?;
            let options = read_options(options)?;
            client::live(client)?.get_async(&options, move |outcome| {
                let (token, error) = match outcome {
                    Ok(token) => (owned::token(token), std::ptr::null_mut()),
                    Err(error) => (std::ptr::null_mut(), owned::error(error)),
                };
                function(user_data.pointer(), token, error);
            })
        })
    }
}
