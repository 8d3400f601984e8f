//! Texts that repeat (cities, statuses, feeds), each kept once and numbered.

use std::collections::HashMap;

use crate::text::folded;

/// Longest text that gets a number of its own, in bytes; longer ones count as none.
const NAME_MAX: usize = 120;

/// Numbered texts. Number 0 is the empty text, and stands for everything beyond the limits.
#[derive(Debug)]
pub(crate) struct Dictionary {
    names: Vec<Box<str>>,
    codes: HashMap<Box<str>, u32>,
    max: u32,
    /// The number given last: neighbours are alike.
    last: u32,
}

impl Dictionary {
    /// With numbers below `max`: what comes after that counts as none.
    pub(crate) fn new(max: u32) -> Self {
        Self { names: vec!["".into()], codes: HashMap::new(), max, last: 0 }
    }

    /// The number of `name`, a new one where it is new.
    pub(crate) fn code(&mut self, name: &str) -> u32 {
        if name.is_empty() || name.len() > NAME_MAX {
            return 0;
        }
        if self.name(self.last) == name {
            return self.last;
        }
        if let Some(code) = self.codes.get(name) {
            self.last = *code;
            return *code;
        }
        let next = u32::try_from(self.names.len()).unwrap_or(self.max);
        if next >= self.max {
            return 0;
        }
        self.names.push(name.into());
        self.codes.insert(name.into(), next);
        next
    }

    /// The text of a number.
    pub(crate) fn name(&self, code: u32) -> &str {
        usize::try_from(code).ok().and_then(|at| self.names.get(at)).map_or("", |name| name)
    }

    /// How many numbers are given, that of the empty text included.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// All texts, by number.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// The set of numbers whose text is one of `wanted`, whatever its case and accents.
    pub(crate) fn find(&self, wanted: &[String]) -> Codes {
        let wanted: Vec<_> = wanted.iter().map(|name| folded(name)).collect();
        Codes(
            self.names
                .iter()
                .map(|name| !name.is_empty() && wanted.iter().any(|w| *w == folded(name)))
                .collect(),
        )
    }
}

/// A set of numbers of one dictionary.
#[derive(Debug, Clone)]
pub(crate) struct Codes(Vec<bool>);

impl Codes {
    /// Whether `code` is in it.
    pub(crate) fn has(&self, code: u32) -> bool {
        usize::try_from(code).ok().and_then(|at| self.0.get(at)).copied().unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_stable_and_bounded() {
        let mut cities = Dictionary::new(4);
        let codes =
            ["Calgary", "Montréal", "Calgary", "", "CALGARY", "Regina"].map(|c| cities.code(c));
        assert_eq!(codes, [1, 2, 1, 0, 3, 0]);
        assert_eq!(cities.code(&"x".repeat(500)), 0);
        assert_eq!((cities.name(2), cities.name(9)), ("Montréal", ""));
        let found = cities.find(&["calgary".to_owned(), "montreal".to_owned()]);
        assert_eq!([0, 1, 2, 3, 4].map(|c| found.has(c)), [false, true, true, true, false]);
    }
}
