//! A worker: a process that is asked by frames over its input, and answers over its output. Its end, or a silence, is an error.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    io::{BufReader, BufWriter, Read},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

use serde_json::json;

use super::{
    ExternalSettings, WorkerError,
    frame::{DONE, FAILED, Frame, HELLO, INIT, READY, STATE, STEP},
};
use crate::{
    digest::Digest,
    learn::{Crew, Layout, Task},
};

/// How often somebody who waits is asked whether to stop.
const TICK: Duration = Duration::from_millis(100);
/// Of what a worker says on its error stream, so many last bytes are kept for a message.
const SAID: usize = 2_000;
/// What a worker says of itself goes into recipes and receipts, so it is to be short.
const GREETING: usize = 16_384;
/// Batches that are sent ahead of their answers.
const AHEAD: usize = 2;

/// Why a worker gave nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// It, or what it is asked, is at fault.
    Worker(WorkerError),
    /// Somebody asked to stop.
    Interrupted,
}

impl From<WorkerError> for Failure {
    fn from(error: WorkerError) -> Failure {
        Failure::Worker(error)
    }
}

/// A process at work. It ends with this value.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    /// Who started it: a fork of that process must let it be.
    owner: u32,
    to: Option<Sender<Frame>>,
    from: Receiver<Result<Frame, String>>,
    said: Arc<Mutex<VecDeque<u8>>>,
    name: String,
    seconds: u32,
    /// What it says of itself and where it runs.
    pub(super) environment: BTreeMap<String, String>,
}

/// What a step is beside its rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begin<'a> {
    /// Which step, from 1.
    pub(super) index: u32,
    /// Steps of the first batch.
    pub(super) of: u32,
    /// Visits that will come.
    pub(super) visits: u64,
    /// Of this shard and step.
    pub(super) seed: [u8; 32],
    /// The state before.
    pub(super) state: &'a [u8],
}

impl Worker {
    /// Starts a worker in `folder` and greets it.
    pub(super) fn start(settings: &ExternalSettings, layout: &Layout, folder: &Path) -> Result<Worker, WorkerError> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let fault = |what: String| WorkerError { name: settings.name.clone(), what };
        same_code(settings, folder).map_err(fault)?;
        let mut command = command(settings);
        command.current_dir(folder).envs(&settings.variables);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // What stops us from a terminal is not for the worker: it is ended when the step is.
        command.process_group(0);
        let program = settings.command.first().map_or("", String::as_str);
        let mut child =
            command.spawn().map_err(|e| fault(format!("`{program}` can't be started in {}: {e}", folder.display())))?;
        let (to, from, said) = (channel::<Frame>(), channel(), Arc::new(Mutex::new(VecDeque::new())));
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let mut worker = Worker {
            child,
            owner: std::process::id(),
            to: Some(to.0),
            from: from.1,
            said,
            name: settings.name.clone(),
            seconds: settings.seconds,
            environment: BTreeMap::new(),
        };
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(worker.fault("it has no pipes"));
        };
        let threads = || {
            thread::Builder::new().name("to worker".into()).spawn(move || {
                let mut stdin = BufWriter::new(stdin);
                // Whoever waits for the answer hears that the process ended.
                for frame in to.1 {
                    if frame.write(&mut stdin).is_err() {
                        break;
                    }
                }
            })?;
            let answers = from.0;
            thread::Builder::new().name("from worker".into()).spawn(move || {
                let mut stdout = BufReader::new(stdout);
                loop {
                    let frame = match Frame::read(&mut stdout) {
                        Ok(Some(frame)) => Ok(frame),
                        Ok(None) => Err("it ended".to_owned()),
                        Err(e) => Err(format!("its output can't be understood: {e}")),
                    };
                    let last = frame.is_err();
                    if answers.send(frame).is_err() || last {
                        break;
                    }
                }
            })?;
            let said = worker.said.clone();
            thread::Builder::new().name("said by worker".into()).spawn(move || keep_last(stderr, &said))
        };
        threads().map_err(|e| worker.fault(&format!("threads for its pipes: {e}")))?;
        worker.send(HELLO, &[&hello(settings, layout)]);
        match worker.answer(READY, None) {
            Ok(ready) => {
                if ready.len() > GREETING {
                    let what = format!(
                        "its greeting has {} bytes, and {GREETING} are the most: it names what its bits depend on",
                        ready.len()
                    );
                    return Err(worker.fault(&what));
                }
                let environment: Result<Ready, _> = serde_json::from_slice(&ready);
                worker.environment = environment.map_err(|e| worker.fault(&format!("its greeting: {e}")))?.environment;
                Ok(worker)
            }
            Err(Failure::Worker(error)) => Err(error),
            Err(Failure::Interrupted) => Err(worker.fault("it was interrupted")),
        }
    }

    /// Sends a frame, behind those that are not written yet.
    pub(super) fn send(&mut self, kind: u8, parts: &[&[u8]]) {
        if let Some(to) = &self.to {
            // Should the writer be gone, so is the process, and waiting for the answer says so.
            let _ = to.send(Frame::of(kind, parts));
        }
    }

    /// The payload of the next answer, which must be of this kind; a crew may ask to stop meanwhile.
    pub(super) fn answer(&mut self, kind: u8, crew: Option<&dyn Crew>) -> Result<Vec<u8>, Failure> {
        let mut left = u64::from(self.seconds) * 1000 / TICK.as_millis() as u64;
        loop {
            match self.from.recv_timeout(TICK) {
                Ok(Ok(frame)) if frame.kind == kind => return Ok(frame.payload),
                Ok(Ok(frame)) if frame.kind == FAILED => {
                    return Err(self.fault(&format!("it says: {}", readable(&frame.payload))).into());
                }
                Ok(Ok(frame)) => {
                    let (got, wanted) = (char::from(frame.kind), char::from(kind));
                    return Err(self.fault(&format!("it answered by a frame {got:?} where {wanted:?} is due")).into());
                }
                Ok(Err(what)) => return Err(self.ended(&what).into()),
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended("it ended").into()),
                Err(RecvTimeoutError::Timeout) => {
                    if crew.is_some_and(|crew| !crew.visited(0)) {
                        return Err(Failure::Interrupted);
                    }
                    left = left.saturating_sub(1);
                    if left == 0 {
                        let what = format!("it gave no answer within `seconds` = {}", self.seconds);
                        return Err(self.fault(&what).into());
                    }
                }
            }
        }
    }

    /// The state before any row.
    pub(super) fn init(&mut self, seed: [u8; 32], crew: Option<&dyn Crew>) -> Result<Vec<u8>, Failure> {
        self.send(INIT, &[&seed]);
        self.answer(STATE, crew)
    }

    /// The state after a step whose rows come as bytes of [`super::rows::batch`], each with how many they are.
    pub(super) fn step(
        &mut self,
        begin: &Begin<'_>,
        batches: impl Iterator<Item = (usize, Vec<u8>)>,
        crew: Option<&dyn Crew>,
    ) -> Result<Vec<u8>, Failure> {
        let head = [begin.index.to_le_bytes(), begin.of.to_le_bytes()].concat();
        self.send(STEP, &[&head, &begin.visits.to_le_bytes(), &begin.seed, begin.state]);
        self.answer(DONE, crew)?;
        // The next batches are gathered while the worker is busy with one.
        let mut owed = VecDeque::new();
        let visited = |rows: usize| if crew.is_none_or(|crew| crew.visited(rows)) { Ok(()) } else { Err(Failure::Interrupted) };
        for (rows, bytes) in batches {
            self.send(super::frame::BATCH, &[&bytes]);
            owed.push_back(rows);
            if owed.len() > AHEAD {
                self.answer(DONE, crew)?;
                visited(owed.pop_front().unwrap_or_default())?;
            }
        }
        for rows in owed {
            self.answer(DONE, crew)?;
            visited(rows)?;
        }
        self.send(super::frame::END, &[]);
        self.answer(STATE, crew)
    }

    /// Whether this process started it.
    pub(super) fn is_ours(&self) -> bool {
        self.owner == std::process::id()
    }

    pub(super) fn fault(&self, what: &str) -> WorkerError {
        WorkerError { name: self.name.clone(), what: what.to_owned() }
    }

    /// The error of a worker that ended: how, and what it said last.
    fn ended(&mut self, what: &str) -> WorkerError {
        self.to = None;
        let _ = self.child.kill();
        let status = self.child.wait().ok().map(described).unwrap_or_default();
        // What it said may still be in its pipe for a moment.
        thread::sleep(TICK / 2);
        let said: Vec<u8> = self.said.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        let said = readable(&said);
        let said = if said.is_empty() { said } else { format!("; its last words: {said}") };
        self.fault(&format!("{what}{status}{said}"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.to = None;
        if self.is_ours() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The command, under a limit of memory where there is one.
fn command(settings: &ExternalSettings) -> Command {
    match settings.memory_mb {
        None => {
            let mut words = settings.command.iter();
            let mut command = Command::new(words.next().map_or("", String::as_str));
            command.args(words);
            command
        }
        Some(limit) => {
            // `setrlimit` from within the process, by a shell that becomes the worker.
            let mut command = Command::new("/bin/sh");
            command.args(["-c", "ulimit -v \"$0\" && exec \"$@\""]).arg((u64::from(limit) * 1024).to_string());
            command.args(&settings.command);
            command
        }
    }
}

/// Refuses code that is not what the recipe was frozen with.
fn same_code(settings: &ExternalSettings, folder: &Path) -> Result<(), String> {
    if settings.code.len() != settings.digests.len() {
        return Err("the recipe holds no digests of its code; open it by its sisa.toml".into());
    }
    for (file, digest) in settings.code.iter().zip(&settings.digests) {
        let path = folder.join(file);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes));
        read.map_err(|e| format!("its code {} can't be read: {e}; put it back", path.display()))?;
        if Digest::of(&bytes) != *digest {
            return Err(format!(
                "its code {} is not what the recipe was frozen with; put that back; or train by sisa.toml, for \
                 which it is another setting, and a new model is built beside the one in service",
                path.display()
            ));
        }
    }
    Ok(())
}

/// What a worker is told first.
fn hello(settings: &ExternalSettings, layout: &Layout) -> Vec<u8> {
    let (task, outputs) = match layout.task {
        Task::Classes(_) => ("classes", layout.task.outputs()),
        Task::Number => ("number", 1),
    };
    let hello = json!({
        "protocol": 1,
        "name": settings.name,
        "settings": settings.settings,
        "batch": settings.batch,
        "task": task,
        "outputs": outputs,
        "numbers": layout.numbers,
        "ranges": layout.ranges,
        "indicators": layout.indicators,
        "categories": layout.categories,
        "byte_scales": layout.byte_scales,
        "label_range": layout.label_range,
    });
    hello.to_string().into_bytes()
}

/// What a worker says first.
#[derive(serde::Deserialize)]
struct Ready {
    #[serde(default)]
    environment: BTreeMap<String, String>,
}

/// Reads to the end, and keeps the last bytes.
fn keep_last(mut from: impl Read, said: &Mutex<VecDeque<u8>>) {
    let mut part = [0; 512];
    while let Ok(read @ 1..) = from.read(&mut part) {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.extend(part.iter().take(read));
        let more = said.len().saturating_sub(SAID);
        said.drain(..more);
    }
}

/// Text of a worker's, fit for a message.
fn readable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim().replace(|c: char| c.is_control() && c != '\n', "");
    let skip = text.chars().count().saturating_sub(SAID);
    text.chars().skip(skip).collect()
}

/// How a process ended.
fn described(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!(" (exit code {code})"),
        (None, Some(signal)) => format!(" (signal {signal})"),
        (None, None) => String::new(),
    }
}
