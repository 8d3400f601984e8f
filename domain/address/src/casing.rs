//! Title case for names of streets and cities.
//!
//! A word that came in mixed case (`LaSalle`) is taken as its writer meant it. Every rule gives a word that the same
//! rule leaves alone, so that a name put right once stays as it is.

use crate::Country;
use crate::token::{Shape, Token, key_of};
use crate::words::Key;

/// Appends `word` in title case. `first`: whether it begins its name, where small words (`of`) are capitalised too.
pub(crate) fn push_title(
    out: &mut String,
    word: &str,
    token: &Token,
    country: Country,
    first: bool,
) {
    match token.shape {
        Shape::Letter
        | Shape::Number
        | Shape::Fraction
        | Shape::Dash
        | Shape::Hash
        | Shape::Amp => upper(out, word),
        Shape::Ordinal => lower(out, word),
        Shape::Mixed => mixed_digits(out, word),
        Shape::Word if !first && is_small(token.key, country) => lower(out, word),
        Shape::Word if is_initials(token.key, word, token) => upper(out, word),
        Shape::Word if is_mixed_case(word) => out.push_str(word),
        Shape::Word => parts(out, word),
    }
}

fn upper(out: &mut String, word: &str) {
    out.extend(word.chars().flat_map(char::to_uppercase));
}

fn lower(out: &mut String, word: &str) {
    out.extend(word.chars().flat_map(char::to_lowercase));
}

/// `2a` and `120A` are codes; a longer word that happens to hold a digit is left as it is.
fn mixed_digits(out: &mut String, word: &str) {
    if word.len() <= 8 { upper(out, word) } else { out.push_str(word) }
}

const SMALL: &[Key] = &[Key::of("OF"), Key::of("THE"), Key::of("AND")];
const SMALL_FRENCH: &[Key] = &[
    Key::of("DE"),
    Key::of("DU"),
    Key::of("DES"),
    Key::of("LA"),
    Key::of("LE"),
    Key::of("LES"),
    Key::of("ET"),
    Key::of("AU"),
    Key::of("AUX"),
    Key::of("SUR"),
    Key::of("EN"),
];

fn is_small(key: Key, country: Country) -> bool {
    key.is_any(SMALL) || (country == Country::Ca && key.is_any(SMALL_FRENCH))
}

const INITIALS: &[Key] =
    &[Key::of("US"), Key::of("II"), Key::of("III"), Key::of("IV"), Key::of("USA")];
const NOT_INITIALS: &[Key] = &[
    Key::of("JR"),
    Key::of("SR"),
    Key::of("MC"),
    Key::of("MT"),
    Key::of("FT"),
    Key::of("PT"),
    Key::of("DR"),
    Key::of("STS"),
    Key::of("MR"),
    Key::of("MRS"),
    Key::of("NTH"),
    Key::of("STH"),
];

/// `JFK`, `KK`, `FM`: two or three letters without a vowel that no table knows as a word.
fn is_initials(key: Key, word: &str, token: &Token) -> bool {
    if key.is_any(INITIALS) {
        return true;
    }
    let consonants = word
        .bytes()
        .all(|b| b.is_ascii_alphabetic() && !b"AEIOUY".contains(&b.to_ascii_uppercase()));
    let known = token.meaning.us_type.is_some()
        || token.meaning.ca_type.is_some()
        || token.meaning.designator.is_some();
    (2..=3).contains(&word.len()) && consonants && !known && !key.is_any(NOT_INITIALS)
}

/// Both cases, and not merely a capital in front.
fn is_mixed_case(word: &str) -> bool {
    let mut letters = word.chars();
    letters.next();
    let (mut any_upper, mut any_lower) = (false, false);
    for letter in letters {
        any_upper |= letter.is_uppercase();
        any_lower |= letter.is_lowercase();
    }
    any_upper && any_lower
}

/// Capitalises each part of a word that dashes join.
fn parts(out: &mut String, word: &str) {
    for (index, part) in word.split('-').enumerate() {
        if index > 0 {
            out.push('-');
        }
        let small = index > 0 && key_of(part).is_any(SMALL_FRENCH);
        if small { lower(out, part) } else { part_title(out, part) }
    }
}

fn part_title(out: &mut String, part: &str) {
    let mut capital_next = true;
    let is_mc =
        part.len() > 3 && part.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("mc"));
    for (index, letter) in part.chars().enumerate() {
        if capital_next || (is_mc && index == 2) {
            out.extend(letter.to_uppercase());
        } else {
            out.extend(letter.to_lowercase());
        }
        // "O'Brien" and "D'Arcy", but "Stelly's" and "Hawai'i".
        capital_next = index == 1 && letter == '\'' && part.len() > 3;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Words;

    fn title(word: &str, first: bool) -> String {
        let words = Words::cut(word).unwrap();
        let mut out = String::new();
        let token = words.tokens()[0];
        push_title(&mut out, words.text(&token), &token, Country::Ca, first);
        out
    }

    #[test]
    fn words_get_title_case_and_keep_it() {
        for (word, expected) in [
            ("WESTMOUNT", "Westmount"),
            ("MCDONALD", "McDonald"),
            ("MC", "Mc"),
            ("LaSalle", "LaSalle"),
            ("O'BRIEN", "O'Brien"),
            ("STELLY'S", "Stelly's"),
            ("SAINTE-CATHERINE", "Sainte-Catherine"),
            ("VAL-DES-MONTS", "Val-des-Monts"),
            ("43RD", "43rd"),
            ("120a", "120A"),
            ("JFK", "JFK"),
            ("KK", "KK"),
            ("ST", "St"),
            ("SKY", "Sky"),
            ("us", "US"),
            ("ÉGLISE", "Église"),
            ("b", "B"),
        ] {
            let once = title(word, true);
            assert_eq!(once, expected);
            assert_eq!(title(&once, true), expected, "twice");
        }
        assert_eq!(title("OF", false), "of");
        assert_eq!(title("of", true), "Of");
        assert_eq!(title("LA", false), "la");
    }
}
