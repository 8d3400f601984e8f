//! Which state or province a point is in, and whether that is the stated one.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};

use crate::coordinates::{Finding, examine};
use crate::outline::Outline;
use crate::regions::{MARGIN_DEGREES, Region};
use crate::{GeographyError, MAX_FILE_BYTES, MAX_POINTS};

/// How coordinates and a stated region fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Agreement {
    /// The point is in the region.
    Inside,
    /// The point is outside, but by no more than the outlines are wrong themselves: see [`LAND_TOLERANCE_M`].
    NearBorder,
    /// The point is not in the region.
    Outside {
        /// The region it is in, where that is known.
        found: Option<Region>,
    },
    /// Cannot be told: the coordinates are none, or without outlines the boxes of several regions hold the point.
    Unknown,
}

/// Outlines at 1:50m cut corners, and their points are rounded to 4 decimals (11 m). Of 11,901 ZIP code and FSA
/// centroids 1.4 % lie more than 1 km outside their own state's outline, 0.1 % more than 5 km.
const LAND_TOLERANCE_M: f64 = 5_000.0;

/// Where no other region holds the point it is off a coast, and small islands are not drawn at all: the farthest
/// inhabited ones (Tangier Sound, Penobscot Bay) are 15 km from the outline.
const COAST_TOLERANCE_M: f64 = 16_000.0;

/// The regions' outlines, or only their boxes.
#[derive(Clone, Debug)]
pub struct Boundaries {
    /// By [`Region::index`]; `None` where no outline was given.
    outlines: Vec<Option<Outline>>,
}

impl Boundaries {
    /// Bounding boxes only. They tell that a point is not in a region, and that it is where no other box overlaps.
    pub fn built_in() -> Self {
        Self { outlines: Region::all().map(|_| None).collect() }
    }

    /// Reads outlines from a GeoJSON feature collection of polygons and multipolygons in WGS 84, whose features have
    /// the property `iso_3166_2` (`CA-AB`). Features of other countries are passed over; regions without a feature
    /// keep their boxes.
    ///
    /// # Errors
    /// [`GeographyError`] where the file is too large, no GeoJSON, or an outline is none.
    pub fn read(bytes: &[u8]) -> Result<Self, GeographyError> {
        if bytes.len() > MAX_FILE_BYTES {
            return Err(GeographyError::TooLarge);
        }
        let collection: Collection = serde_json::from_slice(bytes)
            .map_err(|error| GeographyError::GeoJson(error.to_string()))?;
        let mut boundaries = Self::built_in();
        let mut points = 0;
        for (index, feature) in collection.features.into_iter().enumerate() {
            points += feature.geometry.rings().map(Vec::len).sum::<usize>();
            if points > MAX_POINTS {
                return Err(GeographyError::TooManyPoints);
            }
            boundaries.add(index + 1, feature)?;
        }
        if boundaries.outlines.iter().all(Option::is_none) {
            return Err(GeographyError::GeoJson(
                "no feature has iso_3166_2 of a US or Canadian region".to_owned(),
            ));
        }
        Ok(boundaries)
    }

    fn add(&mut self, index: usize, feature: Feature) -> Result<(), GeographyError> {
        let Some(region) = feature.region() else { return Ok(()) };
        let rings = feature.geometry.rings();
        let rings: Vec<Vec<(f64, f64)>> = rings
            .map(|ring| ring.iter().map(|Position(lon, lat)| (*lat, *lon)).collect())
            .collect();
        if let Some(problem) = fault(&rings) {
            return Err(GeographyError::Feature {
                index,
                name: feature.properties.iso_3166_2,
                problem,
            });
        }
        if let Some(outline) = self.outlines.get_mut(region.index()) {
            *outline = Some(Outline::new(&rings));
        }
        Ok(())
    }

    /// How many regions have an outline.
    pub fn outlines(&self) -> usize {
        self.outlines.iter().flatten().count()
    }

    /// Whether a point lies in the region that its listing states.
    pub fn check(&self, lat: f64, lon: f64, stated: Region) -> Agreement {
        match self.outline(stated) {
            Some(outline) if outline.holds(lat, lon) => Agreement::Inside,
            outline => match examine(lat, lon) {
                Some(Finding::NotANumber | Finding::ZeroZero | Finding::OutOfRange) => {
                    Agreement::Unknown
                }
                Some(_) => Agreement::Outside { found: None },
                None => outline.map_or_else(
                    || self.check_box(lat, lon, stated),
                    |outline| self.check_outside(lat, lon, stated, outline),
                ),
            },
        }
    }

    /// The region that holds a point; without outlines, where only one box does.
    pub fn locate(&self, lat: f64, lon: f64) -> Option<Region> {
        let drawn = Region::all()
            .find(|region| self.outline(*region).is_some_and(|outline| outline.holds(lat, lon)));
        drawn.or_else(|| {
            let mut boxes = Region::all().filter(|region| region.box_holds(lat, lon, 0.0));
            let first = boxes.next().filter(|first| self.outline(*first).is_none());
            first.filter(|_| boxes.next().is_none())
        })
    }

    fn outline(&self, region: Region) -> Option<&Outline> {
        self.outlines.get(region.index()).and_then(Option::as_ref)
    }

    fn check_outside(&self, lat: f64, lon: f64, stated: Region, outline: &Outline) -> Agreement {
        let distance_m = outline.distance_m(lat, lon, COAST_TOLERANCE_M);
        if distance_m.is_some_and(|distance_m| distance_m <= LAND_TOLERANCE_M) {
            return Agreement::NearBorder;
        }
        let found = self.locate(lat, lon);
        // The outlines end at the 180th meridian, Alaska does not.
        let beyond = lon > 0.0 && stated.box_holds(lat, lon, 0.0);
        if beyond || (found.is_none() && distance_m.is_some()) {
            return Agreement::NearBorder;
        }
        Agreement::Outside { found }
    }

    fn check_box(&self, lat: f64, lon: f64, stated: Region) -> Agreement {
        if !stated.box_holds(lat, lon, MARGIN_DEGREES) {
            return Agreement::Outside { found: self.locate(lat, lon) };
        }
        if !stated.box_holds(lat, lon, 0.0) {
            return Agreement::NearBorder;
        }
        let drawn =
            |region: Region| self.outline(region).is_some_and(|outline| !outline.holds(lat, lon));
        let alone = Region::all().all(|region| {
            region == stated || drawn(region) || !region.box_holds(lat, lon, MARGIN_DEGREES)
        });
        if alone { Agreement::Inside } else { Agreement::Unknown }
    }
}

/// Why rings are no outline.
fn fault(rings: &[Vec<(f64, f64)>]) -> Option<&'static str> {
    let on_earth = |(lat, lon): &(f64, f64)| lat.abs() <= 90.0 && lon.abs() <= 180.0;
    if rings.is_empty() {
        Some("has no polygon")
    } else if rings.iter().any(|ring| ring.len() < 4) {
        Some("a ring has fewer than four points")
    } else if !rings.iter().flatten().all(on_earth) {
        Some("a point is not on Earth; positions are longitude, latitude in degrees")
    } else {
        None
    }
}

#[derive(Deserialize)]
struct Collection {
    features: Vec<Feature>,
}

#[derive(Deserialize)]
struct Feature {
    properties: Properties,
    geometry: Geometry,
}

#[derive(Deserialize)]
struct Properties {
    #[serde(default)]
    iso_3166_2: String,
}

#[derive(Deserialize)]
#[serde(tag = "type", content = "coordinates")]
enum Geometry {
    Polygon(Vec<Vec<Position>>),
    MultiPolygon(Vec<Vec<Vec<Position>>>),
}

impl Feature {
    fn region(&self) -> Option<Region> {
        let (country, code) = self.properties.iso_3166_2.split_once('-')?;
        matches!(country, "US" | "CA").then(|| Region::parse(code)).flatten()
    }
}

impl Geometry {
    fn rings(&self) -> Box<dyn Iterator<Item = &Vec<Position>> + '_> {
        match self {
            Self::Polygon(rings) => Box::new(rings.iter()),
            Self::MultiPolygon(polygons) => Box::new(polygons.iter().flatten()),
        }
    }
}

/// Longitude and latitude; an altitude behind them is passed over.
struct Position(f64, f64);

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pair;
        impl<'de> Visitor<'de> for Pair {
            type Value = Position;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a position: longitude, latitude")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Position, A::Error> {
                let missing = |at| serde::de::Error::invalid_length(at, &self);
                let lon = parts.next_element()?.ok_or_else(|| missing(0))?;
                let lat = parts.next_element()?.ok_or_else(|| missing(1))?;
                while parts.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Position(lon, lat))
            }
        }
        deserializer.deserialize_seq(Pair)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(code: &str) -> Region {
        Region::parse(code).unwrap()
    }

    /// Utah and Nevada as two rectangles side by side.
    const TWO: &str = r#"{"type":"FeatureCollection","features":[
        {"type":"Feature","properties":{"iso_3166_2":"US-UT"},"geometry":{"type":"Polygon","coordinates":
            [[[-114.05,37.0,1.5],[-109.05,37.0],[-109.05,42.0],[-114.05,42.0],[-114.05,37.0]]]}},
        {"type":"Feature","properties":{"iso_3166_2":"US-NV"},"geometry":{"type":"MultiPolygon","coordinates":
            [[[[-120.0,37.0],[-114.05,37.0],[-114.05,42.0],[-120.0,42.0],[-120.0,37.0]]]]}},
        {"type":"Feature","properties":{"iso_3166_2":"MX-SON"},"geometry":{"type":"Polygon","coordinates":[]}}]}"#;

    #[test]
    fn outlines_decide() {
        let boundaries = Boundaries::read(TWO.as_bytes()).unwrap();
        assert_eq!(boundaries.outlines(), 2);
        for (lat, lon, stated, expected) in [
            (40.76, -111.89, "UT", Agreement::Inside),
            (40.76, -111.89, "NV", Agreement::Outside { found: Some(region("UT")) }),
            (40.76, -114.06, "UT", Agreement::NearBorder),
            (40.76, -114.20, "UT", Agreement::Outside { found: Some(region("NV")) }),
            (0.0, 0.0, "UT", Agreement::Unknown),
            (f64::NAN, 1.0, "UT", Agreement::Unknown),
            (951.0, 1.0, "UT", Agreement::Unknown),
            (40.76, 111.89, "UT", Agreement::Outside { found: None }),
        ] {
            assert_eq!(
                boundaries.check(lat, lon, region(stated)),
                expected,
                "{lat} {lon} {stated}"
            );
        }
    }

    #[test]
    fn boxes_deny_and_confirm_only_where_alone() {
        let boundaries = Boundaries::built_in();
        for (lat, lon, stated, expected) in [
            (51.05, -114.07, "AB", Agreement::Unknown),
            (39.0, -105.5, "CO", Agreement::Inside),
            (51.05, -114.07, "SK", Agreement::Outside { found: None }),
            (21.3, -157.86, "AB", Agreement::Outside { found: Some(region("HI")) }),
            (18.34, -64.9, "VI", Agreement::Inside),
            (48.99, -100.0, "SK", Agreement::Outside { found: None }),
            (48.9, -105.0, "SK", Agreement::NearBorder),
            (52.9, 172.9, "AK", Agreement::Inside),
        ] {
            assert_eq!(
                boundaries.check(lat, lon, region(stated)),
                expected,
                "{lat} {lon} {stated}"
            );
        }
    }

    #[test]
    fn bad_outlines_are_refused() {
        for (text, expected) in [
            ("", "no GeoJSON"),
            (r#"{"features":[]}"#, "no feature"),
            (
                r#"{"features":[{"properties":{"iso_3166_2":"US-UT"},"geometry":{"type":"Point","coordinates":[1,2]}}]}"#,
                "no GeoJSON",
            ),
            (
                r#"{"features":[{"properties":{"iso_3166_2":"US-UT"},"geometry":{"type":"Polygon","coordinates":[[[1,2],[2,3]]]}}]}"#,
                "feature 1 (US-UT): a ring has fewer",
            ),
            (
                r#"{"features":[{"properties":{"iso_3166_2":"US-UT"},"geometry":{"type":"Polygon","coordinates":[[[1,200],[2,3],[3,4],[1,200]]]}}]}"#,
                "not on Earth",
            ),
            (
                r#"{"features":[{"properties":{"iso_3166_2":"US-UT"},"geometry":{"type":"Polygon","coordinates":[[[1]]]}}]}"#,
                "no GeoJSON",
            ),
        ] {
            let error = Boundaries::read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error} should say {expected}");
        }
    }
}
