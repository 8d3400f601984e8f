//! Numbers, dates and JSON fields written straight into a byte buffer: rows are made by the million.

/// Milliseconds in a day.
pub(crate) const DAY_MS: i64 = 86_400_000;

/// Writes `value` in decimal digits.
pub(crate) fn push_number(out: &mut Vec<u8>, value: u64) {
    push_digits(out, value, 1);
}

/// Writes `value` with at least `width` digits, zeros in front.
pub(crate) fn push_digits(out: &mut Vec<u8>, mut value: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        if value == 0 && used >= width {
            break;
        }
        *slot = b'0' + u8::try_from(value % 10).expect("a digit is below 10");
        value /= 10;
        used += 1;
    }
    out.extend_from_slice(digits.get(20 - used..).unwrap_or_default());
}

/// Writes `525,000` for 525000.
pub(crate) fn push_with_commas(out: &mut Vec<u8>, value: u64) {
    if value < 1_000 {
        return push_number(out, value);
    }
    push_with_commas(out, value / 1_000);
    out.push(b',');
    push_digits(out, value % 1_000, 3);
}

/// Writes a fixed-point number: `push_decimal(out, -122_332_100, 6)` gives `-122.332100`.
pub(crate) fn push_decimal(out: &mut Vec<u8>, value: i64, places: u32) {
    if value < 0 {
        out.push(b'-');
    }
    let unit = 10_u64.pow(places);
    push_number(out, value.unsigned_abs() / unit);
    out.push(b'.');
    push_digits(out, value.unsigned_abs() % unit, usize::try_from(places).unwrap_or(0));
}

/// Year, month and day of a count of days since 1970-01-01 (Howard Hinnant's `civil_from_days`).
pub(crate) fn civil_from_days(days: i64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year.unsigned_abs(), month.unsigned_abs(), day.unsigned_abs())
}

/// The two digits of a number below 100.
fn pair(value: u64) -> [u8; 2] {
    let digit = |value: u64| b'0' + u8::try_from(value % 10).expect("a digit is below 10");
    [digit(value / 10), digit(value)]
}

/// Writes `MM/DD/YYYY`, the date form of the feed, in UTC.
pub(crate) fn push_date(out: &mut Vec<u8>, time_ms: i64) {
    let (year, month, day) = civil_from_days(time_ms.div_euclid(DAY_MS));
    let ([m1, m2], [d1, d2], [y1, y2], [y3, y4]) =
        (pair(month), pair(day), pair(year / 100), pair(year));
    out.extend_from_slice(&[m1, m2, b'/', d1, d2, b'/', y1, y2, y3, y4]);
}

/// Writes `YYYY-MM-DDTHH:MM:SS.mmmZ`.
pub(crate) fn push_timestamp(out: &mut Vec<u8>, time_ms: i64) {
    let (year, month, day) = civil_from_days(time_ms.div_euclid(DAY_MS));
    let within = time_ms.rem_euclid(DAY_MS).unsigned_abs();
    let ([m1, m2], [d1, d2], [y1, y2], [y3, y4]) =
        (pair(month), pair(day), pair(year / 100), pair(year));
    out.extend_from_slice(&[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T']);
    let ([h1, h2], [n1, n2]) = (pair(within / 3_600_000), pair(within / 60_000 % 60));
    let ([s1, s2], [f1, f2], [_, f3]) =
        (pair(within / 1_000 % 60), pair(within % 1_000 / 10), pair(within % 10));
    out.extend_from_slice(&[h1, h2, b':', n1, n2, b':', s1, s2, b'.', f1, f2, f3, b'Z']);
}

#[cfg(test)]
mod tests {
    use super::{
        push_date, push_decimal, push_digits, push_number, push_timestamp, push_with_commas,
    };

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers() {
        assert_eq!(written(|out| push_number(out, 0)), "0");
        assert_eq!(written(|out| push_number(out, u64::MAX)), u64::MAX.to_string());
        assert_eq!(written(|out| push_digits(out, 42, 6)), "000042");
        for (value, expected) in
            [(7, "7"), (999, "999"), (1_000, "1,000"), (1_234_005, "1,234,005")]
        {
            assert_eq!(written(|out| push_with_commas(out, value)), expected);
        }
        for (value, places, expected) in
            [(-122_332_100, 6, "-122.332100"), (5, 2, "0.05"), (-5, 2, "-0.05")]
        {
            assert_eq!(written(|out| push_decimal(out, value, places)), expected);
        }
    }

    #[test]
    fn dates() {
        for (time_ms, date, timestamp) in [
            (0, "01/01/1970", "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "02/28/2000", "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "02/29/2000", "2000-02-29T00:00:00.000Z"),
            (1_767_225_600_123, "01/01/2026", "2026-01-01T00:00:00.123Z"),
            (-1, "12/31/1969", "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(written(|out| push_date(out, time_ms)), date);
            assert_eq!(written(|out| push_timestamp(out, time_ms)), timestamp);
        }
    }
}
