//! the outside world -> listing.raw.
