//! `listing.changes`, as `normalize` writes it: what a feed showed, in RESO fields, or that it shows it no longer.
//!
//! The reader is in `change`.

use crate::json::{write_str, write_u64};
use crate::notes::Note;

/// A listing as a feed showed it.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// As-of of the snapshot.
    pub as_of: &'a str,
    /// Number of the row within the snapshot.
    pub seq: u64,
    /// When the source itself says that the record is from, a moment in its fixed form; `None` where it does not say.
    pub source_timestamp: Option<&'a str>,
    /// The mapping pack.
    pub pack: &'a str,
    /// Mapping revision: 1, or higher in a replay.
    pub revision: u32,
    /// The RESO fields: a JSON object in canonical form, sorted by name.
    pub listing: &'a [u8],
    /// [`crate::hash`] of `listing`.
    pub hash: u64,
    /// What a person should know about how it came out.
    pub notes: &'a [Note],
}

impl Observed<'_> {
    /// Appends the value.
    pub fn write(&self, out: &mut Vec<u8>) {
        begin(out, "observe", self.as_of, self.seq);
        if let Some(timestamp) = self.source_timestamp {
            out.extend_from_slice(b",\"sourceTimestamp\":");
            write_str(out, timestamp);
        }
        out.extend_from_slice(b",\"pack\":");
        write_str(out, self.pack);
        out.extend_from_slice(b",\"revision\":");
        write_u64(out, u64::from(self.revision));
        out.extend_from_slice(b",\"hash\":\"");
        out.extend_from_slice(&crate::hex(self.hash));
        out.extend_from_slice(b"\",\"listing\":");
        out.extend_from_slice(self.listing);
        out.extend_from_slice(b",\"notes\":[");
        for (at, note) in self.notes.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            note.write(out);
        }
        out.extend_from_slice(b"]}");
    }
}

/// Appends the value that says that the feed shows the listing no longer.
pub fn write_delete(out: &mut Vec<u8>, as_of: &str, seq: u64, reason: &str) {
    begin(out, "delete", as_of, seq);
    out.extend_from_slice(b",\"reason\":");
    write_str(out, reason);
    out.push(b'}');
}

fn begin(out: &mut Vec<u8>, op: &str, as_of: &str, seq: u64) {
    out.extend_from_slice(b"{\"op\":");
    write_str(out, op);
    out.extend_from_slice(b",\"asOf\":");
    write_str(out, as_of);
    out.extend_from_slice(b",\"seq\":");
    write_u64(out, seq);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms() {
        let mut out = Vec::new();
        let notes =
            [Note::new("Latitude", "outside_state", "x"), Note::new("City", "missing", "y")];
        Observed {
            as_of: "2022-01-01T00:00:00.000Z",
            seq: 7,
            source_timestamp: Some("2021-05-01T00:00:00.000Z"),
            pack: "calgary",
            revision: 1,
            listing: b"{\"City\":\"Calgary\"}",
            hash: 0xab,
            notes: &notes,
        }
        .write(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"{"op":"observe","asOf":"2022-01-01T00:00:00.000Z","seq":7,"sourceTimestamp":"2021-05-01T00:00:00.000Z","#,
                r#""pack":"calgary","revision":1,"hash":"00000000000000ab","listing":{"City":"Calgary"},"#,
                r#""notes":[{"field":"Latitude","code":"outside_state","message":"x"},{"field":"City","code":"missing","message":"y"}]}"#
            )
        );
        let mut out = Vec::new();
        write_delete(&mut out, "2022-01-01T00:00:00.000Z", 8, "absent");
        let expect =
            r#"{"op":"delete","asOf":"2022-01-01T00:00:00.000Z","seq":8,"reason":"absent"}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expect);
    }
}
