//! Histories: messages in short, and what a rule makes of them.

#![allow(dead_code, reason = "each test uses its part of this")]

use messages::change::Change;
use messages::current::{Current, Head};
use messages::observed::{Observed, write_delete};
use track::{Decision, Outcome, Trouble};

pub(crate) const KEY: &str = "calgary:1";

/// The rule under test: `track::apply`, or one that was broken on purpose.
pub(crate) type Rule =
    for<'a> fn(&str, Option<&Current<'a>>, &Change<'a>) -> Result<Decision, Trouble>;

/// A listing's run through a rule. The state goes through its bytes at each step, as it does after a restart.
pub(crate) struct Run {
    pub(crate) key: String,
    pub(crate) rule: Rule,
    pub(crate) state: Option<Vec<u8>>,
    pub(crate) events: Vec<Vec<u8>>,
}

impl Run {
    pub(crate) fn new(rule: Rule) -> Self {
        Self { key: KEY.to_owned(), rule, state: None, events: Vec::new() }
    }

    pub(crate) fn say(&mut self, message: &[u8]) -> Decision {
        let change = Change::parse(message).expect("tests say what can be read");
        let previous = self.state.as_deref().map(|s| Current::parse(s).expect("a state is read"));
        let decision = (self.rule)(&self.key, previous.as_ref(), &change).expect("it is decided");
        self.check_glance(&change);
        if let Some(current) = &decision.current {
            self.state = Some(current.clone());
        }
        self.events.extend(decision.events.iter().map(|(_, value)| value.clone()));
        decision
    }

    /// The short way comes to the same end as the rule itself, and is taken where it should be.
    fn check_glance(&self, change: &Change<'_>) {
        let Some(state) = self.state.as_deref() else { return };
        let (head, current) = (Head::parse(state).unwrap(), Current::parse(state).unwrap());
        let whole = track::apply(&self.key, Some(&current), change).unwrap();
        let short = track::glance(&self.key, &head, change);
        assert!(short.is_some() || whole.outcome != Outcome::Stale);
        assert!(short.is_none_or(|short| short == whole));
    }

    pub(crate) fn current(&self) -> Current<'_> {
        self.state.as_deref().map_or(Current::default(), |s| Current::parse(s).unwrap())
    }

    pub(crate) fn listing(&self) -> Option<String> {
        self.current().listing.map(str::to_owned)
    }

    pub(crate) fn version(&self) -> u64 {
        self.current().version
    }
}

pub(crate) fn moment(day: u32) -> String {
    format!("2022-{:02}-{:02}T00:00:00.000Z", day / 28 + 1, day % 28 + 1)
}

/// An observation; `source` is the day of its source timestamp.
pub(crate) fn observe(
    day: u32,
    seq: u64,
    source: Option<u32>,
    revision: u32,
    listing: &str,
) -> Vec<u8> {
    let mut out = Vec::new();
    Observed {
        as_of: &moment(day),
        seq,
        source_timestamp: source.map(moment).as_deref(),
        pack: "calgary",
        revision,
        listing: listing.as_bytes(),
        hash: messages::hash(listing.as_bytes()),
        notes: &[],
    }
    .write(&mut out);
    out
}

pub(crate) fn delete(day: u32, seq: u64) -> Vec<u8> {
    let mut out = Vec::new();
    write_delete(&mut out, &moment(day), seq, "absent");
    out
}

pub(crate) fn command(id: &str, based_on: u64, action: &str, set: &str) -> Vec<u8> {
    format!(
        r#"{{"op":"command","commandId":"{id}","by":"anna","basedOn":{based_on},"set":{set},"action":"{action}"}}"#
    )
    .into_bytes()
}
