//! States and provinces: the 65 of RESO's `StateOrProvince` lookup in the United States (50 states, the District
//! of Columbia, the Virgin Islands) and Canada (13 provinces and territories), by code or by name in English or French.

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use crate::Country;
use crate::token::key_of;
use crate::words::Key;

/// A state, province or territory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateOrProvince(&'static str);

impl StateOrProvince {
    /// Reads a code (`AB`, `B.C.`, `NL`, `NF`), a name in English or French (`Nouveau-Brunswick`) or an ISO 3166-2
    /// code (`CA-AB`). Case, accents, stops, dashes and spaces do not matter. `None` where it is none of the 65:
    /// Puerto Rico and the Pacific territories are not in RESO's lookup.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let bare = match text.as_bytes() {
            [b'U' | b'u', b'S' | b's', b'-', _, _] | [b'C' | b'c', b'A' | b'a', b'-', _, _] => {
                text.get(3..)?
            }
            _ => text,
        };
        let mut folded = [0u8; LONGEST];
        let mut length = 0;
        for character in
            bare.chars().filter(|c| !matches!(c, ' ' | '.' | '-' | '\u{2010}' | '\'' | '\u{2019}'))
        {
            let [byte] = fold_letter(character)?;
            *folded.get_mut(length)? = byte;
            length += 1;
        }
        BY_NAME.get(folded.get(..length)?).map(|code| Self(code))
    }

    /// RESO's two-letter code. Newfoundland and Labrador is `NF` there.
    pub const fn code(self) -> &'static str {
        self.0
    }

    /// The code the post uses: as RESO's, but `NL` for Newfoundland and Labrador.
    pub fn postal(self) -> &'static str {
        if self.0 == "NF" { "NL" } else { self.0 }
    }

    /// The country it belongs to.
    pub fn country(self) -> Country {
        if CANADA.iter().any(|(code, _)| *code == self.0) { Country::Ca } else { Country::Us }
    }

    /// All 65, Canada last.
    pub fn all() -> impl Iterator<Item = Self> {
        UNITED_STATES.iter().chain(CANADA).map(|(code, _)| Self(code))
    }
}

impl fmt::Display for StateOrProvince {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

impl fmt::Debug for StateOrProvince {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "StateOrProvince({})", self.0)
    }
}

/// The longest name without spaces is NEWFOUNDLANDANDLABRADOR.
const LONGEST: usize = 24;

/// One letter, upper case and without accent; `None` for what is no letter.
fn fold_letter(character: char) -> Option<[u8; 1]> {
    let mut buffer = [0u8; 4];
    let Key(packed) = key_of(character.encode_utf8(&mut buffer));
    let byte = u8::try_from(packed).ok()?;
    byte.is_ascii_alphabetic().then_some([byte])
}

static BY_NAME: LazyLock<HashMap<&'static [u8], &'static str>> = LazyLock::new(|| {
    let both = UNITED_STATES.iter().chain(CANADA);
    both.flat_map(|(code, names)| {
        std::iter::once((code.as_bytes(), *code))
            .chain(names.iter().map(move |name| (name.as_bytes(), *code)))
    })
    .collect()
});

/// `(RESO code, names without spaces and accents)`; codes from USPS Publication 28, Appendix B.
const UNITED_STATES: &[(&str, &[&str])] = &[
    ("AL", &["ALABAMA", "ALA"]),
    ("AK", &["ALASKA"]),
    ("AZ", &["ARIZONA", "ARIZ"]),
    ("AR", &["ARKANSAS", "ARK"]),
    ("CA", &["CALIFORNIA", "CALIFORNIE", "CALIF"]),
    ("CO", &["COLORADO", "COLO"]),
    ("CT", &["CONNECTICUT", "CONN"]),
    ("DE", &["DELAWARE"]),
    ("DC", &["DISTRICTOFCOLUMBIA", "DISTRICTDECOLUMBIA"]),
    ("FL", &["FLORIDA", "FLORIDE", "FLA"]),
    ("GA", &["GEORGIA", "GEORGIE"]),
    ("HI", &["HAWAII", "HAWAI"]),
    ("ID", &["IDAHO"]),
    ("IL", &["ILLINOIS", "ILL"]),
    ("IN", &["INDIANA"]),
    ("IA", &["IOWA"]),
    ("KS", &["KANSAS"]),
    ("KY", &["KENTUCKY"]),
    ("LA", &["LOUISIANA", "LOUISIANE"]),
    ("ME", &["MAINE"]),
    ("MD", &["MARYLAND"]),
    ("MA", &["MASSACHUSETTS", "MASS"]),
    ("MI", &["MICHIGAN", "MICH"]),
    ("MN", &["MINNESOTA", "MINN"]),
    ("MS", &["MISSISSIPPI"]),
    ("MO", &["MISSOURI"]),
    ("MT", &["MONTANA"]),
    ("NE", &["NEBRASKA", "NEBR"]),
    ("NV", &["NEVADA"]),
    ("NH", &["NEWHAMPSHIRE"]),
    ("NJ", &["NEWJERSEY"]),
    ("NM", &["NEWMEXICO", "NOUVEAUMEXIQUE"]),
    ("NY", &["NEWYORK"]),
    ("NC", &["NORTHCAROLINA", "CAROLINEDUNORD"]),
    ("ND", &["NORTHDAKOTA", "DAKOTADUNORD"]),
    ("OH", &["OHIO"]),
    ("OK", &["OKLAHOMA", "OKLA"]),
    ("OR", &["OREGON"]),
    ("PA", &["PENNSYLVANIA", "PENNSYLVANIE", "PENN", "PENNA"]),
    ("RI", &["RHODEISLAND"]),
    ("SC", &["SOUTHCAROLINA", "CAROLINEDUSUD"]),
    ("SD", &["SOUTHDAKOTA", "DAKOTADUSUD"]),
    ("TN", &["TENNESSEE", "TENN"]),
    ("TX", &["TEXAS"]),
    ("UT", &["UTAH"]),
    ("VT", &["VERMONT"]),
    ("VA", &["VIRGINIA", "VIRGINIE"]),
    ("VI", &["VIRGINISLANDS", "USVIRGINISLANDS"]),
    ("WA", &["WASHINGTON"]),
    ("WV", &["WESTVIRGINIA", "VIRGINIEOCCIDENTALE"]),
    ("WI", &["WISCONSIN"]),
    ("WY", &["WYOMING"]),
];

/// `(RESO code, names without spaces and accents)`; names from Canada Post's Addressing Guidelines.
const CANADA: &[(&str, &[&str])] = &[
    ("AB", &["ALBERTA", "ALTA"]),
    ("BC", &["BRITISHCOLUMBIA", "COLOMBIEBRITANNIQUE"]),
    ("MB", &["MANITOBA", "MAN"]),
    ("NB", &["NEWBRUNSWICK", "NOUVEAUBRUNSWICK"]),
    (
        "NF",
        &[
            "NEWFOUNDLANDANDLABRADOR",
            "NEWFOUNDLANDLABRADOR",
            "NEWFOUNDLAND",
            "LABRADOR",
            "TERRENEUVEETLABRADOR",
            "TERRENEUVE",
            "NL",
            "NFLD",
        ],
    ),
    ("NS", &["NOVASCOTIA", "NOUVELLEECOSSE"]),
    ("NT", &["NORTHWESTTERRITORIES", "TERRITOIRESDUNORDOUEST", "NWT"]),
    ("NU", &["NUNAVUT"]),
    ("ON", &["ONTARIO", "ONT"]),
    ("PE", &["PRINCEEDWARDISLAND", "ILEDUPRINCEEDOUARD", "PEI"]),
    ("QC", &["QUEBEC", "PQ", "QUE"]),
    ("SK", &["SASKATCHEWAN", "SASK"]),
    ("YT", &["YUKON", "YUKONTERRITORY", "YK"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names() {
        for (text, expected) in [
            ("AB", Some("AB")),
            ("b.c.", Some("BC")),
            ("NL", Some("NF")),
            ("NF", Some("NF")),
            ("Newfoundland and Labrador", Some("NF")),
            ("Québec", Some("QC")),
            ("QUEBEC", Some("QC")),
            ("Île-du-Prince-Édouard", Some("PE")),
            ("Nouvelle-\u{c9}cosse", Some("NS")),
            ("new york", Some("NY")),
            ("CA-ON", Some("ON")),
            ("US-DC", Some("DC")),
            ("Virgin Islands", Some("VI")),
            ("PR", None),
            ("", None),
            ("ZZ", None),
            ("Alberta1", None),
            ("a very long text that is surely no province at all", None),
        ] {
            assert_eq!(
                StateOrProvince::parse(text).map(StateOrProvince::code),
                expected,
                "{text:?}"
            );
        }
    }

    #[test]
    fn there_are_52_and_13_and_each_reads_its_own_code() {
        assert_eq!(
            StateOrProvince::all().filter(|region| region.country() == Country::Us).count(),
            52
        );
        assert_eq!(
            StateOrProvince::all().filter(|region| region.country() == Country::Ca).count(),
            13
        );
        for region in StateOrProvince::all() {
            assert_eq!(StateOrProvince::parse(region.code()), Some(region));
            assert_eq!(StateOrProvince::parse(region.postal()), Some(region));
        }
    }
}
