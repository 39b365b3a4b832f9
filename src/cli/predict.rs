//! `sisa predict`: answers as CSV or as lines of JSON.

use std::io::{BufWriter, Write};

use sisa::{
    engine::{Durability, Error, Scores},
    wire,
};

use super::{args::PredictArgs, exit::Exit, session::Session, show};

impl Session {
    pub(super) fn predict(&self, args: &PredictArgs) -> anyhow::Result<Exit> {
        let mut row = 0_u64;
        let mut lines = |classes: &[String], scores: &Scores| {
            let mut text = String::new();
            if row == 0 && !self.json {
                text.push_str(&header(classes, args.proba));
            }
            for (at, values) in scores.values.chunks_exact(scores.outputs).enumerate() {
                row += 1;
                let class = scores.classes.get(at).copied();
                if self.json {
                    text.push_str(&wire::line(&wire::Prediction::of(row, class, values, classes, args.proba)));
                } else {
                    let class = class.map(|c| classes.get(c as usize).map_or("", String::as_str));
                    text.push_str(&csv_line(row, class, values, args.proba));
                }
            }
            text
        };
        let rows = match &args.output {
            Some(path) => {
                self.may_write(path, &[b"row,prediction", b"\"type\":\"prediction\""])?;
                let mut file = self.engine.files().begin(path).map_err(Error::from)?;
                let rows = self.engine.predict(&args.sources.clone().into(), &self.terminal, |classes, scores| {
                    file.write(lines(classes, scores).as_bytes()).map_err(Error::from)
                })?;
                let _ = file.publish(Durability::Now).map_err(Error::from)?;
                rows
            }
            None => {
                let mut out = BufWriter::new(std::io::stdout());
                let mut broken = None;
                let rows = self.engine.predict(&args.sources.clone().into(), &self.terminal, |classes, scores| {
                    out.write_all(lines(classes, scores).as_bytes()).map_err(|e| {
                        broken = Some(e);
                        Error::Interrupted
                    })
                });
                if let Some(e) = broken {
                    return Err(e.into());
                }
                out.flush()?;
                rows?
            }
        };
        self.terminal.done();
        if let Some(path) = &args.output {
            self.result(
                || format!("wrote {} predictions to {}\n", show::count(rows), path.display()),
                || wire::Predicted::of(rows, path),
            )?;
        }
        Ok(Exit::Done)
    }
}

/// A CSV field, quoted where it has to be.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.into() }
}

fn header(classes: &[String], proba: bool) -> String {
    let mut text = String::from("row,prediction");
    if proba {
        classes.iter().for_each(|c| {
            text.push(',');
            text.push_str(&field(&format!("p_{c}")));
        });
    }
    text.push('\n');
    text
}

fn csv_line(row: u64, class: Option<&str>, values: &[f32], proba: bool) -> String {
    let mut text = match (class, values) {
        (Some(class), _) => format!("{row},{}", field(class)),
        (None, [number, ..]) => format!("{row},{number}"),
        (None, []) => format!("{row},"),
    };
    if proba && class.is_some() {
        values.iter().for_each(|v| text.push_str(&format!(",{v}")));
    }
    text.push('\n');
    text
}
