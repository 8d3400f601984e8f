//! The works that are measured, as pure functions, and the listings that they are done on.

use anyhow::{Context, Result};
use messages::change::scan;

/// Statuses of the fixture.
const STATUSES: [&str; 4] = ["A", "AUC", "P", "S"];
/// Renamed by `transform`.
const RENAMED: [(&str, &str); 3] =
    [("MLS_NUM", "ListingId"), ("STATUS_CD", "MlsStatus"), ("LIST_PRICE", "ListPrice")];
/// Dropped by `transform`.
const DROPPED: &str = "PRIV_REMARKS";
/// Bytes of a listing, about.
const LISTING_BYTES: usize = 995;

/// A work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Work {
    /// Record for record as it is.
    Copy,
    /// Parse, rename three fields, compute one, drop one, serialise.
    Transform,
    /// Keep the last price and status of each key, and tell where one changed.
    State,
}

impl Work {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Transform => "transform",
            Self::State => "state",
        }
    }
}

/// The listing of a key at a revision: half of the revisions change price or status.
pub(crate) fn listing(key: u64, revision: u64) -> String {
    let changes = |r: u64| mix(key * 64 + r).is_multiple_of(2);
    let changed = (1..=revision).filter(|r| changes(*r)).count() as u64;
    let last = (1..=revision).rev().find(|r| changes(*r)).unwrap_or(0);
    let status = STATUSES.get((mix(key + last) % 4) as usize).copied().unwrap_or("A");
    let noise = mix(key * 1_000_003 + revision);
    let mut text = format!(
        "{{\"MLS_NUM\":\"K{key:07}\",\"STATUS_CD\":\"{status}\",\"PROP_TYPE\":\"SFR\",\"LIST_PRICE\":{},\
         \"LAST_MOD\":\"2026-01-{:02}T00:00:00Z\",\"REVISION\":{revision},\"ADDRESS\":\"{} NE {}th St\",\
         \"CITY\":\"Seattle\",\"ST\":\"WA\",\"ZIP\":\"98{:03}\",\"BEDS\":{},\"BATHS_FULL\":{},\"SQFT\":{},\
         \"YR_BLT\":{},\"LA_NAME\":\"Agent {}\",\"LA_NUM\":\"{}\",\"PHOTO_CT\":{},\"ADDR_YN\":true,\"HOA_FEE\":null,\
         \"COOL\":[\"Central Air\",\"Ceiling Fans\"],\"PRIV_REMARKS\":\"code {noise:x}\",\"REMARKS\":\"",
        300_000 + key % 1_000 * 500 + changed * 1_000,
        revision % 28 + 1,
        noise % 9_000 + 100,
        noise % 200 + 1,
        noise % 200,
        noise % 5 + 1,
        noise % 3 + 1,
        noise % 3_000 + 700,
        1950 + noise % 75,
        noise % 500,
        noise % 500,
        noise % 40,
    );
    let words =
        ["sunny", "corner", "lot", "with", "mature", "trees", "new", "roof", "quiet", "street"];
    let mut word = noise;
    while text.len() < LISTING_BYTES - 12 {
        word = mix(word);
        text.push_str(words.get((word % 10) as usize).copied().unwrap_or_default());
        text.push(' ');
    }
    text.push_str("\"}");
    text
}

/// A number that looks like chance (splitmix64).
fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Three fields renamed, one computed, one dropped; the others as they are and in their order.
///
/// # Errors
/// When the value is not such a listing.
pub(crate) fn transform(value: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let text = std::str::from_utf8(value)?;
    let (mut price, mut area) = (None, None);
    out.clear();
    out.push(b'{');
    scan::object(text, |name, value| {
        match name {
            DROPPED => return Ok(()),
            "LIST_PRICE" => price = value.parse::<u64>().ok(),
            "SQFT" => area = value.parse::<u64>().ok(),
            _ => {}
        }
        let name = RENAMED.iter().find(|(from, _)| *from == name).map_or(name, |(_, to)| to);
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        out.extend_from_slice(value.as_bytes());
        out.push(b',');
        Ok(())
    })?;
    let price = price.context("no LIST_PRICE")?.checked_div(area.context("no SQFT")?);
    out.extend_from_slice(b"\"PricePerSquareFoot\":");
    messages::json::write_u64(out, price.context("SQFT is 0")?);
    out.push(b'}');
    Ok(())
}

/// What the state of a key says after this listing.
///
/// # Errors
/// When the value is not such a listing.
pub(crate) fn last(value: &[u8]) -> Result<Vec<u8>> {
    let (mut price, mut status) = ("null", "null");
    scan::object(std::str::from_utf8(value)?, |name, value| {
        match name {
            "LIST_PRICE" => price = value,
            "STATUS_CD" => status = value,
            _ => {}
        }
        Ok(())
    })?;
    Ok(format!("{{\"price\":{price},\"status\":{status}}}").into_bytes())
}

/// The event that tells a change; `None` where nothing changed.
pub(crate) fn change(before: Option<&[u8]>, after: &[u8]) -> Option<Vec<u8>> {
    if before == Some(after) {
        return None;
    }
    Some([b"{\"before\":", before.unwrap_or(b"null"), b",\"after\":", after, b"}"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_json_of_about_a_kibibyte_and_half_of_its_revisions_change() {
        let mut events = 0;
        for key in 0..400 {
            let mut before = None;
            for revision in 0..5 {
                let text = listing(key, revision);
                assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
                assert!((950..1_040).contains(&text.len()), "{}", text.len());
                let after = last(text.as_bytes()).unwrap();
                events += usize::from(change(before.as_deref(), &after).is_some());
                before = Some(after);
            }
        }
        assert!((1_100..1_300).contains(&events), "{events} of 2,000");
    }

    #[test]
    fn transform_says_what_it_should() {
        let mut out = Vec::new();
        let value = br#"{"MLS_NUM":"K1","LIST_PRICE":1000,"PRIV_REMARKS":"x","SQFT":300,"A":[1,{"b":null}]}"#;
        transform(value, &mut out).unwrap();
        let expect = r#"{"ListingId":"K1","ListPrice":1000,"SQFT":300,"A":[1,{"b":null}],"PricePerSquareFoot":3}"#;
        assert_eq!(std::str::from_utf8(&out).unwrap(), expect);
        assert!(transform(b"{\"SQFT\":0,\"LIST_PRICE\":1}", &mut out).is_err());
    }
}
