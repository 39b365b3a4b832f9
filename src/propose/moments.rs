//! Which cells of a column are dates, in which order, and which look like dates or times in a form that is not read.

use super::{
    spelling::Spread,
    tally::{At, Tally},
};
use crate::schema::{DateOrder, Moment};

/// In which order the parts of a date may stand.
pub(super) const ORDERS: [DateOrder; 3] = [DateOrder::YearMonthDay, DateOrder::DayMonthYear, DateOrder::MonthDayYear];
/// Days from 1970-01-01 to 2000-01-01, from which dates are counted.
const ORIGIN: i64 = 10_957;
/// The first three letters of months, in a few languages.
const MONTHS: [&str; 24] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "mär", "mai", "okt", "dez", "ene", "abr",
    "ago", "set", "dic", "fév", "avr", "déc",
];

/// Dates of one order, and the cells that are none.
#[derive(Clone, Debug)]
pub(super) struct Dates {
    pub(super) spread: Spread,
    pub(super) others: Tally,
}

/// The moments among cells of text.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    /// By [`ORDERS`].
    pub(super) dates: [Dates; 3],
    /// Dates that two orders agree with.
    pub(super) unclear: Tally,
    /// Those in a form that is not read.
    pub(super) unread: Tally,
}

impl Moments {
    pub(super) fn new() -> Moments {
        let dates = [(); 3].map(|()| Dates { spread: Spread::new(), others: Tally::default() });
        Moments { dates, unclear: Tally::default(), unread: Tally::default() }
    }

    /// Takes in a cell that is not missing.
    pub(super) fn see(&mut self, text: &[u8], at: At<'_>) {
        let could = (8..=35).contains(&text.len()) && text.first().is_some_and(u8::is_ascii_digit);
        let mut orders = 0;
        for (order, dates) in ORDERS.into_iter().zip(&mut self.dates) {
            match if could { Moment::parse(order, text) } else { None } {
                Some(moment) => {
                    orders += 1;
                    dates.spread.insert((moment.days - ORIGIN) as f64 + moment.seconds / 86_400.0, at.subjects);
                }
                None => dates.others.see(at),
            }
        }
        match orders {
            0 if looks_like_one(text) => self.unread.see(at),
            0 | 1 => {}
            _ => self.unclear.see(at),
        }
    }
}

/// Whether a text looks like a date with a short year or the name of a month, or like a time of day.
fn looks_like_one(text: &[u8]) -> bool {
    let Some(text) =
        std::str::from_utf8(text).ok().filter(|text| text.len() <= 40 && text.contains(|c: char| c.is_ascii_digit()))
    else {
        return false;
    };
    let mark = |c: char| matches!(c, ' ' | '-' | '/' | '.' | ':' | ',');
    let mut parts = text.split(mark).filter(|part| !part.is_empty());
    let is_number = |part: &&str| (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let (numbers, words): (Vec<&str>, Vec<&str>) = parts.by_ref().partition(is_number);
    let half_of_day = |word: &&str| ["am", "pm"].contains(&word.to_lowercase().as_str());
    let words: Vec<String> = words.into_iter().filter(|word| !half_of_day(word)).map(str::to_lowercase).collect();
    let month = |word: &String| MONTHS.iter().any(|month| word.starts_with(month)) && word.chars().count() <= 10;
    match (words.as_slice(), numbers.as_slice()) {
        ([word], [_, ..]) => month(word) && numbers.len() <= 6,
        ([], [hours, minutes, rest @ ..]) if text.contains(':') && rest.len() <= 4 => hours.len() <= 4 && minutes.len() <= 2,
        ([], [first, second, year]) => {
            let marks: Vec<char> = text.chars().filter(|c| mark(*c)).collect();
            let alike = matches!(marks.as_slice(), [a, b] if a == b && matches!(a, '-' | '/' | '.'));
            alike && first.len() <= 2 && second.len() <= 2 && year.len() == 2
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_that_are_not_read_are_known_by_their_look() {
        for text in ["1/5/23", "14-Mar-2023", "Mar 14, 2023", "3 März 2023", "03:27", "3:27:09 PM", "01.02.23 10:00"] {
            assert!(looks_like_one(text.as_bytes()), "{text}");
        }
        for text in
            ["10.0.0.1", "1.2.3", "Maria", "12 Marlborough Street", "A-12", "1:2:3:4:5:6:7:8", "5/6", "12,5", "v1.23.45", ""]
        {
            assert!(!looks_like_one(text.as_bytes()), "{text}");
        }
    }
}
