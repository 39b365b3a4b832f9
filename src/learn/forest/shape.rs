//! A tree made again from the names of its splits, and the rows.
#![expect(clippy::indexing_slicing, reason = "nodes are addressed by what the arena itself handed out")]

use super::outcome::Outcome;
use super::tree::{LEAF, Place, Tree};
use super::work::Work;

impl<O: Outcome> Tree<O> {
    /// Becomes the tree of the table's rows that has these names; says what is wrong if there is none. The names are not
    /// compared with what the rows would choose.
    pub(super) fn restore(&mut self, work: &mut Work<'_, O>, names: &[u16]) -> Result<(), &'static str> {
        self.clear(work.table);
        let mut names = names.iter().copied();
        self.restore_below(work, self.root(), &mut names)?;
        if names.next().is_some() { Err("more nodes than the tree has") } else { Ok(()) }
    }

    fn restore_below(
        &mut self,
        work: &mut Work<'_, O>,
        place: Place,
        names: &mut impl Iterator<Item = u16>,
    ) -> Result<(), &'static str> {
        let name = names.next().ok_or("fewer nodes than the tree has")?;
        if name == LEAF {
            return Ok(());
        }
        if !work.large(place.depth, self.nodes[place.node].rows as usize) {
            return Err("a split of too few rows, or below the greatest depth");
        }
        work.draw(place.key);
        let (attribute, test) = work.split(name).ok_or("a split that is not among the candidates")?;
        let left = self.divide(work, place, name, (attribute, test));
        for side in 0..2 {
            let place = place.child(left, side);
            if self.nodes[place.node].rows == 0 {
                return Err("a split with an empty side");
            }
            let room = work.region.enter(attribute, &test, side == 0);
            self.restore_below(work, place, names)?;
            work.region.leave(attribute, room);
        }
        Ok(())
    }
}
