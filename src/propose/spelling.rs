//! How what is missing is spelt, and the numbers that cells spell.

use super::sketch::Reached;
use crate::schema::BOOLEANS;

/// Spellings of a missing value that are looked for, in lower case. Where a column is text, those of letters are values like any other.
pub(super) const MISSING: [&str; 17] = [
    "", "-", "--", ".", "?", "\\n", "#n/a", "#div/0!", "#value!", "na", "n/a", "nan", "none", "null", "unknown", "missing", "nil",
];
/// The first of them that may also be a value.
const WORDS: usize = 9;

/// The index of a spelling of a missing value.
pub(super) fn missing(text: &[u8]) -> Option<usize> {
    if text.len() > 8 {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    MISSING.iter().position(|m| m.as_bytes() == lower)
}

/// Whether a text says yes or no.
pub(super) fn is_boolean(text: &[u8]) -> bool {
    let known = |lower: &[u8]| BOOLEANS.iter().any(|s| s.iter().any(|s| s.as_bytes() == lower));
    text.len() <= 5 && known(&text.to_ascii_lowercase())
}

/// Whether a spelling may also be a value.
pub(super) fn is_word(spelling: usize) -> bool {
    spelling >= WORDS
}

/// Whether a spelling is more likely that of a class than that of a missing label.
pub(super) fn names_class(spelling: usize) -> bool {
    MISSING.get(spelling).is_some_and(|m| ["none", "unknown", "missing"].contains(m))
}

/// Numbers that stand for what is missing in some tables.
pub(super) const SENTINELS: [f64; 10] = [-9.0, -99.0, -999.0, -9999.0, -99_999.0, 99.0, 999.0, 9999.0, 99_999.0, 999_999.0];

/// Numbers of one kind.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    pub(super) cells: u64,
    pub(super) whole: bool,
    pub(super) least: f64,
    pub(super) most: f64,
    /// By candidate for the subject: what enough subjects reach, and the same of negated numbers. Empty without numbers: a table may have
    /// a hundred thousand columns, of which most are spelt in one way.
    reached: Vec<[Reached; 2]>,
}

impl Spread {
    pub(super) fn new() -> Spread {
        Spread { cells: 0, whole: true, least: f64::INFINITY, most: f64::NEG_INFINITY, reached: Vec::new() }
    }

    pub(super) fn insert(&mut self, number: f64, subjects: &[u64]) {
        self.cells += 1;
        self.bound(number);
        self.whole &= number.fract() == 0.0;
        if self.reached.is_empty() {
            self.reached.resize(subjects.len(), Default::default());
        }
        for ([high, low], &subject) in self.reached.iter_mut().zip(subjects) {
            high.insert(number, subject);
            low.insert(-number, subject);
        }
    }

    pub(super) fn bound(&mut self, number: f64) {
        self.least = self.least.min(number);
        self.most = self.most.max(number);
    }

    /// Both together.
    pub(super) fn and(&self, other: &Spread) -> Spread {
        let mut all = self.clone();
        all.cells += other.cells;
        all.whole &= other.whole;
        (all.least, all.most) = (all.least.min(other.least), all.most.max(other.most));
        if all.reached.is_empty() {
            all.reached.clone_from(&other.reached);
            return all;
        }
        for (to, from) in all.reached.iter_mut().flatten().zip(other.reached.iter().flatten()) {
            to.take_in(from);
        }
        all
    }

    /// The range that at least ten subjects lie beyond on either side, under the candidate for the subject.
    pub(super) fn range(&self, candidate: usize) -> Option<(f64, f64)> {
        let [high, low] = self.reached.get(candidate)?;
        Some((-low.get()?, high.get()?))
    }
}
