//! Converts strings from and to C.

use std::ffi::{CStr, CString, c_char};

use crate::error::Error;

/// A string argument, borrowed for the duration of the call.
///
/// # Safety
/// `pointer` is NULL or a NUL-terminated string that lives for `'a`.
pub(super) unsafe fn read<'a>(pointer: *const c_char, what: &str) -> Result<&'a str, Error> {
    if pointer.is_null() {
        return Err(Error::argument(format!("{what} is NULL")));
    }
    // SAFETY: the caller guarantees the string.
    unsafe { CStr::from_ptr(pointer) }
        .to_str()
        .map_err(|error| Error::argument(format!("{what} is not valid UTF-8 ({error})")))
}

/// Like [`read`], where NULL means "none".
///
/// # Safety
/// As [`read`].
pub(super) unsafe fn read_optional<'a>(
    pointer: *const c_char,
    what: &str,
) -> Result<Option<&'a str>, Error> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller guarantees the string.
    unsafe { read(pointer, what) }.map(Some)
}

/// The bytes of a string, not checked for UTF-8; NULL means "none".
///
/// # Safety
/// As [`read`].
#[inline(always)]
pub(super) unsafe fn bytes<'a>(pointer: *const c_char) -> Option<&'a [u8]> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: the caller guarantees the string. (`CStr` has the same, as calls.)
    unsafe { Some(std::slice::from_raw_parts(pointer.cast(), libc::strlen(pointer))) }
}

/// A string for C. Embedded NULs become spaces.
pub(super) fn to_c(text: &str) -> CString {
    CString::new(text).unwrap_or_else(|_| CString::new(text.replace('\0', " ")).unwrap_or_default())
}
