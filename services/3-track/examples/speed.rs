//! How long a decision takes: `cargo run --release -p track --example speed`.
//!
//! Prints microseconds for each message of about 1.2 KB and 40 fields: reading it, reading the state, deciding,
//! and making all that is written. The fastest of many short rounds counts, since other work only ever adds.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]
#![allow(clippy::disallowed_methods, reason = "a stopwatch needs the machine's clock")]

use std::hint::black_box;
use std::time::Instant;

use messages::change::Change;
use messages::observed::{Observed, write_delete};
use track::Decision;

const ROUNDS: u32 = 400;
const MESSAGES: u32 = 100;

fn main() {
    let key = "king-county:7129300520";
    let first = observed("2022-01-01T00:00:00.000Z", 1, &listing("221900"));
    let later = observed("2022-02-01T00:00:00.000Z", 1, &listing("221900"));
    let changed = observed("2022-02-01T00:00:00.000Z", 1, &listing("231900"));
    let remapped = observed("2022-01-01T00:00:00.000Z", 2, &listing("231900"));
    let mut deleted = Vec::new();
    write_delete(&mut deleted, "2022-02-01T00:00:00.000Z", 1, "absent");
    let state = decide(key, None, &first).current;
    let state = state.as_deref();
    println!("message {} bytes, state {} bytes", first.len(), state.map_or(0, <[u8]>::len));
    for (name, state, message) in [
        ("new", None, &first),
        ("changed", state, &changed),
        ("unchanged, the same again", state, &first),
        ("unchanged, a newer snapshot", state, &later),
        ("mapped anew", state, &remapped),
        ("deleted", state, &deleted),
    ] {
        println!("{name:<28} {:6.2} us", fastest_us(key, state, message));
    }
}

fn fastest_us(key: &str, state: Option<&[u8]>, message: &[u8]) -> f64 {
    let round = || {
        let start = Instant::now();
        for _ in 0..MESSAGES {
            black_box(decide(black_box(key), black_box(state), black_box(message)));
        }
        start.elapsed().as_secs_f64() * 1e6 / f64::from(MESSAGES)
    };
    (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min)
}

fn decide(key: &str, state: Option<&[u8]>, message: &[u8]) -> Decision {
    let change = Change::parse(message).expect("it was written by the writer");
    track::decide(key, state, &change).expect("both are good")
}

fn observed(as_of: &str, revision: u32, listing: &str) -> Vec<u8> {
    let mut out = Vec::new();
    Observed {
        as_of,
        seq: 17,
        source_timestamp: None,
        pack: "king-county",
        revision,
        listing: listing.as_bytes(),
        hash: messages::hash(listing.as_bytes()),
        notes: &[],
    }
    .write(&mut out);
    out
}

/// A listing as `normalize` makes them: 40 fields, canonical.
fn listing(price: &str) -> String {
    let fields = [
        ("AboveGradeFinishedArea", "1180"),
        ("ArchitecturalStyle", "[\"Craftsman\",\"Bungalow\"]"),
        ("AssociationFee", "0"),
        ("BathroomsFull", "1"),
        ("BathroomsTotalInteger", "1"),
        ("BedroomsTotal", "3"),
        ("BelowGradeFinishedArea", "0"),
        ("City", "\"Seattle\""),
        ("CloseDate", "\"2014-10-13\""),
        ("ClosePrice", price),
        ("Country", "\"US\""),
        ("CountyOrParish", "\"King\""),
        ("Currency", "\"USD\""),
        ("Directions", "\"North on Rainier Avenue, left at the second light\""),
        ("InternetAddressDisplayYN", "true"),
        ("InternetEntireListingDisplayYN", "true"),
        ("Latitude", "47.5112"),
        ("ListOfficeName", "\"Windermere Real Estate Company\""),
        ("ListPrice", "225000"),
        ("ListingId", "\"7129300520\""),
        ("LivingArea", "1180"),
        ("LivingAreaUnits", "\"Square Feet\""),
        ("Longitude", "-122.257"),
        ("LotSizeArea", "5650"),
        ("LotSizeUnits", "\"Square Feet\""),
        ("MlsStatus", "\"Sold\""),
        ("ModificationTimestamp", "\"2014-10-13T00:00:00.000Z\""),
        ("PhotosCount", "12"),
        ("PostalCode", "\"98178\""),
        ("PropertySubType", "\"Single Family Residence\""),
        ("PropertyType", "\"Residential\""),
        ("PublicRemarks", "\"Charming three bedroom home close to parks, schools and shops\""),
        ("StandardStatus", "\"Closed\""),
        ("StateOrProvince", "\"WA\""),
        ("StoriesTotal", "1"),
        ("StreetName", "\"Rainier\""),
        ("StreetNumber", "\"11423\""),
        ("StreetSuffix", "\"Avenue\""),
        ("UnparsedAddress", "\"11423 Rainier Avenue S, Seattle, WA 98178\""),
        ("YearBuilt", "1955"),
    ];
    messages::change::fields::object_text(fields.into_iter())
}
