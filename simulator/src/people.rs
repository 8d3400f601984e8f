//! Agents and offices: a few hundred for each city, the same names under the same numbers.

use crate::chance::{Chance, Purpose};
use crate::home::Home;
use crate::text::push_digits;

const FIRST_NAMES: &[&str] = &[
    "Maria", "James", "Linda", "Robert", "Priya", "Wei", "Sarah", "Carlos", "Anh", "David",
    "Fatima", "Michael", "Emma", "Luc", "Sophie", "Amélie", "Étienne", "Grace", "Hassan", "Ingrid",
    "Jamal", "Karen", "Liam", "Mei", "Noah", "Olga", "Patrick", "Quinn", "Rosa", "Sean", "Tara",
    "Umar", "Valerie", "Wendy", "Xavier", "Yuki", "Zoe", "Brandon", "Chloe", "Dmitri", "Elena",
    "Frank", "Gina", "Hector", "Isabel", "Jonas", "Kiran", "Lucia", "Marcus", "Nadia", "Omar",
];
const LAST_NAMES: &[&str] = &[
    "Nguyen",
    "Smith",
    "Johnson",
    "Garcia",
    "Tremblay",
    "Gagnon",
    "Singh",
    "Chen",
    "Brown",
    "Martinez",
    "Lee",
    "Patel",
    "MacDonald",
    "Campbell",
    "Kowalski",
    "Anderson",
    "Roy",
    "Bouchard",
    "Wilson",
    "Okafor",
    "Rossi",
    "Schmidt",
    "Kim",
    "Ahmed",
    "Larsen",
    "Thompson",
    "Wright",
    "Lopez",
    "Hill",
    "Green",
    "Adams",
    "Baker",
    "Nelson",
    "Carter",
    "Mitchell",
    "Perez",
    "Roberts",
    "Turner",
    "Phillips",
    "Parker",
    "Evans",
    "Edwards",
    "Collins",
    "Stewart",
    "Morris",
    "Murphy",
    "Cook",
    "Rogers",
    "Reed",
    "Bailey",
    "Bell",
    "Gomez",
    "Kelly",
    "Howard",
    "Ward",
    "Cox",
    "Diaz",
    "Richardson",
    "Wood",
    "Watson",
    "Brooks",
    "Bennett",
    "Gray",
    "Fortin",
    "Lavoie",
    "Côté",
    "Bélanger",
    "Pelletier",
    "Leblanc",
    "McKay",
];
const OFFICE_NAMES: &[&str] = &[
    "Harbour",
    "Summit",
    "Blue Heron",
    "Cornerstone",
    "Keystone",
    "North Star",
    "Lakeside",
    "Evergreen",
    "Golden Gate",
    "Prairie",
    "Red Maple",
    "Landmark",
    "Compass Rose",
    "Liberty",
    "Riverbend",
    "Capital",
    "Pioneer",
    "Beacon",
    "Sterling",
    "Heritage",
    "Cascade",
    "Granite",
    "Magnolia",
    "Homestead",
    "Metro",
    "Signature",
    "Ironwood",
    "Silver Birch",
    "Union",
];
const OFFICE_KINDS: &[&str] = &[
    "Realty",
    "Properties",
    "Real Estate",
    "Homes",
    "Realty Group",
    "Residential",
    "Brokerage",
    "& Associates",
];

/// The agent of a listing, by numbers; names derive from them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Agent {
    seed: u64,
    number: u64,
    pub(crate) office: u64,
}

impl Agent {
    /// The agent who has listing `key` of a home, among those of its city.
    pub(crate) fn of(seed: u64, home: &Home<'_>, key: u64) -> Self {
        let city = u64::try_from(home.city_number).expect("a city has a small number");
        let mut chance = Chance::new(seed, Purpose::Agent, key);
        let within = chance.below(60 + home.city.share * 12);
        let offices = 6 + home.city.share;
        Self { seed, number: city * 10_000 + within, office: city * 100 + within % offices }
    }

    pub(crate) fn write_name(&self, out: &mut Vec<u8>) {
        let mut chance = Chance::new(self.seed, Purpose::Agent, u64::MAX - self.number);
        out.extend_from_slice(chance.pick(FIRST_NAMES).as_bytes());
        out.push(b' ');
        out.extend_from_slice(chance.pick(LAST_NAMES).as_bytes());
    }

    pub(crate) fn write_number(&self, out: &mut Vec<u8>) {
        push_digits(out, 100_000 + self.number, 6);
    }

    pub(crate) fn write_office_name(&self, out: &mut Vec<u8>) {
        let mut chance = Chance::new(self.seed, Purpose::Office, self.office);
        let names = if chance.percent(30) { LAST_NAMES } else { OFFICE_NAMES };
        out.extend_from_slice(chance.pick(names).as_bytes());
        out.push(b' ');
        out.extend_from_slice(chance.pick(OFFICE_KINDS).as_bytes());
    }

    pub(crate) fn write_office_number(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"NL");
        push_digits(out, self.office, 4);
    }
}
