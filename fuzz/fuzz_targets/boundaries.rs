//! Any bytes are a GeoJSON file of boundaries, or refused.
#![no_main]

use geography::{Boundaries, Region};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(boundaries) = Boundaries::read(bytes) {
        let _outlines = boundaries.outlines();
        for region in Region::all() {
            let (lat, lon) = region.centre();
            let _agreement = boundaries.check(lat, lon, region);
            let _found = boundaries.locate(lat, lon);
        }
        for (lat, lon) in [(f64::NAN, 0.0), (91.0, -181.0), (51.0, f64::INFINITY)] {
            let _found = boundaries.locate(lat, lon);
        }
    }
});
