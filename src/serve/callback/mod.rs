//! Callbacks: every change of state is told to every address of its request, in order, signed, until it answers 2xx or three days are over.
//! What can't be delivered never changes what becomes of the request.

mod address;
mod send;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use sisa::{
    engine::{DeskConfig, utc_now},
    wire,
};
use tokio::task::JoinSet;

use self::send::{Call, send};
pub(super) use self::{address::Address, send::Trust};
use super::{
    app::App,
    day,
    intake::{Listener, Record},
    log,
    metrics::count,
    opendsr::Status,
};

/// Between two looks at what is to be told.
const LOOK: Duration = Duration::from_millis(250);
/// So many are called at once.
const AT_ONCE: usize = 16;
/// The longest pause between two tries, and after how long a step is given up, in seconds.
const PAUSE_MOST: f64 = 6.0 * 3_600.0;
const PATIENCE: f64 = 3.0 * day::DAY;

/// Tells until the task is ended. A call that is on its way then may be made again by the next service.
pub(super) async fn run(app: Arc<App>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let config = app.config();
        let Some(desk) = &config.opendsr else { continue };
        let now = day::now();
        let mut due: Vec<(Arc<Record>, usize)> = Vec::new();
        for record in app.intake.open() {
            let listening = record.listeners.iter().enumerate().filter(|(_, l)| is_due(l, &record, now));
            due.extend(listening.map(|(at, _)| (record.clone(), at)).take(AT_ONCE - due.len().min(AT_ONCE)));
            if due.len() >= AT_ONCE {
                break;
            }
        }
        if due.is_empty() {
            continue;
        }
        // Nobody hears that something is in effect while an answer from before is on its way.
        app.given.drained().await;
        let mut calls = JoinSet::new();
        for (record, at) in due {
            calls.spawn(tell(app.clone(), desk.clone(), record, at));
        }
        while calls.join_next().await.is_some() {}
    }
}

fn is_due(listener: &Listener, record: &Record, now: f64) -> bool {
    let again = listener.again_at.as_deref().and_then(day::seconds);
    listener.next < record.steps.len() && again.is_none_or(|at| at <= now)
}

/// Tells one address of one step, and keeps what came of it.
async fn tell(app: Arc<App>, desk: DeskConfig, record: Arc<Record>, at: usize) {
    let Some(listener) = record.listeners.get(at) else { return };
    let Some(step) = record.steps.get(listener.next) else { return };
    let body = wire::line(&Status::of_step(&desk, &record, step, &listener.url));
    let allowed = Address::parse(&listener.url).filter(|a| desk.callbacks.iter().any(|prefix| a.is_within(prefix)));
    let problem = match allowed {
        // The operator may have changed his mind since it was taken in.
        None => Some("the address is no longer allowed by `callbacks` under [serve.opendsr]".to_owned()),
        Some(address) => {
            let signature = app.signer().sign(body.as_bytes());
            let (domain, private) = (desk.domain.clone(), desk.private_callbacks);
            let call = Call { address, domain, body: Bytes::from(body), signature, private };
            send(call, &app.trust()).await.err().map(|e| e.to_string())
        }
    };
    let shared = app.clone();
    let _ = tokio::task::spawn_blocking(move || {
        let name = record.request.clone();
        let kept = shared.intake.change(&name, |record| {
            let Some(listener) = record.listeners.get_mut(at) else { return false };
            match &problem {
                None => {
                    told(listener);
                    false
                }
                Some(_) => failed(listener, desk.retry_seconds.into(), day::now()),
            }
        });
        match (kept, &problem) {
            (Ok(Some(true)), Some(problem)) => {
                count(&shared.metrics.callbacks_given_up);
                alarm(&name, &format!("a callback was tried for three days and is given up: {problem}"));
            }
            (Ok(_), Some(problem)) => {
                count(&shared.metrics.callbacks_failed);
                alarm(&name, &format!("a callback is tried again later: {problem}"));
            }
            (Ok(_), None) => count(&shared.metrics.callbacks),
            (Err(e), _) => alarm(&name, &format!("what came of a callback can't be kept, and it is made again: {e}")),
        }
    })
    .await;
}

fn alarm(request: &str, text: &str) {
    log::Line { request: Some(request), text: Some(text), ..log::line("callback") }.write();
}

fn told(listener: &mut Listener) {
    (listener.next, listener.tries, listener.first_at, listener.again_at) = (listener.next + 1, 0, None, None);
}

/// Puts a step off, or gives it up; tells whether it was given up.
fn failed(listener: &mut Listener, pause: f64, now: f64) -> bool {
    let first = listener.first_at.get_or_insert_with(utc_now).clone();
    listener.tries = listener.tries.saturating_add(1);
    if now - day::seconds(&first).unwrap_or(now) >= PATIENCE {
        told(listener);
        listener.undelivered += 1;
        return true;
    }
    let doublings = listener.tries.saturating_sub(1).min(16);
    listener.again_at = Some(day::text(now + (pause * f64::from(1_u32 << doublings)).min(PAUSE_MOST)));
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_six_hours_and_after_three_days_a_step_is_given_up() {
        let mut listener =
            Listener { url: "https://a.example/".into(), next: 0, tries: 0, first_at: None, again_at: None, undelivered: 0 };
        let begun = day::now().floor();
        let (mut now, mut pauses) = (begun, Vec::new());
        while !failed(&mut listener, 60.0, now) {
            let again = day::seconds(listener.again_at.as_ref().unwrap()).unwrap();
            pauses.push((again - now).round());
            now = again;
        }
        assert_eq!(pauses[..4], [60.0, 120.0, 240.0, 480.0]);
        assert!(pauses.iter().all(|pause| *pause <= PAUSE_MOST) && pauses.contains(&PAUSE_MOST));
        assert!((PATIENCE..PATIENCE + PAUSE_MOST + 60.0).contains(&(now - begun)));
        assert_eq!((listener.next, listener.undelivered, listener.tries), (1, 1, 0), "the next step is told from then on");
    }
}
