//! The rows of the columns as they stand in the file, packed, sixty-four listings at a time: what is read back when
//! the view is opened, in a tenth of the time that the table of listings takes.
//!
//! They follow from that table, from the dictionaries of the text columns, and from what may be displayed; they are
//! written in the same transaction as their listings. When the form is another, or what may be displayed has changed
//! since, they mean nothing: they are made anew from the table.

use rusqlite::{Connection, OptionalExtension, params};
use xxhash_rust::xxh3::xxh3_64;

use crate::columns::{Columns, Dictionaries, Row};
use crate::dictionary::Dictionary;
use crate::display::{Display, HIDDEN_STATUSES};
use crate::store::StoreError;

/// Listings in one group. Small, so that a change of one listing writes one page.
const GROUP: u32 = 64;
/// Bytes of a row.
const ROW_BYTES: usize = 61;
/// The form of rows, and how they follow from a listing; to be raised with either.
const FORM: u32 = 2;

/// The tables; part of those of the file.
pub(crate) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS packed (id INTEGER PRIMARY KEY, rows BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS name (kind INTEGER NOT NULL, code INTEGER NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (kind, code)) WITHOUT ROWID;
";
/// Their names, to be emptied with the others.
pub(crate) const TABLE_NAMES: [&str; 2] = ["packed", "name"];

/// What the rows in the file were made with, as a number in `meta`.
fn made_with(display: &Display) -> i64 {
    let text = format!("{FORM} {ROW_BYTES} {GROUP} {HIDDEN_STATUSES:?} {display:?}");
    xxh3_64(text.as_bytes()).cast_signed()
}

impl Row {
    fn pack(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.hash.to_le_bytes());
        out.extend_from_slice(&self.signature.to_le_bytes());
        out.extend_from_slice(&self.price.to_le_bytes());
        out.extend_from_slice(&self.changed.to_le_bytes());
        out.extend_from_slice(&self.lat.to_le_bytes());
        out.extend_from_slice(&self.lon.to_le_bytes());
        out.extend_from_slice(&self.city.to_le_bytes());
        out.extend_from_slice(&self.version.to_le_bytes());
        for code in [self.state, self.country, self.status, self.kind, self.feed] {
            out.extend_from_slice(&code.to_le_bytes());
        }
        out.extend_from_slice(&[self.beds, self.baths, self.flags]);
    }

    fn unpack(mut bytes: &[u8]) -> Option<Self> {
        fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
            let (first, rest) = bytes.split_first_chunk::<N>()?;
            *bytes = rest;
            Some(*first)
        }
        let b = &mut bytes;
        Some(Self {
            hash: u64::from_le_bytes(take(b)?),
            signature: u64::from_le_bytes(take(b)?),
            price: i64::from_le_bytes(take(b)?),
            changed: i64::from_le_bytes(take(b)?),
            lat: i32::from_le_bytes(take(b)?),
            lon: i32::from_le_bytes(take(b)?),
            city: u32::from_le_bytes(take(b)?),
            version: u32::from_le_bytes(take(b)?),
            state: u16::from_le_bytes(take(b)?),
            country: u16::from_le_bytes(take(b)?),
            status: u16::from_le_bytes(take(b)?),
            kind: u16::from_le_bytes(take(b)?),
            feed: u16::from_le_bytes(take(b)?),
            beds: u8::from_le_bytes(take(b)?),
            baths: u8::from_le_bytes(take(b)?),
            flags: u8::from_le_bytes(take(b)?),
        })
    }
}

fn kinds(names: &Dictionaries) -> [&Dictionary; 6] {
    [&names.city, &names.state, &names.country, &names.status, &names.kind, &names.feed]
}

/// How many names of each dictionary are in the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Saved([usize; 6]);

impl Saved {
    /// Where all of them are.
    pub(crate) fn all(names: &Dictionaries) -> Self {
        Self(kinds(names).map(Dictionary::len))
    }

    /// Writes the names that are new; what is saved once the transaction is committed.
    pub(crate) fn write(self, sql: &Connection, names: &Dictionaries) -> rusqlite::Result<Self> {
        let mut insert = sql.prepare_cached("INSERT OR REPLACE INTO name VALUES (?1, ?2, ?3)")?;
        for ((kind, dictionary), from) in (0i64..).zip(kinds(names)).zip(self.0) {
            for (code, text) in dictionary.names().enumerate().skip(from) {
                insert.execute(params![kind, code as i64, text])?;
            }
        }
        Ok(Self::all(names))
    }
}

/// Writes the groups of `changed`, given as `(id, row)` in order of their ids, over what `columns` hold.
pub(crate) fn write(
    sql: &Connection,
    columns: &Columns,
    changed: &[(u32, Row)],
) -> rusqlite::Result<()> {
    let mut insert = sql.prepare_cached("INSERT OR REPLACE INTO packed VALUES (?1, ?2)")?;
    let mut bytes = Vec::with_capacity(GROUP as usize * ROW_BYTES);
    let group_of = |id: u32| id / GROUP;
    for group in changed.chunk_by(|a, b| group_of(a.0) == group_of(b.0)) {
        let Some(number) = group.first().map(|(id, _)| group_of(*id)) else { continue };
        bytes.clear();
        let mut news = group.iter().peekable();
        for id in number * GROUP..(number + 1) * GROUP {
            let row = news.next_if(|(at, _)| *at == id).map(|(_, row)| *row);
            match row.or_else(|| columns.get(id)) {
                Some(row) => row.pack(&mut bytes),
                None => break,
            }
        }
        insert.execute(params![number, bytes])?;
    }
    Ok(())
}

/// Notes in the file what its rows are made with from now on.
pub(crate) fn begin(sql: &Connection, display: &Display) -> rusqlite::Result<()> {
    sql.execute("INSERT OR REPLACE INTO meta VALUES ('packed', ?1)", [made_with(display)]).map(drop)
}

/// Writes all rows and names anew.
pub(crate) fn rewrite(
    sql: &Connection,
    display: &Display,
    columns: &Columns,
) -> rusqlite::Result<()> {
    let transaction = sql.unchecked_transaction()?;
    for table in TABLE_NAMES {
        transaction.execute_batch(&format!("DELETE FROM {table}"))?;
    }
    begin(&transaction, display)?;
    Saved::default().write(&transaction, &columns.names)?;
    let rows = (0u32..).map_while(|id| Some((id, columns.get(id)?)));
    let all: Vec<_> = rows.collect();
    write(&transaction, columns, &all)?;
    transaction.commit()
}

/// Reads the columns back; `None` when the rows in the file do not fit the program, its settings, or the `count` of
/// listings in the table.
pub(crate) fn read(
    sql: &Connection,
    display: &Display,
    count: usize,
) -> Result<Option<Columns>, StoreError> {
    let made: Option<i64> = sql
        .query_row("SELECT value FROM meta WHERE name = 'packed'", [], |row| row.get(0))
        .optional()?;
    let mut columns = Columns::default();
    if made != Some(made_with(display)) || !read_names(sql, &mut columns.names)? {
        return Ok(None);
    }
    columns.reserve(count);
    let mut statement = sql.prepare("SELECT id, rows FROM packed ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, bytes): (i64, &[u8]) =
            (row.get(0)?, row.get_ref(1)?.as_blob().unwrap_or_default());
        if usize::try_from(id).ok().map(|id| id * GROUP as usize) != Some(columns.len()) {
            return Ok(None);
        }
        for row in bytes.chunks(ROW_BYTES).take(GROUP as usize) {
            let Some(row) = Row::unpack(row) else { return Ok(None) };
            columns.push(&row);
        }
    }
    Ok((columns.len() == count).then_some(columns))
}

/// Whether each name got the number it had.
fn read_names(sql: &Connection, names: &mut Dictionaries) -> Result<bool, StoreError> {
    let mut statement = sql.prepare("SELECT kind, code, text FROM name ORDER BY kind, code")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, code): (i64, i64) = (row.get(0)?, row.get(1)?);
        let dictionary = match kind {
            0 => &mut names.city,
            1 => &mut names.state,
            2 => &mut names.country,
            3 => &mut names.status,
            4 => &mut names.kind,
            5 => &mut names.feed,
            _ => return Ok(false),
        };
        let text = row.get_ref(2)?.as_str().unwrap_or_default();
        if i64::from(dictionary.code(text)) != code {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::columns::key_hash;

    fn row(n: u64) -> Row {
        Row {
            signature: n * 3,
            price: -5,
            changed: 7,
            lat: i32::MIN,
            lon: 9,
            city: 70_000,
            state: 1,
            country: 2,
            status: 3,
            kind: 4,
            feed: 5,
            beds: 6,
            baths: 250,
            flags: 255,
            ..Row::waiting(key_hash(&n.to_string()))
        }
    }

    #[test]
    fn a_row_comes_back_and_a_short_one_is_refused() {
        let mut bytes = Vec::new();
        row(7).pack(&mut bytes);
        assert_eq!(bytes.len(), ROW_BYTES);
        assert_eq!(Row::unpack(&bytes), Some(row(7)));
        assert_eq!(Row::unpack(&bytes[1..]), None);
    }

    fn file() -> Connection {
        let sql = Connection::open_in_memory().expect("opens");
        sql.execute_batch("CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER)")
            .expect("made");
        sql.execute_batch(TABLES).expect("made");
        begin(&sql, &Display::default()).expect("written");
        sql
    }

    fn put(columns: &mut Columns, changed: &[(u32, Row)]) {
        for (id, row) in changed {
            if columns.get(*id).is_some() { columns.put(*id, row) } else { columns.push(row) }
        }
    }

    fn all(columns: &Columns) -> Vec<Row> {
        (0u32..).map_while(|id| columns.get(id)).collect()
    }

    proptest! {
        #[test]
        fn what_is_read_back_is_what_was_put(calls in proptest::collection::vec((0u32..150, proptest::collection::btree_set(0u32..300, 0..20)), 1..8)) {
            let (sql, mut columns, display) = (file(), Columns::default(), Display::default());
            let mut saved = Saved::default();
            for (turn, (fresh, old)) in (0u64..).zip(calls) {
                let known = u32::try_from(columns.len()).unwrap();
                let named = columns.names.city.code(&format!("Town {turn}"));
                let ids = old.into_iter().filter(|id| *id < known).chain(known..known + fresh);
                let changed: Vec<_> = ids
                    .map(|id| (id, Row { city: named, ..row(u64::from(id) * 10 + turn) }))
                    .collect();
                saved = saved.write(&sql, &columns.names).unwrap();
                write(&sql, &columns, &changed).unwrap();
                put(&mut columns, &changed);
            }
            let read = read(&sql, &display, columns.len()).unwrap().expect("fits");
            prop_assert_eq!(all(&read), all(&columns));
            prop_assert_eq!(Saved::all(&read.names), saved);
            prop_assert_eq!(&read.totals, &columns.totals);
        }
    }

    #[test]
    fn rows_that_do_not_fit_are_not_taken() {
        let display = Display::default();
        let other = Display { others: crate::FeedDisplay::open_data(), ..Display::default() };
        let mut columns = Columns::default();
        columns.names.city.code("Calgary");
        put(&mut columns, &(0..100).map(|id| (id, row(id.into()))).collect::<Vec<_>>());
        for (harm, display, count, fits) in [
            ("", &display, 100, true),
            ("", &other, 100, false),
            ("", &display, 101, false),
            ("DELETE FROM packed WHERE id = 0", &display, 100, false),
            ("UPDATE packed SET rows = zeroblob(5) WHERE id = 1", &display, 100, false),
            ("UPDATE name SET code = 2 WHERE kind = 0 AND code = 1", &display, 100, false),
            ("DELETE FROM meta", &display, 100, false),
        ] {
            let sql = file();
            rewrite(&sql, &Display::default(), &columns).expect("written");
            sql.execute_batch(harm).expect("harmed");
            assert_eq!(read(&sql, display, count).expect("read").is_some(), fits, "{harm} {count}");
        }
    }

    #[test]
    fn what_may_be_displayed_counts_anew_at_each_opening() {
        use dataflow::View;
        use dataflow::batch::{Batch, BatchBuilder, Meta, NewRecord};

        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("views.db");
        let open = Display { others: crate::FeedDisplay::open_data(), ..Display::default() };
        let shut = Display::default();
        let mut view = crate::ListingView::open(&file, open.clone()).expect("opens");
        view.reset(1).expect("reset");
        let mut builder = BatchBuilder::default();
        let meta =
            Meta { id: 1, trace: 1, kind: "k", source: "s", time_ms: 5, schema: 1, origin: 0 };
        for n in 0..200 {
            let (key, value) =
                (format!("f:{n}"), format!(r#"{{"version":1,"listing":{{"City":"Town {n}"}}}}"#));
            builder.push(NewRecord {
                key: key.as_bytes(),
                value: Some(value.as_bytes()),
                meta,
                headers: &[],
            });
        }
        let batch = std::sync::Arc::new(
            Batch::decode(std::sync::Arc::new(builder.finish()), 0, 0).expect("built"),
        );
        let topic = messages::topics::LISTING_CURRENT.into();
        view.apply(&[dataflow::contract::Delivery { topic, partition: 0, batch, from: 0 }], 9)
            .expect("applied");
        drop(view);
        for (display, fits, shown) in
            [(&open, true, 200), (&shut, false, 0), (&shut, true, 0), (&open, false, 200)]
        {
            let sql = crate::store::open(&file).expect("opens");
            assert_eq!(read(&sql, display, 200).expect("read").is_some(), fits);
            let columns = crate::store::load(&sql, display).expect("loads");
            assert_eq!((columns.len(), columns.totals.shown), (200, shown));
            assert_eq!(columns.names.city.name(200), "Town 199");
        }
    }
}
