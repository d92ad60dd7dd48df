//! `tu_error`, and the names of the statuses.

use std::ffi::{CStr, CString, c_char, c_void};

use super::guard::contained;
use super::{OK, owned, text, tu_status};
use crate::error::{Error, ErrorKind};

/// The reason a call failed. Immutable; may be read from any thread; outlives its client. Its
/// strings live as long as it does. Release it with tu_free.
pub struct tu_error(());

/// An error with its texts as C strings.
pub(super) struct ErrorObject {
    error: Error,
    message: CString,
    oauth_code: Option<CString>,
}

impl ErrorObject {
    pub(super) fn new(error: Error) -> Self {
        Self {
            message: text::to_c(error.message()),
            oauth_code: error.oauth_code().map(text::to_c),
            error,
        }
    }
}

/// # Safety
/// As [`owned::as_error`].
unsafe fn with<R>(error: *const tu_error, none: R, read: impl FnOnce(&ErrorObject) -> R) -> R
where
    R: Copy,
{
    // SAFETY: the caller guarantees the handle.
    contained(none, || unsafe { owned::as_error(error) }.map_or(none, read))
}

/// The status; TU_OK for NULL (no error).
///
/// # Safety
/// `error` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_error_status(error: *const tu_error) -> tu_status {
    // SAFETY: the caller guarantees the handle.
    unsafe { with(error, OK, |object| object.error.kind().status()) }
}

/// One line to show or log: what was attempted, what was found, what to do. Contains no secret and
/// no token. "" for NULL.
///
/// # Safety
/// `error` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_error_message(error: *const tu_error) -> *const c_char {
    // SAFETY: the caller guarantees the handle.
    unsafe { with(error, c"".as_ptr(), |object| object.message.as_ptr()) }
}

/// The token endpoint's error code, such as "invalid_scope" (RFC 6749 section 5.2); NULL if it sent
/// none.
///
/// # Safety
/// `error` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_error_oauth_code(error: *const tu_error) -> *const c_char {
    let code = |object: &ErrorObject| {
        object.oauth_code.as_ref().map_or(std::ptr::null(), |code| code.as_ptr())
    };
    // SAFETY: the caller guarantees the handle.
    unsafe { with(error, std::ptr::null(), code) }
}

/// The HTTP status of the token endpoint's response; 0: no response.
///
/// # Safety
/// `error` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_error_http_status(error: *const tu_error) -> i32 {
    // SAFETY: the caller guarantees the handle.
    unsafe { with(error, 0, |object| object.error.http_status().map_or(0, i32::from)) }
}

/// The `cause` that a credentials function passed to tu_credentials_fail; NULL: none. Valid as long
/// as any error that carries it. Every caller that waited for the failed fetch receives such an
/// error; later callers, which receive the remembered failure, get one without a cause.
///
/// # Safety
/// `error` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_error_cause(error: *const tu_error) -> *mut c_void {
    // SAFETY: the caller guarantees the handle.
    unsafe { with(error, std::ptr::null_mut(), |object| super::config::cause_of(&object.error)) }
}

/// Whether the same call may succeed later without any change to program or configuration.
///
/// # Safety
/// `error` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_error_is_retryable(error: *const tu_error) -> bool {
    // SAFETY: the caller guarantees the handle.
    unsafe { with(error, false, |object| object.error.is_retryable()) }
}

/// Milliseconds until the library would send the next token request; -1: unknown. Until then, calls
/// get the same error without a request.
///
/// # Safety
/// `error` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_error_retry_after_ms(error: *const tu_error) -> i64 {
    let wait =
        |object: &ErrorObject| object.error.retry_after().map_or(-1, super::token::millis_to_wait);
    // SAFETY: the caller guarantees the handle.
    unsafe { with(error, -1, wait) }
}

/// The name of a status, such as "TU_INVALID_CLIENT"; "TU_UNKNOWN" for any other number. Static.
#[unsafe(no_mangle)]
pub extern "C" fn tu_status_name(status: tu_status) -> *const c_char {
    let name: &'static CStr = match ErrorKind::ALL.iter().find(|kind| kind.status() == status) {
        Some(kind) => kind.c_name(),
        None if status == OK => c"TU_OK",
        None => c"TU_UNKNOWN",
    };
    name.as_ptr()
}
