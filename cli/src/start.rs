//! How the process starts on Linux with glibc: in C's `main`, without the start of Rust's standard library.
//!
//! That start takes a tenth of a run that finds its token in the store: it reads `/proc/self/maps` to find the end of the
//! stack, and gives each thread a second stack, on which to report that the first one has overflowed. What else it does is
//! done here. The arguments are there without it, because glibc passes them to initialisers too (see
//! `std::env::args_os`).

#![allow(unsafe_code)]

use std::ffi::c_int;

/// The program's entry.
#[unsafe(no_mangle)]
extern "C" fn main() -> c_int {
    prepare();
    // Also writes what is left in the buffer of stdout.
    std::process::exit(crate::outcome().into())
}

/// Opens those of the descriptors 0, 1 and 2 that are closed: the next file or connection would be taken for one of them.
/// And has writes to a pipe without a reader fail, instead of ending the process.
fn prepare() {
    for descriptor in 0..3 {
        // SAFETY: these calls read nothing but the name, which is NUL-terminated.
        let is_there = unsafe {
            libc::fcntl(descriptor, libc::F_GETFD) >= 0
                // It gets the lowest number that is free.
                || libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) == descriptor
        };
        if !is_there {
            std::process::abort();
        }
    }
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Lets all threads allocate from one heap: setting up another one takes longer than these ever wait for each other.
pub fn share_heap() {
    // SAFETY: sets a number.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}
