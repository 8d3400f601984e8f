//! Where the name of a street ends: at its type, or where none is, as far as can be told.

use super::{EXTENSIONS, Ending, direction, direction_at, is_strong_type};
use crate::Country;
use crate::token::{Shape, Token};
use crate::words::{Key, StreetType};

/// The index of the street type.
pub(super) fn type_index(rest: &[Token], country: Country, ending: Ending) -> Option<usize> {
    let is_type = |at: &usize| {
        rest.get(*at).is_some_and(|token| token.meaning.street_type(country).is_some())
            && !is_saint(rest, *at)
    };
    let is_strong = |at: &usize| {
        is_type(at) && rest.get(*at).is_some_and(|token| is_strong_type(token, country))
    };
    let first_strong = (1..rest.len()).find(is_strong);
    if ending == Ending::Closed {
        let end = before_quadrant(rest, country);
        let last = end.checked_sub(1).filter(|at| *at > 0).filter(is_type);
        // "Millstream Rd Old Mill Manor": a rare type at the end yields to a common one that stands apart from it.
        let apart = |last: &usize| {
            first_strong.is_some_and(|first| (first + 1..*last).any(|at| !is_type(&at)))
        };
        if let Some(last) = last.filter(|last| is_strong(last) || !apart(last)) {
            let extends =
                last > 1 && rest.get(last).is_some_and(|token| token.key.is_any(EXTENSIONS));
            let last = if extends && is_strong(&(last - 1)) { last - 1 } else { last };
            return Some(before_repeated(rest, last, country));
        }
    }
    let is_weak = |at: &usize| is_type(at) && at + 1 < rest.len() && !begins_city(rest, *at);
    let nameless = rest.first().is_some_and(|first| first.shape == Shape::Ordinal)
        || rest
            .iter()
            .skip(1)
            .any(|token| direction(token, country).is_some() && token.key.0 < 1 << 16);
    let weak = || (1..rest.len()).find(is_weak).filter(|_| ending == Ending::City && !nameless);
    let first = first_strong.or_else(weak)?;
    // "Gate Way", "Old Court Rd": of types in a row the last strong one is the type.
    let run = (first..rest.len()).take_while(is_type).filter(is_strong).last();
    Some(before_repeated(rest, run.unwrap_or(first), country))
}

/// Words that are a street type in the table, but before another word begin a city: `Fort Lauderdale`, `Mount Vernon`.
fn begins_city(rest: &[Token], at: usize) -> bool {
    const FRONTS: &[Key] = &[
        Key::of("FORT"),
        Key::of("FT"),
        Key::of("MOUNT"),
        Key::of("MT"),
        Key::of("PORT"),
        Key::of("LAKE"),
        Key::of("PORT"),
    ];
    rest.get(at).is_some_and(|token| token.key.is_any(FRONTS))
        && rest.get(at + 1).is_some_and(|next| next.shape == Shape::Word)
}

/// Where the quadrant or direction at the end begins.
pub(super) fn before_quadrant(rest: &[Token], country: Country) -> usize {
    let len = rest.len();
    let is_direction =
        |at: usize| rest.get(at).is_some_and(|token| direction(token, country).is_some());
    if len < 2 || !is_direction(len - 1) {
        return len;
    }
    let pair = len > 3
        && direction_at(rest.get(len - 2..).unwrap_or(&[]), country)
            .is_some_and(|(_, used)| used == 2);
    if pair { len - 2 } else { len - 1 }
}

/// `Coldstream Creek Road Road`: the first of equal types is the type, the others are skipped later.
fn before_repeated(rest: &[Token], mut at: usize, country: Country) -> usize {
    let standard = |at: usize| {
        rest.get(at)
            .and_then(|token| token.meaning.street_type(country))
            .map(|found| found.standard)
    };
    while at > 1 && standard(at - 1) == standard(at) {
        at -= 1;
    }
    at
}

pub(super) fn skip_repeated(
    after: &[Token],
    street_type: Option<StreetType>,
    country: Country,
) -> &[Token] {
    let Some(first) = street_type else { return after };
    let again = |token: &&Token| {
        token.meaning.street_type(country).is_some_and(|found| found.standard == first.standard)
    };
    after.get(after.iter().take_while(again).count()..).unwrap_or(&[])
}

const SAINTS: &[Key] = &[
    Key::of("ALBANS"),
    Key::of("ALBERT"),
    Key::of("ANDREWS"),
    Key::of("ANN"),
    Key::of("ANTHONY"),
    Key::of("AUGUSTINE"),
    Key::of("CATHARINES"),
    Key::of("CATHERINE"),
    Key::of("CHARLES"),
    Key::of("CLAIR"),
    Key::of("CLOUD"),
    Key::of("FRANCIS"),
    Key::of("GEORGE"),
    Key::of("HELENA"),
    Key::of("HELENS"),
    Key::of("JAMES"),
    Key::of("JOE"),
    Key::of("JOHN"),
    Key::of("JOHNS"),
    Key::of("JOSEPH"),
    Key::of("LAWRENCE"),
    Key::of("LOUIS"),
    Key::of("LUCIE"),
    Key::of("MARYS"),
    Key::of("PAUL"),
    Key::of("PAULS"),
    Key::of("PETERS"),
    Key::of("PETERSBURG"),
    Key::of("SIMONS"),
    Key::of("THOMAS"),
];

/// `St` before the name of a saint is no street type, unless it is the only one (`100 Main St Charles`).
fn is_saint(rest: &[Token], at: usize) -> bool {
    let (Some(word), Some(next)) = (rest.get(at), rest.get(at + 1)) else { return false };
    word.key == const { Key::of("ST") } && !word.comma_after && next.key.is_any(SAINTS)
}

/// Where a name without a type ends. Behind it only a direction or a bare unit number can be told apart; before a
/// city, the first word is taken for the name, with the small words that lead to it (`Avenue of the Americas`).
pub(super) fn nameless_end(rest: &[Token], country: Country, ending: Ending) -> usize {
    const JOINING: &[Key] = &[
        Key::of("ST"),
        Key::of("OF"),
        Key::of("THE"),
        Key::of("DE"),
        Key::of("DEL"),
        Key::of("LA"),
        Key::of("LAS"),
        Key::of("LOS"),
        Key::of("EL"),
        Key::of("SAN"),
        Key::of("SANTA"),
        Key::of("VIA"),
        Key::of("AVENUE"),
        Key::of("AVE"),
    ];
    if ending == Ending::City {
        let joined = rest.iter().take_while(|token| token.key.is_any(JOINING)).count();
        return (joined + 1).min(rest.len());
    }
    let end = before_quadrant(rest, country).max(1).min(rest.len());
    let is_unit = |at: usize| {
        at > 0
            && rest.get(at).is_some_and(|last| matches!(last.shape, Shape::Number | Shape::Mixed))
    };
    if end == rest.len() && is_unit(end.saturating_sub(1)) { end - 1 } else { end }
}
