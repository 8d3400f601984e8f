//! The embedded bus: log, offsets and keyed state in one SQLite file.
