//! Any bytes are a file of postal codes, tab-separated, CSV or zipped, or refused.
#![no_main]

use geography::{Country, PostalCodes};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(codes) = PostalCodes::read([bytes]) {
        for (country, code) in [(Country::Us, "98178"), (Country::Ca, "T2P 1A1"), (Country::Us, "00501")] {
            if let Some(place) = codes.centroid(country, code) {
                assert!(place.lat.abs() <= 90.0 && place.lon.abs() <= 180.0, "{place:?}");
            }
        }
    }
});
