#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tu_token::fuzzing::redaction(data));
