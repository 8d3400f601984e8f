//! Any text is a query of the HTTP API, or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _taken = gateway::fuzz_query(text);
});
