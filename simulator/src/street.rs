//! Streets: a grid around the centre of each city, named as that city names its streets.
//!
//! Homes on the same line of the grid are on the same street, and house numbers rise away from the centre, so that
//! pins on a map and the addresses beside them agree.

use crate::chance::{Chance, Purpose};
use crate::city::{City, Country, LATITUDE_NANO_PER_M, StreetStyle};
use crate::text::push_number;
use names::{AVENUE_SUFFIXES, CANADIAN_NAMES, FRENCH_NAMES, FRENCH_TYPES, NAMES, SUFFIXES};

mod names;

/// Metres between parallel streets, and between parallel avenues.
const STREET_SPACING_M: i64 = 96;
const AVENUE_SPACING_M: i64 = 160;
/// Metres of frontage, so that house numbers step evenly.
const FRONTAGE_M: i64 = 16;
/// Metres from the middle of the road to the middle of the house.
const SETBACK_M: i64 = 22;

/// Where a home stands: a point on the map and its lot on a line of the grid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site {
    pub(crate) latitude_micro: i64,
    pub(crate) longitude_micro: i64,
    /// True where the street runs north to south.
    avenue: bool,
    /// Which line of the grid, counted from the centre.
    line: i64,
    east_m: i64,
    north_m: i64,
    pub(crate) house_number: u64,
}

impl Site {
    /// The lot nearest to a point that lies `east_m` and `north_m` metres from the centre of the city.
    pub(crate) fn nearest(
        city: &City,
        (east_m, north_m): (i64, i64),
        frontage: i64,
        chance: &mut Chance,
    ) -> Self {
        let (cos, sin) = (city.bearing_cos_milli, city.bearing_sin_milli);
        let along_m = (east_m * cos - north_m * sin) / 1_000;
        let across_m = (east_m * sin + north_m * cos) / 1_000;
        let avenue = chance.percent(40);
        let left = chance.percent(50);
        let setback_m = if left { SETBACK_M } else { -SETBACK_M };
        let lot_m = FRONTAGE_M * frontage;
        let (line, distance_m, along_m, across_m) = if avenue {
            let line = (along_m + AVENUE_SPACING_M / 2).div_euclid(AVENUE_SPACING_M);
            let lot = across_m.div_euclid(lot_m) * lot_m;
            (line, lot, line * AVENUE_SPACING_M + setback_m, lot)
        } else {
            let line = (across_m + STREET_SPACING_M / 2).div_euclid(STREET_SPACING_M);
            let lot = along_m.div_euclid(lot_m) * lot_m;
            (line, lot, lot, line * STREET_SPACING_M + setback_m)
        };
        let east_m = (along_m * cos + across_m * sin) / 1_000;
        let north_m = (across_m * cos - along_m * sin) / 1_000;
        Self {
            latitude_micro: city.latitude_micro + north_m * LATITUDE_NANO_PER_M / 1_000,
            longitude_micro: city.longitude_micro + east_m * city.longitude_nano_per_m / 1_000,
            avenue,
            line,
            east_m: along_m,
            north_m: across_m,
            house_number: 100 + distance_m.unsigned_abs() / 4 + u64::from(left),
        }
    }

    /// A number that homes of the same side of the same block share.
    pub(crate) fn block(&self) -> u64 {
        self.line.unsigned_abs() * 1_009
            + self.house_number / 100 * 2
            + self.house_number % 2
            + u64::from(self.avenue)
    }

    /// Writes number and street as one line, such as `1214 5th Ave NE`, without the unit.
    pub(crate) fn write_address(&self, city: &City, out: &mut Vec<u8>) {
        push_number(out, self.house_number);
        out.push(b' ');
        let mut chance = self.street_chance(city);
        match city.street_style {
            StreetStyle::Plain => self.write_name(city, &mut chance, out),
            StreetStyle::DirectionBefore => {
                out.extend_from_slice(self.half().as_bytes());
                out.push(b' ');
                self.write_name(city, &mut chance, out);
            }
            StreetStyle::DirectionAfter => {
                self.write_name(city, &mut chance, out);
                out.push(b' ');
                out.extend_from_slice(self.half().as_bytes());
            }
            StreetStyle::Quadrant => {
                self.write_name(city, &mut chance, out);
                self.write_quadrant(out);
            }
            StreetStyle::Ordinal => self.write_ordinal(city, &mut chance, out),
            StreetStyle::BareNumber => self.write_bare(city, &mut chance, out),
            StreetStyle::BareNumberQuadrant => {
                self.write_bare(city, &mut chance, out);
                self.write_quadrant(out);
            }
            StreetStyle::French => {
                out.extend_from_slice(chance.pick(FRENCH_TYPES).as_bytes());
                out.push(b' ');
                out.extend_from_slice(chance.pick(FRENCH_NAMES).as_bytes());
            }
        }
    }

    /// The stream that names this street, the same for every home on it.
    fn street_chance(&self, city: &City) -> Chance {
        let line = self.line.rem_euclid(1 << 20).unsigned_abs() * 2 + u64::from(self.avenue);
        Chance::new(city.latitude_micro.unsigned_abs(), Purpose::Street, line)
    }

    fn write_name(&self, city: &City, chance: &mut Chance, out: &mut Vec<u8>) {
        let names = if city.country == Country::Canada { CANADIAN_NAMES } else { NAMES };
        out.extend_from_slice(chance.pick(names).as_bytes());
        out.push(b' ');
        let suffixes = if self.avenue { AVENUE_SUFFIXES } else { SUFFIXES };
        out.extend_from_slice(chance.pick(suffixes).as_bytes());
    }

    fn write_ordinal(&self, city: &City, chance: &mut Chance, out: &mut Vec<u8>) {
        if self.line == 0 || chance.percent(30) {
            return self.write_name(city, chance, out);
        }
        let line = self.line.unsigned_abs();
        if !self.avenue {
            out.extend_from_slice(self.quadrant().as_bytes());
            out.push(b' ');
        }
        push_number(out, line);
        out.extend_from_slice(ordinal_ending(line).as_bytes());
        out.extend_from_slice(if self.avenue { b" Ave" } else { b" St" });
        if self.avenue {
            self.write_quadrant(out);
        }
    }

    fn write_bare(&self, city: &City, chance: &mut Chance, out: &mut Vec<u8>) {
        if self.line == 0 || chance.percent(35) {
            return self.write_name(city, chance, out);
        }
        push_number(out, self.line.unsigned_abs());
        out.extend_from_slice(if self.avenue { b" St" } else { b" Ave" });
    }

    fn write_quadrant(&self, out: &mut Vec<u8>) {
        out.push(b' ');
        out.extend_from_slice(self.quadrant().as_bytes());
    }

    fn quadrant(&self) -> &'static str {
        match (self.north_m >= 0, self.east_m >= 0) {
            (true, true) => "NE",
            (true, false) => "NW",
            (false, true) => "SE",
            (false, false) => "SW",
        }
    }

    fn half(&self) -> &'static str {
        match (self.avenue, self.north_m >= 0, self.east_m >= 0) {
            (true, true, _) => "N",
            (true, false, _) => "S",
            (false, _, true) => "E",
            (false, _, false) => "W",
        }
    }
}

fn ordinal_ending(number: u64) -> &'static str {
    match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    }
}

#[cfg(test)]
mod tests {
    use super::{Site, ordinal_ending};
    use crate::chance::{Chance, Purpose};
    use crate::city::cities;

    #[test]
    fn ordinals() {
        for (number, ending) in
            [(1, "st"), (2, "nd"), (3, "rd"), (4, "th"), (11, "th"), (112, "th"), (121, "st")]
        {
            assert_eq!(ordinal_ending(number), ending, "{number}");
        }
    }

    #[test]
    fn a_lot_is_near_the_point_it_was_asked_for_whatever_the_bearing() {
        for city in cities() {
            for number in 0..50 {
                let mut chance = Chance::new(3, Purpose::Home, number);
                let asked = (chance.around(9_000), chance.around(9_000));
                let site = Site::nearest(&city, asked, 1, &mut chance);
                let east_m = (site.longitude_micro - city.longitude_micro) * 1_000
                    / city.longitude_nano_per_m;
                let north_m = (site.latitude_micro - city.latitude_micro) * 1_000 / 8_983;
                let off_m = (east_m - asked.0).abs().max((north_m - asked.1).abs());
                assert!(off_m <= 160, "{}: {off_m} m off", city.name);
            }
        }
    }
}
