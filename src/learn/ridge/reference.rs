//! A second implementation of the learner, straight from its definition: one row, one element, one operation at a time. It shares no code
//! with the first but the generator's and the cosine's.
#![expect(clippy::needless_range_loop, reason = "indices as in the definition")]

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use super::settings::{RidgeMap, RidgeSettings};
use crate::learn::{Layout, Task};
use crate::num::poly;

/// A row: numbers, bytes, categories, and its class or number.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) numbers: Vec<f32>,
    pub(super) bytes: Vec<u8>,
    pub(super) categories: Vec<u32>,
    pub(super) label: f64,
}

/// Inputs with the centre, the squared spread and the damping of each.
fn inputs(settings: &RidgeSettings, layout: &Layout, row: &Row) -> Vec<(i64, i64, i64, i64)> {
    let mut out = Vec::new();
    let bins = settings.bins as usize;
    for (column, &x) in row.numbers.iter().enumerate() {
        let [low, high] = layout.ranges[column].unwrap().0.map(f64::from);
        let share = ((f64::from(x) - low) / (high - low)).clamp(0.0, 1.0);
        let missing = x.is_nan();
        out.push((if missing { 0 } else { (share * 127.0 + 0.5).floor() as i64 }, 64, 378, 1));
        for bin in 1..bins {
            let reached = !missing && (share * bins as f64).floor() >= bin as f64;
            out.push((if reached { 64 } else { 0 }, 32, 384, 1));
        }
        out.push((if missing { 127 } else { 0 }, 0, 0, 1));
    }
    if let RidgeMap::Image { width, height, .. } = settings.map {
        out.extend(image(&row.bytes, width as i64, height as i64));
    } else {
        for (column, &byte) in row.bytes.iter().enumerate() {
            let share = (f64::from(byte) * f64::from(layout.byte_scales[column])).min(1.0);
            out.push(((share * 127.0 + 0.5).floor() as i64, 64, 378, 1));
        }
    }
    for (column, &value) in row.categories.iter().enumerate() {
        let size = layout.categories[column];
        if size <= 256 {
            out.extend((0..size).map(|v| (if v == value { 64 } else { 0 }, i64::from(64 / size), i64::from(2304 / size), 1)));
        } else {
            let mut x = ((column as u64) << 32) + u64::from(value);
            for (shift, factor) in [(30, 0xbf58_476d_1ce4_e5b9u64), (27, 0x94d0_49bb_1331_11eb)] {
                x = (x ^ (x >> shift)).wrapping_mul(factor);
            }
            x ^= x >> 31;
            let taken = [x % (1 << 32) % 128, 128 + (x >> 32) % 128];
            out.extend((0..256).map(|v| (if taken.contains(&v) { 64 } else { 0 }, 0, 18, 1)));
        }
    }
    out
}

fn root(x: i64) -> i64 {
    let mut r = (x as f64).sqrt() as i64;
    while r * r > x {
        r -= 1;
    }
    while (r + 1) * (r + 1) <= x {
        r += 1;
    }
    r
}

fn image(pixels: &[u8], width: i64, height: i64) -> Vec<(i64, i64, i64, i64)> {
    let at = |y: i64, x: i64| i64::from(pixels[(y.clamp(0, height - 1) * width + x.clamp(0, width - 1)) as usize] / 2);
    let (columns, rows) = (width / 4, height / 4);
    let directions = [(64, 0), (45, 45), (0, 64), (-45, 45), (-64, 0), (-45, -45), (0, -64), (45, -45)];
    // A pixel's centre is (2 x + 1) eighths from the left, a cell's 8 x + 4; nearer than 8 is a share.
    let share = |pixel: i64, cell: i64| (8 - (2 * pixel + 1 - 8 * cell - 4).abs()).max(0);
    let mut cells = vec![[0i64; 8]; (columns * rows) as usize];
    for cy in 0..rows {
        for cx in 0..columns {
            for y in 0..height {
                for x in 0..width {
                    let (gx, gy) = (at(y, x + 1) - at(y, x - 1), at(y + 1, x) - at(y - 1, x));
                    let magnitude = root(16 * (gx * gx + gy * gy));
                    for (way, (cos, sin)) in directions.iter().enumerate() {
                        let along = (4 * (gx * cos + gy * sin) - 45 * magnitude) / 16;
                        if magnitude >= 8 && along > 0 {
                            cells[(cy * columns + cx) as usize][way] += along * share(y, cy) * share(x, cx) / 16;
                        }
                    }
                }
            }
        }
    }
    let mut out = Vec::new();
    for cy in 0..rows {
        for cx in 0..columns {
            let mut around = 0;
            for y in (cy - 1).max(0)..=(cy + 1).min(rows - 1) {
                for x in (cx - 1).max(0)..=(cx + 1).min(columns - 1) {
                    around += cells[(y * columns + x) as usize].iter().map(|v| v * v).sum::<i64>();
                }
            }
            let norm = root(around) + 200;
            out.extend(cells[(cy * columns + cx) as usize].iter().map(|v| (root((v * 32_258 / norm).min(16_129)), 30, 506, 1)));
        }
    }
    for y in (0..height).step_by(2) {
        for x in (0..width).step_by(2) {
            let sum = at(y, x) + at(y, x + 1) + at(y + 1, x) + at(y + 1, x + 1);
            out.push(((sum + 2) / 4, 36, 900, 4));
        }
    }
    out
}

/// The features of rows.
pub(super) fn features(settings: &RidgeSettings, layout: &Layout, seed: [u8; 32], rows: &[Row]) -> Vec<Vec<i64>> {
    let rows: Vec<_> = rows.iter().map(|row| inputs(settings, layout, row)).collect();
    let mut out: Vec<Vec<i64>> = rows.iter().map(|_| vec![127]).collect();
    rows.iter().zip(&mut out).for_each(|(row, out)| out.extend(row.iter().map(|input| input.0)));
    let (cosine, dimension) = match settings.map {
        RidgeMap::Bins => return out,
        RidgeMap::Cosine { dimension } => (true, dimension),
        RidgeMap::Relu { dimension } | RidgeMap::Image { dimension, .. } => (false, dimension),
    };
    let Some(first) = rows.first() else { return out };
    let spread = root(1365 * first.iter().map(|input| input.2 / input.3.pow(2)).sum::<i64>()).max(1);
    let mut words = ChaCha20Rng::from_seed(seed);
    for _ in 0..dimension {
        let weights: Vec<i64> = first
            .iter()
            .map(|input| {
                let word = words.next_u32();
                (i64::from(word & 255) + i64::from(word >> 8 & 255) + i64::from(word >> 16 & 255) + i64::from(word >> 24) - 510)
                    / (4 * input.3)
            })
            .collect();
        let word = words.next_u32();
        for (row, out) in rows.iter().zip(&mut out) {
            let z: i64 = weights.iter().zip(row).map(|(w, input)| w * input.0).sum();
            out.push(if cosine {
                let phase = (z * ((163 << 24) / spread)).div_euclid(1 << 24) + i64::from(word % 1024);
                let angle = std::f64::consts::TAU * phase.rem_euclid(1024) as f64 / 1024.0;
                (64.0 + 63.0 * poly::cos_turn(angle / std::f64::consts::TAU)).round() as i64
            } else {
                let centre: i64 = weights.iter().zip(row).map(|(w, input)| w * input.1).sum();
                let threshold = (i64::from(word as i32) * spread).div_euclid(1 << 31);
                ((z + threshold - centre) * ((127 << 24) / (3 * spread))).div_euclid(1 << 24).clamp(0, 127)
            });
        }
    }
    out
}

/// The bytes of the state, after these rows.
pub(super) fn state(settings: &RidgeSettings, layout: &Layout, seed: [u8; 32], rows: &[Row]) -> Vec<u8> {
    let phi = features(settings, layout, seed, rows);
    let width = settings.features(layout);
    let mut out = seed.to_vec();
    out.extend((rows.len() as u64).to_le_bytes());
    let mut put = |x: i64| out.extend(x.to_le_bytes());
    for i in 0..width {
        for j in 0..=i {
            put(phi.iter().map(|phi| phi[i] * phi[j]).sum());
        }
    }
    for i in 0..width {
        for output in 0..layout.task.outputs() {
            put(phi.iter().zip(rows).map(|(phi, row)| phi[i] * target(layout, row, output)).sum());
        }
    }
    out
}

fn target(layout: &Layout, row: &Row, output: usize) -> i64 {
    match layout.task {
        Task::Classes(_) => i64::from(row.label == output as f64),
        Task::Number => {
            let [low, high] = layout.label_range.unwrap().0.map(f64::from);
            (((row.label - low) / (high - low)).clamp(0.0, 1.0) * 65_536.0 + 0.5).floor() as i64
        }
    }
}

/// The scores of some rows by a state.
pub(super) fn scores(settings: &RidgeSettings, layout: &Layout, seed: [u8; 32], state: &[u8], rows: &[Row]) -> Vec<f32> {
    let width = settings.features(layout);
    let mut elements = state[40..].chunks(8).map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap()));
    let gram: Vec<Vec<i64>> = (0..width).map(|i| elements.by_ref().take(i + 1).collect()).collect();
    let trace: i128 = (1..width).map(|i| i128::from(gram[i][i])).sum();
    let lambda = (f64::from(settings.strength) * (trace as f64 / (width - 1).max(1) as f64)).max(1.0);
    let mut l: Vec<Vec<f64>> = gram.iter().map(|row| row.iter().map(|&x| x as f64).collect()).collect();
    for i in 0..width {
        if i > 0 {
            l[i][i] += lambda;
        }
    }
    let whole: Vec<f64> = (0..width).map(|i| l[i][i]).collect();
    for i in 0..width {
        for j in 0..=i {
            for k in 0..j {
                let product = l[i][k] * l[j][k];
                l[i][j] -= product;
            }
            let pivot = if i == j { None } else { Some(l[j][j]) };
            l[i][j] = match pivot {
                Some(pivot) => l[i][j] / pivot,
                None if l[i][i] > whole[i] * (1.0 / 1_099_511_627_776.0) => l[i][i].sqrt(),
                None => f64::INFINITY,
            };
        }
    }
    let outputs = layout.task.outputs();
    let cross: Vec<f64> = elements.map(|x| x as f64).collect();
    let mut weights = vec![vec![0.0; width]; outputs];
    for (output, w) in weights.iter_mut().enumerate() {
        for i in 0..width {
            w[i] = cross[i * outputs + output];
            for k in 0..i {
                w[i] -= l[i][k] * w[k];
            }
            w[i] /= l[i][i];
        }
        for i in (0..width).rev() {
            for k in (i + 1..width).rev() {
                w[i] -= l[k][i] * w[k];
            }
            w[i] /= l[i][i];
        }
    }
    let mut out = Vec::new();
    for phi in features(settings, layout, seed, rows) {
        let raw = weights.iter().map(|w| {
            let mut sum = 0.0;
            for i in 0..width {
                sum -= w[i] * phi[i] as f64;
            }
            -sum
        });
        let raw: Vec<f64> = raw.collect();
        out.extend(finish(layout, &raw));
    }
    out
}

fn finish(layout: &Layout, raw: &[f64]) -> Vec<f32> {
    let Task::Classes(_) = layout.task else {
        let [low, high] = layout.label_range.unwrap().0.map(f64::from);
        return vec![(low + (raw[0] / 65_536.0).clamp(0.0, 1.0) * (high - low)) as f32];
    };
    let mut most = raw[0];
    for &x in raw {
        most = if x > most { x } else { most };
    }
    if most <= 0.0 {
        return raw.iter().map(|_| (1.0 / raw.len() as f64) as f32).collect();
    }
    let least = if most < 0.04 { most / 2.0 } else { 0.02 };
    let shares = raw.iter().map(|&x| {
        let x = if x > least { x } else { least };
        if raw.len() <= 4 {
            x
        } else if raw.len() <= 16 {
            x * x
        } else {
            x * x * x
        }
    });
    let shares: Vec<f64> = shares.collect();
    let mut total = 0.0;
    for share in &shares {
        total += share;
    }
    shares.iter().map(|share| (share / total) as f32).collect()
}
