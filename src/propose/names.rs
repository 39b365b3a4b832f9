//! What the name of a column says about it.

/// Words for people.
const PEOPLE: [&str; 52] = [
    "kunde",
    "kunden",
    "patienten",
    "mitglied",
    "nutzer",
    "versicherten",
    "mitarbeiter",
    "teilnehmer",
    "cliente",
    "clientes",
    "paciente",
    "usuario",
    "socio",
    "empleado",
    "persona",
    "personne",
    "adherent",
    "utilisateur",
    "employe",
    "klant",
    "gebruiker",
    "utente",
    "paziente",
    "usager",
    "kund",
    "pasient",
    "person",
    "patient",
    "customer",
    "subject",
    "user",
    "client",
    "member",
    "participant",
    "respondent",
    "employee",
    "student",
    "individual",
    "donor",
    "borrower",
    "applicant",
    "resident",
    "guest",
    "passenger",
    "pupil",
    "subscriber",
    "policyholder",
    "cardholder",
    "worker",
    "household",
    "citizen",
    "account",
];

/// Words that turn a name into that of an id.
const IDS: [&str; 8] = ["id", "nbr", "uuid", "guid", "uid", "identifier", "idcode", "idnr"];

/// Words that may stand beside one for people.
const BESIDE: [&str; 12] = ["no", "nr", "num", "number", "key", "code", "hash", "ref", "nummer", "numero", "codigo", "kennung"];

/// Words for the place of a row, which is no person's.
const ROWS: [&str; 6] = ["row", "rowid", "rownum", "index", "unnamed", "record"];

/// Names of labels, the likeliest first.
const LABELS: [&str; 12] =
    ["label", "target", "class", "y", "outcome", "response", "readmitted", "churn", "churned", "survived", "defaulted", "labels"];

/// Names of columns that cut a table into parts.
const SPLITS: [&str; 8] = ["split", "fold", "subset", "partition", "is_train", "is_test", "train_test", "dataset"];

/// Words for what tells the rows of one person apart.
const OCCASIONS: [&str; 21] = [
    "year",
    "yr",
    "visit",
    "date",
    "day",
    "month",
    "week",
    "quarter",
    "time",
    "timestamp",
    "datetime",
    "wave",
    "round",
    "period",
    "session",
    "seq",
    "sequence",
    "occurrence",
    "encounter",
    "episode",
    "occasion",
];

/// How likely a column holds ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum IdName {
    /// Of people: `patient_nbr`, `customerID`, `subject`.
    Person,
    /// Of something: `id`.
    Plain,
    /// Of something named: `encounter_id`.
    Named,
    /// Of rows: `index`.
    Row,
}

/// The words of a name in lower case: `customerID` and `customer_id` are both `customer`, `id`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (after_lower && c.is_uppercase()) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_alphanumeric(), words.last_mut()) {
            word.extend(c.to_lowercase());
        }
        after_lower = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

fn is_people(word: &str) -> bool {
    let of = |suffix: &str| word.strip_suffix(suffix).is_some_and(|people| PEOPLE.contains(&people));
    PEOPLE.contains(&word) || ["id"].iter().chain(&BESIDE).any(|suffix| of(suffix))
}

/// Whether the name is that of an id, and of what.
pub(super) fn id_name(name: &str) -> Option<IdName> {
    let words = words(name);
    let is_id = |word: &String| IDS.contains(&word.as_str());
    let beside = |word: &String| is_id(word) || is_people(word) || BESIDE.contains(&word.as_str());
    let (first, last) = (words.first(), words.last());
    if words.iter().any(|word| ROWS.contains(&word.as_str())) || name.trim().is_empty() {
        let only = words.iter().all(|w| is_id(w) || ROWS.contains(&w.as_str()) || w.parse::<u32>().is_ok() || w == "number");
        return only.then_some(IdName::Row);
    }
    if words.iter().any(|word| is_people(word)) && words.iter().all(beside) {
        return Some(IdName::Person);
    }
    match words.as_slice() {
        [word] if is_id(word) => Some(IdName::Plain),
        _ if first.is_some_and(is_id) || last.is_some_and(is_id) => Some(IdName::Named),
        _ => None,
    }
}

/// How likely the name is that of a label; lower is likelier.
pub(super) fn label_rank(name: &str) -> Option<usize> {
    let words = words(name);
    let whole = words.join("_");
    let ends = words.last().is_some_and(|word| ["label", "target", "outcome"].contains(&word.as_str()));
    LABELS.iter().position(|label| *label == whole).or(ends.then_some(LABELS.len()))
}

/// Whether the name says that the column cuts the table into parts for training and testing.
pub(super) fn is_split(name: &str) -> bool {
    SPLITS.contains(&words(name).join("_").as_str())
}

/// Whether the name is that of an occasion, such as a year or a visit.
pub(super) fn is_occasion(name: &str) -> bool {
    words(name).iter().any(|word| OCCASIONS.contains(&word.as_str()))
}

/// A name that ends in a number: what comes before it, the number, and whether its digits are padded with zeros.
pub(super) fn numbered(name: &str) -> Option<(&str, u64, bool)> {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = name.get(stem.len()..)?;
    Some((stem, digits.parse().ok()?, digits.len() > 1 && digits.starts_with('0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_by_their_words() {
        for (name, expected) in [
            ("person_id", Some(IdName::Person)),
            ("patient_nbr", Some(IdName::Person)),
            ("customerID", Some(IdName::Person)),
            ("subject", Some(IdName::Person)),
            ("UserId", Some(IdName::Person)),
            ("patientid", Some(IdName::Person)),
            ("Kundennr", Some(IdName::Person)),
            ("Patientennummer", Some(IdName::Person)),
            ("num_cliente", Some(IdName::Person)),
            ("idcode", Some(IdName::Plain)),
            ("ID", Some(IdName::Plain)),
            ("encounter_id", Some(IdName::Named)),
            ("id_code", Some(IdName::Named)),
            ("Unnamed: 0", Some(IdName::Row)),
            ("index", Some(IdName::Row)),
            ("", Some(IdName::Row)),
            ("passengers", None),
            ("patient_age", None),
            ("user_agent", None),
            ("customer_type", None),
            ("paid", None),
            ("idp", None),
            ("glucose_index", None),
            ("number_inpatient", None),
        ] {
            assert_eq!(id_name(name), expected, "{name}");
        }
    }

    #[test]
    fn labels_splits_and_numbers_are_told_by_name() {
        assert!(label_rank("label") < label_rank("Class") && label_rank("y").is_some());
        assert!(label_rank("price_target").is_some());
        assert_eq!(label_rank("passenger_class"), None);
        assert!(is_split("Split") && is_split("is_train") && !is_split("split_ratio"));
        assert!(is_occasion("study_year") && !is_occasion("yearly"));
        assert_eq!(numbered("p783"), Some(("p", 783, false)));
        assert_eq!(numbered("p07"), Some(("p", 7, true)));
        assert_eq!(numbered("p"), None);
    }
}
