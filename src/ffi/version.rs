//! Which version this is.

use std::ffi::c_char;

/// The version of this header.
pub const TU_VERSION_MAJOR: u32 = 0;
/// See TU_VERSION_MAJOR.
pub const TU_VERSION_MINOR: u32 = 1;
/// See TU_VERSION_MAJOR.
pub const TU_VERSION_PATCH: u32 = 0;

/// The version of the library that is loaded, such as "0.1.0". Static.
#[unsafe(no_mangle)]
pub extern "C" fn tu_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The version of the library that is loaded as 0xXXYYZZ; compare it with TU_VERSION_NUMBER, the
/// version of the header.
#[unsafe(no_mangle)]
pub extern "C" fn tu_version_number() -> u32 {
    TU_VERSION_MAJOR << 16 | TU_VERSION_MINOR << 8 | TU_VERSION_PATCH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_tells_the_packages_version() {
        let of_header = format!("{TU_VERSION_MAJOR}.{TU_VERSION_MINOR}.{TU_VERSION_PATCH}");
        assert_eq!(of_header, env!("CARGO_PKG_VERSION"));
    }
}
