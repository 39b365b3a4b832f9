//! `sisa log`, `sisa receipt`, `sisa keygen`: what the ledger says of requests, signed if somebody wants it.

use std::path::{Path, PathBuf};

use super::{Engine, Error};
use crate::{
    fs::{Durability, FsError, random_key},
    ledger::RequestRecord,
    receipt::{Envelope, PublicKey, Receipt, SealError, SigningKey, public_key_file, secret_key_file},
    workspace::read_key,
};

impl Engine {
    /// The requests in the ledger, in order.
    ///
    /// # Errors
    /// The ledger is damaged.
    pub fn log(&self) -> Result<Vec<RequestRecord>, Error> {
        Ok(self.workspace.ledger().requests()?.0)
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
