//! `feeds.toml`: which feeds there are, and where their files and packs lie.
//!
//! ```toml
//! [geography]
//! postal_codes = ["geonames/US.zip", "geonames/CA.zip"]
//! boundaries = "boundaries/us-ca-admin1.geojson"
//!
//! [[feed]]
//! name = "rolls"
//! pack = "packs/rolls.toml"          # relative to this file
//! files = ["rolls/rolls-*.csv"]      # relative to the data folder
//! mode = "full"                      # a file is all there is; what it lacks is deleted. Or "partial".
//! as_of = "rolls-{year}.csv"         # from the file's name; or a date or moment for all files
//! max_delete_share = 0.2             # more deletes than this share stop the feed: full mode only
//! absent_display_flags = "allow"     # listings without display flags may be shown (open data); else "deny"
//! show = ["Latitude", "Longitude"]   # fields that may leave besides the usual display payload
//! ```

use messages::time::Moment;

use crate::read::{Findings, Refused, Table, Text};

/// Longest name of a feed, in bytes.
pub const NAME_MAX: usize = 40;
/// Share of a feed's listings that a full snapshot may delete where the entry does not say.
pub const MAX_DELETE_SHARE: f64 = 0.2;

/// A whole `feeds.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Feeds {
    /// Where places come from.
    pub geography: GeographyFiles,
    /// The feeds, in the order they are written.
    pub feeds: Vec<Feed>,
}

/// Files of places, relative to the data folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GeographyFiles {
    /// GeoNames postal code files.
    pub postal_codes: Vec<String>,
    /// Boundaries of states and provinces, GeoJSON.
    pub boundaries: Option<String>,
}

/// One feed.
#[derive(Debug, Clone, PartialEq)]
pub struct Feed {
    /// Name: `ce_source` of everything it says, and the first part of its listing keys.
    pub name: String,
    /// Mapping pack, relative to `feeds.toml`.
    pub pack: String,
    /// Patterns of files, relative to the data folder; see [`matches`].
    pub files: Vec<String>,
    /// What a file's silence about a listing means.
    pub mode: Mode,
    /// When a file is from.
    pub as_of: AsOf,
    /// In full mode: a snapshot that would delete a larger share than this is held until a person has looked.
    pub max_delete_share: f64,
    /// What it means when a listing has no display flag: `true`, it may be shown. The Data Dictionary reads a
    /// missing flag as a no; open data has no such flags.
    pub absent_flags_allow: bool,
    /// Fields that may leave besides the usual display payload, such as `Latitude`.
    pub show: Vec<String>,
}

/// What a file's silence about a listing means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A file is all there is: what it does not hold is deleted.
    Full,
    /// A file holds some: what it does not hold stays.
    Partial,
}

/// When a file is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AsOf {
    /// Always this moment.
    Fixed(Moment),
    /// What the file's name says.
    FromName(NamePattern),
}

/// A file name with `{year}`, and perhaps `{month}` and `{day}`, in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Year,
    Month,
    Day,
}

/// The date of a file cannot be told from its name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "file `{file}` does not fit `as_of = \"{pattern}\"`: rename it, or correct the pattern in feeds.toml"
)]
pub struct NoDate {
    /// File name.
    pub file: String,
    /// The pattern.
    pub pattern: String,
}

impl Feeds {
    /// Reads a `feeds.toml`.
    ///
    /// # Errors
    /// [`Refused`] with every fault and its line: unknown keys, missing keys, a name used twice.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let mut findings = Findings::new(text);
        let feeds = findings.document().map(|document| read_feeds(document, &mut findings));
        findings.judge(feeds)
    }

    /// The feed of that name.
    #[must_use]
    pub fn feed(&self, name: &str) -> Option<&Feed> {
        self.feeds.iter().find(|f| f.name == name)
    }
}

impl Feed {
    /// When the file of that name (without folders) is from.
    ///
    /// # Errors
    /// [`NoDate`] where its name does not say.
    pub fn as_of(&self, file: &str) -> Result<Moment, NoDate> {
        match &self.as_of {
            AsOf::Fixed(moment) => Ok(*moment),
            AsOf::FromName(pattern) => pattern
                .read(file)
                .ok_or_else(|| NoDate { file: file.to_owned(), pattern: pattern.text.clone() }),
        }
    }

    /// Whether a path relative to the data folder, with `/` between its parts, is one of this feed's files.
    #[must_use]
    pub fn has_file(&self, path: &str) -> bool {
        self.files.iter().any(|pattern| matches(pattern, path))
    }
}

/// Whether a path fits a pattern, in which `*` stands for any characters but `/`.
#[must_use]
pub fn matches(pattern: &str, path: &str) -> bool {
    let (patterns, parts) = (pattern.split('/'), path.split('/'));
    patterns.clone().count() == parts.clone().count()
        && patterns.zip(parts).all(|(p, part)| part_matches(p, part))
}

fn part_matches(pattern: &str, part: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == part };
    let Some(mut left) = part.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or("");
    for piece in pieces {
        let Some((_, after)) = left.split_once(piece) else { return false };
        left = after;
    }
    left.ends_with(last)
}

impl NamePattern {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            parts.push(Part::Text(before.to_owned()));
            let (name, after) = after.split_once('}')?;
            parts.push(match name {
                "year" => Part::Year,
                "month" => Part::Month,
                "day" => Part::Day,
                _ => return None,
            });
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        let count = |part: &Part| parts.iter().filter(|p| *p == part).count();
        let (year, month, day) = (count(&Part::Year), count(&Part::Month), count(&Part::Day));
        (year == 1 && month <= 1 && day <= month).then_some(Self { text: text.to_owned(), parts })
    }

    fn read(&self, file: &str) -> Option<Moment> {
        let (mut year, mut month, mut day) = (0, 1, 1);
        let mut rest = file;
        for part in &self.parts {
            let (slot, width) = match part {
                Part::Text(text) => {
                    rest = rest.strip_prefix(text.as_str())?;
                    continue;
                }
                Part::Year => (&mut year, 4),
                Part::Month => (&mut month, 2),
                Part::Day => (&mut day, 2),
            };
            let (digits, after) = rest.split_at_checked(width)?;
            *slot = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
            rest = after;
        }
        Moment::day(year, month, day).filter(|_| rest.is_empty())
    }
}

fn read_feeds(mut document: Table<'_>, findings: &mut Findings<'_>) -> Feeds {
    let mut geography = document.table_or_empty("geography", findings);
    let files = GeographyFiles {
        postal_codes: geography
            .strings("postal_codes", findings)
            .into_iter()
            .map(|t| t.value)
            .collect(),
        boundaries: geography.string("boundaries", findings).map(|t| t.value),
    };
    geography.finish(findings);
    let mut feeds: Vec<Feed> = Vec::new();
    for table in document.tables("feed", findings) {
        let span = table.span.clone();
        let Some(feed) = read_feed(table, findings) else { continue };
        if feeds.iter().any(|f| f.name == feed.name) {
            findings.error(
                &span,
                format!("there are two feeds named `{}`: give each its own name", feed.name),
            );
        }
        feeds.push(feed);
    }
    if feeds.is_empty() {
        findings.error(
            &(0..0),
            "there is no feed: add a [[feed]] with name, pack, files, mode and as_of",
        );
    }
    document.finish(findings);
    Feeds { geography: files, feeds }
}

fn read_feed(mut table: Table<'_>, findings: &mut Findings<'_>) -> Option<Feed> {
    let name = table.required("name", findings);
    let pack = table.required("pack", findings);
    let files = table.strings("files", findings);
    let mode = table.required("mode", findings);
    let as_of = table.required("as_of", findings);
    let share = table.number("max_delete_share", findings);
    let flags = table.string("absent_display_flags", findings);
    let show = table.strings("show", findings);
    let span = table.span.clone();
    table.finish(findings);
    if files.is_empty() {
        findings.error(
            &span,
            "`files` is missing: say which files, for example files = [\"rolls/*.csv\"]",
        );
    }
    let share = share.map_or(MAX_DELETE_SHARE, messages::Decimal::to_f64);
    if !(0.0..=1.0).contains(&share) {
        findings.error(&span, "`max_delete_share` must be between 0 and 1");
    }
    check_paths(files.iter().chain(&pack), findings);
    Some(Feed {
        name: read_name(&name?, findings)?,
        pack: pack?.value,
        files: files.into_iter().map(|t| t.value).collect(),
        mode: read_mode(&mode?, findings)?,
        as_of: read_as_of(&as_of?, findings)?,
        max_delete_share: share,
        absent_flags_allow: read_flags(flags.as_ref(), findings),
        show: read_show(show, findings),
    })
}

fn read_flags(flags: Option<&Text>, findings: &mut Findings<'_>) -> bool {
    match flags.map(|t| t.value.as_str()) {
        None | Some("deny") => false,
        Some("allow") => true,
        Some(other) => {
            let span = flags.map_or(0..0, |t| t.span.clone());
            findings.error(&span, format!("`absent_display_flags` must be \"deny\" or \"allow\" (open data), and is \"{other}\""));
            false
        }
    }
}

fn read_show(show: Vec<Text>, findings: &mut Findings<'_>) -> Vec<String> {
    use messages::fields::{Public, field};
    for name in &show {
        match field(&name.value).map(|f| f.public) {
            Some(Public::Configured | Public::Always) => {}
            Some(Public::Never) => findings.error(
                &name.span,
                format!("`{}` is never shown: it is for agents only", name.value),
            ),
            None => findings
                .error(&name.span, format!("`{}` is no RESO field that is carried", name.value)),
        }
    }
    show.into_iter().map(|t| t.value).collect()
}

fn check_paths<'t>(paths: impl Iterator<Item = &'t Text>, findings: &mut Findings<'_>) {
    for path in paths.filter(|p| p.value.is_empty()) {
        findings.error(&path.span, "a path is empty");
    }
}

fn read_name(name: &Text, findings: &mut Findings<'_>) -> Option<String> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let good =
        !name.value.is_empty() && name.value.len() <= NAME_MAX && name.value.bytes().all(fits);
    if !good {
        let rule = "lower-case letters, digits and dashes";
        findings.error(
            &name.span,
            format!("a feed's name has {rule}, at most {NAME_MAX}: `{}` does not", name.value),
        );
    }
    good.then(|| name.value.clone())
}

fn read_mode(mode: &Text, findings: &mut Findings<'_>) -> Option<Mode> {
    match mode.value.as_str() {
        "full" => Some(Mode::Full),
        "partial" => Some(Mode::Partial),
        other => {
            let meanings = "\"full\" (a file is all there is) or \"partial\" (it holds some)";
            findings.error(&mode.span, format!("`mode` must be {meanings}, and is \"{other}\""));
            None
        }
    }
}

fn read_as_of(as_of: &Text, findings: &mut Findings<'_>) -> Option<AsOf> {
    let read = if as_of.value.contains('{') {
        NamePattern::parse(&as_of.value).map(AsOf::FromName)
    } else {
        Moment::parse(&as_of.value).map(AsOf::Fixed)
    };
    if read.is_none() {
        let forms = "a date (2022-01-31), a moment (2022-01-31T08:00:00Z), or a file name with {year}, {month}, {day} in it";
        findings.error(
            &as_of.span,
            format!("`as_of` must be {forms}: \"{}\" is none of them", as_of.value),
        );
    }
    read
}

#[cfg(test)]
mod tests;
