//! The RESO Data Dictionary 2.0 fields that are carried, as one table: type, group, and who may see them.
//!
//! Names of fields and lookup values are RESO's; the few that RESO does not have are marked as ours.
//! What is not in this table is not carried, and what is not [`Public::Always`] does not leave by itself.

mod lookups;
mod table;

pub use lookups::{OFF_MARKET, STANDARD_STATUS, STATE_OR_PROVINCE, is_off_market};
pub use table::FIELDS;

/// What a value is, and with it its one canonical form in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number with at most 2 digits behind the point, in the currency that `Currency` says.
    Money,
    /// A whole number.
    Integer,
    /// A number with at most this many digits behind the point.
    Decimal(u8),
    /// A string of at most this many characters.
    Text(u16),
    /// `2022-01-31`.
    Date,
    /// `2022-01-31T00:00:00.000Z`.
    Timestamp,
    /// `true` or `false`.
    Boolean,
    /// A string out of this list and no other.
    Locked(&'static [&'static str]),
    /// A string; the standard's values are recommended, local ones allowed.
    Open,
    /// An array of strings, in the order the feed gave them, each once.
    List,
    /// An array of `Media` objects.
    Media,
}

/// What a field is about. `track` names events after it, and the gateway sorts by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Money of the deal.
    Price,
    /// `StandardStatus` and `MlsStatus`.
    Status,
    /// The value that the tax authority put on the property.
    Assessment,
    /// What the home is and has.
    Facts,
    /// Where the post goes.
    Address,
    /// Where it lies on the map.
    Place,
    /// When things happened.
    Dates,
    /// Who lists and who sells.
    People,
    /// Photos and tours.
    Media,
    /// Prose.
    Remarks,
    /// What the seller allowed to be shown.
    DisplayFlags,
    /// For agents only.
    Private,
}

/// Who may see a field. The default is nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Public {
    /// In the public display of every feed, where the record's own flags allow it.
    Always,
    /// Only where the operator's configuration names it: it is not in the usual display payload.
    Configured,
    /// Never leaves.
    Never,
}

/// One field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name in the Data Dictionary.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// What it is about.
    pub group: Group,
    /// Who may see it.
    pub public: Public,
    /// Whether it is ours and not RESO's.
    pub ours: bool,
}

impl Field {
    /// Whether it must be left out where `InternetAddressDisplayYN` is not true: it tells where the home is.
    #[must_use]
    pub fn tells_address(&self) -> bool {
        const ALSO_ADDRESS: [&str; 3] =
            ["ParcelNumber", "UniversalPropertyId", "UniversalPropertySubId"];
        const NOT_ADDRESS: [&str; 8] = [
            "City",
            "CityRegion",
            "Country",
            "CountyOrParish",
            "PostalCity",
            "PostalCode",
            "StateOrProvince",
            "SubdivisionName",
        ];
        match self.group {
            Group::Address => !NOT_ADDRESS.contains(&self.name),
            Group::Place => true,
            _ => ALSO_ADDRESS.contains(&self.name),
        }
    }
}

/// The place of a field in [`FIELDS`]; order of ids is byte order of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(u8);

impl FieldId {
    /// Number of fields.
    pub const COUNT: usize = FIELDS.len();

    /// The field of that name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let mut slot = hash(name.as_bytes()) % SLOTS;
        loop {
            let id = *INDEX.get(slot)?;
            let field = FIELDS.get(usize::from(id))?;
            if field.name == name {
                return Some(Self(id));
            }
            slot = (slot + 1) % SLOTS;
        }
    }

    /// All of them, in the order of names.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).take(Self::COUNT).map(Self)
    }

    /// The field.
    #[must_use]
    pub fn field(self) -> &'static Field {
        FIELDS.get(usize::from(self.0)).expect("ids are only made for fields of the table")
    }

    /// Its place, from 0 to [`FieldId::COUNT`].
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The field of that name.
#[must_use]
pub fn field(name: &str) -> Option<&'static Field> {
    FieldId::of(name).map(FieldId::field)
}

/// Slots of the index: a power of two, so that less than half are taken.
const SLOTS: usize = 512;
/// No field: past the end of every table.
const NONE: u8 = u8::MAX;
const _: () = assert!(FIELDS.len() < 255, "field ids are bytes, and 255 means none");
static INDEX: [u8; SLOTS] = index();

const fn hash(name: &[u8]) -> usize {
    let mut hash: u32 = 0x811c_9dc5;
    let mut rest = name;
    while let [byte, tail @ ..] = rest {
        hash = (hash ^ *byte as u32).wrapping_mul(0x0100_0193);
        rest = tail;
    }
    (hash ^ (hash >> 15)) as usize
}

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "checked when it is compiled"
)]
const fn index() -> [u8; SLOTS] {
    let mut index = [NONE; SLOTS];
    let mut id = 0;
    while id < FIELDS.len() {
        let mut slot = hash(FIELDS[id].name.as_bytes()) % SLOTS;
        while index[slot] != NONE {
            slot = (slot + 1) % SLOTS;
        }
        index[slot] = id as u8;
        id += 1;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_byte_order_and_every_name_is_found() {
        let names: Vec<_> = FIELDS.iter().map(|f| f.name).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
        for (at, field) in FIELDS.iter().enumerate() {
            let id = FieldId::of(field.name).unwrap();
            assert_eq!((id.index(), id.field()), (at, field));
        }
    }

    #[test]
    fn unknown_names_are_not_found() {
        for name in ["", "listprice", "ListPrice ", "Zzz", "ListingKey"] {
            assert_eq!(FieldId::of(name), None, "{name}");
        }
    }

    #[test]
    fn what_must_never_be_public_is_not() {
        for name in [
            "PrivateRemarks",
            "PrivateOfficeRemarks",
            "ShowingInstructions",
            "ShowingContactName",
            "ShowingContactPhone",
            "ShowingRequirements",
            "AccessCode",
            "LockBoxLocation",
            "LockBoxSerialNumber",
            "LockBoxType",
            "OwnerName",
            "OwnerPhone",
            "OccupantName",
            "OccupantPhone",
            "OccupantType",
            "ExpirationDate",
            "ListingAgreement",
            "Concessions",
            "ConcessionsAmount",
            "BuyerBrokerageCompensation",
            "BuyerBrokerageCompensationType",
            "Contingency",
            "SyndicationRemarks",
        ] {
            assert_eq!(field(name).map(|f| f.public), Some(Public::Never), "{name}");
        }
        for name in [
            "Latitude",
            "Longitude",
            "Country",
            "DaysOnMarket",
            "OriginalListPrice",
            "ListAgentKey",
        ] {
            assert_eq!(field(name).map(|f| f.public), Some(Public::Configured), "{name}");
        }
    }

    #[test]
    fn private_and_never_go_together() {
        for field in FIELDS.iter().filter(|f| f.group == Group::Private) {
            assert_eq!(field.public, Public::Never, "{}", field.name);
        }
    }

    #[test]
    fn the_address_goes_but_the_town_stays() {
        for (name, tells) in [
            ("StreetName", true),
            ("UnparsedAddress", true),
            ("PostalCodePlus4", true),
            ("Latitude", true),
            ("ParcelNumber", true),
            ("Directions", true),
            ("City", false),
            ("PostalCode", false),
            ("ListPrice", false),
        ] {
            assert_eq!(field(name).map(Field::tells_address), Some(tells), "{name}");
        }
    }

    #[test]
    fn lookups_are_those_of_the_standard() {
        assert_eq!(STANDARD_STATUS.len(), 11);
        assert_eq!(STATE_OR_PROVINCE.len(), 65);
        assert!(STATE_OR_PROVINCE.contains(&"NF") && !STATE_OR_PROVINCE.contains(&"NL"));
    }
}
