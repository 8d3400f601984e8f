//! What a user may set a field to, in the one form that values have in messages.

use crate::change::fields::is_name;
use crate::change::scan::{self, Malformed};
use crate::fields::{Field, Kind, field};
use crate::json::write_str;
use crate::number::Decimal;
use crate::time::{DATE_LEN, MOMENT_LEN, Moment};

/// Most fields of one command.
pub const SET_MAX: usize = 64;
/// Longest text of an open list, in characters.
const OPEN_MAX: usize = 255;
/// Most elements of a list.
const LIST_MAX: usize = 100;
/// Fields that say what a record is and where it comes from; times and photos are the feed's too.
const FEEDS_OWN: [&str; 4] = ["ListingId", "OriginatingSystemName", "PhotosCount", "VideosCount"];

/// Why no version of a listing would take what a command sets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unfit {
    /// The field, where it is one.
    pub field: Option<String>,
    /// One line for the user, with what would be right.
    pub reason: String,
}

fn unfit(field: Option<&str>, reason: impl Into<String>) -> Unfit {
    Unfit { field: field.map(str::to_owned), reason: reason.into() }
}

/// Reads what a command sets, in order of names, each value in its canonical form.
///
/// # Errors
/// [`Unfit`] for the first thing that is wrong.
pub fn read_set(set: &str) -> Result<Vec<(&str, String)>, Unfit> {
    let mut members = Vec::new();
    scan::object(set, |name, value| {
        if members.len() == SET_MAX {
            return Err(Malformed::whole("a command sets at most 64 fields"));
        }
        members.push((name, value));
        Ok(())
    })
    .map_err(|e| unfit(None, e.what))?;
    members.sort_unstable_by_key(|(name, _)| *name);
    if let Some((name, _)) =
        members.iter().zip(members.iter().skip(1)).find(|(a, b)| a.0 == b.0).map(|(a, _)| a)
    {
        return Err(unfit(Some(shown(name)), format!("{} is set twice", shown(name))));
    }
    members.into_iter().map(|(name, value)| Ok((name, canonical(name, value)?))).collect()
}

/// A name that is fit to be shown.
fn shown(name: &str) -> &str {
    if is_name(name) { name } else { "a field with an odd name" }
}

fn canonical(name: &str, text: &str) -> Result<String, Unfit> {
    let impossible = |reason: String| unfit(Some(shown(name)), reason);
    let known =
        field(name).ok_or_else(|| impossible(format!("{} is not a known field", shown(name))))?;
    let is_feeds = matches!(known.kind, Kind::Timestamp | Kind::Media);
    if is_feeds || known.ours || FEEDS_OWN.contains(&name) {
        return Err(impossible(format!("{name} is set by the feed alone")));
    }
    if name == "StandardStatus" && matches!(text, "null" | "\"Delete\"") {
        return Err(impossible(
            "StandardStatus must stay: withdraw the listing instead".to_owned(),
        ));
    }
    if text == "null" {
        return Ok(text.to_owned());
    }
    let value = of_kind(known, text)
        .ok_or_else(|| impossible(format!("{name} must be {}", wording(known.kind))))?;
    let Some(number) = Decimal::parse(&value) else { return Ok(value) };
    match range(name) {
        Some((least, most)) if number < Decimal::whole(least) || number > Decimal::whole(most) => {
            Err(impossible(format!("{name} must be from {least} to {most}")))
        }
        None if number.is_negative() => Err(impossible(format!("{name} must be 0 or more"))),
        _ => Ok(value),
    }
}

/// What a number can be; `None` for 0 or more.
fn range(name: &str) -> Option<(i64, i64)> {
    match name {
        "Latitude" => Some((-90, 90)),
        "Longitude" => Some((-180, 180)),
        _ if name.starts_with("YearBuilt") => Some((1_500, 2_200)),
        _ if name.starts_with("Bedrooms") || name.starts_with("Bathrooms") => Some((0, 1_000)),
        _ => None,
    }
}

/// The value in its one form, `None` when the field cannot hold it.
fn of_kind(known: &Field, text: &str) -> Option<String> {
    match known.kind {
        Kind::Money => number(text, 2).filter(|n| !n.starts_with('-')),
        Kind::Integer => number(text, 0),
        Kind::Decimal(scale) => number(text, scale),
        Kind::Text(max) => string(text, |s| s.chars().count() <= usize::from(max)),
        Kind::Open => string(text, |s| s.chars().count() <= OPEN_MAX),
        Kind::Locked(list) => string(text, |s| list.contains(&s)),
        Kind::Date => string(text, |s| s.len() == DATE_LEN && Moment::parse(s).is_some()),
        Kind::Boolean => matches!(text, "true" | "false").then(|| text.to_owned()),
        Kind::List => list(text),
        Kind::Timestamp => string(text, |s| s.len() == MOMENT_LEN && Moment::parse(s).is_some()),
        Kind::Media => None,
    }
}

fn number(text: &str, scale: u8) -> Option<String> {
    if !text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        return None;
    }
    let decimal = Decimal::parse(text).filter(|d| d.scale() <= scale)?;
    let mut out = Vec::new();
    decimal.write(&mut out);
    String::from_utf8(out).ok()
}

fn string(text: &str, fits: impl Fn(&str) -> bool) -> Option<String> {
    let value = scan::string(text).filter(|s| !s.is_empty() && fits(s))?;
    let mut out = Vec::new();
    write_str(&mut out, &value);
    String::from_utf8(out).ok()
}

fn list(text: &str) -> Option<String> {
    let mut elements: Vec<String> = Vec::new();
    scan::array(text, |element| {
        let element = string(element, |s| s.chars().count() <= OPEN_MAX)
            .filter(|e| elements.len() < LIST_MAX && !elements.contains(e));
        elements.push(element.ok_or(Malformed::whole("not a text, or there twice"))?);
        Ok(())
    })
    .ok()?;
    (!elements.is_empty()).then(|| format!("[{}]", elements.join(",")))
}

fn wording(kind: Kind) -> String {
    match kind {
        Kind::Money => "a number of 0 or more with at most 2 digits behind the point".to_owned(),
        Kind::Integer => "a whole number".to_owned(),
        Kind::Decimal(scale) => {
            format!("a number with at most {scale} digits behind the point")
        }
        Kind::Text(max) => format!("a text of 1 to {max} characters"),
        Kind::Open => format!("a text of 1 to {OPEN_MAX} characters"),
        Kind::Locked(list) if list.len() <= 12 => format!("one of {}", list.join(", ")),
        Kind::Locked(_) => "one of the values of its lookup".to_owned(),
        Kind::Date => "a date such as 2022-01-31".to_owned(),
        Kind::Boolean => "true or false".to_owned(),
        Kind::List => format!("a list of 1 to {LIST_MAX} different texts"),
        Kind::Timestamp | Kind::Media => "left to the feed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_get_their_one_form_or_are_refused() {
        let cases = [
            ("{}", Ok("")),
            (r#"{"ListPrice":500000}"#, Ok("ListPrice=500000")),
            (r#"{"ListPrice":5.00e5}"#, Ok("ListPrice=500000")),
            (r#"{"ListPrice":1.50,"City":"Montr\u00e9al"}"#, Ok("City=\"Montréal\" ListPrice=1.5")),
            (r#"{"City":null}"#, Ok("City=null")),
            (r#"{"StandardStatus":"Hold"}"#, Ok("StandardStatus=\"Hold\"")),
            (r#"{"ListPrice":1.555}"#, Err("ListPrice must be a number of 0 or more")),
            (r#"{"ListPrice":-1}"#, Err("ListPrice must be a number of 0 or more")),
            (r#"{"ListPrice":"500"}"#, Err("ListPrice must be a number of 0 or more")),
            (r#"{"ListPrice":1e400}"#, Err("ListPrice must be a number of 0 or more")),
            (r#"{"BedroomsTotal":1.5}"#, Err("BedroomsTotal must be a whole number")),
            (r#"{"BedroomsTotal":1001}"#, Err("BedroomsTotal must be from 0 to 1000")),
            (r#"{"BedroomsTotal":-1}"#, Err("BedroomsTotal must be from 0 to 1000")),
            (r#"{"LivingArea":-5}"#, Err("LivingArea must be 0 or more")),
            (r#"{"YearBuilt":99999}"#, Err("YearBuilt must be from 1500 to 2200")),
            (r#"{"Latitude":999}"#, Err("Latitude must be from -90 to 90")),
            (r#"{"Latitude":-33.5,"Longitude":-180}"#, Ok("Latitude=-33.5 Longitude=-180")),
            (r#"{"City":""}"#, Err("City must be a text of 1 to")),
            (r#"{"City":7}"#, Err("City must be a text of 1 to")),
            (r#"{"StandardStatus":"Sold"}"#, Err("StandardStatus must be one of Active,")),
            (r#"{"StandardStatus":null}"#, Err("StandardStatus must stay")),
            (r#"{"StandardStatus":"Delete"}"#, Err("StandardStatus must stay")),
            (r#"{"CloseDate":"2022-02-30"}"#, Err("CloseDate must be a date")),
            (r#"{"ListingId":"1"}"#, Err("ListingId is set by the feed alone")),
            (r#"{"Media":[]}"#, Err("Media is set by the feed alone")),
            (r#"{"Currency":"CAD"}"#, Err("Currency is set by the feed alone")),
            (r#"{"ModificationTimestamp":"2022-01-01T00:00:00.000Z"}"#, Err("by the feed alone")),
            (r#"{"Price":1}"#, Err("Price is not a known field")),
            (r#"{"a \u0000 b":1}"#, Err("a field with an odd name is not")),
            (r#"{"City":"a","City":"b"}"#, Err("City is set twice")),
        ];
        for (set, expect) in cases {
            let found = read_set(set).map(|set| {
                set.iter().map(|(name, v)| format!("{name}={v}")).collect::<Vec<_>>().join(" ")
            });
            match (found, expect) {
                (Ok(found), Ok(expect)) => assert_eq!(found, expect, "{set}"),
                (Err(found), Err(part)) => {
                    assert!(found.reason.contains(part), "{set}: {}", found.reason);
                }
                (found, _) => panic!("{set}: {found:?}"),
            }
        }
    }

    #[test]
    fn lists_hold_different_texts() {
        for (text, expect) in [
            (r#"[ "Deck", "D\u00e9pendance" ]"#, Some(r#"["Deck","Dépendance"]"#)),
            ("[]", None),
            (r#"["a","a"]"#, None),
            ("[1]", None),
            ("\"a\"", None),
        ] {
            assert_eq!(list(text).as_deref(), expect, "{text}");
        }
    }

    #[test]
    fn too_many_fields_are_refused() {
        let set: Vec<_> = (0..=SET_MAX).map(|n| format!("\"F{n}\":1")).collect();
        let refusal = read_set(&format!("{{{}}}", set.join(","))).unwrap_err();
        assert!(refusal.reason.contains("at most 64"), "{}", refusal.reason);
    }
}
