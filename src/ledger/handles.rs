//! Which handles imports refuse and which were erased: a sorted table up to the last summary, and what came since.

use std::collections::BTreeMap;

use super::{
    Accepted, LedgerError, Outcome, OutcomeKind,
    table::{Table, key_of},
};
use crate::{digest::Digest, ids::Handle};

/// Imports refuse it.
const SUPPRESSED: u8 = 1;
/// It was erased and not imported since.
const ERASED: u8 = 2;

/// A handle and its flags.
pub(super) const HANDLE_RECORD: usize = 17;
/// A handle, whether it names a subject, what became of it, records in slices, records held out.
pub(super) const OUTCOME_RECORD: usize = 34;
/// Requests of more ids have their outcomes in a file of their own.
pub(super) const OUTCOMES_IN_ENTRY: usize = 256;

/// What an event does to a handle's flags: first clears, then sets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Touch {
    clear: u8,
    set: u8,
}

impl Touch {
    fn on(self, flags: u8) -> u8 {
        flags & !self.clear | self.set
    }

    fn then(self, later: Touch) -> Touch {
        Touch { clear: self.clear | later.clear, set: later.on(self.set) }
    }
}

/// What came after the last summary, in order.
#[derive(Clone, Debug)]
pub(super) enum Layer {
    /// Handles of small requests.
    Few(BTreeMap<Handle, Touch>),
    /// The outcomes of a large request, in the file of its entry.
    Many { sequence: u64, list: Digest, suppress: bool },
    /// A new source may hold people again who were erased without being suppressed.
    Imported,
}

/// All handles that were ever named, as of one entry.
#[derive(Clone, Debug, Default)]
pub(super) struct Touched {
    /// The folder of the last summary, and the name of its table.
    pub(super) base: Option<(u64, Digest)>,
    pub(super) layers: Vec<Layer>,
}

impl Touched {
    fn few(&mut self, handle: Handle, touch: Touch) {
        if !matches!(self.layers.last(), Some(Layer::Few(_))) {
            self.layers.push(Layer::Few(BTreeMap::new()));
        }
        if let Some(Layer::Few(few)) = self.layers.last_mut() {
            let before = few.entry(handle).or_default();
            *before = before.then(touch);
        }
    }

    pub(super) fn accepted(&mut self, sequence: u64, accepted: &Accepted) {
        for outcome in &accepted.outcomes {
            self.few(outcome.handle, touch_of(outcome.outcome, accepted.suppress));
        }
        if let Some(list) = accepted.list {
            self.layers.push(Layer::Many { sequence, list, suppress: accepted.suppress });
        }
        self.returned(&accepted.returned);
    }

    pub(super) fn unsuppressed(&mut self, handles: &[Handle]) {
        for handle in handles {
            self.few(*handle, Touch { clear: SUPPRESSED, set: 0 });
        }
    }

    /// A batch, or a correction, brought people who were erased and may come again.
    pub(super) fn returned(&mut self, handles: &[Handle]) {
        for handle in handles {
            self.few(*handle, Touch { clear: ERASED, set: 0 });
        }
    }

    pub(super) fn imported(&mut self) {
        if self.base.is_some() || !self.layers.is_empty() {
            self.layers.push(Layer::Imported);
        }
    }
}

fn touch_of(outcome: OutcomeKind, suppress: bool) -> Touch {
    let suppressed = if suppress { SUPPRESSED } else { 0 };
    let erased = match outcome {
        OutcomeKind::Erased | OutcomeKind::AlreadyErased => ERASED,
        OutcomeKind::NotFound | OutcomeKind::Corrected | OutcomeKind::Unchanged | OutcomeKind::Refused => 0,
    };
    Touch { clear: 0, set: suppressed | erased }
}

fn imported(flags: u8) -> u8 {
    if flags & SUPPRESSED == 0 { flags & !ERASED } else { flags }
}

/// The handles that were named in requests, to be asked about one by one.
#[derive(Debug)]
pub struct HandleSet<'a> {
    pub(super) base: Option<Table>,
    /// With the tables of large requests.
    pub(super) layers: Vec<(&'a Layer, Option<Table>)>,
}

impl HandleSet<'_> {
    fn flags(&self, handle: Handle) -> Result<u8, LedgerError> {
        let mut flags = match &self.base {
            Some(table) => table.find(handle)?.and_then(|record| record.get(16).copied()).unwrap_or(0),
            None => 0,
        };
        for (layer, table) in &self.layers {
            flags = match (layer, table) {
                (Layer::Few(few), _) => few.get(&handle).map_or(flags, |touch| touch.on(flags)),
                (Layer::Many { suppress, .. }, Some(table)) => match table.find(handle)? {
                    Some(record) => touch_of(outcome_of(record).outcome, *suppress).on(flags),
                    None => flags,
                },
                (Layer::Many { .. }, None) => flags,
                (Layer::Imported, _) => imported(flags),
            };
        }
        Ok(flags)
    }

    /// Whether imports refuse it.
    ///
    /// # Errors
    /// A table is damaged.
    pub fn is_suppressed(&self, handle: Handle) -> Result<bool, LedgerError> {
        Ok(self.flags(handle)? & SUPPRESSED != 0)
    }

    /// Whether it was erased and not imported since.
    ///
    /// # Errors
    /// A table is damaged.
    pub fn is_erased(&self, handle: Handle) -> Result<bool, LedgerError> {
        Ok(self.flags(handle)? & ERASED != 0)
    }

    /// Whether it must not be in any slice: suppressed or erased.
    ///
    /// # Errors
    /// A table is damaged.
    pub fn is_gone(&self, handle: Handle) -> Result<bool, LedgerError> {
        Ok(self.flags(handle)? != 0)
    }

    /// Reads all of it, so that no later question finds damage.
    ///
    /// # Errors
    /// A table is damaged.
    pub fn check(&self) -> Result<(), LedgerError> {
        self.base.iter().chain(self.layers.iter().filter_map(|(_, table)| table.as_ref())).try_for_each(|t| t.each(|_| {}))
    }

    /// How many handles imports refuse.
    ///
    /// # Errors
    /// A table is damaged.
    pub fn count_suppressed(&self) -> Result<usize, LedgerError> {
        Ok(self.merged()?.iter().filter(|(_, flags)| flags & SUPPRESSED != 0).count())
    }

    /// Every handle with a flag, in order.
    fn merged(&self) -> Result<Vec<(Handle, u8)>, LedgerError> {
        let mut all = Vec::new();
        if let Some(table) = &self.base {
            all.reserve(table.len());
            table.each(|record| all.push((key_of(record), record.get(16).copied().unwrap_or(0))))?;
        }
        for (layer, table) in &self.layers {
            match (layer, table) {
                (Layer::Few(few), _) => all = merge(all, few.iter().map(|(handle, touch)| (*handle, *touch))),
                (Layer::Many { suppress, .. }, Some(table)) => {
                    let mut many = Vec::with_capacity(table.len());
                    table.each(|record| many.push((key_of(record), touch_of(outcome_of(record).outcome, *suppress))))?;
                    all = merge(all, many.into_iter());
                }
                (Layer::Many { .. }, None) => {}
                (Layer::Imported, _) => all.iter_mut().for_each(|(_, flags)| *flags = imported(*flags)),
            }
        }
        all.retain(|(_, flags)| *flags != 0);
        Ok(all)
    }

    /// The records of a table of them.
    pub(super) fn records(&self) -> Result<Vec<u8>, LedgerError> {
        let all = self.merged()?;
        let mut records = Vec::with_capacity(all.len() * HANDLE_RECORD);
        for (handle, flags) in all {
            records.extend_from_slice(&handle.0);
            records.push(flags);
        }
        Ok(records)
    }
}

/// Two ascending lists as one.
fn merge(flags: Vec<(Handle, u8)>, touches: impl Iterator<Item = (Handle, Touch)>) -> Vec<(Handle, u8)> {
    let mut merged = Vec::with_capacity(flags.len() + touches.size_hint().0);
    let mut flags = flags.into_iter().peekable();
    for (handle, touch) in touches {
        while let Some(before) = flags.next_if(|(at, _)| *at < handle) {
            merged.push(before);
        }
        let before = flags.next_if(|(at, _)| *at == handle).map_or(0, |(_, flags)| flags);
        merged.push((handle, touch.on(before)));
    }
    merged.extend(flags);
    merged
}

/// The records of a table of outcomes.
pub(super) fn outcome_records(outcomes: &[Outcome]) -> Vec<u8> {
    let mut sorted: Vec<&Outcome> = outcomes.iter().collect();
    sorted.sort_by_key(|o| (o.handle, o.subject));
    let mut records = Vec::with_capacity(sorted.len() * OUTCOME_RECORD);
    for outcome in sorted {
        records.extend_from_slice(&outcome.handle.0);
        records.push(u8::from(outcome.subject));
        records.push(match outcome.outcome {
            OutcomeKind::Erased => 0,
            OutcomeKind::NotFound => 1,
            OutcomeKind::AlreadyErased => 2,
            OutcomeKind::Corrected => 3,
            OutcomeKind::Unchanged => 4,
            OutcomeKind::Refused => 5,
        });
        records.extend_from_slice(&outcome.in_slices.to_le_bytes());
        records.extend_from_slice(&outcome.held_out.to_le_bytes());
    }
    records
}

/// The outcome that a record says.
pub(super) fn outcome_of(record: &[u8]) -> Outcome {
    let count = |at: usize| record.get(at..at + 8).and_then(|n| n.try_into().ok()).map_or(0, u64::from_le_bytes);
    Outcome {
        handle: key_of(record),
        subject: record.get(16) == Some(&1),
        outcome: match record.get(17) {
            Some(0) => OutcomeKind::Erased,
            Some(2) => OutcomeKind::AlreadyErased,
            Some(3) => OutcomeKind::Corrected,
            Some(4) => OutcomeKind::Unchanged,
            Some(5) => OutcomeKind::Refused,
            _ => OutcomeKind::NotFound,
        },
        in_slices: count(18),
        held_out: count(26),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flags by the plainest means: a map, and every event on all of it.
    #[derive(Default)]
    struct Plain(BTreeMap<Handle, u8>);

    #[test]
    fn layers_say_what_one_map_would() {
        let mut x = 7_u64;
        let mut draw = move |n: u64| {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (x >> 33) % n
        };
        let handle = |n: u64| Handle([n as u8; 16]);
        let (mut touched, mut plain) = (Touched::default(), Plain::default());
        for round in 0..400 {
            match draw(9) {
                8 => {
                    let back = handle(draw(20));
                    touched.returned(&[back]);
                    plain.0.entry(back).and_modify(|flags| *flags &= !ERASED);
                }
                0 => {
                    touched.imported();
                    plain.0.values_mut().for_each(|flags| *flags = imported(*flags));
                }
                1 => {
                    let gone = handle(draw(20));
                    touched.unsuppressed(&[gone]);
                    plain.0.entry(gone).and_modify(|flags| *flags &= !SUPPRESSED);
                }
                _ => {
                    let corrects = draw(4) == 0;
                    let kinds = match corrects {
                        false => [OutcomeKind::Erased, OutcomeKind::NotFound, OutcomeKind::AlreadyErased],
                        true => [OutcomeKind::Corrected, OutcomeKind::Unchanged, OutcomeKind::Refused],
                    };
                    let outcome = Outcome {
                        handle: handle(draw(20)),
                        subject: true,
                        outcome: kinds[draw(3) as usize],
                        in_slices: 1,
                        held_out: 0,
                    };
                    let accepted = Accepted {
                        request: round.to_string(),
                        ids: Digest([0; 32]),
                        suppress: !corrects && draw(2) == 0,
                        corrects,
                        returned: if corrects { vec![handle(draw(20))] } else { Vec::new() },
                        outcomes: vec![outcome.clone()],
                        list: None,
                        cells: Vec::new(),
                        purge: Vec::new(),
                        exports: Vec::new(),
                        predicted: Default::default(),
                    };
                    touched.accepted(round, &accepted);
                    let flags = plain.0.entry(outcome.handle).or_default();
                    *flags |= if accepted.suppress { SUPPRESSED } else { 0 };
                    *flags |= if corrects || outcome.outcome == OutcomeKind::NotFound { 0 } else { ERASED };
                    for back in accepted.returned {
                        plain.0.entry(back).and_modify(|flags| *flags &= !ERASED);
                    }
                }
            }
            let set = HandleSet { base: None, layers: touched.layers.iter().map(|layer| (layer, None)).collect() };
            for n in 0..20 {
                assert_eq!(set.flags(handle(n)).unwrap(), plain.0.get(&handle(n)).copied().unwrap_or(0), "round {round}");
            }
            let mut expected: Vec<_> = plain.0.iter().map(|(h, f)| (*h, *f)).collect();
            expected.retain(|(_, flags)| *flags != 0);
            assert_eq!(set.merged().unwrap(), expected);
        }
    }
}
