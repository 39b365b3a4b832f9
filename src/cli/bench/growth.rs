//! Batches that came later, as text.

use sisa::lab::{BenchReport, GrowthReport};

use super::{or_dash, show};

/// What batches cost, and deletions before and after them.
pub(super) fn text(growth: &GrowthReport) -> String {
    let share = |row_passes: u64| row_passes as f64 / growth.import.row_passes.max(1) as f64;
    let median = |deletions, of: fn(&sisa::lab::DeletionSample) -> f64| GrowthReport::median(deletions, of);
    let cost = |deletions| {
        let (passes, time) = (median(deletions, |d| d.row_passes as f64), median(deletions, |d| d.repaired));
        format!("{} row-passes, {}", or_dash(passes, |p| show::count(p as u64)), or_dash(time, show::seconds))
    };
    let planned =
        growth.planned.map_or(String::new(), |planned| format!(" ({:.2} and {:.2} calculated)", planned.all, planned.worst));
    format!(
        "\n{} batches of {:.1} % each, appended to an import that was trained in {} ({} row-passes):\n  \
         {:.2} trainings of it in all, the dearest {:.2}{planned}; one takes {}, from its rows in memory until it is trained on\n  \
         training everything anew then: {} ({} row-passes)\n  \
         one deletion: {} before, {} with {} slices a shard\n",
        growth.appends.len(),
        100.0 * growth.arrivals.share,
        show::seconds(growth.import.seconds),
        show::count(growth.import.row_passes),
        share(growth.row_passes()),
        share(growth.worst()),
        or_dash(BenchReport::seconds(&growth.appends), show::seconds),
        show::seconds(growth.anew.seconds),
        show::count(growth.anew.row_passes),
        cost(growth.before.as_slice()),
        cost(growth.after.as_slice()),
        growth.slices,
    )
}
