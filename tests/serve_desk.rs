//! The privacy desk: requests of OpenDSR over real sockets, kept before they are answered, told of by callbacks; holds, days and quotas.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests write settings by hand, and stop at what they do not expect"
)]

mod common;
mod service;

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use common::{Bench, LINEAR, Setup, rows};
use serde_json::{Value, json};
use service::{Client, Service, key};
use sisa::engine::{Quiet, VerifyRequest};

fn bench(desk: &str) -> Bench {
    let bench =
        Bench::trained(&Setup { shards: 3, slices: 2, holdout: 0.0, learner: LINEAR, epochs: 1, ..Setup::default() }, &rows(60));
    let path = bench.root().join("sisa.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, format!("{text}\n{desk}\n")).unwrap();
    bench
}

const DESK: &str = "[serve.opendsr]\ndomain = \"dsr.acme.example\"\ncontroller = \"acme\"\n";

/// A name of a request.
fn id(n: u32) -> String {
    format!("a7551968-d5d6-44b2-9831-{n:012x}")
}

fn request(n: u32, subjects: &[&str], callbacks: &[String]) -> String {
    let identity = |s: &&str| json!({ "identity_type": "controller_customer_id", "identity_value": s, "identity_format": "raw" });
    json!({
        "regulation": "gdpr", "subject_request_id": id(n), "subject_request_type": "erasure", "submitted_time": "2026-11-01T12:00:00+01:00",
        "subject_identities": subjects.iter().map(identity).collect::<Vec<_>>(), "status_callback_urls": callbacks, "api_version": "2.0",
        "extensions": { "other.example": { "x": 1 } },
    })
    .to_string()
}

fn post(client: &mut Client, n: u32, subjects: &[&str]) -> Value {
    client.post("/opendsr/v2/requests", &request(n, subjects, &[])).is(201).json()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let clock = Instant::now();
    while !done() {
        assert!(clock.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn status(client: &mut Client, n: u32) -> Value {
    client.get(&format!("/opendsr/v2/requests/{}", id(n))).is(200).json()
}

fn becomes(client: &mut Client, n: u32, state: &str) -> Value {
    until(state, || status(client, n)["request_status"] == state);
    status(client, n)
}

fn whole(bench: &Bench) {
    let verdict = bench.engine().verify(&VerifyRequest { retrain: true, ..VerifyRequest::default() }, &Quiet).unwrap();
    assert_eq!(verdict.findings, vec![]);
}

#[test]
fn a_request_is_kept_answered_and_done_and_the_same_again_is_the_same_answer() {
    let bench = bench(DESK);
    let service = Service::start(bench.root(), &[]);
    let mut client = service.client();
    let discovery = client.get("/opendsr/v2/discovery").is(200).json();
    assert_eq!(
        discovery["supported_identities"],
        json!([{ "identity_type": "controller_customer_id", "identity_format": "raw" }])
    );
    assert_eq!((&discovery["processor_certificate"], &discovery["api_version"]), (&Value::Null, &json!("2.0")));
    assert_eq!(discovery["extensions"]["dsr.acme.example"]["answers_are_signed"], false, "it says that they are not");
    client.get("/opendsr/v2/certificate.pem").is(404);

    let body = request(1, &["7", "9000"], &[]);
    let first = client.post("/opendsr/v2/requests", &body).is(201);
    assert_eq!(first.header("x-opendsr-processor-domain"), Some("dsr.acme.example"));
    assert_eq!(first.header("x-opendsr-signature"), None);
    let told = first.json();
    assert_eq!((&told["controller_id"], &told["subject_request_id"]), (&json!("acme"), &json!(id(1))));
    // 28 days from the day that the subject asked.
    assert_eq!(told["expected_completion_time"], "2026-11-29T11:00:00Z");
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(&body);
    assert_eq!(told["encoded_request"], encoded);
    let done = becomes(&mut client, 1, "completed");
    let records = bench.engine().log().unwrap()[0].accepted.outcomes.iter().map(|o| o.in_slices + o.held_out).sum::<u64>();
    assert_eq!((&done["results_count"], &done["results_url"]), (&json!(records), &Value::Null));
    assert_eq!(done["extensions"]["dsr.acme.example"]["unknown"], 1, "what is unknown is told");
    assert!(
        records > 0 && done["extensions"]["dsr.acme.example"]["since"].as_str().unwrap().len() == 20,
        "whole seconds: {done}"
    );
    assert_eq!(client.post("/opendsr/v2/requests", &body).is(201).body, first.body, "byte for byte");
    assert_eq!(client.get(&format!("/opendsr/v2/status/{}", id(1))).is(200).json(), done);
    assert_eq!(client.get(&format!("/v1/deletions/{}", id(1))).is(200).json()["state"], "repaired");
    client.post("/opendsr/v2/requests", &request(1, &["8"], &[])).is(400);
    assert_eq!(client.ask("DELETE", &format!("/opendsr/v2/requests/{}", id(1)), &[], b"").unwrap().status, 400, "too late");

    let wrong = |change: &str, to: Value| {
        let mut body: Value = serde_json::from_str(&request(2, &["3"], &[])).unwrap();
        body[change] = to;
        body.to_string()
    };
    for body in [
        String::new(),
        "[]".into(),
        "{}".into(),
        wrong("regulation", json!("other")),
        wrong("regulation", Value::Null),
        wrong("subject_request_id", json!("A7551968-d5d6-44b2-9831-000000000002")),
        wrong("subject_request_type", json!("access")),
        wrong("submitted_time", json!("yesterday")),
        wrong("subject_identities", json!([])),
        wrong("subject_identities", json!([{ "identity_type": "email", "identity_value": "3", "identity_format": "raw" }])),
        wrong(
            "subject_identities",
            json!([{ "identity_type": "controller_customer_id", "identity_value": "3", "identity_format": "sha256" }]),
        ),
        wrong(
            "subject_identities",
            json!([{ "identity_type": "controller_customer_id", "identity_value": " ", "identity_format": "raw" }]),
        ),
        wrong("api_version", json!("1.0")),
        wrong("status_callback_urls", json!(["https://anybody.example/"])),
    ] {
        let reply = client.post("/opendsr/v2/requests", &body).is(400).json();
        assert_eq!(reply["error"]["code"], 400, "{body}");
    }
    client.get(&format!("/opendsr/v2/requests/{}", id(2))).is(400);
    assert_eq!(service.stop(), Some(0));
    whole(&bench);
}

#[test]
fn what_was_answered_is_done_after_a_kill_and_no_id_is_in_what_is_kept() {
    let bench = bench(&format!("{DESK}grace_minutes = 600\n"));
    let service = Service::start(bench.root(), &[]);
    let mut client = service.client();
    (1..5).for_each(|n| drop(post(&mut client, n, &[&format!("{n}"), &format!("SENTINELSENTINEL{n}")])));
    // While nothing is done yet it can be cancelled, once and for all.
    for _ in 0..2 {
        let cancelled = client.ask("DELETE", &format!("/opendsr/v2/requests/{}", id(2)), &[], b"").unwrap().is(202).json();
        assert_eq!(cancelled["subject_request_id"], id(2));
    }
    assert_eq!(status(&mut client, 2)["request_status"], "cancelled");
    assert_eq!(client.get(&format!("/v1/deletions/{}", id(1))).is(200).json()["state"], "pending");
    // By another way it can't become a request that asks for something else.
    let other = json!({
        "subjects": ["1", "SENTINELSENTINEL1"], "request": id(1), "no_suppress": true, "regulation": "ccpa",
    });
    client.post("/v1/deletions", &other.to_string()).is(409);
    let metrics = client.get("/metrics").is(200).text();
    assert!(metrics.contains("sisa_desk_pending 3\n"), "{metrics}");
    // What is wrong is told without what was sent.
    let mut said = metrics
        + &client.get("/v1/audit").is(200).text()
        + &client.get("/v1/holds").is(200).text()
        + &client.get("/").is(200).text();
    for wrong in
        [("\"raw\"", "\"md5\""), ("\"gdpr\"", "\"SENTINEL\""), ("erasure", "SENTINEL"), ("2.0", "SENTINEL"), ("}", "SENTINEL")]
    {
        said += &client
            .post("/opendsr/v2/requests", &request(9, &["SENTINELSENTINEL9"], &[]).replace(wrong.0, wrong.1))
            .is(400)
            .text();
    }
    said += &client.get("/opendsr/v2/requests/SENTINEL").is(400).text();
    said +=
        &client.ask("PUT", "/v1/holds/h", &[], br#"{"subjects": ["SENTINEL"], "reason": "?SENTINEL"}"#).unwrap().is(400).text();
    said += &service.log();
    assert!(!said.contains("SENTINEL"), "{said}");
    service.kill();
    let mut folders = vec![bench.root().join("service")];
    let mut kept = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            assert!(!fs::read_to_string(&path).unwrap().contains("SENTINEL"), "{}", path.display());
            kept += usize::from(path.to_str().unwrap().contains("/intake/"));
        }
    }
    assert_eq!(kept, 4, "one file a request");
    let path = bench.root().join("sisa.toml");
    fs::write(&path, fs::read_to_string(&path).unwrap().replace("grace_minutes = 600", "")).unwrap();
    let service = Service::start(bench.root(), &[]);
    let mut client = service.client();
    for n in [1, 3, 4] {
        becomes(&mut client, n, "completed");
    }
    assert_eq!(status(&mut client, 2)["request_status"], "cancelled");
    let names: Vec<String> = bench.engine().log().unwrap().iter().map(|r| r.accepted.request.clone()).collect();
    assert!(names.len() == 3 && !names.contains(&id(2)), "{names:?}");
    client.post("/opendsr/v2/requests", &request(2, &["2", "SENTINELSENTINEL2"], &[])).is(201);
    assert_eq!(status(&mut client, 2)["request_status"], "cancelled", "a name that was cancelled stays so");
    whole(&bench);
}

/// Kills at any moment: what was answered by 201 is done once, and what is done was asked for.
#[test]
fn no_request_is_lost_and_none_is_done_twice_however_often_the_service_is_killed() {
    let bench = bench(DESK);
    let (kept, next) = (Mutex::new(BTreeSet::<String>::new()), AtomicU32::new(1));
    let mut x = 11_u64;
    for round in 0..6 {
        let service = Service::start(bench.root(), &[]);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut client = service.client();
                    loop {
                        let n = next.fetch_add(1, Ordering::SeqCst);
                        let body = request(n, &[&format!("{}", n % 50)], &[]);
                        // A connection that breaks says nothing of its request.
                        let Ok(reply) = client.ask("POST", "/opendsr/v2/requests", &[], body.as_bytes()) else { return };
                        assert_eq!(reply.status, 201, "{}", reply.text());
                        kept.lock().unwrap().insert(id(n));
                    }
                });
            }
            until("an answer", || kept.lock().unwrap().len() > round);
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            std::thread::sleep(Duration::from_millis((x >> 33) % 120));
            assert!(Command::new("kill").args(["-KILL", &service.pid().to_string()]).status().unwrap().success());
        });
    }
    let service = Service::start(bench.root(), &[]);
    let mut client = service.client();
    until("all done", || client.get("/metrics").is(200).text().contains("sisa_desk_pending 0\n"));
    let names: Vec<String> = bench.engine().log().unwrap().iter().map(|r| r.accepted.request.clone()).collect();
    let done: BTreeSet<String> = names.iter().cloned().collect();
    assert_eq!(names.len(), done.len(), "none is there twice");
    let lost: Vec<String> = kept.into_inner().unwrap().difference(&done).cloned().collect();
    assert!(lost.is_empty(), "{lost:?}");
    for name in &names {
        until("completed", || {
            client.get(&format!("/opendsr/v2/requests/{name}")).is(200).json()["request_status"] == "completed"
        });
    }
    assert_eq!(service.stop(), Some(0));
    whole(&bench);
}

/// A controller that hears callbacks and answers them as it is told to.
struct Controller {
    port: u16,
    heard: Arc<Mutex<Vec<Heard>>>,
}

#[derive(Clone, Debug)]
struct Heard {
    line: String,
    headers: Vec<String>,
    body: Vec<u8>,
}

impl Controller {
    /// Answers the first calls by these statuses, and all others by 200.
    fn start(statuses: &'static [u16]) -> Controller {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, heard) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
        let all = heard.clone();
        std::thread::spawn(move || {
            for (at, stream) in listener.incoming().enumerate() {
                let mut stream = BufReader::new(stream.unwrap());
                let mut head = Vec::new();
                loop {
                    let mut line = String::new();
                    if stream.read_line(&mut line).unwrap_or(0) <= 2 {
                        break;
                    }
                    head.push(line.trim_end().to_lowercase());
                }
                let length = head.iter().find_map(|h| h.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                let status = statuses.get(at).copied().unwrap_or(200);
                all.lock().unwrap().push(Heard { line: head[0].clone(), headers: head[1..].to_vec(), body });
                // A redirect leads back here, where it would be heard.
                let answer = format!("HTTP/1.1 {status} x\r\nlocation: /redirected\r\ncontent-length: 0\r\n\r\n");
                let _ = stream.get_mut().write_all(answer.as_bytes());
            }
        });
        Controller { port, heard }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }
}

#[test]
fn every_change_is_told_in_order_again_until_it_is_taken_and_redirects_lead_nowhere() {
    let controller = Controller::start(&[500, 307, 200]);
    let allowed = format!("callbacks = [\"{}\"]\nprivate_callbacks = true\nretry_seconds = 1\n", controller.url("/dsr"));
    let bench = bench(&format!("{DESK}{allowed}"));
    let service = Service::start(bench.root(), &[]);
    let mut client = service.client();
    let url = controller.url("/dsr/cb?secret=1");
    client.post("/opendsr/v2/requests", &request(1, &["5"], &[controller.url("/other")])).is(400);
    client.post("/opendsr/v2/requests", &request(1, &["5"], std::slice::from_ref(&url))).is(201);
    until("four calls", || controller.heard().len() == 4);
    let told: Vec<Value> = controller.heard().iter().map(|h| serde_json::from_slice(&h.body).unwrap()).collect();
    let states: Vec<&str> = told.iter().map(|t| t["request_status"].as_str().unwrap()).collect();
    assert_eq!(states, ["in_progress", "in_progress", "in_progress", "completed"], "each until it is taken");
    for (heard, told) in controller.heard().iter().zip(&told) {
        assert_eq!(heard.line, "post /dsr/cb?secret=1 http/1.1", "and nothing is followed");
        assert!(heard.headers.contains(&"x-opendsr-processor-domain: dsr.acme.example".to_owned()), "{heard:?}");
        assert_eq!((&told["status_callback_url"], &told["subject_request_id"]), (&json!(url), &json!(id(1))));
        assert!(told["results_count"].as_u64().unwrap() > 0);
    }
    until("closed", || client.get("/metrics").is(200).text().contains("sisa_callbacks_waiting 0\n"));
    let metrics = client.get("/metrics").is(200).text();
    assert!(metrics.contains("sisa_callbacks_total 2\n") && metrics.contains("sisa_callbacks_failed_total 2\n"), "{metrics}");
    assert!(service.log().contains("answered by 307") && !service.log().contains("secret"), "{}", service.log());
}

#[test]
fn callbacks_do_not_reach_this_machine_unless_that_is_allowed_and_requests_are_done_all_the_same() {
    let controller = Controller::start(&[]);
    let names = ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"];
    let urls: Vec<String> = names.iter().map(|name| format!("http://{name}:{}/", controller.port)).collect();
    let bench = bench(&format!("{DESK}callbacks = {urls:?}\nretry_seconds = 1\n"));
    let service = Service::start(bench.root(), &[]);
    let mut client = service.client();
    for (n, url) in (0..).zip(&urls) {
        client.post("/opendsr/v2/requests", &request(n, &["5"], std::slice::from_ref(url))).is(201);
        becomes(&mut client, n, "completed");
    }
    until("refusals", || service.log().matches("a callback is tried again later").count() >= urls.len());
    assert_eq!(controller.heard().len(), 0, "{:?}", controller.heard());
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn a_held_subject_stays_until_the_hold_ends() {
    let bench = bench(DESK);
    let (boss, desk) = (key(bench.root(), "boss", "admin,audit"), key(bench.root(), "desk", "delete"));
    let service = Service::start(bench.root(), &[]);
    let (mut boss, mut desk) = (service.client().with_key(&boss), service.client().with_key(&desk));
    let put = |client: &mut Client, name: &str, body: Value| {
        client.ask("PUT", &format!("/v1/holds/{name}"), &[], body.to_string().as_bytes()).unwrap()
    };
    assert_eq!(
        put(&mut desk, "court", json!({ "subjects": ["4"] })).is(403).header("connection"),
        Some("close"),
        "its body was not read"
    );
    for wrong in [
        json!({}),
        json!({ "subjects": ["4"], "until": "2020-01-01T00:00:00Z" }),
        json!({ "subjects": ["4"], "reason": "<b>" }),
        json!({ "subjects": ["4"], "request": "x" }),
    ] {
        assert_eq!(put(&mut boss, "court", wrong).is(400).header("connection"), None);
    }
    let hold = put(&mut boss, "court", json!({ "subjects": ["4", 5], "reason": "case 7/2026" })).is(200).json();
    assert_eq!((&hold["subjects"], &hold["made_by"]), (&json!(2), &json!("boss")));
    post(&mut desk, 1, &["4", "6"]);
    post(&mut desk, 2, &["7"]);
    becomes(&mut desk, 2, "completed");
    assert_eq!(status(&mut desk, 1)["request_status"], "pending");
    assert_eq!(boss.get("/v1/holds").is(200).json()["holds"][0]["requests"], json!([id(1)]));
    // Other ways are told that it is held.
    desk.post("/v1/deletions", r#"{"subjects": ["5"], "request": "by-hand"}"#).is(409);
    desk.post("/v1/deletions", r#"{"records": [["5", 1]], "request": "by-hand"}"#).is(409);
    desk.get("/v1/deletions/by-hand").is(404);
    // So is whoever deletes beside the service, who may do so all the same; then that is written down.
    let beside = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sisa"));
        let output = command.arg("-w").arg(bench.root()).args(args).stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for args in [&["delete", "--subject", "5"][..], &["delete", "--record", "9,1"]] {
        let (code, said) = beside(args);
        assert_eq!(code, Some(3), "{args:?}: {said}");
        assert!(said.contains("the legal hold `court` stands against it") && said.contains("`--despite-holds`"), "{said}");
    }
    assert_eq!(beside(&["delete", "--subject", "9", "--wait"]).0, Some(0));
    assert_eq!(beside(&["delete", "--subject", "5", "--wait", "--despite-holds"]).0, Some(0));
    assert!(boss.get("/v1/audit").is(200).text().contains("\"despite_hold\""));
    desk.post("/v1/deletions", r#"{"subjects": ["8"], "request": "other"}"#).is(200);
    service.kill();
    let service = Service::start(bench.root(), &[]);
    let (mut boss, mut desk) =
        (service.client().with_key(boss.key.as_ref().unwrap()), service.client().with_key(desk.key.as_ref().unwrap()));
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(status(&mut desk, 1)["request_status"], "pending", "a hold outlives the service");
    assert!(boss.get("/metrics").is(200).text().contains("sisa_desk_held 1\n"));
    // Another hold, of those of the request.
    put(&mut boss, "second", json!({ "request": id(1) })).is(200);
    boss.ask("DELETE", "/v1/holds/court", &[], b"").unwrap().is(200);
    boss.ask("DELETE", "/v1/holds/court", &[], b"").unwrap().is(404);
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(status(&mut desk, 1)["request_status"], "pending");
    boss.ask("DELETE", "/v1/holds/second", &[], b"").unwrap().is(200);
    becomes(&mut desk, 1, "completed");
    let trail = boss.get("/v1/audit").is(200).text();
    assert!(trail.contains("\"hold\"") && trail.contains("\"release\"") && trail.contains("\"opendsr_request\""), "{trail}");
}

#[test]
fn a_day_that_is_named_is_kept_and_decides_when_to_repair() {
    let bench = bench("[serve]\nrepair = \"deadline\"\nmin_weight = 0.0\ndeletions_per_minute = 4\n");
    let service = Service::start(bench.root(), &[]);
    let mut client = service.client();
    client.post("/v1/deletions", r#"{"subjects": ["1"], "request": "far", "regulation": "ccpa"}"#).is(200);
    std::thread::sleep(Duration::from_millis(800));
    assert_eq!(client.get("/v1/deletions/far").is(200).json()["state"], "effective", "there are 45 days");
    for wrong in [
        r#"{"subjects": ["2"], "request": "x", "regulation": "none"}"#,
        r#"{"subjects": ["2"], "request": "x", "deadline": "soon"}"#,
        r#"{"subjects": ["2"], "request": "x", "deadline": "2020-01-01T00:00:00Z"}"#,
        r#"{"subjects": ["2"], "deadline": "2099-01-01T00:00:00Z"}"#,
        r#"{"records": [["2", 1]], "request": "x", "deadline": "2099-01-01T00:00:00Z"}"#,
    ] {
        client.post("/v1/deletions", wrong).is(400);
    }
    // Half a minute is less than the margin that a repair is begun before its day.
    let soon = sisa_now_plus(30);
    client.post("/v1/deletions", &format!(r#"{{"subjects": ["2"], "request": "near", "deadline": "{soon}"}}"#)).is(200);
    until("both repaired", || {
        ["far", "near"].iter().all(|name| client.get(&format!("/v1/deletions/{name}")).is(200).json()["state"] == "repaired")
    });
    drop(service);

    // A key has a quota, and another one its own.
    let (one, two) = (key(bench.root(), "one", "delete"), key(bench.root(), "two", "delete"));
    let service = Service::start(bench.root(), &[]);
    let (mut one, mut two) = (service.client().with_key(&one), service.client().with_key(&two));
    for _ in 0..4 {
        one.post("/v1/deletions", r#"{"subjects": ["3"], "dry_run": true}"#).is(200);
    }
    let refused = one.post("/v1/deletions", r#"{"subjects": ["3"]}"#).is(429);
    assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() <= 15, "one in fifteen seconds");
    // Someone who may only ask sees whole seconds, and not how long anything took.
    let told = two.post("/v1/deletions", r#"{"subjects": ["3"], "request": "coarse"}"#).is(200).json();
    assert_eq!((&told["effective_seconds"], told["effective_at"].as_str().unwrap().len()), (&Value::Null, 20));
    two.post("/v1/deletions", r#"{"subjects": ["3"], "request": "coarse", "wait": "repaired"}"#).is(403);
    assert_eq!(two.get("/v1/deletions/far").is(200).json()["repaired_at"], Value::Null);
}

fn sisa_now_plus(seconds: u64) -> String {
    let out = Command::new("date").args(["-u", "-d", &format!("+{seconds} seconds"), "+%Y-%m-%dT%H:%M:%SZ"]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_list_of_requests_comes_in_pages_and_the_settings_are_read_again() {
    let bench = bench("[serve]\nids = 2\n");
    let service = Service::start(bench.root(), &[]);
    let mut client = service.client();
    for n in 0..5 {
        client.post("/v1/deletions", &format!(r#"{{"subjects": ["{n}"], "request": "r{n}"}}"#)).is(200);
    }
    let mut names = Vec::new();
    let mut next = String::new();
    loop {
        let page = client.get(&format!("/v1/deletions?limit=2{next}")).is(200).json();
        let listed = page["deletions"].as_array().unwrap();
        assert!(listed.len() <= 2);
        names.extend(listed.iter().map(|d| d["request"].as_str().unwrap().to_owned()));
        let Some(before) = page["before"].as_u64() else { break };
        next = format!("&before={before}");
    }
    assert_eq!(names, ["r4", "r3", "r2", "r1", "r0"]);
    client.get("/v1/deletions?limit=x").is(400);

    client.post("/v1/deletions", r#"{"subjects": ["1", "2", "3"]}"#).is(413);
    rewrite(bench.root(), "ids = 2", "ids = 3");
    hang_up(&service);
    until("the new bound", || client.post("/v1/deletions", r#"{"subjects": ["1", "2", "3"], "dry_run": true}"#).status == 200);
    rewrite(bench.root(), "ids = 3", "ids = 0");
    hang_up(&service);
    until("an alarm", || service.log().contains("read again and is wrong"));
    client.post("/v1/deletions", r#"{"subjects": ["1", "2", "3"], "dry_run": true}"#).is(200);
}

#[test]
fn what_changes_is_told_to_an_open_page_and_an_open_page_keeps_no_service_from_ending() {
    let bench = bench("");
    let mut service = Service::start(bench.root(), &[]);
    let mut page = BufReader::new(TcpStream::connect(&service.address).unwrap());
    page.get_ref().set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(page.get_mut(), "GET /v1/events HTTP/1.1\r\nhost: {}\r\n\r\n", service.address).unwrap();
    let mut changes = 0;
    let mut hear = |page: &mut BufReader<TcpStream>| {
        let mut line = String::new();
        while !line.starts_with("event: change") {
            line.clear();
            assert!(page.read_line(&mut line).unwrap() > 0, "the stream ended");
        }
        changes += 1;
    };
    hear(&mut page);
    service.client().post("/v1/deletions", r#"{"subjects": ["1"]}"#).is(200);
    hear(&mut page);
    let clock = Instant::now();
    service.terminate();
    assert_eq!(service.wait(), Some(0));
    assert!(clock.elapsed() < Duration::from_secs(10) && changes == 2);
    let mut rest = Vec::new();
    page.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "the stream came to its end: {}", String::from_utf8_lossy(&rest));
}

#[test]
fn connections_that_say_little_are_closed_and_others_are_answered() {
    let bench = bench("[serve]\nconnections = 4\nanswer_seconds = 1\n");
    let service = Service::start(bench.root(), &[]);
    // All that may be open: some with headers that never end, some that say nothing, some with a body that never ends.
    let begun = [
        "GET /ping HTTP/1.1\r\nx-a: b\r\n",
        "",
        "POST /v1/deletions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{",
        "G",
    ];
    let mut slow: Vec<TcpStream> = begun
        .iter()
        .map(|begun| {
            let mut stream = TcpStream::connect(&service.address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            stream.write_all(begun.as_bytes()).unwrap();
            stream
        })
        .collect();
    let dribbled = std::thread::scope(|scope| {
        let dribbling = scope.spawn(|| {
            (0..40)
                .take_while(|_| {
                    std::thread::sleep(Duration::from_millis(100));
                    slow[0].write_all(b"x").is_ok()
                })
                .count()
        });
        service.client().get("/v2/health/live").is(200);
        dribbling.join().unwrap()
    });
    assert!(dribbled < 40, "a byte now and then keeps no connection open");
    let mut told = String::new();
    let _ = slow[2].read_to_string(&mut told);
    assert!(told.starts_with("HTTP/1.1 408"), "{told}");
    service.client().get("/v2/health/ready").is(200);
}

fn rewrite(root: &Path, from: &str, to: &str) {
    let path = root.join("sisa.toml");
    fs::write(&path, fs::read_to_string(&path).unwrap().replace(from, to)).unwrap();
}

fn hang_up(service: &Service) {
    assert!(Command::new("kill").args(["-HUP", &service.pid().to_string()]).status().unwrap().success());
}
