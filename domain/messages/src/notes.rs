//! Notes: what a person should know about how a listing came out, without its being wrong enough to refuse.

use crate::json::{write_name, write_str};

/// Longest message of a note, in bytes.
pub const MESSAGE_MAX: usize = 200;
/// Most notes that one listing carries.
pub const NOTES_MAX: usize = 32;

/// One note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The RESO field it is about.
    pub field: &'static str,
    /// Stable, machine-readable: `unreadable_number`.
    pub code: &'static str,
    /// One line for a person, naming column and value.
    pub message: String,
}

impl Note {
    /// A note; the message is cut to one line of [`MESSAGE_MAX`] bytes.
    #[must_use]
    pub fn new(field: &'static str, code: &'static str, message: &str) -> Self {
        Self { field, code, message: one_line(message, MESSAGE_MAX) }
    }

    /// Appends it as a JSON object.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (name, text) in [("field", self.field), ("code", self.code), ("message", &self.message)]
        {
            write_name(out, name);
            write_str(out, text);
        }
        out.push(b'}');
    }
}

/// The text as one line of at most `max` bytes: control characters become spaces, the end an ellipsis.
#[must_use]
pub fn one_line(text: &str, max: usize) -> String {
    let mut line = String::with_capacity(text.len().min(max));
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if line.len() + c.len_utf8() > max.saturating_sub('…'.len_utf8()) {
            line.push('…');
            break;
        }
        line.push(c);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_bounded_line() {
        assert_eq!(one_line("a\nb\tc", 80), "a b c");
        assert!(one_line(&"é".repeat(1000), MESSAGE_MAX).len() <= MESSAGE_MAX);
        assert!(one_line(&"x".repeat(1000), MESSAGE_MAX).ends_with('…'));
    }
}
