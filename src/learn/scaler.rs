//! Shift and gain of number columns and of a regression target, from the rows that a state has seen.

use super::{Labels, Layout, Rows, Task};
use crate::num::{Team, moments::Moments};

/// `(x - shift) * gain` brings a column to mean 0 and deviation 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    /// The mean of the column.
    pub(super) shift: f32,
    /// One over its deviation, or 1 where that says nothing.
    pub(super) gain: f32,
}

impl Scale {
    fn of(moments: &Moments) -> Scale {
        let deviation = (moments.m2 / moments.count as f64).sqrt();
        let gain = (1.0 / deviation) as f32;
        // Of no values the deviation is 0 / 0 (not finite either), of equal ones 0, whose inverse is infinite.
        Scale { shift: moments.mean as f32, gain: if gain.is_finite() { gain } else { 1.0 } }
    }

    /// A label in units of the network's output.
    pub(super) fn apply(self, label: f32) -> f32 {
        (label - self.shift) * self.gain
    }

    /// The network's output in units of the label: a division and an addition, each rounded.
    pub(super) fn undo(self, output: f32) -> f32 {
        output / self.gain + self.shift
    }
}

/// The moments of every scaled column, and the shifts and gains that follow from them.
#[derive(Clone, Debug)]
pub(super) struct Scaler {
    /// One for each number column, then one for the target of a regression.
    moments: Vec<Moments>,
    shifts: Vec<f32>,
    gains: Vec<f32>,
    target: Scale,
    numbers: usize,
    /// How far from their mean numbers are let go, in deviations.
    bound: Option<f32>,
}

impl Scaler {
    /// How many columns are scaled: the number columns, and the target of a regression.
    pub(super) fn columns(layout: &Layout) -> usize {
        layout.numbers + usize::from(layout.task == Task::Number)
    }

    /// The scaler that has seen nothing: shift 0, gain 1.
    pub(super) fn new(layout: &Layout) -> Scaler {
        Scaler::from_moments(layout, vec![Moments::default(); Scaler::columns(layout)])
    }

    /// The scaler with these moments, as many as [`Scaler::columns`].
    pub(super) fn from_moments(layout: &Layout, moments: Vec<Moments>) -> Scaler {
        debug_assert_eq!(moments.len(), Scaler::columns(layout));
        let mut scaler = Scaler {
            moments,
            shifts: Vec::new(),
            gains: Vec::new(),
            target: Scale { shift: 0.0, gain: 1.0 },
            numbers: layout.numbers,
            bound: None,
        };
        scaler.refresh();
        scaler
    }

    /// The same with numbers cut to `bound` deviations from their mean; `None` for not cut.
    pub(super) fn bounded(self, bound: Option<f32>) -> Scaler {
        Scaler { bound, ..self }
    }

    /// How far from 0 scaled numbers are let go.
    pub(super) fn bound(&self) -> Option<f32> {
        self.bound
    }

    /// Takes in the rows of a new slice, in row order.
    pub(super) fn take_in(&mut self, rows: &Rows<'_>, team: Team) {
        let numbers = rows.features.numbers;
        let (ours, _) = self.moments.split_at_mut(self.numbers);
        let Some(cells) = numbers.to_slice() else { unreachable!("features are documented to be in standard layout") };
        for (ours, new) in ours.iter_mut().zip(Moments::of_columns(team, self.numbers, cells)) {
            ours.merge(&new);
        }
        if let (Some(moments), Labels::Numbers(labels)) = (self.moments.get_mut(self.numbers), rows.labels) {
            moments.merge(&Moments::of(labels.iter().copied()));
        }
        self.refresh();
    }

    /// The moments, number columns first, then the target of a regression.
    pub(super) fn moments(&self) -> &[Moments] {
        &self.moments
    }

    /// The shift of each number column.
    pub(super) fn shifts(&self) -> &[f32] {
        &self.shifts
    }

    /// The gain of each number column.
    pub(super) fn gains(&self) -> &[f32] {
        &self.gains
    }

    /// The scale of a regression's target; of classes it means nothing.
    pub(super) fn target(&self) -> Scale {
        self.target
    }

    /// The first column whose moments or scale are not finite.
    pub(super) fn not_finite(&self) -> Option<String> {
        let column =
            self.moments.iter().position(|m| !(m.mean.is_finite() && m.m2.is_finite() && Scale::of(m).shift.is_finite()))?;
        Some(if column < self.numbers {
            format!("the scale of number column {column}")
        } else {
            "the scale of the label".to_owned()
        })
    }

    fn refresh(&mut self) {
        let (numbers, target) = self.moments.split_at(self.numbers);
        self.shifts.clear();
        self.gains.clear();
        for scale in numbers.iter().map(Scale::of) {
            self.shifts.push(scale.shift);
            self.gains.push(scale.gain);
        }
        if let Some(moments) = target.first() {
            self.target = Scale::of(moments);
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, ArrayView2};

    use super::*;
    use crate::learn::Features;

    fn layout(numbers: usize, task: Task) -> Layout {
        Layout {
            numbers,
            ranges: vec![None; numbers],
            indicators: Vec::new(),
            byte_scales: Vec::new(),
            categories: Vec::new(),
            task,
            label_range: None,
        }
    }

    fn take_in(scaler: &mut Scaler, numbers: ArrayView2<'_, f32>, labels: Labels<'_>) {
        let n = numbers.nrows();
        let (bytes, categories) = (Array2::zeros((n, 0)), Array2::zeros((n, 0)));
        scaler.take_in(
            &Rows { features: Features { numbers, bytes: bytes.view(), categories: categories.view() }, labels },
            Team::of(2),
        );
    }

    #[test]
    fn scales_follow_from_all_slices_and_skip_what_is_missing() {
        let mut scaler = Scaler::new(&layout(2, Task::Number));
        assert_eq!((scaler.shifts(), scaler.gains()), (&[0.0; 2][..], &[1.0; 2][..]));
        let first = ndarray::array![[1.0, 5.0], [f32::NAN, 5.0]];
        take_in(&mut scaler, first.view(), Labels::Numbers(&[10.0, 30.0]));
        // A single value, and equal values, keep the gain 1.
        assert_eq!((scaler.shifts(), scaler.gains()), (&[1.0, 5.0][..], &[1.0; 2][..]));
        assert_eq!((scaler.target().shift, scaler.target().gain), (20.0, 0.1));
        let second = ndarray::array![[5.0, 5.0]];
        take_in(&mut scaler, second.view(), Labels::Numbers(&[20.0]));
        assert_eq!((scaler.shifts(), scaler.gains()), (&[3.0, 5.0][..], &[0.5, 1.0][..]));
        assert_eq!(scaler.target().undo(scaler.target().apply(20.0)), 20.0);
        assert_eq!(scaler.not_finite(), None);
    }

    #[test]
    fn gains_that_would_be_infinite_are_one_and_infinite_numbers_are_named() {
        let mut scaler = Scaler::new(&layout(1, Task::Classes(2)));
        let tiny = ndarray::array![[0.0], [1e-45]];
        take_in(&mut scaler, tiny.view(), Labels::Classes(&[0, 1]));
        assert_eq!(scaler.gains(), &[1.0]);
        assert_eq!(scaler.not_finite(), None);
        let endless = ndarray::array![[f32::INFINITY]];
        take_in(&mut scaler, endless.view(), Labels::Classes(&[0]));
        assert_eq!(scaler.not_finite(), Some("the scale of number column 0".to_owned()));
    }
}
