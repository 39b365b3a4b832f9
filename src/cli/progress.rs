//! Progress on stderr, when it is a terminal.

use std::{
    io::{IsTerminal, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use indicatif::{ProgressBar, ProgressStyle};
use sisa::engine::{Observer, Progress, Remedy};

use super::advice::advice;

/// Shows progress, passes notes on, and hears Ctrl-C.
#[derive(Debug)]
pub(crate) struct Terminal {
    bar: Option<ProgressBar>,
    notes: bool,
    /// The flag that further commands on the workspace need.
    flag: String,
    stop: Arc<AtomicBool>,
}

impl Terminal {
    /// An observer; Ctrl-C is heard from now on.
    pub(crate) fn new(quiet: bool, flag: String) -> Terminal {
        let stop = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&stop);
        // Without a handler Ctrl-C simply ends the process, which the next run can go on from too.
        let _ = ctrlc::set_handler(move || {
            if heard.swap(true, Ordering::SeqCst) {
                // Asked twice: the person does not want to wait for the batch to end.
                std::process::abort();
            }
        });
        let bar = (!quiet && std::io::stderr().is_terminal()).then(ProgressBar::no_length);
        Terminal { bar, notes: !quiet, flag, stop }
    }

    /// Takes the bar away.
    pub(crate) fn done(&self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }

    fn show(&self, template: &str, position: u64, total: u64, message: String) {
        let Some(bar) = &self.bar else { return };
        if bar.length() != Some(total) {
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.progress_chars("=> "));
            bar.set_length(total);
            bar.reset_eta();
        }
        bar.set_message(message);
        bar.set_position(position);
    }
}

impl Observer for Terminal {
    fn progress(&self, progress: Progress) {
        match progress {
            Progress::Importing { bytes, total, rows } => self.show(
                "importing [{bar:30}] {bytes}/{total_bytes} ({bytes_per_sec}), {msg}, {eta} left",
                bytes,
                total,
                format!("{rows} rows"),
            ),
            Progress::Training { row_passes, total, steps, total_steps } => self.show(
                "training  [{bar:30}] {percent}% {per_sec} row-passes, {msg}, {eta} left",
                row_passes,
                total.max(1),
                format!("step {steps}/{total_steps}"),
            ),
            Progress::Scoring { rows } => {
                if let Some(bar) = &self.bar {
                    bar.set_message(format!("scored {rows} rows"));
                }
            }
            // Something newer than this face.
            _ => {}
        }
    }

    fn note(&self, text: &str) {
        if !self.notes {
            return;
        }
        match &self.bar {
            Some(bar) => bar.suspend(|| said(text)),
            None => said(text),
        }
    }

    fn advise(&self, text: &str, remedy: &Remedy) {
        self.note(&format!("{text}; {}", advice(remedy, &self.flag)));
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

/// A line on stderr. Whoever closed it wants to read no more, and that is no reason to stop.
pub(super) fn said(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
