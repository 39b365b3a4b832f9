//! Times of day as texts (RFC 3339) and as seconds since 1970. Texts are what is kept and told, seconds what is compared.

use sisa::engine::utc_now;

/// Seconds of a day.
pub(super) const DAY: f64 = 86_400.0;

/// Seconds since 1970, now, by the clock of the day.
pub(super) fn now() -> f64 {
    seconds(&utc_now()).unwrap_or(0.0)
}

/// Seconds since 1970 of a time with its offset: `2026-11-26T12:00:00.000Z`, `2026-11-26T13:00:00+01:00`.
pub(super) fn seconds(time: &str) -> Option<f64> {
    let number = |range: std::ops::Range<usize>| {
        let digits = time.get(range)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<i64>().ok())?
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute) = (number(11..13)?, number(14..16)?);
    let marks = [(4, "-"), (7, "-"), (13, ":"), (16, ":")];
    if !marks.iter().all(|(at, mark)| time.get(*at..*at + 1) == Some(mark)) || !matches!(time.get(10..11)?, "T" | "t" | " ") {
        return None;
    }
    let rest = time.get(17..)?;
    let offset_at = rest.find(['Z', 'z', '+', '-'])?;
    let (second, offset) = (rest.get(..offset_at)?, rest.get(offset_at..)?);
    if !second.bytes().all(|b| b.is_ascii_digit() || b == b'.') || second.len() < 2 {
        return None;
    }
    let second: f64 = second.parse().ok()?;
    let east = match offset {
        "Z" | "z" => 0,
        offset => {
            let part = |range: std::ops::Range<usize>| offset.get(range)?.parse::<i64>().ok();
            let minutes = part(1..3)? * 60 + part(4..6)?;
            if offset.len() != 6 || offset.get(3..4) != Some(":") || minutes > 24 * 60 {
                return None;
            }
            if offset.starts_with('-') { -minutes } else { minutes }
        }
    };
    let fine = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61.0;
    fine.then(|| (days(year, month, day) * 86_400 + hour * 3600 + (minute - east) * 60) as f64 + second)
}

/// Days since 1970 of a civil date: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The time so many seconds after 1970, in whole seconds (`civil_from_days` of the same source).
pub(super) fn text(seconds: f64) -> String {
    let whole = seconds.max(0.0).floor() as i64;
    let (days, second) = (whole.div_euclid(86_400) + 719_468, whole.rem_euclid(86_400));
    let era = days.div_euclid(146_097);
    let day_of_era = days - era * 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_of_year = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_of_year + 2) / 5 + 1;
    let month = if month_of_year < 10 { month_of_year + 3 } else { month_of_year - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// A time in whole seconds, the next one where it is between two: finer ones tell of the place of a record.
pub(super) fn coarse(time: &str) -> String {
    seconds(time).map_or_else(|| time.to_owned(), |at| text(at.ceil()))
}

/// Seconds since a time, by the clock of the day; none if it is still to come.
pub(super) fn age(time: &str) -> Option<f64> {
    Some((now() - seconds(time)?).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_and_back() {
        for (time, expected) in [
            ("1970-01-01T00:00:00.000Z", 0.0),
            ("2000-02-29T12:34:56.500Z", 951_827_696.5),
            ("2000-02-29T13:34:56.500+01:00", 951_827_696.5),
            ("2000-02-29T07:04:56.5-05:30", 951_827_696.5),
            ("2099-12-31T23:59:59.000Z", 4_102_444_799.0),
        ] {
            assert_eq!(seconds(time), Some(expected), "{time}");
        }
        for wrong in [
            "",
            "today",
            "2026-13-01T00:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T25:00:00Z",
            "2026-01-01T00:00:00+1:00",
            "+026-01-01T00:00:00Z",
            "2026-01-01T00:00:00+aa:00",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
        for day in (0..60_000).step_by(13) {
            let at = f64::from(day) * DAY + 45_296.0;
            assert_eq!(seconds(&text(at)), Some(at));
        }
        assert_eq!(coarse("2026-11-26T12:00:00.001Z"), "2026-11-26T12:00:01Z");
        assert_eq!(coarse("2026-11-26T12:00:00.000Z"), "2026-11-26T12:00:00Z");
        assert!(age(&utc_now()).unwrap() < 60.0);
    }
}
