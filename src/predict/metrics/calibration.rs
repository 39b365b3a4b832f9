//! How far stated probabilities are from what comes true.

/// Equal bins of the decided class's probability.
const BINS: usize = 15;

/// Adds up, bin by bin of the decided class's probability, how many decisions there are, how many are right and what they were said to be.
#[derive(Clone, Debug, Default)]
pub(super) struct Calibration {
    bins: [Bin; BINS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    rows: u64,
    right: u64,
    confidence: f64,
}

impl Calibration {
    /// Adds a decision with its probability, from 0 to 1.
    pub(super) fn add(&mut self, confidence: f32, right: bool) {
        let confidence = f64::from(confidence).clamp(0.0, 1.0);
        // 1 itself lies in the last bin.
        let at = ((confidence * BINS as f64) as usize).min(BINS - 1);
        if let Some(bin) = self.bins.get_mut(at) {
            bin.rows += 1;
            bin.right += u64::from(right);
            bin.confidence += confidence;
        }
    }

    /// The expected calibration error (Naeini, Cooper and Hauskrecht 2015; of the decided class as in Guo et al. 2017, section 2): over 15 equal
    /// bins of the decided class's probability, the mean distance of the share that is right from the mean probability, weighted by rows. From 0 to
    /// 1; 0 without rows.
    pub(super) fn error(&self) -> f64 {
        let rows: u64 = self.bins.iter().map(|bin| bin.rows).sum();
        let distance = |sum: f64, bin: &Bin| sum + (bin.right as f64 - bin.confidence).abs();
        self.bins.iter().fold(0.0, distance) / rows.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_held_against_what_comes_true_bin_by_bin() {
        let mut calibration = Calibration::default();
        assert_eq!(calibration.error(), 0.0);
        // One bin: said 0.75 each, right in 1 of 2. Another: said 1, right.
        calibration.add(0.75, true);
        calibration.add(0.75, false);
        calibration.add(1.0, true);
        assert_eq!(calibration.error(), 0.5 / 3.0);
    }
}
