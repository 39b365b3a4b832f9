//! `sisa bench --report`: one page with charts.

use sisa::engine::bench::BenchReport;

/// The page.
pub(crate) fn html(_: &BenchReport) -> String {
    String::new()
}
