//! What the learner promises: its state is a function of the set of its rows, whatever was added, taken out and merged on the way.

use ndarray::Array2;

use super::reference::{self, Row};
use super::{Ridge, RidgeMap, RidgeSettings};
use crate::learn::testing::Lanes;
use crate::learn::{
    Crew, Features, Labels, Layout, Learner, LearnerSettings, Range, Removal, Rows, State, Step, StepError, Task,
};
use crate::num::{Isa, Team, stream};

/// A crew that gives up.
#[derive(Debug)]
struct Tired;

impl Crew for Tired {
    fn team(&self) -> Team {
        Team::solo()
    }

    fn visited(&self, _rows: usize) -> bool {
        false
    }
}

/// A slice as arrays.
pub(super) struct Slice {
    numbers: Array2<f32>,
    bytes: Array2<u8>,
    categories: Array2<u32>,
    classes: Vec<u32>,
    labels: Vec<f32>,
    task: Task,
}

impl Slice {
    pub(super) fn of(layout: &Layout, rows: &[Row]) -> Slice {
        let n = rows.len();
        Slice {
            numbers: Array2::from_shape_fn((n, layout.numbers), |(i, j)| rows[i].numbers[j]),
            bytes: Array2::from_shape_fn((n, layout.byte_scales.len()), |(i, j)| rows[i].bytes[j]),
            categories: Array2::from_shape_fn((n, layout.categories.len()), |(i, j)| rows[i].categories[j]),
            classes: rows.iter().map(|row| row.label as u32).collect(),
            labels: rows.iter().map(|row| row.label as f32).collect(),
            task: layout.task,
        }
    }

    pub(super) fn rows(&self) -> Rows<'_> {
        let features = Features { numbers: self.numbers.view(), bytes: self.bytes.view(), categories: self.categories.view() };
        let labels = if self.task == Task::Number { Labels::Numbers(&self.labels) } else { Labels::Classes(&self.classes) };
        Rows { features, labels }
    }
}

/// Columns of every kind; numbers go beyond their ranges and may be missing.
fn mixed(task: Task) -> Layout {
    Layout {
        numbers: 3,
        ranges: vec![Some(Range([-2.0, 3.0])), Some(Range([0.0, 1.0])), Some(Range([-1e3, 1e-3]))],
        indicators: vec![1],
        byte_scales: vec![1.0 / 255.0, 0.1, 1.0 / 255.0],
        categories: vec![4, 1000, 1],
        task,
        label_range: (task == Task::Number).then_some(Range([10.0, 40.0])),
    }
}

/// An image of 12 x 8 pixels, a number and a category.
fn picture() -> Layout {
    Layout {
        numbers: 1,
        ranges: vec![Some(Range([0.0, 1.0]))],
        indicators: vec![],
        byte_scales: vec![1.0 / 255.0; 96],
        categories: vec![3],
        task: Task::Classes(3),
        label_range: None,
    }
}

pub(super) fn rows(layout: &Layout, count: usize, seed: u8) -> Vec<Row> {
    let mut stream = stream::stream([seed; 32]);
    let mut draw = |below: u32| stream.word() % below;
    let row = |_| Row {
        numbers: (0..layout.numbers).map(|_| if draw(7) == 0 { f32::NAN } else { draw(600) as f32 / 100.0 - 3.0 }).collect(),
        bytes: layout.byte_scales.iter().map(|_| if draw(3) == 0 { 0 } else { draw(256) as u8 }).collect(),
        categories: layout.categories.iter().map(|&size| draw(size)).collect(),
        label: match layout.task {
            Task::Classes(n) => f64::from(draw(n)),
            Task::Number => f64::from(draw(50)),
        },
    };
    (0..count).map(row).collect()
}

fn settings(map: RidgeMap) -> RidgeSettings {
    RidgeSettings { map, strength: 0.01, bins: 4 }
}

/// Every map with a layout for it.
pub(super) fn cases() -> Vec<(RidgeSettings, Layout)> {
    let (relu, cosine) = (RidgeMap::Relu { dimension: 21 }, RidgeMap::Cosine { dimension: 18 });
    vec![
        (settings(RidgeMap::Bins), mixed(Task::Classes(3))),
        (settings(relu), mixed(Task::Classes(18))),
        (settings(cosine), mixed(Task::Classes(2))),
        (settings(relu), mixed(Task::Number)),
        (settings(RidgeMap::Image { width: 12, height: 8, dimension: 40 }), picture()),
    ]
}

pub(super) fn learner(settings: &RidgeSettings, isa: Isa) -> Ridge {
    Ridge { isa, ..Ridge::of_checked(settings.clone()) }
}

pub(super) const SEED: [u8; 32] = [9; 32];

fn train(state: &mut dyn State, slices: &[&[Row]], layout: &Layout, lanes: usize) {
    let slices: Vec<Slice> = slices.iter().map(|rows| Slice::of(layout, rows)).collect();
    let prefix: Vec<Rows<'_>> = slices.iter().map(Slice::rows).collect();
    for index in 1..=prefix.len() {
        let step = Step { index: index as u32, of: 9, prefix: &prefix[..index], visits: &[], crew: &Lanes(lanes) };
        state.step(&step).unwrap();
    }
}

fn trained(settings: &RidgeSettings, layout: &Layout, slices: &[&[Row]]) -> Box<dyn State> {
    let mut state = learner(settings, Isa::active()).init(layout, SEED);
    train(&mut *state, slices, layout, 1);
    state
}

fn scores(state: &dyn State, layout: &Layout, rows: &[Row], lanes: usize) -> Vec<f32> {
    let slice = Slice::of(layout, rows);
    let mut out = vec![f32::NAN; rows.len() * layout.task.outputs()];
    state.scores(&slice.rows().features, &Team::of(lanes), &mut out);
    out
}

fn bits(xs: &[f32]) -> Vec<u32> {
    xs.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn states_and_scores_are_those_of_the_reference_on_every_set_and_team() {
    for (settings, layout) in cases() {
        let (seen, asked) = (rows(&layout, 90, 1), rows(&layout, 35, 2));
        let state = reference::state(&settings, &layout, SEED, &seen);
        let expected = reference::scores(&settings, &layout, SEED, &state, &asked);
        for isa in Isa::available() {
            for lanes in [1, 2, 3] {
                let mut got = learner(&settings, isa).init(&layout, SEED);
                train(&mut *got, &[&seen[..40], &[], &seen[40..]], &layout, lanes);
                assert!(got.encode() == state, "{settings:?} {isa:?} {lanes} lanes");
                // Once with weights that are solved when they are wanted, once prepared.
                assert_eq!(bits(&scores(&*got, &layout, &asked, lanes)), bits(&expected), "{settings:?} {isa:?}");
                let mut back = learner(&settings, isa).decode(&layout, &state).unwrap();
                assert!(back.encode() == state);
                back.prepare(Team::of(lanes));
                assert_eq!(bits(&scores(&*back, &layout, &asked, lanes)), bits(&expected), "{settings:?} {isa:?}");
            }
        }
    }
}

#[test]
fn rows_that_went_leave_the_state_of_those_that_stayed() {
    for (settings, layout) in cases() {
        let (a, b) = (rows(&layout, 50, 1), rows(&layout, 31, 2));
        let mut state = trained(&settings, &layout, &[&a, &b]);
        let slices = [Slice::of(&layout, &a), Slice::of(&layout, &b)];
        let before = slices.each_ref().map(Slice::rows);
        state.prepare(Team::solo());
        let gone = [vec![0, 7, 49], vec![30]];
        state.downdate(&Removal { before: &before, gone: &gone, team: Team::of(2) }).unwrap();
        let stay = |rows: &[Row], gone: &[u32]| -> Vec<Row> {
            let kept = rows.iter().zip(0..).filter(|(_, i)| !gone.contains(i));
            kept.map(|(row, _)| row.clone()).collect()
        };
        let (a, b) = (stay(&a, &gone[0]), stay(&b, &gone[1]));
        // The rest, in another order and other slices.
        let rest: Vec<Row> = b.iter().chain(a.iter().rev()).cloned().collect();
        let expected = trained(&settings, &layout, &[&rest[..3], &rest[3..]]);
        assert!(state.encode() == expected.encode(), "{settings:?}");
        assert_eq!(state.rows(), 77);
        let asked = rows(&layout, 20, 3);
        assert_eq!(bits(&scores(&*state, &layout, &asked, 2)), bits(&scores(&*expected, &layout, &asked, 1)));
        // All of the rest: nothing is left.
        let slices = [Slice::of(&layout, &rest)];
        let all = (0..rest.len() as u32).collect();
        state.downdate(&Removal { before: &[slices[0].rows()], gone: &[all], team: Team::solo() }).unwrap();
        assert!(state.encode() == trained(&settings, &layout, &[]).encode());
    }
}

#[test]
fn what_stays_is_summed_again_where_that_is_fewer_rows_than_what_goes() {
    let (settings, layout) = (settings(RidgeMap::Relu { dimension: 5 }), mixed(Task::Classes(3)));
    let some = rows(&layout, 400, 9);
    for going in [1, 199, 200, 201, 399, 400_u32] {
        let slices = [Slice::of(&layout, &some[..300]), Slice::of(&layout, &some[300..])];
        let before = slices.each_ref().map(Slice::rows);
        // From the end of the first slice on, then the rest.
        let goes = |row: u32| (row + 100) % 400 < going;
        let gone: [Vec<u32>; 2] = [(0..300).filter(|row| goes(*row)).collect(), (0..100).filter(|row| goes(row + 300)).collect()];
        let mut state = trained(&settings, &layout, &[&some[..300], &some[300..]]);
        state.downdate(&Removal { before: &before, gone: &gone, team: Team::of(2) }).unwrap();
        let stay: Vec<Row> = some.iter().zip(0..).filter(|(_, row)| !goes(*row)).map(|(row, _)| row.clone()).collect();
        assert!(state.encode() == trained(&settings, &layout, &[&stay]).encode(), "{going} of 400");
        assert_eq!(super::sums_again(400, going.into()), going > 200, "{going} of 400");
    }
}

#[test]
fn merged_states_are_one_state_of_all_rows() {
    for (settings, layout) in cases() {
        let (a, b) = (rows(&layout, 50, 1), rows(&layout, 31, 2));
        let mut merged = trained(&settings, &layout, &[&a]);
        merged.prepare(Team::solo());
        merged.merge(&*trained(&settings, &layout, &[&b])).unwrap();
        let whole = trained(&settings, &layout, &[&a, &b]);
        assert!(merged.encode() == whole.encode());
        assert_eq!(bits(&scores(&*merged, &layout, &a, 2)), bits(&scores(&*whole, &layout, &a, 1)));
        let other = learner(&settings, Isa::active()).init(&layout, [1; 32]);
        assert!(merged.merge(&*other).unwrap_err().to_string().contains("seed"));
    }
    let [(first, layout), (second, _), ..] = &cases()[..] else { panic!("two maps") };
    let other = learner(second, Isa::active()).init(layout, SEED);
    let error = trained(first, layout, &[]).merge(&*other).unwrap_err();
    assert!(error.to_string().contains("features"), "{error}");
}

#[test]
fn removals_that_do_not_fit_are_refused() {
    let (settings, layout) = &cases()[0];
    let (a, b) = (rows(layout, 5, 1), rows(layout, 9, 2));
    let slices = [Slice::of(layout, &a), Slice::of(layout, &b)];
    let both = slices.each_ref().map(Slice::rows);
    let refused = |before: &[Rows<'_>], gone: &[Vec<u32>]| {
        let mut state = trained(settings, layout, &[&a]);
        state.downdate(&Removal { before, gone, team: Team::solo() }).unwrap_err().to_string()
    };
    assert!(refused(&both, &[vec![0]]).contains("1 slices"));
    assert!(refused(&both[..1], &[vec![5]]).contains("slice 1"));
    assert!(refused(&both[..1], &[vec![2, 1]]).contains("ascending"));
    assert!(refused(&both[..1], &[vec![2, 2]]).contains("ascending"));
    assert!(refused(&both[1..], &[(0..9).collect()]).contains("9 rows"));
    assert!(refused(&both[1..], &[(0..5).collect()]).contains("does not hold"));
}

#[test]
fn damaged_states_are_refused_or_are_states() {
    let (settings, layout) =
        (settings(RidgeMap::Relu { dimension: 2 }), Layout { categories: vec![2], ..mixed(Task::Classes(2)) });
    let (learner, some) = (learner(&settings, Isa::active()), rows(&layout, 6, 1));
    let bytes = trained(&settings, &layout, &[&some]).encode();
    for length in 0..bytes.len() {
        assert!(learner.decode(&layout, &bytes[..length]).is_err(), "{length} bytes");
    }
    assert!(learner.decode(&layout, &[&bytes[..], &[0]].concat()).is_err());
    let (mut refused, mut taken) = (0, 0);
    for at in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            match learner.decode(&layout, &changed) {
                Err(_) => refused += 1,
                Ok(state) => {
                    taken += 1;
                    assert!(state.encode() == changed);
                    let scores = scores(&*state, &layout, &some[..1], 1);
                    assert!(scores.iter().all(|p| (0.0..=1.0).contains(p)), "byte {at}: {scores:?}");
                }
            }
        }
    }
    assert!(refused > taken, "{refused} refused, {taken} taken");
    // More rows than the sums have room for.
    let mut many = bytes.clone();
    many[32..40].copy_from_slice(&((1u64 << 39) + 1).to_le_bytes());
    assert!(learner.decode(&layout, &many).unwrap_err().to_string().contains("at most"));
}

#[test]
fn states_that_together_have_too_many_rows_do_not_merge() {
    let (settings, layout) =
        (settings(RidgeMap::Bins), Layout { numbers: 0, ranges: vec![], byte_scales: vec![], categories: vec![], ..picture() });
    let rows = 1u64 << 39;
    let biases = [127 * 127 * rows, 127 * rows, 0, 0];
    let bytes: Vec<u8> =
        [&SEED[..], &rows.to_le_bytes()].concat().into_iter().chain(biases.into_iter().flat_map(u64::to_le_bytes)).collect();
    let learner = learner(&settings, Isa::active());
    let mut state = learner.decode(&layout, &bytes).unwrap();
    let other = learner.decode(&layout, &bytes).unwrap();
    assert!(state.merge(&*other).unwrap_err().to_string().contains("at most"));
    let slice = Slice::of(&layout, &[Row { numbers: vec![], bytes: vec![], categories: vec![], label: 0.0 }]);
    let error = state.step(&Step { index: 1, of: 1, prefix: &[slice.rows()], visits: &[], crew: &Lanes(1) }).unwrap_err();
    assert!(error.to_string().contains("at most"), "{error}");
}

#[test]
fn an_interrupted_step_says_so() {
    let (settings, layout) = &cases()[0];
    let slice = Slice::of(layout, &rows(layout, 5, 1));
    let mut state = trained(settings, layout, &[]);
    let step = Step { index: 1, of: 1, prefix: &[slice.rows()], visits: &[], crew: &Tired };
    assert_eq!(state.step(&step), Err(StepError::Interrupted));
}

#[test]
fn layouts_that_lack_a_declaration_are_refused_by_name() {
    let refused =
        |settings: &RidgeSettings, layout: &Layout| learner(settings, Isa::active()).accepts(layout).unwrap_err().to_string();
    let (bins, layout) = (settings(RidgeMap::Bins), mixed(Task::Number));
    assert!(learner(&bins, Isa::active()).accepts(&layout).is_ok());
    let ranges = vec![layout.ranges[0], None, layout.ranges[2]];
    let error = refused(&bins, &Layout { ranges, ..layout.clone() });
    assert!(error.contains("number column 2 of 3") && error.contains("range = [low, high]"), "{error}");
    let error = refused(&bins, &Layout { label_range: None, ..layout.clone() });
    assert!(error.contains("under [label]"), "{error}");
    let error = refused(&settings(RidgeMap::Image { width: 8, height: 8, dimension: 4 }), &layout);
    assert!(error.contains("8 x 8") && error.contains("3 byte columns"), "{error}");
    let error = refused(&settings(RidgeMap::Relu { dimension: 16_383 }), &layout);
    assert!(error.contains("at most 16384"), "{error}");
    let error = refused(&settings(RidgeMap::Relu { dimension: 16_000 }), &mixed(Task::Classes(1 << 20)));
    assert!(error.contains("fewer classes"), "{error}");
    let wide = Layout { numbers: 1 << 30, ranges: vec![Some(Range([0.0, 1.0])); 1 << 12], ..layout };
    assert!(refused(&bins, &wide).contains("not declared for number column 4097"));
}

#[test]
fn settings_are_written_as_they_are_read() {
    for (map, text) in [
        (RidgeMap::Bins, r#"{"kind":"bins"}"#),
        (RidgeMap::Cosine { dimension: 7 }, r#"{"kind":"cosine","dimension":7}"#),
        (RidgeMap::Image { width: 28, height: 12, dimension: 7 }, r#"{"kind":"image","width":28,"height":12,"dimension":7}"#),
    ] {
        let settings = LearnerSettings::Ridge(settings(map));
        let json = serde_json::to_string(&settings).unwrap();
        assert_eq!(json, format!(r#"{{"kind":"ridge","map":{text},"strength":0.01,"bins":4}}"#));
        assert_eq!(serde_json::from_str::<LearnerSettings>(&json).unwrap(), settings);
        assert!(serde_json::from_str::<LearnerSettings>(&json.replace("bins\":4", "bins\":4,\"rate\":1")).is_err());
    }
    let without_bins = r#"{"kind":"ridge","map":{"kind":"relu","dimension":1024},"strength":0.003}"#;
    let mut read: LearnerSettings = serde_json::from_str(without_bins).unwrap();
    assert_eq!(read, LearnerSettings::Ridge(RidgeSettings::default()));
    assert_eq!(read.of_kind("ridge").unwrap(), read);
    let linear = read.of_kind("linear").unwrap();
    assert_eq!(linear.of_kind("ridge").unwrap(), read);
    assert_eq!(read.set_rate(0.1).unwrap_err().setting, "rate");
    let learner = read.check().unwrap();
    assert!(learner.abilities().downdate && learner.abilities().merge);
}

#[test]
fn wrong_settings_are_named() {
    let allowed = RidgeSettings::default();
    assert_eq!(allowed.check(), Ok(()));
    for (setting, wrong) in [
        ("map.dimension", RidgeSettings { map: RidgeMap::Relu { dimension: 0 }, ..allowed.clone() }),
        ("map.dimension", RidgeSettings { map: RidgeMap::Cosine { dimension: 16_384 }, ..allowed.clone() }),
        ("map.width", RidgeSettings { map: RidgeMap::Image { width: 30, height: 28, dimension: 9 }, ..allowed.clone() }),
        ("map.height", RidgeSettings { map: RidgeMap::Image { width: 28, height: 4, dimension: 9 }, ..allowed.clone() }),
        ("strength", RidgeSettings { strength: 0.0, ..allowed.clone() }),
        ("strength", RidgeSettings { strength: f32::NAN, ..allowed.clone() }),
        ("bins", RidgeSettings { bins: 0, ..allowed.clone() }),
        ("bins", RidgeSettings { bins: 128, ..allowed.clone() }),
    ] {
        assert_eq!(wrong.check().unwrap_err().setting, setting);
    }
}

#[test]
fn probabilities_add_up_and_follow_the_classes() {
    let (settings, layout) = (settings(RidgeMap::Bins), mixed(Task::Classes(3)));
    // The first number tells the class.
    let mut seen = rows(&layout, 300, 4);
    for row in &mut seen {
        row.numbers[0] = (row.label - 0.5) as f32;
    }
    let state = trained(&settings, &layout, &[&seen]);
    for (p, row) in scores(&*state, &layout, &seen, 2).chunks(3).zip(&seen) {
        assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-6, "rounding: {p:?}");
        assert!(p.iter().all(|&other| other <= p[row.label as usize]), "{p:?} {row:?}");
    }
    // No rows: nothing speaks for any class.
    assert_eq!(scores(&*trained(&settings, &layout, &[]), &layout, &seen[..1], 1), [1.0 / 3.0; 3]);
}

/// The bits of states and scores; whoever changes them makes a new numerics version.
#[test]
fn golden() {
    let digest = |(settings, layout): (RidgeSettings, Layout)| {
        let (seen, asked) = (rows(&layout, 200, 1), rows(&layout, 50, 2));
        let state = trained(&settings, &layout, &[&seen]);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&state.encode());
        for score in scores(&*state, &layout, &asked, 1) {
            hasher.update(&score.to_bits().to_le_bytes());
        }
        hasher.finalize().to_hex()[..16].to_owned()
    };
    let got: Vec<String> = cases().into_iter().map(digest).collect();
    assert_eq!(got, GOLDEN);
}

const GOLDEN: [&str; 5] = ["eb5224e0cd494474", "114606bc9ccd8440", "16bbeb33485c5487", "c5b3212108657434", "1ebaa84865560cff"];
