//! Cohorts: records by the year or month of a declared date, so that those older than a day are whole shards.
//!
//! A cohort follows from the declaration and the row alone, never from other rows.

use serde::{Deserialize, Serialize};

use super::{Date, Schema, SchemaError};
use crate::ids::Block;

/// How long a cohort is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CohortUnit {
    /// From the first of January on.
    #[default]
    Year,
    /// From the first of a month on.
    Month,
}

/// Which cohorts there are, as declared and as frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cohorts {
    /// The column, declared a date.
    pub column: String,
    /// How long each is.
    #[serde(default)]
    pub unit: CohortUnit,
    /// The year of the first.
    pub from: u32,
    /// The year of the last, itself included.
    pub to: u32,
}

/// Which block of shards an encoded row belongs to. By default there is one block.
#[derive(Clone, Debug, Default)]
pub struct Blocks(Option<Dated>);

/// Blocks by a date.
#[derive(Clone, Debug)]
struct Dated {
    /// Which of a row's numbers the date is.
    number: usize,
    /// Where each cohort begins, and where the last one ends, as rows hold dates; ascending.
    bounds: Vec<f32>,
}

/// Years are written with four digits, also the one after the last.
const YEARS: std::ops::RangeInclusive<u32> = 1..=9998;

impl Cohorts {
    /// The first days of the cohorts, and of the one that would come after the last.
    fn first_days(&self) -> Vec<String> {
        let months = if self.unit == CohortUnit::Month { 12 } else { 1 };
        let within = (self.from..=self.to).flat_map(|year| (1..=months).map(move |month| (year, month)));
        within.chain([(self.to + 1, 1)]).map(|(year, month)| format!("{year:04}-{month:02}-01")).collect()
    }

    /// How many blocks of shards there are: one for each cohort, in their order, and a last one for the records of none of them, which are those
    /// without a date and those outside the range.
    pub fn blocks(&self) -> u32 {
        let months = if self.unit == CohortUnit::Month { 12 } else { 1 };
        (self.to.saturating_add(1).saturating_sub(self.from)).saturating_mul(months).saturating_add(1)
    }

    /// What a block's cohort is called: `2024`, or `2024-03`; `None` for the last block, which is none.
    pub fn name(&self, block: Block) -> Option<String> {
        if block.0 + 1 >= self.blocks() {
            return None;
        }
        Some(match self.unit {
            CohortUnit::Year => format!("{:04}", self.from + block.0),
            CohortUnit::Month => format!("{:04}-{:02}", self.from + block.0 / 12, 1 + block.0 % 12),
        })
    }

    /// As it is written in a configuration.
    pub fn toml(&self) -> String {
        let column = toml::Value::String(self.column.clone());
        format!("{{ column = {column}, unit = \"{}\", from = {}, to = {} }}", self.unit_name(), self.from, self.to)
    }

    fn unit_name(&self) -> &'static str {
        if self.unit == CohortUnit::Month { "month" } else { "year" }
    }

    /// What they are, in words.
    pub fn describe(&self) -> String {
        let unit = self.unit_name();
        format!("cohorts by {unit} of `{}` from {} to {}", self.column, self.from, self.to)
    }
}

impl Schema {
    /// Which block each row of this schema belongs to.
    ///
    /// # Errors
    /// The range is none, the column is not declared a date, or its rows hold dates too coarsely to tell the cohorts apart.
    pub fn blocks(&self, cohorts: Option<&Cohorts>) -> Result<Blocks, SchemaError> {
        let Some(cohorts) = cohorts else { return Ok(Blocks::default()) };
        let wrong = |problem: String| Err(SchemaError::Declaration { at: "[shards] cohort".into(), problem });
        let Cohorts { column, from, to, .. } = cohorts;
        if from > to || !YEARS.contains(from) || !YEARS.contains(to) {
            return wrong(format!("from {from} to {to} is no range of years; allowed are 1 to 9998, the first of them first"));
        }
        let dates = self.date_columns();
        let Some(date) = dates.iter().find(|date| date.name == *column) else {
            let names: Vec<&str> = dates.iter().map(|date| date.name.as_str()).collect();
            let there = if names.is_empty() { "no column is".into() } else { format!("those that are: {}", names.join(", ")) };
            return wrong(format!(
                "`{column}` is not declared a date ({there}); declare it `{{ kind = \"date\", order = \"year-month-day\" }}` or as it is written"
            ));
        };
        let bounds: Vec<f32> = cohorts.first_days().iter().filter_map(|day| Some(date.of(&Date::parse(day)?))).collect();
        if !bounds.is_sorted_by(|a, b| a < b) {
            return wrong(format!(
                "rows hold `{column}` too coarsely that far from its origin to tell the cohorts apart; declare an `origin` nearer to them"
            ));
        }
        Ok(Blocks(Some(Dated { number: date.number, bounds })))
    }
}

impl Blocks {
    /// The block of an encoded row.
    pub fn of(&self, row: &[u8]) -> Block {
        let Some(Dated { number, bounds }) = &self.0 else { return Block(0) };
        // The label comes first.
        let at = 4 * (number + 1);
        let cell = row.get(at..at + 4).and_then(|cell| cell.try_into().ok());
        let date = cell.map_or(f32::NAN, f32::from_le_bytes);
        // No bound is passed by what is missing.
        let passed = bounds.partition_point(|bound| *bound <= date);
        let cohorts = bounds.len().saturating_sub(1);
        Block(passed.checked_sub(1).unwrap_or(cohorts).min(cohorts) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{DateUnit, Kind, tests_of_dates::dated};

    fn cohorts(unit: CohortUnit) -> Cohorts {
        Cohorts { column: "seen".into(), unit, from: 2019, to: 2021 }
    }

    #[test]
    fn a_row_is_in_the_cohort_of_its_date_and_else_in_the_last_block() {
        for unit in [DateUnit::Days, DateUnit::Seconds] {
            let schema = dated(unit);
            let date = schema.date_columns().remove(0);
            let row = |day: Option<&str>| {
                let number = day.map_or(f32::NAN, |day| date.of(&Date::parse(day).unwrap()));
                let mut row = vec![0; 4 + 4 * date.number];
                row.extend_from_slice(&number.to_le_bytes());
                row
            };
            let years = schema.blocks(Some(&cohorts(CohortUnit::Year))).unwrap();
            let months = schema.blocks(Some(&cohorts(CohortUnit::Month))).unwrap();
            assert_eq!((cohorts(CohortUnit::Year).blocks(), cohorts(CohortUnit::Month).blocks()), (4, 37));
            for (day, year, month) in [
                (Some("2018-12-31"), 3, 36),
                (Some("2019-01-01"), 0, 0),
                (Some("2019-12-31"), 0, 11),
                (Some("2020-01-01"), 1, 12),
                (Some("2020-02-29T12:00"), 1, 13),
                (Some("2021-12-31"), 2, 35),
                (Some("2022-01-01"), 3, 36),
                (None, 3, 36),
            ] {
                assert_eq!((years.of(&row(day)), months.of(&row(day))), (Block(year), Block(month)), "{day:?}");
            }
            assert_eq!(schema.blocks(None).unwrap().of(&row(None)), Block(0));
        }
        let (years, months) = (cohorts(CohortUnit::Year), cohorts(CohortUnit::Month));
        assert_eq!([0, 2, 3].map(|b| years.name(Block(b))), [Some("2019".into()), Some("2021".into()), None]);
        assert_eq!([0, 13, 36].map(|b| months.name(Block(b))), [Some("2019-01".into()), Some("2020-02".into()), None]);
    }

    #[test]
    fn what_is_no_range_or_no_date_is_refused() {
        let schema = dated(DateUnit::Days);
        let says = |cohorts: Cohorts, schema: &Schema| schema.blocks(Some(&cohorts)).unwrap_err().to_string();
        let years = cohorts(CohortUnit::Year);
        assert!(says(Cohorts { from: 2022, ..years.clone() }, &schema).contains("from 2022 to 2021 is no range of years"));
        assert!(says(Cohorts { to: u32::MAX, ..years.clone() }, &schema).contains("is no range of years"));
        assert!(
            says(Cohorts { column: "v".into(), ..years.clone() }, &schema).contains("not declared a date (those that are: seen)")
        );
        let mut far = dated(DateUnit::Seconds);
        for column in &mut far.columns {
            if let Kind::Date { origin, .. } = &mut column.kind {
                *origin = "0001-01-01".into();
            }
        }
        // A number of 32 bits tells seconds two thousand years on apart by 4,096 of them, which is enough for a month.
        assert!(far.blocks(Some(&cohorts(CohortUnit::Month))).is_ok());
    }
}
