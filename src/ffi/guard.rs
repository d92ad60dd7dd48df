//! Returns panics and errors to C.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::tu_error;
use super::owned;
use super::{OK, tu_status};
use crate::error::{Error, ErrorKind};

/// Runs `body`; a panic becomes `fallback`.
pub(super) fn contained<R>(fallback: R, body: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(fallback)
}

/// Runs `body`; a panic becomes `TU_INTERNAL`.
pub(super) fn caught<R>(body: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| {
        Err(Error::new(
            ErrorKind::Internal,
            "a bug in tu-token was contained; please report it with the output on stderr",
        ))
    })
}

/// Stores the outcome's error in the caller's `tu_error *`, NULL on success.
///
/// # Safety
/// `place` is NULL or valid to write a pointer to.
pub(super) unsafe fn report<R>(
    outcome: Result<R, Error>,
    place: *mut *mut tu_error,
) -> Result<R, tu_status> {
    let (result, pointer) = match outcome {
        Ok(value) => (Ok(value), std::ptr::null_mut()),
        Err(error) => {
            let status = error.kind().status();
            let pointer = if place.is_null() { std::ptr::null_mut() } else { owned::error(error) };
            (Err(status), pointer)
        }
    };
    if !place.is_null() {
        // SAFETY: the caller guarantees `place`.
        unsafe { place.write(pointer) };
    }
    result
}

/// Stores NULL in the caller's `tu_error *`: success.
///
/// # Safety
/// As [`report`].
#[inline(always)]
pub(super) unsafe fn no_error(place: *mut *mut tu_error) {
    if !place.is_null() {
        // SAFETY: the caller guarantees `place`.
        unsafe { place.write(std::ptr::null_mut()) };
    }
}

/// [`caught`] and [`report`] for functions that return a status.
///
/// # Safety
/// As [`report`].
pub(super) unsafe fn status(
    place: *mut *mut tu_error,
    body: impl FnOnce() -> Result<(), Error>,
) -> tu_status {
    // SAFETY: the caller guarantees `place`.
    match unsafe { report(caught(body), place) } {
        Ok(()) => OK,
        Err(status) => status,
    }
}
