//! One region's outline, cut into bands of latitude so that a test of a point looks at few edges.

use crate::coordinates::DEGREE_M;

/// One edge: latitude and longitude of both ends.
#[derive(Clone, Copy, Debug)]
struct Edge {
    from: (f64, f64),
    to: (f64, f64),
}

/// The rings of a region, outer ones and holes alike: a point is inside where a ray crosses them an odd number of times.
#[derive(Clone, Debug)]
pub(crate) struct Outline {
    south: f64,
    north: f64,
    west: f64,
    east: f64,
    /// Edges by the bands of [`BAND_DEGREES`] that they touch, from south to north.
    bands: Vec<Vec<Edge>>,
}

/// About 28 km: the most ragged region, Nunavut, has some two hundred edges in a band.
const BAND_DEGREES: f64 = 0.25;

impl Outline {
    /// Builds an outline from rings of `(latitude, longitude)`, finite and on Earth.
    pub(crate) fn new(rings: &[Vec<(f64, f64)>]) -> Self {
        let points = || rings.iter().flatten();
        let least = |pick: fn(&(f64, f64)) -> f64| points().map(pick).fold(f64::INFINITY, f64::min);
        let most =
            |pick: fn(&(f64, f64)) -> f64| points().map(pick).fold(f64::NEG_INFINITY, f64::max);
        let (south, north) = (least(|point| point.0), most(|point| point.0));
        let (west, east) = (least(|point| point.1), most(|point| point.1));
        let mut outline = Self { south, north, west, east, bands: Vec::new() };
        outline.bands.resize(outline.band(north) + 1, Vec::new());
        for ring in rings {
            for (from, to) in ring.iter().zip(ring.iter().cycle().skip(1)) {
                outline.add(Edge { from: *from, to: *to });
            }
        }
        outline
    }

    fn add(&mut self, edge: Edge) {
        let (low, high) = (edge.from.0.min(edge.to.0), edge.from.0.max(edge.to.0));
        let (first, last) = (self.band(low), self.band(high));
        for band in self.bands.iter_mut().take(last + 1).skip(first) {
            band.push(edge);
        }
    }

    /// The band of a latitude, the lowest for those below.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "float to integer saturates, and latitudes give at most 720 bands"
    )]
    fn band(&self, lat: f64) -> usize {
        ((lat - self.south) / BAND_DEGREES).max(0.0) as usize
    }

    /// Whether a point is inside. `false` for what is no number.
    pub(crate) fn holds(&self, lat: f64, lon: f64) -> bool {
        let in_box = lat >= self.south && lat <= self.north && lon >= self.west && lon <= self.east;
        if !in_box {
            return false;
        }
        let edges = self.bands.get(self.band(lat)).map_or(&[][..], Vec::as_slice);
        let mut inside = false;
        for Edge { from, to } in edges {
            if (from.0 > lat) != (to.0 > lat)
                && lon < (to.1 - from.1) * (lat - from.0) / (to.0 - from.0) + from.1
            {
                inside = !inside;
            }
        }
        inside
    }

    /// The distance in metres from a point to the nearest edge; `None` where it is more than `within_m`.
    pub(crate) fn distance_m(&self, lat: f64, lon: f64, within_m: f64) -> Option<f64> {
        let reach = within_m / DEGREE_M;
        let narrow = lat.to_radians().cos().max(0.01);
        let near_box = lat >= self.south - reach
            && lat <= self.north + reach
            && lon >= self.west - reach / narrow
            && lon <= self.east + reach / narrow;
        if !near_box {
            return None;
        }
        let (first, last) = (self.band(lat - reach), self.band(lat + reach));
        let edges = self.bands.iter().take(last + 1).skip(first).flatten();
        let nearest =
            edges.map(|edge| edge.distance_degrees(lat, lon, narrow)).fold(f64::INFINITY, f64::min)
                * DEGREE_M;
        (nearest <= within_m).then_some(nearest)
    }
}

impl Edge {
    /// The distance to a point in degrees of latitude; longitudes are shortened by `narrow`.
    fn distance_degrees(&self, lat: f64, lon: f64, narrow: f64) -> f64 {
        let (ay, ax) = (self.from.0 - lat, (self.from.1 - lon) * narrow);
        let (dy, dx) = (self.to.0 - self.from.0, (self.to.1 - self.from.1) * narrow);
        let square = dx * dx + dy * dy;
        let along =
            if square > 0.0 { (-(ax * dx + ay * dy) / square).clamp(0.0, 1.0) } else { 0.0 };
        (ax + along * dx).hypot(ay + along * dy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(south: f64, west: f64, size: f64) -> Vec<(f64, f64)> {
        vec![
            (south, west),
            (south, west + size),
            (south + size, west + size),
            (south + size, west),
            (south, west),
        ]
    }

    #[test]
    fn a_square_with_a_hole() {
        let outline = Outline::new(&[square(40.0, -110.0, 4.0), square(41.0, -109.0, 1.0)]);
        for (lat, lon, inside) in [
            (40.5, -109.5, true),
            (41.5, -108.5, false),
            (43.99, -106.01, true),
            (44.01, -107.0, false),
            (39.99, -108.0, false),
            (f64::NAN, -108.0, false),
            (42.0, f64::NAN, false),
        ] {
            assert_eq!(outline.holds(lat, lon), inside, "{lat} {lon}");
        }
    }

    #[test]
    fn distance_to_the_edge() {
        let outline = Outline::new(&[square(40.0, -110.0, 4.0)]);
        let found = outline.distance_m(39.99, -108.0, 5_000.0).unwrap();
        assert!((found - 1_112.0).abs() < 2.0, "{found}");
        assert_eq!(outline.distance_m(39.9, -108.0, 5_000.0), None);
        assert_eq!(outline.distance_m(10.0, -108.0, 5_000.0), None);
        assert!(outline.distance_m(42.0, -110.01, 5_000.0).is_some_and(|found| found < 1_000.0));
    }

    #[test]
    fn an_outline_of_nothing_holds_nothing() {
        assert!(!Outline::new(&[]).holds(1.0, 1.0));
    }
}
