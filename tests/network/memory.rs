//! How much memory a token request holds: an allocator that counts what each thread has allocated since
//! it connected, until it closes the connection.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::c_int;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most lines of one process.
pub const MOST_LINES: usize = 4096;

/// The most bytes that a request over each line has held.
static PEAKS: [AtomicUsize; MOST_LINES] = [const { AtomicUsize::new(0) }; MOST_LINES];

thread_local! {
    /// The line to which this thread is connected, and by which socket.
    static LINE: Cell<usize> = const { Cell::new(MOST_LINES) };
    static SOCKET: Cell<c_int> = const { Cell::new(-1) };
    /// Bytes allocated on this thread since then, less those freed.
    static HELD: Cell<isize> = const { Cell::new(0) };
}

/// This thread connects over a line: what it allocates from now on is counted there.
pub fn connects(line: usize, socket: c_int) {
    LINE.set(line);
    SOCKET.set(socket);
    HELD.set(0);
}

/// This thread closes a file: if that was its connection, nothing is counted any more.
pub fn closes(file: c_int) {
    let _ = SOCKET.try_with(|socket| {
        if socket.get() == file {
            socket.set(-1);
            LINE.set(MOST_LINES);
        }
    });
}

/// Forgets what requests over this line have held.
pub fn forget(line: usize) {
    PEAKS[line].store(0, Ordering::SeqCst);
}

/// The most bytes that a request over this line has held.
pub fn peak(line: usize) -> usize {
    PEAKS[line].load(Ordering::SeqCst)
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: isize) {
    // A thread that ends may have no counter any more.
    let _ = LINE.try_with(|line| {
        if let Some(peak) = PEAKS.get(line.get()) {
            HELD.set(HELD.get() + bytes);
            peak.fetch_max(usize::try_from(HELD.get()).unwrap_or(0), Ordering::Relaxed);
        }
    });
}

fn size(layout: Layout) -> isize {
    isize::try_from(layout.size()).unwrap_or(isize::MAX)
}

// SAFETY: the system's allocator does everything; counting neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(size(layout));
        // SAFETY: by the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-size(layout));
        // SAFETY: by the caller's contract.
        unsafe { System.dealloc(memory, layout) }
    }
}
