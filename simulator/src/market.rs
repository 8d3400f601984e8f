//! The market: an inventory that derives from the seed, and the living state of the places that changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::chance::{Chance, Purpose};
use crate::city::City;
use crate::home::{World, asking_price};
use crate::listing::{Listing, Status, Step, draw_step};
use crate::row;
use crate::text::DAY_MS;

/// The first listing number; the inventory counts up from it, and new listings go on behind it.
pub const FIRST_KEY: u64 = 40_000_000;

/// What a market is made from. Two markets with the same configuration are the same, byte for byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarketConfig {
    /// Decides everything that chance decides.
    pub seed: u64,
    /// How many listings the inventory holds, and how many places the living market has; at least 1.
    pub listings: u64,
    /// The moment of the inventory, in milliseconds since 1970 UTC.
    pub start_ms: i64,
}

/// A seeded market. It holds no clock: every change is given its time.
///
/// A market has as many *places* as it has listings. The listing at a place lives until it is sold or given up, then the
/// same home comes back under a new key, or another home takes the place; so the market is endless and its size is not.
/// Only places that changed take memory.
#[derive(Debug)]
pub struct Market {
    config: MarketConfig,
    world: World,
    living: Living,
}

/// All of a market that cannot be derived from its configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Living {
    /// How many changes were made so far.
    pub(crate) changes: u64,
    /// How many keys were given out behind those of the inventory.
    new_keys: u64,
    /// How many homes came to the market behind those of the inventory.
    new_homes: u64,
    /// The present listing of each place that changed.
    places: BTreeMap<u64, Listing>,
}

impl Market {
    /// A market at its beginning. A count of 0 listings is taken as 1: a market has a place.
    pub fn new(config: MarketConfig) -> Self {
        let config = MarketConfig { listings: config.listings.max(1), ..config };
        Self { config, world: World::new(config.seed), living: Living::default() }
    }

    pub(crate) fn resume(config: MarketConfig, living: Living) -> Self {
        Self { living, ..Self::new(config) }
    }

    pub(crate) fn living(&self) -> &Living {
        &self.living
    }

    /// What the market was made from.
    pub fn config(&self) -> MarketConfig {
        self.config
    }

    /// How many changes were made so far.
    pub fn changes(&self) -> u64 {
        self.living.changes
    }

    /// The cities of the market.
    pub fn cities(&self) -> &[City] {
        self.world.cities()
    }

    /// The city where a listing stands.
    pub fn city(&self, listing: &Listing) -> &City {
        self.world.home(listing.home).city
    }

    /// The whole inventory as it was at the start, made one by one and never held.
    pub fn initial(&self) -> impl Iterator<Item = Listing> + '_ {
        (0..self.config.listings).map(|place| self.first_listing(place))
    }

    /// Makes the next change: the first, or the next version of the listing at some place, at the time `now_ms`.
    pub fn next_change(&mut self, now_ms: i64) -> Listing {
        let mut chance = Chance::new(self.config.seed, Purpose::Change, self.living.changes);
        self.living.changes += 1;
        let place = chance.below(self.config.listings);
        let present =
            self.living.places.get(&place).copied().unwrap_or_else(|| self.first_listing(place));
        let next = match draw_step(present.status, &mut chance) {
            Step::Relist => self.relist(&present, now_ms, &mut chance),
            Step::Replace => self.replace(now_ms, &mut chance),
            step => present.advance(step, now_ms, &mut chance),
        };
        self.living.places.insert(place, next);
        next
    }

    /// Writes one row of the feed: a JSON object of 40 fields, about 1 KiB, and a line feed.
    pub fn write_line(&self, listing: &Listing, out: &mut Vec<u8>) {
        row::write_line(&self.world, listing, &self.world.home(listing.home), out);
    }

    /// Writes the row of the inventory at a place below the number of listings: as [`Self::initial`] and [`Self::write_line`], but
    /// deriving the home once.
    pub(crate) fn write_first_line(&self, place: u64, out: &mut Vec<u8>) {
        let home = self.world.home(place);
        row::write_line(&self.world, &self.first_listing_of(place, home.value), &home, out);
    }

    fn new_key(&mut self) -> u64 {
        self.living.new_keys += 1;
        FIRST_KEY + self.config.listings + self.living.new_keys - 1
    }

    fn relist(&mut self, old: &Listing, now_ms: i64, chance: &mut Chance) -> Listing {
        let price =
            asking_price(old.list_price * u64::from(chance.between(930, 1_010)) / 1_000, chance);
        let photos = 8 + chance.below(32);
        let mut listing =
            Listing::begin((self.new_key(), old.home), Status::Active, price, now_ms, photos);
        listing.edition = old.edition + 1;
        listing
    }

    fn replace(&mut self, now_ms: i64, chance: &mut Chance) -> Listing {
        let home = self.config.listings + self.living.new_homes;
        self.living.new_homes += 1;
        let status = if chance.percent(40) { Status::ComingSoon } else { Status::Active };
        let price = self.world.home(home).value;
        Listing::begin((self.new_key(), home), status, price, now_ms, 8 + chance.below(32))
    }

    /// The listing that stands at a place when the market begins, somewhere in the middle of its life.
    fn first_listing(&self, place: u64) -> Listing {
        self.first_listing_of(place, self.world.home(place).value)
    }

    fn first_listing_of(&self, place: u64, price: u64) -> Listing {
        let mut chance = Chance::new(self.config.seed, Purpose::Place, place);
        let status = first_status(&mut chance);
        let age_ms = age_ms(status, &mut chance);
        let listed_ms = self.config.start_ms - age_ms;
        let photos = 8 + chance.below(32);
        let mut listing =
            Listing::begin((FIRST_KEY + place, place), Status::Active, price, listed_ms, photos);
        if status != Status::ComingSoon && chance.percent(30) {
            listing = listing.advance(Step::Cut, listed_ms, &mut chance);
        }
        let quiet = u64::try_from(age_ms).expect("an age is not negative");
        let modified_ms =
            self.config.start_ms - 1 - i64::try_from(chance.below(quiet)).expect("below an i64");
        if status != Status::Active {
            let expires_ms = listing.expires_ms;
            listing = listing.advance(Step::Move(status), modified_ms, &mut chance);
            listing.expires_ms = expires_ms;
        }
        Listing { modified_ms: modified_ms.max(listing.listed_ms), version: 1, ..listing }
    }
}

fn first_status(chance: &mut Chance) -> Status {
    match chance.small(100) {
        0..68 => Status::Active,
        68..75 => Status::ActiveUnderContract,
        75..86 => Status::Pending,
        86..91 => Status::ComingSoon,
        91..97 => Status::Closed,
        97..98 => Status::Withdrawn,
        _ => Status::Expired,
    }
}

/// How long ago it was listed: most are young, and what expired had its 180 days.
fn age_ms(status: Status, chance: &mut Chance) -> i64 {
    let days = match status {
        Status::ComingSoon => chance.small(4),
        Status::Expired => 181 + chance.small(60),
        _ => chance.small(120) * chance.small(120) / 120,
    };
    i64::from(days) * DAY_MS + 60_000 + i64::from(chance.small(86_000_000))
}
