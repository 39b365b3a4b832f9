//! The head of the page: what was measured, and the numbers that matter.

use std::fmt::Write;

use sisa::lab::BenchReport;

use super::figures;
use crate::cli::{bench, show};
use crate::markup::escape;

/// Facts, notices and tiles.
pub(super) fn head(report: &BenchReport) -> String {
    let mut out = String::from("<header>\n<h1>What a deletion costs</h1>\n");
    let _ = writeln!(out, "<p class=\"facts\">{}</p>", escape(&facts(report)));
    if report.interrupted {
        out.push_str("<p class=\"notice\">Stopped early: this is what was measured until then.</p>\n");
    }
    out.push_str("</header>\n<dl class=\"tiles\">\n");
    for (name, figure, words) in [effective(report), repaired(report), break_even(report), quality(report)] {
        let _ = writeln!(
            out,
            "<div class=\"tile\"><dt>{}</dt><dd><b>{}</b><span>{}</span></dd></div>",
            escape(&name),
            escape(&figure),
            escape(&words)
        );
    }
    out.push_str("</dl>\n");
    out
}

fn facts(report: &BenchReport) -> String {
    let plural = |n: u64, one: &str, many: &str| format!("{} {}", show::count(n), if n == 1 { one } else { many });
    let mut facts = vec![
        plural(report.records, "record", "records"),
        format!(
            "{} × {}",
            plural(u64::from(report.shards), "shard", "shards"),
            plural(u64::from(report.slices), "slice", "slices")
        ),
        learner(report),
        schedule(report),
        plural(report.threads as u64, "thread", "threads"),
    ];
    let trials = report.one_model.len() as u64;
    if trials > 0 {
        facts.push(plural(trials, "trial", "trials"));
    }
    facts.push(format!("sisa {}", env!("CARGO_PKG_VERSION")));
    facts.join(" · ")
}

/// The learner in a few words, from the recipe as it is frozen.
fn learner(report: &BenchReport) -> String {
    let recipe = serde_json::to_value(&report.recipe).unwrap_or_default();
    let learner = recipe.get("learner");
    let text = |key: &str| learner.and_then(|l| l.get(key)).and_then(|v| v.as_str()).map(ToOwned::to_owned);
    let mut words = vec![text("kind").unwrap_or_else(|| "learner".into())];
    if let Some(hidden) = learner.and_then(|l| l.get("hidden")).and_then(|v| v.as_array()) {
        words.push(hidden.iter().map(ToString::to_string).collect::<Vec<_>>().join("-"));
    }
    words.extend(text("activation"));
    words.join(" ")
}

fn schedule(report: &BenchReport) -> String {
    let schedule = report.recipe.schedule;
    let mut words = format!("{:?}, {} epochs", schedule.kind, schedule.epochs).to_lowercase();
    let kept = report.recipe.keep.steps(schedule, report.slices);
    let count = kept.iter().filter(|k| **k).count();
    if count < kept.len() {
        let _ = write!(words, ", {count} of {} checkpoints kept", kept.len());
    }
    words
}

type Tile = (String, String, String);

fn effective(report: &BenchReport) -> Tile {
    let size = report.sizes().first().copied();
    let time = size.and_then(|size| report.median(size, |d| Some(d.effective)));
    let name = size.map_or("In effect".into(), |size| format!("{}: in effect after", figures::requests(size)));
    match time {
        Some(time) => (name, figures::seconds(time), "from then on no answer is influenced by what was deleted".into()),
        None => (name, "–".into(), "no deletion was measured".into()),
    }
}

fn repaired(report: &BenchReport) -> Tile {
    let size = report.sizes().first().copied();
    let name = size.map_or("Exact again".into(), |size| format!("{}: exact again after", figures::requests(size)));
    let time = size.and_then(|size| report.median(size, |d| Some(d.repaired)));
    let work = size.and_then(|size| report.median(size, |d| Some(d.row_passes as f64))).filter(|r| *r > 0.0);
    let one = BenchReport::seconds(&report.one_model);
    let Some(time) = time else { return (name, "–".into(), "no deletion was measured".into()) };
    let mut words: Vec<String> = one.map(|one| format!("one model anew takes {}", figures::seconds(one))).into_iter().collect();
    if let Some(work) = work {
        words.push(format!("the repair is {} of that training", figures::percent(work / bench::full(report))));
    }
    (name, figures::seconds(time), words.join("; "))
}

fn break_even(report: &BenchReport) -> Tile {
    let name = "Break-even".to_owned();
    match report.break_even {
        Some(k) => (name, show::count(k), "requests repaired together train as much as one model anew".into()),
        None => (name, "none".into(), "however many requests are repaired together, one model anew is more training".into()),
    }
}

fn quality(report: &BenchReport) -> Tile {
    let name = if report.quality_is == "accuracy" { "Accuracy" } else { report.quality_is };
    let show = |q: f64| figures::quality(report, q);
    let words = match (report.quality, report.quality_of_one) {
        (Some(_), Some(one)) => format!("as an ensemble, before any deletion; one model on everything: {}", show(one)),
        (Some(_), None) => "as an ensemble, before any deletion".into(),
        (None, _) => "nothing is held out to measure it on".into(),
    };
    (name.to_owned(), report.quality.map_or("–".into(), show), words)
}
