//! Finding columns by their names, in tables of up to a hundred thousand of them.

use std::collections::BTreeMap;

/// Where the columns of a source stand.
#[derive(Clone, Debug)]
pub struct Places<'a>(BTreeMap<&'a str, usize>);

impl<'a> Places<'a> {
    /// The places of these columns, the first of two with one name.
    pub fn of(columns: &'a [String]) -> Places<'a> {
        Places(columns.iter().enumerate().rev().map(|(at, name)| (name.as_str(), at)).collect())
    }

    /// The place of a column.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.0.get(name).copied()
    }
}

/// Names for a message: all of them, or the first few and how many more there are.
pub fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 20;
    let shown = names.get(..SHOWN).unwrap_or(names).join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_its_first_place_and_a_message_few_names() {
        let names: Vec<String> = (0..100_000).map(|i| format!("p{i}")).collect();
        let places = Places::of(&names);
        assert!(names.iter().enumerate().all(|(at, name)| places.find(name) == Some(at)));
        assert_eq!(places.find("q"), None);
        assert_eq!(Places::of(&["a".into(), "b".into(), "a".into()]).find("a"), Some(0));
        let shown = some_of(&names);
        assert!(shown.ends_with("p18, p19 and 99980 more") && shown.len() < 200, "{shown}");
        assert_eq!(some_of(&names[..2]), "p0, p1");
    }
}
