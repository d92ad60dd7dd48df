//! The host program's `user_data`, with the function that releases it.

use std::ffi::c_void;

use super::tu_drop_fn;

/// Calls `drop` once, after the last use of the pointer.
pub(super) struct UserData {
    pointer: *mut c_void,
    drop: tu_drop_fn,
}

// SAFETY: the header requires that callbacks and their data are usable from any thread.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

impl UserData {
    pub(super) fn new(pointer: *mut c_void, drop: tu_drop_fn) -> Self {
        Self { pointer, drop }
    }

    pub(super) fn pointer(&self) -> *mut c_void {
        self.pointer
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let Some(drop) = self.drop {
            // SAFETY: the host program supplied both for this call, which happens once.
            unsafe { drop(self.pointer) };
        }
    }
}
