//! Any bytes are JSON Lines, read to their end.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _counts = ingest::decode::fuzz_json_lines(bytes);
});
