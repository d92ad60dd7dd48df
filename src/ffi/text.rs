//! Strings on their way in and out.

use std::ffi::{CStr, CString, c_char};

use crate::error::Error;

/// A string of the caller's, for the time of the call.
///
/// # Safety
/// `pointer` is NULL or a NUL-terminated string that lives for `'a`.
pub(super) unsafe fn read<'a>(pointer: *const c_char, what: &str) -> Result<&'a str, Error> {
    if pointer.is_null() {
        return Err(Error::argument(format!("{what} is NULL")));
    }
    // SAFETY: the caller vouches for the string.
    unsafe { CStr::from_ptr(pointer) }
        .to_str()
        .map_err(|error| Error::argument(format!("{what} is not valid UTF-8 ({error})")))
}

/// The same where NULL means "none".
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
    // SAFETY: the caller vouches for the string.
    unsafe { read(pointer, what) }.map(Some)
}

/// The bytes of a string where NULL means "none", be they text or not.
///
/// # Safety
/// As [`read`].
#[inline]
pub(super) unsafe fn bytes<'a>(pointer: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: the caller vouches for the string.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }.to_bytes())
}

/// A string for C. A NUL inside becomes a blank.
pub(super) fn to_c(text: &str) -> CString {
    CString::new(text).unwrap_or_else(|_| CString::new(text.replace('\0', " ")).unwrap_or_default())
}
