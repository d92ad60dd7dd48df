//! Copying words that another thread may be writing.
//!
//! A reader of [`super::current`] copies about a kilobyte and finds out only afterwards whether the
//! copy is consistent. So the words must be read atomically. The language has no way to say "many
//! small atomic reads, in any grouping": the compiler would copy word by word, which would cost
//! more than the rest of the hot path. On supported targets the copy therefore calls the system's
//! `memcpy` from an assembly block. To the language, an assembly block behaves as the accesses that
//! it performs: here relaxed atomic loads of the words, one for each byte taken from them, in some
//! order, and stores to memory that only the caller can see. So there is no data race and no
//! undefined behaviour. (A plain call to `memcpy` would not do: the compiler knows it and may
//! assume that no thread is writing.)

use std::alloc::{Layout, alloc, handle_alloc_error};
use std::mem::MaybeUninit;
use std::ptr::slice_from_raw_parts_mut;
use std::sync::atomic::Ordering;

// From the parent module, as in [`super::current`].
use super::atomic::AtomicU64;

/// Copies all words, at least one, to a new block.
#[inline(always)]
pub(super) fn to_new(from: &[AtomicU64]) -> Box<[u64]> {
    debug_assert!(!from.is_empty());
    // By hand, because a box of that length would check again whether so much can exist. And not
    // zeroed first: glibc's `calloc` bypasses the thread's cache of free blocks.
    // SAFETY: words exist in that number, so a layout of them is valid; and it is not empty. The new
    // block has room for them, no other thread can see it, and all of it has been written
    // afterwards.
    unsafe {
        // Not the size of the atomics, which is another one in the schedule explorer.
        let bytes = from.len() * size_of::<u64>();
        let layout = Layout::from_size_align_unchecked(bytes, align_of::<u64>());
        let block = allocate(layout).cast::<u64>();
        if block.is_null() {
            handle_alloc_error(layout);
        }
        copy_bytes(from.as_ptr(), block.cast(), bytes);
        Box::from_raw(slice_from_raw_parts_mut(block, from.len()))
    }
}

/// As [`alloc`], for words. In the C library that is `malloc` (`src/ffi/allocator.rs`), which the language reaches through
/// three functions: a tenth of a hit's instructions.
///
/// # Safety
/// As [`alloc`].
#[inline(always)]
unsafe fn allocate(layout: Layout) -> *mut u8 {
    // SAFETY: the caller guarantees the layout. `malloc` aligns a block of at least eight bytes for a word.
    unsafe {
        if cfg!(all(feature = "capi", unix)) {
            libc::malloc(layout.size()).cast()
        } else {
            alloc(layout)
        }
    }
}

/// Copies all words into memory of the caller's. `None`: it is too small.
#[inline(always)]
pub(super) fn into<'a>(
    from: &[AtomicU64],
    room: &'a mut [MaybeUninit<u64>],
) -> Option<&'a mut [u64]> {
    let room = room.get_mut(..from.len())?;
    // SAFETY: it has room for as many words, a `&mut` is exclusive, and all of it has been written
    // afterwards.
    unsafe {
        copy_bytes(from.as_ptr(), room.as_mut_ptr().cast(), from.len() * 8);
        Some(std::slice::from_raw_parts_mut(room.as_mut_ptr().cast(), room.len()))
    }
}

/// Fills `into` from the words in memory order.
///
/// # Safety
/// There are words of that many bytes at `from`.
#[inline(always)]
pub(super) unsafe fn to_bytes(from: *const AtomicU64, into: &mut [u8]) {
    // SAFETY: the caller guarantees `from`, and a `&mut` is exclusive.
    unsafe { copy_bytes(from, into.as_mut_ptr(), into.len()) };
}

/// Miri does not run assembly, and the atomics of a schedule explorer are more than their words.
const BY_WORDS: bool = cfg!(any(miri, all(test, feature = "__shuttle")));

/// # Safety
/// `from` has at least that many bytes, `to` is valid for writes of that many bytes, and no other
/// thread accesses `to` meanwhile.
#[inline(always)]
unsafe fn copy_bytes(from: *const AtomicU64, to: *mut u8, bytes: usize) {
    let copy = if BY_WORDS { copy_by_words } else { call_memcpy };
    // SAFETY: the caller guarantees the same.
    unsafe { copy(from, to, bytes) }
}

/// # Safety
/// As above.
#[cfg(all(unix, target_arch = "x86_64", target_pointer_width = "64"))]
#[inline(always)]
unsafe fn call_memcpy(from: *const AtomicU64, to: *mut u8, bytes: usize) {
    // SAFETY: memcpy(to, from, bytes) by the System V calling convention, with the caller's
    // guarantees; without `nostack` the stack is aligned for a call.
    unsafe {
        std::arch::asm!(
            "call {memcpy}",
            memcpy = in(reg) libc::memcpy as *const (),
            inout("rdi") to => _,
            inout("rsi") from => _,
            inout("rdx") bytes => _,
            clobber_abi("C"),
        );
    }
}

/// # Safety
/// As above.
#[cfg(all(unix, target_arch = "aarch64", target_pointer_width = "64"))]
#[inline(always)]
unsafe fn call_memcpy(from: *const AtomicU64, to: *mut u8, bytes: usize) {
    // SAFETY: memcpy(to, from, bytes) by the procedure call standard, with the caller's guarantees;
    // without `nostack` the stack is aligned for a call.
    unsafe {
        std::arch::asm!(
            "blr {memcpy}",
            memcpy = in(reg) libc::memcpy as *const (),
            inout("x0") to => _,
            inout("x1") from => _,
            inout("x2") bytes => _,
            clobber_abi("C"),
        );
    }
}

#[cfg(not(all(
    unix,
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_pointer_width = "64"
)))]
use copy_by_words as call_memcpy;

/// # Safety
/// As above.
unsafe fn copy_by_words(from: *const AtomicU64, to: *mut u8, bytes: usize) {
    for (index, at) in (0..bytes).step_by(8).enumerate() {
        // SAFETY: within the bounds that the caller guarantees.
        unsafe {
            let word = (*from.add(index)).load(Ordering::Relaxed).to_ne_bytes();
            std::ptr::copy_nonoverlapping(word.as_ptr(), to.add(at), word.len().min(bytes - at));
        }
    }
}

#[cfg(all(test, not(feature = "__shuttle")))]
mod tests {
    use super::*;

    fn words(count: usize) -> Vec<AtomicU64> {
        (0..count as u64)
            .map(|word| AtomicU64::new(word.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
            .collect()
    }

    fn bytes(words: &[AtomicU64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).collect()
    }

    fn check(copy: unsafe fn(*const AtomicU64, *mut u8, usize)) {
        for count in 0..20 {
            let from = words(count);
            for length in 0..=count * 8 {
                // One byte in front makes the destination unaligned; the one behind must not
                // change.
                let mut into = vec![0xee; length + 2];
                // SAFETY: both are at least that long.
                unsafe { copy(from.as_ptr(), into[1..].as_mut_ptr(), length) };
                assert_eq!(into[1..=length], bytes(&from)[..length]);
                assert_eq!((into[0], into[length + 1]), (0xee, 0xee));
            }
        }
    }

    #[test]
    fn every_length_is_copied_and_nothing_beyond_it() {
        check(call_memcpy);
        check(copy_by_words);
    }

    #[test]
    fn a_copy_holds_all_words() {
        for count in 0..40 {
            let from = words(count);
            if count > 0 {
                assert_eq!(bytemuck::cast_slice::<u64, u8>(&to_new(&from)), bytes(&from));
            }
            let mut room = [const { MaybeUninit::uninit() }; 30];
            let copy = into(&from, &mut room);
            assert_eq!(copy.is_some(), count <= 30);
            if let Some(copy) = copy {
                assert_eq!(bytemuck::cast_slice::<u64, u8>(copy), bytes(&from));
            }
        }
    }
}
