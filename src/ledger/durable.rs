//! What of a recipe's steps is known to be trained and durable.

use crate::{
    digest::Digest,
    ids::{Part, ShardId},
    order::Chain,
    shard::Cells,
};

const SHARD_BYTES: usize = 36;
const STANDBY_BYTES: usize = 40;

/// The last state of a shard from before batches that are not trained yet: it serves until they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standby {
    /// Its step, by the slices that there were.
    pub step: u32,
    /// The last batch that it has seen.
    pub batch: u32,
    /// Its lineage key.
    pub lineage: Digest,
}

impl Standby {
    /// Whether it may have seen a record of this part.
    pub fn saw(&self, chain: &Chain, part: Part) -> bool {
        part != Part::Holdout && chain.batches(part).is_none_or(|batches| batches.first <= self.batch)
    }
}

/// What of a recipe's steps is known to be trained and durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durable {
    /// For each shard, how many steps from the first.
    pub steps: Vec<u32>,
    /// For each shard, the lineage key of its last step when it was last whole.
    pub lineages: Vec<Digest>,
    /// For each shard that is not whole because batches came, the state that serves meanwhile.
    pub standby: Vec<Option<Standby>>,
}

impl Durable {
    pub(super) fn none(shards: u32) -> Durable {
        let shards = shards as usize;
        Durable { steps: vec![0; shards], lineages: vec![Digest([0; 32]); shards], standby: vec![None; shards] }
    }

    /// One digest over the lineage keys of the last steps of all shards that are whole; 32 zeros stand for one that is not.
    pub(super) fn root(&self, slices: u32) -> Digest {
        let mut material = Vec::with_capacity(self.lineages.len() * 32);
        for (steps, lineage) in self.steps.iter().zip(&self.lineages) {
            material.extend_from_slice(if *steps == slices { &lineage.0 } else { &[0; 32] });
        }
        Digest::derive("sisa 2 lineages root", &[&material])
    }

    pub(super) fn set(&mut self, whole: impl IntoIterator<Item = (ShardId, Digest)>, slices: u32) -> Result<(), String> {
        for (shard, lineage) in whole {
            let at = shard.0 as usize;
            let (Some(steps), Some(last), Some(standby)) =
                (self.steps.get_mut(at), self.lineages.get_mut(at), self.standby.get_mut(at))
            else {
                return Err(format!("shard {shard} is outside the grid"));
            };
            (*steps, *last, *standby) = (slices, lineage, None);
        }
        Ok(())
    }

    /// A part of a shard holds something else now: steps from its slice on are not what they were.
    pub(super) fn touch(&mut self, chain: &Chain, shard: ShardId, part: Part) {
        let (at, Part::Slice(slice)) = (shard.0 as usize, part) else { return };
        if let Some(steps) = self.steps.get_mut(at) {
            *steps = (*steps).min(slice.0.saturating_sub(1));
        }
        if let Some(standby) = self.standby.get_mut(at) {
            *standby = standby.filter(|standby| !standby.saw(chain, part));
        }
    }

    /// A batch after the last one, `batch`, turned these cells into those. A shard that was whole is served meanwhile as it was.
    pub(super) fn append(&mut self, batch: u32, before: &Cells, after: &Cells) {
        let shards = (0..).map(ShardId).zip(self.steps.iter_mut().zip(&self.lineages).zip(&mut self.standby));
        for (shard, ((steps, lineage), standby)) in shards {
            let (old, new) = (before.slices_of(shard), after.slices_of(shard));
            let same = old.iter().zip(new).take_while(|(a, b)| a == b).count() as u32;
            let has_rows = before.rows_of(shard).is_none_or(|rows| rows.iter().any(|rows| *rows > 0));
            if *steps == before.slices() && same < after.slices() && has_rows {
                *standby = Some(Standby { step: *steps, batch, lineage: *lineage });
            }
            *steps = (*steps).min(same);
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.steps.len() * SHARD_BYTES);
        for (steps, lineage) in self.steps.iter().zip(&self.lineages) {
            bytes.extend_from_slice(&steps.to_le_bytes());
            bytes.extend_from_slice(&lineage.0);
        }
        if self.standby.iter().any(Option::is_some) {
            for standby in &self.standby {
                let Standby { step, batch, lineage } = standby.unwrap_or(Standby { step: 0, batch: 0, lineage: Digest([0; 32]) });
                bytes.extend_from_slice(&step.to_le_bytes());
                bytes.extend_from_slice(&batch.to_le_bytes());
                bytes.extend_from_slice(&lineage.0);
            }
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8], shards: u32) -> Option<Durable> {
        let number = |bytes: &[u8]| Some(u32::from_le_bytes(bytes.try_into().ok()?));
        let (first, second) = bytes.split_at_checked((shards as usize).checked_mul(SHARD_BYTES)?)?;
        let mut durable = Durable::none(shards);
        for (record, (steps, lineage)) in
            first.as_chunks::<SHARD_BYTES>().0.iter().zip(durable.steps.iter_mut().zip(&mut durable.lineages))
        {
            let (head, key) = record.split_at(4);
            (*steps, *lineage) = (number(head)?, Digest(key.try_into().ok()?));
        }
        let (records, rest) = second.as_chunks::<STANDBY_BYTES>();
        if !rest.is_empty() || (!records.is_empty() && records.len() != shards as usize) {
            return None;
        }
        for (record, standby) in records.iter().zip(&mut durable.standby) {
            let (head, key) = record.split_at(8);
            let (step, batch) = head.split_at(4);
            let found = Standby { step: number(step)?, batch: number(batch)?, lineage: Digest(key.try_into().ok()?) };
            *standby = Some(found).filter(|found| found.step > 0);
        }
        Some(durable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ids::SliceId, order::Later};

    fn cells(batches: u32, contents: [[u8; 5]; 2]) -> Cells {
        let chain = Chain::of(2, batches, Later::Merge(3));
        let digests = contents.iter().flat_map(|shard| &shard[..chain.steps() as usize + 1]).map(|c| Digest::of(&[*c]));
        let (digests, rows) = digests.map(|digest| (digest, 1)).unzip();
        Cells::of_chain(2, chain, digests, Some(rows)).unwrap()
    }

    #[test]
    fn what_was_whole_stands_by_until_it_is_again_or_a_record_goes_that_it_saw() {
        let (one, two) = (cells(2, [[1, 2, 3, 0, 0]; 2]), cells(3, [[1, 2, 3, 4, 0]; 2]));
        let mut durable = Durable::none(2);
        durable.set([(ShardId(0), Digest::of(b"whole"))], 3).unwrap();
        durable.append(2, &one, &two);
        let standby = Standby { step: 3, batch: 2, lineage: Digest::of(b"whole") };
        assert_eq!((&durable.steps, &durable.standby), (&vec![3, 0], &vec![Some(standby), None]));
        // Three slices of one batch become one of three.
        let three = cells(4, [[1, 2, 6, 0, 0]; 2]);
        durable.append(3, &two, &three);
        assert_eq!((&durable.steps, &durable.standby), (&vec![2, 0], &vec![Some(standby), None]));
        assert_eq!(Durable::decode(&durable.encode(), 2), Some(durable.clone()));
        for len in (0..durable.encode().len()).filter(|len| *len != 2 * SHARD_BYTES) {
            assert_eq!(Durable::decode(&durable.encode()[..len], 2), None, "{len}");
        }
        let four = Chain::of(2, 5, Later::Merge(3));
        let mut of_the_last_alone = durable.clone();
        of_the_last_alone.touch(&four, ShardId(0), Part::Slice(SliceId(4)));
        assert_eq!(of_the_last_alone.standby, durable.standby);
        for slice in 1..4 {
            let mut touched = durable.clone();
            touched.touch(&four, ShardId(0), Part::Slice(SliceId(slice)));
            assert_eq!(touched.standby, [None, None]);
        }
        durable.set([(ShardId(0), Digest::of(b"again"))], 3).unwrap();
        assert_eq!((durable.steps, durable.standby), (vec![3, 0], vec![None, None]));
    }
}
