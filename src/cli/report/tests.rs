//! Pages of reports built by hand: whole ones, and such with nothing in one part or another.

use serde_json::json;
use sisa::lab::{BenchReport, DeletionSample, FrontierPoint, FullSample, LearnerReport, MemoryReport};

use super::html;

/// One size, one trial.
fn deletion(requests: u64, trial: u64) -> DeletionSample {
    let cost = 20_000 * requests.min(7) + 900 * trial;
    DeletionSample {
        requests,
        records: 3 * requests,
        effective: 0.012 + 0.001 * trial as f64,
        effective_alone: 0.008,
        repaired: 0.05 * requests as f64 + 0.003 * trial as f64,
        predicted: cost,
        row_passes: cost,
        bytes: 120_000,
        quality_meanwhile: Some(0.61 + 0.001 * trial as f64),
        quality_after: Some(0.635),
        process: Some(0.08 * requests as f64),
        one_by_one: (requests <= 8).then_some((0.06 * requests as f64, cost * 2)),
    }
}

fn point(shards: u32, schedule: &str, quality: f64) -> FrontierPoint {
    let own = shards == 5 && schedule == "replay";
    FrontierPoint { shards, slices: 8, schedule: schedule.parse().unwrap(), quality, cost: 1.0 / f64::from(shards), own }
}

/// Two sizes, three trials, a frontier of six points.
fn whole() -> BenchReport {
    let recipe = json!({
        "checkpoint_format": 1, "numerics": 1, "keep": "all",
        "learner": {
            "kind": "mlp", "hidden": [32], "activation": "relu", "optimizer": { "kind": "sgd", "momentum": 0.9 },
            "rate": 0.05, "decay": "constant", "l2": 0.001, "batch": 64,
        },
        "schedule": { "kind": "replay", "epochs": 20 },
    });
    let sample = |seconds, row_passes| FullSample { seconds, row_passes };
    BenchReport {
        records: 16_000,
        shards: 5,
        slices: 8,
        recipe: serde_json::from_value(recipe).unwrap(),
        threads: 2,
        quality_is: "accuracy",
        quality: Some(0.637),
        quality_of_one: Some(0.652),
        one_model: vec![sample(0.6, 320_000), sample(0.62, 320_000), sample(0.59, 320_000)],
        ensemble: vec![sample(0.5, 316_000), sample(0.52, 316_000), sample(0.51, 316_000)],
        deletions: (0..3).flat_map(|trial| [deletion(1, trial), deletion(8, trial)]).collect(),
        learners: Vec::new(),
        memory: Vec::new(),
        growth: None,
        frontier: vec![
            point(1, "cumulative", 0.65),
            point(5, "cumulative", 0.63),
            point(1, "replay", 0.651),
            point(5, "replay", 0.637),
            point(20, "replay", 0.6),
            point(20, "front", 0.6),
        ],
        frontier_requests: 8,
        cells: (0..5_u64).map(|s| (0..8_u64).map(|r| 380 + 7 * s + 3 * r).collect()).collect(),
        first_hits: vec![(1, vec![(3, 6)]), (8, vec![(0, 1), (1, 8), (3, 2)])],
        expected: (0..8).map(|i| (1 << i, 316_000.0 * (1.0 - 0.9 / f64::from(1 + i)))).collect(),
        break_even: Some(61),
        interrupted: false,
    }
}

/// The element with an id, if tags are balanced in the page.
fn chart<'a>(page: &'a str, id: &str) -> &'a str {
    let start = page.find(&format!("<svg id=\"{id}\" role=\"img\" aria-label=\"")).unwrap_or_else(|| panic!("no chart {id}"));
    let end = page[start..].find("</svg>").unwrap();
    &page[start..start + end]
}

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

/// What holds for any page.
fn sound(report: &BenchReport) -> String {
    let page = html(report);
    let mut open: Vec<&str> = Vec::new();
    let body = &page[page.find("<body>").unwrap()..page.find("</html>").unwrap()];
    for tag in body.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("a tag that ends");
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap();
        match tag {
            t if t.starts_with('/') => assert_eq!(open.pop(), Some(name), "closing </{name}>"),
            t if t.ends_with('/') || name == "input" => {}
            _ => open.push(name),
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
    for id in ["cost", "frontier", "times", "cells", "quality"] {
        let chart = chart(&page, id);
        assert!(!chart.contains("=\"\""), "an empty attribute in {id}: {chart}");
        assert!(count(chart, "<text") > 0, "{id} says something");
    }
    let mut words = page.split(|c: char| !c.is_alphanumeric());
    assert_eq!(words.find(|w| ["NaN", "inf"].contains(w)), None, "{page}");
    for outside in ["http:", "https:", "<script", "<link", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    page
}

#[test]
fn a_whole_report_shows_every_figure() {
    let page = sound(&whole());
    let cost = chart(&page, "cost");
    assert_eq!(count(cost, "class=\"dot c2\""), 6 + 1, "six trials and the legend");
    assert_eq!(count(cost, "class=\"ring c2\""), 2 + 1, "two medians and the legend");
    assert!(cost.contains("break-even") && cost.contains("61 requests") && cost.contains("<path class=\"curve c1\""));
    let frontier = chart(&page, "frontier");
    assert_eq!(count(frontier, "class=\"point c"), 6 + 3, "six points and three schedules in the legend");
    assert_eq!(count(frontier, "class=\"ring own\""), 1 + 1);
    assert!(frontier.contains(">S=5<") && frontier.contains("one model, not sliced"));
    let times = chart(&page, "times");
    // Effective, repaired, process for both; one by one for the larger; one model and the ensemble.
    assert_eq!(count(times, "class=\"dot "), 3 * (3 + 4 + 2));
    assert_eq!(count(times, "class=\"bar "), 3 + 4 + 2);
    let cells = chart(&page, "cells");
    assert_eq!(count(cells, "class=\"cell\""), 40);
    assert_eq!(count(cells, "class=\"hit\""), 1 + 3 + 1, "hits of both batches and the legend");
    assert_eq!(count(&page, "<input type=\"radio\""), 2);
    assert!(page.contains("8\u{a0}requests hit 3 of 5 shards; 16 of 40 steps were trained again."), "{cells}");
    let quality = chart(&page, "quality");
    assert_eq!(count(quality, "class=\"dot "), 2 + 2 * 3 * 2);
    for words in
        ["16,000 records", "5 shards × 8 slices", "mlp 32 relu", "replay, 20 epochs", "2 threads", "63.70\u{a0}%", "65.20\u{a0}%"]
    {
        assert!(page.contains(words), "{words}");
    }
    assert_eq!(count(&page, "<table>"), 3);
    assert!(page.contains("&quot;type&quot;:&quot;bench_deletion&quot;"));
}

fn learner(kind: &'static str, quality: f64, refused: Option<&str>) -> LearnerReport {
    let report = whole();
    let measured = refused.is_none();
    LearnerReport {
        kind,
        own: kind == "mlp",
        refused: refused.map(Into::into),
        shards: 5,
        slices: 8,
        recipe: report.recipe,
        quality: measured.then_some(quality),
        quality_of_one: measured.then_some(quality + 0.01),
        one_model: if measured { report.one_model } else { Vec::new() },
        ensemble: if measured { report.ensemble } else { Vec::new() },
        deletions: if measured { report.deletions } else { Vec::new() },
    }
}

#[test]
fn learners_stand_beside_each_other_and_a_refused_one_says_why() {
    let learners = vec![learner("mlp", 0.637, None), learner("linear", 0.62, None), learner("ridge", 0.0, Some("no <range>"))];
    let page = sound(&BenchReport { learners, ..whole() });
    let chart = chart(&page, "learners");
    assert_eq!(count(chart, "class=\"point c"), 2);
    assert!(chart.contains(">mlp<") && chart.contains(">linear<") && !chart.contains(">ridge<"));
    assert!(page.contains("ridge was not measured: no &lt;range&gt;"));
    assert_eq!(count(&page, "<table>"), 4);
    assert!(page.contains("&quot;type&quot;:&quot;bench_learner&quot;"));
    let refused = sound(&BenchReport { learners: vec![learner("ridge", 0.0, Some("why"))], ..whole() });
    assert!(refused.contains("No learner was measured"));
    assert!(!sound(&whole()).contains("learners-figure"), "nothing where none were asked for");
}

#[test]
fn deletions_in_memory_have_a_table() {
    let memory = vec![MemoryReport {
        learner: "forest",
        shards: 5,
        slices: 1,
        deletions: 300,
        mean_seconds: 0.000_45,
        median_seconds: 0.000_3,
        p99_seconds: 0.002,
        batch: 100,
        batch_seconds: Some(0.02),
        state_bytes: 12_000_000,
        train_seconds_one_thread: 0.4,
        train_seconds: 0.2,
        predict_rows_per_second: None,
    }];
    let page = sound(&BenchReport { memory, ..whole() });
    assert_eq!(count(&page, "<table>"), 4);
    for figure in ["0.450 ms", "20.0 ms of 100", "12.0 MB", "&quot;type&quot;:&quot;bench_memory&quot;"] {
        assert!(page.contains(figure), "{figure}");
    }
}

#[test]
fn pages_with_empty_parts_are_sound() {
    let blank = |d: DeletionSample| DeletionSample { quality_meanwhile: None, quality_after: None, ..d };
    let whole_one = whole();
    let unheld = BenchReport {
        quality: None,
        quality_of_one: None,
        frontier: Vec::new(),
        deletions: whole_one.deletions.iter().copied().map(blank).collect(),
        ..whole_one.clone()
    };
    let page = sound(&unheld);
    assert!(chart(&page, "quality").contains("Nothing is held out") && chart(&page, "frontier").contains("Nothing is held out"));

    let no_frontier = BenchReport { frontier: Vec::new(), ..whole_one.clone() };
    assert!(chart(&sound(&no_frontier), "frontier").contains("No other ways"));

    let interrupted = BenchReport {
        one_model: Vec::new(),
        ensemble: Vec::new(),
        deletions: Vec::new(),
        frontier: Vec::new(),
        first_hits: Vec::new(),
        quality_of_one: None,
        break_even: None,
        interrupted: true,
        ..whole_one.clone()
    };
    let page = sound(&interrupted);
    assert!(page.contains("Stopped early") && chart(&page, "times").contains("Nothing was measured"));
    assert!(chart(&page, "cost").contains("curve c1"), "the prediction needs no measurement");

    let single = BenchReport {
        one_model: whole_one.one_model[..1].to_vec(),
        ensemble: whole_one.ensemble[..1].to_vec(),
        deletions: vec![deletion(1, 0)],
        first_hits: whole_one.first_hits[..1].to_vec(),
        frontier: vec![point(5, "replay", 0.637)],
        ..whole_one.clone()
    };
    let page = sound(&single);
    assert_eq!(count(chart(&page, "times"), "class=\"dot "), 3 + 2);
    assert_eq!(count(&page, "<input"), 0, "nothing to choose");

    let nothing = BenchReport {
        records: 0,
        cells: Vec::new(),
        expected: Vec::new(),
        deletions: Vec::new(),
        first_hits: Vec::new(),
        one_model: Vec::new(),
        ..interrupted.clone()
    };
    assert!(chart(&sound(&nothing), "cells").contains("There are no cells"));
}

#[test]
fn strange_figures_give_a_sound_page() {
    let mut report = whole();
    report.quality_is = "R2";
    report.quality = Some(-1.5);
    report.quality_of_one = Some(f64::NAN);
    report.frontier.iter_mut().for_each(|p| p.quality = -0.2);
    report.deletions.iter_mut().for_each(|d| {
        (d.effective, d.row_passes, d.quality_after) = (0.0, 0, Some(f64::NAN));
    });
    report.first_hits = vec![(1, Vec::new()), (9, vec![(99, 0), (2, 1000)])];
    sound(&report);

    let mut large = whole();
    large.cells = vec![vec![10; 250]; 400];
    (large.shards, large.slices) = (400, 250);
    large.first_hits = vec![(1, vec![(399, 250)])];
    let page = sound(&large);
    assert!(chart(&page, "cells").contains("352 other shards") && count(&page, "class=\"cell\"") <= 48 * 60);
    assert!(chart(&page, "cells").contains(">399<"), "a shard that was hit is shown");
}

#[test]
fn what_comes_from_data_is_escaped() {
    let report = BenchReport { quality_is: "<b>\"it's\" & more", ..whole() };
    let page = sound(&report);
    assert!(!page.contains("<b>\"") && page.contains("&lt;b&gt;&quot;it&#39;s&quot; &amp; more"));
}
