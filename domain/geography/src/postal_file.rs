//! GeoNames postal code files: the official tab-separated form, or CSV with a header; plain or in a zip file.

use std::io::{Cursor, Read};

use csv::StringRecord;

use crate::coordinates::examine;
use crate::{Country, GeographyError, MAX_FILE_BYTES, MAX_RECORDS, Region};

/// One record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) country: Country,
    /// Five digits as a number, or the area's three characters packed; see [`crate::postal_codes`].
    pub(crate) slot: usize,
    /// Whether the record is of the whole ZIP code or area, not of a single Canadian code in it.
    pub(crate) is_area: bool,
    pub(crate) point: (f64, f64),
    /// `None` for military post, whose codes belong to no state and lie anywhere in the world.
    pub(crate) region: Option<Region>,
    /// Whether the coordinates lie in the region, as far as its box can tell.
    pub(crate) is_placed: bool,
}

/// Where the columns are.
struct Columns {
    country: usize,
    code: usize,
    region: usize,
    lat: usize,
    lon: usize,
}

/// GeoNames' readme: country, postal code, place, then name and code of three levels, latitude, longitude, accuracy.
const OFFICIAL: Columns = Columns { country: 0, code: 1, region: 4, lat: 9, lon: 10 };

/// Reads all records of a file and hands each over. Records of other countries are passed over.
pub(crate) fn read(bytes: &[u8], mut take: impl FnMut(Option<Row>)) -> Result<(), GeographyError> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(GeographyError::TooLarge);
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return table(&unpack(bytes)?, &mut take);
    }
    table(bytes, &mut take)
}

/// The table in a zip file: its first `.csv` or `.txt` that is no readme.
fn unpack(bytes: &[u8]) -> Result<Vec<u8>, GeographyError> {
    let broken = |error: &dyn std::fmt::Display| GeographyError::Zip(error.to_string());
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| broken(&error))?;
    let is_table = |name: &str| {
        let name = name.to_ascii_lowercase();
        let ending = std::path::Path::new(&name)
            .extension()
            .is_some_and(|ending| ending == "csv" || ending == "txt");
        ending && !name.contains("readme")
    };
    let name = archive
        .file_names()
        .find(|name| is_table(name))
        .map(str::to_owned)
        .ok_or(GeographyError::NoTable)?;
    let file = archive.by_name(&name).map_err(|error| broken(&error))?;
    // The size in the header may lie: what counts is what comes out.
    let limit = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX);
    let mut table = Vec::new();
    file.take(limit + 1).read_to_end(&mut table).map_err(|error| broken(&error))?;
    if table.len() > MAX_FILE_BYTES { Err(GeographyError::TooLarge) } else { Ok(table) }
}

fn table(bytes: &[u8], take: &mut impl FnMut(Option<Row>)) -> Result<(), GeographyError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let first_line = bytes.split(|byte| *byte == b'\n').next().unwrap_or(&[]);
    let is_official = first_line.contains(&b'\t');
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(if is_official { b'\t' } else { b',' })
        .quoting(!is_official)
        .from_reader(bytes);
    let mut record = StringRecord::new();
    let mut columns = is_official.then_some(OFFICIAL);
    let mut count = 0usize;
    while next(&mut reader, &mut record)? {
        let Some(columns) = &columns else {
            columns = Some(header(&record)?);
            continue;
        };
        count += 1;
        if count > MAX_RECORDS {
            return Err(GeographyError::TooManyRecords { line: line_of(bytes, &record) });
        }
        let problem = |problem| GeographyError::Line { line: line_of(bytes, &record), problem };
        take(row(&record, columns).map_err(problem)?);
    }
    if columns.is_none() { Err(GeographyError::Column("country_code")) } else { Ok(()) }
}

/// The line on which a record begins. The reader counts from the end of the record before, so that blank lines
/// between them are to be added.
fn line_of(bytes: &[u8], record: &StringRecord) -> u64 {
    let Some(position) = record.position() else { return 0 };
    let start = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let blank =
        bytes.get(start..).unwrap_or(&[]).iter().take_while(|byte| matches!(byte, b'\n' | b'\r'));
    (position.line()..).nth(blank.filter(|byte| **byte == b'\n').count()).unwrap_or(0)
}

fn next(
    reader: &mut csv::Reader<&[u8]>,
    record: &mut StringRecord,
) -> Result<bool, GeographyError> {
    let line = reader.position().line();
    reader.read_record(record).map_err(|error| {
        let line = error.position().map_or(line, csv::Position::line);
        GeographyError::Line { line, problem: format!("not a record of text: {error}") }
    })
}

fn header(record: &StringRecord) -> Result<Columns, GeographyError> {
    let find = |names: &[&'static str]| {
        let known = |cell: &str| names.iter().any(|name| cell.trim().eq_ignore_ascii_case(name));
        record
            .iter()
            .position(known)
            .ok_or(GeographyError::Column(names.first().copied().unwrap_or("")))
    };
    Ok(Columns {
        country: find(&["country_code", "country"])?,
        code: find(&["zipcode", "postal_code", "postal code", "zip"])?,
        region: find(&["state_code", "admin_code1", "admin code1"])?,
        lat: find(&["latitude", "lat"])?,
        lon: find(&["longitude", "lon", "lng"])?,
    })
}

/// One record; `Ok(None)` where it is of another country.
fn row(record: &StringRecord, columns: &Columns) -> Result<Option<Row>, String> {
    let cell = |at: usize, name: &str| {
        record.get(at).map(str::trim).ok_or_else(|| format!("there is no {name}"))
    };
    let country = match cell(columns.country, "country code")? {
        "US" => Country::Us,
        "CA" => Country::Ca,
        code if code.len() == 2 => return Ok(None),
        other => return Err(format!("{} is no country code of two letters", shorten(other))),
    };
    let code = cell(columns.code, "postal code")?;
    let slot = crate::postal_codes::slot(country, code)
        .ok_or_else(|| format!("{} is no postal code of its country", shorten(code)))?;
    let degrees = |at: usize, name: &str| {
        let text = cell(at, name)?;
        text.parse::<f64>().map_err(|_| format!("the {name} {} is no number", shorten(text)))
    };
    let point = (degrees(columns.lat, "latitude")?, degrees(columns.lon, "longitude")?);
    if !(point.0.abs() <= 90.0 && point.1.abs() <= 180.0) {
        return Err(format!(
            "latitude {} and longitude {} are no place on Earth",
            point.0, point.1
        ));
    }
    let region = Region::parse(cell(columns.region, "state code")?);
    let is_placed = examine(point.0, point.1).is_none()
        && region.is_none_or(|region| {
            region.box_holds(point.0, point.1, crate::regions::MARGIN_DEGREES)
        });
    Ok(Some(Row { country, slot, is_area: code.len() <= 5, point, region, is_placed }))
}

/// A cell as a message may show it.
fn shorten(text: &str) -> String {
    let short: String = text.chars().take(24).collect();
    format!("{short:?}")
}
