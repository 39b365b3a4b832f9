//! Rows, layouts and steps for the tests of `boost`.

use ndarray::Array2;

use super::oracle::Record;
use super::{Boost, BoostSettings, Growth};
use crate::learn::testing::Lanes;
use crate::learn::{Features, Labels, Layout, Range, Rows, Scorer, State, Step, Task, Visit};
use crate::num::Isa;

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
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end
    }

    /// Records with few distinct values, so that gains tie, some of them missing or beyond the ends; labels follow from them with some noise.
    pub(super) fn records(&mut self, layout: &Layout, count: usize) -> Vec<Record> {
        (0..count)
            .map(|_| {
                let numbers: Vec<f32> = (0..layout.numbers)
                    .map(|column| match self.below(10) {
                        0 if column != 1 => f32::NAN,
                        1 => [f32::INFINITY, -1e30, -0.0, 10.0, -0.37][self.below(5)],
                        2 => self.below(100_000) as f32 * 1e-4,
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
        ranges: (0..numbers).map(|column| (column % 3 != 2).then_some(Range([0.0, 10.0]))).collect(),
        indicators: vec![],
        byte_scales: vec![1.0; bytes],
        categories: categories.to_vec(),
        task,
        label_range: (task == Task::Number).then_some(Range([-2.0, 20.0])),
    }
}

/// Layouts of all kinds, and settings for them.
pub(super) fn cases() -> Vec<(Layout, BoostSettings)> {
    let small = BoostSettings { rounds: 6, leaves: 5, min_rows: 2, rate: 0.3, ..BoostSettings::default() };
    let wide = BoostSettings { rounds: 4, leaves: 40, min_rows: 1, l2: 0.0, min_weight: 0.0, bins: 20, ..small.clone() };
    let level = BoostSettings { growth: Growth::Depth, depth: 3, leaves: 7, min_weight: 2.0, ..small.clone() };
    vec![
        (layout(3, 2, &[5, 2, 70], Task::Classes(2)), small.clone()),
        (layout(3, 1, &[300, 1], Task::Classes(4)), small.clone()),
        (layout(3, 1, &[9], Task::Number), small.clone()),
        (layout(2, 0, &[], Task::Classes(2)), wide.clone()),
        (layout(0, 3, &[256, 257], Task::Classes(3)), wide.clone()),
        (layout(4, 0, &[4, 3], Task::Number), level.clone()),
        (layout(0, 0, &[], Task::Classes(2)), small.clone()),
        (layout(1, 40, &[], Task::Classes(2)), level),
        (layout(2, 0, &[70_000, 2, 2, 2, 2], Task::Number), wide),
        (layout(2, 0, &[12, 30], Task::Classes(2)), BoostSettings { leaves: 12, min_rows: 10, ..small }),
    ]
}

pub(super) fn boost(settings: &BoostSettings) -> Boost {
    Boost::of_checked(settings.clone())
}

pub(super) fn boost_on(settings: &BoostSettings, isa: Isa) -> Boost {
    Boost { isa, ..boost(settings) }
}

/// Visits of every row of the slices from `from` on.
pub(super) fn visits(slices: &[Vec<Record>], from: usize) -> Vec<Visit> {
    let of = |slice: usize| (0..slices[slice].len() as u32).map(move |row| Visit { slice: slice as u32, row, progress: 0 });
    (from..slices.len()).flat_map(of).collect()
}

/// One step on the slices, the last of which is new.
pub(super) fn step(state: &mut dyn State, layout: &Layout, slices: &[Vec<Record>], visits: &[Visit], of: u32, lanes: usize) {
    let slices: Vec<Slice> = slices.iter().map(|records| Slice::of(layout, records)).collect();
    let prefix: Vec<Rows<'_>> = slices.iter().map(Slice::rows).collect();
    state.step(&Step { index: prefix.len() as u32, of, prefix: &prefix, visits, crew: &Lanes(lanes) }).unwrap();
}

/// The scores of some records.
pub(super) fn scores(state: &dyn Scorer, layout: &Layout, records: &[Record], lanes: usize) -> Vec<u32> {
    let mut scores = vec![f32::NAN; records.len() * layout.task.outputs()];
    let asked = Slice::of(layout, records);
    state.scores(&asked.rows().features, &crate::num::Team::of(lanes), &mut scores);
    scores.iter().map(|score| score.to_bits()).collect()
}
