//! Legal holds: subjects that may not be deleted for now, by their handles.

use serde::{Deserialize, Serialize};
use sisa::engine::Handle;

use super::super::day;

/// A hold as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Hold {
    pub(in super::super) name: String,
    pub(in super::super) reason: String,
    /// When it ends by itself.
    pub(in super::super) until: Option<String>,
    pub(in super::super) made_at: String,
    /// The name of the key that made it.
    pub(in super::super) made_by: String,
    /// Of the subjects, ascending, in hexadecimal digits.
    pub(in super::super) handles: Vec<String>,
}

impl Hold {
    /// Whether it has not ended at this time, in seconds since 1970. A hold whose end can't be read does not end.
    pub(in super::super) fn is_on(&self, now: f64) -> bool {
        self.until.as_deref().and_then(day::seconds).is_none_or(|until| until > now)
    }

    /// Whether it holds one of these subjects at this time.
    pub(in super::super) fn holds(&self, handles: &[Handle], now: f64) -> bool {
        self.is_on(now) && handles.iter().any(|handle| self.handles.binary_search(&handle.to_string()).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_holds_its_subjects_until_it_ends() {
        let handle = Handle([3; 16]);
        let hold = |until: Option<&str>| Hold {
            name: "court".into(),
            reason: "case 7".into(),
            until: until.map(str::to_owned),
            made_at: String::new(),
            made_by: "boss".into(),
            handles: vec![handle.to_string()],
        };
        assert!(hold(None).holds(&[handle], 1e12) && !hold(None).holds(&[Handle([4; 16])], 0.0));
        assert!(hold(Some("1970-01-01T00:01:00Z")).holds(&[handle], 59.0));
        assert!(!hold(Some("1970-01-01T00:01:00Z")).holds(&[handle], 60.0));
    }
}
