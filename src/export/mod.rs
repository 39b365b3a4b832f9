//! The ensemble in service as a file that other programs read: an ONNX graph of standard operators alone, or its weights as
//! safetensors. Pure: what is declared and what is loaded in, bytes out, the same ones each time.
//!
//! A graph takes the columns as they are declared and answers as [`Ensemble`] does. Trees decide the same for every f32; sums are
//! rounded in another order.

mod date;
mod error;
mod facts;
mod graph;
mod image;
mod inputs;
mod net;
mod proto;
mod ridge;
mod safetensors;
mod trees;
mod vote;

use crate::{ledger::ExportFormat, predict::Ensemble, schema::Schema};

pub use error::ExportError;
pub use facts::Facts;

/// The bytes of a file.
///
/// # Errors
/// What is declared, or the kind of learner, has no form in this format.
pub fn encode(format: ExportFormat, schema: &Schema, ensemble: &Ensemble, facts: &Facts) -> Result<Vec<u8>, ExportError> {
    if ensemble.formulas().any(|(_, formula)| formula == crate::learn::Formula::Unknown) {
        return Err(ExportError::Unknown { learner: facts.learner.clone() });
    }
    match format {
        ExportFormat::Onnx => vote::model(schema, ensemble, facts),
        ExportFormat::Safetensors => safetensors::encode(schema, ensemble, facts),
    }
}
