//! French order: the type stands before the name.

use super::street_type::before_quadrant;
use super::{Ending, direction, take_quadrant};
use crate::Country;
use crate::draft::{Draft, title};
use crate::tables::canada_types::Form;
use crate::token::{Shape, Token, Words};
use crate::words::Key;

/// French order: `Rue Sainte-Catherine O`, `Boul René-Lévesque`, and `Avenue McGill` where no English type ends it.
pub(super) fn read_french<'a>(
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
