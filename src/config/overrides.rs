//! What may be asked for beside the file.

use crate::train::ScheduleKind;

/// Settings that come before the file's: flags of `sisa train`, or a caller's own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// `--label`.
    pub label: Option<String>,
    /// `--subject`.
    pub subject: Option<String>,
    /// `--record`, one or more.
    pub record: Vec<String>,
    /// `--holdout`.
    pub holdout: Option<f64>,
    /// `--shards`.
    pub shards: Option<u32>,
    /// `--slices`.
    pub slices: Option<u32>,
    /// `--learner`.
    pub learner: Option<String>,
    /// `--epochs`.
    pub epochs: Option<u32>,
    /// `--schedule`.
    pub schedule: Option<ScheduleKind>,
    /// `--checkpoints`.
    pub checkpoints: Option<u32>,
    /// `--rate`.
    pub rate: Option<f32>,
    /// `--no-ids`: a proposal without ids is wanted as it is.
    pub no_ids: bool,
}

impl Overrides {
    /// Those that say how records are encoded and cut, without those that say how constituents are trained.
    #[must_use]
    pub fn partition(&self) -> Overrides {
        let Overrides { label, subject, record, holdout, shards, slices, .. } = self.clone();
        Overrides { label, subject, record, holdout, shards, slices, ..Overrides::default() }
    }

    /// Whether a flag says how records are encoded and cut.
    pub fn any_partition(&self) -> bool {
        let columns = self.label.is_some() || self.subject.is_some() || !self.record.is_empty();
        columns || self.holdout.is_some() || self.shards.is_some() || self.slices.is_some()
    }

    /// Whether a flag says how constituents are trained.
    pub fn any_training(&self) -> bool {
        let learner = self.learner.is_some() || self.rate.is_some();
        learner || self.epochs.is_some() || self.schedule.is_some() || self.checkpoints.is_some()
    }
}
