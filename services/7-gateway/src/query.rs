//! What a request asks for: every parameter read, checked, and refused with words that say what would be right.

use std::collections::BTreeMap;

use messages::fields::STANDARD_STATUS;

use crate::columns::Bounds;
use crate::map::ZOOM_MAX;
use crate::record::E7;
use crate::search::{Query, Sort, Standing};
use crate::text::TEXT_MAX;

/// Longest query string, in bytes.
pub(crate) const QUERY_BYTES_MAX: usize = 4096;
/// Most listings of one page.
pub(crate) const LIMIT_MAX: usize = 200;
/// Listings of a page when nobody says how many.
pub(crate) const LIMIT: usize = 50;
/// Most values of one parameter.
const VALUES_MAX: usize = 50;

/// A request that cannot be answered: what the client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// The field of the body that is wrong.
    pub(crate) field: Option<String>,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), field: None }
    }

    /// Names the field of the body that is wrong.
    pub(crate) fn about(self, field: &str) -> Self {
        Self { field: Some(field.to_owned()), ..self }
    }

    /// Another method than the address knows.
    pub(crate) fn method() -> Self {
        Self::new(
            405,
            "method_not_allowed",
            "this address does not answer that method: ask with GET, commands with POST",
        )
    }

    pub(crate) fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }
}

/// A list of listings.
#[derive(Debug)]
pub(crate) struct ListRequest {
    pub(crate) query: Query,
    pub(crate) sort: Sort,
    pub(crate) limit: usize,
    pub(crate) after: Option<Standing>,
}

/// A map.
#[derive(Debug)]
pub(crate) struct MapRequest {
    pub(crate) query: Query,
    pub(crate) zoom: u8,
}

/// The filters, each with what it takes.
pub(crate) const FILTERS: [(&str, &str); 12] = [
    ("box", "west,south,east,north in degrees; only listings whose place may be shown"),
    ("country", "US, CA"),
    ("state", "state or province"),
    ("city", "city, in any case and without accents if need be"),
    ("status", "StandardStatus"),
    ("type", "PropertyType"),
    ("feed", "name of the feed"),
    ("price_min", "whole units of the country's currency"),
    ("price_max", "whole units of the country's currency"),
    ("beds_min", "fewest bedrooms"),
    ("baths_min", "fewest bathrooms"),
    ("q", "beginnings of words of the address, city or postal code; or a key"),
];

/// The query of an address, by name.
pub(crate) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Reads a query in which the filters and the names of `also` may stand.
    pub(crate) fn read(query: &str, also: &[&str]) -> Result<Self, Refusal> {
        if query.len() > QUERY_BYTES_MAX {
            return Err(Refusal::new(
                414,
                "query_too_long",
                format!("a query has at most {QUERY_BYTES_MAX} bytes"),
            ));
        }
        let mut all = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !FILTERS.iter().any(|(known, _)| *known == name) && !also.contains(&&*name) {
                let names = FILTERS.iter().map(|(name, _)| name);
                let known = names.chain(also).copied().collect::<Vec<_>>().join(", ");
                return Err(Refusal::bad(
                    "unknown_parameter",
                    format!("there is no parameter `{name}`: there are {known}"),
                ));
            }
            if all.insert(name.to_string(), value.into_owned()).is_some() {
                return Err(Refusal::bad(
                    "doubled_parameter",
                    format!("`{name}` is there twice: separate several values by commas"),
                ));
            }
        }
        Ok(Self(all))
    }

    /// The value of a name; an empty one counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A list whose values are among `known`, in any case.
    fn list_of(
        &self,
        name: &str,
        code: &'static str,
        known: &[&str],
    ) -> Result<Vec<String>, Refusal> {
        let values = self.list(name)?;
        if values.iter().all(|v| known.iter().any(|known| known.eq_ignore_ascii_case(v))) {
            return Ok(values);
        }
        Err(Refusal::bad(code, format!("{name} must be one or more of {}", known.join(", "))))
    }

    fn list(&self, name: &str) -> Result<Vec<String>, Refusal> {
        self.values(name, VALUES_MAX)
    }

    /// Values that commas separate, at most so many.
    pub(crate) fn values(&self, name: &str, most: usize) -> Result<Vec<String>, Refusal> {
        let values: Vec<String> = self
            .text(name)
            .into_iter()
            .flat_map(|t| t.split(','))
            .map(|v| v.trim().to_owned())
            .filter(|v| !v.is_empty())
            .collect();
        if values.len() > most {
            return Err(Refusal::bad(
                "too_many_values",
                format!("`{name}` has at most {most} values"),
            ));
        }
        Ok(values)
    }

    /// A number; `what` says in words what is right.
    pub(crate) fn number<T: std::str::FromStr>(
        &self,
        name: &str,
        what: &str,
    ) -> Result<Option<T>, Refusal> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            Refusal::bad("bad_number", format!("{name} must be {what}, and is `{text}`"))
        })
    }

    fn cents(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let whole: Option<i64> =
            self.number(name, "a whole number of dollars, for example 500000")?;
        Ok(whole.map(|dollars| dollars.saturating_mul(100)))
    }

    /// Whether any filter is there.
    pub(crate) fn filters(&self) -> bool {
        FILTERS.iter().any(|(name, _)| self.text(name).is_some())
    }

    /// The filters.
    pub(crate) fn query(&self) -> Result<Query, Refusal> {
        let text = self.text("q").map(str::to_owned);
        if text.as_ref().is_some_and(|t| t.len() > TEXT_MAX) {
            return Err(Refusal::bad("text_too_long", format!("q has at most {TEXT_MAX} bytes")));
        }
        Ok(Query {
            area: self.text("box").map(read_box).transpose()?,
            country: self.list_of("country", "bad_country", &["US", "CA"])?,
            state: self.list("state")?,
            city: self.list("city")?,
            status: self.list_of("status", "bad_status", STANDARD_STATUS)?,
            kind: self.list("type")?,
            feed: self.list("feed")?,
            price_min: self.cents("price_min")?,
            price_max: self.cents("price_max")?,
            beds_min: self.number("beds_min", "a whole number, for example 3")?,
            baths_min: self.number("baths_min", "a whole number, for example 2")?,
            text,
            placed: false,
        })
    }
}

fn read_box(text: &str) -> Result<Bounds, Refusal> {
    let wrong = || {
        Refusal::bad(
            "bad_box",
            "box must be west,south,east,north in degrees, for example box=-123,47,-121,48",
        )
    };
    let sides: Vec<f64> = text
        .split(',')
        .map(|side| side.trim().parse().ok())
        .collect::<Option<_>>()
        .ok_or_else(wrong)?;
    let [west, south, east, north] = sides.as_slice() else { return Err(wrong()) };
    let sane = sides.iter().all(|side| side.is_finite()) && west <= east && south <= north;
    if !sane
        || !(-180.0..=180.0).contains(west)
        || !(-180.0..=180.0).contains(east)
        || *south < -90.0
        || *north > 90.0
    {
        return Err(wrong());
    }
    #[allow(clippy::cast_possible_truncation, reason = "checked above: at most 1.8e9")]
    let e7 = |degrees: f64| (degrees * E7).round() as i32;
    Ok(Bounds { west: e7(*west), south: e7(*south), east: e7(*east), north: e7(*north) })
}

/// Reads the query of `/listings`.
pub(crate) fn list_request(query: &str) -> Result<ListRequest, Refusal> {
    let parameters = Parameters::read(query, &["sort", "limit", "after"])?;
    let sort = match parameters.text("sort") {
        None => Sort::default(),
        Some(name) => {
            let names = Sort::ALL.map(|(_, name)| name).join(", ");
            let known = Sort::ALL.into_iter().find(|(_, known)| *known == name);
            known
                .map(|(sort, _)| sort)
                .ok_or_else(|| Refusal::bad("bad_sort", format!("sort must be one of {names}")))?
        }
    };
    let limit = parameters.number("limit", "a whole number from 1 to 200")?.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Refusal::bad("bad_limit", format!("limit must be from 1 to {LIMIT_MAX}")));
    }
    let after = parameters.text("after").map(|cursor| read_cursor(cursor, sort)).transpose()?;
    Ok(ListRequest { query: parameters.query()?, sort, limit, after })
}

/// Reads the query of `/map`.
pub(crate) fn map_request(query: &str) -> Result<MapRequest, Refusal> {
    let parameters = Parameters::read(query, &["zoom", "sort"])?;
    let zoom: f64 = parameters.number("zoom", "a number from 0 to 22")?.unwrap_or(4.0);
    if !(0.0..=f64::from(ZOOM_MAX)).contains(&zoom) {
        return Err(Refusal::bad("bad_zoom", format!("zoom must be from 0 to {ZOOM_MAX}")));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    let zoom = zoom.floor() as u8;
    Ok(MapRequest { query: Query { placed: true, ..parameters.query()? }, zoom })
}

/// The text of a cursor.
pub(crate) fn cursor(sort: Sort, (rank, hash): Standing) -> String {
    format!("{}~{rank}~{hash:016x}", sort.name())
}

fn read_cursor(text: &str, sort: Sort) -> Result<Standing, Refusal> {
    let read = || {
        let mut parts = text.split('~');
        let (name, rank, hash) = (
            parts.next()?,
            parts.next()?.parse().ok()?,
            u64::from_str_radix(parts.next()?, 16).ok()?,
        );
        (name == sort.name() && parts.next().is_none()).then_some((rank, hash))
    };
    read().ok_or_else(|| {
        Refusal::bad(
            "bad_cursor",
            "after must be the `next` of an earlier answer with the same sort",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said() {
        for (query, code) in [
            ("box=1,2,3", "bad_box"),
            ("box=-121,47,-123,48", "bad_box"),
            ("box=nan,0,1,1", "bad_box"),
            ("limit=0", "bad_limit"),
            ("limit=201", "bad_limit"),
            ("limit=x", "bad_number"),
            ("price_min=1e99", "bad_number"),
            ("sort=worst", "bad_sort"),
            ("after=price~1~zz", "bad_cursor"),
            ("sort=price&after=changed~1~00", "bad_cursor"),
            ("colour=red", "unknown_parameter"),
            ("city=a&city=b", "doubled_parameter"),
            ("country=MX", "bad_country"),
            ("status=Sold", "bad_status"),
            ("beds_min=-1", "bad_number"),
            ("box=inf,0,1,1", "bad_box"),
            ("after=changed~1~00~", "bad_cursor"),
        ] {
            assert_eq!(list_request(query).unwrap_err().code, code, "{query}");
        }
        assert_eq!(list_request(&"q".repeat(QUERY_BYTES_MAX + 1)).unwrap_err().status, 414);
        assert_eq!(
            list_request(&format!("q={}", "x".repeat(TEXT_MAX + 1))).unwrap_err().code,
            "text_too_long"
        );
        assert_eq!(map_request("zoom=23").unwrap_err().code, "bad_zoom");
    }

    #[test]
    fn what_is_right_is_read() {
        let request = list_request("box=-123,47,-121,48&status=Active,Pending&price_min=100&sort=-price&after=-price~-5~00000000000000ff&q=main").unwrap();
        assert_eq!(request.query.status, ["Active", "Pending"]);
        assert_eq!(request.query.price_min, Some(10_000));
        assert_eq!(request.after, Some((-5, 255)));
        assert_eq!(cursor(request.sort, (-5, 255)), "-price~-5~00000000000000ff");
    }
}
