//! What can be typed.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};
use sisa::engine::ExportFormat;

use super::{bench::BenchArgs, compare::CompareArgs, plan::PlanArgs, shard::ShardCommand, tune::TuneArgs};

/// Trains models from which any person's data can be deleted exactly.
///
/// Data is split by a keyed hash into shards and slices; each shard trains a model of its own, step by step, with a
/// checkpoint after each slice. A deletion takes away the checkpoints that saw the person, takes effect at once, and
/// retrains one shard from its last clean checkpoint. After that every file is byte for byte what training without the
/// person would have written.
///
/// Start with `sisa train` in a folder with a sisa.toml, or `sisa train data.csv` to have one proposed.
#[derive(Debug, Parser)]
#[command(name = "sisa", version, help_expected = true, max_term_width = 110)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Debug, ClapArgs)]
pub(crate) struct Global {
    /// The workspace: the folder that holds shards/ and checkpoints/, or a folder of a bucket (s3://BUCKET/FOLDER, gs://.., az://..)
    #[arg(long, short = 'w', global = true, default_value = ".", value_name = "DIR")]
    pub(crate) workspace: PathBuf,
    /// Of a workspace in a bucket, the folder of this machine that holds its keys and its sisa.toml
    #[arg(long, global = true, default_value = ".", value_name = "DIR")]
    pub(crate) local: PathBuf,
    /// Threads to use, from 1 to 1024 [default: all cores]; the results are the same bits with any number
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Print one JSON object a line on stdout, each with a `type` (docs/JSON.md)
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print nothing but what was asked for (answers, figures, JSON, receipts) and what went wrong
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Wait while another sisa writes to the workspace, instead of failing
    #[arg(long, global = true)]
    pub(crate) wait: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Import a table if the workspace is empty, then train whatever is missing
    Train(TrainArgs),
    /// Import a table and freeze the recipe, and train nothing: for shards that are trained elsewhere
    Import(ImportArgs),
    /// Shards trained elsewhere: bytes out, checkpoints back
    #[command(subcommand)]
    Shard(ShardCommand),
    /// Add a batch of records to what is in service, and train on it
    Append(AppendArgs),
    /// Propose a commented sisa.toml from a table
    Schema(SchemaArgs),
    /// Show before training what deletions would cost for each number of shards and slices, and which to take
    Plan(PlanArgs),
    /// Predict the rows of a table
    Predict(PredictArgs),
    /// Measure the ensemble on the held-out rows, or on a labelled table
    Eval(EvalArgs),
    /// Write what is in service to a file that other programs read; the ledger remembers whom that copy saw
    Export(ExportArgs),
    /// Print a model card: what is known of what is in service, as Markdown
    Card,
    /// Show shards, slices and which checkpoints serve
    Status,
    /// Delete people's or single records' data: in effect at once, exact after repair
    Delete(DeleteArgs),
    /// Let records hold something else, as if they had come so: in effect at once, exact after repair
    Correct(CorrectArgs),
    /// Delete all records that are older than a date, in one request
    Expire(ExpireArgs),
    /// Check every checkpoint, build the damaged and the missing ones, finish deferred deletions
    Repair(RepairArgs),
    /// Train anew under a fresh model key; the old ensemble serves until the new one is whole
    Rekey(KeyArgs),
    /// Bring the records that are there under the columns, shards and slices that sisa.toml declares now, without their source
    Migrate(MigrateArgs),
    /// Allow ids to be imported again
    Unsuppress(UnsuppressArgs),
    /// List deletions and corrections with outcomes, times and costs
    Log,
    /// Print the receipt of a request, sign it, or check a signed one
    Receipt(ReceiptArgs),
    /// Make a key pair for signing receipts
    Keygen(KeygenArgs),
    /// Check every file, or train everything again and compare every byte
    Verify(VerifyArgs),
    /// Measure on scratch copies what deletions cost, against training anew
    Bench(BenchArgs),
    /// Measure in memory what approximate unlearning would leave behind, beside exact deletion
    Compare(CompareArgs),
    /// Try a small grid of settings on a part of the training subjects, and write the best into sisa.toml
    Tune(TuneArgs),
    /// Answer predictions and deletions over HTTP, until it is stopped
    #[cfg(feature = "serve")]
    Serve(super::serve::ServeArgs),
    /// Make, take back and list keys of the service
    #[cfg(feature = "serve")]
    #[command(subcommand)]
    Key(super::serve::KeyCommand),
    /// Print completions for a shell
    Completions(CompletionArgs),
}

impl Command {
    /// Whether it goes on until it is stopped, and so waits for whoever writes meanwhile.
    pub(crate) fn lasts(&self) -> bool {
        #[cfg(feature = "serve")]
        if matches!(self, Command::Serve(_)) {
            return true;
        }
        false
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct KeyArgs {
    /// Derive the keys from a number, so that others can repeat an experiment (never for people's data)
    #[arg(long, value_name = "N", conflicts_with = "key")]
    pub(crate) seed: Option<u64>,
    /// Derive the keys from a file with 64 hexadecimal digits, mode 0600
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ImportArgs {
    /// Tables to import: CSV or IDX images and labels (plain or gzipped), NPZ; several are one set [default: `sources` in sisa.toml]
    #[arg(value_name = "SOURCE")]
    pub(crate) sources: Vec<PathBuf>,
    /// The configuration [default: sisa.toml in the workspace]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The label's column
    #[arg(long, value_name = "COLUMN")]
    pub(crate) label: Option<String>,
    /// The column that says whom a record is about
    #[arg(long, value_name = "COLUMN")]
    pub(crate) subject: Option<String>,
    /// The columns that name a record, separated by commas
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub(crate) record: Vec<String>,
    /// The kind of learner: linear, mlp, ridge, forest or boost
    #[arg(long, value_name = "KIND")]
    pub(crate) learner: Option<String>,
    /// How many shards, each with a model of its own
    #[arg(long, value_name = "S")]
    pub(crate) shards: Option<u32>,
    /// How many slices a shard, each with a checkpoint
    #[arg(long, value_name = "R")]
    pub(crate) slices: Option<u32>,
    /// Passes over a shard's rows, all steps together
    #[arg(long, value_name = "E")]
    pub(crate) epochs: Option<u32>,
    /// The learning rate
    #[arg(long, value_name = "RATE")]
    pub(crate) rate: Option<f32>,
    /// Which rows a step visits: cumulative, replay or front (boost: window)
    #[arg(long, value_name = "KIND")]
    pub(crate) schedule: Option<String>,
    /// Steps before the last that leave a checkpoint, those that save most; all by default
    #[arg(long, value_name = "M")]
    pub(crate) checkpoints: Option<u32>,
    /// The share of subjects never trained on
    #[arg(long, value_name = "SHARE")]
    pub(crate) holdout: Option<f64>,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
    /// Train although no column says whom or what a record is: nothing can be deleted by an id later
    #[arg(long)]
    pub(crate) no_ids: bool,
    /// Start a new generation from a source; the present one serves until the new one is whole. Ids stay suppressed
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct TrainArgs {
    #[command(flatten)]
    pub(crate) import: ImportArgs,
    /// Train only these shards, as in 0-9 or 0,3,7; other machines may train the others over a shared folder
    #[arg(long, value_name = "SHARDS")]
    pub(crate) only_shards: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct AppendArgs {
    /// The tables of the batch, in the form of what was imported
    #[arg(value_name = "SOURCE", required = true)]
    pub(crate) sources: Vec<PathBuf>,
    /// The batch's name: appended again under it, the same rows are done already and others are refused [default: made from the rows]
    #[arg(long, value_name = "NAME")]
    pub(crate) batch: Option<String>,
    /// Leave the training to a later command; what was trained before serves until then
    #[arg(long)]
    pub(crate) defer: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct SchemaArgs {
    /// Tables to look at
    #[arg(value_name = "SOURCE", required = true)]
    pub(crate) sources: Vec<PathBuf>,
    /// The label's column [default: guessed]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) label: Option<String>,
    /// The subject's column [default: guessed]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) subject: Option<String>,
    /// The record's columns, separated by commas [default: guessed]
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub(crate) record: Vec<String>,
    /// The kind of learner, with its own settings, S and R [default: the recommended one]
    #[arg(long, value_name = "KIND")]
    pub(crate) learner: Option<String>,
    /// Write to a file instead of stdout; an existing file is not overwritten
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PredictArgs {
    /// Tables with the input columns; a label is not needed
    #[arg(value_name = "SOURCE", required = true)]
    pub(crate) sources: Vec<PathBuf>,
    /// Write to a file instead of stdout
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Print the probability of every class
    #[arg(long)]
    pub(crate) proba: bool,
    /// Repeat these columns in the answers, separated by commas [default: the subject's and the record's, where they are there]
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub(crate) id: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ExportArgs {
    /// The file; one that was exported before is overwritten
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Its form: onnx (a graph that answers, for every learner) or safetensors (the weights, of learners that have some)
    #[arg(long, value_name = "FORMAT", default_value = "onnx")]
    pub(crate) format: ExportFormat,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct EvalArgs {
    /// Labelled tables [default: the rows held out]
    #[arg(value_name = "SOURCE")]
    pub(crate) sources: Vec<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct IdArgs {
    /// Ids of people, as in the source's subject column; one that begins with a dash and is no number as in `--subject=-x`
    #[arg(long, value_name = "ID", num_args = 1.., allow_negative_numbers = true)]
    pub(crate) subject: Vec<String>,
    /// Ids of records, as in the source's record columns, several columns separated by commas
    #[arg(long, value_name = "ID", num_args = 1.., allow_negative_numbers = true)]
    pub(crate) record: Vec<String>,
    /// Handles of subjects, 32 hexadecimal digits each
    #[arg(long, value_name = "HANDLE", num_args = 1.., hide = true)]
    pub(crate) handle: Vec<String>,
    /// Read ids from a list: one a line, or a table (comma, semicolon, tab or bar) with a column of the subject's or record's name. Blank
    /// lines and those that begin with `#` are passed over; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// The column of the list that holds the ids, where it has another name (several for a record, separated by commas); by its number, from
    /// 1 on, where the first line has no names
    #[arg(long, value_name = "COLUMN", requires = "from")]
    pub(crate) column: Option<String>,
}

/// What every request has, whatever it is about.
#[derive(Debug, ClapArgs)]
pub(crate) struct AskedArgs {
    /// A name for the request; repeating it with the same ids, rows or date reports the first outcome
    #[arg(long, value_name = "ID")]
    pub(crate) request_id: Option<String>,
    /// In effect now, repaired by a later `sisa repair` or together with the next request
    #[arg(long)]
    pub(crate) defer: bool,
    /// Say what would be done and what it would cost; change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    pub(crate) ids: IdArgs,
    /// Delete the records that hold what the rows of a table in the source's form hold; one record a row, of identical ones the last
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) rows: Vec<PathBuf>,
    /// Do not ask, also when most ids of a list are unknown
    #[arg(long, short)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) asked: AskedArgs,
    /// Let later imports bring the ids in again
    #[arg(long)]
    pub(crate) no_suppress: bool,
    /// Delete also what a legal hold of the service stands against
    #[cfg(feature = "serve")]
    #[arg(long)]
    pub(crate) despite_holds: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CorrectArgs {
    /// Tables in the source's form, label and all: each row is what the record of its id is to hold
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub(crate) from: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) asked: AskedArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ExpireArgs {
    /// The first date that stays, as in 2023-01-31; records without a date stay too, and are counted
    #[arg(long, value_name = "DATE")]
    pub(crate) before: String,
    /// The column of dates [default: the only one that is declared a date]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) column: Option<String>,
    #[command(flatten)]
    pub(crate) asked: AskedArgs,
    /// Delete also what a legal hold of the service stands against
    #[cfg(feature = "serve")]
    #[arg(long)]
    pub(crate) despite_holds: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RepairArgs {
    /// Write damaged slices again from the source they came from
    #[arg(long, value_name = "SOURCE", num_args = 1..)]
    pub(crate) from: Vec<PathBuf>,
    /// Give the records of damaged slices up
    #[arg(long, conflicts_with = "from")]
    pub(crate) drop_slice: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct MigrateArgs {
    /// The configuration [default: sisa.toml in the workspace]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct UnsuppressArgs {
    #[command(flatten)]
    pub(crate) ids: IdArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ReceiptArgs {
    /// The request [default: the last one]
    #[arg(value_name = "REQUEST")]
    pub(crate) request: Option<String>,
    /// Sign with a key from `sisa keygen`: prints an in-toto statement in a DSSE envelope
    #[arg(long, value_name = "KEY")]
    pub(crate) sign: Option<PathBuf>,
    /// Check a signed receipt instead
    #[arg(long, value_name = "FILE", requires = "public", conflicts_with_all = ["sign", "request"])]
    pub(crate) check: Option<PathBuf>,
    /// The public key to check with
    #[arg(long = "pub", value_name = "KEY")]
    pub(crate) public: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct KeygenArgs {
    /// Where to write the secret key; the public key goes beside it with `.pub` appended
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct VerifyArgs {
    /// Train everything again in a scratch folder and compare every byte
    #[arg(long)]
    pub(crate) retrain: bool,
    /// Train only N shards again
    #[arg(long, value_name = "N", requires = "retrain")]
    pub(crate) sample: Option<u32>,
    /// Check that the ledger still holds what a receipt says
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) receipt: Vec<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CompletionArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_has_help_and_none_contradicts_another() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
