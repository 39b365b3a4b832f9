//! Deletion requests for a process that stays: read once, then followed, each as one short line.

use std::collections::BTreeMap;

use super::{DeleteRequest, Engine, Error};
use crate::{
    ids::{GenerationId, Handle, Part, ShardId},
    ledger::{Accepted, Event, ExportSeen, Head, OutcomeKind},
};

/// A request that was accepted and how far it has come, without the ids, cells and files that it is about.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RequestLine {
    /// The number of its `accepted` entry.
    pub sequence: u64,
    /// Its name.
    pub request: String,
    /// When it was accepted.
    pub accepted_at: String,
    /// Ids whose records are erased.
    pub erased: u64,
    /// Ids whose records were erased by a request before.
    pub already_erased: u64,
    /// Ids that were not found.
    pub unknown: u64,
    /// Records that hold something else now: of a correction.
    pub corrected: u64,
    /// Records that go, held-out ones included; of a correction those that its rows are about.
    pub records: u64,
    /// Copies of models that saw what goes.
    pub exports: Vec<ExportSeen>,
    /// Shards of which a slice changes, in order.
    pub shards: Vec<ShardId>,
    /// When it came into effect, and how many seconds after it was accepted.
    pub effective: Option<(String, f64)>,
    /// When it was repaired.
    pub repaired: Option<String>,
}

impl RequestLine {
    fn new(sequence: u64, accepted_at: &str, accepted: &Accepted) -> RequestLine {
        let count = |kind| accepted.outcomes.iter().filter(|o| o.outcome == kind).count() as u64;
        let mut shards: Vec<ShardId> = accepted.cells.iter().map(|change| change.cell.shard).collect();
        shards.sort_unstable();
        shards.dedup();
        RequestLine {
            sequence,
            request: accepted.request.clone(),
            accepted_at: accepted_at.to_owned(),
            erased: count(OutcomeKind::Erased),
            already_erased: count(OutcomeKind::AlreadyErased),
            unknown: count(OutcomeKind::NotFound),
            corrected: count(OutcomeKind::Corrected),
            records: accepted.outcomes.iter().map(|o| o.in_slices + o.held_out).sum(),
            exports: accepted.exports.clone(),
            shards,
            effective: None,
            repaired: None,
        }
    }
}

/// All requests that a process has seen in the ledger, in order. The first look reads the whole chain, later ones what came since.
#[derive(Debug, Default)]
pub struct Requests {
    lines: Vec<RequestLine>,
    places: BTreeMap<String, usize>,
    /// Records that left the slices of each generation.
    deleted: BTreeMap<GenerationId, u64>,
    head: Head,
}

impl Requests {
    /// The number of the last entry that was seen.
    pub fn entry(&self) -> u64 {
        self.head.sequence
    }

    /// In order of acceptance.
    pub fn lines(&self) -> &[RequestLine] {
        &self.lines
    }

    /// The one of this name.
    pub fn get(&self, name: &str) -> Option<&RequestLine> {
        self.lines.get(*self.places.get(name)?)
    }

    /// The newest first, of those accepted before the entry of this number.
    pub fn before(&self, sequence: u64) -> impl Iterator<Item = &RequestLine> {
        let end = self.lines.partition_point(|line| line.sequence < sequence);
        self.lines.get(..end).unwrap_or_default().iter().rev()
    }

    /// Records that requests took out of the slices of a generation, those held out not counted.
    pub(super) fn deleted(&self, generation: GenerationId) -> u64 {
        self.deleted.get(&generation).copied().unwrap_or(0)
    }

    fn of(&mut self, name: &str) -> Option<&mut RequestLine> {
        self.lines.get_mut(*self.places.get(name)?)
    }
}

impl Engine {
    /// Takes in what came into the ledger since the last look.
    ///
    /// # Errors
    /// The ledger is damaged, or the disk refuses; what was seen before stays.
    pub fn follow(&self, requests: &mut Requests) -> Result<(), Error> {
        let ledger = self.workspace.ledger();
        let mut seen = Vec::new();
        let head = ledger.entries_after(requests.head, |entry| match &entry.event {
            Event::Accepted(_) | Event::Effective(_) | Event::Repaired(_) => {
                seen.push((entry.sequence, entry.time.clone(), entry.event.clone()));
            }
            _ => {}
        })?;
        let mut accepted = BTreeMap::new();
        for (sequence, _, event) in &seen {
            if let Event::Accepted(short) = event {
                accepted.insert(*sequence, ledger.whole(*sequence, short)?);
            }
        }
        for (sequence, at, event) in seen {
            match event {
                Event::Accepted(short) => {
                    let whole = accepted.get(&sequence).unwrap_or(&short);
                    for change in whole.cells.iter().filter(|change| change.cell.part != Part::Holdout) {
                        *requests.deleted.entry(change.generation).or_default() += change.records;
                    }
                    requests.places.insert(whole.request.clone(), requests.lines.len());
                    requests.lines.push(RequestLine::new(sequence, &at, whole));
                }
                Event::Effective(effective) => {
                    if let Some(line) = requests.of(&effective.request) {
                        line.effective = Some((at, effective.seconds));
                    }
                }
                Event::Repaired(repaired) => {
                    for name in &repaired.requests {
                        if let Some(line) = requests.of(name) {
                            line.repaired = Some(at.clone());
                        }
                    }
                }
                _ => {}
            }
        }
        requests.head = head;
        Ok(())
    }

    /// What the workspace calls these subjects: for whoever must not keep their ids. In order of the handles, each once.
    ///
    /// # Errors
    /// An id is empty, there are none, or the workspace has no such ids.
    pub fn subject_handles(&self, subjects: Vec<String>) -> Result<Vec<Handle>, Error> {
        let request = DeleteRequest { subjects, ..DeleteRequest::default() };
        let targets = self.targets(&self.workspace.snapshot()?, &request)?;
        Ok(targets.iter().map(|target| target.handle).collect())
    }
}
