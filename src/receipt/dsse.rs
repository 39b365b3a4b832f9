//! An in-toto Statement (v1) in a DSSE envelope, signed with Ed25519.
//!
//! DSSE v1: the signature is over the pre-authentication encoding
//! `"DSSEv1" SP len(type) SP type SP len(payload) SP payload`, lengths in decimal.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Signer, Verifier};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Receipt;
use crate::digest::Digest;

/// The payload's media type.
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// What kind of predicate a receipt is.
pub const PREDICATE_TYPE: &str = "https://sisa.invalid/deletion-receipt/v1";
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// Why a signed receipt does not hold.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// A key file is not one.
    #[error("this is not a signing key or its public half: it must hold one line with 64 hexadecimal digits")]
    Key,
    /// The file is not an envelope.
    #[error("this is not a DSSE envelope: {0}")]
    Malformed(String),
    /// The signature does not hold.
    #[error("the signature does not hold: the receipt was changed, or signed with another key")]
    Signature,
    /// The receipt says nothing final yet.
    #[error("request `{0}` is not repaired yet; a receipt is signed once it is")]
    NotRepaired(String),
}

/// A secret key that signs receipts.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

/// A public key that checks them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(secret)")
    }
}

/// The text of a secret key file.
pub fn secret_key_file(seed: &[u8; 32]) -> String {
    format!("{}\n", Digest(*seed))
}

/// The text of the public key file that belongs to it.
pub fn public_key_file(key: &SigningKey) -> String {
    format!("{}\n", Digest(key.0.verifying_key().to_bytes()))
}

impl SigningKey {
    /// A key from 32 bytes.
    pub fn from_bytes(seed: &[u8; 32]) -> SigningKey {
        SigningKey(ed25519_dalek::SigningKey::from_bytes(seed))
    }
}

impl PublicKey {
    /// Reads a public key file's text.
    ///
    /// # Errors
    /// [`SealError::Key`].
    pub fn parse(text: &str) -> Result<PublicKey, SealError> {
        let bytes = Digest::from_hex(text.trim_end()).ok_or(SealError::Key)?;
        ed25519_dalek::VerifyingKey::from_bytes(&bytes.0).map(PublicKey).map_err(|_| SealError::Key)
    }
}

/// A DSSE envelope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeSignature {
    keyid: String,
    sig: String,
}

impl Envelope {
    /// Signs a receipt. Its subjects are the lineage keys of the shards' last steps, each the name of a checkpoint file.
    ///
    /// # Errors
    /// [`SealError::NotRepaired`].
    pub fn seal(receipt: &Receipt, key: &SigningKey) -> Result<Envelope, SealError> {
        if receipt.repaired_at.is_none() {
            return Err(SealError::NotRepaired(receipt.request.clone()));
        }
        let subject = |(shard, lineage): (usize, &Digest)| json!({ "name": format!("shard {shard:04}, last checkpoint"), "digest": { "sisaLineage": lineage } });
        let statement = json!({
            "_type": STATEMENT_TYPE,
            "subject": receipt.lineages.iter().enumerate().map(subject).collect::<Vec<_>>(),
            "predicateType": PREDICATE_TYPE,
            "predicate": receipt,
        });
        let payload = statement.to_string().into_bytes();
        let signature = key.0.sign(&pre_authentication(PAYLOAD_TYPE, &payload));
        let keyid = Digest::of(&key.0.verifying_key().to_bytes()).to_string();
        Ok(Envelope {
            payload: STANDARD.encode(&payload),
            payload_type: PAYLOAD_TYPE.into(),
            signatures: vec![EnvelopeSignature { keyid, sig: STANDARD.encode(signature.to_bytes()) }],
        })
    }

    /// Checks an envelope and takes the receipt out.
    ///
    /// # Errors
    /// The envelope is malformed, or its signature does not hold under `key`.
    pub fn open(text: &[u8], key: &PublicKey) -> Result<Receipt, SealError> {
        let malformed = |what: &dyn std::fmt::Display| SealError::Malformed(what.to_string());
        let envelope: Envelope = serde_json::from_slice(text).map_err(|e| malformed(&e))?;
        let payload = STANDARD.decode(&envelope.payload).map_err(|e| malformed(&e))?;
        let message = pre_authentication(&envelope.payload_type, &payload);
        let holds = envelope.signatures.iter().any(|s| {
            let bytes = STANDARD.decode(&s.sig).ok();
            let signature = bytes.and_then(|b| Signature::from_slice(&b).ok());
            signature.is_some_and(|s| key.0.verify(&message, &s).is_ok())
        });
        if !holds {
            return Err(SealError::Signature);
        }
        let statement: serde_json::Value = serde_json::from_slice(&payload).map_err(|e| malformed(&e))?;
        let is = |field: &str, expected: &str| statement.get(field).and_then(|v| v.as_str()) == Some(expected);
        if envelope.payload_type != PAYLOAD_TYPE || !is("_type", STATEMENT_TYPE) || !is("predicateType", PREDICATE_TYPE) {
            return Err(malformed(&"it holds another kind of statement"));
        }
        let predicate = statement.get("predicate").cloned().unwrap_or_default();
        serde_json::from_value(predicate).map_err(|e| malformed(&e))
    }
}

fn pre_authentication(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    out.extend_from_slice(payload);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_that_of_the_dsse_specification() {
        // The example of the specification's protocol page.
        let encoded = pre_authentication("http://example.com/HelloWorld", b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn keys_have_one_form() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let text = public_key_file(&key);
        assert_eq!(PublicKey::parse(&text).unwrap().0, key.0.verifying_key());
        assert!(PublicKey::parse(&text[1..]).is_err());
        assert!(!format!("{key:?}").contains("07"));
    }
}
