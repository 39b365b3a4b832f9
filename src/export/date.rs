//! Moments: seconds since 1970 to the number of a date column and to its parts.

use super::graph::{Attr, Elem, Graph, Value};
use crate::schema::{DatePart, DateUnit, days_of_text};

/// Seconds of a day.
const DAY: f64 = 86_400.0;

/// The moments of a column; all vectors of a cell a row.
pub(super) struct Moment {
    /// Which are missing.
    missing: Value,
    /// Whole days since 1970 (f64), 0 where missing.
    days: Value,
    /// Seconds of the day (f64).
    seconds: Value,
}

impl Moment {
    /// Of seconds since 1970; NaN and infinite ones are missing.
    pub(super) fn of(graph: &mut Graph, given: &Value) -> Moment {
        let narrow = graph.cast(given, Elem::F32);
        let (nan, infinite) = (graph.op("IsNaN", &[&narrow]), graph.op("IsInf", &[&narrow]));
        let missing = graph.op("Or", &[&nan, &infinite]);
        let (zero, day) = (graph.scalar(0.0_f64), graph.scalar(DAY));
        let given = graph.op("Where", &[&missing, &zero, given]);
        let days = graph.op("Div", &[&given, &day]);
        let days = graph.op("Floor", &[&days]);
        let whole = graph.op("Mul", &[&days, &day]);
        let seconds = graph.op("Sub", &[&given, &whole]);
        Moment { missing, days, seconds }
    }

    /// What the column counts since its origin: f32, NaN where missing.
    pub(super) fn number(&self, graph: &mut Graph, unit: DateUnit, origin: &str) -> Value {
        let origin = graph.scalar(days_of_text(origin).unwrap_or_default() as f64);
        let day = graph.scalar(DAY);
        let days = graph.op("Sub", &[&self.days, &origin]);
        let number = match unit {
            DateUnit::Days => {
                let part = graph.op("Div", &[&self.seconds, &day]);
                graph.op("Add", &[&days, &part])
            }
            DateUnit::Seconds => {
                let whole = graph.op("Mul", &[&days, &day]);
                graph.op("Add", &[&whole, &self.seconds])
            }
        };
        let (number, nan) = (graph.cast(&number, Elem::F32), graph.scalar(f32::NAN));
        graph.op("Where", &[&self.missing, &nan, &number])
    }

    /// The index of a part: i64.
    pub(super) fn part(&self, graph: &mut Graph, part: DatePart) -> Value {
        let index = match part {
            DatePart::Hour => {
                let hour = graph.scalar(3600.0_f64);
                let hours = graph.op("Div", &[&self.seconds, &hour]);
                graph.cast(&hours, Elem::I64)
            }
            DatePart::Weekday => {
                let days = graph.cast(&self.days, Elem::I64);
                // 1970-01-01 was a Thursday; the remainder has the sign of the divisor.
                let (three, seven) = (graph.scalar(3_i64), graph.scalar(7_i64));
                let days = graph.op("Add", &[&days, &three]);
                graph.op_with("Mod", &[&days, &seven], &[("fmod", Attr::Int(0))])
            }
            DatePart::Month => self.month(graph),
        };
        let missing = graph.scalar(i64::from(part.count()));
        graph.op("Where", &[&self.missing, &missing, &index])
    }

    /// The month from 0, by eras of 400 years that begin in March (Hinnant, "chrono-compatible low-level date algorithms").
    fn month(&self, graph: &mut Graph) -> Value {
        let days = graph.cast(&self.days, Elem::I64);
        let whole = |graph: &mut Graph, op, value: &Value, by: i64| {
            let by = graph.scalar(by);
            graph.op(op, &[value, &by])
        };
        let shifted = whole(graph, "Add", &days, 719_468);
        let era = graph.scalar(146_097_i64);
        let within = graph.op_with("Mod", &[&shifted, &era], &[("fmod", Attr::Int(0))]);
        let [fours, hundreds, last] = [1460, 36_524, 146_096].map(|by| whole(graph, "Div", &within, by));
        let without = graph.op("Sub", &[&within, &fours]);
        let without = graph.op("Add", &[&without, &hundreds]);
        let without = graph.op("Sub", &[&without, &last]);
        let year = whole(graph, "Div", &without, 365);
        let begun = whole(graph, "Mul", &year, 365);
        let (leap, skipped) = (whole(graph, "Div", &year, 4), whole(graph, "Div", &year, 100));
        let begun = graph.op("Add", &[&begun, &leap]);
        let begun = graph.op("Sub", &[&begun, &skipped]);
        let day = graph.op("Sub", &[&within, &begun]);
        let fives = whole(graph, "Mul", &day, 5);
        let fives = whole(graph, "Add", &fives, 2);
        // From March on; March is 2.
        let month = whole(graph, "Div", &fives, 153);
        let month = whole(graph, "Add", &month, 2);
        let twelve = graph.scalar(12_i64);
        graph.op_with("Mod", &[&month, &twelve], &[("fmod", Attr::Int(0))])
    }
}
