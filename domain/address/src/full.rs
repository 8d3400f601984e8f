//! A whole address in one line: country, postal code and province are taken off its end, then the city, and the
//! rest is a street line.

use crate::draft::{Draft, title};
use crate::secondary;
use crate::street::{Ending, read_segments};
use crate::token::{Shape, Token, Words};
use crate::words::Key;
use crate::{Country, PostalCode, StateOrProvince};

/// What stood at the end of the line.
#[derive(Default)]
struct Place {
    country: Option<Country>,
    postal_code: Option<PostalCode>,
    state: Option<StateOrProvince>,
}

/// Reads a whole address.
pub(crate) fn read(words: &Words, hint: Option<Country>) -> Draft {
    let mut place = Place::default();
    let tokens = take_country(words.tokens(), &mut place);
    let tokens = take_postal_code(words, tokens, &mut place, hint);
    let tokens = take_state(words, tokens, &mut place, hint);
    // "BC V8V 1A1 BC", or the code before the province.
    let tokens = if place.postal_code.is_none() {
        take_postal_code(words, tokens, &mut place, hint)
    } else {
        tokens
    };
    let known =
        place.postal_code.map(|code| code.country()).or(place.state.map(StateOrProvince::country));
    let country = known.or(place.country).or(hint).unwrap_or(Country::Us);
    let mut draft = Draft::new(country);
    draft.is_full = true;
    read_street_and_city(
        &mut draft,
        words,
        tokens,
        place.state.is_some() || place.postal_code.is_some(),
    );
    draft.address.country = known.or(place.country).or(hint);
    draft.address.state_or_province = place.state;
    draft.address.postal_code = place.postal_code;
    draft
}

fn read_street_and_city(draft: &mut Draft, words: &Words, tokens: &[Token], is_located: bool) {
    let country = draft.country;
    let mut segments: Vec<&[Token]> = tokens.split_inclusive(|token| token.comma_after).collect();
    if is_located && is_city_alone(&segments, country) {
        draft.address.city = title(words, tokens, country);
        return;
    }
    let city = match segments.as_slice() {
        [_, .., last] if may_be_city(words, last, country) => {
            segments.pop();
            Some(tokens.get(tokens.len() - last_len(tokens)..).unwrap_or(&[]))
        }
        _ => None,
    };
    let Some(city) = city else {
        let ending = if segments.len() < 2 && is_located { Ending::City } else { Ending::Closed };
        let left = read_segments(draft, words, &segments, ending);
        draft.address.city = title(words, left, country);
        return;
    };
    let left = read_segments(draft, words, &segments, Ending::Closed);
    if let Some(text) = title(words, left, country) {
        draft.add_info(&text);
    }
    // "Ste 300 Reston": a quadrant and a unit may stand before the city in its segment.
    let city = secondary::take_parted_quadrant(draft, words, city);
    let city = if secondary::begins_segment(words, city, country) && !is_mile_town(city) {
        secondary::take_tail(draft, words, city)
    } else {
        city
    };
    draft.address.city = title(words, city, country);
}

/// The length of the last segment.
fn last_len(tokens: &[Token]) -> usize {
    tokens.split_inclusive(|token| token.comma_after).next_back().map_or(0, <[Token]>::len)
}

/// `Victoria, BC`: one segment without number and street type.
fn is_city_alone(segments: &[&[Token]], country: Country) -> bool {
    match segments {
        [only] => {
            !only.iter().any(Token::has_digit)
                && !only.iter().skip(1).any(|token| {
                    token.meaning.street_type(country).is_some_and(|found| found.strong)
                })
        }
        _ => false,
    }
}

/// 100 Mile House and its neighbours.
fn is_mile_town(segment: &[Token]) -> bool {
    matches!(segment, [first, mile, ..] if first.shape == Shape::Number && mile.key == const { Key::of("MILE") })
}

/// Whether the last segment can name a city: not a unit alone, not a street with its number.
fn may_be_city(words: &Words, segment: &[Token], country: Country) -> bool {
    if is_mile_town(segment) {
        return true;
    }
    let mut probe = Draft::new(country);
    probe.address.street_name = Some(String::new());
    let segment = secondary::take_parted_quadrant(&mut probe, words, segment);
    let rest = if secondary::begins_segment(words, segment, country) {
        secondary::take_tail(&mut probe, words, segment)
    } else {
        segment
    };
    let is_quadrant = rest.len() == 1 && rest.iter().all(|token| token.meaning.direction.is_some());
    !is_quadrant
        && rest.first().is_some_and(|first| matches!(first.shape, Shape::Word | Shape::Letter))
        && !rest.iter().any(Token::has_digit)
}

fn take_country<'a>(tokens: &'a [Token], place: &mut Place) -> &'a [Token] {
    match tokens {
        [rest @ .., united, states]
            if united.key == const { Key::of("UNITED") }
                && states.key == const { Key::of("STATES") }
                && rest.len() > 1 =>
        {
            place.country = Some(Country::Us);
            rest
        }
        [rest @ .., last]
            if rest.len() > 1 && last.key.is_any(const { &[Key::of("USA"), Key::of("US")] }) =>
        {
            place.country = Some(Country::Us);
            rest
        }
        [rest @ .., last] if rest.len() > 1 && last.key == const { Key::of("CANADA") } => {
            place.country = Some(Country::Ca);
            rest
        }
        _ => tokens,
    }
}

fn take_postal_code<'a>(
    words: &Words,
    tokens: &'a [Token],
    place: &mut Place,
    hint: Option<Country>,
) -> &'a [Token] {
    let len = tokens.len();
    for taken in [2, 1] {
        let Some(start) = len.checked_sub(taken).filter(|start| *start > 0) else { continue };
        let (rest, tail) = tokens.split_at(start);
        let joined: String = tail.iter().map(|token| words.text(token)).collect();
        if let Some(code) = postal_code(&joined, taken, rest, hint.or(place.country)) {
            place.postal_code = Some(code);
            return rest;
        }
    }
    tokens
}

/// A postal code in the last one or two words. An area alone (`T2P`) counts only behind a province; a ZIP code needs
/// enough before it not to be a house or route number.
fn postal_code(
    text: &str,
    taken: usize,
    rest: &[Token],
    hint: Option<Country>,
) -> Option<PostalCode> {
    if !(3..=10).contains(&text.len()) {
        return None;
    }
    if let Ok(code) = PostalCode::parse(text, Country::Ca) {
        let behind_province = rest.last().is_some_and(|token| is_canadian_code(token.key));
        return (text.len() >= 6 || (hint != Some(Country::Us) && taken == 1 && behind_province))
            .then_some(code);
    }
    let code = PostalCode::parse(text, Country::Us).ok()?;
    let fits = if taken == 2 {
        text.len() == 9 && !text.contains('-') && rest.len() > 2
    } else {
        text.len() >= 5 && rest.len() > 1
    };
    let route = rest.last().is_some_and(|token| {
        token
            .meaning
            .street_type(Country::Us)
            .is_some_and(|found| matches!(found.standard, "Hwy" | "Rte"))
    });
    (fits && !route && hint != Some(Country::Ca)).then_some(code)
}

fn is_canadian_code(key: Key) -> bool {
    StateOrProvince::all().any(|region| {
        region.country() == Country::Ca
            && (key == Key::of(region.code()) || key == Key::of(region.postal()))
    })
}

fn take_state<'a>(
    words: &Words,
    tokens: &'a [Token],
    place: &mut Place,
    hint: Option<Country>,
) -> &'a [Token] {
    let len = tokens.len();
    for taken in [4, 3, 2, 1] {
        let Some(start) = len.checked_sub(taken) else { continue };
        let (rest, tail) = tokens.split_at(start);
        if tail.iter().rev().skip(1).any(|token| token.comma_after) || rest.is_empty() {
            continue;
        }
        let joined: String = tail.iter().map(|token| words.text(token)).collect();
        let Some(state) = StateOrProvince::parse(&joined) else { continue };
        if place.postal_code.is_some_and(|code| code.country() != state.country()) {
            continue;
        }
        if place.postal_code.is_some() || stands_as_state(rest, tail, hint) {
            place.state = Some(state);
            return repeated(words, rest, state);
        }
    }
    tokens
}

/// `Sidney, BC, BC`: the same province again.
fn repeated<'a>(words: &Words, rest: &'a [Token], state: StateOrProvince) -> &'a [Token] {
    match rest {
        [before @ .., last]
            if !before.is_empty()
                && StateOrProvince::parse(words.text(last)) == Some(state)
                && last.key.0 < 1 << 16 =>
        {
            before
        }
        _ => rest,
    }
}

/// Whether the words at the end are a state and not a street type (`CT`), a direction (`NE`) or a name (`Washington`).
fn stands_as_state(rest: &[Token], tail: &[Token], hint: Option<Country>) -> bool {
    let country = hint.unwrap_or(Country::Us);
    if rest.last().is_some_and(|token| token.comma_after) {
        return true;
    }
    let [only] = tail else { return rest.len() > 2 };
    let meaning = only.meaning;
    let means_else = meaning.street_type(country).is_some()
        || meaning.direction.is_some()
        || meaning.designator.is_some();
    let is_code = only.key.0 < 1 << 16;
    match (is_code, means_else) {
        (true, false) => rest.len() > 1,
        (true, true) => has_street_and_city(rest, country).unwrap_or(false),
        _ => has_street_and_city(rest, country).unwrap_or(rest.len() > 3),
    }
}

/// Whether a street type stands before at least one plain word, the city; `None` where there is no type.
fn has_street_and_city(rest: &[Token], country: Country) -> Option<bool> {
    let is_type =
        |token: &Token| token.meaning.street_type(country).is_some_and(|found| found.strong);
    let at = rest.iter().skip(1).position(is_type)?;
    let plain = |token: &Token| {
        token.shape == Shape::Word && token.meaning.direction.is_none() && !is_type(token)
    };
    // "... Ave 27th FL" is a floor.
    let before_floor = rest.last().is_some_and(Token::has_digit);
    Some(!before_floor && rest.iter().skip(at + 2).any(plain))
}
