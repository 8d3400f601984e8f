//! Addresses that strangers wrote, read from the folder of real data; skipped, and said so, where it is absent.
//! What differs from a label is printed: `cargo test -p address --test real_addresses -- --nocapture`.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "functions that only tests call, which may fail loudly"
)]

use std::path::PathBuf;

use address::{Address, Country, parse_full, standardize};

#[allow(
    clippy::disallowed_methods,
    reason = "tests find the folder of real data by an environment variable"
)]
fn data(name: &str) -> Option<String> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let folder =
        std::env::var("CONVEYANCE_DATA").map_or_else(|_| PathBuf::from(beside), PathBuf::from);
    let bytes = std::fs::read(folder.join(name)).ok();
    if bytes.is_none() {
        println!("SKIPPED: the real data file {name} is not there (set CONVEYANCE_DATA)");
    }
    bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// A column of a CSV file by its header, from the first line that has that header.
fn column(text: &str, header: &str) -> Vec<String> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut at = None;
    let mut values = Vec::new();
    for row in reader.records().map(Result::unwrap) {
        match at {
            None => at = row.iter().position(|cell| cell.trim() == header),
            Some(at) => values.push(row[at].trim().to_owned()),
        }
    }
    values
}

fn settles(found: &Address, country: Country) {
    assert_eq!(&standardize(&found.unparsed_address, country), found);
}

#[test]
fn every_calgary_address_has_number_name_type_and_quadrant() {
    for year in 2018..=2022 {
        let Some(text) = data(&format!("calgary/assessment-{year}.csv")) else { return };
        let values = column(&text, "ADDRESS");
        assert!(values.len() > 8000);
        for line in values {
            let found = standardize(&line, Country::Ca);
            let whole = found.street_number_numeric.is_some()
                && found.street_name.is_some()
                && found.street_suffix.is_some()
                && found.street_additional_info.is_none();
            assert!(
                whole && found.street_dir_suffix == line.split(' ').next_back(),
                "{line}: {found:?}"
            );
            settles(&found, Country::Ca);
        }
    }
}

#[test]
fn staten_island_addresses() {
    let (mut all, mut named) = (0, 0);
    for vintage in ["new-york/staten-island-2013.csv", "new-york/staten-island-2016.csv"] {
        let Some(text) = data(vintage) else { return };
        for line in column(&text, "ADDRESS").iter().filter(|line| !line.is_empty()) {
            let found = standardize(line, Country::Us);
            settles(&found, Country::Us);
            let starts = line.starts_with(|first: char| first.is_ascii_digit());
            assert_eq!(found.street_number.is_some(), starts, "{line}: {found:?}");
            if let Some((_, unit)) = line.split_once(", ") {
                let is_plain = !unit.contains(' ')
                    && (unit.len() == 1 || unit.contains(|c: char| c.is_ascii_digit()));
                let agrees = found.unit_number.as_deref() == Some(unit);
                assert!(agrees || !is_plain, "{line}: {found:?}");
            }
            all += 1;
            let whole = found.street_name.is_some() && found.street_suffix.is_some();
            named += usize::from(whole && found.street_additional_info.is_none());
            if !whole {
                println!("without suffix: {line}");
            }
        }
    }
    println!("{named} of {all} with name and suffix and nothing left over");
    assert!(named * 1000 >= all * 985);
}

/// The labelled parts of one address.
#[derive(Default, Debug)]
struct Labels {
    text: String,
    number: String,
    name: String,
    suffix: String,
    unit: String,
    crossing: bool,
    recipient: bool,
}

fn labelled(xml: &str) -> Vec<Labels> {
    let unescape =
        |text: &str| text.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">");
    xml.split("<AddressString>")
        .skip(1)
        .map(|block| {
            let block = block.split("</AddressString>").next().unwrap();
            let mut labels = Labels::default();
            for piece in block.split('<').filter(|piece| !piece.starts_with('/')) {
                let Some((tag, text)) = piece.split_once('>') else { continue };
                let text = unescape(text);
                labels.text.push_str(&text);
                labels.text.push(' ');
                let slot = match tag {
                    "AddressNumber" | "AddressNumberSuffix" => &mut labels.number,
                    "StreetName" | "StreetNamePreType" | "StreetNamePreModifier" => {
                        &mut labels.name
                    }
                    "StreetNamePostType" => &mut labels.suffix,
                    "OccupancyIdentifier" => &mut labels.unit,
                    "IntersectionSeparator" | "CornerOf" => {
                        labels.crossing = true;
                        continue;
                    }
                    "Recipient" => {
                        labels.recipient = true;
                        continue;
                    }
                    _ => continue,
                };
                slot.push(' ');
                slot.push_str(&text);
            }
            labels
        })
        .collect()
}

/// Letters and digits in upper case, so that stops and spaces do not count.
fn bare(text: &str) -> String {
    text.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_uppercase).collect()
}

/// Route words are written out by this crate; labels have them as the line had.
fn routes(name: &str) -> String {
    let mut name = name.to_owned();
    let forms = [
        ("HGHWY", "HWY"),
        ("HIGHWAY", "HWY"),
        ("HWYNO", "HWY"),
        ("ROUTE", "RT"),
        ("RTE", "RT"),
        ("ROAD", "RD"),
        ("AVENUE", "AVE"),
    ];
    for (short, long) in forms {
        name = name.replace(short, long);
    }
    name
}

/// An identifier as this crate writes it: `Second` and `2nd` floors are `2`, `# 5` is `5`.
fn identifier(label: &str) -> String {
    let plain = bare(label.trim().trim_start_matches("No"));
    let ordinals = [
        ("FIRST", "1"),
        ("SECOND", "2"),
        ("THIRD", "3"),
        ("FOURTH", "4"),
        ("GROUND", "G"),
        ("LOBBY", "LBBY"),
    ];
    if let Some((_, digit)) = ordinals.iter().find(|(word, _)| *word == plain) {
        return (*digit).to_owned();
    }
    let digits = plain
        .trim_end_matches("TH")
        .trim_end_matches("ST")
        .trim_end_matches("ND")
        .trim_end_matches("RD");
    let is_ordinal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let glued = plain.trim_start_matches("SUITE").trim_start_matches("UNIT");
    if is_ordinal { digits.to_owned() } else { glued.to_owned() }
}

/// Agreement in thousandths, which must not fall below `floor`.
fn share(what: &str, agreed: &[bool], floor: usize) {
    let hits = agreed.iter().filter(|agrees| **agrees).count();
    println!(
        "{what}: {hits} of {} agree ({} in a thousand)",
        agreed.len(),
        hits * 1000 / agreed.len()
    );
    assert!(hits * 1000 >= floor * agreed.len(), "{what} agrees less than {floor} in a thousand");
}

#[test]
fn labelled_united_states_addresses() {
    let Some(xml) = data("addresses/usaddress-labeled.xml") else { return };
    let all = labelled(&xml);
    assert_eq!(all.len(), 1513);
    // Corners have two streets and no single answer; recipients' names are not what a listing holds.
    let usable: Vec<_> =
        all.iter().filter(|row| !row.name.is_empty() && !row.crossing && !row.recipient).collect();
    let (mut number, mut name, mut suffix, mut unit) = (vec![], vec![], vec![], vec![]);
    for row in usable {
        let found = parse_full(&row.text, Some(Country::Us));
        let mine = |text: &Option<String>| bare(text.as_deref().unwrap_or(""));
        let labelled_suffix =
            standardize(&format!("1 X {}", row.suffix), Country::Us).street_suffix;
        let word = bare(&row.number);
        number.push(mine(&found.street_number) == if word == "ONE" { "1" } else { &word });
        let same_name = routes(&mine(&found.street_name)) == routes(&bare(&row.name));
        name.push(same_name);
        suffix.push(found.street_suffix == labelled_suffix);
        if !row.unit.is_empty() {
            let agrees = mine(&found.unit_number).ends_with(&identifier(&row.unit));
            unit.push(agrees);
            if !agrees {
                println!(
                    "DIFFERS {:?} | {} ## {:?} {:?} {:?}",
                    row.text.trim(),
                    row.unit,
                    found.unit_number,
                    found.street_additional_info,
                    found.city
                );
            }
        }
        if !same_name || !suffix.last().unwrap() || !number.last().unwrap() {
            println!(
                "DIFFERS {:?} | {} ## {:?} {:?} {:?} {:?}",
                row.text.trim(),
                row.name,
                found.street_number,
                found.street_name,
                found.street_suffix,
                found.city
            );
        }
    }
    share("number", &number, 970);
    share("name", &name, 875);
    share("suffix", &suffix, 950);
    share("unit", &unit, 865);
}

#[test]
fn geocoder_acceptance_addresses() {
    let Some(text) = data("addresses/atp_addresses.csv") else { return };
    let (given, expected) = (column(&text, "addressString"), column(&text, "expectedFullAddress"));
    let precision = column(&text, "expectedMatchPrecision");
    let mut same = Vec::new();
    for ((given, expected), precision) in given.iter().zip(&expected).zip(&precision) {
        // Only what the geocoder found as it was written: it also corrects names, which is not our work.
        if !matches!(precision.as_str(), "CIVIC_NUMBER" | "UNIT" | "BLOCK") {
            continue;
        }
        let mine = parse_full(given, Some(Country::Ca));
        let theirs = parse_full(expected, Some(Country::Ca));
        let agrees = mine.street_number == theirs.street_number
            && mine.street_name == theirs.street_name
            && mine.street_suffix == theirs.street_suffix;
        same.push(agrees);
        if !agrees {
            println!(
                "DIFFERS {given:?} ## {:?} | {:?} | {:?} vs {expected:?}",
                mine.unparsed_address, mine.street_name, mine.city
            );
        }
    }
    share("acceptance addresses", &same, 835);
}
