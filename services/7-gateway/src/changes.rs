//! Subscriptions: who watches what, and how a change of the read model reaches them.
//!
//! The view's thread makes one [`round::Round`] of each call it applied and gives it to the [`hub::Hub`]. The hub
//! keeps the last rounds in a ring, finds who watches with an index, and leaves a small note with each of them;
//! events themselves are made once, when the first stream wants them. A stream ([`stream`]) goes on from its notes,
//! or from the ring where it was too slow for notes or comes back with a position.

pub(crate) mod catch_up;
pub(crate) mod frames;
pub(crate) mod hub;
pub(crate) mod inbox;
pub(crate) mod index;
pub(crate) mod pages;
pub(crate) mod request;
pub(crate) mod ring;
pub(crate) mod round;
pub(crate) mod serve;
pub(crate) mod stream;
pub(crate) mod watch;

#[cfg(test)]
mod checked;

/// What the text says of `device=` and `listing=` belongs to [`request`]; most listings of one subscription.
pub(crate) const LISTINGS_MAX: usize = 100;
