//! The box that the splits above a node leave to it.
#![expect(clippy::indexing_slicing, reason = "attributes are those of the layout, words of a set are four")]

use super::attribute::{Attribute, BYTE_BINS, Kind, MISSING};

/// A set of bins, one bit each.
pub(super) type Set = [u64; 4];

/// What a node asks of a row: whether it goes left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// The bin plus `shift`, modulo 256, is below `cut`. With a shift of 1 what is missing (bin 255) goes left too.
    Cut { shift: u8, cut: u8 },
    /// The bin is in the set.
    In(Set),
}

impl Test {
    /// Whether a row with this bin goes left.
    #[inline]
    pub(super) fn left(&self, bin: u8) -> bool {
        match self {
            Test::Cut { shift, cut } => bin.wrapping_add(*shift) < *cut,
            Test::In(set) => holds(set, bin),
        }
    }
}

/// Whether a set holds a bin.
#[inline]
pub(super) fn holds(set: &Set, bin: u8) -> bool {
    (set[usize::from(bin >> 6)] >> (bin & 63)) & 1 == 1
}

/// The bins of a set, ascending.
pub(super) fn bins(set: Set) -> impl Iterator<Item = u8> {
    (0..).zip(set).flat_map(|(i, mut word)| {
        std::iter::from_fn(move || {
            let bin = (64 * i + word.trailing_zeros()) as u8;
            let some = word != 0;
            word &= word.wrapping_sub(1);
            some.then_some(bin)
        })
    })
}

/// The bins of one attribute that a node's rows can have, missing apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// From `low` to below `high`.
    Span { low: u16, high: u16 },
    /// The bins of the set, and how many they are.
    Some { set: Set, size: usize },
}

impl Room {
    fn of(attribute: &Attribute) -> Room {
        let first = |size: u32| {
            let mut set = [0; 4];
            (0..size.min(256)).for_each(|bin| set[bin as usize >> 6] |= 1 << (bin & 63));
            Room::some(set)
        };
        match attribute.kind {
            Kind::Number { .. } => Room::Span { low: 0, high: u16::from(MISSING) },
            Kind::Byte => Room::Span { low: 0, high: BYTE_BINS as u16 },
            Kind::Category { size } => first(size),
            Kind::Folded { .. } => first(256),
        }
    }

    fn some(set: Set) -> Room {
        // Most rooms have one word: counting bits takes a dozen instructions without an instruction of its own.
        let size = set.iter().filter(|&&word| word != 0).map(|word| word.count_ones() as usize).sum();
        Room::Some { set, size }
    }

    /// How many bins.
    pub(super) fn size(&self) -> usize {
        match self {
            Room::Span { low, high } => usize::from(high.saturating_sub(*low)),
            Room::Some { size, .. } => *size,
        }
    }

    /// What a test leaves to one of its sides.
    fn narrowed(&self, test: &Test, left: bool) -> Room {
        match (*self, test) {
            (Room::Span { low, high }, Test::Cut { shift, cut }) => {
                let cut = u16::from(cut - shift);
                if left { Room::Span { low, high: high.min(cut) } } else { Room::Span { low: low.max(cut), high } }
            }
            (Room::Some { set, .. }, Test::In(chosen)) => {
                let side = |i: usize| if left { set[i] & chosen[i] } else { set[i] & !chosen[i] };
                Room::some([side(0), side(1), side(2), side(3)])
            }
            (room, _) => unreachable!("{test:?} of {room:?}"),
        }
    }
}

/// A room for every attribute.
#[derive(Clone, Debug)]
pub(super) struct Region {
    pub(super) rooms: Vec<Room>,
}

impl Region {
    /// The region of a root.
    pub(super) fn of(attributes: &[Attribute]) -> Region {
        Region { rooms: attributes.iter().map(Room::of).collect() }
    }

    /// Goes down to one side of a test; returns what [`Region::leave`] puts back.
    pub(super) fn enter(&mut self, attribute: usize, test: &Test, left: bool) -> Room {
        let narrowed = self.rooms[attribute].narrowed(test, left);
        std::mem::replace(&mut self.rooms[attribute], narrowed)
    }

    /// Comes up again.
    pub(super) fn leave(&mut self, attribute: usize, room: Room) {
        self.rooms[attribute] = room;
    }
}
