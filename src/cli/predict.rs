//! `sisa predict`: answers as CSV or as lines of JSON.

use std::io::{BufWriter, Write};

use sisa::{
    engine::{Durability, Error, Named, Scores},
    wire,
};

use super::{args::PredictArgs, exit::Exit, session::Session, show};

impl Session {
    pub(super) fn predict(&self, args: &PredictArgs) -> anyhow::Result<Exit> {
        let mut row = 0_u64;
        let mut begun = false;
        let mut lines = |named: &Named, classes: &[String], scores: &Scores| {
            let mut text = String::new();
            if !std::mem::replace(&mut begun, true) && !self.json {
                text.push_str(&header(&named.columns, classes, args.proba));
            }
            for (at, values) in scores.values.chunks_exact(scores.outputs).enumerate() {
                row += 1;
                let class = scores.classes.get(at).copied();
                let width = named.columns.len();
                let ids = named.cells.get(at * width..(at + 1) * width).unwrap_or_default();
                if self.json {
                    let answer = wire::Prediction::of(row, class, values, classes, args.proba);
                    text.push_str(&wire::line(&answer.about(&named.columns, ids)));
                } else {
                    let class = class.map(|c| classes.get(c as usize).map_or("", String::as_str));
                    text.push_str(&csv_line(row, ids, class, values, args.proba));
                }
            }
            text
        };
        let rows = match &args.output {
            Some(path) => {
                self.may_write(path, is_answers)?;
                let mut file = self.engine.files().begin(path).map_err(Error::from)?;
                let rows = self.engine.predict_named(
                    &args.sources.clone().into(),
                    &args.id,
                    &self.terminal,
                    |named, classes, scores| file.write(lines(named, classes, scores).as_bytes()).map_err(Error::from),
                )?;
                let _ = file.publish(Durability::Now).map_err(Error::from)?;
                rows
            }
            None => {
                let mut out = BufWriter::new(std::io::stdout());
                let mut broken = None;
                let rows = self.engine.predict_named(
                    &args.sources.clone().into(),
                    &args.id,
                    &self.terminal,
                    |named, classes, scores| {
                        out.write_all(lines(named, classes, scores).as_bytes()).map_err(|e| {
                            broken = Some(e);
                            Error::Interrupted
                        })
                    },
                );
                if let Some(e) = broken {
                    return Err(e.into());
                }
                out.flush()?;
                rows?
            }
        };
        self.terminal.done();
        if let Some(path) = &args.output {
            self.summary(
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

/// Whether a file begins as answers do: with a header as [`header`] writes it, or with a line of JSON.
fn is_answers(beginning: &[u8]) -> bool {
    let json = b"\"type\":\"prediction\"";
    let line = beginning.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let csv = line.starts_with(b"row,") && line.split(|byte| *byte == b',').any(|name| name == b"prediction");
    csv || line.windows(json.len()).any(|part| part == json)
}

fn header(ids: &[String], classes: &[String], proba: bool) -> String {
    let ids: String = ids.iter().map(|id| format!("{},", field(id))).collect();
    let mut text = format!("row,{ids}prediction");
    if proba {
        classes.iter().for_each(|c| {
            text.push(',');
            text.push_str(&field(&format!("p_{c}")));
        });
    }
    text.push('\n');
    text
}

fn csv_line(row: u64, ids: &[String], class: Option<&str>, values: &[f32], proba: bool) -> String {
    let ids: String = ids.iter().map(|id| format!("{},", field(id))).collect();
    let mut text = match (class, values) {
        (Some(class), _) => format!("{row},{ids}{}", field(class)),
        (None, [number, ..]) => format!("{row},{ids}{number}"),
        (None, []) => format!("{row},{ids}"),
    };
    if proba && class.is_some() {
        values.iter().for_each(|v| text.push_str(&format!(",{v}")));
    }
    text.push('\n');
    text
}
