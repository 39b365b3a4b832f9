//! From what was compared to its lines.

use super::{
    Auc, Between, Compare, CompareAdaptive, CompareExact, CompareLine, CompareMethod, CompareNewton, CompareReference,
    CompareSample, Gap, Group, Separation,
};
use crate::lab::{
    compare as of,
    compare::{
        AttackReport, Attacker, CompareReport, ExactReport, MethodReport, NewtonReport, ReferenceReport, RequestsReport,
        SetReport,
    },
    measures::{self, Interval},
};

fn auc(i: &Interval) -> Auc {
    Auc { auc: i.value, low: i.low, high: i.high }
}

fn between(i: &Interval) -> Between {
    Between { value: i.value, low: i.low, high: i.high }
}

fn apart(s: &measures::Separation) -> Separation {
    let test = match s.test {
        measures::Test::MeanLoss => "mean_loss",
        measures::Test::Ratios => "ratios",
    };
    Separation { auc: auc(&s.auc), test }
}

fn gap(g: &of::Gap) -> Gap {
    Gap { accuracy: between(&g.accuracy), log_loss: between(&g.log_loss) }
}

fn reference(set: &SetReport, r: &ReferenceReport) -> CompareReference {
    CompareReference {
        forget: set.name.clone(),
        role: r.role,
        models: r.models,
        row_passes: r.row_passes,
        seconds: r.seconds,
        retain_accuracy: r.retain_accuracy,
        accuracy: r.accuracy,
        log_loss: r.log_loss,
        forget_loss: r.forget_loss,
    }
}

fn method(set: &SetReport, row: &MethodReport) -> CompareMethod {
    let group =
        |(name, rows, gap): &(String, usize, Interval)| Group { group: name.clone(), rows: *rows, accuracy_gap: between(gap) };
    CompareMethod {
        forget: set.name.clone(),
        method: row.name,
        settings: row.settings.iter().copied().collect(),
        models: row.models,
        diverged: row.diverged,
        stopped_by_itself: row.stopped.0,
        stopped_by_budget: row.stopped.1,
        row_passes_share: row.row_passes_share,
        seconds_share: row.seconds_share,
        told_apart: apart(&row.told_apart),
        set_auc: auc(&row.set_auc),
        remembered: row.remembered.as_ref().map(apart),
        remembered_set_auc: row.remembered_set.as_ref().map(auc),
        person_mean: row.person_mean,
        person_top_tenth: row.person_top_tenth,
        row_auc: auc(&row.row_auc),
        tpr_at_1: row.tpr_at_1,
        shown_epsilon: row.shown_epsilon,
        forgetting_quality: row.forgetting_quality,
        floor_forgetting_quality: set.floor.forgetting_quality,
        population_mia: row.population_mia,
        forget_gap: gap(&row.forget),
        retain_gap: gap(&row.retain),
        held_out_gap: gap(&row.held_out),
        forget_loss: row.forget_loss,
        divergence: row.divergence.0,
        held_out_divergence: row.divergence.1,
        groups: row.groups.iter().map(group).collect(),
        group_spread_before: row.group_spread.0,
        group_spread_after: row.group_spread.1,
        relearn: row.relearn,
        verdict: (row.name != "floor").then(|| row.verdict(&set.floor)),
    }
}

fn exact(set: &SetReport, e: &ExactReport) -> CompareExact {
    CompareExact {
        forget: set.name.clone(),
        shards: e.cut.0,
        slices: e.cut.1,
        byte_identical: e.byte_identical.0,
        of: e.byte_identical.1,
        checkpoints: e.checkpoints,
        row_passes_share: e.row_passes_share,
        one_person_share: e.one_person_share,
        told_apart: apart(&e.told_apart),
        set_auc: auc(&e.set_auc),
        row_auc: auc(&e.row_auc),
        held_out_gap: gap(&e.held_out),
        nothing_deleted: apart(&e.nothing_deleted),
        nothing_deleted_set_auc: auc(&e.nothing_set_auc),
        nothing_deleted_held_out_gap: gap(&e.nothing_held_out),
    }
}

fn newton(set: &SetReport, n: &NewtonReport) -> CompareNewton {
    CompareNewton {
        forget: set.name.clone(),
        lambda: n.lambda,
        epsilon: n.privacy.0,
        delta: n.privacy.1,
        parameters: n.parameters,
        distance_before: n.distance.0,
        distance_after: n.distance.1,
        residual: n.residual.0,
        bound: n.residual.1,
        sigma: n.sigma,
        retraining_steps: n.retraining_steps,
        told_apart: apart(&n.told_apart),
        nothing_done: apart(&n.nothing_done),
        floor: apart(&n.floor),
        accuracy: n.accuracy.0,
        accuracy_with_noise: n.accuracy.1,
    }
}

fn attack(requests: &RequestsReport, a: &AttackReport) -> CompareAdaptive {
    CompareAdaptive {
        attacker: match a.attacker {
            Attacker::Constituents => "constituents",
            Attacker::Answers => "answers",
        },
        share: a.share,
        trials: requests.trials,
        shards: requests.shards,
        rows: requests.rows,
        indicator: between(&a.indicator),
        difference: a.difference.0,
        difference_error: a.difference.1,
        shows: a.shows(),
        guessed: a.guessed,
        chance: 1.0 / f64::from(requests.shards),
        rekeyed_indicator: between(&a.rekeyed_indicator),
        rekeyed_difference: a.rekeyed_difference.0,
        rekeyed_difference_error: a.rekeyed_difference.1,
    }
}

impl CompareLine {
    /// All lines; with `samples` every model's averages too.
    pub fn all(report: &CompareReport, samples: bool) -> Vec<CompareLine> {
        let mut lines = Vec::new();
        for set in &report.sets {
            lines.extend(set.references.iter().map(|r| CompareLine::Reference(reference(set, r))));
            let rows = std::iter::once(&set.floor).chain(&set.methods);
            lines.extend(rows.map(|row| CompareLine::Method(Box::new(method(set, row)))));
            lines.extend(set.exact.iter().map(|e| CompareLine::Exact(exact(set, e))));
            lines.extend(set.newton.iter().map(|n| CompareLine::Newton(newton(set, n))));
            let sample = |name: &'static str, s: &of::Sample| {
                CompareLine::Sample(CompareSample {
                    forget: set.name.clone(),
                    of: name,
                    key: s.number,
                    forget_loss: s.forget_loss,
                    retain_accuracy: s.retain_accuracy,
                    held_out_accuracy: s.held_out_accuracy,
                })
            };
            if samples {
                lines.extend(set.references.iter().flat_map(|r| r.samples.iter().map(|s| sample(r.role, s))));
                lines.extend(set.methods.iter().flat_map(|m| m.samples.iter().map(|s| sample(m.name, s))));
            }
        }
        let requests = report.requests.iter();
        lines.extend(requests.flat_map(|requests| requests.attacks.iter().map(|a| CompareLine::Adaptive(attack(requests, a)))));
        lines.push(CompareLine::Compare(Compare {
            forget: report.sets.iter().map(|set| set.name.clone()).collect(),
            rows: report.rows,
            subjects: report.subjects,
            held_out: report.held_out,
            learner: report.learner,
            parameters: report.parameters,
            accuracy_is: report.accuracy_is,
            models: report.models,
            seed: report.seed,
            retraining_row_passes: report.retraining,
            witness_row_passes: report.witness_row_passes,
            shows_from_share: report.requests.as_ref().and_then(RequestsReport::least_share),
            foreseen_seconds: report.foreseen,
            seconds: report.seconds,
            interrupted: report.interrupted,
        }));
        lines
    }
}
