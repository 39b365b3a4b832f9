//! What a forest promises: the bytes of its rows' set, however they came and went; and nothing worse than an error for bytes of no state.

use ndarray::ArrayView2;

use super::ForestSettings;
use super::fixture::{Dice, SEED, Slice, cases, forest, layout, remove, scratch, some, step, without};
use super::oracle::{self, Record};
use super::outcome::{Classes, Outcome};
use super::table::{self, Table};
use super::tree::Tree;
use super::work::{self, Work};
use crate::learn::testing::Lanes;
use crate::learn::{Crew, Features, Labels, Layout, Learner, Range, Removal, Rows, Step, StepError, Task};
use crate::num::Team;

#[test]
fn a_forest_is_what_the_rules_say() {
    for (i, (layout, settings)) in cases().into_iter().enumerate() {
        let mut dice = Dice(1000 * i as u64);
        for count in [0, 1, 2, 7, 150] {
            let records = dice.records(&layout, count);
            let queries = dice.records(&layout, 300);
            let oracle = oracle::Forest::of(&settings, &layout, SEED, &records);
            let state = scratch(&settings, &layout, &[records], 1);
            assert_eq!(state.encode(), oracle.bytes(), "case {i}, {count} rows");
            let mut scores = vec![f32::NAN; queries.len() * layout.task.outputs()];
            let asked = Slice::of(&layout, &queries);
            state.scores(&asked.rows().features, &Team::of(2), &mut scores);
            let expected: Vec<u32> = queries.iter().flat_map(|r| oracle.scores(r)).map(f32::to_bits).collect();
            assert_eq!(scores.iter().map(|s| s.to_bits()).collect::<Vec<_>>(), expected, "case {i}, {count} rows");
            let scorer = forest(&settings).scorer(&layout, &state.encode()).unwrap();
            scores.fill(f32::NAN);
            scorer.scores(&asked.rows().features, &Team::of(2), &mut scores);
            assert_eq!(scores.iter().map(|s| s.to_bits()).collect::<Vec<_>>(), expected, "case {i}, {count} rows, answers alone");
            assert_eq!(scorer.rows(), count as u64);
        }
    }
}

#[test]
fn a_state_is_a_function_of_what_remains() {
    for (i, (layout, settings)) in cases().into_iter().enumerate() {
        for seed in 0..4 {
            let mut dice = Dice(77_000 + 100 * i as u64 + seed);
            let mut slices: Vec<Vec<Record>> = [60, 0, 90, 50].map(|count| dice.records(&layout, count)).into();
            let mut state = scratch(&settings, &layout, &slices, 1);
            let mut left: usize = 200;
            // One by one, then some, then half, then all; some of the time through bytes.
            for batch in [1, 1, 1, 3, 20, 1, 1, 60, 1, 1, 1, 50, 1, 1, 1, 200] {
                if dice.below(3) == 0 {
                    state = forest(&settings).decode(&layout, &state.encode()).unwrap();
                }
                let gone = some(&mut dice, &slices, batch);
                let rest = without(&settings, &layout, &state.encode(), &slices, &gone, 1 + batch % 3);
                remove(&mut *state, &layout, &mut slices, &gone, 1 + dice.below(3));
                left = left.saturating_sub(batch);
                let whole = slices.concat();
                assert_eq!((state.rows(), whole.len()), (left as u64, left));
                let oracle = oracle::Forest::of(&settings, &layout, SEED, &whole).bytes();
                assert_eq!(state.encode(), oracle, "case {i}, seed {seed}, {left} rows left");
                assert_eq!(rest, oracle, "case {i}, seed {seed}, {left} rows left, from bytes");
                assert_eq!(scratch(&settings, &layout, &slices, 2).encode(), oracle);
            }
            assert_eq!(state.encode(), forest(&settings).init(&layout, SEED).encode(), "the state of no rows is the initial one");
        }
    }
}

#[test]
fn many_rows_one_by_one() {
    let layout = layout(3, 1, &[6, 40], Task::Classes(2));
    let settings = ForestSettings { trees: 5, depth: 12, attributes: 4, cuts: 6, min_split: 4, counts: true };
    let mut dice = Dice(5);
    let mut slices = vec![dice.records(&layout, 1500), dice.records(&layout, 500)];
    let mut state = scratch(&settings, &layout, &slices, 2);
    let mut bytes = state.encode();
    for i in 0..1000 {
        let gone = some(&mut dice, &slices, 1);
        if i % 3 == 0 {
            bytes = without(&settings, &layout, &state.encode(), &slices, &gone, 2);
        }
        remove(&mut *state, &layout, &mut slices, &gone, 1);
        assert!(i % 3 != 0 || state.encode() == bytes, "row {i}");
        if i % 100 == 99 {
            assert_eq!(state.encode(), scratch(&settings, &layout, &slices, 1).encode(), "after {i}");
        }
    }
}

#[test]
fn steps_and_threads_change_no_byte() {
    for (layout, settings) in cases() {
        let mut dice = Dice(31);
        let slices: Vec<Vec<Record>> = [40, 70, 90].map(|count| dice.records(&layout, count)).into();
        let mut state = forest(&settings).init(&layout, SEED);
        for r in 1..=3 {
            step(&mut *state, &layout, &slices[..r], r);
            state = forest(&settings).decode(&layout, &state.encode()).unwrap();
            assert_eq!(state.encode(), scratch(&settings, &layout, &[slices[..r].concat()], 1).encode());
        }
    }
}

#[test]
fn scores_are_the_same_rows_at_a_time_and_after_a_deletion() {
    let (layout, settings) = cases().remove(0);
    let mut dice = Dice(8);
    let mut slices = vec![dice.records(&layout, 120)];
    let queries = Slice::of(&layout, &dice.records(&layout, 1300));
    let features = queries.rows().features;
    let mut state = scratch(&settings, &layout, &slices, 1);
    for _ in 0..2 {
        state.prepare(Team::solo());
        let (mut all, mut each) = (vec![0.0; 2600], vec![0.0; 2600]);
        state.scores(&features, &Team::of(3), &mut all);
        for row in 0..1300 {
            state.scores(&features.slice(row..row + 1), &Team::solo(), &mut each[2 * row..][..2]);
        }
        assert_eq!(all, each);
        let mut again = vec![0.0; 2600];
        scratch(&settings, &layout, &slices, 1).scores(&features, &Team::solo(), &mut again);
        assert_eq!(all, again);
        let gone = some(&mut dice, &slices, 30);
        remove(&mut *state, &layout, &mut slices, &gone, 1);
    }
}

#[test]
fn damaged_bytes_are_an_error_or_a_state() {
    for (layout, settings) in cases() {
        let settings = ForestSettings { trees: 2, ..settings };
        let slices = vec![Dice(3).records(&layout, 24)];
        let forest = forest(&settings);
        let bytes = scratch(&settings, &layout, &slices, 1).encode();
        let queries = Slice::of(&layout, &slices[0]);
        let rows = [queries.rows()];
        let try_it = |bytes: &[u8]| {
            if let Ok(scorer) = forest.scorer(&layout, bytes) {
                let mut scores = vec![0.0; 24 * layout.task.outputs()];
                scorer.scores(&rows[0].features, &Team::solo(), &mut scores);
                assert!(scores.iter().all(|score| score.is_finite()));
            }
            let Ok(mut state) = forest.decode(&layout, bytes) else { return false };
            assert_eq!(state.encode(), bytes, "one state, one string of bytes");
            let mut scores = vec![0.0; 24 * layout.task.outputs()];
            state.scores(&rows[0].features, &Team::solo(), &mut scores);
            assert!(scores.iter().all(|score| score.is_finite()));
            for row in 0..24.min(state.rows() as u32) {
                // The row may no longer be what it was: then it is an error.
                let _ = state.downdate(&Removal { before: &rows, gone: &[vec![row]], team: Team::solo() });
            }
            true
        };
        assert!(try_it(&bytes));
        for cut in 0..bytes.len() {
            assert!(!try_it(&bytes[..cut]), "cut at {cut}");
        }
        assert!(!try_it(&[&bytes[..], &[0]].concat()));
        for i in 0..bytes.len() {
            for flip in [1, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[i] ^= flip;
                try_it(&damaged);
            }
        }
    }
}

#[test]
fn a_removal_that_does_not_fit_is_refused() {
    let (layout, settings) = cases().remove(0);
    let mut dice = Dice(4);
    let records = dice.records(&layout, 30);
    let other = Slice::of(&layout, &dice.records(&layout, 30));
    let (whole, part) = (Slice::of(&layout, &records), Slice::of(&layout, &records[1..]));
    for (slice, gone, says) in [
        (&whole, vec![vec![30]], "no row 30"),
        (&whole, vec![vec![4, 4]], "ascending"),
        (&whole, vec![vec![5, 4]], "ascending"),
        (&whole, vec![vec![1], vec![]], "30 rows"),
        (&part, vec![vec![1]], "29 rows"),
        (&other, vec![vec![0, 1, 2, 3]], "not what the state was trained on"),
    ] {
        let mut state = scratch(&settings, &layout, std::slice::from_ref(&records), 1);
        let error = state.downdate(&Removal { before: &[slice.rows()], gone: &gone, team: Team::solo() }).unwrap_err();
        assert!(error.0.contains(says), "{error}");
    }
}

#[test]
fn too_many_rows_are_an_error() {
    let layout = layout(0, 0, &[], Task::Classes(2));
    for (trees, most) in [(20, 1 << 24), (1000, 2_147_483)] {
        let mut state = forest(&ForestSettings { trees, ..ForestSettings::default() }).init(&layout, SEED);
        // Rows without columns take no room.
        let shape = (most as usize + 1, 0);
        let features = Features {
            numbers: ArrayView2::from_shape(shape, &[]).unwrap(),
            bytes: ArrayView2::from_shape(shape, &[]).unwrap(),
            categories: ArrayView2::from_shape(shape, &[]).unwrap(),
        };
        let prefix = [Rows { features, labels: Labels::Classes(&[]) }];
        let error = state.step(&Step { index: 1, of: 1, prefix: &prefix, visits: &[], crew: &Lanes(1) }).unwrap_err();
        assert_eq!(error, StepError::Full { step: 1, rows: most + 1, most });
    }
}

#[test]
fn an_interruption_is_heard() {
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
    let (layout, settings) = cases().remove(0);
    let slice = Slice::of(&layout, &Dice(1).records(&layout, 10));
    let mut state = forest(&settings).init(&layout, SEED);
    let error = state.step(&Step { index: 1, of: 1, prefix: &[slice.rows()], visits: &[], crew: &Impatient }).unwrap_err();
    assert_eq!(error, StepError::Interrupted);
}

#[test]
fn missing_declarations_are_named() {
    let good = layout(2, 1, &[3], Task::Number);
    let forest = forest(&ForestSettings::default());
    assert!(forest.accepts(&good).is_ok());
    assert!(forest.abilities().downdate && !forest.abilities().merge);
    let refused = |layout: &Layout| forest.accepts(layout).unwrap_err().to_string();
    for range in [None, Some(Range([1.0, 1.0])), Some(Range([2.0, 1.0])), Some(Range([0.0, f32::INFINITY]))] {
        let error = refused(&Layout { ranges: vec![good.ranges[0], range], ..good.clone() });
        assert!(error.contains("number column 2 of 2") && error.contains("[columns]"), "{error}");
        let error = refused(&Layout { label_range: range, ..good.clone() });
        assert!(error.contains("[label]"), "{error}");
    }
    assert!(forest.accepts(&Layout { label_range: None, task: Task::Classes(2), ..good }).is_ok());
}

/// A digest that changes is a new numerics version: never edit one to make a test pass.
#[test]
fn the_bytes_are_golden() {
    let digest = |cases: Vec<(Layout, ForestSettings)>| {
        let mut hasher = blake3::Hasher::new();
        for (layout, settings) in cases {
            let records = Dice(2).records(&layout, 200);
            let state = scratch(&settings, &layout, std::slice::from_ref(&records), 2);
            hasher.update(&state.encode());
            let mut scores = vec![0.0; 200 * layout.task.outputs()];
            state.scores(&Slice::of(&layout, &records).rows().features, &Team::solo(), &mut scores);
            scores.iter().for_each(|score| {
                hasher.update(&score.to_bits().to_le_bytes());
            });
        }
        hasher.finalize().to_hex()[..16].to_owned()
    };
    // Those that only counts are kept of came later.
    let mut without = cases();
    without.drain(3..5);
    without.iter_mut().for_each(|(_, settings)| settings.counts = false);
    assert_eq!(digest(without), "edda7e7bac524218");
    assert_eq!(digest(cases()), "1364abb61e4d6e48");
}

/// The counted work of taking some of these rows out of a tree, and of building it again of the others.
fn ways<O: Outcome>(outcome: O, layout: &Layout, settings: &ForestSettings, records: &[Record], gone: &[u32]) -> (u64, u64) {
    let rules = forest(settings).rules(layout, outcome);
    let slice = Slice::of(layout, records);
    let mut table = Table::of_slices(layout, &rules.attributes, &[slice.rows()]);
    let mut tree = Tree::of_key(77);
    tree.build(&mut Work::new(&rules, &table));
    let outline = tree.outline(outcome, &table, rules.counts);
    gone.iter().for_each(|slot| table.take(*slot));
    let mut work = Work::new(&rules, &table);
    let rest = outline.without(&mut work, 77, gone).unwrap();
    let out = work.counter.work;
    let mut work = Work::new(&rules, &table);
    tree.build(&mut work);
    let built = tree.outline(outcome, &table, rules.counts);
    assert!(rest.names == built.names && rest.lanes == built.lanes, "both ways give one tree");
    (out, work.counter.work)
}

#[test]
fn rows_are_taken_out_or_trees_built_again_whichever_is_less_counted_work() {
    for parts in [1000, 300, 25, 10, 2] {
        let (mut ratios, rows) = (0.0, 3000);
        for (i, (layout, settings)) in cases().into_iter().enumerate() {
            let mut dice = Dice(4400 + i as u64);
            let records = dice.records(&layout, rows);
            let gone = some(&mut dice, std::slice::from_ref(&records), rows / parts).concat();
            let (out, again) = match layout.task {
                Task::Classes(count) => ways(Classes::<0> { count: count as usize }, &layout, &settings, &records, &gone),
                Task::Number => ways(table::number(&layout), &layout, &settings, &records, &gone),
            };
            assert!((out as f64) < 1.6 * again as f64, "case {i}: taking out {out}, building again {again}");
            ratios += out as f64 / again as f64 / cases().len() as f64;
        }
        assert_eq!(ratios > 1.0, work::builds_again(rows, rows / parts), "one of {parts}: {ratios}");
    }
}
