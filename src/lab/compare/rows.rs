//! The figures of one row of the table, from the sheets of its models.

use super::{
    super::{
        measures::{Draws, Interval, difference, forgetting_quality, jensen_shannon, mean, rows, separation, shown_epsilon},
        median,
    },
    report::{Gap, MethodReport, Sample},
    sheet::{Quality, Sheet},
    world::World,
};

/// Confidences and mean losses of models on forget rows.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) phi: Vec<Vec<f64>>,
    pub(super) loss: Vec<f64>,
}

impl Side {
    pub(super) fn of(sheets: &[Sheet]) -> Side {
        Side { phi: sheets.iter().map(|s| s.phi.clone()).collect(), loss: sheets.iter().map(|s| s.forget_loss).collect() }
    }

    pub(super) fn of_pairs(pairs: Vec<(Vec<f64>, f64)>) -> Side {
        let (phi, loss) = pairs.into_iter().unzip();
        Side { phi, loss }
    }
}

/// How well one side is told from another, by rows and by models.
pub(super) fn told(
    u: &Side,
    r: &Side,
    owner: &[usize],
    seed: [u8; 32],
) -> (super::super::measures::Rows, super::super::measures::Separation) {
    let mut draws = Draws::new(seed);
    let rows = rows(&u.phi, &r.phi, owner, &mut draws);
    let apart = separation(&u.loss, &r.loss, &rows, &mut draws);
    (rows, apart)
}

/// What a method cost.
#[derive(Debug, Default)]
pub(super) struct Cost {
    pub(super) row_passes: Vec<f64>,
    pub(super) seconds: Vec<f64>,
    pub(super) stopped: (usize, usize),
}

/// The gap of one kind of rows.
pub(super) fn gap(u: &[Sheet], r: &[Sheet], of: impl Fn(&Sheet) -> Quality) -> Gap {
    let figures = |sheets: &[Sheet], part: &dyn Fn(Quality) -> f64| sheets.iter().map(|s| part(of(s))).collect::<Vec<f64>>();
    Gap {
        accuracy: difference(&figures(u, &|q| q.accuracy), &figures(r, &|q| q.accuracy)),
        log_loss: difference(&figures(u, &|q| q.loss), &figures(r, &|q| q.loss)),
    }
}

/// The mean over models of their scores, in f64.
fn mean_scores(sheets: &[Sheet], of: impl Fn(&Sheet) -> &[f32]) -> Vec<f64> {
    let mut out = vec![0.0; sheets.first().map_or(0, |s| of(s).len())];
    for sheet in sheets {
        out.iter_mut().zip(of(sheet)).for_each(|(sum, p)| *sum += f64::from(if p.is_finite() { *p } else { 0.0 }));
    }
    out.iter_mut().for_each(|sum| *sum /= sheets.len().max(1) as f64);
    out
}

/// The single models' averages.
pub(super) fn samples(sheets: &[Sheet]) -> Vec<Sample> {
    let one = |(number, s): (usize, &Sheet)| Sample {
        number,
        forget_loss: s.forget_loss,
        retain_accuracy: s.retain.accuracy,
        held_out_accuracy: s.held_out.accuracy,
    };
    (1..).zip(sheets).map(one).collect()
}

/// The largest difference between groups' mean accuracies.
fn spread(sheets: &[Sheet]) -> f64 {
    let groups = sheets.first().map_or(0, |s| s.groups.len());
    let means = (0..groups).map(|g| mean(&sheets.iter().filter_map(|s| s.groups.get(g).copied()).collect::<Vec<f64>>()));
    let (low, high) = means.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    if high >= low { high - low } else { 0.0 }
}

/// What is known about a set while its rows are worked out.
pub(super) struct Context<'a> {
    pub(super) world: &'a World,
    pub(super) owner: &'a [usize],
    pub(super) retrained: &'a [Sheet],
    pub(super) reference: Side,
    /// Row-passes and median seconds of one retraining.
    pub(super) retraining: (f64, f64),
}

impl Context<'_> {
    /// All figures of a method; `placebo` are the retrained models after the same method.
    pub(super) fn row(
        &self,
        name: &'static str,
        settings: Vec<(&'static str, f64)>,
        u: &[Sheet],
        placebo: Option<&Side>,
        cost: &Cost,
    ) -> MethodReport {
        let (world, side) = (self.world, Side::of(u));
        let seed = |what: &str| world.seed(what, 0);
        let (rows, told_apart) = told(&side, &self.reference, self.owner, seed("told apart"));
        let remembered = placebo.map(|v| told(&side, v, self.owner, seed("remembered")));
        let width = world.outputs();
        let divergence =
            |of: &dyn Fn(&Sheet) -> &[f32]| jensen_shannon(&mean_scores(u, of), &mean_scores(self.retrained, of), width);
        let group = |at: usize| -> Interval {
            let of = |sheets: &[Sheet]| sheets.iter().filter_map(|s| s.groups.get(at).copied()).collect::<Vec<f64>>();
            difference(&of(u), &of(self.retrained))
        };
        let populations = |sheets: &[Sheet]| mean(&sheets.iter().map(|s| s.population).collect::<Vec<f64>>());
        MethodReport {
            name,
            settings,
            models: u.len(),
            diverged: u.iter().filter(|s| s.diverged).count(),
            stopped: cost.stopped,
            row_passes_share: mean(&cost.row_passes) / self.retraining.0.max(1.0),
            seconds_share: median(cost.seconds.iter().copied()).unwrap_or(0.0) / self.retraining.1.max(1e-9),
            told_apart,
            set_auc: rows.set,
            remembered: remembered.as_ref().map(|told| told.1),
            remembered_set: remembered.as_ref().map(|told| told.0.set),
            person_mean: rows.person_mean(),
            person_top_tenth: rows.person_top_tenth(),
            row_auc: rows.auc,
            tpr_at_1: rows.tpr_at_1,
            persons: rows.persons,
            shown_epsilon: shown_epsilon(&side.phi, &self.reference.phi, &mut Draws::new(seed("shown epsilon"))),
            forgetting_quality: forgetting_quality(&side.phi, &self.reference.phi),
            population_mia: populations(u) - populations(self.retrained),
            forget: gap(u, self.retrained, |s| s.forget),
            retain: gap(u, self.retrained, |s| s.retain),
            held_out: gap(u, self.retrained, |s| s.held_out),
            forget_loss: mean(&side.loss),
            divergence: (divergence(&|s| &s.forget_scores), divergence(&|s| &s.held_scores)),
            groups: world.groups.iter().enumerate().map(|(at, (name, rows))| (name.clone(), rows.len(), group(at))).collect(),
            group_spread: (spread(self.retrained), spread(u)),
            relearn: None,
            samples: samples(u),
        }
    }
}
