//! Secondary unit designators: USPS Publication 28, Appendix C2, and Canada Post's unit designators
//! (`APT`, `SUITE`, `UNIT`, French `APP`, `BUREAU`, `UNITÉ`).

/// What a designator says about the place it names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A dwelling or office: `Apt 5`, `Unit 5` and `#5` are the same unit `5`.
    Unit,
    /// Part of a building with an identifier that must keep its word: `Fl 2` is not `Unit 2`.
    Part,
    /// A part that needs no identifier: `Bsmt`, `Rear`.
    Alone,
    /// Larger than a unit: goes to `StreetAdditionalInfo`.
    Building,
}

/// `(standard form, kind, words that mean it)`.
pub(crate) const UNITS: &[(&str, Kind, &[&str])] = &[
    ("Apt", Kind::Unit, &["APT", "APARTMENT", "APPARTEMENT", "APP", "APPT", "APMT"]),
    ("Unit", Kind::Unit, &["UNIT", "UNITE", "UNT", "CONDO"]),
    ("Ste", Kind::Unit, &["STE", "SUITE", "BUREAU", "SUIT"]),
    ("Fl", Kind::Part, &["FL", "FLOOR", "FLR", "FLOORS"]),
    ("Rm", Kind::Part, &["RM", "ROOM"]),
    ("Lot", Kind::Part, &["LOT"]),
    ("Spc", Kind::Part, &["SPC", "SPACE", "SP"]),
    ("Trlr", Kind::Part, &["TRLR", "TRAILER"]),
    ("Slip", Kind::Part, &["SLIP"]),
    ("Pier", Kind::Part, &["PIER"]),
    ("Stop", Kind::Part, &["STOP"]),
    ("Hngr", Kind::Part, &["HNGR", "HANGAR", "HANGER"]),
    ("Key", Kind::Part, &["KEY"]),
    ("Flat", Kind::Part, &["FLAT"]),
    ("Th", Kind::Part, &["TH", "TOWNHOUSE", "TWNHS"]),
    ("Bsmt", Kind::Alone, &["BSMT", "BASEMENT"]),
    ("Frnt", Kind::Alone, &["FRNT", "FRONT"]),
    ("Lbby", Kind::Alone, &["LBBY", "LOBBY"]),
    ("Lowr", Kind::Alone, &["LOWR", "LOWER"]),
    ("Ofc", Kind::Alone, &["OFC", "OFFICE"]),
    ("Ph", Kind::Alone, &["PH", "PENTHOUSE"]),
    ("Rear", Kind::Alone, &["REAR"]),
    ("Side", Kind::Alone, &["SIDE"]),
    ("Uppr", Kind::Alone, &["UPPR", "UPPER"]),
    ("Bldg", Kind::Building, &["BLDG", "BUILDING", "BLD", "BLG"]),
    ("Dept", Kind::Building, &["DEPT", "DEPARTMENT"]),
    ("Twr", Kind::Building, &["TWR", "TOWER"]),
];
