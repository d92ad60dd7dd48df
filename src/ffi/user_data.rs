//! A pointer of the host program's, with the function that lets go of it.

use std::ffi::c_void;

use super::tu_drop_fn;

/// Calls `drop` once, when the last use of the pointer is over.
pub(super) struct UserData {
    pointer: *mut c_void,
    drop: tu_drop_fn,
}

// SAFETY: the header demands that callbacks and their data may be used from any thread.
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
            // SAFETY: the host program gave both for this very call, which happens once.
            unsafe { drop(self.pointer) };
        }
    }
}
