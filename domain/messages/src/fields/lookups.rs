//! Locked lookups: the display names of the Data Dictionary 2.0, in byte order.

/// `StandardStatus`.
pub const STANDARD_STATUS: &[&str] = &[
    "Active",
    "Active Under Contract",
    "Canceled",
    "Closed",
    "Coming Soon",
    "Delete",
    "Expired",
    "Hold",
    "Incomplete",
    "Pending",
    "Withdrawn",
];

/// Statuses from which a return to `Active` is news: the home is back on the market.
pub const OFF_MARKET: &[&str] =
    &["Canceled", "Closed", "Delete", "Expired", "Hold", "Pending", "Withdrawn"];

/// Whether a home of that `StandardStatus` is off the market.
#[must_use]
pub fn is_off_market(status: &str) -> bool {
    OFF_MARKET.contains(&status)
}

/// `StateOrProvince`. Newfoundland and Labrador is `NF` here, not Canada Post's `NL`; Puerto Rico is not in it.
pub const STATE_OR_PROVINCE: &[&str] = &[
    "AB", "AK", "AL", "AR", "AZ", "BC", "CA", "CO", "CT", "DC", "DE", "FL", "GA", "HI", "IA", "ID",
    "IL", "IN", "KS", "KY", "LA", "MA", "MB", "MD", "ME", "MI", "MN", "MO", "MS", "MT", "NB", "NC",
    "ND", "NE", "NF", "NH", "NJ", "NM", "NS", "NT", "NU", "NV", "NY", "OH", "OK", "ON", "OR", "PA",
    "PE", "QC", "RI", "SC", "SD", "SK", "TN", "TX", "UT", "VA", "VI", "VT", "WA", "WI", "WV", "WY",
    "YT",
];

/// `Country`: the two that are served, of the standard's ISO 3166-1 codes.
pub(super) const COUNTRY: &[&str] = &["CA", "US"];

/// `Currency`, ours: ISO 4217.
pub(super) const CURRENCY: &[&str] = &["CAD", "USD"];

/// `PropertyType`.
pub(super) const PROPERTY_TYPE: &[&str] = &[
    "Business Opportunity",
    "Commercial Lease",
    "Commercial Sale",
    "Farm",
    "Land",
    "Manufactured In Park",
    "Residential",
    "Residential Income",
    "Residential Lease",
];

/// `LivingAreaUnits`, `BuildingAreaUnits` and their like.
pub(super) const AREA_UNITS: &[&str] = &["Square Feet", "Square Meters"];

/// `LotSizeUnits`. Hectares are not in it.
pub(super) const LOT_SIZE_UNITS: &[&str] = &["Acres", "Square Feet", "Square Meters"];

/// `StreetDirPrefix` and `StreetDirSuffix`.
pub(super) const STREET_DIRECTION: &[&str] = &["E", "N", "NE", "NW", "S", "SE", "SW", "W"];

/// `PlaceMethod`, ours: whether latitude and longitude are the feed's, or the middle of something larger.
pub(super) const PLACE_METHOD: &[&str] = &["feed", "fsa", "locality", "postal_code", "region"];
