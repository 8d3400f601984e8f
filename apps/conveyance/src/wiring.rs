//! From `feeds.toml` and mapping packs to what the services take. The only place where configuration is read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use gateway::{Absent, Display, FeedDisplay};
use geography::{Boundaries, PostalCodes};
use ingest::{AsOfRule, FeedConfig, Files, KeyTemplate, RowPlan};
use mapping::Pack;
use mapping::feeds::{AsOf, Feeds, Mode};

/// Largest configuration file that is read, in bytes.
const CONFIG_BYTES_MAX: u64 = 4 << 20;
/// Largest file of places that is read, in bytes.
const PLACES_BYTES_MAX: u64 = 512 << 20;

/// Where listings come from that users add: what their keys begin with.
const BY_HAND: &str = "hand";

/// Everything that the services need to know of the feeds.
#[derive(Clone)]
pub(crate) struct Wiring {
    /// Each feed with what is read out of its rows.
    pub(crate) feeds: Vec<(FeedConfig, RowPlan)>,
    /// Packs by feed name.
    pub(crate) packs: Arc<HashMap<String, Pack>>,
    /// Postal codes and boundaries.
    pub(crate) places: normalize::Places,
    /// What may be shown of each feed.
    pub(crate) display: Display,
}

/// How the feeds are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Once, every file, also those read before.
    Once,
    /// On and on, looking for new files every so many milliseconds.
    Watch(u64),
    /// Not here: only packs, places and what may be shown are needed.
    Elsewhere,
}

impl Wiring {
    /// Reads `feeds.toml` and all it names. `input` is the folder that file patterns are relative to.
    ///
    /// # Errors
    /// One text that names the file, the line where there is one, and what to do.
    pub(crate) fn read(feeds_toml: &Path, input: &Path, reading: Reading) -> Result<Self> {
        let text = read_text(feeds_toml)?;
        let feeds =
            Feeds::parse(&text).map_err(|e| anyhow::anyhow!("{}:\n{e}", feeds_toml.display()))?;
        let base = feeds_toml.parent().unwrap_or(Path::new("."));
        let mut packs = HashMap::new();
        let mut plans = Vec::new();
        for feed in &feeds.feeds {
            if feed.name == BY_HAND {
                bail!(
                    "feed `{BY_HAND}`: this name is kept for listings that users add: choose another"
                );
            }
            let path = base.join(&feed.pack);
            let pack = read_pack(&path).with_context(|| format!("feed `{}`", feed.name))?;
            if reading != Reading::Elsewhere {
                plans.push((config(feed, &pack, input, reading)?, plan(&pack)?));
            }
            packs.insert(feed.name.clone(), pack);
        }
        let places = places(&feeds, input)?;
        Ok(Self { feeds: plans, packs: Arc::new(packs), places, display: display(&feeds) })
    }
}

impl Wiring {
    /// What a service needs that knows no feeds.
    #[must_use]
    pub(crate) fn none() -> Self {
        Self {
            feeds: Vec::new(),
            packs: Arc::default(),
            places: normalize::Places::new(PostalCodes::default(), Boundaries::built_in()),
            display: Display::default(),
        }
    }
}

/// Reads and compiles one pack.
///
/// # Errors
/// All faults of the pack with their lines.
pub(crate) fn read_pack(path: &Path) -> Result<Pack> {
    let text = read_text(path)?;
    Pack::parse(&text).map_err(|e| anyhow::anyhow!("{}:\n{e}", path.display()))
}

fn display(feeds: &Feeds) -> Display {
    let mut display = Display::default();
    // Whoever adds a listing sets its display flags; where they allow it, its place may be shown.
    let place = ["Latitude", "Longitude"].map(str::to_owned).to_vec();
    display.feeds.insert(BY_HAND.to_owned(), FeedDisplay { absent: Absent::Deny, also: place });
    for feed in &feeds.feeds {
        let absent = if feed.absent_flags_allow { Absent::Allow } else { Absent::Deny };
        display.feeds.insert(feed.name.clone(), FeedDisplay { absent, also: feed.show.clone() });
    }
    display
}

/// Reads a file of configuration.
///
/// # Errors
/// When it is not there, too large, or not UTF-8.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let bytes = read_bytes(path, CONFIG_BYTES_MAX)?;
    String::from_utf8(bytes)
        .with_context(|| format!("{} is not UTF-8: save it as UTF-8", path.display()))
}

fn read_bytes(path: &Path, most: u64) -> Result<Vec<u8>> {
    let size = std::fs::metadata(path)
        .with_context(|| format!("cannot read {}: check the path", path.display()))?
        .len();
    if size > most {
        bail!("{} is {size} bytes, more than the {most} that are read", path.display());
    }
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// What `ingest` needs of a pack.
///
/// # Errors
/// When the pack's key names no column.
pub(crate) fn plan(pack: &Pack) -> Result<RowPlan> {
    let key = KeyTemplate::parse(&pack.source().key).with_context(|| {
        format!(
            "pack {}: key = \"{}\" names no column: write it as {{COLUMN}}",
            pack.name(),
            pack.source().key
        )
    })?;
    let columns = pack.required_columns().map(str::to_owned).collect();
    Ok(RowPlan { pack: pack.name().to_owned(), columns, key })
}

/// How a pack says that files are written.
#[must_use]
pub(crate) fn format(pack: &Pack) -> ingest::Format {
    let source = pack.source();
    let encoding = match source.encoding {
        mapping::Encoding::Auto => ingest::Encoding::Auto,
        mapping::Encoding::Utf8 => ingest::Encoding::Utf8,
        mapping::Encoding::Windows1252 => ingest::Encoding::Windows1252,
    };
    match source.format {
        mapping::Format::Csv => ingest::Format::Csv { delimiter: source.delimiter, encoding },
        mapping::Format::JsonLines => ingest::Format::JsonLines,
    }
}

fn config(
    feed: &mapping::feeds::Feed,
    pack: &Pack,
    input: &Path,
    reading: Reading,
) -> Result<FeedConfig> {
    let (watch_ms, reread, files) = match reading {
        Reading::Watch(ms) => (Some(ms), false, watched(feed, input)?),
        Reading::Once | Reading::Elsewhere => (None, true, Files::List(listed(feed, input)?)),
    };
    Ok(FeedConfig {
        name: feed.name.clone(),
        as_of: as_of_rule(feed, &files)?,
        files,
        mode: match feed.mode {
            Mode::Full => ingest::Mode::Full,
            Mode::Partial => ingest::Mode::Partial,
        },
        format: format(pack),
        max_delete_share: feed.max_delete_share,
        watch_ms,
        reread,
        limits: ingest::Limits::default(),
    })
}

fn as_of_rule(feed: &mapping::feeds::Feed, files: &Files) -> Result<AsOfRule> {
    let moment = |m: messages::time::Moment| {
        ingest::AsOf::parse(&m.to_string())
            .with_context(|| format!("feed `{}`: as_of {m} is no date", feed.name))
    };
    match (&feed.as_of, files) {
        (AsOf::Fixed(m), _) => Ok(AsOfRule::Fixed(moment(*m)?)),
        (AsOf::FromName(_), Files::List(paths)) => {
            let mut table = std::collections::BTreeMap::new();
            for path in paths {
                let name = file_name(path);
                table.insert(
                    name.clone(),
                    moment(
                        feed.as_of(&name)
                            .map_err(|e| anyhow::anyhow!("feed `{}`: {e}", feed.name))?,
                    )?,
                );
            }
            Ok(AsOfRule::Table(table))
        }
        (AsOf::FromName(_), Files::Folder { .. }) => Ok(AsOfRule::Name),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The files that a feed's patterns name now.
fn listed(feed: &mapping::feeds::Feed, input: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for pattern in &feed.files {
        let folder = Path::new(pattern).parent().unwrap_or(Path::new(""));
        let entries = std::fs::read_dir(input.join(folder)).with_context(|| {
            format!("feed `{}`: cannot list {}: set CONVEYANCE_DATA (or --input) to the folder that holds the files", feed.name, input.join(folder).display())
        })?;
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let path = folder.join(&name);
            if feed.has_file(&path.to_string_lossy()) && !found.contains(&input.join(&path)) {
                found.push(input.join(&path));
            }
        }
    }
    if found.is_empty() {
        bail!(
            "feed `{}`: no file in {} fits {:?}: correct `files`, or set CONVEYANCE_DATA (or --input)",
            feed.name,
            input.display(),
            feed.files
        );
    }
    found.sort();
    Ok(found)
}

fn watched(feed: &mapping::feeds::Feed, input: &Path) -> Result<Files> {
    let [pattern] = feed.files.as_slice() else {
        bail!(
            "feed `{}`: to be watched it needs exactly one pattern in `files`, all in one folder",
            feed.name
        );
    };
    let path = Path::new(pattern);
    let folder = input.join(path.parent().unwrap_or(Path::new("")));
    Ok(Files::Folder { folder, pattern: file_name(path) })
}

fn places(feeds: &Feeds, input: &Path) -> Result<normalize::Places> {
    let mut files = Vec::new();
    for name in &feeds.geography.postal_codes {
        files.push(read_bytes(&input.join(name), PLACES_BYTES_MAX)?);
    }
    let postal_codes =
        PostalCodes::read(files.iter().map(Vec::as_slice)).context("postal codes")?;
    let boundaries = match &feeds.geography.boundaries {
        Some(name) => Boundaries::read(&read_bytes(&input.join(name), PLACES_BYTES_MAX)?)
            .with_context(|| name.clone())?,
        None => Boundaries::built_in(),
    };
    Ok(normalize::Places::new(postal_codes, boundaries))
}

/// Lints a pack, and maps a file's rows with it.
///
/// # Errors
/// When the pack or the file cannot be read at all.
pub(crate) fn try_pack(path: &Path, file: Option<&Path>) -> Result<serde_json::Value> {
    let text = read_text(path)?;
    let findings: Vec<_> = mapping::lint(&text).into_iter().map(|f| serde_json::json!({"line": f.line, "message": f.message, "severity": format!("{:?}", f.severity).to_lowercase()})).collect();
    let pack = Pack::parse(&text);
    let lint_ok = pack.is_ok();
    let (Ok(pack), Some(file)) = (pack, file) else {
        return Ok(
            serde_json::json!({"ok": lint_ok, "pack": path.display().to_string(), "findings": findings}),
        );
    };
    let mut tried = crate::trial::run(&pack, file)?;
    if let Some(tried) = tried.as_object_mut() {
        tried.insert("pack".to_owned(), path.display().to_string().into());
        tried.insert("findings".to_owned(), findings.into());
    }
    Ok(tried)
}
