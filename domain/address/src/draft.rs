//! An address while it is read, and how it is written out again.

use crate::casing::push_title;
use crate::tables::units::Kind;
use crate::token::{Token, Words};
use crate::words::{Designator, Direction};
use crate::{Address, Country};

/// The fields so far, with what only the written form needs.
pub(crate) struct Draft {
    pub(crate) address: Address,
    pub(crate) country: Country,
    /// The word before the unit number, where the text had one.
    designator: Option<&'static str>,
    /// Whether the unit number begins with its own word (`Fl 2`).
    unit_names_itself: bool,
    /// The direction behind the name, for its French letters.
    dir_suffix: Option<Direction>,
    /// French order: the type stands before the name.
    pub(crate) type_first: bool,
    /// Whether the text was a whole address.
    pub(crate) is_full: bool,
}

impl Draft {
    pub(crate) fn new(country: Country) -> Self {
        Self {
            address: Address::default(),
            country,
            designator: None,
            unit_names_itself: false,
            dir_suffix: None,
            type_first: false,
            is_full: false,
        }
    }

    pub(crate) fn set_dir_suffix(&mut self, direction: Direction) {
        self.address.street_dir_suffix = Some(direction.reso);
        self.dir_suffix = Some(direction);
    }

    /// Takes a unit, part or building. The unit proper wins `UnitNumber`; the others go beside it.
    pub(crate) fn add_unit(&mut self, designator: Option<Designator>, identifier: &str) {
        let kind = designator.map_or(Kind::Unit, |found| found.kind);
        let standard = designator.map(|found| found.standard);
        let named = match (standard, identifier) {
            (Some(word), "") => word.to_owned(),
            (Some(word), identifier) => format!("{word} {identifier}"),
            (None, identifier) => identifier.to_owned(),
        };
        let is_unit = kind == Kind::Unit;
        let taken = self.address.unit_number.is_some();
        if kind == Kind::Building || (taken && !(is_unit && self.unit_names_itself)) {
            return self.add_info(&named);
        }
        if let Some(part) = self.address.unit_number.take() {
            self.add_info(&part);
        }
        self.unit_names_itself = !is_unit;
        self.designator = standard.filter(|_| is_unit);
        self.address.unit_number = Some(if is_unit { identifier.to_owned() } else { named });
    }

    /// Adds to `StreetAdditionalInfo`.
    pub(crate) fn add_info(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        match &mut self.address.street_additional_info {
            Some(info) => {
                info.push_str(", ");
                info.push_str(text);
            }
            none => *none = Some(text.to_owned()),
        }
    }

    /// Writes the address out and hands it over.
    pub(crate) fn finish(mut self) -> Address {
        let mut line = String::with_capacity(64);
        self.write_street(&mut line);
        if let Some(info) = &self.address.street_additional_info {
            push(&mut line, ", ", info);
        }
        if self.is_full {
            self.write_place(&mut line);
        }
        self.address.unparsed_address = line;
        self.address
    }

    fn write_street(&self, line: &mut String) {
        let address = &self.address;
        let in_front = self.unit_in_front();
        if let (true, Some(unit), Some(number)) =
            (in_front, &address.unit_number, &address.street_number)
        {
            line.push_str(unit);
            line.push('-');
            line.push_str(number);
        } else if let Some(number) = &address.street_number {
            line.push_str(number);
        }
        push(line, " ", address.street_dir_prefix.unwrap_or(""));
        let suffix = address.street_suffix.unwrap_or("");
        let name = address.street_name.as_deref().unwrap_or("");
        let (first, second) = if self.type_first { (suffix, name) } else { (name, suffix) };
        push(line, " ", first);
        push(line, " ", second);
        push(line, " ", address.street_suffix_modifier.unwrap_or(""));
        let letters = |found: Direction| if self.type_first { found.french } else { found.reso };
        push(line, " ", self.dir_suffix.map_or("", letters));
        if let (false, Some(unit)) = (in_front, &address.unit_number) {
            self.write_unit(line, unit);
        }
    }

    fn write_unit(&self, line: &mut String, unit: &str) {
        match self.designator {
            Some(word) => {
                push(line, " ", word);
                push(line, " ", unit);
            }
            None if self.unit_names_itself => push(line, " ", unit),
            None => {
                push(line, " ", "#");
                line.push_str(unit);
            }
        }
    }

    /// Canada Post writes `101-1234 Main St`; possible where both parts are plain.
    fn unit_in_front(&self) -> bool {
        let plain = |text: &str, most: usize| {
            text.len() <= most
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
                && !text.is_empty()
        };
        let number = self.address.street_number.as_deref().unwrap_or("");
        let unit = self.address.unit_number.as_deref().unwrap_or("");
        self.country == Country::Ca
            && !self.unit_names_itself
            && plain(unit, 6)
            && plain(number.strip_suffix(" 1/2").unwrap_or(number), 8)
            && number.starts_with(|first: char| first.is_ascii_digit())
    }

    fn write_place(&self, line: &mut String) {
        let address = &self.address;
        push(line, ", ", address.city.as_deref().unwrap_or(""));
        push(line, ", ", address.state_or_province.map_or("", |region| region.postal()));
        if let Some(code) = &address.postal_code {
            push(line, if address.state_or_province.is_some() { " " } else { ", " }, code.code());
            push(line, "-", code.plus4().unwrap_or(""));
        }
    }
}

/// Appends `text` with `between` before it where both sides are there.
fn push(line: &mut String, between: &str, text: &str) {
    if text.is_empty() {
        return;
    }
    if !line.is_empty() {
        line.push_str(between);
    }
    line.push_str(text);
}

/// Words in title case with single spaces; `None` where there are none.
pub(crate) fn title(words: &Words, tokens: &[Token], country: Country) -> Option<String> {
    let mut out = String::with_capacity(24);
    for token in tokens {
        let first = out.is_empty();
        if !first {
            out.push(' ');
        }
        push_title(&mut out, words.text(token), token, country, first);
    }
    (!out.is_empty()).then_some(out)
}

/// An identifier in upper case without spaces.
pub(crate) fn identifier(words: &Words, tokens: &[Token]) -> String {
    tokens.iter().flat_map(|token| words.text(token).chars()).flat_map(char::to_uppercase).collect()
}
