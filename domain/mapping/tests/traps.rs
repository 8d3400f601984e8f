//! Single rows through the packs, one line for each trap that a stranger's file has set.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::sync::Arc;

use geography::{Boundaries, PostalCodes};
use mapping::{Mapper, Pack, Places};
use proptest::prelude::*;
use serde_json::{Value, json};

const PACKS: [&str; 4] = ["king-county", "calgary", "staten-island", "simulated-mls"];

fn text(pack: &str) -> String {
    fs::read_to_string(format!("{}/../../packs/{pack}.toml", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn mapper(pack: &str) -> Mapper {
    let postal_codes = PostalCodes::read([]).unwrap();
    Mapper::new(
        Arc::new(Pack::parse(&text(pack)).unwrap()),
        Places::new(postal_codes, Boundaries::built_in()),
    )
}

fn row(pack: &str) -> Value {
    match pack {
        "king-county" => json!({
            "id": "0001000102", "date": "20140923T000000", "price": "280000", "bedrooms": "6", "bathrooms": "3",
            "sqft_living": "2400", "sqft_lot": "9373", "floors": "2", "waterfront": "0", "sqft_above": "2400",
            "sqft_basement": "0", "yr_built": "1991", "yr_renovated": "0", "zipcode": "98002", "lat": "47.3262",
            "long": "-122.214",
        }),
        "calgary" => json!({
            "ROLL_NUMBER": "200404465", "ROLL_YEAR": "2022", "ADDRESS": "1636 WESTMOUNT BV NW",
            "ASSESSED_VALUE": "622500", "COMM_CODE": "HIL", "COMM_NAME": "HILLHURST", "LAND_SIZE_SM": "333.8",
            "LAND_SIZE_SF": "3593", "LAND_SIZE_AC": "0.08", "YEAR_OF_CONSTRUCTION": "2003",
        }),
        "staten-island" => json!({
            "BOROUGH": "5", "NEIGHBORHOOD": "ANNADALE                 ",
            "BUILDING CLASS CATEGORY": "01  ONE FAMILY DWELLINGS                    ", "BLOCK": "5391", "LOT": "9",
            "ADDRESS": "4726 AMBOY ROAD                          ", "APARTMENT NUMBER": "            ",
            "ZIP CODE": "10312", "TOTAL UNITS": "1", "LAND SQUARE FEET": " 3,067 ", "GROSS SQUARE FEET": " 910 ",
            "YEAR BUILT": "2002", "SALE PRICE": " 520,000 ", "SALE DATE": "4/21/2016",
        }),
        _ => json!({
            "MLS_NUM": "00000123", "STATUS_CD": "A", "PROP_TYPE": "SFR", "LIST_PRICE": "525,000",
            "ORIG_PRICE": 540_000, "CLOSE_PRICE": null, "LIST_DATE": "03/09/2026", "CLOSE_DATE": null,
            "EXP_DATE": "09/09/2026", "LAST_MOD": "2026-03-10T08:00:00.000Z", "ADDRESS": "1214 5TH AVE NE",
            "UNIT": null, "CITY": "Seattle", "ST": "WA", "ZIP": "98101", "LAT": 47.61, "LNG": -122.33, "BEDS": 3,
            "BATHS_FULL": 2, "BATHS_HALF": 1, "SQFT": "1,840", "SQM": null, "LOT_ACRES": 0.12, "YR_BLT": 1962,
            "HEAT": "FA,GAS", "COOL": "CENT", "PARK": "GAR 2", "TAX_AMT": 5123.07, "HOA_FEE": null,
            "SCHL_DIST": "Seattle Public Schools", "LOCKBOX": "SUPRA 00012345 CODE 0042", "PHOTO_CT": 18,
            "INET_YN": "Y", "ADDR_YN": "N", "LA_NAME": "A. Gent", "LA_NUM": "001234", "LO_NAME": "Homes & Co",
            "LO_NUM": "NL0042", "REMARKS": "Bright.", "PRIV_REMARKS": "Alarm: 1–2–3",
        }),
    }
}

/// Maps the pack's row with one column changed; gives the value of a field (null where it has none) and the codes of
/// the notes, or the code of the fault.
fn outcome(
    pack: &str,
    column: &str,
    value: &Value,
    field: &str,
) -> Result<(Value, Vec<&'static str>), &'static str> {
    let mut row = row(pack);
    if !column.is_empty() {
        assert!(row.get(column).is_some(), "{pack} has {column}");
        row[column] = value.clone();
    }
    let mut mapper = mapper(pack);
    let mapped = mapper.map(&row.to_string()).map_err(|fault| fault.code)?;
    let listing: Value = serde_json::from_slice(mapped.listing).unwrap();
    Ok((
        listing.get(field).cloned().unwrap_or_default(),
        mapped.notes.iter().map(|n| n.code).collect(),
    ))
}

fn check(pack: &str, column: &str, value: impl Into<Value>, field: &str, expect: impl Into<Value>) {
    check_noted(pack, column, value, (field, expect.into(), &[]));
}

fn check_noted(pack: &str, column: &str, value: impl Into<Value>, expect: (&str, Value, &[&str])) {
    let value = value.into();
    let (field, wanted, notes) = expect;
    let got = outcome(pack, column, &value, field)
        .unwrap_or_else(|code| panic!("{pack} {column}={value}: {code}"));
    assert_eq!(got, (wanted, notes.to_vec()), "{pack} {column}={value} {field}");
}

fn check_fault(pack: &str, column: &str, value: impl Into<Value>, code: &str) {
    let value = value.into();
    assert_eq!(outcome(pack, column, &value, "City"), Err(code), "{pack} {column}={value}");
}

#[test]
fn king_county() {
    let check = |column, value: &str, field, expect: Value| {
        check("king-county", column, value, field, expect)
    };
    check("price", "1.225e+006", "ClosePrice", json!(1_225_000));
    check("price", "1.00075e+006", "ClosePrice", json!(1_000_750));
    check("date", "20141013T000000", "CloseDate", json!("2014-10-13"));
    check("id", "0001000102", "ParcelNumber", json!("0001000102"));
    check("bedrooms", "0", "BedroomsTotal", json!(0));
    check("yr_renovated", "0", "YearBuiltEffective", json!(null));
    check("yr_renovated", "1991", "YearBuiltEffective", json!(1991));
    check("sqft_basement", "0", "BelowGradeFinishedArea", json!(null));
    check("sqft_basement", "0", "BelowGradeFinishedAreaUnits", json!(null));
    check("sqft_basement", "730", "BelowGradeFinishedAreaUnits", json!("Square Feet"));
    check("waterfront", "1", "WaterfrontYN", json!(true));
    check("floors", "1.5", "Levels", json!(["One and One Half"]));
    check("floors", "2.5", "Levels", json!(null));
    check("zipcode", "98198", "City", json!("Seattle"));
    for (text, full, part, total) in [
        ("0", 0, "", 0),
        ("0.5", 0, "BathroomsHalf", 1),
        ("1", 1, "", 1),
        ("2.25", 2, "BathroomsOneQuarter", 3),
        ("2.5", 2, "BathroomsHalf", 3),
        ("7.75", 7, "BathroomsThreeQuarter", 8),
    ] {
        check("bathrooms", text, "BathroomsFull", json!(full));
        check("bathrooms", text, "BathroomsTotalInteger", json!(total));
        if !part.is_empty() {
            check("bathrooms", text, part, json!(1));
        }
    }
}

#[test]
fn king_county_oddities_are_told() {
    let check = |column, value: &str, expect| check_noted("king-county", column, value, expect);
    check("bedrooms", "33", ("BedroomsTotal", json!(33), &["unusual"]));
    check("bathrooms", "2.3", ("BathroomsTotalInteger", json!(null), &["odd_bathrooms"]));
    check("bathrooms", "two", ("BathroomsTotalInteger", json!(null), &["unreadable_number"]));
    check("bathrooms", "1e30", ("BathroomsTotalInteger", json!(null), &["unreadable_number"]));
    check("yr_built", "19x1", ("YearBuilt", json!(null), &["unreadable_number"]));
    check(
        "zipcode",
        "9802",
        (
            "PostalCode",
            json!(null),
            &["unknown_lookup", "unreadable_postal_code", "missing", "missing"],
        ),
    );
    check("lat", "40.7", ("Latitude", json!(40.7), &["outside_state"]));
    check("lat", "0", ("PlaceMethod", json!("region"), &["coordinates_outside_country"]));
    check("lat", "", ("PlaceMethod", json!("region"), &["half_coordinates"]));
    check("lat", "-122.214", ("PlaceMethod", json!("region"), &["coordinates_out_of_range"]));
    check("long", "122.214", ("PlaceMethod", json!("region"), &["coordinates_lost_sign"]));
    for (column, value, code) in [
        ("price", "", "missing_value"),
        ("price", "five", "unreadable_number"),
        ("price", "-5", "negative_amount"),
        ("date", "20140230T000000", "impossible_date"),
        ("date", "2014-09-23", "impossible_date"),
        ("date", "", "missing_value"),
    ] {
        check_fault("king-county", column, value, code);
    }
}

#[test]
fn calgary() {
    let check =
        |column, value: &str, field, expect: Value| check("calgary", column, value, field, expect);
    check("", "", "UnparsedAddress", json!("1636 Westmount Blvd NW"));
    check("", "", "StreetDirSuffix", json!("NW"));
    check("ADDRESS", "12 BRIGHTONDALE CL SE", "StreetSuffix", json!("Close"));
    check("ADDRESS", "101 301 10 ST NW", "UnitNumber", json!("101"));
    check("", "", "Currency", json!("CAD"));
    check("", "", "LotSizeArea", json!(333.8));
    check("", "", "LotSizeUnits", json!("Square Meters"));
    check("", "", "StandardStatus", json!(null));
    check("", "", "PlaceMethod", json!("locality"));
    check("", "", "PlaceUncertaintyMeters", json!(1500));
    check("COMM_NAME", "NEW BRIGHTON", "SubdivisionName", json!("New Brighton"));
    check("YEAR_OF_CONSTRUCTION", "", "YearBuilt", json!(null));
    check("LAND_SIZE_SM", "0", "LotSizeUnits", json!(null));
    check("ASSESSED_VALUE", "0", "TaxAssessedValue", json!(0));
    check_fault("calgary", "ASSESSED_VALUE", "", "missing_value");
}

#[test]
fn staten_island() {
    let check = |column, value: &str, field, expect: Value| {
        check("staten-island", column, value, field, expect)
    };
    for (price, expect) in [
        (" 520,000 ", json!(520_000)),
        ("$1,200,000", json!(1_200_000)),
        (" -   ", json!(null)),
        ("$0", json!(null)),
        (" 10 ", json!(null)),
        ("$11", json!(11)),
    ] {
        check("SALE PRICE", price, "ClosePrice", expect);
    }
    check("SALE DATE", "8/5/2012", "CloseDate", json!("2012-08-05"));
    check("NEIGHBORHOOD", "GREAT KILLS              ", "SubdivisionName", json!("Great Kills"));
    check(
        "BUILDING CLASS CATEGORY",
        "01  ONE FAMILY HOMES          ",
        "PropertySubType",
        json!("Single Family Residence"),
    );
    check("BUILDING CLASS CATEGORY", "                 ", "PropertyType", json!(null));
    check("ADDRESS", "20 CLIFF STREET, 5H          ", "UnitNumber", json!("5H"));
    check("ADDRESS", "20 CLIFF STREET, 5H          ", "UnparsedAddress", json!("20 Cliff St #5H"));
    check("APARTMENT NUMBER", "2A          ", "UnitNumber", json!("2A"));
    check("APARTMENT NUMBER", "APT B", "UnitNumber", json!("B"));
    check("YEAR BUILT", "0", "YearBuilt", json!(null));
    check("LAND SQUARE FEET", " -   ", "LotSizeArea", json!(null));
    check("", "", "LotSizeArea", json!(3067));
    let note = |column, value: &str, expect| check_noted("staten-island", column, value, expect);
    note("ZIP CODE", "0", ("PostalCode", json!(null), &["missing"]));
    note(
        "BUILDING CLASS CATEGORY",
        "99  CASTLES",
        ("PropertyType", json!(null), &["unknown_lookup", "unknown_lookup"]),
    );
    check_fault("staten-island", "SALE DATE", "2/29/2015", "impossible_date");
}

#[test]
fn the_two_vintages_are_one_column() {
    let mut row = row("staten-island");
    let members = row.as_object_mut().unwrap();
    members.remove("APARTMENT NUMBER");
    members.insert("APART MENT NUMBER".to_owned(), json!("9B"));
    let mut mapper = mapper("staten-island");
    let mapped = mapper.map(&row.to_string()).unwrap();
    let listing: Value = serde_json::from_slice(mapped.listing).unwrap();
    assert_eq!(listing["UnitNumber"], json!("9B"));
}

#[test]
fn simulated_mls() {
    let check = |column, value: Value, field, expect: Value| {
        check("simulated-mls", column, value, field, expect)
    };
    check("STATUS_CD", json!("AUC"), "StandardStatus", json!("Active Under Contract"));
    check("LIST_PRICE", json!("1,525,000"), "ListPrice", json!(1_525_000));
    check("LIST_PRICE", json!(525_000), "ListPrice", json!(525_000));
    check("LIST_DATE", json!("03/09/2026"), "ListingContractDate", json!("2026-03-09"));
    check("HEAT", json!("FA,GAS"), "Heating", json!(["Forced Air", "Natural Gas"]));
    check("PARK", json!("GAR 3"), "GarageSpaces", json!(3));
    check("PARK", json!("STREET"), "GarageSpaces", json!(null));
    check("ADDR_YN", json!("N"), "InternetAddressDisplayYN", json!(false));
    check("UNIT", json!("12"), "UnitNumber", json!("12"));
    check("ADDRESS", json!("1214 5th Ave NE"), "UnparsedAddress", json!("1214 5th Ave NE"));
    check("", json!(null), "BathroomsTotalInteger", json!(3));
    check("", json!(null), "LivingAreaUnits", json!("Square Feet"));
    check("", json!(null), "Country", json!("US"));
    check("", json!(null), "Currency", json!("USD"));
    for (column, value, code) in [
        ("STATUS_CD", json!("ZZ"), "unknown_lookup"),
        ("STATUS_CD", json!(null), "missing_value"),
        ("LIST_PRICE", json!("call"), "unreadable_number"),
        ("LIST_PRICE", json!([1]), "not_a_single_value"),
        ("LAST_MOD", json!("yesterday"), "impossible_date"),
    ] {
        check_fault("simulated-mls", column, value, code);
    }
}

#[test]
fn a_canadian_row() {
    let mut row = row("simulated-mls");
    for (column, value) in [
        ("ST", json!("NL")),
        ("CITY", json!("St. John's")),
        ("ZIP", json!("a1c5m3")),
        ("LAT", json!(47.56)),
        ("LNG", json!(-52.71)),
        ("SQFT", json!(null)),
        ("SQM", json!(120.5)),
    ] {
        row[column] = value;
    }
    let mut mapper = mapper("simulated-mls");
    let mapped = mapper.map(&row.to_string()).unwrap();
    let listing: Value = serde_json::from_slice(mapped.listing).unwrap();
    let fields =
        ["StateOrProvince", "Country", "Currency", "PostalCode", "LivingArea", "LivingAreaUnits"];
    let got: Vec<_> = fields.iter().map(|field| &listing[*field]).collect();
    assert_eq!(json!(got), json!(["NF", "CA", "CAD", "A1C 5M3", 120.5, "Square Meters"]));
    assert_eq!(mapped.notes, []);
}

#[test]
fn same_values_are_same_bytes() {
    let mut mapper = mapper("simulated-mls");
    let row = row("simulated-mls");
    let first = mapper.map(&row.to_string()).unwrap().hash;
    let mut other = row.clone();
    other["LIST_PRICE"] = json!("$525,000.00");
    other["ORIG_PRICE"] = json!("5.4e5");
    other["HEAT"] = json!(" FA , GAS , FA ");
    other["REMARKS"] = json!(" Bright. ");
    let reversed: serde_json::Map<_, _> =
        other.as_object().unwrap().clone().into_iter().rev().collect();
    assert_eq!(mapper.map(&Value::Object(reversed).to_string()).unwrap().hash, first);
    other["BEDS"] = json!(4);
    assert_ne!(mapper.map(&other.to_string()).unwrap().hash, first);
}

#[test]
fn packs_have_no_errors() {
    for pack in PACKS {
        let findings: Vec<_> = mapping::lint(&text(pack)).iter().map(ToString::to_string).collect();
        assert_eq!(findings, [""; 0], "{pack}");
    }
}

#[test]
fn what_is_no_row_is_a_fault() {
    let mut mapper = mapper("calgary");
    for row in ["", "[]", "{", "null", "{\"a\":1}x", "{\"ROLL_NUMBER\":}"] {
        assert_eq!(mapper.map(row).map_err(|f| f.code).map(|_| ()), Err("bad_row"), "{row}");
    }
    assert_eq!(mapper.map("{}").map_err(|f| f.code).map(|_| ()), Err("missing_value"));
}

proptest! {
    #[test]
    fn any_text_in_any_column_maps_or_is_refused(pack in 0usize..4, values in proptest::collection::vec(".{0,30}", 45)) {
        let pack = PACKS[pack];
        let mut row = row(pack);
        for (value, text) in row.as_object_mut().unwrap().values_mut().zip(values) {
            *value = text.into();
        }
        let mut mapper = mapper(pack);
        if let Ok(mapped) = mapper.map(&row.to_string()) {
            prop_assert!(serde_json::from_slice::<Value>(mapped.listing).is_ok());
        }
    }

    #[test]
    fn numbers_and_dates_in_any_column(pack in 0usize..4, at in 0usize..45, text in "[-$]?[0-9,.]{0,12}(e[+-]?[0-9]{1,3})?") {
        let pack = PACKS[pack];
        let mut row = row(pack);
        if let Some(value) = row.as_object_mut().unwrap().values_mut().nth(at) {
            *value = text.into();
        }
        if let Ok(mapped) = mapper(pack).map(&row.to_string()) {
            let listing: Value = serde_json::from_slice(mapped.listing).unwrap();
            prop_assert!(listing.as_object().unwrap().keys().is_sorted());
        }
    }

    #[test]
    fn any_bytes_are_a_row_or_refused(text in ".{0,80}") {
        let _mapped = mapper("calgary").map(&text).is_ok();
    }

    #[test]
    fn a_broken_pack_is_refused_or_used(pack in 0usize..4, at in 0usize..2000, junk in "[\"=\\[\\]{}a#\n.,0]{0,4}") {
        let text = text(PACKS[pack]);
        let at = text.char_indices().map(|(i, _)| i).nth(at).unwrap_or(0);
        let (before, after) = text.split_at(at);
        let broken = format!("{before}{junk}{after}");
        if let Err(refused) = Pack::parse(&broken) {
            prop_assert!(!refused.findings.is_empty(), "a refusal says why");
        }
    }
}
