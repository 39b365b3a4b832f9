//! The requests of the ledger as this process has seen them: the chain is read once, then followed.

use std::sync::{Mutex, PoisonError};

use sisa::engine::{Engine, Error, KeyUse, RekeyDue, RequestLine, Requests};

/// All requests.
#[derive(Debug, Default)]
pub(super) struct Book(Mutex<Requests>);

impl Book {
    /// Looks at them as they are now.
    pub(super) fn read<T>(&self, engine: &Engine, look: impl FnOnce(&Requests) -> T) -> Result<T, Error> {
        let mut requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        engine.follow(&mut requests)?;
        Ok(look(&requests))
    }

    /// How much was deleted under the model key in service.
    pub(super) fn key_use(&self, engine: &Engine) -> Result<Option<KeyUse>, Error> {
        self.read(engine, |requests| engine.key_use(requests))?
    }

    /// Whether that is more than this share.
    pub(super) fn rekey_due(&self, engine: &Engine, limit: f64) -> Result<Option<RekeyDue>, Error> {
        Ok(self.key_use(engine)?.and_then(|used| used.due(limit)))
    }

    /// The one of this name as it is now.
    pub(super) fn line(&self, engine: &Engine, name: &str) -> Result<Option<RequestLine>, Error> {
        self.read(engine, |requests| requests.get(name).cloned())
    }
}
