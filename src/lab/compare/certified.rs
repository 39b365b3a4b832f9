//! The certified step of Newton beside the other methods, for linear models.
#![expect(clippy::indexing_slicing, reason = "columns, classes and problems are counted from the same layout")]

use rayon::prelude::*;

use super::{
    super::{
        measures::{Draws, mean, variance},
        methods::newton::{Design, sigma, sigmoid, size, step},
    },
    foresee::fastest,
    forget::Set,
    report::NewtonReport,
    rows::{Side, told},
    sheet::confidences,
    world::World,
};
use crate::{
    engine::{Error, Observer},
    learn::{Labels, Rows},
};

/// The strength of the penalty.
const LAMBDA: f64 = 1e-3;
/// The epsilon and delta that the noise is for.
const PRIVACY: (f64, f64) = (1.0, 1e-4);

/// Rows as numbers: scaled numbers and bytes, missing indicators, one column for each category, a constant 1; of norm at most 1. Scales are
/// those of the rows that stay, so that they know nothing of those that go.
struct Columns {
    scales: Vec<(f64, f64)>,
    starts: Vec<usize>,
    indicators: Vec<usize>,
    bytes: Vec<f64>,
    width: usize,
    /// The longest row that was there when the scales were found; none before.
    longest: Option<f64>,
}

impl Columns {
    fn new(world: &World, retain: &[u32]) -> Columns {
        let rows = world.rows.view();
        let scales = (0..world.layout.numbers).map(|column| {
            let cells = retain.iter().map(|row| f64::from(rows.features.numbers[(*row as usize, column)]));
            let cells: Vec<f64> = cells.filter(|x| !x.is_nan()).collect();
            let spread = variance(&cells).sqrt();
            (mean(&cells), if spread > 0.0 { 1.0 / spread } else { 1.0 })
        });
        let scales = scales.collect::<Vec<_>>();
        let (numbers, bytes) = (world.layout.numbers, &world.layout.byte_scales);
        let indicators: Vec<usize> = world.layout.indicators.iter().map(|c| *c as usize).collect();
        let mut at = numbers + bytes.len() + indicators.len();
        let mut starts = Vec::new();
        for size in &world.layout.categories {
            starts.push(at);
            at += *size as usize;
        }
        let bytes = bytes.iter().map(|b| f64::from(*b)).collect();
        let mut columns = Columns { scales, starts, indicators, bytes, width: at + 1, longest: None };
        let raw = columns.design(&rows);
        columns.longest = Some(raw.longest());
        columns
    }

    fn design(&self, rows: &Rows<'_>) -> Design {
        let mut cells = Vec::with_capacity(rows.features.rows() * self.width);
        for row in 0..rows.features.rows() {
            let mut out = vec![0.0; self.width];
            for (column, (shift, gain)) in self.scales.iter().enumerate() {
                let x = f64::from(rows.features.numbers[(row, column)]);
                out[column] = if x.is_nan() { 0.0 } else { (x - shift) * gain };
            }
            for (column, scale) in self.bytes.iter().enumerate() {
                out[self.scales.len() + column] = f64::from(rows.features.bytes[(row, column)]) * scale;
            }
            for (at, column) in self.indicators.iter().enumerate() {
                let missing = rows.features.numbers[(row, *column)].is_nan();
                out[self.scales.len() + self.bytes.len() + at] = if missing { 1.0 } else { 0.0 };
            }
            for (column, start) in self.starts.iter().enumerate() {
                out[start + rows.features.categories[(row, column)] as usize] = 1.0;
            }
            out[self.width - 1] = 1.0;
            // Rows that were not there when the longest was found may be longer; they are cut to length 1.
            let length = self.longest.map_or(1.0, |longest| longest.max(size(&out)));
            cells.extend(out.iter().map(|x| x / length));
        }
        Design::new(self.width, cells)
    }
}

/// Which rows are of each problem's class: one problem for two classes, one for each of more.
fn problems(labels: &Labels<'_>, classes: u32) -> Vec<Vec<bool>> {
    let Labels::Classes(labels) = labels else { return Vec::new() };
    let of = |class: u32| labels.iter().map(|label| *label == class).collect();
    if classes == 2 { vec![of(1)] } else { (0..classes).map(of).collect() }
}

/// The probabilities of all problems' weights, `rows x classes`.
fn scores(design: &Design, weights: &[Vec<f64>]) -> Vec<f32> {
    let each: Vec<Vec<f64>> = weights.iter().map(|w| design.times(w).into_iter().map(sigmoid).collect()).collect();
    let row = |row: usize| -> Vec<f32> {
        let p: Vec<f64> = each.iter().map(|problem| problem[row]).collect();
        if let [p] = p.as_slice() {
            return vec![(1.0 - p) as f32, *p as f32];
        }
        let sum = p.iter().fold(0.0, |sum, p| sum + p);
        p.iter().map(|p| (p / sum) as f32).collect()
    };
    (0..design.rows()).flat_map(row).collect()
}

fn accuracy(scores: &[f32], labels: &Labels<'_>, width: usize) -> f64 {
    let Labels::Classes(labels) = labels else { return 0.0 };
    let best = |p: &[f32]| (1..p.len()).fold(0, |best, at| if p[at] > p[best] { at } else { best });
    let hits = scores.chunks(width).zip(*labels).filter(|(p, label)| best(p) == **label as usize).count();
    hits as f64 / labels.len().max(1) as f64
}

/// Rows of the trial fit.
const ROWS_TRIED: usize = 2048;

/// Seconds that [`newton`] will take, from a fit on few rows: cold as the first one, and warm from there under noise, as all others are.
pub(super) fn foreseen(world: &World, set: &Set, models: usize) -> f64 {
    let classes = world.outputs() as u32;
    let columns = Columns::new(world, &set.retain);
    let few = set.retain.get(..ROWS_TRIED).unwrap_or(&set.retain);
    let rows = world.rows.take(few);
    let (design, labels) = (columns.design(&rows.view()), problems(&rows.view().labels, classes));
    let (zeros, Some(positive)) = (vec![0.0; columns.width], labels.first()) else { return 0.0 };
    let mut draws = Draws::new(world.seed("foresee", 3));
    let noise: Vec<f64> = zeros.iter().map(|_| draws.normal()).collect();
    let (mut cold, mut warm) = (0, 0);
    let seconds = fastest(|| {
        let (w, steps) = design.fit(positive, LAMBDA, &zeros, &zeros);
        cold = steps;
        warm = design.fit(positive, LAMBDA, &noise, &w).1;
    });
    let step = seconds / (cold + warm).max(1) as f64 * set.retain.len() as f64 / few.len().max(1) as f64;
    let problems = labels.len() as f64;
    // Three fits and a step for each model, side by side; before that two fits at once.
    problems * step * (cold as f64 + models as f64 * (3.0 * warm as f64 + 1.0) / rayon::current_num_threads() as f64)
}

/// The certified step on models of its own; `None` for numbers, whose sums of squares one step solves exactly (`ridge`).
pub(super) fn newton(world: &World, set: &Set, models: usize, observer: &dyn Observer) -> Result<Option<NewtonReport>, Error> {
    if !world.has_classes() {
        return Ok(None);
    }
    observer.note("newton: fits of its own, in double precision");
    let classes = world.outputs() as u32;
    let columns = Columns::new(world, &set.retain);
    let all = columns.design(&world.rows.view());
    let (rest, gone) = (all.take(&set.retain), all.take(&set.forget));
    let labels = problems(&world.rows.view().labels, classes);
    let of = |problem: &[bool], rows: &[u32]| rows.iter().map(|row| problem[*row as usize]).collect::<Vec<bool>>();
    let kept: Vec<Vec<bool>> = labels.iter().map(|p| of(p, &set.retain)).collect();
    let left: Vec<Vec<bool>> = labels.iter().map(|p| of(p, &set.forget)).collect();
    let (zeros, count) = (vec![0.0; columns.width], labels.len());
    let fit = |design: &Design, y: &[Vec<bool>], b: &[Vec<f64>], from: &[Vec<f64>]| -> (Vec<Vec<f64>>, usize) {
        let fits = (0..count).map(|p| design.fit(&y[p], LAMBDA, &b[p], &from[p]));
        let (weights, steps): (Vec<_>, Vec<_>) = fits.unzip();
        (weights, steps.into_iter().max().unwrap_or(0))
    };
    let nothing = vec![zeros; count];
    let ((whole, _), (anew, retraining_steps)) =
        rayon::join(|| fit(&all, &labels, &nothing, &nothing), || fit(&rest, &kept, &nothing, &nothing));
    let steps: Vec<_> = (0..count).map(|p| step(&whole[p], &rest, &gone, &left[p], LAMBDA)).collect();
    let stepped: Vec<Vec<f64>> = steps.iter().zip(&whole).map(|(s, w)| s.apply(w)).collect();
    let away = |w: &[Vec<f64>]| size(&w.iter().flatten().zip(anew.iter().flatten()).map(|(a, b)| a - b).collect::<Vec<f64>>());
    let residuals = (0..count).map(|p| rest.gradient(&stepped[p], &kept[p], LAMBDA, &nothing[p]));
    let residual = size(&residuals.flatten().collect::<Vec<f64>>());
    let norm = rest.norm();
    let bounds: Vec<f64> = steps.iter().map(|s| s.bound(&rest, norm)).collect();
    let bound = size(&bounds);
    // Each problem gets its share of epsilon and delta.
    let share = count as f64;
    let widest = bounds.iter().copied().fold(0.0, f64::max);
    let sigma = sigma(widest, PRIVACY.0 / share, PRIVACY.1 / share);
    let forget_labels = world.rows.take(&set.forget);
    let forget_labels = forget_labels.view().labels;
    let held = columns.design(&world.held_out.view());
    let say = |w: &[Vec<f64>]| {
        let phi = confidences(&scores(&gone, w), &forget_labels, 1.0);
        // With the log odds f, the loss is ln(1 + e^-f).
        let loss = mean(&phi.iter().map(|f| libm::log1p(libm::exp(-f))).collect::<Vec<f64>>());
        (phi, loss)
    };
    let noise = |role: &str, number: usize| -> Vec<Vec<f64>> {
        let mut draws = Draws::new(world.seed(role, number as u64));
        (0..count).map(|_| (0..columns.width).map(|_| sigma * draws.normal()).collect()).collect()
    };
    type Said = (Vec<f64>, f64);
    let one = |number: usize| -> Result<[(Said, f64); 4], Error> {
        if observer.stopped() {
            return Err(Error::Interrupted);
        }
        let b = noise("newton", number);
        let (w, _) = fit(&all, &labels, &b, &whole);
        let after: Vec<Vec<f64>> = (0..count).map(|p| step(&w[p], &rest, &gone, &left[p], LAMBDA).apply(&w[p])).collect();
        let (r, _) = fit(&rest, &kept, &noise("newton retrained", number), &anew);
        let (q, _) = fit(&rest, &kept, &noise("newton floor", number), &anew);
        let held_labels = world.held_labels();
        let quality = |w: &[Vec<f64>]| accuracy(&scores(&held, w), &held_labels, classes as usize);
        Ok([(say(&after), quality(&after)), (say(&w), 0.0), (say(&r), 0.0), (say(&q), 0.0)])
    };
    let told_of: Vec<[(Said, f64); 4]> = {
        let done = (0..models).into_par_iter().map(one).collect::<Vec<Result<_, Error>>>();
        done.into_iter().collect::<Result<_, _>>()?
    };
    let side = |at: usize| Side::of_pairs(told_of.iter().map(|four| four[at].0.clone()).collect());
    let (u, o, r, q) = (side(0), side(1), side(2), side(3));
    let seed = world.seed("newton told apart", 0);
    let plain = accuracy(&scores(&held, &stepped), &world.held_labels(), classes as usize);
    Ok(Some(NewtonReport {
        lambda: LAMBDA,
        privacy: PRIVACY,
        parameters: columns.width * count,
        distance: (away(&whole), away(&stepped)),
        residual: (residual, bound),
        sigma,
        retraining_steps,
        told_apart: told(&u, &r, &set.owner, seed).1,
        nothing_done: told(&o, &r, &set.owner, seed).1,
        floor: told(&q, &r, &set.owner, seed).1,
        accuracy: (plain, mean(&told_of.iter().map(|four| four[0].1).collect::<Vec<f64>>())),
    }))
}
