//! Any bytes are a value of `listing.current`: read, whole or its head, or refused; what is read is written the same.
#![no_main]

use messages::current::{Current, Head};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(current) = Current::parse(bytes) {
        let written = current.write("f:1");
        assert_eq!(Current::parse(&written), Ok(current), "written and read again it differs");
        Head::parse(&written).expect("its head is read as well");
    }
    let _head = Head::parse(bytes);
});
