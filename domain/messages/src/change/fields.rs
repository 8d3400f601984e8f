//! The fields of a listing as slices of its bytes, and what differs between two of them.
//!
//! A listing is canonical JSON: names in byte order, one form for each value. So two values are the same
//! exactly when their bytes are, and two listings are compared by walking both lists once.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::scan::{self, Malformed};

/// Most fields of one listing; the RESO Data Dictionary has about 600 for a property.
pub const FIELDS_MAX: usize = 1_000;
/// Longest field name, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// A field: its name and its value as JSON text.
pub type Field<'a> = (&'a str, &'a str);

/// Fields in order of their names, none of them null.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields<'a> {
    list: Vec<Field<'a>>,
    /// The text they were read from, where that is what writing them would give.
    verbatim: Option<&'a str>,
}

impl<'a> Fields<'a> {
    /// Reads the listing of a message. A null says that there is no value, so it is left out.
    ///
    /// # Errors
    /// [`Malformed`] when it is not an object with plain, distinct names in byte order.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        let mut reading = Reading::default();
        scan::object(text, |name, value| reading.take(name, value))?;
        Ok(reading.finish(text))
    }

    /// Fields that are in order of their names already; nulls are left out.
    #[must_use]
    pub fn of_sorted(fields: impl IntoIterator<Item = Field<'a>>) -> Self {
        let list: Vec<_> = fields.into_iter().filter(|(_, value)| *value != "null").collect();
        debug_assert!(list.is_sorted_by(|a, b| a.0 < b.0), "fields must be in order");
        Self { list, verbatim: None }
    }

    /// The fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = Field<'a>> + '_ {
        self.list.iter().copied()
    }

    /// The value of a field, as JSON text.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let at = self.list.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
        self.list.get(at).map(|(_, value)| *value)
    }

    /// The listing as JSON text; borrowed where it is what was read.
    #[must_use]
    pub fn text(&self) -> Cow<'a, str> {
        match self.verbatim {
            Some(text) => Cow::Borrowed(text),
            None => Cow::Owned(object_text(self.iter())),
        }
    }

    /// These fields with others in front of them: where a name is in both, `over` counts, and a null
    /// there takes the field away. `over` is in order of names.
    #[must_use]
    pub fn under<'b>(&self, over: impl IntoIterator<Item = Field<'b>>) -> Fields<'b>
    where
        'a: 'b,
    {
        let mut list = Vec::with_capacity(self.list.len() + 8);
        let mut below = self.iter().peekable();
        for (name, value) in over {
            while let Some(field) = below.next_if(|(known, _)| *known < name) {
                list.push(field);
            }
            below.next_if(|(known, _)| *known == name);
            list.push((name, value));
        }
        list.extend(below);
        Fields::of_sorted(list)
    }
}

/// Fields while they are read.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    list: Vec<Field<'a>>,
    last: &'a str,
    bytes: usize,
}

impl Default for Reading<'_> {
    fn default() -> Self {
        // Less than every name. (Not empty: the address of an empty text is no memory, which some processors punish.)
        Self { list: Vec::with_capacity(48), last: "!", bytes: 1 }
    }
}

impl<'a> Reading<'a> {
    /// The next member of the listing.
    pub(super) fn take(&mut self, name: &'a str, value: &'a str) -> Result<(), Malformed> {
        if !is_name(name) {
            return Err(Malformed::whole("a field name has other than letters, digits and _"));
        }
        if name <= self.last {
            return Err(Malformed::whole(
                "fields are not in byte order of their names, or one is there twice",
            ));
        }
        if self.list.len() == FIELDS_MAX {
            return Err(Malformed::whole("a listing has more than 1,000 fields"));
        }
        self.last = name;
        if value != "null" {
            self.bytes += name.len() + value.len() + 4;
            self.list.push((name, value));
        }
        Ok(())
    }

    /// All of them, of the listing that was `text`.
    pub(super) fn finish(self, text: &'a str) -> Fields<'a> {
        let written = if self.list.is_empty() { 2 } else { self.bytes };
        Fields { verbatim: (written == text.len()).then_some(text), list: self.list }
    }
}

/// Whether a name is made of letters, digits and underscores, at most [`NAME_BYTES_MAX`] of them.
#[must_use]
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Writes fields as a JSON object.
#[must_use]
pub fn object_text<'f>(fields: impl Iterator<Item = Field<'f>>) -> String {
    let mut text = String::with_capacity(256);
    text.push('{');
    for (at, (name, value)) in fields.enumerate() {
        text.push_str(if at == 0 { "\"" } else { ",\"" });
        text.push_str(name);
        text.push_str("\":");
        text.push_str(value);
    }
    text.push('}');
    text
}

/// A field that is not the same before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference<'a> {
    /// The field.
    pub name: &'a str,
    /// JSON text of its value before, `None` where it had none.
    pub before: Option<&'a str>,
    /// JSON text of its value after, `None` where it has none.
    pub after: Option<&'a str>,
}

/// What differs, in order of names.
#[must_use]
pub fn differences<'a>(before: &Fields<'a>, after: &Fields<'a>) -> Vec<Difference<'a>> {
    let mut found = Vec::new();
    let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return found,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        let before = if order.is_le() { old.next() } else { None };
        let after = if order.is_ge() { new.next() } else { None };
        let name = before.or(after).map_or("", |(name, _)| name);
        let (before, after) = (before.map(|(_, value)| value), after.map(|(_, value)| value));
        if before != after {
            found.push(Difference { name, before, after });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_are_read_or_refused() {
        let cases = [
            ("{}", Ok("{}")),
            (r#"{"A":1,"B":[1,2]}"#, Ok(r#"{"A":1,"B":[1,2]}"#)),
            (r#"{"A":null,"B":2}"#, Ok(r#"{"B":2}"#)),
            (r#"{"A":null}"#, Ok("{}")),
            (r#"{ "A": 1 }"#, Ok(r#"{"A":1}"#)),
            (r#"{"B":1,"A":2}"#, Err("byte order")),
            (r#"{"A":1,"A":2}"#, Err("twice")),
            (r#"{"A b":1}"#, Err("field name")),
            (r#"{"":1}"#, Err("field name")),
            (r#"{"A\u0041":1}"#, Err("field name")),
        ];
        for (text, expect) in cases {
            match (Fields::parse(text), expect) {
                (Ok(fields), Ok(expect)) => {
                    assert_eq!(fields.text(), expect, "{text}");
                    assert_eq!(fields.verbatim.is_some(), text == expect, "{text}");
                }
                (Err(found), Err(part)) => assert!(found.what.contains(part), "{text}: {found}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn too_many_fields_are_refused() {
        let listing = |n: usize| {
            let names: Vec<_> = (0..n).map(|i| format!("\"F{i:05}\":1")).collect();
            format!("{{{}}}", names.join(","))
        };
        assert!(Fields::parse(&listing(FIELDS_MAX)).is_ok());
        assert!(Fields::parse(&listing(FIELDS_MAX + 1)).is_err());
    }

    #[test]
    fn layers_and_differences() {
        let feed = Fields::parse(r#"{"B":2,"C":3,"D":4}"#).unwrap();
        let merged = feed.under([("A", "1"), ("C", "30"), ("D", "null"), ("E", "5")]);
        assert_eq!(merged.text(), r#"{"A":1,"B":2,"C":30,"E":5}"#);
        assert_eq!(merged.get("C"), Some("30"));
        assert_eq!(merged.get("D"), None);
        let found: Vec<_> =
            differences(&feed, &merged).iter().map(|d| (d.name, d.before, d.after)).collect();
        assert_eq!(
            found,
            [
                ("A", None, Some("1")),
                ("C", Some("3"), Some("30")),
                ("D", Some("4"), None),
                ("E", None, Some("5"))
            ]
        );
        assert_eq!(differences(&feed, &feed), []);
    }
}
