//! What `boost` promises: the bytes of the page, whatever the order of visits, the threads and the instruction set; and nothing worse than an
//! error for bytes of no state.

use super::fixture::{Dice, Slice, boost, boost_on, cases, layout, scores, step, visits};
use super::loss::{Loss, VISITS_MAX};
use super::oracle::{self, Record};
use super::{BoostSettings, Growth};
use crate::learn::testing::Lanes;
use crate::learn::{Crew, Layout, Learner, LearnerSettings, Step, StepError, Task, Visit};
use crate::num::{Isa, Team};

#[test]
fn a_state_is_what_the_page_says() {
    for (i, (layout, settings)) in cases().into_iter().enumerate() {
        let mut dice = Dice(1000 * i as u64);
        for counts in [[0, 1, 0], [2, 7, 30], [150, 90, 260], [700, 10, 0]] {
            let slices: Vec<Vec<Record>> = counts.map(|count| dice.records(&layout, count)).into();
            let queries = dice.records(&layout, 100);
            let mut state = boost(&settings).init(&layout, [0; 32]);
            let mut oracle = oracle::Boost::of(&settings, &layout);
            assert_eq!(state.encode(), oracle.bytes());
            for r in 1..=3 {
                // All new rows, and some old ones, one of them twice.
                let mut visits = visits(&slices[..r], r - 1);
                for _ in 0..dice.below(40) {
                    let slice = dice.below(r);
                    if !slices[slice].is_empty() {
                        visits.push(Visit { slice: slice as u32, row: dice.below(slices[slice].len()) as u32, progress: 0 });
                    }
                }
                let visited: Vec<Record> = visits.iter().map(|v| slices[v.slice as usize][v.row as usize].clone()).collect();
                let rows = counts[..r].iter().sum::<usize>() as u64;
                step(&mut *state, &layout, &slices[..r], &visits, 3, 1 + dice.below(3));
                oracle.step(&visited, rows, (r as u64, 3));
                assert!(state.encode() == oracle.bytes(), "case {i}, {counts:?}, step {r}");
                assert_eq!(state.rows(), rows);
                let expected: Vec<u32> = queries.iter().flat_map(|q| oracle.scores(q)).map(f32::to_bits).collect();
                assert_eq!(scores(&*state, &layout, &queries, 2), expected, "case {i}, {counts:?}, step {r}");
                state = boost(&settings).decode(&layout, &state.encode()).unwrap();
            }
        }
    }
}

#[test]
fn order_threads_and_instruction_sets_change_no_byte() {
    let settings = BoostSettings { rounds: 3, ..BoostSettings::default() };
    for task in [Task::Classes(2), Task::Classes(3), Task::Number] {
        let layout = layout(3, 5, &[6, 90], task);
        let slices = vec![Dice(5).records(&layout, 14_000)];
        let mut visits = visits(&slices, 0);
        let mut known: Option<(Vec<u8>, Vec<u32>)> = None;
        for isa in Isa::available() {
            for lanes in [1, 2, 4] {
                let mut state = boost_on(&settings, isa).init(&layout, [0; 32]);
                step(&mut *state, &layout, &slices, &visits, 1, lanes);
                let now = (state.encode(), scores(&*state, &layout, &slices[0][..2000], lanes));
                assert!(*known.get_or_insert_with(|| now.clone()) == now, "{task:?} {isa:?} {lanes} lanes");
                visits.reverse();
                visits.rotate_left(4321);
            }
        }
    }
}

#[test]
fn what_can_be_learnt_is_learnt() {
    for (task, growth) in [(Task::Classes(2), Growth::Leaf), (Task::Classes(3), Growth::Leaf), (Task::Number, Growth::Depth)] {
        let layout = layout(2, 1, &[8], task);
        let settings = BoostSettings { rounds: 40, growth, depth: 6, ..BoostSettings::default() };
        let slices = vec![Dice(1).records(&layout, 3000)];
        let mut state = boost(&settings).init(&layout, [0; 32]);
        step(&mut *state, &layout, &slices, &visits(&slices, 0), 1, 1);
        let queries = Dice(2).records(&layout, 1000);
        let scores: Vec<f32> = scores(&*state, &layout, &queries, 1).into_iter().map(f32::from_bits).collect();
        let good = queries.iter().zip(scores.chunks(layout.task.outputs())).filter(|(query, scores)| match task {
            // A number is the sum of its parts, give or take 2.
            Task::Number => (query.label - scores[0]).abs() <= 3.0,
            Task::Classes(_) => scores.iter().all(|score| *score <= scores[query.label as usize]),
        });
        let good = good.count();
        assert!(good > 820, "{task:?}: {good} of 1000");
    }
}

#[test]
fn sums_of_the_most_visits_fit() {
    // n times the greatest magnitude, of every number of rows that has a width of its own.
    for bits in 1..=VISITS_MAX.ilog2() + 1 {
        let (n, width) = ((1u64 << bits) - 1, 31 - bits);
        assert!(n << width < 1 << 31 && width >= 7);
    }
    // The extremes themselves, of the most rows that a test has time for: all targets at one end, all scores at the other.
    let loss = Loss::Squared { low: 0.0, high: 1.0 };
    for n in [1, 2, 3, 255, 256, 65_535, 65_536] {
        let slopes = loss.slopes(0, &vec![i64::MAX / 4; n], &[], &vec![0; n]);
        let sum: i64 = slopes.pairs.iter().map(|pair| i64::from(pair.g())).sum();
        assert!(sum > 0 && sum < 1 << 31, "{n}");
        let shares = [vec![1u32 << 30; n]];
        let slopes = Loss::Logistic.slopes(0, &[], &shares, &vec![0; n]);
        let sum: i64 = slopes.pairs.iter().map(|pair| i64::from(pair.g())).sum();
        assert!(sum > 0 && sum < 1 << 31, "{n}");
        let slopes = Loss::Softmax(3).slopes(1, &[], &[vec![], vec![1u32 << 29; n], vec![]], &vec![1; n]);
        let sums = slopes.pairs.iter().fold((0i64, 0i64), |(g, h), pair| (g + i64::from(pair.g()), h + i64::from(pair.h())));
        assert!((-(1 << 31) + 1..0).contains(&sums.0) && (1..1 << 31).contains(&sums.1), "{n}: {sums:?}");
    }
}

#[test]
fn damaged_bytes_are_an_error_or_a_state() {
    for (i, (layout, settings)) in cases().into_iter().enumerate() {
        let mut dice = Dice(i as u64);
        let slices = vec![dice.records(&layout, 200)];
        let mut state = boost(&settings).init(&layout, [0; 32]);
        step(&mut *state, &layout, &slices, &visits(&slices, 0), 1, 1);
        let bytes = state.encode();
        assert!(boost(&settings).decode(&layout, &bytes).is_ok());
        for end in (0..bytes.len()).step_by(1 + bytes.len() / 300) {
            assert!(boost(&settings).decode(&layout, &bytes[..end]).is_err(), "case {i}, cut to {end}");
        }
        assert!(boost(&settings).decode(&layout, &[&bytes[..], &[0]].concat()).is_err());
        for _ in 0..2000 {
            let mut damaged = bytes.clone();
            let place = dice.below(damaged.len());
            damaged[place] ^= 1 << dice.below(8);
            if let Ok(state) = boost(&settings).decode(&layout, &damaged) {
                assert_eq!(state.encode(), damaged, "what is read is what is written");
                scores(&*state, &layout, &slices[0][..20], 1);
            }
        }
    }
}

#[test]
fn fewer_leaves_and_rounds_than_a_state_has_are_refused() {
    let (layout, settings) = cases().swap_remove(3);
    let mut state = boost(&settings).init(&layout, [0; 32]);
    let slices = vec![Dice(3).records(&layout, 300)];
    step(&mut *state, &layout, &slices, &visits(&slices, 0), 1, 1);
    for (small, what) in [
        (BoostSettings { leaves: 3, ..settings.clone() }, "more than 3 leaves"),
        (BoostSettings { rounds: 3, ..settings.clone() }, "4 trees"),
    ] {
        let error = boost(&small).decode(&layout, &state.encode()).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[derive(Debug)]
struct Impatient;

impl Crew for Impatient {
    fn team(&self) -> Team {
        Team::solo()
    }
    fn visited(&self, _rows: usize) -> bool {
        false
    }
}

#[test]
fn an_interruption_is_heard_and_all_visits_are_counted() {
    #[derive(Debug)]
    struct Counting(std::sync::atomic::AtomicUsize);
    impl Crew for Counting {
        fn team(&self) -> Team {
            Lanes(1).team()
        }
        fn visited(&self, rows: usize) -> bool {
            self.0.fetch_add(rows, std::sync::atomic::Ordering::Relaxed);
            true
        }
    }
    let (layout, settings) = cases().swap_remove(0);
    let records = Dice(9).records(&layout, 31);
    let slice = Slice::of(&layout, &records);
    let (prefix, visits) = ([slice.rows()], visits(&[records], 0));
    let step = Step { index: 1, of: 1, prefix: &prefix, visits: &visits, crew: &Impatient };
    assert_eq!(boost(&settings).init(&layout, [0; 32]).step(&step), Err(StepError::Interrupted));
    let crew = Counting(0.into());
    boost(&settings).init(&layout, [0; 32]).step(&Step { crew: &crew, ..step }).unwrap();
    assert_eq!(crew.0.into_inner(), 31);
}

#[test]
fn settings_and_layouts_that_do_not_fit_are_named() {
    type Change = fn(&mut BoostSettings);
    let cases: [(&str, Change); 9] = [
        ("rounds", |s| s.rounds = 0),
        ("leaves", |s| s.leaves = 1),
        ("leaves", |s| s.leaves = 1025),
        ("depth", |s| s.depth = 65),
        ("bins", |s| s.bins = 256),
        ("rate", |s| s.rate = 0.0),
        ("l2", |s| s.l2 = -1.0),
        ("min_weight", |s| s.min_weight = f32::NAN),
        ("min_rows", |s| s.min_rows = 0),
    ];
    for (setting, change) in cases {
        let mut settings = BoostSettings::default();
        change(&mut settings);
        assert_eq!(LearnerSettings::Boost(settings).check().unwrap_err().setting, setting);
    }
    let numbers = Layout { label_range: None, ..layout(1, 0, &[], Task::Number) };
    let error = boost(&BoostSettings::default()).accepts(&numbers).unwrap_err();
    assert!(error.to_string().contains("under [label] of sisa.toml"), "{error}");
    let json = serde_json::to_string(&LearnerSettings::Boost(BoostSettings::default())).unwrap();
    let expected = r#"{"kind":"boost","rounds":100,"rate":0.1,"leaves":31,"depth":0,"growth":"leaf","l2":0.1,"min_weight":0.001,"min_rows":20,"bins":255}"#;
    assert_eq!(json, expected);
    assert!(serde_json::from_str::<LearnerSettings>(&json.replace("leaves", "leafs")).is_err());
}

#[test]
fn states_have_their_golden_bytes() {
    let digests = [Task::Classes(2), Task::Classes(3), Task::Number].map(|task| {
        let layout = layout(3, 2, &[6, 90, 2], task);
        let settings = BoostSettings { rounds: 12, ..BoostSettings::default() };
        let mut state = boost(&settings).init(&layout, [0; 32]);
        let slices = vec![Dice(8).records(&layout, 900), Dice(9).records(&layout, 700)];
        step(&mut *state, &layout, &slices[..1], &visits(&slices[..1], 0), 2, 1);
        step(&mut *state, &layout, &slices, &visits(&slices, 0), 2, 1);
        blake3::hash(&state.encode()).to_hex()[..16].to_owned()
    });
    assert_eq!(digests, ["de75f674917d83ed", "c11df7bc983e48a5", "24649f40eaf458e0"]);
}
