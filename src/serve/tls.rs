//! TLS by rustls, with ring below it: for connections that come, for callbacks that go, and for signatures. Feature `tls`.

use std::{path::Path, sync::Arc};

use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, SignatureVerificationAlgorithm, pem::PemObject},
    server::WebPkiClientVerifier,
};
use sisa::engine::{DeskConfig, Engine, FsError, TlsConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client};

/// Where systems keep the certificates that they trust.
const SYSTEM: [&str; 3] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Why there is no TLS: what is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// It can't be read.
    #[error("{0}; files under [serve.tls] and [serve.opendsr] are named from the folder of sisa.toml")]
    Unread(#[from] FsError),
    /// It is not what it should be.
    #[error("{file}: {problem}")]
    Wrong { file: String, problem: String },
}

fn wrong<E: std::fmt::Display>(file: &Path) -> impl FnOnce(E) -> TlsError {
    move |problem| TlsError::Wrong { file: file.display().to_string(), problem: problem.to_string() }
}

fn certificates(engine: &Engine, file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = engine.files().read(file)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(wrong(file))?;
    if found.is_empty() { Err(wrong(file)("it holds no certificate in PEM")) } else { Ok(found) }
}

fn roots(engine: &Engine, file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    // A system's list may hold some that are of no use here.
    let (taken, _) = roots.add_parsable_certificates(certificates(engine, file)?);
    if taken == 0 { Err(wrong(file)("it holds no certificate that can be trusted")) } else { Ok(roots) }
}

/// What takes connections.
pub(super) fn acceptor(engine: &Engine, tls: &TlsConfig) -> Result<TlsAcceptor, TlsError> {
    let chain = certificates(engine, &tls.certificate)?;
    let pem = engine.files().read(&tls.key)?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| wrong(&tls.key)("it holds no secret key in PEM"))?;
    let provider = Arc::new(default_provider());
    let begun =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().map_err(wrong(&tls.key))?;
    let begun = match &tls.client_ca {
        None => begun.with_no_client_auth(),
        Some(file) => {
            let roots = Arc::new(roots(engine, file)?);
            begun.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(roots, provider).build().map_err(wrong(file))?,
            )
        }
    };
    let mut config = begun.with_single_cert(chain, key).map_err(wrong(&tls.certificate))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// What makes connections for callbacks.
#[derive(Clone)]
pub(super) struct Client(TlsConnector);

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// By the certificates that the operator names, or the system's; `None` where there are neither.
    pub(super) fn of(engine: &Engine, desk: &DeskConfig) -> Result<Option<Client>, TlsError> {
        let system = || SYSTEM.iter().map(Path::new).find(|file| engine.files().stat(file).is_ok_and(|s| s.is_some()));
        let Some(file) = desk.callback_ca.as_deref().or_else(system) else { return Ok(None) };
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(wrong(file))?
            .with_root_certificates(roots(engine, file)?)
            .with_no_client_auth();
        Ok(Some(Client(TlsConnector::from(Arc::new(config)))))
    }

    /// Speaks TLS with a host; what goes wrong is told in words.
    pub(super) async fn connect(&self, host: &str, stream: TcpStream) -> Result<client::TlsStream<TcpStream>, String> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| "this is no name of a server".to_owned())?;
        self.0.connect(name, stream).await.map_err(|e| e.to_string())
    }
}

/// A key that answers are signed with.
pub(super) enum SigningKey {
    Rsa(Box<RsaKeyPair>),
    P256(Box<EcdsaKeyPair>),
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(secret)")
    }
}

impl SigningKey {
    /// Reads a key: RSA in PKCS #8 or PKCS #1, or P-256 in PKCS #8.
    pub(super) fn of_pem(pem: &[u8]) -> Result<SigningKey, String> {
        let unknown = "it holds no secret key of RSA or P-256 in PEM (PKCS #8)";
        let rsa = |key| Ok(SigningKey::Rsa(Box::new(key)));
        match PrivateKeyDer::from_pem_slice(pem).map_err(|_| unknown.to_owned())? {
            PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()).map_err(|e| e.to_string()).and_then(rsa),
            PrivateKeyDer::Pkcs8(key) => {
                let der = key.secret_pkcs8_der();
                if let Ok(key) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der, &SystemRandom::new()) {
                    return Ok(SigningKey::P256(Box::new(key)));
                }
                RsaKeyPair::from_pkcs8(der).map_err(|e| format!("{unknown}: {e}")).and_then(rsa)
            }
            _ => Err(unknown.into()),
        }
    }

    /// Signs bytes; `None` where the system gives no random bytes.
    pub(super) fn sign(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            SigningKey::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, bytes, &mut signature).ok()?;
                Some(signature)
            }
            SigningKey::P256(key) => key.sign(&random, bytes).ok().map(|signature| signature.as_ref().to_vec()),
        }
    }

    /// Refuses a certificate whose signatures this key does not make.
    pub(super) fn belongs_to(&self, pem: &[u8]) -> Result<(), String> {
        let first = CertificateDer::pem_slice_iter(pem).next().ok_or("it holds no certificate in PEM")?;
        let certificate = first.map_err(|_| "it holds no certificate in PEM".to_owned())?;
        let certificate = webpki::EndEntityCert::try_from(&certificate).map_err(|e| e.to_string())?;
        let (probe, other) = (b"sisa", "the secret key under `key` is not that of this certificate");
        let signature = self.sign(probe).ok_or("the system gave no random bytes")?;
        let algorithm: &dyn SignatureVerificationAlgorithm = match self {
            SigningKey::Rsa(_) => webpki::ring::RSA_PKCS1_2048_8192_SHA256,
            SigningKey::P256(_) => webpki::ring::ECDSA_P256_SHA256,
        };
        certificate.verify_signature(algorithm, probe, &signature).map_err(|_| other.to_owned())
    }
}
