//! The rows of a step as bytes: of each column the codes that occur, in at most 255 bins, by their counts alone; columns of few bins share a byte.
#![expect(clippy::indexing_slicing, reason = "codes are below their column's end, bins below 256, places are visits' own")]

use super::codes::{Cells, Codes};
use crate::learn::Visit;
use crate::num::Team;

/// Columns whose codes are counted in one pass.
const COLUMNS: usize = 8;
/// Fewer rows than this are binned sooner by one task than by two.
const ROWS_A_TASK: usize = 4096;

/// How the codes of one column become bins. Bin 0 is what is missing, or what is rare among categories.
#[derive(Debug, Default)]
pub(super) struct Palette {
    /// The bin of each code.
    bins: Vec<u8>,
    /// Bins, with bin 0.
    pub(super) used: usize,
    /// Of an ordered column: the greatest code on the left of a cut above each bin. Of categories: the code of each bin.
    pub(super) codes: Vec<u16>,
    /// The first bin that occurs: 0, or 1.
    first: usize,
}

/// A column in the byte that it has alone, or shares.
#[derive(Clone, Debug)]
pub(super) struct Digit {
    /// Which byte of a row.
    pub(super) byte: usize,
    /// The bin for each value of the byte.
    pub(super) bins: [u8; 256],
    /// Whether it has the byte alone: its bins are then one after the other.
    pub(super) alone: bool,
}

/// The rows of a step.
#[derive(Debug)]
pub(super) struct Binned {
    pub(super) palettes: Vec<Palette>,
    /// Where each column is; nowhere if all rows have one bin.
    pub(super) digits: Vec<Option<Digit>>,
    /// Values of each byte.
    pub(super) sizes: Vec<usize>,
    /// `rows x bytes`.
    cells: Vec<u8>,
}

impl Binned {
    /// The bins of the visited rows, in the order of the visits.
    pub(super) fn of(codes: &Codes, most: u32, cells: &[Cells<'_>], visits: &[Visit], team: Team) -> Binned {
        let columns = codes.columns();
        let mut palettes: Vec<Palette> = Vec::new();
        palettes.resize_with(columns, Palette::default);
        let piece = team.piece(columns, 1, 1).min(COLUMNS);
        team.run(palettes.chunks_mut(piece).enumerate(), |(i, palettes)| {
            let first = i * piece;
            let mut counts: Vec<Vec<u32>> = (0..palettes.len()).map(|i| vec![0; codes.end(first + i)]).collect();
            for visit in visits {
                let cells = &cells[visit.slice as usize];
                for (i, counts) in counts.iter_mut().enumerate() {
                    counts[usize::from(codes.code(cells, visit.row as usize, first + i))] += 1;
                }
            }
            for (i, (palette, counts)) in palettes.iter_mut().zip(&counts).enumerate() {
                *palette = match codes.is_category(first + i) {
                    true => Palette::of_categories(counts, most as usize),
                    false => Palette::of_order(counts, most as usize),
                };
            }
        });
        let (digits, sizes, shares) = digits(&palettes);
        let bytes = sizes.len();
        let mut cells_of = vec![0; visits.len() * bytes];
        let rows = team.piece(visits.len(), 1, ROWS_A_TASK);
        let pieces = cells_of.chunks_mut((rows * bytes).max(1)).zip(visits.chunks(rows));
        team.run(pieces, |(to, visits)| {
            let mut row = vec![0; columns];
            for (to, visit) in to.chunks_exact_mut(bytes.max(1)).zip(visits) {
                codes.fill(&cells[visit.slice as usize], visit.row as usize, &mut row);
                for ((code, digit), share) in row.iter().zip(&digits).zip(&shares) {
                    if let Some(digit) = digit {
                        to[digit.byte] += share[usize::from(*code)];
                    }
                }
            }
        });
        Binned { palettes, digits, sizes, cells: cells_of }
    }

    /// The bytes of a row.
    #[inline]
    pub(super) fn row(&self, row: u32) -> &[u8] {
        &self.cells[row as usize * self.sizes.len()..][..self.sizes.len()]
    }
}

/// Puts columns together in bytes, those of few bins first: the digits, the values of each byte, and of each column what its codes add to its byte.
fn digits(palettes: &[Palette]) -> (Vec<Option<Digit>>, Vec<usize>, Vec<Vec<u8>>) {
    let mut digits: Vec<Option<Digit>> = vec![None; palettes.len()];
    let mut shares = vec![Vec::new(); palettes.len()];
    let mut sizes: Vec<usize> = Vec::new();
    let values = |column: usize| palettes[column].used - palettes[column].first;
    let mut order: Vec<usize> = (0..palettes.len()).filter(|&column| values(column) > 1).collect();
    order.sort_by_key(|&column| (values(column), column));
    for column in order {
        let (size, first) = (values(column), palettes[column].first);
        let below = match sizes.last_mut() {
            Some(last) if *last * size <= 256 => std::mem::replace(last, *last * size),
            _ => {
                sizes.push(size);
                1
            }
        };
        let bins = std::array::from_fn(|value| (value / below % size + first) as u8);
        digits[column] = Some(Digit { byte: sizes.len() - 1, bins, alone: false });
        shares[column] =
            palettes[column].bins.iter().map(|&bin| (usize::from(bin).saturating_sub(first) * below) as u8).collect();
    }
    for (column, digit) in digits.iter_mut().enumerate() {
        digit.iter_mut().for_each(|digit| digit.alone = sizes[digit.byte] == values(column));
    }
    (digits, sizes, shares)
}

impl Palette {
    /// Bins of codes in order, code 0 apart: each its own where there are few, otherwise each closed as soon as it has its share of the rows
    /// that are left.
    fn of_order(counts: &[u32], most: usize) -> Palette {
        let present: Vec<(usize, u64)> = counts
            .iter()
            .enumerate()
            .skip(1)
            .filter(|(_, count)| **count > 0)
            .map(|(code, &count)| (code, count.into()))
            .collect();
        let mut left: u64 = present.iter().map(|(_, count)| count).sum();
        let first = usize::from(counts.first().is_none_or(|&missing| missing == 0));
        let (mut bins, mut codes, mut held) = (vec![0; counts.len()], vec![0], 0);
        for (i, &(code, count)) in present.iter().enumerate() {
            bins[code] = codes.len() as u8;
            held += count;
            let next = present.get(i + 1).map(|next| next.0);
            let free = (most - (codes.len() - 1)) as u64;
            let share = present.len() <= most || held * free >= left;
            if share || next.is_none() {
                codes.push(next.map_or(u16::MAX, |next| (code + (next - code) / 2) as u16));
                (left, held) = (left - held, 0);
            }
        }
        Palette { bins, used: codes.len(), codes, first }
    }

    /// A bin for each of the most frequent categories, in the order of their codes.
    fn of_categories(counts: &[u32], most: usize) -> Palette {
        let mut present: Vec<usize> = (0..counts.len()).filter(|&code| counts[code] > 0).collect();
        present.sort_by_key(|&code| (std::cmp::Reverse(counts[code]), code));
        let first = usize::from(present.len() <= most);
        present.truncate(most);
        present.sort_unstable();
        let (mut bins, mut codes) = (vec![0; counts.len()], vec![0]);
        for code in present {
            bins[code] = codes.len() as u8;
            codes.push(code as u16);
        }
        Palette { bins, used: codes.len(), codes, first }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_codes_have_bins_of_their_own_and_cuts_between_them() {
        let mut counts = vec![0; 100];
        (counts[0], counts[3], counts[10], counts[90]) = (5, 1, 7, 2);
        let palette = Palette::of_order(&counts, 3);
        assert_eq!((palette.used, &palette.codes[1..]), (4, &[6, 50, u16::MAX][..]));
        assert_eq!([0, 3, 10, 90].map(|code: usize| palette.bins[code]), [0, 1, 2, 3]);
    }

    #[test]
    fn many_codes_share_bins_of_about_equal_counts() {
        let mut counts = vec![1; 1001];
        counts[500] = 1000;
        let palette = Palette::of_order(&counts, 10);
        assert_eq!(palette.used, 11);
        assert!(palette.bins[1..].is_sorted() && palette.bins[1] == 1 && palette.bins[1000] == 10);
        let size = |bin| (1..1001).filter(|&code| palette.bins[code] == bin).count();
        assert!((1..=10).all(|bin| (50..=300).contains(&size(bin))), "{:?}", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(size));
    }

    #[test]
    fn rare_categories_share_bin_0() {
        let palette = Palette::of_categories(&[4, 0, 9, 1, 4, 4], 3);
        assert_eq!((palette.bins, palette.codes), (vec![1, 0, 2, 0, 3, 0], vec![0, 0, 2, 4]));
    }

    #[test]
    fn columns_of_few_bins_share_a_byte() {
        let palette = |counts: &[u32]| Palette::of_order(counts, 255);
        let palettes = [palette(&[0, 5, 5]), palette(&[1; 100]), palette(&[0, 9]), palette(&[3, 1, 1])];
        let (digits, sizes, shares) = digits(&palettes);
        assert_eq!(sizes, [6, 100]);
        assert!(digits[2].is_none(), "all rows have one bin");
        let at = |column: usize, code: usize| (digits[column].as_ref().unwrap().byte, usize::from(shares[column][code]));
        for (a, c) in [(1, 0), (2, 0), (1, 2), (2, 1)] {
            let ((byte, first), (other, second)) = (at(0, a), at(3, c));
            assert_eq!((byte, other), (0, 0));
            let bins = [0, 3].map(|column: usize| digits[column].as_ref().unwrap().bins[first + second]);
            assert_eq!(bins, [a as u8, c as u8]);
        }
        assert_eq!(at(1, 99), (1, 99));
    }
}
