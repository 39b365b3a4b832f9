/// What is wrong with a declaration, or with a source's columns under it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// A source has no such column.
    #[error("{source_name}: there is no column `{column}`, which the schema declares as {role}; the columns are: {found}")]
    MissingColumn {
        /// Which source.
        source_name: String,
        /// The declared column.
        column: String,
        /// What for.
        role: &'static str,
        /// What the source has.
        found: String,
    },
    /// A source has a column that nothing declares.
    #[error("{source_name}: column `{column}` is not declared; give it a line under [columns], or `{column} = \"ignore\"`")]
    UndeclaredColumn {
        /// Which source.
        source_name: String,
        /// The column.
        column: String,
    },
    /// The declaration contradicts itself.
    #[error("{at}: {problem}")]
    Declaration {
        /// Where in the declaration.
        at: String,
        /// What is wrong and what is allowed.
        problem: String,
    },
}

/// What is wrong with one cell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column `{column}`: {problem}")]
pub struct CellError {
    /// The column.
    pub column: String,
    /// What is wrong with which value, and what to do.
    pub problem: String,
}
