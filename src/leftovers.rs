//! Wipes what other code leaves behind outside the heap. Hash functions and ciphers copy parts of secrets and tokens to the
//! stack and to vector registers; both appear in a core dump while the thread is idle.

/// How much of its thread's stack a piece of work uses. Each page of it that was not in use before takes a microsecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// A token request, with its TLS, was seen to use 49 KiB.
    Deep,
    /// Looking for a token in a file store was seen to use 11 KiB. (Code that is not optimised uses more of everything.)
    Shallow,
}

const DEEP: usize = 64 * 1024;
const SHALLOW: usize = if cfg!(debug_assertions) { DEEP } else { 16 * 1024 };

/// After a piece of work on one of the library's own threads.
pub(crate) fn wipe_thread(depth: Depth) {
    match depth {
        Depth::Deep => wipe_stack::<DEEP>(),
        Depth::Shallow => wipe_stack::<SHALLOW>(),
    }
    wipe_registers();
}

/// Overwrites the stack below the caller's frame, which functions that it has called used.
#[inline(never)]
pub(crate) fn wipe_stack<const BYTES: usize>() {
    // The threads of explored schedules have small stacks.
    #[cfg(not(all(test, feature = "__shuttle")))]
    std::hint::black_box(&mut [0_u8; BYTES]);
}

/// Clears the vector registers that a function need not preserve.
#[cfg(all(target_arch = "x86_64", not(miri)))]
fn wipe_registers() {
    use std::arch::asm;

    let enabled = enabled_registers();
    if enabled & (YMM | ZMM) == YMM | ZMM {
        // SAFETY: the processor has these registers and the system has enabled them, the compiler is told that they
        // change, and nothing else does.
        unsafe {
            asm!(
                "vpxord zmm16, zmm16, zmm16",
                "vmovdqa64 zmm17, zmm16",
                "vmovdqa64 zmm18, zmm16",
                "vmovdqa64 zmm19, zmm16",
                "vmovdqa64 zmm20, zmm16",
                "vmovdqa64 zmm21, zmm16",
                "vmovdqa64 zmm22, zmm16",
                "vmovdqa64 zmm23, zmm16",
                "vmovdqa64 zmm24, zmm16",
                "vmovdqa64 zmm25, zmm16",
                "vmovdqa64 zmm26, zmm16",
                "vmovdqa64 zmm27, zmm16",
                "vmovdqa64 zmm28, zmm16",
                "vmovdqa64 zmm29, zmm16",
                "vmovdqa64 zmm30, zmm16",
                "vmovdqa64 zmm31, zmm16",
                clobber_abi("sysv64"),
                options(nomem, nostack, preserves_flags),
            );
        }
    }
    if enabled & YMM == YMM {
        // SAFETY: as above.
        unsafe {
            asm!("vzeroall", clobber_abi("sysv64"), options(nomem, nostack, preserves_flags));
        }
    }
}

/// The bits of XCR0 for the registers of AVX, and for those that AVX-512 adds.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const YMM: u64 = 0b110;
#[cfg(all(target_arch = "x86_64", not(miri)))]
const ZMM: u64 = 0b1110_0000;

/// The register XCR0: the system enables only what the processor has. Not by `is_x86_feature_detected`, which executes
/// CPUID ten times: in a virtual machine the hypervisor executes it, which takes 8 to 20 microseconds each time.
#[cfg(all(target_arch = "x86_64", not(miri)))]
fn enabled_registers() -> u64 {
    use std::arch::{asm, x86_64::__cpuid};
    use std::sync::atomic::{AtomicU8, Ordering};

    /// Whether there is an instruction to read XCR0. 0: not known yet; 1: no; 2: yes.
    static READABLE: AtomicU8 = AtomicU8::new(0);
    const OSXSAVE: u32 = 1 << 27;

    let mut readable = READABLE.load(Ordering::Relaxed);
    if readable == 0 {
        #[allow(unused_unsafe, reason = "it is a safe function from some version of Rust on")]
        // SAFETY: every processor of this kind has CPUID with this leaf.
        let found = unsafe { __cpuid(1) };
        readable = 1 + u8::from(found.ecx & OSXSAVE != 0);
        READABLE.store(readable, Ordering::Relaxed);
    }
    if readable == 1 {
        return 0;
    }
    let (low, high): (u32, u32);
    // SAFETY: the system has enabled the instruction, which only reads. (Not kept from one call to the next: macOS
    // enables AVX-512 for a thread when it is first used there.)
    unsafe {
        asm!(
            "xgetbv",
            in("ecx") 0,
            out("eax") low,
            out("edx") high,
            options(nomem, nostack, preserves_flags),
        );
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Clears the vector registers that a function need not preserve.
#[cfg(all(target_arch = "aarch64", not(miri)))]
fn wipe_registers() {
    // SAFETY: every processor of this kind has these registers, the compiler is told that they change, and nothing else
    // does.
    unsafe {
        std::arch::asm!(
            "movi v0.2d, #0",
            "movi v1.2d, #0",
            "movi v2.2d, #0",
            "movi v3.2d, #0",
            "movi v4.2d, #0",
            "movi v5.2d, #0",
            "movi v6.2d, #0",
            "movi v7.2d, #0",
            "movi v16.2d, #0",
            "movi v17.2d, #0",
            "movi v18.2d, #0",
            "movi v19.2d, #0",
            "movi v20.2d, #0",
            "movi v21.2d, #0",
            "movi v22.2d, #0",
            "movi v23.2d, #0",
            "movi v24.2d, #0",
            "movi v25.2d, #0",
            "movi v26.2d, #0",
            "movi v27.2d, #0",
            "movi v28.2d, #0",
            "movi v29.2d, #0",
            "movi v30.2d, #0",
            "movi v31.2d, #0",
            clobber_abi("C"),
            options(nomem, nostack, preserves_flags),
        );
    }
}

/// Other processors keep what is in their registers until the thread's next work.
#[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri))))]
fn wipe_registers() {}

#[cfg(all(test, target_os = "linux", not(miri), not(feature = "__shuttle")))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::config::options::Options;
    use crate::credentials::Credentials;
    use crate::endpoint::Granted;
    use crate::scope::ScopeSet;
    use crate::secret::Secret;
    use crate::store::file::FileStore;
    use crate::store::record::{self, Clocks};
    use crate::store::seal::Seal;
    use crate::store::{Store, boot};

    const UNTOUCHED: u8 = 0xa5;

    /// How much of a thread's stack a function uses, in bytes; what the C library keeps there is included.
    fn stack_used<F: FnMut()>(mut work: F) -> usize {
        extern "C" fn run<F: FnMut()>(work: *mut libc::c_void) -> *mut libc::c_void {
            // SAFETY: it is the closure below, which waits for this thread.
            unsafe { (*work.cast::<F>())() };
            std::ptr::null_mut()
        }
        let mut stack = vec![UNTOUCHED; 1024 * 1024];
        // SAFETY: the stack outlives the thread, which is waited for, and nothing else uses it meanwhile.
        unsafe {
            let mut attributes = std::mem::zeroed();
            let mut thread = std::mem::zeroed();
            assert_eq!(libc::pthread_attr_init(&mut attributes), 0);
            let place = stack.as_mut_ptr().cast();
            assert_eq!(libc::pthread_attr_setstack(&mut attributes, place, stack.len()), 0);
            let work = (&raw mut work).cast();
            assert_eq!(libc::pthread_create(&mut thread, &attributes, run::<F>, work), 0);
            assert_eq!(libc::pthread_join(thread, std::ptr::null_mut()), 0);
            libc::pthread_attr_destroy(&mut attributes);
        }
        stack.len() - stack.iter().position(|byte| *byte != UNTOUCHED).unwrap_or(stack.len())
    }

    #[test]
    fn work_at_a_file_store_uses_no_more_stack_than_is_wiped_after_it() {
        let place = tempfile::tempdir().unwrap();
        let work = || {
            let scope = ScopeSet::parse("asset.view").unwrap();
            let credentials = Credentials::new("id", "secret");
            let seal = Seal::new(&Options::default(), &credentials, &scope);
            let (now, wall_ms) = (Clock::System.now(), Clock::System.wall_ms());
            let here = Clocks { boot: boot::session(), now, wall_ms };
            let granted = Granted {
                value: Secret::new("token"),
                scope: "asset.view".to_owned(),
                lifetime: Duration::from_secs(1200),
                warnings: Vec::new(),
            };
            let text = record::write(&granted, now, Duration::from_secs(600), &here);
            let store = FileStore::new(Some(&place.path().join("store")), &Default::default());
            store.save(seal.name(), &seal.seal(&text).unwrap(), granted.lifetime).unwrap();
            let found = store.load(seal.name()).unwrap().unwrap();
            let text = seal.open(&found.record).unwrap();
            assert!(record::Record::read(&text, &scope, false).is_ok());
        };
        let used = stack_used(work) - stack_used(|| ());
        assert!((1024..SHALLOW).contains(&used), "{used} bytes");
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_registers_to_wipe_are_those_that_the_processor_has() {
        use std::arch::is_x86_feature_detected;
        let enabled = enabled_registers();
        assert_eq!(enabled & YMM == YMM, is_x86_feature_detected!("avx"));
        assert_eq!(enabled & (YMM | ZMM) == YMM | ZMM, is_x86_feature_detected!("avx512f"));
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn vector_registers_are_wiped() {
        use std::arch::{asm, is_x86_feature_detected};
        if !is_x86_feature_detected!("avx") {
            return;
        }
        // One that each system lets functions overwrite.
        let mut left = [1_u64; 4];
        // SAFETY: the processor has these registers; the function is called as C functions are.
        unsafe {
            asm!(
                "vpcmpeqd xmm5, xmm5, xmm5",
                "vinsertf128 ymm5, ymm5, xmm5, 1",
                "call {wipe}",
                "vmovdqu [r12], ymm5",
                wipe = sym wipe_in_c,
                in("r12") left.as_mut_ptr(),
                clobber_abi("C"),
            );
        }
        assert_eq!(left, [0; 4]);
    }

    #[cfg(target_arch = "x86_64")]
    extern "C" fn wipe_in_c() {
        wipe_registers();
    }
}
