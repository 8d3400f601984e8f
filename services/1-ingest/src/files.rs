//! The files of a feed: listed, known by their content, dated, and put in order.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::path::Path;
use std::time::SystemTime;

use xxhash_rust::xxh3::Xxh3;

use crate::as_of::{AsOf, NameError};
use crate::config::{AsOfRule, FeedConfig, Files};
use crate::fault::FileFault;
use crate::state::Identity;

/// Bytes hashed in one step.
const HASH_BYTES: u64 = 64 << 20;

/// What the file system says of a file. Only ever a hint that the content must be looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    size: u64,
    modified: Option<SystemTime>,
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self { size: metadata.len(), modified: metadata.modified().ok() }
    }
}

/// A file to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) as_of: AsOf,
    pub(crate) path: String,
    pub(crate) name: String,
    pub(crate) identity: Identity,
}

/// The files that there are now, by path.
pub(crate) fn list(config: &FeedConfig) -> Result<Vec<String>, FileFault> {
    let mut paths = match &config.files {
        Files::List(paths) => paths.iter().map(|p| text_of(p)).collect::<Result<Vec<_>, _>>()?,
        Files::Folder { folder, pattern } => list_folder(folder, pattern, config.limits.files)?,
    };
    paths.sort();
    paths.dedup();
    if paths.is_empty() && config.watch_ms.is_none() {
        return Err(FileFault::new(format!(
            "feed {} has no file to read: correct `files`",
            config.name
        )));
    }
    Ok(paths)
}

fn text_of(path: &Path) -> Result<String, FileFault> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        FileFault::new(format!("the name of {} is not UTF-8: rename it", path.display()))
    })
}

fn list_folder(folder: &Path, pattern: &str, files_max: usize) -> Result<Vec<String>, FileFault> {
    let failed = |e: std::io::Error| {
        FileFault::new(format!(
            "folder {} cannot be read ({e}): make it, or correct `files`",
            folder.display()
        ))
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let fits = name.to_str().is_none_or(|n| !n.starts_with('.') && matches(pattern, n));
        if !fits || entry.path().is_dir() {
            continue;
        }
        if paths.len() == files_max {
            return Err(FileFault::new(format!(
                "folder {} holds more than {files_max} files: move those that are done elsewhere",
                folder.display()
            )));
        }
        paths.push(text_of(&entry.path())?);
    }
    Ok(paths)
}

/// Whether a name fits a pattern in which `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The last part of a path.
pub(crate) fn name_of(path: &str) -> &str {
    Path::new(path).file_name().and_then(|n| n.to_str()).unwrap_or(path)
}

/// When a file speaks about; `known` looks up the last as-of of the same content, for a
/// copy whose name lost its date.
pub(crate) fn as_of(
    rule: &AsOfRule,
    name: &str,
    known: impl FnOnce() -> Option<AsOf>,
) -> Result<AsOf, FileFault> {
    let configured = match rule {
        AsOfRule::Fixed(as_of) => Some(*as_of),
        AsOfRule::Table(table) => table.get(name).copied(),
        AsOfRule::Name => None,
    };
    if let Some(as_of) = configured {
        return Ok(as_of);
    }
    AsOf::from_name(name).or_else(|error| {
        known().ok_or_else(|| {
            let what = match error {
                NameError::NoDate => "no date",
                NameError::Several => "more than one date",
            };
            FileFault::new(format!(
                "{name} has {what} in its name: set `as_of` for it, or rename it, for example with 2022-01-01"
            ))
        })
    })
}

/// Finds out which content files have, a bounded piece at a time.
#[derive(Default)]
pub(crate) struct Identifier {
    done: HashMap<String, (Stamp, Identity)>,
    under_way: Option<Hashing>,
}

struct Hashing {
    path: String,
    stamp: Stamp,
    file: File,
    hasher: Box<Xxh3>,
    size: u64,
}

impl Identifier {
    /// The content of a file; `None` when there is more to hash first.
    ///
    /// # Errors
    /// When there is no such file, or it cannot be read.
    pub(crate) fn identify(&mut self, path: &str) -> std::io::Result<Option<(Stamp, Identity)>> {
        let metadata = fs::metadata(path)?;
        if metadata.is_dir() {
            return Err(std::io::Error::other("it is a folder"));
        }
        let stamp = Stamp::from(&metadata);
        if let Some((known, identity)) = self.done.get(path)
            && *known == stamp
        {
            return Ok(Some((stamp, identity.clone())));
        }
        let mut hashing = match self.under_way.take().filter(|h| h.path == path && h.stamp == stamp)
        {
            Some(hashing) => hashing,
            None => Hashing {
                path: path.to_owned(),
                stamp,
                file: File::open(path)?,
                hasher: Box::default(),
                size: 0,
            },
        };
        if !hashing.read_on()? {
            self.under_way = Some(hashing);
            return Ok(None);
        }
        let hash = format!("{:032x}", hashing.hasher.digest128());
        let identity = Identity { hash, size: hashing.size };
        // A file that grew meanwhile is hashed again.
        let settled = Stamp::from(&hashing.file.metadata()?) == stamp && hashing.size == stamp.size;
        if !settled {
            return Ok(None);
        }
        self.done.insert(path.to_owned(), (stamp, identity.clone()));
        Ok(Some((stamp, identity)))
    }

    /// Forgets files that are no longer listed.
    pub(crate) fn keep_only(&mut self, paths: &[String]) {
        let paths: HashSet<&str> = paths.iter().map(String::as_str).collect();
        self.done.retain(|path, _| paths.contains(path.as_str()));
    }
}

impl Hashing {
    /// Hashes a piece. Returns whether the end was reached.
    fn read_on(&mut self) -> std::io::Result<bool> {
        let mut buffer = vec![0u8; 256 << 10];
        let mut left = HASH_BYTES;
        while left > 0 {
            let read = self.file.read(&mut buffer)?;
            if read == 0 {
                return Ok(true);
            }
            self.hasher.update(buffer.get(..read).unwrap_or_default());
            let read = u64::try_from(read).unwrap_or(u64::MAX);
            self.size += read;
            left = left.saturating_sub(read);
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, expect) in [
            ("*", "a", true),
            ("*.csv", "a.csv", true),
            ("*.csv", "a.csv.gz", false),
            ("a-*.csv*", "a-1.csv.gz", true),
            ("a-*-*.csv", "a-1.csv", false),
            ("a*a", "a", false),
            ("a.csv", "a.csv", true),
            ("a.csv", "aa.csv", false),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, name), expect, "{pattern} {name}");
        }
    }
}
