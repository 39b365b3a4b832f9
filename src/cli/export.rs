//! `sisa export`: a copy of what is in service, and what is said of copies afterwards.

use std::fmt::Write;

use sisa::{
    engine::{ExportRecord, ExportReport, ExportSeen},
    wire,
};

use super::{args::ExportArgs, exit::Exit, session::Session, show};

/// How files that were exported begin: ONNX by its version and its producer, safetensors after 8 bytes by the metadata.
const BEGINNINGS: [(usize, &[u8]); 2] = [(0, b"\x08\x0a\x12\x04sisa"), (8, b"{\"__metadata__\":{\"sisa\":")];

impl Session {
    pub(super) fn export(&self, args: &ExportArgs) -> anyhow::Result<Exit> {
        self.may_write(&args.file, |beginning| {
            BEGINNINGS.iter().any(|(at, own)| beginning.get(*at..).is_some_and(|rest| rest.starts_with(own)))
        })?;
        let report = self.engine.export(args.format, &args.file, &self.terminal)?;
        self.summary(|| exported(&report, &self.flag()), || wire::Exported::from(&report))
    }
}

fn exported(report: &ExportReport, flag: &str) -> String {
    let (record, (members, whole, shards)) = (&report.record, report.members);
    let mut out = format!(
        "wrote {} ({}, {}): generation {}, recipe {}, {members} of {shards} constituents\n",
        report.path.display(),
        record.exported.format.name(),
        show::bytes(report.bytes),
        record.exported.generation,
        record.exported.recipe
    );
    if whole < shards as usize {
        let missing = shards as usize - whole;
        let _ = writeln!(out, "  {missing} of them not whole: `sisa train{flag}` or `sisa repair{flag}` trains what is missing");
    }
    let _ = writeln!(
        out,
        "  no deletion reaches this copy: entry {} of the ledger has its digest {}, and every later deletion of a person whom \
         it saw names it",
        record.sequence, record.exported.digest
    );
    out
}

/// Copies that are listed one by one.
const SHOWN: usize = 8;

/// The copies that saw what a request takes away, the last ones by name.
pub(crate) fn saw(seen: &[ExportSeen]) -> String {
    let mut out = String::new();
    for (certain, what) in [(true, "saw this data"), (false, "may have seen this data (their records are gone)")] {
        let mut those: Vec<String> = seen.iter().filter(|s| s.certain == certain).map(one).collect();
        let all = those.len();
        if all > SHOWN {
            those.drain(..all - SHOWN);
            those.push(format!("and {} before these", all - SHOWN));
        }
        if all > 0 {
            let (copies, them) = if all == 1 { ("copy", "it") } else { ("copies", "them") };
            let what = if all == 1 { what.replace("their records", "its records") } else { what.to_owned() };
            let _ = writeln!(out, "  {} exported {copies} {what}: {}; withdraw {them}", all, those.join(", "));
        }
    }
    out
}

fn one(seen: &ExportSeen) -> String {
    let digest = seen.digest.to_string();
    let (format, day) = (seen.format.name(), seen.time.get(..10).unwrap_or(&seen.time));
    format!("{format} {} of {day} (ledger entry {})", digest.get(..16).unwrap_or(&digest), seen.entry)
}

/// The copies that left.
pub(crate) fn exports(exports: &[ExportRecord]) -> String {
    let mut out = String::new();
    for record in exports {
        let exported = &record.exported;
        let digest = exported.digest.to_string();
        let _ = write!(
            out,
            "exported {}: {} {}, generation {}, recipe {} (ledger entry {})",
            record.time,
            exported.format.name(),
            digest.get(..16).unwrap_or(&digest),
            exported.generation,
            exported.recipe,
            record.sequence
        );
        let _ = match record.requests {
            0 => writeln!(out),
            1 => writeln!(out, "; 1 deletion since took away what it saw: withdraw it"),
            n => writeln!(out, "; {n} deletions since took away what it saw: withdraw it"),
        };
    }
    out
}
