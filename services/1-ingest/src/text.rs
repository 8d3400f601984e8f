//! From the bytes of a row to text.

use dataflow::Reject;
use encoding_rs::WINDOWS_1252;
use memchr::memchr;

use crate::config::Encoding;

/// How the text of a row was found to be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Valid UTF-8: the bytes are the text.
    Utf8,
    /// Windows-1252, now UTF-8 in the buffer.
    Windows1252,
}

/// Checks the text of a row, and writes it to `buffer` when it is not UTF-8 already.
///
/// # Errors
/// A [`Reject`] for what is not text: NUL bytes, or bytes that do not fit the encoding.
pub fn decode(bytes: &[u8], encoding: Encoding, buffer: &mut String) -> Result<Found, Reject> {
    if let Some(at) = memchr(0, bytes) {
        let message =
            format!("a NUL byte at byte {} of the row: bring the file without it", at + 1);
        return Err(Reject::new("nul_byte", message));
    }
    if encoding == Encoding::Windows1252 {
        return windows_1252(bytes, buffer);
    }
    let Err(error) = std::str::from_utf8(bytes) else { return Ok(Found::Utf8) };
    if encoding == Encoding::Auto && !holds_utf8_letters(bytes) {
        return windows_1252(bytes, buffer);
    }
    let message = format!(
        "not UTF-8 at byte {} of the row: mend the file, or set the feed's encoding",
        error.valid_up_to() + 1
    );
    Err(Reject::new("not_utf8", message))
}

/// Whether there is any well-formed letter of several bytes: then the text was UTF-8 before it was damaged.
fn holds_utf8_letters(bytes: &[u8]) -> bool {
    bytes.utf8_chunks().any(|chunk| !chunk.valid().is_ascii())
}

fn windows_1252(bytes: &[u8], buffer: &mut String) -> Result<Found, Reject> {
    if let Some(at) = bytes.iter().position(|b| matches!(b, 0x81 | 0x8d | 0x8f | 0x90 | 0x9d)) {
        let message = format!(
            "byte {} of the row is no letter in Windows-1252: set the feed's encoding, or mend the file",
            at + 1
        );
        return Err(Reject::new("not_windows_1252", message));
    }
    buffer.clear();
    buffer.push_str(&WINDOWS_1252.decode_without_bom_handling(bytes).0);
    Ok(Found::Windows1252)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        let utf8 = Ok(Found::Utf8);
        let old = Ok(Found::Windows1252);
        for (bytes, encoding, expect, text) in [
            (&b"abc"[..], Encoding::Auto, utf8, ""),
            ("Qu\u{e9}bec".as_bytes(), Encoding::Auto, utf8, ""),
            (b"Qu\xe9bec \x80 5", Encoding::Auto, old, "Québec € 5"),
            (b"Qu\xe9bec", Encoding::Windows1252, old, "Québec"),
            (b"Qu\xe9bec", Encoding::Utf8, Err("not_utf8"), ""),
            (b"Qu\xc3\xa9bec \xe9", Encoding::Auto, Err("not_utf8"), ""),
            (b"a\x81", Encoding::Auto, Err("not_windows_1252"), ""),
            (b"a\0b", Encoding::Auto, Err("nul_byte"), ""),
            (b"a\0b", Encoding::Windows1252, Err("nul_byte"), ""),
        ] {
            let mut buffer = String::new();
            let got = decode(bytes, encoding, &mut buffer).map_err(|e| e.code);
            assert_eq!((got, buffer.as_str()), (expect, text), "{bytes:?} {encoding:?}");
        }
    }
}
