//! Postal codes: ZIP and ZIP+4 of the United States, postal codes and forward sortation areas of Canada.

use std::fmt;

use crate::Country;

/// A postal code in the form RESO's `PostalCode` takes: `02134`, `T2P 1A1`, or `T2P` (a forward sortation area alone).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PostalCode {
    /// ASCII, padded with zeros.
    code: [u8; 7],
    plus4: Option<[u8; 4]>,
    country: Country,
}

/// Why a text is not a postal code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PostalCodeError {
    /// Nothing but spaces.
    #[error("the postal code is empty")]
    Empty,
    /// Not five digits, nor five and four.
    #[error("a ZIP code has five digits, or five and four (02134 or 02134-1000)")]
    ZipShape,
    /// Three or four digits: a spreadsheet took the leading zeros.
    #[error(
        "the ZIP code has too few digits; if its leading zeros were lost, set the mapping to restore them"
    )]
    ZipTooShort,
    /// Five zeros stand for "unknown".
    #[error("00000 is no ZIP code")]
    ZipZero,
    /// Not letter, digit, letter, digit, letter, digit.
    #[error("a Canadian postal code has the form A1A 1A1, or A1A for the area alone")]
    CanadianShape,
    /// A letter that Canada Post does not use there.
    #[error("Canadian postal codes never have the letter {letter} at place {place}")]
    CanadianLetter {
        /// The letter, upper case.
        letter: char,
        /// Its place, from 1.
        place: usize,
    },
}

impl PostalCode {
    /// Reads a postal code of `country`. Spaces, a dash and letter case do not matter.
    ///
    /// # Errors
    /// [`PostalCodeError`] where the text is none. A ZIP code that lost its leading zeros is refused here;
    /// see [`PostalCode::parse_restoring_zeros`].
    pub fn parse(text: &str, country: Country) -> Result<Self, PostalCodeError> {
        let mut buffer = [0u8; 10];
        let compact = compact(text, &mut buffer).ok_or(shape_error(country))?;
        if compact.is_empty() {
            return Err(PostalCodeError::Empty);
        }
        match country {
            Country::Us => zip(compact),
            Country::Ca => canadian(compact),
        }
    }

    /// Reads a ZIP code whose leading zeros a spreadsheet may have taken: `2134`, `2134.0` and `501` are `02134`
    /// and `00501`. Only for columns that are known to hold numbers.
    ///
    /// # Errors
    /// [`PostalCodeError`] where the text is no ZIP code even so.
    pub fn parse_restoring_zeros(text: &str) -> Result<Self, PostalCodeError> {
        let text = text.trim();
        let text = text.strip_suffix(".0").unwrap_or(text);
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let zeros =
            if (3..5).contains(&digits) { "00".get(digits - 3..).unwrap_or("") } else { "" };
        if zeros.is_empty() {
            return Self::parse(text, Country::Us);
        }
        Self::parse(&format!("{zeros}{text}"), Country::Us)
    }

    /// The code as RESO's `PostalCode` takes it.
    pub fn code(&self) -> &str {
        let end = self.code.iter().position(|byte| *byte == 0).unwrap_or(self.code.len());
        self.code.get(..end).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("")
    }

    /// RESO's `PostalCodePlus4`.
    pub fn plus4(&self) -> Option<&str> {
        self.plus4.as_ref().and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// The country whose code this is.
    pub const fn country(&self) -> Country {
        self.country
    }
}

impl fmt::Display for PostalCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())?;
        self.plus4().map_or(Ok(()), |plus4| write!(formatter, "-{plus4}"))
    }
}

impl fmt::Debug for PostalCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PostalCode({self})")
    }
}

const fn shape_error(country: Country) -> PostalCodeError {
    match country {
        Country::Us => PostalCodeError::ZipShape,
        Country::Ca => PostalCodeError::CanadianShape,
    }
}

/// Upper case without spaces and dashes; `None` where something else is in it, or too much.
fn compact<'a>(text: &str, buffer: &'a mut [u8; 10]) -> Option<&'a [u8]> {
    let mut length = 0;
    for byte in text.bytes().filter(|byte| !matches!(byte, b' ' | b'-' | b'\t')) {
        if !byte.is_ascii_alphanumeric() {
            return None;
        }
        *buffer.get_mut(length)? = byte.to_ascii_uppercase();
        length += 1;
    }
    buffer.get(..length)
}

fn zip(compact: &[u8]) -> Result<PostalCode, PostalCodeError> {
    if !compact.iter().all(u8::is_ascii_digit) {
        return Err(PostalCodeError::ZipShape);
    }
    let (five, plus4) = match compact.len() {
        3 | 4 => return Err(PostalCodeError::ZipTooShort),
        5 => (compact, None),
        9 => {
            let (five, four) = compact.split_at(5);
            (five, <[u8; 4]>::try_from(four).ok())
        }
        _ => return Err(PostalCodeError::ZipShape),
    };
    if five == b"00000" {
        return Err(PostalCodeError::ZipZero);
    }
    let mut code = [0u8; 7];
    code.iter_mut().zip(five).for_each(|(to, from)| *to = *from);
    Ok(PostalCode { code, plus4, country: Country::Us })
}

fn canadian(compact: &[u8]) -> Result<PostalCode, PostalCodeError> {
    if compact.len() != 3 && compact.len() != 6 {
        return Err(PostalCodeError::CanadianShape);
    }
    let mut code = [0u8; 7];
    for (index, byte) in compact.iter().enumerate() {
        let is_digit_place = index % 2 == 1;
        if is_digit_place != byte.is_ascii_digit() {
            return Err(PostalCodeError::CanadianShape);
        }
        // Canada Post: D, F, I, O, Q and U are never used; W and Z not in first place.
        let never: &[u8] = if index == 0 { b"DFIOQUWZ" } else { b"DFIOQU" };
        if never.contains(byte) {
            return Err(PostalCodeError::CanadianLetter {
                letter: char::from(*byte),
                place: index + 1,
            });
        }
        // The fourth character stands after the space.
        if let Some(to) = code.get_mut(if index < 3 { index } else { index + 1 }) {
            *to = *byte;
        }
    }
    if compact.len() == 6
        && let Some(space) = code.get_mut(3)
    {
        *space = b' ';
    }
    Ok(PostalCode { code, plus4: None, country: Country::Ca })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes() {
        for (text, country, expected) in [
            ("02134", Country::Us, Ok("02134")),
            (" 02134-1000 ", Country::Us, Ok("02134-1000")),
            ("021341000", Country::Us, Ok("02134-1000")),
            ("2134", Country::Us, Err(PostalCodeError::ZipTooShort)),
            ("00000", Country::Us, Err(PostalCodeError::ZipZero)),
            ("0213A", Country::Us, Err(PostalCodeError::ZipShape)),
            ("", Country::Us, Err(PostalCodeError::Empty)),
            ("12345678901234567890", Country::Us, Err(PostalCodeError::ZipShape)),
            ("t2p1a1", Country::Ca, Ok("T2P 1A1")),
            ("T2P 1A1", Country::Ca, Ok("T2P 1A1")),
            ("k1a-0b1", Country::Ca, Ok("K1A 0B1")),
            ("T2P", Country::Ca, Ok("T2P")),
            (
                "D2P 1A1",
                Country::Ca,
                Err(PostalCodeError::CanadianLetter { letter: 'D', place: 1 }),
            ),
            (
                "Z2P 1A1",
                Country::Ca,
                Err(PostalCodeError::CanadianLetter { letter: 'Z', place: 1 }),
            ),
            ("T2Z 1A1", Country::Ca, Ok("T2Z 1A1")),
            (
                "T2O 1A1",
                Country::Ca,
                Err(PostalCodeError::CanadianLetter { letter: 'O', place: 3 }),
            ),
            ("T2P 1", Country::Ca, Err(PostalCodeError::CanadianShape)),
            ("2TP1A1", Country::Ca, Err(PostalCodeError::CanadianShape)),
            ("T2P 1Á1", Country::Ca, Err(PostalCodeError::CanadianShape)),
        ] {
            let found = PostalCode::parse(text, country).map(|code| code.to_string());
            assert_eq!(found, expected.map(str::to_owned), "{text:?}");
        }
    }

    #[test]
    fn lost_zeros_are_restored_only_when_asked() {
        for (text, expected) in [
            ("2134", Ok("02134")),
            ("2134.0", Ok("02134")),
            ("501", Ok("00501")),
            ("2134-1000", Ok("02134-1000")),
            ("98178", Ok("98178")),
            ("12", Err(PostalCodeError::ZipShape)),
        ] {
            let found = PostalCode::parse_restoring_zeros(text).map(|code| code.to_string());
            assert_eq!(found, expected.map(str::to_owned), "{text:?}");
        }
    }
}
