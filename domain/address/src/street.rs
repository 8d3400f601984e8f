//! The street itself: direction, name, type, quadrant; and a whole street line.

use crate::Country;
use crate::draft::{Draft, title};
use crate::number;
use crate::secondary;
use crate::tables::canada_types::Form;
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
    draft.address.street_name = title(words, parts.name, country);
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
        return Parts { name: rest, street_type: None, after: &[] };
    }
    if let Some(end) = route_end(words, rest, country) {
        let (name, after) = rest.split_at(end);
        return Parts { name, street_type: None, after };
    }
    if let Some(at) = type_index(rest, country, ending) {
        let (name, tail) = rest.split_at(at);
        let street_type = tail.first().and_then(|token| token.meaning.street_type(country));
        return Parts { name, street_type, after: tail.get(1..).unwrap_or(&[]) };
    }
    let end = nameless_end(rest, country, ending);
    let (name, after) = rest.split_at(end);
    Parts { name, street_type: None, after }
}

/// A corner: `Douglas St & Fort St`.
fn is_crossing(rest: &[Token]) -> bool {
    let inner = rest.get(1..rest.len().saturating_sub(1)).unwrap_or(&[]);
    inner.iter().any(|token| token.shape == Shape::Amp)
}

const ROUTE_WORDS: &[Key] = &[
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
fn route_end(words: &Words, rest: &[Token], country: Country) -> Option<usize> {
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

/// The index of the street type.
fn type_index(rest: &[Token], country: Country, ending: Ending) -> Option<usize> {
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
fn before_quadrant(rest: &[Token], country: Country) -> usize {
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

fn skip_repeated(after: &[Token], street_type: Option<StreetType>, country: Country) -> &[Token] {
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
fn nameless_end(rest: &[Token], country: Country, ending: Ending) -> usize {
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

/// French order: `Rue Sainte-Catherine O`, `Boul René-Lévesque`, and `Avenue McGill` where no English type ends it.
fn read_french<'a>(
    draft: &mut Draft,
    words: &Words,
    body: &'a [Token],
    ending: Ending,
) -> Option<&'a [Token]> {
    let [first, rest @ ..] = body else { return None };
    let found = first.meaning.street_type(draft.country)?;
    let allowed = match found.form {
        Form::After => false,
        Form::Before => true,
        Form::Either => draft.country == Country::Ca && !ends_in_english(rest, ending),
    };
    // A type and a direction alone ("Rue Nord") leave no other name; a lone "Centre" is a name.
    let [name, ..] = rest else { return None };
    if !allowed || name.shape == Shape::Amp {
        return None;
    }
    let end = match ending {
        Ending::Closed => french_quadrant(rest),
        Ending::City => french_name_end(rest),
    };
    let (name, after) = rest.split_at(end.max(1));
    draft.address.street_suffix = Some(found.standard);
    draft.address.street_name = title(words, name, draft.country);
    draft.type_first = true;
    Some(take_french_quadrant(draft, after, ending))
}

fn ends_in_english(rest: &[Token], ending: Ending) -> bool {
    let mut types = rest.iter().filter_map(|token| token.meaning.street_type(Country::Ca));
    let end = before_quadrant(rest, Country::Ca);
    let last = end.checked_sub(1).and_then(|at| rest.get(at));
    match ending {
        Ending::Closed => {
            last.is_some_and(|token| token.meaning.street_type(Country::Ca).is_some())
        }
        Ending::City => types.any(|found| found.strong),
    }
}

fn french_quadrant(rest: &[Token]) -> usize {
    let is_direction = |token: &Token| direction(token, Country::Ca).is_some();
    match rest {
        [_, .., last] if is_direction(last) => rest.len() - 1,
        _ => rest.len(),
    }
}

/// Before a city without a comma: small words and the next word are the name.
fn french_name_end(rest: &[Token]) -> usize {
    const JOINING: &[Key] = &[
        Key::of("DE"),
        Key::of("DU"),
        Key::of("DES"),
        Key::of("LA"),
        Key::of("LE"),
        Key::of("LES"),
        Key::of("SAINT"),
        Key::of("SAINTE"),
        Key::of("ST"),
        Key::of("STE"),
        Key::of("NOTRE"),
        Key::of("MONT"),
    ];
    let joined = rest.iter().take_while(|token| token.key.is_any(JOINING)).count();
    (joined + 1).min(rest.len())
}

fn take_french_quadrant<'a>(draft: &mut Draft, after: &'a [Token], ending: Ending) -> &'a [Token] {
    let (no, so) = (const { Key::of("NO") }, const { Key::of("SO") });
    match after {
        [first, rest @ ..] if first.key == no || first.key == so => {
            // In French these letters are nord-ouest and sud-ouest.
            let key =
                if first.key == no { const { Key::of("NW") } } else { const { Key::of("SW") } };
            if let Some(found) = crate::words::meaning(key).direction {
                draft.set_dir_suffix(found);
            }
            rest
        }
        _ => take_quadrant(draft, after, ending),
    }
}
