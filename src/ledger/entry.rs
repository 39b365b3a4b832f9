//! What the ledger can say. Holds handles, counts and digests; never an id, nor an unkeyed hash of one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ExportSeen, Exported, Replay};
use crate::{
    digest::Digest,
    ids::{Cell, GenerationId, Handle, RecipeId, ShardId, by_name},
};

/// The version of ledger entries.
///
/// Format 2, whose entries lay in the folders of what belongs to them, is read.
pub const LEDGER_FORMAT: u32 = 3;

/// The first version: sealed without a key, and with all lists in the entries themselves.
pub const LEDGER_FORMAT_1: u32 = 1;

/// One file of the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// [`LEDGER_FORMAT`], or an older one.
    pub format: u32,
    /// Its number, from 1; also its file name.
    pub sequence: u64,
    /// The digest of the entry before it; of nothing for the first.
    pub previous: Digest,
    /// Names the summary of all entries before this one, in the first entry of a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Digest>,
    /// When it was written (UTC, RFC 3339).
    pub time: String,
    /// What happened.
    pub event: Event,
    /// The seal of this entry as it is written with 64 zeros here, by a key derived from the handle key; in format 1 its BLAKE3.
    pub digest: Digest,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// A generation exists.
    Imported(Imported),
    /// A batch of records came to a generation.
    Appended(Appended),
    /// The files of a batch are in their places.
    Placed(Placed),
    /// A recipe was frozen for a generation.
    Recipe(RecipeFrozen),
    /// A deletion or a correction was accepted: a complete redo record.
    Accepted(Accepted),
    /// A deletion is in effect.
    Effective(Effective),
    /// Deletions are repaired.
    Repaired(Repaired),
    /// Every step of a recipe is trained and durable.
    Trained(Trained),
    /// A generation took another's place under a fresh model key.
    Rekeyed(Rekeyed),
    /// Handles may be imported again.
    Unsuppressed(Unsuppressed),
    /// A damaged slice was written again, or given up.
    Mended(Mended),
    /// Generations or recipes are no longer in service and their files are gone.
    Purged(Purged),
    /// Something else is in service, or serves in another way.
    Switched(Switched),
    /// A copy of what is in service left the workspace.
    Exported(Exported),
}

/// A generation exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imported {
    /// Which.
    pub generation: GenerationId,
    /// The generation whose slices it was made from, when it is a rekeying.
    pub rekeys: Option<GenerationId>,
    /// Names the handle key.
    pub handle_key: Digest,
    /// Names the model key.
    pub model_key: Digest,
    /// Digest of `partition.json`.
    pub partition: Digest,
    /// Records in slices.
    pub records: u64,
    /// Records held out.
    pub held_out: u64,
    /// Rows refused because their subject or record is suppressed.
    pub refused: u64,
    /// Root digest of all cells.
    pub root: Digest,
    /// Digest of the file that lists what every cell holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<Digest>,
    /// The content digest of every cell, in format 1.
    #[serde(with = "by_name", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cells: BTreeMap<Cell, Digest>,
}

/// A batch of records came to a generation. From here on its cells hold what this entry lists; the files wait beside those whose places
/// they take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Appended {
    /// Which generation.
    pub generation: GenerationId,
    /// The batch's number, from 2.
    pub batch: u32,
    /// Its name.
    pub name: String,
    /// Keyed digest of its rows, whatever became of them, so that a repeat can be told from another batch.
    pub content: Digest,
    /// Its records that went into slices.
    pub records: u64,
    /// Its records held out.
    pub held_out: u64,
    /// Its rows refused because their subject or record is suppressed.
    pub refused: u64,
    /// Handles that were erased, and that it brings again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub returned: Vec<Handle>,
    /// Root digest of all cells.
    pub root: Digest,
    /// Digest of the file that lists what every cell holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<Digest>,
}

/// The files of a batch are in their places, and those that it replaces are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placed {
    /// Which generation.
    pub generation: GenerationId,
    /// The batch's number.
    pub batch: u32,
}

/// A recipe was frozen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipeFrozen {
    /// For which generation.
    pub generation: GenerationId,
    /// Its folder's name.
    pub recipe: RecipeId,
    /// Digest of `recipe.json`.
    pub digest: Digest,
    /// Digest of the recipe that the configuration file alone would have given, so that a later run can tell
    /// whether the file changed, or only the flags are gone.
    pub declared: Digest,
}

/// What became of one id of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// It had records, and they go.
    Erased,
    /// The workspace never had it, or not since the last import.
    NotFound,
    /// An earlier request took it away.
    AlreadyErased,
    /// Its record holds something else now.
    Corrected,
    /// Its record holds what was asked for, and did before.
    Unchanged,
    /// What its record was to be about is suppressed, so it is as it was.
    Refused,
}

/// One id of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Its handle.
    pub handle: Handle,
    /// Whether it names a subject (or one record).
    pub subject: bool,
    /// What became of it.
    pub outcome: OutcomeKind,
    /// Records in slices of the generation in service.
    pub in_slices: u64,
    /// Records held out.
    pub held_out: u64,
}

/// A cell before and after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellChange {
    /// Of which generation.
    pub generation: GenerationId,
    /// Which cell.
    pub cell: Cell,
    /// Content digest before.
    pub before: Digest,
    /// Content digest after.
    pub after: Digest,
    /// Records that go.
    pub records: u64,
    /// Records that come in the place of others, here or elsewhere.
    #[serde(default, skip_serializing_if = "is_none")]
    pub come: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_not(flag: &bool) -> bool {
    !flag
}

/// What a repair costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Visits of rows by the repair, counted from the schedule.
    pub row_passes: u64,
    /// Visits of rows by training everything anew.
    pub full_row_passes: u64,
}

/// A deletion or a correction was accepted. Every step of it can be done again from this entry, and of a correction from the slices that
/// wait beside those whose places they take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// The request's name.
    pub request: String,
    /// Keyed digest of its ids, so that a repeat can be told from another request.
    pub ids: Digest,
    /// Whether its handles are refused by later imports.
    pub suppress: bool,
    /// Whether it corrects records: the slices with them wait beside those whose places they take.
    #[serde(default, skip_serializing_if = "is_not")]
    pub corrects: bool,
    /// Handles that were erased, and that a correction brings again: of subjects whom records are about now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub returned: Vec<Handle>,
    /// What becomes of each id; none where they are in a file of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<Outcome>,
    /// Names that file: of a request of many ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<Digest>,
    /// Which cells change.
    pub cells: Vec<CellChange>,
    /// Tainted files to be unlinked, relative to the workspace.
    pub purge: Vec<String>,
    /// Copies of models that saw what goes, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<ExportSeen>,
    /// The predicted cost of the repair, this and earlier unrepaired requests together.
    pub predicted: Cost,
}

impl Accepted {
    /// A request of this name and these ids, which changes nothing yet and suppresses nothing.
    pub fn of(request: &str, ids: Digest) -> Accepted {
        Accepted {
            request: request.into(),
            ids,
            suppress: false,
            corrects: false,
            returned: Vec::new(),
            outcomes: Vec::new(),
            list: None,
            cells: Vec::new(),
            purge: Vec::new(),
            exports: Vec::new(),
            predicted: Cost::default(),
        }
    }
}

/// A deletion is in effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effective {
    /// The request's name.
    pub request: String,
    /// Root digest of all cells now, by generation.
    #[serde(with = "by_name")]
    pub roots: BTreeMap<GenerationId, Digest>,
    /// Seconds since the entry `accepted`.
    pub seconds: f64,
}

/// What a repair did to one shard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardRepair {
    /// Which shard.
    pub shard: ShardId,
    /// The step whose checkpoint it started from; 0 is from nothing.
    pub from_step: u32,
    /// Lineage key of its last step before.
    pub before: Digest,
    /// Lineage key of its last step now.
    pub after: Digest,
    /// Steps trained.
    pub steps: u32,
    /// Row-passes trained.
    pub row_passes: u64,
}

/// Deletions are repaired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repaired {
    /// The requests, in order of acceptance.
    pub requests: Vec<String>,
    /// The generation in service.
    pub generation: GenerationId,
    /// The recipe in service.
    pub recipe: RecipeId,
    /// What was done, to every shard that was not whole before.
    pub shards: Vec<ShardRepair>,
    /// One digest over the lineage keys of the last steps of all shards that are whole now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<Digest>,
    /// The lineage key of every shard's last step, in order, in format 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lineages: Vec<Digest>,
    /// Row-passes trained, and what everything would have taken.
    pub actual: Cost,
    /// Seconds of training.
    pub seconds: f64,
    /// Where training again under this recipe gives the same bytes; left out where that is any machine.
    #[serde(default, skip_serializing_if = "Replay::is_everywhere")]
    pub replay: Replay,
}

/// Every step of these shards is trained and durable under a recipe, so that a later run need not read it to trust it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trained {
    /// Of which generation.
    pub generation: GenerationId,
    /// Its recipe.
    pub recipe: RecipeId,
    /// The shards that are whole and were not before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<WholeShard>,
    /// One digest over the lineage keys of the last steps of all shards that are whole now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<Digest>,
    /// The lineage key of every shard's last step, in order, in format 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lineages: Vec<Digest>,
}

/// A shard of which every step is trained and durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WholeShard {
    /// Which.
    pub shard: ShardId,
    /// The lineage key of its last step.
    pub lineage: Digest,
}

/// A generation took another's place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rekeyed {
    /// The old one.
    pub from: GenerationId,
    /// The new one.
    pub to: GenerationId,
}

/// Handles may be imported again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unsuppressed {
    /// Which.
    pub handles: Vec<Handle>,
}

/// A damaged slice was written again, or given up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mended {
    /// Of which generation.
    pub generation: GenerationId,
    /// Which cell.
    pub cell: Cell,
    /// The recorded digest.
    pub before: Digest,
    /// The digest now; the same when the slice was written again from its source.
    pub after: Digest,
    /// Whether its records were given up.
    pub dropped: bool,
}

/// Generations or recipes are gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purged {
    /// Generations with all their recipes.
    pub generations: Vec<GenerationId>,
    /// Single recipes of the generation that stays.
    pub recipes: Vec<RecipeId>,
}

/// What is in service from here on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switched {
    /// The generation.
    pub generation: GenerationId,
    /// The recipe.
    pub recipe: RecipeId,
    /// How constituents are brought together.
    pub aggregate: Aggregate,
}

/// How scores of constituents become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Aggregate {
    /// The mean of class probabilities, or of predicted numbers.
    #[default]
    Mean,
    /// The majority vote; a tie goes to the class with the higher mean probability, then to the lower index. Numbers are averaged.
    Vote,
}
