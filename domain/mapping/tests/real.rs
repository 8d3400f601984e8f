//! The whole of the real files through their packs: every row maps, and every note is one that is known.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it skipped"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use geography::{Boundaries, PostalCodes};
use mapping::{Mapper, Pack, Places, check_columns, clean_name, is_header};
use messages::fields::{Kind, field};
use messages::raw::{Op, Origin, Raw, RowWriter};
use messages::time::Moment;
use serde_json::{Value, json};

/// The folder of real data, or `None` where there is none.
fn data(file: &str) -> Option<PathBuf> {
    #[allow(
        clippy::disallowed_methods,
        reason = "tests are told by the environment where real data lies"
    )]
    let folder = std::env::var("CONVEYANCE_DATA").map_or_else(
        |_| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    let path = folder.join(file);
    if !path.exists() {
        eprintln!(
            "SKIPPED: {} is not there; set CONVEYANCE_DATA to the folder of real data",
            path.display()
        );
        return None;
    }
    Some(path)
}

/// Read once: the files of postal codes are large.
static PLACES: LazyLock<Option<Places>> = LazyLock::new(|| {
    let read = |file| data(file).map(|path| fs::read(path).unwrap());
    let (us, ca) = (read("geonames/US.zip")?, read("geonames/CA.zip")?);
    let postal_codes = PostalCodes::read([us.as_slice(), ca.as_slice()]).unwrap();
    let boundaries = Boundaries::read(&read("boundaries/us-ca-admin1.geojson")?).unwrap();
    Some(Places::new(postal_codes, boundaries))
});

fn pack(name: &str) -> Arc<Pack> {
    let path = format!("{}/../../packs/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    Arc::new(
        Pack::parse(&fs::read_to_string(path).unwrap())
            .unwrap_or_else(|refused| panic!("{name}: {refused}")),
    )
}

/// What a file became.
struct Outcome {
    rows: usize,
    /// Listings by key; the last row of a key counts.
    listings: BTreeMap<String, Value>,
    notes: BTreeMap<String, usize>,
    faults: Vec<String>,
    timestamps: usize,
}

impl Outcome {
    fn notes(&self) -> Vec<(&str, usize)> {
        self.notes.iter().map(|(name, count)| (name.as_str(), *count)).collect()
    }

    fn with(&self, field: &str) -> usize {
        self.listings.values().filter(|listing| listing.get(field).is_some()).count()
    }
}

/// Reads a file as `ingest` does, and maps every row.
fn map(name: &str, file: &str) -> Option<Outcome> {
    let (path, places, pack) = (data(file)?, PLACES.clone()?, pack(name));
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_path(path).unwrap();
    let mut records = reader.records().map(Result::unwrap);
    let header = records.find(|row| is_header(&pack, &row.iter().collect::<Vec<_>>())).unwrap();
    let names: Vec<String> = header.iter().map(clean_name).collect();
    let columns = check_columns(&pack, &names).unwrap();
    let writer = RowWriter::new(&names);
    let mut mapper = Mapper::new(Arc::clone(&pack), places);
    let origin = Origin { as_of: "2022-01-01T00:00:00.000Z", seq: 0, file };
    let mut outcome = Outcome {
        rows: 0,
        listings: BTreeMap::new(),
        notes: BTreeMap::new(),
        faults: Vec::new(),
        timestamps: 0,
    };
    let mut raw = Vec::new();
    for record in records {
        outcome.rows += 1;
        let mut key = String::new();
        columns.key(|at| record.get(at), &mut key).unwrap();
        raw.clear();
        writer.write(&mut raw, &origin, 0, record.iter());
        let Op::Upsert { row, .. } = Raw::parse(&raw).unwrap().op else {
            panic!("an upsert was written")
        };
        match mapper.map(row) {
            Err(fault) => outcome.faults.push(fault.to_string()),
            Ok(mapped) => {
                outcome.timestamps += usize::from(mapped.source_timestamp.is_some());
                for note in mapped.notes {
                    *outcome.notes.entry(format!("{} {}", note.field, note.code)).or_default() += 1;
                }
                let listing: Value = serde_json::from_slice(mapped.listing).unwrap();
                assert_sound(&listing);
                outcome.listings.insert(key, listing);
            }
        }
    }
    Some(outcome)
}

/// Sorted by name, and each value what its field says.
fn assert_sound(listing: &Value) {
    let members = listing.as_object().unwrap();
    assert!(members.keys().is_sorted(), "{listing}");
    for (name, value) in members {
        let sound = match field(name).unwrap().kind {
            Kind::Money | Kind::Decimal(_) => value.is_number(),
            Kind::Integer => value.is_i64(),
            Kind::Text(max) => {
                value.as_str().is_some_and(|t| t.chars().count() <= usize::from(max))
            }
            Kind::Open => value.is_string(),
            Kind::Date => {
                value.as_str().is_some_and(|t| t.len() == 10 && Moment::parse(t).is_some())
            }
            Kind::Timestamp => {
                value.as_str().is_some_and(|t| t.len() == 24 && Moment::parse(t).is_some())
            }
            Kind::Boolean => value.is_boolean(),
            Kind::Locked(values) => value.as_str().is_some_and(|t| values.contains(&t)),
            Kind::List | Kind::Media => value.is_array(),
        };
        assert!(sound, "{name}: {value}");
    }
}

#[test]
fn king_county() {
    let Some(outcome) = map("king-county", "king-county/kc_house_data.csv") else { return };
    assert_eq!(
        (outcome.rows, outcome.listings.len(), outcome.timestamps),
        (21_613, 21_436, 21_613)
    );
    assert_eq!(outcome.faults, [""; 0]);
    assert_eq!(outcome.notes(), [("BedroomsTotal unusual", 1)]);
    let all = [
        "City",
        "ClosePrice",
        "CloseDate",
        "Latitude",
        "PostalCode",
        "BathroomsTotalInteger",
        "LivingAreaUnits",
    ];
    for field in all {
        assert_eq!(outcome.with(field), 21_436, "{field}");
    }
    assert!(outcome.with("YearBuiltEffective") < 1_000, "0 says that a house was never renovated");
    let house = outcome.listings.get("7237550310").unwrap();
    assert_eq!(
        (&house["ClosePrice"], &house["CloseDate"]),
        (&json!(1_225_000), &json!("2014-05-12"))
    );
    assert!(outcome.listings.contains_key("0001000102"), "leading zeros of a key count");
}

#[test]
fn calgary() {
    let years = [(2018, 8_737), (2019, 8_749), (2020, 8_907), (2021, 8_907), (2022, 8_825)];
    for (year, rows) in years {
        let Some(outcome) = map("calgary", &format!("calgary/assessment-{year}.csv")) else {
            return;
        };
        assert_eq!(
            (outcome.rows, outcome.listings.len(), outcome.timestamps),
            (rows, rows, 0),
            "{year}"
        );
        assert_eq!((outcome.faults.len(), outcome.notes()), (0, vec![]), "{year}");
        for field in [
            "TaxAssessedValue",
            "StreetName",
            "StreetSuffix",
            "StreetDirSuffix",
            "StreetNumber",
            "Latitude",
        ] {
            assert_eq!(outcome.with(field), rows, "{year} {field}");
        }
        let flat = outcome.listings.get("202355400").unwrap();
        assert_eq!(
            (&flat["UnitNumber"], &flat["UnparsedAddress"]),
            (&json!("101"), &json!("101-301 10 St NW"))
        );
    }
}

#[test]
fn staten_island() {
    let of_2013 = (6_356, 5_931, vec![("PostalCode missing", 30)]);
    let of_2016 =
        (7_452, 6_992, vec![("PostalCode missing", 185), ("UnitNumber unit_disagrees", 1)]);
    for (year, (rows, lots, notes)) in [(2013, of_2013), (2016, of_2016)] {
        let Some(outcome) = map("staten-island", &format!("new-york/staten-island-{year}.csv"))
        else {
            return;
        };
        assert_eq!(
            (outcome.rows, outcome.listings.len(), outcome.timestamps),
            (rows, lots, rows),
            "{year}"
        );
        assert_eq!((outcome.faults.len(), outcome.notes()), (0, notes), "{year}");
        assert_eq!((outcome.with("CloseDate"), outcome.with("Latitude")), (lots, lots), "{year}");
        let cheap = |listing: &&Value| {
            listing.get("ClosePrice").is_some_and(|p| p.as_f64().unwrap() <= 10.0)
        };
        assert_eq!(outcome.listings.values().find(cheap), None, "ten dollars are no price");
        let flat = outcome.listings.get("5-2833-31").unwrap();
        assert!(flat["UnparsedAddress"].as_str().unwrap().starts_with("20 Cliff St #"), "{flat}");
    }
}
