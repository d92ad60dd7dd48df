//! The kernel's own clock function, which it maps into every process (vdso(7)).
//!
//! The C library calls it too; without the detour a read of a coarse clock takes 3 ns instead of 5.

use std::ffi::CStr;
use std::slice;

use libc::{Elf64_Ehdr, Elf64_Phdr, Elf64_Sym};

use crate::clock::ClockFunction;

const NAME: &CStr =
    if cfg!(target_arch = "aarch64") { c"__kernel_clock_gettime" } else { c"__vdso_clock_gettime" };

/// `None`: this process has none, as under Valgrind.
pub(super) fn clock_function() -> Option<ClockFunction> {
    // SAFETY: reads a number that the kernel has put beside the environment.
    let start = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) } as *const u8;
    if start.is_null() {
        return None;
    }
    // SAFETY: the kernel has mapped a complete ELF object there, for as long as the process lives.
    // The function of that name has the type of `clock_gettime`.
    unsafe { Some(std::mem::transmute::<*const u8, ClockFunction>(find(start, NAME)?)) }
}

/// An entry of the dynamic section.
#[repr(C)]
struct Dynamic {
    tag: u64,
    value: u64,
}

const DT_NULL: u64 = 0;
const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_GNU_HASH: u64 = 0x6fff_fef5;

/// The address of a symbol of an ELF object, whose header is at `start`.
///
/// # Safety
/// The object is complete, mapped as its segments say, and not relocated.
unsafe fn find(start: *const u8, name: &CStr) -> Option<*const u8> {
    // SAFETY: the caller guarantees all that the object's own tables say.
    unsafe {
        let header = &*start.cast::<Elf64_Ehdr>();
        let table = start.add(header.e_phoff as usize).cast::<Elf64_Phdr>();
        let segments = slice::from_raw_parts(table, header.e_phnum.into());
        let segment = |kind| segments.iter().find(|segment| segment.p_type == kind);
        let loaded = segment(libc::PT_LOAD)?;
        let base = start.wrapping_add(loaded.p_offset as usize);
        let at = |address: u64| base.wrapping_add((address - loaded.p_vaddr) as usize);

        let (mut symbols, mut names, mut count) = (None, None, None);
        let mut entry = at(segment(libc::PT_DYNAMIC)?.p_vaddr).cast::<Dynamic>();
        while (*entry).tag != DT_NULL {
            let place = at((*entry).value);
            match (*entry).tag {
                DT_SYMTAB => symbols = Some(place.cast::<Elf64_Sym>()),
                DT_STRTAB => names = Some(place),
                DT_HASH => count = Some(*place.cast::<u32>().add(1)),
                DT_GNU_HASH => count = count.or_else(|| Some(count_symbols(place.cast()))),
                _ => {}
            }
            entry = entry.add(1);
        }
        let (names, count) = (names?, count?);
        let is_it = |symbol: &&Elf64_Sym| {
            symbol.st_shndx != 0
                && CStr::from_ptr(names.add(symbol.st_name as usize).cast()) == name
        };
        let symbol = slice::from_raw_parts(symbols?, count as usize).iter().find(is_it)?;
        Some(at(symbol.st_value))
    }
}

/// How many symbols there are, which this kind of table says only by the end of its last chain.
///
/// # Safety
/// A table of the kind of `DT_GNU_HASH` begins at `table`.
unsafe fn count_symbols(table: *const u32) -> u32 {
    // SAFETY: the caller guarantees the table.
    unsafe {
        let [buckets, first, filter_words, _] = *table.cast::<[u32; 4]>();
        let bucket = table.add(4 + 2 * filter_words as usize);
        let chain = bucket.add(buckets as usize);
        let starts = slice::from_raw_parts(bucket, buckets as usize);
        let Some(mut last) = starts.iter().copied().max().filter(|last| *last >= first) else {
            return first;
        };
        while *chain.add((last - first) as usize) & 1 == 0 {
            last += 1;
        }
        last + 1
    }
}

#[cfg(test)]
mod tests {
    use libc::{clockid_t, timespec};

    use super::*;

    fn seconds(read: ClockFunction, clock: clockid_t) -> i64 {
        let mut time = timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: a clock function, and a valid place.
        assert_eq!(unsafe { read(clock, &mut time) }, 0);
        time.tv_sec
    }

    #[test]
    fn the_function_found_tells_the_time_of_the_c_library() {
        let Some(found) = clock_function() else { return };
        for clock in [libc::CLOCK_REALTIME, libc::CLOCK_MONOTONIC, libc::CLOCK_BOOTTIME] {
            let before = seconds(libc::clock_gettime, clock);
            let seen = seconds(found, clock);
            assert!((before..=seconds(libc::clock_gettime, clock)).contains(&seen));
        }
    }

    #[test]
    fn a_name_that_is_not_there_is_not_found() {
        // SAFETY: as in `clock_function`.
        unsafe {
            let start = libc::getauxval(libc::AT_SYSINFO_EHDR) as *const u8;
            if !start.is_null() {
                assert!(find(start, c"__vdso_clock").is_none());
                assert!(find(start, c"").is_none());
                assert!(find(start, NAME).is_some());
            }
        }
    }
}
