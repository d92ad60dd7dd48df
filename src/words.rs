//! What the system calls an error, in English.
//!
//! In a program that has set a locale, the C library translates it (strerror_r(3)). To find out into
//! which language, glibc looks at the environment (`LANGUAGE`) each time, and a thread of this library
//! must not do that: the program may be changing it (setenv(3)).

use std::fmt::Display;

/// The text of an error.
pub(crate) fn of(error: &dyn Display) -> String {
    let _english = untranslated::Here::enter();
    error.to_string()
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod untranslated {
    use std::ptr;

    /// The thread's locale is that of the C library itself, in which nothing is translated.
    pub(super) struct Here(libc::locale_t);

    impl Here {
        pub(super) fn enter() -> Self {
            // SAFETY: a static object, so it needs no release.
            let plain =
                unsafe { libc::newlocale(libc::LC_ALL_MASK, c"C".as_ptr(), ptr::null_mut()) };
            // SAFETY: a locale, or null, which changes nothing.
            Self(unsafe { libc::uselocale(plain) })
        }
    }

    impl Drop for Here {
        fn drop(&mut self) {
            // SAFETY: what was in use before.
            unsafe { libc::uselocale(self.0) };
        }
    }
}

/// Elsewhere the C library has its translations from the locale alone, or none.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod untranslated {
    pub(super) struct Here(());

    impl Here {
        pub(super) fn enter() -> Self {
            Self(())
        }
    }
}
