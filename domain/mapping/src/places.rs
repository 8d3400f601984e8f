//! Where listings lie: what the mapper asks of the `geography` crate.

use std::sync::Arc;

use geography::{Agreement, Boundaries, Country, Finding, Place, PostalCodes, Region, examine};
use messages::Decimal;

use crate::draft::Draft;
use crate::ids::IDS;

/// Where places come from; cheap to clone.
#[derive(Debug, Clone)]
pub struct Places {
    postal_codes: Arc<PostalCodes>,
    boundaries: Arc<Boundaries>,
}

impl Places {
    /// Postal codes for listings without coordinates, boundaries to check those that have some.
    #[must_use]
    pub fn new(postal_codes: PostalCodes, boundaries: Boundaries) -> Self {
        Self { postal_codes: Arc::new(postal_codes), boundaries: Arc::new(boundaries) }
    }
}

/// Judges the coordinates that came, or finds some by the postal code.
pub(crate) fn place(places: &Places, draft: &mut Draft) {
    let ids = &*IDS;
    match (draft.number(ids.latitude), draft.number(ids.longitude)) {
        (Some(lat), Some(lon)) => judge(places, draft, lat, lon),
        (None, None) => by_postal_code(places, draft),
        (lat, _) => {
            let there = if lat.is_some() { "latitude" } else { "longitude" };
            draft.note(
                ids.latitude,
                "half_coordinates",
                &format!("there is only a {there}: left out"),
            );
            drop_coordinates(places, draft);
        }
    }
}

fn judge(places: &Places, draft: &mut Draft, lat: Decimal, lon: Decimal) {
    let ids = &*IDS;
    let (y, x) = (lat.to_f64(), lon.to_f64());
    if let Some(finding) = examine(y, x) {
        let (code, says) = fault(finding);
        draft.note(
            ids.latitude,
            code,
            &format!("latitude {lat}, longitude {lon}: {says}; left out"),
        );
        return drop_coordinates(places, draft);
    }
    set_method(draft, &Place::of_feed(y, x));
    let Some(region) = draft.text(ids.state).and_then(Region::parse) else { return };
    if let Agreement::Outside { found } = places.boundaries.check(y, x, region) {
        let found = found.map_or_else(String::new, |found| format!(", but in {}", found.code()));
        let message = format!("latitude {lat}, longitude {lon} is not in {}{found}", region.code());
        draft.note(ids.latitude, "outside_state", &message);
    }
}

fn fault(finding: Finding) -> (&'static str, &'static str) {
    match finding {
        Finding::NotANumber | Finding::OutOfRange => {
            ("coordinates_out_of_range", "no such place on Earth")
        }
        Finding::ZeroZero => ("coordinates_zero", "zero stands for unknown"),
        Finding::Swapped { .. } => {
            ("coordinates_swapped", "they seem to stand in each other's place")
        }
        Finding::PositiveLongitude { .. } => {
            ("coordinates_lost_sign", "the longitude seems to have lost its sign")
        }
        Finding::OutsideCountries => {
            ("coordinates_outside_country", "neither in the United States nor in Canada")
        }
    }
}

fn drop_coordinates(places: &Places, draft: &mut Draft) {
    let ids = &*IDS;
    for field in [ids.latitude, ids.longitude, ids.place_method, ids.place_uncertainty] {
        draft.unset(field);
    }
    by_postal_code(places, draft);
}

/// By the postal code, or else the state: a wide circle, which says so itself.
fn by_postal_code(places: &Places, draft: &mut Draft) {
    let ids = &*IDS;
    let country = match draft.text(ids.country) {
        Some("US") => Country::Us,
        Some("CA") => Country::Ca,
        _ => return,
    };
    let stated = draft.text(ids.state).and_then(Region::parse);
    let centroid =
        draft.text(ids.postal_code).and_then(|code| places.postal_codes.centroid(country, code));
    let Some(place) = centroid.or_else(|| stated.map(Place::of_region)) else { return };
    let (Some(lat), Some(lon)) = (degrees(place.lat), degrees(place.lon)) else { return };
    draft.set_number(ids.latitude, lat);
    draft.set_number(ids.longitude, lon);
    set_method(draft, &place);
    if let (Some(stated), Some(found)) = (stated, place.region)
        && stated != found
    {
        let message = format!(
            "the postal code is in {}, and the listing says {}",
            found.code(),
            stated.code()
        );
        draft.note(ids.postal_code, "postal_code_outside_state", &message);
    }
}

/// How the place was found, and how far off it may be; a pack that knows better has said so.
fn set_method(draft: &mut Draft, place: &Place) {
    let ids = &*IDS;
    if draft.has(ids.place_method) {
        return;
    }
    draft.set_text(ids.place_method, place.method.name());
    draft.set_number(ids.place_uncertainty, rounded(place.uncertainty_m));
}

/// Degrees with the four digits that a centroid is good for.
fn degrees(value: f64) -> Option<Decimal> {
    Decimal::parse(&format!("{value:.4}"))
}

/// Whole metres; no place is wider than the Earth.
fn rounded(metres: f64) -> Decimal {
    #[expect(clippy::cast_possible_truncation, reason = "it is between 0 and 40 million")]
    Decimal::whole(metres.round().clamp(0.0, 4e7) as i64)
}
