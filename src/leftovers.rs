//! Wipes what other code leaves behind outside the heap. Hash functions and ciphers copy parts of secrets and tokens to the
//! stack and to vector registers; both appear in a core dump while the thread is idle.

/// What a token request, with its TLS, was seen to use of a thread's stack (49 KiB), and more.
const DEEP: usize = 64 * 1024;

/// After a piece of work on one of the library's own threads.
pub(crate) fn wipe_thread() {
    wipe_stack::<DEEP>();
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
    use std::arch::{asm, is_x86_feature_detected};

    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor and the system have these registers, the compiler is told that they change, and nothing
        // else does.
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
    if is_x86_feature_detected!("avx") {
        // SAFETY: as above.
        unsafe {
            asm!("vzeroall", clobber_abi("sysv64"), options(nomem, nostack, preserves_flags));
        }
    }
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
