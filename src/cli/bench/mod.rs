//! `sisa bench`: its arguments, its processes, its table.
#![expect(clippy::disallowed_methods, reason = "reads the clock around a process of its own")]

mod deletions;
mod growth;
mod learners;
mod memory;

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::anyhow;
use clap::Args as ClapArgs;
use sisa::{
    engine::{Error, Overrides},
    lab::{BenchReport, BenchRequest, FullSample, Pick},
};

use super::{measured::Measured, plan::arrivals, show};
pub(crate) use deletions::{Line as DeletionLine, full, lines as deletion_lines};
pub(crate) use learners::{HEADS as LEARNER_HEADS, lines as learner_lines};
pub(crate) use memory::{HEADS as MEMORY_HEADS, line as memory_line};

#[derive(Debug, ClapArgs)]
pub(crate) struct BenchArgs {
    /// Bench on tables, instead of the workspace at hand [default for an empty workspace: `sources` in sisa.toml]
    #[arg(long, value_name = "SOURCE", num_args = 1..)]
    source: Vec<PathBuf>,
    /// Sizes of the batches of requests, separated by commas [default: 1,8,64; quick: 1,8]
    #[arg(long, value_name = "K,...", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..))]
    requests: Vec<u64>,
    /// Whom requests are about: uniform, zipf, or risk:COLUMN (the larger the number, the likelier)
    #[arg(long, value_name = "HOW", default_value = "uniform")]
    pick: String,
    /// Repeats of everything [default: 5; quick: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    trials: Option<u32>,
    /// The largest batch that is also deleted one by one
    #[arg(long, value_name = "K", default_value_t = 8)]
    one_by_one: u64,
    /// Numbers of shards whose accuracy and cost are compared, each under every schedule; 0 for none [default: 1,5,10,20]
    #[arg(long, value_name = "S,...", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(0..=9999))]
    frontier: Vec<u32>,
    /// Learners to measure beside each other on the same records and requests, separated by commas: mlp, linear, ridge, forest, boost
    #[arg(long, value_name = "KIND,...", value_delimiter = ',')]
    learners: Vec<String>,
    /// Single records to delete from states in memory, for learners that delete without training; 0 for none [default: 300; quick: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    memory: Option<u32>,
    /// Also append so many batches to a part of the records, and measure what they and deletions after them cost
    #[arg(long, value_name = "N")]
    batches: Option<u32>,
    /// What each of them brings, as a share of that part
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, requires = "batches")]
    batch_share: f64,
    /// A first answer: fewer requests and repeats
    #[arg(long)]
    quick: bool,
    /// Another kind of learner, for a source
    #[arg(long, value_name = "KIND")]
    learner: Option<String>,
    /// Which rows a step visits, for a source: cumulative, replay or front (boost: window)
    #[arg(long, value_name = "KIND")]
    schedule: Option<String>,
    /// Steps before the last that leave a checkpoint, for a source
    #[arg(long, value_name = "M")]
    checkpoints: Option<u32>,
    #[command(flatten)]
    pub(crate) measured: Measured,
}

impl BenchArgs {
    pub(crate) fn request(&self, config: PathBuf) -> anyhow::Result<BenchRequest> {
        let pick = match self.pick.as_str() {
            "uniform" => Pick::Uniform,
            "zipf" => Pick::Zipf,
            other => match other.strip_prefix("risk:") {
                Some(column) if !column.is_empty() => Pick::Risk(column.to_owned()),
                _ => return Err(anyhow!("--pick {other}: write uniform, zipf or risk:COLUMN")),
            },
        };
        let or = |given: &[u64], quick: &[u64], default: &[u64]| match (given.is_empty(), self.quick) {
            (false, _) => given.to_vec(),
            (true, true) => quick.to_vec(),
            (true, false) => default.to_vec(),
        };
        let schedule = self.schedule.as_deref().map(str::parse).transpose().map_err(|e: String| anyhow!("--schedule: {e}"))?;
        let frontier = if self.frontier.is_empty() { vec![1, 5, 10, 20] } else { self.frontier.clone() };
        Ok(BenchRequest {
            sources: self.source.clone().into(),
            config,
            overrides: Overrides { schedule, checkpoints: self.checkpoints, ..self.measured.overrides(self.learner.as_ref()) },
            requests: or(&self.requests, &[1, 8], &[1, 8, 64]),
            pick,
            trials: self.trials.unwrap_or(if self.quick { 3 } else { 5 }),
            one_by_one: self.one_by_one,
            frontier: frontier.into_iter().filter(|s| *s > 0).collect(),
            learners: self.learners.clone(),
            batches: self.batches.map(|batches| arrivals(batches, self.batch_share)).transpose()?,
            memory: self.memory.unwrap_or(if self.quick { 100 } else { 300 }) as usize,
        })
    }
}

/// Deletes subjects by a process of its own; returns the seconds from its start to its end, receipt written.
pub(crate) fn process(exe: &Path, root: &Path, threads: &str, handles: &[String]) -> Result<f64, Error> {
    let failed = |what: String| Error::Process { what };
    let mut command = Command::new(exe);
    command.args(["--quiet", "--json", "--threads", threads, "-w"]).arg(root).args(["delete", "--handle"]).args(handles);
    command.env(super::session::IN_SCRATCH, "1").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let begin = Instant::now();
    let output = command.output().map_err(|e| failed(format!("it can't be started: {e}")))?;
    let seconds = begin.elapsed().as_secs_f64();
    if output.status.success() {
        return Ok(seconds);
    }
    match output.status.code() {
        Some(130) => Err(Error::Interrupted),
        _ => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

/// A figure, or a dash.
pub(crate) fn or_dash(value: Option<f64>, show: impl Fn(f64) -> String) -> String {
    value.map_or("-".into(), show)
}

pub(crate) fn text(report: &BenchReport) -> String {
    let mut out = String::new();
    let quality = |q: f64| format!("{:.2} %", 100.0 * q);
    let _ = writeln!(
        out,
        "{} records, S={} R={}, {} threads; {} {} as an ensemble, {} as one model on everything",
        show::count(report.records),
        report.shards,
        report.slices,
        report.threads,
        report.quality_is,
        or_dash(report.quality, quality),
        or_dash(report.quality_of_one, quality),
    );
    let one = BenchReport::seconds(&report.one_model);
    let passes = |samples: &[FullSample]| samples.first().map_or(0, |s| s.row_passes);
    let _ = writeln!(
        out,
        "training anew: one model {} ({} row-passes), the ensemble {} ({} row-passes); medians of {} trials\n",
        or_dash(one, show::seconds),
        show::count(passes(&report.one_model)),
        or_dash(BenchReport::seconds(&report.ensemble), show::seconds),
        show::count(passes(&report.ensemble)),
        report.one_model.len(),
    );
    out.push_str(&deletions::text(report, &quality));
    let _ = writeln!(
        out,
        "\n`effective`: from the call until no answer can be influenced any more; `repaired`: until every shard is trained again. `as processes`\n\
         divides the training of one model by a whole `sisa delete`, from its start to its receipt. {}",
        match report.break_even {
            Some(k) => format!("Repairing {} requests together costs as much as one model anew.", show::count(k)),
            None => "No number of requests repaired together costs as much as one model anew.".into(),
        }
    );
    out.push_str(&learners::text(report));
    report.memory.iter().for_each(|memory| out.push_str(&memory::text(memory)));
    out.push_str(&report.growth.as_ref().map_or_else(String::new, growth::text));
    if !report.frontier.is_empty() {
        let _ = writeln!(
            out,
            "\n     S  schedule    {:>9}  cost of {} requests, of one model anew",
            report.quality_is, report.frontier_requests
        );
        for point in &report.frontier {
            let _ = writeln!(
                out,
                "{} {:>4}  {:<10}  {:>9}  {:.3}",
                if point.own { ">" } else { " " },
                point.shards,
                format!("{:?}", point.schedule).to_lowercase(),
                quality(point.quality),
                point.cost
            );
        }
    }
    if report.interrupted {
        let _ = writeln!(out, "\ninterrupted: this is what was measured until then");
    }
    out
}
