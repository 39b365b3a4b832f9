//! From inputs to features: a bias, the inputs themselves, and random features.
#![expect(
    clippy::indexing_slicing,
    reason = "outputs are those of the projection, and phases are taken modulo the wave's length"
)]

use super::inputs::{Inputs, Prior, Table};
use super::settings::{RidgeMap, RidgeSettings};
use crate::learn::{Layout, RandomFeatures};
use crate::num::normal::{FEATURE_MAX, padded};
use crate::num::project::Projection;
use crate::num::{Isa, Team, poly, stream};

/// The sum of a word's four bytes, less its mean, is divided by this for a weight that is not damped.
const WEIGHT_DIVISOR: i32 = 4;
/// The variance of such a weight.
const WEIGHT_VARIANCE: u64 = 1365;
/// Binary digits of the factor that brings a projection to its level, or to its phase.
const FACTOR_BITS: u32 = 24;
/// Spreads of a projection that the levels of a rectified one cover.
const SPREADS: i64 = 3;
/// Steps of a turn.
const TURN: usize = 1024;
/// Steps of a radian: 1024 / (2 pi).
const RADIAN: i64 = 163;
/// Rows that a task maps at a time.
const ROWS: usize = 64;

/// The features of rows.
#[derive(Clone, Debug)]
pub(super) struct Map {
    isa: Isa,
    inputs: Inputs,
    random: Option<Random>,
    width: usize,
}

impl Map {
    /// The map of settings and a layout that accept each other; random features are derived from the seed.
    pub(super) fn new(isa: Isa, settings: &RidgeSettings, layout: &Layout, seed: [u8; 32]) -> Map {
        let inputs = Inputs::new(settings, layout);
        let random = match settings.map {
            RidgeMap::Bins => None,
            RidgeMap::Relu { .. } | RidgeMap::Image { .. } => Some(Random::relu(&inputs, settings.dimension(), seed)),
            RidgeMap::Cosine { .. } => Some(Random::cosine(&inputs, settings.dimension(), seed)),
        };
        let width = settings.features(layout);
        Map { isa, inputs, random, width }
    }

    /// Features of a row.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The random features, in the words of a formula.
    pub(super) fn random(&self) -> Option<RandomFeatures> {
        self.random.as_ref().map(|random| RandomFeatures {
            weights: random.projection.weights(),
            offsets: random.offsets.clone(),
            factor: random.factor,
            wave: match &random.shape {
                Shape::Relu => None,
                Shape::Cosine(wave) => Some(wave.to_vec()),
            },
        })
    }

    /// The inputs behind the features.
    pub(super) fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// The features of some rows, each a table and a row of it: `rows x padded(width)`, zeros beyond the width.
    pub(super) fn features(&self, team: Team, tables: &[Table<'_>], places: &[(usize, usize)], out: &mut Vec<u8>) {
        let stride = padded(self.width);
        out.resize(places.len() * stride, 0);
        team.split(out, ROWS.min(places.len()) * stride, |first, out| {
            let width = self.inputs.width();
            let mut inputs = vec![0; ROWS * width];
            let places = &places[first / stride..];
            for (places, out) in places.chunks(ROWS).zip(out.chunks_mut(ROWS * stride)) {
                let inputs = &mut inputs[..out.len() / stride * width];
                for (row, (out, &(table, at))) in out.chunks_exact_mut(stride).zip(places).enumerate() {
                    let inputs = &mut inputs[row * width..][..width];
                    self.inputs.write(&tables[table], at, inputs);
                    out[0] = FEATURE_MAX;
                    out[1..=width].copy_from_slice(inputs);
                    out[self.width..].fill(0);
                }
                if let Some(random) = &self.random {
                    random.write(self.isa, inputs, out, stride, 1 + width);
                }
            }
        });
    }
}

/// What follows a random projection.
#[derive(Clone, Debug)]
enum Shape {
    Relu,
    /// A turn of the wave.
    Cosine(Box<[u8; TURN]>),
}

/// Random features.
#[derive(Clone, Debug)]
struct Random {
    projection: Projection,
    /// Added to each projection (relu) or phase (cosine).
    offsets: Vec<i32>,
    factor: i64,
    shape: Shape,
}

impl Random {
    /// Rectified projections: threshold within a spread of where the projection is thought to lie, level 127 at three spreads.
    fn relu(inputs: &Inputs, dimension: usize, seed: [u8; 32]) -> Random {
        let priors = inputs.priors();
        let spread = spread(&priors);
        let (projection, offsets) = draw(&priors, dimension, seed, |weights, word| {
            let centre: i64 = weights.iter().zip(&priors).map(|(&w, prior)| i64::from(w) * i64::from(prior.centre)).sum();
            // At most 127 * 127 * 16,384, and the spread is smaller: an i32 holds it.
            (((i64::from(word.cast_signed()) * spread) >> 31) - centre) as i32
        });
        let factor = (i64::from(FEATURE_MAX) << FACTOR_BITS) / (SPREADS * spread);
        Random { projection, offsets, factor, shape: Shape::Relu }
    }

    /// Cosines of projections: one spread is a radian, the phase is any.
    fn cosine(inputs: &Inputs, dimension: usize, seed: [u8; 32]) -> Random {
        let priors = inputs.priors();
        let spread = spread(&priors);
        let (projection, offsets) = draw(&priors, dimension, seed, |_, word| (word % TURN as u32) as i32);
        Random { projection, offsets, factor: (RADIAN << FACTOR_BITS) / spread, shape: Shape::Cosine(Box::new(wave())) }
    }

    /// Writes the random features of `rows x inputs` into each row of `out` from `start` on.
    fn write(&self, isa: Isa, inputs: &[u8], out: &mut [u8], stride: usize, start: usize) {
        let outputs = self.projection.outputs();
        self.projection.apply(isa, inputs, |row, output, sums| {
            let offsets = &self.offsets[output..outputs.min(output + 16)];
            for (sums, out) in sums.iter().zip(out[row * stride..].chunks_exact_mut(stride)) {
                let out = out[start + output..].iter_mut().zip(sums).zip(offsets);
                match &self.shape {
                    Shape::Relu => out.for_each(|((out, &sum), &offset)| {
                        let level = ((i64::from(sum) + i64::from(offset)) * self.factor) >> FACTOR_BITS;
                        *out = level.clamp(0, i64::from(FEATURE_MAX)) as u8;
                    }),
                    Shape::Cosine(wave) => out.for_each(|((out, &sum), &offset)| {
                        let phase = ((i64::from(sum) * self.factor) >> FACTOR_BITS) + i64::from(offset);
                        *out = wave[phase.rem_euclid(TURN as i64) as usize];
                    }),
                }
            }
        });
    }
}

/// The spread of a projection: the root of its variance, were inputs independent and as declared. At least 1.
fn spread(priors: &[Prior]) -> i64 {
    let variance: u64 = priors.iter().map(|prior| u64::from(prior.share())).sum();
    ((WEIGHT_VARIANCE * variance).isqrt() as i64).max(1)
}

/// Draws weights and offsets: feature after feature, one 32-bit word a weight, and one for the offset. A weight is the sum of the word's four
/// bytes less 510, divided by 4 times the input's damping, towards 0: near to normal, from -127 to 127.
fn draw(priors: &[Prior], dimension: usize, seed: [u8; 32], mut offset: impl FnMut(&[i8], u32) -> i32) -> (Projection, Vec<i32>) {
    let mut stream = stream::stream(seed);
    let inputs = priors.len();
    let mut weights = vec![0i8; inputs * dimension];
    let mut offsets = Vec::with_capacity(dimension);
    for index in 0..dimension {
        let weights = &mut weights[index * inputs..][..inputs];
        for (weight, prior) in weights.iter_mut().zip(priors) {
            let sum: i32 = stream.word().to_le_bytes().into_iter().map(i32::from).sum();
            *weight = ((sum - 510) / (WEIGHT_DIVISOR * i32::from(prior.damping))) as i8;
        }
        offsets.push(offset(weights, stream.word()));
    }
    (Projection::new(inputs, dimension, &weights), offsets)
}

/// A turn of the cosine as levels: the integers nearest to 64 + 63 cos(2 pi i / 1024), none of which is near to a tie.
fn wave() -> [u8; TURN] {
    std::array::from_fn(|i| (64.5 + 63.0 * poly::cos_turn(i as f64 / TURN as f64)) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wave_is_far_from_ties() {
        let wave = wave();
        assert_eq!([wave[0], wave[256], wave[512], wave[768]], [127, 64, 1, 64]);
        for (i, level) in wave.into_iter().enumerate() {
            let exact = 64.0 + 63.0 * poly::cos_turn(i as f64 / TURN as f64);
            // A cosine that were wrong by a billionth would give the same level.
            assert!((exact - f64::from(level)).abs() < 0.5 - 63e-9, "step {i}");
            assert_eq!(level, wave[(TURN - i) % TURN]);
        }
    }

    #[test]
    fn weights_are_centred_and_as_wide_as_their_variance_says() {
        let plain = Prior { centre: 0, variance: 400, damping: 1 };
        for (prior, least, most) in [(plain, 1092, 1638), (Prior { damping: 4, ..plain }, 62, 102)] {
            let mut words = stream::stream([3; 32]);
            let (projection, _) = draw(&[prior; 1000], 100, [3; 32], |weights, word| {
                assert!(weights.iter().all(|&w| w > i8::MIN));
                for &weight in weights {
                    let sum: i32 = words.word().to_le_bytes().into_iter().map(i32::from).sum();
                    assert_eq!(i32::from(weight), (sum - 510) / (4 * i32::from(prior.damping)));
                }
                assert_eq!(word, words.word());
                let squares: u64 = weights.iter().map(|&w| u64::from(w.unsigned_abs()).pow(2)).sum();
                // Chance: the squares of a thousand near-normal weights.
                assert!((least * 1000..most * 1000).contains(&squares), "{squares}");
                0
            });
            assert_eq!(projection.outputs(), 100);
        }
        assert_eq!((spread(&[plain; 100]), WEIGHT_VARIANCE * 40_000), (7389, 54_600_000));
        assert_eq!(spread(&[Prior { damping: 4, ..plain }; 100]), 1847);
    }
}
