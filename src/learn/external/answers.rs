//! Answers: one worker for all states that answer.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError, TryLockError,
        atomic::{AtomicU32, Ordering},
    },
};

use super::{
    Rules, WorkerError,
    frame::{ASK, DONE, LOAD, SCORES},
    rows::question,
    worker::{Failure, Worker},
};
use crate::learn::{Features, Layout, Task};

/// Rows of every question. The last one is filled up: the bits of a row's scores may depend on how many are scored with it.
pub(super) const ASKED: usize = 256;

/// The worker that answers, and which states it has.
#[derive(Debug, Default)]
pub(super) struct Answers {
    worker: Mutex<Option<(Worker, BTreeSet<u32>)>>,
    slots: AtomicU32,
}

impl Answers {
    /// A number for a state that is to answer.
    pub(super) fn slot(&self) -> u32 {
        self.slots.fetch_add(1, Ordering::Relaxed)
    }

    /// Scores rows by the state of a slot. A worker that fails is started once more.
    pub(super) fn scores(
        &self,
        rules: &Rules,
        layout: &Layout,
        (slot, state): (u32, &[u8]),
        features: &Features<'_>,
        out: &mut [f32],
    ) -> Result<(), WorkerError> {
        let mut held = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        let mut again = held.is_some();
        loop {
            let (mut worker, mut loaded) = match held.take() {
                Some(held) if held.0.is_ours() => held,
                _ => (Worker::start(&rules.settings, layout, &rules.folder)?, BTreeSet::new()),
            };
            let mut asked = || {
                if loaded.insert(slot) {
                    worker.send(LOAD, &[&slot.to_le_bytes(), state]);
                    worker.answer(DONE, None)?;
                }
                let outputs = layout.task.outputs();
                let starts = (0..features.rows()).step_by(ASKED);
                for (start, out) in starts.zip(out.chunks_mut(ASKED * outputs)) {
                    let part = features.slice(start..start + out.len() / outputs);
                    ask(&mut worker, slot, &part, out, layout.task)?;
                }
                Ok(())
            };
            match asked() {
                Ok(()) => {
                    *held = Some((worker, loaded));
                    return Ok(());
                }
                Err(Failure::Worker(error)) if !again => return Err(error),
                Err(Failure::Interrupted) => return Err(worker.fault("it was interrupted")),
                Err(Failure::Worker(_)) => again = false,
            }
        }
    }

    /// Ends the worker unless it answers just now; whoever is asked next starts another.
    pub(super) fn rest(&self) {
        match self.worker.try_lock() {
            Ok(mut held) => *held = None,
            Err(TryLockError::Poisoned(poisoned)) => *poisoned.into_inner() = None,
            Err(TryLockError::WouldBlock) => {}
        }
    }

    /// Ends the worker if it has this state: the state may have seen what is deleted now.
    pub(super) fn forget(&self, slot: u32) {
        let mut held = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().is_some_and(|(_, loaded)| loaded.contains(&slot)) {
            *held = None;
        }
    }
}

/// Has a worker score at most [`ASKED`] rows by a state that it has.
pub(super) fn ask(worker: &mut Worker, slot: u32, features: &Features<'_>, out: &mut [f32], task: Task) -> Result<(), Failure> {
    worker.send(ASK, &[&slot.to_le_bytes(), &question(features, ASKED)]);
    let bytes = worker.answer(SCORES, None)?;
    let (scores, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() || scores.len() != ASKED * task.outputs() {
        let wanted = format!("{ASKED} rows of {} f32", task.outputs());
        return Err(worker.fault(&format!("its scores are {} bytes, and {wanted} are wanted", bytes.len())).into());
    }
    for (out, score) in out.iter_mut().zip(scores) {
        *out = f32::from_le_bytes(*score);
        let fine = match task {
            Task::Classes(_) => (0.0..=1.000_1).contains(&*out),
            Task::Number => out.is_finite(),
        };
        if !fine {
            let wanted = if task == Task::Number { "a finite number" } else { "a probability" };
            return Err(worker.fault(&format!("a score of it is {out:?}, which is not {wanted}")).into());
        }
    }
    Ok(())
}
