//! What a row is to teach, as integers, and what the regression's sums say, as scores.

use crate::learn::{Labels, Layout, Rows, Task};
use crate::num::normal::{TARGET_MAX, Target};

/// The labels of a layout.
#[derive(Clone, Copy, Debug)]
pub(super) struct Targets {
    task: Task,
    /// The lower end and the width of the label's range.
    range: (f64, f64),
}

/// A class has at least this share, or half of the largest where that is smaller: a regression's sums may fall below 0.
const SHARE_LEAST: f64 = 0.02;

/// To which power shares count. With few classes they are near to probabilities themselves; with many, a regression pulls that of the right class
/// towards all others'. Chosen by the log loss on tables of 2 to 26 classes.
fn power(classes: usize) -> usize {
    match classes {
        0..=4 => 1,
        5..=16 => 2,
        _ => 3,
    }
}

impl Targets {
    /// The labels of a layout that was accepted.
    pub(super) fn of(layout: &Layout) -> Targets {
        let range = layout.label_range.map_or((0.0, 1.0), |range| {
            let [low, high] = range.0.map(f64::from);
            (low, high - low)
        });
        Targets { task: layout.task, range }
    }

    /// Sums a row has.
    pub(super) fn outputs(&self) -> usize {
        self.task.outputs()
    }

    /// The largest amount of a target.
    pub(super) fn most(&self) -> u32 {
        match self.task {
            Task::Classes(_) => 1,
            Task::Number => TARGET_MAX,
        }
    }

    /// What a formula says of shares, and of a number's range.
    pub(super) fn formula(&self) -> ((f64, usize), (f64, f64, f64)) {
        ((SHARE_LEAST, power(self.outputs())), (self.range.0, self.range.1, f64::from(TARGET_MAX)))
    }

    /// Whether every row has one unit of one of the outputs.
    pub(super) fn are_classes(&self) -> bool {
        self.task != Task::Number
    }

    /// The target of a row: 1 of its class, or where in its range its number lies, in 65,536ths, halves up.
    pub(super) fn of_label(&self, rows: Option<&Rows<'_>>, row: usize) -> Target {
        match (self.task, rows.map(|rows| rows.labels)) {
            (Task::Classes(n), Some(Labels::Classes(classes))) => match classes.get(row) {
                Some(&output) if output < n => Target { output, amount: 1 },
                other => unreachable!("class {other:?} of {n}"),
            },
            (Task::Number, Some(Labels::Numbers(numbers))) => {
                let (low, span) = self.range;
                let Some(&x) = numbers.get(row) else { unreachable!("a label for every row") };
                let share = ((f64::from(x) - low) / span).clamp(0.0, 1.0);
                Target { output: 0, amount: (share * f64::from(TARGET_MAX) + 0.5) as u32 }
            }
            (task, _) => unreachable!("labels of another kind than {task:?}"),
        }
    }

    /// The scores that follow from a row's sums.
    pub(super) fn score(&self, raw: &[f64], out: &mut [f32]) {
        match self.task {
            Task::Classes(_) => {
                // Shares add up to 1, so that the largest is above 0, unless there are no rows.
                let most = raw.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                if !(most > 0.0 && most.is_finite()) {
                    out.fill((1.0 / raw.len() as f64) as f32);
                    return;
                }
                // Below the largest, so that it stays the largest.
                let least = SHARE_LEAST.min(most / 2.0);
                let power = power(raw.len());
                let part = |share: f64| {
                    let share = share.max(least);
                    (1..power).fold(share, |product, _| product * share)
                };
                let mut total = 0.0;
                raw.iter().for_each(|&share| total += part(share));
                raw.iter().zip(out).for_each(|(&share, out)| *out = (part(share) / total) as f32);
            }
            Task::Number => {
                let (low, span) = self.range;
                for (raw, out) in raw.iter().zip(out) {
                    *out = (low + (raw / f64::from(TARGET_MAX)).clamp(0.0, 1.0) * span) as f32;
                }
            }
        }
    }
}
