//! Any text is an address; standardised again it is the same.
#![no_main]

use address::{Country, PostalCode, StateOrProvince, parse_full, standardize, tidy_city};

libfuzzer_sys::fuzz_target!(|text: &str| {
    for country in [Country::Us, Country::Ca] {
        let once = standardize(text, country);
        let twice = standardize(&once.unparsed_address, country);
        assert_eq!(once.unparsed_address, twice.unparsed_address, "a line changes when it is read again");
        drop(parse_full(text, Some(country)));
        drop(tidy_city(text, country));
        let _code = PostalCode::parse(text, country);
    }
    drop(parse_full(text, None));
    let _state = StateOrProvince::parse(text);
});
