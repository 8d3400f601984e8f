//! From the text of a column to the one form of a value of a RESO field.

mod list;

use std::borrow::Cow;
use std::collections::HashMap;

use address::StateOrProvince;
use messages::Decimal;
use messages::json::write_str;

use list::urls;
pub(crate) use list::{array_items, list, media};

use crate::forms::DateForms;

/// Longest locked or open lookup value, in bytes.
const LOOKUP_MAX: usize = 200;

/// How a text becomes a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Convert {
    Money,
    Integer,
    Decimal { scale: u8, shift: i32 },
    Text { max: usize, title: bool },
    Date(DateForms),
    Timestamp(DateForms),
    Boolean { yes: Vec<String>, no: Vec<String> },
    Locked(&'static [&'static str]),
    Open { title: bool },
    State,
    Country,
    List { separator: char },
    Media,
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: &'static str,
    /// Follows the value in a sentence: "is not a number".
    pub(crate) says: Cow<'static, str>,
}

impl Problem {
    pub(crate) const fn new(code: &'static str, says: &'static str) -> Self {
        Self { code, says: Cow::Borrowed(says) }
    }
}

/// How a conversion went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Done {
    /// The value was appended.
    Value,
    /// It was, but not quite as it came.
    Changed(Problem),
    /// There is no value.
    Nothing,
}

type Converted = Result<Done, Problem>;

impl Convert {
    /// Appends the value that `text` (trimmed, not empty) says.
    pub(crate) fn text(&self, text: &str, out: &mut Vec<u8>) -> Converted {
        match self {
            Self::Money => money(text, out),
            Self::Integer => integer(text, out),
            Self::Decimal { scale, shift } => decimal(text, *scale, *shift, out),
            Self::Text { max, title } => words(text, *max, *title, out),
            Self::Date(forms) => {
                let day = forms.day(text).ok_or(NOT_A_DATE)?;
                quoted(out, |out| day.write_date(out))
            }
            Self::Timestamp(forms) => {
                let moment = forms.moment(text).ok_or(NOT_A_DATE)?;
                quoted(out, |out| moment.write(out))
            }
            Self::Boolean { yes, no } => boolean(text, yes, no, out),
            Self::Locked(values) => locked(text, values, out),
            Self::Open { title } => words(text, LOOKUP_MAX, *title, out),
            Self::State => state(text, out),
            Self::Country => country(text, out),
            Self::List { separator } => list(text.split(*separator).map(Cow::Borrowed), None, out),
            Self::Media => urls(text, out),
        }
    }
}

pub(crate) const NOT_A_DATE: Problem =
    Problem::new("impossible_date", "is not a date in the form that the pack says");
const NOT_A_NUMBER: Problem = Problem::new("unreadable_number", "is not a number");

fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> Converted {
    out.push(b'"');
    write(out);
    out.push(b'"');
    Ok(Done::Value)
}

/// A number as people write it: `$1,000`, `(none)` as `-`, spaces around. `None` for the dash.
pub(crate) fn number(text: &str) -> Result<Option<Decimal>, Problem> {
    if let Some(number) = Decimal::parse(text) {
        return Ok(Some(number));
    }
    if matches!(text, "-" | "–" | "—") {
        return Ok(None);
    }
    let (sign, bare) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let bare = ["CA$", "US$", "C$", "$"]
        .iter()
        .find_map(|mark| bare.strip_prefix(mark))
        .unwrap_or(bare)
        .trim();
    let (whole, rest) = bare.split_at(bare.find('.').unwrap_or(bare.len()));
    if bare == "-" {
        return Ok(None);
    }
    if !bare.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        || whole.contains(',') && !grouped(whole)
    {
        return Err(NOT_A_NUMBER);
    }
    let plain: String = [sign].into_iter().chain(whole.split(',')).chain([rest]).collect();
    Decimal::parse(&plain).map(Some).ok_or(NOT_A_NUMBER)
}

/// Whether commas stand where thousands end: `1,5` is another language's decimal, and no number of ours.
fn grouped(whole: &str) -> bool {
    let digits = |group: &str| group.bytes().all(|b| b.is_ascii_digit());
    let mut groups = whole.split(',');
    groups.next().is_some_and(|first| (1..=3).contains(&first.len()) && digits(first))
        && groups.all(|group| group.len() == 3 && digits(group))
}

fn money(text: &str, out: &mut Vec<u8>) -> Converted {
    let Some(amount) = number(text)? else { return Ok(Done::Nothing) };
    if amount.is_negative() {
        return Err(Problem::new("negative_amount", "is below zero"));
    }
    amount.round(2).write(out);
    if amount.scale() > 2 {
        return Ok(Done::Changed(Problem::new(
            "rounded",
            "has more than two digits behind the point, and was rounded",
        )));
    }
    Ok(Done::Value)
}

fn integer(text: &str, out: &mut Vec<u8>) -> Converted {
    let Some(number) = number(text)? else { return Ok(Done::Nothing) };
    if number.scale() > 0 {
        return Err(Problem::new("not_whole", "is not a whole number"));
    }
    number.write(out);
    Ok(Done::Value)
}

fn decimal(text: &str, scale: u8, shift: i32, out: &mut Vec<u8>) -> Converted {
    let Some(number) = number(text)? else { return Ok(Done::Nothing) };
    number.shift(shift).ok_or(NOT_A_NUMBER)?.round(scale).write(out);
    Ok(Done::Value)
}

fn words(text: &str, max: usize, title: bool, out: &mut Vec<u8>) -> Converted {
    let mut words = collapse(text);
    if title && let Some(titled) = address::tidy_city(&words, address::Country::Us) {
        words = Cow::Owned(titled);
    }
    // A text has at least as many bytes as characters.
    let end = if words.len() <= max { None } else { words.char_indices().nth(max) };
    match end {
        None => {
            write_str(out, &words);
            Ok(Done::Value)
        }
        Some((end, _)) => {
            write_str(out, words.get(..end).unwrap_or(&words).trim_end());
            Ok(Done::Changed(Problem::new("cut", "is longer than the field may be, and was cut")))
        }
    }
}

/// The text with every run of white space and control characters as one space.
pub(crate) fn collapse(text: &str) -> Cow<'_, str> {
    if is_tidy(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for word in text.split(is_gap).filter(|w| !w.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    Cow::Owned(out)
}

fn is_gap(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

/// Whether [`collapse`] would change nothing. ASCII, as nearly all text is, takes one pass that works on blocks.
fn is_tidy(text: &str) -> bool {
    let bytes = text.as_bytes();
    let odd = |any: bool, byte: &u8| any | (*byte < 0x20) | (*byte >= 0x7f);
    let doubled = bytes
        .iter()
        .zip(bytes.iter().skip(1))
        .fold(false, |any, (a, b)| any | ((*a == b' ') & (*b == b' ')));
    let framed = text.starts_with(' ') || text.ends_with(' ');
    if doubled || framed {
        return false;
    }
    !bytes.iter().fold(false, odd) || !text.contains(|c: char| c != ' ' && is_gap(c))
}

fn boolean(text: &str, yes: &[String], no: &[String], out: &mut Vec<u8>) -> Converted {
    const YES: [&str; 5] = ["true", "1", "y", "yes", "t"];
    const NO: [&str; 5] = ["false", "0", "n", "no", "f"];
    let is = |list: &[String], standard: &[&str]| match list {
        [] => standard.iter().any(|s| s.eq_ignore_ascii_case(text)),
        list => list.iter().any(|s| s.eq_ignore_ascii_case(text)),
    };
    let value: &[u8] = if is(yes, &YES) {
        b"true"
    } else if is(no, &NO) {
        b"false"
    } else {
        return Err(Problem::new(
            "unreadable_flag",
            "is neither yes nor no in the forms that the pack says",
        ));
    };
    out.extend_from_slice(value);
    Ok(Done::Value)
}

/// The standard's value of that name; case and spaces do not matter (`ActiveUnderContract`).
fn locked(text: &str, values: &[&'static str], out: &mut Vec<u8>) -> Converted {
    let same = |value: &str| {
        let letters = |text: &str| {
            text.chars()
                .filter(|c| !c.is_whitespace())
                .flat_map(char::to_lowercase)
                .collect::<String>()
        };
        value == text || letters(value) == letters(text)
    };
    let exact = values.iter().find(|value| **value == text);
    let found = exact.or_else(|| values.iter().find(|value| same(value)));
    let found =
        found.ok_or(Problem::new("unknown_lookup", "is not a value of the standard's list"))?;
    write_str(out, found);
    Ok(Done::Value)
}

fn state(text: &str, out: &mut Vec<u8>) -> Converted {
    let state = StateOrProvince::parse(text);
    let state = state
        .ok_or(Problem::new("unknown_state", "is no state or province of the standard's list"))?;
    write_str(out, state.code());
    Ok(Done::Value)
}

fn country(text: &str, out: &mut Vec<u8>) -> Converted {
    const NAMES: [(&str, &[&str]); 2] = [
        ("CA", &["CA", "CAN", "CANADA"]),
        ("US", &["US", "USA", "U.S.", "U.S.A.", "UNITED STATES", "UNITED STATES OF AMERICA"]),
    ];
    let found = NAMES.iter().find(|(_, names)| names.iter().any(|n| n.eq_ignore_ascii_case(text)));
    let (code, _) =
        found.ok_or(Problem::new("unknown_country", "is neither the United States nor Canada"))?;
    write_str(out, code);
    Ok(Done::Value)
}

/// A lookup of a pack, compiled for one field: what the column says, in capitals, to the value's bytes; `None` says
/// that it means nothing.
pub(crate) type Table = HashMap<String, Option<Vec<u8>>>;

/// What a table says of a text. Codes mostly stand in capitals already, and are found as they are.
pub(crate) fn look_up<'t>(table: &'t Table, text: &str) -> Option<&'t Option<Vec<u8>>> {
    table.get(text).or_else(|| table.get(&table_key(text)))
}

/// The key of a text in a [`Table`].
pub(crate) fn table_key(text: &str) -> String {
    collapse(text).to_uppercase()
}

#[cfg(test)]
mod tests;
