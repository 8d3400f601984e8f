//! How far the nearest other centroids are: the measure of how large a postal code's area is.

use std::collections::HashMap;

use crate::coordinates::DEGREE_M;

/// Points in cells of half a degree, so that a search looks at few of them.
pub(crate) struct Neighbours<'a> {
    points: &'a [(f64, f64)],
    cells: HashMap<(i32, i32), Vec<usize>>,
}

const CELL_DEGREES: f64 = 0.5;

/// A search stops here; only the far north is so empty.
const MAX_RINGS: i32 = 24;

impl<'a> Neighbours<'a> {
    pub(crate) fn new(points: &'a [(f64, f64)]) -> Self {
        let mut cells: HashMap<(i32, i32), Vec<usize>> = HashMap::new();
        for (index, point) in points.iter().enumerate() {
            cells.entry(cell(*point)).or_default().push(index);
        }
        Self { points, cells }
    }

    /// The distance in metres to the `rank`-th nearest point that is at least `apart_m` away, or the edge of the
    /// search where there are fewer.
    pub(crate) fn distance_m(&self, of: (f64, f64), rank: usize, apart_m: f64) -> f64 {
        let (row, column) = cell(of);
        let mut found: Vec<f64> = Vec::new();
        // A ring of cells is at least this far away for each step out.
        let step_m = CELL_DEGREES * DEGREE_M * of.0.to_radians().cos().max(0.05);
        for ring in 0..=MAX_RINGS {
            for place in ring_cells(row, column, ring) {
                let points = self
                    .cells
                    .get(&place)
                    .into_iter()
                    .flatten()
                    .filter_map(|index| self.points.get(*index));
                found.extend(
                    points
                        .map(|point| flat_distance_m(of, *point))
                        .filter(|distance| *distance >= apart_m),
                );
            }
            found.sort_by(f64::total_cmp);
            if let Some(distance) = rank.checked_sub(1).and_then(|at| found.get(at))
                && *distance <= f64::from(ring) * step_m
            {
                return *distance;
            }
            found.truncate(rank);
        }
        f64::from(MAX_RINGS) * step_m
    }
}

fn ring_cells(row: i32, column: i32, ring: i32) -> impl Iterator<Item = (i32, i32)> {
    (-ring..=ring).flat_map(move |dy| {
        // The rows at the ends are whole; between them only the two sides belong to the ring.
        let step = if dy.abs() == ring { 1 } else { (2 * ring).max(1) };
        (-ring..=ring)
            .step_by(usize::try_from(step).unwrap_or(1))
            .map(move |dx| (row + dy, column + dx))
    })
}

fn cell((lat, lon): (f64, f64)) -> (i32, i32) {
    (floor(lat / CELL_DEGREES), floor(lon / CELL_DEGREES))
}

/// Truncation is safe: coordinates are checked, so quotients stay within a few hundred.
#[allow(
    clippy::cast_possible_truncation,
    reason = "float to integer saturates, and coordinates are small"
)]
fn floor(value: f64) -> i32 {
    value.floor() as i32
}

/// Good to a percent for the distances between neighbours.
pub(crate) fn flat_distance_m(from: (f64, f64), to: (f64, f64)) -> f64 {
    let lat = (to.0 - from.0) * DEGREE_M;
    let lon = (to.1 - from.1) * DEGREE_M * ((from.0 + to.0) / 2.0).to_radians().cos();
    lat.hypot(lon)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_finds_what_a_full_scan_finds() {
        let points: Vec<(f64, f64)> = (0..400)
            .map(|n| {
                let n = f64::from(n);
                (40.0 + (n * 0.618_034).fract() * 6.0, -110.0 + (n * 0.754_877).fract() * 9.0)
            })
            .collect();
        let neighbours = Neighbours::new(&points);
        for of in points.iter().step_by(7) {
            let mut all: Vec<f64> = points
                .iter()
                .map(|point| flat_distance_m(*of, *point))
                .filter(|d| *d >= 200.0)
                .collect();
            all.sort_by(f64::total_cmp);
            for rank in [1, 3] {
                assert!((neighbours.distance_m(*of, rank, 200.0) - all[rank - 1]).abs() < 1e-6);
            }
        }
    }
}
