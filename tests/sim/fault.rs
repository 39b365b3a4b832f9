//! What goes wrong, and when: operations are counted from 1.

use std::io;

/// What goes wrong with a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The machine stops before this operation: it and all later ones, reads too, fail and change nothing.
    Stop(u64),
    /// The disk is full from this write on; removing still works.
    Full(u64),
    /// This write fails half done, once.
    Broken(u64),
    /// This sync fails, once, and makes nothing durable.
    Sync(u64),
}

/// What an operation is to a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Takes space: creates or writes.
    Write,
    /// Changes names without taking space.
    Name,
    /// Makes something durable.
    Sync,
}

/// Counts operations and makes them fail.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    pub fault: Fault,
    /// All operations that change something or make it durable.
    pub operations: u64,
    pub writes: u64,
    pub syncs: u64,
    /// Files opened to be read, whole or their heads.
    pub reads: u64,
    /// Folders listed, and files or folders locked.
    pub lists: u64,
    /// Names looked at.
    pub looks: u64,
    /// The operation that failed first, or the last one done.
    pub last: String,
    /// The last named point of a protocol that was reached.
    pub point: String,
    pub failed: bool,
    /// What changed the disk after a sync had failed.
    pub after_failed_sync: Vec<String>,
}

impl Meter {
    /// Counts an operation; an error is the fault's.
    pub fn count(&mut self, kind: Kind, what: impl FnOnce() -> String) -> io::Result<()> {
        self.running()?;
        self.operations += 1;
        let what = what();
        if matches!(self.fault, Fault::Sync(_)) && self.failed && kind != Kind::Sync {
            self.after_failed_sync.push(what.clone());
        }
        if !self.failed {
            self.last = what;
        }
        match kind {
            Kind::Write => self.writes += 1,
            Kind::Sync => self.syncs += 1,
            Kind::Name => {}
        }
        let error = match self.fault {
            Fault::Stop(at) if self.operations >= at => Some(stopped()),
            Fault::Full(at) if kind == Kind::Write && self.writes >= at => Some(io::Error::from_raw_os_error(28)),
            Fault::Broken(at) if kind == Kind::Write && self.writes == at => Some(io::Error::from_raw_os_error(5)),
            Fault::Sync(at) if kind == Kind::Sync && self.syncs == at => Some(io::Error::from_raw_os_error(5)),
            _ => None,
        };
        self.failed |= error.is_some();
        error.map_or(Ok(()), Err)
    }

    /// An error once the machine stopped.
    pub fn running(&self) -> io::Result<()> {
        if matches!(self.fault, Fault::Stop(_)) && self.failed { Err(stopped()) } else { Ok(()) }
    }
}

fn stopped() -> io::Error {
    io::Error::other("the simulated machine stopped")
}
