//! Why a file could not be read.

use crate::{MAX_FILE_BYTES, MAX_POINTS, MAX_RECORDS};

/// Why a file of places could not be read. Nothing of such a file is used.
#[derive(Debug, thiserror::Error)]
pub enum GeographyError {
    /// The file, or what is packed in it, is larger than [`MAX_FILE_BYTES`].
    #[error(
        "the file is larger than {MAX_FILE_BYTES} bytes; give a file for the United States or Canada only"
    )]
    TooLarge,
    /// More than [`MAX_RECORDS`] records.
    #[error(
        "line {line}: the file has more than {MAX_RECORDS} records; give one country's file at a time"
    )]
    TooManyRecords {
        /// The line of the first record too many.
        line: u64,
    },
    /// More than [`MAX_POINTS`] points.
    #[error("the outlines have more than {MAX_POINTS} points; give a simplified file")]
    TooManyPoints,
    /// Not a zip file after all, or damaged.
    #[error("the zip file cannot be read ({0}); download it again")]
    Zip(String),
    /// A zip file without a table in it.
    #[error("the zip file holds no .csv or .txt table of postal codes")]
    NoTable,
    /// Neither a header that is known nor the official tab-separated form.
    #[error(
        "line 1: there is no column {0}; expected GeoNames' tab-separated file, or a CSV file with that header"
    )]
    Column(&'static str),
    /// A line that is no record.
    #[error("line {line}: {problem}")]
    Line {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The outlines are not GeoJSON.
    #[error("the boundaries are no GeoJSON feature collection: {0}")]
    GeoJson(String),
    /// An outline that cannot be one.
    #[error("boundary feature {index} ({name}): {problem}")]
    Feature {
        /// Its place in the file, from 1.
        index: usize,
        /// Its ISO 3166-2 code as the file has it.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}
