//! Windows-1252, which real feeds still send: only the characters that this feed uses.

/// Encodes UTF-8 as Windows-1252; what that cannot say becomes `?`.
pub(crate) fn encode(utf8: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(utf8).chars().map(byte).collect()
}

fn byte(character: char) -> u8 {
    match character {
        '–' => 0x96,
        '—' => 0x97,
        '’' => 0x92,
        'œ' => 0x9C,
        // The C1 controls have other meanings there.
        '\u{80}'..='\u{9F}' => b'?',
        other => u8::try_from(u32::from(other)).unwrap_or(b'?'),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn letters_of_the_feed() {
        assert_eq!(
            super::encode("Montréal – ça, œ 漢".as_bytes()),
            b"Montr\xE9al \x96 \xE7a, \x9C ?"
        );
    }
}
