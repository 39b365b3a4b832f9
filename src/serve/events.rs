//! `GET /v1/events`: tells whoever looks at the page that there is something new to see, and nothing more. Server-sent events (HTML, 9.2).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{app::App, keeper::Outlook, problem::Problem, reply::Reply};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// So many looks without anything new, and something is sent all the same: a connection that is gone shows only then.
const BEAT: u32 = 30;

/// What the page shows, as far as it changes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sight {
    entry: u64,
    kept: u64,
    measured: u64,
    outlook: Outlook,
}

impl Sight {
    /// Now; one look at one name, unless something came.
    fn now(app: &App, before: &Sight) -> Sight {
        let moved = app.engine.moved_since(before.entry).unwrap_or(false);
        let read = || app.book.read(&app.engine, |requests| requests.entry()).unwrap_or(before.entry);
        let entry = if moved { read() } else { before.entry };
        Sight { entry, kept: app.intake.changes(), measured: app.judge.measured(), outlook: app.keeper.outlook() }
    }
}

/// Tells of changes until the page is closed or the service stops.
pub(super) fn watch(app: &Arc<App>) -> Result<Reply, Problem> {
    let busy = |_| Problem::busy("as many pages are open as are kept up to date; this one is up to date when it is loaded again");
    let permit = app.watchers.clone().try_acquire_owned().map_err(busy)?;
    let (send, stream) = mpsc::channel(4);
    let app = app.clone();
    tokio::spawn(async move {
        let (mut seen, mut number, mut silent) = (Sight::default(), 0_u64, 0);
        while !app.stopping() {
            let (shared, before) = (app.clone(), seen);
            let Ok(now) = tokio::task::spawn_blocking(move || Sight::now(&shared, &before)).await else { break };
            silent += 1;
            let text = if now != seen {
                (seen, number) = (now, number + 1);
                format!(
                    "id: {number}\nevent: change\ndata: {{\"entry\":{},\"repairing\":{}}}\n\n",
                    seen.entry, seen.outlook.repairing
                )
            } else if silent >= BEAT {
                ":\n\n".to_owned()
            } else {
                String::new()
            };
            if !text.is_empty() {
                silent = 0;
                if send.send(Bytes::from(text)).await.is_err() {
                    break;
                }
            }
            if tokio::time::timeout(LOOK, send.closed()).await.is_ok() {
                break;
            }
        }
        drop(permit);
    });
    Ok(Reply::streamed("text/event-stream", stream))
}
