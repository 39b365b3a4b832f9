//! The most frequent class: what a model of classes is compared with.

/// Finds the most frequent class of the training rows.
#[derive(Clone, Debug)]
pub struct Majority(Vec<u64>);

impl Majority {
    /// No rows yet.
    pub fn new(classes: u32) -> Majority {
        Majority(vec![0; classes as usize])
    }

    /// Adds rows.
    pub fn add(&mut self, labels: &[u32]) {
        for label in labels {
            if let Some(rows) = self.0.get_mut(*label as usize) {
                *rows += 1;
            }
        }
    }

    /// The class, the lowest index of equals.
    pub fn class(&self) -> u32 {
        let best = self.0.iter().enumerate().max_by_key(|(class, n)| (**n, std::cmp::Reverse(*class)));
        best.map_or(0, |(class, _)| class as u32)
    }
}
