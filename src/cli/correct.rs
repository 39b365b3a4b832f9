//! `sisa correct`: in effect at once, and said so, then repaired.

use sisa::{
    engine::{Accepted, CorrectRequest, Effective, RowFate},
    wire,
};

use super::{args::CorrectArgs, delete::diverged, exit::Exit, session::Session, show};

impl Session {
    pub(super) fn correct(&self, args: &CorrectArgs) -> anyhow::Result<Exit> {
        let (sources, request_id) = (args.from.clone().into(), args.asked.request_id.clone());
        let request = CorrectRequest { sources, request_id, defer: args.asked.defer };
        if args.asked.dry_run {
            let forecast = self.engine.forecast_correction(&request)?;
            let places: Vec<String> = forecast.unknown.rows.iter().map(ToString::to_string).collect();
            let mut told = wire::Forecast::from(&forecast);
            told.unknown_lines = forecast.unknown.rows.iter().map(|place| place.line).collect();
            return self.result(|| show::forecast(&forecast) + &show::not_corrected(&places), || told);
        }
        let told = |accepted: &Accepted, effective: &Effective, repeated| self.in_effect(accepted, effective, repeated);
        let report = self.engine.correct(&request, &self.terminal, told).map_err(|e| self.not_known(e))?;
        if self.json {
            self.lines(report.repair.iter().map(wire::Repaired::from))?;
            self.lines([wire::Corrected::from(&report)])?;
        } else {
            let place = |row: &RowFate| row.place.to_string();
            self.text(&show::not_corrected(&report.left.iter().map(place).collect::<Vec<_>>()))?;
            self.repair_told(report.repair.as_ref(), report.done)?;
        }
        Ok(if !report.left.is_empty() {
            Exit::Unknown
        } else if diverged(report.repair.as_ref()) {
            Exit::Diverged
        } else {
            Exit::Done
        })
    }
}
