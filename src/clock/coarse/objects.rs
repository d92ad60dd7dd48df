//! Which of the loaded objects (the program and its libraries) holds an address.
//!
//! Not by dladdr, which looks at every symbol of the object to find a name: 0.1 ms for two functions
//! of the C library, a twentieth of a first token.

use std::ffi::{c_int, c_void};
use std::slice;

use libc::{dl_iterate_phdr, dl_phdr_info};

/// Whether one object holds both addresses. A static program is one.
pub(super) fn are_in_one(one: usize, other: usize) -> bool {
    let pair = [one, other];
    // SAFETY: `look_at` gets what is described there, and the pair.
    unsafe { dl_iterate_phdr(Some(look_at), (&raw const pair).cast_mut().cast()) == BOTH }
}

/// Of `look_at`: the object holds one of the addresses alone, or both. (Zero: neither; go on.)
const ONE: c_int = 1;
const BOTH: c_int = 2;

/// # Safety
/// `info` describes a loaded object; `pair` are two addresses.
unsafe extern "C" fn look_at(info: *mut dl_phdr_info, _: usize, pair: *mut c_void) -> c_int {
    // SAFETY: as the caller guarantees.
    let (info, pair) = unsafe { (&*info, &*pair.cast::<[usize; 2]>()) };
    if info.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: an object has so many program headers there.
    let segments = unsafe { slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let holds = |address: &usize| {
        segments.iter().filter(|segment| segment.p_type == libc::PT_LOAD).any(|segment| {
            let start = info.dlpi_addr.wrapping_add(segment.p_vaddr) as usize;
            address.wrapping_sub(start) < segment.p_memsz as usize
        })
    };
    match pair.iter().filter(|address| holds(address)).count() {
        2 => BOTH,
        1 => ONE,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_in_the_object_that_has_them() {
        let here = are_in_one as *const () as usize;
        let also_here = look_at as *const () as usize;
        let [read, write] = [libc::read as *const () as usize, libc::write as *const () as usize];
        assert!(are_in_one(here, also_here));
        assert!(are_in_one(read, write));
        assert!(!are_in_one(here, write));
        assert!(!are_in_one(read, also_here));
        // In no object.
        let on_the_heap = Box::new(0);
        assert!(!are_in_one((&raw const *on_the_heap) as usize, here));
        assert!(!are_in_one(0, usize::MAX));
    }
}
