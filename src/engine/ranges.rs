//! Which numbers lack the range that a learner needs, and the lines that declare them.

use super::{Engine, Error};
use crate::{
    config::{Config, ConfigError, Overrides},
    learn::Range,
    propose::{self, Proposal, Request, column_line, range_line},
    schema::{Kind, Label, Schema},
    source::Input,
    train::Recipe,
};

impl Engine {
    /// Refuses rows that the learner of a recipe can't take. Of numbers without a range all are named, with the line that would be proposed for
    /// them if the sources can be read.
    pub(super) fn check_rows(
        &self,
        recipe: &Recipe,
        schema: &Schema,
        config: Option<&Config>,
        sources: &Input,
    ) -> Result<(), Error> {
        let Err(refusal) = recipe.accepts(&schema.layout()) else { return Ok(()) };
        if !refusal.is_range() {
            return Err(ConfigError::from(refusal).into());
        }
        let proposed = config.and_then(|config| self.proposal_for(schema, config, &config.input(sources)));
        Err(lacking(recipe.learner.kind(), schema, proposed.as_ref().map(|p| &p.schema)))
    }

    /// What would be proposed for the same label and ids, if the sources are there and make sense.
    fn proposal_for(&self, schema: &Schema, config: &Config, sources: &Input) -> Option<Proposal> {
        let overrides = Overrides {
            label: Some(schema.label.column().to_owned()),
            subject: schema.subject.clone(),
            record: schema.record.clone(),
            // One that takes any rows: it is not what is asked for here.
            learner: Some("linear".to_owned()),
            ..Overrides::default()
        };
        let request = Request { names: &[], path: "sisa.toml".as_ref(), overrides: &overrides, threads: self.threads() };
        propose::propose(&|| sources.open(&config.form()), &request).ok()
    }
}

/// The error that names every number without a range.
fn lacking(learner: &'static str, schema: &Schema, proposed: Option<&Schema>) -> Error {
    let (mut lines, mut unknown, mut label) = (Vec::new(), Vec::new(), None);
    let of_proposed = |name: &str| {
        let column = proposed?.columns.iter().find(|column| column.name == name)?;
        range_of(&column.kind)
    };
    for column in schema.columns.iter().filter(|column| is_number(&column.kind) && range_of(&column.kind).is_none()) {
        match of_proposed(&column.name).and_then(|range| with_range(&column.kind, range)) {
            Some(kind) => lines.push(column_line(&column.name, &kind)),
            None => unknown.push(column.name.clone()),
        }
    }
    if let Label::Number { column, range: None, .. } = &schema.label {
        match proposed.map(|p| &p.label) {
            Some(Label::Number { range: Some(range), .. }) => label = Some(range_line(*range)),
            _ => unknown.push(column.clone()),
        }
    }
    Error::NoRanges { learner, columns: lines, label, unknown }
}

fn is_number(kind: &Kind) -> bool {
    matches!(kind, Kind::Number { .. } | Kind::Date { .. })
}

fn range_of(kind: &Kind) -> Option<Range> {
    match kind {
        Kind::Number { range, .. } | Kind::Date { range, .. } => range.filter(|range| range.0[0] < range.0[1]),
        _ => None,
    }
}

fn with_range(kind: &Kind, ends: Range) -> Option<Kind> {
    let mut kind = kind.clone();
    match &mut kind {
        Kind::Number { range, .. } | Kind::Date { range, .. } => *range = Some(ends),
        _ => return None,
    }
    Some(kind)
}
