//! `sisa schema`: a configuration proposed from the data.

use std::path::{Path, PathBuf};

use super::{Engine, Error};
use crate::{
    config::{Config, Flags},
    learn::Advice,
    schema::{Proposal, Wishes, propose},
    source::Input,
};

impl Engine {
    /// Proposes a configuration for sources; relative to `config`'s folder where they lie below it.
    ///
    /// # Errors
    /// A source can't be read, or nothing can be proposed for it.
    pub fn propose(&self, sources: &Input, config: &Path, flags: &Flags) -> Result<Proposal, Error> {
        let wishes = Wishes { label: flags.label.clone(), subject: flags.subject.clone(), record: flags.record.clone() };
        let folder = config.parent().unwrap_or(Path::new(""));
        let names: Vec<PathBuf> = sources.paths().map(|s| self.workspace.files().name_from(s, folder)).collect();
        let mut opened = sources.open()?;
        let first = opened.first().map(|first| (first.name().clone(), first.columns().to_vec()));
        let (source, columns) = first.unwrap_or_default();
        let mut proposal = propose(&mut opened, &names, &wishes)?;
        let schema = Config::parse(&proposal.text, config)?.declaration()?.resolve(&source, &columns)?;
        let advice = Advice::of(&schema.layout(), proposal.subjects);
        recommend(&mut proposal, &advice);
        Ok(proposal)
    }
}

/// Says at the end of a proposal which learner to take, ready to be taken.
fn recommend(proposal: &mut Proposal, advice: &Advice) {
    let sentence = advice.sentence();
    let mut lines = vec![String::new(), format!("# {sentence}")];
    let settings = advice.toml();
    if !settings.is_empty() {
        lines.push("# To take it, put these lines in place of [shards], [learner] and [schedule]:".into());
        lines.extend(settings.iter().map(|line| format!("#   {line}")));
    }
    proposal.text.push_str(&(lines.join("\n") + "\n"));
    proposal.notes.push(format!("The learner: {sentence}"));
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "writes a table by hand")]
    fn the_recommendation_can_be_taken_as_it_stands() {
        let dir = tempfile::tempdir().unwrap();
        let table = dir.path().join("t.csv");
        let rows = (0..300).map(|i| format!("{i},{},{},{}\n", i % 50, ["a", "b"][i % 2], ["no", "yes"][i / 3 % 2]));
        std::fs::write(&table, "patient_id,age,ward,label\n".to_owned() + &rows.collect::<String>()).unwrap();
        let engine = Engine::builder(dir.path()).threads(1).open().unwrap();
        let config = dir.path().join("sisa.toml");
        let proposal = engine.propose(&table.into(), &config, &Flags::default()).unwrap();
        assert!(proposal.notes.last().unwrap().contains("`forest` is recommended"), "{:?}", proposal.notes);
        // As proposed it is a configuration, and so it is with the commented lines in place of the sections that they name.
        let kind = |text: &str| Config::parse(text, Path::new("sisa.toml")).unwrap().recipe().unwrap().learner.kind();
        assert_eq!(kind(&proposal.text), "linear");
        let (above, _) = proposal.text.split_once("[shards]").unwrap();
        let taken: Vec<&str> = proposal.text.lines().filter_map(|line| line.strip_prefix("#   ")).collect();
        let taken = format!("{above}\n{}\n", taken.join("\n"));
        assert_eq!(kind(&taken), "forest", "{taken}");
        assert_eq!(Config::parse(&taken, &config).unwrap().grid().unwrap().slices, 1);
    }
}
