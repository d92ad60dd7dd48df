//! The version, for the preprocessor and at run time.

use std::ffi::c_char;

/// Version of this header.
pub const TU_VERSION_MAJOR: u32 = 0;
/// See TU_VERSION_MAJOR.
pub const TU_VERSION_MINOR: u32 = 1;
/// See TU_VERSION_MAJOR.
pub const TU_VERSION_PATCH: u32 = 0;

/// Version of the loaded library, such as "0.1.0". Static.
#[unsafe(no_mangle)]
pub extern "C" fn tu_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Version of the loaded library as 0xXXYYZZ; compare with TU_VERSION_NUMBER, the header's version.
#[unsafe(no_mangle)]
pub extern "C" fn tu_version_number() -> u32 {
    TU_VERSION_MAJOR << 16 | TU_VERSION_MINOR << 8 | TU_VERSION_PATCH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_version_is_the_package_version() {
        let of_header = format!("{TU_VERSION_MAJOR}.{TU_VERSION_MINOR}.{TU_VERSION_PATCH}");
        assert_eq!(of_header, env!("CARGO_PKG_VERSION"));
    }
}
