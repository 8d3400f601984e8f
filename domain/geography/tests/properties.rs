//! What must hold for any bytes and any coordinates.

use geography::{Agreement, Boundaries, Country, PostalCodes, Region, examine};
use proptest::prelude::*;

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), packed: bool) {
        let bytes = if packed { [b"PK\x03\x04".as_slice(), &bytes].concat() } else { bytes };
        let read = PostalCodes::read([bytes.as_slice()]);
        prop_assert!(read.is_err() || read.is_ok_and(|codes| codes.summary().records <= bytes.len()));
        prop_assert!(Boundaries::read(&bytes).is_err());
    }

    #[test]
    fn any_code_and_any_point_are_answered(code in ".{0,10}", lat: f64, lon: f64, index in 0usize..65) {
        let text = "country_code,zipcode,state,state_code,latitude,longitude\nUS,98178,Washington,WA,47.5,-122.2\n";
        let codes = PostalCodes::read([text.as_bytes()]).unwrap();
        prop_assert!(codes.centroid(Country::Us, &code).is_none() || code.starts_with("98178"));
        prop_assert!(codes.centroid(Country::Ca, &code).is_none());
        let region = Region::all().nth(index).unwrap();
        let inside = Boundaries::built_in().check(lat, lon, region) == Agreement::Inside;
        prop_assert!(!inside || examine(lat, lon).is_none());
    }
}
