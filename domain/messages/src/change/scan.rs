//! Splits JSON into borrowed slices, one pass, without building anything.
//!
//! [`crate::json`] reads values; this keeps their text, which is what canonical values are compared by and
//! what goes on into the next message as it is. So everything that is passed over is checked against the
//! grammar of RFC 8259, strings are not unescaped, and depth is bounded (hostile nesting must not overflow
//! the stack).

use std::borrow::Cow;

/// Deepest nesting of objects and arrays; listings have two or three levels.
pub const DEPTH_MAX: u8 = 32;

/// Why a message cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}, at byte {at}")]
pub struct Malformed {
    /// What is wrong, in words.
    pub what: &'static str,
    /// Where, counted from the start of the text that was read.
    pub at: usize,
}

impl Malformed {
    /// Something that is wrong with a whole text rather than at one place in it.
    #[must_use]
    pub fn whole(what: &'static str) -> Self {
        Self { what, at: 0 }
    }
}

/// Calls `each` with the name (between its quotes, as written) and the text of each member of an object.
///
/// # Errors
/// [`Malformed`] when `text` is not exactly one JSON object, or what `each` returns.
pub fn object<'a>(
    text: &'a str,
    mut each: impl FnMut(&'a str, &'a str) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut scan = Scan { text, at: 0 };
    scan.space();
    scan.eat(b'{', "a JSON object must begin with {")?;
    scan.members(b'}', |scan| {
        let name = scan.name()?;
        let value = scan.value(1)?;
        each(name, value)
    })?;
    scan.end()
}

/// As [`object`], and on the way also `within` with the members of the member `inner`, where that is an object.
/// They come before `inner` itself. One pass reads what else would take two.
///
/// # Errors
/// As [`object`]; also what `within` returns.
pub fn object_within<'a>(
    text: &'a str,
    inner: &str,
    mut within: impl FnMut(&'a str, &'a str) -> Result<(), Malformed>,
    mut each: impl FnMut(&'a str, &'a str) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut scan = Scan { text, at: 0 };
    scan.space();
    scan.eat(b'{', "a JSON object must begin with {")?;
    scan.members(b'}', |scan| {
        let name = scan.name()?;
        scan.space();
        let from = scan.at;
        if name == inner && scan.peek() == Some(b'{') {
            scan.at += 1;
            scan.members(b'}', |scan| {
                let name = scan.name()?;
                let value = scan.value(2)?;
                within(name, value)
            })?;
        } else {
            scan.skip(1)?;
        }
        let value = scan.slice(from)?;
        each(name, value)
    })?;
    scan.end()
}

/// As [`object`], for the members at the beginning whose names are in `names`. Returns what is left, from the
/// first other name on, unread; it is empty when there is no other.
///
/// # Errors
/// [`Malformed`] when what is read is not the beginning of a JSON object, or what `each` returns.
pub fn leading<'a>(
    text: &'a str,
    names: &[&str],
    mut each: impl FnMut(&'a str, &'a str) -> Result<(), Malformed>,
) -> Result<&'a str, Malformed> {
    let mut scan = Scan { text, at: 0 };
    scan.space();
    scan.eat(b'{', "a JSON object must begin with {")?;
    scan.space();
    loop {
        let from = scan.at;
        let name = scan.name()?;
        if !names.contains(&name) {
            return Ok(text.get(from..).unwrap_or_default());
        }
        let value = scan.value(1)?;
        each(name, value)?;
        scan.space();
        if scan.peek() == Some(b'}') {
            scan.at += 1;
            return scan.end().map(|()| "");
        }
        scan.eat(b',', "a comma or a closing bracket is missing")?;
        scan.space();
    }
}

/// Calls `each` with the text of each element of an array.
///
/// # Errors
/// [`Malformed`] when `text` is not exactly one JSON array, or what `each` returns.
pub fn array<'a>(
    text: &'a str,
    mut each: impl FnMut(&'a str) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut scan = Scan { text, at: 0 };
    scan.space();
    scan.eat(b'[', "a JSON array must begin with [")?;
    scan.members(b']', |scan| each(scan.value(1)?))?;
    scan.end()
}

/// The string that a JSON text holds, or `None` when it holds something else.
#[must_use]
pub fn string(text: &str) -> Option<Cow<'_, str>> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(text).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn wrong(&self, what: &'static str) -> Malformed {
        Malformed { what, at: self.at }
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8, what: &'static str) -> Result<(), Malformed> {
        if self.peek() != Some(byte) {
            return Err(self.wrong(what));
        }
        self.at += 1;
        Ok(())
    }

    fn end(&mut self) -> Result<(), Malformed> {
        self.space();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(self.wrong("text follows the JSON value"))
        }
    }

    fn slice(&self, from: usize) -> Result<&'a str, Malformed> {
        self.text.get(from..self.at).ok_or_else(|| self.wrong("a character is cut in two"))
    }

    /// What stands between an opening bracket, already eaten, and its closing one.
    fn members(
        &mut self,
        close: u8,
        mut member: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.space();
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            member(self)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(byte) if byte == close => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.wrong("a comma or a closing bracket is missing")),
            }
        }
    }

    /// A member's name, between its quotes, and the colon after it.
    fn name(&mut self) -> Result<&'a str, Malformed> {
        self.space();
        let from = self.at + 1;
        self.string()?;
        let name = self.text.get(from..self.at.saturating_sub(1)).unwrap_or_default();
        self.space();
        self.eat(b':', "a colon is missing after a name")?;
        Ok(name)
    }

    fn value(&mut self, depth: u8) -> Result<&'a str, Malformed> {
        self.space();
        let from = self.at;
        self.skip(depth)?;
        self.slice(from)
    }

    fn skip(&mut self, depth: u8) -> Result<(), Malformed> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            Some(open @ (b'{' | b'[')) => self.container(open, depth),
            _ => Err(self.wrong("a JSON value is missing")),
        }
    }

    fn container(&mut self, open: u8, depth: u8) -> Result<(), Malformed> {
        if depth >= DEPTH_MAX {
            return Err(self.wrong("brackets are nested deeper than 32 levels"));
        }
        self.at += 1;
        if open == b'[' {
            return self.members(b']', |scan| scan.value(depth + 1).map(drop));
        }
        self.members(b'}', |scan| {
            scan.name()?;
            scan.value(depth + 1).map(drop)
        })
    }

    fn word(&mut self, word: &'static str) -> Result<(), Malformed> {
        if !self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(self.wrong("only true, false and null are words of JSON"));
        }
        self.at += word.len();
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == from { Err(self.wrong("a number lacks a digit")) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<(), Malformed> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return Err(self.wrong("a number begins with a needless zero"));
            }
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), Malformed> {
        self.eat(b'"', "a string must begin with a quote")?;
        loop {
            self.at += plain_run(self.text.as_bytes().get(self.at..).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.wrong("a control character stands inside a string")),
                None => return Err(self.wrong("a string has no end")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        let rest = self.text.as_bytes().get(self.at + 1..).unwrap_or_default();
        self.at += match rest {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
            [b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(|h| h.is_ascii_hexdigit()) => 6,
            _ => return Err(self.wrong("a string has an escape that JSON does not know")),
        };
        Ok(())
    }
}

/// How many bytes at the start are neither a quote, nor a backslash, nor a control character; eight at a time.
fn plain_run(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let (words, tail) = bytes.as_chunks::<8>();
    let mut at = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        // Each line sets the high bit of the bytes it looks for; above the lowest such byte a borrow may
        // set more, which does not matter because only the lowest is used.
        let hits = (word ^ (ONES * 0x22)).wrapping_sub(ONES) & !(word ^ (ONES * 0x22))
            | (word ^ (ONES * 0x5c)).wrapping_sub(ONES) & !(word ^ (ONES * 0x5c))
            | word.wrapping_sub(ONES * 0x20) & !word;
        let hits = hits & HIGH;
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    at + tail.iter().take_while(|b| !matches!(b, b'"' | b'\\' | 0..0x20)).count()
}

#[cfg(test)]
mod tests;
