//! What a request for changes asks for.

use axum::http::{HeaderMap, header};

use crate::changes::LISTINGS_MAX;
use crate::changes::watch::{Filter, Watch};
use crate::columns::key_hash;
use crate::position::Position;
use crate::query::{Parameters, Refusal};

/// Most events of one page.
pub(crate) const LIMIT_MAX: usize = 1_000;
/// Events of a page when nobody says how many.
pub(crate) const LIMIT: usize = 200;
/// Longest device id, and the shortest that is hard to guess.
pub(crate) const DEVICE: std::ops::RangeInclusive<usize> = 16..=62;

/// A request for changes.
#[derive(Debug)]
pub(crate) struct ChangesRequest {
    pub(crate) watch: Watch,
    pub(crate) from: Start,
    /// `Some` where a page is wanted and no stream.
    pub(crate) limit: Option<usize>,
}

/// Where to go on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Nowhere: from now on.
    Now,
    /// Start a position.
    At(Position),
    /// Start something that is no position of ours.
    Unknown,
}

/// Reads the query and the headers of `/changes`.
pub(crate) fn changes_request(query: &str, headers: &HeaderMap) -> Result<ChangesRequest, Refusal> {
    let parameters =
        Parameters::read(query, &["listing", "device", "from", "since", "limit", "listings"])?;
    let since = parameters.text("since");
    let limit = parameters.number("limit", "a whole number from 1 to 1000")?.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Refusal::bad("bad_limit", format!("limit must be from 1 to {LIMIT_MAX}")));
    }
    let watch = watch(&parameters)?;
    let last = headers.get("last-event-id").map(|id| id.to_str().unwrap_or_default());
    // A browser repeats the address it began with, and says in the header how far it came since.
    let from = match since.or(last).or(parameters.text("from")) {
        None | Some("") => Start::Now,
        Some(text) => Position::parse(text).map_or(Start::Unknown, Start::At),
    };
    let wants_json = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("application/json"));
    if wants_json && since.is_none() {
        return Err(Refusal::bad(
            "no_position",
            "pages need since=, the position of an earlier answer",
        ));
    }
    Ok(ChangesRequest { watch, from, limit: since.map(|_| limit) })
}

fn watch(parameters: &Parameters) -> Result<Watch, Refusal> {
    let listings = parameters.values("listing", LISTINGS_MAX)?;
    let device = parameters.text("device");
    if device.is_some_and(|d| !DEVICE.contains(&d.len())) {
        let message = "device must be the part of your command ids before the last point, 16 to 62 characters";
        return Err(Refusal::bad("bad_device", message));
    }
    let filtered = parameters.filters();
    let filter = match parameters.text("listings") {
        None if listings.is_empty() || filtered => Some(Filter::new(parameters.query()?)),
        None | Some("none") => None,
        Some(_) => {
            return Err(Refusal::bad("bad_listings", "listings can only be `none`: results alone"));
        }
    };
    Ok(Watch {
        filter,
        listings: listings.iter().map(|key| key_hash(key)).collect(),
        device: device.map(key_hash),
    })
}
