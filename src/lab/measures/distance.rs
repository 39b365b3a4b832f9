//! How far two tables of mean scores are from each other.

use super::mean;

/// Probabilities below this count as this much.
const LEAST: f64 = 1e-12;

/// The mean over rows of the divergence of Jensen and Shannon (Lin 1991, equation 4.1) of two tables of probabilities, `rows x width`, in nats;
/// of numbers (width 1) the mean squared difference.
pub fn jensen_shannon(p: &[f64], q: &[f64], width: usize) -> f64 {
    let part = |a: f64, m: f64| a * (libm::log(a.max(LEAST)) - libm::log(m.max(LEAST)));
    let rows = p.chunks(width.max(1)).zip(q.chunks(width.max(1))).map(|(p, q)| {
        p.iter().zip(q).fold(0.0, |sum, (p, q)| {
            let m = f64::midpoint(*p, *q);
            sum + if width == 1 { (p - q) * (p - q) } else { 0.5 * (part(*p, m) + part(*q, m)) }
        })
    });
    mean(&rows.collect::<Vec<f64>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certain_and_opposite_is_ln_2_and_equal_is_0() {
        assert_eq!(jensen_shannon(&[0.3, 0.7], &[0.3, 0.7], 2), 0.0);
        assert!((jensen_shannon(&[1.0, 0.0], &[0.0, 1.0], 2) - std::f64::consts::LN_2).abs() < 1e-9);
        assert_eq!(jensen_shannon(&[1.0, 2.0], &[3.0, 2.0], 1), 2.0);
    }
}
