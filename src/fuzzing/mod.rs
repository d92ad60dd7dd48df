//! What the fuzzer runs: each target takes any bytes and panics if a property does not hold. The
//! package `fuzz/` drives them with libFuzzer; `cargo test` runs them on the committed corpora.
//!
//! - [`answer`], [`error_answer`], [`retry_after`] what a token endpoint may send
//! - [`redaction`] what may be shown of its texts
//! - [`scope`], [`options`], [`url`] what a program sets
//! - [`record`], [`reply`] what a store may return
//! - [`core`] the core's entry point, against the account of the property tests

mod answer;
mod bytes;
mod core;
mod options;
mod redaction;
mod store;
mod text;

pub use self::answer::{answer, error_answer, retry_after};
pub use self::core::core;
#[cfg(feature = "redis")]
pub use self::options::redis_url;
pub use self::options::{Named, options, scope, url};
pub use self::redaction::redaction;
pub use self::store::record;
#[cfg(feature = "redis")]
pub use self::store::reply;

/// Any bytes are acceptable.
pub type Target = fn(&[u8]);

/// Every target, by the name of its corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("answer", answer),
    ("core", core),
    ("error_answer", error_answer),
    ("options", options),
    ("record", record),
    ("redaction", redaction),
    #[cfg(feature = "redis")]
    ("reply", reply),
    ("retry_after", retry_after),
    ("scope", scope),
    ("url", |data| {
        url(data);
    }),
    #[cfg(feature = "redis")]
    ("redis_url", redis_url),
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// What the fuzzer found, and what it needs to reach all code: each file is an input.
    #[test]
    fn the_corpora_of_the_fuzzer_find_nothing() {
        let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        for (name, target) in TARGETS {
            let files: Vec<_> = fs::read_dir(corpora.join(name)).expect(name).collect();
            assert!(!files.is_empty(), "{name}");
            for file in files {
                let path = file.unwrap().path();
                let data = fs::read(&path).unwrap();
                let outcome = std::panic::catch_unwind(|| target(&data));
                assert!(outcome.is_ok(), "{}", path.display());
            }
        }
    }

    #[test]
    fn any_target_takes_no_bytes_and_all_bytes() {
        let all: Vec<u8> = (0..=255).collect();
        for (_, target) in TARGETS {
            target(&[]);
            target(&all);
            target(&all.repeat(20));
        }
    }
}
