//! What to do about an error, in the words of the command line: commands that work when they are pasted.

use std::path::Path;

use sisa::engine::Remedy;

/// A word as a shell reads it, quoted where it has to be.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// The flag that further commands on this workspace need; it begins with a blank.
pub(super) fn workspace_flag(workspace: &Path) -> String {
    if workspace == Path::new(".") { String::new() } else { format!(" -w {}", quoted(&workspace.to_string_lossy())) }
}

/// The command line at hand, with another learner.
fn with_learner(kind: &str) -> String {
    again(std::env::args().skip(1), kind)
}

fn again(typed: impl Iterator<Item = String>, kind: &str) -> String {
    let mut line = String::from("sisa");
    let mut typed = typed.peekable();
    while let Some(word) = typed.next() {
        if word == "--learner" {
            typed.next();
        } else if !word.starts_with("--learner=") {
            line.push(' ');
            line.push_str(&quoted(&word));
        }
    }
    line + " --learner " + kind
}

/// A clause that says how it is done.
pub(super) fn advice(remedy: &Remedy, flag: &str) -> String {
    match remedy {
        Remedy::Train => format!("`sisa train{flag}` goes on with the records that are there"),
        Remedy::Import => format!("`sisa train{flag} SOURCE` imports a table and trains"),
        Remedy::Migrate => format!("`sisa migrate{flag}` brings the records that are there under it"),
        Remedy::TrainFresh { source: Some(source) } => {
            format!("`sisa train{flag} --fresh {}` starts a new generation from it", quoted(source))
        }
        Remedy::TrainFresh { source: None } => {
            format!("`sisa train{flag} --fresh` starts a new generation from the sources that sisa.toml lists")
        }
        Remedy::Propose => format!("`sisa schema{flag} SOURCE` proposes one"),
        Remedy::NameLabel => "`--label NAME` says which column is the label".into(),
        Remedy::NameIdColumns => {
            "`--subject COLUMN` names whom a record is about and `--record COLUMNS` what names it; with `--no-ids` \
             it goes on without, and records can be deleted by what they hold (`sisa delete --rows FILE`)"
                .into()
        }
        Remedy::NameIds => "`--subject`, `--record` or `--from` name them".into(),
        Remedy::NameSubjects => "`--subject` names them".into(),
        Remedy::NameRecords => "`--record` names them".into(),
        Remedy::NameRows => "`--rows FILE` names records by what they hold".into(),
        Remedy::DeleteRows => format!("`sisa delete{flag} --rows FILE` deletes records by what they hold"),
        Remedy::DeleteRecord => format!("`sisa delete{flag} --record ID` deletes a record"),
        Remedy::NameBatch => "`--batch NAME` names it".into(),
        Remedy::MendOrRedeclare => format!(
            "every row is answered for, and cells are read as the import declared them: mend the table; what sisa.toml declares counts from \
             `sisa train{flag} --fresh SOURCE` on"
        ),
        Remedy::Confirm => "`--yes` says that it is meant".into(),
        Remedy::Predict => format!("`sisa predict{flag} SOURCE` answers without a label"),
        Remedy::ExportOnnx => {
            format!("`sisa export{flag} --format onnx FILE` writes trees too, with all that is needed to answer")
        }
        Remedy::EvaluateSource => format!("`sisa eval{flag} SOURCE` evaluates on a table"),
        Remedy::Log => format!("`sisa log{flag}` lists the requests"),
        Remedy::Repair => format!("`sisa repair{flag}` brings what was accepted into effect and trains what is missing"),
        Remedy::RepairFrom => {
            format!("`sisa repair{flag} --from SOURCE` writes damaged slices again from the source they came from")
        }
        Remedy::DropSlice => format!("`sisa repair{flag} --drop-slice` gives the records of damaged slices up"),
        Remedy::NameNetwork => format!("`{}` does it with a network, trained on the same records", with_learner("mlp")),
        Remedy::NameLinear => format!("`{}` does it with a learner whose loss is convex", with_learner("linear")),
        Remedy::BenchLearners => {
            format!("`sisa bench{flag} --learners linear,mlp,ridge,forest` measures deletions of each beside the others")
        }
        Remedy::Keygen => "`sisa keygen FILE` makes a pair of keys".into(),
        Remedy::Retrain => format!("`sisa verify{flag} --retrain` trains everything again and compares"),
        Remedy::Wait => "with `--wait` a command waits for the other one".into(),
        Remedy::PackAgain => format!("`sisa shard{flag} pack N` packs the shard's work again"),
        Remedy::RunAgain => "run the command again to go on".into(),
        Remedy::Report => "please report this".into(),
        // A remedy that this face has no words for yet; the message stands alone.
        _ => String::new(),
    }
}

/// All clauses of an error.
pub(super) fn all(remedies: &[Remedy], flag: &str) -> Vec<String> {
    remedies.iter().map(|remedy| advice(remedy, flag)).filter(|text| !text.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_said_again_with_another_learner() {
        let again = |line: &[&str]| again(line.iter().map(|word| (*word).to_owned()), "mlp");
        assert_eq!(again(&["-w", "it's", "compare", "--quick"]), r"sisa -w 'it'\''s' compare --quick --learner mlp");
        assert_eq!(again(&["compare", "--learner", "forest", "-q"]), "sisa compare -q --learner mlp");
        assert_eq!(again(&["compare", "--learner=forest"]), "sisa compare --learner mlp");
    }

    #[test]
    fn a_shell_reads_a_quoted_word_as_it_was() {
        for (word, shown) in
            [("a/b.csv", "a/b.csv"), ("my data", "'my data'"), ("it's", r"'it'\''s'"), ("", "''"), ("$x", "'$x'")]
        {
            assert_eq!(quoted(word), shown);
        }
        assert_eq!(workspace_flag(Path::new(".")), "");
        assert_eq!(
            advice(&Remedy::Train, &workspace_flag(Path::new("a b"))),
            "`sisa train -w 'a b'` goes on with the records that are there"
        );
    }
}
