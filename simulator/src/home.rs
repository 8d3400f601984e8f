//! Homes: what stands at a place, derived from the seed and a number, never stored.

use crate::chance::{Chance, Purpose};
use crate::city::{City, Country, LATITUDE_NANO_PER_M, cities};
use crate::remarks::Phrasebook;
use crate::street::Site;

/// What a home is; the feed writes it as `PROP_TYPE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Detached,
    Condominium,
    Townhouse,
    Duplex,
    Manufactured,
}

impl Kind {
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Detached => "SFR",
            Self::Condominium => "CND",
            Self::Townhouse => "TWN",
            Self::Duplex => "DPX",
            Self::Manufactured => "MFG",
        }
    }
}

/// All that does not change about a home, however often it is listed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home<'a> {
    pub(crate) city_number: usize,
    pub(crate) city: &'a City,
    pub(crate) area_code: &'static str,
    pub(crate) site: Site,
    pub(crate) kind: Kind,
    pub(crate) unit: Option<u64>,
    pub(crate) bedrooms: u64,
    pub(crate) full_baths: u64,
    pub(crate) half_baths: u64,
    pub(crate) square_feet: u64,
    pub(crate) lot_centi_acres: u64,
    pub(crate) year_built: u64,
    /// What a first asking price would be, in whole units of the country's currency.
    pub(crate) value: u64,
    /// 64 even bits for the small choices of a row.
    pub(crate) dice: u64,
}

/// The fixed part of the market: cities and sentences.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    cities: Vec<City>,
    /// One entry for each share of the market that a city has, so that choosing a city is one look-up.
    tickets: Vec<usize>,
    pub(crate) phrasebook: Phrasebook,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let cities = cities();
        let tickets = cities
            .iter()
            .enumerate()
            .flat_map(|(number, city)| (0..city.share).map(move |_| number))
            .collect();
        Self { seed, cities, tickets, phrasebook: Phrasebook::new(seed) }
    }

    pub(crate) fn cities(&self) -> &[City] {
        &self.cities
    }

    /// Home `number` of this world.
    pub(crate) fn home(&self, number: u64) -> Home<'_> {
        let mut chance = Chance::new(self.seed, Purpose::Home, number);
        let city_number = *chance.pick(&self.tickets);
        let city = self.cities.get(city_number).expect("a ticket names a city");
        let area = city.area(&mut chance);
        let kind = kind(&mut chance);
        let point = (
            (area.longitude_micro - city.longitude_micro) * 1_000 / city.longitude_nano_per_m
                + chance.around(area.radius_m),
            (area.latitude_micro - city.latitude_micro) * 1_000 / LATITUDE_NANO_PER_M
                + chance.around(area.radius_m),
        );
        // Homes with units stand in buildings: fewer, wider lots, so that several share an address.
        let frontage = if kind == Kind::Condominium { 8 } else { 1 };
        let site = Site::nearest(city, point, frontage, &mut chance);
        let mut home = Home {
            city_number,
            city,
            area_code: area.code,
            site,
            kind,
            unit: unit(kind, &mut chance),
            bedrooms: bedrooms(kind, &mut chance),
            full_baths: 1,
            half_baths: u64::from(chance.percent(45)),
            square_feet: 0,
            lot_centi_acres: lot(kind, &mut chance),
            year_built: year_built(&mut chance),
            value: 0,
            dice: chance.next(),
        };
        home.full_baths =
            (1 + home.bedrooms / 2).saturating_sub(u64::from(chance.percent(35))).max(1);
        home.square_feet = square_feet(kind, home.bedrooms, &mut chance);
        home.value = value(&home, &mut chance);
        home
    }
}

impl Home<'_> {
    /// Whether its remarks are written in French.
    pub(crate) fn french(&self) -> bool {
        self.city.state == "QC" && !self.dice.is_multiple_of(4)
    }

    pub(crate) fn canadian(&self) -> bool {
        self.city.country == Country::Canada
    }
}

fn kind(chance: &mut Chance) -> Kind {
    match chance.small(100) {
        0..58 => Kind::Detached,
        58..82 => Kind::Condominium,
        82..93 => Kind::Townhouse,
        93..97 => Kind::Duplex,
        _ => Kind::Manufactured,
    }
}

fn unit(kind: Kind, chance: &mut Chance) -> Option<u64> {
    match kind {
        Kind::Condominium => Some(100 * (1 + chance.below(14)) + 1 + chance.below(18)),
        Kind::Townhouse if chance.percent(50) => Some(1 + chance.below(12)),
        _ => None,
    }
}

fn bedrooms(kind: Kind, chance: &mut Chance) -> u64 {
    let choices: &[u64] = match kind {
        Kind::Condominium => &[0, 1, 1, 1, 2, 2, 2, 3],
        Kind::Townhouse => &[2, 2, 3, 3, 3, 4],
        Kind::Duplex => &[2, 3, 4, 4, 5, 6],
        Kind::Detached | Kind::Manufactured => &[2, 2, 3, 3, 3, 3, 4, 4, 4, 5, 5, 6],
    };
    *chance.pick(choices)
}

fn square_feet(kind: Kind, bedrooms: u64, chance: &mut Chance) -> u64 {
    let base = match kind {
        Kind::Condominium => 430 + bedrooms * 310,
        Kind::Townhouse => 620 + bedrooms * 320,
        _ => 560 + bedrooms * 420,
    };
    base * u64::from(chance.between(82, 138)) / 100
}

fn lot(kind: Kind, chance: &mut Chance) -> u64 {
    match kind {
        Kind::Condominium => 0,
        Kind::Townhouse => 2 + chance.below(5),
        _ if chance.percent(6) => 60 + chance.below(440),
        _ => 7 + chance.below(25),
    }
}

fn year_built(chance: &mut Chance) -> u64 {
    match chance.small(100) {
        0..18 => 1895 + chance.below(45),
        18..62 => 1940 + chance.below(45),
        _ => 1985 + chance.below(41),
    }
}

fn value(home: &Home<'_>, chance: &mut Chance) -> u64 {
    let size_milli = 380 + 620 * home.square_feet / 1_800;
    let kind_percent = match home.kind {
        Kind::Condominium => 98,
        Kind::Townhouse => 95,
        Kind::Manufactured => 45,
        Kind::Detached | Kind::Duplex => 108,
    };
    let taste_percent = u64::from(chance.between(72, 112) + chance.small(36));
    let raw = home.city.price_level * size_milli / 1_000 * kind_percent / 100 * taste_percent / 100;
    asking_price(raw, chance)
}

/// Rounds as sellers do: `525,000`, `524,900` or `524,999`.
pub(crate) fn asking_price(raw: u64, chance: &mut Chance) -> u64 {
    let step = if raw < 1_000_000 { 1_000 } else { 5_000 };
    let round = (raw / step).max(20) * step;
    match chance.small(100) {
        0..45 => round,
        45..80 => round - 100,
        _ => round - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::World;

    #[test]
    fn homes_are_plausible_and_stand_in_their_city() {
        let world = World::new(5);
        for number in 0..20_000 {
            let home = world.home(number);
            assert!(
                home.city.contains(home.site.latitude_micro, home.site.longitude_micro),
                "{home:?}"
            );
            assert!((15_000..20_000_000).contains(&home.value), "{}", home.value);
            assert!(
                (300..6_000).contains(&home.square_feet)
                    && home.full_baths >= 1
                    && home.bedrooms <= 6
            );
            assert!((1_895..=2_025).contains(&home.year_built));
        }
    }
}
