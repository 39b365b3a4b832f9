//! `sisa serve` over real sockets: answers to the bit, deletions while others read, kills, roles, limits, and coming to an end.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests write tables and settings by hand, and stop at what they do not expect"
)]

mod common;
mod service;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use common::{Bench, HEADER, LINEAR, RIDGE, Row, Setup, csv, rows, without};
use serde_json::{Value, json};
use service::{Client, Reply, Service, key};
use sisa::engine::{CorrectRequest, Quiet, VerifyRequest};

fn trained(learner: &'static str, rows: &[Row]) -> Bench {
    Bench::trained(&Setup { shards: 3, slices: 2, holdout: 0.0, learner, epochs: 1, ..Setup::default() }, rows)
}

/// Adds settings of the service to a configuration.
fn configure(root: &Path, lines: &str) {
    let path = root.join("sisa.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, format!("{text}\n[serve]\n{lines}\n")).unwrap();
}

fn whole(bench: &Bench) {
    let verdict = bench.engine().verify(&VerifyRequest { retrain: true, ..VerifyRequest::default() }, &Quiet).unwrap();
    assert_eq!(verdict.findings, vec![]);
}

/// `sisa` as another process.
fn sisa(root: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sisa"));
    command.arg("-w").arg(root).args(args).arg("--wait").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The names of all requests once nothing waits for its repair.
fn settled(client: &mut Client) -> Vec<Value> {
    let clock = Instant::now();
    loop {
        let all = client.get("/v1/deletions?limit=1000").is(200).json()["deletions"].as_array().unwrap().clone();
        if all.iter().all(|d| d["state"] == "repaired") {
            return all;
        }
        assert!(clock.elapsed() < Duration::from_secs(60), "{all:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn sixty_four_posts_of_one_request_are_one_request_with_one_answer() {
    let bench = trained(RIDGE, &rows(60));
    let service = Service::start(bench.root(), &[]);
    let bodies: Vec<(u16, Vec<u8>)> = std::thread::scope(|scope| {
        let post = || {
            let mut client = service.client();
            let reply = client.post("/v1/deletions", r#"{"subjects": ["7", 9], "request": "case-1"}"#);
            (reply.status, reply.body)
        };
        let threads: Vec<_> = (0..64).map(|_| scope.spawn(post)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let one = &bodies[0];
    assert_eq!(one.0, 200, "{}", String::from_utf8_lossy(&one.1));
    assert!(bodies.iter().all(|body| body == one), "one answer");
    let mut client = service.client();
    let told: Value = serde_json::from_slice(&one.1).unwrap();
    assert_eq!((&told["state"], &told["erased"], &told["unknown"]), (&json!("effective"), &json!(2), &json!(0)));
    assert_eq!(settled(&mut client).len(), 1);
    // The same again after the repair, in any order of its ids; by a header too; and other ids under the name are refused.
    let again = client.ask("POST", "/v1/deletions", &[("idempotency-key", "case-1")], br#"{"subjects": [9, 7]}"#).unwrap();
    assert_eq!(again.body, one.1);
    client.post("/v1/deletions", r#"{"subjects": ["8"], "request": "case-1"}"#).is(409);
    client.post("/v1/deletions", r#"{"subjects": ["7", "9"], "request": "case-1", "no_suppress": true}"#).is(409);
    assert_eq!(client.get("/v1/deletions/case-1").is(200).json()["state"], "repaired");
    client.get("/v1/deletions/case-2").is(404);
    whole(&bench);
}

#[test]
fn what_was_waited_for_is_told_and_what_is_unknown_is_counted() {
    let bench = trained(LINEAR, &rows(60));
    configure(bench.root(), "sign = \"sign.key\"");
    bench.engine().keygen(&bench.root().join("sign.key")).unwrap();
    let service = Service::start(bench.root(), &[]);
    let mut client = service.client();
    let ledger = |client: &mut Client| client.get("/v1/status").is(200).json()["ledger_entries"].as_u64().unwrap();
    let before = ledger(&mut client);
    let dry = client.post("/v1/deletions?dry_run=1", r#"{"subjects": ["3"]}"#).is(200).json();
    assert_eq!((&dry["state"], &dry["erased"], &dry["request"]), (&json!("forecast"), &json!(1), &Value::Null));
    client.post("/v1/deletions", r#"{"subjects": ["3"], "dry_run": true}"#).is(200);
    assert_eq!(ledger(&mut client), before, "nothing was changed");
    let trail = client.get("/v1/audit").is(200).text();
    assert_eq!(trail.matches("\"dry_run\"").count(), 2, "{trail}");

    let accepted = client.post("/v1/deletions", r#"{"subjects": ["3"], "request": "a", "wait": "accepted"}"#).is(202).json();
    assert_eq!((&accepted["state"], &accepted["effective_at"]), (&json!("accepted"), &Value::Null));
    let again = client.post("/v1/deletions", r#"{"subjects": ["3"], "request": "a", "wait": "accepted"}"#).is(202).json();
    assert_eq!(accepted, again);
    let repaired =
        client.post("/v1/deletions", r#"{"subjects": ["4", "12345"], "request": "b", "wait": "repaired"}"#).is(200).json();
    assert_eq!((&repaired["state"], &repaired["erased"], &repaired["unknown"]), (&json!("repaired"), &json!(1), &json!(1)));
    assert_eq!(client.post("/v1/deletions", r#"{"subjects": ["4"]}"#).is(200).json()["already_erased"], 1);
    let by_record = client.post("/v1/deletions", r#"{"records": [["5", 1]], "request": "c"}"#).is(200).json();
    assert_eq!(by_record["records"], 1);

    settled(&mut client);
    // What the command line corrected is a request like any other.
    let corrected = bench.root().join("corrected.csv");
    fs::write(&corrected, format!("{HEADER}7,1,41,200.00,b,t2,9,many\n7,99,41,200.00,b,t2,9,many\n")).unwrap();
    let request = CorrectRequest { sources: corrected.into(), request_id: Some("put-right".into()), defer: false };
    bench.engine().correct(&request, &Quiet, |_, _, _| {}).unwrap();
    let told = client.get("/v1/deletions/put-right").is(200).json();
    assert_eq!(["erased", "corrected", "unknown", "records"].map(|of| told[of].as_u64()), [0, 1, 1, 1].map(Some), "{told}");

    let receipt = client.get("/v1/deletions/b/receipt").is(200);
    assert_eq!(receipt.body, bench.engine().receipt(Some("b")).unwrap().encode());
    let signed = bench.root().join("b.json");
    fs::write(&signed, client.get("/v1/deletions/b/receipt?signed=1").is(200).body).unwrap();
    let checked = bench.engine().check_signed_receipt(&signed, &bench.root().join("sign.key.pub")).unwrap();
    assert_eq!(checked.request, "b");
    client.get("/v1/deletions/none/receipt").is(404);

    for wrong in [
        "",
        "[]",
        "{}",
        r#"{"subjects": []}"#,
        r#"{"subjects": [1.5]}"#,
        r#"{"subjects": [true]}"#,
        r#"{"subjects": [""]}"#,
        r#"{"subjects": ["1"], "request": "a b"}"#,
        r#"{"subjects": ["1"], "wait": "never"}"#,
        r#"{"subject": ["1"]}"#,
        r#"{"records": ["1"]}"#,
    ] {
        let reply = client.post("/v1/deletions", wrong).is(400);
        assert_eq!(reply.json()["type"], "problem", "{wrong}");
    }
    whole(&bench);
}

/// One answer: when it was asked for and given, on what it stands, and what it says.
struct Seen {
    asked: Instant,
    entry: u64,
    body: Value,
}

/// Four connections read while the service and another process delete, and the service is stopped now and then wherever it is. An answer that was asked
/// for after a deletion was told to be in effect stands on an entry from after it, and every answer is the one of a workspace that never had those
/// who were deleted before its entry. `SISA_DELETIONS=500` deletes as many people.
#[test]
fn no_answer_is_influenced_once_a_deletion_of_this_or_another_process_is_in_effect() {
    let count = std::env::var("SISA_DELETIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_u32);
    let all = rows(count + 28);
    let bench = trained(RIDGE, &all);
    let service = Service::start(bench.root(), &[]);
    let asked = csv(&rows(48));
    let (stop, seen) = (AtomicBool::new(false), Mutex::new(Vec::<Seen>::new()));
    let deleted: Vec<(u32, Instant)> = std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = service.client();
                while !stop.load(Ordering::SeqCst) {
                    let moment = Instant::now();
                    let reply = client.csv("/invocations?proba=1", asked.as_bytes()).is(200);
                    assert_eq!(reply.header("cache-control"), Some("no-store"));
                    let body = reply.json();
                    let epoch = reply.header("x-sisa-epoch").unwrap();
                    assert_eq!(body["model_version"], epoch);
                    let entry = epoch.rsplit('.').next().unwrap().parse().unwrap();
                    seen.lock().unwrap().push(Seen { asked: moment, entry, body: body["predictions"].clone() });
                }
            });
        }
        let by_service = scope.spawn(|| {
            let mut client = service.client();
            let delete = |person: u32| {
                let body = format!(r#"{{"subjects": ["{person}"], "request": "p{person}"}}"#);
                assert_eq!(client.post("/v1/deletions", &body).is(200).json()["state"], "effective");
                (person, Instant::now())
            };
            (0..count / 2).map(delete).collect::<Vec<_>>()
        });
        let by_others = scope.spawn(|| {
            let delete = |person: u32| {
                let name = format!("p{person}");
                let done =
                    sisa(bench.root(), &["delete", "--subject", &person.to_string(), "--request-id", &name, "--defer"]).status();
                assert!(done.unwrap().success());
                (person, Instant::now())
            };
            (count / 2..count).map(delete).collect::<Vec<_>>()
        });
        // Whoever has computed an answer may stand still for any time before it is given.
        scope.spawn(|| {
            let send = |signal: &str| Command::new("kill").args([signal, &service.pid().to_string()]).status().unwrap();
            while !stop.load(Ordering::SeqCst) {
                send("-STOP");
                std::thread::sleep(Duration::from_millis(15));
                send("-CONT");
                std::thread::sleep(Duration::from_millis(35));
            }
        });
        let mut deleted = by_service.join().unwrap();
        deleted.extend(by_others.join().unwrap());
        std::thread::sleep(Duration::from_millis(50));
        stop.store(true, Ordering::SeqCst);
        deleted
    });
    let seen = seen.into_inner().unwrap();
    let order: Vec<(u64, u32)> = bench
        .engine()
        .log()
        .unwrap()
        .iter()
        .map(|r| (r.sequence, r.accepted.request.trim_start_matches('p').parse().unwrap()))
        .collect();
    assert_eq!(order.len(), count as usize);
    let sequence = |person: u32| order.iter().find(|(_, p)| *p == person).unwrap().0;
    let mut states: BTreeMap<usize, Value> = BTreeMap::new();
    let mut late = 0;
    for Seen { asked: moment, entry, body } in &seen {
        for (person, _) in deleted.iter().filter(|(_, effective)| effective < moment) {
            assert!(*entry > sequence(*person), "an answer from before the deletion of {person}");
            late += 1;
        }
        let gone: BTreeSet<u32> = order.iter().filter(|(accepted, _)| accepted <= entry).map(|(_, person)| *person).collect();
        let expected = states.entry(gone.len()).or_insert_with(|| {
            let anew = trained(RIDGE, &without(&all, |row| gone.contains(&row.person)));
            let path = anew.root().join("asked.csv");
            fs::write(&path, &asked).unwrap();
            let answers = anew.engine().scores(&path.into(), &Quiet).unwrap();
            told(&answers)
        });
        assert_eq!(body, expected, "an answer on entry {entry}");
    }
    assert!(seen.len() > 30 && late > 30 && states.len() > 5, "{} answers, {late} late, {} states", seen.len(), states.len());
    settled(&mut service.client());
    whole(&bench);
}

/// Answers as `/invocations` tells them with probabilities.
fn told(answers: &sisa::engine::Answers) -> Value {
    let rows = answers.scores.values.chunks_exact(answers.scores.outputs).zip(&answers.scores.classes);
    rows.map(|(values, class)| {
        let mut row = json!({ "prediction": answers.classes[*class as usize] });
        for (name, value) in answers.classes.iter().zip(values) {
            // The digits of a float, read as a double: what the client reads.
            row[format!("p_{name}")] = json!(value.to_string().parse::<f64>().unwrap());
        }
        row
    })
    .collect()
}

#[test]
fn a_service_that_is_killed_loses_nothing_that_it_answered() {
    let bench = trained(LINEAR, &rows(120));
    let (answered, next) = (Mutex::new(BTreeSet::<String>::new()), AtomicUsize::new(0));
    let mut x = 7_u64;
    for round in 0..8 {
        let service = Service::start(bench.root(), &[]);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut client = service.client();
                    loop {
                        let person = next.fetch_add(1, Ordering::SeqCst);
                        let (wait, name) = (["accepted", "effective", "repaired"][person % 3], format!("p{person}"));
                        let body = json!({ "subjects": [person.to_string()], "request": name, "wait": wait }).to_string();
                        // A broken connection says nothing of the request.
                        let Ok(reply) = client.ask("POST", "/v1/deletions", &[], body.as_bytes()) else { return };
                        assert!([200, 202].contains(&reply.status), "{}", reply.text());
                        answered.lock().unwrap().insert(name);
                    }
                });
            }
            // However slow the machine is, something is answered in every round; then it ends at any moment.
            let before = answered.lock().unwrap().len();
            let clock = Instant::now();
            while answered.lock().unwrap().len() == before {
                assert!(clock.elapsed() < Duration::from_secs(30), "nothing is answered");
                std::thread::sleep(Duration::from_millis(1));
            }
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            std::thread::sleep(Duration::from_millis(40 + (x >> 33) % 150));
            assert!(Command::new("kill").args(["-KILL", &service.pid().to_string()]).status().unwrap().success());
        });
        drop(service);
        assert!(answered.lock().unwrap().len() > round);
    }
    let service = Service::start(bench.root(), &[]);
    let names: BTreeSet<String> =
        settled(&mut service.client()).iter().map(|d| d["request"].as_str().unwrap().to_owned()).collect();
    let lost: Vec<_> = answered.into_inner().unwrap().difference(&names).cloned().collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert_eq!(service.stop(), Some(0));
    whole(&bench);
}

#[test]
fn until_states_without_the_person_are_there_nothing_answers_and_a_dead_process_is_recovered_from() {
    let bench = trained(RIDGE, &rows(40));
    configure(bench.root(), "wait_seconds = 0");
    let service = Service::start(bench.root(), &[]);
    let (mut client, asked) = (service.client(), csv(&rows(5)));
    let before = client.csv("/invocations", asked.as_bytes()).is(200);
    let mut other = sisa(bench.root(), &["delete", "--subject", "3", "--request-id", "other"]);
    let mut other = other.env("SISA_STOP_AT", "accepted").spawn().unwrap();
    let clock = Instant::now();
    let reply = loop {
        let reply = client.csv("/invocations", asked.as_bytes());
        if reply.status != 200 {
            break reply;
        }
        assert!(clock.elapsed() < Duration::from_secs(30), "the other process never came to its stop");
    };
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")), "{}", reply.text());
    client.get("/v2/health/ready").is(503);
    client.get("/v2/health/live").is(200);
    client.csv("/invocations", asked.as_bytes()).is(503);
    other.kill().unwrap();
    other.wait().unwrap();
    let clock = Instant::now();
    let after = loop {
        let reply = client.csv("/invocations", asked.as_bytes());
        if reply.status == 200 {
            break reply;
        }
        assert!(clock.elapsed() < Duration::from_secs(30), "{}", reply.text());
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_ne!(before.header("x-sisa-epoch"), after.header("x-sisa-epoch"));
    assert_eq!(settled(&mut client).len(), 1);
    whole(&bench);
}

/// Where clean steps are left nobody waits, however long another process takes to bring its deletion into effect.
#[test]
fn while_a_deletion_is_on_its_way_clean_steps_answer() {
    let bench = trained(LINEAR, &rows(60));
    configure(bench.root(), "wait_seconds = 0");
    let service = Service::start(bench.root(), &[]);
    let (mut client, asked) = (service.client(), csv(&rows(5)));
    let before = client.csv("/invocations", asked.as_bytes()).is(200);
    let mut other = sisa(bench.root(), &["delete", "--subject", "3", "--request-id", "other", "--defer"]);
    let mut other = other.env("SISA_STOP_AT", "accepted").spawn().unwrap();
    let clock = Instant::now();
    let meanwhile = loop {
        let reply = client.csv("/invocations", asked.as_bytes()).is(200);
        if reply.header("x-sisa-epoch") != before.header("x-sisa-epoch") {
            break reply;
        }
        assert!(clock.elapsed() < Duration::from_secs(30), "the other process never came to its stop");
    };
    let members = |reply: &Reply| reply.header("x-sisa-members").unwrap().to_owned();
    assert!(members(&meanwhile) < members(&before), "{} and {}", members(&meanwhile), members(&before));
    client.get("/v2/health/ready").is(200);
    let again = client.csv("/invocations", asked.as_bytes()).is(200);
    assert_eq!((again.header("x-sisa-epoch"), &again.body), (meanwhile.header("x-sisa-epoch"), &meanwhile.body));
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(settled(&mut client).len(), 1);
    whole(&bench);
}

/// A state that can't be loaded leaves no old answer.
#[test]
fn a_state_that_can_not_be_loaded_is_no_reason_to_answer_from_the_one_before() {
    let all = rows(40);
    let bench =
        Bench::trained(&Setup { shards: 1, slices: 1, holdout: 0.0, learner: LINEAR, epochs: 1, ..Setup::default() }, &all);
    configure(bench.root(), "repair = \"window\"\nmin_weight = 0.0\nwait_seconds = 0");
    let service = Service::start(bench.root(), &[]);
    let (mut client, asked) = (service.client(), csv(&rows(5)));
    client.csv("/invocations", asked.as_bytes()).is(200);
    // The one clean step is gone. The cost is that of training everything, so the service repairs at once; this catches it before.
    assert!(sisa(bench.root(), &["delete", "--subject", "3", "--defer"]).status().unwrap().success());
    let clock = Instant::now();
    let mut refused = 0;
    loop {
        let reply = client.csv("/invocations", asked.as_bytes());
        match reply.status {
            503 => refused += 1,
            200 => {
                let fresh = Bench::trained(
                    &Setup { shards: 1, slices: 1, holdout: 0.0, learner: LINEAR, epochs: 1, ..Setup::default() },
                    &without(&all, |row| row.person == 3),
                );
                let path = fresh.root().join("asked.csv");
                fs::write(&path, &asked).unwrap();
                let expected = fresh.engine().scores(&path.into(), &Quiet).unwrap();
                let reply = client.csv("/invocations?proba=1", asked.as_bytes()).is(200).json();
                assert_eq!(reply["predictions"], told(&expected), "after {refused} refusals");
                break;
            }
            other => panic!("{other}: {}", reply.text()),
        }
        assert!(clock.elapsed() < Duration::from_secs(30));
    }
}

const ROLES: [&str; 4] = ["predict", "delete", "audit", "admin"];

#[test]
fn every_role_may_what_the_document_says_and_nothing_else() {
    let bench = trained(LINEAR, &rows(40));
    configure(bench.root(), "[serve.opendsr]\ndomain = \"dsr.acme.example\"\ncontroller = \"acme\"");
    let keys: Vec<String> = ROLES.iter().map(|role| key(bench.root(), role, role)).collect();
    let service = Service::start(bench.root(), &[]);
    let document: Value = service.client().get("/openapi.json").is(200).json();
    let bodies = [
        ("/invocations", csv(&rows(2))),
        ("/v1/deletions", r#"{"subjects": ["1"], "dry_run": true}"#.to_owned()),
        ("/v2/models/{model}/infer", "{}".to_owned()),
        ("/v2/models/{model}/versions/{version}/infer", "{}".to_owned()),
    ];
    let mut cells = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap().iter().filter(|(method, _)| *method != "parameters") {
            let allowed: Vec<&str> = operation["x-roles"].as_array().unwrap().iter().map(|r| r.as_str().unwrap()).collect();
            let epoch = service.client().get("/v2/models/sisa").is(200).json()["versions"][0].as_str().unwrap().to_owned();
            let real = path
                .replace("{model}", "sisa")
                .replace("{version}", &epoch)
                .replace("{request}", "none")
                .replace("{hold}", "none");
            let body = bodies.iter().find(|(of, _)| of == path).map_or("", |(_, body)| body.as_str());
            let headers = [("content-type", if path == "/invocations" { "text/csv" } else { "application/json" })];
            for at in 0..=ROLES.len() + 1 {
                let client = service.client();
                let mut client = match at {
                    0 => client,
                    5 => client.with_key(&format!("predict.{}", "0".repeat(64))),
                    _ => client.with_key(&keys[at - 1]),
                };
                let reply = client.ask(&method.to_uppercase(), &real, &headers, body.as_bytes()).unwrap();
                let told = &operation["responses"][reply.status.to_string()];
                assert!(told.is_object(), "{method} {path}: the document does not tell of {}", reply.status);
                let role = at.checked_sub(1).and_then(|at| ROLES.get(at));
                match (allowed.is_empty(), role) {
                    // There is no certificate here.
                    (true, _) if path.ends_with(".pem") => assert_eq!(reply.status, 404, "{method} {path} {role:?}"),
                    (true, _) => assert_eq!(reply.status, 200, "{method} {path} {role:?}"),
                    (false, None) => {
                        assert_eq!(reply.status, 401, "{method} {path}");
                        assert!(reply.header("www-authenticate").is_some());
                    }
                    (false, Some(role)) if allowed.contains(role) => {
                        assert!(![401, 403].contains(&reply.status), "{method} {path} {role}: {}", reply.text());
                    }
                    (false, Some(role)) => assert_eq!(reply.status, 403, "{method} {path} {role}"),
                }
                cells += 1;
            }
        }
    }
    assert!(cells > 120, "{cells}");
    // As a password too; and one that is taken back is refused at once, while the service runs and for ever.
    use base64::Engine as _;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("anyone:{}", keys[2]));
    let basic = [("authorization", format!("Basic {basic}"))];
    let with_basic =
        |client: &mut Client| client.ask("GET", "/metrics", &[(basic[0].0, basic[0].1.as_str())], b"").unwrap().status;
    assert_eq!(with_basic(&mut service.client()), 200);
    for role in ROLES {
        assert!(sisa(bench.root(), &["key", "revoke", role]).status().unwrap().success());
    }
    assert_eq!(with_basic(&mut service.client()), 401);
    drop(service);
    let service = Service::start(bench.root(), &[]);
    service.client().get("/metrics").is(401);
    // Only digests are kept, for their owner alone.
    for (at, role) in ROLES.iter().enumerate() {
        let path = bench.root().join(format!("service/keys/{role}.json"));
        let kept = fs::read_to_string(&path).unwrap();
        assert!(!kept.contains(keys[at].split('.').nth(1).unwrap()), "{kept}");
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0);
    }
}

#[test]
fn without_keys_only_this_machine_is_answered() {
    let bench = trained(LINEAR, &rows(40));
    let refused = sisa(bench.root(), &["serve", "--listen", "0.0.0.0:0"]).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(refused.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("sisa key add"), "{refused:?}");
    let service = Service::start(bench.root(), &[]);
    let mut client = service.client();
    client.ask("POST", "/v1/deletions", &[("origin", "https://page.example")], br#"{"subjects": ["1"]}"#).unwrap().is(403);
    client.post("/v1/deletions", r#"{"subjects": ["1"]}"#).is(200);
    // From the first key on one is needed.
    let admin = key(bench.root(), "boss", "admin,audit");
    client.post("/v1/deletions", r#"{"subjects": ["2"]}"#).is(401);
    service.client().with_key(&admin).post("/v1/repair", "").is(202);
    let trail = service.client().with_key(&admin).get("/v1/audit").is(200).text();
    let acts: Vec<Value> = trail.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let acts: Vec<(&str, &str)> = acts.iter().map(|a| (a["who"].as_str().unwrap(), a["what"].as_str().unwrap())).collect();
    assert_eq!(acts, [("service", "start"), ("local", "delete"), ("operator", "key_add"), ("boss", "repair")]);
}

#[test]
fn no_id_is_in_any_log_metric_audit_line_or_error() {
    // Ids of 40 letters, of persons that are there and of others.
    let sentinel = |at: u32| format!("{}{at:04}", "SENTINEL".repeat(5).chars().take(36).collect::<String>());
    let all = rows(40);
    let bench = Bench::new(&Setup { shards: 2, slices: 2, holdout: 0.0, learner: LINEAR, epochs: 1, ..Setup::default() }, &all);
    let table: String =
        all.iter().map(|r| format!("{},{},{}\n", sentinel(r.person), r.year, r.cells)).fold(common::HEADER.into(), |t, l| t + &l);
    let path = bench.root().join("table.csv");
    fs::write(&path, &table).unwrap();
    assert!(bench.train().complete);
    fs::remove_file(&path).unwrap();
    let service = Service::start(bench.root(), &[]);
    let mut client = service.client();
    let mut said = String::new();
    for person in 0..6 {
        let id = sentinel(person);
        let unknown = sentinel(9_000 + person);
        let body = json!({ "subjects": [id, unknown], "records": [[id, 1]], "request": format!("case-{person}") }).to_string();
        said += &client.post("/v1/deletions", &body).is(200).text();
        // Wrong in every way that there is, each with an id in it.
        for wrong in [
            format!(r#"{{"subjects": ["{id}"], "request": "{id}!"}}"#),
            format!(r#"{{"subjects": ["{id}"], "request": "case-0", "no_suppress": 3}}"#),
            format!(r#"{{"subjects": ["{id}"#),
            format!(r#"{{"records": ["{id}"]}}"#),
            format!(r#"{{"{id}": 1}}"#),
            format!(r#"{{"subjects": [{{"{id}": 1}}]}}"#),
            format!(r#"{{"subjects": ["{id}"], "request": "case-{person}"}}"#),
        ] {
            let reply = client.post("/v1/deletions", &wrong);
            assert!(reply.status != 500, "{wrong}");
            if !wrong.contains(&format!("\"request\": \"{id}")) {
                said += &reply.text();
            }
        }
        client.get(&format!("/v1/{id}")).is(404);
        client.get(&format!("/v1/deletions?id={id}"));
        said += &client.get(&format!("/v1/deletions/{id}")).is(404).text();
    }
    client.csv("/invocations", table.as_bytes()).is(200);
    settled(&mut client);
    said += &client.get("/metrics").is(200).text();
    said += &client.get("/v1/audit").is(200).text();
    said += &client.get("/v1/deletions").is(200).text();
    let log = service.log();
    assert_eq!(service.stop(), Some(0));
    assert!(log.contains("case-1"), "{log}");
    for (what, text) in [("answers", &said), ("the log", &log)] {
        assert!(!text.contains("SENTINEL"), "{what}: {text}");
    }
    let mut read = 0;
    let mut folders = vec![bench.root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = fs::read(&path).unwrap();
            assert!(!bytes.windows(8).any(|window| window == b"SENTINEL"), "{}", path.display());
            read += 1;
        }
    }
    assert!(read > 20);
}

#[test]
fn more_than_is_allowed_is_refused_by_its_own_status() {
    let bench = trained(LINEAR, &rows(60));
    configure(bench.root(), "rows = 100\nbody_mib = 1\nids = 3\nqueue = 1");
    let service = Service::start(bench.root(), &[]);
    let mut client = service.client();
    let table = csv(&rows(20));
    let line = table.lines().nth(1).unwrap();
    let many = |count: usize| format!("{}{}", common::HEADER, format!("{line}\n").repeat(count));
    client.csv("/invocations", many(100).as_bytes()).is(200);
    client.csv("/invocations", many(101).as_bytes()).is(413);
    let columns: Vec<&str> = common::HEADER.trim().split(',').collect();
    let cells: Vec<&str> = line.split(',').collect();
    for count in [100, 101] {
        let body = json!({ "dataframe_split": { "columns": columns, "data": vec![&cells; count] } }).to_string();
        client.post("/invocations", &body).is(if count == 100 { 200 } else { 413 });
    }
    let large = service.client().csv("/invocations", &vec![b'x'; (1 << 20) + 1]).is(413);
    assert_eq!(large.header("connection"), Some("close"), "whoever keeps the connection is told that it ends");
    // Unpacked it is more than that too.
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut packed, &vec![b'x'; (1 << 20) + 1]).unwrap();
    let headers = [("content-type", "text/csv"), ("content-encoding", "gzip")];
    client.ask("POST", "/invocations", &headers, &packed.finish().unwrap()).unwrap().is(413);
    client.ask("POST", "/invocations", &headers, b"no gzip").unwrap().is(400);
    client.ask("POST", "/invocations", &[("content-type", "text/csv"), ("content-encoding", "br")], b"x").unwrap().is(415);
    client.ask("POST", "/invocations", &[("content-type", "text/plain")], b"x").unwrap().is(415);
    client.post("/v1/deletions", r#"{"subjects": ["1", "2", "3", "4"]}"#).is(413);
    client.get("/nothing").is(404);
    client.ask("PUT", "/invocations", &[], b"").unwrap().is(405);

    // Many at once: each is answered or told to come again, by a status that takes no server out of service.
    let (good, busy) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| {
                let mut client = service.client();
                for _ in 0..20 {
                    let reply = client.csv("/invocations", many(100).as_bytes());
                    match reply.status {
                        200 => good.fetch_add(1, Ordering::SeqCst),
                        429 => {
                            assert_eq!(reply.header("retry-after"), Some("1"));
                            busy.fetch_add(1, Ordering::SeqCst)
                        }
                        other => panic!("{other}: {}", reply.text()),
                    };
                }
            });
        }
    });
    assert!(good.into_inner() > 10 && busy.into_inner() > 0, "one of the two never came");
    client.get("/v2/health/ready").is(200);
}

#[test]
fn a_wish_to_stop_under_load_breaks_no_answer_and_loses_nothing() {
    let bench = trained(LINEAR, &rows(120));
    let mut service = Service::start(bench.root(), &[]);
    let (stopped, given, next) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let names = Mutex::new(BTreeSet::new());
    let table = csv(&rows(50));
    let client = || service.client();
    let mut clients: Vec<Client> = (0..8).map(|_| client()).collect();
    let pid = service.pid();
    let took = std::thread::scope(|scope| {
        for (at, mut client) in clients.drain(..).enumerate() {
            let (stopped, given, next, names, table) = (&stopped, &given, &next, &names, &table);
            scope.spawn(move || {
                loop {
                    let person = next.fetch_add(1, Ordering::SeqCst) % 110;
                    // Two at a time of three shards: one is whole, and answers.
                    let body = json!({ "subjects": [person.to_string()], "request": format!("p{person}"), "wait": "repaired" });
                    let body = body.to_string();
                    let asked = match at {
                        0 | 1 => client.ask("POST", "/v1/deletions", &[], body.as_bytes()),
                        _ => client.ask("POST", "/invocations", &[("content-type", "text/csv")], table.as_bytes()),
                    };
                    match asked {
                        // A repair that the wish to stop cuts short is told as such: the deletion is in effect.
                        Ok(reply) if reply.status == 200 || (at < 2 && reply.status == 202 && stopped.load(Ordering::SeqCst)) => {
                            given.fetch_add(1, Ordering::SeqCst);
                            if at < 2 {
                                names.lock().unwrap().insert(format!("p{person}"));
                            }
                        }
                        Ok(reply) => assert!(stopped.load(Ordering::SeqCst) && reply.status == 503, "{}", reply.text()),
                        // A connection that is closed before anything of an answer came, or that no one takes.
                        Err(_) => {
                            assert!(stopped.load(Ordering::SeqCst), "a connection broke before the wish to stop");
                            return;
                        }
                    }
                }
            });
        }
        std::thread::sleep(Duration::from_millis(400));
        stopped.store(true, Ordering::SeqCst);
        let clock = Instant::now();
        assert!(Command::new("kill").args(["-TERM", &pid.to_string()]).status().unwrap().success());
        assert_eq!(service.wait(), Some(0));
        clock.elapsed()
    });
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(given.into_inner() > 20);
    let known: BTreeSet<String> = bench.engine().log().unwrap().iter().map(|r| r.accepted.request.clone()).collect();
    assert!(names.into_inner().unwrap().is_subset(&known));
    let service = Service::start(bench.root(), &[]);
    settled(&mut service.client());
    drop(service);
    whole(&bench);
}

#[test]
fn the_page_shows_the_state_without_a_script_and_fetches_nothing() {
    let bench = trained(LINEAR, &rows(60));
    configure(bench.root(), "repair = \"window\"\nmin_weight = 0.0");
    let service = Service::start(bench.root(), &[]);
    let mut client = service.client();
    let page = client.get("/").is(200).text();
    for part in ["Everything is repaired.", "None yet.", "<th scope=\"row\">0002</th><td class=\"cell\"><b>C</b></td>"] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    client.post("/v1/deletions", r#"{"subjects": ["1"], "request": "case-1"}"#).is(200);
    let reply = client.get("/").is(200);
    let page = reply.text();
    for part in [
        "1 deletion is in effect and waits for its repair.",
        "<td class=\"cell tainted\"><b>T</b></td>",
        "/v1/deletions/case-1/receipt",
    ] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    let policy = reply.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
    // One script, of our own; nothing else is fetched, and nothing in the page is a script.
    assert_eq!((page.matches("<script").count(), page.matches("<script src=\"/page.js\" defer></script>").count()), (1, 1));
    assert!(["http:", "<img", "<style", "onclick", "style=\""].iter().all(|part| !page.contains(part)));
    assert_eq!(page.matches("https:").count(), 1, "the name of what a receipt says");
    assert_eq!((page.matches("<link").count(), page.matches("<link rel=\"stylesheet\" href=\"/page.css\">").count()), (1, 1));
    assert!(policy.contains("script-src 'self';") && policy.contains("connect-src 'self';"), "{policy}");
    assert_eq!(client.get("/page.js").is(200).header("content-type"), Some("text/javascript; charset=utf-8"));
    // Asked for, the repair begins although the window has not passed.
    assert_eq!(client.post("/v1/repair", "").is(202).json()["unrepaired"], json!(["case-1"]));
    assert_eq!(settled(&mut client).len(), 1);
    assert!(client.get("/").is(200).text().contains("Everything is repaired."));
}

#[test]
fn a_trace_is_passed_on_and_logged() {
    let bench = trained(LINEAR, &rows(40));
    let service = Service::start(bench.root(), &[]);
    let mut client = service.client();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let reply = client.ask("GET", "/v2/health/live", &[("traceparent", trace)], b"").unwrap().is(200);
    assert_eq!(reply.header("traceparent"), Some(trace));
    let clock = Instant::now();
    while !service.log().contains("4bf92f3577b34da6a3ce929d0e0e4736") {
        assert!(clock.elapsed() < Duration::from_secs(10), "{}", service.log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn when_more_was_deleted_under_one_key_than_is_allowed_a_rekey_is_asked_for() {
    let bench = trained(RIDGE, &rows(40));
    let config = bench.root().join("sisa.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}\n[guard]\nrekey_after = 0.2\n")).unwrap();
    let service = Service::start(bench.root(), &[]);
    let mut client = service.client();
    let mut asked = || {
        let status = client.get("/v1/status").is(200).json();
        let metrics = client.get("/metrics").is(200).text();
        let page = client.get("/").is(200).text();
        let due = status["rekey_due"]["share"].as_f64();
        assert_eq!(metrics.lines().any(|line| line == "sisa_rekey_due 1"), due.is_some(), "{metrics}");
        assert_eq!(page.contains("id=\"rekey\""), due.is_some(), "{page}");
        assert_eq!(page.contains("`sisa rekey`"), due.is_some(), "{page}");
        (due, status["type"].clone())
    };
    let warned = |service: &Service| service.log().lines().filter(|line| line.contains("`sisa rekey` draws")).count();
    let erase = |service: &Service, people: std::ops::Range<u32>| {
        let subjects: Vec<String> = people.map(|p| p.to_string()).collect();
        service.client().post("/v1/deletions", &json!({ "subjects": subjects, "wait": "repaired" }).to_string()).is(200);
    };
    erase(&service, 0..1);
    assert_eq!(asked(), (None, json!("status")));
    assert_eq!(warned(&service), 0);
    erase(&service, 1..16);
    let (share, _) = asked();
    assert!(share.is_some_and(|share| share > 0.2 && share < 0.7), "{share:?}");
    // What another process says of the same ledger is the same.
    let said = Command::new(env!("CARGO_BIN_EXE_sisa")).arg("-w").arg(bench.root()).args(["log", "--json"]).output().unwrap();
    let last: Value = serde_json::from_slice(said.stdout.trim_ascii_end().rsplit(|b| *b == b'\n').next().unwrap()).unwrap();
    assert_eq!(last["share"].as_f64(), share);
    // Told once, however often it is looked at and whatever comes on top.
    erase(&service, 16..18);
    let clock = Instant::now();
    while warned(&service) == 0 {
        assert!(clock.elapsed() < Duration::from_secs(20), "{}", service.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(warned(&service), 1, "{}", service.log());
    // A fresh key begins to count anew.
    assert!(sisa(bench.root(), &["rekey", "--seed", "6"]).status().unwrap().success());
    assert_eq!(asked().0, None);
}

#[test]
fn who_deletes_without_a_pause_leaves_somebody_to_answer() {
    let bench = trained(LINEAR, &rows(120));
    // However slow the machine is.
    configure(bench.root(), "wait_seconds = 30");
    let service = Service::start(bench.root(), &[]);
    let (stop, given) = (AtomicBool::new(false), AtomicUsize::new(0));
    let table = csv(&rows(50));
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = service.client();
                    while !stop.load(Ordering::SeqCst) {
                        client.csv("/invocations", table.as_bytes()).is(200);
                        given.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        let writers = [0, 55].map(|first| {
            let service = &service;
            scope.spawn(move || {
                let mut client = service.client();
                for person in first..first + 55 {
                    client.post("/v1/deletions", &json!({ "subjects": [person] }).to_string()).is(200);
                }
            })
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        stop.store(true, Ordering::SeqCst);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
    assert!(given.into_inner() > 5);
    assert_eq!(settled(&mut service.client()).len(), 110);
    whole(&bench);
}

#[test]
fn quality_is_measured_whenever_something_else_is_in_service_and_outlives_the_service() {
    let setup = Setup { shards: 3, slices: 2, holdout: 0.3, learner: LINEAR, epochs: 1, ..Setup::default() };
    let bench = Bench::trained(&setup, &rows(80));
    let service = Service::start(bench.root(), &[]);
    let mut client = service.client();
    let acts = |client: &mut Client| -> Vec<Value> {
        let trail = client.get("/v1/audit").is(200).text();
        trail.lines().map(|line| serde_json::from_str(line).unwrap()).filter(|act: &Value| act["what"] == "quality").collect()
    };
    let wait = |client: &mut Client, count: usize| {
        let clock = Instant::now();
        while acts(client).len() < count {
            assert!(clock.elapsed() < Duration::from_secs(60), "{:?}", acts(client));
            std::thread::sleep(Duration::from_millis(50));
        }
        acts(client)
    };
    let before = wait(&mut client, 1);
    // What the command says of the same rows.
    let said = Command::new(env!("CARGO_BIN_EXE_sisa")).arg("-w").arg(bench.root()).args(["eval", "--json"]).output().unwrap();
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(before[0]["result"], format!("accuracy={} rows={} members=3 whole=3", said["accuracy"], said["rows"]), "{said}");
    let metrics = client.get("/metrics").is(200).text();
    assert!(metrics.contains(&format!("sisa_quality{{measure=\"accuracy\"}} {}\n", said["accuracy"])), "{metrics}");
    client.post("/v1/deletions", r#"{"subjects": ["1", "2", "3"], "wait": "repaired"}"#).is(200);
    let after = wait(&mut client, 2);
    assert_ne!(after[0]["about"], after[1]["about"]);
    assert_eq!(service.stop(), Some(0));
    // Another start measures nothing that is known, and shows what was found before.
    let service = Service::start(bench.root(), &[]);
    let page = service.client().get("/").is(200).text();
    let versions = after.iter().map(|act| act["about"].as_str().unwrap()).collect::<BTreeSet<_>>();
    assert!(versions.iter().all(|version| page.matches(&format!("<td>{version}</td>")).count() == 1), "{page}");
    assert!(page.contains("<svg class=\"chart\"") && page.contains("class=\"mark\""), "{page}");
}
