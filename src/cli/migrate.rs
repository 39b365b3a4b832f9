//! `sisa migrate`: the records that are there under another configuration.

use sisa::{
    engine::{MigrateReport, MigrateRequest},
    wire,
};

use super::{
    args::MigrateArgs,
    exit::Exit,
    run::keys,
    session::Session,
    show::{count, seconds},
};

impl Session {
    pub(super) fn migrate(&self, args: &MigrateArgs) -> anyhow::Result<Exit> {
        let request = MigrateRequest { config: self.config(args.config.as_ref()), keys: keys(&args.keys) };
        let report = self.engine.migrate(&request, &self.terminal)?;
        let diverged = report.report.diverged().next().is_some();
        let (text, json) = (|| text(&report), || wire::Migrated::from(&report));
        if diverged { self.result(text, json) } else { self.summary(text, json) }?;
        Ok(if diverged { Exit::Diverged } else { Exit::Done })
    }
}

fn text(report: &MigrateReport) -> String {
    let Some(import) = report.import else {
        return format!("nothing to migrate: the records of generation {} are as they are declared\n", report.generation);
    };
    let of =
        format!("generation {} with {} records, {} held out", report.generation, count(import.records), count(import.held_out));
    let diverged = |(shard, what)| format!("shard {shard}: {what}. What served before goes on serving.\n");
    match report.complete {
        true => {
            format!("migrated: {of} was trained in {} and serves; what served before is purged\n", seconds(report.report.seconds))
        }
        false => format!("{of} is not whole yet\n{}", report.report.diverged().map(diverged).collect::<String>()),
    }
}
