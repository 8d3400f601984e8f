//! Directionals: USPS Publication 28, section 233, and Canada Post's Addressing Guidelines (English and French).
//!
//! The standard form is the value of RESO's `StreetDirPrefix` and `StreetDirSuffix` lookups, which are English:
//! `Ouest` is `W`.

/// `(RESO value, French letters, words that mean it in either country, words that mean it only in Canada)`.
pub(crate) const DIRECTIONS: &[(&str, &str, &[&str], &[&str])] = &[
    ("N", "N", &["N", "NORTH", "NO", "NTH"], &["NORD"]),
    ("S", "S", &["S", "SOUTH", "SO", "STH"], &["SUD"]),
    ("E", "E", &["E", "EAST"], &["EST"]),
    ("W", "O", &["W", "WEST"], &["O", "OUEST"]),
    ("NE", "NE", &["NE", "NORTHEAST", "NORTH-EAST"], &["NORD-EST"]),
    ("NW", "NO", &["NW", "NORTHWEST", "NORTH-WEST"], &["NORD-OUEST"]),
    ("SE", "SE", &["SE", "SOUTHEAST", "SOUTH-EAST"], &["SUD-EST"]),
    ("SW", "SO", &["SW", "SOUTHWEST", "SOUTH-WEST"], &["SUD-OUEST"]),
];
