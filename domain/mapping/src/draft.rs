//! A listing while it is made: values in one buffer, one place for each field, written out in the order of names.

use messages::Decimal;
use messages::fields::{FIELDS, FieldId};
use messages::json::write_str;
use messages::notes::{NOTES_MAX, Note};

const BITS: usize = 64;
const WORDS: usize = FieldId::COUNT.div_ceil(BITS);

/// A listing being made. Used again for the next one, so that nothing is allocated for each.
#[derive(Debug)]
pub(crate) struct Draft {
    arena: Vec<u8>,
    /// Where each field's value stands in the arena; counts only where `given` says that there is one.
    places: [(usize, usize); FieldId::COUNT],
    /// One bit for each field, lowest first, so that the few that are given are found fast and in order.
    given: [u64; WORDS],
    pub(crate) notes: Vec<Note>,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            arena: Vec::with_capacity(4096),
            places: [(0, 0); FieldId::COUNT],
            given: [0; WORDS],
            notes: Vec::new(),
        }
    }
}

impl Draft {
    pub(crate) fn clear(&mut self) {
        self.arena.clear();
        self.given.fill(0);
        self.notes.clear();
    }

    fn mark(&mut self, field: FieldId, given: bool) {
        let bit = 1 << (field.index() % BITS);
        if let Some(word) = self.given.get_mut(field.index() / BITS) {
            *word = if given { *word | bit } else { *word & !bit };
        }
    }

    /// Sets a field to what `write` appends; nothing appended leaves it as it was.
    pub(crate) fn set<R>(&mut self, field: FieldId, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let start = self.arena.len();
        let result = write(&mut self.arena);
        let end = self.arena.len();
        if end > start
            && let Some(place) = self.places.get_mut(field.index())
        {
            *place = (start, end);
            self.mark(field, true);
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
        self.mark(field, false);
    }

    /// The value of a field as JSON.
    pub(crate) fn get(&self, field: FieldId) -> Option<&[u8]> {
        let (start, end) = *self.places.get(field.index()).filter(|_| self.has(field))?;
        self.arena.get(start..end)
    }

    pub(crate) fn has(&self, field: FieldId) -> bool {
        self.given
            .get(field.index() / BITS)
            .is_some_and(|word| word >> (field.index() % BITS) & 1 == 1)
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
        let first = out.len() + 1;
        for (base, word) in self.given.iter().enumerate().map(|(at, word)| (at * BITS, *word)) {
            let mut word = word;
            while word != 0 {
                let at = base + usize::try_from(word.trailing_zeros()).unwrap_or(0);
                word &= word - 1;
                let (Some(field), Some((start, end))) = (FIELDS.get(at), self.places.get(at))
                else {
                    continue;
                };
                out.extend_from_slice(if out.len() < first { b"{\"" } else { b",\"" });
                out.extend_from_slice(field.name.as_bytes());
                out.extend_from_slice(b"\":");
                out.extend_from_slice(self.arena.get(*start..*end).unwrap_or_default());
            }
        }
        if out.len() < first {
            out.push(b'{');
        }
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_out_in_order_each_once() {
        let id = |name| FieldId::of(name).unwrap();
        let check = |draft: &Draft, expect: &str| {
            let mut out = Vec::new();
            draft.write(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expect);
        };
        let mut draft = Draft::default();
        check(&draft, "{}");
        draft.set_text(id("ZoningDescription"), "z");
        draft.set_text(id("AccessCode"), "a");
        draft.set_number(id("ListPrice"), Decimal::whole(5));
        draft.set_number(id("ListPrice"), Decimal::whole(6));
        draft.set(id("City"), |_| ());
        check(&draft, r#"{"AccessCode":"a","ListPrice":6,"ZoningDescription":"z"}"#);
        draft.unset(id("AccessCode"));
        assert_eq!((draft.has(id("AccessCode")), draft.get(id("AccessCode"))), (false, None));
        assert_eq!(
            (draft.number(id("ListPrice")), draft.text(id("ZoningDescription"))),
            (Some(Decimal::whole(6)), Some("z"))
        );
        draft.clear();
        check(&draft, "{}");
    }
}
