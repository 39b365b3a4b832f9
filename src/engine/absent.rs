//! Whose rows a source has and slices have not: what was refused when they came, as the ids were suppressed then, and what was taken away since.

use std::collections::{BTreeMap, BTreeSet};

use super::Error;
use crate::{
    ids::{GenerationId, Handle},
    ledger::{Event, Ledger, OutcomeKind},
    order::Batches,
};

/// The batches whose rows a slice may hold; the import is the first.
pub(super) const ALL: Batches = Batches { first: 1, last: u32::MAX };
/// Those of the import alone.
pub(super) const IMPORT: Batches = Batches { first: 1, last: 1 };

/// The handles of rows that sources have and slices have not. Where somebody came back with a later one of several batches, nothing says
/// which rows of his are meant, and he counts as there.
#[derive(Clone, Debug, Default)]
pub(super) struct Absent {
    refused: BTreeSet<Handle>,
    erased: BTreeSet<Handle>,
}

impl Absent {
    /// Whether rows of this handle are not there.
    pub(super) fn has(&self, handle: Handle) -> bool {
        self.refused.contains(&handle) || self.erased.contains(&handle)
    }

    fn comes(&mut self, suppressed: &BTreeSet<Handle>, returned: &[Handle]) {
        self.refused.clone_from(suppressed);
        self.came_back(returned);
    }

    fn came_back(&mut self, returned: &[Handle]) {
        returned.iter().for_each(|handle| {
            self.erased.remove(handle);
        });
    }
}

/// What is absent of some intervals of a generation's batches. Of a generation made from another one's slices it is the first of them that
/// was imported.
///
/// # Errors
/// The ledger is damaged.
pub(super) fn absent(
    ledger: &Ledger,
    of: GenerationId,
    intervals: &BTreeSet<Batches>,
) -> Result<BTreeMap<Batches, Absent>, Error> {
    let mut suppressed: BTreeSet<Handle> = BTreeSet::new();
    // Of every generation all batches together: another one may be made of it.
    let mut all: BTreeMap<GenerationId, Absent> = BTreeMap::new();
    let mut found: BTreeMap<Batches, Absent> = BTreeMap::new();
    let mut unread = None;
    ledger.read_entries(|entry, _| match &entry.event {
        Event::Imported(imported) => {
            let begin = match imported.rekeys.and_then(|from| all.get(&from)) {
                Some(before) => before.clone(),
                None => Absent { refused: suppressed.clone(), erased: BTreeSet::new() },
            };
            if imported.generation == of {
                found.extend(intervals.iter().filter(|i| i.first == 1).map(|i| (*i, begin.clone())));
            }
            all.insert(imported.generation, begin);
        }
        Event::Appended(appended) => {
            let came = |absent: &mut Absent| absent.comes(&suppressed, &appended.returned);
            all.get_mut(&appended.generation).into_iter().for_each(came);
            if appended.generation == of {
                let holds = |i: &&Batches| (i.first..=i.last).contains(&appended.batch);
                intervals.iter().filter(holds).for_each(|interval| came(found.entry(*interval).or_default()));
            }
        }
        Event::Accepted(accepted) => {
            // The outcomes of many ids are in a file of their own.
            let accepted = match ledger.whole(entry.sequence, accepted) {
                Ok(whole) => whole,
                Err(e) => {
                    unread = Some(e);
                    return;
                }
            };
            let erased = accepted.outcomes.iter().filter(|o| o.outcome == OutcomeKind::Erased).map(|o| o.handle);
            for absent in all.values_mut().chain(found.values_mut()) {
                absent.erased.extend(erased.clone());
                absent.came_back(&accepted.returned);
            }
            if accepted.suppress {
                suppressed.extend(accepted.outcomes.iter().map(|o| o.handle));
            }
        }
        Event::Unsuppressed(event) => event.handles.iter().for_each(|handle| {
            suppressed.remove(handle);
        }),
        _ => {}
    })?;
    match unread {
        Some(e) => Err(e.into()),
        None => Ok(found),
    }
}
