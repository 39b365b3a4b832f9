//! Other settings in a configuration that is there: everything else stays as it was written.

use super::{ProposeError, write};
use crate::{config::Config, order::Grid, train::Recipe};

/// The sections that say how records are cut and trained.
const SECTIONS: [&str; 3] = ["shards", "learner", "schedule"];

/// The text with `[shards]`, `[learner]` and `[schedule]` saying this, and `why` in a comment; all other lines as they are.
///
/// # Errors
/// The text is no configuration, or its settings are not in sections of their own, so that lines can't be taken out of it.
pub(crate) fn rewritten(
    text: &str,
    path: &std::path::Path,
    (grid, recipe): (Grid, &Recipe),
    why: &str,
) -> Result<String, ProposeError> {
    let config = Config::parse(text, path)?;
    let mut ours = false;
    let mut kept: Vec<&str> = Vec::new();
    for line in text.lines() {
        if let Some(name) = header(line) {
            ours = SECTIONS.iter().any(|section| name == *section || name.starts_with(&format!("{section}.")));
            if ours {
                // The remark above a section goes with it.
                while kept.last().is_some_and(|last| last.starts_with('#') || last.trim().is_empty()) {
                    kept.pop();
                }
            }
        }
        if !ours {
            kept.push(line);
        }
    }
    let settings = write::chosen(grid, recipe, config.aggregate(), why, &config.later_lines());
    let text = kept.join("\n") + "\n" + &settings;
    let again = Config::parse(&text, path)?;
    let cut = again.grid()?;
    let kept = again.later_lines() == config.later_lines();
    let holds = kept && cut.shards_of_block() == grid.shards && cut.slices == grid.slices && again.recipe()? == *recipe;
    if holds { Ok(text) } else { Err(ProposeError::NotRewritten { path: path.to_owned(), settings }) }
}

/// The name of the section that a line begins.
fn header(line: &str) -> Option<&str> {
    let name = line.trim_start().strip_prefix('[')?.split(']').next()?;
    let bare = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (!name.is_empty() && name.chars().all(bare)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        learn::LearnerSettings,
        train::{Keep, Schedule, ScheduleKind},
    };

    const TEXT: &str = "# Mine.\n[data]\nholdout = 0.25\n\n[label]\ncolumn = \"y\"\nvalues = [\n\"a\",\n\"b\"]\n[columns]\nx = \"number\" # kept\n\n\
        # More.\n[shards]\nshards = 9\nmerge = 4\ncohort = { column = \"x\", unit = \"month\", from = 2020, to = 2021 }\naggregate = \"vote\"\n[learner]\nkind = \"forest\"\n\n[checkpoints]\nkeep = 1\n";

    #[test]
    fn settings_change_and_nothing_else() {
        let recipe =
            Recipe::new(LearnerSettings::of("linear").unwrap(), Schedule { kind: ScheduleKind::Front, epochs: 7 }, Keep::Best(1));
        let (grid, all) = (Grid::new(3, 4, 0.25), Grid { shards: 75, blocks: 25, ..Grid::new(3, 4, 0.25) });
        let text = rewritten(TEXT, "sisa.toml".as_ref(), (grid, &recipe), "tried").unwrap();
        let config = Config::parse(&text, "sisa.toml".as_ref()).unwrap();
        assert_eq!((config.grid().unwrap(), config.recipe().unwrap()), (all, recipe.clone()));
        assert_eq!(config.aggregate(), crate::predict::Aggregate::Vote);
        for kept in ["# Mine.", "x = \"number\" # kept", "[checkpoints]\nkeep = 1", "# tried", "merge = 4", "from = 2020"] {
            assert!(text.contains(kept), "{kept}: {text}");
        }
        assert!(!text.contains("kind = \"forest\"") && !text.contains("# More."), "{text}");
        // And again.
        assert_eq!(rewritten(&text, "sisa.toml".as_ref(), (grid, &recipe), "tried").unwrap(), text);
    }
}
