//! Exact decimal numbers: read in any of the forms that feeds write, written in exactly one.

/// Most significant digits that are kept; a number with more is refused rather than rounded.
pub const DIGITS_MAX: usize = 18;
/// Largest exponent, either way, that is taken for a number and not for a mistake.
pub const EXPONENT_MAX: i32 = 30;

/// A decimal number, `digits` x 10^-`scale`, without trailing zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decimal {
    negative: bool,
    digits: u64,
    scale: u8,
}

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self { negative: false, digits: 0, scale: 0 };

    /// `digits` x 10^-`scale`, brought to its one form. `None` where it has more than [`DIGITS_MAX`] digits,
    /// on either side of the point.
    #[must_use]
    pub fn new(negative: bool, digits: u64, scale: i32) -> Option<Self> {
        let (mut digits, mut scale) = (digits, scale);
        if digits == 0 {
            return Some(Self::ZERO);
        }
        while scale > 0 && digits.is_multiple_of(10) {
            digits /= 10;
            scale -= 1;
        }
        while scale < 0 {
            digits = digits.checked_mul(10).filter(|d| *d < 10u64.pow(18))?;
            scale += 1;
        }
        let scale = u8::try_from(scale).ok().filter(|s| usize::from(*s) <= DIGITS_MAX)?;
        Some(Self { negative, digits, scale })
    }

    /// A whole number of at most [`DIGITS_MAX`] digits; larger ones are cut to it.
    #[must_use]
    pub fn whole(number: i64) -> Self {
        let digits = number.unsigned_abs().min(10u64.pow(18) - 1);
        Self { negative: number < 0, digits, scale: 0 }
    }

    /// Reads `12`, `-1.50`, `+.5`, `1.225e+006`: ASCII digits, one point, an exponent. No spaces, signs of
    /// currency or separators. `None` for anything else, and for more than [`DIGITS_MAX`] significant digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        plain(text).or_else(|| Self::parse_any(text))
    }

    fn parse_any(text: &str) -> Option<Self> {
        let (negative, body) = match text.as_bytes() {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let mut number = Digits::default();
        let mut rest = body;
        while let [byte, tail @ ..] = rest {
            match byte {
                b'0'..=b'9' => number.push(byte - b'0')?,
                b'.' if !number.point => number.point = true,
                b'e' | b'E' if number.seen => return number.finish(negative, exponent(tail)?),
                _ => return None,
            }
            rest = tail;
        }
        number.finish(negative, 0)
    }

    /// Whether it is below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.negative
    }

    /// Whether it is zero.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.digits == 0
    }

    /// Number of digits behind the point.
    #[must_use]
    pub fn scale(self) -> u8 {
        self.scale
    }

    /// The whole number, where it is one that fits.
    #[must_use]
    pub fn to_integer(self) -> Option<i64> {
        let digits = i64::try_from(self.digits).ok().filter(|_| self.scale == 0)?;
        Some(if self.negative { -digits } else { digits })
    }

    /// The nearest binary number, for geometry; never for money.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "geometry does not need more than 53 bits")]
        let value = self.digits as f64 / 10f64.powi(i32::from(self.scale));
        if self.negative { -value } else { value }
    }

    /// Rounded to at most `scale` digits behind the point, halves away from zero.
    #[must_use]
    pub fn round(self, scale: u8) -> Self {
        if self.scale <= scale {
            return self;
        }
        let drop = u32::from(self.scale - scale);
        let Some(unit) = 10u64.checked_pow(drop) else { return Self::ZERO };
        let rounded = self.digits / unit + u64::from(self.digits % unit >= unit - unit / 2);
        Self::new(self.negative, rounded, i32::from(scale)).unwrap_or(Self::ZERO)
    }

    /// Times 10 to the power `power`.
    #[must_use]
    pub fn shift(self, power: i32) -> Option<Self> {
        Self::new(self.negative, self.digits, i32::from(self.scale).checked_sub(power)?)
    }

    /// Appends the one form: no exponent, no plus, no zeros that say nothing, `0` and never `-0`.
    pub fn write(self, out: &mut Vec<u8>) {
        if self.negative && self.digits != 0 {
            out.push(b'-');
        }
        let mut buffer = [b'0'; 64];
        let scale = usize::from(self.scale);
        let mut at = buffer.len();
        let mut digits = self.digits;
        let mut count = 0;
        while digits != 0 || count <= scale {
            if count == scale && scale != 0 {
                at -= 1;
                put(&mut buffer, at, b'.');
            }
            at -= 1;
            put(&mut buffer, at, b'0' + u8::try_from(digits % 10).unwrap_or(0));
            digits /= 10;
            count += 1;
        }
        out.extend_from_slice(buffer.get(at..).unwrap_or_default());
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.scaled(other.scale).cmp(&other.scaled(self.scale))
    }
}

impl Decimal {
    /// Digits as they would be with `scale` more of them behind the point: at most 36, which fits.
    fn scaled(self, scale: u8) -> i128 {
        let value = i128::from(self.digits) * 10i128.pow(u32::from(scale));
        if self.negative { -value } else { value }
    }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = Vec::with_capacity(24);
        self.write(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

/// The usual number: few digits, perhaps a sign and a point. `None` for all that needs a closer look.
fn plain(text: &str) -> Option<Decimal> {
    let (negative, body) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if body.len() > DIGITS_MAX {
        return None;
    }
    let (mut digits, mut count, mut point) = (0u64, 0usize, None);
    for byte in body {
        match byte {
            b'0'..=b'9' => {
                digits = digits * 10 + u64::from(byte - b'0');
                count += 1;
            }
            b'.' if point.is_none() => point = Some(count),
            _ => return None,
        }
    }
    let scale = point.map_or(0, |point| count - point);
    Decimal::new(negative, digits, i32::try_from(scale).ok()?).filter(|_| count > 0)
}

fn put(buffer: &mut [u8], at: usize, byte: u8) {
    if let Some(slot) = buffer.get_mut(at) {
        *slot = byte;
    }
}

/// What was read of a number so far. Zeros are counted before they are known to matter.
#[derive(Default)]
struct Digits {
    value: u64,
    significant: usize,
    zeros: usize,
    scale: i32,
    seen: bool,
    point: bool,
}

impl Digits {
    fn push(&mut self, digit: u8) -> Option<()> {
        self.seen = true;
        self.scale += i32::from(self.point);
        if digit == 0 {
            self.zeros += usize::from(self.significant > 0);
            return (self.scale < 1000 && self.zeros < 1000).then_some(());
        }
        self.significant += self.zeros + 1;
        if self.significant > DIGITS_MAX {
            return None;
        }
        let shift = 10u64.checked_pow(u32::try_from(self.zeros).ok()? + 1)?;
        self.value = self.value.checked_mul(shift)?.checked_add(u64::from(digit))?;
        self.zeros = 0;
        Some(())
    }

    fn finish(self, negative: bool, exponent: i32) -> Option<Decimal> {
        if !self.seen {
            return None;
        }
        let zeros = i32::try_from(self.zeros).ok()?;
        Decimal::new(negative, self.value, self.scale - zeros - exponent)
    }
}

fn exponent(text: &[u8]) -> Option<i32> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || digits.len() > 6 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0i32, |value, digit| value * 10 + i32::from(digit - b'0'));
    let value = (value <= EXPONENT_MAX).then_some(value)?;
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expect: Option<&str>) {
        let got = Decimal::parse(text).map(|d| d.to_string());
        assert_eq!(got.as_deref(), expect, "{text}");
    }

    #[test]
    fn one_form_for_each_number() {
        for (text, expect) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.00", "0"),
            ("007", "7"),
            ("4.5e5", "450000"),
            ("1.225e+006", "1225000"),
            ("1.50", "1.5"),
            (".5", "0.5"),
            ("5.", "5"),
            ("+12", "12"),
            ("-122.257", "-122.257"),
            ("100", "100"),
            ("1e-3", "0.001"),
            ("120e-1", "12"),
            ("0.0001", "0.0001"),
            ("999999999999999999", "999999999999999999"),
            ("1.00075e+006", "1000750"),
            ("0e30", "0"),
            ("10000000000000000000000e-10", "1000000000000"),
        ] {
            check(text, Some(expect));
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "",
            "-",
            "+",
            ".",
            "e5",
            "1e",
            "1e+",
            "1e31",
            "1e9999999",
            "1.2.3",
            "1,000",
            " 1",
            "1 ",
            "0x10",
            "NaN",
            "inf",
            "١",
            "1e2.5",
            "9999999999999999999",
            "1e18",
            "1e-19",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn rounding_is_away_from_zero() {
        for (text, scale, expect) in [
            ("1.005", 2, "1.01"),
            ("1.0049", 2, "1"),
            ("-1.005", 2, "-1.01"),
            ("0.4", 0, "0"),
            ("0.5", 0, "1"),
            ("9.99", 1, "10"),
            ("1.5", 3, "1.5"),
        ] {
            let number = Decimal::parse(text).unwrap();
            assert_eq!(number.round(scale).to_string(), expect, "{text}");
        }
    }

    #[test]
    fn order_is_by_value() {
        let mut numbers: Vec<_> = ["10", "-1", "9.5", "0", "1e17", "0.000001", "-100"]
            .iter()
            .map(|t| Decimal::parse(t).unwrap())
            .collect();
        numbers.sort();
        let texts: Vec<_> = numbers.iter().map(Decimal::to_string).collect();
        assert_eq!(texts, ["-100", "-1", "0", "0.000001", "9.5", "10", "100000000000000000"]);
    }

    proptest! {
        #[test]
        fn written_and_read_is_the_same(negative: bool, digits in 0..10u64.pow(18), scale in 0i32..18) {
            let number = Decimal::new(negative, digits, scale).unwrap();
            let text = number.to_string();
            prop_assert_eq!(Decimal::parse(&text), Some(number));
            prop_assert!(serde_json::from_str::<f64>(&text).is_ok(), "{} is JSON", text);
            prop_assert!(!text.contains('e') && !text.starts_with('+'));
            prop_assert!(!text.contains('.') || !text.ends_with('0'));
        }

        #[test]
        fn the_short_way_agrees_with_the_long_one(text in "-?[0-9.]{0,20}") {
            if let Some(number) = plain(&text) {
                prop_assert_eq!(Some(number), Decimal::parse_any(&text));
            }
        }

        #[test]
        fn any_text_is_a_number_or_refused(text in "[-+0-9.eE ,$]{0,40}") {
            if let Some(number) = Decimal::parse(&text) {
                prop_assert_eq!(Decimal::parse(&number.to_string()), Some(number));
            }
        }
    }
}
