//! listing.changes -> listing.current, listing.events, media.wanted.
