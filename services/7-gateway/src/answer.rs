//! Answers from the read model: lists, maps, one listing, its history, totals. Everything that leaves passes the
//! allow-list of [`crate::display`].

use std::sync::{Arc, Mutex, PoisonError, RwLockReadGuard};

use dataflow::{Clock, SystemClock};
use messages::time::Moment;
use serde_json::{Map, Value, json};

use crate::columns::{ADDRESS, Columns, DELETED, PLACED, PRICE_NONE, SHOWN, key_hash};
use crate::display::Shown;
use crate::map::{Drawn, Grid};
use crate::query::{ListRequest, MapRequest, Refusal, cursor};
use crate::reader::{Document, Reader};
use crate::record::E7;
use crate::search::{CANDIDATES_MAX, Deadline, Plan, Query, TooSlow, Top};
use crate::store::{StoreError, feed_of};
use crate::text::folded;
use crate::view::Shared;

/// Time that a search may take.
const SEARCH_MS: i64 = 2_000;
/// Readers kept open.
const READERS_MAX: usize = 8;

/// Fields of a card, in this order.
pub(crate) const SUMMARY: [&str; 21] = [
    "StandardStatus",
    "ListPrice",
    "ClosePrice",
    "LeaseAmount",
    "TaxAssessedValue",
    "Currency",
    "PropertyType",
    "BedroomsTotal",
    "BathroomsTotalInteger",
    "LivingArea",
    "LivingAreaUnits",
    "LotSizeArea",
    "LotSizeUnits",
    "UnparsedAddress",
    "City",
    "StateOrProvince",
    "PostalCode",
    "Country",
    "Latitude",
    "Longitude",
    "PlaceUncertaintyMeters",
];

/// The read model as the server sees it; clones share it.
#[derive(Clone)]
pub struct Model {
    shared: Arc<Shared>,
    readers: Arc<Mutex<Vec<Reader>>>,
}

impl From<TooSlow> for Refusal {
    fn from(_: TooSlow) -> Self {
        Self::new(
            503,
            "too_slow",
            "the search took too long: narrow it with a box or a filter, and try again",
        )
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::new(500, "read_model", error.to_string())
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl Model {
    pub(crate) fn of(shared: Arc<Shared>) -> Self {
        Self { shared, readers: Arc::default() }
    }

    pub(crate) fn columns(&self) -> RwLockReadGuard<'_, Columns> {
        self.shared.columns.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `f` with a reader of the pool, in one short read transaction.
    fn with_reader<T>(
        &self,
        f: impl FnOnce(&mut Reader) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let kept = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut reader = match kept {
            Some(reader) => reader,
            None => Reader::open(&self.shared.file)?,
        };
        reader.sql.execute_batch("BEGIN")?;
        let result = f(&mut reader);
        reader.sql.execute_batch("COMMIT")?;
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < READERS_MAX {
            readers.push(reader);
        }
        result
    }

    /// `/listings`.
    pub(crate) fn list(&self, request: &ListRequest) -> Result<Value, Refusal> {
        let mut top = Top::new(request.sort, request.limit, request.after);
        let capped = self.find(&request.query, |block, at, id| top.offer(block, at, id))?;
        let total = top.total;
        let (ids, next) = top.page();
        let listings = self.with_reader(|reader| {
            let read = ids.iter().map(|id| {
                Ok(reader.document(*id)?.and_then(|(key, doc)| self.summary(&key, &doc)))
            });
            read.filter_map(Result::transpose).collect::<Result<Vec<Value>, Refusal>>()
        })?;
        Ok(
            json!({"total": total, "total_capped": capped, "listings": listings, "next": next.map(|at| cursor(request.sort, at))}),
        )
    }

    /// `/map`.
    pub(crate) fn map(&self, request: &MapRequest) -> Result<Value, Refusal> {
        let mut grid = Grid::new(request.zoom);
        self.find(&request.query, |block, at, id| grid.offer(block, at, id))?;
        let total = grid.total;
        let Drawn { pins, clusters } = grid.draw();
        let clusters: Vec<Value> = clusters
            .iter()
            .map(|c| {
                let (lat, lon) = c.mean();
                let b = c.bounds;
                let sides = [b.west, b.south, b.east, b.north].map(|side| degrees(side.into()));
                json!({"lon": degrees(lon), "lat": degrees(lat), "count": c.count, "box": sides})
            })
            .collect();
        let pins = self.pins(&pins)?;
        Ok(json!({"total": total, "clusters": clusters, "pins": pins}))
    }

    /// Calls `each` for each match. Returns whether a text search was too wide to be looked through whole.
    fn find(
        &self,
        query: &Query,
        mut each: impl FnMut(&crate::columns::Block, usize, u32),
    ) -> Result<bool, Refusal> {
        let clock = SystemClock;
        let deadline = Deadline { clock: &clock, at_ms: clock.now_ms() + SEARCH_MS };
        let columns = self.columns();
        let plan = Plan::new(query, &columns);
        let Some(text) = query.text.as_deref().map(folded).filter(|t| !t.trim().is_empty()) else {
            plan.scan(&columns, deadline, each)?;
            return Ok(false);
        };
        let (mut ids, mut capped) = (Vec::new(), false);
        plan.scan(&columns, deadline, |block, at, id| {
            if ids.len() < CANDIDATES_MAX {
                let address = block.flags.get(at).is_some_and(|flags| flags & ADDRESS == ADDRESS);
                ids.push((id, address));
            } else {
                capped = true;
            }
        })?;
        let typed = query.text.as_deref().unwrap_or_default().trim().to_owned();
        drop(columns);
        let kept = self.with_reader(|reader| reader.matching(&ids, &text, &typed, deadline))?;
        let columns = self.columns();
        Plan::new(query, &columns).among(&columns, &kept, &mut each);
        Ok(capped)
    }

    fn pins(&self, ids: &[u32]) -> Result<Vec<Value>, Refusal> {
        let columns = self.columns();
        let rows: Vec<_> = ids
            .iter()
            .filter_map(|id| Some((*id, columns.get(*id)?)))
            // It may have been changed since it was found.
            .filter(|(_, row)| row.is(SHOWN | PLACED))
            .collect();
        let named = rows.iter().map(|(id, row)| {
            let status = columns.names.status.name(row.status.into()).to_owned();
            let currency =
                if columns.names.country.name(row.country.into()) == "CA" { "CAD" } else { "USD" };
            (*id, *row, status, currency)
        });
        let named: Vec<_> = named.collect();
        drop(columns);
        self.with_reader(|reader| {
            let mut pins = Vec::with_capacity(named.len());
            for (id, row, status, currency) in named {
                let Some(key) = reader.key(id)? else { continue };
                let mut pin = json!({"key": key, "lon": degrees(row.lon.into()), "lat": degrees(row.lat.into()), "currency": currency});
                if row.price != PRICE_NONE {
                    insert(&mut pin, "price", dollars(row.price));
                    insert(&mut pin, "basis", row.basis().field().into());
                }
                if !status.is_empty() {
                    insert(&mut pin, "status", status.into());
                }
                pins.push(pin);
            }
            Ok(pins)
        })
    }

    /// What may be shown of a document, and how it is shown.
    fn projected(&self, key: &str, doc: &Document) -> Option<(Map<String, Value>, Shown)> {
        let feed = self.shared.display.feed(feed_of(key));
        let listing = doc.value.get("listing")?.as_object()?;
        let shown = feed.shown_of(listing);
        shown.listing.then(|| (feed.project(listing, shown), shown))
    }

    /// The card of a listing; `None` where it is not shown.
    pub(crate) fn summary(&self, key: &str, doc: &Document) -> Option<Value> {
        let (fields, shown) = self.projected(key, doc)?;
        let mut card = Map::new();
        card.insert("ListingKey".to_owned(), key.into());
        card.insert("Feed".to_owned(), feed_of(key).into());
        for name in SUMMARY {
            if let Some(value) = fields.get(name).filter(|v| !v.is_null()) {
                card.insert(name.to_owned(), value.clone());
            }
        }
        card.insert("Version".to_owned(), doc.value.get("version").cloned().unwrap_or_default());
        card.insert("ChangedAt".to_owned(), time_text(doc.changed_ms));
        let feed = self.shared.display.feed(feed_of(key));
        if let Some(change) = doc.value.get("lastChange")
            && change
                .get("field")
                .and_then(Value::as_str)
                .is_none_or(|name| feed.allows(name, shown))
        {
            card.insert("LastChange".to_owned(), change.clone());
        }
        Some(Value::Object(card))
    }

    /// The id of a listing that may be looked at: 404 where it is not known or not shown, 410 where it is gone.
    fn id_of(&self, reader: &Reader, key: &str) -> Result<u32, Refusal> {
        let unknown = || {
            Refusal::new(
                404,
                "unknown_listing",
                format!(
                    "there is no listing `{key}` to show: keys are FEED:KEY, as /listings gives them"
                ),
            )
        };
        let candidates: Vec<_> = {
            let columns = self.columns();
            columns.find(key_hash(key)).filter_map(|id| Some((id, columns.get(id)?))).collect()
        };
        for (id, row) in candidates {
            if reader.key(id)?.as_deref() != Some(key) {
                continue;
            }
            if row.is(DELETED) {
                return Err(Refusal::new(
                    410,
                    "deleted_listing",
                    format!("listing `{key}` is no longer in its feed"),
                ));
            }
            return if row.is(SHOWN) { Ok(id) } else { Err(unknown()) };
        }
        Err(unknown())
    }

    /// `/listings/KEY`.
    pub(crate) fn listing(&self, key: &str) -> Result<Value, Refusal> {
        self.with_reader(|reader| {
            let id = self.id_of(reader, key)?;
            let unknown = || Refusal::new(404, "unknown_listing", format!("there is no listing `{key}` to show"));
            let (_, doc) = reader.document(id)?.ok_or_else(unknown)?;
            let (fields, _) = self.projected(key, &doc).ok_or_else(unknown)?;
            let stamp = doc.value.get("stamp").cloned().unwrap_or_default();
            let mut meta = json!({
                "Feed": feed_of(key), "Version": doc.value.get("version"), "AsOf": stamp.get("asOf"), "ChangedAt": time_text(doc.changed_ms),
            });
            for name in ["PlaceMethod", "PlaceUncertaintyMeters"] {
                if let Some(value) = fields.get(name) {
                    insert(&mut meta, name, value.clone());
                }
            }
            Ok(json!({"listing": fields, "meta": meta}))
        })
    }

    /// `/listings/KEY/history`.
    pub(crate) fn history(&self, key: &str) -> Result<Value, Refusal> {
        self.with_reader(|reader| {
            let id = self.id_of(reader, key)?;
            let shown = reader.document(id)?.and_then(|(key, doc)| Some(self.projected(&key, &doc)?.1));
            let Some(shown) = shown else { return Ok(json!({"events": []})) };
            let feed = self.shared.display.feed(feed_of(key));
            let events: Vec<Value> = reader
                .events(id)?
                .into_iter()
                .map(|(kind, version, read_ms, event)| {
                    let side = |name: &str| event.get(name).and_then(Value::as_object).map(|fields| feed.project(fields, shown)).unwrap_or_default();
                    json!({"type": kind, "at": time_text(read_ms), "as_of": event.get("asOf"), "version": version, "before": side("before"), "after": side("after")})
                })
                .collect();
            Ok(json!({"events": events}))
        })
    }

    /// `/stats`.
    pub(crate) fn stats(&self) -> Result<Value, Refusal> {
        let counters = self.with_reader(|reader| reader.counters())?;
        let columns = self.columns();
        let totals = &columns.totals;
        let by = |counts: &[u64], names: &crate::dictionary::Dictionary| -> Map<String, Value> {
            let pairs = names.names().zip(counts).filter(|(name, n)| !name.is_empty() && **n > 0);
            pairs.map(|(name, n)| (name.to_owned(), json!(n))).collect()
        };
        let names = &columns.names;
        let skipped = counters.get("skipped").cloned().unwrap_or(json!(0));
        let events: Map<_, _> =
            counters.into_iter().filter(|(name, _)| name != "skipped").collect();
        Ok(json!({
            "listings": totals.shown, "with_place": totals.placed, "by_country": by(&totals.country, &names.country),
            "by_status": by(&totals.status, &names.status), "by_feed": by(&totals.feed, &names.feed), "events": events, "skipped": skipped,
            "changed_at": (totals.changed_max > 0).then(|| time_text(totals.changed_max)),
        }))
    }
}

fn insert(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

#[allow(clippy::cast_precision_loss, reason = "degrees have ten digits")]
fn degrees(e7: i64) -> f64 {
    e7 as f64 / E7
}

#[allow(clippy::cast_precision_loss, reason = "prices are far below 2^52 cents")]
fn dollars(cents: i64) -> Value {
    if cents % 100 == 0 { json!(cents / 100) } else { json!(cents as f64 / 100.0) }
}

fn time_text(ms: i64) -> Value {
    Moment::from_ms(ms).map_or(Value::Null, |m| m.to_string().into())
}
