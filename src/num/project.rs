//! Random projections of bytes: `z = W x`, signed weights of 8 bits, inputs up to 127, sums exact in `i32`.

#![expect(clippy::indexing_slicing, reason = "panels and lanes are asserted once a call")]

use super::isa::Isa;
use super::simd::{Kernel, Lanes, QUADS_MAX, Quad, WIDTH, on};

/// The most inputs: the sums then can't overflow.
pub const INPUTS_MAX: usize = 4 * QUADS_MAX;

/// A matrix of `outputs x inputs` weights, packed in panels of sixteen outputs.
#[derive(Clone, Debug)]
pub struct Projection {
    inputs: usize,
    outputs: usize,
    /// Quads of a panel.
    depth: usize,
    quads: Vec<Quad>,
}

impl Projection {
    /// Packs weights that are `outputs x inputs`, row-major.
    ///
    /// # Panics
    ///
    /// When the length is not that of the shape, or there are more than [`INPUTS_MAX`] inputs.
    pub fn new(inputs: usize, outputs: usize, weights: &[i8]) -> Projection {
        assert!(inputs <= INPUTS_MAX, "{inputs} inputs");
        assert_eq!(Some(weights.len()), inputs.checked_mul(outputs), "weights are outputs x inputs");
        let depth = inputs.div_ceil(4);
        let mut quads = vec![Quad([0; 4 * WIDTH]); outputs.div_ceil(WIDTH) * depth];
        for (output, row) in weights.chunks_exact(inputs.max(1)).enumerate() {
            let (panel, lane) = (output / WIDTH, output % WIDTH);
            for (quad, weights) in quads[panel * depth..].iter_mut().zip(row.chunks(4)) {
                for (to, weight) in quad.0[4 * lane..].iter_mut().zip(weights) {
                    *to = weight.cast_unsigned();
                }
            }
        }
        Projection { inputs, outputs, depth, quads }
    }

    /// Outputs.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The weights as they were packed: `outputs x inputs`, row-major.
    pub fn weights(&self) -> Vec<i8> {
        let mut weights = Vec::with_capacity(self.outputs * self.inputs);
        for output in 0..self.outputs {
            let (panel, lane) = (output / WIDTH, output % WIDTH);
            let quads = self.quads[panel * self.depth..][..self.depth].iter();
            let row = quads.flat_map(|quad| &quad.0[4 * lane..4 * lane + 4]).take(self.inputs);
            weights.extend(row.map(|weight| weight.cast_signed()));
        }
        weights
    }

    /// Projects `rows x inputs` bytes, each at most 127. `take` is given, for each group of at most sixteen rows and outputs, the first row,
    /// the first output, and the sums: `sums[row][output]`.
    ///
    /// # Panics
    ///
    /// When the length is not a number of rows.
    pub fn apply(&self, isa: Isa, x: &[u8], take: impl FnMut(usize, usize, &[[i32; WIDTH]])) {
        assert!(x.len().is_multiple_of(self.inputs.max(1)), "inputs are rows x {}", self.inputs);
        on(isa, Apply { projection: self, x, take });
    }
}

struct Apply<'a, F> {
    projection: &'a Projection,
    x: &'a [u8],
    take: F,
}

impl<F: FnMut(usize, usize, &[[i32; WIDTH]])> Kernel for Apply<'_, F> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes>(mut self, s: L) {
        let Projection { inputs, depth, ref quads, .. } = *self.projection;
        if inputs == 0 {
            return;
        }
        let mut packed = vec![Quad([0; 4 * WIDTH]); depth];
        for (group, rows) in self.x.chunks(WIDTH * inputs).enumerate() {
            let count = rows.len() / inputs;
            for (row, x) in rows.chunks_exact(inputs).enumerate() {
                for (quad, x) in packed.iter_mut().zip(x.chunks(4)) {
                    quad.0[4 * row..][..x.len()].copy_from_slice(x);
                }
            }
            for (panel, weights) in quads.chunks_exact(depth).enumerate() {
                // What an earlier group left in the rows beyond the count is computed and not looked at.
                let sums = s.dot(weights, &packed);
                (self.take)(group * WIDTH, panel * WIDTH, &sums[..count]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_definition_on_every_set() {
        for (rows, inputs, outputs) in [(1, 1, 1), (16, 4, 16), (17, 5, 33), (40, 131, 20)] {
            let w: Vec<i8> = (0..outputs * inputs).map(|i| ((i * 7919 + 13) % 256) as u8 as i8).collect();
            let x: Vec<u8> = (0..rows * inputs).map(|i| ((i * 104_729 + 5) % 128) as u8).collect();
            let projection = Projection::new(inputs, outputs, &w);
            for isa in Isa::available() {
                let mut got = vec![i32::MIN; rows * outputs];
                projection.apply(isa, &x, |row, output, sums| {
                    for (i, sums) in sums.iter().enumerate() {
                        for (j, &sum) in sums.iter().enumerate().take(outputs - output) {
                            got[(row + i) * outputs + output + j] = sum;
                        }
                    }
                });
                for (i, x) in x.chunks(inputs).enumerate() {
                    for (j, w) in w.chunks(inputs).enumerate() {
                        let sum: i32 = x.iter().zip(w).map(|(&x, &w)| i32::from(x) * i32::from(w)).sum();
                        assert_eq!(got[i * outputs + j], sum, "{isa:?} row {i} output {j}");
                    }
                }
            }
        }
    }

    #[test]
    fn extreme_weights_and_inputs_do_not_saturate() {
        for weight in [i8::MIN, i8::MAX] {
            let projection = Projection::new(4096, 1, &[weight; 4096]);
            for isa in Isa::available() {
                projection.apply(isa, &[127; 4096], |_, _, sums| assert_eq!(sums[0][0], i32::from(weight) * 127 * 4096));
            }
        }
    }
}
