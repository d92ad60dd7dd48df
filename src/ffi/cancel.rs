//! `tu_cancel`.

use super::guard::contained;
use super::owned;

/// Ends waits early. One-shot; may be shared by any number of calls and threads; may be freed once
/// the calls that used it have returned. Does not cross a fork.
pub struct tu_cancel(());

/// A cancel that has not been triggered. Release it with tu_free.
#[unsafe(no_mangle)]
pub extern "C" fn tu_cancel_new() -> *mut tu_cancel {
    contained(std::ptr::null_mut(), owned::cancel)
}

/// Makes every call that was given this cancel return TU_CANCELLED, now and from now on. The
/// fetches they waited for go on. NULL does nothing.
///
/// # Safety
/// `cancel` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_cancel_trigger(cancel: *mut tu_cancel) {
    contained((), || {
        // SAFETY: the caller vouches for the handle.
        if let Some(cancel) = unsafe { owned::as_cancel(cancel) } {
            cancel.trigger();
        }
    });
}
