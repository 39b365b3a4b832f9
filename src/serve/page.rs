//! The page for whoever looks after the service: tables, made here, without a script and with nothing fetched from anywhere.

use std::fmt::Write as _;

use axum::http::{StatusCode, header};
use serde_json::Value;
use sisa::engine::{CellStatus, RequestLine, Requests, ShardStatus, Status, utc_now};

use super::{app::App, audit, log, predict::failed, problem::Problem, reply::Reply};

/// Requests and acts that are shown, the newest; `/v1/deletions` and `/v1/audit` have all.
const REQUESTS: usize = 200;
const ACTS: usize = 50;

/// Text as it stands in HTML.
fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// What is shown of the requests.
struct Listed {
    /// The newest first.
    lines: Vec<RequestLine>,
    count: usize,
    /// Seconds of the slowest effect.
    slowest: f64,
}

impl Listed {
    fn of(requests: &Requests) -> Listed {
        let all = requests.lines();
        let slowest = all.iter().filter_map(|line| line.effective.as_ref()).map(|e| e.1).fold(0.0, f64::max);
        Listed { lines: all.iter().rev().take(REQUESTS).cloned().collect(), count: all.len(), slowest }
    }
}

/// The page as of now.
pub(super) fn page(app: &App) -> Result<Reply, Problem> {
    let status = app.engine.status().map_err(|e| failed(&e))?;
    let requests = app.book.read(&app.engine, Listed::of).map_err(|e| failed(&e))?;
    let acts = audit::read(&app.engine).unwrap_or_else(|e| {
        log::alarm(&e.to_string());
        String::new()
    });
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).map_err(|_| Problem::internal())?;
    let nonce: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut out = String::with_capacity(16 << 10);
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>sisa serve</title><style nonce=\"{nonce}\">{}</style></head><body><main>\n",
        include_str!("page.css")
    );
    head(&mut out, app, &status, &requests);
    grid(&mut out, &status);
    listed(&mut out, &requests);
    trail(&mut out, &acts);
    out.push_str("</main></body></html>\n");
    let policy =
        format!("default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    Ok(Reply::new(StatusCode::OK, "text/html; charset=utf-8", out)
        .with(header::CONTENT_SECURITY_POLICY, &policy)
        .with(header::REFERRER_POLICY, "no-referrer"))
}

fn head(out: &mut String, app: &App, status: &Status, requests: &Listed) {
    let state = match (status.unrepaired.len(), status.complete()) {
        (0, true) => "Everything is repaired.".to_owned(),
        (0, false) => "Steps are missing that no deletion waits for.".to_owned(),
        (1, _) => "1 deletion is in effect and waits for its repair.".to_owned(),
        (n, _) => format!("{n} deletions are in effect and wait for their repair."),
    };
    let _ = writeln!(
        out,
        "<h1>{state}</h1>\n<p>{} requests in all, the slowest in effect after {:.0} ms. Model {}, generation {}, recipe {}, ledger entry {}, \
         as of {}.</p>\n<p><a href=\"/metrics\">Metrics</a>, <a href=\"/v1/status\">state</a>, <a href=\"/v1/deletions\">all requests</a>, \
         <a href=\"/v1/audit\">audit log</a>, <a href=\"/openapi.json\">what can be asked</a>.</p>",
        requests.count,
        requests.slowest * 1e3,
        text(&app.config().model),
        status.serving.generation,
        text(&status.serving.recipe.to_string()),
        status.ledger_entries,
        utc_now(),
    );
}

fn grid(out: &mut String, status: &Status) {
    let slices = status.shards.first().map_or(0, |shard| shard.cells.len());
    out.push_str("<h2>Shards and slices</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Shards and slices\"><table><caption>Steps: C has its checkpoint, M is missing and is trained next, – keeps none.</caption>\n<thead><tr><th scope=\"col\">Shard</th>");
    (1..=slices).for_each(|slice| {
        let _ = write!(out, "<th scope=\"col\">{slice}</th>");
    });
    out.push_str(
        "<th scope=\"col\">Records</th><th scope=\"col\">Serves step</th><th scope=\"col\">Vote</th></tr></thead>\n<tbody>",
    );
    status.shards.iter().for_each(|shard| row(out, shard));
    out.push_str("</tbody></table></div>\n");
}

fn row(out: &mut String, shard: &ShardStatus) {
    let _ = write!(out, "<tr><th scope=\"row\">{}</th>", shard.shard);
    for CellStatus { checkpoint_bytes, kept, .. } in &shard.cells {
        let (class, letter) = match (checkpoint_bytes, kept) {
            (Some(_), _) => ("cell", "C"),
            (None, true) => ("cell missing", "M"),
            (None, false) => ("cell", "–"),
        };
        let _ = write!(out, "<td class=\"{class}\">{letter}</td>");
    }
    let records: u64 = shard.cells.iter().map(|cell| cell.rows).sum();
    let depth = f64::from(shard.serves) / shard.cells.len().max(1) as f64;
    // The weight of a member (docs/TRAINING.md, section 6).
    let vote = depth * depth * depth * depth * 100.0;
    let _ = writeln!(
        out,
        "<td class=\"number\">{records}</td><td class=\"number\">{} of {}</td><td class=\"number\">{vote:.0} %</td></tr>",
        shard.serves,
        shard.cells.len()
    );
}

fn listed(out: &mut String, requests: &Listed) {
    out.push_str("<h2>Deletion requests</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Deletion requests\"><table><caption>The newest first. There are no ids here: only digests of them are kept.</caption>\n<thead><tr>");
    for name in ["Request", "State", "Accepted", "In effect after", "Repaired", "Ids", "Unknown", "Records", "Receipt"] {
        let _ = write!(out, "<th scope=\"col\">{name}</th>");
    }
    out.push_str("</tr></thead>\n<tbody>");
    for line in &requests.lines {
        let told = sisa::wire::Deletion::from(line);
        let name = text(&line.request);
        let after = told.effective_seconds.map_or("–".to_owned(), |seconds| format!("{:.0} ms", seconds * 1e3));
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{name}</th><td{}>{}</td><td>{}</td><td class=\"number\">{after}</td><td>{}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{}</td><td class=\"number\">{}</td><td><a href=\"/v1/deletions/{name}/receipt\" aria-label=\"receipt of {name}\">receipt</a></td></tr>",
            if told.state == "repaired" { "" } else { " class=\"warn\"" },
            told.state,
            text(told.accepted_at.as_deref().unwrap_or("–")),
            text(told.repaired_at.as_deref().unwrap_or("–")),
            told.erased + told.already_erased + told.unknown,
            told.unknown,
            told.records,
        );
    }
    if requests.lines.is_empty() {
        out.push_str("<tr><td colspan=\"9\">None yet.</td></tr>");
    }
    out.push_str("</tbody></table></div>\n");
}

fn trail(out: &mut String, acts: &str) {
    out.push_str("<h2>Who did what</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Who did what\"><table><caption>The newest first.</caption>\n<thead><tr>");
    for name in ["Time", "Key", "Act", "About", "Result"] {
        let _ = write!(out, "<th scope=\"col\">{name}</th>");
    }
    out.push_str("</tr></thead>\n<tbody>");
    for line in acts.lines().rev().take(ACTS) {
        let act: Value = serde_json::from_str(line).unwrap_or_default();
        let cell = |name: &str| text(act.get(name).and_then(Value::as_str).unwrap_or("–"));
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            cell("time"),
            cell("who"),
            cell("what"),
            cell("about"),
            cell("result")
        );
    }
    out.push_str("</tbody></table></div>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_no_markup() {
        assert_eq!(text("<a href=\"x\" onclick='y'>&"), "&lt;a href=&quot;x&quot; onclick=&#39;y&#39;&gt;&amp;");
    }
}
