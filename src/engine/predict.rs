//! `sisa predict`.

use std::sync::Arc;

use rayon::ThreadPool;

use super::{Engine, Epoch, Error, Observer, Progress, Serving, serving::Loaded};
use crate::{
    learn::Rows,
    predict::{Ensemble, PredictError, Scores},
    schema::{EncodedRows, Encoder, Schema},
    source::{Batch, Input, Source, SourceError, TextForm},
};

/// So many rows are scored sooner than they are handed to other threads.
const ROWS_HERE: usize = 256;
/// Rows that are scored together, unless they are very wide. A batch of a source has few wide rows: too few for all
/// threads, and for learners outside this program, whose questions are filled up to 256 rows.
const ROWS_TOGETHER: usize = 2048;
/// Bytes of encoded rows and of the cells that name them after which no more are gathered.
const BYTES_TOGETHER: usize = 8 << 20;

/// What an ensemble says of some rows, and what that stands on.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// The class names, in order; empty for numbers.
    pub classes: Arc<[String]>,
    /// The scores, row by row.
    pub scores: Scores,
    /// Generation, recipe and ledger entry.
    pub epoch: Epoch,
}

/// The cells that say what the rows of a batch are about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// The names of their columns.
    pub columns: Vec<String>,
    /// Row by row, a cell a column.
    pub cells: Vec<String>,
    /// Where the columns stand in the source.
    at: Vec<usize>,
}

impl Named {
    fn of(schema: &Schema, ids: &[String], source: &dyn Source) -> Result<Named, Error> {
        let of_schema: Vec<String> = schema.subject.iter().chain(&schema.record).cloned().collect();
        let mut named = Named::default();
        for id in if ids.is_empty() { &of_schema } else { ids } {
            match source.columns().iter().position(|column| column == id) {
                Some(at) if !named.at.contains(&at) => {
                    named.at.push(at);
                    named.columns.push(id.clone());
                }
                Some(_) => {}
                None if ids.is_empty() => {}
                None => {
                    let (column, columns) = (id.clone(), crate::schema::some_of(source.columns(), id));
                    return Err(Error::NoIdColumn { column, source_name: source.name().to_string(), columns });
                }
            }
        }
        Ok(named)
    }

    fn add(&mut self, batch: &Batch) {
        for row in 0..batch.rows() {
            self.cells.extend(self.at.iter().map(|at| batch.cell(row, *at).to_string()));
        }
    }

    fn bytes(&self) -> usize {
        self.cells.iter().map(String::len).sum()
    }
}

impl Engine {
    /// Loads what is in service, for one command.
    pub(super) fn loaded(&self, observer: &dyn Observer) -> Result<Loaded, Error> {
        let loaded = Loaded::load(&self.workspace)?;
        loaded.tell(observer);
        Ok(loaded)
    }

    /// Scores every row of the sources and hands them on in order, with the names of the classes.
    ///
    /// # Errors
    /// Nothing can answer, a row is wrong, or the workspace moved on (what was handed on is then not to be used).
    pub fn predict(
        &self,
        sources: &Input,
        observer: &dyn Observer,
        mut then: impl FnMut(&[String], &Scores) -> Result<(), Error> + Send,
    ) -> Result<u64, Error> {
        self.predict_named(sources, &[], observer, |_, classes, scores| then(classes, scores))
    }

    /// As [`Engine::predict`], with the cells of some columns beside the scores of each row, so that answers can be joined with what they
    /// are about: `ids`, or without any the subject's and the record's columns as far as a source has them. A source without
    /// rows is handed on as one batch of none.
    ///
    /// # Errors
    /// As [`Engine::predict`], or a source has no such column.
    pub fn predict_named(
        &self,
        sources: &Input,
        ids: &[String],
        observer: &dyn Observer,
        mut then: impl FnMut(&Named, &[String], &Scores) -> Result<(), Error> + Send,
    ) -> Result<u64, Error> {
        let threads = self.threads.answering()?;
        threads.install(|| {
            let serving = self.loaded(observer)?;
            let rows = serving.score(sources, threads, (false, Some(ids)), observer, |scores, _, named| {
                serving.still(&self.workspace)?;
                then(named, &serving.classes, scores)
            });
            self.if_still(&serving.snapshot, rows)
        })
    }

    /// Scores every row of the sources, in order. Whoever asks more than once keeps a [`Serving`].
    ///
    /// # Errors
    /// As [`Engine::predict`], but for a workspace that moved on: then it is asked again.
    pub fn scores(&self, sources: &Input, observer: &dyn Observer) -> Result<Answers, Error> {
        self.serving()?.scores(sources, observer)
    }
}

impl Serving {
    /// Scores every row of the sources, in order. A table of few rows is scored by the thread that asks, larger ones by all threads of
    /// the engine.
    ///
    /// # Errors
    /// Nothing can answer, a row is wrong, or so much came into effect meanwhile that the answer never stood still.
    pub fn scores(&self, sources: &Input, observer: &dyn Observer) -> Result<Answers, Error> {
        let ((classes, scores), epoch) = self.answer(|loaded| {
            let mut answer =
                Scores { outputs: loaded.model.shards.layout().task.outputs(), values: Vec::new(), classes: Vec::new() };
            let mut add = |scores: &Scores, _: &Rows<'_>| {
                answer.values.extend_from_slice(&scores.values);
                answer.classes.extend_from_slice(&scores.classes);
                Ok(())
            };
            loaded.score(sources, self.pool()?, (false, None), observer, |scores, rows, _| add(scores, rows))?;
            Ok((loaded.classes.clone(), answer))
        })?;
        Ok(Answers { classes, scores, epoch })
    }
}

impl Loaded {
    /// Encodes and scores sources ([`Answering::score`]).
    pub(super) fn score(
        &self,
        sources: &Input,
        pool: &ThreadPool,
        asked: (bool, Option<&[String]>),
        observer: &dyn Observer,
        then: impl FnMut(&Scores, &Rows<'_>, &Named) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let Loaded { schema, form, ensemble, .. } = self;
        Answering { schema, form, ensemble }.score(sources, pool, asked, observer, then)
    }
}

/// Rows that are scored together, with the cells that name them.
struct Together {
    batch: Batch,
    table: EncodedRows,
    named: Named,
}

impl Together {
    /// The next rows of a source in place of what was there; returns how many were read, 0 at its end.
    fn next(&mut self, source: &mut dyn Source, encoder: &Encoder) -> Result<u64, Error> {
        self.table.clear();
        self.named.cells.clear();
        let mut rows = 0;
        while self.table.rows() < ROWS_TOGETHER && self.table.bytes() + self.named.bytes() < BYTES_TOGETHER {
            let read = source.next(&mut self.batch)?;
            if read == 0 {
                break;
            }
            rows += read as u64;
            self.table.add(encoder, &self.batch, usize::MAX).map_err(Error::cell)?;
            self.named.add(&self.batch);
        }
        Ok(rows)
    }
}

/// What answers, and how its questions are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answering<'a> {
    pub(super) schema: &'a Schema,
    pub(super) form: &'a TextForm,
    pub(super) ensemble: &'a Ensemble,
}

impl Answering<'_> {
    /// Encodes and scores sources, batch by batch: small batches on the thread that calls, others on all of `pool`.
    pub(super) fn score(
        &self,
        sources: &Input,
        pool: &ThreadPool,
        (labelled, ids): (bool, Option<&[String]>),
        observer: &dyn Observer,
        mut then: impl FnMut(&Scores, &Rows<'_>, &Named) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let mut rows = 0;
        for mut source in sources.open_ahead(self.form)? {
            let encoder = Encoder::new(self.schema, source.name(), source.columns(), false)?;
            if labelled && !encoder.has_label() {
                let column = self.schema.label.column().to_owned();
                return Err(Error::NoLabel { name: source.name().to_string(), column });
            }
            let undeclared = self.schema.undeclared(source.columns());
            if !undeclared.is_empty() {
                observer.note(&format!(
                    "{}: passed over, as the model does not know them: {}",
                    source.name(),
                    undeclared.join(", ")
                ));
            }
            let named = ids.map_or_else(|| Ok(Named::default()), |ids| Named::of(self.schema, ids, source.as_ref()))?;
            let mut positions = self.schema.positions(source.columns());
            positions.extend(named.at.iter().copied().filter(|at| !positions.contains(at)).collect::<Vec<_>>());
            positions.sort_unstable();
            source.only(&positions);
            let encoder = if labelled { encoder } else { encoder.without_label() };
            let mut together = Together { batch: Batch::new(), table: EncodedRows::new(self.schema.row()), named };
            let mut any = false;
            loop {
                let read = match together.next(source.as_mut(), &encoder) {
                    // Nothing is asked, so nothing is answered.
                    Err(Error::Source(SourceError::NoRows { .. })) if !any && !labelled => 0,
                    Ok(0) => break,
                    read => read?,
                };
                any = true;
                let view = together.table.view();
                let score = || self.ensemble.scores(&view.features);
                let scores = if view.features.rows() <= ROWS_HERE { score() } else { pool.install(score) };
                let scores = scores.map_err(PredictError::from)?;
                then(&scores, &view, &together.named)?;
                if read == 0 {
                    break;
                }
                rows += read;
                observer.progress(Progress::Scoring { rows });
                if observer.stopped() {
                    return Err(Error::Interrupted);
                }
            }
        }
        Ok(rows)
    }
}
