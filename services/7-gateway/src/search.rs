//! Filters over the columns: which listings match, in what order, page by page.

use std::collections::BinaryHeap;

use dataflow::Clock;

use crate::columns::{Block, Bounds, COUNT_NONE, Columns, PLACED, PRICE_NONE, SHOWN, key_hash};
use crate::dictionary::Codes;
use crate::text::{folded, query_signature};

/// Most candidates of a text search whose text is read; a wider search is answered from the first of them.
pub(crate) const CANDIDATES_MAX: usize = 100_000;

/// What a person asked for. Empty lists and `None` do not restrict.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Query {
    pub(crate) area: Option<Bounds>,
    pub(crate) country: Vec<String>,
    pub(crate) state: Vec<String>,
    pub(crate) city: Vec<String>,
    pub(crate) status: Vec<String>,
    pub(crate) kind: Vec<String>,
    pub(crate) feed: Vec<String>,
    /// Hundredths.
    pub(crate) price_min: Option<i64>,
    pub(crate) price_max: Option<i64>,
    pub(crate) beds_min: Option<u8>,
    pub(crate) baths_min: Option<u8>,
    pub(crate) text: Option<String>,
    /// Only listings with a place (the map).
    pub(crate) placed: bool,
}

/// The order of a list. Listings without a value come last; equal ones are ordered by the hash of their key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Sort {
    /// Last changed first.
    #[default]
    Changed,
    /// Cheapest first.
    Price,
    /// Dearest first.
    PriceDown,
    /// Most bedrooms first.
    Beds,
}

impl Sort {
    /// All, by their names.
    pub(crate) const ALL: [(Self, &'static str); 4] = [
        (Self::Changed, "changed"),
        (Self::Price, "price"),
        (Self::PriceDown, "-price"),
        (Self::Beds, "beds"),
    ];

    /// Its name in the address.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(sort, _)| *sort == self).map_or("changed", |(_, name)| name)
    }

    fn rank(self, block: &Block, at: usize) -> i64 {
        let price = || block.price.get(at).copied().filter(|price| *price != PRICE_NONE);
        match self {
            Self::Changed => block.changed.get(at).map_or(i64::MAX, |ms| ms.saturating_neg()),
            Self::Price => price().unwrap_or(i64::MAX),
            Self::PriceDown => price().map_or(i64::MAX, |price| -price),
            Self::Beds => match block.beds.get(at) {
                Some(&beds) if beds != COUNT_NONE => -i64::from(beds),
                _ => i64::MAX,
            },
        }
    }
}

/// Where a listing stands in an order: rank, then hash of the key. Also what a cursor says.
pub(crate) type Standing = (i64, u64);

/// The deadline passed before the answer was complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the search took too long")]
pub(crate) struct TooSlow;

/// A moment after which an answer is not worth waiting for.
#[derive(Clone, Copy)]
pub(crate) struct Deadline<'a> {
    pub(crate) clock: &'a dyn Clock,
    pub(crate) at_ms: i64,
}

impl Deadline<'_> {
    /// Whether there is time left.
    pub(crate) fn check(&self) -> Result<(), TooSlow> {
        if self.clock.now_ms() > self.at_ms { Err(TooSlow) } else { Ok(()) }
    }
}

/// A query against the dictionaries of one moment.
pub(crate) struct Plan<'q> {
    query: &'q Query,
    country: Option<Codes>,
    state: Option<Codes>,
    city: Option<Codes>,
    status: Option<Codes>,
    kind: Option<Codes>,
    feed: Option<Codes>,
    signature: u64,
    /// Ids whose key may be what was typed, in order.
    keyed: Vec<u32>,
}

impl<'q> Plan<'q> {
    pub(crate) fn new(query: &'q Query, columns: &Columns) -> Self {
        let names = &columns.names;
        let codes = |names: &crate::dictionary::Dictionary, wanted: &[String]| {
            (!wanted.is_empty()).then(|| names.find(wanted))
        };
        let text = query.text.as_deref().unwrap_or_default();
        Self {
            query,
            country: codes(&names.country, &query.country),
            state: codes(&names.state, &query.state),
            city: codes(&names.city, &query.city),
            status: codes(&names.status, &query.status),
            kind: codes(&names.kind, &query.kind),
            feed: codes(&names.feed, &query.feed),
            signature: query_signature(&folded(text)),
            keyed: keyed(text, columns),
        }
    }

    /// Calls `each` with the block, the place in it and the id of each match, in order of ids.
    pub(crate) fn scan(
        &self,
        columns: &Columns,
        deadline: Deadline<'_>,
        mut each: impl FnMut(&Block, usize, u32),
    ) -> Result<(), TooSlow> {
        let mut picked = Vec::new();
        let mut base = 0u32;
        for block in columns.blocks() {
            deadline.check()?;
            self.pick(block, &mut picked);
            if self.query.text.is_some() {
                let keyed = |at: u16| self.keyed.binary_search(&(base + u32::from(at))).is_ok();
                picked.retain(|at| {
                    let signature = block.signature.get(usize::from(*at)).copied().unwrap_or(0);
                    signature & self.signature == self.signature || keyed(*at)
                });
            }
            for at in &picked {
                each(block, usize::from(*at), base + u32::from(*at));
            }
            base = base.saturating_add(u32::try_from(block.flags.len()).unwrap_or(0));
        }
        Ok(())
    }

    /// As [`Plan::scan`] over those `ids` only; what stopped matching since is left out.
    pub(crate) fn among(
        &self,
        columns: &Columns,
        ids: &[u32],
        mut each: impl FnMut(&Block, usize, u32),
    ) {
        let mut picked = Vec::new();
        let mut rest = ids;
        let mut base = 0u32;
        for block in columns.blocks() {
            let end = base.saturating_add(u32::try_from(block.flags.len()).unwrap_or(0));
            let (here, later) = rest.split_at(rest.partition_point(|id| *id < end));
            rest = later;
            if !here.is_empty() {
                self.pick(block, &mut picked);
                for at in &picked {
                    let id = base + u32::from(*at);
                    if here.binary_search(&id).is_ok() {
                        each(block, usize::from(*at), id);
                    }
                }
            }
            base = end;
        }
    }

    /// The places in the block that match everything but the text.
    fn pick(&self, block: &Block, picked: &mut Vec<u16>) {
        let query = self.query;
        picked.clear();
        match query.area {
            Some(area) if !area.meets(&block.bounds) => return,
            Some(area) => picked.extend(
                (0u16..)
                    .zip(&block.flags)
                    .zip(block.lat.iter().zip(&block.lon))
                    .filter(|((_, flags), (lat, lon))| {
                        *flags & (SHOWN | PLACED) == SHOWN | PLACED && area.holds(**lat, **lon)
                    })
                    .map(|((at, _), _)| at),
            ),
            None => {
                let needed = if query.placed { SHOWN | PLACED } else { SHOWN };
                let flags = (0u16..).zip(&block.flags);
                picked.extend(flags.filter(|(_, f)| **f & needed == needed).map(|(at, _)| at));
            }
        }
        keep_codes(picked, &block.feed, self.feed.as_ref());
        keep_codes(picked, &block.country, self.country.as_ref());
        keep_codes(picked, &block.state, self.state.as_ref());
        keep_codes(picked, &block.city, self.city.as_ref());
        keep_codes(picked, &block.status, self.status.as_ref());
        keep_codes(picked, &block.kind, self.kind.as_ref());
        if query.price_min.is_some() || query.price_max.is_some() {
            let range = query.price_min.unwrap_or(0)..=query.price_max.unwrap_or(i64::MAX);
            keep(picked, &block.price, |price| range.contains(&price));
        }
        if let Some(min) = query.beds_min {
            keep(picked, &block.beds, |beds| beds != COUNT_NONE && beds >= min);
        }
        if let Some(min) = query.baths_min {
            keep(picked, &block.baths, |baths| baths != COUNT_NONE && baths >= min);
        }
    }
}

fn keep<T: Copy>(picked: &mut Vec<u16>, column: &[T], test: impl Fn(T) -> bool) {
    picked.retain(|at| column.get(usize::from(*at)).is_some_and(|value| test(*value)));
}

fn keep_codes<T: Copy + Into<u32>>(picked: &mut Vec<u16>, column: &[T], codes: Option<&Codes>) {
    if let Some(codes) = codes {
        keep(picked, column, |code| codes.has(code.into()));
    }
}

/// Listings whose key is `text`, or is `text` in any of the feeds.
fn keyed(text: &str, columns: &Columns) -> Vec<u32> {
    let text = text.trim();
    if text.is_empty() {
        return Vec::new();
    }
    let feeds = columns.names.feed.names().filter(|feed| !feed.is_empty());
    let mut hashes: Vec<_> = feeds.map(|feed| key_hash(&format!("{feed}:{text}"))).collect();
    hashes.push(key_hash(text));
    let mut ids: Vec<u32> = hashes.into_iter().flat_map(|hash| columns.find(hash)).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The first listings of an order, after a cursor, and the number of all.
pub(crate) struct Top {
    sort: Sort,
    limit: usize,
    after: Option<Standing>,
    first: BinaryHeap<(Standing, u32)>,
    /// All that were offered.
    pub(crate) total: u64,
}

impl Top {
    pub(crate) fn new(sort: Sort, limit: usize, after: Option<Standing>) -> Self {
        Self { sort, limit, after, first: BinaryHeap::new(), total: 0 }
    }

    /// Takes one match.
    pub(crate) fn offer(&mut self, block: &Block, at: usize, id: u32) {
        self.total += 1;
        let standing = (self.sort.rank(block, at), block.hash.get(at).copied().unwrap_or(0));
        if self.after.is_some_and(|after| standing <= after) {
            return;
        }
        // One more than the page, so that it is known whether there is a next one.
        if self.first.len() <= self.limit {
            self.first.push((standing, id));
        } else if let Some(mut last) = self.first.peek_mut()
            && standing < last.0
        {
            *last = (standing, id);
        }
    }

    /// The page in order, and the cursor of the next one.
    pub(crate) fn page(self) -> (Vec<u32>, Option<Standing>) {
        let mut all = self.first.into_sorted_vec();
        let more = all.len() > self.limit;
        all.truncate(self.limit);
        let next = all.last().filter(|_| more).map(|(standing, _)| *standing);
        (all.into_iter().map(|(_, id)| id).collect(), next)
    }
}
