//! What can go wrong outside the pure core, in words that say what to do.

use std::path::{Path, PathBuf};

/// An error of the feed's folder.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error("{path}: {source}. Check that the folder exists, is writable and has space", path = .path.display())]
    Io {
        /// What was read or written.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The folder holds the state of a market that this program cannot go on with.
    #[error("{path}: {reason}. Delete the folder to begin anew", path = .path.display())]
    UnreadableState {
        /// The file of the state.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The folder belongs to another market.
    #[error("{path} holds a market of seed {held_seed} with {held_listings} listings, not of seed {seed} with {listings}: give the same values, or another folder", path = .path.display())]
    OtherMarket {
        /// The folder.
        path: PathBuf,
        /// The seed of the market in it.
        held_seed: u64,
        /// Its number of listings.
        held_listings: u64,
        /// The seed that was asked for.
        seed: u64,
        /// The number of listings that was asked for.
        listings: u64,
    },
}

impl Error {
    pub(crate) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        |source| Self::Io { path: path.to_path_buf(), source }
    }
}
