//! Which photos are to be fetched: values of `media.wanted`.

use messages::change::fields::{Difference, Fields};
use messages::change::scan;
use messages::json::{write_str, write_u64};

/// Fields that tell of photos.
const FIELDS: [&str; 3] = ["Media", "PhotosChangeTimestamp", "PhotosCount"];
/// Most addresses of one listing that are passed on; the largest galleries have about 100.
const MEDIA_MAX: usize = 500;

/// Whether a change may mean other photos.
pub(crate) fn is_touched(differences: &[Difference<'_>]) -> bool {
    differences.iter().any(|difference| FIELDS.contains(&difference.name))
}

/// The request for the photos of a listing, `None` when it has none to fetch.
pub(crate) fn wanted(version: u64, listing: &Fields<'_>) -> Option<Vec<u8>> {
    let [media, changed, count] = FIELDS.map(|name| listing.get(name));
    let addresses = media.map(addresses).unwrap_or_default();
    // A feed that counts no photos has none; one that does not count may have some.
    let none_counted = count.map_or(changed.is_none(), |count| count == "0");
    if addresses.is_empty() && none_counted {
        return None;
    }
    let mut out = b"{\"version\":".to_vec();
    write_u64(&mut out, version);
    for (name, value) in [("photosChangeTimestamp", changed), ("photosCount", count)] {
        if let Some(value) = value {
            out.extend_from_slice(format!(",\"{name}\":{value}").as_bytes());
        }
    }
    if !addresses.is_empty() {
        out.extend_from_slice(b",\"media\":[");
        for (at, address) in addresses.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write_str(&mut out, address);
        }
        out.push(b']');
    }
    out.push(b'}');
    Some(out)
}

/// The addresses in `Media`: its elements, or their `MediaURL`. What has none is passed over.
fn addresses(media: &str) -> Vec<String> {
    let mut found = Vec::new();
    let whole = scan::array(media, |element| {
        let mut address = scan::string(element).map(std::borrow::Cow::into_owned);
        if element.starts_with('{') {
            scan::object(element, |name, value| {
                if name == "MediaURL" {
                    address = scan::string(value).map(std::borrow::Cow::into_owned);
                }
                Ok(())
            })?;
        }
        found.extend(address.filter(|a| !a.is_empty() && found.len() < MEDIA_MAX));
        Ok(())
    });
    if whole.is_ok() { found } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photos_are_asked_for_when_there_are_any() {
        for (listing, expect) in [
            ("{}", None),
            (r#"{"ListPrice":1}"#, None),
            (r#"{"PhotosCount":0}"#, None),
            (r#"{"PhotosChangeTimestamp":"t","PhotosCount":0}"#, None),
            (r#"{"Media":[]}"#, None),
            (r#"{"Media":"x"}"#, None),
            (r#"{"Media":[{"Order":1},{"MediaURL":""},7]}"#, None),
            (r#"{"PhotosCount":2}"#, Some(r#"{"version":3,"photosCount":2}"#)),
            (
                r#"{"PhotosChangeTimestamp":"t"}"#,
                Some(r#"{"version":3,"photosChangeTimestamp":"t"}"#),
            ),
            (
                r#"{"Media":[{"MediaURL":"https:\/\/a/1","Order":1},"b"],"PhotosChangeTimestamp":"t","PhotosCount":2}"#,
                Some(
                    r#"{"version":3,"photosChangeTimestamp":"t","photosCount":2,"media":["https://a/1","b"]}"#,
                ),
            ),
        ] {
            let found = wanted(3, &Fields::parse(listing).unwrap());
            assert_eq!(found.as_deref().map(|v| str::from_utf8(v).unwrap()), expect, "{listing}");
        }
    }
}
