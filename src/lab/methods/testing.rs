//! A small trained network with rows that stay, go, and were never seen.

use ndarray::Array2;

use super::{Clean, Job, Rules, order::Orders};
use crate::{
    ids::Handle,
    lab::measures::Draws,
    learn::{
        Activation, Crew, Decay, Descent, Differentiable, Features, Labels, Layout, Learner, LearnerSettings, NetSettings,
        Optimizer, Rows, Step, Task, Visit,
    },
    num::Team,
};

const COLUMNS: usize = 4;
const TRAINED: usize = 120;
const HELD: usize = 40;

#[derive(Debug)]
struct Alone;

impl Crew for Alone {
    fn team(&self) -> Team {
        Team::solo()
    }

    fn visited(&self, _: usize) -> bool {
        true
    }
}

/// Numbers with their classes.
struct Table {
    numbers: Array2<f32>,
    bytes: Array2<u8>,
    categories: Array2<u32>,
    classes: Vec<u32>,
}

impl Table {
    fn of(cells: Vec<f32>, classes: Vec<u32>) -> Table {
        let rows = classes.len();
        let numbers = Array2::from_shape_vec((rows, COLUMNS), cells).unwrap();
        Table { numbers, bytes: Array2::zeros((rows, 0)), categories: Array2::zeros((rows, 0)), classes }
    }

    fn drawn(rows: usize, draws: &mut Draws) -> Table {
        let cells: Vec<f32> = (0..rows * COLUMNS).map(|_| draws.normal() as f32).collect();
        let class = |row: &[f32]| if row[0] > 0.5 { 0 } else { u32::from(row[1] > 0.0) + 1 };
        let classes = cells.chunks(COLUMNS).map(|row| if draws.unit() < 0.2 { draws.below(3) as u32 } else { class(row) });
        let classes = classes.collect();
        Table::of(cells, classes)
    }

    fn rows(&self) -> Rows<'_> {
        let features = Features { numbers: self.numbers.view(), bytes: self.bytes.view(), categories: self.categories.view() };
        Rows { features, labels: Labels::Classes(&self.classes) }
    }
}

/// All of it.
pub(super) struct World {
    trained: Table,
    records: Vec<Handle>,
    retain: Vec<u32>,
    forget: Vec<u32>,
    forgotten: Table,
    held: Table,
    clean: Clean,
    learner: Box<dyn Learner>,
    layout: Layout,
    fresh: Vec<f32>,
}

impl World {
    pub(super) fn new() -> World {
        let mut draws = Draws::new([7; 32]);
        let (trained, held) = (Table::drawn(TRAINED, &mut draws), Table::drawn(HELD, &mut draws));
        let forget: Vec<u32> = (0..TRAINED as u32).step_by(12).collect();
        let retain = (0..TRAINED as u32).filter(|row| !forget.contains(row)).collect();
        let cells = forget.iter().flat_map(|row| trained.numbers.row(*row as usize).to_vec()).collect();
        let classes = forget.iter().map(|row| trained.classes[*row as usize]).collect();
        let layout = Layout {
            numbers: COLUMNS,
            ranges: vec![None; COLUMNS],
            indicators: Vec::new(),
            byte_scales: Vec::new(),
            categories: Vec::new(),
            task: Task::Classes(3),
            label_range: None,
        };
        let learner = LearnerSettings::Mlp(NetSettings {
            hidden: vec![8],
            activation: Activation::Relu,
            descent: Descent {
                optimizer: Optimizer::Sgd { momentum: 0.9 },
                rate: 0.05,
                decay: Decay::Constant,
                l2: 1e-3,
                batch: 16,
                average: 0.05,
                clip: None,
                max_gradient: None,
            },
        });
        let learner = learner.check().unwrap();
        let fresh = learner.init(&layout, [9; 32]).differentiable().unwrap().weights().to_vec();
        World {
            records: (0..TRAINED).map(|i| Handle([i as u8; 16])).collect(),
            forgotten: Table::of(cells, classes),
            clean: Clean { scores: vec![1.0 / 3.0; forget.len() * 3], held_scores: vec![1.0 / 3.0; HELD * 3] },
            trained,
            retain,
            forget,
            held,
            learner,
            layout,
            fresh,
        }
    }

    /// A network trained on all rows.
    pub(super) fn model(&self) -> Box<dyn Differentiable> {
        let mut state = self.learner.init(&self.layout, [5; 32]);
        let prefix = [self.trained.rows()];
        let visits: Vec<Visit> = (0..30 * TRAINED as u32)
            .map(|i| Visit { slice: 0, row: (i * 37 + i / TRAINED as u32) % TRAINED as u32, progress: 0 })
            .collect();
        state.step(&Step { index: 1, of: 1, prefix: &prefix, visits: &visits, crew: &Alone }).unwrap();
        state.differentiable().unwrap()
    }

    pub(super) fn held_rows(&self) -> usize {
        HELD
    }

    pub(super) fn job(&self) -> Job<'_> {
        Job {
            rows: self.trained.rows(),
            records: &self.records,
            retain: &self.retain,
            forget: &self.forget,
            forgotten: self.forgotten.rows(),
            held_out: self.held.rows(),
            clean: &self.clean,
            rules: Rules { optimizer: Optimizer::Sgd { momentum: 0.9 }, rate: 0.05, l2: 1e-3, batch: 16, average: 0.05 },
            orders: Orders::new([3; 32]),
            fresh: &self.fresh,
        }
    }
}

#[test]
fn every_method_changes_the_model_at_the_cost_of_its_closed_form_and_repeats() {
    let world = World::new();
    let job = world.job();
    let (retain, forget, all) = (110.0, 10.0, 120.0);
    // Forget batches beside 7 retain batches: 10 rows each.
    let beside = 7.0 * forget;
    let exact = [
        ("none", 0.0),
        ("fine-tune", 3.0 * retain),
        ("neggrad+", retain + beside),
        ("random-labels", all),
        ("scrub", (3.0 * retain + 2.0 * forget) * 4.0 / 3.0),
        ("reset-head", 3.0 * retain),
        ("ssd", forget + all),
        ("clean-teacher", 2.0 * (retain + beside)),
    ];
    for name in super::NAMES {
        let mut method = super::method(name).unwrap();
        for setting in method.settings().into_iter().filter(|s| name == "ssd" && ["alpha", "lambda"].contains(&s.name)) {
            // So small a network has no weight that matters ten times as much to forget rows.
            *setting.value = 0.01;
        }
        let mut model = world.model();
        let unlearned = method.run(&mut *model, &job);
        assert_eq!(unlearned.weights == model.weights(), name == "none", "{name}");
        assert!(unlearned.weights.iter().all(|w| w.is_finite()), "{name}");
        assert_eq!(method.run(&mut *world.model(), &job), unlearned, "{name} does not repeat");
        if let Some((_, cost)) = exact.iter().find(|e| e.0 == name) {
            assert!((unlearned.row_passes - cost).abs() < 1e-9, "{name}: {} instead of {cost}", unlearned.row_passes);
        }
    }
}

#[test]
fn methods_that_should_raise_the_loss_of_forget_rows_do() {
    let world = World::new();
    let job = world.job();
    let loss = |weights: &[f32]| {
        let mut model = world.model();
        super::super::measures::mean(&super::job::losses_of(&mut *model, weights, &job.forgotten))
    };
    let before = loss(world.model().weights());
    for name in ["neggrad", "neggrad+", "random-labels", "scrub", "clean-teacher", "adaptive"] {
        let after = loss(&super::method(name).unwrap().run(&mut *world.model(), &job).weights);
        assert!(after > before, "{name}: {before} to {after}");
    }
}
