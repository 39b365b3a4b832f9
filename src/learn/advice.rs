//! Which learner to take, from the shape of the rows alone.
//!
//! The rule is what docs/ACCURACY.md measured, on five data sets; where nothing like the rows at hand was measured, it says so and names a learner
//! that takes any rows. It knows no value of any row.

use super::{FOREST_SHARDS, ForestSettings, Layout, LearnerSettings, RidgeMap, RidgeSettings, Task, ridge::allows_side};

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
/// A network is worth it from so many subjects on: four shards of 2,000.
pub const NETWORK_SUBJECTS: u64 = 8000;

/// A learner to take, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// Its kind, as it is written.
    pub kind: &'static str,
    /// Its settings, S and R, where they follow from what was measured; `None` for learners whose settings are to be tuned.
    pub settings: Option<(LearnerSettings, u32)>,
    /// What it rests on: a phrase without a full stop.
    pub reason: String,
}

impl Advice {
    /// For rows of a layout, of so many subjects.
    pub fn of(layout: &Layout, subjects: u64) -> Advice {
        let (numbers, bytes, categories) = (layout.numbers, layout.byte_scales.len(), layout.categories.len());
        let columns = numbers + bytes + categories;
        let any = |why: &str| {
            let (kind, fits) = match subjects >= NETWORK_SUBJECTS {
                true => ("mlp", "with these many subjects a network can learn more than `linear`"),
                false => ("linear", "with these few subjects a network has not been better"),
            };
            Advice { kind, settings: None, reason: format!("{why}; {fits}") }
        };
        let Task::Classes(classes) = layout.task else {
            return any("the label is a number, for which no learners have been measured beside each other");
        };
        let side = (1..=bytes).find(|side| side * side >= bytes).filter(|side| side * side == bytes);
        if let Some(side) = side.and_then(|side| u32::try_from(side).ok())
            && numbers + categories == 0
            && bytes >= PIXELS_MIN
            && allows_side(side)
        {
            let map = RidgeMap::Image { width: side, height: side, dimension: IMAGE_FEATURES };
            let settings = LearnerSettings::Ridge(RidgeSettings { map, strength: 1e-4, bins: 1 });
            let reason = format!(
                "{bytes} bytes a row are taken for images of {side} x {side}; on Fashion-MNIST its image features are 3.3 points more accurate than the \
                 best other learner, and deletions train nothing"
            );
            return Advice { kind: "ridge", settings: Some((settings, 2)), reason };
        }
        if columns > TABLE_COLUMNS_MAX {
            return any(&format!("rows of {columns} columns that are no square image have not been measured"));
        }
        let unranged = layout.ranges.iter().filter(|range| range.is_none_or(|range| range.0[0] >= range.0[1])).count();
        if unranged > 0 {
            return any(&format!(
                "{unranged} number columns have no declared `range`, which `forest` and `ridge` need: declare them to have the choice"
            ));
        }
        let forest = |shards: u32, deep: bool, reason: &str| {
            let (depth, min_split) = if deep { (20, 2) } else { (12, 10) };
            let settings = ForestSettings { trees: TREES / shards, depth, min_split, ..ForestSettings::default() };
            Advice { kind: "forest", settings: Some((LearnerSettings::Forest(settings), shards)), reason: reason.to_owned() }
        };
        if classes >= MANY_CLASSES && categories == 0 {
            return forest(
                1,
                true,
                "many classes of a few numbers want every record in every tree: on letter one shard of it is 0.5 points more accurate than the best \
                 other learner and 2.8 more than five shards, and deletions train nothing",
            );
        }
        if subjects < FOREST_SUBJECTS * u64::from(FOREST_SHARDS) {
            return forest(1, false, "a table of few columns, and too few subjects for shards; deletions train nothing");
        }
        forest(
            FOREST_SHARDS,
            false,
            "a table of few columns: five shards of it are 0.6 and 1.0 points more accurate than the best other learner on Adult and health_visits, within \
             0.4 of it on diabetes130, and deletions train nothing",
        )
    }

    /// One sentence.
    pub fn sentence(&self) -> String {
        format!("`{}` is recommended: {} (docs/ACCURACY.md).", self.kind, self.reason)
    }

    /// `[shards]` and `[learner]` as they would stand in sisa.toml; empty where settings are to be tuned.
    pub fn toml(&self) -> Vec<String> {
        let Some((settings, shards)) = &self.settings else { return Vec::new() };
        let mut lines = vec!["[shards]".to_owned(), format!("shards = {shards}"), "slices = 1".to_owned()];
        lines.extend(["[learner]".to_owned(), format!("kind = \"{}\"", self.kind)]);
        match settings {
            LearnerSettings::Forest(f) => {
                lines.extend([
                    format!("trees = {}", f.trees),
                    format!("depth = {}", f.depth),
                    format!("min_split = {}", f.min_split),
                ]);
            }
            LearnerSettings::Ridge(r) => {
                if let RidgeMap::Image { width, height, dimension } = r.map {
                    lines.push(format!(
                        "map = {{ kind = \"image\", width = {width}, height = {height}, dimension = {dimension} }}"
                    ));
                }
                lines.extend([format!("strength = {:?}", r.strength), format!("bins = {}", r.bins)]);
            }
            // Their settings are to be tuned, so they are not part of any advice.
            LearnerSettings::Linear(_) | LearnerSettings::Mlp(_) => {}
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::Range;

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

    #[test]
    fn the_data_sets_of_the_page_get_what_was_best_on_them() {
        let of = |layout: Layout, subjects: u64| {
            let advice = Advice::of(&layout, subjects);
            let settings = advice.settings.clone().unwrap();
            assert!(settings.0.check().unwrap().accepts(&layout).is_ok(), "what is recommended takes the rows");
            assert_eq!(settings.0.kind(), advice.kind);
            (advice.kind, settings.1, advice.toml().join("\n"))
        };
        let (kind, shards, toml) = of(layout(6, 0, 8, 2), 32_561);
        assert_eq!((kind, shards), ("forest", 5), "Adult");
        assert!(toml.contains("shards = 5\nslices = 1\n[learner]\nkind = \"forest\"\ntrees = 20\n"), "{toml}");
        assert_eq!(of(layout(19, 0, 2, 3), 4_730).0, "forest", "health_visits");
        assert_eq!(of(layout(8, 0, 36, 3), 55_000).0, "forest", "diabetes130");
        let (kind, shards, toml) = of(layout(16, 0, 0, 26), 16_000);
        assert_eq!((kind, shards), ("forest", 1), "letter");
        assert!(toml.contains("trees = 100\ndepth = 20\nmin_split = 2"), "{toml}");
        let (kind, _, toml) = of(layout(0, 784, 0, 10), 60_000);
        assert_eq!(kind, "ridge", "Fashion-MNIST");
        assert!(toml.contains("width = 28, height = 28, dimension = 4000 }\nstrength = 0.0001"), "{toml}");
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
            for (subjects, kind) in [(7_999, "linear"), (8_000, "mlp")] {
                let advice = Advice::of(&layout, subjects);
                assert_eq!((advice.kind, &advice.settings), (kind, &None), "{why}");
                assert!(advice.reason.contains(why) && advice.toml().is_empty(), "{}", advice.reason);
            }
        }
    }

    #[test]
    fn few_subjects_are_not_cut() {
        let shards = |subjects| Advice::of(&layout(6, 0, 8, 2), subjects).settings.map(|s| s.1);
        assert_eq!((shards(2_499), shards(2_500)), (Some(1), Some(5)));
    }
}
