//! Numbered and lettered routes, whose word is part of their name: `Highway 33`, `County Road KK`.

use super::direction;
use crate::Country;
use crate::casing::push_title;
use crate::token::{Shape, Token, Words};
use crate::words::Key;

/// Words of routes that are written out, so that `Hwy 33` and `Highway 33` are one street.
const WRITTEN_OUT: &[(Key, &str)] = &[
    (Key::of("HWY"), "Highway"),
    (Key::of("HGWY"), "Highway"),
    (Key::of("HGHWY"), "Highway"),
    (Key::of("RTE"), "Route"),
    (Key::of("RT"), "Route"),
    (Key::of("RD"), "Road"),
    (Key::of("AVE"), "Avenue"),
    (Key::of("CO"), "County"),
    (Key::of("TWP"), "Township"),
];

/// The name of a route: its words written out, without the number sign.
pub(super) fn name(words: &Words, tokens: &[Token], country: Country) -> Option<String> {
    let is_sign =
        |token: &Token| token.shape == Shape::Hash || token.key == const { Key::of("NO") };
    let mut out = String::with_capacity(24);
    for (at, token) in tokens.iter().enumerate() {
        if at > 0 && is_sign(token) {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        let text = words.text(token);
        let state = (text.len() == 2).then(|| crate::StateOrProvince::parse(text)).flatten();
        match (WRITTEN_OUT.iter().find(|(key, _)| *key == token.key && token.key.0 != 0), state) {
            (Some((_, long)), _) => out.push_str(long),
            (None, Some(state)) => out.push_str(state.postal()),
            (None, None) => push_title(&mut out, text, token, country, true),
        }
    }
    (!out.is_empty()).then_some(out)
}

pub(super) const ROUTE_WORDS: &[Key] = &[
    Key::of("HIGHWAY"),
    Key::of("HWY"),
    Key::of("ROUTE"),
    Key::of("RTE"),
    Key::of("RT"),
    Key::of("ROAD"),
    Key::of("RD"),
    Key::of("LOOP"),
    Key::of("SPUR"),
    Key::of("FM"),
    Key::of("INTERSTATE"),
    Key::of("US"),
    Key::of("SR"),
    Key::of("CR"),
    Key::of("TRUNK"),
    Key::of("AVENUE"),
    Key::of("AVE"),
    Key::of("CONCESSION"),
    Key::of("LINE"),
    Key::of("HGHWY"),
    Key::of("HGWY"),
];

const BEFORE_ROUTE: &[Key] = &[
    Key::of("COUNTY"),
    Key::of("CO"),
    Key::of("COUNTRY"),
    Key::of("STATE"),
    Key::of("ST"),
    Key::of("US"),
    Key::of("OLD"),
    Key::of("BUSINESS"),
    Key::of("BUS"),
    Key::of("SCENIC"),
    Key::of("TOWNSHIP"),
    Key::of("TWP"),
    Key::of("FARM"),
    Key::of("RANCH"),
    Key::of("TO"),
    Key::of("MARKET"),
    Key::of("PROVINCIAL"),
    Key::of("INTERSTATE"),
    Key::of("TRANS"),
];

/// Where a numbered or lettered route ends: `Highway 33`, `Old State Route 21`, `County Road KK`, `Avenue H`.
pub(super) fn route_end(words: &Words, rest: &[Token], country: Country) -> Option<usize> {
    let mark_behind = |at: usize| {
        let sign = rest.get(at + 1).is_some_and(|token| {
            token.shape == Shape::Hash
                || (token.key == const { Key::of("NO") } && rest.len() > at + 2)
        });
        at + 1 + usize::from(sign)
    };
    let is_route = |at: &usize| {
        let tail = rest.get(mark_behind(*at)..).unwrap_or(&[]);
        rest.get(*at).is_some_and(|word| word.key.is_any(ROUTE_WORDS) && !word.comma_after)
            && (marks_route(tail, country) || (*at > 0 && is_route_code(tail, country)))
    };
    let at = (0..rest.len()).find(is_route)?;
    let before = rest.get(..at).unwrap_or(&[]);
    let plain =
        |token: &Token| token.key.is_any(BEFORE_ROUTE) || direction(token, country).is_some();
    let is_county = before.last().is_some_and(|token| token.key == const { Key::of("COUNTY") });
    if !is_county && !before.iter().all(plain) {
        let state: String = before.iter().map(|token| words.text(token)).collect();
        crate::StateOrProvince::parse(&state)?;
    }
    let end = mark_behind(at) + 1;
    let more = rest.get(end).is_some_and(|token| token.key.is_any(BEHIND_ROUTE));
    Some(end + usize::from(more))
}

/// Whether the first token is the number or letter of a route.
fn marks_route(tail: &[Token], country: Country) -> bool {
    tail.first().is_some_and(|mark| match mark.shape {
        Shape::Number | Shape::Mixed => true,
        Shape::Letter => tail.len() == 1 || direction(mark, country).is_none(),
        _ => false,
    })
}

/// `County Road KK`: two letters behind a full route name.
fn is_route_code(tail: &[Token], country: Country) -> bool {
    tail.first().is_some_and(|mark| {
        let meaning = mark.meaning;
        let known = meaning.street_type(country).or(meaning.us_type).is_some()
            || meaning.designator.is_some();
        mark.shape == Shape::Word && mark.key.0 < 1 << 16 && !known && meaning.direction.is_none()
    })
}

const BEHIND_ROUTE: &[Key] =
    &[Key::of("BUSINESS"), Key::of("BUS"), Key::of("ALT"), Key::of("BYPASS")];
