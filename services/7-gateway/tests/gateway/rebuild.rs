//! The file holds no truth: however it came to be, it says the same.

use std::path::Path;

use dataflow::View;
use gateway::{ListingView, StoreError, each_document};
use messages::topics::{LISTING_CURRENT, LISTING_EVENTS};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{Record, apply, current, deliveries, display, event, open};

/// Everything in the file but ids, times of writing and how values are compressed.
fn dump(file: &Path) -> Vec<String> {
    let sql = rusqlite::Connection::open(file).unwrap();
    let mut rows = Vec::new();
    for query in [
        "SELECT key, state, changed_ms, version, status, type, price_cents, price_is, beds, baths, city, country, lat_e7, lon_e7,
            show_listing, show_address, address_words, place_words FROM listing ORDER BY key",
        "SELECT key, at, history.type, history.version, read_ms, event FROM history JOIN listing ON id = listing ORDER BY key, at",
        "SELECT * FROM counter ORDER BY name",
        "SELECT * FROM position ORDER BY topic, partition",
        "SELECT name, value FROM meta WHERE name <> 'time_ms' ORDER BY name",
    ] {
        let mut statement = sql.prepare(query).unwrap();
        let columns = statement.column_count();
        let read = statement.query_map([], |row| {
            Ok((0..columns).map(|n| format!("{:?}", row.get_ref(n).unwrap())).collect::<Vec<_>>().join("|"))
        });
        rows.extend(read.unwrap().map(Result::unwrap));
    }
    each_document(file, |key, value| {
        rows.push(format!("{key} {}", String::from_utf8_lossy(value)))
    })
    .unwrap();
    rows[1..].sort();
    rows
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let key = (0u8..12).prop_map(|n| format!("open:{n}"));
    let listing = (0u32..4, 0u8..3).prop_map(|(price, city)| {
        json!({"ListPrice": price * 1000, "City": format!("Town {city}"), "StandardStatus": "Active", "Latitude": price, "Longitude": 5,
            "PublicRemarks": "a home with a garden and a view ".repeat(10)})
    });
    let one = prop_oneof![
        4 => (key.clone(), 1u64..9, listing.clone()).prop_map(|(key, version, l)| current(&key, version, &l)),
        1 => (key.clone(), 1u64..9).prop_map(|(key, version)| current(&key, version, &Value::Null)),
        3 => (key, 1u64..9, prop::sample::select(vec!["added", "price", "deleted", "unheard_of"]), listing)
            .prop_map(|(key, version, kind, l)| event(&key, version, kind, json!({}), l)),
        1 => odd(),
    ];
    prop::collection::vec(one, 0..60)
}

/// Records that no `track` writes.
fn odd() -> impl Strategy<Value = Record> {
    let topic = prop::sample::select(vec![LISTING_CURRENT, LISTING_EVENTS]);
    let key = prop::sample::select(vec![
        b"open:1".to_vec(),
        Vec::new(),
        vec![0xff, 0xfe],
        vec![b'k'; 4000],
    ]);
    let value = prop::sample::select(vec![
        None,
        Some(Vec::new()),
        Some(b"not json".to_vec()),
        Some(b"{\"version\":1,\"listing\":[]}".to_vec()),
        Some(b"{\"type\":7,\"version\":\"x\"}".to_vec()),
        Some(vec![0xff; 9]),
    ]);
    (topic, key, value).prop_map(|(topic, key, value)| Record { topic, key, value })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn calls_of_any_size_and_restarts_give_the_same_rows(records in records(), size in 1usize..20) {
        let folder = tempfile::tempdir().unwrap();
        let (whole, parts) = (folder.path().join("whole.db"), folder.path().join("parts.db"));
        apply(&mut open(&whole), &records, usize::MAX);
        let mut base = [0, 0];
        for call in records.chunks(size) {
            // A new view for each call: what it knows is what stands in the file.
            let mut view = open(&parts);
            view.apply(&deliveries(call, base), 5).unwrap();
            base[0] += call.iter().filter(|r| r.topic == LISTING_CURRENT).count() as u64;
            base[1] += call.iter().filter(|r| r.topic == LISTING_EVENTS).count() as u64;
        }
        if !records.is_empty() {
            prop_assert_eq!(dump(&whole), dump(&parts));
        }
        let mut again = open(&parts);
        again.reset(7).unwrap();
        apply(&mut again, &records, size + 3);
        drop(again);
        prop_assert_eq!(dump(&whole), dump(&parts));
    }
}

#[test]
fn the_position_goes_with_the_rows() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("views.db");
    let listing = json!({"City": "Calgary"});
    apply(
        &mut open(&file),
        &[current("open:1", 1, &listing), event("open:1", 1, "added", json!({}), listing)],
        9,
    );
    let position = open(&file).position().unwrap();
    assert_eq!(position.epoch, 7);
    assert_eq!(
        position.next,
        [(LISTING_CURRENT.to_owned(), 0, 1), (LISTING_EVENTS.to_owned(), 0, 1)]
    );
    open(&file).reset(8).unwrap();
    let position = open(&file).position().unwrap();
    assert_eq!((position.epoch, position.next.len()), (8, 0));
}

#[test]
fn values_survive_the_dictionary() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("views.db");
    let listing = |n: usize| json!({"City": "Calgary", "ListPrice": n, "PublicRemarks": format!("home {n} with a garden ").repeat(12)});
    let records: Vec<_> =
        (0..1200).map(|n| current(&format!("open:{n}"), 1, &listing(n))).collect();
    apply(&mut open(&file), &records, 300);
    let mut seen = 0;
    each_document(&file, |key, value| {
        let n: usize = key.split_once(':').unwrap().1.parse().unwrap();
        let value: Value = serde_json::from_slice(value).unwrap();
        assert_eq!(value["listing"], listing(n));
        seen += 1;
    })
    .unwrap();
    assert_eq!(seen, 1200);
    let sql = rusqlite::Connection::open(&file).unwrap();
    let with: i64 = sql
        .query_row("SELECT count(*) FROM value WHERE hex(substr(current, 1, 1)) = '01'", [], |r| {
            r.get(0)
        })
        .unwrap();
    assert_eq!(with, 600, "what came after the first two calls of 300 has the dictionary");
}

#[test]
fn a_newer_file_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("views.db");
    drop(open(&file));
    rusqlite::Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let Err(error) = ListingView::open(&file, display()) else { panic!("opened a newer file") };
    assert!(matches!(error, StoreError::Newer { found: 99, .. }));
    assert!(error.to_string().contains("delete the file"), "{error}");
}
