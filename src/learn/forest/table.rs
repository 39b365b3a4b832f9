//! The rows of the prefix as a forest needs them: a byte for each attribute, and a label.
#![expect(clippy::indexing_slicing, reason = "slots are below the stride, attributes are those of the layout")]

use super::attribute::{self, Attribute};
use super::outcome::{Number, Outcome};
use crate::learn::{Features, Labels, Layout, Rows};

/// Binned rows. A row keeps its slot while it lives; slots ascend in the order of the prefix.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// Column after column, each as long as there are slots.
    pub(super) bins: Vec<u8>,
    /// A class, or a target in fixed point, for each slot.
    pub(super) labels: Vec<u32>,
    /// Which slots hold a row.
    alive: Vec<bool>,
    /// How many do.
    rows: usize,
}

impl Table {
    /// A table of whole columns, one a attribute, and their labels; every slot holds a row.
    pub(super) fn of_columns(bins: Vec<u8>, labels: Vec<u32>) -> Table {
        Table { bins, alive: vec![true; labels.len()], rows: labels.len(), labels }
    }

    /// The rows of some slices, in order.
    pub(super) fn of_slices(layout: &Layout, attributes: &[Attribute], slices: &[Rows<'_>]) -> Table {
        slices.iter().for_each(|rows| attribute::check(layout, &rows.features));
        let rows = slices.iter().map(|rows| rows.features.rows()).sum::<usize>();
        let mut bins = Vec::with_capacity(rows * attributes.len());
        for attribute in attributes {
            slices.iter().for_each(|rows| attribute.bin(&rows.features, &mut bins));
        }
        let labels: Vec<u32> = slices.iter().flat_map(|rows| labels(layout, &rows.labels)).collect();
        assert_eq!(labels.len(), rows, "a label for every row");
        Table::of_columns(bins, labels)
    }

    /// Rows that live.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The slots that hold a row, ascending.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> {
        (0u32..).zip(&self.alive).filter_map(|(slot, &alive)| alive.then_some(slot))
    }

    /// Whether a slot holds a row.
    #[inline]
    pub(super) fn lives(&self, slot: u32) -> bool {
        self.alive[slot as usize]
    }

    /// The bins of an attribute, by slot.
    #[inline]
    pub(super) fn column(&self, attribute: usize) -> &[u8] {
        let stride = self.labels.len();
        &self.bins[attribute * stride..][..stride]
    }

    /// Whether the row of a slot is the first one of another table of as many attributes.
    pub(super) fn holds(&self, slot: u32, row: &Table) -> bool {
        let (stride, slot) = (self.labels.len(), slot as usize);
        let bins = row.bins.iter().enumerate();
        row.labels == [self.labels[slot]] && bins.into_iter().all(|(attribute, &bin)| self.bins[attribute * stride + slot] == bin)
    }

    /// Takes out the row of a slot that holds one.
    pub(super) fn take(&mut self, slot: u32) {
        assert!(std::mem::take(&mut self.alive[slot as usize]), "a slot is emptied once");
        self.rows -= 1;
    }
}

/// Labels as the trees count them.
fn labels(layout: &Layout, labels: &Labels<'_>) -> Vec<u32> {
    match labels {
        Labels::Classes(classes) => classes.to_vec(),
        Labels::Numbers(numbers) => {
            let number = number(layout);
            numbers.iter().map(|&label| number.target(label)).collect()
        }
    }
}

/// The outcome of a layout whose task is a number.
pub(super) fn number(layout: &Layout) -> Number {
    let [low, high] = layout.label_range.map_or([0.0, 1.0], |range| range.0).map(f64::from);
    Number { low, high }
}

/// The bins of some rows that are to be scored, column after column.
pub(super) fn bins(attributes: &[Attribute], features: &Features<'_>) -> Vec<u8> {
    let mut bins = Vec::with_capacity(attributes.len() * features.rows());
    attributes.iter().for_each(|attribute| attribute.bin(features, &mut bins));
    bins
}

/// Asserts that all labels can occur.
pub(super) fn check_labels<O: Outcome>(outcome: O, table: &Table) {
    assert!(table.labels.iter().all(|&label| outcome.holds(label)), "a label is not below the number of classes");
}
