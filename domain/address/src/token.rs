//! A line cut into words: commas remembered, stops and odd spaces gone, each word looked up once.

use crate::words::{Key, Meaning, meaning};
use crate::{Country, MAX_WORDS};

/// What a word is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    /// Letters, or letters with marks.
    Word,
    /// One letter.
    Letter,
    /// Digits only.
    Number,
    /// Digits with a slash between (`1/2`).
    Fraction,
    /// Digits with an ordinal ending, English or French (`43rd`, `3e`).
    Ordinal,
    /// Anything else that holds a digit (`2A`, `10-12`).
    Mixed,
    /// A dash that stood alone or hung on a word.
    Dash,
    /// `#`.
    Hash,
    /// `&`.
    Amp,
}

/// One word of a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    start: usize,
    end: usize,
    /// The word as the tables know it.
    pub(crate) key: Key,
    /// What it can mean.
    pub(crate) meaning: &'static Meaning,
    /// What it is made of.
    pub(crate) shape: Shape,
    /// Whether a comma, line break, bracket or double dash stood behind it.
    pub(crate) comma_after: bool,
}

impl Token {
    /// Whether the word holds a digit.
    pub(crate) const fn has_digit(&self) -> bool {
        matches!(self.shape, Shape::Number | Shape::Fraction | Shape::Ordinal | Shape::Mixed)
    }
}

/// A line cut into words.
pub(crate) struct Words {
    text: String,
    tokens: Vec<Token>,
}

impl Words {
    /// Cuts `line`; `None` where it has more than [`MAX_WORDS`] words.
    pub(crate) fn cut(line: &str) -> Option<Self> {
        let mut cutter = Cutter {
            words: Self {
                text: String::with_capacity(line.len() + 8),
                tokens: Vec::with_capacity(16),
            },
            start: 0,
        };
        let mut before = ' ';
        let mut rest = line.chars().peekable();
        while let Some(character) = rest.next() {
            let after = rest.peek().copied().unwrap_or(' ');
            cutter.take(before, character, after);
            before = character;
        }
        cutter.end_word();
        (cutter.words.tokens.len() <= MAX_WORDS).then_some(cutter.words)
    }

    /// The words in order.
    pub(crate) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The letters of a word as written, without stops.
    pub(crate) fn text(&self, token: &Token) -> &str {
        self.text.get(token.start..token.end).unwrap_or("")
    }
}

struct Cutter {
    words: Words,
    start: usize,
}

impl Cutter {
    fn take(&mut self, before: char, character: char, after: char) {
        match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' => self.words.text.push(character),
            ' ' | '\t' => self.end_word(),
            // Part of a number list ("1205,1207&09"), not the end of a segment.
            ',' | '&' if before.is_ascii_digit() && after.is_ascii_digit() => {
                self.words.text.push(character)
            }
            '.' if before.is_ascii_digit() && after.is_ascii_digit() => self.words.text.push('.'),
            // "ste.5300"
            '.' if before.is_ascii_alphabetic() && after.is_ascii_digit() => self.end_word(),
            '.' | '"' | '\u{feff}' => {}
            '¼' | '½' | '¾' => self.fraction(character),
            ',' | ';' | '\n' | '\r' | '(' | ')' => self.comma(),
            '#' => self.mark("#", Shape::Hash),
            '&' => self.mark("&", Shape::Amp),
            '-' | '\u{2010}'..='\u{2015}' => self.dash(before, after),
            '\'' | '\u{2018}' | '\u{2019}' | '\u{2bc}' => self.apostrophe(),
            space if space.is_whitespace() || space.is_control() => self.end_word(),
            other => self.words.text.push(other),
        }
    }

    /// `535½` is `535 1/2`.
    fn fraction(&mut self, character: char) {
        self.end_word();
        self.words.text.push_str(match character {
            '¼' => "1/4",
            '½' => "1/2",
            _ => "3/4",
        });
        self.end_word();
    }

    /// An apostrophe counts only inside a word.
    fn apostrophe(&mut self) {
        if self.words.text.len() > self.start {
            self.words.text.push('\'');
        }
    }

    fn dash(&mut self, before: char, after: char) {
        if self.words.text.len() > self.start && (after.is_alphanumeric()) {
            self.words.text.push('-');
        } else if is_dash(before) {
            // "UNIT 2 -- 1175 Douglas St": a doubled dash parts segments as a comma does.
            self.end_word();
            if self.words.tokens.last().is_some_and(|last| last.shape == Shape::Dash) {
                self.words.tokens.pop();
            }
            self.comma();
        } else {
            self.mark("-", Shape::Dash);
        }
    }

    fn comma(&mut self) {
        self.end_word();
        if let Some(last) = self.words.tokens.last_mut() {
            last.comma_after = true;
        }
    }

    fn mark(&mut self, text: &str, shape: Shape) {
        self.end_word();
        self.words.text.push_str(text);
        self.push(Key(0), shape);
    }

    fn end_word(&mut self) {
        let trimmed = self.words.text.trim_end_matches('\'').len().max(self.start);
        self.words.text.truncate(trimmed);
        if self.words.text.len() > self.start {
            let word = self.words.text.get(self.start..).unwrap_or("");
            let (key, shape) = (key_of(word), shape_of(word));
            self.push(key, shape);
        }
    }

    fn push(&mut self, key: Key, shape: Shape) {
        let end = self.words.text.len();
        // The bound is checked by `cut`; one word above it is kept so that the check can see it.
        if self.words.tokens.len() <= MAX_WORDS {
            let token = Token {
                start: self.start,
                end,
                key,
                meaning: meaning(key),
                shape,
                comma_after: false,
            };
            self.words.tokens.push(token);
        }
        self.start = end;
    }
}

const fn is_dash(character: char) -> bool {
    matches!(character, '-' | '\u{2010}'..='\u{2015}')
}

/// Packs a word for the tables: upper case, accents folded.
pub(crate) fn key_of(word: &str) -> Key {
    if word.len() > 32 {
        return Key(0);
    }
    let (mut packed, mut length) = (0u128, 0);
    for character in word.chars() {
        let byte = fold(character);
        if byte == 0 {
            return Key(0);
        }
        packed = (packed << 8) | u128::from(byte);
        length += 1;
    }
    if length <= 16 { Key(packed) } else { Key(0) }
}

/// Upper case ASCII for a letter of English or French; `0` for any other character.
fn fold(character: char) -> u8 {
    match character {
        ' '..='~' => u8::try_from(character.to_ascii_uppercase()).unwrap_or(0),
        'à' | 'â' | 'ä' | 'À' | 'Â' | 'Ä' => b'A',
        'ç' | 'Ç' => b'C',
        'è' | 'é' | 'ê' | 'ë' | 'È' | 'É' | 'Ê' | 'Ë' => b'E',
        'î' | 'ï' | 'Î' | 'Ï' => b'I',
        'ô' | 'ö' | 'Ô' | 'Ö' => b'O',
        'ù' | 'û' | 'ü' | 'Ù' | 'Û' | 'Ü' => b'U',
        _ => 0,
    }
}

fn shape_of(word: &str) -> Shape {
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    let rest = word.get(digits..).unwrap_or("");
    if digits == 0 {
        if word.bytes().any(|byte| byte.is_ascii_digit()) {
            return Shape::Mixed;
        }
        return if word.len() == 1 && word.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            Shape::Letter
        } else {
            Shape::Word
        };
    }
    if rest.is_empty() {
        return Shape::Number;
    }
    if is_ordinal_ending(word, digits, rest) {
        return Shape::Ordinal;
    }
    let fraction = rest
        .strip_prefix('/')
        .is_some_and(|tail| !tail.is_empty() && tail.bytes().all(|b| b.is_ascii_digit()));
    if fraction { Shape::Fraction } else { Shape::Mixed }
}

/// English endings must fit the number ("41ST", not "41TH"-like "42ST"); French ones are "1re", "1er", "3e", "3ième".
/// A lone "E" is a unit letter as often as an ordinal, so only a lower-case one counts.
fn is_ordinal_ending(word: &str, digits: usize, rest: &str) -> bool {
    let is = |ending: &str| rest.eq_ignore_ascii_case(ending);
    let tens = word.get(..digits).unwrap_or("");
    if tens.ends_with("11") || tens.ends_with("12") || tens.ends_with("13") {
        return is("th") || rest == "e" || is("eme") || is("ieme");
    }
    is("th")
        || (is("st") && tens.ends_with('1'))
        || (is("nd") && tens.ends_with('2'))
        || (is("rd") && tens.ends_with('3'))
        || ((is("re") || is("er")) && tens == "1")
        || rest == "e"
        || is("eme")
        || is("ieme")
        || rest.to_lowercase() == "ième"
        || rest.to_lowercase() == "ème"
}

impl Meaning {
    /// The street type of this word in `country`. In Canada a suffix of the United States counts only where it is
    /// one of the common ones: `Creek` and `Lake` are names there.
    pub(crate) fn street_type(&self, country: Country) -> Option<crate::words::StreetType> {
        match country {
            Country::Us => self.us_type,
            Country::Ca => self.ca_type.or(self.us_type.filter(|found| found.strong)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(line: &str) -> String {
        let words = Words::cut(line).unwrap();
        let mut out = String::new();
        for token in words.tokens() {
            out.push_str(words.text(token));
            out.push_str(if token.comma_after { "," } else { "|" });
        }
        out
    }

    #[test]
    fn lines_are_cut_into_words() {
        for (line, expected) in [
            ("12 Main St.", "12|Main|St|"),
            ("12 Main St,Apt#5", "12|Main|St,Apt|#|5|"),
            ("170 - 22470 Dewdney", "170|-|22470|Dewdney|"),
            ("UNIT 2 -- 1175 Douglas", "UNIT|2,1175|Douglas|"),
            ("1205,1207&09 BAY", "1205,1207&09|BAY|"),
            ("N.W. O\u{2019}Brien's\tRd", "NW|O'Brien's|Rd|"),
            ("a (b) c\nd", "a,b,c,d|"),
            ("10\u{2013}12 x-", "10-12|x|-|"),
            ("", ""),
        ] {
            assert_eq!(cut(line), expected, "{line}");
        }
    }

    #[test]
    fn shapes() {
        for (word, expected) in [
            ("12", Shape::Number),
            ("1/2", Shape::Fraction),
            ("43RD", Shape::Ordinal),
            ("42ST", Shape::Mixed),
            ("11th", Shape::Ordinal),
            ("1re", Shape::Ordinal),
            ("3e", Shape::Ordinal),
            ("3E", Shape::Mixed),
            ("B2", Shape::Mixed),
            ("B", Shape::Letter),
            ("é", Shape::Word),
        ] {
            assert_eq!(shape_of(word), expected, "{word}");
        }
    }

    #[test]
    fn too_many_words_are_refused() {
        assert!(Words::cut(&"a ".repeat(MAX_WORDS)).is_some());
        assert!(Words::cut(&"a ".repeat(MAX_WORDS + 1)).is_none());
    }
}
