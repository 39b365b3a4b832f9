//! Whether an id that is not there is there in another spelling.

use std::collections::{BTreeMap, BTreeSet};

use super::{DeleteError, Drafts, Target, Targets, UnknownIds, draft};
use crate::{
    digest::HandleKey,
    ledger::OutcomeKind,
    schema::{Difference, Schema},
    workspace::{Snapshot, Workspace},
};

/// Unknown ids that are looked for in other spellings.
const IDS_MAX: usize = 1000;

/// Of the unknown ids among those asked for, how many are there in a spelling that differs in one thing, or in two. Changes
/// nothing, and writes no id anywhere: other spellings are hashed as the ids themselves are.
///
/// # Errors
/// A slice is damaged or the disk refuses.
pub fn alike(
    workspace: &Workspace,
    snapshot: &Snapshot,
    key: &HandleKey,
    schema: &Schema,
    (subjects, records): (&[String], &[Vec<String>]),
    unknown: &UnknownIds,
) -> Result<Vec<(Difference, usize)>, DeleteError> {
    let (maker, form) = (key.maker(), schema.exceptions.id_form);
    let mut spelt: Vec<BTreeMap<Target, Difference>> = Vec::new();
    for id in unknown.subjects.iter().filter_map(|at| subjects.get(*at)).take(IDS_MAX) {
        let target = |id: String| Target { subject: true, handle: maker.subject(form.of(&id).as_bytes()) };
        spelt.push(least(Difference::variants(id.trim_ascii()).into_iter().map(|(variant, in_what)| (target(variant), in_what))));
    }
    for id in unknown.records.iter().filter_map(|at| records.get(*at)).take(IDS_MAX) {
        let target = |at: usize, variant: &str| {
            let parts: Vec<String> =
                id.iter().enumerate().map(|(i, part)| form.of(if i == at { variant } else { part })).collect();
            Target { subject: false, handle: maker.record(parts.iter().map(String::as_bytes)) }
        };
        let parts = id.iter().enumerate();
        let variants = parts.flat_map(|(at, part)| Difference::variants(part.trim_ascii()).into_iter().map(move |v| (at, v)));
        spelt.push(least(variants.map(|(at, (variant, in_what))| (target(at, &variant), in_what))));
    }
    let ids: BTreeSet<Target> = spelt.iter().flat_map(BTreeMap::keys).copied().collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let looked = draft(workspace, snapshot, key, "spellings", &Targets::of(ids), false, &Drafts::default())?.accepted.outcomes;
    let there = looked.iter().filter(|outcome| outcome.outcome == OutcomeKind::Erased);
    let there: BTreeSet<Target> = there.map(|o| Target { subject: o.subject, handle: o.handle }).collect();
    let mut found: BTreeMap<Difference, usize> = BTreeMap::new();
    for variants in spelt {
        if let Some(in_what) = variants.iter().filter(|(target, _)| there.contains(target)).map(|(_, in_what)| *in_what).min() {
            *found.entry(in_what).or_default() += 1;
        }
    }
    Ok(found.into_iter().collect())
}

/// Each target with the least that it differs in.
fn least(variants: impl Iterator<Item = (Target, Difference)>) -> BTreeMap<Target, Difference> {
    let mut least = BTreeMap::new();
    for (target, in_what) in variants {
        least.entry(target).and_modify(|known: &mut Difference| *known = in_what.min(*known)).or_insert(in_what);
    }
    least
}
