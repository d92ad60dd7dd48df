//! The library's own allocator: what it frees is wiped first.
//!
//! TLS and HTTP buffers that have held a secret or a token are freed by code that is not ours.
//! The allocator of a shared library is private to it, so this costs the host program nothing.

use std::alloc::{GlobalAlloc, Layout, System};

struct Wiping;

#[global_allocator]
static ALLOCATOR: Wiping = Wiping;

// SAFETY: every call is passed on to the system's allocator with the arguments it was given;
// memory is only written to while it is still owned by the caller that frees it.
unsafe impl GlobalAlloc for Wiping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps `alloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller owns `layout.size()` bytes at `pointer` and gives them up now.
        unsafe {
            pointer.write_bytes(0, layout.size());
            // The compiler knows `free` and would drop a store that nobody reads.
            System.dealloc(std::hint::black_box(pointer), layout);
        }
    }

    // `realloc` is the provided one: allocate, copy, `dealloc`. The old place is wiped.
}
