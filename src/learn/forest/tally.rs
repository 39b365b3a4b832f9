//! What the rows of one node say about its candidates, in integers; and which candidate is best.
//!
//! Lanes are those of the outcome. A tally holds, one after the other: all rows; then for each drawn attribute one place for each
//! candidate (the rows that go left, what is missing apart), one for the rows whose value is missing, and a spare one.
#![expect(clippy::indexing_slicing, reason = "places follow from the width, which the tally was made for")]

use super::attribute::MISSING;
use super::draw::{Candidates, Drawn, Width};
use super::outcome::{Merit, Outcome};
use super::region::{bins, holds};
use super::table::Table;

/// Lanes of a tally.
pub(super) fn lanes<O: Outcome>(outcome: O, width: Width) -> usize {
    outcome.lanes() * (1 + width.attributes * (width.cuts + 2))
}

/// Counts and compares. The buffers stay from node to node.
#[derive(Debug)]
pub(super) struct Counter<O: Outcome> {
    outcome: O,
    width: Width,
    /// Work done so far: cells looked at, and candidates drawn or compared.
    pub(super) work: u64,
    labels: Vec<u32>,
    /// Lanes of each bin of a room, for every other row.
    by_bin: [Vec<O::Lane>; 2],
    /// Lanes of each place of an attribute, for every other row.
    part: Vec<O::Lane>,
    both: Vec<O::Lane>,
}

impl<O: Outcome> Counter<O> {
    pub(super) fn new(outcome: O, width: Width) -> Counter<O> {
        let by_bin = [vec![O::Lane::default(); 256 * outcome.lanes()], vec![O::Lane::default(); 256 * outcome.lanes()]];
        let part = vec![O::Lane::default(); (width.cuts + 2) * outcome.lanes()];
        let both = vec![O::Lane::default(); outcome.lanes()];
        Counter { outcome, width, work: 0, labels: Vec::new(), by_bin, part, both }
    }

    /// The lanes of one drawn attribute in a tally.
    fn part(&self, i: usize) -> std::ops::Range<usize> {
        let lanes = self.outcome.lanes();
        let part = lanes * (self.width.cuts + 2);
        lanes + i * part..lanes + (i + 1) * part
    }

    /// Counts the rows of these slots.
    pub(super) fn count(&mut self, table: &Table, slots: &[u32], candidates: &Candidates, tally: &mut [O::Lane]) {
        tally.fill(O::Lane::default());
        self.work += (slots.len() * (1 + candidates.drawn.len())) as u64;
        let lanes = self.outcome.lanes();
        self.labels.clear();
        self.labels.extend(slots.iter().map(|&slot| table.labels[slot as usize]));
        self.labels.iter().for_each(|&label| self.outcome.add(&mut tally[..lanes], 0, label));
        for (i, drawn) in candidates.drawn.iter().enumerate() {
            let part = &mut tally[self.part(i)];
            let column = table.column(drawn.attribute);
            if drawn.ordered {
                self.count_cuts(drawn, candidates.cuts(drawn), column, slots, part);
            } else {
                self.count_sets(drawn, candidates, column, slots, part);
            }
        }
    }

    /// Adds each row to the first cut above its bin, then sums up over the cuts.
    fn count_cuts(&mut self, drawn: &Drawn, cuts: &[u8], column: &[u8], slots: &[u32], part: &mut [O::Lane]) {
        let (lanes, most) = (self.outcome.lanes(), self.width.cuts);
        // Above all cuts: the spare place.
        let mut place = [(most + 1) as u8; 256];
        let mut from = 0;
        for (j, &cut) in cuts.iter().enumerate() {
            place[from..usize::from(cut)].fill(j as u8);
            from = usize::from(cut);
        }
        if drawn.missing {
            place[usize::from(MISSING)] = most as u8;
        }
        self.part.fill(O::Lane::default());
        let other = &mut self.part;
        let mut add = |slot: u32, label, to: bool| {
            let j = usize::from(place[usize::from(column[slot as usize])]);
            self.outcome.add(if to { &mut *other } else { &mut *part }, j * lanes, label);
        };
        by_twos(slots, &self.labels, &mut add);
        part.iter_mut().zip(&self.part).for_each(|(sum, &lane)| *sum += lane);
        for lane in lanes..cuts.len() * lanes {
            let before = part[lane - lanes];
            part[lane] += before;
        }
    }

    fn count_sets(&mut self, drawn: &Drawn, candidates: &Candidates, column: &[u8], slots: &[u32], part: &mut [O::Lane]) {
        let lanes = self.outcome.lanes();
        let sets = candidates.sets(drawn);
        if slots.len() < drawn.size {
            for (&slot, &label) in slots.iter().zip(&self.labels) {
                let bin = column[slot as usize];
                for (set, part) in sets.iter().zip(part.chunks_exact_mut(lanes)) {
                    if holds(set, bin) {
                        self.outcome.add(part, 0, label);
                    }
                }
            }
            return;
        }
        for bin in bins(drawn.room) {
            self.by_bin[0][usize::from(bin) * lanes..][..lanes].fill(O::Lane::default());
            self.by_bin[1][usize::from(bin) * lanes..][..lanes].fill(O::Lane::default());
        }
        let [even, odd] = &mut self.by_bin;
        let mut add = |slot: u32, label, to: bool| {
            let bin = usize::from(column[slot as usize]);
            self.outcome.add(if to { &mut *odd } else { &mut *even }, bin * lanes, label);
        };
        by_twos(slots, &self.labels, &mut add);
        for (set, part) in sets.iter().zip(part.chunks_exact_mut(lanes)) {
            for bin in bins(*set) {
                for half in &self.by_bin {
                    let lanes = &half[usize::from(bin) * lanes..][..lanes];
                    part.iter_mut().zip(lanes).for_each(|(sum, &lane)| *sum += lane);
                }
            }
        }
    }

    /// Takes one row out of a tally that counted it.
    pub(super) fn uncount(&self, table: &Table, slot: u32, candidates: &Candidates, tally: &mut [O::Lane]) {
        let lanes = self.outcome.lanes();
        let label = table.labels[slot as usize];
        self.outcome.sub(&mut tally[..lanes], 0, label);
        for (i, drawn) in candidates.drawn.iter().enumerate() {
            let bin = table.column(drawn.attribute)[slot as usize];
            let part = &mut tally[self.part(i)];
            if drawn.missing && bin == MISSING {
                self.outcome.sub(part, self.width.cuts * lanes, label);
                continue;
            }
            for (&cut, part) in candidates.cuts(drawn).iter().zip(part.chunks_exact_mut(lanes)) {
                if bin < cut {
                    self.outcome.sub(part, 0, label);
                }
            }
            for (set, part) in candidates.sets(drawn).iter().zip(part.chunks_exact_mut(lanes)) {
                if holds(set, bin) {
                    self.outcome.sub(part, 0, label);
                }
            }
        }
    }

    /// The name of the best split: the first one of the highest merit, if that is above the merit of no split.
    pub(super) fn best(&mut self, candidates: &Candidates, tally: &[O::Lane]) -> Option<u16> {
        self.work += candidates.count() as u64;
        let lanes = self.outcome.lanes();
        let all = &tally[..lanes];
        let mut best = self.outcome.whole(all);
        let mut name = None;
        for (i, drawn) in candidates.drawn.iter().enumerate() {
            let part = &tally[self.part(i)];
            let first = i * self.width.names();
            let absent = &part[self.width.cuts * lanes..][..lanes];
            let some_absent = drawn.missing && self.outcome.rows(absent) > 0;
            for (j, left) in part.chunks_exact(lanes).take(drawn.count()).enumerate() {
                consider(self.outcome.parted(left, all), first + 2 * j, &mut best, &mut name);
                if some_absent {
                    self.both.copy_from_slice(left);
                    self.both.iter_mut().zip(absent).for_each(|(sum, &lane)| *sum += lane);
                    consider(self.outcome.parted(&self.both, all), first + 2 * j + 1, &mut best, &mut name);
                }
            }
            if some_absent {
                // The sides of a split are alike in its merit, so what is missing may stand for the left one.
                consider(self.outcome.parted(absent, all), first + 2 * self.width.cuts, &mut best, &mut name);
            }
        }
        name
    }
}

#[inline]
fn consider(merit: Option<Merit>, name: usize, best: &mut Merit, chosen: &mut Option<u16>) {
    if let Some(merit) = merit
        && merit.beats(*best)
    {
        *best = merit;
        *chosen = Some(name as u16);
    }
}

/// Calls `add` for each row, in turn for the first and the second of two sums: rows that follow each other are often alike, and
/// a sum that waits for itself takes most of the time.
#[inline(always)]
fn by_twos(slots: &[u32], labels: &[u32], add: &mut impl FnMut(u32, u32, bool)) {
    let (slots, last) = slots.as_chunks::<2>();
    let (labels, last_label) = labels.as_chunks::<2>();
    for (&[a, b], &[label_a, label_b]) in slots.iter().zip(labels) {
        add(a, label_a, false);
        add(b, label_b, true);
    }
    last.iter().zip(last_label).for_each(|(&slot, &label)| add(slot, label, false));
}
