//! Which learner to train, with which settings, S and R, from the shape of the rows alone: the one rule that `schema`, `train`, `plan` and
//! `bench` follow.
//!
//! The rule is what docs/ACCURACY.md measured; where nothing like the rows at hand was measured, it says so and names a learner that
//! takes any rows. It knows no value of any row.

use crate::{
    config::Suited,
    learn::{Descent, FOREST_SHARDS, ForestSettings, Layout, LearnerSettings, RidgeMap, RidgeSettings, SettingsError, Task},
    train::Schedule,
};

/// More input columns than this make a table that is unlike those measured.
const TABLE_COLUMNS_MAX: usize = 64;
/// Fewer byte columns than this are no image.
const PIXELS_MIN: usize = 64;
/// From so many classes on, of numbers alone, one shard is worth what it costs.
const MANY_CLASSES: u32 = 10;
/// A shard of a forest should have so many subjects.
const FOREST_SUBJECTS: u64 = 500;
/// Trees of all shards together, as measured.
const TREES: u32 = 100;
/// Random features of images, as measured.
const IMAGE_FEATURES: u32 = 4000;
/// A network is worth it from so many subjects on: four shards of as many as each needs.
const NETWORK_SUBJECTS: u64 = 4 * NETWORK_SHARD;
/// Subjects that each shard of a network needs, and of a linear model.
const NETWORK_SHARD: u64 = 2000;
const LINEAR_SHARD: u64 = 500;
/// Numbers of shards that are proposed for learners trained in passes.
const SHARDS: [u64; 9] = [20, 16, 12, 10, 8, 5, 4, 3, 2];
/// A shard of so many rows can have larger batches.
const LARGE_SHARD: u64 = 20_000;
/// Numbers of slices that are proposed for `boost`; a step should add so many rows, or the trees of early steps are poor ones.
const STEPS: [u32; 2] = [4, 2];
const STEP_ROWS: u64 = 5000;
/// On shards of fewer rows trees of 15 leaves are as good as larger ones.
const LEAFY_SHARD: u64 = 10_000;
/// From so many subjects on, `boost` is more accurate than `forest` on some tables of two classes.
const BOOST_SUBJECTS: u64 = 20_000;
/// Fewer subjects than this tell a linear model apart from nothing else.
const FEW_SUBJECTS: u64 = 500;
/// Inputs from which on a network's layer is wider.
const WIDE_INPUTS: usize = 256;

/// What the rows are, as far as the choice of a learner asks.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a> {
    /// The columns as learners see them.
    pub layout: &'a Layout,
    /// Rows.
    pub rows: u64,
    /// Whom they are about.
    pub subjects: u64,
    /// Threads of the machine: shards whose states add up are only built in parallel.
    pub threads: usize,
}

/// What to train, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// The learner and its settings.
    pub learner: LearnerSettings,
    /// S.
    pub shards: u32,
    /// R.
    pub slices: u32,
    /// Which rows a step visits.
    pub schedule: Schedule,
    /// What it rests on: a phrase without a full stop.
    pub reason: String,
}

impl Shape<'_> {
    /// What to train on such rows: a learner with the settings, S and R that were best on what is most like them.
    ///
    /// # Errors
    /// Never, as every kind that it names is there.
    pub fn advice(&self) -> Result<Advice, SettingsError> {
        let (kind, reason) = self.choice();
        Ok(Advice { reason, ..self.advice_of(kind)? })
    }

    /// The same for a learner of this kind: its own settings, S and R for such rows, whatever is recommended for them.
    ///
    /// # Errors
    /// There is no such kind.
    pub fn advice_of(&self, kind: &str) -> Result<Advice, SettingsError> {
        let mut learner = LearnerSettings::of(kind)?;
        learner.suit(self.layout.task);
        let suited = Suited::to(learner.check()?.abilities(), self.threads);
        let (mut shards, mut slices) = (suited.shards, suited.slices);
        match &mut learner {
            LearnerSettings::Ridge(settings) => {
                if let Some(map) = self.image() {
                    *settings = RidgeSettings { map, strength: 1e-4, bins: 1 };
                } else if self.layout.numbers > TABLE_COLUMNS_MAX {
                    // Bins of each of so many numbers would be more features than rows, or than there is room for.
                    settings.bins = 1;
                }
            }
            LearnerSettings::Forest(settings) => {
                shards = if self.wants_one_shard() { 1 } else { FOREST_SHARDS };
                let (depth, min_split) = if self.many_classes() { (20, 2) } else { (settings.depth, settings.min_split) };
                *settings = ForestSettings { trees: TREES / shards, depth, min_split, counts: true, ..settings.clone() };
            }
            LearnerSettings::Boost(settings) => {
                shards = if self.wants_one_shard() { 1 } else { shards };
                let each = self.rows / u64::from(shards);
                let fine = |steps: &u32| !self.many_classes() && each / u64::from(*steps) >= STEP_ROWS;
                slices = STEPS.into_iter().find(fine).unwrap_or(1);
                settings.leaves = if each < LEAFY_SHARD { 15 } else { settings.leaves };
            }
            LearnerSettings::Linear(descent) => {
                shards = in_passes(self.subjects / LINEAR_SHARD);
                self.suit(descent, shards);
            }
            LearnerSettings::Mlp(settings) => {
                shards = in_passes(self.subjects / NETWORK_SHARD);
                self.suit(&mut settings.descent, shards);
                if self.columns() >= WIDE_INPUTS {
                    settings.hidden = vec![128];
                }
            }
            // It has no default settings, so it was not asked for.
            LearnerSettings::External(_) => {}
        }
        let reason = "the kind that was asked for".to_owned();
        Ok(Advice { learner, shards, slices, schedule: suited.schedule, reason })
    }

    /// The kind to take, and why.
    fn choice(&self) -> (&'static str, String) {
        let bytes = self.layout.byte_scales.len();
        let any = |why: &str| match self.subjects >= NETWORK_SUBJECTS {
            true => ("mlp", format!("{why}; with these many subjects a network can learn more than `linear`")),
            false => ("linear", format!("{why}; with these few subjects a network has not been better")),
        };
        if let (Task::Classes(_), Some(RidgeMap::Image { width, height, .. })) = (self.layout.task, self.image()) {
            let why = format!(
                "{bytes} bytes a row are taken for images of {width} x {height}; on Fashion-MNIST its image features are 3.3 points more accurate \
                 than the best other learner, and deletions train nothing"
            );
            return ("ridge", why);
        }
        if self.columns() > TABLE_COLUMNS_MAX {
            return any(&format!("rows of {} columns that are no square image have not been measured", self.columns()));
        }
        let unranged = self.layout.ranges.iter().filter(|range| range.is_none_or(|range| range.0[0] >= range.0[1])).count();
        if unranged > 0 {
            return any(&format!(
                "{unranged} number columns have no declared `range`, which `forest` and `ridge` need: declare them to have the choice"
            ));
        }
        let Task::Classes(classes) = self.layout.task else {
            if self.layout.label_range.is_none() {
                return any("the label is a number without a declared `range`, which trees need: declare it to have the choice");
            }
            if self.subjects < FEW_SUBJECTS {
                let why = "a number learnt from few subjects: on Parkinson's telemonitoring (42 subjects) it explains 9 points more of the variance \
                           than trees do, whose leaves hold one person each";
                return ("linear", why.to_owned());
            }
            let why = "a number learnt from a table: on the RAND Health Insurance Experiment trees of `boost` explain 0.9 points more of the variance \
                       than `forest` and 2 more than a network";
            return ("boost", why.to_owned());
        };
        if classes == 2 && self.subjects >= BOOST_SUBJECTS {
            let why = "a table of two classes and many subjects: five shards of it are 1.0 points more accurate than `forest` on Adult, and level with it \
                       on bank_marketing and credit_default; `forest` has deletions that train nothing";
            return ("boost", why.to_owned());
        }
        let why = match (self.many_classes(), self.wants_one_shard()) {
            (true, _) => {
                "many classes of a few numbers want every record in every tree: on letter one shard of it is 0.5 points more accurate than the best \
                 other learner and 2.8 more than five shards, and deletions train nothing"
            }
            (false, true) => "a table of few columns, and too few subjects for shards; deletions train nothing",
            (false, false) => {
                "a table of few columns: five shards of it are 0.6 and 1.0 points more accurate than the best other learner on Adult and \
                 health_visits, within 0.4 of it on diabetes130, and deletions train nothing"
            }
        };
        ("forest", why.to_owned())
    }

    fn columns(&self) -> usize {
        self.layout.numbers + self.layout.byte_scales.len() + self.layout.categories.len()
    }

    /// The map for a square image that the rows are, if they are one.
    fn image(&self) -> Option<RidgeMap> {
        let bytes = self.layout.byte_scales.len();
        let side = (1..=bytes).find(|side| side * side >= bytes).filter(|side| side * side == bytes)?;
        let side = u32::try_from(side).ok()?;
        let map = RidgeMap::Image { width: side, height: side, dimension: IMAGE_FEATURES };
        let fits = LearnerSettings::Ridge(RidgeSettings { map, strength: 1e-4, bins: 1 }).check().is_ok();
        (fits && bytes == self.columns() && bytes >= PIXELS_MIN).then_some(map)
    }

    fn many_classes(&self) -> bool {
        matches!(self.layout.task, Task::Classes(MANY_CLASSES..)) && self.layout.categories.is_empty()
    }

    fn wants_one_shard(&self) -> bool {
        self.many_classes() || self.subjects < FOREST_SUBJECTS * u64::from(FOREST_SHARDS)
    }

    /// Suits the descent of one of so many shards.
    fn suit(&self, descent: &mut Descent, shards: u32) {
        if self.rows / u64::from(shards) >= LARGE_SHARD {
            descent.batch = 256;
        }
    }
}

/// As many shards as there are subjects for, of the numbers that are proposed.
fn in_passes(enough_for: u64) -> u32 {
    SHARDS.into_iter().find(|shards| *shards <= enough_for).unwrap_or(1) as u32
}

impl Advice {
    /// The kind of learner, as it is written.
    pub fn kind(&self) -> &'static str {
        self.learner.kind()
    }

    /// One sentence.
    pub fn sentence(&self) -> String {
        format!("`{}` is recommended: {} (docs/ACCURACY.md).", self.kind(), self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::{BoostSettings, Range};

    fn layout(numbers: usize, bytes: usize, categories: usize, classes: u32) -> Layout {
        Layout {
            numbers,
            ranges: vec![Some(Range([0.0, 1.0])); numbers],
            indicators: Vec::new(),
            byte_scales: vec![1.0 / 255.0; bytes],
            categories: vec![4; categories],
            task: if classes > 0 { Task::Classes(classes) } else { Task::Number },
            label_range: None,
        }
    }

    fn of(layout: &Layout, subjects: u64) -> Advice {
        let advice = Shape { layout, rows: subjects, subjects, threads: 2 }.advice().unwrap();
        assert!(advice.learner.check().unwrap().accepts(layout).is_ok(), "what is recommended takes the rows");
        advice
    }

    #[test]
    fn the_data_sets_of_the_page_get_what_was_best_on_them() {
        let adult = of(&layout(6, 0, 8, 2), 32_561);
        assert_eq!((adult.kind(), adult.shards, adult.slices), ("boost", 5, 1), "Adult");
        assert_eq!(adult.learner, LearnerSettings::Boost(BoostSettings { leaves: 15, ..BoostSettings::default() }));
        let shoppers = of(&layout(14, 0, 3, 2), 9_900);
        assert_eq!((shoppers.kind(), shoppers.shards, shoppers.slices), ("forest", 5, 1), "online_shoppers");
        let trees = ForestSettings { trees: 20, counts: true, ..ForestSettings::default() };
        assert_eq!(shoppers.learner, LearnerSettings::Forest(trees));
        assert_eq!(of(&layout(19, 0, 2, 3), 4_730).kind(), "forest", "health_visits");
        assert_eq!(of(&layout(8, 0, 36, 3), 55_000).kind(), "forest", "diabetes130");
        let letter = of(&layout(16, 0, 0, 26), 16_000);
        assert_eq!((letter.kind(), letter.shards), ("forest", 1), "letter");
        let deep = ForestSettings { trees: 100, depth: 20, min_split: 2, counts: true, ..ForestSettings::default() };
        assert_eq!(letter.learner, LearnerSettings::Forest(deep));
        let LearnerSettings::Ridge(images) = of(&layout(0, 784, 0, 10), 60_000).learner else { panic!("Fashion-MNIST") };
        let map = RidgeMap::Image { width: 28, height: 28, dimension: 4000 };
        assert_eq!(images, RidgeSettings { map, strength: 1e-4, bins: 1 });
    }

    #[test]
    fn what_was_not_measured_gets_a_learner_of_any_rows_and_is_told_why() {
        let mut unranged = layout(4, 0, 2, 2);
        unranged.ranges[2] = None;
        for (layout, why) in [
            (layout(5, 0, 5, 0), "the label is a number"),
            (unranged, "1 number columns have no declared `range`"),
            (layout(0, 600, 0, 2), "600 columns that are no square image"),
            (layout(2, 784, 0, 10), "786 columns"),
            // 9 x 9 is no image that the map takes.
            (layout(0, 81, 0, 10), "81 columns"),
        ] {
            for (subjects, kind, shards) in [(7_999, "linear", 12), (8_000, "mlp", 4)] {
                let advice = of(&layout, subjects);
                assert_eq!((advice.kind(), advice.shards, advice.slices), (kind, shards, 10), "{why}");
                assert!(advice.reason.contains(why), "{}", advice.reason);
            }
        }
    }

    #[test]
    fn numbers_are_learnt_by_trees_where_there_are_people_enough() {
        let numbers = Layout { label_range: Some(Range([0.0, 9.0])), ..layout(19, 0, 2, 0) };
        assert_eq!((of(&numbers, 4_730).kind(), of(&numbers, 33).kind()), ("boost", "linear"), "randhie and parkinsons_tele");
    }

    #[test]
    fn steps_of_boost_add_rows_enough() {
        let layout = layout(6, 0, 8, 3);
        let cut = |rows| {
            let advice = Shape { layout: &layout, rows, subjects: 60_000, threads: 1 }.advice_of("boost").unwrap();
            let LearnerSettings::Boost(settings) = advice.learner else { panic!("boosting") };
            (advice.shards, advice.slices, settings.leaves)
        };
        assert_eq!([cut(30_000), cut(49_000), cut(50_000), cut(100_000)], [(5, 1, 15), (5, 1, 15), (5, 2, 31), (5, 4, 31)]);
    }

    #[test]
    fn few_subjects_are_not_cut() {
        let shards = |subjects| of(&layout(6, 0, 8, 2), subjects).shards;
        assert_eq!((shards(2_499), shards(2_500)), (1, 5));
    }

    #[test]
    fn a_kind_that_is_asked_for_has_its_own_settings() {
        let layout = layout(6, 0, 8, 2);
        let shape = Shape { layout: &layout, rows: 100_000, subjects: 50_000, threads: 3 };
        for (kind, shards, slices) in [("linear", 20, 10), ("mlp", 20, 10), ("forest", 5, 1), ("ridge", 3, 1), ("boost", 5, 4)] {
            let advice = shape.advice_of(kind).unwrap();
            assert_eq!((advice.kind(), advice.shards, advice.slices), (kind, shards, slices));
            assert!(advice.learner.check().is_ok());
        }
        assert!(shape.advice_of("tree").is_err());
    }

    #[test]
    fn numbers_are_learnt_at_a_rate_that_does_not_diverge() {
        for (classes, expected) in [(0, 0.01), (2, 0.05)] {
            let layout = layout(6, 0, 0, classes);
            let shape = Shape { layout: &layout, rows: 1000, subjects: 1000, threads: 1 };
            let LearnerSettings::Mlp(settings) = shape.advice_of("mlp").unwrap().learner else { panic!("not a network") };
            assert_eq!(settings.descent.rate, expected);
            assert_eq!((settings.descent.clip, settings.descent.max_gradient), (Some(8.0), (classes == 0).then_some(1.0)));
        }
    }
}
