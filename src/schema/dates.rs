//! Columns of dates, compared with a day.

use super::{DateOrder, DateUnit, Kind, Moment, Schema, format::days_of_text};

/// A declared column of dates, as rows hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateColumn {
    /// Its name.
    pub name: String,
    /// Which of a row's numbers it is.
    pub number: usize,
    unit: DateUnit,
    origin: i64,
}

impl DateColumn {
    /// What a date counts in this column, as rows hold it: comparing it with a row's number compares the dates, down to what a number of
    /// 32 bits tells apart. A missing date is NaN.
    pub fn of(&self, date: &Date) -> f32 {
        date.0.number(self.unit, self.origin) + 0.0
    }
}

/// A day, or a moment of one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Date(Moment);

impl Date {
    /// The date that an ISO 8601 text spells, such as `2023-01-31` or `2023-01-31T12:00:00Z`.
    pub fn parse(text: &str) -> Option<Date> {
        Moment::parse(DateOrder::YearMonthDay, text.as_bytes()).map(Date)
    }

    /// What tells it from every other one.
    pub fn identity(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let (days, seconds) = (self.0.days.to_le_bytes(), self.0.seconds.to_bits().to_le_bytes());
        bytes.iter_mut().zip(days.into_iter().chain(seconds)).for_each(|(to, from)| *to = from);
        bytes
    }
}

impl Schema {
    /// The columns that are declared dates, in their order.
    pub fn date_columns(&self) -> Vec<DateColumn> {
        let mut columns = Vec::new();
        let mut number = 0;
        for column in &self.columns {
            match &column.kind {
                Kind::Date { unit, origin, .. } => {
                    let origin = days_of_text(origin).unwrap_or_default();
                    columns.push(DateColumn { name: column.name.clone(), number, unit: *unit, origin });
                    number += 1;
                }
                Kind::Number { .. } => number += 1,
                Kind::Embedding { size, .. } => number += *size as usize,
                Kind::Boolean | Kind::Byte { .. } | Kind::Values { .. } | Kind::Buckets { .. } | Kind::Ignore => {}
            }
        }
        columns
    }
}

#[cfg(test)]
pub(super) mod tests_of_dates {
    use super::*;
    use crate::schema::{Declaration, LabelDeclaration, RowLayout};

    /// A schema whose date `seen` comes behind numbers of every other kind.
    pub(in crate::schema) fn dated(unit: DateUnit) -> Schema {
        let unit = if unit == DateUnit::Days { "days" } else { "seconds" };
        let columns = format!(
            "v = {{ kind = \"embedding\", size = 3, range = [-1, 1] }}\nage = \"number\"\n\
             seen = {{ kind = \"date\", order = \"year-month-day\", unit = \"{unit}\", parts = [\"month\"] }}"
        );
        let columns: toml::Table = columns.parse().unwrap();
        let label: LabelDeclaration = toml::from_str("column = \"y\"\nvalues = [\"a\", \"b\"]").unwrap();
        let declaration = Declaration {
            subject: None,
            record: Vec::new(),
            label,
            missing: vec![String::new()],
            exceptions: Default::default(),
            format: Default::default(),
            columns: columns.into_iter().map(|(name, value)| (name, value.try_into().unwrap())).collect(),
        };
        declaration.resolve("t", &["v0", "v1", "v2", "age", "seen", "y"].map(String::from)).unwrap()
    }

    #[test]
    fn a_date_is_the_number_where_its_layout_says() {
        let schema = dated(DateUnit::Days);
        let RowLayout { numbers, .. } = schema.row();
        let seen = schema.date_columns();
        // It was the second number: those of an embedding were counted as none.
        assert_eq!((seen.len(), seen[0].number, numbers), (1, 4, 5));
    }
}
