//! The first step of one shard, on which a learner outside this program is tried before its recipe is frozen.

use std::path::Path;

use super::{Recipe, TrainError};
use crate::{
    ids::{Cell, Part, ShardId, SliceId},
    learn::{FirstStep, LearnerSettings, Rows, Visit},
    shard::{Cells, ShardStore, Slice},
};

/// So many visits are tried at most, unless two batches are more: what shows only later shows when everything is trained again.
const TRIED: usize = 16_384;

/// The recipe's learner with what is found by running it, in `folder`, if it is one outside this program: twice, on made-up rows and on the
/// first step of the shard that has the fewest rows there.
///
/// # Errors
/// It can't be run, two runs of it differ, or a slice is damaged.
pub fn settled(recipe: &Recipe, shards: &ShardStore, cells: &Cells, folder: &Path) -> Result<LearnerSettings, TrainError> {
    let Some(settings) = recipe.learner.external().filter(|settings| !settings.is_settled()) else {
        return Ok(recipe.learner.clone());
    };
    let Some((shard, index)) = smallest(shards, cells)? else {
        return Ok(recipe.learner.settled(shards.layout(), folder, None)?);
    };
    let slices = (1..=index).map(|slice| shards.open(Cell { shard, part: Part::Slice(SliceId(slice)) }));
    let slices = slices.collect::<Result<Vec<Slice>, _>>()?;
    let of = shards.chain().first_slices();
    let records: Vec<_> = slices.iter().map(Slice::records).collect();
    let mut visits: Vec<Visit> = recipe.schedule.visits(shards.key(), shard, of, &records);
    visits.truncate(TRIED.max(2 * settings.batch as usize));
    let prefix: Vec<Rows<'_>> = slices.iter().map(Slice::rows).collect();
    let seed = shards.key().initial_state(shard);
    let first = FirstStep { seed, index, of, prefix: &prefix, visits: &visits };
    Ok(recipe.learner.settled(shards.layout(), folder, Some(&first))?)
}

/// The shard whose first slice with rows has the fewest, and which slice that is.
fn smallest(shards: &ShardStore, cells: &Cells) -> Result<Option<(ShardId, u32)>, TrainError> {
    let mut least: Option<(u64, ShardId, u32)> = None;
    for shard in shards.grid().shards() {
        for slice in shards.grid().slices() {
            let cell = Cell { shard, part: Part::Slice(slice) };
            let rows = match cells.rows(&cell) {
                Some(rows) => rows,
                None => shards.header(cell)?.rows,
            };
            if rows > 0 {
                let found = (rows, shard, slice.0);
                least = Some(least.map_or(found, |least| least.min(found)));
                break;
            }
        }
    }
    Ok(least.map(|(_, shard, slice)| (shard, slice)))
}
