//! What approximate unlearning leaves behind, line by line.

mod of;

use std::collections::BTreeMap;

use serde::Serialize;

/// An AUC over models, with 90 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Auc {
    /// The figure; 0.5 is a coin.
    pub auc: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The better of two tests.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Separation {
    /// The figure.
    #[serde(flatten)]
    pub auc: Auc,
    /// `mean_loss` or `ratios`.
    pub test: &'static str,
}

/// A figure with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Between {
    /// The figure.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Unlearned less retrained models, with 90 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Gap {
    /// Of the accuracy.
    pub accuracy: Between,
    /// Of the mean loss.
    pub log_loss: Between,
}

/// Models that methods are compared with.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "compare_reference")]
#[non_exhaustive]
pub struct CompareReference {
    /// The set of people.
    pub forget: String,
    /// `original`, `retrained` or `floor`.
    pub role: &'static str,
    /// How many.
    pub models: usize,
    /// Row-passes of one.
    pub row_passes: f64,
    /// Median seconds of one.
    pub seconds: f64,
    /// On training rows that stay.
    pub retain_accuracy: f64,
    /// On held-out rows.
    pub accuracy: f64,
    /// Mean loss on held-out rows.
    pub log_loss: f64,
    /// Mean loss on forget rows.
    pub forget_loss: f64,
}

/// What one method did; the floor too.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "compare_method")]
#[non_exhaustive]
pub struct CompareMethod {
    /// The set of people.
    pub forget: String,
    /// Its name.
    pub method: &'static str,
    /// Its settings.
    pub settings: BTreeMap<&'static str, f64>,
    /// Models a side.
    pub models: usize,
    /// Models whose scores are no numbers.
    pub diverged: usize,
    /// Models whose goal was reached.
    pub stopped_by_itself: usize,
    /// Models whose budget ended first.
    pub stopped_by_budget: usize,
    /// Work, of one retraining.
    pub row_passes_share: f64,
    /// Median time, of one retraining.
    pub seconds_share: f64,
    /// Against retrained models.
    pub told_apart: Separation,
    /// By the sum of ratios alone.
    pub set_auc: Auc,
    /// Against the placebo.
    pub remembered: Option<Separation>,
    /// By the sum of ratios alone.
    pub remembered_set_auc: Option<Auc>,
    /// Mean over persons.
    pub person_mean: f64,
    /// Mean over the tenth with the highest figure.
    pub person_top_tenth: f64,
    /// All (model, row) questions.
    pub row_auc: Auc,
    /// True positives at 1 % false positives.
    pub tpr_at_1: f64,
    /// At least this much epsilon.
    pub shown_epsilon: f64,
    /// Of the NeurIPS 2023 challenge.
    pub forgetting_quality: f64,
    /// The floor's own.
    pub floor_forgetting_quality: f64,
    /// AUC of forget rows against held-out rows, less that of retrained models.
    pub population_mia: f64,
    /// On forget rows.
    pub forget_gap: Gap,
    /// On training rows that stay.
    pub retain_gap: Gap,
    /// On held-out rows.
    pub held_out_gap: Gap,
    /// Mean loss on forget rows.
    pub forget_loss: f64,
    /// Jensen-Shannon on forget rows.
    pub divergence: f64,
    /// On held-out rows.
    pub held_out_divergence: f64,
    /// By group.
    pub groups: Vec<Group>,
    /// The widest difference of accuracy between groups among retrained models.
    pub group_spread_before: f64,
    /// And after the method.
    pub group_spread_after: f64,
    /// Learning again, over retrained models.
    pub relearn: Option<f64>,
    /// What was found; `None` for the floor.
    pub verdict: Option<String>,
}

/// One group's held-out accuracy.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Group {
    /// Its name.
    pub group: String,
    /// Its held-out rows.
    pub rows: usize,
    /// Less that of retrained models.
    pub accuracy_gap: Between,
}

/// Real deletions.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "compare_exact")]
#[non_exhaustive]
pub struct CompareExact {
    /// The set of people.
    pub forget: String,
    /// S.
    pub shards: u32,
    /// R.
    pub slices: u32,
    /// Keys under which every byte was the same.
    pub byte_identical: usize,
    /// Keys tried.
    pub of: usize,
    /// Checkpoints compared.
    pub checkpoints: u64,
    /// All people at once, of training the ensemble.
    pub row_passes_share: f64,
    /// One of them.
    pub one_person_share: f64,
    /// Against ensembles that never saw the people.
    pub told_apart: Separation,
    /// By the sum of ratios alone.
    pub set_auc: Auc,
    /// All (model, row) questions.
    pub row_auc: Auc,
    /// On held-out rows.
    pub held_out_gap: Gap,
    /// The control: nothing deleted.
    pub nothing_deleted: Separation,
    /// By the sum of ratios alone.
    pub nothing_deleted_set_auc: Auc,
    /// On held-out rows.
    pub nothing_deleted_held_out_gap: Gap,
}

/// One step of Newton.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "compare_newton")]
#[non_exhaustive]
pub struct CompareNewton {
    /// The set of people.
    pub forget: String,
    /// The strength of the penalty.
    pub lambda: f64,
    /// What the noise is for.
    pub epsilon: f64,
    /// What the noise is for.
    pub delta: f64,
    /// Weights of a model.
    pub parameters: usize,
    /// To the retrained minimiser.
    pub distance_before: f64,
    /// To the retrained minimiser.
    pub distance_after: f64,
    /// The gradient that is left.
    pub residual: f64,
    /// Its bound.
    pub bound: f64,
    /// The noise.
    pub sigma: f64,
    /// Such steps of a retraining.
    pub retraining_steps: usize,
    /// With that noise, after the step.
    pub told_apart: Separation,
    /// With that noise, as it was.
    pub nothing_done: Separation,
    /// With that noise, retrained against retrained.
    pub floor: Separation,
    /// Held out, without noise.
    pub accuracy: f64,
    /// Held out, with it.
    pub accuracy_with_noise: f64,
}

/// Requests that depend on published models.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "compare_adaptive")]
#[non_exhaustive]
pub struct CompareAdaptive {
    /// `constituents` or `answers`.
    pub attacker: &'static str,
    /// The share of the rows asked to be deleted.
    pub share: f64,
    /// Trials.
    pub trials: usize,
    /// S.
    pub shards: u32,
    /// Training rows of a trial.
    pub rows: usize,
    /// The share of trials on one side, with 95 %.
    pub indicator: Between,
    /// The mean difference.
    pub difference: f64,
    /// Its standard error.
    pub difference_error: f64,
    /// Whether it shows.
    pub shows: bool,
    /// The share of rows whose shard was guessed.
    pub guessed: Option<f64>,
    /// By chance.
    pub chance: f64,
    /// After a rekey.
    pub rekeyed_indicator: Between,
    /// After a rekey.
    pub rekeyed_difference: f64,
    /// After a rekey.
    pub rekeyed_difference_error: f64,
}

/// One model's averages.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "compare_sample")]
#[non_exhaustive]
pub struct CompareSample {
    /// The set of people.
    pub forget: String,
    /// A role or a method.
    pub of: &'static str,
    /// Its number.
    pub key: usize,
    /// Mean loss on forget rows.
    pub forget_loss: f64,
    /// On training rows that stay.
    pub retain_accuracy: f64,
    /// On held-out rows.
    pub held_out_accuracy: f64,
}

/// The summary.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "compare")]
#[non_exhaustive]
pub struct Compare {
    /// The sets of people.
    pub forget: Vec<String>,
    /// Training rows.
    pub rows: usize,
    /// Whose they are.
    pub subjects: usize,
    /// Held-out rows.
    pub held_out: usize,
    /// The kind of learner.
    pub learner: &'static str,
    /// Weights of a model.
    pub parameters: usize,
    /// What accuracy is.
    pub accuracy_is: &'static str,
    /// Models a side.
    pub models: usize,
    /// What everything was drawn from.
    pub seed: u64,
    /// Row-passes of one retraining.
    pub retraining_row_passes: f64,
    /// Row-passes of the ensemble that goals come from.
    pub witness_row_passes: u64,
    /// The least share at which requests that depend on models show.
    pub shows_from_share: Option<f64>,
    /// Seconds that were foreseen.
    pub foreseen_seconds: f64,
    /// Seconds that it took.
    pub seconds: f64,
    /// Whether it was stopped early.
    pub interrupted: bool,
}

/// Any line.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum CompareLine {
    /// Models that methods are compared with.
    Reference(CompareReference),
    /// A method.
    Method(Box<CompareMethod>),
    /// Real deletions.
    Exact(CompareExact),
    /// One step of Newton.
    Newton(CompareNewton),
    /// Requests that depend on published models.
    Adaptive(CompareAdaptive),
    /// One model.
    Sample(CompareSample),
    /// The summary.
    Compare(Compare),
}
