//! What a key may be used for.

use std::{fmt, str::FromStr};

/// A role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Ask for predictions.
    Predict,
    /// Ask for deletions, and how far they have come.
    Delete,
    /// See requests, receipts, the state, metrics and the audit log.
    Audit,
    /// Ask for a repair.
    Admin,
}

impl Role {
    pub(crate) const ALL: [Role; 4] = [Role::Predict, Role::Delete, Role::Audit, Role::Admin];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Role::Predict => "predict",
            Role::Delete => "delete",
            Role::Audit => "audit",
            Role::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Role, String> {
        let found = Role::ALL.into_iter().find(|role| role.name() == text);
        found.ok_or_else(|| format!("`{text}` is not one of predict, delete, audit, admin"))
    }
}
