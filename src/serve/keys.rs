//! Keys of the service: 256 random bits each, of which only a digest is kept, one file a key.
//!
//! A key is `NAME.SECRET`. High entropy needs no slow hash; digests are compared in constant time. The file is read for every request, so a key that is
//! taken back is refused from that moment on, by every process.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sisa::{
    engine::{Engine, EntryKind, Error, FsError, utc_now},
    wire,
};

use super::role::Role;

/// Keys are files in this folder of the workspace.
const FOLDER: [&str; 2] = ["service", "keys"];
const SUFFIX: &str = ".json";

/// What someone without a key is called, on this machine.
const LOCAL: &str = "local";

/// Why a key could not be made or taken back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// The name can't be one.
    #[error("`{0}` can't be the name of a key: it must have 1 to 32 lower-case letters, digits or `-`")]
    Name(String),
    /// The name stands for whoever has no key.
    #[error("`{LOCAL}` is what the audit log calls whoever needs no key; take another name")]
    Local,
    /// The name is taken.
    #[error("there is a key `{0}` already; revoke it first, or take another name")]
    Taken(String),
    /// There is no such key.
    #[error("there is no key `{0}` in use; `sisa key list` names them")]
    Unknown(String),
    /// A file of keys is not what it should be.
    #[error("{}: {problem}; it is none of ours, move it away", path.display())]
    Damaged { path: PathBuf, problem: String },
    /// The system gave no random bytes.
    #[error("the system gave no random bytes: {0}")]
    Random(String),
    /// The disk refused.
    #[error(transparent)]
    Engine(#[from] Error),
}

impl From<FsError> for KeyError {
    fn from(error: FsError) -> KeyError {
        KeyError::Engine(error.into())
    }
}

/// What is kept of a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    roles: Vec<String>,
    /// BLAKE3 of the secret, in hexadecimal digits.
    digest: String,
    added_at: String,
    revoked_at: Option<String>,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The key's name.
    pub(crate) name: String,
    roles: Vec<Role>,
}

impl Caller {
    /// Someone on this machine, where there are no keys: may do anything.
    pub(crate) fn local() -> Caller {
        Caller { name: LOCAL.into(), roles: Role::ALL.to_vec() }
    }

    /// Whether this is someone on this machine, without a key: the name of a key can't be this one's, as it is refused.
    pub(crate) fn is_local(&self) -> bool {
        self.name == LOCAL
    }

    /// Someone of whom nothing is known.
    pub(crate) fn anyone() -> Caller {
        Caller { name: "-".into(), roles: Vec::new() }
    }

    /// Whether one of these roles is held.
    pub(crate) fn may(&self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.roles.contains(role))
    }
}

/// The keys of a workspace.
#[derive(Debug)]
pub(crate) struct Keys<'a>(pub(crate) &'a Engine);

impl Keys<'_> {
    fn folder(&self) -> PathBuf {
        FOLDER.iter().fold(self.0.workspace().root().to_owned(), |path, part| path.join(part))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder().join(format!("{name}{SUFFIX}"))
    }

    /// Whether a key was ever made here: from then on one is asked for, also when all are taken back.
    pub(crate) fn any(&self) -> Result<bool, KeyError> {
        Ok(!self.names()?.is_empty())
    }

    fn names(&self) -> Result<Vec<String>, KeyError> {
        if self.0.files().stat(&self.folder())?.is_none() {
            return Ok(Vec::new());
        }
        let found = self.0.files().list(&self.folder())?;
        let files = found.into_iter().filter(|(_, kind)| *kind == EntryKind::File);
        let mut names: Vec<String> = files.filter_map(|(file, _)| Some(file.strip_suffix(SUFFIX)?.to_owned())).collect();
        names.sort();
        Ok(names)
    }

    fn read(&self, name: &str) -> Result<Option<Kept>, KeyError> {
        let path = self.file(name);
        let bytes = match self.0.files().read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.is_not_found() => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|e| KeyError::Damaged { path, problem: e.to_string() })
    }

    fn write(&self, name: &str, kept: &Kept) -> Result<(), KeyError> {
        let text = wire::line(kept);
        let _ = self.0.files().publish_private(&self.file(name), &[text.as_bytes()])?;
        Ok(())
    }

    /// Makes a key and returns it, the only time that it is seen.
    pub(crate) fn add(&self, name: &str, roles: &[Role]) -> Result<wire::Key, KeyError> {
        check_name(name)?;
        if name == LOCAL {
            return Err(KeyError::Local);
        }
        self.0.files().make_dirs(&self.folder())?;
        if self.read(name)?.is_some_and(|kept| kept.revoked_at.is_none()) {
            return Err(KeyError::Taken(name.to_owned()));
        }
        let mut secret = [0_u8; 32];
        getrandom::fill(&mut secret).map_err(|e| KeyError::Random(e.to_string()))?;
        let secret = hex(&secret);
        let digest = blake3::hash(secret.as_bytes()).to_hex().to_string();
        let mut roles: Vec<String> = roles.iter().map(ToString::to_string).collect();
        roles.sort();
        roles.dedup();
        let kept = Kept { roles, digest, added_at: utc_now(), revoked_at: None };
        self.write(name, &kept)?;
        Ok(wire::Key::of(name.to_owned(), kept.roles, kept.added_at, None, Some(format!("{name}.{secret}"))))
    }

    /// Takes a key back; its file stays, so that the service is never open again for want of keys.
    pub(crate) fn revoke(&self, name: &str) -> Result<wire::Key, KeyError> {
        check_name(name)?;
        let unknown = || KeyError::Unknown(name.to_owned());
        let kept = self.read(name)?.filter(|kept| kept.revoked_at.is_none()).ok_or_else(unknown)?;
        let kept = Kept { revoked_at: Some(utc_now()), ..kept };
        self.write(name, &kept)?;
        Ok(wire::Key::of(name.to_owned(), kept.roles, kept.added_at, kept.revoked_at, None))
    }

    /// All keys that were ever made.
    pub(crate) fn list(&self) -> Result<Vec<wire::Key>, KeyError> {
        let mut found = Vec::new();
        for name in self.names()? {
            if let Some(kept) = self.read(&name)? {
                found.push(wire::Key::of(name, kept.roles, kept.added_at, kept.revoked_at, None));
            }
        }
        Ok(found)
    }

    /// Whose key this is; `None` where it is nobody's.
    pub(crate) fn caller(&self, key: &str) -> Result<Option<Caller>, KeyError> {
        let Some((name, secret)) = key.split_once('.') else { return Ok(None) };
        if check_name(name).is_err() {
            return Ok(None);
        }
        let Some(kept) = self.read(name)? else { return Ok(None) };
        let Ok(digest) = blake3::Hash::from_hex(&kept.digest) else { return Ok(None) };
        // The comparison of two hashes takes the same time wherever they differ.
        if blake3::hash(secret.as_bytes()) != digest || kept.revoked_at.is_some() {
            return Ok(None);
        }
        let roles = kept.roles.iter().filter_map(|role| role.parse().ok()).collect();
        Ok(Some(Caller { name: name.to_owned(), roles }).filter(|caller| !caller.is_local()))
    }
}

fn check_name(name: &str) -> Result<(), KeyError> {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 32 || !name.chars().all(fine) {
        return Err(KeyError::Name(name.chars().take(40).collect()));
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
