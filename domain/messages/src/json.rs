//! JSON by hand: a scanner that borrows, and writers that have one form for each value.
//!
//! Rows and listings pass through every stage, so they are never built as trees. The scanner checks what it
//! passes: what it has yielded is valid JSON, within [`DEPTH_MAX`].

mod scan;
mod write;

use std::borrow::Cow;

use scan::Scan;
pub use write::{write_escaped, write_name, write_str, write_u64};

/// Deepest nesting that is read.
pub const DEPTH_MAX: usize = 16;

/// A text is not the JSON that it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not valid JSON at byte {at}: expected {expected}")]
pub struct JsonError {
    /// Offset of the first byte that does not fit.
    pub at: usize,
    /// What should stand there.
    pub expected: &'static str,
}

/// A value, borrowed from the text.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as it was written.
    Number(&'a str),
    /// A string, unescaped.
    String(Cow<'a, str>),
    /// An array, checked, as it was written; read it with [`items`].
    Array(&'a str),
    /// An object, checked, as it was written; read it with [`members`].
    Object(&'a str),
}

/// The members of the object that `text` is, in order.
#[must_use]
pub fn members(text: &str) -> Members<'_> {
    Members { scan: Scan { text, at: 0 }, state: State::Before, depth: DEPTH_MAX }
}

/// The members at the beginning of the object that `text` is, up to one called `last`. What follows its colon, up to
/// the closing bracket of the object, is returned unread; `None` when there is none of that name.
///
/// # Errors
/// [`JsonError`] where what is read is not the beginning of an object.
pub fn leading<'a>(
    text: &'a str,
    last: &str,
    mut each: impl FnMut((Cow<'a, str>, Value<'a>)),
) -> Result<Option<&'a str>, JsonError> {
    let mut scan = Scan { text, at: 0 };
    let mut state = State::Before;
    while scan.more(&mut state, b'{', b'}')? {
        let name = scan.name()?;
        if name == last {
            return scan.rest_of_object().map(Some);
        }
        each((name, scan.value(DEPTH_MAX)?));
    }
    Ok(None)
}

/// The items of the array that `text` is, in order.
#[must_use]
pub fn items(text: &str) -> Items<'_> {
    Items { scan: Scan { text, at: 0 }, state: State::Before, depth: DEPTH_MAX }
}

/// Reads one value that is the whole text.
///
/// # Errors
/// [`JsonError`] where it is not valid JSON.
pub fn value(text: &str) -> Result<Value<'_>, JsonError> {
    let mut scan = Scan { text, at: 0 };
    let value = scan.value(DEPTH_MAX)?;
    scan.end()?;
    Ok(value)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Before,
    Within,
    After,
}

/// Iterator over the members of an object. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Members<'a> {
    scan: Scan<'a>,
    state: State,
    depth: usize,
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<(Cow<'a, str>, Value<'a>), JsonError>;

    fn next(&mut self) -> Option<Self::Item> {
        let more = self.scan.more(&mut self.state, b'{', b'}');
        let item = match more {
            Ok(false) => return None,
            Ok(true) => self.scan.member(self.depth),
            Err(error) => Err(error),
        };
        if item.is_err() {
            self.state = State::After;
        }
        Some(item)
    }
}

/// Iterator over the items of an array. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Items<'a> {
    scan: Scan<'a>,
    state: State,
    depth: usize,
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Value<'a>, JsonError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = match self.scan.more(&mut self.state, b'[', b']') {
            Ok(false) => return None,
            Ok(true) => self.scan.value(self.depth),
            Err(error) => Err(error),
        };
        if item.is_err() {
            self.state = State::After;
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads a text in full, as `serde_json` would, to compare with it.
    fn tree(value: Value<'_>) -> Result<serde_json::Value, JsonError> {
        Ok(match value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(b) => b.into(),
            Value::Number(n) => serde_json::from_str(n).unwrap_or_default(),
            Value::String(s) => s.into_owned().into(),
            Value::Array(text) => {
                items(text).map(|v| tree(v?)).collect::<Result<Vec<_>, _>>()?.into()
            }
            Value::Object(text) => serde_json::Value::Object(
                members(text)
                    .map(|m| m.and_then(|(name, v)| Ok((name.into_owned(), tree(v)?))))
                    .collect::<Result<_, _>>()?,
            ),
        })
    }

    #[test]
    fn reads_what_serde_json_reads() {
        for text in [
            r#"{}"#,
            r#"{"a":1,"b":[1,2.5e-3,{"c":null}],"d":"x\"\\\/\b\f\n\r\té😀"}"#,
            r#" { "a" : [ ] , "b" : { } , "c" : true , "d" : false } "#,
            r#"[[],[[]],"",-0,0.5]"#,
            r#""\ud83d\ude00 \u00e9""#,
        ] {
            let expect: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(value(text).and_then(tree), Ok(expect), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_json() {
        for text in [
            "",
            "{",
            "}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "[1,]",
            "[1 2]",
            "01",
            "1.",
            "-",
            "1e",
            "+1",
            "tru",
            "\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u+123\"",
            "\"a\nb\"",
            "{\"a\":1}}",
            "{a:1}",
            "nul",
        ] {
            assert!(value(text).is_err(), "{text}");
            assert!(serde_json::from_str::<serde_json::Value>(text).is_err(), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(value(&deep).is_err());
        assert_eq!(members("[1]").next(), Some(Err(JsonError { at: 0, expected: "`{`" })));
    }

    #[test]
    fn half_a_surrogate_pair_becomes_a_replacement_character() {
        assert_eq!(value(r#""\ud83d x""#), Ok(Value::String("\u{fffd} x".into())));
        assert_eq!(value(r#""\ud83d\u0041""#), Ok(Value::String("\u{fffd}A".into())));
    }

    proptest! {
        #[test]
        fn never_panics_and_agrees_with_serde_json(text in "[\\[\\]{}:,\"\\\\a-f0-9u.eE+\\- é\u{1f600}\n]{0,40}") {
            let ours = value(&text).and_then(tree);
            if let Ok(theirs) = serde_json::from_str::<serde_json::Value>(&text) {
                prop_assert_eq!(ours, Ok(theirs));
            }
        }

        #[test]
        fn a_string_written_is_read_back(text in ".*") {
            let mut out = Vec::new();
            write_str(&mut out, &text);
            let written = String::from_utf8(out).unwrap();
            prop_assert_eq!(value(&written), Ok(Value::String(text.clone().into())));
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }

        #[test]
        fn whole_numbers(number: u64) {
            let mut out = Vec::new();
            write_u64(&mut out, number);
            prop_assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
    }
}
