//! Where a postal code is: ZIP code and forward sortation area centroids, each with how far off it may be.

use crate::coordinates::distance_m;
use crate::neighbours::Neighbours;
use crate::postal_file::{self, Row};
use crate::{Country, GeographyError, Region};

/// How a place was found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Method {
    /// The source gave the coordinates.
    Feed,
    /// The centroid of a ZIP code.
    PostalCode,
    /// The centroid of a Canadian forward sortation area, the first three characters of the postal code.
    Fsa,
    /// The centre of the state or province.
    Region,
}

impl Method {
    /// The name by which messages carry it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Feed => "feed",
            Self::PostalCode => "postal_code",
            Self::Fsa => "fsa",
            Self::Region => "region",
        }
    }
}

/// A point on the map and how far the home may be from it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Place {
    /// Latitude in degrees, WGS 84.
    pub lat: f64,
    /// Longitude in degrees, WGS 84.
    pub lon: f64,
    /// How it was found.
    pub method: Method,
    /// The radius in metres that holds about nineteen of twenty homes so placed.
    pub uncertainty_m: f64,
    /// The state or province of the postal code, to compare with the stated one.
    pub region: Option<Region>,
}

/// Listings are geocoded to a rooftop, a parcel or along a street: within about a block.
const FEED_UNCERTAINTY_M: f64 = 100.0;

impl Place {
    /// Coordinates that a source gave. Look at them with [`crate::examine`] first.
    pub const fn of_feed(lat: f64, lon: f64) -> Self {
        Self { lat, lon, method: Method::Feed, uncertainty_m: FEED_UNCERTAINTY_M, region: None }
    }

    /// The centre of a state or province, for a listing that says no more. Its uncertainty is the distance to the
    /// farthest corner of the region's bounding box.
    pub fn of_region(region: Region) -> Self {
        let (lat, lon) = region.centre();
        let uncertainty_m = region
            .corners()
            .into_iter()
            .map(|corner| distance_m((lat, lon), corner))
            .fold(0.0, f64::max);
        Self { lat, lon, method: Method::Region, uncertainty_m, region: Some(region) }
    }
}

/// What a file held.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Records read.
    pub records: usize,
    /// ZIP codes kept.
    pub zip_codes: usize,
    /// Forward sortation areas kept.
    pub areas: usize,
    /// Records whose code an earlier record had too. Their points are averaged.
    pub duplicates: usize,
    /// Records without a state: military post, which is not on this continent. Left out.
    pub without_state: usize,
    /// Records whose point does not lie in their own state (Santa Claus lives at the pole). Left out.
    pub misplaced: usize,
    /// Records of other countries, passed over.
    pub other_countries: usize,
}

/// The centroids of one or more files.
#[derive(Clone, Debug, Default)]
pub struct PostalCodes {
    /// By [`slot`]: one more than the place in `entries`, or 0. A look is one step into this table.
    index: Vec<u32>,
    entries: Vec<Entry>,
    summary: Summary,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    lat: f64,
    lon: f64,
    uncertainty_m: f64,
    region: Region,
}

/// ZIP codes take the numbers below this; forward sortation areas follow.
const ZIPS: usize = 100_000;
const SLOTS: usize = ZIPS + 26 * 10 * 26;

/// The number of a code: of a ZIP code its first five digits, of a Canadian code its first three characters.
/// `None` where the text is no code of `country`.
pub(crate) fn slot(country: Country, code: &str) -> Option<usize> {
    let bytes = code.as_bytes();
    let digit = |byte: u8| byte.is_ascii_digit().then(|| usize::from(byte - b'0'));
    let letter = |byte: u8| {
        byte.is_ascii_alphabetic().then(|| usize::from(byte.to_ascii_uppercase() - b'A'))
    };
    match (country, bytes) {
        (Country::Us, [five @ .., b'-', _, _, _, _] | five) if five.len() == 5 => {
            five.iter().try_fold(0, |sum, byte| digit(*byte).map(|digit| sum * 10 + digit))
        }
        (Country::Ca, [a, b, c, rest @ ..]) if matches!(rest.len(), 0 | 3 | 4) => {
            Some(ZIPS + (letter(*a)? * 10 + digit(*b)?) * 26 + letter(*c)?)
        }
        _ => None,
    }
}

impl PostalCodes {
    /// Reads GeoNames files: the official tab-separated form or CSV with a header, plain or zipped. Several files
    /// (`US.zip` and `CA.zip`) become one table.
    ///
    /// # Errors
    /// [`GeographyError`] with the line where a record is no record. Records that are sound but of no use (military
    /// post, other countries, points outside their own state) are counted in [`PostalCodes::summary`] instead.
    pub fn read<'a>(files: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, GeographyError> {
        let mut gathered =
            Gathered { seen: vec![false; SLOTS], rows: Vec::new(), summary: Summary::default() };
        for file in files {
            postal_file::read(file, |row| gathered.take(row))?;
        }
        Ok(gathered.into_codes())
    }

    /// The centroid of a postal code (`98178`, `98178-1234`, `T2P`, `T2P 1A1`) and how far off it may be.
    pub fn centroid(&self, country: Country, code: &str) -> Option<Place> {
        let at = usize::try_from(*self.index.get(slot(country, code)?)?).ok()?.checked_sub(1)?;
        let Entry { lat, lon, uncertainty_m, region } = *self.entries.get(at)?;
        let method = if country == Country::Us { Method::PostalCode } else { Method::Fsa };
        Some(Place { lat, lon, method, uncertainty_m, region: Some(region) })
    }

    /// What the files held.
    pub const fn summary(&self) -> Summary {
        self.summary
    }
}

struct Gathered {
    seen: Vec<bool>,
    rows: Vec<(Row, Region)>,
    summary: Summary,
}

impl Gathered {
    fn take(&mut self, row: Option<Row>) {
        self.summary.records += 1;
        let Some(row) = row else {
            self.summary.other_countries += 1;
            return;
        };
        if let Some(seen) = self.seen.get_mut(row.slot) {
            self.summary.duplicates += usize::from(std::mem::replace(seen, true));
        }
        match row.region {
            None => self.summary.without_state += 1,
            Some(_) if !row.is_placed => self.summary.misplaced += 1,
            Some(region) => self.rows.push((row, region)),
        }
    }

    fn into_codes(mut self) -> PostalCodes {
        // Stable, so that among equal codes the file's order decides which state is named.
        self.rows.sort_by_key(|(row, _)| row.slot);
        let (mut merged, mut points): (Vec<Merged>, [Vec<(f64, f64)>; 2]) =
            (Vec::new(), [Vec::new(), Vec::new()]);
        for same in self.rows.chunk_by(|(a, _), (b, _)| a.slot == b.slot) {
            let Some(one) = Merged::of(same) else { continue };
            let [us, ca] = &mut points;
            if one.country == Country::Us {
                us.push(one.point)
            } else {
                ca.push(one.point)
            }
            merged.push(one);
        }
        let [us, ca] = &points;
        self.summary.zip_codes = us.len();
        self.summary.areas = ca.len();
        let (us, ca) = (Neighbours::new(us), Neighbours::new(ca));
        let mut codes =
            PostalCodes { index: vec![0; SLOTS], entries: Vec::new(), summary: self.summary };
        for one in merged {
            let neighbours = if one.country == Country::Us { &us } else { &ca };
            codes.add(one.slot, one.entry(neighbours));
        }
        codes
    }
}

impl PostalCodes {
    fn add(&mut self, slot: usize, entry: Entry) {
        self.entries.push(entry);
        if let (Some(place), Ok(count)) =
            (self.index.get_mut(slot), u32::try_from(self.entries.len()))
        {
            *place = count;
        }
    }
}

/// All records of one code.
struct Merged {
    slot: usize,
    country: Country,
    point: (f64, f64),
    /// How far its records lie from their mean.
    spread_m: f64,
    region: Region,
}

impl Merged {
    fn of(same: &[(Row, Region)]) -> Option<Self> {
        // The record of the area itself wins over those of single codes in it.
        let any_area = same.iter().any(|(row, _)| row.is_area);
        let same: Vec<&(Row, Region)> =
            same.iter().filter(|(row, _)| row.is_area || !any_area).collect();
        let (first, region) = same.first()?;
        let count = f64::from(u32::try_from(same.len()).ok()?);
        let mean =
            |pick: fn(&Row) -> f64| same.iter().map(|(row, _)| pick(row)).sum::<f64>() / count;
        let point = (mean(|row| row.point.0), mean(|row| row.point.1));
        let spread_m = same.iter().map(|(row, _)| distance_m(point, row.point)).fold(0.0, f64::max);
        Some(Self { slot: first.slot, country: first.country, point, spread_m, region: *region })
    }

    /// The area of a code reaches about as far as its neighbours' centroids. Codes for post office boxes share the
    /// centroid of the code around them and tell nothing, so only points 500 m apart count, and of those the third
    /// nearest, because one or two may be such codes a little off. On the 21,613 house sales of King County, WA, a
    /// radius of that distance and a fifth more holds 97 of 100 homes. For Canada there is no such sample, and the
    /// points are worse: of Calgary's 35 areas four are 15 to 27 km from where they belong. The stretch covers those.
    fn entry(&self, neighbours: &Neighbours<'_>) -> Entry {
        const APART_M: f64 = 500.0;
        const RANK: usize = 3;
        let stretch = if self.country == Country::Us { 1.2 } else { 2.2 };
        let reach_m = neighbours.distance_m(self.point, RANK, APART_M) * stretch;
        let (lat, lon) = self.point;
        Entry { lat, lon, uncertainty_m: (reach_m + self.spread_m).round(), region: self.region }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "country_code,zipcode,place,state,state_code,latitude,longitude\n";

    fn read(text: &str) -> Result<PostalCodes, GeographyError> {
        PostalCodes::read([text.as_bytes()])
    }

    #[test]
    fn both_forms_are_read() {
        let csv = format!("{HEADER}US,98178,Seattle,Washington,WA,47.4985,-122.2435\n");
        let tab = "US\t98178\tSeattle\tWashington\tWA\tKing\t033\t\t\t47.4985\t-122.2435\t4\n";
        for text in [csv.as_str(), tab] {
            let found = read(text).unwrap().centroid(Country::Us, "98178-1000").unwrap();
            assert_eq!(
                (found.lat, found.lon, found.method.name()),
                (47.4985, -122.2435, "postal_code")
            );
            assert_eq!(found.region.map(Region::code), Some("WA"));
        }
    }

    #[test]
    fn useless_records_are_counted_and_left_out() {
        let codes = read(&format!(
            "{HEADER}US,96860,Jbphh,Hawaii,HI,21.316,-157.8677\nUS,96860,FPO AA,,,21.3448,-157.9774\n\
             US,09001,APO AA,,,38.1105,15.6613\nCA,H0H,Reserved (Santa Claus),Quebec,QC,90,0\n\
             CA,L9X,Barrie,Ontario,ON,44.40,-79.66\nCA,L9X,Midhurst,Ontario,ON,44.44,-79.73\nDE,10115,Berlin,,,52,13\n\
             US,98178,Seattle,Washington,WA,47.5,122.2\n"
        ))
        .unwrap();
        let expected = Summary {
            records: 8,
            zip_codes: 1,
            areas: 1,
            duplicates: 2,
            without_state: 2,
            misplaced: 2,
            other_countries: 1,
        };
        assert_eq!(codes.summary(), expected);
        let area = codes.centroid(Country::Ca, "l9x 1a1").unwrap();
        assert!((area.lat - 44.42).abs() < 1e-9 && area.method == Method::Fsa);
        for (country, code) in [
            (Country::Us, "09001"),
            (Country::Ca, "H0H"),
            (Country::Us, "L9X"),
            (Country::Ca, "98178"),
            (Country::Us, ""),
            (Country::Ca, "L9X1"),
        ] {
            assert_eq!(codes.centroid(country, code), None, "{code}");
        }
    }

    #[test]
    fn errors_name_the_line() {
        for (text, expected) in [
            ("", "there is no column country_code"),
            ("a,b,c\n", "there is no column country_code"),
            (
                &format!("{HEADER}US,9817,Seattle,Washington,WA,47.5,-122.2\n"),
                "line 2: \"9817\" is no postal code",
            ),
            (
                &format!("{HEADER}US,98178,Seattle,Washington,WA,north,-122.2\n"),
                "line 2: the latitude \"north\" is no number",
            ),
            (
                &format!("{HEADER}\nUS,98178,Seattle,Washington,WA,47.5\n"),
                "line 3: there is no longitude",
            ),
            (
                &format!("{HEADER}US,98178,Seattle,Washington,WA,NaN,-122.2\n"),
                "line 2: latitude NaN",
            ),
            (
                &format!("{HEADER}nowhere,98178,Seattle,Washington,WA,1,2\n"),
                "line 2: \"nowhere\" is no country code",
            ),
            ("PK\u{3}\u{4} and no more", "the zip file cannot be read"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error} should say {expected}");
        }
    }

    #[test]
    fn a_place_can_come_from_the_feed_or_the_region() {
        assert_eq!(Place::of_feed(51.0, -114.0).method.name(), "feed");
        let alberta = Place::of_region(Region::parse("AB").unwrap());
        assert!((500_000.0..1_000_000.0).contains(&alberta.uncertainty_m), "{alberta:?}");
    }
}
