//! `sisa tune`: its arguments and its table.

use std::{fmt::Write, path::PathBuf};

use clap::Args as ClapArgs;
use sisa::{
    engine::Overrides,
    lab::tune::{Candidate, Outcome, TuneReport, TuneRequest},
    wire,
};

use super::{exit::Exit, session::Session, show};

/// What the configuration says of a choice, as a comment.
const WHY: &str =
    "Chosen by `sisa tune` on a part of the training subjects; from here on it is a declaration, which no deletion changes.";

#[derive(Debug, ClapArgs)]
pub(crate) struct TuneArgs {
    /// Tables to tune on, instead of the workspace at hand [default for an empty workspace: `sources` in sisa.toml]
    #[arg(value_name = "SOURCE")]
    sources: Vec<PathBuf>,
    /// The configuration [default: sisa.toml in the workspace]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The label's column, for a source without a configuration
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// The subject's column, likewise
    #[arg(long, value_name = "COLUMN")]
    subject: Option<String>,
    /// Kinds of learners to try, separated by commas [default: the workspace's own]
    #[arg(long, value_name = "KIND,...", value_delimiter = ',')]
    learners: Vec<String>,
    /// Begin nothing more after so many minutes
    #[arg(long, value_name = "MINUTES", value_parser = minutes)]
    minutes: Option<f64>,
    /// Write the best into the configuration: S, R, the learner and the schedule
    #[arg(long)]
    write: bool,
}

fn minutes(text: &str) -> Result<f64, String> {
    let minutes = text.parse().ok().filter(|minutes: &f64| minutes.is_finite() && *minutes > 0.0);
    minutes.ok_or_else(|| "write a number of minutes above 0".into())
}

impl Session {
    pub(super) fn tune(&self, args: &TuneArgs) -> anyhow::Result<Exit> {
        let config = self.config(args.config.as_ref());
        let request = TuneRequest {
            sources: args.sources.clone().into(),
            config: config.clone(),
            overrides: Overrides {
                label: args.label.clone(),
                subject: args.subject.clone(),
                // A copy to measure on.
                no_ids: true,
                ..Overrides::default()
            },
            learners: args.learners.clone(),
            seconds: args.minutes.map(|minutes| 60.0 * minutes),
        };
        let report = sisa::lab::tune::tune(&self.engine, &request, &self.terminal)?;
        self.terminal.done();
        let mut written = None;
        if let (true, Some(best)) = (args.write, report.best()) {
            self.engine.declare(&config, (best.shards, best.slices), &best.recipe, WHY)?;
            written = Some(config.display().to_string());
        }
        if self.json {
            self.lines(wire::TuneLine::all(&report, written))?;
        } else {
            self.text(&text(&report, written.as_deref(), &self.flag()))?;
        }
        Ok(if report.interrupted { Exit::Interrupted } else { Exit::Done })
    }
}

fn text(report: &TuneReport, written: Option<&str>, flag: &str) -> String {
    let mut out = format!(
        "{} on {} of the {} training records, whose subjects the others know nothing of; the cost is what repairing one deletion is\nexpected to take, \
         as a share of training everything.\n\n",
        report.quality_is,
        show::count(report.validation),
        show::count(report.records)
    );
    let best = report.best();
    let quality = |q: f64| if report.quality_is == "R2" { format!("{q:.4}") } else { format!("{:.2} %", 100.0 * q) };
    let _ = writeln!(out, "  {:>10}  {:>9}  {:>9}  {:>4}  {:>4}  settings", report.quality_is, "cost", "training", "S", "R");
    let mut refused = std::collections::BTreeMap::new();
    for candidate in &report.candidates {
        let mark = if best.is_some_and(|best| std::ptr::eq(best, candidate)) { "*" } else { " " };
        let [figure, cost, seconds] = match (candidate.measured(), &candidate.outcome) {
            (Some(m), _) => [quality(m.quality), cost(m.one, m.full), show::seconds(m.seconds)],
            (None, Some(Outcome::Refused(why))) => {
                *refused.entry(why.as_str()).or_insert(0_u32) += 1;
                ["refused".into(), "-".into(), "-".into()]
            }
            (None, _) => ["-".into(), "-".into(), "-".into()],
        };
        let (shards, slices) = (candidate.shards, candidate.slices);
        let _ = writeln!(out, "{mark} {figure:>10}  {cost:>9}  {seconds:>9}  {shards:>4}  {slices:>4}  {}", settings(candidate));
    }
    for (why, times) in refused {
        let _ = writeln!(out, "\nrefused ({times}): {why}");
    }
    match (best, written) {
        (None, _) => out.push_str("\nnothing was measured\n"),
        (Some(best), _) if best.own => out.push_str("\nThe settings at hand are the best of these.\n"),
        (Some(best), written) => {
            let own = report.candidates.iter().find(|c| c.own);
            // S and R are fixed for a generation.
            let fresh =
                if own.is_some_and(|own| (own.shards, own.slices) == (best.shards, best.slices)) { "" } else { " --fresh" };
            let _ = match written {
                Some(path) => writeln!(out, "\nwrote the best (*) into {path}; `sisa train{flag}{fresh}` trains it"),
                None => writeln!(out, "\n`sisa tune{flag} --write` tries them again and writes the best (*) into sisa.toml"),
            };
        }
    }
    out
}

fn cost(one: f64, full: f64) -> String {
    if one == 0.0 { "none".into() } else { format!("{:.1} %", 100.0 * one / full.max(1.0)) }
}

fn settings(candidate: &Candidate) -> String {
    let own = if candidate.own { "  (as it is)" } else { "" };
    format!("{}  {}{own}", candidate.recipe.learner.kind(), candidate.settings().join(", "))
}
