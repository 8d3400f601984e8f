//! What a subscriber watches, and whether a listing is in it.

use std::collections::HashSet;

use crate::changes::round::{Entry, Listing};
use crate::columns::{ADDRESS, COUNT_NONE, Columns, PLACED, PRICE_NONE, Row, SHOWN, key_hash};
use crate::dictionary::Dictionary;
use crate::search::Query;
use crate::text::{folded, matches, query_signature};

/// Folded texts of the dictionaries' numbers: what is compared, without folding it for each change.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    pub(crate) names: [Vec<Box<str>>; 6],
}

/// The columns of text that can be watched; also their place in [`Folded`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Attribute {
    City,
    State,
    Feed,
    Country,
    Status,
    Kind,
}

impl Attribute {
    /// The narrowest first.
    pub(crate) const ALL: [Self; 6] =
        [Self::City, Self::State, Self::Feed, Self::Country, Self::Kind, Self::Status];

    /// Its number.
    pub(crate) fn place(self) -> usize {
        match self {
            Self::City => 0,
            Self::State => 1,
            Self::Feed => 2,
            Self::Country => 3,
            Self::Status => 4,
            Self::Kind => 5,
        }
    }

    pub(crate) fn code(self, row: &Row) -> u32 {
        match self {
            Self::City => row.city,
            Self::State => row.state.into(),
            Self::Feed => row.feed.into(),
            Self::Country => row.country.into(),
            Self::Status => row.status.into(),
            Self::Kind => row.kind.into(),
        }
    }

    fn dictionary(self, columns: &Columns) -> &Dictionary {
        let names = &columns.names;
        match self {
            Self::City => &names.city,
            Self::State => &names.state,
            Self::Feed => &names.feed,
            Self::Country => &names.country,
            Self::Status => &names.status,
            Self::Kind => &names.kind,
        }
    }
}

impl Folded {
    /// Learns the names that are new. Numbers never change their name.
    pub(crate) fn follow(&mut self, columns: &Columns) {
        for attribute in Attribute::ALL {
            let Some(known) = self.names.get_mut(attribute.place()) else { continue };
            let names = attribute.dictionary(columns).names().skip(known.len());
            known.extend(names.map(|name| folded(name).into_boxed_str()));
        }
    }

    /// How many names are known.
    pub(crate) fn len(&self) -> usize {
        self.names.iter().map(Vec::len).sum()
    }

    /// The folded text of a row.
    pub(crate) fn text(&self, attribute: Attribute, row: &Row) -> &str {
        let at = usize::try_from(attribute.code(row)).unwrap_or(usize::MAX);
        self.names.get(attribute.place()).and_then(|names| names.get(at)).map_or("", |name| name)
    }
}

/// A subscription's filter.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// `None` where no listing is watched by a filter.
    pub(crate) filter: Option<Filter>,
    /// Hashes of the keys of single listings.
    pub(crate) listings: HashSet<u64>,
    /// Hash of the device whose results are wanted.
    pub(crate) device: Option<u64>,
}

/// A query, prepared to be asked about single listings.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub(crate) query: Query,
    /// Folded, sorted by [`Attribute::place`].
    pub(crate) wanted: [Vec<Box<str>>; 6],
    text: Option<Text>,
}

#[derive(Debug)]
struct Text {
    folded: String,
    typed: String,
    signature: u64,
    hash: u64,
}

impl Filter {
    pub(crate) fn new(query: Query) -> Self {
        let fold = |names: &[String]| -> Vec<Box<str>> {
            names.iter().map(|name| folded(name).into_boxed_str()).collect()
        };
        let wanted = [
            fold(&query.city),
            fold(&query.state),
            fold(&query.feed),
            fold(&query.country),
            fold(&query.status),
            fold(&query.kind),
        ];
        let text = query.text.as_deref().map(str::trim).filter(|t| !t.is_empty()).map(|typed| {
            let folded = folded(typed);
            Text {
                signature: query_signature(&folded),
                hash: key_hash(typed),
                typed: typed.to_owned(),
                folded,
            }
        });
        Self { query, wanted, text }
    }

    /// Everything but the text.
    fn admits(&self, row: &Row, folded: &Folded) -> bool {
        let query = &self.query;
        let price = || {
            let range = query.price_min.unwrap_or(0)..=query.price_max.unwrap_or(i64::MAX);
            row.price != PRICE_NONE && range.contains(&row.price)
        };
        let at_least =
            |have: u8, min: Option<u8>| min.is_none_or(|min| have != COUNT_NONE && have >= min);
        let named = |attribute: Attribute| {
            let wanted = self.wanted.get(attribute.place()).map(Vec::as_slice).unwrap_or_default();
            let text = folded.text(attribute, row);
            wanted.is_empty() || (!text.is_empty() && wanted.iter().any(|w| **w == *text))
        };
        row.is(SHOWN)
            && query.area.is_none_or(|area| row.is(PLACED) && area.holds(row.lat, row.lon))
            && Attribute::ALL.into_iter().all(named)
            && ((query.price_min.is_none() && query.price_max.is_none()) || price())
            && at_least(row.beds, query.beds_min)
            && at_least(row.baths, query.baths_min)
    }

    /// Whether a row may match: for text its signature alone is asked.
    fn may_admit(&self, row: &Row, key: &str, folded: &Folded) -> bool {
        self.admits(row, folded)
            && self.text.as_ref().is_none_or(|text| {
                row.signature & text.signature == text.signature || text.names(key, row.hash)
            })
    }

    fn admits_now(&self, entry: &Entry, listing: &Listing, folded: &Folded) -> bool {
        if !self.may_admit(&listing.now, entry.key(), folded) {
            return false;
        }
        let Some(text) = &self.text else { return true };
        let (address, place) = entry.words(listing);
        let address = if listing.now.is(ADDRESS) { address } else { "" };
        text.names(entry.key(), listing.now.hash) || matches(&text.folded, [address, place])
    }
}

impl Text {
    fn names(&self, key: &str, hash: u64) -> bool {
        hash == self.hash || key.split_once(':').is_some_and(|(_, bare)| bare == self.typed)
    }
}

/// What a change means to a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// The listing is in it now.
    Seen,
    /// It was, or may have been, and is not now.
    Lost,
    /// It is a result that was asked for.
    Told,
    /// It must not be shown now, and may have been in it before: to say that it is gone would tell of a listing
    /// that may never have been shown to anyone.
    Unsure,
}

impl Watch {
    /// What an entry means here. Where `exact` is not set, nothing is known of what the subscriber could see before:
    /// it comes from another process, which may have read versions that the log no longer has, or none of those
    /// that this one read.
    pub(crate) fn sight(&self, entry: &Entry, folded: &Folded, exact: bool) -> Option<Sight> {
        let listing = match &entry.what {
            crate::changes::round::What::Result(device) => {
                return (self.device == Some(*device)).then_some(Sight::Told);
            }
            crate::changes::round::What::Listing(listing) => listing,
        };
        // `track` writes a version again when its feed says the same later. Who follows this process was told of it;
        // others may learn it from here alone, where the log keeps the last record only.
        if exact && listing.is_same_version() {
            return None;
        }
        let named = self.listings.contains(&listing.now.hash);
        let filter = self.filter.as_ref();
        if named && listing.now.is(SHOWN)
            || filter.is_some_and(|f| f.admits_now(entry, listing, folded))
        {
            return Some(Sight::Seen);
        }
        let before = listing.before.as_ref();
        if exact {
            let was_in = |row: &Row| {
                named && row.is(SHOWN)
                    || filter.is_some_and(|f| f.may_admit(row, entry.key(), folded))
            };
            return before.is_some_and(was_in).then_some(Sight::Lost);
        }
        // Only what everyone may see, or could until now, is named to someone who may never have seen it.
        let is_public = listing.now.is(SHOWN) || before.is_some_and(|row| row.is(SHOWN));
        match named || filter.is_some() {
            false => None,
            true if is_public => Some(Sight::Lost),
            true => (listing.now.version > 1).then_some(Sight::Unsure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use dataflow::Batch;

    use crate::changes::round::What;

    fn row(version: u32, flags: u8, price: i64) -> Row {
        Row { version, flags, price, ..Row::waiting(7) }
    }

    /// Watches what costs 5 or more.
    fn watch() -> Watch {
        let query = Query { price_min: Some(5), ..Query::default() };
        Watch { filter: Some(Filter::new(query)), ..Watch::default() }
    }

    #[test]
    fn a_listing_is_gone_only_where_it_was_or_may_have_been_shown() {
        let (shown, hidden, folded) = (SHOWN, 0, Folded::default());
        let (lost, unsure) = (Some(Sight::Lost), Some(Sight::Unsure));
        for (before, now, exact, inexact) in [
            // It was in it, and is not: left, hidden.
            (Some((1, shown, 9)), (2, shown, 1), lost, lost),
            (Some((1, shown, 9)), (2, hidden, 9), lost, lost),
            // It was not in it, but others could see it.
            (Some((1, shown, 1)), (2, shown, 2), None, lost),
            (Some((1, shown, 1)), (2, hidden, 9), None, lost),
            // It may not be shown, and might not before; earlier it may have been.
            (Some((1, hidden, 9)), (2, hidden, 9), None, unsure),
            (None, (2, hidden, 9), None, unsure),
            // It is new: there was nothing before it.
            (None, (1, hidden, 9), None, None),
            (None, (1, shown, 9), Some(Sight::Seen), Some(Sight::Seen)),
            // The same version once more.
            (Some((2, shown, 9)), (2, shown, 9), None, Some(Sight::Seen)),
            (Some((2, hidden, 9)), (2, hidden, 9), None, unsure),
        ] {
            let made = |(version, flags, price): (u32, u8, i64)| row(version, flags, price);
            let what = What::Listing(Box::new(Listing::new(before.map(made), made(now))));
            let block = Arc::new(dataflow::BatchBuilder::default().finish());
            let batch = Arc::new(Batch::decode(block, 0, 0).unwrap());
            let entry = Entry::new(0, 0, (batch, 0), what);
            for (is_exact, expect) in [(true, exact), (false, inexact)] {
                let sight = watch().sight(&entry, &folded, is_exact);
                assert_eq!(sight, expect, "{before:?} {now:?} {is_exact}");
            }
        }
    }
}
