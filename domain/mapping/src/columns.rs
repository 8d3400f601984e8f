//! The columns of a file against those that a pack names.

use crate::fault::{Fault, shown};
use crate::pack::{KeyPart, Pack};
use crate::read::nearest;

/// Longest key of a row, in bytes.
pub const KEY_MAX: usize = 200;
/// How many columns of a file a message lists.
const SHOWN_MAX: usize = 30;

/// A file lacks columns that the pack names, or has one twice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ColumnsError {
    /// The columns at fault, as the pack names them.
    pub columns: Vec<String>,
    /// One line for a person.
    pub message: String,
}

/// Where the parts of the key stand in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    key: Vec<Piece>,
    unused: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Column(usize, String),
}

/// A column name with the byte order mark gone and every run of white space, line breaks included, as one space.
#[must_use]
pub fn clean_name(name: &str) -> String {
    name.trim_start_matches('\u{feff}').split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a row of a CSV file is the header that the pack asks for.
#[must_use]
pub fn is_header<N: AsRef<str>>(pack: &Pack, row: &[N]) -> bool {
    let names: Vec<_> = row.iter().map(|name| clean_name(name.as_ref())).collect();
    let has = |wanted: &String| match pack.slots.get(wanted) {
        Some(slot) => names.iter().any(|name| pack.slots.get(name) == Some(slot)),
        None => names.contains(wanted),
    };
    !names.is_empty() && pack.source.header.iter().all(has)
}

/// Compares the header of a file with the columns that the pack names.
///
/// # Errors
/// [`ColumnsError`] where the file lacks one, or has one twice, naming both sides.
pub fn check_columns<N: AsRef<str>>(pack: &Pack, header: &[N]) -> Result<Columns, ColumnsError> {
    let names: Vec<_> = header.iter().map(|name| clean_name(name.as_ref())).collect();
    let mut found = vec![0usize; pack.columns.len()];
    for slot in names.iter().filter_map(|name| pack.slots.get(name)) {
        if let Some(count) = found.get_mut(*slot) {
            *count += 1;
        }
    }
    let columns = || pack.columns.iter().zip(&found);
    let missing: Vec<_> =
        columns().filter(|(c, n)| **n == 0 && !c.optional).map(|(c, _)| c.name.clone()).collect();
    if !missing.is_empty() {
        return Err(missing_columns(pack, missing, &names));
    }
    let twice: Vec<_> = columns().filter(|(_, n)| **n > 1).map(|(c, _)| c.name.clone()).collect();
    if !twice.is_empty() {
        let message = format!(
            "the file has {} more than once, and pack `{}` names it: rename the other",
            quoted(&twice),
            pack.name
        );
        return Err(ColumnsError { columns: twice, message });
    }
    let piece = |part: &KeyPart| match part {
        KeyPart::Text(text) => Some(Piece::Text(text.clone())),
        KeyPart::Column(name) => {
            names.iter().position(|n| n == name).map(|at| Piece::Column(at, name.clone()))
        }
    };
    let key = pack.key.iter().filter_map(piece).collect();
    let unused = names.into_iter().filter(|name| !pack.slots.contains_key(name)).collect();
    Ok(Columns { key, unused })
}

fn missing_columns(pack: &Pack, missing: Vec<String>, names: &[String]) -> ColumnsError {
    let free = || names.iter().map(String::as_str).filter(|name| !pack.slots.contains_key(*name));
    let hints: Vec<_> = missing
        .iter()
        .filter_map(|name| {
            nearest(name, free())
                .map(|near| format!("`{near}` may be `{name}` (add it to [aliases])"))
        })
        .collect();
    let hints = if hints.is_empty() { String::new() } else { format!("; {}", hints.join(", ")) };
    let more = names.len().saturating_sub(SHOWN_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let shown = quoted(names.get(..SHOWN_MAX.min(names.len())).unwrap_or_default());
    let message = format!(
        "pack `{}` names {}, which the file does not have{hints}; it has {shown}{more}",
        pack.name,
        quoted(&missing)
    );
    ColumnsError { columns: missing, message }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{}`", shown(name))).collect::<Vec<_>>().join(", ")
}

impl Columns {
    /// Appends the key of a row, given its fields by their place.
    ///
    /// # Errors
    /// [`Fault`] `missing_key` or `unreadable_key`, naming the column.
    pub fn key<'f>(
        &self,
        field: impl Fn(usize) -> Option<&'f str>,
        out: &mut String,
    ) -> Result<(), Fault> {
        let start = out.len();
        for piece in &self.key {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Column(at, name) => push_key(field(*at).unwrap_or(""), name, out)?,
            }
        }
        check_length(start, out)
    }

    /// The columns of the file that the pack does not name.
    #[must_use]
    pub fn unused(&self) -> &[String] {
        &self.unused
    }
}

impl Pack {
    /// Appends the key of a row, given its fields by the name of the column.
    ///
    /// # Errors
    /// [`Fault`] `missing_key` or `unreadable_key`, naming the column.
    pub fn key_by_name<'f>(
        &self,
        field: impl Fn(&str) -> Option<&'f str>,
        out: &mut String,
    ) -> Result<(), Fault> {
        let start = out.len();
        for part in &self.key {
            match part {
                KeyPart::Text(text) => out.push_str(text),
                KeyPart::Column(name) => push_key(field(name).unwrap_or(""), name, out)?,
            }
        }
        check_length(start, out)
    }
}

fn push_key(text: &str, column: &str, out: &mut String) -> Result<(), Fault> {
    let mut words =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty());
    let first = words.next();
    let first = first.ok_or_else(|| {
        Fault::new("missing_key", format!("column `{column}` is part of the key, and is empty"))
    })?;
    out.push_str(first);
    for word in words {
        out.push(' ');
        out.push_str(word);
    }
    Ok(())
}

fn check_length(start: usize, out: &str) -> Result<(), Fault> {
    let len = out.len() - start;
    if len > KEY_MAX {
        let message = format!(
            "the key has {len} bytes, more than {KEY_MAX}: `{}`",
            shown(out.get(start..).unwrap_or(""))
        );
        return Err(Fault::new("unreadable_key", message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack() -> Pack {
        let text = r#"
name = "sales"
[source]
format = "csv"
key = "{BLOCK}-{LOT}"
header = ["BLOCK", "SALE PRICE"]
[aliases]
"APARTMENT NUMBER" = ["APART MENT NUMBER"]
[fields]
ClosePrice = "SALE PRICE"
UnitNumber = "APARTMENT NUMBER"
PublicRemarks = { column = "NOTE", optional = true }
"#;
        Pack::parse(text).unwrap()
    }

    const GOOD: [&str; 5] = ["BLOCK", "LOT", " SALE\nPRICE ", "APART\nMENT\nNUMBER", "MORE"];

    #[test]
    fn names_are_cleaned() {
        for (name, expect) in [
            ("SALE\nPRICE", "SALE PRICE"),
            (" SALE PRICE ", "SALE PRICE"),
            ("\u{feff}id", "id"),
            ("APART\r\nMENT\t NUMBER", "APART MENT NUMBER"),
            ("  ", ""),
        ] {
            assert_eq!(clean_name(name), expect, "{name:?}");
        }
    }

    #[test]
    fn the_header_is_the_row_that_has_the_columns() {
        for (row, expect) in [
            (&GOOD[..], true),
            (&["Rolling Sales File", "", ""][..], false),
            (&["BLOCK", "LOT"][..], false),
            (&[][..], false),
        ] {
            assert_eq!(is_header(&pack(), row), expect, "{row:?}");
        }
    }

    #[test]
    fn a_file_that_lacks_a_column_is_refused_and_both_are_named() {
        let columns = check_columns(&pack(), &GOOD).unwrap();
        assert_eq!(columns.unused(), ["MORE"]);
        for (from, to, says) in [
            (
                " SALE\nPRICE ",
                "SALES PRICE",
                "names `SALE PRICE`, which the file does not have; `SALES PRICE` may be `SALE PRICE`",
            ),
            (
                "LOT",
                "PLOT NUMBER",
                "names `LOT`, which the file does not have; it has `BLOCK`, `PLOT NUMBER`",
            ),
            ("MORE", "LOT", "has `LOT` more than once"),
            ("MORE", "APARTMENT NUMBER", "has `APARTMENT NUMBER` more than once"),
        ] {
            let header = GOOD.map(|name| if name == from { to } else { name });
            let message = check_columns(&pack(), &header).unwrap_err().to_string();
            assert!(message.contains(says), "{message}");
        }
    }

    #[test]
    fn keys() {
        let columns = check_columns(&pack(), &GOOD).unwrap();
        let long = "9".repeat(300);
        for (block, lot, expect) in [
            ("5391", "9", Ok("5391-9")),
            (" 0012 ", "A  b", Ok("0012-A b")),
            ("", "9", Err("missing_key")),
            ("5391", " \t", Err("missing_key")),
            ("5391", long.as_str(), Err("unreadable_key")),
        ] {
            let row = [block, lot];
            let mut key = String::from("sales:");
            let got = columns.key(|at| row.get(at).copied(), &mut key).map_err(|f| f.code);
            assert_eq!(got.map(|()| key.trim_start_matches("sales:")), expect, "{block} {lot}");
            let mut key = String::new();
            let by_name = |name: &str| Some(if name == "BLOCK" { block } else { lot });
            let got = pack().key_by_name(by_name, &mut key).map_err(|f| f.code);
            assert_eq!(got.map(|()| key.as_str()), expect, "{block} {lot}");
        }
    }
}
