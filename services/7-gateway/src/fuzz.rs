//! Entries for fuzzing: any bytes are read or refused, without a panic.

use axum::http::{HeaderMap, HeaderValue};
use messages::change::Change;

use crate::changes::request::changes_request;
use crate::codec::Decoder;
use crate::commands::check;
use crate::position::{Position, text};
use crate::query::{cursor, list_request, map_request};

/// For fuzzing: reads any text as the query of `/listings`, of `/map` and of `/changes`, and as the position that a
/// client has. Returns which of them took it.
///
/// # Panics
/// When a cursor or a position that was taken cannot be read back.
#[must_use]
pub fn fuzz_query(query: &str) -> [bool; 4] {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(query) {
        headers.insert("last-event-id", value);
    }
    let changes = changes_request(query, &headers);
    let position = Position::parse(query);
    if let Some(position) = &position {
        let again = text(position.epoch, position.instance, position.next.iter().copied());
        let read = Position::parse(&again);
        assert_eq!(read.as_ref(), Some(position), "a position is read back as it was written");
    }
    let list = list_request(query);
    if let Ok(request) = &list
        && let Some(after) = request.after
    {
        let again = format!("sort={}&after={}", request.sort.name(), cursor(request.sort, after));
        let read = list_request(&again).map(|again| again.after);
        assert_eq!(read, Ok(Some(after)), "a cursor is read back as it was written");
    }
    [list.is_ok(), map_request(query).is_ok(), changes.is_ok(), position.is_some()]
}

/// For fuzzing: reads any bytes as the body of a command. Returns whether it was taken.
///
/// # Panics
/// When `track` would not read what would be sent.
#[must_use]
pub fn fuzz_command(body: &[u8]) -> bool {
    let Ok(checked) = check(body, "someone") else { return false };
    let change = Change::parse(&checked.value);
    assert!(matches!(change, Ok(Change::Command(_))), "what is sent is what track reads");
    true
}

/// For fuzzing: reads any bytes as a stored value of the view. Returns its length.
#[must_use]
pub fn fuzz_stored_value(bytes: &[u8]) -> Option<usize> {
    Decoder::new().ok()?.decode(bytes).ok().map(|value| value.len())
}
