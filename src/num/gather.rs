//! Rows of a store into a dense batch, and gathered rows of a weight matrix for categories.

#![expect(clippy::indexing_slicing, reason = "shapes and row numbers are asserted at the start of each call")]

use super::isa::Isa;
use super::simd::{self, Arith, Kernel, Lanes, WIDTH, on};

/// `dst = (src - shift) * gain`, element by element, for one row; a NaN (a missing value) in `src` gives +0.0.
///
/// # Panics
///
/// When the lengths differ.
pub fn scale_f32(src: &[f32], shift: &[f32], gain: &[f32], dst: &mut [f32]) {
    scale_f32_with(Isa::active(), src, shift, gain, dst);
}

/// [`scale_f32`] on a given instruction set.
pub fn scale_f32_with(isa: Isa, src: &[f32], shift: &[f32], gain: &[f32], dst: &mut [f32]) {
    let length = dst.len();
    assert!([src.len(), shift.len(), gain.len()] == [length; 3], "row, shift and gain must have {length} elements");
    on(isa, ScaleF32 { src, shift, gain, dst });
}

/// Asks the memory for a row that will be scaled soon. Changes nothing.
pub fn prefetch<T>(row: &[T]) {
    simd::prefetch(row);
}

/// `dst = f32(src) * gain`, element by element, for one row of bytes.
///
/// # Panics
///
/// When the lengths differ.
pub fn scale_u8(src: &[u8], gain: &[f32], dst: &mut [f32]) {
    scale_u8_with(Isa::active(), src, gain, dst);
}

/// [`scale_u8`] on a given instruction set.
pub fn scale_u8_with(isa: Isa, src: &[u8], gain: &[f32], dst: &mut [f32]) {
    let length = dst.len();
    assert!([src.len(), gain.len()] == [length; 2], "row and gain must have {length} elements");
    on(isa, ScaleU8 { src, gain, dst });
}

/// `out += w[i]` for each row number i of `index`, in the order given.
///
/// `w` is `[rows, width]`. With ascending numbers, finite weights and an `out` that holds no -0.0, the bits are those of a product with the one-hot
/// row that `index` stands for: `fma(1, w, c)` is `c + w` and `fma(0, w, c)` is `c`.
///
/// # Panics
///
/// When `out` is not of length `width`, `w` not rows of it, or a number past its end.
pub fn add_rows(w: &[f32], width: usize, index: &[u32], out: &mut [f32]) {
    add_rows_with(Isa::active(), w, width, index, out);
}

/// [`add_rows`] on a given instruction set.
pub fn add_rows_with(isa: Isa, w: &[f32], width: usize, index: &[u32], out: &mut [f32]) {
    check_rows(w.len(), width, index, out.len());
    on(isa, AddRows { w, width, index, out });
}

/// `dw[i] += d` for each row number i of `index`, in the order given: the gradient of [`add_rows`].
///
/// `dw` is `[rows, width]`. Called for the rows of a batch in order, each element of `dw` is a chain over the batch.
///
/// # Panics
///
/// When `d` is not of length `width`, `dw` not rows of it, or a number past its end.
pub fn scatter_rows(dw: &mut [f32], width: usize, index: &[u32], d: &[f32]) {
    scatter_rows_with(Isa::active(), dw, width, index, d);
}

/// [`scatter_rows`] on a given instruction set.
pub fn scatter_rows_with(isa: Isa, dw: &mut [f32], width: usize, index: &[u32], d: &[f32]) {
    check_rows(dw.len(), width, index, d.len());
    on(isa, ScatterRows { dw, width, index, d });
}

fn check_rows(length: usize, width: usize, index: &[u32], row: usize) {
    assert!(width > 0 && length.is_multiple_of(width), "{length} elements are no rows of {width}");
    assert_eq!(row, width, "the row must be as wide as the matrix");
    let rows = length / width;
    assert!(index.iter().all(|&i| (i as usize) < rows), "a row number is past the {rows} rows of the matrix");
}

struct ScaleF32<'a> {
    src: &'a [f32],
    shift: &'a [f32],
    gain: &'a [f32],
    dst: &'a mut [f32],
}

impl Kernel for ScaleF32<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lanes>(self, s: L) {
        let (xs, x_rest) = self.src.as_chunks::<WIDTH>();
        let (shifts, shift_rest) = self.shift.as_chunks::<WIDTH>();
        let (gains, gain_rest) = self.gain.as_chunks::<WIDTH>();
        let (dsts, dst_rest) = self.dst.as_chunks_mut::<WIDTH>();
        for (((x, shift), gain), dst) in xs.iter().zip(shifts).zip(gains).zip(dsts) {
            s.store(scale(s, s.load(x), s.load(shift), s.load(gain)), dst);
        }
        if !dst_rest.is_empty() {
            s.store_part(scale(s, s.load_part(x_rest), s.load_part(shift_rest), s.load_part(gain_rest)), dst_rest);
        }
    }
}

#[inline(always)]
fn scale<A: Arith>(s: A, x: A::V, shift: A::V, gain: A::V) -> A::V {
    s.pick_unordered(x, x, s.splat(0.0), s.mul(s.sub(x, shift), gain))
}

struct ScaleU8<'a> {
    src: &'a [u8],
    gain: &'a [f32],
    dst: &'a mut [f32],
}

impl Kernel for ScaleU8<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lanes>(self, s: L) {
        let (xs, x_rest) = self.src.as_chunks::<WIDTH>();
        let (gains, gain_rest) = self.gain.as_chunks::<WIDTH>();
        let (dsts, dst_rest) = self.dst.as_chunks_mut::<WIDTH>();
        for ((x, gain), dst) in xs.iter().zip(gains).zip(dsts) {
            s.store(s.mul(s.load_bytes(x), s.load(gain)), dst);
        }
        if !dst_rest.is_empty() {
            let mut bytes = [0; WIDTH];
            bytes[..x_rest.len()].copy_from_slice(x_rest);
            s.store_part(s.mul(s.load_bytes(&bytes), s.load_part(gain_rest)), dst_rest);
        }
    }
}

struct AddRows<'a> {
    w: &'a [f32],
    width: usize,
    index: &'a [u32],
    out: &'a mut [f32],
}

impl Kernel for AddRows<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lanes>(self, s: L) {
        let AddRows { w, width, index, out } = self;
        // Four vectors of `out` stay in registers while the rows pass, and so do their chains.
        const WIDE: usize = 4 * WIDTH;
        let (wide, rest) = out.as_chunks_mut::<WIDE>();
        let mut column = 0;
        for out in wide {
            let (out, _) = out.as_chunks_mut::<WIDTH>();
            let mut total = [s.splat(0.0); 4];
            for (total, out) in total.iter_mut().zip(out.iter()) {
                *total = s.load(out);
            }
            for &i in index {
                let (blocks, _) = w[i as usize * width + column..][..WIDE].as_chunks::<WIDTH>();
                for (total, block) in total.iter_mut().zip(blocks) {
                    *total = s.add(*total, s.load(block));
                }
            }
            for (out, total) in out.iter_mut().zip(total) {
                s.store(total, out);
            }
            column += WIDE;
        }
        for out in rest.chunks_mut(WIDTH) {
            let mut total = s.load_part(out);
            for &i in index {
                total = s.add(total, s.load_part(&w[i as usize * width + column..][..out.len()]));
            }
            s.store_part(total, out);
            column += WIDTH;
        }
    }
}

struct ScatterRows<'a> {
    dw: &'a mut [f32],
    width: usize,
    index: &'a [u32],
    d: &'a [f32],
}

impl Kernel for ScatterRows<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lanes>(self, s: L) {
        let (ds, d_rest) = self.d.as_chunks::<WIDTH>();
        for &i in self.index {
            let (rows, rest) = self.dw[i as usize * self.width..][..self.width].as_chunks_mut::<WIDTH>();
            for (row, d) in rows.iter_mut().zip(ds) {
                s.store(s.add(s.load(row), s.load(d)), row);
            }
            if !rest.is_empty() {
                s.store_part(s.add(s.load_part(rest), s.load_part(d_rest)), rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::gemm::{Form, Gemm, Packed, Start};
    use crate::num::golden::{bits, values};
    use crate::num::team::Team;

    #[test]
    fn rows_are_scaled_element_by_element_and_missing_values_are_zero() {
        for length in (0..50).chain([600, 784]) {
            let (mut src, shift, gain) = (values("x", length), values("shift", length), values("gain", length));
            src.iter_mut().step_by(7).for_each(|x| *x = f32::NAN);
            let scale = |((x, s), g): ((&f32, &f32), &f32)| if x.is_nan() { 0.0 } else { (x - s) * g };
            let expected: Vec<f32> = src.iter().zip(&shift).zip(&gain).map(scale).collect();
            let bytes: Vec<u8> = (0..length).map(|i| (i * 37 % 256) as u8).collect();
            let from_bytes: Vec<f32> = bytes.iter().zip(&gain).map(|(&x, g)| f32::from(x) * g).collect();
            for isa in Isa::available() {
                let mut got = vec![f32::NAN; length];
                scale_f32_with(isa, &src, &shift, &gain, &mut got);
                assert!(bits(&got) == bits(&expected), "{isa:?} {length}");
                scale_u8_with(isa, &bytes, &gain, &mut got);
                assert!(bits(&got) == bits(&from_bytes), "{isa:?} {length}");
            }
        }
    }

    /// numerics.md: gathering the rows of the set columns gives the bits of the product with the one-hot row.
    #[test]
    fn adding_rows_is_the_product_with_the_one_hot_row() {
        let rows = 61;
        for width in (1..40).chain([64, 100, 128, 150]) {
            let (w, bias) = (values("w", rows * width), values("bias", width));
            let index: Vec<u32> = (0..rows as u32).filter(|i| i % 3 == 0 || i % 7 == 1).collect();
            let mut hot = vec![0.0; rows];
            index.iter().for_each(|&i| hot[i as usize] = 1.0);
            for isa in Isa::available() {
                let mut expected = bias.clone();
                let product = Gemm { isa, start: Start::Existing, ..Gemm::of(Team::solo(), Form::Nn, [1, width, rows]) };
                product.run(&mut Packed::new(), &hot, &w, &mut expected);
                let mut got = bias.clone();
                add_rows_with(isa, &w, width, &index, &mut got);
                assert!(bits(&got) == bits(&expected), "{isa:?} {width}");
            }
        }
    }

    #[test]
    fn scattered_rows_are_added_in_order_also_twice_to_one() {
        let rows = 9;
        for width in (1..40).chain([100]) {
            let (before, d) = (values("dw", rows * width), values("d", width));
            let index = [8, 0, 3, 3];
            let mut expected = before.clone();
            for i in index {
                for j in 0..width {
                    expected[i as usize * width + j] += d[j];
                }
            }
            for isa in Isa::available() {
                let mut got = before.clone();
                scatter_rows_with(isa, &mut got, width, &index, &d);
                assert!(bits(&got) == bits(&expected), "{isa:?} {width}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "past the 3 rows")]
    fn a_row_number_past_the_end_is_refused() {
        add_rows(&[0.0; 6], 2, &[0, 3], &mut [0.0; 2]);
    }
}
