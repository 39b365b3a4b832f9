//! Batches that come later, measured: a part of the records is imported, and the rest appended.

use super::{BenchRequest, DeletionSample, FullSample, copies::Copies, median, timed, trial::Base};
use crate::{
    append::{AppendError, append},
    engine::{Engine, Error, Observer},
    ids::Handle,
    import::{Kept, stage_kept},
    order::Later,
    plan::{Arrivals, Growth, growth},
    workspace::{KeySource, WorkspaceError},
};

/// What appending batches came to. The import has the share of the records that leaves each batch its own.
#[derive(Clone, Debug, PartialEq)]
pub struct GrowthReport {
    /// How many, and what each brought, as a share of the import.
    pub arrivals: Arrivals,
    /// Training on the import.
    pub import: FullSample,
    /// Each batch, from its rows in memory until it is trained on.
    pub appends: Vec<FullSample>,
    /// Slices of a shard once all are there.
    pub slices: u32,
    /// Training everything anew, once all are there.
    pub anew: FullSample,
    /// Single deletions, each on a fresh copy: before the first batch.
    pub before: Vec<DeletionSample>,
    /// The same once all are there.
    pub after: Vec<DeletionSample>,
    /// What the closed form says; `None` for a learner whose batches have no steps of their own.
    pub planned: Option<Growth>,
}

impl GrowthReport {
    /// The median of a figure of single deletions.
    pub fn median(deletions: &[DeletionSample], of: impl Fn(&DeletionSample) -> f64) -> Option<f64> {
        median(deletions.iter().map(of))
    }

    /// Row-passes of all batches.
    pub fn row_passes(&self) -> u64 {
        self.appends.iter().map(|append| append.row_passes).sum()
    }

    /// Row-passes of the dearest batch.
    pub fn worst(&self) -> u64 {
        self.appends.iter().map(|append| append.row_passes).max().unwrap_or_default()
    }
}

/// With which batch somebody comes; `None` with the import. Handles are hashes, so their order means nothing.
fn arrival(subject: Handle, (batches, share): (u32, f64)) -> Option<u32> {
    let [high, ..] = subject.0.as_chunks::<8>().0 else { return None };
    let import = 1.0 / (1.0 + f64::from(batches) * share);
    let at = (u64::from_le_bytes(*high) as f64 / u64::MAX as f64 - import) / (share * import);
    (at >= 0.0).then(|| (at as u32).min(batches.saturating_sub(1)))
}

impl Base {
    /// Measures batches, if that is asked for.
    ///
    /// # Errors
    /// The recipe takes no batches, or the disk refuses.
    pub(super) fn growth(
        &self,
        copies: &Copies,
        request: &BenchRequest,
        observer: &dyn Observer,
    ) -> Result<Option<GrowthReport>, Error> {
        let Some((batches, share)) = request.batches else { return Ok(None) };
        let (recipe, of_sets) = (&self.model().recipe, self.model().learner.abilities().downdate);
        if !of_sets {
            recipe.goes_on().map_err(AppendError::Fixed)?;
        }
        let grid = self.model().shards.grid();
        let key = KeySource::Seed(1).model_key(copies.files(), None)?;
        let plan = self.plan_of((grid.shards, self.model().shards.chain().first_slices()), key)?;
        let cells: Vec<_> = grid.cells().collect();
        let kept = |batch: Option<u32>| {
            let only = move |subject: Handle| arrival(subject, (batches, share)) == batch;
            Kept { from: &self.model().shards, cells: &cells, carry: None, only: Box::new(only) }
        };
        observer.note("batches: training on the import");
        let (engine, _) = self.recut_as(copies, "growth", &plan, recipe, &kept(None))?;
        let import = whole(&engine, observer)?;
        let single = |engine: &Engine, trial: u32| -> Result<Vec<DeletionSample>, Error> {
            let grown = Base::new(copies.engine(self.engine(), engine.workspace().root()))?;
            // Those of the import, whose steps are the dearest, and of batches, by their shares.
            let subjects = grown.subjects(&request.pick)?;
            let drawn = (0..request.trials.max(1)).flat_map(|n| subjects.draw(1, trial + n));
            drawn.map(|subject| grown.deletions(copies, &[subject], false, None, observer)).collect()
        };
        let before = single(&engine, 0)?;
        let mut appends = Vec::new();
        for batch in 0..batches {
            observer.note(&format!("batch {} of {batches}", batch + 1));
            let kept = kept(Some(batch));
            let (seconds, came) = timed(|| {
                let mut writing = engine.workspace().write(true)?;
                let came = engine.pool().install(|| -> Result<bool, Error> {
                    let staged = stage_kept(engine.workspace(), &plan, &kept)?;
                    if staged.rows == 0 {
                        return Ok(false);
                    }
                    append(&mut writing, &plan, &staged, Some(&format!("b{batch}")))?;
                    Ok(true)
                })?;
                writing.done()?;
                Ok(if came { Some(whole(&engine, observer)?.row_passes) } else { None })
            })?;
            // A batch of a few subjects may have none.
            appends.extend(came.map(|row_passes| FullSample { seconds, row_passes }));
        }
        let after = single(&engine, request.trials)?;
        let grown = Base::new(copies.engine(self.engine(), engine.workspace().root()))?;
        let anew = grown.ensemble(copies, observer)?;
        let merge = match plan.partition.later((1, grown.model().shards.chain()), of_sets) {
            Later::Merge(merge) => merge,
            Later::Cells => 0,
        };
        let (arrivals, slices) = (Arrivals { batches, share, merge }, grown.model().shards.chain().steps());
        let planned = (merge > 0).then(|| growth(recipe.schedule, self.model().shards.chain().first_slices(), arrivals));
        Ok(Some(GrowthReport { arrivals, import, appends, slices, anew, before, after, planned }))
    }
}

/// Trains whatever is missing.
fn whole(engine: &Engine, observer: &dyn Observer) -> Result<FullSample, Error> {
    let (seconds, repair) = timed(|| engine.repair_serving(false, observer))?;
    let report = repair.ok_or(WorkspaceError::MovedOn)?.report;
    if report.interrupted() {
        return Err(Error::Interrupted);
    }
    Ok(FullSample { seconds, row_passes: report.row_passes() })
}
