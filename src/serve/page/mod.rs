//! The page for whoever looks after the service: tables that are made here and say everything without a script, with nothing fetched from
//! anywhere else. A script of our own asks for the page again when something changes, and checks receipts.

mod grid;
mod quality;
mod tables;

use std::fmt::Write as _;

use axum::http::{StatusCode, header};
use sisa::engine::{PREDICATE_TYPE, RequestLine, Requests, Status, utc_now};

use super::{
    app::App,
    audit, day,
    intake::{Record, Stage},
    keeper::{self, Outlook},
    log,
    predict::failed,
    problem::Problem,
    reply::Reply,
};
use crate::markup::escape;

/// What the page is kept up to date by.
pub(super) const SCRIPT: &str = include_str!("page.js");

/// How it looks.
pub(super) const STYLE: &str = include_str!("page.css");

/// Nothing is run, shown or asked that is not of this service.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// Requests that are shown, the newest; `/v1/deletions` has all.
const REQUESTS: usize = 200;

/// What is shown of the requests in the ledger.
struct Listed {
    /// The newest first.
    lines: Vec<RequestLine>,
    /// Those that are not repaired.
    open: Vec<RequestLine>,
    count: usize,
    /// Seconds of the slowest effect.
    slowest: f64,
}

impl Listed {
    fn of(requests: &Requests) -> Listed {
        let all = requests.lines();
        let slowest = all.iter().filter_map(|line| line.effective.as_ref()).map(|e| e.1).fold(0.0, f64::max);
        let open = all.iter().filter(|line| line.repaired.is_none()).cloned().collect();
        Listed { lines: all.iter().rev().take(REQUESTS).cloned().collect(), open, count: all.len(), slowest }
    }
}

/// The page as of now.
pub(super) fn page(app: &App) -> Result<Reply, Problem> {
    let status = app.engine.status().map_err(|e| failed(&e))?;
    let listed = app.book.read(&app.engine, Listed::of).map_err(|e| failed(&e))?;
    let kept = app.intake.open();
    let outlook = app.keeper.outlook();
    let acts = audit::read(&app.engine).unwrap_or_else(|e| {
        log::alarm(&e.to_string());
        String::new()
    });
    let mut out = String::with_capacity(16 << 10);
    out.push_str(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>sisa serve</title><link rel=\"stylesheet\" href=\"/page.css\"><script src=\"/page.js\" defer></script></head><body><main>\n",
    );
    out.push_str("<section id=\"state\">");
    head(&mut out, app, &status, &listed, &kept)?;
    out.push_str("</section>\n<p id=\"live\" class=\"soft\">This page shows what was when it was loaded.</p>\n<p id=\"said\" class=\"unseen\" role=\"status\"></p>\n");
    grid::grid(&mut out, &status, &listed.open, outlook.repairing);
    plan(&mut out, app, &status, &outlook);
    quality::quality(&mut out, &app.judge.found(), &listed.lines, &app.config().quality);
    tables::requests(&mut out, app, &listed.lines, &kept);
    tables::holds(&mut out, &app.intake.holds()?);
    check(&mut out);
    tables::trail(&mut out, &acts);
    out.push_str("</main></body></html>\n");
    Ok(Reply::new(StatusCode::OK, "text/html; charset=utf-8", out)
        .with(header::CONTENT_SECURITY_POLICY, POLICY)
        .with(header::REFERRER_POLICY, "no-referrer"))
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn head(out: &mut String, app: &App, status: &Status, listed: &Listed, kept: &[std::sync::Arc<Record>]) -> Result<(), Problem> {
    let state = match (status.unrepaired.len(), status.complete()) {
        (0, true) => "Everything is repaired.".to_owned(),
        (0, false) => "Steps are missing that no deletion waits for.".to_owned(),
        (1, _) => "1 deletion is in effect and waits for its repair.".to_owned(),
        (n, _) => format!("{n} deletions are in effect and wait for their repair."),
    };
    let now = day::now();
    let pending = kept.iter().filter(|r| r.stage == Stage::Pending).count();
    let overdue = kept.iter().filter(|r| !r.is_over() && r.due() < now).count();
    let _ = writeln!(out, "<h1>{state}</h1>");
    if overdue > 0 {
        let who = counted(overdue, "request is", "requests are");
        let _ = writeln!(out, "<p class=\"warn\">{who} past their day: see below what holds them.</p>");
    }
    let due = app.book.rekey_due(&app.engine, app.config().rekey_after);
    if let Some(due) = due.map_err(|e| failed(&e))? {
        let _ = writeln!(out, "<p class=\"warn\" id=\"rekey\">{}.</p>", escape(&keeper::told(&due)));
    }
    let next = kept.iter().filter(|r| !r.is_over()).map(|r| r.due()).fold(f64::INFINITY, f64::min);
    let due = if next.is_finite() { format!(", the next one due {}", tables::days_left(next, now)) } else { String::new() };
    let _ = writeln!(
        out,
        "<p>{} in the ledger, the slowest in effect after {:.0} ms; {pending} pending{due}. Model {}, generation {}, recipe {}, \
         ledger entry {}, as of {}.</p>\n<p><a href=\"/metrics\">Metrics</a>, <a href=\"/v1/status\">state</a>, <a href=\"/v1/deletions\">all \
         requests</a>, <a href=\"/v1/holds\">legal holds</a>, <a href=\"/v1/audit\">audit log</a>, <a href=\"/openapi.json\">what can be \
         asked</a>.</p>",
        counted(listed.count, "request", "requests"),
        listed.slowest * 1e3,
        escape(&app.config().model),
        status.serving.generation,
        escape(&status.serving.recipe.to_string()),
        status.ledger_entries,
        utc_now(),
    );
    Ok(())
}

/// What repairing costs now, and what it may come to.
fn plan(out: &mut String, app: &App, status: &Status, outlook: &Outlook) {
    let (missing, all) = (status.missing_row_passes, status.full_row_passes.max(1));
    let seconds = |row_passes: u64| match outlook.seconds_a_row_pass {
        speed if speed > 0.0 => format!("{:.1} s", row_passes as f64 * speed),
        _ => "not measured yet".into(),
    };
    let when = match (status.unrepaired.is_empty(), outlook.repairing, outlook.next) {
        (true, false, _) => "Nothing waits for a repair.".to_owned(),
        (_, true, _) => "A repair is on.".into(),
        (_, _, Some(at)) => format!("The next repair begins by itself at {}.", day::text(at)),
        (_, _, None) => "A repair begins in a moment.".into(),
    };
    let least = app.config().min_weight * 100.0;
    let floor = if least > 0.0 { format!("; a repair begins at once below {least:.0} %") } else { String::new() };
    let caption = format!(
        "{when} All shards together vote with {:.0} % of their full weight{floor}. However many deletions one repair is for, it costs no more \
         than training everything.",
        grid::weight(status) * 100.0
    );
    let columns = ["When", "Row-passes", "Of training everything", "Time"];
    tables::begin(out, "plan", "What a repair costs", &caption, &columns);
    for (name, row_passes) in
        [("Now", missing), ("Later, at most", if status.unrepaired.is_empty() { 0 } else { status.full_row_passes })]
    {
        let share = row_passes as f64 / all as f64 * 100.0;
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{name}</th><td class=\"number\">{row_passes}</td><td class=\"number\">{share:.1} %</td><td class=\"number\">{}</td></tr>",
            seconds(row_passes)
        );
    }
    tables::end(out);
}

/// A signed receipt is checked in the browser: the script shows the form.
fn check(out: &mut String) {
    let _ = write!(
        out,
        "<section id=\"receipt\"><h2>Check a receipt</h2>\n<noscript><p>Without a script: <code>sisa receipt --check FILE --pub KEY</code>.</p></noscript>\n\
         <form id=\"check\" data-predicate=\"{}\" hidden>\n<p class=\"soft\">Nothing is sent anywhere: the file is read by this page. Take the public key \
         from its owner, and not from whoever sent the receipt.</p>\n<label>Signed receipt <input id=\"file\" type=\"file\" accept=\".json,application/json\"></label>\n\
         <label>Public key <input id=\"key\" type=\"text\" spellcheck=\"false\" autocomplete=\"off\" placeholder=\"64 hexadecimal digits\"></label>\n\
         <button>Check</button>\n<p id=\"verdict\" role=\"status\"></p></form></section>\n",
        escape(PREDICATE_TYPE)
    );
}
