//! What is planned before training is what deletions then cost.

mod common;

use std::sync::Arc;

use common::{Bench, LINEAR, MLP, Setup, rows};
use sisa::{
    delete::{Drafts, Targets, draft},
    engine::{DeleteRequest, Quiet, RealDisk},
    fs::Files,
    lab::{BenchRequest, bench},
    plan::CostModel,
    train::{Keep, Schedule, ScheduleKind},
    workspace::Workspace,
};

#[test]
fn the_closed_form_is_the_mean_of_what_deletions_are_counted_to_cost() {
    let rows = rows(500);
    for (name, kind) in
        [("cumulative", ScheduleKind::Cumulative), ("replay", ScheduleKind::Replay), ("front", ScheduleKind::Front)]
    {
        for keep in [None, Some(1)] {
            let setup =
                Setup { shards: 4, slices: 5, holdout: 0.0, epochs: 6, schedule: name, learner: MLP, keep, ..Setup::default() };
            let bench = Bench::trained(&setup, &rows);
            let workspace = Workspace::new(Files::new(Arc::new(RealDisk::new())), bench.root().to_owned());
            let snapshot = workspace.snapshot().unwrap();
            let (key, model) = (workspace.handle_key().unwrap(), workspace.serving_model(&snapshot).unwrap());
            let (_, record) = snapshot.history.newest().unwrap();
            let schema = workspace.partition(sisa::ids::GenerationId(1), record).unwrap().schema;
            let schedule = Schedule { kind, epochs: 6 };
            let cost_model = CostModel::new(rows.len() as f64, 4, 5, schedule, keep.map_or(Keep::All, Keep::Best));
            let full: u64 = model.plans().unwrap().iter().map(|plan| plan.row_passes(&model.recipe)).sum();
            // The model's slices are of one size, those of the table as persons fell into them.
            let near = |counted: f64, expected: f64, share: f64, what: &str| {
                assert!((counted / expected - 1.0).abs() < share, "{name} {keep:?} {what}: {counted} and {expected}");
            };
            near(full as f64, cost_model.full(), 0.1, "training");
            let counted = |persons: &[u32]| {
                let ids: Vec<String> = persons.iter().map(u32::to_string).collect();
                let targets = Targets::new(&schema, &key, &ids, &[], &[], Default::default()).unwrap();
                draft(&workspace, &snapshot, &key, "r", &targets, true, &Drafts::default()).unwrap().accepted.predicted.row_passes
                    as f64
            };
            for batch in [1_u32, 4] {
                let costs: Vec<f64> =
                    (0..500 / batch).map(|first| counted(&(first * batch..(first + 1) * batch).collect::<Vec<_>>())).collect();
                let mean = costs.iter().sum::<f64>() / costs.len() as f64;
                near(mean, cost_model.expected(u64::from(batch)), 0.1, &format!("{batch} together"));
            }
            // And what is counted beforehand is what is trained.
            let request = DeleteRequest { subjects: vec!["17".into()], ..DeleteRequest::default() };
            let expected = counted(&[17]);
            let trained = bench.delete(&request).repair.unwrap().report.row_passes();
            assert_eq!(trained as f64, expected);
        }
    }
}

/// Batches that are appended on a scratch copy cost what the closed form says, and deletions after them what they are forecast to.
#[test]
fn what_batches_are_planned_to_cost_is_what_they_are_counted_to_cost() {
    let setup = Setup { shards: 1, slices: 5, epochs: 6, learner: LINEAR, ..Setup::default() };
    let workspace = Bench::trained(&setup, &rows(600));
    let request = BenchRequest {
        requests: Vec::new(),
        trials: 2,
        frontier: Vec::new(),
        batches: Some((6, 0.1)),
        ..BenchRequest::default()
    };
    let report = bench(&workspace.engine(), &request, None, &Quiet).unwrap();
    let growth = report.growth.unwrap();
    let planned = growth.planned.unwrap();
    assert_eq!((growth.appends.len(), growth.slices, planned.slices), (6, 11, 11));
    let near = |counted: u64, planned: f64| {
        let counted = counted as f64 / growth.import.row_passes as f64;
        assert!((counted / planned - 1.0).abs() < 0.25, "{counted} and {planned}");
    };
    near(growth.row_passes(), planned.all);
    near(growth.anew.row_passes, 1.6);
    assert!(growth.before.iter().chain(&growth.after).all(|d| d.predicted == d.row_passes) && growth.after.len() == 2);
    let everything = CostModel::new(report.records as f64, 1, 5, growth_schedule(), Keep::All).full();
    assert!((growth.anew.row_passes as f64 / everything - 1.0).abs() < 0.25, "{growth:?}");
    // Nothing of it is left, and the workspace is as it was.
    assert!(
        workspace.files().keys().all(|path| !path.starts_with(".scratch")) && workspace.engine().status().unwrap().batches == 1
    );
}

fn growth_schedule() -> Schedule {
    Schedule { kind: ScheduleKind::Replay, epochs: 6 }
}
