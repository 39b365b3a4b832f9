//! Why a model has no such file.

/// Why a model has no such file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// Values are hashed by a function that no other program has.
    #[error(
        "column `{column}` is a category of hashed buckets, and ONNX has no operator for that hash. With its values declared \
         (`values = [..]` in place of `buckets` in sisa.toml) a new generation can be exported"
    )]
    Buckets {
        /// The column.
        column: String,
    },
    /// Trees are no tensors.
    #[error("`{learner}` has trees and no weights, so there is nothing to write as safetensors")]
    Trees {
        /// The kind of learner.
        learner: String,
    },
    /// What a program of the person's own computes is known to it alone.
    #[error(
        "`{learner}` is a learner of your own, and what it computes is known to its program alone; export its states by that"
    )]
    Unknown {
        /// The kind of learner.
        learner: String,
    },
    /// A protocol buffer has at most 2 GiB.
    #[error(
        "the file would have {bytes} bytes, and an ONNX file has at most 2 GiB; models of fewer shards, or of fewer and smaller trees, \
         fit into one"
    )]
    Large {
        /// How many.
        bytes: usize,
    },
}
