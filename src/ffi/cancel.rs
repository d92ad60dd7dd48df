//! `tu_cancel`.

use super::guard::contained;
use super::owned;

/// Cancels waits. One-shot; may be shared by any number of calls and threads; may be freed once the
/// calls that used it have returned. Not carried over a fork.
pub struct tu_cancel(());

/// Creates a cancel, not yet triggered. Release it with tu_free.
#[unsafe(no_mangle)]
pub extern "C" fn tu_cancel_new() -> *mut tu_cancel {
    contained(std::ptr::null_mut(), owned::cancel)
}

/// Makes every current and future call that uses this cancel return TU_CANCELLED. The fetches those
/// calls waited for continue. NULL does nothing.
///
/// # Safety
/// `cancel` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_cancel_trigger(cancel: *mut tu_cancel) {
    contained((), || {
        // SAFETY: the caller guarantees the handle.
        if let Some(cancel) = unsafe { owned::as_cancel(cancel) } {
            cancel.trigger();
        }
    });
}
