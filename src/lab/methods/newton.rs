//! The certified step of Newton, for linear models.
//!
//! Binary logistic regressions, one against the rest for more than two classes, with rows of norm at most 1, fitted to the end in f64:
//! `L(w) = sum of losses + lambda n / 2 |w|^2 + b.w`. Taking rows out is one step,
//! `w + H(w; rest)^-1 delta`, `delta = sum over the rows that go of (lambda w + gradient)` (Guo et al. 2020, section 3, equation 1). What the
//! gradient then still is is at most `1/4 |X|_2 |H^-1 delta|_2 |X H^-1 delta|_2` (their corollary 1), and a draw of b with standard deviation
//! `bound sqrt(2 ln(1.5 / d)) / e` hides it (their theorem 3). It holds for a minimiser; averaged descent is none, so that these models are
//! fitted by themselves.
#![expect(clippy::indexing_slicing, reason = "all loops run over widths that matrices were made with")]

/// Rows as numbers, the constant 1 included, of norm at most 1.
#[derive(Clone, Debug)]
pub struct Design {
    width: usize,
    cells: Vec<f64>,
}

/// Newton's method ends when the gradient is below this share of the rows.
const GRADIENT_LEAST: f64 = 1e-9;
/// Or after so many steps.
const STEPS_MAX: usize = 30;
/// Products with the matrix for its norm.
const POWER_STEPS: usize = 200;

impl Design {
    /// From `rows x width` cells.
    ///
    /// # Panics
    /// When the cells are not whole rows.
    pub fn new(width: usize, cells: Vec<f64>) -> Design {
        assert!(width > 0 && cells.len().is_multiple_of(width), "whole rows");
        Design { width, cells }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.cells.len() / self.width
    }

    /// How many weights.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Some of the rows.
    #[must_use]
    pub fn take(&self, rows: &[u32]) -> Design {
        let of = |row: &u32| &self.cells[*row as usize * self.width..][..self.width];
        Design { width: self.width, cells: rows.iter().flat_map(of).copied().collect() }
    }

    /// The length of the longest row.
    pub fn longest(&self) -> f64 {
        self.cells.chunks(self.width).map(size).fold(0.0, f64::max)
    }

    /// `x.w` of each row.
    pub fn times(&self, w: &[f64]) -> Vec<f64> {
        self.cells.chunks(self.width).map(|row| dot(row, w)).collect()
    }

    /// `X^T r`.
    fn transposed_times(&self, r: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.width];
        for (row, r) in self.cells.chunks(self.width).zip(r) {
            out.iter_mut().zip(row).for_each(|(sum, x)| *sum += x * r);
        }
        out
    }

    /// The largest singular value `|X|_2`, by products with a vector (from below, to about 1e-9 of it where one stands apart).
    pub fn norm(&self) -> f64 {
        let mut v = vec![1.0; self.width];
        let mut size = 0.0;
        for _ in 0..POWER_STEPS {
            let next = self.transposed_times(&self.times(&v));
            size = dot(&next, &next).sqrt();
            if size == 0.0 {
                return 0.0;
            }
            v = next.iter().map(|x| x / size).collect();
        }
        size.sqrt()
    }

    /// The second derivative's lower triangle, row-major: `sum p (1 - p) x x^T + lambda n I`.
    fn hessian(&self, w: &[f64], lambda: f64) -> Vec<f64> {
        let d = self.width;
        let mut out = vec![0.0; d * d];
        for row in self.cells.chunks(d) {
            let p = sigmoid(dot(row, w));
            let weight = p * (1.0 - p);
            for i in (0..d).filter(|i| row[*i] != 0.0) {
                let x = weight * row[i];
                out[i * d..=i * d + i].iter_mut().zip(row).for_each(|(sum, y)| *sum += x * y);
            }
        }
        (0..d).for_each(|i| out[i * d + i] += lambda * self.rows() as f64);
        out
    }

    /// The gradient of the objective; `positive` says which rows are of the class.
    pub fn gradient(&self, w: &[f64], positive: &[bool], lambda: f64, b: &[f64]) -> Vec<f64> {
        let mut out = self.loss_gradient(w, positive);
        let decay = lambda * self.rows() as f64;
        out.iter_mut().zip(w).zip(b).for_each(|((g, w), b)| *g += decay * w + b);
        out
    }

    fn loss_gradient(&self, w: &[f64], positive: &[bool]) -> Vec<f64> {
        let errors: Vec<f64> =
            self.times(w).iter().zip(positive).map(|(z, y)| sigmoid(*z) - if *y { 1.0 } else { 0.0 }).collect();
        self.transposed_times(&errors)
    }

    /// The minimiser, from some weights on, and the steps it took.
    pub fn fit(&self, positive: &[bool], lambda: f64, b: &[f64], from: &[f64]) -> (Vec<f64>, usize) {
        let mut w = from.to_vec();
        for step in 0..STEPS_MAX {
            let gradient = self.gradient(&w, positive, lambda, b);
            if size(&gradient) < GRADIENT_LEAST * self.rows() as f64 {
                return (w, step);
            }
            let change = solve(self.hessian(&w, lambda), &gradient);
            w.iter_mut().zip(change).for_each(|(w, change)| *w -= change);
        }
        (w, STEPS_MAX)
    }
}

/// What one step changes of a minimiser.
#[derive(Clone, Debug)]
pub struct Step {
    change: Vec<f64>,
}

/// Takes the rows `gone` out of a minimiser `w` over them and `rest`: `H(w; rest)^-1 delta` (Guo et al. 2020, section 3, equation 1).
pub fn step(w: &[f64], rest: &Design, gone: &Design, gone_positive: &[bool], lambda: f64) -> Step {
    let mut delta = gone.loss_gradient(w, gone_positive);
    let decay = lambda * gone.rows() as f64;
    delta.iter_mut().zip(w).for_each(|(delta, w)| *delta += decay * w);
    Step { change: solve(rest.hessian(w, lambda), &delta) }
}

impl Step {
    /// The minimiser after the step.
    pub fn apply(&self, w: &[f64]) -> Vec<f64> {
        w.iter().zip(&self.change).map(|(w, change)| w + change).collect()
    }

    /// The bound on the length of the gradient that is left, `1/4 |X|_2 |change|_2 |X change|_2` over the rows that stay (corollary 1), given
    /// their [norm](Design::norm).
    pub fn bound(&self, rest: &Design, norm: f64) -> f64 {
        0.25 * norm * size(&self.change) * size(&rest.times(&self.change))
    }
}

/// The standard deviation of b that hides a bound: `bound sqrt(2 ln(1.5 / delta)) / epsilon`.
pub fn sigma(bound: f64, epsilon: f64, delta: f64) -> f64 {
    bound * (2.0 * libm::log(1.5 / delta)).sqrt() / epsilon
}

/// The length of a vector.
pub fn size(xs: &[f64]) -> f64 {
    dot(xs, xs).sqrt()
}

/// 1 / (1 + e^-z).
pub fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-z))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b)
}

/// The solution of a positive definite system, of which the lower triangle is given: by Cholesky, without pivots.
fn solve(mut a: Vec<f64>, b: &[f64]) -> Vec<f64> {
    let d = b.len();
    for i in 0..d {
        for j in 0..=i {
            let (upper, lower) = a.split_at_mut(i * d);
            let other = if j < i { &upper[j * d..j * d + j] } else { &[] };
            let sum = if j < i { dot(&lower[..j], other) } else { dot(&lower[..i], &lower[..i]) };
            if j < i {
                lower[j] = (lower[j] - sum) / upper[j * d + j];
            } else {
                lower[i] = (lower[i] - sum).max(f64::MIN_POSITIVE).sqrt();
            }
        }
    }
    let mut x = b.to_vec();
    for i in 0..d {
        x[i] = (x[i] - dot(&a[i * d..i * d + i], &x[..i])) / a[i * d + i];
    }
    for i in (0..d).rev() {
        let below = (i + 1..d).fold(0.0, |sum, k| sum + a[k * d + i] * x[k]);
        x[i] = (x[i] - below) / a[i * d + i];
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::measures::Draws;

    fn world(rows: usize, width: usize) -> (Design, Vec<bool>) {
        let mut draws = Draws::new([3; 32]);
        let mut cells: Vec<f64> = (0..rows * width).map(|_| draws.normal()).collect();
        cells.chunks_mut(width).for_each(|row| row[0] = 1.0);
        let positive = cells.chunks(width).map(|row| row[1] + 0.5 * draws.normal() > 0.0).collect();
        let longest = cells.chunks(width).map(size).fold(0.0, f64::max);
        cells.iter_mut().for_each(|x| *x /= longest);
        (Design::new(width, cells), positive)
    }

    #[test]
    fn systems_are_solved() {
        let a = [4.0, 0.0, 0.0, 2.0, 5.0, 0.0, 1.0, 3.0, 6.0];
        let x = solve(a.to_vec(), &[4.0 + 4.0 + 3.0, 2.0 + 10.0 + 9.0, 1.0 + 6.0 + 18.0]);
        assert!(x.iter().zip([1.0, 2.0, 3.0]).all(|(got, expected)| (got - expected).abs() < 1e-12), "{x:?}");
    }

    #[test]
    fn the_gradient_is_that_of_the_objective() {
        let (x, y) = world(50, 4);
        let w = [0.3, -0.2, 0.7, 0.1];
        let b = [0.1, 0.2, 0.3, 0.4];
        let objective = |w: &[f64]| {
            let losses = x.times(w).iter().zip(&y).fold(0.0, |sum, (z, y)| sum - libm::log(sigmoid(if *y { *z } else { -z })));
            losses + 0.01 * 50.0 / 2.0 * dot(w, w) + dot(&b, w)
        };
        for (i, g) in x.gradient(&w, &y, 0.01, &b).iter().enumerate() {
            let (mut up, mut down) = (w, w);
            up[i] += 1e-5;
            down[i] -= 1e-5;
            assert!((g - (objective(&up) - objective(&down)) / 2e-5).abs() < 1e-6);
        }
    }

    #[test]
    fn one_step_is_a_hundred_times_nearer_and_below_its_bound() {
        let (x, y) = world(2000, 6);
        let (gone, rest): (Vec<u32>, Vec<u32>) = (0..2000).partition(|row| row % 100 == 0);
        let of = |rows: &[u32]| rows.iter().map(|row| y[*row as usize]).collect::<Vec<bool>>();
        let (zeros, lambda) = (vec![0.0; 6], 1e-2);
        let (w, _) = x.fit(&y, lambda, &zeros, &zeros);
        let (kept, kept_y) = (x.take(&rest), of(&rest));
        let stepped = step(&w, &kept, &x.take(&gone), &of(&gone), lambda);
        let (anew, _) = kept.fit(&kept_y, lambda, &zeros, &zeros);
        let away = |w: &[f64]| size(&w.iter().zip(&anew).map(|(a, b)| a - b).collect::<Vec<f64>>());
        let (after, bound) = (stepped.apply(&w), stepped.bound(&kept, kept.norm()));
        let residual = size(&kept.gradient(&after, &kept_y, lambda, &zeros));
        assert!(residual < bound && residual > 0.0, "{residual} {bound}");
        assert!(away(&w) > 100.0 * away(&after), "{} {}", away(&w), away(&after));
        // From that far one Newton retraining takes more steps.
        assert!(kept.fit(&kept_y, lambda, &zeros, &zeros).1 > 2);
    }

    #[test]
    fn the_noise_is_that_of_the_theorem() {
        // sqrt(2 ln(15000)) = 4.385...
        assert!((sigma(2.0, 1.0, 1e-4) - 2.0 * (2.0 * 9.615_805_480_1_f64).sqrt()).abs() < 1e-6);
        assert!((Design::new(2, vec![3.0, 0.0, 0.0, 4.0]).norm() - 4.0).abs() < 1e-9);
    }
}
