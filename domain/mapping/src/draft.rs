//! A listing while it is made: values in one buffer, one place for each field, written out in the order of names.

use messages::Decimal;
use messages::fields::FieldId;
use messages::json::write_str;
use messages::notes::{NOTES_MAX, Note};

/// A listing being made. Used again for the next one, so that nothing is allocated for each.
#[derive(Debug)]
pub(crate) struct Draft {
    arena: Vec<u8>,
    /// Where each field's value stands in the arena; empty where there is none.
    places: [(u32, u32); FieldId::COUNT],
    pub(crate) notes: Vec<Note>,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            arena: Vec::with_capacity(4096),
            places: [(0, 0); FieldId::COUNT],
            notes: Vec::new(),
        }
    }
}

impl Draft {
    pub(crate) fn clear(&mut self) {
        self.arena.clear();
        self.places.fill((0, 0));
        self.notes.clear();
    }

    /// Sets a field to what `write` appends; nothing appended leaves it as it was.
    pub(crate) fn set<R>(&mut self, field: FieldId, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let start = self.arena.len();
        let result = write(&mut self.arena);
        let end = self.arena.len();
        if end > start
            && let (Some(place), Ok(start), Ok(end)) =
                (self.places.get_mut(field.index()), u32::try_from(start), u32::try_from(end))
        {
            *place = (start, end);
        }
        result
    }

    pub(crate) fn set_text(&mut self, field: FieldId, text: &str) {
        self.set(field, |out| write_str(out, text));
    }

    pub(crate) fn set_number(&mut self, field: FieldId, number: Decimal) {
        self.set(field, |out| number.write(out));
    }

    pub(crate) fn unset(&mut self, field: FieldId) {
        if let Some(place) = self.places.get_mut(field.index()) {
            *place = (0, 0);
        }
    }

    /// The value of a field as JSON.
    pub(crate) fn get(&self, field: FieldId) -> Option<&[u8]> {
        let (start, end) = *self.places.get(field.index())?;
        let range = usize::try_from(start).ok()?..usize::try_from(end).ok()?;
        self.arena.get(range).filter(|value| !value.is_empty())
    }

    pub(crate) fn has(&self, field: FieldId) -> bool {
        self.places.get(field.index()).is_some_and(|(_, end)| *end > 0)
    }

    pub(crate) fn number(&self, field: FieldId) -> Option<Decimal> {
        Decimal::parse(std::str::from_utf8(self.get(field)?).ok()?)
    }

    /// A text that needed no escapes: codes, dates and lookups do not.
    pub(crate) fn text(&self, field: FieldId) -> Option<&str> {
        let value = std::str::from_utf8(self.get(field)?).ok()?;
        let inner = value.strip_prefix('"')?.strip_suffix('"')?;
        (!inner.contains('\\')).then_some(inner)
    }

    pub(crate) fn note(&mut self, field: FieldId, code: &'static str, message: &str) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push(Note::new(field.field().name, code, message));
        }
    }

    /// Appends the listing.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (field, (start, end)) in FieldId::all().zip(&self.places) {
            let (Ok(start), Ok(end)) = (usize::try_from(*start), usize::try_from(*end)) else {
                continue;
            };
            let Some(value) = self.arena.get(start..end).filter(|value| !value.is_empty()) else {
                continue;
            };
            if out.last() != Some(&b'{') {
                out.push(b',');
            }
            out.push(b'"');
            out.extend_from_slice(field.field().name.as_bytes());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(value);
        }
        out.push(b'}');
    }
}
