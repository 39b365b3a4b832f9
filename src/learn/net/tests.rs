//! What a network promises: the same bytes however it is run, and states that continue where they stopped.

use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::Array2;

use super::settings::{Activation, Decay, Descent, NetSettings, Optimizer};
use super::{Net, State};
use crate::learn::Scorer;
use crate::learn::scaler::Scaler;
use crate::learn::testing::Lanes;
use crate::learn::{Crew, Features, Labels, Layout, Learner, Rows, Step, StepError, Task, Visit};
use crate::num::{Isa, Team, isa, stream};

/// One slice.
#[derive(Debug)]
pub(super) struct Data {
    numbers: Array2<f32>,
    bytes: Array2<u8>,
    categories: Array2<u32>,
    /// A class as a number, or the number.
    pub(super) labels: Vec<f32>,
    classes: Option<Vec<u32>>,
}

impl Data {
    /// Rows of any values, some of the numbers with an indicator missing.
    pub(super) fn derived(layout: &Layout, rows: usize, seed: u8) -> Data {
        let mut stream = stream::stream([seed; 32]);
        let mut draw = |low: f32, high: f32| {
            let mut one = [0.0];
            stream::uniform(&mut stream, low, high, &mut one);
            one[0]
        };
        let numbers = Array2::from_shape_fn((rows, layout.numbers), |(_, column)| {
            let missing = layout.indicators.contains(&(column as u32)) && draw(0.0, 1.0) < 0.3;
            if missing { f32::NAN } else { draw(-3.0, 5.0) * (column + 1) as f32 }
        });
        let bytes = Array2::from_shape_fn((rows, layout.byte_scales.len()), |_| draw(0.0, 256.0) as u8);
        let categories = Array2::from_shape_fn((rows, layout.categories.len()), |(_, column)| {
            draw(0.0, layout.categories[column] as f32) as u32
        });
        let labels = match layout.task {
            Task::Classes(n) => (0..rows).map(|_| draw(0.0, n as f32).floor()).collect(),
            Task::Number => (0..rows).map(|_| draw(10.0, 50.0)).collect(),
        };
        Data::new(numbers, bytes, categories, labels, layout.task)
    }

    /// Rows of numbers alone, with classes.
    pub(super) fn of_numbers(numbers: Vec<f32>, columns: usize, labels: Vec<f32>) -> Data {
        let rows = labels.len();
        let numbers = Array2::from_shape_vec((rows, columns), numbers).unwrap();
        Data::new(numbers, Array2::zeros((rows, 0)), Array2::zeros((rows, 0)), labels, Task::Classes(0))
    }

    fn new(numbers: Array2<f32>, bytes: Array2<u8>, categories: Array2<u32>, labels: Vec<f32>, task: Task) -> Data {
        let classes = (task != Task::Number).then(|| labels.iter().map(|&label| label as u32).collect());
        Data { numbers, bytes, categories, labels, classes }
    }

    pub(super) fn features(&self) -> Features<'_> {
        Features { numbers: self.numbers.view(), bytes: self.bytes.view(), categories: self.categories.view() }
    }

    pub(super) fn rows(&self) -> Rows<'_> {
        let labels = self.classes.as_ref().map_or(Labels::Numbers(&self.labels), |classes| Labels::Classes(classes));
        Rows { features: self.features(), labels }
    }

    /// The dense inputs of a row, and the table rows of its categories, each from its definition.
    pub(super) fn inputs(&self, layout: &Layout, scaler: &Scaler, row: usize) -> (Vec<f32>, Vec<usize>) {
        let numbers = self.numbers.row(row).to_vec();
        let scales = scaler.shifts().iter().zip(scaler.gains());
        let scaled = numbers.iter().zip(scales).map(|(x, (shift, gain))| if x.is_nan() { 0.0 } else { (x - shift) * gain });
        let bytes = self.bytes.row(row).to_vec().into_iter().zip(&layout.byte_scales).map(|(b, scale)| f32::from(b) * scale);
        let missing = layout.indicators.iter().map(|&c| if numbers[c as usize].is_nan() { 1.0 } else { 0.0 });
        let mut start = 0;
        let mut categories = Vec::new();
        for (value, size) in self.categories.row(row).iter().zip(&layout.categories) {
            categories.push((start + value) as usize);
            start += size;
        }
        (scaled.chain(bytes).chain(missing).collect(), categories)
    }
}

/// A layout of numbers alone.
pub(super) fn layout(numbers: usize, task: Task) -> Layout {
    Layout {
        numbers,
        ranges: vec![None; numbers],
        indicators: vec![],
        byte_scales: vec![],
        categories: vec![],
        task,
        label_range: None,
    }
}

/// A layout with columns of every kind.
pub(super) fn mixed(task: Task) -> Layout {
    Layout { indicators: vec![0, 2], byte_scales: vec![1.0 / 255.0, 0.01], categories: vec![4, 3], ..layout(3, task) }
}

/// Settings that most tests vary.
pub(super) fn settings() -> NetSettings {
    NetSettings {
        hidden: vec![],
        activation: Activation::Tanh,
        descent: Descent {
            optimizer: Optimizer::Sgd { momentum: 0.9 },
            rate: 0.02,
            decay: Decay::Linear,
            l2: 1e-3,
            batch: 16,
            average: 0.05,
            clip: None,
            max_gradient: None,
        },
    }
}

/// These settings with another descent.
fn descending(settings: NetSettings, change: impl FnOnce(&mut Descent)) -> NetSettings {
    let mut settings = settings;
    change(&mut settings.descent);
    settings
}

fn adam() -> NetSettings {
    let optimizer = Optimizer::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
    descending(NetSettings { hidden: vec![37, 18], ..settings() }, |d| (d.optimizer, d.rate) = (optimizer, 0.003))
}

/// The learner with these settings.
pub(super) fn net(settings: &NetSettings) -> Net {
    Net::of_checked(settings.clone())
}

/// Some passes over all rows, each in another order.
pub(super) fn visits(data: &[Data], passes: usize) -> Vec<Visit> {
    let rows = data.iter().zip(0..).flat_map(|(data, slice)| (0..data.labels.len() as u32).map(move |row| (slice, row)));
    let rows: Vec<(u32, u32)> = rows.collect();
    let total = rows.len() * passes;
    let order = (0..passes).flat_map(|pass| {
        let mut order = rows.clone();
        order.sort_by_key(|(slice, row)| (row + 31 * slice + 1).wrapping_mul(0x9e37_79b1 ^ ((pass as u32) << 9)));
        order
    });
    let progress = |i: usize| ((i as u64) << 32) / total as u64;
    order.enumerate().map(|(i, (slice, row))| Visit { slice, row, progress: progress(i) as u32 }).collect()
}

fn train(state: &mut dyn State, data: &[Data], steps: std::ops::RangeInclusive<u32>, passes: usize, lanes: usize) {
    for index in steps {
        let data = &data[..index as usize];
        let prefix: Vec<_> = data.iter().map(Data::rows).collect();
        let step = Step { index, of: 3, prefix: &prefix, visits: &visits(data, passes), crew: &Lanes(lanes) };
        state.step(&step).unwrap();
    }
}

fn slices(layout: &Layout) -> Vec<Data> {
    [(70, 1), (0, 2), (55, 3)].map(|(rows, seed)| Data::derived(layout, rows, seed)).into()
}

fn scores(state: &dyn State, data: &Data, width: usize, lanes: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; data.labels.len() * width];
    state.scores(&data.features(), &Team::of(lanes), &mut out);
    out
}

fn bits(xs: &[f32]) -> Vec<u32> {
    xs.iter().map(|x| x.to_bits()).collect()
}

/// States of every kind, trained on two of three slices.
fn trained(lanes: usize) -> Vec<(NetSettings, Layout, Box<dyn State>)> {
    let mut states = Vec::new();
    for settings in [settings(), adam(), NetSettings { hidden: vec![200], activation: Activation::Relu, ..settings() }] {
        for task in [Task::Classes(5), Task::Number] {
            // Wide enough that kernels do split their outputs.
            let layout = Layout { byte_scales: vec![1.0 / 255.0; 120], ..mixed(task) };
            let settings = descending(settings.clone(), |d| d.batch = 64);
            let mut state = net(&settings).init(&layout, [9; 32]);
            let data = slices(&layout);
            train(&mut *state, &data, 1..=1, 1, lanes);
            train(&mut *state, &data, 3..=3, 1, lanes);
            states.push((settings, layout, state));
        }
    }
    states
}

#[test]
fn any_number_of_lanes_gives_the_same_bytes() {
    let one = trained(1);
    for lanes in [2, 3] {
        for ((settings, layout, one), (_, _, other)) in one.iter().zip(trained(lanes)) {
            assert!(one.encode() == other.encode(), "{lanes} lanes: {settings:?}");
            let (data, width) = (Data::derived(layout, 300, 8), layout.task.outputs());
            assert_eq!(bits(&scores(&**one, &data, width, 1)), bits(&scores(&*other, &data, width, lanes)));
        }
    }
}

fn digest() -> String {
    let mut hasher = blake3::Hasher::new();
    for (_, _, state) in trained(1) {
        hasher.update(&state.encode());
    }
    hasher.finalize().to_string()
}

/// Prints what [`every_instruction_set_gives_the_same_bytes`] compares: the set is chosen once a process.
#[test]
#[ignore = "a part of another test, which runs it in processes of its own"]
fn digest_of_this_process() {
    println!("\ndigest {} {}", Isa::active().name(), digest());
}

#[test]
fn every_instruction_set_gives_the_same_bytes() {
    let here = digest();
    for set in Isa::available() {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "learn::net::tests::digest_of_this_process", "--ignored", "--nocapture"])
            .env(isa::VARIABLE, set.name())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(&format!("digest {} {here}", set.name())), "{}: {here}\n{text}", set.name());
    }
}

#[test]
fn a_decoded_state_has_the_same_bytes_scores_and_future() {
    for (settings, layout, mut state) in trained(1) {
        let bytes = state.encode();
        let mut again = net(&settings).decode(&layout, &bytes).unwrap();
        assert!(bytes == again.encode());
        assert_eq!(state.rows(), 125);
        assert_eq!(again.rows(), 125);
        let (data, width) = (slices(&layout), layout.task.outputs());
        assert_eq!(bits(&scores(&*state, &data[0], width, 1)), bits(&scores(&*again, &data[0], width, 1)));
        train(&mut *state, &data, 2..=2, 1, 1);
        train(&mut *again, &data, 2..=2, 1, 1);
        assert!(state.encode() == again.encode());
    }
}

#[test]
fn other_bytes_are_refused_or_are_another_state() {
    let layout = mixed(Task::Number);
    for settings in [settings(), NetSettings { hidden: vec![5], ..adam() }] {
        let learner = net(&settings);
        let mut state = learner.init(&layout, [1; 32]);
        train(&mut *state, &slices(&layout), 1..=1, 1, 1);
        let bytes = state.encode();
        let few = Data::derived(&layout, 3, 1);
        for length in 0..bytes.len() {
            assert!(learner.decode(&layout, &bytes[..length]).is_err());
        }
        assert!(learner.decode(&layout, &[&bytes[..], &[0]].concat()).is_err());
        for at in 0..bytes.len() {
            for flip in [1, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= flip;
                if let Ok(other) = learner.decode(&layout, &changed) {
                    assert!(other.encode() == changed, "byte {at} is read but not written");
                    scores(&*other, &few, 1, 1);
                }
            }
        }
        let mut noise = stream::stream([6; 32]);
        for _ in 0..500 {
            let mut changed = bytes.clone();
            rand_core::RngCore::fill_bytes(&mut noise, &mut changed);
            assert!(learner.decode(&layout, &changed).is_err());
        }
        // Lengths of vectors are right after the counters and the scaler.
        let mut endless = bytes.clone();
        endless[16..24].fill(0xff);
        assert!(learner.decode(&layout, &endless).is_err());
        let more = Layout { numbers: 4, ..layout.clone() };
        let error = learner.decode(&more, &bytes).unwrap_err();
        assert!(error.to_string().contains("bytes long"), "{error}");
    }
}

#[test]
fn parameters_that_are_not_finite_are_refused() {
    let layout = mixed(Task::Classes(2));
    let learner = net(&settings());
    let bytes = learner.init(&layout, [1; 32]).encode();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut changed = bytes.clone();
        let end = changed.len() - 12;
        changed[end..end + 4].copy_from_slice(&bad.to_le_bytes());
        let error = learner.decode(&layout, &changed).unwrap_err();
        assert!(error.to_string().contains("not finite"), "{error}");
    }
}

#[test]
fn initial_weights_are_the_stream_of_the_seed_within_their_bounds() {
    let layout = Layout { categories: vec![7, 9], ..layout(4, Task::Classes(3)) };
    for (activation, first) in [(Activation::Relu, 6.0 / 6.0), (Activation::Tanh, 6.0 / (6.0 + 10.0))] {
        let settings = NetSettings { hidden: vec![10], activation, ..settings() };
        let state = net(&settings).start(&layout, [4; 32]);
        let mut expected = vec![0.0; 20 * 10 + 10 + 10 * 3 + 3];
        let mut stream = stream::stream([4; 32]);
        let (a, b) = ((first as f32).sqrt(), (6.0f32 / 13.0).sqrt());
        stream::uniform(&mut stream, -a, a, &mut expected[..200]);
        stream::uniform(&mut stream, -b, b, &mut expected[210..240]);
        assert_eq!(bits(&state.parameters.current), bits(&expected));
        assert_eq!(bits(&state.parameters.average), bits(&expected));
    }
    let linear = net(&settings()).start(&layout, [4; 32]);
    assert_eq!(bits(&linear.parameters.current), vec![0; 20 * 3 + 3]);
    assert_eq!(linear.rows(), 0);
}

#[test]
fn one_step_of_linear_is_the_closed_form() {
    // Two rows that the scaler leaves at -1 and 1; weights 0, so p = 1/2 and the first gradient is -x/2 for class 1.
    let data = [Data::of_numbers(vec![-1.0, 1.0], 1, vec![0.0, 1.0])];
    let constant = descending(settings(), |d| (d.rate, d.decay, d.batch) = (0.5, Decay::Constant, 2));
    let mut state = net(&constant).start(&layout(1, Task::Classes(2)), [0; 32]);
    train(&mut state, &data, 1..=1, 1, 1);
    assert_eq!(*state.parameters.current, [-0.25, 0.25, 0.0, 0.0]);
    assert_eq!(*state.parameters.average, [-0.25, 0.25, 0.0, 0.0]);
    // Labels 10 and 30 are targets -1 and 1: the gradient is -1, the weight 0.5, the score of 1 is 20 + 0.5 * 10.
    let mut numbers = Data::of_numbers(vec![-1.0, 1.0], 1, vec![10.0, 30.0]);
    numbers.classes = None;
    let data = [numbers];
    let mut state = net(&constant).start(&layout(1, Task::Number), [0; 32]);
    train(&mut state, &data, 1..=1, 1, 1);
    assert_eq!(*state.parameters.current, [0.5, 0.0]);
    assert_eq!(state.scaler.target().gain, 0.1);
    assert_eq!(scores(&state, &data[0], 1, 1), [15.0, 25.0]);
}

#[test]
fn columns_of_one_kind_and_missing_numbers_train() {
    let none = layout(0, Task::Classes(2));
    for layout in [
        Layout { categories: vec![5, 2], ..none.clone() },
        Layout { byte_scales: vec![0.01; 7], ..none.clone() },
        Layout { numbers: 2, indicators: vec![0, 1], ..none.clone() },
        none,
    ] {
        for settings in [settings(), adam()] {
            let mut state = net(&settings).init(&layout, [2; 32]);
            let data = slices(&layout);
            train(&mut *state, &data, 1..=3, 2, 1);
            let all = scores(&*state, &data[2], 2, 1);
            assert!(all.chunks(2).all(|p| (p[0] + p[1] - 1.0).abs() <= f32::EPSILON), "probabilities");
        }
    }
}

#[test]
fn scores_do_not_depend_on_the_rows_beside() {
    let (_, layout, state) = trained(1).swap_remove(2);
    let data = Data::derived(&layout, 600, 8);
    let all = scores(&*state, &data, 5, 1);
    for row in [0, 255, 256, 599] {
        let features = Features {
            numbers: data.numbers.slice(ndarray::s![row..row + 1, ..]),
            bytes: data.bytes.slice(ndarray::s![row..row + 1, ..]),
            categories: data.categories.slice(ndarray::s![row..row + 1, ..]),
        };
        let mut one = [0.0; 5];
        state.scores(&features, &Team::solo(), &mut one);
        assert_eq!(bits(&one), bits(&all[row * 5..][..5]));
    }
}

#[test]
fn the_average_serves() {
    let layout = mixed(Task::Classes(3));
    let data = slices(&layout);
    let mut state = net(&descending(adam(), |d| d.average = 1.0)).start(&layout, [5; 32]);
    train(&mut state, &data, 1..=1, 2, 1);
    assert_ne!(state.parameters.current, state.parameters.average);
    let before = scores(&state, &data[0], 3, 1);
    state.parameters.current.fill(0.0);
    assert_eq!(bits(&scores(&state, &data[0], 3, 1)), bits(&before));
    state.parameters.average.fill(0.0);
    assert!(scores(&state, &data[0], 3, 1).iter().all(|p| *p == 1.0f32 / 3.0));
}

/// Gives up after the first batch.
#[derive(Debug)]
struct Impatient(AtomicUsize);

impl Crew for Impatient {
    fn team(&self) -> Team {
        Team::solo()
    }

    fn visited(&self, rows: usize) -> bool {
        self.0.fetch_add(rows, Ordering::Relaxed);
        false
    }
}

#[test]
fn divergence_and_interruption_are_errors() {
    let layout = mixed(Task::Number);
    let data = slices(&layout);
    let prefix = [data[0].rows()];
    let visits = visits(&data[..1], 40);
    let wild = descending(settings(), |d| (d.rate, d.decay) = (1e6, Decay::Constant));
    let step = Step { index: 1, of: 3, prefix: &prefix, visits: &visits, crew: &Lanes(1) };
    let error = net(&wild).init(&layout, [1; 32]).step(&step).unwrap_err();
    assert_eq!(error, StepError::Diverged { step: 1, what: "a weight".to_owned(), updates: 175 });
    let crew = Impatient(AtomicUsize::new(0));
    let step = Step { crew: &crew, ..step };
    let error = net(&settings()).init(&layout, [1; 32]).step(&step).unwrap_err();
    assert_eq!(error, StepError::Interrupted);
    assert_eq!(crew.0.into_inner(), 16);
}

#[test]
fn toy_problems_are_learnt() {
    // Class 1 where the two signs agree: no line separates it. The line problem is the first number's sign.
    let layout = layout(2, Task::Classes(2));
    let points = Data::derived(&layout, 400, 1).numbers;
    let sign = |x: f32, shift: f32| x > shift;
    for (settings, exclusive) in [
        (descending(settings(), |d| d.rate = 0.1), false),
        (descending(NetSettings { hidden: vec![16], ..settings() }, |d| d.rate = 0.1), true),
        (descending(NetSettings { activation: Activation::Relu, hidden: vec![16], ..adam() }, |d| d.rate = 0.02), true),
    ] {
        let labels: Vec<f32> =
            points.rows().into_iter().map(|x| (sign(x[0], 1.0) ^ (exclusive && sign(x[1], 2.0))) as u8 as f32).collect();
        let data = [Data::of_numbers(points.iter().copied().collect(), 2, labels)];
        let mut state = net(&settings).init(&layout, [1; 32]);
        train(&mut *state, &data, 1..=1, 60, 1);
        let scores = scores(&*state, &data[0], 2, 1);
        let right = scores.chunks(2).zip(&data[0].labels).filter(|(p, label)| sign(p[1], p[0]) == (**label == 1.0)).count();
        assert!(right > 380, "{right} of 400: {settings:?}");
    }
}
