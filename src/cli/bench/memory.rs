//! Deletions in memory, as text.

use sisa::lab::MemoryReport;

use super::{or_dash, show};

/// What the cells of a line are.
pub(crate) const HEADS: [&str; 10] = [
    "learner",
    "deletions",
    "mean",
    "median",
    "99 of 100 below",
    "batch",
    "states",
    "training, one thread",
    "training",
    "scored a second",
];

/// A time down to microseconds.
fn short(seconds: f64) -> String {
    if seconds < 0.01 { format!("{:.3} ms", seconds * 1e3) } else { show::seconds(seconds) }
}

/// One learner.
pub(crate) fn line(memory: &MemoryReport) -> [String; 10] {
    [
        memory.learner.to_owned(),
        show::count(memory.deletions as u64),
        short(memory.mean_seconds),
        short(memory.median_seconds),
        short(memory.p99_seconds),
        or_dash(memory.batch_seconds, |s| format!("{} of {}", short(s), memory.batch)),
        show::bytes(memory.state_bytes),
        show::seconds(memory.train_seconds_one_thread),
        show::seconds(memory.train_seconds),
        or_dash(memory.predict_rows_per_second, |r| format!("{} rows", show::count(r as u64))),
    ]
}

/// A block of text.
pub(super) fn text(memory: &MemoryReport) -> String {
    let [learner, count, mean, median, p99, batch, bytes, solo, all, scored] = line(memory);
    let batch = memory.batch_seconds.map_or(String::new(), |_| format!("; a batch: {batch} records"));
    let scored = memory.predict_rows_per_second.map_or(String::new(), |_| format!("; {scored} scored a second"));
    format!(
        "\n{learner} in memory, S={} R={}, one thread, no disk: {count} single records, mean {mean}, median {median}, 99 of 100 at most {p99}{batch}\n\
         states of {bytes}; trained in {solo} on one thread, {all} on all{scored}\n\
         all states are, byte for byte, those of training on what remains\n",
        memory.shards, memory.slices,
    )
}
