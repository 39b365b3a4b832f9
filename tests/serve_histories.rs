//! Random histories of a service beside other processes, which are killed at any moment: what was answered is done, and what is on the disk at the
//! end is what training without those who are gone writes.
//!
//! `SISA_HISTORY=1000` tries as many steps, with a kill in twenty; without it there are few.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests read their settings from where they are, and stop at what they do not expect"
)]

mod common;
mod service;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use common::{Bench, LINEAR, RIDGE, Setup, rows};
use serde_json::json;
use service::Service;
use sisa::engine::{DeleteRequest, Quiet, VerifyRequest};

/// Numbers that follow from a seed alone.
struct Draws(u64);

impl Draws {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32 % end
    }
}

const PEOPLE: u32 = 60;
/// Steps, and steps from one kill to the next.
const STEPS: u32 = 48;
const LIFE: u32 = 20;

/// What was answered: the people of every request that is to be in the ledger.
type Answered = Mutex<BTreeMap<String, u32>>;

fn sisa(root: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sisa"));
    command.arg("-w").arg(root).args(args).arg("--wait").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Another process does something; one in four is killed while it is at it.
fn beside(root: &Path, draws: &mut Draws, name: &str, person: u32, answered: &Answered) {
    let person_text = person.to_string();
    let delete = ["delete", "--subject", &person_text, "--request-id", name];
    let deferred = [&delete[..], &["--defer"]].concat();
    let (args, deletes): (&[&str], bool) = match draws.below(12) {
        0 => (&["repair"], false),
        1 => (&["rekey"], false),
        2..6 => (&delete, true),
        _ => (&deferred, true),
    };
    let mut child = sisa(root, args).spawn().unwrap();
    if draws.below(4) == 0 {
        std::thread::sleep(Duration::from_millis(draws.below(40).into()));
        let _ = child.kill();
    }
    let done = child.wait().unwrap();
    // Unknown to a generation that was imported without them: never here. Killed: nobody was told anything.
    if deletes && done.success() {
        answered.lock().unwrap().insert(name.to_owned(), person);
    }
}

/// Somebody asks the service, and hears an answer or is cut off.
fn asks(service: &Service, draws: &mut Draws, name: &str, person: u32, answered: &Answered) {
    let mut client = service.client();
    let (path, body) = match draws.below(3) {
        0 => {
            let identity = json!({
                "identity_type": "controller_customer_id", "identity_value": person.to_string(), "identity_format": "raw",
            });
            let body = json!({
                "regulation": "gdpr", "subject_request_type": "erasure", "api_version": "2.0", "subject_request_id": name,
                "submitted_time": "2026-11-26T01:00:00Z", "subject_identities": [identity],
            });
            ("/opendsr/v2/requests", body)
        }
        1 => ("/v1/deletions", json!({ "subjects": [person], "request": name, "wait": "accepted" })),
        _ => ("/v1/deletions", json!({ "subjects": [person], "request": name })),
    };
    let Ok(reply) = client.ask("POST", path, &[], body.to_string().as_bytes()) else { return };
    match reply.status {
        200..=202 => {
            answered.lock().unwrap().insert(name.to_owned(), person);
        }
        // Another process is being recovered from, or it takes long.
        503 => {}
        _ => panic!("{} {}", reply.status, reply.text()),
    }
}

fn history(learner: &'static str, seed: u64) {
    let steps = std::env::var("SISA_HISTORY").ok().and_then(|text| text.parse().ok()).unwrap_or(STEPS);
    let all = rows(PEOPLE);
    let bench = Bench::trained(&Setup { shards: 3, slices: 2, holdout: 0.0, learner, epochs: 1, ..Setup::default() }, &all);
    let config = bench.root().join("sisa.toml");
    let text = fs::read_to_string(&config).unwrap();
    let desk = "[serve]\nquality = \"off\"\n[serve.opendsr]\ndomain = \"dsr.acme.example\"\ncontroller = \"acme\"\n";
    fs::write(&config, format!("{text}\n{desk}")).unwrap();
    let (mut draws, answered) = (Draws(seed), Answered::default());
    let mut step = 0;
    while step < steps {
        let service = Service::start(bench.root(), &[]);
        // Several at once until it is killed, in the middle of whatever they are at.
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let mut draws = Draws(u64::from(draws.below(u32::MAX)));
                let (service, answered, root, first) = (&service, &answered, bench.root(), step);
                scope.spawn(move || {
                    for at in 0..LIFE / 3 {
                        // As OpenDSR wants names.
                        let name = format!("{:08x}-{:04x}-4000-8000-{first:012x}", draws.below(u32::MAX), at);
                        let person = draws.below(PEOPLE - 10);
                        match draws.below(3) {
                            0 => beside(root, &mut draws, &name, person, answered),
                            _ => asks(service, &mut draws, &name, person, answered),
                        }
                    }
                });
            }
            std::thread::sleep(Duration::from_millis((100 + draws.below(400)).into()));
            assert!(Command::new("kill").args(["-KILL", &service.pid().to_string()]).status().unwrap().success());
        });
        step += LIFE;
    }
    let service = Service::start(bench.root(), &[]);
    let mut client = service.client();
    let clock = Instant::now();
    while !client.get("/metrics").is(200).text().lines().any(|line| line == "sisa_desk_pending 0")
        || client.get("/v1/status").json().get("unrepaired") != Some(&json!([]))
    {
        assert!(clock.elapsed() < Duration::from_secs(60), "{}", service.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(service.stop(), Some(0));
    let engine = bench.engine();
    let names: Vec<String> = engine.log().unwrap().into_iter().map(|r| r.accepted.request).collect();
    let known: BTreeSet<&String> = names.iter().collect();
    assert_eq!(names.len(), known.len(), "none is there twice");
    let answered = answered.into_inner().unwrap();
    assert!(answered.len() > 3, "too little was answered to tell anything: {answered:?}");
    let lost: Vec<&String> = answered.keys().filter(|name| !known.contains(name)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    let subjects: Vec<String> = answered.values().map(u32::to_string).collect();
    let forecast = engine.forecast(&DeleteRequest { subjects, ..DeleteRequest::default() }).unwrap();
    assert_eq!(forecast.accepted.outcomes.iter().map(|o| o.in_slices + o.held_out).sum::<u64>(), 0, "somebody is still there");
    let verdict = engine.verify(&VerifyRequest { retrain: true, ..VerifyRequest::default() }, &Quiet).unwrap();
    assert_eq!(verdict.findings, vec![], "seed {seed}");
}

#[test]
fn whatever_is_killed_and_whenever_what_was_answered_is_done_and_every_byte_is_as_trained_anew() {
    history(LINEAR, 5);
}

#[test]
fn the_same_where_rows_are_taken_out_of_states() {
    history(RIDGE, 6);
}
