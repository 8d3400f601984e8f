//! Files of strangers, row by row through the packs of the repository; skipped, and said so, where they are absent.

#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "functions that only tests call, which may fail loudly"
)]

use std::collections::HashMap;
use std::path::PathBuf;

use geography::{Boundaries, PostalCodes};
use mapping::{Pack, check_columns, clean_name, is_header};
use messages::raw::{Origin, RowWriter};
use normalize::{Bare, Places};
use serde_json::{Value, json};

const KING_COUNTY: &str = include_str!("../../../packs/king-county.toml");
const CALGARY: &str = include_str!("../../../packs/calgary.toml");
const STATEN_ISLAND: &str = include_str!("../../../packs/staten-island.toml");

#[allow(
    clippy::disallowed_methods,
    reason = "tests find the folder of real data by an environment variable"
)]
fn data(name: &str) -> Option<Vec<u8>> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let folder =
        std::env::var("CONVEYANCE_DATA").map_or_else(|_| PathBuf::from(beside), PathBuf::from);
    let bytes = std::fs::read(folder.join(name)).ok();
    if bytes.is_none() {
        println!("SKIPPED: the real data file {name} is not there (set CONVEYANCE_DATA)");
    }
    bytes
}

/// A row of a file and what it became.
struct Row {
    key: String,
    cells: HashMap<String, String>,
    change: Value,
}

impl Row {
    fn listing(&self, field: &str) -> &Value {
        &self.change["listing"][field]
    }

    fn noted(&self, field: &str) -> bool {
        self.change["notes"].as_array().unwrap().iter().any(|note| note["field"] == field)
    }
}

/// Every row of a file through a pack; fails at the first that is refused.
fn rows(pack: &str, name: &str) -> Option<Vec<Row>> {
    let bytes = data(name)?;
    let pack = Pack::parse(pack).unwrap();
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes.as_slice());
    let mut records = reader.byte_records().map(|record| {
        let text = |cell: &[u8]| String::from_utf8_lossy(cell).into_owned();
        record.unwrap().iter().map(text).collect::<Vec<_>>()
    });
    let header = records.find(|row| is_header(&pack, row)).unwrap();
    let header: Vec<_> = header.iter().map(|name| clean_name(name)).collect();
    let columns = check_columns(&pack, &header).unwrap();
    let writer = RowWriter::new(&header);
    let places = Places::new(PostalCodes::read([]).unwrap(), Boundaries::built_in());
    let mut bare = Bare::new(pack, places);
    let row = |(seq, cells): (u64, Vec<String>)| {
        let origin = Origin { as_of: "2022-01-01T00:00:00.000Z", seq, file: name };
        let mut raw = Vec::new();
        writer.write(&mut raw, &origin, seq + 2, cells.iter().map(String::as_str));
        if let Err(reject) = bare.change(&raw, 1) {
            panic!("{name}, row {seq}: {reject:?}");
        }
        let change = serde_json::from_slice(&bare.buffer).unwrap();
        let mut key = String::new();
        columns.key(|at| cells.get(at).map(String::as_str), &mut key).unwrap();
        Row { key, cells: header.iter().cloned().zip(cells).collect(), change }
    };
    Some((0..).zip(records).map(row).collect())
}

/// The row whose key is this and whose column begins with this.
fn find<'r>(rows: &'r [Row], key: &str, column: &str, text: &str) -> &'r Row {
    let found = rows.iter().find(|r| r.key == key && r.cells[column].trim().starts_with(text));
    found.unwrap_or_else(|| panic!("no row has key {key} and {column} {text}"))
}

fn count(rows: &[Row], test: impl Fn(&Row) -> bool) -> usize {
    rows.iter().filter(|row| test(row)).count()
}

/// Checks fields of one row; `null` says that the field is not there.
fn check(row: &Row, expect: &[(&str, Value)]) {
    for (field, value) in expect {
        assert_eq!(row.listing(field), value, "{}: {field} of {:?}", row.key, row.cells);
    }
}

#[test]
fn king_county() {
    let Some(rows) = rows(KING_COUNTY, "king-county/kc_house_data.csv") else { return };
    assert_eq!(rows.len(), 21_613);
    assert_eq!(count(&rows, |r| r.listing("ClosePrice").is_u64()), 21_613);
    let exponents = count(&rows, |r| r.cells["price"].contains("e+"));
    assert_eq!(exponents, 1_492);
    assert_eq!(count(&rows, |r| r.key.starts_with('0')), 2_059);
    assert_eq!(count(&rows, |r| r.listing("BedroomsTotal") == 0), 13);
    let renovated = count(&rows, |r| r.cells["yr_renovated"] != "0");
    assert_eq!(count(&rows, |r| !r.listing("YearBuiltEffective").is_null()), renovated);

    for (key, date, expect) in [
        // The date, and the price as people write it.
        (
            "7129300520",
            "20141013T000000",
            vec![("CloseDate", json!("2014-10-13")), ("ClosePrice", json!(221_900))],
        ),
        // The price has an exponent.
        ("7237550310", "20140512T000000", vec![("ClosePrice", json!(1_225_000))]),
        // The key begins with zero.
        ("0114101516", "20140528T000000", vec![("ParcelNumber", json!("0114101516"))]),
        // Zero bedrooms are kept; a house never renovated has no year of it; half a storey counts as one.
        (
            "6306400140",
            "20140612T000000",
            vec![
                ("BedroomsTotal", json!(0)),
                ("YearBuiltEffective", Value::Null),
                ("Stories", json!(4)),
                ("BelowGradeFinishedArea", Value::Null),
            ],
        ),
        // 2.25 bathrooms: two full and one quarter.
        (
            "6414100192",
            "20141209T000000",
            vec![
                ("BathroomsFull", json!(2)),
                ("BathroomsOneQuarter", json!(1)),
                ("BathroomsTotalInteger", json!(3)),
                ("YearBuiltEffective", json!(1991)),
            ],
        ),
    ] {
        check(find(&rows, key, "date", date), &expect);
    }
    let first = find(&rows, "7129300520", "date", "20141013T000000");
    assert_eq!(first.change["sourceTimestamp"], "2014-10-13T00:00:00.000Z");
    assert_eq!(first.listing("Currency"), "USD");
}

#[test]
fn a_house_of_33_bedrooms_is_kept_and_noted() {
    let Some(rows) = rows(KING_COUNTY, "king-county/kc_house_data.csv") else { return };
    let odd: Vec<_> = rows.iter().filter(|r| r.noted("BedroomsTotal")).collect();
    assert_eq!(odd.len(), 1);
    check(odd[0], &[("ParcelNumber", json!("2402100895")), ("BedroomsTotal", json!(33))]);
}

#[test]
fn calgary() {
    for (year, total, no_year_built) in [
        (2018, 8_737, 8_737),
        (2019, 8_749, 8_749),
        (2020, 8_907, 93),
        (2021, 8_907, 94),
        (2022, 8_825, 36),
    ] {
        let Some(rows) = rows(CALGARY, &format!("calgary/assessment-{year}.csv")) else { return };
        assert_eq!(rows.len(), total, "{year}");
        assert_eq!(count(&rows, |r| r.listing("YearBuilt").is_null()), no_year_built, "{year}");
        assert_eq!(count(&rows, |r| r.listing("TaxYear") == year), total, "{year}");
        assert_eq!(count(&rows, |r| r.listing("TaxAssessedValue").is_number()), total, "{year}");
        assert_eq!(count(&rows, |r| r.listing("Currency") == "CAD"), total, "{year}");
        assert_eq!(count(&rows, |r| r.listing("StreetName").is_null()), 0, "{year}");
    }
}

#[test]
fn calgary_streets() {
    let Some(rows) = rows(CALGARY, "calgary/assessment-2022.csv") else { return };
    for (roll, number, name, local_type, quadrant) in [
        ("200404465", "1636", "Westmount", "BV", "NW"),
        ("201315413", "9", "Brightonwoods", "GD", "SE"),
        ("200110583", "2", "New Brighton", "CI", "SE"),
        ("201745296", "1004", "Brightoncrest", "GR", "SE"),
    ] {
        let row = find(&rows, roll, "ROLL_YEAR", "2022");
        check(
            row,
            &[
                ("StreetNumber", json!(number)),
                ("StreetName", json!(name)),
                ("StreetDirSuffix", json!(quadrant)),
                ("UnitNumber", Value::Null),
            ],
        );
        // The type is read as one: it is a suffix in its standard form, and not part of the name.
        let suffix = row.listing("StreetSuffix").as_str().unwrap();
        assert!(!suffix.is_empty(), "{roll}: {local_type}");
    }
    let empty = find(&rows, "201762606", "ROLL_YEAR", "2022");
    check(empty, &[("YearBuilt", Value::Null), ("LotSizeUnits", json!("Square Meters"))]);
}

#[test]
fn staten_island() {
    for (file, total) in [("2013", 6_356), ("2016", 7_452)] {
        let Some(rows) = rows(STATEN_ISLAND, &format!("new-york/staten-island-{file}.csv")) else {
            return;
        };
        assert_eq!(rows.len(), total, "{file}");
        // What the file says, read here by other means than the mapper's.
        let number = |text: &str| -> u64 {
            text.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
        };
        for row in &rows {
            let price = number(&row.cells["SALE PRICE"]);
            let expect = if price <= 10 { Value::Null } else { json!(price) };
            let year = number(&row.cells["YEAR BUILT"]);
            let built = if year == 0 { Value::Null } else { json!(year) };
            check(row, &[("ClosePrice", expect), ("YearBuilt", built)]);
            let zip = row.cells["ZIP CODE"].trim();
            assert_eq!(row.listing("PostalCode").is_null(), zip == "0", "{}", row.key);
        }
    }
}

#[test]
fn staten_island_oddities() {
    let Some(rows_2016) = rows(STATEN_ISLAND, "new-york/staten-island-2016.csv") else { return };
    let Some(rows_2013) = rows(STATEN_ISLAND, "new-york/staten-island-2013.csv") else { return };
    // A padded price with separators, and one with a sign of currency, are numbers alike.
    let padded = find(&rows_2016, "5-5391-9", "SALE DATE", "4/21/2016");
    check(padded, &[("ClosePrice", json!(520_000)), ("LotSizeArea", json!(3_067))]);
    let dollars = find(&rows_2013, "5-5395-32", "SALE DATE", "8/15/2012");
    check(dollars, &[("ClosePrice", json!(1_200_000)), ("CloseDate", json!("2012-08-15"))]);
    // Ten dollars, a dash and zero are no sales at a market.
    check(find(&rows_2016, "5-5395-15", "SALE PRICE", "10"), &[("ClosePrice", Value::Null)]);
    let without_sale = |rows: &[Row], price: &str| {
        count(rows, |r| r.cells["SALE PRICE"].trim() == price && r.listing("ClosePrice").is_null())
    };
    assert!(without_sale(&rows_2016, "-") > 0);
    assert!(without_sale(&rows_2013, "$0") > 0);
    // The header of 2013 breaks the name of a column over lines; the alias finds it.
    // What is no unit in any form that is known (`*`, `COM`, `L-D`) is left out; there are few of those.
    let units = |rows: &[Row], column: &str| {
        let given = |r: &&Row| !r.cells[column].trim().is_empty();
        let all: Vec<_> = rows.iter().filter(given).collect();
        let read = all.iter().filter(|r| !r.listing("UnitNumber").is_null()).count();
        (all.len(), read)
    };
    for (name, found, given, least) in [
        ("2013", units(&rows_2013, "APART MENT NUMBER"), 348, 343),
        ("2016", units(&rows_2016, "APARTMENT NUMBER"), 433, 426),
    ] {
        assert_eq!(found.0, given, "{name}");
        assert!(found.1 >= least, "{name}: {} of {given} units are read", found.1);
    }
    // A unit after a comma of the address line.
    let after_comma = |r: &&Row| r.cells["ADDRESS"].trim().contains(", ");
    let lines: Vec<_> = rows_2013.iter().chain(&rows_2016).filter(after_comma).collect();
    let read = lines.iter().filter(|r| !r.listing("UnitNumber").is_null()).count();
    assert_eq!(lines.len(), 213);
    assert!(read >= 207, "{read} of {} units after a comma are read", lines.len());
}
