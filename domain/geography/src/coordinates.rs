//! Coordinates as they come: what is wrong with them, and distances between them.

use crate::regions;

/// What is wrong with a pair of coordinates.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Finding {
    /// Not a number, or infinite.
    NotANumber,
    /// Zero and zero, which stands for "unknown".
    ZeroZero,
    /// Latitude and longitude stand in each other's place; these are the right ones.
    Swapped {
        /// The latitude.
        lat: f64,
        /// The longitude.
        lon: f64,
    },
    /// The longitude lost its sign: all of North America is west of Greenwich.
    PositiveLongitude {
        /// The longitude with its sign.
        lon: f64,
    },
    /// No such place on Earth.
    OutOfRange,
    /// On Earth, but neither in the United States nor in Canada.
    OutsideCountries,
}

/// Looks for the usual faults of coordinates; `None` where they lie in the United States or Canada, or off their coast.
///
/// What a finding proposes is a guess to show to a person, not a correction to apply unseen.
pub fn examine(lat: f64, lon: f64) -> Option<Finding> {
    if !lat.is_finite() || !lon.is_finite() {
        return Some(Finding::NotANumber);
    }
    // A hundredth of a degree around the Gulf of Guinea holds no home.
    if lat.abs() < 0.01 && lon.abs() < 0.01 {
        return Some(Finding::ZeroZero);
    }
    if regions::may_hold(lat, lon) {
        return None;
    }
    if regions::may_hold(lon, lat) {
        return Some(Finding::Swapped { lat: lon, lon: lat });
    }
    if lon > 0.0 && regions::may_hold(lat, -lon) {
        return Some(Finding::PositiveLongitude { lon: -lon });
    }
    if lat > 0.0 && regions::may_hold(lon, -lat) {
        return Some(Finding::Swapped { lat: lon, lon: -lat });
    }
    let on_earth = lat.abs() <= 90.0 && lon.abs() <= 180.0;
    Some(if on_earth { Finding::OutsideCountries } else { Finding::OutOfRange })
}

/// Metres in one degree of latitude, on the mean sphere (6,371 km).
pub(crate) const DEGREE_M: f64 = 111_195.0;

/// The distance between two points in metres, on a sphere (within 0.5 % of the ellipsoid).
pub fn distance_m(from: (f64, f64), to: (f64, f64)) -> f64 {
    let (lat1, lat2) = (from.0.to_radians(), to.0.to_radians());
    let half_lat = ((lat2 - lat1) / 2.0).sin();
    let half_lon = ((to.1 - from.1).to_radians() / 2.0).sin();
    let h = half_lat * half_lat + lat1.cos() * lat2.cos() * half_lon * half_lon;
    2.0 * 6_371_000.0 * h.sqrt().min(1.0).asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_have_names() {
        for (lat, lon, expected) in [
            (51.05, -114.07, None),
            (21.3, -157.86, None),
            (52.9, 172.9, None),
            (18.34, -64.9, None),
            (f64::NAN, -114.0, Some(Finding::NotANumber)),
            (51.0, f64::INFINITY, Some(Finding::NotANumber)),
            (0.0, 0.0, Some(Finding::ZeroZero)),
            (0.0, -0.001, Some(Finding::ZeroZero)),
            (-114.07, 51.05, Some(Finding::Swapped { lat: 51.05, lon: -114.07 })),
            (114.07, 51.05, Some(Finding::Swapped { lat: 51.05, lon: -114.07 })),
            (51.05, 114.07, Some(Finding::PositiveLongitude { lon: -114.07 })),
            (951.05, -114.07, Some(Finding::OutOfRange)),
            (48.85, 2.35, Some(Finding::OutsideCountries)),
            (19.43, -99.13, Some(Finding::OutsideCountries)),
        ] {
            assert_eq!(examine(lat, lon), expected, "{lat} {lon}");
        }
    }

    #[test]
    fn distances() {
        // Calgary Tower to the Space Needle: 709 km by any geodesic calculator.
        let found = distance_m((51.0443, -114.0631), (47.6205, -122.3493));
        assert!((found - 709_000.0).abs() < 5_000.0, "{found}");
        assert!(distance_m((51.0, -114.0), (51.0, -114.0)) < 1e-9);
    }
}
