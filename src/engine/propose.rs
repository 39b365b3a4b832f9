//! `sisa schema`: a configuration proposed from the data.

use std::path::{Path, PathBuf};

use super::{Engine, Error};
use crate::{
    config::{Config, ConfigError, Overrides},
    fs::Durability,
    order::Grid,
    propose::{Advice, Proposal, ProposeError, Request, Shape, propose, rewritten},
    source::{Guess, Input},
    train::Recipe,
};

impl Engine {
    /// Proposes a configuration for sources; relative to `config`'s folder where they lie below it. What is asked for is written in it.
    ///
    /// # Errors
    /// A source can't be read, or nothing can be proposed for it.
    pub fn propose(&self, sources: &Input, config: &Path, overrides: &Overrides) -> Result<Proposal, Error> {
        let folder = config.parent().unwrap_or(Path::new(""));
        let names: Vec<PathBuf> = sources.paths().map(|s| self.workspace.files().name_from(s, folder)).collect();
        let guess = sources.guess()?;
        let request = Request { names: &names, path: config, overrides, threads: self.threads() };
        // Names that the table does not have are asked for where its first line is no header.
        let headerless = |error: ProposeError| match error {
            ProposeError::NoColumn { role, column, found } if !guess.form.header => {
                let found = [found].into_iter().chain(guess.notes.iter().cloned()).collect::<Vec<_>>().join("; ");
                ProposeError::NoColumn { role, column, found }
            }
            other => other,
        };
        let mut proposal = propose(&|| sources.open(&guess.form), &request).map_err(headerless)?;
        declare(&mut proposal, guess);
        Ok(proposal)
    }
}

impl Engine {
    /// What to train on rows whose columns somebody has declared: a learner of this `kind`, or the one that suits them, with S, R and settings.
    /// Of the `config`uration its data, label and columns count.
    ///
    /// # Errors
    /// It is no configuration of a source with these `columns`, or there is no such kind.
    pub fn advise(
        &self,
        config: &str,
        columns: &[String],
        (rows, subjects): (u64, u64),
        kind: Option<&str>,
    ) -> Result<Advice, Error> {
        let config = Config::parse(config, Path::new("the configuration"))?;
        let layout = config.declaration()?.resolve("the table", columns)?.layout();
        let shape = Shape { layout: &layout, rows, subjects, threads: self.threads() };
        let advice = kind.map_or_else(|| shape.advice(), |kind| shape.advice_of(kind));
        Ok(advice.map_err(ConfigError::from)?)
    }

    /// Writes S, R, the learner and the schedule into a configuration that is there; `why` goes beside them as a comment. Everything else in it stays.
    ///
    /// # Errors
    /// The file is not there, is no configuration, or is not written in sections.
    pub fn declare(&self, config: &Path, (shards, slices): (u32, u32), recipe: &Recipe, why: &str) -> Result<(), Error> {
        let config = self.config_file(config);
        let files = self.workspace.files();
        let holdout = Config::read(files, &config)?.grid()?.holdout;
        let bytes = files.read(&config)?;
        let text = String::from_utf8_lossy(&bytes);
        let text = rewritten(&text, &config, (Grid::new(shards, slices, holdout), recipe), why)?;
        let _ = files.publish(&config, &[text.as_bytes()], Durability::Now)?;
        Ok(())
    }
}

/// Declares in a proposal how its text sources are written, where that is not the default, and says so beside it.
fn declare(proposal: &mut Proposal, guess: Guess) {
    let notes = guess.notes.iter().map(|note| format!("# {}.", note.replace(char::is_control, " ")));
    let lines: String = notes.chain(guess.form.toml()).map(|line| line + "\n").collect();
    proposal.text = proposal.text.replacen("[data]\n", &format!("[data]\n{lines}"), 1);
    proposal.notes.splice(0..0, guess.notes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "writes a table by hand")]
    fn what_is_recommended_is_what_is_proposed_and_what_is_asked_for_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        let rows = (0..300).map(|i| format!("{i},{},{},{}\n", i % 50, ["a", "b"][i % 2], ["no", "yes"][i / 3 % 2]));
        std::fs::write(&path, "patient_id,age,ward,label\n".to_owned() + &rows.collect::<String>()).unwrap();
        let table = Input::from(path);
        let engine = Engine::builder(dir.path()).threads(3).open().unwrap();
        let path = dir.path().join("sisa.toml");
        let of = |overrides: &Overrides| {
            let proposal = engine.propose(&table, &path, overrides).unwrap();
            let config = Config::parse(&proposal.text, &path).unwrap();
            // Asked for again, nothing changes: it is in the file.
            let again = config.with(overrides).unwrap();
            assert_eq!((again.grid().unwrap(), again.recipe().unwrap()), (config.grid().unwrap(), config.recipe().unwrap()));
            (proposal, config)
        };
        let (proposal, config) = of(&Overrides::default());
        assert!(proposal.notes.last().unwrap().contains("`forest` is recommended"), "{:?}", proposal.notes);
        let recipe = config.recipe().unwrap();
        assert_eq!((recipe.learner.kind(), config.grid().unwrap().slices), ("forest", 1));
        assert_eq!(recipe.learner, proposal.advice.learner);
        // The same for whoever declares the columns and has no rows at hand.
        let columns = ["patient_id", "age", "ward", "label"].map(str::to_owned);
        let advise = |kind| engine.advise(&proposal.text, &columns, (proposal.rows, proposal.subjects), kind);
        assert_eq!(advise(None).unwrap(), proposal.advice);
        assert_eq!(advise(Some("ridge")).unwrap().shards, 3);
        assert!(advise(Some("tree")).is_err());

        for (kind, shards, slices) in [("forest", 1, 1), ("ridge", 3, 1), ("linear", 1, 10), ("mlp", 1, 10), ("boost", 1, 1)] {
            let grid = of(&Overrides { learner: Some(kind.into()), ..Overrides::default() }).1.grid().unwrap();
            assert_eq!((grid.shards, grid.slices), (shards, slices), "{kind}");
        }
        let asked = Overrides {
            learner: Some("mlp".into()),
            shards: Some(4),
            slices: Some(6),
            holdout: Some(0.25),
            rate: Some(0.02),
            epochs: Some(7),
            checkpoints: Some(2),
            ..Overrides::default()
        };
        let (proposal, config) = of(&asked);
        let (grid, recipe) = (config.grid().unwrap(), config.recipe().unwrap());
        assert_eq!((grid.shards, grid.slices, grid.holdout), (4, 6, 0.25));
        assert_eq!((recipe.learner.kind(), recipe.schedule.epochs, recipe.keep), ("mlp", 7, crate::train::Keep::Best(2)));
        assert!(proposal.text.contains("\nrate = 0.02\n"), "{}", proposal.text);
        // What does not go together is refused before anything is written.
        let wrong = Overrides { learner: Some("forest".into()), epochs: Some(3), ..Overrides::default() };
        assert!(engine.propose(&table, &path, &wrong).unwrap_err().to_string().contains("schedule"));
    }
}
