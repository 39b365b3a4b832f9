//! What a learner refuses: settings, steps, states.

use super::{Layout, Range, Task};

/// A smaller number that is not 0 is taken for a mistake.
pub(super) const SMALLEST: f32 = 1e-12;

/// A setting whose value is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("learner setting `{setting}` is {value}; allowed is {allowed}; change it")]
pub struct SettingsError {
    /// The setting, as it is written in the recipe.
    pub setting: &'static str,
    /// Its value.
    pub value: String,
    /// What it may be.
    pub allowed: String,
}

impl SettingsError {
    /// Whether a number lacks the declared range that the learner needs.
    pub fn is_range(&self) -> bool {
        self.setting == RANGE
    }
}

/// The setting of columns and of the label that some learners need.
const RANGE: &str = "range";

/// Refuses number columns, of which the first is named by its place, and a number that is learnt, without declared ends for a learner that needs them.
pub(super) fn ranged(kind: &str, layout: &Layout, columns: bool) -> Result<(), SettingsError> {
    let wide = |range: Option<Range>| range.is_some_and(|Range([low, high])| low.is_finite() && high.is_finite() && low < high);
    let bare = (0..layout.numbers).find(|column| columns && !wide(layout.ranges.get(*column).copied().flatten()));
    allow(bare.is_none(), RANGE, || {
        let place = bare.map_or(0, |column| column + 1);
        let of = format!("not declared for number column {place} of {}", layout.numbers);
        (of, format!("for `{kind}`, `range = [low, high]` with low < high for every number, under [columns] of sisa.toml"))
    })?;
    allow(layout.task != Task::Number || wide(layout.label_range), RANGE, || {
        let allowed = format!("for `{kind}` on a number, `range = [low, high]` with low < high, under [label] of sisa.toml");
        ("not declared for the label".to_owned(), allowed)
    })
}

/// Why a step left nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// A parameter is no longer finite.
    #[error(
        "training diverged at step {step}: {what} is not finite after {updates} updates; lower `rate` under [learner], or declare \
             `clip = 8.0` and `max_gradient = 1.0` there where they are not"
    )]
    Diverged {
        /// The step.
        step: u32,
        /// Which parameter.
        what: String,
        /// Updates so far.
        updates: u64,
    },
    /// The prefix has more rows than a state of this learner can hold.
    #[error("the shard has {rows} rows at step {step}, and a state can hold {most}: use more shards")]
    Full {
        /// The step.
        step: u32,
        /// Rows of the prefix.
        rows: u64,
        /// The most that are possible.
        most: u64,
    },
    /// The learner is outside this program, and its worker failed.
    #[error("step {step} left nothing: {error}")]
    Worker {
        /// The step.
        step: u32,
        /// Why.
        error: super::WorkerError,
    },
    /// [`super::Crew::visited`] said so.
    #[error("interrupted")]
    Interrupted,
}

/// Bytes that are not a state of this learner and layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a state of this learner: {0}")]
pub struct StateError(pub String);

/// Refuses what is no share: 0, or a number from 1e-12 to below 1.
pub(super) fn share_below_one(setting: &'static str, value: f32) -> Result<(), SettingsError> {
    allow(value == 0.0 || (SMALLEST..1.0).contains(&value), setting, || {
        (format!("{value:?}"), "0, or a number from 1e-12 to below 1".to_owned())
    })
}

/// Refuses a number that is not from `low` to `high`.
pub(super) fn number(setting: &'static str, value: f32, low: f32, high: f32) -> Result<(), SettingsError> {
    allow((low..=high).contains(&value), setting, || (format!("{value:?}"), format!("a number from {low:?} to {high:?}")))
}

/// Refuses a number that is neither 0 nor from `low` to `high`.
pub(super) fn number_or_zero(setting: &'static str, value: f32, low: f32, high: f32) -> Result<(), SettingsError> {
    allow(value == 0.0 || (low..=high).contains(&value), setting, || {
        (format!("{value:?}"), format!("a number from {low:?} to {high:?}, or 0"))
    })
}

/// Refuses a setting unless it is allowed; `describe` gives its value, and what may be.
pub(super) fn allow(
    allowed: bool,
    setting: &'static str,
    describe: impl FnOnce() -> (String, String),
) -> Result<(), SettingsError> {
    if allowed {
        return Ok(());
    }
    let (value, allowed) = describe();
    Err(SettingsError { setting, value, allowed })
}
