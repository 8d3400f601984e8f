//! Entries for fuzzing: any bytes are read to their end, without a panic.

use super::{Decoder, Item, Shape};
use crate::config::{Encoding, Format};
use crate::plan::{KeyTemplate, RowPlan};
use crate::window::Window;

/// For fuzzing: reads any bytes as a CSV file to its end. Returns rows and faults of rows.
#[must_use]
pub fn fuzz_csv(bytes: &[u8]) -> (u64, u64) {
    let plan =
        RowPlan { pack: "fuzz".to_owned(), columns: Vec::new(), key: KeyTemplate::column("a") };
    let format = Format::Csv { delimiter: b',', encoding: Encoding::Auto };
    count(bytes, Shape { format, row_bytes_max: 1 << 10, plan })
}

/// For fuzzing: reads any bytes as JSON Lines to their end. Returns rows and faults of rows.
#[must_use]
pub fn fuzz_json_lines(bytes: &[u8]) -> (u64, u64) {
    let plan =
        RowPlan { pack: "fuzz".to_owned(), columns: Vec::new(), key: KeyTemplate::column("a.b") };
    count(bytes, Shape { format: Format::JsonLines, row_bytes_max: 1 << 10, plan })
}

fn count(bytes: &[u8], shape: Shape) -> (u64, u64) {
    let (mut rows, mut faults) = (0, 0);
    let Ok(mut decoder) = Decoder::open(Window::over(bytes, "fuzz"), shape, "fuzz") else {
        return (0, 0);
    };
    let (mut out, mut key) = (Vec::new(), Vec::new());
    while let Ok(item) = decoder.next() {
        match item {
            Item::End => break,
            Item::Blank | Item::Skipped => continue,
            Item::Bad(_) => faults += 1,
            Item::Row => {
                out.clear();
                key.clear();
                match decoder.row(&mut out, &mut key) {
                    Ok(()) => rows += 1,
                    Err(_) => faults += 1,
                }
            }
        }
        decoder.advance();
    }
    (rows, faults)
}
