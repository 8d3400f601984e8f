//! The map: pins where few listings match, clusters by grid cell where many do.
//!
//! Cells are of equal degrees, about 64 screen pixels wide at the zoom asked for, and stand at the mean of what
//! they hold. They are counted in the same pass that filters: no precomputed counts would be right for every
//! filter, and the pass costs a few nanoseconds for each match.

use std::collections::HashMap;

use crate::columns::{Block, Bounds};

/// Most pins in an answer.
pub(crate) const PINS_MAX: usize = 500;
/// Most clusters in an answer: where the box is wide for its zoom, cells grow until they are so few.
pub(crate) const CLUSTERS_MAX: usize = 2000;
/// Deepest zoom.
pub(crate) const ZOOM_MAX: u8 = 22;

/// Listings of one cell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cluster {
    pub(crate) count: u64,
    pub(crate) bounds: Bounds,
    /// One of them; the only one where `count` is 1.
    pub(crate) id: u32,
    lat_sum: i64,
    lon_sum: i64,
}

impl Cluster {
    /// Mean latitude and longitude in ten-millionths of a degree.
    pub(crate) fn mean(&self) -> (i64, i64) {
        let count = i64::try_from(self.count).unwrap_or(i64::MAX).max(1);
        (self.lat_sum / count, self.lon_sum / count)
    }

    fn join(&mut self, other: &Self) {
        self.count += other.count;
        self.bounds.join(&other.bounds);
        self.lat_sum += other.lat_sum;
        self.lon_sum += other.lon_sum;
    }
}

/// Counts matches by cell.
pub(crate) struct Grid {
    width: u32,
    cells: HashMap<(u32, u32), Cluster>,
    pins: Vec<u32>,
    /// All that were offered.
    pub(crate) total: u64,
}

/// What to draw.
pub(crate) struct Drawn {
    /// Ids to draw as pins.
    pub(crate) pins: Vec<u32>,
    /// Cells to draw as clusters, from south-west to north-east.
    pub(crate) clusters: Vec<Cluster>,
}

impl Grid {
    pub(crate) fn new(zoom: u8) -> Self {
        let width = 3_600_000_000u32 >> (u32::from(zoom.min(ZOOM_MAX)) + 2);
        Self { width: width.max(4), cells: HashMap::new(), pins: Vec::new(), total: 0 }
    }

    /// Takes one match.
    pub(crate) fn offer(&mut self, block: &Block, at: usize, id: u32) {
        let Some((&lat, &lon)) = block.lat.get(at).zip(block.lon.get(at)) else { return };
        self.total += 1;
        if self.pins.len() < PINS_MAX {
            self.pins.push(id);
        }
        let one = Cluster {
            count: 1,
            bounds: Bounds { west: lon, east: lon, south: lat, north: lat },
            id,
            lat_sum: lat.into(),
            lon_sum: lon.into(),
        };
        let cell = self.cell(lat, lon);
        self.cells.entry(cell).and_modify(|cluster| cluster.join(&one)).or_insert(one);
        if self.cells.len() > CLUSTERS_MAX {
            self.coarsen();
        }
    }

    /// Three quarters as high as wide: at the latitudes of most listings that is square on the screen.
    fn cell(&self, lat: i32, lon: i32) -> (u32, u32) {
        let east = lon.wrapping_add(1_800_000_000).cast_unsigned();
        let north = lat.wrapping_add(900_000_000).cast_unsigned();
        (north / (self.width / 4 * 3), east / self.width)
    }

    fn coarsen(&mut self) {
        self.width = self.width.saturating_mul(2);
        for cluster in std::mem::take(&mut self.cells).into_values() {
            let b = cluster.bounds;
            let cell = self.cell(b.south, b.west);
            self.cells.entry(cell).and_modify(|c| c.join(&cluster)).or_insert(cluster);
        }
    }

    /// Pins where all fit; otherwise clusters, and pins for what stands alone in its cell.
    pub(crate) fn draw(self) -> Drawn {
        if self.total <= PINS_MAX as u64 {
            return Drawn { pins: self.pins, clusters: Vec::new() };
        }
        let mut cells: Vec<_> = self.cells.into_iter().collect();
        cells.sort_unstable_by_key(|(cell, _)| *cell);
        let mut drawn = Drawn { pins: Vec::new(), clusters: Vec::new() };
        for (_, cluster) in cells {
            if cluster.count == 1 && drawn.pins.len() < PINS_MAX {
                drawn.pins.push(cluster.id);
            } else {
                drawn.clusters.push(cluster);
            }
        }
        drawn
    }
}
