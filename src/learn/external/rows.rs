//! Rows as the bytes of a frame: all numbers, then all categories, then all labels, then all bytes, each row after row.

use crate::{
    digest::Digest,
    learn::{Features, Labels, Layout, Rows, Task, Visit},
};

/// The rows that are visited, in that order, with their labels.
pub(super) fn batch(prefix: &[Rows<'_>], visits: &[Visit]) -> Vec<u8> {
    let progress = visits.first().map_or(0, |visit| visit.progress);
    let mut bytes = head(visits.len(), progress);
    let rows = || visits.iter().filter_map(|visit| Some((prefix.get(visit.slice as usize)?, visit.row as usize)));
    for (rows, row) in rows() {
        bytes.extend(bytemuck::cast_slice::<f32, u8>(line(rows.features.numbers.to_slice(), row, rows.features.numbers.ncols())));
    }
    for (rows, row) in rows() {
        bytes.extend(bytemuck::cast_slice::<u32, u8>(line(
            rows.features.categories.to_slice(),
            row,
            rows.features.categories.ncols(),
        )));
    }
    for (rows, row) in rows() {
        bytes.extend(
            match rows.labels {
                Labels::Classes(classes) => classes.get(row).map(|class| class.to_le_bytes()),
                Labels::Numbers(numbers) => numbers.get(row).map(|number| number.to_le_bytes()),
            }
            .unwrap_or_default(),
        );
    }
    for (rows, row) in rows() {
        bytes.extend(line(rows.features.bytes.to_slice(), row, rows.features.bytes.ncols()));
    }
    bytes
}

/// Rows without labels, filled up to `most` rows of zeros: a row's scores may depend on how many are scored with it.
pub(super) fn question(features: &Features<'_>, most: usize) -> Vec<u8> {
    let missing = most.saturating_sub(features.rows());
    let zeros = |bytes: &mut Vec<u8>, of: usize| bytes.resize(bytes.len() + missing * of, 0);
    let mut bytes = head(features.rows() + missing, 0);
    bytes.extend(bytemuck::cast_slice::<f32, u8>(features.numbers.to_slice().unwrap_or_default()));
    zeros(&mut bytes, 4 * features.numbers.ncols());
    bytes.extend(bytemuck::cast_slice::<u32, u8>(features.categories.to_slice().unwrap_or_default()));
    zeros(&mut bytes, 4 * features.categories.ncols());
    bytes.extend(features.bytes.to_slice().unwrap_or_default());
    zeros(&mut bytes, features.bytes.ncols());
    bytes
}

/// How many rows, and how far into the step the first one is, in fractions of 2^32.
fn head(rows: usize, progress: u32) -> Vec<u8> {
    [(rows as u32).to_le_bytes(), progress.to_le_bytes()].concat()
}

/// One row of a table in standard layout.
fn line<T>(table: Option<&[T]>, row: usize, width: usize) -> &[T] {
    table.and_then(|table| table.get(row * width..(row + 1) * width)).unwrap_or_default()
}

/// Rows that nobody has, for a probe: the same ones for the same layout and count.
#[derive(Debug)]
pub(super) struct MadeUp {
    numbers: ndarray::Array2<f32>,
    bytes: ndarray::Array2<u8>,
    categories: ndarray::Array2<u32>,
    classes: Vec<u32>,
    targets: Vec<f32>,
    task: Task,
}

impl MadeUp {
    /// `count` rows; numbers and targets lie within their declared ranges, or from -1 to 1.
    pub(super) fn rows(layout: &Layout, count: usize) -> MadeUp {
        // The digests of a counter: anybody can make them again.
        let mut counter = 0_u64;
        let mut draw = || {
            counter += 1;
            let digest = Digest::derive("sisa 1 made-up row", &[&counter.to_le_bytes()]);
            digest.0.iter().take(3).fold(0_u32, |number, byte| number << 8 | u32::from(*byte))
        };
        let within = |range: Option<crate::learn::Range>, draw: u32| {
            let crate::learn::Range([low, high]) = range.unwrap_or(crate::learn::Range([-1.0, 1.0]));
            low + (high - low) * (draw as f32 / 16_777_216.0)
        };
        let numbers = ndarray::Array2::from_shape_fn((count, layout.numbers), |(_, column)| {
            within(layout.ranges.get(column).copied().flatten(), draw())
        });
        let bytes = ndarray::Array2::from_shape_fn((count, layout.byte_scales.len()), |_| (draw() >> 16) as u8);
        let categories = ndarray::Array2::from_shape_fn((count, layout.categories.len()), |(_, column)| {
            draw() % layout.categories.get(column).copied().unwrap_or(1).max(1)
        });
        let (mut classes, mut targets) = (Vec::new(), Vec::new());
        match layout.task {
            Task::Classes(n) => classes = (0..count).map(|_| draw() % n.max(1)).collect(),
            Task::Number => targets = (0..count).map(|_| within(layout.label_range, draw())).collect(),
        }
        MadeUp { numbers, bytes, categories, classes, targets, task: layout.task }
    }

    /// As a slice's.
    pub(super) fn view(&self) -> Rows<'_> {
        let features = Features { numbers: self.numbers.view(), bytes: self.bytes.view(), categories: self.categories.view() };
        let labels = match self.task {
            Task::Classes(_) => Labels::Classes(&self.classes),
            Task::Number => Labels::Numbers(&self.targets),
        };
        Rows { features, labels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::Range;

    fn layout() -> Layout {
        Layout {
            numbers: 2,
            ranges: vec![None, Some(Range([5.0, 6.0]))],
            indicators: Vec::new(),
            byte_scales: vec![1.0; 3],
            categories: vec![3],
            task: Task::Classes(2),
            label_range: None,
        }
    }

    #[test]
    fn a_batch_is_its_visits_column_kind_by_column_kind() {
        let (layout, visit) = (layout(), |slice, row| Visit { slice, row, progress: 7 });
        let (a, b) = (MadeUp::rows(&layout, 2), MadeUp::rows(&layout, 5));
        let prefix = [a.view(), b.view()];
        let bytes = batch(&prefix, &[visit(1, 4), visit(0, 0), visit(1, 4)]);
        let mut expected = [3_u32.to_le_bytes(), 7_u32.to_le_bytes()].concat();
        let at = [(&b, 4), (&a, 0), (&b, 4)];
        at.iter().for_each(|(t, r)| expected.extend(t.numbers.row(*r).iter().flat_map(|n| n.to_le_bytes())));
        at.iter().for_each(|(t, r)| expected.extend(t.categories.row(*r).iter().flat_map(|n| n.to_le_bytes())));
        at.iter().for_each(|(t, r)| expected.extend(t.classes[*r].to_le_bytes()));
        at.iter().for_each(|(t, r)| expected.extend(t.bytes.row(*r)));
        assert_eq!(bytes, expected);
        assert!(b.numbers.column(1).iter().all(|n| (5.0..=6.0).contains(n)) && b.categories.iter().all(|c| *c < 3));
    }

    #[test]
    fn a_question_is_filled_up_with_zeros() {
        let (layout, rows) = (layout(), MadeUp::rows(&layout(), 3));
        let bytes = question(&rows.view().features, 4);
        assert_eq!(bytes.len(), 8 + 4 * (4 * layout.numbers + 4 * layout.categories.len() + layout.byte_scales.len()));
        assert_eq!(bytes[..4], 4_u32.to_le_bytes());
        assert_eq!(bytes[8 + 4 * 2 * 3..8 + 4 * 2 * 4], [0; 8]);
        assert_eq!(bytes[bytes.len() - 3..], [0; 3]);
    }
}
