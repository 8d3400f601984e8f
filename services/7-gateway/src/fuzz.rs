//! Entries for fuzzing: any bytes are read or refused, without a panic.

use crate::codec::Decoder;
use crate::query::{cursor, list_request, map_request};

/// For fuzzing: reads any text as the query of `/listings` and of `/map`. Returns which of them took it.
///
/// # Panics
/// When the cursor of a request that was taken cannot be read back.
#[must_use]
pub fn fuzz_query(query: &str) -> [bool; 2] {
    let list = list_request(query);
    if let Ok(request) = &list
        && let Some(after) = request.after
    {
        let again = format!("sort={}&after={}", request.sort.name(), cursor(request.sort, after));
        let read = list_request(&again).map(|again| again.after);
        assert_eq!(read, Ok(Some(after)), "a cursor is read back as it was written");
    }
    [list.is_ok(), map_request(query).is_ok()]
}

/// For fuzzing: reads any bytes as a stored value of the view. Returns its length.
#[must_use]
pub fn fuzz_stored_value(bytes: &[u8]) -> Option<usize> {
    Decoder::new().ok()?.decode(bytes).ok().map(|value| value.len())
}
