//! The candidates of a node: a function of its key and its region, and of no row.
#![expect(clippy::indexing_slicing, reason = "attributes are those of the layout, candidates were counted as they were drawn")]

use super::attribute::{Attribute, Kind, MISSING};
use super::hash::{self, Purpose};
use super::region::{Region, Room, Set, Test, bins};

/// How many candidates a node has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Width {
    /// Attributes drawn at most.
    pub(super) attributes: usize,
    /// Cuts, or sets, of an attribute at most.
    pub(super) cuts: usize,
}

impl Width {
    /// Names of splits that an attribute takes up: each cut with missing right and left, then missing alone.
    pub(super) fn names(self) -> usize {
        2 * self.cuts + 1
    }
}

/// What one attribute offers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drawn {
    /// Which attribute.
    pub(super) attribute: usize,
    /// Its candidates in [`Candidates::cuts`], or in [`Candidates::sets`].
    first: usize,
    count: usize,
    /// Whether they are cuts.
    pub(super) ordered: bool,
    /// Whether values can be missing, which is told apart from the room.
    pub(super) missing: bool,
    /// The bins that its sets are of, and how many; none if it has cuts.
    pub(super) room: Set,
    pub(super) size: usize,
}

impl Drawn {
    /// How many candidates.
    pub(super) fn count(&self) -> usize {
        self.count
    }
}

/// All candidates of a node. The buffers stay from node to node.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    open: Vec<usize>,
    /// In ascending order of attributes.
    pub(super) drawn: Vec<Drawn>,
    cuts: Vec<u8>,
    sets: Vec<Set>,
    bins: Vec<u8>,
}

impl Candidates {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.cuts.len() + self.sets.len()
    }

    /// Draws the candidates of the node with this key and region.
    pub(super) fn draw(&mut self, width: Width, attributes: &[Attribute], region: &Region, key: u64) {
        self.open.clear();
        self.open.extend((0..attributes.len()).filter(|&attribute| region.rooms[attribute].size() >= 2));
        let count = width.attributes.min(self.open.len());
        for i in 0..count {
            let other = i + hash::below(hash::of(key, Purpose::Attribute, i as u32), self.open.len() - i);
            self.open.swap(i, other);
        }
        self.open.truncate(count);
        self.open.sort_unstable();
        self.drawn.clear();
        self.cuts.clear();
        self.sets.clear();
        for i in 0..count {
            let attribute = self.open[i];
            let key = hash::of(key, Purpose::Candidates, attribute as u32);
            let (cuts, sets) = (self.cuts.len(), self.sets.len());
            let (mut room, mut size) = ([0; 4], 0);
            match &region.rooms[attribute] {
                Room::Span { low, high } => self.draw_cuts(width.cuts, *low, *high, key),
                Room::Some { set, size: bins } => {
                    (room, size) = (*set, *bins);
                    self.draw_sets(width.cuts, set, key);
                }
            }
            let ordered = self.cuts.len() > cuts;
            let (first, count) = if ordered { (cuts, self.cuts.len() - cuts) } else { (sets, self.sets.len() - sets) };
            let missing = matches!(attributes[attribute].kind, Kind::Number { .. });
            self.drawn.push(Drawn { attribute, first, count, ordered, missing, room, size });
        }
    }

    /// All cuts of a small room; of a larger one a cut from each of as many equal parts, ascending.
    fn draw_cuts(&mut self, most: usize, low: u16, high: u16, key: u64) {
        let possible = u64::from(high - low - 1);
        if possible <= most as u64 {
            self.cuts.extend((low + 1..high).map(|cut| cut as u8));
            return;
        }
        self.cuts.extend((0..most as u64).map(|j| {
            let place = (j << 32) | (hash::word(key, j) >> 32);
            (u64::from(low) + 1 + ((place * possible / most as u64) >> 32)) as u8
        }));
    }

    /// In turn half of the room by hash, and one bin of it. (Of two bins there is but one split.)
    fn draw_sets(&mut self, most: usize, room: &Set, key: u64) {
        self.bins.clear();
        self.bins.extend(bins(*room));
        let single = |hash: u64| {
            let bin = self.bins[hash::below(hash, self.bins.len())];
            let mut set = [0; 4];
            set[usize::from(bin >> 6)] = 1 << (bin & 63);
            set
        };
        if self.bins.len() == 2 {
            return self.sets.push(single(0));
        }
        let half = |j: u64| std::array::from_fn(|i| if room[i] == 0 { 0 } else { room[i] & hash::word(key, 4 * j + i as u64) });
        self.sets.extend((0..most as u64).map(|j| if j % 2 == 0 { half(j) } else { single(hash::word(key, 4 * j)) }));
    }

    /// The cuts of a drawn attribute.
    pub(super) fn cuts(&self, drawn: &Drawn) -> &[u8] {
        if drawn.ordered { &self.cuts[drawn.first..][..drawn.count] } else { &[] }
    }

    /// The sets of a drawn attribute.
    pub(super) fn sets(&self, drawn: &Drawn) -> &[Set] {
        if drawn.ordered { &[] } else { &self.sets[drawn.first..][..drawn.count] }
    }

    /// The attribute and the test of a split by its name, if there is such a one.
    pub(super) fn split(&self, width: Width, name: u16) -> Option<(usize, Test)> {
        let (i, name) = (usize::from(name) / width.names(), usize::from(name) % width.names());
        let drawn = self.drawn.get(i)?;
        let test = match (self.cuts(drawn).get(name / 2), self.sets(drawn).get(name / 2)) {
            _ if name == 2 * width.cuts => drawn.missing.then_some(Test::Cut { shift: 0, cut: MISSING }),
            (Some(&cut), _) if name.is_multiple_of(2) => Some(Test::Cut { shift: 0, cut }),
            (Some(&cut), _) => drawn.missing.then_some(Test::Cut { shift: 1, cut: cut + 1 }),
            (_, Some(set)) => name.is_multiple_of(2).then_some(Test::In(*set)),
            (None, None) => None,
        };
        test.map(|test| (drawn.attribute, test))
    }
}
