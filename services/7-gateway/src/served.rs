//! What the program may know of the read model besides serving it: how much is in it, and every document, to check.

use std::path::Path;

use crate::codec::Decoder;
use crate::store::{LIVE, StoreError, open_reader};

/// Number of listings that are there (shown or not), by the file itself.
///
/// # Errors
/// [`StoreError`] when the file cannot be read.
pub fn count_listings(file: &Path) -> Result<u64, StoreError> {
    let count: i64 = open_reader(file)?.query_row(
        "SELECT count(*) FROM listing WHERE state = ?1",
        [LIVE],
        |row| row.get(0),
    )?;
    Ok(count.unsigned_abs())
}

/// Calls `each` with the key and the `listing.current` value of every listing of the view, deleted ones included.
///
/// # Errors
/// [`StoreError`] when the file cannot be read.
pub fn each_document(file: &Path, mut each: impl FnMut(&str, &[u8])) -> Result<(), StoreError> {
    let sql = open_reader(file)?;
    let mut decoder = Decoder::new()?;
    let mut dictionaries = sql.prepare("SELECT number, bytes FROM dictionary")?;
    let mut rows = dictionaries.query([])?;
    while let Some(row) = rows.next()? {
        decoder.add(row.get(0)?, &row.get::<_, Vec<u8>>(1)?)?;
    }
    let mut values = sql.prepare("SELECT key, current FROM listing JOIN value USING (id)")?;
    let mut rows = values.query([])?;
    while let Some(row) = rows.next()? {
        let key: String = row.get(0)?;
        each(&key, &decoder.decode(row.get_ref(1)?.as_blob().unwrap_or_default())?);
    }
    Ok(())
}
