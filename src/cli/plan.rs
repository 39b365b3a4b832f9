//! `sisa plan`: its arguments and its table.

use std::{fmt::Write, path::PathBuf};

use anyhow::{Context, anyhow};
use clap::Args as ClapArgs;
use sisa::engine::{Against, Overrides, PlanReport, PlanRequest};

use super::show;

#[derive(Debug, ClapArgs)]
pub(crate) struct PlanArgs {
    /// Tables to look at [default: `sources` in sisa.toml]
    #[arg(value_name = "SOURCE")]
    sources: Vec<PathBuf>,
    /// The configuration; without one, what `sisa schema` would propose [default: sisa.toml in the workspace]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Plan for so many records to train on, instead of counting them
    #[arg(long, value_name = "N")]
    rows: Option<u64>,
    /// Plan for so many subjects [default: as many as records, if those are given]
    #[arg(long, value_name = "N", requires = "rows")]
    subjects: Option<u64>,
    /// How many deletion requests are repaired together
    #[arg(long, value_name = "K", default_value_t = 8, conflicts_with_all = ["rate", "within"])]
    requests: u64,
    /// How often requests come: `10/day`, per second, minute, hour, day, week, month or year
    #[arg(long, value_name = "N/UNIT", requires = "within")]
    rate: Option<String>,
    /// How long requests may wait (in effect, not yet repaired): `25d`, with s, m, h, d or w
    #[arg(long, value_name = "TIME", requires = "rate")]
    within: Option<String>,
    /// What all checkpoints may take: `500MB`, `20GB`
    #[arg(long, value_name = "BYTES")]
    disk: Option<String>,
    /// What the repair may take: `90s`, `10m`
    #[arg(long, value_name = "TIME")]
    time: Option<String>,
    /// Steps before the last that leave a checkpoint, those that save most; all by default
    #[arg(long, value_name = "M")]
    checkpoints: Option<u32>,
    /// Records that a shard should have at least
    #[arg(long, value_name = "N", default_value_t = 1000)]
    least: u64,
    /// Numbers of shards to compare, separated by commas
    #[arg(long, value_name = "S,...", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=9999))]
    shards: Vec<u32>,
    /// Numbers of slices to compare, separated by commas
    #[arg(long, value_name = "R,...", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=9999))]
    slices: Vec<u32>,
    /// Also tell what so many batches that are appended later will cost, with the recommended R
    #[arg(long, value_name = "N")]
    batches: Option<u32>,
    /// What each of them brings, as a share of the records
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, requires = "batches")]
    batch_share: f64,
    /// The label's column, for a source without a configuration
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// The column that says whom a record is about, likewise
    #[arg(long, value_name = "COLUMN")]
    subject: Option<String>,
    /// Another kind of learner
    #[arg(long, value_name = "KIND")]
    learner: Option<String>,
    /// Passes over a shard's rows, all steps together
    #[arg(long, value_name = "E")]
    epochs: Option<u32>,
    /// Which rows a step visits: cumulative, replay, front or window
    #[arg(long, value_name = "KIND")]
    schedule: Option<String>,
    /// Do not measure how fast this machine trains
    #[arg(long)]
    no_pilot: bool,
}

impl PlanArgs {
    pub(crate) fn request(&self, config: PathBuf) -> anyhow::Result<PlanRequest> {
        let schedule = self.schedule.as_deref().map(str::parse).transpose();
        let overrides = Overrides {
            label: self.label.clone(),
            subject: self.subject.clone(),
            learner: self.learner.clone(),
            epochs: self.epochs,
            schedule: schedule.map_err(|e: String| anyhow!(e)).context("--schedule")?,
            checkpoints: self.checkpoints,
            ..Overrides::default()
        };
        let requests = match (&self.rate, &self.within) {
            (Some(rate), Some(within)) => {
                let (rate, within) = (rate_of(rate).context("--rate")?, duration(within).context("--within")?);
                ((rate * within).ceil() as u64).max(1)
            }
            _ => self.requests.max(1),
        };
        Ok(PlanRequest {
            sources: self.sources.clone().into(),
            config,
            overrides,
            sizes: self.rows.map(|rows| (rows, self.subjects.unwrap_or(rows))),
            requests,
            pilot: !self.no_pilot,
            disk: self.disk.as_deref().map(size).transpose().context("--disk")?,
            time: self.time.as_deref().map(duration).transpose().context("--time")?,
            least_records: self.least,
            shards: self.shards.clone(),
            slices: self.slices.clone(),
            batches: self.batches.map(|batches| arrivals(batches, self.batch_share)).transpose()?,
        })
    }
}

/// How many batches, and what each brings.
pub(super) fn arrivals(batches: u32, share: f64) -> anyhow::Result<(u32, f64)> {
    anyhow::ensure!((1..=100_000).contains(&batches), "--batches {batches}: plan for 1 to 100000");
    anyhow::ensure!(share > 0.0 && share <= 10.0, "--batch-share {share}: a share of the records, above 0 and at most 10");
    Ok((batches, share))
}

/// A number and its unit.
fn split(text: &str) -> anyhow::Result<(f64, &str)> {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let number: f64 = number.parse().map_err(|_| anyhow!("`{text}` does not begin with a number"))?;
    Ok((number, unit.trim()))
}

/// Seconds.
fn duration(text: &str) -> anyhow::Result<f64> {
    let (number, unit) = split(text)?;
    let scale = match unit {
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        "w" => 604_800.0,
        _ => return Err(anyhow!("`{text}` is no time: write a number and s, m, h, d or w")),
    };
    Ok(number * scale)
}

/// Requests a second.
fn rate_of(text: &str) -> anyhow::Result<f64> {
    let wrong = || anyhow!("`{text}` is no rate: write it as `10/day`");
    let (number, unit) = text.split_once('/').ok_or_else(wrong)?;
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    let seconds = match unit.trim() {
        "second" => 1.0,
        "minute" => 60.0,
        "hour" => 3600.0,
        "day" => 86_400.0,
        "week" => 604_800.0,
        "month" => 2_629_800.0,
        "year" => 31_557_600.0,
        _ => return Err(wrong()),
    };
    Ok(number / seconds)
}

/// Bytes.
fn size(text: &str) -> anyhow::Result<u64> {
    let (number, unit) = split(text)?;
    let scale = match unit {
        "" | "B" => 1.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        _ => return Err(anyhow!("`{text}` is no size: write a number and kB, MB, GB or TB")),
    };
    Ok((number * scale) as u64)
}

pub(crate) fn text(report: &PlanReport) -> String {
    let question = &report.question;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} records of {} subjects{}; {} requests repaired together; {} with {} epochs",
        show::count(question.records),
        show::count(question.subjects),
        if report.largest_subject > 0 {
            format!(" (the largest has {})", show::count(report.largest_subject))
        } else {
            String::new()
        },
        show::count(question.requests),
        format!("{:?}", question.schedule.kind).to_lowercase(),
        question.schedule.epochs,
    );
    if let (Some(speed), Some(bytes)) = (question.speed, question.state_bytes) {
        let _ = writeln!(
            out,
            "this machine: {} row-passes a second; a checkpoint has {}",
            show::count(speed as u64),
            show::bytes(bytes)
        );
    }
    let _ = writeln!(
        out,
        "\n{:>6} {:>4}  {:>12}  {:>19}  {:>12}  {:>7}  {:>8}  {:>8}  {:>10}\n{:>6} {:>4}  {:>12}  {:>19}  {:>12}  {:>7}  {:>8}  {:>8}  {:>10}",
        "S",
        "R",
        "one request,",
        "together (95 %",
        "cheaper than",
        "as many",
        "disk",
        "repair",
        "training",
        "",
        "",
        "of a training",
        "stay below)",
        "one model",
        "as",
        "",
        "together",
        "everything",
    );
    for (at, c) in report.plan.candidates.iter().enumerate() {
        let share = |cost: f64| format!("{:.1} %", 100.0 * cost / c.full);
        let _ = writeln!(
            out,
            "{} {:>4} {:>4}  {:>12}  {:>9} ({:>7})  {:>10.2} x  {:>7}  {:>8}  {:>8}  {:>10}{}",
            if report.plan.recommended == Some(at) { ">" } else { " " },
            c.shards,
            c.slices,
            share(c.one),
            share(c.batch),
            share(c.batch_p95),
            c.speed_up,
            c.break_even.map_or("never".into(), show::count),
            c.checkpoint_bytes.map_or("?".into(), show::bytes),
            c.seconds.map_or("?".into(), show::seconds),
            c.full_seconds.map_or("?".into(), show::seconds),
            match c.against {
                None => "",
                Some(Against::FewRecords) => "  few records a shard",
                Some(Against::FewSubjects) => "  more slices than subjects",
                Some(Against::Disk) => "  beyond --disk",
                Some(Against::Time) => "  beyond --time",
            }
        );
    }
    let _ = writeln!(
        out,
        "\n`as many as`: so many requests repaired together cost as much as training one model on everything anew, which `cheaper than one model`\n\
         compares with. Predicted for slices of equal size; `sisa delete --dry-run` counts the actual ones. More shards learn less each: docs/ACCURACY.md."
    );
    if let Some(c) = report.plan.recommended.and_then(|at| report.plan.candidates.get(at))
        && question.requests > 1
    {
        let _ = writeln!(
            out,
            "Repaired one by one, the {} requests would cost {:.1} times as much as together.",
            question.requests, c.coalesced
        );
    }
    let _ = writeln!(out, "\nRecommended: {}.", report.plan.reason);
    if let Some(growth) = &report.growth {
        let _ = writeln!(
            out,
            "{} batches of {:.1} % each, appended: {:.2} trainings of what is there now in all (anew with each: {:.1}),\n  \
             the dearest {:.2}. Then a shard has {} slices, and one deletion costs {:.0} % of its shard's training\n  \
             ({:.0} % before).{}",
            show::count(u64::from(growth.arrivals.batches)),
            100.0 * growth.arrivals.share,
            growth.all,
            growth.anew,
            growth.worst,
            growth.slices,
            100.0 * growth.deletion_after,
            100.0 * growth.deletion_before,
            growth.anew_pays.map_or(String::new(), |batch| format!(
                "\nFrom batch {} on all of them together cost more than training anew once then: collect them, if they may wait.",
                show::count(u64::from(batch))
            )),
        );
    } else if report.batches {
        let _ = writeln!(
            out,
            "Batches have no steps of their own with {}: their rows go where they would have gone with the others.",
            report.learner
        );
    }
    out.push_str(&retention(report));
    if let Some(advice) = &report.advice {
        let own = if advice.kind() == report.learner { "which this plan is for" } else { "this plan is for another" };
        let _ = writeln!(out, "Learner ({own}): {}", advice.sentence());
    }
    out
}

/// What expiring each cohort costs, with cohorts and without.
fn retention(report: &PlanReport) -> String {
    let Some(cohorts) = &report.cohorts else { return String::new() };
    let mut out = format!(
        "\nRetention, with {cohorts}: row-passes of expiring a cohort and all before it, with S and R as declared. In the table above S is\n\
         the shards in all; with cohorts each of them has S, and a person's request goes to one shard of each that they have records in.\n"
    );
    if report.expiries.is_empty() {
        return out + "How many records each has is not known where --rows says how many there are.\n";
    }
    let _ = writeln!(
        out,
        "\n{:>7}  {:>10}  {:>12}  {:>20}  {:>15}",
        "cohort", "records", "up to its end", "a day within, at most", "without cohorts"
    );
    for e in &report.expiries {
        let passes = |passes: f64| show::count(passes.round() as u64);
        let _ = writeln!(
            out,
            "{:>7}  {:>10}  {:>13}  {:>21}  {:>15}",
            e.cohort,
            show::count(e.records),
            passes(e.whole),
            passes(e.within),
            passes(e.without)
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_and_others_refused() {
        assert_eq!(duration("25d").unwrap(), 2_160_000.0);
        assert_eq!(duration("90").unwrap(), 90.0);
        assert_eq!((rate_of("10/day").unwrap() * duration("25d").unwrap()).round(), 250.0);
        assert_eq!(size("1.5GB").unwrap(), 1_500_000_000);
        for wrong in ["", "d", "5y", "-3d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert!(rate_of("10").is_err() && rate_of("10/fortnight").is_err() && size("5 potatoes").is_err());
    }
}
