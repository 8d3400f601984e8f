//! What may leave: an allow-list of fields, the listing's own display flags, and what the operator allowed for
//! each feed. Whatever is not said is not shown.

use std::collections::BTreeMap;

use messages::fields::{FIELDS, Field, Public, field};
use serde_json::{Map, Value};

/// Statuses that are never displayed: what is withdrawn, expired, unfinished or removed is nobody's to see.
pub const HIDDEN_STATUSES: [&str; 4] = ["Delete", "Expired", "Incomplete", "Withdrawn"];

/// What an absent display flag means in a feed (`absent_display_flags` in `feeds.toml`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Absent {
    /// Not permitted. The Data Dictionary reads a null flag as false, so this is the default.
    #[default]
    Deny,
    /// Permitted: right for open data, whose publisher has no such flags.
    Allow,
}

/// What the operator allows for one feed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FeedDisplay {
    /// What an absent `InternetEntireListingDisplayYN` or `InternetAddressDisplayYN` means.
    pub absent: Absent,
    /// Fields marked `Public::Configured` in the registry that may leave, for example `Latitude`.
    pub also: Vec<String>,
}

impl FeedDisplay {
    /// Open data: absent flags allow, and everything that configuration can allow may leave.
    #[must_use]
    pub fn open_data() -> Self {
        let configured = FIELDS.iter().filter(|f| f.public == Public::Configured);
        Self { absent: Absent::Allow, also: configured.map(|f| f.name.to_owned()).collect() }
    }
}

/// What the operator allows, feed by feed.
#[derive(Debug, Clone, Default)]
pub struct Display {
    /// By name of the feed.
    pub feeds: BTreeMap<String, FeedDisplay>,
    /// For feeds that are not named.
    pub others: FeedDisplay,
}

/// Whether a listing and its address may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) listing: bool,
    /// Address, place and what else tells where the home is.
    pub(crate) address: bool,
}

impl Display {
    /// The rules of a feed.
    #[must_use]
    pub fn feed(&self, name: &str) -> &FeedDisplay {
        self.feeds.get(name).unwrap_or(&self.others)
    }
}

impl FeedDisplay {
    /// What the flags of one listing come to.
    pub(crate) fn shown(
        &self,
        listing: Option<bool>,
        address: Option<bool>,
        status: &str,
    ) -> Shown {
        let absent = self.absent == Absent::Allow;
        let shown = listing.unwrap_or(absent) && !HIDDEN_STATUSES.contains(&status);
        Shown { listing: shown, address: shown && address.unwrap_or(absent) }
    }

    /// As [`FeedDisplay::shown`], from the listing itself.
    pub(crate) fn shown_of(&self, listing: &Map<String, Value>) -> Shown {
        let flag = |name: &str| match listing.get(name) {
            None | Some(Value::Null) => None,
            Some(value) => Some(value == &Value::Bool(true)),
        };
        let status = listing.get("StandardStatus").and_then(Value::as_str).unwrap_or_default();
        self.shown(flag("InternetEntireListingDisplayYN"), flag("InternetAddressDisplayYN"), status)
    }

    /// Whether a field may leave, given what the listing's flags come to.
    pub(crate) fn allows(&self, name: &str, shown: Shown) -> bool {
        let Some(field) = field(name) else { return false };
        shown.listing && self.permits(field) && (shown.address || !field.tells_address())
    }

    /// Whether places of this feed may be shown at all.
    pub(crate) fn permits_place(&self) -> bool {
        ["Latitude", "Longitude"].iter().all(|name| field(name).is_some_and(|f| self.permits(f)))
    }

    fn permits(&self, field: &Field) -> bool {
        match field.public {
            Public::Always => true,
            Public::Configured => self.also.iter().any(|name| name == field.name),
            Public::Never => false,
        }
    }

    /// The fields that may leave, in their order. Nulls are left out; photos that are not public too.
    pub(crate) fn project(&self, fields: &Map<String, Value>, shown: Shown) -> Map<String, Value> {
        fields
            .iter()
            .filter(|(name, _)| self.allows(name, shown))
            .map(|(name, value)| (name.clone(), public_media(name, value)))
            .collect()
    }
}

/// Media whose `Permission` names anything but the public and IDX stay; so do branded tours.
fn public_media(name: &str, value: &Value) -> Value {
    match value {
        Value::Array(items) if name == "Media" => {
            items.iter().filter(|item| media_is_public(item)).cloned().collect()
        }
        other => other.clone(),
    }
}

fn media_is_public(item: &Value) -> bool {
    let open = |word: &str| matches!(word, "Public" | "IDX");
    match item.get("Permission") {
        None | Some(Value::Null) => true,
        Some(Value::String(word)) => open(word),
        Some(Value::Array(words)) => words.iter().any(|w| w.as_str().is_some_and(open)),
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn flags_decide_and_absent_ones_deny() {
        let closed = FeedDisplay::default();
        let open = FeedDisplay::open_data();
        for (feed, listing, expect) in [
            (&closed, json!({}), (false, false)),
            (&closed, json!({"InternetEntireListingDisplayYN": true}), (true, false)),
            (&closed, json!({"InternetAddressDisplayYN": true}), (false, false)),
            (&open, json!({}), (true, true)),
            (&open, json!({"InternetAddressDisplayYN": false}), (true, false)),
            (&open, json!({"InternetEntireListingDisplayYN": false}), (false, false)),
            (&open, json!({"InternetEntireListingDisplayYN": null}), (true, true)),
            (&open, json!({"InternetEntireListingDisplayYN": "true"}), (false, false)),
            (&open, json!({"StandardStatus": "Withdrawn"}), (false, false)),
        ] {
            let shown = feed.shown_of(&map(listing.clone()));
            assert_eq!((shown.listing, shown.address), expect, "{listing}");
        }
    }

    #[test]
    fn each_registry_field_leaves_only_as_the_registry_says() {
        let all: Map<_, _> = FIELDS.iter().map(|f| (f.name.to_owned(), json!("x"))).collect();
        let both = Shown { listing: true, address: true };
        for (feed, address) in [
            (FeedDisplay::default(), true),
            (FeedDisplay::default(), false),
            (FeedDisplay::open_data(), true),
            (FeedDisplay::open_data(), false),
        ] {
            let left = feed.project(&all, Shown { address, ..both });
            for field in FIELDS {
                let configured = feed.absent == Absent::Allow;
                let expect = match field.public {
                    Public::Always => address || !field.tells_address(),
                    Public::Configured => configured && (address || !field.tells_address()),
                    Public::Never => false,
                };
                assert_eq!(left.contains_key(field.name), expect, "{} {address}", field.name);
            }
        }
        assert!(
            FeedDisplay::open_data()
                .project(&all, Shown { listing: false, address: true })
                .is_empty()
        );
        assert!(FeedDisplay::open_data().project(&map(json!({"Unknown": 1})), both).is_empty());
    }

    #[test]
    fn private_photos_stay() {
        let media = json!([{"n": 1}, {"n": 2, "Permission": ["IDX"]}, {"n": 3, "Permission": "Private"},
            {"n": 4, "Permission": ["Agent Only"]}, {"n": 5, "Permission": 7}]);
        let kept = public_media("Media", &media);
        let numbers: Vec<_> =
            kept.as_array().expect("array").iter().map(|m| m["n"].clone()).collect();
        assert_eq!(numbers, [1, 2]);
    }
}
