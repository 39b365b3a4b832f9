//! Times and decimals of binary formats as a CSV would spell them.

/// A day, counted from 1970, in the order of ISO 8601.
pub(super) fn day(days: i64) -> String {
    // Years from March on, in eras of 400 (Hinnant 2013, "chrono-compatible low-level date algorithms").
    let shifted = days.saturating_add(719_468);
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// A time of day, counted in parts of a second of which there are `per_second`.
pub(super) fn time(parts: i64, per_second: i64) -> String {
    let (seconds, rest) = (parts.div_euclid(per_second), parts.rem_euclid(per_second));
    let fraction = match rest {
        0 => String::new(),
        // As many digits as there are zeros in the parts of a second.
        rest => {
            let digits = per_second.ilog10() as usize;
            format!(".{}", format!("{rest:0digits$}").trim_end_matches('0'))
        }
    };
    format!("{:02}:{:02}:{:02}{fraction}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// A moment, counted from 1970 in parts of a second; in `utc`, or where its clock hung.
pub(super) fn moment(parts: i64, per_second: i64, utc: bool) -> String {
    let per_day = per_second.saturating_mul(86_400);
    let (days, rest) = (parts.div_euclid(per_day), parts.rem_euclid(per_day));
    format!("{}T{}{}", day(days), time(rest, per_second), if utc { "Z" } else { "" })
}

/// A whole number whose last `scale` digits come after the point.
pub(super) fn decimal(number: i128, scale: usize) -> String {
    let digits = format!("{:0>width$}", number.unsigned_abs(), width = scale + 1);
    let (whole, rest) = digits.split_at(digits.len() - scale);
    let sign = if number < 0 { "-" } else { "" };
    let point = if scale > 0 { "." } else { "" };
    format!("{sign}{whole}{point}{rest}")
}

/// A whole number of at most 16 bytes, the highest first.
pub(super) fn whole(bytes: &[u8]) -> Option<i128> {
    let negative = bytes.first().is_some_and(|first| *first >= 0x80);
    let start = if negative { -1 } else { 0 };
    (bytes.len() <= 16).then(|| bytes.iter().fold(start, |number, byte| number << 8 | i128::from(*byte)))
}

/// A UUID.
pub(super) fn uuid(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (at, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&at) {
            out.push('-');
        }
        out += &format!("{byte:02x}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_moments_are_those_of_the_calendar() {
        for (days, text) in
            [(0, "1970-01-01"), (-1, "1969-12-31"), (11_016, "2000-02-29"), (19_813, "2024-03-31"), (-719_528, "0000-01-01")]
        {
            assert_eq!(day(days), text);
        }
        assert_eq!(moment(1_711_868_400_000, 1000, false), "2024-03-31T07:00:00");
        assert_eq!(moment(-1, 1_000_000, true), "1969-12-31T23:59:59.999999Z");
        assert_eq!(moment(1_500_000_000, 1_000_000_000, false), "1970-01-01T00:00:01.5");
        assert_eq!(time(86_399, 1), "23:59:59");
    }

    #[test]
    fn decimals_have_all_their_digits() {
        for (number, scale, text) in [(12_345, 2, "123.45"), (-5, 2, "-0.05"), (7, 0, "7"), (0, 3, "0.000"), (-1200, 2, "-12.00")]
        {
            assert_eq!(decimal(number, scale), text);
        }
        assert_eq!([whole(&[0xff, 0xfe]), whole(&[1, 0]), whole(&[]), whole(&[0; 17])], [Some(-2), Some(256), Some(0), None]);
        assert_eq!(uuid(&(0..16).collect::<Vec<u8>>()), "00010203-0405-0607-0809-0a0b0c0d0e0f");
    }
}
