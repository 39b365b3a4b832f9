//! One function a command: arguments in, engine called, result shown.
#![expect(clippy::print_stdout, reason = "the command line prints")]

use std::{
    io::{BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use clap::CommandFactory;
use sisa::engine::{
    DeleteRequest, Engine, Error, ErrorKind, Flags, KeySource, RealDisk, Scores, ShardId, TrainRequest, VerifyRequest,
};

use super::{
    args::{Args, Command, DeleteArgs, IdArgs, KeyArgs, PredictArgs, ReceiptArgs, SchemaArgs, TrainArgs, VerifyArgs},
    bench::{self, BenchArgs},
    exit::Exit,
    ids, json,
    plan::{self, PlanArgs},
    progress::Terminal,
    report, show,
};

/// The protocol point at which a test wants the process to stand still.
const STOP_AT: &str = "SISA_STOP_AT";
/// Set for the processes of a bench: their workspace is a copy that may be taken away at any moment, for good.
pub(super) const IN_SCRATCH: &str = "SISA_IN_SCRATCH";

pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let session = Session::new(args);
    match &args.command {
        Command::Train(train) => session.train(train),
        Command::Schema(schema) => session.schema(schema),
        Command::Plan(plan) => session.plan(plan),
        Command::Predict(predict) => session.predict(predict),
        Command::Eval(eval) => {
            let evaluation = session.engine.evaluate(&eval.sources, &session.terminal)?;
            session.result(|| show::evaluated(&evaluation), || json::evaluated(&evaluation))
        }
        Command::Status => {
            let status = session.engine.status()?;
            session.result(|| show::status(&status), || json::status(&status))
        }
        Command::Delete(delete) => session.delete(delete),
        Command::Repair(repair) => {
            let report = session.engine.repair(&repair.from, repair.drop_slice, &session.terminal)?;
            session.result(|| show::repaired(&report, &session.flag()), || json::repaired(&report))?;
            Ok(if report.report.diverged().next().is_some() { Exit::Diverged } else { Exit::Done })
        }
        Command::Rekey(keys) => session.rekey(keys),
        Command::Unsuppress(unsuppress) => {
            let (subjects, records) = session.ids(&unsuppress.ids)?;
            let count = session.engine.unsuppress(&subjects, &records)?;
            session.result(
                || format!("{count} ids may be imported again\n"),
                || serde_json::json!({ "type": "unsuppressed", "ids": count }),
            )
        }
        Command::Log => {
            let requests = session.engine.log()?;
            if session.json {
                requests.iter().for_each(|r| println!("{}", json::request(r)));
                return Ok(Exit::Done);
            }
            session.text(&show::log(&requests))
        }
        Command::Receipt(receipt) => session.receipt(receipt),
        Command::Keygen(keygen) => {
            let public = session.engine.keygen(&keygen.file)?;
            session.result(
                || format!("wrote {} (keep it secret) and {}\n", keygen.file.display(), public.display()),
                || serde_json::json!({ "type": "keys", "secret": keygen.file, "public": public }),
            )
        }
        Command::Verify(verify) => session.verify(verify),
        Command::Bench(bench) => session.bench(bench),
        Command::Completions(completions) => {
            clap_complete::generate(completions.shell, &mut Args::command(), "sisa", &mut std::io::stdout());
            Ok(Exit::Done)
        }
    }
}

/// What all commands of one process share.
struct Session {
    engine: Engine,
    terminal: Terminal,
    workspace: PathBuf,
    json: bool,
}

impl Session {
    #[expect(clippy::disallowed_methods, reason = "the environment is read here and nowhere else")]
    fn new(args: &Args) -> Session {
        let disk = match std::env::var(STOP_AT) {
            Ok(point) => RealDisk::stopping_at(point),
            Err(_) => RealDisk::new(),
        };
        let global = &args.global;
        let threads = global.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let engine = Engine::new(Arc::new(disk), global.workspace.clone(), threads, global.wait);
        Session {
            engine: if std::env::var_os(IN_SCRATCH).is_some() { engine.in_scratch() } else { engine },
            terminal: Terminal::new(global.quiet),
            workspace: global.workspace.clone(),
            json: global.json,
        }
    }

    /// The flag that further commands on this workspace need.
    fn flag(&self) -> String {
        if self.workspace.as_os_str() == "." { String::new() } else { format!(" -w {}", self.workspace.display()) }
    }

    fn text(&self, text: &str) -> anyhow::Result<Exit> {
        self.terminal.done();
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        Ok(Exit::Done)
    }

    fn result(&self, text: impl FnOnce() -> String, json: impl FnOnce() -> serde_json::Value) -> anyhow::Result<Exit> {
        if self.json { self.text(&format!("{}\n", json())) } else { self.text(&text()) }
    }

    fn config(&self, given: Option<&PathBuf>) -> PathBuf {
        given.cloned().unwrap_or_else(|| self.workspace.join("sisa.toml"))
    }

    fn train(&self, args: &TrainArgs) -> anyhow::Result<Exit> {
        let input = |message: String| anyhow::anyhow!(message);
        let request = TrainRequest {
            sources: args.sources.clone(),
            config: self.config(args.config.as_ref()),
            flags: Flags {
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
            },
            keys: keys(&args.keys),
            only_shards: args.only_shards.as_deref().map(shards).transpose().context("--only-shards")?,
            fresh: args.fresh,
        };
        if args.fresh
            && !args.yes
            && !self.confirm("start a new generation? The present one serves until the new one is whole, and is then purged")?
        {
            return Ok(Exit::Interrupted);
        }
        let report = self.engine.train(&request, &self.terminal)?;
        if self.json {
            println!("{}", json::trained(&report));
            report.evaluation.iter().for_each(|e| println!("{}", json::evaluated(e)));
        } else {
            self.text(&show::trained(&report, &self.flag()))?;
        }
        Ok(if report.report.diverged().next().is_some() { Exit::Diverged } else { Exit::Done })
    }

    /// Asks a person; without one to ask, `--yes` is needed.
    fn confirm(&self, question: &str) -> anyhow::Result<bool> {
        anyhow::ensure!(std::io::stdin().is_terminal(), "{question}: there is nobody to ask; add --yes");
        self.terminal.done();
        print!("{question} [y/N] ");
        std::io::stdout().flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    fn bench(&self, args: &BenchArgs) -> anyhow::Result<Exit> {
        let request = args.request(self.config(args.config.as_ref()))?;
        let exe = std::env::current_exe().context("finding this program, to start it again")?;
        let threads = self.engine.threads().to_string();
        let process = |root: &Path, handles: &[String]| bench::process(&exe, root, &threads, handles);
        let report = self.engine.bench(&request, Some(&process), &self.terminal)?;
        self.terminal.done();
        let page = args.report.as_ref().map(|path| self.engine.write_over(path, report::html(&report).as_bytes()));
        if self.json {
            bench::json(&report).iter().for_each(|line| println!("{line}"));
        } else {
            self.text(&bench::text(&report))?;
        }
        // What was measured is told even if the page can't be written.
        page.transpose()?;
        Ok(if report.interrupted { Exit::Interrupted } else { Exit::Done })
    }

    fn plan(&self, args: &PlanArgs) -> anyhow::Result<Exit> {
        let request = args.request(self.config(args.config.as_ref()))?;
        let report = self.engine.plan(&request, &self.terminal)?;
        self.terminal.done();
        if self.json {
            plan::json(&report).iter().for_each(|line| println!("{line}"));
            return Ok(Exit::Done);
        }
        self.text(&plan::text(&report))
    }

    fn schema(&self, args: &SchemaArgs) -> anyhow::Result<Exit> {
        let flags =
            Flags { label: args.label.clone(), subject: args.subject.clone(), record: args.record.clone(), ..Flags::default() };
        let config = self.config(args.output.as_ref());
        let proposed = self.engine.propose(&args.sources, &config, &flags)?;
        match &args.output {
            None => self.text(&proposed.text),
            Some(path) => {
                self.engine.write_new(path, proposed.text.as_bytes())?;
                self.result(
                    || format!("wrote {}: look at it, it is yours from now on\n{}\n", path.display(), proposed.notes.join("\n")),
                    || serde_json::json!({ "type": "schema", "file": path, "notes": proposed.notes }),
                )
            }
        }
    }

    fn predict(&self, args: &PredictArgs) -> anyhow::Result<Exit> {
        let mut row = 0_u64;
        let mut lines = |classes: &[String], scores: &Scores| {
            let mut text = String::new();
            if row == 0 && !self.json {
                text.push_str(&header(classes, args.proba));
            }
            for (at, values) in scores.values.chunks_exact(scores.outputs).enumerate() {
                row += 1;
                let class = scores.classes.get(at).map(|c| classes.get(*c as usize).map_or("", String::as_str));
                text.push_str(&if self.json {
                    json_line(row, class, values, classes, args.proba)
                } else {
                    csv_line(row, class, values, args.proba)
                });
            }
            text
        };
        let rows = match &args.output {
            Some(path) => {
                let mut file = self.engine.begin_file(path)?;
                let rows = self.engine.predict(&args.sources, &self.terminal, |classes, scores| {
                    file.write(lines(classes, scores).as_bytes()).map_err(Error::from)
                })?;
                self.engine.end_file(file)?;
                rows
            }
            None => {
                let mut out = BufWriter::new(std::io::stdout());
                let mut broken = None;
                let rows = self.engine.predict(&args.sources, &self.terminal, |classes, scores| {
                    out.write_all(lines(classes, scores).as_bytes()).map_err(|e| {
                        broken = Some(e);
                        Error::Interrupted
                    })
                });
                if let Some(e) = broken {
                    return Err(e.into());
                }
                out.flush()?;
                rows?
            }
        };
        self.terminal.done();
        if let Some(path) = &args.output {
            self.result(
                || format!("wrote {} predictions to {}\n", show::count(rows), path.display()),
                || serde_json::json!({ "type": "predicted", "rows": rows, "file": path }),
            )?;
        }
        Ok(Exit::Done)
    }

    fn ids(&self, args: &IdArgs) -> anyhow::Result<(Vec<String>, Vec<Vec<String>>)> {
        let mut subjects = args.subject.clone();
        if args.record.is_empty() && args.from.is_none() {
            return Ok((subjects, Vec::new()));
        }
        let columns = self.engine.id_columns()?;
        let mut records = args.record.iter().map(|typed| ids::record(typed, &columns)).collect();
        if let Some(from) = &args.from {
            ids::read(from, &columns, &mut subjects, &mut records)?;
        }
        Ok((subjects, records))
    }

    fn delete(&self, args: &DeleteArgs) -> anyhow::Result<Exit> {
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
            return self.result(|| show::forecast(&forecast), || json::forecast(&forecast));
        }
        let deleted = self.engine.delete(&request, &self.terminal, |accepted, effective, repeated| {
            // Said at once: from here on nothing that saw the records answers.
            if self.json {
                println!("{}", json::effective(accepted, effective.seconds));
            } else {
                print!("{}", show::effective(accepted, effective.seconds, repeated));
            }
            let _ = std::io::stdout().flush();
        });
        let report = match deleted {
            Err(e) if e.kind() == ErrorKind::Disk => {
                return Err(anyhow::Error::from(e).context(
                    "the outcome is not known; run the same command again with the same --request-id (without one, `sisa log` tells)",
                ));
            }
            other => other?,
        };
        if self.json {
            report.repair.iter().for_each(|r| println!("{}", json::repaired(r)));
            println!("{}", json::deleted(&report));
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

    fn receipt(&self, args: &ReceiptArgs) -> anyhow::Result<Exit> {
        if let (Some(file), Some(public)) = (&args.check, &args.public) {
            let receipt = self.engine.check_signed_receipt(file, public)?;
            return self.result(
                || {
                    format!(
                        "the signature holds: request {} was repaired {}\n",
                        receipt.request,
                        receipt.repaired_at.as_deref().unwrap_or("-")
                    )
                },
                || serde_json::json!({ "type": "signature", "holds": true, "receipt": receipt }),
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
                self.result(
                    || String::from_utf8_lossy(&receipt.encode()).into_owned(),
                    || serde_json::json!({ "type": "receipt", "receipt": receipt }),
                )
            }
        }
    }

    fn verify(&self, args: &VerifyArgs) -> anyhow::Result<Exit> {
        let request = VerifyRequest { retrain: args.retrain, sample: args.sample, receipts: args.receipt.clone() };
        let verdict = self.engine.verify(&request, &self.terminal)?;
        self.result(|| show::verdict(&verdict, args.retrain, args.sample.is_some()), || json::verdict(&verdict))?;
        Ok(if verdict.findings.is_empty() { Exit::Done } else { Exit::Differs })
    }

    fn rekey(&self, args: &KeyArgs) -> anyhow::Result<Exit> {
        let (import, generation, report) = self.engine.rekey(&keys(args), &self.terminal)?;
        self.result(
            || {
                format!(
                    "rekeyed: generation {generation} with {} records was trained under a fresh key in {:.2} s and serves; \
                     everything the old key made is purged\n",
                    show::count(import.records),
                    report.seconds
                )
            },
            || {
                serde_json::json!({
                    "type": "rekeyed", "generation": generation.to_string(), "records": import.records,
                    "row_passes": report.row_passes(), "seconds": report.seconds,
                })
            },
        )
    }
}

fn keys(args: &KeyArgs) -> KeySource {
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

/// A CSV field, quoted where it has to be.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.into() }
}

fn header(classes: &[String], proba: bool) -> String {
    let mut text = String::from("row,prediction");
    if proba {
        classes.iter().for_each(|c| {
            text.push(',');
            text.push_str(&field(&format!("p_{c}")));
        });
    }
    text.push('\n');
    text
}

fn csv_line(row: u64, class: Option<&str>, values: &[f32], proba: bool) -> String {
    let mut text = match (class, values) {
        (Some(class), _) => format!("{row},{}", field(class)),
        (None, [number, ..]) => format!("{row},{number}"),
        (None, []) => format!("{row},"),
    };
    if proba && class.is_some() {
        values.iter().for_each(|v| text.push_str(&format!(",{v}")));
    }
    text.push('\n');
    text
}

fn json_line(row: u64, class: Option<&str>, values: &[f32], classes: &[String], proba: bool) -> String {
    let mut value = match class {
        Some(class) => serde_json::json!({ "type": "prediction", "row": row, "prediction": class }),
        None => serde_json::json!({ "type": "prediction", "row": row, "prediction": values.first() }),
    };
    if proba
        && let Some(object) = value.as_object_mut()
        && class.is_some()
    {
        let shares: serde_json::Map<_, _> = classes.iter().cloned().zip(values.iter().map(|v| (*v).into())).collect();
        object.insert("probabilities".into(), shares.into());
    }
    format!("{value}\n")
}
