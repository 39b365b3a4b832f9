//! The same trees from the page, as plainly as can be: maps of codes, every sum taken from the rows again. It shares the polynomials of `num`, and
//! nothing else, with the learner it checks.

use std::collections::{BTreeMap, BTreeSet};

use super::{BoostSettings, Growth};
use crate::learn::{Layout, Task};
use crate::num::{poly, sum};

/// One record.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) numbers: Vec<f32>,
    pub(super) bytes: Vec<u8>,
    pub(super) categories: Vec<u32>,
    /// A class as a number, or the number.
    pub(super) label: f32,
}

/// A tree.
#[derive(Debug)]
enum Tree {
    Leaf(i32),
    Split { column: usize, left: Left, children: Box<[Tree; 2]> },
}

/// What goes left.
#[derive(Clone, Debug)]
enum Left {
    Codes(u16, u16),
    Set(BTreeSet<u16>),
}

impl Left {
    fn has(&self, code: u16) -> bool {
        match self {
            Left::Codes(first, last) => (*first..=*last).contains(&code),
            Left::Set(set) => set.contains(&code),
        }
    }
}

/// A state.
#[derive(Debug)]
pub(super) struct Boost {
    settings: BoostSettings,
    layout: Layout,
    rows: u64,
    base: Vec<i64>,
    trees: Vec<Tree>,
}

/// A sum of derivatives.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sum {
    g: i64,
    h: i64,
}

impl Sum {
    fn of<'a>(rows: impl Iterator<Item = &'a Sum>) -> Sum {
        rows.fold(Sum::default(), |a, b| Sum { g: a.g + b.g, h: a.h + b.h })
    }

    fn without(self, other: Sum) -> Sum {
        Sum { g: self.g - other.g, h: self.h - other.h }
    }

    fn fit(self, lambda: f64) -> f64 {
        self.g as f64 * self.g as f64 / (self.h as f64 + lambda)
    }
}

/// What a step's rows say about one column.
#[derive(Debug)]
struct Column {
    category: bool,
    /// For each code its bin.
    bins: BTreeMap<u16, usize>,
    /// For each bin from 1 the greatest code left of a cut above it, or its category.
    codes: Vec<u16>,
}

/// A tree that is being grown.
#[derive(Debug)]
struct Grown {
    depth: u32,
    rows: Vec<usize>,
    split: Option<(f64, usize, Left)>,
}

impl Boost {
    pub(super) fn of(settings: &BoostSettings, layout: &Layout) -> Boost {
        Boost { settings: settings.clone(), layout: layout.clone(), rows: 0, base: vec![0; models(layout)], trees: Vec::new() }
    }

    /// Step r of `of`: the visited rows, and how many rows its slices have.
    pub(super) fn step(&mut self, visited: &[Record], rows: u64, (r, of): (u64, u64)) {
        self.rows = rows;
        let layout = self.layout.clone();
        let targets: Vec<i64> = visited.iter().map(|record| target(&layout, record.label)).collect();
        let codes: Vec<Vec<u16>> = visited.iter().map(|record| codes(&layout, record)).collect();
        if visited.is_empty() {
            return;
        }
        if self.trees.is_empty() {
            self.base = base(&layout, &targets);
        }
        let mut raw: Vec<Vec<i64>> = codes.iter().map(|codes| self.raw(codes)).collect();
        let columns: Vec<Column> = (0..codes[0].len())
            .map(|column| {
                let category = column >= layout.numbers + layout.byte_scales.len();
                Column::of(category, codes.iter().map(|codes| codes[column]), self.settings.bins as usize)
            })
            .collect();
        let rounds = u64::from(self.settings.rounds);
        for _ in rounds * (r - 1) / of..rounds * r / of {
            let before = raw.clone();
            for model in 0..models(&layout) {
                let (sums, unit, scale) = slopes(&layout, model, &before, &targets);
                let tree = self.grow(&columns, &codes, &sums, unit, scale);
                for (raw, codes) in raw.iter_mut().zip(&codes) {
                    raw[model] += i64::from(leaf(&tree, codes));
                }
                self.trees.push(tree);
            }
        }
    }

    fn grow(&self, columns: &[Column], codes: &[Vec<u16>], sums: &[Sum], unit: f64, scale: f64) -> Tree {
        let mut nodes = vec![Grown { depth: 0, rows: (0..sums.len()).collect(), split: None }];
        let mut children: BTreeMap<usize, [usize; 2]> = BTreeMap::new();
        nodes[0].split = self.best(columns, codes, sums, unit, &nodes[0]);
        while nodes.len() < 2 * self.settings.leaves as usize - 1 {
            let mut next: Option<usize> = None;
            for (i, node) in nodes.iter().enumerate().filter(|(i, node)| node.split.is_some() && !children.contains_key(i)) {
                let gain = |node: &Grown| node.split.as_ref().unwrap().0;
                let better = next.is_none_or(|next| match self.settings.growth {
                    Growth::Leaf => gain(node) > gain(&nodes[next]),
                    Growth::Depth => node.depth < nodes[next].depth,
                });
                next = if better { Some(i) } else { next };
            }
            let Some(next) = next else { break };
            let (_, column, left) = nodes[next].split.clone().unwrap();
            let (l, r) = nodes[next].rows.iter().partition(|&&row| left.has(codes[row][column]));
            children.insert(next, [nodes.len(), nodes.len() + 1]);
            for rows in [l, r] {
                let mut node = Grown { depth: nodes[next].depth + 1, rows, split: None };
                node.split = self.best(columns, codes, sums, unit, &node);
                nodes.push(node);
            }
        }
        self.finish(0, &nodes, &children, sums, unit, scale)
    }

    fn finish(
        &self,
        node: usize,
        nodes: &[Grown],
        children: &BTreeMap<usize, [usize; 2]>,
        sums: &[Sum],
        unit: f64,
        scale: f64,
    ) -> Tree {
        if let Some(pair) = children.get(&node) {
            let (_, column, left) = nodes[node].split.clone().unwrap();
            let both = pair.map(|child| self.finish(child, nodes, children, sums, unit, scale));
            return Tree::Split { column, left, children: Box::new(both) };
        }
        let whole = Sum::of(nodes[node].rows.iter().map(|&row| &sums[row]));
        let quotient = whole.g as f64 / (whole.h as f64 + f64::from(self.settings.l2) * unit);
        let value = -f64::from(self.settings.rate) * (quotient * scale);
        let value = if quotient.is_nan() { 0.0 } else { (value + 0.5).floor() };
        Tree::Leaf(value.clamp(-1_073_741_824.0, 1_073_741_824.0) as i32)
    }

    /// The best split of a node: gain, column, what goes left.
    fn best(&self, columns: &[Column], codes: &[Vec<u16>], sums: &[Sum], unit: f64, node: &Grown) -> Option<(f64, usize, Left)> {
        let n = node.rows.len() as i64;
        if n < 2 * i64::from(self.settings.min_rows) || (self.settings.depth > 0 && node.depth >= self.settings.depth) {
            return None;
        }
        let whole = Sum::of(node.rows.iter().map(|&row| &sums[row]));
        let weight = |rows: i64| (rows * whole.h + n - 1) / n;
        let lambda = f64::from(self.settings.l2) * unit;
        let least =
            ((f64::from(self.settings.min_weight) * unit).ceil() as i64).max(1).max(weight(self.settings.min_rows.into()));
        let mut best: Option<(f64, usize, Left)> = None;
        for (c, column) in columns.iter().enumerate() {
            let mut of_bins = vec![Sum::default(); column.codes.len() + 1];
            for &row in &node.rows {
                let bin = &mut of_bins[column.bins[&codes[row][c]]];
                *bin = Sum::of([*bin, sums[row]].iter());
            }
            let mut found: Option<(f64, Left)> = None;
            let mut offer = |left: Sum, lambda: f64, to: Left| {
                let fit = left.fit(lambda) + whole.without(left).fit(lambda);
                if found.as_ref().is_none_or(|found| fit > found.0) {
                    found = Some((fit, to));
                }
            };
            if column.category {
                let few = column.codes.len() <= 4;
                let (lambda, group, floor) = match few {
                    true => (lambda, 1, 1),
                    false => (lambda + 10.0 * unit, weight(100), weight(10).max(1)),
                };
                let slope = |bin: usize| of_bins[bin].g as f64 / (of_bins[bin].h as f64 + 10.0 * unit);
                let mut order: Vec<usize> = (1..of_bins.len()).filter(|&bin| of_bins[bin].h >= floor).collect();
                order.sort_by(|&a, &b| slope(a).total_cmp(&slope(b)).then(a.cmp(&b)));
                for backward in [false, true] {
                    let (mut set, mut last) = (BTreeSet::new(), 0);
                    for i in 0..order.len().min(32) {
                        set.insert(order[if backward { order.len() - 1 - i } else { i }]);
                        let left = Sum::of(set.iter().map(|&bin| &of_bins[bin]));
                        if left.h >= least && left.h - last >= group {
                            if whole.h - left.h < least.max(group) {
                                break;
                            }
                            last = left.h;
                            offer(left, lambda, Left::Set(set.iter().map(|&bin| column.codes[bin - 1]).collect()));
                        }
                    }
                }
            } else {
                for first in [1, 0] {
                    for last in 1..of_bins.len() {
                        let left = Sum::of(of_bins[first..=last].iter());
                        if left.h >= least && whole.h - left.h >= least {
                            offer(left, lambda, Left::Codes(first as u16, column.codes[last - 1]));
                        }
                    }
                }
            }
            if let Some((fit, left)) = found
                && best.as_ref().is_none_or(|best| fit > best.0)
            {
                best = Some((fit, c, left));
            }
        }
        let (fit, column, left) = best?;
        let gain = fit - whole.fit(lambda);
        (fit > whole.fit(lambda)).then_some((gain, column, left))
    }

    fn raw(&self, codes: &[u16]) -> Vec<i64> {
        let mut raw = self.base.clone();
        for (i, tree) in self.trees.iter().enumerate() {
            raw[i % self.base.len()] += i64::from(leaf(tree, codes));
        }
        raw
    }

    /// The bytes of its state.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.rows.to_le_bytes().to_vec();
        bytes.extend(self.base.iter().flat_map(|base| base.to_le_bytes()));
        bytes.extend((self.trees.len() as u32).to_le_bytes());
        self.trees.iter().for_each(|tree| write(tree, &mut bytes));
        bytes
    }

    /// The scores of a record.
    pub(super) fn scores(&self, record: &Record) -> Vec<f32> {
        let raw = self.raw(&codes(&self.layout, record));
        match self.layout.task {
            Task::Classes(2) => {
                let p = shares(&self.layout, &raw)[0];
                vec![1.0 - p, p]
            }
            Task::Classes(_) => shares(&self.layout, &raw),
            Task::Number => {
                let [low, high] = self.layout.label_range.unwrap().0.map(f64::from);
                vec![(low + raw[0] as f64 / 16_777_216.0 * (high - low)) as f32]
            }
        }
    }
}

impl Column {
    fn of(category: bool, codes: impl Iterator<Item = u16>, most: usize) -> Column {
        let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
        codes.for_each(|code| *counts.entry(code).or_default() += 1);
        let mut bins: BTreeMap<u16, usize> = counts.keys().map(|&code| (code, 0)).collect();
        let mut of_bins = Vec::new();
        if category {
            let mut by_count: Vec<(usize, u16)> = counts.iter().map(|(&code, &count)| (usize::MAX - count, code)).collect();
            by_count.sort_unstable();
            of_bins = by_count.iter().take(most).map(|&(_, code)| code).collect();
            of_bins.sort_unstable();
            of_bins.iter().enumerate().for_each(|(i, &code)| *bins.get_mut(&code).unwrap() = i + 1);
            return Column { category, bins, codes: of_bins };
        }
        counts.remove(&0);
        let present: Vec<(u16, usize)> = counts.into_iter().collect();
        let (mut held, mut left) = (0, present.iter().map(|p| p.1).sum::<usize>());
        for (i, &(code, count)) in present.iter().enumerate() {
            *bins.get_mut(&code).unwrap() = of_bins.len() + 1;
            held += count;
            match present.get(i + 1) {
                None => of_bins.push(u16::MAX),
                Some((next, _)) if present.len() <= most || held * (most - of_bins.len()) >= left => {
                    of_bins.push(((u32::from(code) + u32::from(*next)) / 2) as u16);
                    (left, held) = (left - held, 0);
                }
                Some(_) => {}
            }
        }
        Column { category, bins, codes: of_bins }
    }
}

fn models(layout: &Layout) -> usize {
    match layout.task {
        Task::Classes(2) | Task::Number => 1,
        Task::Classes(n) => n as usize,
    }
}

fn codes(layout: &Layout, record: &Record) -> Vec<u16> {
    let mut codes = Vec::new();
    for (x, range) in record.numbers.iter().zip(&layout.ranges) {
        codes.push(match range {
            _ if x.is_nan() => 0,
            Some(range) => {
                let [low, high] = range.0.map(f64::from);
                1 + ((f64::from(*x) - low) * (65_535.0 / (high - low))).floor().clamp(0.0, 65_534.0) as u16
            }
            None => {
                // Floats of one sign are ordered as their bits are.
                let upper = (x.abs().to_bits() >> 16) as u16;
                if *x < 0.0 { 32_768 - upper } else { 32_769 + upper }
            }
        });
    }
    codes.extend(record.bytes.iter().map(|&byte| 1 + u16::from(byte)));
    codes.extend(record.categories.iter().map(|&value| (value % 65_536) as u16));
    codes
}

fn target(layout: &Layout, label: f32) -> i64 {
    let Some(range) = layout.label_range else {
        return label as i64;
    };
    let [low, high] = range.0.map(f64::from);
    ((f64::from(label) - low) / (high - low) * 16_777_216.0 + 0.5).floor().clamp(0.0, 16_777_216.0) as i64
}

fn base(layout: &Layout, targets: &[i64]) -> Vec<i64> {
    let count = |class: i64| 1.0 + targets.iter().filter(|t| **t == class).count() as f64;
    let score = |odds: f64| (poly::ln_f64(odds) * 1_048_576.0 + 0.5).floor() as i64;
    match layout.task {
        Task::Classes(2) => vec![score(count(1) / count(0))],
        Task::Classes(n) => (0..n).map(|class| score(count(class.into()) / (targets.len() as f64 + f64::from(n)))).collect(),
        Task::Number => {
            let n = targets.len() as i64;
            vec![(2 * targets.iter().sum::<i64>() + n) / (2 * n)]
        }
    }
}

/// The shares of a row's classes; of two classes that of class 1.
fn shares(layout: &Layout, raw: &[i64]) -> Vec<f32> {
    let z: Vec<f32> = raw.iter().map(|&raw| (raw as f64 / 1_048_576.0) as f32).collect();
    if layout.task == Task::Classes(2) {
        return vec![1.0 / (1.0 + poly::exp(0.0 - z[0]))];
    }
    let most = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = z.iter().map(|z| poly::exp(z - most)).collect();
    let total = sum::sum(&powers);
    powers.iter().map(|power| power / total).collect()
}

/// Each row's derivatives, what a second derivative of 1 is, and what makes a score of a quotient.
fn slopes(layout: &Layout, model: usize, raw: &[Vec<i64>], targets: &[i64]) -> (Vec<Sum>, f64, f64) {
    let one = 1i64 << 30;
    let exact: Vec<Sum> = raw
        .iter()
        .zip(targets)
        .map(|(raw, &target)| match layout.task {
            Task::Number => Sum { g: (raw[0] - target).clamp(-one, one), h: 1 },
            Task::Classes(n) => {
                let (of, factor) = if n == 2 { (1, (1, 1)) } else { (model as i64, (i64::from(n), (i64::from(n) - 1).max(1))) };
                let share = (f64::from(shares(layout, raw)[model]) * one as f64).floor() as i64;
                Sum { g: share - if target == of { one } else { 0 }, h: share * (one - share) / one * factor.0 / factor.1 }
            }
        })
        .collect();
    let width = 31 - (64 - (targets.len() as u64).leading_zeros());
    let shift = |most: i64| (64 - most.leading_zeros()).saturating_sub(width);
    let by_g = shift(exact.iter().map(|s| s.g.abs()).max().unwrap());
    let by_h = if layout.task == Task::Number { 0 } else { shift(exact.iter().map(|s| s.h).max().unwrap()) };
    let round = |x: i64, by: u32| if by == 0 { x } else { (x as f64 / two(by as i32) + 0.5).floor() as i64 };
    let sums = exact.iter().map(|s| Sum { g: round(s.g, by_g), h: round(s.h, by_h) }).collect();
    match layout.task {
        Task::Number => (sums, 1.0, two(by_g as i32)),
        Task::Classes(_) => (sums, two(30 - by_h as i32), two(by_g as i32 - by_h as i32 + 20)),
    }
}

fn two(exponent: i32) -> f64 {
    (0..exponent.abs()).fold(1.0, |power, _| if exponent < 0 { power / 2.0 } else { power * 2.0 })
}

fn leaf(tree: &Tree, codes: &[u16]) -> i32 {
    match tree {
        Tree::Leaf(value) => *value,
        Tree::Split { column, left, children } => leaf(&children[usize::from(!left.has(codes[*column]))], codes),
    }
}

fn write(tree: &Tree, bytes: &mut Vec<u8>) {
    match tree {
        Tree::Leaf(value) => {
            bytes.push(0);
            bytes.extend(value.to_le_bytes());
        }
        Tree::Split { column, left, children } => {
            bytes.push(if matches!(left, Left::Codes(..)) { 1 } else { 2 });
            bytes.extend((*column as u32).to_le_bytes());
            match left {
                Left::Codes(first, last) => bytes.extend([*first, *last].iter().flat_map(|code| code.to_le_bytes())),
                Left::Set(set) => {
                    bytes.extend((set.len() as u16).to_le_bytes());
                    bytes.extend(set.iter().flat_map(|code| code.to_le_bytes()));
                }
            }
            children.iter().for_each(|child| write(child, bytes));
        }
    }
}
