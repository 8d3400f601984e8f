//! A fault of a whole file: it stops this feed and no other.

use dataflow::Failure;

/// What is wrong with a file, in one line for a person, with what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFault(String);

impl FileFault {
    /// A fault.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl std::fmt::Display for FileFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FileFault {}

impl From<FileFault> for Failure {
    fn from(fault: FileFault) -> Self {
        Self::stop(fault.0)
    }
}
