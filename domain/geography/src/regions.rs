//! The 65 states, provinces and territories of RESO's `StateOrProvince` lookup, with bounding box and centre.
//!
//! Boxes and area centres are computed from Natural Earth's 1:50m first-level outlines (public domain), the boxes
//! rounded outward to a hundredth of a degree. Those outlines leave out small islands, so every test of a box allows
//! [`MARGIN_DEGREES`]. The Virgin Islands, which Natural Earth has as a country, are from their own extent.

use crate::Country;

/// How far outside its box a region may still reach: islands that the outlines leave out lie up to 16 km off.
pub(crate) const MARGIN_DEGREES: f64 = 0.15;

/// A state, province or territory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Region(u8);

impl Region {
    /// Reads RESO's two-letter code, or `NL` for Newfoundland and Labrador (RESO: `NF`).
    pub fn parse(code: &str) -> Option<Self> {
        let code = if code == "NL" { "NF" } else { code };
        let at = ROWS.iter().position(|row| row.code == code)?;
        u8::try_from(at).ok().map(Self)
    }

    /// RESO's two-letter code.
    pub fn code(self) -> &'static str {
        self.row().map_or("", |row| row.code)
    }

    /// Its country.
    pub fn country(self) -> Country {
        self.row().map_or(Country::Us, |row| row.country)
    }

    /// The centre of its area: latitude, longitude.
    pub fn centre(self) -> (f64, f64) {
        self.row().map_or((0.0, 0.0), |row| row.centre)
    }

    /// All 65, the United States first, each country in the order of codes.
    pub fn all() -> impl Iterator<Item = Self> {
        (0u8..).zip(ROWS).map(|(index, _)| Self(index))
    }

    /// The corners of its box.
    pub(crate) fn corners(self) -> [(f64, f64); 4] {
        self.row().map_or([(0.0, 0.0); 4], |row| {
            [
                (row.south, row.west),
                (row.south, row.east),
                (row.north, row.west),
                (row.north, row.east),
            ]
        })
    }

    /// Its place in [`Region::all`].
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Whether its box, grown by `margin` degrees of latitude, holds a point.
    pub(crate) fn box_holds(self, lat: f64, lon: f64, margin: f64) -> bool {
        self.row().is_some_and(|row| row.holds(lat, lon, margin))
    }

    fn row(self) -> Option<&'static Row> {
        ROWS.get(self.index())
    }
}

impl std::fmt::Debug for Region {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Region({})", self.code())
    }
}

struct Row {
    country: Country,
    code: &'static str,
    south: f64,
    west: f64,
    north: f64,
    east: f64,
    centre: (f64, f64),
}

impl Row {
    fn holds(&self, lat: f64, lon: f64, margin: f64) -> bool {
        // A degree of longitude is shorter; twice the margin covers it up to latitude 60.
        let wide = margin * 2.0;
        let inside = lat >= self.south - margin
            && lat <= self.north + margin
            && lon >= self.west - wide
            && lon <= self.east + wide;
        // The Aleutian Islands go on beyond the 180th meridian, to Attu.
        inside
            || (self.code == "AK" && (51.0..53.5).contains(&lat) && (172.0..=180.0).contains(&lon))
    }
}

/// Whether any region's box holds a point.
pub(crate) fn may_hold(lat: f64, lon: f64) -> bool {
    ROWS.iter().any(|row| row.holds(lat, lon, MARGIN_DEGREES))
}

const fn row(country: Country, code: &'static str, bounds: [f64; 4], centre: (f64, f64)) -> Row {
    let [south, west, north, east] = bounds;
    Row { country, code, south, west, north, east, centre }
}

/// Country, code, box (south, west, north, east), centre (latitude, longitude).
#[rustfmt::skip]
const ROWS: &[Row] = &[
    row(Country::Us, "AK", [51.60, -178.20, 71.41, -130.01], (64.21, -152.54)),
    row(Country::Us, "AL", [30.23, -88.49, 35.03, -84.92], (32.79, -86.83)),
    row(Country::Us, "AR", [33.01, -94.62, 36.51, -89.68], (34.90, -92.44)),
    row(Country::Us, "AZ", [31.32, -114.84, 37.01, -109.04], (34.29, -111.66)),
    row(Country::Us, "CA", [32.53, -124.38, 42.01, -114.12], (37.24, -119.60)),
    row(Country::Us, "CO", [37.00, -109.05, 41.01, -102.01], (39.00, -105.53)),
    row(Country::Us, "CT", [40.99, -73.73, 42.06, -71.79], (41.63, -72.73)),
    row(Country::Us, "DC", [38.80, -77.13, 39.02, -76.93], (38.92, -77.02)),
    row(Country::Us, "DE", [38.45, -75.79, 39.85, -75.03], (38.99, -75.51)),
    row(Country::Us, "FL", [24.54, -87.61, 31.01, -80.04], (28.66, -82.49)),
    row(Country::Us, "GA", [30.37, -85.63, 35.01, -80.87], (32.66, -83.46)),
    row(Country::Us, "HI", [18.96, -177.40, 28.23, -154.80], (20.24, -156.33)),
    row(Country::Us, "IA", [40.37, -96.63, 43.51, -90.14], (42.09, -93.50)),
    row(Country::Us, "ID", [42.00, -117.21, 49.00, -111.05], (44.39, -114.65)),
    row(Country::Us, "IL", [36.99, -91.51, 42.52, -87.03], (40.13, -89.15)),
    row(Country::Us, "IN", [37.78, -88.10, 41.77, -84.78], (39.92, -86.28)),
    row(Country::Us, "KS", [37.00, -102.03, 40.01, -94.61], (38.49, -98.37)),
    row(Country::Us, "KY", [36.49, -89.56, 39.13, -81.96], (37.53, -85.29)),
    row(Country::Us, "LA", [28.98, -94.05, 33.02, -88.81], (31.08, -92.01)),
    row(Country::Us, "MA", [41.24, -73.51, 42.89, -69.93], (42.26, -71.80)),
    row(Country::Us, "MD", [37.95, -79.49, 39.73, -75.03], (39.07, -76.80)),
    row(Country::Us, "ME", [43.07, -71.09, 47.47, -66.98], (45.40, -69.24)),
    row(Country::Us, "MI", [41.70, -90.42, 48.31, -82.13], (44.88, -85.74)),
    row(Country::Us, "MN", [43.50, -97.23, 49.37, -89.49], (46.34, -94.20)),
    row(Country::Us, "MO", [35.99, -95.77, 40.63, -89.12], (38.38, -92.49)),
    row(Country::Us, "MS", [30.19, -91.66, 35.01, -88.08], (32.76, -89.67)),
    row(Country::Us, "MT", [44.39, -116.05, 49.00, -104.00], (47.03, -109.63)),
    row(Country::Us, "NC", [33.87, -84.33, 36.62, -75.45], (35.56, -79.40)),
    row(Country::Us, "ND", [45.94, -104.04, 49.00, -96.55], (47.44, -100.46)),
    row(Country::Us, "NE", [40.00, -104.03, 43.01, -95.34], (41.53, -99.79)),
    row(Country::Us, "NH", [42.70, -72.56, 45.30, -70.73], (43.69, -71.58)),
    row(Country::Us, "NJ", [38.94, -75.53, 41.36, -73.91], (40.20, -74.66)),
    row(Country::Us, "NM", [31.32, -109.05, 37.01, -103.00], (34.42, -106.11)),
    row(Country::Us, "NV", [34.99, -120.01, 42.01, -114.04], (39.36, -116.65)),
    row(Country::Us, "NY", [40.51, -79.77, 45.01, -71.90], (42.99, -75.68)),
    row(Country::Us, "OH", [38.41, -84.83, 42.33, -80.51], (40.42, -82.71)),
    row(Country::Us, "OK", [33.64, -103.01, 37.01, -94.43], (35.59, -97.51)),
    row(Country::Us, "OR", [42.00, -124.54, 46.23, -116.47], (43.94, -120.54)),
    row(Country::Us, "PA", [39.72, -80.53, 42.54, -74.69], (40.90, -77.84)),
    row(Country::Us, "RI", [41.33, -71.85, 42.02, -71.23], (41.69, -71.58)),
    row(Country::Us, "SC", [32.02, -83.36, 35.22, -78.56], (33.92, -80.90)),
    row(Country::Us, "SD", [42.51, -104.04, 45.95, -96.45], (44.44, -100.22)),
    row(Country::Us, "TN", [34.98, -90.30, 36.70, -81.65], (35.85, -86.34)),
    row(Country::Us, "TX", [25.87, -106.67, 36.51, -93.53], (31.50, -99.35)),
    row(Country::Us, "UT", [37.00, -114.05, 42.01, -109.04], (39.33, -111.67)),
    row(Country::Us, "VA", [36.55, -83.67, 39.46, -75.22], (37.53, -78.83)),
    row(Country::Us, "VI", [17.62, -65.16, 18.47, -64.51], (18.05, -64.80)),
    row(Country::Us, "VT", [42.73, -73.43, 45.01, -71.51], (44.08, -72.67)),
    row(Country::Us, "WA", [45.59, -124.71, 49.00, -116.89], (47.38, -120.43)),
    row(Country::Us, "WI", [42.49, -92.90, 47.31, -86.26], (44.65, -89.74)),
    row(Country::Us, "WV", [37.20, -82.62, 40.65, -77.72], (38.65, -80.61)),
    row(Country::Us, "WY", [41.00, -111.06, 45.01, -104.02], (43.00, -107.54)),
    row(Country::Ca, "AB", [48.99, -120.01, 60.01, -109.99], (55.17, -114.51)),
    row(Country::Ca, "BC", [48.32, -139.06, 60.01, -114.05], (54.75, -124.75)),
    row(Country::Ca, "MB", [48.99, -102.01, 60.01, -88.94], (54.92, -97.44)),
    row(Country::Ca, "NB", [44.62, -69.06, 48.07, -63.83], (46.63, -66.38)),
    row(Country::Ca, "NF", [46.62, -67.77, 60.31, -52.65], (52.74, -60.32)),
    row(Country::Ca, "NS", [43.51, -66.33, 47.01, -59.72], (45.15, -63.33)),
    row(Country::Ca, "NT", [60.00, -136.45, 78.76, -101.98], (65.73, -119.19)),
    row(Country::Ca, "NU", [51.94, -120.69, 83.12, -61.20], (69.34, -90.06)),
    row(Country::Ca, "ON", [41.67, -95.17, 56.86, -74.34], (50.07, -85.83)),
    row(Country::Ca, "PE", [45.96, -64.41, 47.07, -62.02], (46.40, -63.24)),
    row(Country::Ca, "QC", [45.00, -79.72, 62.58, -57.10], (53.34, -71.73)),
    row(Country::Ca, "SK", [48.99, -110.00, 60.01, -101.36], (54.42, -105.90)),
    row(Country::Ca, "YT", [60.00, -141.01, 69.66, -123.81], (63.63, -135.51)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_52_and_13_regions_and_each_holds_its_centre() {
        assert_eq!(Region::all().filter(|region| region.country() == Country::Us).count(), 52);
        assert_eq!(Region::all().filter(|region| region.country() == Country::Ca).count(), 13);
        for region in Region::all() {
            let (lat, lon) = region.centre();
            assert!(region.box_holds(lat, lon, 0.0), "{region:?}");
            assert_eq!(Region::parse(region.code()), Some(region));
        }
        assert_eq!(Region::parse("NL").map(Region::code), Some("NF"));
        assert_eq!(Region::parse("PR"), None);
    }

    #[test]
    fn mexico_city_london_and_havana_are_in_no_box() {
        for (lat, lon) in [(19.43, -99.13), (51.5, -0.12), (23.13, -82.38)] {
            assert!(!may_hold(lat, lon), "{lat} {lon}");
        }
    }
}
