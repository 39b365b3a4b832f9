//! The table.

use std::fmt::Write;

use sisa::lab::{
    compare::{AttackReport, Attacker, CompareReport, ExactReport, MethodReport, NewtonReport, RequestsReport, SetReport},
    measures::{Interval, Separation},
};

use super::super::show::{count, seconds};

/// The whole output.
pub(crate) fn text(report: &CompareReport) -> String {
    let mut out = format!(
        "{} training rows of {} people, {} held-out rows; `{}`{}; seed {}\n",
        count(report.rows as u64),
        count(report.subjects as u64),
        count(report.held_out as u64),
        report.learner,
        if report.parameters > 0 { format!(" with {} weights", count(report.parameters as u64)) } else { String::new() },
        report.seed
    );
    report.sets.iter().for_each(|set| one_set(&mut out, report, set));
    report.requests.iter().for_each(|requests| attacks(&mut out, requests));
    let _ = write!(out, "\ntook {}", seconds(report.seconds));
    if report.foreseen > 0.0 {
        let _ = write!(out, " (foreseen: {})", seconds(report.foreseen));
    }
    if report.witness_row_passes > 0 {
        let _ = write!(
            out,
            "; an ensemble of five says what rows cost those who never saw them: {} row-passes, not counted above",
            count(report.witness_row_passes)
        );
    }
    out.push('\n');
    if report.interrupted {
        out.push_str("interrupted: this is what was whole until then\n");
    }
    out
}

fn interval(i: &Interval) -> String {
    format!("{:.3}  [{:.2} {:.2}]", i.value, i.low, i.high)
}

fn apart(s: &Separation) -> String {
    interval(&s.auc)
}

fn points(share: f64) -> String {
    format!("{:+.2}", 100.0 * share)
}

fn one_set(out: &mut String, report: &CompareReport, set: &SetReport) {
    let floor = &set.floor;
    let _ = writeln!(
        out,
        "\nforget {}: {} people, {} rows, {}\n{} models a side; the floor is told apart {:.2} [{:.2} {:.2}]",
        set.name,
        count(set.subjects as u64),
        count(set.rows as u64),
        set.who,
        floor.models,
        floor.told_apart.auc.value,
        floor.told_apart.auc.low,
        floor.told_apart.auc.high
    );
    for reference in &set.references {
        let _ = writeln!(
            out,
            "  {:<10} {} {:.4} on rows that stay, {:.4} held out; loss {:.4} held out, {:.4} on forget rows",
            reference.role,
            report.accuracy_is,
            reference.retain_accuracy,
            reference.accuracy,
            reference.log_loss,
            reference.forget_loss
        );
    }
    let _ = writeln!(
        out,
        "\n{:<20} {:>7} {:>8} {:>8} {:>8}   {:<19}  {:<19}  {:>6} {:>6}  {:>5}  {:>7}",
        "method", "work", "held out", "stay", "forget", "told apart", "remembered", "worst", "eps", "F", "MIA"
    );
    let _ = writeln!(
        out,
        "{:<20} {:>7} {:>8} {:>8} {:>8}   {:<19}  {:<19}  {:>6} {:>6}  {:>5}  {:>7}",
        "", "of retr.", "pp", "pp", "pp", "AUC    [90 %]", "AUC    [90 %]", "tenth", "shown", "/ fl.", "(weak)"
    );
    line(out, "retrained (floor)", floor, floor);
    for method in &set.methods {
        let name = if method.name == "none" { "none (the control)" } else { method.name };
        line(out, name, method, floor);
    }
    set.exact.iter().for_each(|exact| exact_lines(out, exact));
    for method in set.methods.iter().filter(|m| !m.settings.is_empty()) {
        let settings: Vec<String> = method.settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let _ = write!(out, "  {}: {}", method.name, settings.join(", "));
        if method.stopped.0 + method.stopped.1 > 0 {
            let _ = write!(out, "; {} models stopped by themselves, the budget ended {}", method.stopped.0, method.stopped.1);
        }
        if method.diverged > 0 {
            let _ = write!(out, "; {} diverged", method.diverged);
        }
        let _ = writeln!(out, "; {}", method.verdict(floor));
    }
    more(out, set);
    groups(out, set);
    set.newton.iter().for_each(|newton| newton_lines(out, newton));
    if let Some(exact) = &set.exact {
        let _ = writeln!(out, "\n{}", cost_sentence(exact, set.subjects));
    }
    let _ = writeln!(out, "{}", meaning(floor));
}

fn line(out: &mut String, name: &str, row: &MethodReport, floor: &MethodReport) {
    let remembered = row.remembered.as_ref().map_or_else(|| "-".into(), apart);
    let _ = writeln!(
        out,
        "{:<20} {:>7.3} {:>8} {:>8} {:>8}   {:<19}  {:<19}  {:>6.2} {:>6.2}  {:>5.2}  {:>+7.3}",
        name,
        row.row_passes_share,
        points(row.held_out.accuracy.value),
        points(row.retain.accuracy.value),
        points(row.forget.accuracy.value),
        apart(&row.told_apart),
        remembered,
        row.person_top_tenth,
        row.shown_epsilon,
        row.quality_ratio(floor),
        row.population_mia
    );
}

fn exact_lines(out: &mut String, exact: &ExactReport) {
    let (same, of) = exact.byte_identical;
    let _ = writeln!(
        out,
        "{:<20} {:>7.3} {:>8} {:>8} {:>8}   {:<19}  byte for byte, {same} of {of} keys ({} checkpoints)",
        "sisa delete (exact)",
        exact.row_passes_share,
        points(exact.held_out.accuracy.value),
        "",
        "",
        apart(&exact.told_apart),
        count(exact.checkpoints)
    );
    let _ = writeln!(
        out,
        "{:<20} {:>7.3} {:>8} {:>8} {:>8}   {:<19}",
        "  nothing deleted",
        0.0,
        points(exact.nothing_held_out.accuracy.value),
        "",
        "",
        apart(&exact.nothing_deleted)
    );
}

/// Figures that papers print, and what they miss.
fn more(out: &mut String, set: &SetReport) {
    let _ = writeln!(
        out,
        "\n{:<20} {:>19} {:>9} {:>19}  {:>8}  {:>8} {:>10} {:>10}  {:>8}{}",
        "row by row",
        "row AUC    [90 %]",
        "TPR at 1%",
        "sum of ratios",
        "persons",
        "F",
        "JS forget",
        "JS held",
        "seconds",
        if set.methods.iter().any(|m| m.relearn.is_some()) { "  relearn" } else { "" }
    );
    for row in std::iter::once(&set.floor).chain(&set.methods) {
        let _ = writeln!(
            out,
            "{:<20} {:>19} {:>9.3} {:>19}  {:>8.3}  {:>8.3} {:>10.6} {:>10.6}  {:>8.3}{}",
            row.name,
            interval(&row.row_auc),
            row.tpr_at_1,
            interval(&row.set_auc),
            row.person_mean,
            row.forgetting_quality,
            row.divergence.0,
            row.divergence.1,
            row.seconds_share,
            row.relearn.map_or_else(String::new, |share| format!("  {share:>7.2}"))
        );
    }
    if let Some(exact) = &set.exact {
        let _ = writeln!(
            out,
            "{:<20} {:>19} {:>9} {:>19}",
            "sisa delete (exact)",
            interval(&exact.row_auc),
            "",
            interval(&exact.set_auc)
        );
        let _ = writeln!(out, "{:<20} {:>19} {:>9} {:>19}", "  nothing deleted", "", "", interval(&exact.nothing_set_auc));
    }
}

fn groups(out: &mut String, set: &SetReport) {
    if set.floor.groups.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "\nheld-out accuracy by group, less that of retrained models, pp (and the widest gap between groups before, after)"
    );
    for row in std::iter::once(&set.floor).chain(&set.methods) {
        let each: Vec<String> = row.groups.iter().map(|(name, _, gap)| format!("{name} {}", points(gap.value))).collect();
        let spread = (100.0 * row.group_spread.0, 100.0 * row.group_spread.1);
        let _ = writeln!(out, "  {:<14} {} ({:.2}, {:.2})", row.name, each.join(", "), spread.0, spread.1);
    }
}

fn newton_lines(out: &mut String, newton: &NewtonReport) {
    let _ = writeln!(
        out,
        "\nnewton: one step with its bound, on a linear model of its own ({} weights, double precision, lambda {}, for one class against the rest)\n  \
         distance to the retrained minimiser {:.3e} before, {:.3e} after; gradient left {:.3e}, its bound {:.3e}; a retraining takes {} such steps\n  \
         with noise of {:.3} for epsilon {} and delta {}: told apart {}; nothing done {}; floor {}; accuracy {:.4} without noise, {:.4} with it",
        newton.parameters,
        newton.lambda,
        newton.distance.0,
        newton.distance.1,
        newton.residual.0,
        newton.residual.1,
        newton.retraining_steps,
        newton.sigma,
        newton.privacy.0,
        newton.privacy.1,
        apart(&newton.told_apart),
        apart(&newton.nothing_done),
        apart(&newton.floor),
        newton.accuracy.0,
        newton.accuracy.1
    );
}

/// What the exact row costs, and the others.
pub(crate) fn cost_sentence(exact: &ExactReport, people: usize) -> String {
    format!(
        "The exact row costs {:.3} of a retraining for these {people} people together, and {:.2} for one of them (S = {}, R = {}); the others \
         cost the same for one as for all. No row but that one deletes anything.",
        exact.row_passes_share, exact.one_person_share, exact.cut.0, exact.cut.1
    )
}

fn meaning(floor: &MethodReport) -> String {
    format!(
        "\"told apart\" is an AUC over models, against retrained ones, by the better of two tests, and so above 0.5 by itself: hold it against the \
         floor, which says what {} models can't resolve. \
         \"remembered\" is the same against retrained models that the method was asked to make forget what they never saw. \
         The control is what was never changed.",
        floor.models
    )
}

fn attacks(out: &mut String, requests: &RequestsReport) {
    let _ = writeln!(
        out,
        "\nrequests that depend on published models: {} trials, each a fresh key, {} rows in {} shards\n\n\
         {:<13} {:>7}  {:<19} {:>19}   {:<19} {:>19}  {:>8}",
        requests.trials,
        count(requests.rows as u64),
        requests.shards,
        "attacker",
        "deleted",
        "indicator [95 %]",
        "difference",
        "rekeyed [95 %]",
        "difference",
        "guessed"
    );
    for attack in &requests.attacks {
        let difference = |(mean, error): (f64, f64)| format!("{mean:+.4} +- {error:.4}");
        let _ = writeln!(
            out,
            "{:<13} {:>6.1}%  {:<19} {:>19}   {:<19} {:>19}  {:>8}",
            attacker(attack),
            100.0 * attack.share,
            interval(&attack.indicator),
            difference(attack.difference),
            interval(&attack.rekeyed_indicator),
            difference(attack.rekeyed_difference),
            attack.guessed.map_or_else(String::new, |g| format!("{g:.3}"))
        );
    }
    let _ = writeln!(out, "\n{}", advice(requests));
}

fn attacker(attack: &AttackReport) -> &'static str {
    match attack.attacker {
        Attacker::Constituents => "constituents",
        Attacker::Answers => "answers",
    }
}

/// What follows from it.
pub(crate) fn advice(requests: &RequestsReport) -> String {
    let chance = 1.0 / f64::from(requests.shards);
    let mut out = format!(
        "An indicator of 0.5 is clean; 0 is as bad as 1. Guessing a row's shard by chance is right {chance:.3} of the time. \
         Of a difference, {} standard errors are taken to show. ",
        RequestsReport::SHOWS
    );
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    // In hundredths of a percent.
    let half = |share: f64| (5000.0 * share).round() / 10_000.0;
    let (constituents, answers) = (requests.shows_from(Attacker::Constituents), requests.shows_from(Attacker::Answers));
    let seen = [(constituents, "who sees constituents"), (answers, "who sees answers alone")];
    let seen = seen.iter().filter_map(|(from, who)| from.map(|share| format!("from {} of the rows on to {who}", percent(share))));
    let seen = seen.collect::<Vec<String>>().join(" and ");
    let Some(least) = answers.or(constituents) else {
        out.push_str("It does not show at any of these shares with so many trials.");
        return out;
    };
    let _ = write!(
        out,
        "It shows {seen}, if every one of them was chosen by what the models say: `sisa rekey` before half of that is deleted. \
         `[guard] rekey_after = {}` in sisa.toml has `sisa log` say when",
        half(least)
    );
    match constituents {
        Some(share) if answers.is_some() => {
            let _ = write!(out, ", or {} where more than answers is published.", half(share));
        }
        _ => out.push('.'),
    }
    out
}
