//! Topic names, kinds (`ce_type`) and the schema version of the values on them.

/// Rows as their feed gave them: `ingest` ->. Key: `ListingKey`.
pub const LISTING_RAW: &str = "listing.raw";
/// Everything that anyone says about a listing: `normalize`, `gateway` ->. Key: `ListingKey`.
pub const LISTING_CHANGES: &str = "listing.changes";
/// The last version of each listing: `track` ->, compacted. Key: `ListingKey`.
pub const LISTING_CURRENT: &str = "listing.current";
/// What changed, event by event: `track` ->. Key: `ListingKey`.
pub const LISTING_EVENTS: &str = "listing.events";
/// Photos to fetch: `track` ->. Key: `ListingKey`.
pub const MEDIA_WANTED: &str = "media.wanted";
/// Photos that were stored: `photos` ->. Key: `ListingKey`.
pub const MEDIA_READY: &str = "media.ready";
/// What became of a user's command: `track` ->. Key: `ListingKey`.
pub const COMMAND_RESULTS: &str = "command.results";

/// Partitions of every topic that is keyed by `ListingKey`.
pub const LISTING_PARTITIONS: u16 = 8;
/// Schema version of every value this program writes; a message of a newer one is held, not guessed at.
pub const SCHEMA: u16 = 1;

/// Kind of a row that a feed holds.
pub const KIND_RAW_ROW: &str = "listing.raw.row";
/// Kind of the word that a feed no longer holds a row.
pub const KIND_RAW_ABSENT: &str = "listing.raw.absent";
/// Kind of a listing as a feed showed it, in RESO fields.
pub const KIND_OBSERVED: &str = "listing.observed";
/// Kind of the word that a feed no longer shows a listing.
pub const KIND_ABSENT: &str = "listing.absent";
/// Kind of what a user commanded about a listing.
pub const KIND_COMMAND: &str = "listing.command";
/// Kind of the last version of a listing.
pub const KIND_CURRENT: &str = "listing.current";
/// Kind of an event begins with this; its type follows.
pub const KIND_EVENT_PREFIX: &str = "listing.event.";
/// Kind of a request for photos.
pub const KIND_MEDIA_WANTED: &str = "media.wanted";
/// Kind of what became of a command.
pub const KIND_COMMAND_RESULT: &str = "command.result";
