//! Random names and keys from the system's generator.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};

/// `length` random bytes.
///
/// # Panics
/// If the operating system cannot provide random bytes: nothing secure could be returned.
pub(crate) fn bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    SystemRandom::new().fill(&mut bytes).expect("the operating system's random generator failed");
    bytes
}

/// `prefix`, followed by `length` random bytes in URL-safe base64.
pub(crate) fn name(prefix: &str, length: usize) -> String {
    let mut name = String::from(prefix);
    URL_SAFE_NO_PAD.encode_string(bytes(length), &mut name);
    name
}
