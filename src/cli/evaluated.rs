//! How good the answers are, as text.

use std::fmt::Write;

use sisa::engine::{Evaluation, Quality};

use super::show::{count, percent};

/// `flag` is the one that further commands on the workspace need.
pub(super) fn text(evaluation: &Evaluation, flag: &str) -> String {
    let mut out = String::new();
    match &evaluation.ensemble {
        Quality::Classes(_) => classes(evaluation, &mut out),
        Quality::Numbers(report) => {
            let _ = writeln!(out, "on {} rows, ensemble of {}:", count(report.rows), evaluation.members.0);
            let [rmse, mae, r2] = [report.rmse, report.mae, report.r2].map(significant);
            let _ = writeln!(out, "  RMSE {rmse}\n  MAE  {mae}\n  R2   {r2}");
        }
    }
    for (class, rows) in evaluation.never_answered() {
        let _ = writeln!(out, "\nThe model never answers `{class}`, which {} of these rows are.", count(rows));
    }
    if evaluation.is_worse_than_constant() {
        let constant = match evaluation.ensemble {
            Quality::Classes(_) => "the most frequent class",
            Quality::Numbers(_) => "the mean",
        };
        let _ = writeln!(
            out,
            "\nThis model is worse than always answering {constant}: it has learnt nothing that holds on these rows. Look at what the columns are \
             declared as, or take another learner (`sisa tune{flag}` tries settings)."
        );
    }
    out
}

fn classes(evaluation: &Evaluation, out: &mut String) {
    let Quality::Classes(report) = &evaluation.ensemble else { return };
    let (members, whole) = evaluation.members;
    let _ = writeln!(out, "accuracy on {} rows:", count(report.rows));
    let partial = if whole < members { format!(", {} of them on a clean prefix", members - whole) } else { String::new() };
    let _ = writeln!(out, "  ensemble of {members}{partial}: {}   (log loss {:.4})", percent(report.accuracy), report.log_loss);
    if let Some(shares) = evaluation.shares {
        if let Some(constituent) = shares.constituent {
            let _ = writeln!(out, "  mean single constituent: {}", percent(constituent));
        }
        let _ = writeln!(out, "  majority class: {}", percent(shares.majority));
    }
    let _ = writeln!(
        out,
        "  balanced accuracy: {}   AUC {}   average precision {}   calibration error {:.4}",
        percent(report.balanced_accuracy),
        share(report.auc),
        share(report.average_precision),
        report.calibration_error
    );
    let width = evaluation.classes.iter().map(|c| c.chars().count()).max().unwrap_or(0).max(5);
    let _ = writeln!(
        out,
        "\n  {:width$}  {:>9}  {:>9}  {:>9}  {:>7}  {:>13}",
        "class", "rows", "precision", "recall", "AUC", "avg precision"
    );
    for (name, of) in evaluation.classes.iter().zip(&report.classes) {
        let _ = writeln!(
            out,
            "  {name:width$}  {:>9}  {:>9}  {:>9}  {:>7}  {:>13}",
            count(of.rows),
            percent(of.precision),
            percent(of.recall),
            share(of.auc),
            share(of.average_precision)
        );
    }
}

fn share(share: Option<f64>) -> String {
    share.map_or_else(|| "-".into(), |share| format!("{share:.4}"))
}

/// A figure in five significant digits, however small or large it is.
fn significant(figure: f64) -> String {
    if figure == 0.0 || !figure.is_finite() {
        return format!("{figure}");
    }
    let scientific = format!("{figure:.4e}");
    match scientific.rsplit('e').next().and_then(|exponent| exponent.parse::<i32>().ok()) {
        Some(exponent @ -4..=6) => format!("{figure:.*}", (4 - exponent).max(0) as usize),
        _ => scientific,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_their_digits_however_small_they_are() {
        for (figure, shown) in [
            (1.234_567e-7, "1.2346e-7"),
            (0.000_123_456, "0.00012346"),
            (0.823_451, "0.82345"),
            (-2.5, "-2.5000"),
            (123_456.7, "123457"),
            (9.999_99, "10.000"),
            (1e12, "1.0000e12"),
            (0.0, "0"),
        ] {
            assert_eq!(significant(figure), shown);
        }
    }
}
