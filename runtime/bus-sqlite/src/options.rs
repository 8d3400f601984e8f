//! Settings of the embedded bus, and why it may refuse to open.

use std::path::PathBuf;
use std::sync::Arc;

use dataflow::Clock;

/// A fault that is planted on purpose; see the feature `wrong-syncs`.
#[cfg(feature = "wrong-syncs")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrongSync {
    /// What is committed counts as durable before it is synced.
    ViewAheadOfTheSync,
    /// What is found in the log counts as durable without a sync.
    NoSyncAtOpen,
}

/// Settings; [`Options::new`] has the defaults.
#[derive(Clone)]
pub struct Options {
    /// Time for append times and retention.
    pub clock: Arc<dyn Clock>,
    /// Identity for a log that is made now; a log that is there keeps its own.
    pub epoch: u64,
    /// Version of what the program writes into records and state: a log in which a program of a newer one has
    /// worked is refused.
    pub schema: u16,
    /// Longest time between a commit and its sync when little is written.
    pub sync_idle_ms: u64,
    /// The same when much is written.
    pub sync_busy_ms: u64,
    /// Bytes of recent batches kept in memory for readers that keep up.
    pub tail_bytes: usize,
    /// Page cache of the writer, in bytes.
    pub cache_bytes: usize,
    /// Page cache of each reader, in bytes.
    pub reader_cache_bytes: usize,
    /// About this many bytes are committed in one transaction when units wait.
    pub transaction_bytes: usize,
    /// The write-ahead log is started over when it is longer than this.
    pub wal_soft_bytes: u64,
    /// When it cannot be started over and grows to this, nothing more is taken until it can.
    pub wal_hard_bytes: u64,
    /// After so long a reader that keeps the write-ahead log from being started over is reported.
    pub stranger_ms: u64,
    /// Most bytes the log file may take; `None` is the disk's own limit.
    pub log_bytes_max: Option<u64>,
    /// Level of zstd.
    pub compression: i32,
    /// Records of a compacted topic from which its dictionary is trained.
    pub dictionary_samples: usize,
    /// Time between two rounds of retention.
    pub retention_every_ms: i64,
    /// A fault that is planted on purpose.
    #[cfg(feature = "wrong-syncs")]
    pub wrong: Option<WrongSync>,
}

impl Options {
    /// The defaults.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, epoch: u64) -> Self {
        Self {
            clock,
            epoch,
            schema: 0,
            sync_idle_ms: 5,
            sync_busy_ms: 20,
            tail_bytes: 64 << 20,
            cache_bytes: 64 << 20,
            reader_cache_bytes: 8 << 20,
            transaction_bytes: 8 << 20,
            wal_soft_bytes: 64 << 20,
            wal_hard_bytes: 4 << 30,
            stranger_ms: 5_000,
            log_bytes_max: None,
            compression: 1,
            dictionary_samples: 1_000,
            retention_every_ms: 10 * 60 * 1_000,
            #[cfg(feature = "wrong-syncs")]
            wrong: None,
        }
    }
}

/// Why a log could not be opened. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Someone else has it.
    #[error(
        "another conveyance process (pid {pid}) holds {dir}; stop it, or use its commands while it runs"
    )]
    Held {
        /// Who.
        pid: String,
        /// What.
        dir: PathBuf,
    },
    /// Written by a newer program.
    #[error(
        "the log in {dir} has format {found}, and this program reads up to {known}; use the newer conveyance that wrote it"
    )]
    Newer {
        /// Where.
        dir: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// A newer program wrote into it what this one does not know.
    #[error(
        "a newer conveyance has worked on the log in {dir} (its messages have schema {found}, this program knows {known}); use the newer one"
    )]
    NewerSchema {
        /// Where.
        dir: PathBuf,
        /// The newest schema that may be in it.
        found: i64,
        /// The newest schema known here.
        known: u16,
    },
    /// A topic is not what the flow table says.
    #[error(
        "topic `{topic}` was made with {found}, and the flow table now says {wanted}; this is fixed when a topic is made: change the table back, or start with an empty data folder"
    )]
    Topic {
        /// Which.
        topic: String,
        /// As it is in the log.
        found: String,
        /// As it is in the table.
        wanted: String,
    },
    /// More topic partitions than the log can number.
    #[error("the flow table has more than {0} topic partitions: use fewer partitions")]
    TooMany(u32),
    /// There is no log.
    #[error("there is no log in {0}; start conveyance there once, or name the right data folder")]
    Absent(PathBuf),
    /// The file system refused.
    #[error("{path} cannot be used: {error}; check that the folder exists and is writable")]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// SQLite refused.
    #[error(
        "{path} cannot be opened: {error}; if it is damaged, restore the data folder from a backup"
    )]
    Sqlite {
        /// What.
        path: PathBuf,
        /// Why.
        error: rusqlite::Error,
    },
}
