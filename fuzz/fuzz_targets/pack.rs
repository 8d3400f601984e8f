//! Any text is a mapping pack, or refused with lines that are in it; one that is taken maps a row.
#![no_main]

use std::sync::Arc;

use geography::{Boundaries, PostalCodes};
use mapping::{Mapper, Pack, Places, check_columns, lint};

libfuzzer_sys::fuzz_target!(|text: &str| {
    drop(lint(text));
    let Ok(pack) = Pack::parse(text) else { return };
    let names: Vec<String> = pack.columns().iter().map(|c| format!("{c:?}")).collect();
    let _fits = check_columns(&pack, &names);
    let mut row = b"{".to_vec();
    for (at, name) in pack.required_columns().enumerate() {
        if at > 0 {
            row.push(b',');
        }
        messages::json::write_str(&mut row, name);
        row.extend_from_slice(b":\"12\"");
    }
    row.push(b'}');
    let codes = PostalCodes::read([]).expect("nothing is no fault");
    let mut mapper = Mapper::new(Arc::new(pack), Places::new(codes, Boundaries::built_in()));
    for row in [String::from_utf8(row).expect("built of texts").as_str(), "{}", "[]", "{\"a\":null}"] {
        if let Ok(mapped) = mapper.map(row) {
            let listing = std::str::from_utf8(mapped.listing).expect("a listing is UTF-8");
            assert!(messages::json::value(listing).is_ok(), "a listing is JSON: {listing}");
        }
    }
});
