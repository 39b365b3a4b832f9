use std::path::Path;

use serde::Serialize;

use crate::receipt;

/// A receipt, in the form of docs/RECEIPT.md.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "receipt")]
#[non_exhaustive]
pub struct Receipt<'a> {
    /// The receipt.
    pub receipt: &'a receipt::Receipt,
}

/// A signed receipt whose signature holds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "signature")]
#[non_exhaustive]
pub struct Signature<'a> {
    /// True: a signature that does not hold is an error.
    pub holds: bool,
    /// What was signed.
    pub receipt: &'a receipt::Receipt,
}

/// A fresh pair of keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "keys")]
#[non_exhaustive]
pub struct Keys {
    /// The file of the secret key.
    pub secret: String,
    /// The file of the public key.
    pub public: String,
}

impl<'a> From<&'a receipt::Receipt> for Receipt<'a> {
    fn from(receipt: &'a receipt::Receipt) -> Receipt<'a> {
        Receipt { receipt }
    }
}

impl<'a> Signature<'a> {
    /// A receipt whose signature was checked.
    pub fn holds(receipt: &'a receipt::Receipt) -> Signature<'a> {
        Signature { holds: true, receipt }
    }
}

impl Keys {
    /// Keys in these files.
    pub fn of(secret: &Path, public: &Path) -> Keys {
        Keys { secret: secret.display().to_string(), public: public.display().to_string() }
    }
}
