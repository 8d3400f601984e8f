//! Any bytes are the body of a user's command, or refused; what is taken, `track` reads.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    let _taken = gateway::fuzz_command(body);
});
