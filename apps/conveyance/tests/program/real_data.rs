//! The three real inputs, to the row.

use std::path::Path;

use serde_json::json;

use crate::{assert_well, load, real_inputs, repository};

#[test]
fn real_inputs_come_out_to_the_row() {
    let Some(input) = real_inputs() else { return };
    let data = tempfile::tempdir().expect("a folder");
    let feeds = repository().join("examples/real-data.toml");
    let (first, errors) = load(&feeds, &input, data.path());
    let row = |name: &str| first["feeds"][name].clone();
    let counts = |read: u64, sent: u64, deleted: u64| json!({"read": read, "sent": sent, "unchanged": read - sent, "deleted": deleted, "dead_letters": 0});
    assert_eq!(row("king-county"), counts(21_613, 21_613, 0), "{errors}");
    assert_eq!(row("calgary"), counts(44_125, 44_125, 135), "{errors}");
    let staten_island = row("staten-island");
    assert_eq!(staten_island["read"], 6_356 + 7_452);
    let ended: u64 = ["sent", "unchanged", "dead_letters"]
        .iter()
        .map(|n| staten_island[n].as_u64().expect("a count"))
        .sum();
    assert_eq!(staten_island["read"], ended, "every row is accounted for");
    assert_eq!(first["events"]["assessment"], 34_831);
    assert_eq!(first["events"]["deleted"], 135);
    assert_eq!(first["events"]["added"], 21_436 + 8_960 + 12_608);
    assert_eq!(first["listings"], 21_436 + 8_825 + 12_608);
    assert_well(data.path(), 21_436 + 8_825 + 12_608);

    let (second, errors) = load(&feeds, &input, data.path());
    for name in ["king-county", "calgary", "staten-island"] {
        let feed = &second["feeds"][name];
        assert_eq!(
            (&feed["sent"], &feed["deleted"], &feed["read"]),
            (&json!(0), &json!(0), &feed["unchanged"]),
            "{name}: {errors}"
        );
    }
    assert_eq!(second["events"], json!({}));
}

/// The same snapshots under other names, and in the wrong order: an older one neither overwrites nor deletes.
#[test]
fn renamed_copied_and_late_snapshots_change_nothing() {
    let Some(input) = real_inputs() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (data, files) = (folder.path().join("data"), folder.path().join("files"));
    std::fs::create_dir_all(&files).expect("a folder");
    let feeds = folder.path().join("feeds.toml");
    write_feeds(&feeds);
    let play = |names: &[(&str, &str)]| {
        std::fs::read_dir(&files)
            .expect("a folder")
            .flatten()
            .for_each(|f| std::fs::remove_file(f.path()).expect("a file"));
        for (from, to) in names {
            std::fs::copy(input.join("calgary").join(from), files.join(to)).expect("a copy");
        }
        load(&feeds, &files, &data)
    };
    let (newest, errors) = play(&[("assessment-2022.csv", "roll-2022.csv")]);
    assert_eq!(newest["listings"], 8_825, "{errors}");
    // Older years come late: nothing is overwritten, and what only they hold is gone as of the newest.
    let (late, errors) =
        play(&[("assessment-2018.csv", "roll-2018.csv"), ("assessment-2021.csv", "roll-2021.csv")]);
    assert!(
        late["events"].get("assessment").is_none(),
        "an older value overwrote a newer one: {late}"
    );
    assert_eq!(
        late["listings"], 8_825,
        "an older snapshot deleted, or brought back: {late} {errors}"
    );
    let before = late["listings"].clone();
    let (again, errors) =
        play(&[("assessment-2022.csv", "roll-2022.csv"), ("assessment-2018.csv", "roll-2018.csv")]);
    assert_eq!(again["events"], json!({}), "{errors}");
    assert_eq!(again["listings"], before);
}

fn write_feeds(path: &Path) {
    let pack = repository().join("packs/calgary.toml");
    let text = format!(
        "[[feed]]\nname = \"rolls\"\npack = \"{}\"\nfiles = [\"*.csv\"]\nmode = \"full\"\nas_of = \"roll-{{year}}.csv\"\nmax_delete_share = 0.5\n",
        pack.display()
    );
    std::fs::write(path, text).expect("a file");
}
