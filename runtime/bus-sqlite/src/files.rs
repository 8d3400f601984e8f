//! The files of a data folder, and the lock that keeps a second process out.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::options::OpenError;

/// Where things are.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) dir: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) wal: PathBuf,
}

impl Files {
    pub(crate) fn of(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), log: dir.join("log.db"), wal: dir.join("log.db-wal") }
    }
}

/// Takes the folder's lock for as long as the file lives. Readers of a log that nobody writes share it.
pub(crate) fn lock(dir: &Path, shared: bool) -> Result<File, OpenError> {
    let path = dir.join("lock");
    let io = |error| OpenError::Io { path: path.clone(), error };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(io)?;
    let taken = if shared { file.try_lock_shared() } else { file.try_lock() };
    match taken {
        Ok(()) if shared => Ok(file),
        Ok(()) => {
            file.set_len(0).map_err(io)?;
            write!(file, "{}", std::process::id()).map_err(io)?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let known = file.read_to_string(&mut pid).is_ok() && !pid.is_empty();
            let pid = if known { pid } else { "unknown".to_owned() };
            Err(OpenError::Held { pid, dir: dir.to_owned() })
        }
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}

/// Makes the names in the folder themselves survive a power cut.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), OpenError> {
    File::open(dir)
        .and_then(|d| d.sync_all())
        .map_err(|error| OpenError::Io { path: dir.to_owned(), error })
}
