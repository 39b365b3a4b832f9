//! `sisa log`, `sisa receipt`, `sisa keygen`: what the ledger says of requests, signed if somebody wants it.

use std::path::{Path, PathBuf};

use super::{Engine, Error, Requests};
use crate::{
    config::{Config, REKEY_AFTER},
    fs::{Durability, FsError, random_key},
    ledger::RequestRecord,
    receipt::{Envelope, PublicKey, Receipt, SealError, SigningKey, public_key_file, secret_key_file},
    workspace::read_key,
};

/// How much of what is in service was deleted under its model key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeyUse {
    /// Records deleted.
    pub deleted: u64,
    /// Records that were imported under it.
    pub imported: u64,
}

impl KeyUse {
    /// The share of the records that was deleted.
    pub fn share(&self) -> f64 {
        self.deleted as f64 / self.imported.max(1) as f64
    }

    /// Whether that is more than `limit`, a share.
    pub fn due(&self, limit: f64) -> Option<RekeyDue> {
        let share = self.share();
        (share > limit).then_some(RekeyDue { share, limit, deleted: self.deleted })
    }
}

/// So much was deleted under one model key that a fresh one is advised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RekeyDue {
    /// The share of the generation's records that was deleted.
    pub share: f64,
    /// The share from which on it is due.
    pub limit: f64,
    /// How many records.
    pub deleted: u64,
}

impl Engine {
    /// The requests in the ledger, in order.
    ///
    /// # Errors
    /// The ledger is damaged.
    pub fn log(&self) -> Result<Vec<RequestRecord>, Error> {
        Ok(self.workspace.ledger().requests()?.0)
    }

    /// How much of what is in service was deleted under its model key, against the share from which on the configuration asks for a rekey
    /// ([`REKEY_AFTER`] where there is none); `None` while it is less.
    ///
    /// Deletion is exact for requests that are made without a look at the models; whoever chooses what to delete by what was published
    /// learns of the key a little more with every request, until a fresh one is drawn.
    ///
    /// # Errors
    /// The ledger is damaged, or the configuration is there and wrong.
    pub fn rekey_due(&self, config: &Path) -> Result<Option<RekeyDue>, Error> {
        let files = self.workspace.files();
        let limit = match files.stat(config)? {
            Some(_) => Config::read(files, config)?.rekey_after(),
            None => REKEY_AFTER,
        };
        // Who asks for the log has all entries read anyway.
        let mut requests = Requests::default();
        self.follow(&mut requests)?;
        Ok(self.key_use(&requests)?.and_then(|used| used.due(limit)))
    }

    /// How much of what is in service was deleted under its model key, by the requests that were seen; `None` while nothing serves.
    ///
    /// # Errors
    /// The ledger is damaged.
    pub fn key_use(&self, requests: &Requests) -> Result<Option<KeyUse>, Error> {
        let snapshot = self.workspace.snapshot()?;
        let Some(current) = &snapshot.current else { return Ok(None) };
        let record = snapshot.history.generations.get(&current.generation);
        Ok(record.map(|record| KeyUse { deleted: requests.deleted(current.generation), imported: record.imported.records }))
    }

    /// The receipt of a request; of the last one without a name.
    ///
    /// # Errors
    /// There is no such request.
    pub fn receipt(&self, request: Option<&str>) -> Result<Receipt, Error> {
        let (requests, head) = self.workspace.ledger().requests()?;
        let record = match request {
            Some(name) => requests.iter().find(|r| r.accepted.request == name),
            None => requests.last(),
        };
        let record = record.ok_or_else(|| Error::NoSuchRequest { request: request.unwrap_or("(the last one)").into() })?;
        Ok(Receipt::new(record, head))
    }

    /// Signs the receipt of a request.
    ///
    /// # Errors
    /// The key can't be used, or the request is not repaired.
    pub fn sign_receipt(&self, request: Option<&str>, key: &Path) -> Result<Envelope, Error> {
        let receipt = self.receipt(request)?;
        let key = SigningKey::from_bytes(&read_key(self.workspace.files(), key)?);
        Ok(Envelope::seal(&receipt, &key)?)
    }

    /// Checks a signed receipt under a public key.
    ///
    /// # Errors
    /// The signature does not hold.
    pub fn check_signed_receipt(&self, file: &Path, public: &Path) -> Result<Receipt, Error> {
        let text = self.workspace.files().read(public)?;
        let key = PublicKey::parse(std::str::from_utf8(&text).map_err(|_| SealError::Key)?)?;
        Ok(Envelope::open(&self.workspace.files().read(file)?, &key)?)
    }

    /// Makes a key pair: the secret key at `file`, the public one beside it with `.pub` appended. Returns the latter's path.
    ///
    /// # Errors
    /// A file is in the way, or the disk refuses.
    pub fn keygen(&self, file: &Path) -> Result<PathBuf, Error> {
        let mut public = file.as_os_str().to_owned();
        public.push(".pub");
        let public = PathBuf::from(public);
        let files = self.workspace.files();
        for path in [file, &public] {
            if files.stat(path)?.is_some() {
                return Err(Error::Exists { path: path.to_owned() });
            }
        }
        let seed = random_key().map_err(|cause| FsError::Io { op: "read", path: "the random generator".into(), cause })?;
        let _ = files.publish_private(file, &[secret_key_file(&seed).as_bytes()])?;
        let public_key = public_key_file(&SigningKey::from_bytes(&seed));
        let _ = files.publish(&public, &[public_key.as_bytes()], Durability::Now)?;
        Ok(public)
    }
}
