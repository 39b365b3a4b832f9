//! Appending: a batch of records is committed by one entry of the ledger, and put in place by renames that can be done again.
//!
//! Its files wait beside those whose places they take before the entry is written, as an entry can't hold rows. What a batch brings is
//! trained like whatever else is missing.

use crate::{
    delete::{DeleteError, purge_stale},
    fs::FsError,
    ids::GenerationId,
    import::{BuiltBatch, ImportError, ImportReport, NewGeneration, StagedBatch, build_batch},
    learn::SettingsError,
    ledger::{Appended, BatchRecord, Event, LedgerError, Placed},
    order::Later,
    shard::SliceError,
    train::{TrainError, carry_to_waiting},
    workspace::{Snapshot, Workspace, WorkspaceError, Writing},
};

/// Why a batch was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// A name was given to another batch.
    #[error("batch `{name}` is there already and holds other rows; give this one another name")]
    OtherContent {
        /// The name.
        name: String,
    },
    /// A name can't be used.
    #[error("`{name}` can't be the name of a batch: it has 1 to 128 of the characters A-Z a-z 0-9 - _ . and :")]
    BadName {
        /// The name, cut short.
        name: String,
    },
    /// A recipe of the generation has steps that none can follow.
    #[error("batches can't be appended to what is trained so: {0}, and the model that is trained then takes batches")]
    Fixed(SettingsError),
    /// A recipe is to be trained on batches to which they could not have been appended.
    #[error("this generation has batches that were appended, and they can't be trained on so: {0}")]
    NoFurther(SettingsError),
    /// Another generation is being built.
    #[error("generation {newer} is not whole yet and will take the place of {serving}; batches come after that")]
    NewerGeneration {
        /// The one that is not whole.
        newer: GenerationId,
        /// The one in service.
        serving: GenerationId,
    },
    /// Something is wrong with the rows.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A file waits that is damaged.
    #[error(transparent)]
    Slice(#[from] SliceError),
    /// A checkpoint can't be taken away.
    #[error(transparent)]
    Delete(#[from] DeleteError),
    /// A state can't be carried over.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The workspace can't be used.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// The ledger is damaged.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The disk refused.
    #[error(transparent)]
    Fs(#[from] FsError),
}

/// What became of a batch.
#[derive(Clone, Debug)]
pub struct InPlace {
    /// Its name.
    pub name: String,
    /// What the ledger says of it.
    pub batch: BatchRecord,
    /// How its rows were read; nothing of one that was there already.
    pub report: Option<ImportReport>,
}

/// The generation that a batch may come to: the one in service, beside which no other is being built; and what becomes of the batch.
///
/// # Errors
/// There is none, or its recipes have steps that none can follow.
pub fn open_to_batches(workspace: &Workspace, snapshot: &Snapshot) -> Result<(GenerationId, Later), AppendError> {
    let (current, record) = workspace.serving(snapshot)?;
    if let Some((newer, _)) = snapshot.history.newest().filter(|(newest, _)| *newest > current.generation) {
        return Err(AppendError::NewerGeneration { newer, serving: current.generation });
    }
    let learner = workspace.recipe(current.generation, record, &current.recipe)?.learner.check().map_err(WorkspaceError::from)?;
    let partition = workspace.partition(current.generation, record)?;
    let later = partition.later((record.batches, record.cells.chain()), learner.abilities().downdate);
    if let Later::Merge(_) = later {
        for recipe in &record.recipes {
            workspace.recipe(current.generation, record, &recipe.recipe)?.goes_on().map_err(AppendError::Fixed)?;
        }
    }
    Ok((current.generation, later))
}

/// Appends a staged batch: committed, and in place on return. A batch that was appended before is left as it is. Without a name the batch is
/// named by its rows.
///
/// # Errors
/// The name belongs to other rows, a record is there already, or the disk refuses.
pub fn append(
    writing: &mut Writing,
    plan: &NewGeneration,
    staged: &StagedBatch,
    name: Option<&str>,
) -> Result<InPlace, AppendError> {
    let workspace = writing.workspace().clone();
    let name = match name {
        Some(name) => checked(name)?,
        None => staged.content.to_string().chars().take(16).collect(),
    };
    let (generation, later) = open_to_batches(&workspace, writing.snapshot())?;
    let record = writing.history().generations.get(&generation).filter(|_| generation == plan.generation);
    let record = record.ok_or(WorkspaceError::MovedOn)?;
    match record.appended.get(&name) {
        Some(before) if before.content == staged.content => {
            return Ok(InPlace { name, batch: before.clone(), report: None });
        }
        Some(_) => return Err(AppendError::OtherContent { name }),
        None => {}
    }
    if staged.rows == 0 {
        return Err(ImportError::NoRows.into());
    }
    let batch = record.batches + 1;
    let built = {
        let handles = workspace.ledger().handles(writing.history())?;
        handles.check()?;
        build_batch(&workspace, (plan, record, later), staged, &handles)?
    };
    workspace.files().reached("waiting");
    let BuiltBatch { cells, returned, report } = built;
    let appended = Appended {
        generation,
        batch,
        name: name.clone(),
        content: staged.content,
        records: report.records,
        held_out: report.held_out,
        refused: report.refused,
        returned,
        root: cells.root(),
        list: None,
    };
    writing.append_batch(appended, cells)?;
    workspace.files().reached("appended");
    place(writing)?;
    let known = writing.history().generations.get(&generation).and_then(|record| record.appended.get(&name));
    let batch = known.cloned().ok_or(WorkspaceError::MovedOn)?;
    Ok(InPlace { name, batch, report: Some(report) })
}

/// Puts the files of a batch in place that is committed, and takes away what it replaces. Every step can be done again. Returns whether there
/// was one.
///
/// # Errors
/// The disk refuses.
pub fn place(writing: &mut Writing) -> Result<bool, AppendError> {
    let workspace = writing.workspace().clone();
    let Some((generation, record)) = writing.history().placing() else { return Ok(false) };
    let store = workspace.shard_store(generation, record)?;
    let mut extended = Vec::new();
    for recipe in &record.recipes {
        let rules = workspace.recipe(generation, record, &recipe.recipe)?;
        if rules.learner.check().map_err(WorkspaceError::from)?.abilities().extend {
            extended.push(workspace.model(generation, record, &recipe.recipe)?);
        }
    }
    for shard in store.grid().shards() {
        let _commit = store.lock(shard)?;
        let waiting = store.waiting(shard)?;
        // States with the rows first, then those without them go. A crash in between costs nothing.
        for model in &extended {
            carry_to_waiting(model, shard, &waiting)?;
        }
        for cell in waiting {
            store.settle(cell, record.cells.get(&cell))?;
            workspace.files().reached("placing");
        }
        store.remove_beyond(shard)?;
        workspace.files().sync_dir(&store.shard_dir(shard))?;
        purge_stale(&workspace, generation, record, store.key(), shard, false)?;
    }
    let batch = record.batches;
    writing.append(Event::Placed(Placed { generation, batch }))?;
    workspace.files().reached("placed");
    Ok(true)
}

fn checked(name: &str) -> Result<String, AppendError> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    if name.is_empty() || name.len() > 128 || !name.chars().all(fine) {
        return Err(AppendError::BadName { name: name.chars().take(40).collect() });
    }
    Ok(name.into())
}
