//! What becomes of rows and cells that are not as they should be: declared, and frozen with the schema.

use serde::{Deserialize, Serialize};

/// The rules of a schema beyond its columns. All at their defaults they are not written, so that older schemas keep their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exceptions {
    /// A cell that its column can't take.
    #[serde(default)]
    pub on_bad: OnBad,
    /// A row without a label.
    #[serde(default)]
    pub missing_label: MissingLabel,
    /// A row without a subject id. Where it is declared, the spellings of a missing value are no ids.
    #[serde(default)]
    pub missing_subject: Option<MissingSubject>,
    /// The form in which ids are compared.
    #[serde(default)]
    pub id_form: IdForm,
}

impl Exceptions {
    /// Whether nothing is declared.
    pub fn is_default(&self) -> bool {
        *self == Exceptions::default()
    }
}

/// What becomes of a cell that its column can't take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnBad {
    /// The import stops, and says where it is and how many there are.
    #[default]
    Error,
    /// It counts as missing.
    Missing,
    /// Its row is left out, and counted.
    SkipRow,
}

/// What becomes of a row without a label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissingLabel {
    /// The import stops.
    #[default]
    Error,
    /// It is left out, and counted.
    Skip,
}

/// What becomes of a row without a subject id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissingSubject {
    /// The import stops.
    Error,
    /// It is left out, and counted.
    Skip,
    /// It is its own subject, that a record id deletes.
    Own,
}

/// The form in which ids are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdForm {
    /// Byte by byte, without white space around them.
    #[default]
    AsIs,
    /// Whole numbers by their value: `1004.0`, `01004` and `1004` are one id. Other ids as they are.
    Integer,
    /// In lower case.
    Casefold,
    /// In Unicode's normalisation form C.
    Nfc,
}

impl IdForm {
    /// An id in this form, without white space around it.
    pub fn of(self, id: &str) -> String {
        let id = id.trim_ascii();
        match self {
            IdForm::AsIs => id.to_owned(),
            IdForm::Integer => integer(id).unwrap_or_else(|| id.to_owned()),
            IdForm::Casefold => id.to_lowercase(),
            IdForm::Nfc => unicode_normalization::UnicodeNormalization::nfc(id).collect(),
        }
    }
}

/// The shortest spelling of a whole number.
fn integer(id: &str) -> Option<String> {
    let (sign, digits) = id.strip_prefix('-').map_or(("", id.strip_prefix('+').unwrap_or(id)), |rest| ("-", rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all = |text: &str, allowed: fn(char) -> bool| !text.is_empty() && text.chars().all(allowed);
    if !all(whole, |c| c.is_ascii_digit()) || !all(fraction, |c| c == '0') {
        return None;
    }
    let short = whole.trim_start_matches('0');
    Some(if short.is_empty() { "0".into() } else { format!("{sign}{short}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_bring_together_what_is_meant_alike_and_nothing_else() {
        for (form, id, expected) in [
            (IdForm::AsIs, " 1004.0 ", "1004.0"),
            (IdForm::Integer, "1004.0", "1004"),
            (IdForm::Integer, "01004", "1004"),
            (IdForm::Integer, "+1004.000", "1004"),
            (IdForm::Integer, "-0", "0"),
            (IdForm::Integer, "-07.0", "-7"),
            (IdForm::Integer, "1004.5", "1004.5"),
            (IdForm::Integer, "1e3", "1e3"),
            (IdForm::Integer, "A0", "A0"),
            (IdForm::Integer, ".0", ".0"),
            (IdForm::Casefold, "MüLLER", "müller"),
            (IdForm::Nfc, "Mu\u{308}ller", "Müller"),
        ] {
            assert_eq!(form.of(id), expected, "{form:?} of {id}");
        }
    }
}
