//! listing.raw -> listing.changes.
