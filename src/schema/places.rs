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

/// Names for a message: all of them, or those that are most like the one that was asked for and how many more there are, in their order.
pub fn some_of(names: &[String], asked: &str) -> String {
    const SHOWN: usize = 20;
    let more = names.len().saturating_sub(SHOWN);
    if more == 0 {
        return names.join(", ");
    }
    let asked = asked.to_lowercase();
    let mut near: Vec<(f64, usize)> =
        names.iter().map(|name| strsim::jaro_winkler(&name.to_lowercase(), &asked)).zip(0..).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    near.truncate(SHOWN);
    near.sort_by_key(|(_, at)| *at);
    let shown: Vec<&str> = near.iter().filter_map(|(_, at)| names.get(*at)).map(String::as_str).collect();
    format!("{} and {more} more", shown.join(", "))
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
        let shown = some_of(&names, "P77");
        assert!(shown.contains("p77, p7") && shown.ends_with(" and 99980 more") && shown.len() < 200, "{shown}");
        assert_eq!(some_of(&names[..2], "x"), "p0, p1");
    }
}
