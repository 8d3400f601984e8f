//! Filters against the plainest program that could be right.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{World, current};

/// A listing with few distinct values, so that filters hit.
fn listing() -> impl Strategy<Value = Value> {
    let place = prop::option::of((-4i32..=4, -4i32..=4));
    let price = prop::option::of(0u32..6);
    let rooms = (prop::option::of(0u8..5), prop::option::of(0u8..4));
    (place, price, rooms, 0usize..3, 0usize..3, 0usize..3).prop_map(|(place, price, rooms, status, kind, city)| {
        let mut listing = json!({
            "StandardStatus": (["Active", "Pending", "Closed"][status]),
            "PropertyType": (["Residential", "Land", "Farm"][kind]),
            "City": (["Calgary", "Québec", "Salt Lake City"][city]),
            "Country": (["CA", "CA", "US"][city]),
            "UnparsedAddress": format!("{} Main Street", 10 + city * 7 + status),
            "ListPrice": price.map(|p| p * 100), "BedroomsTotal": rooms.0, "BathroomsTotalInteger": rooms.1,
        });
        if let Some((lat, lon)) = place {
            listing["Latitude"] = json!(f64::from(lat) / 2.0);
            listing["Longitude"] = json!(f64::from(lon) / 2.0);
        }
        listing
    })
}

/// One filter: how it is asked for, and whether it holds.
type Holds = Box<dyn Fn(&Value) -> bool>;

fn filter() -> impl Strategy<Value = (String, usize)> {
    let bound = -4i32..=4;
    prop_oneof![
        (bound.clone(), bound.clone(), bound.clone(), bound).prop_map(|(a, b, c, d)| {
            let half = |n: i32| f64::from(n) / 2.0;
            (
                format!(
                    "box={},{},{},{}",
                    half(a.min(b)),
                    half(c.min(d)),
                    half(a.max(b)),
                    half(c.max(d))
                ),
                0,
            )
        }),
        (0u32..600).prop_map(|n| (format!("price_min={n}"), 1)),
        (0u32..600).prop_map(|n| (format!("price_max={n}"), 2)),
        (0u8..6).prop_map(|n| (format!("beds_min={n}"), 3)),
        (0u8..6).prop_map(|n| (format!("baths_min={n}"), 4)),
        prop::sample::select(vec!["Active", "pending", "Active,Closed", "Hold"])
            .prop_map(|s| (format!("status={s}"), 5)),
        prop::sample::select(vec!["Land", "residential", "Land,Farm"])
            .prop_map(|s| (format!("type={s}"), 6)),
        prop::sample::select(vec!["quebec", "CALGARY", "Salt+Lake+City"])
            .prop_map(|s| (format!("city={s}"), 7)),
        prop::sample::select(vec!["US", "CA", "CA,US"]).prop_map(|s| (format!("country={s}"), 8)),
        prop::sample::select(vec!["main", "10+calg", "queb", "17", "lake+salt", "street+east"])
            .prop_map(|s| (format!("q={s}"), 9)),
    ]
}

fn number(listing: &Value, name: &str) -> Option<f64> {
    listing[name].as_f64()
}

fn plain(text: &str) -> String {
    text.to_lowercase().replace('é', "e")
}

fn is_one_of(field: &'static str, wanted: &str) -> Holds {
    let wanted: Vec<_> = wanted.replace('+', " ").split(',').map(plain).collect();
    Box::new(move |l| wanted.contains(&plain(l[field].as_str().unwrap())))
}

fn at_least(field: &'static str, min: f64) -> Holds {
    Box::new(move |l| number(l, field).is_some_and(|n| n >= min))
}

fn holds((asked, kind): &(String, usize)) -> Holds {
    let value = asked.split_once('=').unwrap().1.to_owned();
    let min = || value.parse::<f64>().unwrap();
    match kind {
        0 => {
            let b: Vec<f64> = value.split(',').map(|side| side.parse().unwrap()).collect();
            Box::new(move |l| {
                let (lat, lon) = (number(l, "Latitude"), number(l, "Longitude"));
                lat.zip(lon).is_some_and(|(lat, lon)| {
                    b[0] <= lon && lon <= b[2] && b[1] <= lat && lat <= b[3]
                })
            })
        }
        1 => at_least("ListPrice", min()),
        2 => {
            let max = min();
            Box::new(move |l| number(l, "ListPrice").is_some_and(|n| n <= max))
        }
        3 => at_least("BedroomsTotal", min()),
        4 => at_least("BathroomsTotalInteger", min()),
        5 => is_one_of("StandardStatus", &value),
        6 => is_one_of("PropertyType", &value),
        7 => is_one_of("City", &value),
        8 => is_one_of("Country", &value),
        _ => Box::new(move |l| {
            let text = plain(&format!(
                "{} {}",
                l["UnparsedAddress"].as_str().unwrap(),
                l["City"].as_str().unwrap()
            ));
            value.split('+').all(|w| text.split(' ').any(|word| word.starts_with(w)))
        }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn filters_find_what_a_plain_loop_finds(
        listings in prop::collection::vec(listing(), 0..60),
        searches in prop::collection::vec(prop::collection::vec(filter(), 0..4), 6),
    ) {
        let keys: Vec<_> = (0..listings.len()).map(|n| format!("open:k{n}")).collect();
        let records: Vec<_> = keys.iter().zip(&listings).map(|(key, l)| current(key, 1, l)).collect();
        let world = World::of(&records);
        for mut filters in searches {
            filters.sort_by_key(|(_, kind)| *kind);
            filters.dedup_by_key(|(_, kind)| *kind);
            let query: Vec<_> = filters.iter().map(|(asked, _)| asked.as_str()).collect();
            let tests: Vec<_> = filters.iter().map(holds).collect();
            let expect: Vec<_> = keys.iter().zip(&listings)
                .filter(|(_, l)| tests.iter().all(|test| test(l)))
                .collect();
            let answer = world.get(&format!("/listings?limit=200&{}", query.join("&")));
            prop_assert_eq!(answer.status, 200, "{:?} {}", query, answer.body);
            let mut found = answer.keys();
            found.sort();
            let mut wanted: Vec<_> = expect.iter().map(|(key, _)| (*key).clone()).collect();
            wanted.sort();
            prop_assert_eq!(&found, &wanted, "{:?}", query);
            prop_assert_eq!(&answer.json()["total"], &json!(wanted.len()));
            let placed = expect.iter().filter(|(_, l)| l.get("Latitude").is_some()).count();
            let map = world.get(&format!("/map?{}", query.join("&")));
            prop_assert_eq!(&map.json()["total"], &json!(placed), "{:?}", query);
        }
    }
}
