//! RESO's own checks across fields. They never refuse a row: sources correct their errors later.

use messages::Decimal;
use messages::fields::FieldId;

use crate::draft::Draft;
use crate::ids::{IDS, Ids};

/// More bedrooms than this are told of, and kept.
const BEDROOMS_USUAL: i64 = 20;
/// Prices that RESO's validation takes: 0.01 to a thousand million.
const PRICE_MAX: i64 = 1_000_000_000;
/// Years in which a home that stands may have been built.
const YEARS_BUILT: std::ops::RangeInclusive<i64> = 1600..=2100;

/// Notes what does not fit together. `mapped`: whether the pack gives a field at all; what it never gives is a
/// matter of the pack, and not of each row.
pub(crate) fn check(draft: &mut Draft, mapped: impl Fn(FieldId) -> bool) {
    let ids = &*IDS;
    for field in [ids.city, ids.state, ids.postal_code, ids.country] {
        if mapped(field) && !draft.has(field) {
            draft.note(field, "missing", "RESO asks for this field, and the row has none");
        }
    }
    prices(draft, ids);
    counts(draft, ids);
    dates(draft, ids);
}

fn prices(draft: &mut Draft, ids: &Ids) {
    for field in [
        ids.list_price,
        ids.list_price_low,
        ids.original_list_price,
        ids.close_price,
        ids.lease_amount,
    ] {
        let Some(price) = draft.number(field) else { continue };
        if price.is_zero() || price > Decimal::whole(PRICE_MAX) {
            draft.note(field, "price_out_of_range", &format!("{price} is no usual price"));
        }
    }
    if let (Some(low), Some(high)) =
        (draft.number(ids.list_price_low), draft.number(ids.list_price))
        && low > high
    {
        draft.note(
            ids.list_price_low,
            "prices_disagree",
            &format!("ListPriceLow {low} is above ListPrice {high}"),
        );
    }
}

fn counts(draft: &mut Draft, ids: &Ids) {
    if let Some(bedrooms) = draft.number(ids.bedrooms_total)
        && (bedrooms > Decimal::whole(BEDROOMS_USUAL) || bedrooms.is_negative())
    {
        draft.note(ids.bedrooms_total, "unusual", &format!("{bedrooms} bedrooms"));
    }
    if let Some(year) = draft.number(ids.year_built).and_then(Decimal::to_integer)
        && !YEARS_BUILT.contains(&year)
    {
        draft.note(ids.year_built, "unusual", &format!("built in {year}"));
    }
    let parts = [
        ids.bathrooms_full,
        ids.bathrooms_half,
        ids.bathrooms_partial,
        ids.bathrooms_one_quarter,
        ids.bathrooms_three_quarter,
    ];
    let counted: Vec<i64> = parts.iter().filter_map(|f| draft.number(*f)?.to_integer()).collect();
    let sum = counted.iter().fold(0i64, |sum, n| sum.saturating_add(*n));
    if counted.is_empty() {
        return;
    }
    let Some(total) = draft.number(ids.bathrooms_total).and_then(Decimal::to_integer) else {
        return draft.set_number(ids.bathrooms_total, Decimal::whole(sum));
    };
    if sum != total {
        let message = format!("BathroomsTotalInteger is {total}, and its parts add up to {sum}");
        draft.note(ids.bathrooms_total, "bathrooms_disagree", &message);
    }
}

fn dates(draft: &mut Draft, ids: &Ids) {
    let (listed, closed) = (draft.text(ids.listing_contract_date), draft.text(ids.close_date));
    if let (Some(listed), Some(closed)) = (listed, closed)
        && closed < listed
    {
        let message = format!("closed on {closed}, before it was listed on {listed}");
        draft.note(ids.close_date, "dates_disagree", &message);
    }
}
