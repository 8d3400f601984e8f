//! `listing.changes`: what anyone says about a listing. A feed observed it, a feed no longer has it, or a
//! user commanded something. This is the reader; what `normalize` writes is in [`crate::observed`].
//!
//! Reading checks the envelope and leaves the listing as text: most messages say nothing new, and that is
//! seen from the stamp alone.

pub mod fields;
pub mod scan;
pub mod set;

use std::cmp::Ordering;

use crate::json::{write_name, write_str, write_u64};
use fields::Fields;
use scan::Malformed;

/// Longest value that is read, in bytes; a listing with hundreds of photos has about 100 KB.
pub const BYTES_MAX: usize = 1 << 20;
/// Longest command id, in bytes.
pub const COMMAND_ID_MAX: usize = 64;
/// Longest name of who commanded, as JSON text, in bytes.
pub const BY_MAX: usize = 200;

/// Where an observation stands among those of its feed, and what it said in short.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamp<'a> {
    /// When the source says the record is from, where it says so.
    pub source_timestamp: Option<&'a str>,
    /// As-of of the snapshot.
    pub as_of: &'a str,
    /// Number of the row, or of the fetch, within the feed's snapshot.
    pub seq: u64,
    /// Mapping revision: 1, or higher in a replay. 0 where there was nothing to map (a delete).
    pub revision: u32,
    /// Hash of the listing, 16 digits; empty where there was none (a delete).
    pub hash: &'a str,
    /// Mapping pack; empty where there was none (a delete).
    pub pack: &'a str,
}

impl Stamp<'_> {
    /// Orders two observations of one feed: by source timestamp, then as-of, then sequence; by the last two
    /// alone where one of them has no source timestamp. The mapping revision is not a place in the feed.
    ///
    /// This is an order only among observations that all have a source timestamp or all have none, and where
    /// later snapshots show later ones; it is so for a pack, and mixed only when a pack begins to map one.
    #[must_use]
    pub fn cmp_position(&self, other: &Stamp<'_>) -> Ordering {
        let by_source = match (self.source_timestamp, other.source_timestamp) {
            (Some(ours), Some(theirs)) => ours.cmp(theirs),
            _ => Ordering::Equal,
        };
        by_source.then_with(|| self.as_of.cmp(other.as_of)).then(self.seq.cmp(&other.seq))
    }

    /// Appends it as a JSON object; what is empty is left out.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        if let Some(timestamp) = self.source_timestamp {
            write_name(out, "sourceTimestamp");
            write_str(out, timestamp);
        }
        write_name(out, "asOf");
        write_str(out, self.as_of);
        write_name(out, "seq");
        write_u64(out, self.seq);
        if self.revision > 0 {
            write_name(out, "revision");
            write_u64(out, u64::from(self.revision));
        }
        for (name, text) in [("hash", self.hash), ("pack", self.pack)] {
            if !text.is_empty() {
                write_name(out, name);
                write_str(out, text);
            }
        }
        out.push(b'}');
    }
}

/// A listing as a feed showed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed<'a> {
    /// Its place in the feed.
    pub stamp: Stamp<'a>,
    /// The RESO fields, JSON text; read with [`fields::Fields::parse`].
    pub listing: &'a str,
    /// Notes of the mapping, JSON text.
    pub notes: Option<&'a str>,
}

/// What a user wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Set fields of a listing.
    Edit,
    /// Take a listing off the market.
    Withdraw,
    /// Add a listing that no feed has.
    Add,
}

/// A user's command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command<'a> {
    /// Its id, drawn by the device; a repeated command has the same one.
    pub id: &'a str,
    /// Who commanded, JSON text.
    pub by: &'a str,
    /// The version of the listing that the user saw; 0 for a listing to be added.
    pub based_on: u64,
    /// Fields to set, a JSON object (null takes a field away); its values are as the user sent them.
    pub set: &'a str,
    /// What to do.
    pub action: Action,
}

impl Command<'_> {
    /// The message, as `gateway` sends it.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut out = b"{\"op\":\"command\"".to_vec();
        write_name(&mut out, "commandId");
        write_str(&mut out, self.id);
        write_name(&mut out, "by");
        out.extend_from_slice(self.by.as_bytes());
        write_name(&mut out, "basedOn");
        write_u64(&mut out, self.based_on);
        write_name(&mut out, "action");
        write_str(&mut out, self.action.name());
        write_name(&mut out, "set");
        out.extend_from_slice(self.set.as_bytes());
        out.push(b'}');
        out
    }
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Edit, Self::Withdraw, Self::Add];

    /// Its name in a message.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Edit => "edit",
            Self::Withdraw => "withdraw",
            Self::Add => "add",
        }
    }
}

/// What the key of a listing that a user added begins with; the id of the command follows.
pub const ADDED_PREFIX: &str = "hand:";

/// The key of a listing that is added by this command.
#[must_use]
pub fn added_key(command_id: &str) -> String {
    format!("{ADDED_PREFIX}{command_id}")
}

/// A message of `listing.changes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// A feed showed the listing.
    Observed(Observed<'a>),
    /// A feed no longer shows it.
    Absent(Stamp<'a>),
    /// A user commanded something.
    Command(Command<'a>),
}

impl<'a> Change<'a> {
    /// Reads a message. Members that are not known are passed over: a newer writer may add some.
    ///
    /// # Errors
    /// [`Malformed`] when it is no JSON object of one of the three forms.
    pub fn parse(value: &'a [u8]) -> Result<Self, Malformed> {
        if value.len() > BYTES_MAX {
            return Err(Malformed::whole("a change is larger than 1 MiB"));
        }
        let mut parts = Parts { set: "{}", ..Parts::default() };
        scan::object(text_of(value)?, |name, value| parts.take(name, value))?;
        parts.change()
    }

    /// As [`Change::parse`], with the fields of the listing read in the same pass. They are `None` where there is
    /// no listing, or where [`Fields::parse`] has something to say about it.
    ///
    /// # Errors
    /// As [`Change::parse`].
    pub fn parse_with_fields(value: &'a [u8]) -> Result<(Self, Option<Fields<'a>>), Malformed> {
        if value.len() > BYTES_MAX {
            return Err(Malformed::whole("a change is larger than 1 MiB"));
        }
        let mut parts = Parts { set: "{}", ..Parts::default() };
        let mut fields = fields::Reading::default();
        let (mut fit, mut listings) = (true, 0);
        let field = |name, value| {
            fit = fit && fields.take(name, value).is_ok();
            Ok(())
        };
        scan::object_within(text_of(value)?, "listing", field, |name, value| {
            listings += usize::from(name == "listing");
            parts.take(name, value)
        })?;
        let listing = parts.listing.filter(|text| fit && listings == 1 && text.starts_with('{'));
        let fields = listing.map(|listing| fields.finish(listing));
        Ok((parts.change()?, fields))
    }
}

fn text_of(value: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(value)
        .map_err(|e| Malformed { what: "a change is not UTF-8", at: e.valid_up_to() })
}

#[derive(Default)]
struct Parts<'a> {
    op: &'a str,
    stamp: Stamp<'a>,
    listing: Option<&'a str>,
    notes: Option<&'a str>,
    command_id: &'a str,
    by: &'a str,
    based_on: u64,
    set: &'a str,
    action: &'a str,
}

impl<'a> Parts<'a> {
    fn take(&mut self, name: &'a str, value: &'a str) -> Result<(), Malformed> {
        match name {
            "op" => self.op = value,
            "listing" => self.listing = Some(value),
            "notes" => self.notes = Some(value),
            "commandId" => self.command_id = command_id(value)?,
            "by" => self.by = value,
            "basedOn" => self.based_on = whole(value)?,
            "set" => self.set = value,
            "action" => self.action = value,
            _ => take_stamp(&mut self.stamp, name, value)?,
        }
        Ok(())
    }

    fn change(&self) -> Result<Change<'a>, Malformed> {
        match self.op {
            "\"observe\"" => self.observed().map(Change::Observed),
            "\"delete\"" => self.feed_stamp().map(Change::Absent),
            "\"command\"" => self.command().map(Change::Command),
            _ => Err(Malformed::whole("op is none of observe, delete, command")),
        }
    }

    fn feed_stamp(&self) -> Result<Stamp<'a>, Malformed> {
        if self.stamp.as_of.is_empty() {
            return Err(Malformed::whole("asOf is missing"));
        }
        Ok(Stamp { revision: 0, hash: "", pack: "", ..self.stamp })
    }

    fn observed(&self) -> Result<Observed<'a>, Malformed> {
        self.feed_stamp()?;
        if self.stamp.revision == 0 || self.stamp.hash.is_empty() {
            return Err(Malformed::whole("revision or hash is missing"));
        }
        let listing = self.listing.ok_or(Malformed::whole("listing is missing"))?;
        let notes = self.notes.filter(|notes| !matches!(*notes, "[]" | "null"));
        Ok(Observed { stamp: self.stamp, listing, notes })
    }

    fn command(&self) -> Result<Command<'a>, Malformed> {
        let action = match self.action {
            "\"edit\"" => Action::Edit,
            "\"withdraw\"" => Action::Withdraw,
            "\"add\"" => Action::Add,
            _ => return Err(Malformed::whole("action is none of edit, withdraw, add")),
        };
        if self.command_id.is_empty() {
            return Err(Malformed::whole("commandId is missing"));
        }
        if !self.by.starts_with('"') || self.by.len() > BY_MAX {
            return Err(Malformed::whole("by is not a string of at most 198 bytes"));
        }
        if !self.set.starts_with('{') {
            return Err(Malformed::whole("set is not an object"));
        }
        Ok(Command {
            id: self.command_id,
            by: self.by,
            based_on: self.based_on,
            set: self.set,
            action,
        })
    }
}

/// Reads a stamp that was written by [`Stamp::write`].
///
/// # Errors
/// [`Malformed`] when it is not of that form.
pub fn parse_stamp(text: &str) -> Result<Stamp<'_>, Malformed> {
    let mut stamp = Stamp::default();
    scan::object(text, |name, value| take_stamp(&mut stamp, name, value))?;
    if stamp.as_of.is_empty() {
        return Err(Malformed::whole("asOf is missing"));
    }
    Ok(stamp)
}

fn take_stamp<'a>(stamp: &mut Stamp<'a>, name: &str, value: &'a str) -> Result<(), Malformed> {
    match name {
        "sourceTimestamp" => stamp.source_timestamp = Some(moment(value)?),
        "asOf" => stamp.as_of = moment(value)?,
        "seq" => stamp.seq = whole(value)?,
        "revision" => {
            stamp.revision = u32::try_from(whole(value)?)
                .map_err(|_| Malformed::whole("revision is larger than 4,294,967,295"))?;
        }
        "hash" => stamp.hash = plain(value, 16, "hash is not 16 digits")?,
        "pack" => stamp.pack = plain(value, 64, "pack is not a plain name of at most 64 bytes")?,
        _ => {}
    }
    Ok(())
}

/// A moment in its fixed form. The form is what makes comparing text the same as comparing time.
fn moment(value: &str) -> Result<&str, Malformed> {
    let text = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or_default();
    if crate::time::has_fixed_form(text) {
        Ok(text)
    } else {
        Err(Malformed::whole("a moment is not of the form 2022-01-31T00:00:00.000Z"))
    }
}

pub(crate) fn whole(value: &str) -> Result<u64, Malformed> {
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    value.parse().ok().filter(|_| digits).ok_or(Malformed::whole(
        "a whole number is expected for seq, revision, version and basedOn",
    ))
}

/// The inside of a string that has no escapes.
pub(crate) fn plain<'a>(
    value: &'a str,
    max: usize,
    what: &'static str,
) -> Result<&'a str, Malformed> {
    let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    inner
        .filter(|t| (1..=max).contains(&t.len()) && !t.contains('\\'))
        .ok_or(Malformed::whole(what))
}

/// A command id: letters, digits, `-`, `_` and `.`.
pub(crate) fn command_id(value: &str) -> Result<&str, Malformed> {
    let what = "commandId is not 1 to 64 letters, digits, -, _ and .";
    let id = plain(value, COMMAND_ID_MAX, what)?;
    if is_command_id(id) { Ok(id) } else { Err(Malformed::whole(what)) }
}

/// Whether a text can be a command id: 1 to 64 letters, digits, `-`, `_` and `.`.
#[must_use]
pub fn is_command_id(text: &str) -> bool {
    (1..=COMMAND_ID_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// The device that a command comes from: what stands before the last point of its id.
#[must_use]
pub fn device_of(command_id: &str) -> &str {
    command_id.rsplit_once('.').map_or("", |(device, _)| device)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AS_OF: &str = "2022-01-01T00:00:00.000Z";

    #[test]
    fn one_pass_reads_the_same_as_two() {
        let observe = |listing: &str, more: &str| {
            format!(
                r#"{{"op":"observe","asOf":"{AS_OF}","seq":7,"pack":"p","revision":1,"hash":"00000000000000ab","listing":{listing}{more}}}"#
            )
        };
        let cases = [
            observe(r#"{"City":"Calgary","ListPrice":5}"#, r#","notes":[]"#),
            observe(r#"{ "City" : "Calgary" , "ListPrice":null}"#, ""),
            observe("{}", ""),
            observe(r#"{"B":1,"A":2}"#, ""),
            observe("[]", ""),
            observe("{}", r#","listing":{"A":1}"#),
            observe(r#"{"A":1}"#, r#","listing":{"B":1}"#),
            observe(r#"{"A":1"#, ""),
            format!(r#"{{"op":"delete","asOf":"{AS_OF}","seq":8}}"#),
            "{}".to_owned(),
        ];
        for text in cases {
            let plain = Change::parse(text.as_bytes());
            let read = Change::parse_with_fields(text.as_bytes());
            assert_eq!(read.as_ref().map(|(change, _)| *change), plain.as_ref().copied(), "{text}");
            let listing = match &plain {
                Ok(Change::Observed(seen)) => Fields::parse(seen.listing).ok(),
                _ => None,
            };
            // A listing that comes twice is left to the second pass.
            let fields = read.ok().and_then(|(_, fields)| fields);
            assert!(fields == listing || fields.is_none(), "{text}: {fields:?}");
            let is_plain = text.matches("listing").count() == 1;
            assert_eq!(is_plain && listing.is_some(), is_plain && fields.is_some(), "{text}");
        }
    }

    #[test]
    fn the_three_forms() {
        let observe = br#"{"op":"observe","asOf":"2022-01-01T00:00:00.000Z","seq":7,"sourceTimestamp":"2021-05-01T00:00:00.000Z","pack":"calgary","revision":1,"hash":"00000000000000ab","listing":{"City":"Calgary"},"notes":[],"later":{"x":1}}"#;
        let Ok(Change::Observed(found)) = Change::parse(observe) else { panic!("not observed") };
        assert_eq!(
            found,
            Observed {
                stamp: Stamp {
                    source_timestamp: Some("2021-05-01T00:00:00.000Z"),
                    as_of: AS_OF,
                    seq: 7,
                    revision: 1,
                    hash: "00000000000000ab",
                    pack: "calgary",
                },
                listing: r#"{"City":"Calgary"}"#,
                notes: None,
            }
        );
        let delete =
            br#"{"op":"delete","asOf":"2022-01-01T00:00:00.000Z","seq":8,"reason":"absent"}"#;
        let stamp = Stamp { as_of: AS_OF, seq: 8, ..Stamp::default() };
        assert_eq!(Change::parse(delete), Ok(Change::Absent(stamp)));
        let command = br#"{"op":"command","commandId":"c-1","by":"anna","basedOn":3,"set":{"ListPrice":5e5},"action":"edit"}"#;
        let expect = Command {
            id: "c-1",
            by: "\"anna\"",
            based_on: 3,
            set: "{\"ListPrice\":5e5}",
            action: Action::Edit,
        };
        assert_eq!(Change::parse(command), Ok(Change::Command(expect)));
        for action in Action::ALL {
            let written = Command { action, ..expect }.write();
            assert_eq!(Change::parse(&written), Ok(Change::Command(Command { action, ..expect })));
        }
    }

    #[test]
    fn bad_messages_are_refused_with_the_reason() {
        for (text, part) in [
            ("", "begin with {"),
            ("[]", "begin with {"),
            ("{}", "op is none"),
            (r#"{"op":"observe"}"#, "asOf is missing"),
            (r#"{"op":"observe","asOf":"2022-01-01"}"#, "moment"),
            (r#"{"op":"observe","asOf":"2022-01-01T00:00:00.000Z"}"#, "revision or hash"),
            (r#"{"op":"observe","asOf":"2022-01-01T00:00:00.000Z","seq":-1}"#, "whole number"),
            (r#"{"op":"observe","asOf":"2022-01-01T00:00:00.000Z","seq":"1"}"#, "whole number"),
            (
                r#"{"op":"observe","asOf":"2022-01-01T00:00:00.000Z","revision":5000000000}"#,
                "revision is larger",
            ),
            (
                r#"{"op":"observe","asOf":"2022-01-01T00:00:00.000Z","revision":1,"hash":"ab"}"#,
                "listing is missing",
            ),
            (r#"{"op":"delete","seq":1}"#, "asOf is missing"),
            (r#"{"op":"command","action":"burn"}"#, "action is none"),
            (r#"{"op":"command","action":"edit"}"#, "commandId is missing"),
            (r#"{"op":"command","action":"edit","commandId":"a b"}"#, "commandId is not"),
            (r#"{"op":"command","action":"edit","commandId":"a"}"#, "by is not"),
            (r#"{"op":"command","action":"edit","commandId":"a","by":"b","set":[]}"#, "set is not"),
        ] {
            let found = Change::parse(text.as_bytes()).unwrap_err();
            assert!(found.what.contains(part), "{text}: {found}");
        }
        assert!(Change::parse(b"{\"op\":\"\xff\"}").unwrap_err().what.contains("UTF-8"));
        assert!(Change::parse(&vec![b' '; BYTES_MAX + 1]).unwrap_err().what.contains("1 MiB"));
    }

    #[test]
    fn positions_are_ordered_by_source_then_as_of_then_sequence() {
        let at = |source: Option<&'static str>, as_of: &'static str, seq| Stamp {
            source_timestamp: source,
            as_of,
            seq,
            ..Stamp::default()
        };
        for (a, b, expect) in [
            (at(Some("1"), "9", 9), at(Some("2"), "1", 1), Ordering::Less),
            (at(Some("1"), "2", 1), at(Some("1"), "1", 9), Ordering::Greater),
            (at(None, "1", 2), at(None, "1", 10), Ordering::Less),
            (at(Some("9"), "1", 1), at(None, "2", 1), Ordering::Less),
            (at(None, "1", 1), at(Some("9"), "1", 1), Ordering::Equal),
        ] {
            assert_eq!(a.cmp_position(&b), expect, "{a:?} {b:?}");
            assert_eq!(b.cmp_position(&a), expect.reverse(), "{b:?} {a:?}");
        }
    }

    #[test]
    fn stamps_are_read_as_they_were_written() {
        let full = Stamp {
            source_timestamp: Some(AS_OF),
            as_of: AS_OF,
            seq: u64::MAX,
            revision: 2,
            hash: "00000000000000ab",
            pack: "calgary",
        };
        for stamp in [full, Stamp { as_of: AS_OF, ..Stamp::default() }] {
            let mut out = Vec::new();
            stamp.write(&mut out);
            assert_eq!(parse_stamp(std::str::from_utf8(&out).unwrap()), Ok(stamp));
        }
    }
}
