//! What only the process that made it may use.

use std::process;

/// A value with threads or locks of its own. A forked process has a copy of it and none of its threads, so there it is neither used
/// nor dropped: both could wait for a thread that is not there.
#[derive(Debug)]
pub(crate) struct Own<T> {
    process: u32,
    /// Always there until it is dropped.
    value: Option<T>,
}

impl<T> Own<T> {
    pub(crate) fn new(value: T) -> Own<T> {
        Own { process: process::id(), value: Some(value) }
    }

    /// The value, in the process that made it.
    pub(crate) fn get(&self) -> Option<&T> {
        self.value.as_ref().filter(|_| self.process == process::id())
    }
}

impl<T> Drop for Own<T> {
    fn drop(&mut self) {
        if self.process != process::id() {
            std::mem::forget(self.value.take());
        }
    }
}
