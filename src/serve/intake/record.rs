//! A request as it is kept until everybody has been told of its end: handles, times and addresses, and never an id.

use serde::{Deserialize, Serialize};
use sisa::engine::{Handle, utc_now};

use super::super::day;

/// What is written; other numbers are refused.
pub(in super::super) const FORMAT: u32 = 1;

/// How far a request has come, as far as the intake knows; the ledger knows the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in super::super) enum Stage {
    /// It is not in the ledger yet.
    Pending,
    /// It was taken back before anything was done.
    Cancelled,
    /// It is in the ledger, in effect.
    Accepted,
    /// It came to its end.
    Done,
}

/// A change of state that callbacks are told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Step {
    /// In the words of OpenDSR.
    pub(in super::super) status: String,
    pub(in super::super) at: String,
    /// Records that were found, once that is known.
    pub(in super::super) records: Option<u64>,
    /// Ids that were not found, likewise.
    pub(in super::super) unknown: Option<u64>,
}

/// How far one address has been told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Listener {
    pub(in super::super) url: String,
    /// The step that is told next: one after the other, in their order.
    pub(in super::super) next: usize,
    /// How often it was tried, and when first.
    pub(in super::super) tries: u32,
    pub(in super::super) first_at: Option<String>,
    /// Not before this time.
    pub(in super::super) again_at: Option<String>,
    /// Steps that were given up.
    pub(in super::super) undelivered: u32,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Record {
    pub(in super::super) format: u32,
    pub(in super::super) request: String,
    /// The name of the key that asked.
    pub(in super::super) asked_by: String,
    /// The law that it is made under.
    pub(in super::super) law: Option<String>,
    pub(in super::super) received_at: String,
    pub(in super::super) due_at: String,
    /// Of subjects, ascending.
    #[serde(with = "hex")]
    pub(in super::super) handles: Vec<Handle>,
    pub(in super::super) no_suppress: bool,
    pub(in super::super) stage: Stage,
    /// What happened, in order.
    pub(in super::super) steps: Vec<Step>,
    pub(in super::super) listeners: Vec<Listener>,
}

impl Record {
    /// A request that came just now.
    pub(in super::super) fn new(request: String, asked_by: String, handles: Vec<Handle>, due: f64) -> Record {
        let received_at = utc_now();
        Record {
            format: FORMAT,
            request,
            asked_by,
            law: None,
            due_at: day::text(due),
            received_at,
            handles,
            no_suppress: false,
            stage: Stage::Pending,
            steps: Vec::new(),
            listeners: Vec::new(),
        }
    }

    /// The same, told to these addresses.
    pub(in super::super) fn told_to(self, urls: Vec<String>) -> Record {
        let listener = |url| Listener { url, next: 0, tries: 0, first_at: None, again_at: None, undelivered: 0 };
        Record { listeners: urls.into_iter().map(listener).collect(), ..self }
    }

    /// Its state in the words of OpenDSR.
    pub(in super::super) fn status(&self) -> &'static str {
        match self.stage {
            Stage::Pending => "pending",
            Stage::Cancelled => "cancelled",
            Stage::Accepted => "in_progress",
            Stage::Done => "completed",
        }
    }

    /// Whether it was cancelled or is done.
    pub(in super::super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Cancelled | Stage::Done)
    }

    /// Whether nothing is to be done for it any more.
    pub(in super::super) fn is_closed(&self) -> bool {
        self.is_over() && self.listeners.iter().all(|l| l.next >= self.steps.len())
    }

    /// When it is due, in seconds since 1970.
    pub(in super::super) fn due(&self) -> f64 {
        day::seconds(&self.due_at).unwrap_or(0.0)
    }

    /// Comes to a stage, of which callbacks are told.
    pub(in super::super) fn comes_to(&mut self, stage: Stage, found: Option<(u64, u64)>) {
        self.stage = stage;
        let (records, unknown) = (found.map(|f| f.0), found.map(|f| f.1));
        self.steps.push(Step { status: self.status().into(), at: utc_now(), records, unknown });
    }
}

/// Handles as texts of hexadecimal digits.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use sisa::engine::Handle;

    pub(super) fn serialize<S: Serializer>(handles: &[Handle], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(handles.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Handle>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        texts
            .iter()
            .map(|text| Handle::from_hex(text).ok_or_else(|| D::Error::custom("a handle has 32 hexadecimal digits")))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_closed_when_it_is_over_and_everybody_was_told_of_every_step() {
        let urls = vec!["https://a.example/".into(), "https://b.example/".into()];
        let mut record = Record::new("a".into(), "desk".into(), vec![Handle([7; 16])], 0.0).told_to(urls);
        assert_eq!((record.status(), record.is_closed()), ("pending", false));
        record.comes_to(Stage::Accepted, Some((5, 0)));
        record.comes_to(Stage::Done, Some((5, 0)));
        assert_eq!((record.status(), record.is_over(), record.is_closed()), ("completed", true, false));
        record.listeners.iter_mut().for_each(|l| l.next = 2);
        assert!(record.is_closed());
        let text = serde_json::to_string(&record).unwrap();
        assert!(text.contains("\"07070707070707070707070707070707\""), "{text}");
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
        assert!(serde_json::from_str::<Record>(&text.replace("0707070707", "x7")).is_err());
    }
}
