//! A tree without some of its rows, made of its outline and of the rows that stay: only the nodes above rows that go are looked at, and of
//! what stands beside them no row is sent down.

use super::outcome::Outcome;
use super::outline::Outline;
use super::tree::{LEAF, Place, Tree};
use super::work::Work;

const SHORT: &str = "fewer nodes than the tree has";

/// A walk over an outline, node before its children.
struct Walk<'a, O: Outcome> {
    names: &'a [u16],
    lanes: &'a [O::Lane],
    /// Lanes of a leaf; 0 where they are not kept.
    each: usize,
}

impl<'a, O: Outcome> Walk<'a, O> {
    fn name(&mut self) -> Result<u16, &'static str> {
        let (name, rest) = self.names.split_first().ok_or(SHORT)?;
        self.names = rest;
        if *name == LEAF {
            self.lanes = self.lanes.get(self.each..).ok_or("fewer counts than leaves")?;
        }
        Ok(*name)
    }

    /// Passes over the subtree that comes next; returns its names and lanes.
    fn subtree(&mut self) -> Result<(&'a [u16], &'a [O::Lane]), &'static str> {
        let (names, lanes) = (self.names, self.lanes);
        let mut open = 1_usize;
        while open > 0 {
            open = if self.name()? == LEAF { open - 1 } else { open + 1 };
        }
        let passed = (names.len() - self.names.len(), lanes.len() - self.lanes.len());
        Ok((names.get(..passed.0).unwrap_or_default(), lanes.get(..passed.1).unwrap_or_default()))
    }
}

impl<O: Outcome> Outline<O> {
    /// The outline of the tree with this key on the rows of the table, which no longer holds those of `gone`; this one is of both.
    ///
    /// # Errors
    /// Says what is wrong if this is the outline of no such tree.
    pub(super) fn without(&self, work: &mut Work<'_, O>, key: u64, gone: &[u32]) -> Result<Outline<O>, &'static str> {
        let each = if work.rules.counts { work.rules.outcome.lanes() } else { 0 };
        let mut walk = Walk { names: &self.names, lanes: &self.lanes, each };
        let (mut slots, mut gone) = (work.table.slots().collect::<Vec<_>>(), gone.to_vec());
        let (names, lanes) = (Vec::with_capacity(self.names.len()), Vec::with_capacity(self.lanes.len()));
        let mut outline = Outline { names, lanes };
        outline.rest(work, Place { node: 0, key, depth: 0 }, &mut slots, &mut gone, &mut walk)?;
        if walk.names.is_empty() { Ok(outline) } else { Err("more nodes than the tree has") }
    }

    /// Adds the subtree of `slots`, which was one of these and of `gone`.
    fn rest(
        &mut self,
        work: &mut Work<'_, O>,
        place: Place,
        slots: &mut [u32],
        gone: &mut [u32],
        walk: &mut Walk<'_, O>,
    ) -> Result<(), &'static str> {
        if gone.is_empty() {
            let (names, lanes) = walk.subtree()?;
            self.names.extend_from_slice(names);
            self.lanes.extend_from_slice(lanes);
            return Ok(());
        }
        let name = walk.name()?;
        if name == LEAF {
            // With rows enough for a split it had none of merit; without these rows it may have one.
            self.grown(work, place, slots);
            return Ok(());
        }
        work.draw(place.key);
        let mut best = None;
        if work.large(place.depth, slots.len()) {
            work.counter.count(work.table, slots, &work.candidates, &mut work.tally);
            best = work.counter.best(&work.candidates, &work.tally);
        }
        if best != Some(name) {
            walk.subtree()?;
            walk.subtree()?;
            self.grown(work, place, slots);
            return Ok(());
        }
        let (attribute, test) = work.split(name).ok_or("a split that is not among the candidates")?;
        self.names.push(name);
        let column = work.table.column(attribute);
        let left = |slot: &u32| column.get(*slot as usize).is_some_and(|bin| test.left(*bin));
        work.counter.work += (slots.len() + gone.len()) as u64;
        let (left_slots, right_slots) = part(slots, left);
        let (left_gone, right_gone) = part(gone, left);
        for (side, slots, gone) in [(0, left_slots, left_gone), (1, right_slots, right_gone)] {
            let room = work.region.enter(attribute, &test, side == 0);
            self.rest(work, place.child(0, side), slots, gone, walk)?;
            work.region.leave(attribute, room);
        }
        Ok(())
    }

    /// Adds the subtree that these rows ask for.
    fn grown(&mut self, work: &mut Work<'_, O>, place: Place, slots: &[u32]) {
        let tree = Tree::grown(work, place, slots);
        let Outline { names, lanes } = tree.outline(work.rules.outcome, work.table, work.rules.counts);
        self.names.extend(names);
        self.lanes.extend(lanes);
    }
}

/// Moves those that go left to the front. Nothing depends on their order.
fn part(slots: &mut [u32], left: impl Fn(&u32) -> bool) -> (&mut [u32], &mut [u32]) {
    let mut rows = 0;
    for at in 0..slots.len() {
        if slots.get(at).is_some_and(&left) {
            slots.swap(at, rows);
            rows += 1;
        }
    }
    slots.split_at_mut(rows)
}
