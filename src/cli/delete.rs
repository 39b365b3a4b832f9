//! `sisa delete`: in effect at once, and said so, then repaired.
#![expect(clippy::print_stdout, reason = "the command line prints")]

use std::io::Write;

use sisa::{
    engine::{DeleteRequest, ErrorKind},
    wire,
};

use super::{args::DeleteArgs, exit::Exit, session::Session, show};

impl Session {
    pub(super) fn delete(&self, args: &DeleteArgs) -> anyhow::Result<Exit> {
        let (subjects, records) = self.ids(&args.ids)?;
        let handles = args
            .ids
            .handle
            .iter()
            .map(|text| text.parse().map_err(|()| anyhow::anyhow!("--handle {text}: write 32 hexadecimal digits")));
        let request = DeleteRequest {
            subjects,
            records,
            handles: handles.collect::<anyhow::Result<_>>()?,
            request_id: args.request_id.clone(),
            defer: args.defer,
            no_suppress: args.no_suppress,
        };
        if args.dry_run {
            let forecast = self.engine.forecast(&request)?;
            return self.result(|| show::forecast(&forecast), || wire::Forecast::from(&forecast));
        }
        let deleted = self.engine.delete(&request, &self.terminal, |accepted, effective, repeated| {
            // Said at once: from here on nothing that saw the records answers.
            if self.json {
                print!("{}", wire::line(&wire::Effective::of(accepted, effective.seconds)));
            } else {
                print!("{}", show::effective(accepted, effective.seconds, repeated, &self.flag()));
            }
            let _ = std::io::stdout().flush();
        });
        let report = match deleted {
            Err(e) if e.kind() == ErrorKind::Disk => {
                return Err(anyhow::Error::from(e).context(format!(
                    "the outcome is not known; run the same command again with the same --request-id (without one, `sisa log{}` tells)",
                    self.flag()
                )));
            }
            other => other?,
        };
        if self.json {
            self.lines(report.repair.iter().map(wire::Repaired::from))?;
            self.lines([wire::Deleted::from(&report)])?;
        } else {
            match &report.repair {
                Some(repair) => self.text(&show::repaired(repair, &self.flag()))?,
                None if report.repeated => Exit::Done,
                None => self.text(&format!("deferred: `sisa repair{}` trains what is missing\n", self.flag()))?,
            };
        }
        let diverged = report.repair.as_ref().is_some_and(|r| r.report.diverged().next().is_some());
        Ok(if report.any_unknown() {
            Exit::Unknown
        } else if diverged {
            Exit::Diverged
        } else {
            Exit::Done
        })
    }
}
