//! Identifies the boot session that a boot clock belongs to.

/// Identifies this boot of the machine: boot times may be compared between processes that see the
/// same identifier. `None`: unknown; only the wall clock can be used.
pub(crate) fn session() -> Option<String> {
    imp::session()
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod imp {
    pub(super) fn session() -> Option<String> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let boot = boot.trim_ascii();
        // A container may have its own time namespace: the same boot, a different boot clock.
        let namespace = std::fs::read_link("/proc/self/ns/time").unwrap_or_default();
        (!boot.is_empty()).then(|| format!("{boot} {}", namespace.display()))
    }
}

#[cfg(target_os = "macos")]
mod imp {
    pub(super) fn session() -> Option<String> {
        let mut text = [0u8; 64];
        let mut length = text.len();
        // SAFETY: the name is NUL-terminated, and the buffer has `length` bytes; the call writes at
        // most that many and sets `length` to the number written.
        let status = unsafe {
            libc::sysctlbyname(
                c"kern.bootsessionuuid".as_ptr(),
                text.as_mut_ptr().cast(),
                &mut length,
                std::ptr::null_mut(),
                0,
            )
        };
        let text = text.get(..length).filter(|_| status == 0)?;
        let text = std::str::from_utf8(text).ok()?.trim_end_matches('\0');
        (!text.is_empty()).then(|| text.to_owned())
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos")))]
mod imp {
    pub(super) fn session() -> Option<String> {
        None
    }
}
