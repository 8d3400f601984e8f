//! The pure core: the same bytes from the same seed, rows of the promised shape, lives that follow the table.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::string_slice,
    reason = "in a test a panic is the finding"
)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};
use serde_json::Value;
use simulator::{
    BENCHMARK_START_MS, Country, Listing, Market, MarketConfig, Status, write_benchmark_rows,
};

fn market(seed: u64, listings: u64) -> Market {
    Market::new(MarketConfig { seed, listings, start_ms: BENCHMARK_START_MS })
}

fn line(market: &Market, listing: &Listing) -> String {
    let mut out = Vec::new();
    market.write_line(listing, &mut out);
    String::from_utf8(out).unwrap()
}

fn parsed(market: &Market, listing: &Listing) -> serde_json::Map<String, Value> {
    serde_json::from_str::<Value>(&line(market, listing)).unwrap().as_object().unwrap().clone()
}

/// The inventory and `changes` changes, one a second, as text.
fn history(seed: u64, listings: u64, changes: i64) -> String {
    let mut market = market(seed, listings);
    let mut text: String = market.initial().map(|listing| line(&market, &listing)).collect();
    for second in 0..changes {
        let listing = market.next_change(BENCHMARK_START_MS + second * 1_000);
        text.push_str(&line(&market, &listing));
    }
    text
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    assert_eq!(history(1, 300, 300), history(1, 300, 300));
    assert_ne!(history(1, 300, 300), history(2, 300, 300));
}

#[test]
fn the_benchmark_file_is_the_inventory_and_a_longer_one_begins_with_a_shorter() {
    let rows = |listings| {
        let mut bytes = Vec::new();
        let written = write_benchmark_rows(&mut bytes, 9, listings).unwrap();
        assert_eq!(written, bytes.len() as u64);
        String::from_utf8(bytes).unwrap()
    };
    let market = market(9, 500);
    let inventory: String = market.initial().map(|listing| line(&market, &listing)).collect();
    assert_eq!(rows(500), inventory);
    assert!(rows(800).starts_with(&inventory));
    assert_eq!(rows(0), "");
}

#[test]
fn rows_have_the_promised_shape() {
    let market = market(3, 5_000);
    let mut sizes = Vec::new();
    for listing in market.initial() {
        sizes.push(line(&market, &listing).len());
        let row = parsed(&market, &listing);
        assert_eq!(row.len(), 40);
        assert_eq!(row["MLS_NUM"], listing.key.to_string());
        let price = row["LIST_PRICE"].as_str().map_or_else(
            || row["LIST_PRICE"].as_u64().unwrap(),
            |text| text.replace(',', "").parse().unwrap(),
        );
        assert_eq!(price, listing.list_price);
        assert_eq!(
            row["SQFT"].is_null(),
            !row["SQM"].is_null(),
            "one unit of area for each country"
        );
    }
    sizes.sort_unstable();
    assert!(
        sizes[0] >= 900 && sizes[sizes.len() - 1] <= 1_300,
        "{} to {}",
        sizes[0],
        sizes[sizes.len() - 1]
    );
    assert!((1_000..=1_120).contains(&sizes[sizes.len() / 2]), "median {}", sizes[sizes.len() / 2]);
}

#[test]
fn the_column_table_of_the_readme_is_the_row() {
    let readme = include_str!("../README.md");
    let documented: Vec<&str> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|(name, _)| name)
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
        .collect();
    let market = market(3, 1);
    let first = market.initial().next().unwrap();
    let text = line(&market, &first);
    let mut written: Vec<String> = parsed(&market, &first).keys().cloned().collect();
    // In the order of the line, whatever map the parser is built with.
    written.sort_by_key(|name| text.find(&format!("\"{name}\":")));
    assert_eq!(documented, written);
}

#[test]
fn places_and_postal_codes_are_valid_in_form() {
    let market = market(8, 5_000);
    let mut countries = BTreeMap::new();
    for listing in market.initial() {
        let row = parsed(&market, &listing);
        let city = market.city(&listing);
        let micro = |name: &str| (row[name].as_f64().unwrap() * 1e6).round() as i64;
        assert!(city.contains(micro("LAT"), micro("LNG")), "{row:?} is outside {}", city.name());
        assert_eq!(row["ST"], city.state());
        let code = row["ZIP"].as_str().unwrap();
        let form: String = code.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
        let valid = match city.country() {
            Country::UnitedStates => form == "99999",
            Country::Canada => {
                let form: String =
                    form.chars().map(|c| if c.is_ascii_uppercase() { 'A' } else { c }).collect();
                form == "A9A 9A9" && !code[1..].contains(['D', 'F', 'I', 'O', 'Q', 'U'])
            }
        };
        assert!(valid, "{code}");
        *countries.entry(format!("{:?}", city.country())).or_insert(0) += 1;
    }
    assert!(countries.values().all(|count| *count > 500), "{countries:?}");
}

/// What must hold for every version of a listing, whatever came before it.
fn check_version(listing: &Listing) -> Result<(), String> {
    let closed = listing.status == Status::Closed;
    if listing.close_price.is_some() != closed || listing.closed_ms.is_some() != closed {
        return Err(format!("price and date of sale are for Closed only: {listing:?}"));
    }
    if listing.modified_ms < listing.listed_ms || listing.list_price == 0 {
        return Err(format!("impossible: {listing:?}"));
    }
    Ok(())
}

/// What must hold between a version of a listing and the one before it.
fn check_step(before: &Listing, after: &Listing) -> Result<(), String> {
    let same = (before.home, before.listed_ms, before.original_price)
        == (after.home, after.listed_ms, after.original_price);
    let allowed = before.status.next().contains(&after.status);
    let later = after.modified_ms > before.modified_ms && after.version == before.version + 1;
    if same && allowed && later { Ok(()) } else { Err(format!("{before:?} -> {after:?}")) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn lives_follow_the_table(seed in any::<u64>(), listings in 1..60_u64, pace_ms in 0..5_000_i64) {
        let mut market = market(seed, listings);
        let mut known: BTreeMap<u64, Listing> = market.initial().map(|listing| (listing.key, listing)).collect();
        prop_assert_eq!(known.len() as u64, listings);
        for listing in known.values() {
            prop_assert!(check_version(listing).is_ok(), "{:?}", check_version(listing));
        }
        for change in 0..1_500 {
            let listing = market.next_change(BENCHMARK_START_MS + change * pace_ms);
            prop_assert!(check_version(&listing).is_ok(), "{:?}", check_version(&listing));
            match known.get(&listing.key) {
                Some(before) => prop_assert!(check_step(before, &listing).is_ok(), "{:?}", check_step(before, &listing)),
                None => prop_assert!(listing.version == 1 && listing.key > *known.keys().last().unwrap()),
            }
            known.insert(listing.key, listing);
        }
    }
}

#[test]
fn the_checks_of_this_file_refuse_what_is_wrong() {
    let listing =
        market(1, 200).initial().find(|listing| listing.status == Status::Active).unwrap();
    let later =
        Listing { version: listing.version + 1, modified_ms: listing.modified_ms + 1, ..listing };
    assert!(check_step(&listing, &later).is_ok());
    for wrong in [
        Listing { status: Status::Closed, ..later },
        Listing { modified_ms: listing.modified_ms, ..later },
        Listing { version: listing.version, ..later },
        Listing { home: listing.home + 1, ..later },
    ] {
        assert!(check_step(&listing, &wrong).is_err(), "{wrong:?}");
    }
    assert!(check_version(&Listing { status: Status::Closed, ..later }).is_err());
    assert!(check_version(&Listing { close_price: Some(1), ..later }).is_err());
}

#[test]
fn everything_that_can_happen_happens_and_the_market_does_not_run_dry() {
    let mut market = market(6, 400);
    let mut known: BTreeMap<u64, Listing> =
        market.initial().map(|listing| (listing.key, listing)).collect();
    let mut keys_of_home: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    let (mut moves, mut cuts, mut raises) = (BTreeSet::new(), 0, 0);
    for change in 0..20_000 {
        let listing = market.next_change(BENCHMARK_START_MS + change * 50);
        keys_of_home.entry(listing.home).or_default().insert(listing.key);
        if let Some(before) = known.insert(listing.key, listing) {
            moves.insert((before.status, listing.status));
            cuts += u32::from(listing.list_price < before.list_price);
            raises += u32::from(listing.list_price > before.list_price);
        }
    }
    for from in Status::ALL {
        for to in from.next().iter().filter(|to| **to != from) {
            assert!(moves.contains(&(from, *to)), "{from:?} -> {to:?} never happened");
        }
    }
    assert!(cuts > 2_000 && raises > 100, "{cuts} cuts, {raises} raises");
    assert!(
        keys_of_home.values().filter(|keys| keys.len() > 1).count() > 50,
        "homes come back under new keys"
    );
    let newest: Vec<Listing> =
        (0..2_000).map(|_| market.next_change(BENCHMARK_START_MS * 2)).collect();
    let active = newest.iter().filter(|listing| listing.status == Status::Active).count();
    assert!(active > 600, "{active} of 2,000 changes are of active listings");
}
