//! Dates and moments in the forms that feeds write them, said as in `strftime`: `%Y%m%dT000000`, `%m/%d/%Y`.

use messages::time::{Moment, zone_minutes};

/// How a column writes dates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DateForm {
    items: Vec<Item>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Literal(char),
    Number(Place, Width),
    MonthName,
    Zone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Fraction,
}

/// Least and most digits.
type Width = (usize, usize);

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

impl DateForm {
    /// Reads a form.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub(crate) fn parse(form: &str) -> Result<Self, String> {
        let mut items = Vec::new();
        let mut chars = form.chars();
        while let Some(c) = chars.next() {
            items.push(if c == '%' { directive(chars.next())? } else { Item::Literal(c) });
        }
        let count =
            |place| items.iter().filter(|i| matches!(i, Item::Number(p, _) if *p == place)).count();
        let months = count(Place::Month) + items.iter().filter(|i| **i == Item::MonthName).count();
        if (count(Place::Year), months, count(Place::Day)) != (1, 1, 1) {
            return Err(format!(
                "`{form}` must have one year (%Y), one month (%m or %b) and one day (%d)"
            ));
        }
        fix_widths(&mut items);
        Ok(Self { items })
    }

    /// Reads a text; `offset` is in minutes east of Greenwich, for texts that do not say their zone.
    pub(crate) fn read(&self, text: &str, offset: i32) -> Option<Moment> {
        let mut read = Read { rest: text, offset, ..Read::default() };
        for item in &self.items {
            read.item(*item)?;
        }
        read.finish()
    }
}

fn directive(letter: Option<char>) -> Result<Item, String> {
    let two = (1, 2);
    Ok(match letter {
        Some('Y') => Item::Number(Place::Year, (4, 4)),
        Some('m') => Item::Number(Place::Month, two),
        Some('d') => Item::Number(Place::Day, two),
        Some('H') => Item::Number(Place::Hour, two),
        Some('M') => Item::Number(Place::Minute, two),
        Some('S') => Item::Number(Place::Second, two),
        Some('f') => Item::Number(Place::Fraction, (1, 9)),
        Some('b') => Item::MonthName,
        Some('z') => Item::Zone,
        Some('%') => Item::Literal('%'),
        Some('y') => {
            return Err("%y (two digits) does not say the century: use a form with %Y".to_owned());
        }
        Some(other) => {
            return Err(format!("%{other} is not known; known are %Y %m %d %b %H %M %S %f %z %%"));
        }
        None => return Err("the form ends in a single %: write %% for the sign itself".to_owned()),
    })
}

/// Numbers that stand beside each other have all their digits, or nobody could tell them apart.
fn fix_widths(items: &mut [Item]) {
    let numeric: Vec<bool> = items
        .iter()
        .map(|item| match item {
            Item::Number(..) => true,
            Item::Literal(c) => c.is_ascii_digit(),
            _ => false,
        })
        .collect();
    for (at, item) in items.iter_mut().enumerate() {
        let beside =
            numeric.get(at + 1) == Some(&true) || at > 0 && numeric.get(at - 1) == Some(&true);
        if let Item::Number(place, (least, most)) = item
            && beside
            && *place != Place::Fraction
        {
            *least = *most;
        }
    }
}

#[derive(Default)]
struct Read<'t> {
    rest: &'t str,
    year: u32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    ms: u32,
    offset: i32,
}

impl Read<'_> {
    fn item(&mut self, item: Item) -> Option<()> {
        match item {
            Item::Literal(c) => self.rest = self.rest.strip_prefix(c)?,
            Item::Number(place, width) => self.number(place, width)?,
            Item::MonthName => self.month_name()?,
            Item::Zone => {
                self.offset = zone_minutes(self.rest.as_bytes())?;
                self.rest = "";
            }
        }
        Some(())
    }

    fn number(&mut self, place: Place, (least, most): Width) -> Option<()> {
        let len = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at_checked(len).filter(|_| len >= least)?;
        self.rest = rest;
        let number: u32 = digits.parse().ok()?;
        match place {
            Place::Year => self.year = number,
            Place::Month => self.month = number,
            Place::Day => self.day = number,
            Place::Hour => self.hour = number,
            Place::Minute => self.minute = number,
            Place::Second => self.second = number,
            Place::Fraction => {
                let padded = format!("{digits}00");
                self.ms = padded.get(..3)?.parse().ok()?;
            }
        }
        Some(())
    }

    fn month_name(&mut self) -> Option<()> {
        let len = self.rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (name, rest) = self.rest.split_at_checked(len)?;
        let short = name.get(..3)?.to_ascii_lowercase();
        let at = MONTHS.iter().position(|m| *m == short)?;
        self.month = u32::try_from(at).ok()? + 1;
        self.rest = rest;
        Some(())
    }

    fn finish(self) -> Option<Moment> {
        if !self.rest.is_empty() {
            return None;
        }
        Moment::day(self.year, self.month, self.day)?
            .at(self.hour, self.minute, self.second, self.ms)?
            .from_offset(self.offset)
    }
}

/// How a column writes dates: the forms it has, or the standard ones where the pack names none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DateForms {
    pub(crate) forms: Vec<DateForm>,
    /// Zone of texts that do not say theirs, in minutes east of Greenwich.
    pub(crate) offset: i32,
}

impl DateForms {
    /// A moment, in UTC.
    pub(crate) fn moment(&self, text: &str) -> Option<Moment> {
        if self.forms.is_empty() {
            return Moment::parse(text)
                .or_else(|| Moment::parse(&format!("{text}Z"))?.from_offset(self.offset));
        }
        self.forms.iter().find_map(|form| form.read(text, self.offset))
    }

    /// A day as the source's own calendar has it: zones do not move it.
    pub(crate) fn day(&self, text: &str) -> Option<Moment> {
        if self.forms.is_empty() {
            let (day, time) = text.split_at_checked(messages::time::DATE_LEN)?;
            let sound = time.is_empty()
                || Moment::parse(text).is_some()
                || Moment::parse(&format!("{text}Z")).is_some();
            return Moment::parse(day).filter(|_| sound);
        }
        self.forms.iter().find_map(|form| form.read(text, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(form: &str, text: &str, expect: Option<&str>) {
        let forms = match form {
            "" => Vec::new(),
            form => vec![DateForm::parse(form).unwrap()],
        };
        let read = DateForms { forms, offset: -480 }.moment(text).map(|m| m.to_string());
        assert_eq!(read.as_deref(), expect, "{form}: {text}");
    }

    #[test]
    fn forms() {
        for (form, text, expect) in [
            ("%Y%m%dT000000", "20141013T000000", Some("2014-10-13T08:00:00.000Z")),
            ("%Y%m%dT000000", "20140230T000000", None),
            ("%Y%m%dT000000", "2014113T000000", None),
            ("%Y%m%dT000000", "20141013T000001", None),
            ("%m/%d/%Y", "8/15/2012", Some("2012-08-15T08:00:00.000Z")),
            ("%m/%d/%Y", "08/15/2012", Some("2012-08-15T08:00:00.000Z")),
            ("%m/%d/%Y", "15/8/2012", None),
            ("%m/%d/%Y", "8/15/12", None),
            ("%m/%d/%Y", "8/15/2012 ", None),
            ("%d %b %Y", "3 March 2020", Some("2020-03-03T08:00:00.000Z")),
            ("%d-%b-%Y %H:%M:%S", "03-JAN-2020 23:00:01", Some("2020-01-04T07:00:01.000Z")),
            (
                "%Y-%m-%dT%H:%M:%S.%f%z",
                "2020-01-03T23:00:01.5+01:00",
                Some("2020-01-03T22:00:01.500Z"),
            ),
            ("", "2020-01-03", Some("2020-01-03T00:00:00.000Z")),
            ("", "2020-01-03T23:00:01Z", Some("2020-01-03T23:00:01.000Z")),
            ("", "2020-01-03T23:00:01", Some("2020-01-04T07:00:01.000Z")),
            ("", "03/01/2020", None),
        ] {
            check(form, text, expect);
        }
    }

    #[test]
    fn zones_do_not_move_days() {
        let forms = DateForms { forms: Vec::new(), offset: -480 };
        for (text, expect) in [
            ("2020-01-03T23:00:01-08:00", Some("2020-01-03T00:00:00.000Z")),
            ("2020-01-03T23:00:01", Some("2020-01-03T00:00:00.000Z")),
            ("2020-01-03", Some("2020-01-03T00:00:00.000Z")),
            ("2020-01-03T99:00:01", None),
            ("2020-01-03 soon", None),
        ] {
            assert_eq!(forms.day(text).map(|m| m.to_string()).as_deref(), expect, "{text}");
        }
    }

    #[test]
    fn forms_that_say_too_little_are_refused() {
        for form in ["", "%Y", "%Y-%m", "%y-%m-%d", "%Y-%m-%d %Q", "%Y-%m-%d%", "%Y%Y%m%d"] {
            assert!(DateForm::parse(form).is_err(), "{form}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(form in "[%YmdHMSfbz0-9/: T-]{0,20}", text in ".{0,24}") {
            if let Ok(form) = DateForm::parse(&form) {
                let _read = form.read(&text, 0);
            }
        }
    }
}
