//! What the read model takes out of a `listing.current` value: the few fields that search compares.
//!
//! A field of an odd type counts as absent; only a value that is not a JSON object at all is refused.

use std::borrow::Cow;

use messages::Decimal;

use messages::change::scan::{Malformed, object_within, string};

/// Degrees are kept as whole ten-millionths: about one centimetre.
pub(crate) const E7: f64 = 1e7;

/// What the price that is searched and shown on the map is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Basis {
    /// There is none.
    #[default]
    None,
    /// `ListPrice`.
    List,
    /// `ClosePrice`.
    Close,
    /// `LeaseAmount`.
    Lease,
    /// `TaxAssessedValue`: not a price, but all that an assessment roll says.
    Assessed,
}

impl Basis {
    /// All, by their number.
    pub(crate) const ALL: [Self; 5] =
        [Self::None, Self::List, Self::Close, Self::Lease, Self::Assessed];

    /// Its number in the file.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::List => 1,
            Self::Close => 2,
            Self::Lease => 3,
            Self::Assessed => 4,
        }
    }

    /// The Data Dictionary field it comes from.
    pub(crate) fn field(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::List => Some("ListPrice"),
            Self::Close => Some("ClosePrice"),
            Self::Lease => Some("LeaseAmount"),
            Self::Assessed => Some("TaxAssessedValue"),
        }
    }
}

/// The last version of a listing, as far as search goes. Texts borrow from the value.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Facts<'a> {
    pub(crate) version: u64,
    pub(crate) deleted: bool,
    pub(crate) status: Cow<'a, str>,
    pub(crate) kind: Cow<'a, str>,
    pub(crate) city: Cow<'a, str>,
    pub(crate) state: Cow<'a, str>,
    pub(crate) country: Cow<'a, str>,
    pub(crate) postal_code: Cow<'a, str>,
    pub(crate) address: Cow<'a, str>,
    /// In hundredths of the country's currency.
    pub(crate) price_cents: Option<i64>,
    pub(crate) basis: Basis,
    pub(crate) beds: Option<u8>,
    pub(crate) baths: Option<u8>,
    /// Latitude and longitude in ten-millionths of a degree; both or none.
    pub(crate) place: Option<(i32, i32)>,
    pub(crate) show_listing: Option<bool>,
    pub(crate) show_address: Option<bool>,
}

#[derive(Default)]
struct Money {
    list: Option<i64>,
    close: Option<i64>,
    lease: Option<i64>,
    assessed: Option<i64>,
}

/// Reads a `listing.current` value; `None` when it is not a JSON object with a version.
pub(crate) fn parse(value: &[u8]) -> Option<Facts<'_>> {
    let (mut facts, mut version) = (Facts::default(), None);
    let mut listing = Listing::default();
    let within = |name, raw| {
        listing.take(name, raw);
        Ok(())
    };
    object_within(std::str::from_utf8(value).ok()?, "listing", within, |name, raw| {
        match name {
            "version" => version = raw.parse().ok(),
            "deleted" => facts.deleted = raw == "true",
            "listing" if !raw.starts_with('{') => {
                return Err(Malformed::whole("the listing is no object"));
            }
            _ => {}
        }
        Ok(())
    })
    .ok()?;
    facts.version = version?;
    Some(listing.facts(facts))
}

/// The fields of a listing while they are read.
#[derive(Default)]
struct Listing<'a> {
    facts: Facts<'a>,
    money: Money,
    latitude: Option<i32>,
    longitude: Option<i32>,
}

impl<'a> Listing<'a> {
    fn take(&mut self, name: &str, raw: &'a str) {
        let (facts, money) = (&mut self.facts, &mut self.money);
        match name {
            "StandardStatus" => facts.status = text(raw),
            "PropertyType" => facts.kind = text(raw),
            "City" => facts.city = text(raw),
            "StateOrProvince" => facts.state = text(raw),
            "Country" => facts.country = text(raw),
            "PostalCode" => facts.postal_code = text(raw),
            "UnparsedAddress" => facts.address = text(raw),
            "ListPrice" => money.list = cents(raw),
            "ClosePrice" => money.close = cents(raw),
            "LeaseAmount" => money.lease = cents(raw),
            "TaxAssessedValue" => money.assessed = cents(raw),
            "BedroomsTotal" => facts.beds = count(raw),
            "BathroomsTotalInteger" => facts.baths = count(raw),
            "Latitude" => self.latitude = degrees(raw, 90.0),
            "Longitude" => self.longitude = degrees(raw, 180.0),
            "InternetEntireListingDisplayYN" => facts.show_listing = flag(raw),
            "InternetAddressDisplayYN" => facts.show_address = flag(raw),
            _ => {}
        }
    }

    fn facts(self, head: Facts<'a>) -> Facts<'a> {
        let place = self.latitude.zip(self.longitude);
        let mut facts = Facts { version: head.version, deleted: head.deleted, place, ..self.facts };
        set_price(&self.money, &mut facts);
        facts
    }
}

/// The text of a string; empty for anything else.
fn text(raw: &str) -> Cow<'_, str> {
    string(raw).unwrap_or_default()
}

/// A flag that is there but is not a boolean permits nothing.
fn flag(raw: &str) -> Option<bool> {
    (raw != "null").then_some(raw == "true")
}

/// A closed deal is worth what it closed at, anything else what is asked.
fn set_price(money: &Money, facts: &mut Facts<'_>) {
    let list = (money.list, Basis::List);
    let close = (money.close, Basis::Close);
    let (first, second) = if facts.status == "Closed" { (close, list) } else { (list, close) };
    let order = [first, second, (money.lease, Basis::Lease), (money.assessed, Basis::Assessed)];
    if let Some((cents, basis)) = order.into_iter().find(|(cents, _)| cents.is_some()) {
        (facts.price_cents, facts.basis) = (cents, basis);
    }
}

/// Hundredths; `None` beyond what any home costs, so that sums and negations cannot overflow.
fn cents(number: &str) -> Option<i64> {
    const CENTS_MAX: i64 = 1 << 53;
    let cents = Decimal::parse(number)?.shift(2)?.round(0).to_integer()?;
    (0..CENTS_MAX).contains(&cents).then_some(cents)
}

/// A count of rooms; what is more than fits is as many as fit.
fn count(number: &str) -> Option<u8> {
    let whole = Decimal::parse(number)?.round(0).to_integer()?;
    u8::try_from(whole.clamp(-1, 250)).ok()
}

#[expect(clippy::cast_possible_truncation, reason = "180 degrees in ten-millionths fit 32 bits")]
fn degrees(number: &str, max: f64) -> Option<i32> {
    let degrees = Decimal::parse(number)?.to_f64();
    (degrees.abs() <= max).then(|| (degrees * E7).round() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(listing: &str) -> Facts<'static> {
        let value =
            format!(r#"{{"ListingKey":"f:1","version":3,"deleted":false,"listing":{listing}}}"#);
        let value: &'static str = value.leak();
        parse(value.as_bytes()).expect("a listing")
    }

    #[test]
    fn the_price_is_what_the_status_says() {
        for (listing, expect) in [
            (
                r#"{"ListPrice":500000,"ClosePrice":490000.5,"StandardStatus":"Closed"}"#,
                (Some(49_000_050), Basis::Close),
            ),
            (
                r#"{"ListPrice":500000,"ClosePrice":490000,"StandardStatus":"Active"}"#,
                (Some(50_000_000), Basis::List),
            ),
            (r#"{"ListPrice":null,"LeaseAmount":1800}"#, (Some(180_000), Basis::Lease)),
            (r#"{"TaxAssessedValue":310500}"#, (Some(31_050_000), Basis::Assessed)),
            (r#"{"ListPrice":"500000"}"#, (None, Basis::None)),
            (r#"{"ListPrice":-5}"#, (None, Basis::None)),
            (r#"{"ListPrice":1e29}"#, (None, Basis::None)),
        ] {
            let facts = of(listing);
            assert_eq!((facts.price_cents, facts.basis), expect, "{listing}");
        }
    }

    #[test]
    fn odd_fields_count_as_absent() {
        for (listing, beds, place) in [
            (
                r#"{"BedroomsTotal":3,"Latitude":51.05,"Longitude":-114.07}"#,
                Some(3),
                Some((510_500_000, -1_140_700_000)),
            ),
            (r#"{"BedroomsTotal":1000,"Latitude":51.05}"#, Some(250), None),
            (r#"{"BedroomsTotal":-1,"Latitude":95,"Longitude":0}"#, None, None),
            (r#"{"BedroomsTotal":[3],"Latitude":{},"Longitude":true}"#, None, None),
        ] {
            let facts = of(listing);
            assert_eq!((facts.beds, facts.place), (beds, place), "{listing}");
        }
    }

    #[test]
    fn what_is_not_a_listing_is_refused() {
        for value in [
            "",
            "[]",
            "{",
            r#"{"deleted":false}"#,
            r#"{"version":1,"listing":null}"#,
            r#"{"version":1,"listing":{"a"}}"#,
            "\u{fffd}",
        ] {
            assert_eq!(parse(value.as_bytes()), None, "{value}");
        }
        assert_eq!(parse(b"\xff{}"), None);
        assert!(parse(br#"{"version":4,"deleted":true}"#).expect("deleted").deleted);
    }
}
