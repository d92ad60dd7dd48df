//! Getting a token: blocking, into a buffer, asynchronously.
//!
//! Hits run without a guard against panics: there is no operation in them that can panic, and the
//! guard would make each of them remember its arguments for the landing pad.

use std::ffi::{c_char, c_void};
use std::num::NonZeroU64;
use std::time::Duration;

use super::guard::{caught, no_error, report, status};
use super::user_data::UserData;
use super::{
    OK, client, owned, text, tu_cancel, tu_client, tu_drop_fn, tu_error, tu_status, tu_token,
};
use crate::client::GetOptions;
use crate::error::Error;
use crate::token::Token;

/// For tu_get_options.timeout_ms: do not wait. (cbindgen.toml defines it for the header.)
pub const TU_NO_WAIT: i64 = -1;

/// Options of one get. Initialize with TU_GET_OPTIONS_INIT; zero in every member after struct_size
/// is the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tu_get_options {
    /// sizeof(tu_get_options).
    pub struct_size: usize,
    /// Space-separated scopes; NULL: the client's `scope` option.
    pub scope: *const c_char,
    /// Longest wait in milliseconds; 0: the client's `timeout`; TU_NO_WAIT: do not wait.
    pub timeout_ms: i64,
    /// Least remaining lifetime wanted, in milliseconds; best effort.
    pub min_ttl_ms: i64,
    /// Cancels the wait; NULL: not cancellable.
    pub cancel: *mut tu_cancel,
}

/// No later version of the header has a larger struct: such a size is garbage.
const LARGEST_STRUCT: usize = 4096;

/// Receives a token or an error, exactly one of them not NULL, and owns it (tu_free). Should return
/// quickly: the library has few threads for these calls.
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
    // SAFETY: the caller guarantees `size` bytes.
    let bytes = unsafe { std::slice::from_raw_parts(options.cast::<u8>(), size) };
    if bytes[size_of::<tu_get_options>()..].iter().any(|byte| *byte != 0) {
        return Err(Error::argument(
            "tu_get_options sets a member that this version of the library does not know",
        ));
    }
    // SAFETY: checked above: the struct is at least as large as this version's.
    let options = unsafe { options.read() };
    Ok(GetOptions {
        // SAFETY: the caller guarantees the string.
        scope: unsafe { text::read_optional(options.scope, "scope") }?,
        timeout: match options.timeout_ms {
            0 => None,
            TU_NO_WAIT => Some(Duration::ZERO),
            other => Some(non_negative(other, "timeout_ms")?),
        },
        min_ttl: non_negative(options.min_ttl_ms, "min_ttl_ms")?,
        // SAFETY: the caller guarantees the handle.
        cancel: unsafe { owned::as_cancel(options.cancel) },
    })
}

fn non_negative(value: i64, name: &str) -> Result<Duration, Error> {
    u64::try_from(value).map(Duration::from_millis).map_err(|_| {
        let rule = "negative values are not allowed, except timeout_ms TU_NO_WAIT (-1)";
        Error::argument(format!("tu_get_options.{name} is {value}: {rule}"))
    })
}

/// # Safety
/// `error` is NULL or valid to write to.
unsafe fn hand_out(outcome: Result<Token, Error>, error: *mut *mut tu_error) -> *mut tu_token {
    // SAFETY: the caller guarantees `error`.
    unsafe { report(outcome, error) }.map_or(std::ptr::null_mut(), owned::token)
}

/// Returns a valid token for `scope` (NULL: the client's `scope` option): from the cache, or
/// fetched once for all callers. Waits at most the client's `timeout`. Returns NULL if no valid
/// token can be obtained, the client is closed, or an argument is invalid. Release it with tu_free.
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
    // SAFETY: the caller guarantees all three.
    unsafe {
        match owned::as_client(client).and_then(|client| client.at_hand(text::bytes(scope))) {
            Some(token) => {
                no_error(error);
                owned::token(token)
            }
            None => get_slowly(client, scope, error),
        }
    }
}

/// Not inlined: what it keeps on the stack would cost every hit.
///
/// # Safety
/// As [`tu_token_get`].
#[cold]
#[inline(never)]
unsafe fn get_slowly(
    client: *const tu_client,
    scope: *const c_char,
    error: *mut *mut tu_error,
) -> *mut tu_token {
    // SAFETY: the caller guarantees all three.
    unsafe { hand_out(caught(|| wait(client, scope)), error) }
}

/// # Safety
/// `client` is NULL or a live handle, `scope` NULL or NUL-terminated.
unsafe fn wait(client: *const tu_client, scope: *const c_char) -> Result<Token, Error> {
    // SAFETY: the caller guarantees both.
    let (scope, client) = unsafe { (text::read_optional(scope, "scope")?, client::live(client)?) };
    client.get(&GetOptions { scope, ..GetOptions::default() })
}

/// Like tu_token_get, with options; NULL: the defaults.
///
/// # Safety
/// `client` is NULL or a live handle, `options` NULL or valid, `error` NULL or valid to write to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_token_get_with(
    client: *mut tu_client,
    options: *const tu_get_options,
    error: *mut *mut tu_error,
) -> *mut tu_token {
    // SAFETY: the caller guarantees all three.
    unsafe {
        let outcome = caught(|| client::live(client)?.get(&read_options(options)?));
        hand_out(outcome, error)
    }
}

/// The tu_token_serial of the token that tu_token_get would return now from the cache, without a
/// renewal; 0: none. A wrapper that keeps its own copy of a token may serve it as long as this
/// returns the copy's serial: the copy then never outlives a renewal, an invalidation, a fork or a
/// suspend. Never blocks; costs one clock read.
///
/// # Safety
/// `client` is NULL or a live handle, `scope` NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_token_at_hand(client: *const tu_client, scope: *const c_char) -> u64 {
    // SAFETY: the caller guarantees both.
    let found = unsafe { owned::as_client(client) }
        // SAFETY: as above.
        .and_then(|client| client.serial_of_bytes(unsafe { text::bytes(scope) }, Duration::ZERO));
    found.map_or(0, NonZeroU64::get)
}

/// Like tu_token_at_hand, for a tu_token_get_with that sets min_ttl_ms: returns 0 also if the
/// cached token expires sooner than that, or if min_ttl_ms is negative.
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
    // SAFETY: the caller guarantees both.
    let found = unsafe { owned::as_client(client) }
        // SAFETY: as above.
        .and_then(|client| client.serial_of_bytes(unsafe { text::bytes(scope) }, min_ttl));
    found.map_or(0, NonZeroU64::get)
}

/// Copies "Bearer <token>" into `buffer`, without allocating if the token is cached. `*length`
/// (`length` may be NULL) is set to its length in bytes. A NUL is appended if `capacity` is larger
/// than the length, so reserve one byte more. If `capacity` is too small: TU_INVALID_ARGUMENT,
/// `*length` is the required length, and `buffer` is unchanged. After any other failure `*length`
/// is 0 and `buffer` contains no part of a token. Wiping the buffer is up to you.
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
    // SAFETY: the caller guarantees all six.
    unsafe {
        // A slice must not be longer than isize::MAX; no token comes close.
        let place = if buffer.is_null() {
            &mut [][..]
        } else {
            std::slice::from_raw_parts_mut(buffer.cast::<u8>(), capacity.min(isize::MAX as usize))
        };
        // The length and the NUL are written first: less is left to do, and to remember, after the copy.
        let announce = |place: &mut [u8], copied| finish_copy(place, copied, length);
        let hit = owned::as_client(client)
            .and_then(|client| client.copy_at_hand(text::bytes(scope), place, announce));
        if hit.is_some() {
            no_error(error);
            return OK;
        }
        copy_slowly(client, scope, place, length, error)
    }
}

/// Not inlined: what it keeps on the stack would cost every hit.
///
/// # Safety
/// As [`tu_token_copy`].
#[cold]
#[inline(never)]
unsafe fn copy_slowly(
    client: *const tu_client,
    scope: *const c_char,
    place: &mut [u8],
    length: *mut usize,
    error: *mut *mut tu_error,
) -> tu_status {
    // SAFETY: the caller guarantees all of them.
    unsafe {
        if !length.is_null() {
            length.write(0);
        }
        status(error, || wait_and_copy(client, scope, place, length))
    }
}

/// # Safety
/// `client` is NULL or a live handle, `scope` NULL or NUL-terminated, `length` NULL or valid to
/// write to.
unsafe fn wait_and_copy(
    client: *const tu_client,
    scope: *const c_char,
    place: &mut [u8],
    length: *mut usize,
) -> Result<(), Error> {
    // SAFETY: the caller guarantees all of them.
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
                    "tu_token_copy: the buffer has {} bytes and needs {needed}, plus one for a NUL",
                    place.len(),
                )))
            }
        }
    }
}

/// Sets the length, and appends a NUL if there is room.
///
/// # Safety
/// `length` is NULL or valid to write to.
#[inline(always)]
unsafe fn finish_copy(place: &mut [u8], copied: usize, length: *mut usize) {
    if !length.is_null() {
        // SAFETY: the caller guarantees it.
        unsafe { length.write(copied) };
    }
    if let Some(next) = place.get_mut(copied) {
        *next = 0;
    }
}

/// Requests a token without blocking. On TU_OK, `function` is called exactly once and then `drop`
/// (may be NULL): before this returns if the result is known, otherwise on a library thread, never
/// on a thread that closes, cancels or frees. It should return quickly. On any other status
/// `function` is not called, only `drop`; TU_INTERNAL (retryable) means that the thread for
/// timeouts could not be started. If later no thread can be started to call `function`, it is
/// called as soon as one can, or after 1 s on the timeout thread. A child forked in between only
/// calls `drop`, at its next use of the library, and not even that if the parent was inside
/// `function` at the fork.
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
    // SAFETY: the caller guarantees the rest.
    unsafe {
        status(error, || {
            let function =
                function.ok_or_else(|| Error::argument("tu_token_get_async: function is NULL"))?;
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
