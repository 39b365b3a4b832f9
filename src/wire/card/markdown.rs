//! A model card as Markdown: read by people far from any face.

use std::fmt::Write;

use super::{Card, CardColumn, Replay};
use crate::wire::Measures;

/// Columns that are listed one by one.
const LISTED: usize = 60;

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

impl Card {
    /// The card as a page of Markdown.
    pub fn markdown(&self) -> String {
        let mut page = String::new();
        let label = cell(&self.label.name);
        let _ = writeln!(page, "---\ntags:\n- tabular\n- machine-unlearning\nlibrary_name: sisa\n---\n");
        let _ = writeln!(page, "# Model of `{label}`\n");
        let _ = writeln!(
            page,
            "Generation {}, recipe {}: {} of {} constituents of kind `{}` vote, by their {}. Each learnt from one shard of the \
             records, in {}, so that any person's data can be deleted from it exactly.\n",
            self.generation,
            self.recipe,
            self.members,
            self.shards,
            self.learner.kind(),
            format!("{:?}", self.aggregate).to_lowercase(),
            plural(self.slices.into(), "step", "steps")
        );
        self.data(&mut page);
        self.settings(&mut page);
        self.measured(&mut page);
        self.taken_away(&mut page);
        let _ = writeln!(page, "## What is claimed\n\n{}\n\n{}\n\n{}\n", self.claim, self.replayed(), self.not_claimed);
        let _ = writeln!(
            page,
            "## How to check it\n\nWho holds the workspace runs `sisa verify`, which looks at what holds by construction, or \
             `sisa verify --retrain`: everything is trained again where that gives the same bytes, and every byte compared. `sisa receipt REQUEST` says what was done about one request, and `sisa verify --receipt FILE` compares \
             such a receipt with the ledger, which ended at entry {} with digest {} when this card was made.",
            self.ledger_sequence, self.ledger_digest
        );
        page
    }

    /// What `replay` says of this model.
    fn replayed(&self) -> String {
        let Replay { place, learner, environment, probe } = &self.replay;
        let learner = learner.as_deref().map(cell).unwrap_or_default();
        let named: String = environment.iter().map(|(key, value)| format!("{} {}, ", cell(key), cell(value))).collect();
        match (*place, probe) {
            ("environment", Some(probe)) => format!(
                "Of this model, whose learner `{learner}` is a program of the operator's own, it holds by construction, and by replay in one \
                 environment: {named}probe {probe}."
            ),
            ("nowhere", _) => format!(
                "Of this model it holds by construction alone: its learner `{learner}`, a program of the operator's own, is recorded as not \
                 replayable."
            ),
            _ => "Of this model it holds by construction, and by replay on any machine.".into(),
        }
    }

    fn data(&self, page: &mut String) {
        let _ = writeln!(page, "## Data\n");
        let whom = if self.subjects { "A column says whom a record is about" } else { "Each record is its own subject" };
        let _ = writeln!(
            page,
            "{}, and {} held out and never trained on, in {}. {whom}. What follows was declared, not learnt from the records.\n",
            plural(self.records, "record", "records"),
            self.held_out,
            plural(self.batches.into(), "batch", "batches")
        );
        let _ = writeln!(page, "| column | kind | declared |\n| --- | --- | --- |");
        let mut line = |column: &CardColumn, what: &str| {
            let _ = writeln!(page, "| {} | {}{what} | {} |", cell(&column.name), column.kind, cell(&column.declared));
        };
        line(&self.label, ", what is learnt");
        self.columns.iter().take(LISTED).for_each(|column| line(column, ""));
        if let Some(more) = self.columns.len().checked_sub(LISTED + 1) {
            let _ = writeln!(page, "| {} more | | |", more + 1);
        }
        page.push('\n');
    }

    fn settings(&self, page: &mut String) {
        let _ = writeln!(page, "## Settings\n\n| setting | value |\n| --- | --- |");
        // By way of its text, in which an f32 has its own digits and not those of an f64.
        let text = serde_json::to_string(&self.learner).unwrap_or_default();
        if let Ok(serde_json::Value::Object(settings)) = serde_json::from_str(&text) {
            for (name, value) in settings {
                let _ = writeln!(page, "| {name} | {} |", cell(&value.to_string()));
            }
        }
        page.push('\n');
    }

    fn measured(&self, page: &mut String) {
        let _ = writeln!(page, "## Quality\n");
        let Some(quality) = &self.quality else {
            let _ = writeln!(page, "Nothing was held out, so nothing is known of it.\n");
            return;
        };
        let _ = writeln!(
            page,
            "Measured on {} that were held out.\n\n| measure | value |\n| --- | --- |",
            plural(quality.rows, "row", "rows")
        );
        match &quality.measures {
            Measures::Classes { accuracy, balanced_accuracy, log_loss, calibration_error, auc, .. } => {
                let known = [("accuracy", *accuracy), ("balanced accuracy", *balanced_accuracy), ("log loss, nats", *log_loss)];
                let known = known.into_iter().chain([("calibration error", *calibration_error)]);
                let known = known.chain(auc.map(|auc| ("area under the curve", auc)));
                known.for_each(|(name, value)| {
                    let _ = writeln!(page, "| {name} | {value:.4} |");
                });
            }
            Measures::Numbers { rmse, mae, r2 } => {
                for (name, value) in [("root of the mean squared error", rmse), ("mean absolute error", mae), ("R2", r2)] {
                    let _ = writeln!(page, "| {name} | {value:.6} |");
                }
            }
        }
        if let Some(shares) = &quality.shares {
            let _ = writeln!(page, "| accuracy of always answering one class | {:.4} |", shares.majority_accuracy);
        }
        if quality.worse_than_constant {
            let _ = writeln!(page, "\n**It is worse than always giving the same answer.**");
        }
        page.push('\n');
    }

    fn taken_away(&self, page: &mut String) {
        let deletions = &self.deletions;
        let _ = writeln!(page, "## Deletions and copies\n");
        let _ = match deletions.requests {
            0 => writeln!(page, "No deletion was asked for so far."),
            _ => writeln!(
                page,
                "{} so far: {} erased of {}. {}",
                plural(deletions.requests, "deletion request", "deletion requests"),
                plural(deletions.records, "record", "records"),
                plural(deletions.ids, "id", "ids"),
                match (deletions.unrepaired, &deletions.last) {
                    (0, Some(last)) => format!("The last came into effect {last}; all are repaired."),
                    (0, None) => String::new(),
                    (n, _) => format!("Not repaired yet: {n}, whose constituents serve what they knew before."),
                }
            ),
        };
        if self.exports.is_empty() {
            let _ = writeln!(page, "\nThe ledger knows of no copy that left the workspace.\n");
            return;
        }
        let _ = writeln!(
            page,
            "\n{} left the workspace. No deletion reaches them.\n\n| entry | when | format | digest | deletions since of what it saw |\n\
             | --- | --- | --- | --- | --- |",
            plural(self.exports.len() as u64, "copy", "copies")
        );
        for export in &self.exports {
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} | {} |",
                export.entry,
                export.time,
                export.format.name(),
                export.digest,
                export.requests
            );
        }
        page.push('\n');
    }
}
