//! One index over all tables: what a word can mean in an address, found by one look.

use std::sync::LazyLock;

use crate::tables::canada_types::{self, Form};
use crate::tables::directions::DIRECTIONS;
use crate::tables::units::{self, UNITS};
use crate::tables::usps_suffixes;

/// A word in upper case without accents and stops, packed into one number: up to sixteen bytes, `0` for none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Key(pub(crate) u128);

impl Key {
    /// The key of a word that is already upper case ASCII; `0` where it is longer than sixteen bytes.
    pub(crate) const fn of(word: &str) -> Self {
        let mut rest = word.as_bytes();
        if rest.len() > 16 {
            return Self(0);
        }
        let mut packed = 0u128;
        while let [first, tail @ ..] = rest {
            packed = (packed << 8) | *first as u128;
            rest = tail;
        }
        Self(packed)
    }

    /// Whether this is one of `words`, which are upper case ASCII.
    pub(crate) fn is_any(self, words: &[Self]) -> bool {
        self.0 != 0 && words.contains(&self)
    }

    /// A multiplicative hash: the upper bits of the product depend on every byte.
    fn slot(self) -> usize {
        let (low, high) = (self.0 & u128::from(u64::MAX), self.0 >> 64);
        let folded = u64::try_from(low ^ high).unwrap_or(0).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        usize::try_from(folded >> 52).unwrap_or(0)
    }
}

/// A street type as it behaves in one country.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct StreetType {
    /// The standard abbreviation.
    pub(crate) standard: &'static str,
    /// Where it stands.
    pub(crate) form: Form,
    /// Whether it ends a street even in the middle of a line.
    pub(crate) strong: bool,
}

/// A secondary unit designator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Designator {
    /// The standard abbreviation.
    pub(crate) standard: &'static str,
    /// What it names.
    pub(crate) kind: units::Kind,
}

/// A directional.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Direction {
    /// RESO's value, English.
    pub(crate) reso: &'static str,
    /// The French letters for it.
    pub(crate) french: &'static str,
    /// Whether the word means this in Canada only.
    pub(crate) canada_only: bool,
}

/// All that one word can mean.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meaning {
    /// As a street suffix of the United States.
    pub(crate) us_type: Option<StreetType>,
    /// As a street type of Canada.
    pub(crate) ca_type: Option<StreetType>,
    /// As a direction.
    pub(crate) direction: Option<Direction>,
    /// As a unit designator.
    pub(crate) designator: Option<Designator>,
}

static NOTHING: Meaning =
    Meaning { us_type: None, ca_type: None, direction: None, designator: None };

/// What `key` can mean; nothing where it is in no table.
pub(crate) fn meaning(key: Key) -> &'static Meaning {
    if key.0 == 0 { &NOTHING } else { INDEX.get(key) }
}

static INDEX: LazyLock<Index> = LazyLock::new(Index::build);

/// Open addressing with 4096 slots for about 900 words, so that a probe rarely goes past the first slot.
struct Index {
    slots: Vec<(Key, Meaning)>,
}

impl Index {
    const SLOTS: usize = 4096;

    fn build() -> Self {
        let mut index = Self { slots: vec![(Key(0), NOTHING); Self::SLOTS] };
        for (standard, words) in usps_suffixes::SUFFIXES {
            let strong = usps_suffixes::STRONG.contains(standard);
            let form = if *standard == "Rue" { Form::Before } else { Form::After };
            for word in *words {
                index.entry(word).us_type = Some(StreetType { standard, form, strong });
            }
        }
        for (standard, form, words) in canada_types::TYPES {
            let strong = canada_types::STRONG.contains(standard);
            for word in *words {
                index.entry(word).ca_type = Some(StreetType { standard, form: *form, strong });
            }
        }
        for (reso, french, both, canada) in DIRECTIONS {
            for (words, canada_only) in [(both, false), (canada, true)] {
                for word in *words {
                    index.entry(word).direction = Some(Direction { reso, french, canada_only });
                }
            }
        }
        for (standard, kind, words) in UNITS {
            for word in *words {
                index.entry(word).designator = Some(Designator { standard, kind: *kind });
            }
        }
        index
    }

    fn entry(&mut self, word: &str) -> &mut Meaning {
        let key = Key::of(word);
        assert!(key.0 != 0, "the table word {word:?} is longer than sixteen bytes");
        let slot = self.find(key);
        let entry = self.slots.get_mut(slot).expect("find answers a slot of the table");
        entry.0 = key;
        &mut entry.1
    }

    /// The slot of `key`, or the free slot where it would go. Ends because the table is never full.
    fn find(&self, key: Key) -> usize {
        let mut slot = key.slot();
        while let Some((held, _)) = self.slots.get(slot % Self::SLOTS) {
            if *held == key || held.0 == 0 {
                break;
            }
            slot += 1;
        }
        slot % Self::SLOTS
    }

    fn get(&self, key: Key) -> &Meaning {
        self.slots.get(self.find(key)).map_or(&NOTHING, |(_, meaning)| meaning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn every_word_of_a_table_means_one_thing_in_it() {
        let tables: [Vec<(&str, &[&str])>; 3] = [
            usps_suffixes::SUFFIXES.to_vec(),
            canada_types::TYPES.iter().map(|(standard, _, words)| (*standard, *words)).collect(),
            UNITS.iter().map(|(standard, _, words)| (*standard, *words)).collect(),
        ];
        for table in tables {
            let mut seen: HashMap<&str, &str> = HashMap::new();
            for (standard, words) in table {
                for word in words {
                    assert_eq!(word.to_ascii_uppercase(), **word, "{word} is upper case");
                    if let Some(other) = seen.insert(word, standard) {
                        panic!("{word} means both {other} and {standard}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_strong_lists_name_standards_that_exist() {
        for strong in usps_suffixes::STRONG {
            assert!(
                usps_suffixes::SUFFIXES.iter().any(|(standard, _)| standard == strong),
                "{strong}"
            );
        }
        for strong in canada_types::STRONG {
            assert!(
                canada_types::TYPES.iter().any(|(standard, _, _)| standard == strong),
                "{strong}"
            );
        }
    }

    #[test]
    fn a_word_is_found_and_a_stranger_is_not() {
        assert_eq!(meaning(Key::of("AVENUE")).us_type.unwrap().standard, "Ave");
        assert_eq!(meaning(Key::of("CR")).ca_type.unwrap().standard, "Cres");
        assert!(meaning(Key::of("CR")).us_type.is_none());
        assert_eq!(meaning(Key::of("OUEST")).direction.unwrap().reso, "W");
        let stranger = meaning(Key::of("GLADSTONE"));
        assert!(stranger.us_type.is_none() && stranger.designator.is_none());
        assert_eq!(Key::of("ABCDEFGHIJKLMNOPQ"), Key(0), "seventeen letters");
    }
}
