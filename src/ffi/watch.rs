//! `tu_watch`.

use std::ffi::c_char;

use super::guard::contained;
use super::{owned, text, tu_client};

/// Where a wrapper that keeps its own copies of tokens reads, without a call, whether a copy is
/// still the token of a scope: see tu_token_watch. All of these are changed by other threads: read
/// them atomically (acquire).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tu_watch {
    /// Set by the caller to sizeof(tu_watch).
    pub struct_size: usize,
    /// Until when the token may be handed out, in nanoseconds of CLOCK_BOOTTIME.
    pub until: *const u64,
    /// Changes when the token does. It may change without the token, too.
    pub version: *const u64,
    /// false: the library has to know that the token is in use.
    pub asked: *const bool,
    /// The number of forks that led to this process.
    pub forks: *const u32,
    /// To be added to the clock; NULL: nothing. Only in a library whose clock is controlled by
    /// tests.
    pub clock_offset: *const u64,
    /// The address of a function of the kernel that does what clock_gettime does, for callers that
    /// cannot call the C library (its name in vdso(7): __vdso_clock_gettime); 0: there is none, or
    /// the program has replaced clock_gettime.
    pub clock: usize,
}

/// Fills in `watch` for a scope (NULL: the client's `scope` option) that a call has used before.
/// All pointers stay valid until the client is freed. Returns false if there is nothing to watch;
/// then call tu_token_at_hand each time, as after any check that fails.
///
/// To watch a copy, remember the version and the number of forks before a call of tu_token_at_hand
/// that returns the copy's serial, and check that the version is the same after it. Later the copy
/// may be handed out without a call if, read in this order, *until is not 0, *version and *forks
/// are the ones remembered, *asked is true, and CLOCK_BOOTTIME is before *until.
///
/// # Safety
/// `client` is NULL or a live handle, `scope` NULL or NUL-terminated, `watch` NULL or valid to
/// write `watch->struct_size` bytes to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_token_watch(
    client: *const tu_client,
    scope: *const c_char,
    watch: *mut tu_watch,
) -> bool {
    // SAFETY: the caller guarantees all three; every version of the struct begins with its size.
    unsafe {
        if watch.is_null() || watch.cast::<usize>().read() < size_of::<tu_watch>() {
            return false;
        }
        let found = contained(None, || owned::as_client(client)?.places(text::bytes(scope)));
        let Some(places) = found else { return false };
        let struct_size = watch.cast::<usize>().read();
        watch.write(tu_watch {
            struct_size,
            until: places.until,
            version: places.version,
            asked: places.asked,
            forks: places.forks,
            clock_offset: places.clock_offset,
            clock: places.clock,
        });
        true
    }
}
