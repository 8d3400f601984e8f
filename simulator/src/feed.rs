//! The feed as files: an inventory split into parts, then numbered files of changes.
//!
//! A file appears under its final name only when it is whole, so a reader that ignores `*.tmp` never sees half of one.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::fault::RowWriter;
use crate::market::Market;

/// Rows are handed to the file system in pieces of about this many bytes.
const WRITE_BYTES: usize = 1 << 20;

/// Writes the files of one feed into one folder. One writer at a time owns a folder.
#[derive(Debug)]
pub struct FeedWriter {
    folder: PathBuf,
    rows_per_file: u64,
    last_number: u64,
}

impl FeedWriter {
    /// Opens a folder, makes it where it is missing, and goes on numbering behind the highest change file in it.
    ///
    /// An inventory file holds at most `rows_per_file` listings (0 is taken as 1).
    ///
    /// # Errors
    /// `Error::Io` where the folder cannot be made or read.
    pub fn new(folder: &Path, rows_per_file: u64) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(Error::at(folder))?;
        let last_number = change_numbers(folder)?.into_iter().max().unwrap_or(0);
        Ok(Self { folder: folder.to_path_buf(), rows_per_file: rows_per_file.max(1), last_number })
    }

    /// The folder of the feed.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The number of the last file of changes; 0 where there was none.
    pub fn last_number(&self) -> u64 {
        self.last_number
    }

    /// Writes the whole inventory as `inventory-0000.jsonl` and so on, in place of what an earlier, broken attempt left.
    /// Returns the number of files.
    ///
    /// # Errors
    /// `Error::Io` where a file cannot be written.
    pub fn write_inventory(&mut self, market: &Market, rows: &mut RowWriter) -> Result<u64, Error> {
        remove_files(&self.folder, |name| {
            name.starts_with("inventory-") && name.ends_with(".jsonl")
        })?;
        let mut listings = market.initial().peekable();
        let mut files = 0;
        while listings.peek().is_some() {
            let name = format!("inventory-{files:04}.jsonl");
            rows.begin_file(&name);
            write_whole(&self.folder.join(name), |file| {
                let mut buffer = Vec::with_capacity(WRITE_BYTES + 4_096);
                for _ in 0..self.rows_per_file {
                    let Some(listing) = listings.next() else { break };
                    rows.write(market, &listing, &mut buffer);
                    if buffer.len() >= WRITE_BYTES {
                        file.write_all(&buffer)?;
                        buffer.clear();
                    }
                }
                file.write_all(&buffer)
            })?;
            files += 1;
        }
        Ok(files)
    }

    /// The name of a file of changes. Nine digits: a file a second for thirty years keeps names in order.
    pub fn change_file_name(number: u64) -> String {
        format!("changes-{number:09}.jsonl")
    }

    /// Writes the next file of changes, or the one of a given later number, and returns its path.
    ///
    /// # Errors
    /// `Error::Io` where the file cannot be written.
    pub fn write_changes(&mut self, number: u64, lines: &[u8]) -> Result<PathBuf, Error> {
        let path = self.folder.join(Self::change_file_name(number));
        write_whole(&path, |file| file.write_all(lines))?;
        self.last_number = self.last_number.max(number);
        Ok(path)
    }

    /// Deletes the files of changes up to and with number `through`, which the caller says are consumed, and returns how many it
    /// deleted. The newest always stays: numbering, after a restart, goes on behind it.
    ///
    /// # Errors
    /// `Error::Io` where the folder cannot be read or a file cannot be deleted.
    pub fn delete_consumed(&mut self, through: u64) -> Result<usize, Error> {
        let newest = self.last_number;
        remove_files(&self.folder, |name| {
            change_number(name).is_some_and(|number| number <= through && number < newest)
        })
    }

    /// Deletes the oldest files of changes so that at most `keep` stay, whether anyone has read them or not: for a
    /// reader that cannot say how far it is. Returns how many it deleted.
    ///
    /// # Errors
    /// As [`Self::delete_consumed`].
    pub fn keep_newest(&mut self, keep: u64) -> Result<usize, Error> {
        self.delete_consumed(self.last_number.saturating_sub(keep.max(1)))
    }
}

/// The number in the name of a file of changes.
pub fn change_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("changes-")?.strip_suffix(".jsonl")?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

fn change_numbers(folder: &Path) -> Result<Vec<u64>, Error> {
    Ok(names(folder)?.iter().filter_map(|name| change_number(name)).collect())
}

fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::at(folder))? {
        let entry = entry.map_err(Error::at(folder))?;
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}

/// Deletes the files of a folder whose names `doomed` accepts, and returns how many.
pub(crate) fn remove_files(folder: &Path, doomed: impl Fn(&str) -> bool) -> Result<usize, Error> {
    let mut removed = 0;
    for name in names(folder)?.iter().filter(|name| doomed(name)) {
        let path = folder.join(name);
        fs::remove_file(&path).map_err(Error::at(&path))?;
        removed += 1;
    }
    Ok(removed)
}

/// Writes a file under a temporary name, syncs it, and gives it its name: it is there whole or not at all.
pub(crate) fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut File) -> std::io::Result<()>,
) -> Result<(), Error> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let mut file = File::create(&temporary).map_err(Error::at(&temporary))?;
    write(&mut file).and_then(|()| file.sync_all()).map_err(Error::at(&temporary))?;
    fs::rename(&temporary, path).map_err(Error::at(path))
}

#[cfg(test)]
mod tests {
    use super::change_number;

    #[test]
    fn only_whole_files_of_changes_have_a_number() {
        for (name, number) in [
            ("changes-000000042.jsonl", Some(42)),
            ("changes-000042.jsonl", Some(42)),
            ("changes-000000042.jsonl.tmp", None),
            ("changes-+42.jsonl", None),
            ("changes-.jsonl", None),
            ("inventory-0000.jsonl", None),
        ] {
            assert_eq!(change_number(name), number, "{name}");
        }
    }
}
