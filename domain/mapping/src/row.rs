//! One row -> one listing: RESO fields in their one form, sorted by name, with notes on what a person should know.

use std::borrow::Cow;
use std::sync::Arc;

use address::{Address, PostalCode};
use geography::{Agreement, Boundaries, Place, PostalCodes, Region};
use messages::Decimal;
use messages::fields::FieldId;
use messages::json::{self, Value, write_name, write_str, write_u64};
use messages::notes::{NOTES_MAX, Note};

use crate::convert::{Convert, Done, Problem, array_items, list, media, number, table_key};
use crate::fault::{Fault, shown};
use crate::pack::{AddressRule, LinePart, Pack, Rule, Unknown};

/// Most columns of one row that are looked at.
const COLUMNS_MAX: usize = 2_000;

/// Where places come from; cheap to clone.
#[derive(Clone)]
pub struct Places {
    postal_codes: Arc<PostalCodes>,
    boundaries: Arc<Boundaries>,
}

impl Places {
    /// Postal codes for listings without coordinates, boundaries to check those that have some.
    #[must_use]
    pub fn new(postal_codes: PostalCodes, boundaries: Boundaries) -> Self {
        Self { postal_codes: Arc::new(postal_codes), boundaries: Arc::new(boundaries) }
    }
}

/// What a row became.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapped {
    /// A JSON object of RESO fields, sorted by name, each value in its one form.
    pub listing: Vec<u8>,
    /// What a person should know.
    pub notes: Vec<Note>,
    /// When the source says that the row is from, a moment in its fixed form.
    pub source_timestamp: Option<String>,
}

/// Maps the rows of one feed. Buffers are used again from row to row.
pub struct Mapper {
    pack: Arc<Pack>,
    places: Places,
    ids: Ids,
    /// Columns as the last row had them, since the next has mostly the same in the same order.
    order: Vec<(String, Option<usize>)>,
    fields: Fields,
}

/// Fields that rules of this file give.
struct Ids {
    bathrooms: [FieldId; 5],
    address: [FieldId; 9],
    city: FieldId,
    state: FieldId,
    postal_code: FieldId,
    plus4: FieldId,
    country: FieldId,
    currency: FieldId,
    latitude: FieldId,
    longitude: FieldId,
    method: FieldId,
    uncertainty: FieldId,
    list_price: FieldId,
    list_price_low: FieldId,
    bedrooms: FieldId,
}

impl Ids {
    fn new() -> Self {
        let id = |name| FieldId::of(name).expect("the table of fields has it");
        Self {
            bathrooms: [
                "BathroomsFull",
                "BathroomsHalf",
                "BathroomsThreeQuarter",
                "BathroomsOneQuarter",
                "BathroomsTotalInteger",
            ]
            .map(id),
            address: [
                "StreetNumber",
                "StreetNumberNumeric",
                "StreetDirPrefix",
                "StreetName",
                "StreetSuffix",
                "StreetSuffixModifier",
                "StreetDirSuffix",
                "StreetAdditionalInfo",
                "UnitNumber",
            ]
            .map(id),
            city: id("City"),
            state: id("StateOrProvince"),
            postal_code: id("PostalCode"),
            plus4: id("PostalCodePlus4"),
            country: id("Country"),
            currency: id("Currency"),
            latitude: id("Latitude"),
            longitude: id("Longitude"),
            method: id("PlaceMethod"),
            uncertainty: id("PlaceUncertaintyMeters"),
            list_price: id("ListPrice"),
            list_price_low: id("ListPriceLow"),
            bedrooms: id("BedroomsTotal"),
        }
    }
}

/// Values by field, all in one buffer.
#[derive(Default)]
struct Fields {
    bytes: Vec<u8>,
    spans: Vec<Option<(usize, usize)>>,
    notes: Vec<Note>,
}

impl Fields {
    fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.spans.resize(FieldId::COUNT, None);
        self.notes.clear();
    }

    fn has(&self, field: FieldId) -> bool {
        self.get(field).is_some()
    }

    fn get(&self, field: FieldId) -> Option<&[u8]> {
        let (from, to) = (*self.spans.get(field.index())?)?;
        self.bytes.get(from..to)
    }

    /// The value of a field of text that holds no escapes: codes and units.
    fn code(&self, field: FieldId) -> Option<&str> {
        std::str::from_utf8(self.get(field)?).ok()?.strip_prefix('"')?.strip_suffix('"')
    }

    fn number(&self, field: FieldId) -> Option<Decimal> {
        Decimal::parse(std::str::from_utf8(self.get(field)?).ok()?)
    }

    fn set(&mut self, field: FieldId, write: impl FnOnce(&mut Vec<u8>)) {
        let from = self.bytes.len();
        write(&mut self.bytes);
        let to = self.bytes.len();
        if let Some(span) = self.spans.get_mut(field.index()) {
            *span = (to > from).then_some((from, to));
        }
    }

    fn remove(&mut self, field: FieldId) {
        if let Some(span) = self.spans.get_mut(field.index()) {
            *span = None;
        }
    }

    fn note(&mut self, field: FieldId, code: &'static str, message: &str) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push(Note::new(field.field().name, code, message));
        }
    }

    fn object(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len() + 24 * FieldId::COUNT.min(64));
        out.push(b'{');
        for (field, span) in messages::fields::FIELDS.iter().zip(&self.spans) {
            let Some(value) = span.and_then(|(from, to)| self.bytes.get(from..to)) else {
                continue;
            };
            write_name(&mut out, field.name);
            out.extend_from_slice(value);
        }
        out.push(b'}');
        out
    }
}

type Row<'a> = Vec<Option<Value<'a>>>;

impl Mapper {
    /// A mapper for the rows of one feed.
    #[must_use]
    pub fn new(pack: Arc<Pack>, places: Places) -> Self {
        Self { pack, places, ids: Ids::new(), order: Vec::new(), fields: Fields::default() }
    }

    /// Maps a row: a JSON object whose members are columns.
    ///
    /// # Errors
    /// [`Fault`] when the row cannot be used; what a field alone cannot use is a note.
    pub fn map(&mut self, row: &str) -> Result<Mapped, Fault> {
        let pack = Arc::clone(&self.pack);
        let row = self.read(&pack, row)?;
        self.fields.clear();
        for (field, value) in &pack.constants {
            self.fields.set(*field, |out| out.extend_from_slice(value));
        }
        let source_timestamp = source_timestamp(&pack, &row)?;
        for rule in &pack.rules {
            self.rule(&pack, rule, &row)?;
        }
        self.bathrooms(&pack, &row);
        let postal_code = self.postal_code(&pack, &row);
        if let Some(rule) = &pack.address {
            self.address(rule, &row);
        }
        self.currency();
        self.place(postal_code.as_deref());
        self.cross_check();
        let notes = std::mem::take(&mut self.fields.notes);
        Ok(Mapped { listing: self.fields.object(), notes, source_timestamp })
    }

    /// The values of the columns that the pack names, by their places in it.
    fn read<'a>(&mut self, pack: &Pack, text: &'a str) -> Result<Row<'a>, Fault> {
        let mut row: Row<'a> = vec![None; pack.columns.len()];
        for (at, member) in json::members(text).enumerate().take(COLUMNS_MAX) {
            let (name, value) = member
                .map_err(|e| Fault::new("bad_row", format!("the row is no JSON object: {e}")))?;
            if let Some(place) = self.slot(pack, at, &name).and_then(|slot| row.get_mut(slot)) {
                *place = Some(value);
            }
        }
        Ok(row)
    }

    fn slot(&mut self, pack: &Pack, at: usize, name: &str) -> Option<usize> {
        if let Some((known, slot)) = self.order.get(at)
            && known == name
        {
            return *slot;
        }
        let slot = pack.slots.get(name).copied();
        self.order.resize_with(self.order.len().max(at + 1), Default::default);
        if let Some(place) = self.order.get_mut(at) {
            *place = (name.to_owned(), slot);
        }
        slot
    }

    fn rule(&mut self, pack: &Pack, rule: &Rule, row: &Row<'_>) -> Result<(), Fault> {
        // Of several columns for one field the first that has a value counts.
        let given = self.fields.has(rule.field);
        let column = || pack.columns.get(rule.slot).map_or("", |c| c.name.as_str());
        let value = row.get(rule.slot).and_then(Option::as_ref).filter(|_| !given);
        let from = self.fields.bytes.len();
        let done =
            value.map_or(Ok(Done::Nothing), |value| convert(rule, value, &mut self.fields.bytes));
        let problem = match done {
            Ok(Done::Value) => return self.take(rule, from),
            Ok(Done::Changed(problem)) => {
                self.take(rule, from)?;
                problem
            }
            Ok(Done::Nothing) if rule.required && !given => {
                let message = format!(
                    "column `{}` is empty, and `{}` is required",
                    column(),
                    rule.field.field().name
                );
                return Err(Fault::new("missing_value", message));
            }
            Ok(Done::Nothing) => return Ok(()),
            Err(problem) => {
                self.fields.bytes.truncate(from);
                let rejects = rule.required
                    || (rule.unknown == Unknown::Reject && problem.code == "unknown_lookup");
                if rejects {
                    return Err(Fault::new(problem.code, told(column(), value, &problem)));
                }
                problem
            }
        };
        self.fields.note(rule.field, problem.code, &told(column(), value, &problem));
        Ok(())
    }

    /// The value that was appended from `from` on is the field's; so is its unit.
    fn take(&mut self, rule: &Rule, from: usize) -> Result<(), Fault> {
        let to = self.fields.bytes.len();
        if let Some(most) = rule.null_at_most
            && let Some(value) = self
                .fields
                .bytes
                .get(from..to)
                .and_then(|b| std::str::from_utf8(b).ok())
                .and_then(Decimal::parse)
            && value.to_f64() <= most.to_f64()
        {
            self.fields.bytes.truncate(from);
            return Ok(());
        }
        if let Some(span) = self.fields.spans.get_mut(rule.field.index()) {
            *span = (to > from).then_some((from, to));
        }
        if let Some((field, unit)) = &rule.unit {
            self.fields.set(*field, |out| out.extend_from_slice(unit));
        }
        Ok(())
    }

    /// 2.25 bathrooms are two full and one quarter: the fraction says which kind the last one is.
    fn bathrooms(&mut self, pack: &Pack, row: &Row<'_>) {
        let Some(slot) = pack.bathrooms else { return };
        let Some(text) = text_of(row, slot) else { return };
        let [full, half, three_quarter, one_quarter, total] = self.ids.bathrooms;
        let Ok(Some(count)) = number(&text) else {
            return self.fields.note(
                total,
                "unreadable_number",
                &format!("bathrooms `{}` is not a number", shown(&text)),
            );
        };
        let whole = count.to_f64().trunc();
        let part = match count.shift(2).and_then(Decimal::to_integer).map(|n| n % 100) {
            Some(0) => None,
            Some(25) => Some(one_quarter),
            Some(50) => Some(half),
            Some(75) => Some(three_quarter),
            _ => {
                return self.fields.note(
                    total,
                    "odd_bathrooms",
                    &format!("bathrooms `{}` are not quarters", shown(&text)),
                );
            }
        };
        if !(0.0..1000.0).contains(&whole) {
            return self.fields.note(
                total,
                "odd_bathrooms",
                &format!("bathrooms `{}` cannot be", shown(&text)),
            );
        }
        let mut sum = whole;
        self.fields.set(full, |out| out.extend_from_slice(format!("{whole:.0}").as_bytes()));
        if let Some(part) = part {
            sum += 1.0;
            self.fields.set(part, |out| out.push(b'1'));
        }
        self.fields.set(total, |out| out.extend_from_slice(format!("{sum:.0}").as_bytes()));
    }

    fn postal_code(&mut self, pack: &Pack, row: &Row<'_>) -> Option<String> {
        let rule = pack.postal_code.as_ref()?;
        let text = text_of(row, rule.slot)?;
        if rule.null.iter().any(|null| *null == table_key(&text)) {
            return None;
        }
        let country = self.address_country();
        let parsed = if rule.restore_zeros {
            PostalCode::parse_restoring_zeros(&text)
        } else {
            PostalCode::parse(&text, country)
        };
        let column = pack.columns.get(rule.slot).map_or("", |c| c.name.as_str());
        match parsed {
            Ok(code) => {
                self.fields.set(self.ids.postal_code, |out| write_str(out, code.code()));
                if let Some(plus4) = code.plus4() {
                    self.fields.set(self.ids.plus4, |out| write_str(out, plus4));
                }
                Some(code.code().to_string())
            }
            Err(error) => {
                self.fields.note(
                    self.ids.postal_code,
                    "unreadable_postal_code",
                    &format!("column `{column}`: `{}`: {error}", shown(&text)),
                );
                None
            }
        }
    }

    fn address_country(&self) -> address::Country {
        if self.fields.code(self.ids.country) == Some("CA") {
            address::Country::Ca
        } else {
            address::Country::Us
        }
    }

    fn address(&mut self, rule: &AddressRule, row: &Row<'_>) {
        let mut line = String::new();
        for part in &rule.line {
            match part {
                LinePart::Text(text) => line.push_str(text),
                LinePart::Column(slot) => line.push_str(&text_of(row, *slot).unwrap_or_default()),
            }
        }
        if line.trim().is_empty() {
            return;
        }
        let unit = rule.unit.and_then(|slot| text_of(row, slot));
        let country = self.address_country();
        let mut read = read_line(&line, rule.full, country);
        if let Some(unit) = unit.filter(|_| read.unit_number.is_none()) {
            // What a column says alone, the line may say in full: read both together, so that one form comes out.
            let bare = unit.trim_start_matches('#').trim();
            let mark = if bare.bytes().next().is_some_and(|b| b.is_ascii_digit()) || bare.len() < 3
            {
                "# "
            } else {
                ""
            };
            read = read_line(&format!("{line} {mark}{bare}"), rule.full, country);
        }
        self.set_address(&read);
    }

    fn set_address(&mut self, read: &Address) {
        let number = read.street_number_numeric.map(|n| n.to_string());
        let texts = [
            read.street_number.as_deref(),
            None,
            read.street_dir_prefix,
            read.street_name.as_deref(),
            read.street_suffix,
            read.street_suffix_modifier,
            read.street_dir_suffix,
            read.street_additional_info.as_deref(),
            read.unit_number.as_deref(),
        ];
        for (field, text) in self.ids.address.into_iter().zip(texts) {
            if let Some(text) = text.filter(|_| !self.fields.has(field)) {
                self.fields.set(field, |out| write_str(out, text));
            }
        }
        if let (Some(number), [_, field, ..]) = (number, self.ids.address) {
            self.fields.set(field, |out| out.extend_from_slice(number.as_bytes()));
        }
        let unparsed = FieldId::of("UnparsedAddress").expect("the table of fields has it");
        if !self.fields.has(unparsed) {
            self.fields.set(unparsed, |out| write_str(out, &read.unparsed_address));
        }
        self.set_if_free(self.ids.city, read.city.as_deref());
        self.set_if_free(self.ids.state, read.state_or_province.map(|s| s.code()));
        self.set_if_free(
            self.ids.postal_code,
            read.postal_code.as_ref().map(|c| c.code().to_string()).as_deref(),
        );
        self.set_if_free(self.ids.country, read.country.map(|c| c.code()));
    }

    fn set_if_free(&mut self, field: FieldId, text: Option<&str>) {
        if let Some(text) = text.filter(|_| !self.fields.has(field)) {
            self.fields.set(field, |out| write_str(out, text));
        }
    }

    /// The Data Dictionary has no currency: the country implies it.
    fn currency(&mut self) {
        let currency = match self.fields.code(self.ids.country) {
            Some("CA") => "CAD",
            Some("US") => "USD",
            _ => return,
        };
        self.set_if_free(self.ids.currency, Some(currency));
    }

    fn place(&mut self, postal_code: Option<&str>) {
        let given =
            self.fields.number(self.ids.latitude).zip(self.fields.number(self.ids.longitude));
        let region = self.fields.code(self.ids.state).and_then(Region::parse);
        if let Some((lat, lon)) = given.map(|(lat, lon)| (lat.to_f64(), lon.to_f64())) {
            if let Some(finding) = geography::examine(lat, lon) {
                self.fields.note(
                    self.ids.latitude,
                    "coordinates_outside_country",
                    &format!("{lat}, {lon}: {}", finding_text(finding)),
                );
                self.fields.remove(self.ids.latitude);
                self.fields.remove(self.ids.longitude);
            } else {
                self.check_region(lat, lon, region);
                return self.set_method(&Place::of_feed(lat, lon), false);
            }
        } else {
            // Half a pair places nothing.
            self.fields.remove(self.ids.latitude);
            self.fields.remove(self.ids.longitude);
        }
        let country = match self.fields.code(self.ids.country) {
            Some("CA") => geography::Country::Ca,
            Some("US") => geography::Country::Us,
            _ => return,
        };
        let place = postal_code
            .and_then(|code| self.places.postal_codes.centroid(country, code))
            .or_else(|| region.map(Place::of_region));
        if let Some(place) = place {
            if let (Some(stated), Some(found)) = (region, place.region)
                && stated != found
            {
                let message = format!(
                    "the postal code is in {}, and the listing says {}",
                    found.code(),
                    stated.code()
                );
                self.fields.note(self.ids.postal_code, "postal_code_outside_state", &message);
            }
            self.set_method(&place, true);
        }
    }

    fn check_region(&mut self, lat: f64, lon: f64, region: Option<Region>) {
        let Some(stated) = region else { return };
        if let Agreement::Outside { found } = self.places.boundaries.check(lat, lon, stated) {
            let found = found
                .map_or_else(|| "outside it".to_owned(), |region| format!("in {}", region.code()));
            self.fields.note(
                self.ids.latitude,
                "outside_state",
                &format!("{lat}, {lon} is {found}, and the listing says {}", stated.code()),
            );
        }
    }

    fn set_method(&mut self, place: &Place, with_coordinates: bool) {
        if with_coordinates {
            self.fields.set(self.ids.latitude, |out| degrees(place.lat, out));
            self.fields.set(self.ids.longitude, |out| degrees(place.lon, out));
        }
        self.fields.set(self.ids.method, |out| write_str(out, place.method.name()));
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "metres on Earth"
        )]
        self.fields.set(self.ids.uncertainty, |out| {
            write_u64(out, place.uncertainty_m.round().clamp(0.0, 4e7) as u64)
        });
    }

    /// RESO's own checks across fields, and values that can be but mostly are not.
    fn cross_check(&mut self) {
        let [full, half, three_quarter, one_quarter, total] = self.ids.bathrooms;
        if !self.fields.has(total) && self.fields.has(full) {
            let parts = [full, half, three_quarter, one_quarter]
                .map(|f| self.fields.number(f).and_then(Decimal::to_integer).unwrap_or(0));
            let sum = parts.iter().fold(0i64, |sum, n| sum.saturating_add(*n));
            self.fields.set(total, |out| Decimal::whole(sum).write(out));
        }
        let (price, low) =
            (self.fields.number(self.ids.list_price), self.fields.number(self.ids.list_price_low));
        if let (Some(price), Some(low)) = (price, low)
            && price.to_f64() < low.to_f64()
        {
            self.fields.note(
                self.ids.list_price_low,
                "price_below_low",
                "ListPrice is below ListPriceLow",
            );
        }
        if self.fields.number(self.ids.bedrooms).is_some_and(|n| n.to_f64() > 25.0) {
            self.fields.note(
                self.ids.bedrooms,
                "unlikely_bedrooms",
                "more than 25 bedrooms: taken as it is, but look at it",
            );
        }
    }
}

fn read_line(line: &str, full: bool, country: address::Country) -> Address {
    if full {
        address::parse_full(line, Some(country))
    } else {
        address::standardize(line, country)
    }
}

/// Six digits behind the point are a tenth of a metre.
fn degrees(value: f64, out: &mut Vec<u8>) {
    if let Some(value) = Decimal::parse(&format!("{value:.6}")) {
        value.write(out);
    }
}

fn finding_text(finding: geography::Finding) -> &'static str {
    use geography::Finding;
    match finding {
        Finding::NotANumber => "not numbers",
        Finding::ZeroZero => "zero and zero stand for unknown",
        Finding::Swapped { .. } => "latitude and longitude are swapped",
        Finding::PositiveLongitude { .. } => "the longitude lost its sign",
        Finding::OutOfRange => "no such place on Earth",
        Finding::OutsideCountries => "neither in the United States nor in Canada",
    }
}

fn told(column: &str, value: Option<&Value<'_>>, problem: &Problem) -> String {
    let text = value.and_then(as_text).unwrap_or_default();
    format!("column `{column}`: `{}` {}", shown(&text), problem.says)
}

/// A value as the text that a CSV file would hold; `None` where there is nothing.
fn as_text<'v>(value: &'v Value<'_>) -> Option<Cow<'v, str>> {
    match value {
        Value::Null => None,
        Value::Bool(flag) => Some(Cow::Borrowed(if *flag { "true" } else { "false" })),
        Value::Number(text) | Value::Array(text) | Value::Object(text) => Some(Cow::Borrowed(text)),
        Value::String(text) => Some(Cow::Borrowed(text.trim())).filter(|text| !text.is_empty()),
    }
}

fn text_of<'r>(row: &'r Row<'_>, slot: usize) -> Option<Cow<'r, str>> {
    as_text(row.get(slot)?.as_ref()?)
}

fn source_timestamp(pack: &Pack, row: &Row<'_>) -> Result<Option<String>, Fault> {
    let Some(rule) = &pack.timestamp else { return Ok(None) };
    let Some(text) = text_of(row, rule.slot) else { return Ok(None) };
    match rule.forms.moment(&text) {
        Some(moment) => Ok(Some(moment.to_string())),
        None => {
            let column = pack.columns.get(rule.slot).map_or("", |c| c.name.as_str());
            let message = format!(
                "column `{column}` says when the row is from, and `{}` is not a date in the form that the pack says",
                shown(&text)
            );
            Err(Fault::new("impossible_date", message))
        }
    }
}

fn convert(rule: &Rule, value: &Value<'_>, out: &mut Vec<u8>) -> Result<Done, Problem> {
    match (&rule.convert, value) {
        (_, Value::Null) => return Ok(Done::Nothing),
        (Convert::List { .. }, Value::Array(text)) => {
            return list(array_items(text), rule.table.as_ref(), out);
        }
        (Convert::Media, Value::Array(text)) => return media(text, out),
        (_, Value::Array(_) | Value::Object(_)) => {
            return Err(Problem::new(
                "not_a_value",
                "is an array or an object, where one value is wanted",
            ));
        }
        _ => {}
    }
    let Some(text) = as_text(value) else { return Ok(Done::Nothing) };
    let text = match rule.take {
        Some(take) => text
            .char_indices()
            .nth(take)
            .map_or(text.as_ref(), |(end, _)| text.get(..end).unwrap_or(&text)),
        None => text.as_ref(),
    };
    if !rule.null.is_empty() && rule.null.contains(&table_key(text)) {
        return Ok(Done::Nothing);
    }
    if let (Convert::List { separator }, Some(table)) = (&rule.convert, &rule.table) {
        return list(text.split(*separator).map(Cow::Borrowed), Some(table), out);
    }
    match rule.table.as_ref().map(|table| table.get(&table_key(text))) {
        Some(Some(Some(known))) => {
            out.extend_from_slice(known);
            Ok(Done::Value)
        }
        Some(Some(None)) => Ok(Done::Nothing),
        Some(None) if rule.unknown != Unknown::Pass => {
            Err(Problem::new("unknown_lookup", "is not in the pack's lookup: add it there"))
        }
        Some(None) | None => rule.convert.text(text, out),
    }
}
