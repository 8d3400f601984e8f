//! Who may be concerned by a change: an index over subscriptions, so that a change costs what its watchers cost.
//!
//! A subscription stands under the narrowest thing that it names: single listings, the cells of its box, the values
//! of one attribute, or nothing at all. What is found here is asked once more, exactly.

use std::collections::HashMap;

use crate::changes::round::{Entry, What};
use crate::changes::watch::{Attribute, Filter, Folded, Watch};
use crate::columns::{Bounds, PLACED, Row};

/// Number of a subscription.
pub(crate) type Id = u32;

/// Cells are 360 degrees halved so many times; the deepest are about 200 m wide.
const LEVELS: u8 = 18;
/// A box is covered by at most about so many cells.
const CELLS_MAX: u64 = 12;

/// The index.
#[derive(Debug, Default)]
pub(crate) struct Index {
    listings: HashMap<u64, Vec<Id>>,
    devices: HashMap<u64, Vec<Id>>,
    cells: HashMap<(u8, u32, u32), Vec<Id>>,
    /// How many entries of `cells` are of a level.
    levels: [usize; LEVELS as usize + 1],
    attributes: HashMap<(usize, Box<str>), Vec<Id>>,
    broad: Vec<Id>,
}

enum Place<'a> {
    Cells(u8, [u32; 4]),
    Attribute(Attribute, &'a [Box<str>]),
    Broad,
}

fn place(filter: &Filter) -> Place<'_> {
    if let Some(area) = filter.query.area {
        let (level, cells) = cover(area);
        return Place::Cells(level, cells);
    }
    for attribute in Attribute::ALL {
        let wanted = filter.wanted.get(attribute.place()).map(Vec::as_slice).unwrap_or_default();
        if !wanted.is_empty() {
            return Place::Attribute(attribute, wanted);
        }
    }
    Place::Broad
}

/// The deepest level on which a box has few enough cells, and its first and last column and row.
fn cover(area: Bounds) -> (u8, [u32; 4]) {
    for level in (1..=LEVELS).rev() {
        let (west, south) = cell(level, area.south, area.west);
        let (east, north) = cell(level, area.north, area.east);
        if u64::from(east - west + 1) * u64::from(north - south + 1) <= CELLS_MAX {
            return (level, [west, south, east, north]);
        }
    }
    (0, [0, 0, 0, 0])
}

/// Column and row of a place.
fn cell(level: u8, lat: i32, lon: i32) -> (u32, u32) {
    let east = lon.wrapping_add(1_800_000_000).cast_unsigned();
    let north = lat.wrapping_add(1_800_000_000).cast_unsigned();
    // 2^32 units of a ten-millionth of a degree are more than all of the earth.
    let shift = 32 - u32::from(level);
    (east.checked_shr(shift).unwrap_or(0), north.checked_shr(shift).unwrap_or(0))
}

fn each_cell([west, south, east, north]: [u32; 4]) -> impl Iterator<Item = (u32, u32)> {
    (west..=east).flat_map(move |x| (south..=north).map(move |y| (x, y)))
}

fn forget(list: Option<&mut Vec<Id>>, id: Id) -> bool {
    let Some(list) = list else { return false };
    if let Some(at) = list.iter().position(|known| *known == id) {
        list.swap_remove(at);
    }
    list.is_empty()
}

impl Index {
    /// Adds a subscription.
    pub(crate) fn add(&mut self, id: Id, watch: &Watch) {
        for hash in &watch.listings {
            self.listings.entry(*hash).or_default().push(id);
        }
        if let Some(device) = watch.device {
            self.devices.entry(device).or_default().push(id);
        }
        match watch.filter.as_ref().map(place) {
            None => {}
            Some(Place::Cells(level, cells)) => {
                for (x, y) in each_cell(cells) {
                    self.cells.entry((level, x, y)).or_default().push(id);
                    self.count(level, true);
                }
            }
            Some(Place::Attribute(attribute, wanted)) => {
                for name in wanted {
                    self.attributes.entry((attribute.place(), name.clone())).or_default().push(id);
                }
            }
            Some(Place::Broad) => self.broad.push(id),
        }
    }

    /// Takes a subscription out.
    pub(crate) fn remove(&mut self, id: Id, watch: &Watch) {
        for hash in &watch.listings {
            if forget(self.listings.get_mut(hash), id) {
                self.listings.remove(hash);
            }
        }
        if let Some(device) = watch.device
            && forget(self.devices.get_mut(&device), id)
        {
            self.devices.remove(&device);
        }
        match watch.filter.as_ref().map(place) {
            None => {}
            Some(Place::Cells(level, cells)) => {
                for (x, y) in each_cell(cells) {
                    if forget(self.cells.get_mut(&(level, x, y)), id) {
                        self.cells.remove(&(level, x, y));
                    }
                    self.count(level, false);
                }
            }
            Some(Place::Attribute(attribute, wanted)) => {
                for name in wanted {
                    let key = (attribute.place(), name.clone());
                    if forget(self.attributes.get_mut(&key), id) {
                        self.attributes.remove(&key);
                    }
                }
            }
            Some(Place::Broad) => drop(forget(Some(&mut self.broad), id)),
        }
    }

    fn count(&mut self, level: u8, more: bool) {
        if let Some(count) = self.levels.get_mut(usize::from(level)) {
            *count = if more { *count + 1 } else { count.saturating_sub(1) };
        }
    }

    /// Everyone whom an entry may concern; some may come twice.
    pub(crate) fn concerned(&self, entry: &Entry, folded: &Folded, found: &mut Vec<Id>) {
        let listing = match &entry.what {
            What::Result(device) => {
                found.extend(self.devices.get(device).into_iter().flatten());
                return;
            }
            What::Listing(listing) => listing,
        };
        found.extend(self.listings.get(&listing.now.hash).into_iter().flatten());
        found.extend(&self.broad);
        self.at(&listing.now, folded, found);
        if let Some(before) = &listing.before {
            self.at(before, folded, found);
        }
    }

    fn at(&self, row: &Row, folded: &Folded, found: &mut Vec<Id>) {
        if row.is(PLACED) {
            for (level, _) in (0..=LEVELS).zip(&self.levels).filter(|(_, n)| **n > 0) {
                let (x, y) = cell(level, row.lat, row.lon);
                found.extend(self.cells.get(&(level, x, y)).into_iter().flatten());
            }
        }
        if self.attributes.is_empty() {
            return;
        }
        for attribute in Attribute::ALL {
            let name = folded.text(attribute, row);
            if !name.is_empty() {
                let key = (attribute.place(), Box::from(name));
                found.extend(self.attributes.get(&key).into_iter().flatten());
            }
        }
    }

    /// Whether nothing is left in it.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.listings.is_empty()
            && self.devices.is_empty()
            && self.cells.is_empty()
            && self.attributes.is_empty()
            && self.broad.is_empty()
            && self.levels.iter().all(|n| *n == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataflow::Batch;
    use proptest::prelude::*;
    use std::sync::Arc;

    use crate::changes::round::Listing;
    use crate::columns::{Columns, SHOWN};
    use crate::search::Query;

    const CITIES: [&str; 3] = ["Calgary", "Régina", "Victoria"];

    fn filter() -> impl Strategy<Value = Filter> {
        let west = -1_800_000_000..1_800_000_000i32;
        let south = -900_000_000..900_000_000i32;
        let area = (west, south, 0..2_000_000_000i32, 0..900_000_000i32);
        let area = area.prop_map(|(west, south, wide, high)| Bounds {
            west,
            south,
            east: west.saturating_add(wide).min(1_800_000_000),
            north: south.saturating_add(high).min(900_000_000),
        });
        let city = prop::collection::vec(prop::sample::select(CITIES.to_vec()), 0..3);
        (prop::option::of(area), city).prop_map(|(area, city)| {
            let city = city.into_iter().map(str::to_lowercase).collect();
            Filter::new(Query { area, city, ..Query::default() })
        })
    }

    fn row() -> impl Strategy<Value = (i32, i32, usize, bool)> {
        let (lat, lon) = (-900_000_000..900_000_000i32, -1_800_000_000..1_800_000_000i32);
        (lat, lon, 0..3usize, any::<bool>())
    }

    proptest! {
        #[test]
        fn whoever_is_concerned_is_found(
            filters in prop::collection::vec(filter(), 1..20), before in row(), now in row()
        ) {
            let mut columns = Columns::default();
            let mut made = |(lat, lon, city, placed): (i32, i32, usize, bool)| Row {
                lat,
                lon,
                city: columns.names.city.code(CITIES[city]),
                flags: SHOWN | if placed { PLACED } else { 0 },
                ..Row::waiting(1)
            };
            let now = Row { version: 1, ..made(now) };
            let what = What::Listing(Box::new(Listing::new(Some(made(before)), now)));
            let block = Arc::new(dataflow::BatchBuilder::default().finish());
            let batch = Arc::new(Batch::decode(block, 0, 0).unwrap());
            let entry = Entry::new(0, 0, (batch, 0), what);
            let mut folded = Folded::default();
            folded.follow(&columns);
            let watches: Vec<_> = filters
                .into_iter()
                .map(|f| Watch { filter: Some(f), ..Watch::default() })
                .collect();
            let mut index = Index::default();
            (0..).zip(&watches).for_each(|(id, watch)| index.add(id, watch));
            let mut found = Vec::new();
            index.concerned(&entry, &folded, &mut found);
            for (id, watch) in (0u32..).zip(&watches) {
                if watch.sight(&entry, &folded, true).is_some() {
                    prop_assert!(found.contains(&id), "{watch:?}");
                }
            }
            (0..).zip(&watches).for_each(|(id, watch)| index.remove(id, watch));
            prop_assert!(index.is_empty());
        }
    }
}
