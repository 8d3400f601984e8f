//! Any lines are events of one listing: folded or refused.
#![no_main]

use messages::event::{Event, Fold};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut fold = Fold::default();
    for line in bytes.split(|b| *b == b'\n') {
        if let Ok(event) = Event::parse(line) {
            let written = event.write();
            assert_eq!(Event::parse(&written).as_ref(), Ok(&event), "written and read again it differs");
        }
        if fold.add(line).is_err() {
            break;
        }
    }
    drop(fold.listing());
});
