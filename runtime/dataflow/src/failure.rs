//! How a message can end other than done.

use std::time::Duration;

/// Longest reason code, in bytes.
pub const CODE_MAX: usize = 40;
/// Longest one-line message of a dead letter, in bytes.
pub const MESSAGE_MAX: usize = 300;

/// This message is bad: it becomes a dead letter with this reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Reject {
    /// Stable, machine-readable reason, for example `impossible_date`.
    pub code: &'static str,
    /// One line for a person, bounded, with what to do.
    pub message: String,
}

impl Reject {
    /// A rejection; the message is cut to one bounded line.
    pub fn new(code: &'static str, message: impl AsRef<str>) -> Self {
        Self { code, message: one_line(message.as_ref()) }
    }
}

/// Replaces control characters and cuts to [`MESSAGE_MAX`] bytes at a character border.
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(MESSAGE_MAX));
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if line.len() + c.len_utf8() > MESSAGE_MAX - '…'.len_utf8() {
            line.push('…');
            break;
        }
        line.push(c);
    }
    line
}

/// What happens next when a message is not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The world is not ready: try again later. Effects and sources only; pure code has no world to wait for.
    #[error("not ready, trying again after {after:?}: {reason}")]
    Retry {
        /// Least time to wait.
        after: Duration,
        /// One line for a person.
        reason: String,
    },
    /// The message is bad: dead letter, and on with the next.
    #[error(transparent)]
    Reject(#[from] Reject),
    /// The program is wrong for what it reads: the partition is held, uncommitted, and the operator told.
    #[error("held: {reason}")]
    Stop {
        /// One line for a person, with what to do.
        reason: String,
    },
}

impl Failure {
    /// A [`Failure::Stop`].
    pub fn stop(reason: impl AsRef<str>) -> Self {
        Self::Stop { reason: one_line(reason.as_ref()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_bounded_line() {
        assert_eq!(one_line("a\nb\tc"), "a b c");
        assert!(one_line(&"é".repeat(1000)).len() <= MESSAGE_MAX);
        assert!(one_line(&"x".repeat(1000)).ends_with('…'));
    }
}
