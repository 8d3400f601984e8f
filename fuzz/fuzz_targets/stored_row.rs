//! Any bytes are a row of the log, compressed or not, and a stored value of the view.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (u8, &[u8])| {
    let (codec, bytes) = input;
    let _records = bus_sqlite::fuzz_stored_row(i64::from(codec % 4), bytes);
    let _length = gateway::fuzz_stored_value(bytes);
});
