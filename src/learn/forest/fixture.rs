//! Rows, layouts and histories for the tests of the forest.

use std::collections::BTreeSet;

use ndarray::Array2;

use super::ForestSettings;
use super::oracle::Record;
use super::{Forest, hash};
use crate::learn::testing::Lanes;
use crate::learn::{Features, Labels, Layout, Learner, Range, Removal, Rows, State, Step, Task, Visit};
use crate::num::Team;

pub(super) const SEED: [u8; 32] = [7; 32];

/// One slice.
#[derive(Debug)]
pub(super) struct Slice {
    numbers: Array2<f32>,
    bytes: Array2<u8>,
    categories: Array2<u32>,
    labels: Vec<f32>,
    classes: Option<Vec<u32>>,
}

impl Slice {
    pub(super) fn of(layout: &Layout, records: &[Record]) -> Slice {
        let rows = records.len();
        let labels: Vec<f32> = records.iter().map(|r| r.label).collect();
        Slice {
            numbers: Array2::from_shape_fn((rows, layout.numbers), |(i, j)| records[i].numbers[j]),
            bytes: Array2::from_shape_fn((rows, layout.byte_scales.len()), |(i, j)| records[i].bytes[j]),
            categories: Array2::from_shape_fn((rows, layout.categories.len()), |(i, j)| records[i].categories[j]),
            classes: (layout.task != Task::Number).then(|| labels.iter().map(|&label| label as u32).collect()),
            labels,
        }
    }

    pub(super) fn rows(&self) -> Rows<'_> {
        let features = Features { numbers: self.numbers.view(), bytes: self.bytes.view(), categories: self.categories.view() };
        let labels = self.classes.as_ref().map_or(Labels::Numbers(&self.labels), |classes| Labels::Classes(classes));
        Rows { features, labels }
    }
}

/// A source of numbers of its own.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 += 1;
        hash::below(hash::word(1, self.0), end)
    }

    /// Records with few distinct values, so that merits tie, and with labels that follow from them with some noise.
    pub(super) fn records(&mut self, layout: &Layout, count: usize) -> Vec<Record> {
        (0..count)
            .map(|_| {
                let numbers: Vec<f32> = (0..layout.numbers)
                    .map(|column| match self.below(10) {
                        0 if column != 1 => f32::NAN,
                        1 => [f32::INFINITY, -1e30, 0.0, 10.0][self.below(4)],
                        _ => self.below(23) as f32 * 0.5,
                    })
                    .collect();
                let bytes: Vec<u8> = layout.byte_scales.iter().map(|_| self.below(256) as u8).collect();
                let categories: Vec<u32> = layout.categories.iter().map(|&size| self.below(size as usize) as u32).collect();
                let mut sum = usize::from(numbers.first().is_some_and(|&x| x > 4.0));
                sum += usize::from(bytes.first().is_some_and(|&b| b > 100)) + categories.first().map_or(0, |&c| c as usize % 2);
                let label = match layout.task {
                    Task::Classes(n) if self.below(6) == 0 => self.below(n as usize) as f32,
                    Task::Classes(n) => (sum % n as usize) as f32,
                    Task::Number => sum as f32 * 7.3 + self.below(5) as f32 - 3.0,
                };
                Record { numbers, bytes, categories, label }
            })
            .collect()
    }
}

pub(super) fn layout(numbers: usize, bytes: usize, categories: &[u32], task: Task) -> Layout {
    Layout {
        numbers,
        ranges: vec![Some(Range([0.0, 10.0])); numbers],
        indicators: vec![],
        byte_scales: vec![1.0; bytes],
        categories: categories.to_vec(),
        task,
        label_range: (task == Task::Number).then_some(Range([-2.0, 20.0])),
    }
}

/// Layouts of all kinds, and settings for them.
pub(super) fn cases() -> Vec<(Layout, ForestSettings)> {
    let small = ForestSettings { trees: 3, depth: 6, attributes: 3, cuts: 4, min_split: 2, counts: false };
    let wide = ForestSettings { trees: 2, depth: 40, attributes: 0, cuts: 7, min_split: 5, counts: true };
    let counted = ForestSettings { counts: true, ..small.clone() };
    vec![
        (layout(3, 2, &[5, 2, 70], Task::Classes(2)), small.clone()),
        (layout(2, 1, &[300, 1], Task::Classes(4)), small.clone()),
        (layout(3, 1, &[9], Task::Number), small.clone()),
        (layout(2, 1, &[3], Task::Classes(7)), counted.clone()),
        (layout(3, 0, &[4], Task::Number), counted),
        (layout(2, 0, &[], Task::Classes(2)), wide.clone()),
        (layout(0, 3, &[256, 257], Task::Classes(3)), wide.clone()),
        (layout(0, 0, &[4, 3], Task::Number), ForestSettings { depth: 1, ..wide.clone() }),
        (layout(0, 0, &[], Task::Classes(2)), small),
        (layout(1, 40, &[], Task::Classes(2)), wide),
    ]
}

pub(super) fn forest(settings: &ForestSettings) -> Forest {
    Forest::of_checked(settings.clone())
}

/// The state of slices, trained on all of them in one step.
pub(super) fn scratch(settings: &ForestSettings, layout: &Layout, slices: &[Vec<Record>], lanes: usize) -> Box<dyn State> {
    let mut state = forest(settings).init(layout, SEED);
    step(&mut *state, layout, slices, lanes);
    state
}

pub(super) fn step(state: &mut dyn State, layout: &Layout, slices: &[Vec<Record>], lanes: usize) {
    let slices: Vec<Slice> = slices.iter().map(|records| Slice::of(layout, records)).collect();
    let prefix: Vec<Rows<'_>> = slices.iter().map(Slice::rows).collect();
    let slice = prefix.len() as u32 - 1;
    let visits: Vec<Visit> =
        (0..prefix.last().unwrap().features.rows() as u32).map(|row| Visit { slice, row, progress: 0 }).collect();
    state.step(&Step { index: slice + 1, of: 9, prefix: &prefix, visits: &visits, crew: &Lanes(lanes) }).unwrap();
}

pub(super) fn remove(state: &mut dyn State, layout: &Layout, slices: &mut [Vec<Record>], gone: &[Vec<u32>], lanes: usize) {
    let before: Vec<Slice> = slices.iter().map(|records| Slice::of(layout, records)).collect();
    let rows: Vec<Rows<'_>> = before.iter().map(Slice::rows).collect();
    state.downdate(&Removal { before: &rows, gone, team: Team::of(lanes) }).unwrap();
    for (records, gone) in slices.iter_mut().zip(gone) {
        let gone: BTreeSet<u32> = gone.iter().copied().collect();
        let mut row = 0..;
        records.retain(|_| !gone.contains(&row.next().unwrap()));
    }
}

/// The bytes of a state without some rows, from its bytes.
pub(super) fn without(
    settings: &ForestSettings,
    layout: &Layout,
    bytes: &[u8],
    slices: &[Vec<Record>],
    gone: &[Vec<u32>],
    lanes: usize,
) -> Vec<u8> {
    let before: Vec<Slice> = slices.iter().map(|records| Slice::of(layout, records)).collect();
    let rows: Vec<Rows<'_>> = before.iter().map(Slice::rows).collect();
    forest(settings).without(layout, bytes, &Removal { before: &rows, gone, team: Team::of(lanes) }).unwrap()
}

/// Some rows of some slices.
pub(super) fn some(dice: &mut Dice, slices: &[Vec<Record>], count: usize) -> Vec<Vec<u32>> {
    let mut places: Vec<(usize, u32)> =
        slices.iter().enumerate().flat_map(|(s, records)| (0..records.len() as u32).map(move |row| (s, row))).collect();
    let mut gone = vec![BTreeSet::new(); slices.len()];
    for _ in 0..count.min(places.len()) {
        let (slice, row) = places.swap_remove(dice.below(places.len()));
        gone[slice].insert(row);
    }
    gone.into_iter().map(|rows| rows.into_iter().collect()).collect()
}
