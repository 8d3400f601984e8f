//! The cities of the market and their postal areas, read once from `data/cities.tsv`.

use crate::chance::{Chance, Purpose};

/// The country of a city; it decides units, currency and the form of postal codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Country {
    /// United States: dollars, square feet, ZIP codes.
    UnitedStates,
    /// Canada: Canadian dollars, square metres, postal codes such as `T2R 1A4`.
    Canada,
}

/// How a city names and numbers its streets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreetStyle {
    /// `1420 Maple St`.
    Plain,
    /// `1432 N Clark St`.
    DirectionBefore,
    /// `210 NE 45th St`, `1214 5th Ave NE`.
    Ordinal,
    /// `1420 K St NW`.
    Quadrant,
    /// `88 Queen St E`.
    DirectionAfter,
    /// `12345 72 Ave`.
    BareNumber,
    /// `1636 17 Ave SW`.
    BareNumberQuadrant,
    /// `4521 Rue Saint-Denis`.
    French,
}

/// A postal area: a ZIP code or a Canadian forward sortation area, around its centre.
#[derive(Clone, Debug)]
pub(crate) struct PostalArea {
    pub(crate) code: &'static str,
    pub(crate) latitude_micro: i64,
    pub(crate) longitude_micro: i64,
    pub(crate) radius_m: i64,
    share: u64,
}

/// A city: its name, its place on the map, its price level and its postal areas.
#[derive(Clone, Debug)]
pub struct City {
    pub(crate) country: Country,
    pub(crate) name: &'static str,
    pub(crate) state: &'static str,
    pub(crate) street_style: StreetStyle,
    pub(crate) price_level: u64,
    pub(crate) share: u64,
    pub(crate) school_district: &'static str,
    pub(crate) latitude_micro: i64,
    pub(crate) longitude_micro: i64,
    pub(crate) longitude_nano_per_m: i64,
    pub(crate) bearing_cos_milli: i64,
    pub(crate) bearing_sin_milli: i64,
    pub(crate) areas: Vec<PostalArea>,
    area_share: u64,
}

/// Billionths of a degree of latitude in one metre.
pub(crate) const LATITUDE_NANO_PER_M: i64 = 8_983;

/// How far, in metres, snapping to the street grid and the setback may move a home.
pub(crate) const GRID_SLACK_M: i64 = 200;

impl City {
    /// The name as the feed spells it, such as `Montréal`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The state or province, two letters as its post office writes them.
    pub fn state(&self) -> &'static str {
        self.state
    }

    /// The country.
    pub fn country(&self) -> Country {
        self.country
    }

    /// Whether a point, in millionths of a degree, lies in the box that holds every home of this city.
    pub fn contains(&self, latitude_micro: i64, longitude_micro: i64) -> bool {
        self.areas.iter().any(|area| {
            let reach_m = area.radius_m + GRID_SLACK_M;
            (latitude_micro - area.latitude_micro).abs() <= reach_m * LATITUDE_NANO_PER_M / 1_000
                && (longitude_micro - area.longitude_micro).abs()
                    <= reach_m * self.longitude_nano_per_m / 1_000
        })
    }

    pub(crate) fn area(&self, chance: &mut Chance) -> &PostalArea {
        let mut ticket = chance.below(self.area_share);
        for area in &self.areas {
            match ticket.checked_sub(area.share) {
                None => return area,
                Some(rest) => ticket = rest,
            }
        }
        self.areas.first().expect("the shares of the areas add up to the tickets")
    }
}

/// Reads the table of cities that is built into the program.
pub(crate) fn cities() -> Vec<City> {
    include_str!("../data/cities.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(city)
        .collect()
}

fn city(line: &'static str) -> City {
    let mut cells = line.split('\t');
    let mut next = || cells.next().expect("a line of cities.tsv has 14 columns");
    let country = if next() == "CA" { Country::Canada } else { Country::UnitedStates };
    let mut city = City {
        country,
        name: next(),
        state: next(),
        street_style: street_style(next()),
        price_level: number(next()).unsigned_abs() * 1_000,
        share: number(next()).unsigned_abs(),
        school_district: next(),
        latitude_micro: number(next()),
        longitude_micro: number(next()),
        longitude_nano_per_m: number(next()),
        bearing_cos_milli: number(next()),
        bearing_sin_milli: number(next()),
        areas: Vec::new(),
        area_share: 0,
    };
    let land: Vec<[i64; 2]> = next().split(',').map(direction).collect();
    for (at, cell) in (0..).zip(next().split(' ')) {
        let area = area(cell, &city, &land, at);
        city.areas.push(area);
    }
    city.area_share = city.areas.iter().map(|area| area.share).sum();
    city
}

/// Metres from the centre of a city to the nearest of its outer areas, and from each ring of them to the next.
const RING_M: i64 = 1_500;
/// How far an area is drawn from its place on the ring, in metres.
const ASIDE_M: i64 = 500;

/// The first area is the centre; the others lie in rings around it, towards where the city has land.
fn area(cell: &'static str, city: &City, land: &[[i64; 2]], at: usize) -> PostalArea {
    let (code, share) = cell.split_once(':').expect("an area of cities.tsv is code:share");
    let seed = city.latitude_micro.unsigned_abs() ^ city.longitude_micro.unsigned_abs();
    let mut chance = Chance::new(seed, Purpose::Area, at as u64);
    let outer = at.saturating_sub(1);
    let ring = if at == 0 { 0 } else { outer / land.len() + 1 };
    let distance_m = i64::try_from(ring).unwrap_or(0) * RING_M;
    let [north, east] = land.get(outer % land.len()).copied().unwrap_or_default();
    let mut aside = || if at == 0 { 0 } else { chance.around(ASIDE_M) };
    let north_m = distance_m * north / 1_000 + aside();
    let east_m = distance_m * east / 1_000 + aside();
    PostalArea {
        code,
        latitude_micro: city.latitude_micro + north_m * LATITUDE_NANO_PER_M / 1_000,
        longitude_micro: city.longitude_micro + east_m * city.longitude_nano_per_m / 1_000,
        radius_m: RING_M,
        share: number(share).unsigned_abs(),
    }
}

/// North and east of a point of the compass, in thousandths.
fn direction(name: &str) -> [i64; 2] {
    match name {
        "N" => [1_000, 0],
        "NE" => [707, 707],
        "E" => [0, 1_000],
        "SE" => [-707, 707],
        "S" => [-1_000, 0],
        "SW" => [-707, -707],
        "W" => [0, -1_000],
        _ => [707, -707],
    }
}

fn number(cell: &str) -> i64 {
    cell.parse().expect("a number of cities.tsv is whole")
}

fn street_style(cell: &str) -> StreetStyle {
    match cell {
        "us-dir" => StreetStyle::DirectionBefore,
        "us-numbered" => StreetStyle::Ordinal,
        "quadrant" => StreetStyle::Quadrant,
        "ca-dir" => StreetStyle::DirectionAfter,
        "ca-numbered" => StreetStyle::BareNumber,
        "ca-quadrant" => StreetStyle::BareNumberQuadrant,
        "quebec" => StreetStyle::French,
        _ => StreetStyle::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::{Country, cities};

    #[test]
    fn the_table_is_whole() {
        let cities = cities();
        let count = |country| cities.iter().filter(|city| city.country == country).count();
        assert_eq!((count(Country::UnitedStates), count(Country::Canada)), (65, 27));
        for city in &cities {
            assert!(city.areas.len() >= 3, "{} has {} areas", city.name, city.areas.len());
            assert!(city.share > 0 && city.price_level > 50_000, "{}", city.name);
            assert!(
                city.contains(city.areas[0].latitude_micro, city.areas[0].longitude_micro),
                "{}",
                city.name
            );
            assert!(!city.contains(0, 0));
            for area in &city.areas {
                assert_eq!(
                    area.code.len(),
                    if city.country == Country::Canada { 3 } else { 5 },
                    "{}",
                    area.code
                );
            }
        }
    }
}
