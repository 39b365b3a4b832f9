//! Reads ahead on a thread of its own, so that gunzipping and cutting overlap with the work of the caller.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use super::batch::Batch;
use super::error::SourceError;
use super::{Block, Source};

/// Batches that wait at most; with the two in work this bounds the memory.
const DEPTH: usize = 2;

/// A source whose batches are made by a thread; the same rows in the same batches as the source itself.
pub(crate) struct Ahead {
    name: Arc<str>,
    columns: Vec<String>,
    unread: Vec<(usize, String)>,
    blocks: Vec<Block>,
    total: u64,
    used: u64,
    state: State,
}

enum State {
    /// Not yet asked for rows: many sources may be open, and only those in use need a thread and batches.
    Idle(Box<dyn Source>),
    Running(Worker),
    Ended,
    Failed,
}

struct Worker {
    /// `None` only while the worker is dropped.
    full: Option<Receiver<Result<Filled, SourceError>>>,
    empty: Sender<Batch>,
    thread: Option<JoinHandle<()>>,
}

struct Filled {
    batch: Batch,
    rows: usize,
    used: u64,
}

impl Ahead {
    /// Wraps `source`; the thread starts with the first call for rows.
    pub(crate) fn new(source: Box<dyn Source>) -> Self {
        let name = source.name().clone();
        let columns = source.columns().to_vec();
        let (unread, blocks, total) = (source.unread(), source.blocks(), source.bytes_total());
        Self { name, columns, unread, blocks, total, used: 0, state: State::Idle(source) }
    }

    /// The outcome of the thread's next step, with the thread started if it was not.
    fn receive(&mut self) -> Result<Filled, SourceError> {
        if matches!(self.state, State::Idle(_))
            && let State::Idle(source) = std::mem::replace(&mut self.state, State::Failed)
        {
            self.state = State::Running(Worker::start(&self.name, source)?);
        }
        match &self.state {
            // A closed channel means that the thread died of a bug; its panic message has been printed.
            State::Running(Worker { full: Some(full), .. }) => full.recv().unwrap_or_else(|_| Err(self.stopped())),
            _ => Err(self.stopped()),
        }
    }

    fn stopped(&self) -> SourceError {
        SourceError::Stopped { file: self.name.clone() }
    }
}

impl Worker {
    fn start(name: &Arc<str>, source: Box<dyn Source>) -> Result<Self, SourceError> {
        let (to_caller, full) = sync_channel(DEPTH);
        let (empty, from_caller) = channel();
        let thread = thread::Builder::new()
            .name("read ahead".to_owned())
            .spawn(move || run(source, &to_caller, &from_caller))
            .map_err(|cause| SourceError::Thread { file: name.clone(), cause })?;
        Ok(Self { full: Some(full), empty, thread: Some(thread) })
    }
}

fn run(mut source: Box<dyn Source>, full: &SyncSender<Result<Filled, SourceError>>, empty: &Receiver<Batch>) {
    loop {
        let mut batch = empty.try_recv().unwrap_or_default();
        let filled = source.next(&mut batch).map(|rows| Filled { batch, rows, used: source.bytes_read() });
        let last = !matches!(filled, Ok(Filled { rows: 1.., .. }));
        // The caller may have dropped the source before its end, which is no error.
        if full.send(filled).is_err() || last {
            return;
        }
    }
}

impl Source for Ahead {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn only(&mut self, columns: &[usize]) {
        if let State::Idle(source) = &mut self.state {
            source.only(columns);
        }
    }

    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn blocks(&self) -> Vec<Block> {
        self.blocks.clone()
    }

    fn unread(&self) -> Vec<(usize, String)> {
        self.unread.clone()
    }

    fn next(&mut self, batch: &mut Batch) -> Result<usize, SourceError> {
        if matches!(self.state, State::Ended) {
            *batch = Batch::new();
            return Ok(0);
        }
        let Filled { batch: next, rows, used } = self.receive().inspect_err(|_| self.state = State::Failed)?;
        let spare = std::mem::replace(batch, next);
        if rows == 0 {
            self.state = State::Ended;
        } else if let State::Running(worker) = &self.state {
            // If the thread has come to its end already, the memory is simply freed.
            let _ = worker.empty.send(spare);
        }
        self.used = used;
        Ok(rows)
    }

    fn bytes_read(&self) -> u64 {
        self.used
    }

    fn bytes_total(&self) -> u64 {
        self.total
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Closing the channel first lets a thread that waits to send come to its end.
        self.full = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Ahead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ahead").field("file", &self.name).field("used", &self.used).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Yields `left` batches of one row without columns, then fails.
    struct Count(Arc<str>, u64);

    impl Source for Count {
        fn name(&self) -> &Arc<str> {
            &self.0
        }
        fn columns(&self) -> &[String] {
            &[]
        }
        fn next(&mut self, batch: &mut Batch) -> Result<usize, SourceError> {
            batch.begin(&self.0, &[]);
            self.1 = self.1.checked_sub(1).ok_or_else(|| SourceError::NoRows { file: "c".into() })?;
            batch.finish(1, self.1);
            Ok(1)
        }
        fn bytes_read(&self) -> u64 {
            self.1
        }
        fn bytes_total(&self) -> u64 {
            0
        }
    }

    #[test]
    fn batches_arrive_in_order_then_the_error_then_only_stopped() {
        let mut ahead = Ahead::new(Box::new(Count("c".into(), 9)));
        let mut batch = Batch::new();
        for left in (0..9).rev() {
            assert_eq!(ahead.next(&mut batch).unwrap(), 1);
            assert_eq!((batch.place(0).line, ahead.bytes_read()), (left, left));
        }
        assert!(matches!(ahead.next(&mut batch), Err(SourceError::NoRows { .. })));
        assert!(matches!(ahead.next(&mut batch), Err(SourceError::Stopped { .. })));
    }

    #[test]
    fn dropping_early_ends_the_thread() {
        let mut ahead = Ahead::new(Box::new(Count("c".into(), u64::MAX)));
        assert_eq!(ahead.next(&mut Batch::new()).unwrap(), 1);
        // Drop joins the thread, so this test hangs if the thread does not end.
        drop(ahead);
    }
}
