//! Networks, operation by operation (docs/TRAINING.md, sections 3 and 4).
#![expect(clippy::disallowed_methods, reason = "f32::mul_add is the exactly rounded fma, whatever it costs")]

use serde_json::Value;
use sisa::num::poly;

use super::{
    float, int,
    order::Visit,
    rows::{Record, Schema},
};

/// Count, mean and sum of squared deviations.
#[derive(Clone, Copy, Default)]
struct Moments {
    count: u64,
    mean: f64,
    m2: f64,
}

/// Numbers that are trained, with what the optimiser keeps about each.
struct Parameters {
    value: Vec<f32>,
    average: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
}

struct Layer {
    /// Inputs that come as numbers; the rows of weights after them are the table of categories.
    dense: usize,
    width: usize,
    /// Row-major.
    weights: Parameters,
    biases: Parameters,
}

/// What the first layer sees of a row: numbers, and rows of the table.
type Input = (Vec<f32>, Vec<usize>);

pub(super) struct Net<'a> {
    settings: &'a Value,
    schema: &'a Schema,
    layers: Vec<Layer>,
    /// Of each number column, then of a number that is learnt.
    moments: Vec<Moments>,
    rows: u64,
    updates: u64,
}

impl<'a> Net<'a> {
    /// The state before any row.
    pub(super) fn new(settings: &'a Value, schema: &'a Schema, seed: [u8; 32]) -> Net<'a> {
        let mut widths: Vec<usize> = match settings["kind"].as_str().unwrap() {
            "linear" => Vec::new(),
            "mlp" => settings["hidden"].as_array().unwrap().iter().map(|width| int(width) as usize).collect(),
            other => panic!("learner {other}"),
        };
        let is_linear = widths.is_empty();
        widths.push(schema.label.as_ref().map_or(1, Vec::len));
        let indicators = schema.numbers.iter().filter(|column| column.indicator).count();
        let mut dense = schema.numbers.len() + schema.bytes.len() + indicators;
        let mut table: usize = schema.categories.iter().map(|column| column.size()).sum();
        let mut columns = schema.categories.len();
        let mut stream = ChaCha { key: seed, counter: 0, words: Vec::new() };
        let mut layers = Vec::new();
        for (l, &width) in widths.iter().enumerate() {
            let is_relu = l + 1 < widths.len() && settings["activation"] == "relu";
            let fan = dense + columns + if is_relu { 0 } else { width };
            let a = (6.0 / fan as f32).sqrt();
            let mut draw = || if is_linear { 0.0 } else { stream.fraction() * (a - -a) + -a };
            let weights = (0..(dense + table) * width).map(|_| draw()).collect();
            layers.push(Layer { dense, width, weights: Parameters::new(weights), biases: Parameters::new(vec![0.0; width]) });
            (dense, table, columns) = (width, 0, 0);
        }
        let scaled = schema.numbers.len() + usize::from(schema.label.is_err());
        Net { settings, schema, layers, moments: vec![Moments::default(); scaled], rows: 0, updates: 0 }
    }

    /// Trains step `r` of `steps`. False when it diverged.
    pub(super) fn step(&mut self, r: u32, steps: u32, prefix: &[&[Record]], visits: &[Visit]) -> bool {
        let new = prefix[prefix.len() - 1];
        for column in 0..self.moments.len() {
            let value = |row: &Record| row.numbers.get(column).copied().unwrap_or(f32::from_bits(row.label));
            self.moments[column].take_in(new.iter().map(value).filter(|x| !x.is_nan()).collect());
        }
        self.rows = prefix.iter().map(|rows| rows.len() as u64).sum();
        for batch in visits.chunks(int(&self.settings["batch"]) as usize) {
            let rows: Vec<&Record> = batch.iter().map(|visit| &prefix[visit.slice][visit.row]).collect();
            let done = (r - 1) as f32 + batch[0].progress as f32 * (1.0 / 4_294_967_296.0);
            self.descend(&rows, done * (1.0 / steps as f32));
        }
        let parameters = self.layers.iter().flat_map(|layer| [&layer.weights, &layer.biases]);
        let mut vectors = parameters.flat_map(|p| [&p.value, &p.average, &p.first, &p.second]);
        vectors.all(|vector| vector.iter().all(|x| x.is_finite()))
            && self.moments.iter().all(|m| m.mean.is_finite() && m.m2.is_finite() && m.shift().is_finite())
    }

    fn input(&self, row: &Record) -> Input {
        let mut dense = Vec::new();
        for (x, moments) in row.numbers.iter().zip(&self.moments) {
            let scaled = if x.is_nan() { 0.0 } else { (x - moments.shift()) * moments.gain() };
            dense.push(match &self.settings["clip"] {
                Value::Null => scaled,
                most => scaled.min(float(most)).max(-float(most)),
            });
        }
        for (byte, (_, scale)) in row.bytes.iter().zip(&self.schema.bytes) {
            dense.push(f32::from(*byte) * scale);
        }
        for (x, column) in row.numbers.iter().zip(&self.schema.numbers) {
            if column.indicator {
                dense.push(if x.is_nan() { 1.0 } else { 0.0 });
            }
        }
        let mut table = Vec::new();
        let mut start = 0;
        for (value, column) in row.categories.iter().zip(&self.schema.categories) {
            table.push(start + *value as usize);
            start += column.size();
        }
        (dense, table)
    }

    /// One batch.
    fn descend(&mut self, rows: &[&Record], progress: f32) {
        let tanh = self.settings["activation"] == "tanh";
        let (inputs, tables): (Vec<Vec<f32>>, Vec<Vec<usize>>) = rows.iter().map(|row| self.input(row)).unzip();
        let last = self.layers.len() - 1;
        // Forward: outputs[l] is what layer l takes in, of every row.
        let mut outputs = vec![inputs];
        for (l, layer) in self.layers.iter().enumerate() {
            let w = &layer.weights.value;
            let mut next = Vec::new();
            for (x, table) in outputs[l].iter().zip(&tables) {
                let mut z = vec![0.0_f32; layer.width];
                for (j, z) in z.iter_mut().enumerate() {
                    for (i, x) in x.iter().enumerate() {
                        *z = x.mul_add(w[i * layer.width + j], *z);
                    }
                    for t in table.iter().filter(|_| l == 0) {
                        *z += w[(layer.dense + t) * layer.width + j];
                    }
                    *z += layer.biases.value[j];
                }
                match (l == last, tanh) {
                    (true, _) if self.schema.label.is_ok() => softmax(&mut z),
                    (true, _) => {}
                    (false, true) => z.iter_mut().for_each(|z| *z = poly::tanh(*z)),
                    (false, false) => z.iter_mut().filter(|z| **z < 0.0).for_each(|z| *z = 0.0),
                }
                next.push(z);
            }
            outputs.push(next);
        }
        // The gradient of the loss by the last sums.
        let share = 1.0 / rows.len() as f32;
        let mut d = outputs.pop().unwrap();
        for (d, row) in d.iter_mut().zip(rows) {
            for (j, d) in d.iter_mut().enumerate() {
                let y = match (&self.schema.label, self.moments.last()) {
                    (Err(_), Some(moments)) => (f32::from_bits(row.label) - moments.shift()) * moments.gain(),
                    _ => f32::from(u8::from(j == row.label as usize)),
                };
                *d = (*d - y) * share;
            }
        }
        // Backward: all gradients before any update.
        let mut gradients = Vec::new();
        for (l, layer) in self.layers.iter().enumerate().rev() {
            let x = &outputs[l];
            let mut dw = vec![0.0_f32; layer.weights.value.len()];
            let mut db = vec![0.0_f32; layer.width];
            for j in 0..layer.width {
                for i in 0..layer.dense {
                    let g = &mut dw[i * layer.width + j];
                    for (x, d) in x.iter().zip(&d) {
                        *g = x[i].mul_add(d[j], *g);
                    }
                }
                for (table, d) in tables.iter().zip(&d) {
                    for t in table.iter().filter(|_| l == 0) {
                        dw[(layer.dense + t) * layer.width + j] += d[j];
                    }
                    db[j] += d[j];
                }
            }
            if l > 0 {
                for (x, d) in x.iter().zip(&mut d) {
                    let mut under = vec![0.0_f32; layer.dense];
                    for (i, under) in under.iter_mut().enumerate() {
                        for (j, d) in d.iter().enumerate() {
                            *under = d.mul_add(layer.weights.value[i * layer.width + j], *under);
                        }
                        let y = x[i];
                        match tanh {
                            true => *under *= (-y).mul_add(y, 1.0),
                            false if y <= 0.0 => *under = 0.0,
                            false => {}
                        }
                    }
                    *d = under;
                }
            }
            gradients.push((dw, db));
        }
        if !self.settings["max_gradient"].is_null() {
            shorten(&mut gradients, float(&self.settings["max_gradient"]));
        }
        self.updates += 1;
        let l2 = float(&self.settings["l2"]);
        for (layer, (dw, db)) in self.layers.iter_mut().zip(gradients.iter().rev()) {
            layer.weights.update(self.settings, l2, progress, self.updates, dw);
            layer.biases.update(self.settings, 0.0, progress, self.updates, db);
        }
    }

    /// The payload of a checkpoint: rows, updates, then five vectors, each after its length in bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut scaler = Vec::new();
        for m in &self.moments {
            scaler.extend(m.count.to_le_bytes());
            scaler.extend(m.mean.to_le_bytes());
            scaler.extend(m.m2.to_le_bytes());
        }
        let mut out = [self.rows.to_le_bytes(), self.updates.to_le_bytes()].concat();
        let mut put = |bytes: Vec<u8>| {
            out.extend((bytes.len() as u64).to_le_bytes());
            out.extend(bytes);
        };
        put(scaler);
        let of = |field: fn(&Parameters) -> &[f32]| {
            let parameters = self.layers.iter().flat_map(|layer| [&layer.weights, &layer.biases]);
            parameters.flat_map(|p| field(p).iter().flat_map(|x| x.to_le_bytes())).collect()
        };
        put(of(|p| &p.value));
        put(of(|p| &p.average));
        put(of(|p| &p.first));
        put(if self.settings["optimizer"]["kind"] == "adam" { of(|p| &p.second) } else { Vec::new() });
        out
    }
}

impl Parameters {
    fn new(value: Vec<f32>) -> Parameters {
        let zeros = vec![0.0; value.len()];
        Parameters { average: value.clone(), first: zeros.clone(), second: zeros, value }
    }

    fn update(&mut self, settings: &Value, l2: f32, progress: f32, updates: u64, gradient: &[f32]) {
        let mut rate = float(&settings["rate"]);
        if settings["decay"] == "linear" {
            rate *= 1.0 - progress;
        }
        let gain = (1.0 / (float(&settings["average"]) * updates as f32)).min(1.0);
        let optimizer = &settings["optimizer"];
        let is_adam = optimizer["kind"] == "adam";
        for (k, g) in gradient.iter().enumerate() {
            let (w, first, second) = (self.value[k], &mut self.first[k], &mut self.second[k]);
            let g = l2.mul_add(w, *g);
            let new = if is_adam {
                let (beta1, beta2) = (float(&optimizer["beta1"]), float(&optimizer["beta2"]));
                let step = rate / correction(beta1, updates);
                let root = correction(beta2, updates).sqrt();
                *first = (1.0 - beta1).mul_add(g - *first, *first);
                *second = (1.0 - beta2).mul_add(g * g, beta2 * *second);
                (-step).mul_add(*first / (second.sqrt() / root + float(&optimizer["epsilon"])), w)
            } else {
                *first = float(&optimizer["momentum"]).mul_add(*first, g);
                (-rate).mul_add(*first, w)
            };
            let average = self.average[k];
            self.value[k] = new;
            self.average[k] = if gain == 1.0 { new } else { gain.mul_add(new - average, average) };
        }
    }
}

/// Every gradient times `f32(most / length)` if all of them together, from the first layer on, are longer than that.
fn shorten(gradients: &mut [(Vec<f32>, Vec<f32>)], most: f32) {
    let mut lanes = [0.0_f64; 16];
    let all = gradients.iter().rev().flat_map(|(dw, db)| dw.iter().chain(db));
    for (at, g) in all.enumerate() {
        lanes[at % 16] += f64::from(*g) * f64::from(*g);
    }
    for half in [8, 4, 2, 1] {
        for j in 0..half {
            lanes[j] += lanes[j + half];
        }
    }
    let length = lanes[0].sqrt();
    if length > f64::from(most) {
        let factor = (f64::from(most) / length) as f32;
        gradients.iter_mut().flat_map(|(dw, db)| dw.iter_mut().chain(db)).for_each(|g| *g *= factor);
    }
}

/// `1 - beta^n` in f64 by squaring from the lowest bit of n, then rounded.
fn correction(beta: f32, mut n: u64) -> f32 {
    let (mut power, mut square) = (1.0_f64, f64::from(beta));
    while n > 0 {
        if n % 2 == 1 {
            power *= square;
        }
        square *= square;
        n /= 2;
    }
    (1.0 - power) as f32
}

/// Subtract the maximum, exponentiate, divide by the sum in 16 strided lanes.
fn softmax(z: &mut [f32]) {
    let most = z.iter().fold(f32::NEG_INFINITY, |most, z| if *z > most { *z } else { most });
    let mut lanes = [0.0_f32; 16];
    for (j, z) in z.iter_mut().enumerate() {
        *z = poly::exp(*z - most);
        lanes[j % 16] += *z;
    }
    for half in [8, 4, 2, 1] {
        for j in 0..half {
            lanes[j] += lanes[j + half];
        }
    }
    z.iter_mut().for_each(|z| *z /= lanes[0]);
}

impl Moments {
    /// Merges the values of one slice, none of them missing (Chan, Golub and LeVeque 1979).
    fn take_in(&mut self, values: Vec<f32>) {
        if values.is_empty() {
            return;
        }
        let mut new = Moments { count: values.len() as u64, ..Moments::default() };
        values.iter().for_each(|x| new.mean += f64::from(*x));
        new.mean /= new.count as f64;
        for x in values {
            let deviation = f64::from(x) - new.mean;
            new.m2 += deviation * deviation;
        }
        if self.count == 0 {
            *self = new;
            return;
        }
        let (na, nb) = (self.count as f64, new.count as f64);
        let n = na + nb;
        let d = new.mean - self.mean;
        self.mean += d * (nb / n);
        self.m2 += new.m2 + d * d * (na * nb / n);
        self.count += new.count;
    }

    fn shift(&self) -> f32 {
        self.mean as f32
    }

    fn gain(&self) -> f32 {
        if self.count == 0 || self.m2 == 0.0 {
            return 1.0;
        }
        let gain = (1.0 / (self.m2 / self.count as f64).sqrt()) as f32;
        if gain.is_finite() { gain } else { 1.0 }
    }
}

/// The words of ChaCha20 (RFC 8439) with a 64-bit counter from 0 and a nonce of 0.
struct ChaCha {
    key: [u8; 32],
    counter: u64,
    /// Of the block at hand, in reverse.
    words: Vec<u32>,
}

impl ChaCha {
    /// 23 bits of the next word as a fraction of one.
    fn fraction(&mut self) -> f32 {
        if self.words.is_empty() {
            self.words = self.block();
            self.words.reverse();
            self.counter += 1;
        }
        (self.words.pop().unwrap() >> 9) as f32 / 8_388_608.0
    }

    fn block(&self) -> Vec<u32> {
        let mut start: Vec<u32> = Vec::new();
        let counter = [self.counter.to_le_bytes(), [0; 8]].concat();
        for bytes in [b"expand 32-byte k".as_slice(), &self.key, &counter] {
            start.extend(bytes.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())));
        }
        let mut x = start.clone();
        let mut quarter = |[a, b, c, d]: [usize; 4]| {
            for (to, from, at, left) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
                x[to] = x[to].wrapping_add(x[from]);
                x[at] = (x[at] ^ x[to]).rotate_left(left);
            }
        };
        for _ in 0..10 {
            (0..4).for_each(|i| quarter([i, i + 4, i + 8, i + 12]));
            (0..4).for_each(|i| quarter([i, (i + 1) % 4 + 4, (i + 2) % 4 + 8, (i + 3) % 4 + 12]));
        }
        x.iter().zip(start).map(|(x, start)| x.wrapping_add(start)).collect()
    }
}
