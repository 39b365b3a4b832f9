//! Takes few rows out of the bytes of a state: each sum is read, lessened and written once, and lies nowhere else in between.

use std::ops::Range;

use super::state::{HEAD_BYTES, Parts, most, parts};
use super::targets::Targets;
use crate::learn::StateError;
use crate::num::Team;
use crate::num::normal::{FEATURE_MAX, Target};

/// Rows that go, as what they added to the sums.
pub(super) struct Going<'a> {
    /// `rows x stride` features; at most 2^17 rows, so that their products add up in 32 bits.
    pub(super) features: &'a [u8],
    pub(super) stride: usize,
    pub(super) targets: &'a [Target],
}

/// Some rows of G, and what becomes of them.
struct Piece<'a> {
    rows: Range<usize>,
    old: &'a [[u8; 8]],
    new: &'a mut [[u8; 8]],
    /// Whether all can be sums of squares.
    fits: bool,
}

/// The bytes of a state without rows.
///
/// # Errors
/// The length is not that of the shape, or a sum is then not one that the rows can have that stay.
pub(super) fn without(
    width: usize,
    targets: &Targets,
    bytes: &[u8],
    going: &Going<'_>,
    team: Team,
) -> Result<Vec<u8>, StateError> {
    let outputs = targets.outputs();
    let Parts { rows, elements, .. } = parts(width, outputs, bytes)?;
    let gone = going.targets.len() as u64;
    let left = rows.checked_sub(gone).ok_or_else(|| StateError(format!("{gone} rows are to go from {rows}")))?;
    let misfit = || StateError("rows were to go that it does not hold".into());
    let (square, cross) = most(left, targets);
    let mut out = vec![0; bytes.len()];
    let (head, rest) = out.split_at_mut_checked(HEAD_BYTES).ok_or_else(misfit)?;
    head.copy_from_slice(bytes.get(..HEAD_BYTES).unwrap_or_default());
    head.last_chunk_mut::<8>().ok_or_else(misfit)?.copy_from_slice(&left.to_le_bytes());
    let gram = width * (width + 1) / 2;
    let (old, old_cross) = elements.split_at_checked(gram).ok_or_else(misfit)?;
    let (new, new_cross) = rest.as_chunks_mut().0.split_at_mut_checked(gram).ok_or_else(misfit)?;

    let mut pieces = cut(width, gram.div_ceil(team.lanes()), old, new);
    team.run(pieces.iter_mut(), |piece| piece.lessen(going, square));
    let fit = pieces.iter().all(|piece| piece.fits);
    if !fit || new.first().map(|&bytes| i64::from_le_bytes(bytes)) != Some(square) {
        return Err(misfit());
    }

    let (mut bounds, mut biases) = (0, 0_i64);
    let lines = old_cross.chunks_exact(outputs.max(1)).zip(new_cross.chunks_exact_mut(outputs.max(1)));
    for (feature, (old, new)) in lines.enumerate() {
        for (output, (old, new)) in (0..).zip(old.iter().zip(new)) {
            let rows = going.features.chunks_exact(going.stride).zip(going.targets).filter(|(_, target)| target.output == output);
            let products = rows.map(|(row, target)| i64::from(row.get(feature).copied().unwrap_or(0)) * i64::from(target.amount));
            let sum = i64::from_le_bytes(*old).wrapping_sub(products.sum());
            bounds |= sum | cross.wrapping_sub(sum);
            biases = if feature == 0 { biases.saturating_add(sum) } else { biases };
            *new = sum.to_le_bytes();
        }
    }
    let counted = !targets.are_classes() || biases == i64::from(FEATURE_MAX) * left.cast_signed();
    if bounds < 0 || !counted { Err(misfit()) } else { Ok(out) }
}

/// Rows of G in pieces of about `share` elements.
fn cut<'a>(width: usize, share: usize, mut old: &'a [[u8; 8]], mut new: &'a mut [[u8; 8]]) -> Vec<Piece<'a>> {
    let (mut pieces, mut first) = (Vec::new(), 0);
    while first < width {
        let (mut last, mut elements) = (first, 0);
        while last < width && elements < share.max(1) {
            last += 1;
            elements += last;
        }
        let (Some((old_piece, old_rest)), Some((new_piece, new_rest))) =
            (old.split_at_checked(elements), std::mem::take(&mut new).split_at_mut_checked(elements))
        else {
            break;
        };
        pieces.push(Piece { rows: first..last, old: old_piece, new: new_piece, fits: true });
        (old, new, first) = (old_rest, new_rest, last);
    }
    pieces
}

impl Piece<'_> {
    /// Takes the products of rows that go out of the sums, which are then from 0 to `most`, or do not fit.
    fn lessen(&mut self, going: &Going<'_>, most: i64) {
        let mut products = vec![0_u32; self.rows.end];
        // Below 0 once any sum was, or was above the most.
        let mut bounds = 0;
        let (mut old, mut new) = (self.old, &mut *self.new);
        for i in self.rows.clone() {
            products.fill(0);
            for row in going.features.chunks_exact(going.stride) {
                let (row, factor) = (row.get(..=i).unwrap_or_default(), row.get(i).map_or(0, |&x| u32::from(x)));
                products.iter_mut().zip(row).for_each(|(product, &x)| *product += factor * u32::from(x));
            }
            let (Some((old_row, old_rest)), Some((new_row, new_rest))) =
                (old.split_at_checked(i + 1), new.split_at_mut_checked(i + 1))
            else {
                self.fits = false;
                return;
            };
            for ((old, new), &product) in old_row.iter().zip(new_row).zip(&products) {
                let sum = i64::from_le_bytes(*old).wrapping_sub(i64::from(product));
                bounds |= sum | most.wrapping_sub(sum);
                *new = sum.to_le_bytes();
            }
            (old, new) = (old_rest, new_rest);
        }
        self.fits = bounds >= 0;
    }
}

#[cfg(test)]
mod tests {
    use super::super::reference::{self, Row};
    use super::super::tests::{SEED, Slice, cases, learner, rows};
    use super::super::{FEW_ROWS, RidgeMap, RidgeSettings};
    use crate::learn::{Layout, Learner, Removal, Rows, StateError, Task};
    use crate::num::{Isa, Team};

    fn without(
        settings: &RidgeSettings,
        layout: &Layout,
        bytes: &[u8],
        slices: &[Slice],
        gone: &[Vec<u32>],
        lanes: usize,
    ) -> Result<Vec<u8>, StateError> {
        let before: Vec<Rows<'_>> = slices.iter().map(Slice::rows).collect();
        learner(settings, Isa::active()).without(layout, bytes, &Removal { before: &before, gone, team: Team::of(lanes) })
    }

    #[test]
    fn the_bytes_are_those_of_the_rest_for_few_rows_and_for_many() {
        for (settings, layout) in cases() {
            let all = rows(&layout, 70, 4);
            let slices = [Slice::of(&layout, &all[..40]), Slice::of(&layout, &all[40..])];
            let state = reference::state(&settings, &layout, SEED, &all);
            for (going, lanes) in [(0, 1), (1, 1), (1, 2), (2, 3), (5, 40), (FEW_ROWS, 2), (FEW_ROWS + 1, 2), (70, 2)] {
                // From the end of the first slice on, then the rest.
                let goes = |row: usize| (row + 31) % 70 < going;
                let of = |rows: std::ops::Range<usize>| {
                    rows.clone().filter(|row| goes(*row)).map(|row| (row - rows.start) as u32).collect::<Vec<u32>>()
                };
                let rest = without(&settings, &layout, &state, &slices, &[of(0..40), of(40..70)], lanes).unwrap();
                let stay: Vec<Row> = (0..70).filter(|row| !goes(*row)).map(|row| all[row].clone()).collect();
                let expected = reference::state(&settings, &layout, SEED, &stay);
                assert!(rest == expected, "{settings:?}: {going} of 70 gone, {lanes} lanes");
            }
        }
    }

    #[test]
    fn of_damaged_states_come_none_but_those_that_come_of_them_in_memory() {
        let (settings, layout) = &cases()[3];
        assert_eq!(layout.task, Task::Number);
        // Few features: every byte is damaged in turn.
        let layout = &Layout { categories: vec![2], ..layout.clone() };
        let settings = RidgeSettings { map: RidgeMap::Relu { dimension: 3 }, ..settings.clone() };
        let all = rows(layout, 6, 1);
        let (slices, gone) = ([Slice::of(layout, &all)], [vec![2, 5]]);
        let bytes = reference::state(&settings, layout, SEED, &all);
        let (mut refused, mut same) = (0, 0);
        for at in 0..bytes.len() {
            assert!(without(&settings, layout, &bytes[..at], &slices, &gone, 2).is_err(), "{at} bytes");
            for flip in [1, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= flip;
                let Ok(rest) = without(&settings, layout, &changed, &slices, &gone, 2) else {
                    refused += 1;
                    continue;
                };
                let mut state = learner(&settings, Isa::active()).decode(layout, &changed).unwrap();
                state.downdate(&Removal { before: &[slices[0].rows()], gone: &gone, team: Team::solo() }).unwrap();
                assert!(state.encode() == rest, "byte {at}");
                same += 1;
            }
        }
        assert!(refused > 100 && same > 100, "{refused} refused, {same} the same");
    }

    #[test]
    fn rows_that_it_does_not_hold_are_refused() {
        let (settings, layout) = &cases()[0];
        let (few, many) = (rows(layout, 2, 1), rows(layout, 9, 2));
        let bytes = reference::state(settings, layout, SEED, &few);
        let refused =
            |gone: Vec<u32>| without(settings, layout, &bytes, &[Slice::of(layout, &many)], &[gone], 2).unwrap_err().to_string();
        assert!(refused(vec![0, 1, 2]).contains("from 2"));
        assert!(refused(vec![3, 4]).contains("does not hold"));
        assert!(refused(vec![9]).contains("slice 1"));
        assert!(refused(vec![1, 0]).contains("ascending"));
    }
}
