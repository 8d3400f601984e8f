//! The front of a street line: the house number, and the unit that Canadians write before it.

use crate::Country;
use crate::draft::{Draft, identifier};
use crate::secondary;
use crate::token::{Shape, Token, Words};
use crate::words::Key;

/// Takes unit and number off the front of a segment and returns what is left, the street.
pub(crate) fn take<'a>(draft: &mut Draft, words: &Words, segment: &'a [Token]) -> &'a [Token] {
    let segment = take_absent(segment);
    let segment = secondary::take_leading(draft, words, segment);
    let segment = if draft.country == Country::Ca {
        take_unit_in_front(draft, words, segment)
    } else {
        segment
    };
    take_number(draft, words, segment)
}

/// Whether a segment begins with a house number and goes on.
pub(crate) fn starts_with_number(segment: &[Token]) -> bool {
    matches!(segment, [first, second, ..] if is_number(first) && !first.comma_after && second.shape != Shape::Amp)
}

/// `N/A BLOOMINGDALE ROAD`: the source has no number.
fn take_absent(segment: &[Token]) -> &[Token] {
    match segment {
        [first, rest @ ..] if !rest.is_empty() && first.key == const { Key::of("N/A") } => rest,
        _ => segment,
    }
}

fn is_number(token: &Token) -> bool {
    match token.shape {
        Shape::Number => true,
        Shape::Mixed | Shape::Fraction => starts_with_digit(token.key) || token.key.0 == 0,
        _ => false,
    }
}

/// The first byte of a packed word.
fn starts_with_digit(key: Key) -> bool {
    let bytes = key.0.to_be_bytes();
    bytes.iter().find(|byte| **byte != 0).is_some_and(u8::is_ascii_digit)
}

/// `101-1234 Main`, `170 - 22470 Dewdney`, `902 5828 Thunderbird`, `B 1408 43 St`, `A 309 10557 150th St`.
fn take_unit_in_front<'a>(draft: &mut Draft, words: &Words, segment: &'a [Token]) -> &'a [Token] {
    let identifies =
        |token: &Token| matches!(token.shape, Shape::Number | Shape::Mixed | Shape::Letter);
    match segment {
        [unit, dash, number, _, ..]
            if dash.shape == Shape::Dash && identifies(unit) && is_number(number) =>
        {
            draft.add_unit(None, &identifier(words, &[*unit]));
            segment.get(2..).unwrap_or(&[])
        }
        [letter, unit, number, street, ..]
            if letter.shape == Shape::Letter
                && is_number(unit)
                && is_number(number)
                && !is_street_type(street, draft) =>
        {
            draft.add_unit(None, &identifier(words, &[*letter, *unit]));
            segment.get(2..).unwrap_or(&[])
        }
        [unit, number, rest @ ..]
            if identifies(unit) && is_number(number) && leaves_a_street(rest, draft) =>
        {
            draft.add_unit(None, &identifier(words, &[*unit]));
            segment.get(1..).unwrap_or(&[])
        }
        _ => segment,
    }
}

fn is_street_type(token: &Token, draft: &Draft) -> bool {
    token.meaning.street_type(draft.country).is_some()
}

/// Whether a second number is the house number: what follows must name a street. In `425 12 ST NW` it does not
/// (the street is 12 St), in `105 150 ST CLAIR AVE` it does.
fn leaves_a_street(rest: &[Token], draft: &Draft) -> bool {
    match rest {
        [] => false,
        [first, later @ ..] if is_street_type(first, draft) => {
            later.iter().any(|token| is_street_type(token, draft))
        }
        [first, ..] => first.shape != Shape::Amp,
    }
}

fn take_number<'a>(draft: &mut Draft, words: &Words, segment: &'a [Token]) -> &'a [Token] {
    let segment = match segment {
        [hash, rest @ ..] if hash.shape == Shape::Hash && starts_with_number(rest) => rest,
        _ => segment,
    };
    let [first, rest @ ..] = segment else { return segment };
    if let Some(rest) = take_grid(draft, words, segment) {
        return rest;
    }
    let is_one =
        first.key == const { Key::of("ONE") } && rest.len() > 1 && !is_street_type(first, draft);
    let has_unit = draft.country == Country::Ca && split_unit(words.text(first)).is_some();
    if !(is_number(first) || is_one || has_unit) || rest.is_empty() || names_street(rest, draft) {
        return segment;
    }
    let mut number = if is_one { "1".to_owned() } else { identifier(words, &[*first]) };
    if let Some((unit, house)) = split_unit(&number).filter(|_| draft.country == Country::Ca) {
        draft.add_unit(None, unit);
        number = house.to_owned();
    }
    split_half(&mut number);
    let rest = take_number_suffix(&mut number, words, rest, draft.country);
    set_number(draft, number);
    rest
}

fn set_number(draft: &mut Draft, number: String) {
    let digits = number.bytes().take_while(u8::is_ascii_digit).count();
    draft.address.street_number_numeric = number.get(..digits).and_then(|text| text.parse().ok());
    draft.address.street_number = Some(number);
}

/// `43 ST NW` has no house number: the number is the street's name.
fn names_street(rest: &[Token], draft: &Draft) -> bool {
    let [first, later @ ..] = rest else { return false };
    draft.country == Country::Ca
        && is_street_type(first, draft)
        && later.iter().all(|token| token.meaning.direction.is_some())
}

/// Wisconsin's grid numbers, in one word (`N6W23001`) or two (`W148 N9748`).
fn take_grid<'a>(draft: &mut Draft, words: &Words, segment: &'a [Token]) -> Option<&'a [Token]> {
    if draft.country != Country::Us {
        return None;
    }
    for taken in [1, 2] {
        let (number, rest) = segment.split_at_checked(taken)?;
        let joined = identifier(words, number);
        if !rest.is_empty() && is_grid_number(&joined) {
            set_number(draft, joined);
            return Some(rest);
        }
    }
    None
}

fn is_grid_number(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_axis = |byte: Option<&u8>| byte.is_some_and(|byte| b"NSEWnsew".contains(byte));
    let second = bytes.iter().skip(1).position(|byte| byte.is_ascii_alphabetic()).map(|at| at + 1);
    is_axis(bytes.first())
        && bytes.get(1).is_some_and(u8::is_ascii_digit)
        && second.is_some_and(|at| {
            let tail = bytes.get(at + 1..).unwrap_or(&[]);
            is_axis(bytes.get(at)) && !tail.is_empty() && tail.iter().all(u8::is_ascii_digit)
        })
}

/// Canada: what stands before the last dash of `101-1234` is the unit.
fn split_unit(number: &str) -> Option<(&str, &str)> {
    let (unit, house) = number.rsplit_once('-')?;
    let letter = house.strip_suffix(|last: char| last.is_ascii_alphabetic()).unwrap_or(house);
    let is_house = !letter.is_empty() && letter.bytes().all(|byte| byte.is_ascii_digit());
    let is_code = unit.len() == 1 || unit.bytes().any(|byte| byte.is_ascii_digit());
    let is_unit =
        is_code && unit.len() <= 6 && unit.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_house && is_unit).then_some((unit, house))
}

/// `1321/2` is a typist's `132 1/2`.
fn split_half(number: &mut String) {
    let glued = number
        .strip_suffix("1/2")
        .is_some_and(|whole| !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit()));
    if glued {
        number.insert(number.len() - 3, ' ');
    }
}

/// A fraction behind the number, or a letter that stands apart from it (`11719 B Jefferson Ave`).
fn take_number_suffix<'a>(
    number: &mut String,
    words: &Words,
    rest: &'a [Token],
    country: Country,
) -> &'a [Token] {
    match rest {
        [fraction, tail @ ..] if fraction.shape == Shape::Fraction && !tail.is_empty() => {
            number.push(' ');
            number.push_str(words.text(fraction));
            tail
        }
        [dash, end, tail @ ..]
            if dash.shape == Shape::Dash
                && country == Country::Us
                && is_number(end)
                && !tail.is_empty() =>
        {
            number.push('-');
            number.push_str(&identifier(words, &[*end]));
            tail
        }
        [letter, street, more, ..]
            if is_number_letter(letter) && number.bytes().all(|b| b.is_ascii_digit()) =>
        {
            // "100 D St NW" is on D Street; "100 A B Smith Rd" begins a name.
            let apart =
                street.shape != Shape::Letter && street.meaning.street_type(country).is_none();
            if !apart || more.shape == Shape::Amp || street.shape == Shape::Amp {
                return rest;
            }
            number.push_str(&identifier(words, &[*letter]));
            rest.get(1..).unwrap_or(&[])
        }
        _ => rest,
    }
}

/// The letters that divide house numbers; later ones are initials, `E` a direction.
fn is_number_letter(token: &Token) -> bool {
    token.shape == Shape::Letter
        && !token.comma_after
        && token.key.is_any(
            const {
                &[
                    Key::of("A"),
                    Key::of("B"),
                    Key::of("C"),
                    Key::of("D"),
                    Key::of("F"),
                    Key::of("G"),
                    Key::of("H"),
                ]
            },
        )
}
