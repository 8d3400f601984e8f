//! Any text in any column: numbers, dates, times, lookups and lists are mapped, noted or refused. What is mapped is
//! JSON, and mapped again it is the same bytes.
#![no_main]

use std::cell::RefCell;
use std::sync::Arc;

use geography::{Boundaries, PostalCodes};
use mapping::{Mapper, Pack, Places};
use messages::Decimal;
use messages::time::Moment;

const PACK: &str = r#"
name = "fuzz"
[source]
format = "csv"
key = "{ID}"
timestamp = { column = "AT" }
[constants]
Country = "US"
StateOrProvince = "WA"
[fields]
ListPrice = "V"
OriginalListPrice = "V"
YearBuilt = "V"
BedroomsTotal = "V"
LivingArea = { column = "V", unit = "Square Meters" }
LotSizeArea = { column = "V", unit = "Acres", null_at_most = 0 }
ListingContractDate = "V"
CloseDate = { column = "V", form = "%m/%d/%Y" }
ExpirationDate = { column = "V", form = "%Y%m%dT%H%M%S" }
ModificationTimestamp = "V"
Latitude = "V"
Longitude = "V"
PostalCode = "V"
City = { column = "V", case = "title" }
InternetEntireListingDisplayYN = "V"
PublicRemarks = "V"
[address]
line = "V"
"#;

thread_local! {
    static MAPPER: RefCell<Mapper> = RefCell::new({
        let codes = PostalCodes::read([]).expect("nothing is no fault");
        let pack = Pack::parse(PACK).expect("the pack above");
        Mapper::new(Arc::new(pack), Places::new(codes, Boundaries::built_in()))
    });
}

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Some(number) = Decimal::parse(text) {
        let mut out = Vec::new();
        number.write(&mut out);
        let written = std::str::from_utf8(&out).expect("digits");
        assert_eq!(Decimal::parse(written), Some(number), "{text} is written {written}");
        let _ = (number.to_f64(), number.to_integer(), number.round(2), number.shift(3));
    }
    if let Some(moment) = Moment::parse(text) {
        let mut out = Vec::new();
        moment.write(&mut out);
        let written = std::str::from_utf8(&out).expect("digits");
        assert_eq!(Moment::parse(written), Some(moment), "{text} is written {written}");
    }
    let _ = (ingest::AsOf::parse(text), ingest::AsOf::from_name(text));
    let mut row = b"{\"ID\":\"1\",\"AT\":".to_vec();
    messages::json::write_str(&mut row, if text.len() < 40 { text } else { "" });
    row.extend_from_slice(b",\"V\":");
    messages::json::write_str(&mut row, text);
    row.push(b'}');
    let row = String::from_utf8(row).expect("built of texts");
    MAPPER.with_borrow_mut(|mapper| {
        let Ok(mapped) = mapper.map(&row) else { return };
        let listing = String::from_utf8(mapped.listing.to_vec()).expect("a listing is UTF-8");
        assert!(messages::json::value(&listing).is_ok(), "a listing is JSON: {listing}");
        let again = mapper.map(&row).expect("it was mapped before");
        assert_eq!(again.listing, listing.as_bytes());
    });
});
