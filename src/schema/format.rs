//! How the cells of a column spell numbers and moments: declared, never learnt.

use serde::{Deserialize, Serialize};

use super::number::parse_number;

/// How numbers are spelt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberFormat {
    /// Between the whole and its decimals.
    #[serde(default = "point")]
    pub decimal: char,
    /// Between groups of three digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thousands: Option<char>,
    /// What may stand before or after a number and says nothing about it: `%`, `$`, `kg`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub symbols: Vec<String>,
}

fn point() -> char {
    '.'
}

impl Default for NumberFormat {
    fn default() -> NumberFormat {
        NumberFormat { decimal: '.', thousands: None, symbols: Vec::new() }
    }
}

impl NumberFormat {
    /// Whether it is that of the numbers that every column takes.
    pub fn is_plain(&self) -> bool {
        *self == NumberFormat::default()
    }

    /// The number that the whole text spells.
    pub(crate) fn parse(&self, text: &[u8]) -> Option<f32> {
        let mut rest = std::str::from_utf8(text).ok()?.trim();
        let (mut sign, mut symbol) = (None, false);
        loop {
            if let (None, Some(first @ ('-' | '+'))) = (sign, rest.chars().next()) {
                sign = Some(first);
                rest = rest.get(1..)?.trim_start();
            } else if let (false, Some(after)) = (symbol, self.symbols.iter().find_map(|s| rest.strip_prefix(s.as_str()))) {
                symbol = true;
                rest = after.trim_start();
            } else {
                break;
            }
        }
        if !symbol && let Some(before) = self.symbols.iter().find_map(|s| rest.strip_suffix(s.as_str())) {
            rest = before.trim_end();
        }
        let (whole, fraction) = rest.split_once(self.decimal).map_or((rest, None), |(whole, fraction)| (whole, Some(fraction)));
        let whole = match self.thousands {
            Some(mark) if whole.contains(mark) => ungrouped(whole, mark)?,
            _ => whole.to_owned(),
        };
        let (digits, exponent) = match fraction {
            Some(fraction) => fraction.split_at(fraction.find(['e', 'E']).unwrap_or(fraction.len())),
            None => ("", ""),
        };
        let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let plain = fraction.is_none() && !whole.contains('.') && whole.as_bytes().first().is_some_and(u8::is_ascii_digit);
        if !(plain || is_digits(&whole) && is_digits(digits) && whole.len() + digits.len() > 0) {
            return None;
        }
        let sign = if sign == Some('-') { "-" } else { "" };
        let whole = if whole.is_empty() { "0" } else { &whole };
        let point = if digits.is_empty() { "" } else { "." };
        parse_number(format!("{sign}{whole}{point}{digits}{exponent}").as_bytes())
    }
}

/// Digits without the marks between groups of three; nothing where the groups are others.
fn ungrouped(whole: &str, mark: char) -> Option<String> {
    let mut groups = whole.split(mark);
    let digits = |group: &str| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit());
    let first = groups.next().filter(|first| digits(first) && first.len() <= 3)?;
    groups.try_fold(first.to_owned(), |all, group| (digits(group) && group.len() == 3).then(|| all + group))
}

/// In which order a date is written. Years have four digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DateOrder {
    /// `2024-03-31`, `2024/3/31`, `20240331`; ISO 8601.
    YearMonthDay,
    /// `31.03.2024`, `31/3/2024`.
    DayMonthYear,
    /// `03/31/2024`.
    MonthDayYear,
}

/// What a date's number counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DateUnit {
    /// Days, the time of day as their fraction.
    #[default]
    Days,
    /// Seconds.
    Seconds,
}

/// A part of a moment that is a category of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatePart {
    /// January first.
    Month,
    /// Monday first.
    Weekday,
    /// From midnight on.
    Hour,
}

impl DatePart {
    /// How many values it has.
    pub fn count(self) -> u32 {
        match self {
            DatePart::Month => 12,
            DatePart::Weekday => 7,
            DatePart::Hour => 24,
        }
    }
}

/// A moment of the proleptic Gregorian calendar; without a time zone, or in UTC where one is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moment {
    /// Days since 1970-01-01.
    pub(crate) days: i64,
    /// Seconds of the day.
    pub(crate) seconds: f64,
    month: u32,
}

impl Moment {
    /// The moment that the whole text spells.
    pub(crate) fn parse(order: DateOrder, text: &[u8]) -> Option<Moment> {
        let text = std::str::from_utf8(text).ok()?.trim();
        let (date, time) = match text.find(['T', ' ']) {
            Some(at) => (text.get(..at)?, Some(text.get(at + 1..)?.trim_start())),
            None => (text, None),
        };
        let (year, month, day) = split_date(order, date)?;
        let days = days_of(year, month, day)?;
        let Some(time) = time.filter(|time| !time.is_empty()) else { return Some(Moment { days, seconds: 0.0, month }) };
        let (time, offset) = split_offset(time)?;
        let seconds = seconds_of(time)? - offset;
        let whole_days = (seconds / 86_400.0).floor();
        let days = days + whole_days as i64;
        let month = if whole_days == 0.0 { month } else { month_of(days) };
        Some(Moment { days, seconds: seconds - whole_days * 86_400.0, month })
    }

    /// What it counts since an origin, in days since 1970.
    pub(crate) fn number(&self, unit: DateUnit, origin: i64) -> f32 {
        let days = (self.days - origin) as f64;
        match unit {
            DateUnit::Days => (days + self.seconds / 86_400.0) as f32,
            DateUnit::Seconds => (days * 86_400.0 + self.seconds) as f32,
        }
    }

    /// The index of a part.
    pub(crate) fn part(&self, part: DatePart) -> u32 {
        match part {
            DatePart::Month => self.month - 1,
            // 1970-01-01 was a Thursday.
            DatePart::Weekday => (self.days + 3).rem_euclid(7) as u32,
            DatePart::Hour => (self.seconds / 3600.0) as u32,
        }
    }
}

fn number(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<u32> {
    (digits.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

fn split_date(order: DateOrder, date: &str) -> Option<(u32, u32, u32)> {
    let separator = date.chars().find(|c| !c.is_ascii_digit());
    let parts: Vec<&str> = match separator {
        Some(mark @ ('-' | '/' | '.')) => date.split(mark).collect(),
        Some(_) => return None,
        None if date.len() == 8 && order == DateOrder::YearMonthDay => vec![date.get(..4)?, date.get(4..6)?, date.get(6..)?],
        None => return None,
    };
    let [a, b, c] = parts.as_slice() else { return None };
    let (year, month, day) = match order {
        DateOrder::YearMonthDay => (a, b, c),
        DateOrder::DayMonthYear => (c, b, a),
        DateOrder::MonthDayYear => (c, a, b),
    };
    Some((number(year, 4..=4)?, number(month, 1..=2)?, number(day, 1..=2)?))
}

/// A time and the offset of its zone from UTC, in seconds.
fn split_offset(time: &str) -> Option<(&str, f64)> {
    if let Some(utc) = time.strip_suffix(['Z', 'z']) {
        return Some((utc.trim_end(), 0.0));
    }
    let Some(at) = time.rfind(['+', '-']) else { return Some((time, 0.0)) };
    let (time, zone) = (time.get(..at)?, time.get(at..)?);
    let sign = if zone.starts_with('-') { -1.0 } else { 1.0 };
    let digits: String = zone.chars().skip(1).filter(|c| *c != ':').collect();
    let (hours, minutes) =
        (number(digits.get(..2)?, 2..=2)?, digits.get(2..).filter(|m| !m.is_empty()).map(|m| number(m, 2..=2)));
    let minutes = minutes.unwrap_or(Some(0))?;
    Some((time.trim_end(), sign * f64::from(hours * 3600 + minutes * 60)))
}

fn seconds_of(time: &str) -> Option<f64> {
    let mut parts = time.split(':');
    let (hour, minute) = (number(parts.next()?, 1..=2)?, number(parts.next()?, 2..=2)?);
    let second = match parts.next() {
        Some(second) => {
            let (whole, fraction) = second.split_once('.').unwrap_or((second, "0"));
            let fraction = if fraction.bytes().all(|b| b.is_ascii_digit()) {
                format!("0.{fraction}").parse::<f64>().ok()?
            } else {
                return None;
            };
            f64::from(number(whole, 2..=2)?) + fraction
        }
        None => 0.0,
    };
    (parts.next().is_none() && hour < 24 && minute < 60 && second < 61.0).then(|| f64::from(hour * 3600 + minute * 60) + second)
}

/// Days of a date since 1970-01-01; nothing where there is no such day.
pub(crate) fn days_of(year: u32, month: u32, day: u32) -> Option<i64> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years that begin in March, so that the leap day is the last: whole years, then the days of the months before (153 in five).
    let (year, month) = (i64::from(year) - i64::from(month < 3), i64::from((month + 9) % 12));
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Some(365 * year + leap_days + (153 * month + 2) / 5 + i64::from(day) - 1 - 719_468)
}

/// Days of a date such as `2000-01-01` since 1970-01-01.
pub(crate) fn days_of_text(date: &str) -> Option<i64> {
    let (year, month, day) = split_date(DateOrder::YearMonthDay, date)?;
    days_of(year, month, day)
}

/// The month of a day since 1970-01-01.
fn month_of(days: i64) -> u32 {
    let shifted = days + 719_468;
    let within = shifted.rem_euclid(146_097);
    let year = (within - within / 1460 + within / 36_524 - within / 146_096) / 365;
    let day = within - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    if month < 10 { month as u32 + 3 } else { month as u32 - 9 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(decimal: char, thousands: Option<char>, symbols: &[&str]) -> NumberFormat {
        NumberFormat { decimal, thousands, symbols: symbols.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn numbers_are_read_as_declared_and_as_nothing_else() {
        let german = format(',', Some('.'), &["€", "EUR"]);
        let english = format('.', Some(','), &["$", "%"]);
        for (format, text, expected) in [
            (&german, "1.234.567,5", Some(1_234_567.5)),
            (&german, "0,5 €", Some(0.5)),
            (&german, "EUR 12", Some(12.0)),
            (&german, "1.5", None),
            (&german, "12.34,5", None),
            (&german, "1,5,0", None),
            (&german, "-3,25", Some(-3.25)),
            (&english, "1,234.50", Some(1234.5)),
            (&english, "-$1,234", Some(-1234.0)),
            (&english, "$-5", Some(-5.0)),
            (&english, "12 %", Some(12.0)),
            (&english, "+7", Some(7.0)),
            (&english, "1,23", None),
            (&english, "1,2345", None),
            (&english, ",123", None),
            (&english, "12%%", None),
            (&english, "$", None),
            (&english, "", None),
            (&english, "nan", None),
            (&english, "1.5e3", Some(1500.0)),
            (&english, "2e3", Some(2000.0)),
            (&english, ".5", Some(0.5)),
        ] {
            assert_eq!(format.parse(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn dates_are_days_since_their_origin() {
        use DateOrder::{DayMonthYear, MonthDayYear, YearMonthDay};
        for (order, text, days, seconds) in [
            (YearMonthDay, "1970-01-01", 0, 0.0),
            (YearMonthDay, "2000-03-01", 11_017, 0.0),
            (YearMonthDay, "20240229", 19_782, 0.0),
            (YearMonthDay, "1969/12/31", -1, 0.0),
            (YearMonthDay, "2024-03-31T23:30:00Z", 19_813, 84_600.0),
            (YearMonthDay, "2024-03-31 23:30:00.5+01:00", 19_813, 81_000.5),
            (YearMonthDay, "2024-03-31T23:30-0200", 19_814, 5_400.0),
            (DayMonthYear, "31.3.2024", 19_813, 0.0),
            (MonthDayYear, "03/31/2024 07:05", 19_813, 25_500.0),
        ] {
            let moment = Moment::parse(order, text.as_bytes()).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((moment.days, moment.seconds), (days, seconds), "{text}");
        }
        for (order, text) in [
            (YearMonthDay, "2023-02-29"),
            (YearMonthDay, "31.03.2024"),
            (YearMonthDay, "2024-13-01"),
            (YearMonthDay, "24-01-01"),
            (YearMonthDay, "2024-01-01T25:00"),
            (YearMonthDay, "2024-01-01x"),
            (DayMonthYear, "03/31/2024"),
            (DayMonthYear, "31.03.24"),
            (MonthDayYear, "31/03/2024"),
            (YearMonthDay, ""),
        ] {
            assert_eq!(Moment::parse(order, text.as_bytes()), None, "{text}");
        }
        let moment = Moment::parse(YearMonthDay, b"2024-03-31T23:30-0200").unwrap();
        assert_eq!([DatePart::Month, DatePart::Weekday, DatePart::Hour].map(|p| moment.part(p)), [3, 0, 1]);
        assert_eq!(moment.number(DateUnit::Days, 19_814), 0.0625);
        assert_eq!(moment.number(DateUnit::Seconds, 19_813), 91_800.0);
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = days_of(1899, 12, 31).unwrap();
        for year in 1900..2101 {
            for month in 1..=12 {
                for day in 1..=31 {
                    if let Some(days) = days_of(year, month, day) {
                        assert_eq!((days, month_of(days)), (before + 1, month));
                        before = days;
                    }
                }
            }
        }
        assert_eq!(before, days_of(2101, 1, 1).unwrap() - 1);
    }
}
