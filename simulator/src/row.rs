//! A row of the feed: forty columns in the dialect of the (fictional) Northern Lights MLS. `README.md` explains each.

use crate::chance::{Chance, Purpose};
use crate::home::{Home, Kind, World};
use crate::listing::{Listing, Status};
use crate::people::Agent;
use crate::remarks::Subject;
use crate::text::{
    push_date, push_decimal, push_digits, push_number, push_timestamp, push_with_commas,
};

/// What stands before a value: one constant, so that it is copied with a few instructions.
macro_rules! field {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

/// Writes one listing of a home as a JSON object and a line feed.
pub(crate) fn write_line(world: &World, listing: &Listing, home: &Home<'_>, out: &mut Vec<u8>) {
    let agent = Agent::of(world.seed, home, listing.key);
    let mut row = Row { out };
    row.out.extend_from_slice(b"{\"MLS_NUM\":\"");
    push_digits(row.out, listing.key, 8);
    row.out.push(b'"');
    write_terms(&mut row, listing, home);
    write_place(&mut row, home, &agent);
    write_building(&mut row, home);
    write_costs(&mut row, home);
    row.number(field!("PHOTO_CT"), listing.photos);
    row.text(field!("INET_YN"), yes_no(!(home.dice >> 20).is_multiple_of(40)));
    row.text(field!("ADDR_YN"), yes_no(!(home.dice >> 28).is_multiple_of(20)));
    write_agent(&mut row, &agent);
    write_remarks(&mut row, world, listing, home);
    row.out.extend_from_slice(b"}\n");
}

fn write_terms(row: &mut Row<'_>, listing: &Listing, home: &Home<'_>) {
    row.text(field!("STATUS_CD"), listing.status.code());
    row.text(field!("PROP_TYPE"), home.kind.code());
    // Offices type prices by hand: most as "525,000", some as a number.
    if home.dice.is_multiple_of(10) {
        row.number(field!("LIST_PRICE"), listing.list_price);
    } else {
        row.quoted(field!("LIST_PRICE"), |out| push_with_commas(out, listing.list_price));
    }
    row.number(field!("ORIG_PRICE"), listing.original_price);
    row.optional(field!("CLOSE_PRICE"), listing.close_price, push_number);
    row.quoted(field!("LIST_DATE"), |out| push_date(out, listing.listed_ms));
    match listing.closed_ms {
        Some(closed_ms) if listing.status == Status::Closed => {
            row.quoted(field!("CLOSE_DATE"), |out| push_date(out, closed_ms));
        }
        _ => row.null(field!("CLOSE_DATE")),
    }
    row.quoted(field!("EXP_DATE"), |out| push_date(out, listing.expires_ms));
    row.quoted(field!("LAST_MOD"), |out| push_timestamp(out, listing.modified_ms));
}

fn write_place(row: &mut Row<'_>, home: &Home<'_>, agent: &Agent) {
    row.quoted(field!("ADDRESS"), |out| {
        let begin = out.len();
        home.site.write_address(home.city, out);
        // Some offices write addresses in capitals.
        if agent.office.is_multiple_of(9) && !home.canadian() {
            out.get_mut(begin..).unwrap_or_default().make_ascii_uppercase();
        }
    });
    match home.unit {
        Some(unit) => row.quoted(field!("UNIT"), |out| push_number(out, unit)),
        None => row.null(field!("UNIT")),
    }
    row.text(field!("CITY"), home.city.name);
    row.text(field!("ST"), home.city.state);
    row.quoted(field!("ZIP"), |out| write_postal_code(home, out));
    row.decimal(field!("LAT"), home.site.latitude_micro, 6);
    row.decimal(field!("LNG"), home.site.longitude_micro, 6);
}

/// A ZIP code, or a Canadian code that the homes of one side of a block share. Canada Post uses neither D, F, I, O, Q nor U.
fn write_postal_code(home: &Home<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(home.area_code.as_bytes());
    if !home.canadian() {
        return;
    }
    let mut chance = Chance::new(0, Purpose::Postal, home.site.block());
    out.push(b' ');
    push_number(out, 1 + chance.below(9));
    out.push(*chance.pick(b"ABCEGHJKLMNPRSTVWXYZ"));
    push_number(out, chance.below(10));
}

fn write_building(row: &mut Row<'_>, home: &Home<'_>) {
    row.number(field!("BEDS"), home.bedrooms);
    row.number(field!("BATHS_FULL"), home.full_baths);
    row.number(field!("BATHS_HALF"), home.half_baths);
    if home.canadian() {
        row.null(field!("SQFT"));
        // Tenths of a square metre: 1 square foot is 0.09290304 square metres.
        let deci_metres =
            i64::try_from(home.square_feet * 929_030 / 1_000_000).expect("a home has a size");
        row.decimal(field!("SQM"), deci_metres, 1);
    } else {
        row.quoted(field!("SQFT"), |out| push_with_commas(out, home.square_feet));
        row.null(field!("SQM"));
    }
    let acres = Some(home.lot_centi_acres).filter(|acres| *acres > 0);
    row.optional(field!("LOT_ACRES"), acres, |out, value| {
        push_decimal(out, i64::try_from(value).expect("a lot has a size"), 2);
    });
    row.number(field!("YR_BLT"), home.year_built);
    let heat: &[&str] = if home.canadian() {
        &["FA,GAS", "FA,GAS", "BASEBD,ELEC", "HP,ELEC", "BOIL,GAS"]
    } else {
        &["FA,GAS", "FA,GAS", "FA,ELEC", "HP,ELEC", "RAD,OIL", "WALL,GAS"]
    };
    row.text(field!("HEAT"), choose(heat, home.dice >> 8));
    row.text(field!("COOL"), choose(&["CENT", "CENT", "HP", "WINDOW", "NONE"], home.dice >> 12));
    let parking: &[&str] = match home.kind {
        Kind::Condominium => &["ASGN 1", "UNGD 1", "UNGD 2", "STREET"],
        _ => &["GAR 2", "GAR 1", "GAR 3", "CARPT 1", "DRIVE", "STREET"],
    };
    row.text(field!("PARK"), choose(parking, home.dice >> 16));
}

fn write_costs(row: &mut Row<'_>, home: &Home<'_>) {
    // A tax of 0.8 to 1.5 per cent, in cents.
    let tax_cents = home.value * (80 + home.dice % 71) / 100 + (home.dice >> 7) % 100;
    row.decimal(field!("TAX_AMT"), i64::try_from(tax_cents).expect("a tax is small"), 2);
    let fee = match home.kind {
        Kind::Condominium => Some(180 + home.dice % 61 * 11),
        Kind::Townhouse => Some(90 + home.dice % 31 * 7),
        _ => None,
    };
    row.optional(field!("HOA_FEE"), fee, push_number);
    row.text(field!("SCHL_DIST"), home.city.school_district);
    row.quoted(field!("LOCKBOX"), |out| {
        out.extend_from_slice(b"SUPRA ");
        push_digits(out, (home.dice >> 32) % 100_000_000, 8);
        out.extend_from_slice(b" CODE ");
        push_digits(out, (home.dice >> 24) % 10_000, 4);
    });
}

fn write_agent(row: &mut Row<'_>, agent: &Agent) {
    row.quoted(field!("LA_NAME"), |out| agent.write_name(out));
    row.quoted(field!("LA_NUM"), |out| agent.write_number(out));
    row.quoted(field!("LO_NAME"), |out| agent.write_office_name(out));
    row.quoted(field!("LO_NUM"), |out| agent.write_office_number(out));
}

fn write_remarks(row: &mut Row<'_>, world: &World, listing: &Listing, home: &Home<'_>) {
    let subject = Subject { city: home.city.name, bedrooms: home.bedrooms, french: home.french() };
    let mut chance =
        Chance::new(world.seed, Purpose::Remarks, listing.home ^ (listing.edition << 48));
    row.quoted(field!("REMARKS"), |out| world.phrasebook.write_public(subject, &mut chance, out));
    row.quoted(field!("PRIV_REMARKS"), |out| {
        world.phrasebook.write_private(subject, &mut chance, out)
    });
}

fn yes_no(yes: bool) -> &'static str {
    if yes { "Y" } else { "N" }
}

fn choose<'a>(choices: &'a [&'static str], dice: u64) -> &'a &'static str {
    let at = usize::try_from(dice & 0xFFFF).unwrap_or(0) % choices.len().max(1);
    choices.get(at).expect("a table to choose from has a line")
}

/// Writes fields behind the first one. Its texts come from tables without quotes or backslashes, which a test proves.
struct Row<'a> {
    out: &'a mut Vec<u8>,
}

impl Row<'_> {
    #[inline]
    fn name(&mut self, field: &'static str) {
        self.out.extend_from_slice(field.as_bytes());
    }

    #[inline]
    fn quoted(&mut self, field: &'static str, write: impl FnOnce(&mut Vec<u8>)) {
        self.name(field);
        self.out.push(b'"');
        write(self.out);
        self.out.push(b'"');
    }

    #[inline]
    fn text(&mut self, field: &'static str, value: &str) {
        self.quoted(field, |out| out.extend_from_slice(value.as_bytes()));
    }

    #[inline]
    fn number(&mut self, field: &'static str, value: u64) {
        self.name(field);
        push_number(self.out, value);
    }

    #[inline]
    fn decimal(&mut self, field: &'static str, value: i64, places: u32) {
        self.name(field);
        push_decimal(self.out, value, places);
    }

    #[inline]
    fn optional(
        &mut self,
        field: &'static str,
        value: Option<u64>,
        write: impl FnOnce(&mut Vec<u8>, u64),
    ) {
        match value {
            Some(value) => {
                self.name(field);
                write(self.out, value);
            }
            None => self.null(field),
        }
    }

    #[inline]
    fn null(&mut self, field: &'static str) {
        self.name(field);
        self.out.extend_from_slice(b"null");
    }
}
