//! The input of benchmarks: one large file, streamed, the same for everyone with the same seed.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::market::{Market, MarketConfig};

/// The moment of the inventory in benchmark files: 2026-01-01 UTC.
pub const BENCHMARK_START_MS: i64 = 1_767_225_600_000;

/// Rows are handed to the file system in pieces of about this many bytes.
const WRITE_BYTES: usize = 1 << 18;

/// Writes `listings` rows (no faults, no changes) of the market of `seed` to `path`, about 1 KiB each, and returns the number of bytes.
/// Memory does not grow with their number.
///
/// # Errors
/// What the file system says.
pub fn write_benchmark_file(path: &Path, seed: u64, listings: u64) -> std::io::Result<u64> {
    let mut file = File::create(path)?;
    write_benchmark_rows(&mut file, seed, listings)
}

/// Writes the rows of [`write_benchmark_file`] to anything that takes bytes.
///
/// # Errors
/// What `sink` says.
pub fn write_benchmark_rows(
    sink: &mut impl Write,
    seed: u64,
    listings: u64,
) -> std::io::Result<u64> {
    let market = Market::new(MarketConfig { seed, listings, start_ms: BENCHMARK_START_MS });
    let mut buffer = Vec::with_capacity(WRITE_BYTES + 4_096);
    let mut bytes = 0;
    for place in 0..listings {
        market.write_first_line(place, &mut buffer);
        if buffer.len() >= WRITE_BYTES {
            sink.write_all(&buffer)?;
            bytes += buffer.len();
            buffer.clear();
        }
    }
    sink.write_all(&buffer)?;
    sink.flush()?;
    Ok(u64::try_from(bytes + buffer.len()).unwrap_or(u64::MAX))
}
