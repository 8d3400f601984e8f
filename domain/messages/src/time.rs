//! Dates and moments as messages carry them: fixed width, so that comparing strings compares time.

/// Length of a date, `2022-01-31`.
pub const DATE_LEN: usize = 10;
/// Length of a moment, `2022-01-31T00:00:00.000Z`.
pub const MOMENT_LEN: usize = 24;
/// Years that are taken for a year and not for a mistake.
pub const YEARS: std::ops::RangeInclusive<u32> = 1600..=2199;

/// A moment in UTC, with milliseconds. It exists in the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    year: u32,
    month: u32,
    day: u32,
    ms: u32,
}

const DAY_MS: u32 = 86_400_000;

impl Moment {
    /// The first moment of a day, or `None` where the calendar or [`YEARS`] has no such day.
    #[must_use]
    pub fn day(year: u32, month: u32, day: u32) -> Option<Self> {
        let exists = YEARS.contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_in(year, month)).contains(&day);
        exists.then_some(Self { year, month, day, ms: 0 })
    }

    /// The same day at that time. Second 60, a leap second, becomes the last millisecond before it.
    #[must_use]
    pub fn at(self, hour: u32, minute: u32, second: u32, ms: u32) -> Option<Self> {
        if hour > 23 || minute > 59 || second > 60 || ms > 999 {
            return None;
        }
        let (second, ms) = if second == 60 { (59, 999) } else { (second, ms) };
        Some(Self { ms: ((hour * 60 + minute) * 60 + second) * 1000 + ms, ..self })
    }

    /// This moment, said in a zone that many minutes east of Greenwich, in UTC.
    #[must_use]
    pub fn from_offset(self, minutes: i32) -> Option<Self> {
        let ms = i64::from(self.ms) - i64::from(minutes) * 60_000;
        let whole = i64::from(DAY_MS);
        let moved = Self { ms: u32::try_from(ms.rem_euclid(whole)).ok()?, ..self };
        match ms.div_euclid(whole) {
            0 => Some(moved),
            1 => moved.tomorrow(),
            -1 => moved.yesterday(),
            _ => None,
        }
    }

    fn tomorrow(self) -> Option<Self> {
        let next = if self.day < days_in(self.year, self.month) {
            Self::day(self.year, self.month, self.day + 1)
        } else if self.month < 12 {
            Self::day(self.year, self.month + 1, 1)
        } else {
            Self::day(self.year + 1, 1, 1)
        };
        Some(Self { ms: self.ms, ..next? })
    }

    fn yesterday(self) -> Option<Self> {
        let previous = if self.day > 1 {
            Self::day(self.year, self.month, self.day - 1)
        } else if self.month > 1 {
            Self::day(self.year, self.month - 1, days_in(self.year, self.month - 1))
        } else {
            Self::day(self.year - 1, 12, 31)
        };
        Some(Self { ms: self.ms, ..previous? })
    }

    /// Reads `2022-01-31` or an RFC 3339 moment in any zone; digits beyond milliseconds are dropped.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let (date, rest) = bytes.split_at_checked(DATE_LEN)?;
        let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = date else { return None };
        let year = digits(&[*y0, *y1, *y2, *y3])?;
        let day = Self::day(year, digits(&[*m0, *m1])?, digits(&[*d0, *d1])?)?;
        let [b'T' | b't' | b' ', h0, h1, b':', m0, m1, b':', s0, s1, rest @ ..] = rest else {
            return rest.is_empty().then_some(day);
        };
        let (ms, zone) = fraction(rest)?;
        day.at(digits(&[*h0, *h1])?, digits(&[*m0, *m1])?, digits(&[*s0, *s1])?, ms)?
            .from_offset(zone_minutes(zone)?)
    }

    /// The moment so many milliseconds after 1970 began; `None` outside the years 1 to 9999.
    #[must_use]
    pub fn from_ms(ms: i64) -> Option<Self> {
        const DAY_MS: i64 = 86_400_000;
        // Days since 0000-03-01, in eras of 400 years (Howard Hinnant's civil_from_days).
        let days = ms.div_euclid(DAY_MS) + 719_468;
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let day = Self::day(
            u32::try_from(year).ok()?,
            u32::try_from(month).ok()?,
            u32::try_from(day).ok()?,
        )?;
        Some(Self { ms: u32::try_from(ms.rem_euclid(DAY_MS)).ok()?, ..day })
    }

    /// Appends `2022-01-31`.
    pub fn write_date(self, out: &mut Vec<u8>) {
        put(out, self.year, 4);
        out.push(b'-');
        put(out, self.month, 2);
        out.push(b'-');
        put(out, self.day, 2);
    }

    /// Appends `2022-01-31T00:00:00.000Z`.
    pub fn write(self, out: &mut Vec<u8>) {
        self.write_date(out);
        for (mark, number, width) in [
            (b'T', self.ms / 3_600_000, 2),
            (b':', self.ms / 60_000 % 60, 2),
            (b':', self.ms / 1000 % 60, 2),
            (b'.', self.ms % 1000, 3),
        ] {
            out.push(mark);
            put(out, number, width);
        }
        out.push(b'Z');
    }
}

/// Whether a text has the fixed form of a moment, digit for digit: comparing such texts compares time.
pub(crate) fn has_fixed_form(text: &str) -> bool {
    const FORM: &[u8; MOMENT_LEN] = b"dddd-dd-ddTdd:dd:dd.dddZ";
    text.len() == MOMENT_LEN
        && text
            .bytes()
            .zip(FORM)
            .all(|(b, f)| if *f == b'd' { b.is_ascii_digit() } else { b == *f })
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = Vec::with_capacity(MOMENT_LEN);
        self.write(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

/// Minutes east of Greenwich that `Z`, `+05:30` or `-0800` says.
#[must_use]
pub fn zone_minutes(zone: &[u8]) -> Option<i32> {
    let (sign, hours, minutes) = match zone {
        [b'Z' | b'z'] => return Some(0),
        [sign, h0, h1, b':', m0, m1] | [sign, h0, h1, m0, m1] => {
            (sign, digits(&[*h0, *h1])?, digits(&[*m0, *m1])?)
        }
        _ => return None,
    };
    let minutes =
        i32::try_from(hours * 60 + minutes).ok().filter(|_| hours <= 18 && minutes < 60)?;
    match sign {
        b'+' => Some(minutes),
        b'-' => Some(-minutes),
        _ => None,
    }
}

/// Milliseconds of `.123456`, and what follows; 0 where there is no fraction.
#[must_use]
pub fn fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let [b'.', rest @ ..] = text else { return Some((0, text)) };
    let len = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let (fraction, rest) = rest.split_at_checked(len)?;
    let ms =
        [100, 10, 1].iter().zip(fraction).map(|(unit, digit)| unit * u32::from(digit - b'0')).sum();
    (1..=9).contains(&len).then_some((ms, rest))
}

/// Number of days of a month.
#[must_use]
pub fn days_in(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

fn digits(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0'))
    })
}

fn put(out: &mut Vec<u8>, number: u32, width: u32) {
    for place in (0..width).rev() {
        out.push(b'0' + u8::try_from(number / 10u32.pow(place) % 10).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_become_moments() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_123, "2000-02-29T00:00:00.123Z"),
            (1_700_000_000_000, "2023-11-14T22:13:20.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Moment::from_ms(ms).map(|m| m.to_string()).as_deref(), Some(text));
        }
        assert_eq!(Moment::from_ms(i64::MAX), None);
    }
    use proptest::prelude::*;

    fn check(text: &str, expect: Option<&str>) {
        assert_eq!(Moment::parse(text).map(|m| m.to_string()).as_deref(), expect, "{text}");
    }

    #[test]
    fn moments_have_one_form() {
        for (text, expect) in [
            ("2022-01-31", "2022-01-31T00:00:00.000Z"),
            ("2022-01-31T12:34:56Z", "2022-01-31T12:34:56.000Z"),
            ("2022-01-31t12:34:56.7z", "2022-01-31T12:34:56.700Z"),
            ("2022-01-31 12:34:56.789123Z", "2022-01-31T12:34:56.789Z"),
            ("2022-01-01T00:30:00+01:00", "2021-12-31T23:30:00.000Z"),
            ("2020-02-28T20:00:00-0800", "2020-02-29T04:00:00.000Z"),
            ("2020-12-31T23:59:60Z", "2020-12-31T23:59:59.999Z"),
            ("2022-03-01T00:00:00+14:00", "2022-02-28T10:00:00.000Z"),
        ] {
            check(text, Some(expect));
        }
    }

    #[test]
    fn impossible_days_and_forms_are_refused() {
        for text in [
            "",
            "2022",
            "2022-13-01",
            "2022-02-29",
            "1900-02-29",
            "2022-04-31",
            "2022-00-01",
            "2022-01-00",
            "0000-01-01",
            "2022-01-31T24:00:00Z",
            "2022-01-31T12:60:00Z",
            "2022-01-31T12:34:56",
            "2022-1-1",
            "2022-01-31T12:34:56+25:00",
            "2022-01-31T12:34:56.Z",
            "2022-01-31x",
            "٢٠٢٢-01-31",
        ] {
            check(text, None);
        }
    }

    proptest! {
        #[test]
        fn written_order_is_the_order_of_time(a in moment(), b in moment()) {
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
            prop_assert_eq!(Moment::parse(&a.to_string()), Some(a));
        }

        #[test]
        fn there_and_back(a in moment(), minutes in -1000i32..1000) {
            let moved = a.from_offset(minutes).and_then(|m| m.from_offset(-minutes));
            prop_assert!(moved.is_none_or(|m| m == a));
        }
    }

    fn moment() -> impl Strategy<Value = Moment> {
        (1600u32..2200, 1u32..13, 1u32..29, 0u32..86_400_000)
            .prop_map(|(y, m, d, ms)| Moment { ms, ..Moment::day(y, m, d).unwrap() })
    }
}
