//! What users are told about their commands: values of `command.results`.

use messages::json::{write_name, write_str, write_u64};

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandOutcome {
    /// It counts.
    Accepted,
    /// It does not count, with the reason.
    Refused,
    /// It counted until the feed said something else.
    Superseded,
    /// It came before.
    Duplicate,
}

impl CommandOutcome {
    /// The name in `outcome`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Superseded => "superseded",
            Self::Duplicate => "duplicate",
        }
    }
}

/// Why a command does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Stable, machine-readable: `stale`, `unknown_listing`, `impossible` or `exists`.
    pub code: &'static str,
    /// One line for the user, with what to do.
    pub reason: String,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What became of the command.
    pub outcome: CommandOutcome,
    /// The value for `command.results`.
    pub value: Vec<u8>,
}

impl Answer {
    /// The command counts.
    pub(crate) fn accepted(command_id: &str, version: u64) -> Self {
        Self::new(CommandOutcome::Accepted, command_id, &[], version)
    }

    /// The command came before, and changes nothing again.
    pub(crate) fn duplicate(command_id: &str, version: u64) -> Self {
        let reason = [("reason", "the command was carried out before")];
        Self::new(CommandOutcome::Duplicate, command_id, &reason, version)
    }

    /// The command does not count.
    pub(crate) fn refused(command_id: &str, refusal: &Refusal, version: u64) -> Self {
        let why = [("code", refusal.code), ("reason", refusal.reason.as_str())];
        Self::new(CommandOutcome::Refused, command_id, &why, version)
    }

    /// The feed has the last word on this field again.
    pub(crate) fn superseded(command_id: &str, field: &str, reason: &str, version: u64) -> Self {
        let why = [("field", field), ("reason", reason)];
        Self::new(CommandOutcome::Superseded, command_id, &why, version)
    }

    fn new(outcome: CommandOutcome, command_id: &str, why: &[(&str, &str)], version: u64) -> Self {
        let mut value = b"{\"commandId\":".to_vec();
        write_str(&mut value, command_id);
        for (name, text) in std::iter::once(&("outcome", outcome.name())).chain(why) {
            write_name(&mut value, name);
            write_str(&mut value, text);
        }
        write_name(&mut value, "version");
        write_u64(&mut value, version);
        value.push(b'}');
        Self { outcome, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_have_one_form() {
        let refusal = Refusal { code: "stale", reason: "the \"listing\" changed".to_owned() };
        for (answer, expect) in [
            (Answer::accepted("c-1", 2), r#"{"commandId":"c-1","outcome":"accepted","version":2}"#),
            (
                Answer::duplicate("c-1", 2),
                r#"{"commandId":"c-1","outcome":"duplicate","reason":"the command was carried out before","version":2}"#,
            ),
            (
                Answer::refused("c-1", &refusal, 0),
                r#"{"commandId":"c-1","outcome":"refused","code":"stale","reason":"the \"listing\" changed","version":0}"#,
            ),
            (
                Answer::superseded("c-1", "City", "why", 7),
                r#"{"commandId":"c-1","outcome":"superseded","field":"City","reason":"why","version":7}"#,
            ),
        ] {
            assert_eq!(String::from_utf8(answer.value).unwrap(), expect);
        }
    }
}
