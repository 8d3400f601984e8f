//! The scanner: one pass, no copies but of strings with escapes.

use std::borrow::Cow;

use memchr::memchr2;

use super::{JsonError, State, Value};

#[derive(Debug, Clone)]
pub(super) struct Scan<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn fail<T>(&self, expected: &'static str) -> Result<T, JsonError> {
        Err(JsonError { at: self.at, expected })
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), JsonError> {
        if self.peek() != Some(byte) {
            return self.fail(expected);
        }
        self.at += 1;
        Ok(())
    }

    pub(super) fn end(&mut self) -> Result<(), JsonError> {
        self.space();
        if self.at < self.text.len() { self.fail("the end") } else { Ok(()) }
    }

    /// Steps to the next member or item; checks that nothing follows the last when it is the whole text.
    pub(super) fn more(
        &mut self,
        state: &mut State,
        open: u8,
        close: u8,
    ) -> Result<bool, JsonError> {
        if *state == State::After {
            return Ok(false);
        }
        let more = self.step(*state == State::Before, open, close)?;
        *state = if more { State::Within } else { State::After };
        if !more {
            self.end()?;
        }
        Ok(more)
    }

    fn step(&mut self, first: bool, open: u8, close: u8) -> Result<bool, JsonError> {
        self.space();
        if first {
            self.expect(open, if open == b'{' { "`{`" } else { "`[`" })?;
            self.space();
        }
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ if first => Ok(true),
            Some(b',') => {
                self.at += 1;
                self.space();
                Ok(true)
            }
            _ => self.fail("`,` or the end of the object or array"),
        }
    }

    pub(super) fn member(&mut self, depth: usize) -> Result<(Cow<'a, str>, Value<'a>), JsonError> {
        let name = self.name()?;
        Ok((name, self.value(depth)?))
    }

    /// A member's name, and the colon after it.
    pub(super) fn name(&mut self) -> Result<Cow<'a, str>, JsonError> {
        let name = self.string()?;
        self.space();
        self.expect(b':', "`:`")?;
        Ok(name)
    }

    /// All that is left, without the bracket that must end it.
    pub(super) fn rest_of_object(&self) -> Result<&'a str, JsonError> {
        const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];
        let rest = self.text.get(self.at..).unwrap_or_default().trim_matches(SPACE);
        match rest.strip_suffix('}') {
            Some(rest) => Ok(rest.trim_end_matches(SPACE)),
            None => Err(JsonError { at: self.text.len(), expected: "the end of the object" }),
        }
    }

    pub(super) fn value(&mut self, depth: usize) -> Result<Value<'a>, JsonError> {
        self.space();
        let start = self.at;
        match self.peek() {
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b'{' | b'[') => {
                let object = self.peek() == Some(b'{');
                self.nested(depth)?;
                let text = self.since(start);
                Ok(if object { Value::Object(text) } else { Value::Array(text) })
            }
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
                Ok(Value::Number(self.since(start)))
            }
            _ => self.fail("a value"),
        }
    }

    fn nested(&mut self, depth: usize) -> Result<(), JsonError> {
        let Some(depth) = depth.checked_sub(1) else { return self.fail("less nesting") };
        let (open, close) = if self.peek() == Some(b'{') { (b'{', b'}') } else { (b'[', b']') };
        let mut first = true;
        while self.step(first, open, close)? {
            first = false;
            if open == b'{' {
                self.member(depth)?;
            } else {
                self.value(depth)?;
            }
        }
        Ok(())
    }

    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn word(&mut self, word: &'static str, value: Value<'a>) -> Result<Value<'a>, JsonError> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return self.fail(word);
        }
        self.at += word.len();
        Ok(value)
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let zero = self.peek() == Some(b'0');
        let whole = self.digits()?;
        if zero && whole > 1 {
            return self.fail("a number without leading zeros");
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

    fn digits(&mut self) -> Result<usize, JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { self.fail("a digit") } else { Ok(self.at - start) }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.expect(b'"', "`\"`")?;
        let start = self.at;
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        let Some(len) = memchr2(b'"', b'\\', rest) else {
            return self.fail("a string that ends");
        };
        self.at = start + len;
        if self.peek() == Some(b'"') {
            let text = self.since(start);
            self.at += 1;
            return self.plain(text, start).map(Cow::Borrowed);
        }
        self.escaped(start).map(Cow::Owned)
    }

    /// A run of characters without escapes: JSON allows no control characters in it.
    fn plain(&self, text: &'a str, start: usize) -> Result<&'a str, JsonError> {
        if text.bytes().fold(u8::MAX, u8::min) < 0x20 {
            let at = start + text.bytes().position(|b| b < 0x20).unwrap_or(0);
            return Err(JsonError { at, expected: "an escape for a control character" });
        }
        Ok(text)
    }

    fn escaped(&mut self, start: usize) -> Result<String, JsonError> {
        let mut out = self.plain(self.since(start), start)?.to_owned();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    self.at += 1;
                    out.push(self.escape()?);
                }
                Some(_) => {
                    let start = self.at;
                    let rest = self.text.as_bytes().get(start..).unwrap_or_default();
                    self.at += memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                    out.push_str(self.plain(self.since(start), start)?);
                }
                None => return self.fail("a string that ends"),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let byte = self.peek();
        self.at += 1;
        Ok(match byte {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => self.unicode()?,
            _ => {
                self.at -= 1;
                return self.fail("an escape");
            }
        })
    }

    /// What follows `\u`. Half a surrogate pair is no character: it becomes U+FFFD, as feeds do send them.
    fn unicode(&mut self) -> Result<char, JsonError> {
        let first = self.hex()?;
        if !(0xd800..0xdc00).contains(&first) {
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let after = self.at;
        if self.text.as_bytes().get(after..after + 2) == Some(b"\\u") {
            self.at += 2;
            let second = self.hex()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = after;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.get(self.at..self.at + 4).filter(|d| !d.starts_with('+'));
        let Some(code) = digits.and_then(|d| u32::from_str_radix(d, 16).ok()) else {
            return self.fail("four hexadecimal digits");
        };
        self.at += 4;
        Ok(code)
    }
}
