//! The header row of a CSV file: found below title lines, cleaned, and held against what the pack reads.

use std::collections::HashSet;

use messages::json::write_escaped;

use crate::fault::FileFault;
use crate::plan::{KeyPart, RowPlan};

/// Rows looked through for the header.
pub const SEARCH_ROWS_MAX: usize = 50;
/// Most columns of a file.
pub const COLUMNS_MAX: usize = 2_000;
/// How many names a message to a person lists.
const NAMES_SHOWN: usize = 3;

/// A part of a key, with its column found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyPiece {
    Text(String),
    Column(usize),
}

/// The columns of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    names: Vec<String>,
    /// What stands before each value in the JSON row: `{"FIRST":"`, then `","NEXT":"`.
    pub(crate) openings: Vec<Vec<u8>>,
    pub(crate) key: Vec<KeyPiece>,
}

impl Header {
    /// Names of the columns, cleaned, in order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    fn new(names: Vec<String>, plan: &RowPlan) -> Option<Self> {
        let key = plan.key.parts().iter().map(|part| match part {
            KeyPart::Text(text) => Some(KeyPiece::Text(text.clone())),
            KeyPart::Column(name) => names.iter().position(|n| n == name).map(KeyPiece::Column),
        });
        let key = key.collect::<Option<_>>()?;
        let openings = names.iter().enumerate().map(|(at, name)| {
            let mut opening = if at == 0 { b"{\"".to_vec() } else { b"\",\"".to_vec() };
            write_escaped(&mut opening, name);
            opening.extend_from_slice(b"\":\"");
            opening
        });
        Some(Self { openings: openings.collect(), key, names })
    }
}

/// A column name with line breaks and runs of white space as one space.
#[must_use]
pub fn clean_name(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Looks for the header among the first rows of a file, one by one.
#[derive(Debug, Default)]
pub(crate) struct HeaderSearch {
    best: Vec<String>,
    best_found: usize,
    rows: usize,
}

impl HeaderSearch {
    /// Tries a row. `Ok(None)`: it is not the header.
    pub(crate) fn offer(
        &mut self,
        row: Vec<String>,
        plan: &RowPlan,
        file: &str,
    ) -> Result<Option<Header>, FileFault> {
        let names: Vec<_> = row.iter().map(|name| clean_name(name)).collect();
        let required = plan.required();
        let found = required.iter().filter(|r| names.iter().any(|n| n == *r)).count();
        if found == required.len() && names.len() <= COLUMNS_MAX {
            return Header::new(unique(names, &required, file)?, plan)
                .map(Some)
                .ok_or_else(|| self.missing(plan, file));
        }
        let better = found > self.best_found
            || (found == self.best_found && filled(&names) > filled(&self.best));
        if better {
            (self.best, self.best_found) = (names, found);
        }
        self.rows += 1;
        if self.rows >= SEARCH_ROWS_MAX { Err(self.missing(plan, file)) } else { Ok(None) }
    }

    /// No row was the header: says which columns the pack names and what the file has in their place.
    pub(crate) fn missing(&self, plan: &RowPlan, file: &str) -> FileFault {
        let required = plan.required();
        let missing: Vec<&str> =
            required.iter().filter(|r| !self.best.iter().any(|n| n == *r)).copied().collect();
        let mut spare: Vec<&str> = self
            .best
            .iter()
            .map(String::as_str)
            .filter(|n| !n.is_empty() && !required.contains(n))
            .collect();
        spare.sort_by_key(|name| missing.iter().map(|m| distance(m, name)).min());
        FileFault::new(format!(
            "{file} has no column {}, which pack {} reads; it has {}. Correct the pack's column names, or the file",
            listed(&missing),
            plan.pack,
            listed(&spare),
        ))
    }
}

fn filled(names: &[String]) -> usize {
    names.iter().filter(|n| !n.is_empty()).count()
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() {
        return "no other column".to_owned();
    }
    let short = |name: &&str| format!("\"{}\"", name.chars().take(40).collect::<String>());
    let mut text: Vec<_> = names.iter().take(NAMES_SHOWN).map(short).collect();
    if names.len() > NAMES_SHOWN {
        text.push(format!("{} more", names.len() - NAMES_SHOWN));
    }
    text.join(", ")
}

/// Names that no other column has. A column without a name is called by its place; of a name that comes
/// twice the second gets a number, unless the pack reads it and nobody knows which one is meant.
fn unique(mut names: Vec<String>, required: &[&str], file: &str) -> Result<Vec<String>, FileFault> {
    let mut taken: HashSet<String> = names.iter().cloned().collect();
    let mut seen = HashSet::new();
    for (at, name) in names.iter_mut().enumerate() {
        let free = !name.is_empty() && seen.insert(name.clone());
        if free {
            continue;
        }
        if required.contains(&name.as_str()) {
            return Err(FileFault::new(format!(
                "{file} has two columns named \"{name}\", and the pack reads it: rename one"
            )));
        }
        let stem = if name.is_empty() { "column" } else { name.as_str() };
        let fresh = (at + 1..).map(|n| format!("{stem} {n}")).find(|n| taken.insert(n.clone()));
        *name = fresh.unwrap_or_default();
    }
    Ok(names)
}

/// Edits between two names, without regard to case: how near a column is to the one that is missing.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).flat_map(char::to_lowercase).collect();
    let mut costs: Vec<usize> = (0..=b.len()).collect();
    for (row, x) in a.chars().take(64).flat_map(char::to_lowercase).enumerate() {
        let mut diagonal = row;
        let mut left = row + 1;
        for (cost, y) in costs.iter_mut().skip(1).zip(&b) {
            let here = (diagonal + usize::from(x != *y)).min(left + 1).min(*cost + 1);
            diagonal = std::mem::replace(cost, here);
            left = here;
        }
        if let Some(first) = costs.first_mut() {
            *first = row + 1;
        }
    }
    costs.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::KeyTemplate;

    fn plan() -> RowPlan {
        RowPlan {
            pack: "calgary".to_owned(),
            columns: vec!["ASSESSED_VALUE".to_owned(), "SALE PRICE".to_owned()],
            key: KeyTemplate::column("ROLL"),
        }
    }

    fn offer(rows: &[&[&str]]) -> Result<Vec<String>, String> {
        let mut search = HeaderSearch::default();
        for row in rows {
            let row = row.iter().map(|s| (*s).to_owned()).collect();
            match search.offer(row, &plan(), "a.csv") {
                Ok(Some(header)) => return Ok(header.names),
                Ok(None) => {}
                Err(fault) => return Err(fault.to_string()),
            }
        }
        Err(search.missing(&plan(), "a.csv").to_string())
    }

    #[test]
    fn found_below_titles_and_cleaned() {
        let names =
            offer(&[&["Rolling sales", "", ""], &[], &["ROLL", "ASSESSED_VALUE", "SALE\nPRICE "]]);
        assert_eq!(names.unwrap(), ["ROLL", "ASSESSED_VALUE", "SALE PRICE"]);
        let names = offer(&[&["ROLL", "", "X", "X", "ASSESSED_VALUE", " SALE  PRICE", ""]]);
        assert_eq!(
            names.unwrap(),
            ["ROLL", "column 2", "X", "X 4", "ASSESSED_VALUE", "SALE PRICE", "column 7"]
        );
    }

    #[test]
    fn a_renamed_column_is_refused_naming_both() {
        let message =
            offer(&[&["ROLL", "COMM", "ASSESSED_VAL", "SALE PRICE"], &["1", "2", "3", "4"]])
                .unwrap_err();
        assert!(
            message.contains("no column \"ASSESSED_VALUE\", which pack calgary reads"),
            "{message}"
        );
        assert!(message.contains("it has \"ASSESSED_VAL\", \"COMM\""), "{message}");
        assert!(
            offer(&[&["ROLL", "ROLL", "ASSESSED_VALUE", "SALE PRICE"]])
                .unwrap_err()
                .contains("two columns")
        );
        assert!(offer(&[]).is_err());
        assert!(offer(&[&["x"][..]; 60]).is_err());
    }

    #[test]
    fn distances() {
        for (a, b, expect) in
            [("", "", 0), ("abc", "ABC", 0), ("kitten", "sitting", 3), ("", "ab", 2), ("ab", "", 2)]
        {
            assert_eq!(distance(a, b), expect, "{a} {b}");
        }
    }
}
