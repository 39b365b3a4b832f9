//! `sisa expire`: what it costs is said first, then as a deletion.

use sisa::{
    engine::{Accepted, DeleteRequest, Effective, OlderThan},
    wire,
};

use super::{args::ExpireArgs, delete::diverged, exit::Exit, session::Session, show};

impl Session {
    pub(super) fn expire(&self, args: &ExpireArgs) -> anyhow::Result<Exit> {
        let request = DeleteRequest {
            older_than: Some(OlderThan { date: args.before.clone(), column: args.column.clone() }),
            request_id: args.asked.request_id.clone(),
            defer: args.asked.defer,
            // Nobody asked to be forgotten.
            no_suppress: true,
            ..DeleteRequest::default()
        };
        if args.asked.dry_run {
            let forecast = self.engine.forecast(&request)?;
            let text = || show::forecast(&forecast) + &show::undated(forecast.undated);
            return self.result(text, || wire::Forecast::from(&forecast));
        }
        #[cfg(feature = "serve")]
        self.not_held(&request, args.despite_holds)?;
        let told = |accepted: &Accepted, effective: &Effective, repeated| {
            self.in_effect(accepted, effective, repeated);
            if !self.json && !self.quiet && !repeated {
                let _ = self.text(&show::cost(accepted.predicted));
            }
        };
        let report = self.engine.delete(&request, &self.terminal, told).map_err(|e| self.not_known(e))?;
        if self.json {
            self.lines(report.repair.iter().map(wire::Repaired::from))?;
            self.lines([wire::Deleted::from(&report)])?;
        } else {
            self.text(&show::undated(report.undated.filter(|_| !self.quiet)))?;
            self.repair_told(report.repair.as_ref(), report.done)?;
        }
        Ok(if diverged(report.repair.as_ref()) { Exit::Diverged } else { Exit::Done })
    }
}
