//! Requests, holds, and who did what.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use serde_json::Value;
use sisa::engine::RequestLine;
use sisa::wire;

use super::super::{
    app::App,
    day,
    intake::{Hold, Record, Stage},
    judge::ACT,
};
use crate::markup::escape;

/// Acts that are shown, the newest; `/v1/audit` has all.
const ACTS: usize = 50;

pub(super) fn begin(out: &mut String, id: &str, title: &str, caption: &str, columns: &[&str]) {
    let _ = write!(
        out,
        "<section id=\"{id}\"><h2>{title}</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\"><table><caption>{caption}</caption>\n<thead><tr>"
    );
    for name in columns {
        let _ = write!(out, "<th scope=\"col\">{name}</th>");
    }
    out.push_str("</tr></thead>\n<tbody>");
}

pub(super) fn end(out: &mut String) {
    out.push_str("</tbody></table></div></section>\n");
}

/// A time to the second, as it is read best; a dash for none.
pub(super) fn moment(time: Option<&str>) -> String {
    let time = time.and_then(|time| Some((time.get(..10)?, time.get(11..19)?)));
    time.map_or_else(|| "–".into(), |(date, time)| escape(&format!("{date} {time}")))
}

/// How far off a day is, in words.
pub(super) fn days_left(due: f64, now: f64) -> String {
    match ((due - now) / day::DAY).floor() {
        days if days < -1.0 => format!("{:.0} days ago", -days),
        days if days < 0.0 => "a day ago".into(),
        days if days < 1.0 => "within a day".into(),
        days if days < 2.0 => "in a day".into(),
        days => format!("in {days:.0} days"),
    }
}

/// States that a row can have.
const STATES: [&str; 6] = ["pending", "held", "cancelled", "accepted", "effective", "repaired"];

/// Requests of the intake that are not in the ledger yet, and those of the ledger.
pub(super) fn requests(out: &mut String, app: &App, lines: &[RequestLine], kept: &[Arc<Record>]) {
    out.push_str("<div id=\"choice\" hidden><label>Show requests <select><option value=\"\">in every state</option>");
    for state in STATES {
        let _ = write!(out, "<option value=\"{state}\">that are {state}</option>");
    }
    out.push_str("</select></label></div>\n");
    let columns =
        ["Request", "State", "Came", "In effect after", "Due", "Repaired", "Ids", "Unknown", "Records", "Callbacks", "Receipt"];
    begin(
        out,
        "requests",
        "Deletion requests",
        "The newest first; times are UTC. There are no ids here: only digests of them are kept.",
        &columns,
    );
    let (now, by_name) = (day::now(), kept.iter().map(|r| (r.request.as_str(), &**r)).collect::<BTreeMap<&str, &Record>>());
    for record in kept.iter().filter(|r| lines.iter().all(|line| line.request != r.request)) {
        let held = record.stage == Stage::Pending && app.intake.held_by(&record.handles).is_ok_and(|hold| hold.is_some());
        let state = if held { "held" } else { record.status() };
        let told = wire::Deletion::kept(&record.request, record.status());
        row(out, &told, &record.received_at, state, Some(record), now, false);
    }
    let signs = app.config().sign.is_some();
    for line in lines {
        let told = wire::Deletion::from(line);
        let (state, came) = (told.state, line.accepted_at.clone());
        row(out, &told, &came, state, by_name.get(line.request.as_str()).copied(), now, signs);
    }
    if lines.is_empty() && kept.is_empty() {
        let _ = write!(out, "<tr><td colspan=\"{}\">None yet.</td></tr>", columns.len());
    }
    end(out);
}

fn row(out: &mut String, told: &wire::Deletion, came: &str, state: &str, record: Option<&Record>, now: f64, signs: bool) {
    let dash = || "–".to_owned();
    let name = escape(told.request.as_deref().unwrap_or_default());
    let after = told.effective_seconds.map_or_else(dash, |seconds| format!("{:.0} ms", seconds * 1e3));
    let open = told.repaired_at.is_none();
    let due = record.filter(|_| open).map(|record| record.due());
    let due_class = if due.is_some_and(|due| due < now) { " class=\"warn\"" } else { "" };
    let due = due.map_or_else(dash, |due| days_left(due, now));
    let calls = record.filter(|record| !record.listeners.is_empty()).map_or_else(dash, |record| {
        let (waiting, lost) = record.listeners.iter().fold((0, 0), |(waiting, lost), listener| {
            (waiting + record.steps.len().saturating_sub(listener.next), lost + listener.undelivered)
        });
        match (waiting, lost) {
            (0, 0) => "told".into(),
            (waiting, 0) => format!("{waiting} to tell"),
            (waiting, lost) => format!("{waiting} to tell, {lost} undelivered"),
        }
    });
    let receipt = match &told.accepted_at {
        None => dash(),
        Some(_) => {
            let plain = format!(
                "<a href=\"/v1/deletions/{name}/receipt\" download=\"{name}.json\" aria-label=\"receipt of {name}\">receipt</a>"
            );
            let signed = format!(
                ", <a href=\"/v1/deletions/{name}/receipt?signed=1\" download=\"{name}.signed.json\" aria-label=\"signed receipt of {name}\">signed</a>"
            );
            if signs && !open { plain + &signed } else { plain }
        }
    };
    let state_class = if matches!(state, "repaired" | "cancelled") { "" } else { " class=\"warn\"" };
    let counted = told.erased + told.already_erased + told.unknown + told.corrected;
    let ids = if told.accepted_at.is_some() { counted } else { record.map_or(0, |record| record.handles.len() as u64) };
    let _ = writeln!(
        out,
        "<tr data-state=\"{state}\"><th scope=\"row\">{name}</th><td{state_class}>{state}</td><td>{}</td><td class=\"number\">{after}</td>\
         <td{due_class}>{due}</td><td>{}</td><td class=\"number\">{ids}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td>{calls}</td>\
         <td>{receipt}</td></tr>",
        moment(Some(came)),
        moment(told.repaired_at.as_deref()),
        told.unknown,
        told.records,
    );
}

/// Legal holds.
pub(super) fn holds(out: &mut String, holds: &[Hold]) {
    begin(
        out,
        "holds",
        "Legal holds",
        "Requests of these subjects stay pending.",
        &["Hold", "Reason", "Until", "Made", "By", "Subjects"],
    );
    for hold in holds {
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"number\">{}</td></tr>",
            escape(&hold.name),
            escape(&hold.reason),
            hold.until.as_deref().map_or_else(|| "it is ended".into(), |until| moment(Some(until))),
            moment(Some(&hold.made_at)),
            escape(&hold.made_by),
            hold.handles.len()
        );
    }
    if holds.is_empty() {
        out.push_str("<tr><td colspan=\"6\">None.</td></tr>");
    }
    end(out);
}

/// Who did what.
pub(super) fn trail(out: &mut String, acts: &str) {
    begin(out, "trail", "Who did what", "The newest first.", &["Time", "Key", "Act", "About", "Result"]);
    let acts = acts.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    // What was measured has a table of its own.
    for act in acts.filter(|act| act.get("what").and_then(Value::as_str) != Some(ACT)).take(ACTS) {
        let cell = |name: &str| escape(act.get(name).and_then(Value::as_str).unwrap_or("–"));
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            moment(act.get("time").and_then(Value::as_str)),
            cell("who"),
            cell("what"),
            cell("about"),
            cell("result")
        );
    }
    end(out);
}
