//! US and Canadian postal addresses, standardised to RESO address fields.
//!
//! [`standardize`] reads a street line, [`parse_full`] a whole address in one line. Both are pure, never fail and
//! never panic: what cannot be understood is kept in [`Address::unparsed_address`]. Standardising that text again
//! gives the same fields, so an address may pass through any number of times.
//!
//! | what | from |
//! |---|---|
//! | field names and their values | RESO Data Dictionary 2.0 |
//! | US suffixes, directionals, unit designators | USPS Publication 28, Appendixes C1 and C2, section 233 |
//! | Canadian street types, directions, `unit-number` order, French order | Canada Post, Addressing Guidelines |
//! | two-letter street types (`BV`, `GD`, `CI`) | City of Calgary |
//!
//! ```
//! use address::{Country, standardize};
//!
//! let home = standardize("1636 WESTMOUNT BV NW", Country::Ca);
//! assert_eq!(home.unparsed_address, "1636 Westmount Blvd NW");
//! assert_eq!(home.street_suffix, Some("Blvd"));
//! ```

mod casing;
mod draft;
mod full;
mod number;
mod postal;
mod region;
mod secondary;
mod street;
mod tables;
mod token;
mod words;

use draft::Draft;
use token::Words;

pub use postal::{PostalCode, PostalCodeError};
pub use region::StateOrProvince;

/// A line longer than this many bytes is kept as it is and not parsed: no address is that long.
pub const MAX_LINE_BYTES: usize = 512;

/// A line of more words than this is kept as it is and not parsed.
pub const MAX_WORDS: usize = 64;

/// The country whose rules an address follows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Country {
    /// The United States.
    Us,
    /// Canada.
    Ca,
}

impl Country {
    /// RESO's `Country`: the ISO 3166-1 code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Us => "US",
            Self::Ca => "CA",
        }
    }
}

/// An address in RESO Data Dictionary 2.0 fields. A field that the text does not give is `None`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Address {
    /// `StreetNumber`: digits, with a letter, fraction or range where there is one (`2240A`, `535 1/2`, `10-12`).
    pub street_number: Option<String>,
    /// `StreetNumberNumeric`: the digits that `street_number` begins with.
    pub street_number_numeric: Option<u32>,
    /// `StreetDirPrefix`: `N`, `NE`, ... in English whatever the language of the text.
    pub street_dir_prefix: Option<&'static str>,
    /// `StreetName` in title case. Numbered routes keep their word (`Highway 33`), as Publication 28 has it.
    pub street_name: Option<String>,
    /// `StreetSuffix`: the standard abbreviation of the country's post (`Blvd`; in French `Rue`, `Ch`).
    pub street_suffix: Option<&'static str>,
    /// `StreetSuffixModifier`: an extension behind the suffix (`Main St Ext`).
    pub street_suffix_modifier: Option<&'static str>,
    /// `StreetDirSuffix`: as the prefix; also the quadrant of a Canadian city.
    pub street_dir_suffix: Option<&'static str>,
    /// `StreetAdditionalInfo`: building, post office box, and whatever else stood beside the street.
    pub street_additional_info: Option<String>,
    /// `UnitNumber`: the identifier alone (`5` for `Apt 5`, `Unit 5`, `#5`); with its word where another kind of
    /// part is meant (`Fl 2`, `Bsmt`).
    pub unit_number: Option<String>,
    /// `UnparsedAddress`: the whole text, put in order.
    pub unparsed_address: String,
    /// `City` in title case.
    pub city: Option<String>,
    /// `StateOrProvince`.
    pub state_or_province: Option<StateOrProvince>,
    /// `PostalCode` and `PostalCodePlus4`.
    pub postal_code: Option<PostalCode>,
    /// `Country`, where the text, its postal code or its province says so.
    pub country: Option<Country>,
}

impl Address {
    fn unread(line: &str) -> Self {
        Self { unparsed_address: line.trim().to_owned(), ..Self::default() }
    }

    /// Fills city, state and postal code from columns that stand beside the street line. What the line said itself
    /// stays. The country follows from the postal code or state where it is not known.
    #[must_use]
    pub fn with_place(
        mut self,
        city: Option<&str>,
        state: Option<StateOrProvince>,
        postal_code: Option<PostalCode>,
    ) -> Self {
        self.state_or_province = self.state_or_province.or(state);
        self.postal_code = self.postal_code.or(postal_code);
        let known = self.postal_code.map(|code| code.country());
        self.country =
            self.country.or(known).or(self.state_or_province.map(StateOrProvince::country));
        if self.city.is_none() {
            self.city = city.and_then(|city| tidy_city(city, self.country.unwrap_or(Country::Us)));
        }
        self
    }
}

/// Standardises a street line (`1636 WESTMOUNT BV NW`, `10 Stratford Avenue, 2A`) by the rules of `country`.
///
/// The line holds no city; words that cannot belong to the street go to `street_additional_info`. A line above
/// [`MAX_LINE_BYTES`] or [`MAX_WORDS`] comes back with nothing but its `unparsed_address`.
pub fn standardize(line: &str, country: Country) -> Address {
    settle(line, |words| street::read_line(words, country))
}

/// Standardises a whole address in one line (`101-1234 Main St, Calgary, AB T2P 1A1`).
///
/// The country is that of the postal code or province in the text; without either, `hint`; without that, the
/// United States. City and street are told apart by commas, and without commas by the street type.
pub fn parse_full(text: &str, hint: Option<Country>) -> Address {
    settle(text, |words| full::read(words, hint))
}

/// A city name in title case; `None` where it is blank or longer than an address may be.
pub fn tidy_city(city: &str, country: Country) -> Option<String> {
    if city.len() > MAX_LINE_BYTES {
        return None;
    }
    let words = Words::cut(city)?;
    draft::title(&words, words.tokens(), country)
}

/// Reads what was written until writing it again changes nothing, so that the result is a fixed point. Nearly all
/// lines are one after the first round; one that never is comes back unread.
fn settle(line: &str, read: impl Fn(&Words) -> Draft) -> Address {
    const ROUNDS: usize = 4;
    let once = |text: &str| {
        let words = (text.len() <= MAX_LINE_BYTES).then(|| Words::cut(text)).flatten()?;
        Some(read(&words).finish())
    };
    let Some(mut address) = once(line) else { return Address::unread(line) };
    for _ in 0..ROUNDS {
        if address.unparsed_address == line {
            return address;
        }
        let Some(again) = once(&address.unparsed_address) else { break };
        if again.unparsed_address == address.unparsed_address {
            return again;
        }
        address = again;
    }
    Address::unread(line)
}
