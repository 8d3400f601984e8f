//! Units, floors, buildings and boxes: what stands beside the street.

use crate::Country;
use crate::draft::{Draft, identifier, title};
use crate::tables::units::Kind;
use crate::token::{Shape, Token, Words};
use crate::words::{Designator, Key};

const FLOOR: Key = Key::of("FLOOR");
const NUMBER_WORDS: &[Key] = &[Key::of("NO"), Key::of("NUM"), Key::of("NUMBER"), Key::of("NUMERO")];
const FLOOR_WORDS: &[Key] =
    &[FLOOR, Key::of("FLR"), Key::of("FL"), Key::of("LEVEL"), Key::of("ETAGE")];
const ORDINAL_WORDS: &[(Key, &str)] = &[
    (Key::of("GROUND"), "G"),
    (Key::of("MAIN"), "1"),
    (Key::of("FIRST"), "1"),
    (Key::of("SECOND"), "2"),
    (Key::of("THIRD"), "3"),
    (Key::of("FOURTH"), "4"),
    (Key::of("FIFTH"), "5"),
    (Key::of("SIXTH"), "6"),
    (Key::of("SEVENTH"), "7"),
    (Key::of("EIGHTH"), "8"),
    (Key::of("NINTH"), "9"),
    (Key::of("TENTH"), "10"),
];

/// One unit, part, building or box at the front of some words.
struct Found {
    designator: Option<Designator>,
    identifier: String,
    /// How many words it took.
    used: usize,
}

/// Whether a token can be the identifier behind a designator.
fn identifies(token: &Token) -> bool {
    token.has_digit() || token.shape == Shape::Letter
}

/// Reads `Apt 5`, `# 5`, `Apt # 5`, `Suite No 5`, `Bsmt`, `2nd Floor` at the front of `tokens`.
fn designated(words: &Words, tokens: &[Token]) -> Option<Found> {
    if let Some(found) = ordinal_floor(words, tokens) {
        return Some(found);
    }
    let [first, rest @ ..] = tokens else { return None };
    if first.shape == Shape::Hash || first.key.is_any(NUMBER_WORDS) {
        let fits =
            |next: &&Token| next.has_digit() || (first.shape == Shape::Hash && identifies(next));
        rest.first().filter(fits)?;
        let length = identifier_length(rest);
        let identifier = identifier(words, rest.get(..length).unwrap_or(&[]));
        return Some(Found { designator: None, identifier, used: 1 + length });
    }
    if let Some((designator, identifier)) = glued(words.text(first)) {
        return Some(Found { designator: Some(designator), identifier, used: 1 });
    }
    let designator = first.meaning.designator?;
    let skipped = rest
        .iter()
        .take_while(|token| token.shape == Shape::Hash || token.key.is_any(NUMBER_WORDS))
        .count();
    let behind = if first.comma_after { None } else { rest.get(skipped) };
    let code =
        |next: &&Token| identifies(next) || is_short_code(next, rest.len() - skipped, designator);
    if behind.filter(code).is_some() {
        let tail = rest.get(skipped..).unwrap_or(&[]);
        let length = if designator.kind == Kind::Unit { identifier_length(tail) } else { 1 };
        let identifier = identifier(words, tail.get(..length).unwrap_or(&[]));
        return Some(Found {
            designator: Some(designator),
            identifier,
            used: skipped + 1 + length,
        });
    }
    let stands_alone =
        designator.kind == Kind::Alone && skipped == 0 && (rest.is_empty() || first.comma_after);
    stands_alone.then(|| Found { designator: Some(designator), identifier: String::new(), used: 1 })
}

/// `Suite100`, `Unit910`: a designator with its number stuck to it.
fn glued(word: &str) -> Option<(Designator, String)> {
    let at = word.bytes().position(|byte| byte.is_ascii_digit()).filter(|at| *at > 2)?;
    let (letters, number) = word.split_at_checked(at)?;
    let designator = crate::words::meaning(crate::token::key_of(letters)).designator;
    designator.filter(|found| found.kind == Kind::Unit).map(|found| (found, number.to_uppercase()))
}

/// `Apt GRDN`, `Unit PH`: a short word is an identifier only at the very end.
fn is_short_code(token: &Token, left: usize, designator: Designator) -> bool {
    let short = token.key.0 != 0 && token.key.0 < 1 << 32;
    let meaning = token.meaning;
    designator.kind == Kind::Unit
        && left == 1
        && token.shape == Shape::Word
        && short
        && meaning.us_type.is_none()
        && meaning.direction.is_none()
}

fn ordinal_floor(words: &Words, tokens: &[Token]) -> Option<Found> {
    let [ordinal, floor, ..] = tokens else { return None };
    if !floor.key.is_any(FLOOR_WORDS) || ordinal.comma_after {
        return None;
    }
    let number = if ordinal.shape == Shape::Ordinal {
        words.text(ordinal).bytes().take_while(u8::is_ascii_digit).map(char::from).collect()
    } else {
        ORDINAL_WORDS.iter().find(|(key, _)| *key == ordinal.key)?.1.to_owned()
    };
    let designator = crate::words::meaning(FLOOR).designator;
    Some(Found { designator, identifier: number, used: 2 })
}

/// `Apt 13 C` is 13C: a letter at the end of the segment belongs to the number before it.
fn identifier_length(tokens: &[Token]) -> usize {
    match tokens {
        [number, letter, rest @ ..]
            if number.shape == Shape::Number
                && !number.comma_after
                && letter.shape == Shape::Letter
                && (rest.is_empty() || letter.comma_after) =>
        {
            2
        }
        _ => 1,
    }
}

/// A post office box or rural route at the front of `tokens`, in its standard form, and how many words it took.
fn postal_box(words: &Words, tokens: &[Token], country: Country) -> Option<(String, usize)> {
    let starts = |keys: &[&str]| {
        keys.len() <= tokens.len()
            && keys.iter().zip(tokens).all(|(key, token)| token.key == Key::of(key))
    };
    let boxes: &[&[&str]] = &[
        &["PO", "BOX"],
        &["P", "O", "BOX"],
        &["POST", "OFFICE", "BOX"],
        &["POBOX"],
        &["POB"],
        &["CASE", "POSTALE"],
    ];
    let opening = boxes.iter().find(|keys| starts(keys)).map(|keys| keys.len());
    let opening = opening.or((country == Country::Ca && starts(&["CP"])).then_some(1));
    if let Some(length) = opening {
        let hash = usize::from(tokens.get(length).is_some_and(|token| token.shape == Shape::Hash));
        let number = tokens.get(length + hash).filter(|token| identifies(token))?;
        return Some((format!("PO Box {}", identifier(words, &[*number])), length + hash + 1));
    }
    let routes: &[(&str, &[&str])] = &[
        ("RR", &["RR"]),
        ("RR", &["R", "R"]),
        ("RR", &["RURAL", "ROUTE"]),
        ("HC", &["HC"]),
        ("RR", &["RFD"]),
    ];
    let (name, keys) = routes.iter().find(|(_, keys)| starts(keys))?;
    let number = tokens.get(keys.len()).filter(|token| token.has_digit())?;
    let route = format!("{name} {}", identifier(words, &[*number]));
    let used = keys.len() + 1;
    match tokens.get(used..) {
        Some([word, number, ..]) if word.key == const { Key::of("BOX") } && identifies(number) => {
            Some((format!("{route} Box {}", identifier(words, &[*number])), used + 2))
        }
        _ => Some((route, used)),
    }
}

/// Takes a unit that stands before the house number: `Apt 5, 12 Main St`, `#5-12 Main St`, `2nd Floor 12 Main St`.
pub(crate) fn take_leading<'a>(
    draft: &mut Draft,
    words: &Words,
    segment: &'a [Token],
) -> &'a [Token] {
    let mut rest = segment;
    let mut units = Vec::new();
    while let Some(found) = designated(words, rest) {
        rest = rest.get(found.used..).unwrap_or(&[]);
        if let [dash, tail @ ..] = rest
            && dash.shape == Shape::Dash
        {
            rest = tail;
        }
        units.push(found);
        if crate::number::starts_with_number(rest) {
            for found in units {
                draft.add_unit(found.designator, &found.identifier);
            }
            return rest;
        }
    }
    segment
}

/// Where the first unit or box begins behind the first word of a street; the length of `tokens` where none does.
pub(crate) fn first_index(words: &Words, tokens: &[Token], country: Country) -> usize {
    let begins = |index: &usize| {
        let tail = tokens.get(*index..).unwrap_or(&[]);
        let before = index.checked_sub(1).and_then(|at| tokens.get(at));
        // "Apt 5" opens a unit anywhere; a word such as "Rear" only behind what can end a street.
        let kind = tail.first().and_then(|token| token.meaning.designator).map(|found| found.kind);
        let strict = kind == Some(Kind::Alone);
        let sign = tail
            .first()
            .is_some_and(|token| token.shape == Shape::Hash || token.key.is_any(NUMBER_WORDS));
        if sign && before.is_some_and(|token| token.key.is_any(NUMBERED)) {
            return false;
        }
        let may = !strict || before.is_some_and(|token| ends_street(token, country));
        (may && designated(words, tail).is_some()) || postal_box(words, tail, country).is_some()
    };
    (1..tokens.len()).find(begins).unwrap_or(tokens.len())
}

/// "Highway No 33" and "Route # A" are numbered themselves.
const NUMBERED: &[Key] =
    &[Key::of("HIGHWAY"), Key::of("HWY"), Key::of("ROUTE"), Key::of("RTE"), Key::of("RT")];

fn ends_street(token: &Token, country: Country) -> bool {
    token.has_digit()
        || token.meaning.direction.is_some()
        || token.meaning.street_type(country).is_some()
}

/// Reads what follows a street, and returns the words it could not place (a city, where one may follow).
pub(crate) fn take_tail<'a>(
    draft: &mut Draft,
    words: &Words,
    mut tail: &'a [Token],
) -> &'a [Token] {
    loop {
        let used = if let Some((text, used)) = postal_box(words, tail, draft.country) {
            draft.add_info(&text);
            used
        } else if let Some(found) = designated(words, tail) {
            draft.add_unit(found.designator, &found.identifier);
            found.used
        } else if is_bare_unit(tail) {
            draft.add_unit(None, &identifier(words, tail.get(..1).unwrap_or(&[])));
            1
        } else if tail.first().is_some_and(|token| token.shape == Shape::Dash) {
            1
        } else {
            return tail;
        };
        tail = tail.get(used..).unwrap_or(&[]);
    }
}

/// A number or letter that stands behind the street without a word (`10 Stratford Avenue, 2A`), but not the town of
/// 100 Mile House.
fn is_bare_unit(tail: &[Token]) -> bool {
    match tail {
        [first] => first.shape != Shape::Fraction && identifies(first),
        [first, second, ..] => {
            matches!(first.shape, Shape::Number | Shape::Mixed)
                && second.key != const { Key::of("MILE") }
        }
        [] => false,
    }
}

/// Reads a segment that is not the street: units, boxes, and the rest as additional information. A direction alone is
/// the quadrant that a comma parted from its street.
pub(crate) fn take_segment(draft: &mut Draft, words: &Words, segment: &[Token]) {
    let segment = take_parted_quadrant(draft, words, segment);
    let rest = take_tail(draft, words, segment);
    if let Some(text) = title(words, rest, draft.country) {
        draft.add_info(&text);
    }
}

/// `1800 M St, NW Ste 700`: a quadrant that a comma parted from its street. A lone letter is a unit more often.
pub(crate) fn take_parted_quadrant<'a>(
    draft: &mut Draft,
    words: &Words,
    segment: &'a [Token],
) -> &'a [Token] {
    let fits = draft.address.street_dir_suffix.is_none()
        && draft.address.street_name.is_some()
        && !draft.type_first;
    let Some((direction, used)) =
        crate::street::direction_at(segment, draft.country).filter(|_| fits)
    else {
        return segment;
    };
    let rest = segment.get(used..).unwrap_or(&[]);
    if direction.reso.len() < 2 || !(rest.is_empty() || begins_segment(words, rest, draft.country))
    {
        return segment;
    }
    draft.set_dir_suffix(direction);
    rest
}

/// Whether a segment is nothing but units and boxes, or begins with one.
pub(crate) fn begins_segment(words: &Words, segment: &[Token], country: Country) -> bool {
    designated(words, segment).is_some()
        || is_bare_unit(segment)
        || postal_box(words, segment, country).is_some()
}

/// Reads a segment that is a unit or a box and nothing else. Whether it was.
pub(crate) fn take_tail_if_alone(draft: &mut Draft, words: &Words, segment: &[Token]) -> bool {
    let mut probe = Draft::new(draft.country);
    let begins =
        designated(words, segment).is_some() || postal_box(words, segment, draft.country).is_some();
    let alone = begins && take_tail(&mut probe, words, segment).is_empty();
    if alone {
        take_tail(draft, words, segment);
    }
    alone
}
