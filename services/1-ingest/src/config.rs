//! What a feed of files is: plain values, read and checked by the program before anything starts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::as_of::AsOf;

/// Longest row in bytes; a longer one becomes a dead letter that holds its beginning.
pub const ROW_BYTES_MAX: usize = 1 << 20;
/// Most keys of one full snapshot: finding deletes holds about 50 bytes for each in memory.
pub const KEYS_MAX: u64 = 5_000_000;
/// Most files of one folder.
pub const FILES_MAX: usize = 50_000;
/// Share of a feed that one snapshot may delete without being confirmed.
pub const DELETE_SHARE_MAX: f64 = 0.25;

/// One feed of files.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedConfig {
    /// Name: `ce_source`, the lane, and what its keys begin with.
    pub name: String,
    /// Where the files are.
    pub files: Files,
    /// What absence from a file means.
    pub mode: Mode,
    /// Where the as-of of a file comes from.
    pub as_of: AsOfRule,
    /// How the rows are written.
    pub format: Format,
    /// Largest share (0 to 1) of the feed's listings that one full snapshot deletes unconfirmed.
    pub max_delete_share: f64,
    /// Milliseconds between looks for new files; `None` is a one-shot load that ends.
    pub watch_ms: Option<u64>,
    /// Whether files that are done already are read again (a one-shot load, so that its sums cover every
    /// file given to it). Their rows change nothing and they delete nothing.
    pub reread: bool,
    /// Bounds.
    pub limits: Limits,
}

/// Where the files of a feed are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Files {
    /// These, each of which must exist.
    List(Vec<PathBuf>),
    /// All of a folder (not below it) whose name fits a pattern, where `*` stands for any characters.
    /// Names that begin with a dot are never taken: write under such a name, then rename.
    Folder {
        /// The folder, which must exist.
        folder: PathBuf,
        /// The pattern, for example `assessment-*.csv`.
        pattern: String,
    },
}

/// What absence from a file means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A file is the whole feed: what is not in it is deleted.
    Full,
    /// A file is news: what is not in it is as it was.
    Partial,
}

/// Where the as-of of a file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AsOfRule {
    /// The one date in the file's name.
    Name,
    /// The same for every file of the feed.
    Fixed(AsOf),
    /// By file name, from the configuration; other files by the date in their names.
    Table(BTreeMap<String, AsOf>),
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180, with a header row. Gzip is recognised by its first bytes.
    Csv {
        /// What stands between fields.
        delimiter: u8,
        /// How text is encoded.
        encoding: Encoding,
    },
    /// One JSON object in each line, UTF-8. Gzip is recognised by its first bytes.
    JsonLines,
}

/// How the text of a CSV file is encoded. A byte order mark of UTF-8 means UTF-8, whatever is set here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Row by row: what is valid UTF-8 is UTF-8. Another row is Windows-1252, unless it holds well-formed
    /// UTF-8 letters as well: that is damaged UTF-8, and a dead letter.
    Auto,
    /// UTF-8; anything else is a dead letter.
    Utf8,
    /// Windows-1252, common in Canadian files.
    Windows1252,
}

/// Bounds of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest row in bytes.
    pub row_bytes: usize,
    /// Most keys of one full snapshot.
    pub keys: u64,
    /// Most files in the folder.
    pub files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { row_bytes: ROW_BYTES_MAX, keys: KEYS_MAX, files: FILES_MAX }
    }
}

impl FeedConfig {
    /// A one-shot load of full CSV snapshots, dated by their names; change the fields that differ.
    #[must_use]
    pub fn load(name: &str, files: Vec<PathBuf>) -> Self {
        Self {
            name: name.to_owned(),
            files: Files::List(files),
            mode: Mode::Full,
            as_of: AsOfRule::Name,
            format: Format::Csv { delimiter: b',', encoding: Encoding::Auto },
            max_delete_share: DELETE_SHARE_MAX,
            watch_ms: None,
            reread: true,
            limits: Limits::default(),
        }
    }
}
