//! The page of a comparison, from figures of every kind.

use sisa::lab::{
    compare::{
        AttackReport, Attacker, CompareReport, ExactReport, Gap, MethodReport, ReferenceReport, RequestsReport, Sample, SetReport,
    },
    measures::{Interval, Separation, Test},
};

use super::html;

fn interval(value: f64) -> Interval {
    Interval { value, low: value - 0.05, high: value + 0.05 }
}

fn apart(value: f64) -> Separation {
    Separation { auc: interval(value), test: Test::Ratios }
}

fn samples(loss: f64) -> Vec<Sample> {
    let one = |number| Sample { number, forget_loss: loss + 0.01 * number as f64, retain_accuracy: 0.7, held_out_accuracy: 0.6 };
    (1..=5).map(one).collect()
}

fn method(name: &'static str, auc: f64, share: f64) -> MethodReport {
    let gap = Gap { accuracy: interval(0.01), log_loss: interval(0.02) };
    MethodReport {
        name,
        settings: vec![("rate", 0.4)],
        models: 5,
        diverged: 0,
        stopped: (2, 3),
        row_passes_share: share,
        seconds_share: share,
        told_apart: apart(auc),
        set_auc: interval(auc),
        remembered: (name != "floor").then(|| apart(auc - 0.2)),
        remembered_set: (name != "floor").then(|| interval(auc - 0.2)),
        person_mean: 0.6,
        person_top_tenth: 0.9,
        persons: vec![0.4, 0.5, 0.9],
        row_auc: interval(0.6),
        tpr_at_1: 0.02,
        shown_epsilon: 0.5,
        forgetting_quality: 0.1,
        population_mia: 0.01,
        forget: gap,
        retain: gap,
        held_out: gap,
        forget_loss: 0.8,
        divergence: (0.01, 0.02),
        groups: vec![("sex = <f>".into(), 40, interval(-0.02))],
        group_spread: (0.1, 0.2),
        relearn: None,
        samples: samples(0.8),
    }
}

fn whole() -> CompareReport {
    let reference = |role, loss| ReferenceReport {
        role,
        models: 5,
        row_passes: 1e5,
        seconds: 0.1,
        retain_accuracy: 0.7,
        accuracy: 0.6,
        log_loss: 0.8,
        forget_loss: loss,
        samples: samples(loss),
    };
    let names = ["none", "fine-tune", "neggrad", "neggrad+", "scrub", "reset-head", "ssd", "adaptive"];
    let methods = names.iter().enumerate().map(|(at, name)| method(name, 0.95, 0.05 * at as f64)).collect();
    let attack = |attacker, share| AttackReport {
        attacker,
        share,
        indicator: interval(0.1),
        difference: (0.02, 0.002),
        rekeyed_indicator: interval(0.5),
        rekeyed_difference: (0.0, 0.002),
        guessed: Some(0.3),
    };
    let attacks = vec![attack(Attacker::Constituents, 0.03), attack(Attacker::Constituents, 0.1), attack(Attacker::Answers, 0.1)];
    CompareReport {
        accuracy_is: "accuracy",
        models: 5,
        sets: vec![SetReport {
            name: "<people>".into(),
            who: "named in <people>".into(),
            subjects: 9,
            rows: 30,
            references: vec![reference("original", 0.7), reference("retrained", 0.9), reference("floor", 0.9)],
            floor: method("floor", 0.55, 1.0),
            methods,
            exact: Some(ExactReport {
                cut: (5, 8),
                byte_identical: (3, 3),
                checkpoints: 120,
                row_passes_share: 0.98,
                one_person_share: 0.11,
                told_apart: apart(0.52),
                set_auc: interval(0.52),
                row_auc: interval(0.5),
                held_out: Gap::default(),
                nothing_deleted: apart(0.9),
                nothing_set_auc: interval(0.9),
                nothing_held_out: Gap::default(),
            }),
            newton: None,
        }],
        requests: Some(RequestsReport { shards: 5, rows: 1000, trials: 10, attacks }),
        ..CompareReport::default()
    }
}

/// A page whose tags close, that asks for nothing and holds no number that is none.
fn sound(report: &CompareReport) -> String {
    let page = html(report);
    let mut open: Vec<&str> = Vec::new();
    let body = &page[page.find("<body>").unwrap()..page.find("</html>").unwrap()];
    for tag in body.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').unwrap();
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap();
        match tag {
            t if t.starts_with('/') => assert_eq!(open.pop(), Some(name), "closing </{name}>"),
            t if t.ends_with('/') => {}
            _ => open.push(name),
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
    for outside in ["http:", "https:", "<script", "<link", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    page
}

#[test]
fn every_chart_is_there_with_its_sentence_and_names_are_escaped() {
    let page = sound(&whole());
    for id in ["work-0", "strips-0", "persons-0", "gaps-0", "groups-0-0", "requests"] {
        assert!(page.contains(&format!("<svg id=\"{id}\"")), "{id}");
    }
    assert_eq!(page.matches(&super::escape(super::MEANING)).count(), 6, "under each chart");
    assert!(page.contains("&lt;people&gt;") && !page.contains("<people>") && !page.contains("<f>"));
    // Eight strips of five models: originals for `none`, seven methods, retrained and floor.
    assert_eq!(page.matches("class=\"dot ").count(), 5 * (3 + 7));
    assert!(page.contains("byte for byte") && page.contains("0.11 for one of them"));
}

#[test]
fn strange_figures_give_a_sound_page() {
    let mut report = whole();
    for method in &mut report.sets[0].methods {
        method.told_apart.auc = Interval { value: f64::NAN, low: f64::NAN, high: f64::NAN };
        method.samples.iter_mut().for_each(|s| s.forget_loss = f64::INFINITY);
        (method.persons, method.row_passes_share) = (Vec::new(), 0.0);
    }
    report.sets[0].exact = None;
    report.interrupted = true;
    let page = sound(&report);
    assert!(page.contains("Stopped early"));
    let drawings: String = page.split("<svg").skip(1).filter_map(|s| s.split_once("</svg>")).map(|s| s.0).collect();
    assert!(!["\"NaN", " NaN\"", "inf\"", "\"inf"].iter().any(|bad| drawings.contains(bad)), "{drawings}");
    sound(&CompareReport { requests: None, sets: Vec::new(), ..report });
}

#[test]
fn no_word_says_more_than_was_measured() {
    let page = html(&whole()).to_lowercase();
    for word in ["forgotten", "certified", "erased", "guarantee"] {
        assert!(!page.contains(word), "{word}");
    }
}
