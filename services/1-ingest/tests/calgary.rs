//! Five snapshots of a real assessment roll.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "support/store.rs"]
mod store;

use std::fs;
use std::path::PathBuf;

use ingest::FeedConfig;
use store::{World, real_data};

fn files() -> Option<Vec<PathBuf>> {
    let data = real_data()?;
    Some((2018..=2022).map(|y| data.join(format!("calgary/assessment-{y}.csv"))).collect())
}

#[test]
fn deletes_and_rows_are_exact_and_a_second_load_deletes_nothing() {
    let Some(mut files) = files() else { return };
    let mut world = World::default();
    world.load(&FeedConfig::load("calgary", files.clone())).unwrap();
    assert_eq!(world.deleted().len(), 135);
    assert_eq!(world.tallies["read:calgary"], 44_125);
    assert_eq!(world.live().len(), 8825);
    assert_eq!(world.dead, []);
    let once = world.sent.clone();
    // Again, named in another order, and copied under other names.
    let dir = tempfile::tempdir().unwrap();
    files.reverse();
    world.load(&FeedConfig::load("calgary", files.clone())).unwrap();
    for file in &files {
        let name = file.file_name().unwrap().to_str().unwrap();
        fs::copy(file, dir.path().join(format!("copy of {name}"))).unwrap();
    }
    let config = store::folder(dir.path());
    world.load(&FeedConfig { name: "calgary".to_owned(), ..config }).unwrap();
    assert_eq!(world.deleted().len(), 135);
    assert_eq!(world.tallies["read:calgary"], 3 * 44_125);
    let rows: Vec<_> = once.iter().filter(|m| m.1 == "listing.raw.row").collect();
    let again: Vec<_> = world.sent[once.len()..once.len() + rows.len()].iter().collect();
    assert_eq!(rows, again, "the same messages, byte for byte");
}

#[test]
fn any_order_of_loads_comes_to_the_same_end() {
    let Some(files) = files() else { return };
    let mut expect = None;
    for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 4, 0, 3, 1]] {
        let mut world = World::default();
        for at in order {
            world.load(&FeedConfig::load("calgary", vec![files[at].clone()])).unwrap();
        }
        let end = world.live();
        assert_eq!(end.len(), 8825, "{order:?}");
        assert_eq!(expect.get_or_insert_with(|| end.clone()), &end, "{order:?}");
    }
}
