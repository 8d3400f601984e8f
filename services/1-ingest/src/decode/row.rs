//! A row as JSON, and its key.

use dataflow::Reject;
use messages::json::{Value, members, write_escaped};

use super::Decoder;
use crate::header::KeyPiece;
use crate::plan::{KeyPart, RowPlan};

/// Longest key in bytes, without the feed's name.
pub const KEY_BYTES_MAX: usize = 512;

impl Decoder {
    pub(super) fn csv_row(&self, out: &mut Vec<u8>, key: &mut Vec<u8>) -> Result<(), Reject> {
        let row = self.row_text();
        let end = self.fields.last().map_or(0, |f| f.end);
        let clean = needs_no_escape(row.as_bytes().get(..end).unwrap_or_default());
        for (field, opening) in self.fields.iter().zip(&self.header.openings) {
            out.extend_from_slice(opening);
            if clean {
                let bytes = row.as_bytes().get(field.start..field.end);
                out.extend_from_slice(bytes.unwrap_or_default());
            } else {
                write_escaped(out, &field.of(row));
            }
        }
        out.extend_from_slice(b"\"}");
        for piece in &self.header.key {
            match piece {
                KeyPiece::Text(text) => key.extend_from_slice(text.as_bytes()),
                KeyPiece::Column(at) => {
                    let value = self.fields.get(*at).map(|f| f.of(row)).unwrap_or_default();
                    push_key_part(
                        key,
                        &value,
                        self.header.names().get(*at).map_or("", String::as_str),
                    )?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn json_row(&self, out: &mut Vec<u8>, key: &mut Vec<u8>) -> Result<(), Reject> {
        let row = self.row_text().trim_matches([' ', '\t', '\r', '\n']);
        let mut values = vec![None; self.shape.plan.key.parts().len()];
        read_object(row, "", &self.shape.plan, &mut values)?;
        out.extend_from_slice(row.as_bytes());
        for (part, value) in self.shape.plan.key.parts().iter().zip(values) {
            match part {
                KeyPart::Text(text) => key.extend_from_slice(text.as_bytes()),
                KeyPart::Column(name) => push_key_part(key, &value.unwrap_or_default(), name)?,
            }
        }
        Ok(())
    }
}

/// Whether the bytes can stand in a JSON string as they are. Without branches, so that it runs at memory speed.
fn needs_no_escape(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |clean, b| clean & (*b >= 0x20) & (*b != b'"') & (*b != b'\\'))
}

fn push_key_part(key: &mut Vec<u8>, value: &str, name: &str) -> Result<(), Reject> {
    let value = value.trim();
    if value.is_empty() {
        return Err(Reject::new("no_key", format!("{name} is empty, and it is part of the key")));
    }
    key.extend_from_slice(value.as_bytes());
    Ok(())
}

pub(super) fn check_key(key: &[u8]) -> Result<(), Reject> {
    if key.len() > KEY_BYTES_MAX {
        let message = format!("the key has {} bytes, more than {KEY_BYTES_MAX}", key.len());
        return Err(Reject::new("key_too_long", message));
    }
    if key.iter().any(u8::is_ascii_control) {
        return Err(Reject::new("bad_key", "the key holds a control character"));
    }
    Ok(())
}

/// Checks an object to its end and takes the values of the key's columns out of it.
fn read_object(
    text: &str,
    path: &str,
    plan: &RowPlan,
    values: &mut [Option<String>],
) -> Result<(), Reject> {
    for member in members(text) {
        let (name, value) = member
            .map_err(|e| Reject::new("bad_json", format!("no JSON object in this line: {e}")))?;
        let mut nested = None;
        for (part, slot) in plan.key.parts().iter().zip(&mut *values) {
            let KeyPart::Column(column) = part else { continue };
            let Some(rest) = below(column, path, &name) else { continue };
            match (rest, &value) {
                ("", Value::String(text)) => *slot = Some(text.clone().into_owned()),
                ("", Value::Number(text)) => *slot = Some((*text).to_owned()),
                (rest, Value::Object(text)) if rest.starts_with('.') => nested = Some(*text),
                _ => {}
            }
        }
        if let Some(object) = nested {
            read_object(object, &format!("{path}{name}."), plan, values)?;
        }
    }
    Ok(())
}

/// What follows `path` and `name` in a column of the key; `None` where they do not begin it.
fn below<'c>(column: &'c str, path: &str, name: &str) -> Option<&'c str> {
    // Comparing with an empty text is left out: its address is no memory, which some processors punish.
    let column = if path.is_empty() { column } else { column.strip_prefix(path)? };
    if name.is_empty() { Some(column) } else { column.strip_prefix(name) }
}
