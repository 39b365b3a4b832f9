//! The area under a receiver operating characteristic.

/// The share of pairs (one of each side) in which the positive one is larger, ties counting half (Mann and Whitney 1947). 0.5 when a side
/// is empty. NaN counts as larger than everything.
pub fn auc(positive: &[f64], negative: &[f64]) -> f64 {
    if positive.is_empty() || negative.is_empty() {
        return 0.5;
    }
    let mut all: Vec<(f64, bool)> = positive.iter().map(|x| (*x, true)).chain(negative.iter().map(|x| (*x, false))).collect();
    all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    // Twice the number of pairs in order, in whole numbers.
    let (mut below, mut twice) = (0_u64, 0_u64);
    for tied in all.chunk_by(|a, b| a.0 == b.0) {
        let positives = tied.iter().filter(|t| t.1).count() as u64;
        let negatives = tied.len() as u64 - positives;
        twice += positives * (2 * below + negatives);
        below += negatives;
    }
    twice as f64 / (2 * positive.len() as u64 * negative.len() as u64) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_counted_and_ties_count_half() {
        assert_eq!(auc(&[2.0, 3.0], &[0.0, 1.0]), 1.0);
        assert_eq!(auc(&[0.0, 1.0], &[2.0, 3.0]), 0.0);
        assert_eq!(auc(&[1.0, 1.0], &[1.0]), 0.5);
        // (1 > 0), (1 = 1), (3 > 0), (3 > 1): 3.5 of 4.
        assert_eq!(auc(&[1.0, 3.0], &[0.0, 1.0]), 0.875);
        assert_eq!(auc(&[], &[1.0]), 0.5);
        let positive: Vec<f64> = (0..50).map(|i| f64::from(i * 7 % 31)).collect();
        let negative: Vec<f64> = (0..40).map(|i| f64::from(i * 11 % 29)).collect();
        let pairs = positive.iter().flat_map(|p| {
            negative.iter().map(move |n| {
                if p > n {
                    1.0
                } else if p == n {
                    0.5
                } else {
                    0.0
                }
            })
        });
        assert_eq!(auc(&positive, &negative), pairs.fold(0.0, |a, b: f64| a + b) / 2000.0);
    }
}
