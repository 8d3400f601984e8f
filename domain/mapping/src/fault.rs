//! What is wrong with a row.

/// A row cannot be used: it becomes a dead letter with this reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Fault {
    /// Stable, machine-readable: `missing_key`.
    pub code: &'static str,
    /// One line for a person, naming column and value.
    pub message: String,
}

impl Fault {
    pub(crate) fn new(code: &'static str, message: String) -> Self {
        Self { code, message }
    }
}

/// A value as a message shows it: one line, not too long.
pub(crate) fn shown(value: &str) -> String {
    messages::notes::one_line(value.trim(), 60)
}
