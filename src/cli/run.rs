//! One function a command: arguments in, engine called, result shown.

use std::path::{Path, PathBuf};

use std::io::IsTerminal as _;

use anyhow::Context;
use clap::CommandFactory;
use sisa::{
    engine::{Error, IdColumns, KeySource, Overrides, ShardId, TrainRequest, VerifyRequest},
    wire,
};

use super::{
    args::{Args, Command, ImportArgs, KeyArgs, ReceiptArgs, SchemaArgs, TrainArgs, VerifyArgs},
    bench::{self, BenchArgs},
    compare::{self, CompareArgs},
    evaluated,
    exit::Exit,
    ids,
    plan::{self, PlanArgs},
    report,
    session::Session,
    show, trained,
};

pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let session = Session::new(args)?;
    match &args.command {
        Command::Bench(_) => session.needs_folder("sisa bench")?,
        #[cfg(feature = "serve")]
        Command::Serve(_) => session.needs_folder("sisa serve")?,
        _ => {}
    }
    match &args.command {
        Command::Train(train) => session.train(train),
        Command::Import(import) => session.import(import),
        Command::Shard(command) => session.shard(command),
        Command::Append(append) => session.append(append),
        Command::Schema(schema) => session.schema(schema),
        Command::Plan(plan) => session.plan(plan),
        Command::Predict(predict) => session.predict(predict),
        Command::Eval(eval) => {
            let evaluation = session.engine.evaluate(&eval.sources.clone().into(), &session.terminal)?;
            session.result(|| evaluated::text(&evaluation, &session.flag()), || wire::Evaluated::from(&evaluation))
        }
        Command::Export(export) => session.export(export),
        Command::Card => {
            let card = wire::Card::from(&session.engine.card(&session.terminal)?);
            session.result(|| card.markdown(), || card.clone())
        }
        Command::Status => {
            let status = session.engine.status()?;
            session.result(|| show::status(&status, &session.flag()), || wire::Status::from(&status))
        }
        Command::Correct(correct) => session.correct(correct),
        Command::Expire(expire) => session.expire(expire),
        Command::Delete(delete) => session.delete(delete),
        Command::Repair(repair) => {
            let report = session.engine.repair(&repair.from.clone().into(), repair.drop_slice, &session.terminal)?;
            let diverged = report.report.diverged().next().is_some();
            let (text, json) = (|| show::repaired(&report, &session.flag()), || wire::Repaired::from(&report));
            if diverged { session.result(text, json) } else { session.summary(text, json) }?;
            Ok(if diverged { Exit::Diverged } else { Exit::Done })
        }
        Command::Rekey(keys) => session.rekey(keys),
        Command::Migrate(migrate) => session.migrate(migrate),
        Command::Unsuppress(unsuppress) => {
            let ids = session.ids(&unsuppress.ids)?;
            let count = session.engine.unsuppress(&ids.subjects, &ids.records)?;
            session.summary(|| format!("{count} ids may be imported again\n"), || wire::Unsuppressed::of(count))
        }
        Command::Log => {
            let requests = session.engine.log()?;
            let due = session.engine.rekey_due(&session.config(None))?;
            if session.json {
                session.lines(requests.iter().map(wire::Request::from))?;
                return session.lines(due.iter().map(wire::RekeyDue::from));
            }
            session.text(&(show::log(&requests) + &due.map_or_else(String::new, |due| show::rekey_due(&due, &session.flag()))))
        }
        Command::Receipt(receipt) => session.receipt(receipt),
        Command::Keygen(keygen) => {
            let public = session.engine.keygen(&keygen.file)?;
            session.summary(
                || format!("wrote {} (keep it secret) and {}\n", keygen.file.display(), public.display()),
                || wire::Keys::of(&keygen.file, &public),
            )
        }
        Command::Verify(verify) => session.verify(verify),
        Command::Bench(bench) => session.bench(bench),
        Command::Compare(compare) => session.compare(compare),
        Command::Tune(tune) => session.tune(tune),
        #[cfg(feature = "serve")]
        Command::Serve(serve) => session.serve(serve),
        #[cfg(feature = "serve")]
        Command::Key(key) => session.key(key),
        Command::Completions(completions) => {
            clap_complete::generate(completions.shell, &mut Args::command(), "sisa", &mut std::io::stdout());
            Ok(Exit::Done)
        }
    }
}

impl Session {
    /// What is asked of an import, if the person means it.
    fn wanted(&self, args: &ImportArgs) -> anyhow::Result<Option<TrainRequest>> {
        let input = |message: String| anyhow::anyhow!(message);
        let request = TrainRequest {
            sources: args.sources.clone().into(),
            config: self.config(args.config.as_ref()),
            overrides: Overrides {
                label: args.label.clone(),
                subject: args.subject.clone(),
                record: args.record.clone(),
                holdout: args.holdout,
                shards: args.shards,
                slices: args.slices,
                learner: args.learner.clone(),
                epochs: args.epochs,
                schedule: args.schedule.as_deref().map(str::parse).transpose().map_err(input).context("--schedule")?,
                checkpoints: args.checkpoints,
                rate: args.rate,
                no_ids: args.no_ids,
            },
            keys: keys(&args.keys),
            only_shards: None,
            fresh: args.fresh,
        };
        if args.fresh
            && !args.yes
            && !self.confirm("start a new generation? The present one serves until the new one is whole, and is then purged")?
        {
            return Ok(None);
        }
        Ok(Some(request))
    }

    /// Does it; without ids only if the person says so. `None` if not.
    fn with_ids<T>(&self, request: TrainRequest, work: impl Fn(&TrainRequest) -> Result<T, Error>) -> anyhow::Result<Option<T>> {
        match work(&request) {
            Err(Error::NoIds { candidates }) if std::io::stdin().is_terminal() => {
                let problem = Error::NoIds { candidates };
                if !self.confirm(&format!("{problem}\ngo on without ids?"))? {
                    return Ok(None);
                }
                let overrides = Overrides { no_ids: true, ..request.overrides.clone() };
                Ok(Some(work(&TrainRequest { overrides, ..request })?))
            }
            report => Ok(Some(report?)),
        }
    }

    fn import(&self, args: &ImportArgs) -> anyhow::Result<Exit> {
        let config = self.config(args.config.as_ref());
        let Some(request) = self.wanted(args)? else { return Ok(Exit::Interrupted) };
        let Some(report) = self.with_ids(request, |request| self.engine.import(request, &self.terminal))? else {
            return Ok(Exit::Input);
        };
        if self.json {
            self.lines(report.proposal.iter().map(|proposal| wire::Schema::of(&config, proposal)))?;
            return self.lines([wire::Import::from(&report)]);
        }
        self.summary(|| trained::imported(&report, &self.flag()), || wire::Import::from(&report))
    }

    fn train(&self, args: &TrainArgs) -> anyhow::Result<Exit> {
        let config = self.config(args.import.config.as_ref());
        let Some(request) = self.wanted(&args.import)? else { return Ok(Exit::Interrupted) };
        let only_shards = args.only_shards.as_deref().map(shards).transpose().context("--only-shards")?;
        let request = TrainRequest { only_shards, ..request };
        let Some(report) = self.with_ids(request, |request| self.engine.train(request, &self.terminal))? else {
            return Ok(Exit::Input);
        };
        let diverged = report.report.diverged().next().is_some();
        if self.json {
            self.lines(report.proposal.iter().map(|proposal| wire::Schema::of(&config, proposal)))?;
            self.lines([wire::Trained::from(&report)])?;
            self.lines(report.evaluation.iter().map(wire::Evaluated::from))?;
        } else if diverged || !self.quiet {
            self.text(&trained::text(&report, &self.flag(), &self.engine.id_columns()?))?;
        }
        Ok(if diverged { Exit::Diverged } else { Exit::Done })
    }

    fn bench(&self, args: &BenchArgs) -> anyhow::Result<Exit> {
        let request = args.request(self.config(args.measured.config.as_ref()))?;
        let exe = std::env::current_exe().context("finding this program, to start it again")?;
        let threads = self.engine.threads().to_string();
        self.page_may_go_to(args.measured.report.as_ref(), report::TITLE)?;
        let process = |root: &Path, handles: &[String]| bench::process(&exe, root, &threads, handles);
        let report = sisa::lab::bench(&self.engine, &request, Some(&process), &self.terminal)?;
        self.terminal.done();
        let page = args.measured.report.as_ref().map(|path| self.write_over(path, report::html(&report).as_bytes()));
        if self.json {
            self.lines(wire::BenchLine::all(&report))?;
        } else {
            self.text(&bench::text(&report))?;
        }
        // What was measured is told even if the page can't be written.
        page.transpose()?;
        Ok(if report.interrupted { Exit::Interrupted } else { Exit::Done })
    }

    /// A page takes the place of an older one of its kind, and of nothing else; said before anything is measured.
    fn page_may_go_to(&self, page: Option<&PathBuf>, title: &str) -> anyhow::Result<()> {
        let title = title.as_bytes();
        let own = |beginning: &[u8]| beginning.windows(title.len()).any(|part| part == title);
        page.map_or(Ok(()), |page| self.may_write(page, own))
    }

    fn compare(&self, args: &CompareArgs) -> anyhow::Result<Exit> {
        let subjects = |path: &PathBuf| {
            let columns = self.engine.id_columns().unwrap_or(IdColumns { subject: Some(String::new()), record: Vec::new() });
            let mut listed = ids::Ids::typed(Vec::new(), Vec::new());
            listed.read(path, &columns, None)?;
            Ok(listed.subjects)
        };
        let request = args.request(self.config(args.measured.config.as_ref()), subjects)?;
        self.page_may_go_to(args.measured.report.as_ref(), report::compare::TITLE)?;
        let report = sisa::lab::compare::compare(&self.engine, &request, &self.terminal)?;
        self.terminal.done();
        let page = args.measured.report.as_ref().map(|path| self.write_over(path, report::compare::html(&report).as_bytes()));
        if self.json {
            self.lines(wire::CompareLine::all(&report, args.samples))?;
        } else {
            self.text(&compare::text(&report))?;
        }
        page.transpose()?;
        Ok(if report.interrupted { Exit::Interrupted } else { Exit::Done })
    }

    fn plan(&self, args: &PlanArgs) -> anyhow::Result<Exit> {
        let request = args.request(self.config(args.config.as_ref()))?;
        let report = self.engine.plan(&request, &self.terminal)?;
        self.terminal.done();
        if self.json {
            return self.lines(wire::PlanLine::all(&report));
        }
        self.text(&plan::text(&report))
    }

    fn schema(&self, args: &SchemaArgs) -> anyhow::Result<Exit> {
        let overrides = Overrides {
            label: args.label.clone(),
            subject: args.subject.clone(),
            record: args.record.clone(),
            learner: args.learner.clone(),
            ..Overrides::default()
        };
        let config = self.config(args.output.as_ref());
        let proposed = self.engine.propose(&args.sources.clone().into(), &config, &overrides)?;
        match &args.output {
            None => self.text(&proposed.text),
            Some(path) => {
                self.write_new(path, proposed.text.as_bytes())?;
                self.summary(
                    || {
                        let lines = [proposed.notes.as_slice(), &proposed.told()].concat().join("\n");
                        format!("wrote {}: look at it, it is yours from now on\n{lines}\n", path.display())
                    },
                    || wire::Schema::of(path, &proposed),
                )
            }
        }
    }

    fn receipt(&self, args: &ReceiptArgs) -> anyhow::Result<Exit> {
        if let (Some(file), Some(public)) = (&args.check, &args.public) {
            let receipt = self.engine.check_signed_receipt(file, public)?;
            return self.result(
                || {
                    let repaired = receipt.repaired_at.as_deref().unwrap_or("-");
                    let replay = receipt
                        .replay
                        .as_ref()
                        .map_or(String::new(), |replay| format!("it claims so by construction, and by replay {replay}\n"));
                    format!("the signature holds: request {} was repaired {repaired}\n{replay}", receipt.request)
                },
                || wire::Signature::holds(&receipt),
            );
        }
        let request = args.request.as_deref();
        match &args.sign {
            Some(key) => {
                let envelope = self.engine.sign_receipt(request, key)?;
                self.text(&format!("{}\n", serde_json::to_string(&envelope)?))
            }
            None => {
                let receipt = self.engine.receipt(request)?;
                self.result(|| String::from_utf8_lossy(&receipt.encode()).into_owned(), || wire::Receipt::from(&receipt))
            }
        }
    }

    fn verify(&self, args: &VerifyArgs) -> anyhow::Result<Exit> {
        let request = VerifyRequest { retrain: args.retrain, sample: args.sample, receipts: args.receipt.clone() };
        let verdict = self.engine.verify(&request, &self.terminal)?;
        self.result(|| show::verdict(&verdict, args.retrain, args.sample.is_some()), || wire::Verified::from(&verdict))?;
        Ok(match verdict.findings.is_empty() {
            true if verdict.stopped > 0 => Exit::Diverged,
            true => Exit::Done,
            false => Exit::Differs,
        })
    }

    fn rekey(&self, args: &KeyArgs) -> anyhow::Result<Exit> {
        let (import, generation, report) = self.engine.rekey(&keys(args), &self.terminal)?;
        self.summary(
            || {
                format!(
                    "rekeyed: generation {generation} with {} records was trained under a fresh key in {:.2} s and serves; \
                     everything the old key made is purged\n",
                    show::count(import.records),
                    report.seconds
                )
            },
            || wire::Rekeyed::of(&import, generation, &report),
        )
    }
}

/// Where new keys come from.
pub(super) fn keys(args: &KeyArgs) -> KeySource {
    match (args.seed, &args.key) {
        (Some(seed), _) => KeySource::Seed(seed),
        (None, Some(file)) => KeySource::File(file.clone()),
        (None, None) => KeySource::Random,
    }
}

/// `0-9`, `3`, `0,4-5`.
fn shards(text: &str) -> anyhow::Result<Vec<ShardId>> {
    let mut found = std::collections::BTreeSet::new();
    for part in text.split(',') {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        let number = |s: &str| s.trim().parse::<u32>().with_context(|| format!("`{part}` is not a shard or a range such as 0-9"));
        let (low, high) = (number(low)?, number(high)?);
        anyhow::ensure!(low <= high && high < 10_000, "`{part}` is not a range of shards");
        found.extend((low..=high).map(ShardId));
    }
    Ok(found.into_iter().collect())
}
