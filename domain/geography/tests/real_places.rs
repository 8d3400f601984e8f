//! The files of GeoNames and Natural Earth, read from the folder of real data; skipped, and said so, where absent.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "functions that only tests call, which may fail loudly"
)]

use std::path::PathBuf;
use std::sync::LazyLock;

use geography::{
    Agreement, Boundaries, Country, Method, PostalCodes, Region, Summary, distance_m, examine,
};

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

/// Read once for all tests.
fn codes() -> Option<&'static PostalCodes> {
    static CODES: LazyLock<Option<PostalCodes>> = LazyLock::new(|| {
        let (us, ca) = (data("geonames/US.zip")?, data("geonames/CA.zip")?);
        Some(PostalCodes::read([us.as_slice(), ca.as_slice()]).unwrap())
    });
    CODES.as_ref()
}

fn boundaries() -> Option<Boundaries> {
    data("boundaries/us-ca-admin1.geojson").map(|bytes| Boundaries::read(&bytes).unwrap())
}

/// The records of a CSV file.
fn rows(name: &str) -> Option<Vec<csv::StringRecord>> {
    let bytes = data(name)?;
    Some(csv::Reader::from_reader(bytes.as_slice()).records().map(Result::unwrap).collect())
}

#[test]
fn both_files_are_read_with_their_traps() {
    let Some(codes) = codes() else { return };
    println!("{:?}", codes.summary());
    let Summary {
        duplicates,
        without_state,
        zip_codes,
        areas,
        records,
        misplaced,
        other_countries,
    } = codes.summary();
    assert_eq!((records, other_countries), (41_490 + 1_657, 0));
    // 96860 and 96863 are a base and its military post; C0A comes twice, L9X four times, V3Y again as V3Y 0H2.
    assert_eq!(duplicates, 2 + 4 + 1);
    // 511 military codes, and two of the Marshall Islands, which are in no US state.
    assert_eq!(without_state, 511 + 2);
    // Santa Claus and two more lie outside their own province or state.
    assert_eq!(misplaced, 3);
    assert_eq!((zip_codes, areas), (40_975, 1_651));
}

#[test]
fn a_centroid_lies_within_its_uncertainty_of_the_homes_of_king_county() {
    let (Some(codes), Some(sales)) = (codes(), rows("king-county/kc_house_data.csv")) else {
        return;
    };
    let (mut within, mut radius_m) = (0, 0.0);
    for sale in &sales {
        let home: (f64, f64) = (sale[17].parse().unwrap(), sale[18].parse().unwrap());
        let place = codes.centroid(Country::Us, &sale[16]).unwrap();
        assert_eq!(place.region.map(Region::code), Some("WA"));
        within += usize::from(distance_m(home, (place.lat, place.lon)) <= place.uncertainty_m);
        radius_m += place.uncertainty_m;
    }
    let mean = radius_m / f64::from(u32::try_from(sales.len()).unwrap());
    println!("{within} of {} homes within the uncertainty, mean {mean:.0} m", sales.len());
    // Nineteen of twenty, and not by claiming the whole county.
    assert!(within * 100 >= sales.len() * 95);
    assert!(mean < 10_000.0);
}

#[test]
fn king_county_is_in_washington_and_nowhere_else() {
    let (Some(boundaries), Some(sales)) = (boundaries(), rows("king-county/kc_house_data.csv"))
    else {
        return;
    };
    let (washington, oregon) = (Region::parse("WA").unwrap(), Region::parse("OR").unwrap());
    for sale in &sales {
        let (lat, lon): (f64, f64) = (sale[17].parse().unwrap(), sale[18].parse().unwrap());
        assert_eq!(examine(lat, lon), None);
        let here = boundaries.check(lat, lon, washington);
        assert!(matches!(here, Agreement::Inside | Agreement::NearBorder), "{lat} {lon}: {here:?}");
        assert!(matches!(boundaries.check(lat, lon, oregon), Agreement::Outside { .. }));
        assert!(!matches!(
            Boundaries::built_in().check(lat, lon, washington),
            Agreement::Outside { .. }
        ));
    }
}

#[test]
fn postal_code_centroids_agree_with_the_outlines_of_their_states() {
    let (Some(codes), Some(boundaries)) = (codes(), boundaries()) else { return };
    assert_eq!(boundaries.outlines(), 64);
    let (mut all, mut inside, mut outside) = (0, 0, Vec::new());
    for number in 0..100_000 {
        let code = format!("{number:05}");
        let Some(place) = codes.centroid(Country::Us, &code) else { continue };
        all += 1;
        match boundaries.check(place.lat, place.lon, place.region.unwrap()) {
            Agreement::Inside => inside += 1,
            Agreement::NearBorder => {}
            other => outside.push((code, other)),
        }
    }
    println!("{inside} of {all} inside, {} outside: {outside:?}", outside.len());
    assert!(inside * 100 >= all * 97);
    assert!(outside.len() * 1000 <= all);
}

#[test]
fn canadian_areas_are_placed_by_their_first_three_characters() {
    let Some(codes) = codes() else { return };
    let area = |code: &str| codes.centroid(Country::Ca, code).unwrap();
    assert_eq!(area("T2P 1A1").method, Method::Fsa);
    assert_eq!(area("T2P 1A1").region.map(Region::code), Some("AB"));
    // GeoNames has these four of Calgary's areas 15 to 27 km off; the uncertainty must own up to it.
    for (code, truth) in [
        ("T2P", (51.047, -114.08)),
        ("T2J", (50.95, -114.045)),
        ("T2W", (50.945, -114.11)),
        ("T2M", (51.073, -114.08)),
    ] {
        let place = area(code);
        assert!(
            distance_m((place.lat, place.lon), truth) <= place.uncertainty_m,
            "{code}: {place:?}"
        );
    }
    // A rural area is large and says so; one of a dense city is small.
    assert!(area("T0A").uncertainty_m > 50_000.0);
    assert!(area("M5V").uncertainty_m < 5_000.0, "{:?}", area("M5V"));
    assert_eq!(codes.centroid(Country::Ca, "H0H 0H0"), None);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a look at the speed, printed and not judged")]
fn speed_of_lookups() {
    let (Some(codes), Some(boundaries)) = (codes(), boundaries()) else { return };
    let region = Region::parse("WA").unwrap();
    let start = std::time::Instant::now();
    let found = (0..200_000).filter(|n| {
        codes.centroid(Country::Us, if n % 2 == 0 { "98178" } else { "10301" }).is_some()
    });
    assert_eq!(found.count(), 200_000);
    println!("centroid: {:?} each", start.elapsed() / 200_000);
    let start = std::time::Instant::now();
    let inside = (0..200_000).filter(|n| {
        let lat = 47.2 + f64::from(*n) * 1e-6;
        boundaries.check(lat, -121.8, region) == Agreement::Inside
    });
    assert_eq!(inside.count(), 200_000);
    println!("check: {:?} each", start.elapsed() / 200_000);
}
