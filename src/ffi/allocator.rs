//! The library's own allocator: wipes memory before freeing it.
//!
//! TLS and HTTP buffers that held a secret or a token are freed by third-party code. The allocator
//! is private to the shared library, so the host program pays nothing for it.

use std::alloc::{GlobalAlloc, Layout, System};

struct Wiping;

#[global_allocator]
static ALLOCATOR: Wiping = Wiping;

// SAFETY: every call is forwarded to the system allocator with unchanged arguments; memory is
// written only while the freeing caller still owns it.
unsafe impl GlobalAlloc for Wiping {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline(always)]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller owns `layout.size()` bytes at `pointer` and gives them up here.
        unsafe {
            pointer.write_bytes(0, layout.size());
            // The compiler knows `free` and would remove the store as dead. (`black_box` would store
            // the pointer and load it again.)
            zeroize::optimization_barrier(std::slice::from_raw_parts(pointer, layout.size()));
            // On Unix that is `free`, also for what a hit took from `malloc`.
            System.dealloc(pointer, layout);
        }
    }

    // `realloc` is the provided one (allocate, copy, `dealloc`), so the old block is wiped.
}
