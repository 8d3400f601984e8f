//! The moment that a snapshot speaks about: from the configuration or the file's name, never from the
//! time at which the file was written, which a copy or a download changes.

use std::fmt;

use serde::{Deserialize, Serialize};

const DAY_MS: i64 = 86_400_000;
/// Years that are taken for years in a file's name.
const YEARS: std::ops::RangeInclusive<i64> = 1900..=2199;

/// A moment in milliseconds since 1970, UTC. Shown as `2022-01-01T00:00:00.000Z`: texts order as moments do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AsOf(i64);

/// Why a file's name gives no as-of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// There is no date in it.
    NoDate,
    /// There are several, and no telling which one is meant.
    Several,
}

impl AsOf {
    /// A moment within the years that this type shows in four digits.
    #[must_use]
    pub fn from_ms(ms: i64) -> Option<Self> {
        let days = ms.div_euclid(DAY_MS);
        YEARS.contains(&civil(days).0).then_some(Self(ms))
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn ms(self) -> i64 {
        self.0
    }

    /// Reads a year, a month, a date, or an RFC 3339 time (without an offset it is UTC).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (date, time) = match text.split_once(['T', 't', ' ']) {
            Some((date, time)) => (date, Some(time)),
            None => (text, None),
        };
        let mut parts = date.split('-');
        let year = number(parts.next()?, 4)?;
        let month = parts.next().map_or(Some(1), |m| number(m, 2))?;
        let day = parts.next().map_or(Some(1), |d| number(d, 2))?;
        if parts.next().is_some() || (time.is_some() && date.len() != 10) {
            return None;
        }
        let ms = time.map_or(Some(0), time_of_day)?;
        date_ms(year, month, day).map(|date| Self(date + ms))
    }

    /// The one date in a file's name: `2022`, `2022-03`, `2022-03-14`, `20220314`, each date perhaps with a
    /// time (`2022-03-14T093000Z`, `20220314_0930`, `20220314093000`), or 13 digits of milliseconds since 1970.
    ///
    /// # Errors
    /// [`NameError`] when there is no date, or more than one.
    pub fn from_name(name: &str) -> Result<Self, NameError> {
        let runs = digit_runs(name);
        let mut rest = runs.as_slice();
        let mut found = None;
        while !rest.is_empty() {
            let used = match date_at(rest) {
                Some((_, _)) if found.is_some() => return Err(NameError::Several),
                Some((as_of, used)) => {
                    found = Some(as_of);
                    used
                }
                None => 1,
            };
            rest = rest.get(used..).unwrap_or_default();
        }
        found.ok_or(NameError::NoDate)
    }
}

impl fmt::Display for AsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0.div_euclid(DAY_MS));
        let ms = self.0.rem_euclid(DAY_MS);
        let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
        let (second, ms) = (ms / 1000 % 60, ms % 1000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

fn number(text: &str, digits: usize) -> Option<i64> {
    let plain = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// `hh:mm[:ss[.fff]][Z|+hh:mm|-hh:mm]` in milliseconds.
fn time_of_day(text: &str) -> Option<i64> {
    let (clock, offset_ms) = if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        (clock, 0)
    } else if let Some((clock, offset)) = text.split_once('+') {
        (clock, hours_minutes(offset)?)
    } else if let Some((clock, offset)) = text.split_once('-') {
        (clock, -hours_minutes(offset)?)
    } else {
        (text, 0)
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let thousandths = format!("{:0<3}", fraction.get(..3).unwrap_or(fraction));
    let fraction = number(&thousandths, 3)?;
    let mut parts = clock.split(':');
    let (hour, minute) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let second = parts.next().map_or(Some(0), |s| number(s, 2))?;
    if parts.next().is_some() {
        return None;
    }
    Some(clock_ms(hour, minute, second)? + fraction - offset_ms)
}

fn hours_minutes(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    clock_ms(number(hours, 2)?, number(minutes, 2)?, 0)
}

fn clock_ms(hour: i64, minute: i64, second: i64) -> Option<i64> {
    let valid = hour < 24 && minute < 60 && second < 60;
    valid.then_some(((hour * 60 + minute) * 60 + second) * 1000)
}

fn date_ms(year: i64, month: i64, day: i64) -> Option<i64> {
    if !YEARS.contains(&year) || !(1..=12).contains(&month) || day < 1 {
        return None;
    }
    let days = days_from_civil(year, month, day);
    (civil(days) == (year, month, day)).then_some(days * DAY_MS)
}

/// Days since 1970 of a date of the Gregorian calendar (Howard Hinnant's `days_from_civil`).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The date of a day since 1970 (Howard Hinnant's `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, date)
}

/// A run of digits in a name, and the one character before it where there is just one since the last run.
struct Run<'a> {
    digits: &'a str,
    joined_by: Option<char>,
}

fn digit_runs(name: &str) -> Vec<Run<'_>> {
    let mut runs = Vec::new();
    let mut end = None;
    let mut at = 0;
    while let Some(rest) = name.get(at..).filter(|r| !r.is_empty()) {
        let len = rest.bytes().take_while(u8::is_ascii_digit).count();
        if len == 0 {
            at += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        }
        let gap = end.and_then(|end| name.get(end..at)).unwrap_or_default();
        let mut chars = gap.chars();
        let joined_by = chars.next().filter(|_| chars.next().is_none());
        runs.push(Run { digits: rest.get(..len).unwrap_or_default(), joined_by });
        at += len;
        end = Some(at);
    }
    runs
}

/// The date that begins at the first run, and how many runs it takes.
fn date_at(runs: &[Run<'_>]) -> Option<(AsOf, usize)> {
    let first = runs.first()?.digits;
    match first.len() {
        4 => year_at(first, runs),
        8 => {
            let date = compact_date(first)?;
            let (ms, used) = time_at(runs.get(1..)?);
            Some((AsOf(date + ms), 1 + used))
        }
        13 => AsOf::from_ms(first.parse().ok()?).map(|as_of| (as_of, 1)),
        14 | 17 => {
            let date = compact_date(first.get(..8)?)?;
            let clock = compact_clock(first.get(8..14)?)?;
            let ms = first.get(14..17).map_or(Some(0), |ms| ms.parse().ok())?;
            Some((AsOf(date + clock + ms), 1))
        }
        _ => None,
    }
}

fn year_at(first: &str, runs: &[Run<'_>]) -> Option<(AsOf, usize)> {
    let year = number(first, 4)?;
    let joined = |at: usize| {
        let run = runs.get(at).filter(|r| matches!(r.joined_by, Some('-' | '_' | '.')))?;
        number(run.digits, 2)
    };
    let month = joined(1).and_then(|month| date_ms(year, month, 1).map(|ms| (month, ms)));
    let Some((month, ms)) = month else { return date_ms(year, 1, 1).map(|ms| (AsOf(ms), 1)) };
    let Some(date) = joined(2).and_then(|day| date_ms(year, month, day)) else {
        return Some((AsOf(ms), 2));
    };
    let (ms, used) = time_at(runs.get(3..)?);
    Some((AsOf(date + ms), 3 + used))
}

fn compact_date(digits: &str) -> Option<i64> {
    date_ms(
        number(digits.get(..4)?, 4)?,
        number(digits.get(4..6)?, 2)?,
        number(digits.get(6..8)?, 2)?,
    )
}

fn compact_clock(digits: &str) -> Option<i64> {
    let seconds = digits.get(4..6).unwrap_or("00");
    clock_ms(number(digits.get(..2)?, 2)?, number(digits.get(2..4)?, 2)?, number(seconds, 2)?)
}

/// The time of day that follows a date, in milliseconds, and how many runs it takes; none is midnight.
fn time_at(runs: &[Run<'_>]) -> (i64, usize) {
    let begins =
        runs.first().is_some_and(|r| matches!(r.joined_by, Some('T' | 't' | '_' | '-' | ' ')));
    if !begins {
        return (0, 0);
    }
    let digits =
        |at: usize| runs.get(at).filter(|r| at == 0 || r.joined_by.is_some()).map(|r| r.digits);
    let (clock, used) = match digits(0).map(str::len) {
        Some(4 | 6) => (digits(0).and_then(compact_clock), 1),
        Some(2) => {
            let minute = digits(1).filter(|d| d.len() == 2);
            let second = digits(2).filter(|d| d.len() == 2 && minute.is_some());
            let text = [digits(0), minute, second].into_iter().flatten().collect::<String>();
            (compact_clock(&text), if second.is_some() { 3 } else { 2 })
        }
        _ => (None, 0),
    };
    let Some(clock) = clock else { return (0, 0) };
    match digits(used).filter(|d| d.len() == 3).and_then(|d| d.parse::<i64>().ok()) {
        Some(ms) => (clock + ms, used + 1),
        None => (clock, used),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn configured_texts() {
        for (text, expect) in [
            ("2022", Some("2022-01-01T00:00:00.000Z")),
            ("2022-03", Some("2022-03-01T00:00:00.000Z")),
            ("2024-02-29", Some("2024-02-29T00:00:00.000Z")),
            ("2023-02-29", None),
            ("2022-13-01", None),
            ("2022-03-14T09:30:05.25Z", Some("2022-03-14T09:30:05.250Z")),
            ("2022-03-14 09:30", Some("2022-03-14T09:30:00.000Z")),
            ("2022-03-14T09:30:00-07:00", Some("2022-03-14T16:30:00.000Z")),
            ("2022-03-14T01:30:00+02:00", Some("2022-03-13T23:30:00.000Z")),
            ("2022-03T10:00", None),
            ("2022-03-14T25:00", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(AsOf::parse(text).map(|a| a.to_string()).as_deref(), expect, "{text}");
        }
    }

    #[test]
    fn file_names() {
        for (name, expect) in [
            ("assessment-2022.csv", Ok("2022-01-01T00:00:00.000Z")),
            ("Copy of assessment-2022 (3).csv", Ok("2022-01-01T00:00:00.000Z")),
            ("roll_2022-03.csv.gz", Ok("2022-03-01T00:00:00.000Z")),
            ("20220314.csv", Ok("2022-03-14T00:00:00.000Z")),
            ("20220314_0930.csv", Ok("2022-03-14T09:30:00.000Z")),
            ("feed-2022-03-14T09-30-05.jsonl", Ok("2022-03-14T09:30:05.000Z")),
            ("feed-2022-03-14T09-30-05.123Z.jsonl", Ok("2022-03-14T09:30:05.123Z")),
            ("feed-20220314093005123.jsonl", Ok("2022-03-14T09:30:05.123Z")),
            ("1700000000000.jsonl", Ok("2023-11-14T22:13:20.000Z")),
            ("vorläufig-2022.csv", Ok("2022-01-01T00:00:00.000Z")),
            ("kc_house_data.csv", Err(NameError::NoDate)),
            ("block-0042.csv", Err(NameError::NoDate)),
            ("20221399.csv", Err(NameError::NoDate)),
            ("sales-2015-to-2016.csv", Err(NameError::Several)),
        ] {
            let got = AsOf::from_name(name).map(|a| a.to_string());
            assert_eq!(got.as_deref().map_err(|e| *e), expect, "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(ms in -2_208_988_800_000i64..7_258_118_400_000) {
            let as_of = AsOf::from_ms(ms).unwrap();
            prop_assert_eq!(AsOf::parse(&as_of.to_string()), Some(as_of));
        }

        #[test]
        fn names_never_panic(name in ".*", digits in "[0-9T_.-]{0,30}") {
            for text in [&name, &digits] {
                let named = AsOf::from_name(text).ok();
                let parsed = AsOf::parse(text);
                for as_of in [named, parsed].into_iter().flatten() {
                    prop_assert_eq!(as_of.to_string().len(), 24);
                }
            }
        }
    }
}
