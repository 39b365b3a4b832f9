//! What was compared. Aggregates only: no ids, no handles, no scores of single rows.

use super::super::measures::{Interval, Separation};

/// Everything that was compared.
#[derive(Clone, Debug, Default)]
pub struct CompareReport {
    /// Training rows.
    pub rows: usize,
    /// Whose they are.
    pub subjects: usize,
    /// Held-out rows.
    pub held_out: usize,
    /// The kind of learner.
    pub learner: &'static str,
    /// Weights of one model.
    pub parameters: usize,
    /// What `accuracy` is: accuracy, or R2.
    pub accuracy_is: &'static str,
    /// Models a side.
    pub models: usize,
    /// What everything was drawn from.
    pub seed: u64,
    /// One retraining, in row-passes of one model.
    pub retraining: f64,
    /// Row-passes of the ensemble that says what rows cost those who never saw them; shown, not counted.
    pub witness_row_passes: u64,
    /// Seconds that were foreseen.
    pub foreseen: f64,
    /// Seconds that it took.
    pub seconds: f64,
    /// The people that were to be forgotten, set by set.
    pub sets: Vec<SetReport>,
    /// Requests that depend on what was published.
    pub requests: Option<RequestsReport>,
    /// Whether the person stopped it early.
    pub interrupted: bool,
}

/// One set of people.
#[derive(Clone, Debug)]
pub struct SetReport {
    /// Its name.
    pub name: String,
    /// Who they are, in words.
    pub who: String,
    /// How many people.
    pub subjects: usize,
    /// How many rows.
    pub rows: usize,
    /// Models trained on all rows, on what stays, and on what stays again.
    pub references: Vec<ReferenceReport>,
    /// The floor: models that never saw the rows against others that never saw them.
    pub floor: MethodReport,
    /// The methods, `none` first.
    pub methods: Vec<MethodReport>,
    /// Real deletions.
    pub exact: Option<ExactReport>,
    /// The certified step, for linear models.
    pub newton: Option<NewtonReport>,
}

/// Models that methods are compared with.
#[derive(Clone, Debug)]
pub struct ReferenceReport {
    /// `original`, `retrained` or `floor`.
    pub role: &'static str,
    /// How many models.
    pub models: usize,
    /// Row-passes of one.
    pub row_passes: f64,
    /// Median seconds of one.
    pub seconds: f64,
    /// Mean accuracy on training rows that stay.
    pub retain_accuracy: f64,
    /// Mean accuracy on held-out rows.
    pub accuracy: f64,
    /// Mean loss on held-out rows.
    pub log_loss: f64,
    /// Mean loss on forget rows.
    pub forget_loss: f64,
    /// The single models.
    pub samples: Vec<Sample>,
}

/// One model's averages.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Its number among its kind, from 1.
    pub number: usize,
    /// Mean loss on forget rows.
    pub forget_loss: f64,
    /// Accuracy on training rows that stay.
    pub retain_accuracy: f64,
    /// Accuracy on held-out rows.
    pub held_out_accuracy: f64,
}

/// Differences of means over models, unlearned less retrained.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gap {
    /// Of the accuracy, with 90 %.
    pub accuracy: Interval,
    /// Of the mean loss, with 90 %.
    pub log_loss: Interval,
}

/// What one method did.
#[derive(Clone, Debug)]
pub struct MethodReport {
    /// Its name.
    pub name: &'static str,
    /// Its settings.
    pub settings: Vec<(&'static str, f64)>,
    /// Models a side.
    pub models: usize,
    /// Models whose scores are no numbers. They are counted, not dropped.
    pub diverged: usize,
    /// Models that stopped because their goal was reached, and models whose budget ended first.
    pub stopped: (usize, usize),
    /// Mean row-passes, as a share of one retraining.
    pub row_passes_share: f64,
    /// Median seconds, as a share of one retraining's.
    pub seconds_share: f64,
    /// Against retrained models.
    pub told_apart: Separation,
    /// By the sum of ratios alone, against retrained models.
    pub set_auc: Interval,
    /// Against retrained models that the same method was asked to make forget what they never saw; `None` for the floor.
    pub remembered: Option<Separation>,
    /// The same by the sum of ratios alone.
    pub remembered_set: Option<Interval>,
    /// Mean over persons.
    pub person_mean: f64,
    /// Mean over the tenth of the persons with the highest figure.
    pub person_top_tenth: f64,
    /// Persons' AUC, ascending.
    pub persons: Vec<f64>,
    /// All (model, row) questions.
    pub row_auc: Interval,
    /// True positives at 1 % false positives.
    pub tpr_at_1: f64,
    /// At least this much epsilon.
    pub shown_epsilon: f64,
    /// The score of the NeurIPS 2023 challenge.
    pub forgetting_quality: f64,
    /// AUC of forget rows against held-out rows by loss, less that of retrained models.
    pub population_mia: f64,
    /// On forget rows.
    pub forget: Gap,
    /// On training rows that stay.
    pub retain: Gap,
    /// On held-out rows.
    pub held_out: Gap,
    /// The mean loss on forget rows.
    pub forget_loss: f64,
    /// Distance of mean scores from retrained ones on forget rows and on held-out rows.
    pub divergence: (f64, f64),
    /// Held-out accuracy of each group, less that of retrained models: name, rows, difference.
    pub groups: Vec<(String, usize, Interval)>,
    /// The largest difference of accuracy between two groups, before (retrained) and after.
    pub group_spread: (f64, f64),
    /// Row-passes of training on forget rows until their mean loss is that of the originals, over the same of retrained models.
    pub relearn: Option<f64>,
    /// The single models.
    pub samples: Vec<Sample>,
}

/// Real deletions from ensembles.
#[derive(Clone, Debug)]
pub struct ExactReport {
    /// S and R.
    pub cut: (u32, u32),
    /// Keys under which files of real deletions were compared with training anew, and under how many every byte was the same.
    pub byte_identical: (usize, usize),
    /// Checkpoints compared.
    pub checkpoints: u64,
    /// Row-passes of the deletion of all these people at once, as a share of training the ensemble anew.
    pub row_passes_share: f64,
    /// The same for one person, in the mean over all of them.
    pub one_person_share: f64,
    /// Deleted ensembles against ensembles that never saw the rows.
    pub told_apart: Separation,
    /// By the sum of ratios alone.
    pub set_auc: Interval,
    /// All (model, row) questions.
    pub row_auc: Interval,
    /// Held-out accuracy, less that of ensembles that never saw the rows.
    pub held_out: Gap,
    /// The control: ensembles from which nothing was deleted.
    pub nothing_deleted: Separation,
    /// By the sum of ratios alone.
    pub nothing_set_auc: Interval,
    /// Its held-out accuracy.
    pub nothing_held_out: Gap,
}

/// One certified step of Newton on a linear model of its own.
#[derive(Clone, Debug)]
pub struct NewtonReport {
    /// The strength of the penalty.
    pub lambda: f64,
    /// (epsilon, delta) that the noise is for.
    pub privacy: (f64, f64),
    /// Weights of a model.
    pub parameters: usize,
    /// Distance to the retrained minimiser before and after.
    pub distance: (f64, f64),
    /// Norm of the gradient that is left, and its bound.
    pub residual: (f64, f64),
    /// Standard deviation of the noise.
    pub sigma: f64,
    /// Steps of a retraining by Newton's method.
    pub retraining_steps: usize,
    /// With that noise: after the step, against retrained models.
    pub told_apart: Separation,
    /// With that noise: the models as they were.
    pub nothing_done: Separation,
    /// With that noise: retrained models against others.
    pub floor: Separation,
    /// Held-out accuracy without noise and with it.
    pub accuracy: (f64, f64),
}

/// Requests that depend on what was published.
#[derive(Clone, Debug)]
pub struct RequestsReport {
    /// Shards.
    pub shards: u32,
    /// Training rows of a trial.
    pub rows: usize,
    /// Trials.
    pub trials: usize,
    /// By attacker and share.
    pub attacks: Vec<AttackReport>,
}

/// Who looks at what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attacker {
    /// Sees the scores of every constituent.
    Constituents,
    /// Sees the mean alone.
    Answers,
}

/// One attacker at one share.
#[derive(Clone, Debug)]
pub struct AttackReport {
    /// Who.
    pub attacker: Attacker,
    /// The share of the rows that it asked to delete.
    pub share: f64,
    /// The share of trials in which the figure fell on one side, repaired as SISA does; 0.5 is clean, 0 as bad as 1.
    pub indicator: Interval,
    /// The mean difference and its standard error.
    pub difference: (f64, f64),
    /// The same after a rekey, which must be clean.
    pub rekeyed_indicator: Interval,
    /// Its mean difference and standard error.
    pub rekeyed_difference: (f64, f64),
    /// Share of rows whose shard was guessed; `None` where it is not asked.
    pub guessed: Option<f64>,
}

impl AttackReport {
    /// How many standard errors the mean difference is from nothing.
    pub fn errors_away(&self) -> f64 {
        if self.difference.1 > 0.0 { (self.difference.0 / self.difference.1).abs() } else { 0.0 }
    }

    /// Whether it shows.
    pub fn shows(&self) -> bool {
        self.errors_away() >= RequestsReport::SHOWS
    }
}

impl RequestsReport {
    /// From so many standard errors on it shows.
    pub const SHOWS: f64 = 3.0;

    /// The least share at which any attacker shows.
    pub fn least_share(&self) -> Option<f64> {
        let shares = [Attacker::Constituents, Attacker::Answers].into_iter().filter_map(|attacker| self.shows_from(attacker));
        shares.min_by(f64::total_cmp)
    }

    /// The least share at which an attacker shows.
    pub fn shows_from(&self, attacker: Attacker) -> Option<f64> {
        let shares = self.attacks.iter().filter(|a| a.attacker == attacker && a.shows()).map(|a| a.share);
        shares.min_by(f64::total_cmp)
    }
}

impl MethodReport {
    /// What the table says of it. No word says more than what was measured.
    pub fn verdict(&self, floor: &MethodReport) -> String {
        if self.told_apart.above(&floor.told_apart) {
            "told apart".into()
        } else {
            format!("not told apart by {} models", self.models)
        }
    }

    /// The forgetting quality over that of the floor.
    pub fn quality_ratio(&self, floor: &MethodReport) -> f64 {
        if floor.forgetting_quality > 0.0 { self.forgetting_quality / floor.forgetting_quality } else { 0.0 }
    }
}
