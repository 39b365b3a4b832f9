//! Ids that are not the same and may be meant to be.

use std::{cmp::Ordering, fmt};

use serde::Serialize;
use unicode_normalization::UnicodeNormalization;

/// What two ids may differ in that whoever types one may not see, or a program may have added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Likeness {
    /// A point and zeros after a whole number: `1004.0`, as of a column that was once of floats.
    PointZero,
    /// Upper and lower case.
    Case,
    /// Blanks, also such as are not seen.
    Blanks,
    /// The form in which Unicode composes its characters.
    Unicode,
    /// Zeros before a whole number.
    Zeros,
}

/// Digits to which zeros are put in front of a number, to find it in a table that does so.
const PADDED_MAX: usize = 12;

impl Likeness {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::PointZero, Self::Case, Self::Blanks, Self::Unicode, Self::Zeros];

    /// The id without what this passes over; nothing where there is none of it.
    pub fn folded(self, id: &str) -> Option<String> {
        let folded: String = match self {
            Self::PointZero => {
                let (whole, zeros) = id.split_once('.')?;
                let number = !whole.is_empty() && whole.bytes().all(|b| b.is_ascii_digit());
                (number && !zeros.is_empty() && zeros.bytes().all(|b| b == b'0')).then(|| whole.to_owned())?
            }
            Self::Case => id.to_lowercase(),
            Self::Blanks => id.chars().filter(|c| !is_blank(*c)).collect(),
            Self::Unicode => id.nfc().collect(),
            Self::Zeros => {
                let digits = id.bytes().all(|b| b.is_ascii_digit());
                let short = id.trim_start_matches('0');
                (digits && id.len() > 1).then(|| if short.is_empty() { "0" } else { short }.to_owned())?
            }
        };
        (folded != id).then_some(folded)
    }

    /// The id without anything that any of them passes over, and by the places in [`Likeness::ALL`] as bits what that was.
    pub fn fold_all(id: &str) -> (String, u8) {
        let (mut folded, mut passed) = (id.to_owned(), 0);
        for (at, likeness) in Self::ALL.into_iter().enumerate() {
            if let Some(more) = likeness.folded(&folded) {
                folded = more;
                passed |= 1 << at;
            }
        }
        (folded, passed)
    }

    /// Whether an id looks as none of them would change it, at a glance: no for one that needs a closer look.
    pub fn is_plain(id: &[u8]) -> bool {
        id.first() != Some(&b'0') && id.iter().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase() && *b != b'.')
    }

    /// Ids that differ from this one in that alone, as people and programs write them.
    pub fn variants(self, id: &str) -> Vec<String> {
        let digits = !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
        let mut variants: Vec<String> = match self {
            Self::PointZero if digits => vec![format!("{id}.0")],
            Self::PointZero => Vec::new(),
            Self::Case => {
                let mut rest = id.chars();
                let first: String = rest.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
                vec![id.to_uppercase(), first + &rest.as_str().to_lowercase()]
            }
            Self::Blanks => vec![id.replace('\u{a0}', " "), id.replace(' ', "\u{a0}")],
            Self::Unicode => vec![id.nfd().collect(), id.nfkc().collect()],
            Self::Zeros if digits => {
                let short = id.trim_start_matches('0');
                (short.len().max(1)..=PADDED_MAX).map(|width| format!("{short:0>width$}")).collect()
            }
            Self::Zeros => Vec::new(),
        };
        variants.extend(self.folded(id));
        variants.retain(|variant| variant != id);
        variants
    }
}

/// What an id differs in from another one: one thing, or two at once (`14.0` for `014`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The first of them, in the order of [`Likeness::ALL`].
    pub first: Likeness,
    /// The second, if there are two.
    pub second: Option<Likeness>,
}

impl PartialOrd for Difference {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Difference {
    /// One thing comes before two.
    fn cmp(&self, other: &Self) -> Ordering {
        (self.second, self.first).cmp(&(other.second, other.first))
    }
}

impl Difference {
    /// Ids that differ from this one in one or two things, as people and programs write them. An id may come more than once.
    pub fn variants(id: &str) -> Vec<(String, Difference)> {
        let mut variants = Vec::new();
        for first in Likeness::ALL {
            for once in first.variants(id) {
                for second in Likeness::ALL.into_iter().filter(|second| *second != first) {
                    let both = Difference { first: first.min(second), second: Some(first.max(second)) };
                    variants.extend(second.variants(&once).into_iter().map(|twice| (twice, both)));
                }
                variants.push((once, Difference { first, second: None }));
            }
        }
        variants.retain(|(variant, _)| variant != id);
        variants
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.second {
            None => self.first.fmt(f),
            Some(second) => write!(f, "{} and {second}", self.first),
        }
    }
}

impl fmt::Display for Likeness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PointZero => "`.0`",
            Self::Case => "case",
            Self::Blanks => "blanks",
            Self::Unicode => "its Unicode form",
            Self::Zeros => "leading zeros",
        })
    }
}

/// Whether a character has no ink.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200b}'..='\u{200d}' | '\u{feff}' | '\u{2060}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_passes_over_its_own_and_finds_it_again() {
        for (likeness, id, folded) in [
            (Likeness::PointZero, "1004.0", "1004"),
            (Likeness::Case, "AbC", "abc"),
            (Likeness::Blanks, "a \u{a0}b", "ab"),
            (Likeness::Unicode, "e\u{301}", "é"),
            (Likeness::Zeros, "00120", "120"),
        ] {
            assert_eq!(likeness.folded(id).as_deref(), Some(folded), "{id}");
            assert_eq!(likeness.folded(folded), None);
            assert!(likeness.variants(id).contains(&folded.to_owned()), "{id}");
            assert!(!Likeness::is_plain(id.as_bytes()));
            let (all, passed) = Likeness::fold_all(id);
            assert!(all == folded && passed.count_ones() == 1, "{id}");
        }
        for (likeness, typed, there) in [
            (Likeness::PointZero, "1004", "1004.0"),
            (Likeness::Case, "ab1", "AB1"),
            (Likeness::Case, "ANNA", "Anna"),
            (Likeness::Blanks, "a b", "a\u{a0}b"),
            (Likeness::Unicode, "é", "e\u{301}"),
            (Likeness::Zeros, "120", "00000120"),
            (Likeness::Zeros, "0120", "00120"),
            (Likeness::Zeros, "00120", "0120"),
            (Likeness::Zeros, "00", "0"),
        ] {
            assert!(likeness.variants(typed).contains(&there.to_owned()), "{typed}");
        }
        for (typed, there, told) in [
            ("14.0", "014", "`.0` and leading zeros"),
            ("014", "14.0", "`.0` and leading zeros"),
            ("ab\u{a0}c", "AB C", "case and blanks"),
            ("E\u{301}VA", "éva", "case and its Unicode form"),
            ("0120", "00120", "leading zeros"),
        ] {
            let found =
                Difference::variants(typed).into_iter().filter(|(variant, _)| variant == there).map(|(_, in_what)| in_what);
            assert_eq!(found.min().map(|in_what| in_what.to_string()).as_deref(), Some(told), "{typed}");
        }
        for plain in ["1004", "ab-7", "p7"] {
            assert!(Likeness::is_plain(plain.as_bytes()) && Likeness::fold_all(plain) == (plain.into(), 0));
        }
        assert_eq!(Likeness::fold_all("0"), ("0".into(), 0));
        assert_eq!(Likeness::PointZero.folded("1.5"), None);
    }
}
