//! `sisa append`: committed and said so, then trained on.
#![expect(clippy::print_stdout, reason = "the command line prints")]

use std::{fmt::Write as _, io::Write};

use sisa::{
    engine::{AppendRequest, BatchRecord, ImportReport, RepairReport},
    wire,
};

use super::{
    args::AppendArgs,
    exit::Exit,
    session::Session,
    show::{self, count, seconds},
};

impl Session {
    pub(super) fn append(&self, args: &AppendArgs) -> anyhow::Result<Exit> {
        let request = AppendRequest { sources: args.sources.clone().into(), name: args.batch.clone(), defer: args.defer };
        let told = |name: &str, batch: &BatchRecord, import: Option<&ImportReport>| {
            if self.json {
                print!("{}", wire::line(&wire::Appended::of(name, batch, import.is_some())));
            } else if !self.quiet {
                self.terminal.done();
                print!("{}", appended(name, batch, import));
            }
            let _ = std::io::stdout().flush();
        };
        let report = self.engine.append(&request, &self.terminal, told)?;
        let diverged = report.repair.as_ref().is_some_and(|r| r.report.diverged().next().is_some());
        if self.json {
            self.lines(report.repair.iter().map(wire::Repaired::from))?;
        } else if let Some(repair) = report.repair.as_ref().filter(|_| diverged || !self.quiet) {
            self.text(&trained(repair, &self.flag()))?;
        } else if !self.quiet {
            self.text(&format!(
                "deferred: `sisa train{}` trains on it; until then what was trained before serves\n",
                self.flag()
            ))?;
        }
        Ok(if diverged { Exit::Diverged } else { Exit::Done })
    }
}

fn appended(name: &str, batch: &BatchRecord, import: Option<&ImportReport>) -> String {
    let mut out = match import {
        Some(_) => format!("appended batch {name}"),
        None => format!("batch {name} is there already"),
    };
    let _ = write!(out, ": number {}, {} records, {} held out", batch.batch, count(batch.records), count(batch.held_out));
    if batch.refused > 0 {
        let _ = write!(out, "; refused {} rows of suppressed ids", count(batch.refused));
    }
    out.push_str(".\n");
    out + &import.map_or_else(String::new, super::trained::left_out)
}

fn trained(repair: &RepairReport, flag: &str) -> String {
    if repair.repaired.is_some() || repair.report.diverged().next().is_some() {
        return show::repaired(repair, flag);
    }
    let steps: u32 = repair.report.shards.iter().map(|s| s.steps).sum();
    if steps == 0 {
        return "nothing to train.\n".into();
    }
    format!(
        "trained {} steps of {} shards: {} row-passes in {}.\n",
        count(u64::from(steps)),
        repair.report.shards.len(),
        count(repair.report.row_passes()),
        seconds(repair.report.seconds)
    )
}
