//! Any bytes are a CSV file, read to its end.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _counts = ingest::decode::fuzz_csv(bytes);
});
