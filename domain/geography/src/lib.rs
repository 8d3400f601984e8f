//! Places: postal-code centroids, provinces and states, each with its uncertainty.
//!
//! Two tables answer all questions, and both are read from bytes that the caller brings:
//!
//! - [`PostalCodes`]: GeoNames postal code files. [`PostalCodes::centroid`] places a listing that came without
//!   coordinates and says how far off that may be.
//! - [`Boundaries`]: states and provinces. [`Boundaries::built_in`] knows their bounding boxes and needs no file;
//!   [`Boundaries::read`] takes outlines in GeoJSON. [`Boundaries::check`] compares coordinates with a stated region.
//!
//! [`examine`] names the usual faults of coordinates before either is asked.
//!
//! All lookups are deterministic, allocate nothing and do no input or output. Coordinates are WGS 84 degrees,
//! latitude first; distances are metres.

mod boundaries;
mod coordinates;
mod error;
mod neighbours;
mod outline;
mod postal_codes;
mod postal_file;
mod regions;

pub use boundaries::{Agreement, Boundaries};
pub use coordinates::{Finding, distance_m, examine};
pub use error::GeographyError;
pub use postal_codes::{Method, Place, PostalCodes, Summary};
pub use regions::Region;

/// The countries this crate knows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Country {
    /// The United States.
    Us,
    /// Canada.
    Ca,
}

/// A file above this size is refused before it is read: GeoNames' largest is a sixth of it.
pub const MAX_FILE_BYTES: usize = 128 << 20;

/// A postal code file with more records than this is refused; all of Canada's full codes are 900 thousand.
pub const MAX_RECORDS: usize = 2_000_000;

/// Outlines with more points than this in all are refused.
pub const MAX_POINTS: usize = 4_000_000;
