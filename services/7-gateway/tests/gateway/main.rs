//! The gateway as its clients see it, over a real port; and its read model as it stands in the file.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "a test that cannot go on should stop"
)]

mod api;
mod live;
mod operation;
mod oracle;
mod privacy;
mod rebuild;
mod world;
