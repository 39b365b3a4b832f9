//! `sisa delete`: in effect at once, and said so, then repaired.
#![expect(clippy::print_stdout, reason = "the command line prints")]

use std::io::Write;

use sisa::{
    engine::{Accepted, DeleteError, DeleteRequest, Effective, Error, ErrorKind, RepairReport, UnknownIds},
    wire,
};

use super::{args::DeleteArgs, exit::Exit, ids::Ids, session::Session, show};

impl Session {
    pub(super) fn delete(&self, args: &DeleteArgs) -> anyhow::Result<Exit> {
        let mut ids = self.ids(&args.ids)?;
        let handles = args
            .ids
            .handle
            .iter()
            .map(|text| text.parse().map_err(|()| anyhow::anyhow!("--handle {text}: write 32 hexadecimal digits")));
        // From here on the lines alone are needed of them.
        let mut request = DeleteRequest {
            subjects: std::mem::take(&mut ids.subjects),
            records: std::mem::take(&mut ids.records),
            rows: args.rows.iter().collect(),
            refuse_mostly_unknown: (args.ids.from.is_some() || !args.rows.is_empty()) && !args.yes,
            handles: handles.collect::<anyhow::Result<_>>()?,
            request_id: args.asked.request_id.clone(),
            defer: args.asked.defer,
            no_suppress: args.no_suppress,
            older_than: None,
        };
        if args.asked.dry_run {
            let forecast = self.engine.forecast(&request)?;
            let places = places(&ids, &forecast.unknown, args);
            let mut told = wire::Forecast::from(&forecast);
            told.unknown_lines = lines(&ids, &forecast.unknown);
            return self.result(|| show::forecast(&forecast) + &show::unknown(&places, &forecast.unknown.alike), || told);
        }
        #[cfg(feature = "serve")]
        self.not_held(&request, args.despite_holds)?;
        let told = |accepted: &Accepted, effective: &Effective, repeated| self.in_effect(accepted, effective, repeated);
        let mut deleted = self.engine.delete(&request, &self.terminal, told);
        if let Err(Error::Delete(mostly @ DeleteError::MostlyUnknown { unknown, .. })) = &deleted {
            let question =
                format!("{mostly}\n{}delete all the same?", show::unknown(&places(&ids, unknown, args), &unknown.alike));
            if !self.confirm(&question)? {
                return Ok(Exit::Interrupted);
            }
            request.refuse_mostly_unknown = false;
            deleted = self.engine.delete(&request, &self.terminal, told);
        }
        let report = deleted.map_err(|e| self.not_known(e))?;
        let diverged = diverged(report.repair.as_ref());
        if self.json {
            self.lines(report.repair.iter().map(wire::Repaired::from))?;
            let mut deleted = wire::Deleted::from(&report);
            deleted.unknown_lines = lines(&ids, &report.unknown);
            self.lines([deleted])?;
        } else {
            self.text(&show::unknown(&places(&ids, &report.unknown, args), &report.unknown.alike))?;
            self.repair_told(report.repair.as_ref(), report.done)?;
        }
        Ok(if report.any_unknown() {
            Exit::Unknown
        } else if diverged {
            Exit::Diverged
        } else {
            Exit::Done
        })
    }
}

impl Session {
    /// Says at once that a request is in effect: from here on nothing that saw what it takes away answers.
    pub(super) fn in_effect(&self, accepted: &Accepted, effective: &Effective, repeated: bool) {
        if self.json {
            print!("{}", wire::line(&wire::Effective::of(accepted, effective.seconds)));
        } else if !self.quiet {
            print!("{}", show::effective(accepted, effective.seconds, repeated, &self.flag()));
        }
        let _ = std::io::stdout().flush();
    }

    /// An error of a request; after one of the disk, how to find out what became of it.
    pub(super) fn not_known(&self, error: Error) -> anyhow::Error {
        if error.kind() != ErrorKind::Disk {
            return error.into();
        }
        anyhow::Error::from(error).context(format!(
            "the outcome is not known; run the same command again with the same --request-id (without one, `sisa log{}` tells)",
            self.flag()
        ))
    }

    /// Says what the repair of a request did, or who does it.
    pub(super) fn repair_told(&self, repair: Option<&RepairReport>, done: bool) -> anyhow::Result<Exit> {
        match repair {
            Some(repair) if !self.quiet || diverged(Some(repair)) => self.text(&show::repaired(repair, &self.flag())),
            _ if self.quiet => Ok(Exit::Done),
            _ if done => self.text("it was repaired before; nothing is left to do\n"),
            _ => self.text(&format!("deferred: `sisa repair{}` trains what is missing\n", self.flag())),
        }
    }
}

/// Whether a step of a repair diverged.
pub(super) fn diverged(repair: Option<&RepairReport>) -> bool {
    repair.is_some_and(|repair| repair.report.diverged().next().is_some())
}

/// The lines of unknown ids and of rows without a record, ascending.
fn lines(ids: &Ids, unknown: &UnknownIds) -> Vec<u64> {
    let mut lines = ids.lines_of(unknown);
    lines.extend(unknown.rows.iter().map(|place| place.line));
    lines.sort_unstable();
    lines
}

/// Where the unknown ids of a list and the rows without a record stand.
fn places(ids: &Ids, unknown: &UnknownIds, args: &DeleteArgs) -> Vec<String> {
    let list = args.ids.from.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let lines = ids.lines_of(unknown).into_iter().map(|line| format!("{list}: line {line}"));
    lines.chain(unknown.rows.iter().map(ToString::to_string)).collect()
}
