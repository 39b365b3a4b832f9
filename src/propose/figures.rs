//! Figures as people read them: rounded, so that they give nobody away.

use crate::learn::Range;

/// A number in two significant digits.
pub(super) fn two_digits(number: f64) -> String {
    let short = format!("{number:.1e}");
    // What was just written is a number.
    let rounded: f64 = short.parse().unwrap_or(number);
    match rounded.abs() {
        0.0 => "0".into(),
        size if (1e-4..1e9).contains(&size) => rounded.to_string(),
        _ => short,
    }
}

/// The ends of a range, each rounded to the finer of two significant digits of itself and of the range's width; nothing where an f32 does
/// not hold them, or as one.
pub(super) fn ends((low, high): (f64, f64)) -> Option<Range> {
    let width = power(high - low);
    let [low, high] = [low, high].map(|end| {
        let place = width.min(power(end)) - 1;
        let decimals = place.min(0).unsigned_abs() as usize;
        let tens: f64 = format!("1e{}", place.max(0)).parse().unwrap_or(1.0);
        let whole = if place > 0 { (end / tens).round() * tens } else { end };
        // Over its decimals, so that it is the nearest to what is written.
        format!("{whole:.decimals$}").parse::<f32>().unwrap_or(f32::NAN) + 0.0
    });
    (low.is_finite() && high.is_finite() && low < high).then_some(Range([low, high]))
}

/// The power of ten of a number's first digit.
fn power(number: f64) -> i32 {
    if number == 0.0 {
        return i32::MAX;
    }
    format!("{number:e}").rsplit('e').next().and_then(|exponent| exponent.parse().ok()).unwrap_or(0)
}

/// An end of a range as it is written.
pub(super) fn end(end: f32) -> String {
    match end.abs() {
        0.0 => "0".into(),
        size if (1e-4..1e9).contains(&size) => end.to_string(),
        _ => format!("{end:e}"),
    }
}

/// A count in two significant digits, its thousands apart.
pub(super) fn about(count: u64) -> String {
    let digits = two_digits(count as f64);
    let mut out = String::new();
    for (left, digit) in (0..digits.len()).rev().zip(digits.chars()) {
        out.push(digit);
        if left % 3 == 0 && left > 0 && !digits.contains('e') {
            out.push(',');
        }
    }
    out
}

/// A share in two significant digits.
pub(super) fn share(part: u64, whole: u64) -> String {
    let percent = 100.0 * part as f64 / whole.max(1) as f64;
    if percent < 0.1 { "under 0.1 %".into() } else { format!("{} %", two_digits(percent)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_as_fine_as_the_range_needs() {
        for ((low, high), expected) in [
            ((2001.0, 2003.0), "2001 2003"),
            ((20.6, 8765.5), "21 8800"),
            ((0.0, 1234.0), "0 1200"),
            ((-503.2, 3.04), "-500 3"),
            ((0.123_456, 0.654_321), "0.12 0.65"),
            ((1e-7, 3.21e-7), "1e-7 3.2e-7"),
            ((-4.0e12, 5.54e12), "-4e12 5.5e12"),
            ((19_950_101.0, 20_201_231.0), "19950000 20200000"),
        ] {
            let Range([a, b]) = ends((low, high)).unwrap();
            assert_eq!(format!("{} {}", end(a), end(b)), expected);
            // As it is read again.
            assert_eq!([a, b].map(|e| end(e).parse::<f32>().unwrap()), [a, b]);
        }
        assert_eq!([ends((1.0, 1.0)), ends((0.0, 1e300))], [None, None]);
    }
}
