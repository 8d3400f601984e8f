//! The street itself: direction, name, type, quadrant; and a whole street line.

mod french;
mod route;
mod street_type;

use french::read_french;
use route::{ROUTE_WORDS, route_end};
use street_type::{nameless_end, skip_repeated, type_index};

use crate::Country;
use crate::draft::{Draft, title};
use crate::number;
use crate::secondary;
use crate::token::{Shape, Token, Words};
use crate::words::{Direction, Key, StreetType};

/// Reads a street line that holds no city.
pub(crate) fn read_line(words: &Words, country: Country) -> Draft {
    let mut draft = Draft::new(country);
    let segments: Vec<&[Token]> =
        words.tokens().split_inclusive(|token| token.comma_after).collect();
    let left = read_segments(&mut draft, words, &segments, Ending::Closed);
    if let Some(text) = title(words, left, country) {
        draft.add_info(&text);
    }
    draft
}

/// What may stand behind the street in its own segment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nothing but units.
    Closed,
    /// The name of a city, without a comma between.
    City,
}

/// Reads segments of which one is the street. Returns the words behind the street that are no unit.
pub(crate) fn read_segments<'a>(
    draft: &mut Draft,
    words: &Words,
    segments: &[&'a [Token]],
    ending: Ending,
) -> &'a [Token] {
    let main = main_segment(words, segments, draft.country);
    let mut left: &[Token] = &[];
    for (index, segment) in segments.iter().enumerate() {
        if index == main {
            left = read_street_segment(draft, words, segment, ending);
        } else {
            secondary::take_segment(draft, words, segment);
        }
    }
    left
}

/// The first segment that begins with a house number (a unit before it is allowed), else the first that ends in a
/// street type, else the first that is no unit.
fn main_segment(words: &Words, segments: &[&[Token]], country: Country) -> usize {
    let has_number = |segment: &&[Token]| {
        let mut probe = Draft::new(country);
        let _street = number::take(&mut probe, words, segment);
        probe.address.street_number.is_some()
    };
    let has_type = |segment: &&[Token]| {
        segment.len() > 1
            && segment
                .iter()
                .skip(1)
                .any(|token| token.meaning.street_type(country).is_some_and(|found| found.strong))
    };
    if segments.len() <= 1 {
        return 0;
    }
    let no_unit = |segment: &&[Token]| !secondary::begins_segment(words, segment, country);
    let found = segments.iter().position(has_number).or_else(|| segments.iter().position(has_type));
    found.or_else(|| segments.iter().position(no_unit)).unwrap_or(0)
}

fn read_street_segment<'a>(
    draft: &mut Draft,
    words: &Words,
    segment: &'a [Token],
    ending: Ending,
) -> &'a [Token] {
    // A box or a unit alone is no street.
    let whole = secondary::take_tail_if_alone(draft, words, segment);
    if whole {
        return &[];
    }
    let segment = skip_building(draft, words, segment);
    let street = number::take(draft, words, segment);
    let limit = secondary::first_index(words, street, draft.country);
    let (body, units) = street.split_at(limit);
    let after =
        read_street(draft, words, body, if units.is_empty() { ending } else { Ending::Closed });
    if units.is_empty() {
        return secondary::take_tail(draft, words, after);
    }
    secondary::take_segment(draft, words, after);
    secondary::take_tail(draft, words, units)
}

/// `Patricia Apts 1110 Cardero St`: a building named before the house number goes beside the street.
fn skip_building<'a>(draft: &mut Draft, words: &Words, segment: &'a [Token]) -> &'a [Token] {
    let country = draft.country;
    let is_strong =
        |token: &Token| token.meaning.street_type(country).is_some_and(|found| found.strong);
    if !segment.first().is_some_and(|first| first.shape == Shape::Word) {
        return segment;
    }
    let is_house = |at: &usize| {
        let (before, rest) = segment.split_at_checked(*at).unwrap_or((segment, &[]));
        let [number, street @ ..] = rest else { return false };
        let after_word = before.last().is_some_and(|last| {
            last.shape == Shape::Word
                && !last.key.is_any(ROUTE_WORDS)
                && last.meaning.designator.is_none()
        });
        number.shape == Shape::Number && after_word && street.iter().skip(1).any(is_strong)
    };
    let Some(at) = (1..segment.len()).find(is_house) else { return segment };
    let (before, rest) = segment.split_at(at);
    if before.iter().skip(1).any(is_strong) {
        return segment;
    }
    secondary::take_segment(draft, words, before);
    rest
}

/// A street's words, divided.
struct Parts<'a> {
    name: &'a [Token],
    is_route: bool,
    street_type: Option<StreetType>,
    after: &'a [Token],
}

/// Reads direction, name, type and quadrant off the front of `body` and returns the words behind them.
fn read_street<'a>(
    draft: &mut Draft,
    words: &Words,
    body: &'a [Token],
    ending: Ending,
) -> &'a [Token] {
    let country = draft.country;
    if let Some(after) = read_french(draft, words, body, ending) {
        return after;
    }
    let (prefix, rest) = take_prefix(body, country);
    draft.address.street_dir_prefix = prefix.map(|direction| direction.reso);
    let parts = divide(words, rest, country, ending);
    let write = if parts.is_route { route::name } else { title };
    draft.address.street_name = write(words, parts.name, country);
    draft.address.street_suffix = parts.street_type.map(|found| found.standard);
    let after = skip_repeated(parts.after, parts.street_type, country);
    let after = take_modifier(draft, after, parts.street_type.is_some());
    take_quadrant(draft, after, ending)
}

fn direction(token: &Token, country: Country) -> Option<Direction> {
    token.meaning.direction.filter(|found| country == Country::Ca || !found.canada_only)
}

/// A direction of one word or of two letters (`N W`), and how many words it took.
pub(crate) fn direction_at(tokens: &[Token], country: Country) -> Option<(Direction, usize)> {
    let [first, rest @ ..] = tokens else { return None };
    let single = direction(first, country)?;
    if let ([second, ..], Shape::Letter) = (rest, first.shape)
        && second.shape == Shape::Letter
        && !first.comma_after
        && let Some(other) = direction(second, country)
    {
        let joined = match (single.reso, other.reso) {
            ("N", "E") => const { Key::of("NE") },
            ("N", "W") => const { Key::of("NW") },
            ("S", "E") => const { Key::of("SE") },
            ("S", "W") => const { Key::of("SW") },
            _ => return Some((single, 1)),
        };
        return crate::words::meaning(joined).direction.map(|found| (found, 2));
    }
    Some((single, 1))
}

/// The direction before a name. In `South St` and `North Ave W` the direction is the name.
fn take_prefix(body: &[Token], country: Country) -> (Option<Direction>, &[Token]) {
    let Some((found, used)) = direction_at(body, country) else { return (None, body) };
    let rest = body.get(used..).unwrap_or(&[]);
    let names_itself = match rest {
        [] => true,
        [next, ..]
            if next.shape == Shape::Amp
                || next.key == const { Key::of("AND") }
                || next.shape == Shape::Dash =>
        {
            true
        }
        [next, later @ ..] if is_strong_type(next, country) => later.first().is_none_or(|after| {
            let marks = after.has_digit() || after.shape == Shape::Letter;
            direction(after, country).is_some()
                || !marks && !later.iter().any(|token| is_strong_type(token, country))
        }),
        [next] => direction(next, country).is_some(),
        _ => false,
    };
    if names_itself { (None, body) } else { (Some(found), rest) }
}

fn is_strong_type(token: &Token, country: Country) -> bool {
    token.meaning.street_type(country).is_some_and(|found| found.strong)
}

/// Divides a street into name, type and what follows.
fn divide<'a>(words: &Words, rest: &'a [Token], country: Country, ending: Ending) -> Parts<'a> {
    if is_crossing(rest) {
        return Parts { name: rest, is_route: false, street_type: None, after: &[] };
    }
    if let Some(end) = route_end(words, rest, country) {
        let (name, after) = rest.split_at(end);
        return Parts { name, is_route: true, street_type: None, after };
    }
    if let Some(at) = type_index(rest, country, ending) {
        let (name, tail) = rest.split_at(at);
        let street_type = tail.first().and_then(|token| token.meaning.street_type(country));
        return Parts { name, is_route: false, street_type, after: tail.get(1..).unwrap_or(&[]) };
    }
    let end = nameless_end(rest, country, ending);
    let (name, after) = rest.split_at(end);
    Parts { name, is_route: false, street_type: None, after }
}

/// A corner: `Douglas St & Fort St`.
fn is_crossing(rest: &[Token]) -> bool {
    let inner = rest.get(1..rest.len().saturating_sub(1)).unwrap_or(&[]);
    inner.iter().any(|token| token.shape == Shape::Amp)
}

const EXTENSIONS: &[Key] =
    &[Key::of("EXT"), Key::of("EXTENSION"), Key::of("EXTN"), Key::of("EXTEN")];

fn take_modifier<'a>(draft: &mut Draft, after: &'a [Token], has_type: bool) -> &'a [Token] {
    match after {
        [first, rest @ ..] if has_type && first.key.is_any(EXTENSIONS) => {
            draft.address.street_suffix_modifier = Some("Ext");
            rest
        }
        _ => after,
    }
}

/// The direction behind the name. Spelled out before more words it begins a city (`Ave West Vancouver`).
fn take_quadrant<'a>(draft: &mut Draft, after: &'a [Token], ending: Ending) -> &'a [Token] {
    let Some((found, used)) = direction_at(after, draft.country) else { return after };
    let rest = after.get(used..).unwrap_or(&[]);
    let spelled = after.first().is_some_and(|token| token.key.0 >= 1 << 16);
    let begins_city = ending == Ending::City
        && spelled
        && rest.first().is_some_and(|next| next.shape == Shape::Word);
    // "No 5" is a unit number, not north.
    let is_number_sign = after.first().is_some_and(|token| token.key == const { Key::of("NO") })
        && rest.first().is_some_and(Token::has_digit);
    if begins_city || is_number_sign || draft.address.street_name.is_none() {
        return after;
    }
    draft.set_dir_suffix(found);
    rest
}
