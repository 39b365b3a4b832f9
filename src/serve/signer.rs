//! Signatures of what is sent to controllers: SHA-256 with RSA (PKCS #1 v1.5) or ECDSA over P-256, over the very bytes that are sent.

use std::path::Path;
#[cfg(feature = "tls")]
use std::path::PathBuf;

use sisa::engine::{DeskConfig, Engine, FsError};

/// Why nothing can be signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignerError {
    /// A file can't be read.
    #[error("{0}; files under [serve.opendsr] are named from the folder of sisa.toml")]
    Unread(#[from] FsError),
    /// A file is not what it should be.
    #[cfg(feature = "tls")]
    #[error("{}: {problem}", path.display())]
    File { path: PathBuf, problem: String },
    /// This build can't.
    #[cfg(not(feature = "tls"))]
    #[error(
        "`certificate` and `key` under [serve.opendsr] ask for signatures, and this program was built without them: build it with `cargo build --release --features tls`"
    )]
    NotBuilt,
}

/// What signs, if the operator gave a key and a certificate.
#[derive(Debug, Default)]
pub(super) struct Signer(Option<Pair>);

#[derive(Debug)]
struct Pair {
    certificate: Vec<u8>,
    #[cfg(feature = "tls")]
    key: super::tls::SigningKey,
}

impl Signer {
    /// Reads key and certificate, which have to belong together.
    pub(super) fn of(engine: &Engine, desk: Option<&DeskConfig>) -> Result<Signer, SignerError> {
        let Some(DeskConfig { certificate: Some(certificate), key: Some(key), .. }) = desk else { return Ok(Signer(None)) };
        let read = |path: &Path| engine.files().read(path).map(|bytes| bytes.to_vec());
        let (pem, secret) = (read(certificate)?, read(key)?);
        #[cfg(feature = "tls")]
        {
            let wrong = |path: &PathBuf| {
                let path = path.clone();
                move |problem: String| SignerError::File { path, problem }
            };
            let key = super::tls::SigningKey::of_pem(&secret).map_err(wrong(key))?;
            key.belongs_to(&pem).map_err(wrong(certificate))?;
            Ok(Signer(Some(Pair { certificate: pem, key })))
        }
        #[cfg(not(feature = "tls"))]
        {
            let _ = (pem, secret);
            Err(SignerError::NotBuilt)
        }
    }

    /// Whether answers are signed.
    pub(super) fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// The certificate that signatures are checked by, in PEM.
    pub(super) fn certificate(&self) -> Option<Vec<u8>> {
        self.0.as_ref().map(|pair| pair.certificate.clone())
    }

    /// The signature of these bytes in base64; `None` without a key, or where the system gives no random bytes.
    pub(super) fn sign(&self, bytes: &[u8]) -> Option<String> {
        #[cfg(feature = "tls")]
        {
            use base64::Engine as _;
            let signature = self.0.as_ref()?.key.sign(bytes)?;
            Some(base64::engine::general_purpose::STANDARD.encode(signature))
        }
        #[cfg(not(feature = "tls"))]
        {
            let _ = bytes;
            None
        }
    }
}
