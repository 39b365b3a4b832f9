//! Figures for Prometheus, as text. Every value of a label is one of a fixed list, so nothing that a client sends can become one.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
};

use axum::http::StatusCode;

use super::route::Endpoint;

/// The statuses that are counted by themselves.
const STATUSES: [u16; 15] = [200, 201, 202, 400, 401, 403, 404, 405, 408, 409, 413, 415, 429, 500, 503];
/// Upper ends of the buckets of times, in seconds.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];
const ENDPOINTS: usize = Endpoint::ALL.len();

/// Times, counted by bucket.
#[derive(Debug, Default)]
struct Times {
    counts: [AtomicU64; BUCKETS.len() + 1],
    micros: AtomicU64,
}

/// What is counted since the start.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    requests: [[AtomicU64; STATUSES.len() + 1]; ENDPOINTS],
    times: [Times; ENDPOINTS],
    /// Rows that were answered.
    pub(super) rows: AtomicU64,
    /// Answers that were computed again because something came into effect meanwhile.
    pub(super) again: AtomicU64,
    /// Deletions by this process.
    pub(super) accepted: AtomicU64,
    pub(super) effective: AtomicU64,
    /// Repairs that came to an end, and that failed.
    pub(super) repairs: AtomicU64,
    pub(super) repairs_failed: AtomicU64,
    /// Callbacks that were delivered, that failed and are tried again, and that were given up.
    pub(super) callbacks: AtomicU64,
    pub(super) callbacks_failed: AtomicU64,
    pub(super) callbacks_given_up: AtomicU64,
}

/// How things stand, beside what is counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gauges {
    pub(super) ready: bool,
    pub(super) members: usize,
    pub(super) members_whole: usize,
    pub(super) shards: u32,
    pub(super) ledger_entries: u64,
    pub(super) unrepaired: usize,
    /// Of the records imported under the model key in service.
    pub(super) deleted_share: f64,
    pub(super) rekey_due: bool,
    /// What was measured last, and by which measure.
    pub(super) quality: Option<(&'static str, f64)>,
    pub(super) predictions_waiting: usize,
    pub(super) deletions_waiting: usize,
    pub(super) desk: DeskGauges,
}

/// What lies in the intake.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DeskGauges {
    pub(super) pending: usize,
    pub(super) held: usize,
    pub(super) overdue: usize,
    pub(super) untold: usize,
}

/// One more.
pub(super) fn count(counter: &AtomicU64) {
    add(counter, 1);
}

pub(super) fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

fn of(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Metrics {
    /// A request that was answered.
    pub(super) fn answered(&self, endpoint: Endpoint, status: StatusCode, seconds: f64) {
        let at = Endpoint::ALL.iter().position(|e| *e == endpoint).unwrap_or_default();
        let status = STATUSES.iter().position(|s| *s == status.as_u16()).unwrap_or(STATUSES.len());
        if let Some(counter) = self.requests.get(at).and_then(|row| row.get(status)) {
            count(counter);
        }
        if let Some(times) = self.times.get(at) {
            let bucket = BUCKETS.iter().position(|end| seconds <= *end).unwrap_or(BUCKETS.len());
            times.counts.get(bucket).into_iter().for_each(count);
            add(&times.micros, (seconds * 1e6) as u64);
        }
    }

    /// The text of all figures (Prometheus text format 0.0.4).
    pub(super) fn text(&self, gauges: &Gauges) -> String {
        let mut out = String::with_capacity(8 << 10);
        head(&mut out, "sisa_requests_total", "counter", "Requests answered, by endpoint and status.");
        for (endpoint, row) in Endpoint::ALL.iter().zip(&self.requests) {
            for (at, counter) in row.iter().enumerate().filter(|(_, counter)| of(counter) > 0) {
                let status = STATUSES.get(at).map_or("other".to_owned(), u16::to_string);
                let name = endpoint.name();
                let _ = writeln!(out, "sisa_requests_total{{endpoint=\"{name}\",status=\"{status}\"}} {}", of(counter));
            }
        }
        head(&mut out, "sisa_request_seconds", "histogram", "Seconds from a request's headers to its answer, by endpoint.");
        for (endpoint, times) in Endpoint::ALL.iter().zip(&self.times) {
            self::times(&mut out, endpoint.name(), times);
        }
        let counters = [
            ("sisa_rows_total", "Rows answered.", &self.rows),
            ("sisa_answers_again_total", "Answers computed again as something came into effect meanwhile.", &self.again),
            ("sisa_deletions_accepted_total", "Deletions that this process accepted.", &self.accepted),
            ("sisa_deletions_effective_total", "Deletions that this process brought into effect.", &self.effective),
            ("sisa_repairs_total", "Repairs that came to an end.", &self.repairs),
            ("sisa_repairs_failed_total", "Repairs that failed and are tried again.", &self.repairs_failed),
            ("sisa_callbacks_total", "Callbacks that were delivered.", &self.callbacks),
            ("sisa_callbacks_failed_total", "Callbacks that failed and are made again.", &self.callbacks_failed),
            (
                "sisa_callbacks_given_up_total",
                "Callbacks that were tried for three days and are given up.",
                &self.callbacks_given_up,
            ),
        ];
        for (name, help, counter) in counters {
            head(&mut out, name, "counter", help);
            let _ = writeln!(out, "{name} {}", of(counter));
        }
        head(&mut out, "sisa_deleted_share", "gauge", "The share of the records imported under this model key that is deleted.");
        let _ = writeln!(out, "sisa_deleted_share {}", gauges.deleted_share);
        if let Some((measure, value)) = gauges.quality {
            head(&mut out, "sisa_quality", "gauge", "How good the answers are on rows whose label is known, as measured last.");
            let _ = writeln!(out, "sisa_quality{{measure=\"{measure}\"}} {value}");
        }
        let gauges: [(&str, &str, u64); 13] = [
            ("sisa_ready", "Whether predictions are answered.", gauges.ready.into()),
            ("sisa_members", "Members that vote.", gauges.members as u64),
            ("sisa_members_whole", "Members that vote with their full weight.", gauges.members_whole as u64),
            ("sisa_shards", "Shards.", gauges.shards.into()),
            ("sisa_ledger_entries", "The number of the ledger's last entry.", gauges.ledger_entries),
            ("sisa_unrepaired", "Deletions in effect and not repaired.", gauges.unrepaired as u64),
            ("sisa_rekey_due", "Whether more of them is deleted than `rekey_after` allows.", gauges.rekey_due.into()),
            ("sisa_predictions_waiting", "Predictions that wait for a thread.", gauges.predictions_waiting as u64),
            ("sisa_deletions_waiting", "Deletions that wait for their turn.", gauges.deletions_waiting as u64),
            ("sisa_desk_pending", "Requests that are kept and not in the ledger yet.", gauges.desk.pending as u64),
            ("sisa_desk_held", "Those of them that a legal hold holds.", gauges.desk.held as u64),
            ("sisa_desk_overdue", "Requests whose day is over and that are not done.", gauges.desk.overdue as u64),
            ("sisa_callbacks_waiting", "Addresses that are to be told of something.", gauges.desk.untold as u64),
        ];
        for (name, help, value) in gauges {
            head(&mut out, name, "gauge", help);
            let _ = writeln!(out, "{name} {value}");
        }
        out
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn times(out: &mut String, endpoint: &str, times: &Times) {
    let counts: Vec<u64> = times.counts.iter().map(of).collect();
    let mut total = 0;
    for (at, count) in counts.iter().enumerate() {
        total += count;
        let end = BUCKETS.get(at).map_or("+Inf".to_owned(), f64::to_string);
        if counts.iter().any(|c| *c > 0) {
            let _ = writeln!(out, "sisa_request_seconds_bucket{{endpoint=\"{endpoint}\",le=\"{end}\"}} {total}");
        }
    }
    if total > 0 {
        let seconds = of(&times.micros) as f64 / 1e6;
        let _ = writeln!(out, "sisa_request_seconds_sum{{endpoint=\"{endpoint}\"}} {seconds}");
        let _ = writeln!(out, "sisa_request_seconds_count{{endpoint=\"{endpoint}\"}} {total}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_times_are_counted_and_buckets_add_up() {
        let metrics = Metrics::default();
        for (status, seconds) in [(200, 0.0004), (200, 0.02), (200, 99.0), (429, 0.001), (418, 0.001)] {
            metrics.answered(Endpoint::Infer, StatusCode::from_u16(status).unwrap(), seconds);
        }
        let text = metrics.text(&Gauges { ready: true, ..Gauges::default() });
        for line in [
            "sisa_requests_total{endpoint=\"infer\",status=\"200\"} 3",
            "sisa_requests_total{endpoint=\"infer\",status=\"429\"} 1",
            "sisa_requests_total{endpoint=\"infer\",status=\"other\"} 1",
            "sisa_request_seconds_bucket{endpoint=\"infer\",le=\"0.0005\"} 1",
            "sisa_request_seconds_bucket{endpoint=\"infer\",le=\"0.025\"} 4",
            "sisa_request_seconds_bucket{endpoint=\"infer\",le=\"30\"} 4",
            "sisa_request_seconds_bucket{endpoint=\"infer\",le=\"+Inf\"} 5",
            "sisa_request_seconds_count{endpoint=\"infer\"} 5",
            "sisa_ready 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}
