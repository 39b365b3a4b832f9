//! Values as TOML spells them.

use std::fmt::Write as _;

use serde::Serialize;

/// A basic string of TOML.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            // Also those beyond ASCII, which some readers refuse or show as a line's end, and blanks that look like another one.
            c if c.is_control() || c.is_whitespace() && c != ' ' => {
                // Writing to a string can't fail.
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

pub(super) fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", items.map(quoted).collect::<Vec<_>>().join(", "))
}

/// A key of TOML, quoted where it has to be.
pub(super) fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(is_bare) { name.to_owned() } else { quoted(name) }
}

/// A table's lines, `key = value` each, with tables in it on one line; floats have the digits that tell an f32 apart.
pub(super) fn lines(value: &impl Serialize) -> Vec<String> {
    // Over JSON, because TOML has 64-bit floats only, and those of an f32 have digits that nobody wrote.
    let json = serde_json::to_string(value).unwrap_or_default();
    let table: toml::Table = serde_json::from_str(&json).unwrap_or_default();
    table.iter().map(|(name, value)| format!("{} = {value}", key(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::LearnerSettings;

    #[test]
    fn settings_come_back_from_their_lines() {
        for kind in LearnerSettings::KINDS {
            let settings = LearnerSettings::of(kind).unwrap();
            let text = lines(&settings).join("\n");
            assert_eq!(toml::from_str::<LearnerSettings>(&text).unwrap(), settings, "{text}");
        }
        let linear = lines(&LearnerSettings::of("linear").unwrap()).join("\n");
        assert!(
            linear.starts_with("kind = \"linear\"\noptimizer = { kind = \"sgd\", momentum = 0.9 }\nrate = 0.05\n"),
            "{linear}"
        );
    }
}
