//! `sisa compare`: its arguments.

mod text;

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args as ClapArgs;
use sisa::lab::compare::{CompareRequest, Forget, RequestsRequest};

use super::measured::Measured;

pub(crate) use text::{advice, cost_sentence, text};

#[derive(Debug, ClapArgs)]
pub(crate) struct CompareArgs {
    /// Tables to compare on, instead of the workspace at hand [default for an empty workspace: `sources` in sisa.toml]
    #[arg(value_name = "SOURCE")]
    source: Vec<PathBuf>,
    /// Whom to forget, several separated by commas: random, hardest, group=COLUMN:VALUE, or a file of subject ids [default: random,hardest]
    #[arg(long, value_name = "WHOM,...", value_delimiter = ',')]
    forget: Vec<String>,
    /// The share of the people to forget where they are drawn, as in 1% or 0.01; five people at least
    #[arg(long, value_name = "SHARE", default_value = "1%", value_parser = share)]
    share: f64,
    /// Methods, separated by commas; `none` is always there: fine-tune, neggrad, neggrad+, random-labels, scrub, reset-head, ssd,
    /// clean-teacher, adaptive, and newton for `linear` [default: fine-tune,neggrad,neggrad+,scrub,reset-head,ssd,adaptive]
    #[arg(long, value_name = "METHOD,...", value_delimiter = ',')]
    methods: Vec<String>,
    /// A setting of a method; every output says all of them
    #[arg(long, value_name = "METHOD.SETTING=VALUE", value_parser = setting)]
    set: Vec<(String, String, f64)>,
    /// Models a side [default: 64; quick: 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(4..=4096))]
    models: Option<u32>,
    /// Training rows at most, of whole people; 0 for all
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    rows: usize,
    /// Columns of declared values, or of numbers of few values, to split the held-out rows by, separated by commas
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',')]
    groups: Vec<String>,
    /// Another kind of learner, mlp or linear [default: the workspace's]
    #[arg(long, value_name = "KIND")]
    learner: Option<String>,
    /// Measure too how soon what was forgotten is learnt again
    #[arg(long)]
    relearn: bool,
    /// Print every model's averages too, in the JSON
    #[arg(long)]
    pub(crate) samples: bool,
    /// Leave real deletions out
    #[arg(long)]
    no_exact: bool,
    /// A first answer: fewer models
    #[arg(long)]
    quick: bool,
    /// Measure deletion requests that depend on published models instead, with a rekey beside them
    #[arg(long)]
    adaptive: bool,
    /// Shares of the rows that are asked to be deleted, for `--adaptive`
    #[arg(long, value_name = "SHARE,...", value_delimiter = ',', value_parser = share, default_value = "1%,3%,10%,30%")]
    shares: Vec<f64>,
    /// Trials, for `--adaptive` [default: 40; quick: 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=10_000))]
    trials: Option<u32>,
    /// What everything is drawn from: the same number gives the same figures
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    pub(crate) measured: Measured,
}

/// A share, as in 1% or 0.01.
fn share(typed: &str) -> Result<f64, String> {
    let (number, scale) = typed.strip_suffix('%').map_or((typed, 1.0), |number| (number, 0.01));
    match number.trim().parse::<f64>() {
        Ok(share) if share * scale > 0.0 && share * scale <= 0.5 => Ok(share * scale),
        _ => Err("write a share above 0 and at most a half, as in 1% or 0.01".into()),
    }
}

/// A setting, as in `adaptive.pull=0.2`.
fn setting(typed: &str) -> Result<(String, String, f64), String> {
    let parts = typed.split_once('=').and_then(|(name, value)| Some((name.split_once('.')?, value.trim().parse().ok()?)));
    match parts {
        Some(((method, setting), value)) if f64::is_finite(value) => Ok((method.trim().into(), setting.trim().into(), value)),
        _ => Err("write METHOD.SETTING=NUMBER, as in adaptive.pull=0.2".into()),
    }
}

impl CompareArgs {
    /// The request; `ids` reads subject ids from a file.
    pub(crate) fn request(
        &self,
        config: PathBuf,
        ids: impl Fn(&PathBuf) -> anyhow::Result<Vec<String>>,
    ) -> anyhow::Result<CompareRequest> {
        let usual = ["random".to_owned(), "hardest".to_owned()];
        let typed = if self.forget.is_empty() { usual.as_slice() } else { self.forget.as_slice() };
        let whom = |typed: &String| {
            Ok(match typed.as_str() {
                "random" => Forget::Random,
                "hardest" => Forget::Hardest,
                other => match other.strip_prefix("group=") {
                    Some(group) => {
                        let (column, value) = group
                            .split_once(':')
                            .ok_or_else(|| anyhow!("--forget {other}: write group=COLUMN:VALUE, as in group=site:1"))?;
                        Forget::Group { column: column.to_owned(), value: value.to_owned() }
                    }
                    None => {
                        let context = || format!("--forget {other}: write random, hardest, group=COLUMN:VALUE, or a file of ids");
                        Forget::People { name: other.to_owned(), ids: ids(&PathBuf::from(other)).with_context(context)? }
                    }
                },
            })
        };
        let requests = RequestsRequest {
            shares: self.shares.clone(),
            trials: self.trials.unwrap_or(if self.quick { 10 } else { 40 }) as usize,
            rows: self.rows,
        };
        Ok(CompareRequest {
            sources: self.source.clone().into(),
            config,
            overrides: self.measured.overrides(self.learner.as_ref()),
            learner: self.learner.clone(),
            forget: typed.iter().map(whom).collect::<anyhow::Result<_>>()?,
            share: self.share,
            methods: self.methods.clone(),
            settings: self.set.clone(),
            models: self.models.unwrap_or(if self.quick { 16 } else { 64 }) as usize,
            rows: self.rows,
            groups: self.groups.clone(),
            relearn: self.relearn,
            exact: !self.no_exact,
            requests: self.adaptive.then_some(requests),
            seed: self.seed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_settings_are_read_or_refused() {
        assert_eq!((share("1%"), share("0.25")), (Ok(0.01), Ok(0.25)));
        assert!(["0", "60%", "x", "-1%", ""].iter().all(|typed| share(typed).is_err()));
        assert_eq!(setting("neggrad+.alpha=0.5"), Ok(("neggrad+".into(), "alpha".into(), 0.5)));
        assert!(["alpha=1", "a.b", "a.b=x", "a.b=inf"].iter().all(|typed| setting(typed).is_err()));
    }
}
