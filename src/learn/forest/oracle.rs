//! The same forest from its rules, as plainly as can be: sets, recursion, every split counted from the rows. It shares the hash, and
//! nothing else, with the forest it checks.

use std::collections::BTreeSet;

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use super::ForestSettings;
use super::hash::word;
use crate::learn::{Layout, Task};

/// One record.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) numbers: Vec<f32>,
    pub(super) bytes: Vec<u8>,
    pub(super) categories: Vec<u32>,
    /// A class as a number, or the number.
    pub(super) label: f32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Number,
    Byte,
    Category(u32),
}

/// A tree.
#[derive(Debug)]
enum Tree {
    /// The labels of its rows.
    Leaf(Vec<u32>),
    Split {
        name: u16,
        attribute: usize,
        left: BTreeSet<u16>,
        children: Box<[Tree; 2]>,
    },
}

/// A forest.
#[derive(Debug)]
pub(super) struct Forest {
    settings: ForestSettings,
    layout: Layout,
    seed: [u8; 32],
    kinds: Vec<Kind>,
    /// For each record its bins.
    bins: Vec<Vec<u16>>,
    labels: Vec<u32>,
    trees: Vec<Tree>,
}

impl Forest {
    pub(super) fn of(settings: &ForestSettings, layout: &Layout, seed: [u8; 32], records: &[Record]) -> Forest {
        let mut kinds = vec![Kind::Number; layout.numbers];
        kinds.extend(vec![Kind::Byte; layout.byte_scales.len()]);
        for &size in &layout.categories {
            kinds.extend(if size > 256 { vec![Kind::Category(256); 2] } else { vec![Kind::Category(size)] });
        }
        let mut forest = Forest {
            settings: settings.clone(),
            layout: layout.clone(),
            seed,
            kinds,
            bins: records.iter().map(|record| bins(layout, record)).collect(),
            labels: records.iter().map(|record| target(layout, record.label)).collect(),
            trees: Vec::new(),
        };
        let mut keys = ChaCha20Rng::from_seed(seed);
        for _ in 0..settings.trees {
            let rooms = forest.kinds.iter().map(|kind| match kind {
                Kind::Number => (0..255).collect(),
                Kind::Byte => (0..256).collect(),
                Kind::Category(size) => (0..*size as u16).collect(),
            });
            let tree = forest.grow(keys.next_u64(), 0, rooms.collect(), (0..records.len()).collect());
            forest.trees.push(tree);
        }
        forest
    }

    fn grow(&self, key: u64, depth: u32, rooms: Vec<Vec<u16>>, rows: Vec<usize>) -> Tree {
        if depth < self.settings.depth && rows.len() >= self.settings.min_split as usize {
            let mut best = (self.merit(&[&rows]), None);
            for (name, attribute, left) in self.candidates(key, &rooms) {
                let (l, r): (Vec<usize>, Vec<usize>) = rows.iter().partition(|&&row| left.contains(&self.bins[row][attribute]));
                if l.is_empty() || r.is_empty() {
                    continue;
                }
                let merit = self.merit(&[&l, &r]);
                if merit.0 * best.0.1 > best.0.0 * merit.1 {
                    best = (merit, Some((name, attribute, left, l, r)));
                }
            }
            if let (_, Some((name, attribute, left, l, r))) = best {
                let children = [(l, true), (r, false)].map(|(rows, side)| {
                    let mut rooms = rooms.clone();
                    rooms[attribute].retain(|bin| left.contains(bin) == side);
                    self.grow(word(key, (3 << 32) | u64::from(!side)), depth + 1, rooms, rows)
                });
                return Tree::Split { name, attribute, left, children: Box::new(children) };
            }
        }
        Tree::Leaf(rows.iter().map(|&row| self.labels[row]).collect())
    }

    /// All candidates: name, attribute, the bins that go left.
    fn candidates(&self, key: u64, rooms: &[Vec<u16>]) -> Vec<(u16, usize, BTreeSet<u16>)> {
        let high = |hash: u64, end: u64| ((u128::from(hash) * u128::from(end)) >> 64) as u64;
        let mut open: Vec<usize> = (0..rooms.len()).filter(|&a| rooms[a].len() > 1).collect();
        let wanted = match self.settings.attributes {
            0 => (1..).take_while(|n| n * n <= 4 * rooms.len()).last().unwrap_or(1),
            wanted => wanted as usize,
        };
        let mut drawn = Vec::new();
        for i in 0..wanted as u64 {
            if !open.is_empty() {
                let other = high(word(key, (1 << 32) | i), open.len() as u64) as usize;
                open.swap(0, other);
                drawn.push(open.remove(0));
            }
        }
        drawn.sort_unstable();
        let most = u64::from(self.settings.cuts);
        let mut all = Vec::new();
        for (i, attribute) in drawn.into_iter().enumerate() {
            let room = &rooms[attribute];
            let key = word(key, (2 << 32) | attribute as u64);
            let first = i as u64 * (2 * most + 1);
            let mut add = |name: u64, left: BTreeSet<u16>| all.push(((first + name) as u16, attribute, left));
            if let Kind::Category(_) = self.kinds[attribute] {
                for j in 0..most {
                    let one = |hash| BTreeSet::from([room[high(hash, room.len() as u64) as usize]]);
                    if room.len() == 2 {
                        add(0, one(0));
                        break;
                    }
                    let half = |bin: &u16| (word(key, 4 * j + u64::from(bin / 64)) >> (bin % 64)) & 1 == 1;
                    add(2 * j, if j % 2 == 1 { one(word(key, 4 * j)) } else { room.iter().copied().filter(half).collect() });
                }
                continue;
            }
            let possible = room.len() as u64 - 1;
            for j in 0..most.min(possible) {
                let part = |j: u64| {
                    (u128::from(possible) * ((u128::from(j) << 32) + u128::from(word(key, j) >> 32)) / u128::from(most)) >> 32
                };
                let cut = room[0] + 1 + if possible <= most { j as u16 } else { part(j) as u16 };
                let below = |end: u16| (0..end).collect::<BTreeSet<u16>>();
                add(2 * j, below(cut));
                if self.kinds[attribute] == Kind::Number {
                    add(2 * j + 1, &below(cut) | &BTreeSet::from([255]));
                }
            }
            if self.kinds[attribute] == Kind::Number {
                add(2 * most, (0..255).collect());
            }
        }
        all
    }

    /// The sum over the groups of (the sum over the lanes of squared lane) / rows, as a fraction.
    fn merit(&self, groups: &[&Vec<usize>]) -> (u128, u128) {
        groups.iter().fold((0, 1), |(numerator, denominator), rows| {
            let n = rows.len().max(1) as u128;
            let squares = match self.layout.task {
                Task::Classes(classes) => {
                    let count = |class: u32| rows.iter().filter(|&&row| self.labels[row] == class).count() as u128;
                    (0..classes).map(|class| count(class).pow(2)).sum::<u128>()
                }
                Task::Number => rows.iter().map(|&row| u128::from(self.labels[row])).sum::<u128>().pow(2),
            };
            (numerator * n + squares * denominator, denominator * n)
        })
    }

    /// The bytes of its state.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.seed.to_vec();
        bytes.extend((self.labels.len() as u64).to_le_bytes());
        for attribute in 0..self.kinds.len() {
            bytes.extend(self.bins.iter().map(|bins| bins[attribute] as u8));
        }
        bytes.extend(self.labels.iter().flat_map(|label| label.to_le_bytes()));
        let names: Vec<Vec<u16>> = self.trees.iter().map(names).collect();
        bytes.extend(names.iter().flat_map(|names| (names.len() as u32).to_le_bytes()));
        bytes.extend(names.iter().flatten().flat_map(|name| name.to_le_bytes()));
        if self.settings.counts {
            self.trees.iter().for_each(|tree| self.counts(tree, &mut bytes));
        }
        bytes
    }

    /// What the leaves of a tree count, left to right.
    fn counts(&self, tree: &Tree, bytes: &mut Vec<u8>) {
        let labels = match tree {
            Tree::Split { children, .. } => return children.iter().for_each(|child| self.counts(child, bytes)),
            Tree::Leaf(labels) => labels,
        };
        let number = |mut n: u64, bytes: &mut Vec<u8>| {
            let mut groups = vec![(n % 128) as u8];
            while n > 127 {
                n /= 128;
                groups.push((n % 128) as u8);
            }
            let last = groups.pop().unwrap();
            bytes.extend(groups.iter().map(|group| group + 128));
            bytes.push(last);
        };
        let of = |class: u32| labels.iter().filter(|label| **label == class).count() as u64;
        match self.layout.task {
            Task::Number => {
                number(labels.len() as u64, bytes);
                number(labels.iter().map(|label| u64::from(*label)).sum(), bytes);
            }
            Task::Classes(classes) if classes <= 4 => (0..classes).for_each(|class| number(of(class), bytes)),
            Task::Classes(classes) => {
                number((0..classes).filter(|class| of(*class) > 0).count() as u64, bytes);
                for class in (0..classes).filter(|class| of(*class) > 0) {
                    number(class.into(), bytes);
                    number(of(class), bytes);
                }
            }
        }
    }

    /// The scores of a record.
    pub(super) fn scores(&self, record: &Record) -> Vec<f32> {
        let bins = bins(&self.layout, record);
        let mut total = vec![0.0; self.layout.task.outputs()];
        for tree in &self.trees {
            let labels = leaf(tree, &bins);
            for (class, total) in total.iter_mut().enumerate() {
                *total += match (self.layout.task, labels.len()) {
                    (Task::Classes(classes), 0) => 1.0 / classes as f32,
                    (Task::Classes(_), n) => labels.iter().filter(|&&label| label as usize == class).count() as f32 / n as f32,
                    (Task::Number, n) => {
                        let [low, high] = self.layout.label_range.unwrap().0.map(f64::from);
                        let sum = labels.iter().map(|&label| u64::from(label)).sum::<u64>() as f64;
                        (low + sum / n.max(1) as f64 / 16_777_216.0 * (high - low)) as f32
                    }
                };
            }
        }
        total.iter().map(|total| total / self.trees.len() as f32).collect()
    }
}

fn bins(layout: &Layout, record: &Record) -> Vec<u16> {
    let mut bins = Vec::new();
    for (x, range) in record.numbers.iter().zip(&layout.ranges) {
        let [low, high] = range.unwrap().0.map(f64::from);
        let bin = ((f64::from(*x) - low) * (255.0 / (high - low))).floor();
        bins.push(if x.is_nan() { 255 } else { bin.clamp(0.0, 254.0) as u16 });
    }
    bins.extend(record.bytes.iter().map(|&byte| u16::from(byte)));
    for (&value, &size) in record.categories.iter().zip(&layout.categories) {
        let folded = |fold: u64| (word(fold, (4 << 32) | u64::from(value)) / (1 << 56)) as u16;
        bins.extend(if size > 256 { vec![folded(0), folded(1)] } else { vec![value as u16] });
    }
    bins
}

fn target(layout: &Layout, label: f32) -> u32 {
    let Some(range) = layout.label_range else {
        return label as u32;
    };
    let [low, high] = range.0.map(f64::from);
    ((f64::from(label) - low) / (high - low) * 16_777_216.0 + 0.5).floor().clamp(0.0, 16_777_216.0) as u32
}

fn names(tree: &Tree) -> Vec<u16> {
    match tree {
        Tree::Leaf(_) => vec![65_535],
        Tree::Split { name, children, .. } => [vec![*name], names(&children[0]), names(&children[1])].concat(),
    }
}

fn leaf<'a>(tree: &'a Tree, bins: &[u16]) -> &'a [u32] {
    match tree {
        Tree::Leaf(labels) => labels,
        Tree::Split { attribute, left, children, .. } => leaf(&children[usize::from(!left.contains(&bins[*attribute]))], bins),
    }
}
