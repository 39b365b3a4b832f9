//! How a table is written as text: what separates its fields, how it is encoded, and which lines belong to it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The form of a text table. The default is RFC 4180 in UTF-8: commas, quotes doubled, a header line.
///
/// It is declared under `[data]` and frozen with a generation, so that what is predicted from, or repaired from, is read
/// as what was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextForm {
    /// What lies between fields.
    #[serde(skip_serializing_if = "is_default")]
    pub delimiter: Delimiter,
    /// Whether a quote within quotes may also be escaped by a backslash.
    #[serde(skip_serializing_if = "is_default")]
    pub backslash: bool,
    /// How characters are bytes.
    #[serde(skip_serializing_if = "is_default")]
    pub encoding: Encoding,
    /// Lines before the header, or before the first row, that are passed over.
    #[serde(skip_serializing_if = "is_default")]
    pub skip: u32,
    /// What begins a line that is passed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<Comment>,
    /// Whether the first line names the columns; without it they are `c0`, `c1` and so on.
    #[serde(skip_serializing_if = "std::clone::Clone::clone")]
    pub header: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for TextForm {
    fn default() -> Self {
        Self { delimiter: Delimiter::Comma, backslash: false, encoding: Encoding::Utf8, skip: 0, comment: None, header: true }
    }
}

impl TextForm {
    /// Whether it is the default.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What differs from the default, as lines of TOML.
    #[must_use]
    pub fn toml(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.delimiter != Delimiter::Comma {
            lines.push(format!("delimiter = \"{}\"", self.delimiter.shown()));
        }
        if self.backslash {
            lines.push("escape = \"\\\\\"".to_owned());
        }
        if self.encoding != Encoding::Utf8 {
            lines.push(format!("encoding = \"{}\"", self.encoding));
        }
        if self.skip > 0 {
            lines.push(format!("skip = {}", self.skip));
        }
        if let Some(Comment(byte)) = self.comment {
            lines.push(format!("comment = \"{}\"", char::from(byte)));
        }
        if !self.header {
            lines.push("header = false".to_owned());
        }
        lines
    }
}

/// What lies between fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Delimiter {
    /// `,`
    #[default]
    #[serde(rename = ",")]
    Comma,
    /// `;`
    #[serde(rename = ";")]
    Semicolon,
    /// A tab.
    #[serde(rename = "\t", alias = "tab")]
    Tab,
    /// `|`
    #[serde(rename = "|")]
    Pipe,
}

impl Delimiter {
    /// All of them, the likeliest first.
    pub const ALL: [Self; 4] = [Self::Comma, Self::Semicolon, Self::Tab, Self::Pipe];

    /// The byte.
    #[must_use]
    pub fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
            Self::Pipe => b'|',
        }
    }

    /// As it is written in `sisa.toml` and in messages.
    #[must_use]
    pub fn shown(self) -> &'static str {
        match self {
            Self::Comma => ",",
            Self::Semicolon => ";",
            Self::Tab => "\\t",
            Self::Pipe => "|",
        }
    }
}

impl fmt::Display for Delimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Comma => "commas",
            Self::Semicolon => "semicolons",
            Self::Tab => "tabs",
            Self::Pipe => "vertical bars",
        })
    }
}

/// How characters are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Encoding {
    /// UTF-8, a byte order mark dropped. Cells that are not text stay the bytes that they are.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// Windows' code page of Western Europe.
    #[serde(rename = "windows-1252")]
    Windows1252,
    /// ISO 8859-1, whose bytes are the first 256 characters.
    #[serde(rename = "iso-8859-1")]
    Latin1,
    /// UTF-16 with a byte order mark.
    #[serde(rename = "utf-16")]
    Utf16,
    /// UTF-16, lower bytes first; a byte order mark is dropped.
    #[serde(rename = "utf-16le")]
    Utf16Le,
    /// UTF-16, higher bytes first; a byte order mark is dropped.
    #[serde(rename = "utf-16be")]
    Utf16Be,
}

impl Encoding {
    /// Whether it is a form of UTF-16.
    #[must_use]
    pub fn is_utf16(self) -> bool {
        matches!(self, Self::Utf16 | Self::Utf16Le | Self::Utf16Be)
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Utf8 => "utf-8",
            Self::Windows1252 => "windows-1252",
            Self::Latin1 => "iso-8859-1",
            Self::Utf16 => "utf-16",
            Self::Utf16Le => "utf-16le",
            Self::Utf16Be => "utf-16be",
        })
    }
}

/// What begins a line that is passed over: one character of ASCII that is no letter, digit, quote, blank or delimiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Comment(u8);

impl Comment {
    /// The usual one.
    pub const HASH: Self = Self(b'#');

    /// The byte.
    #[must_use]
    pub fn byte(self) -> u8 {
        self.0
    }
}

impl From<Comment> for String {
    fn from(comment: Comment) -> Self {
        char::from(comment.0).to_string()
    }
}

impl TryFrom<String> for Comment {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_bytes() {
            [byte] if byte.is_ascii_punctuation() && !matches!(byte, b'"' | b',' | b';' | b'|') => Ok(Self(*byte)),
            _ => Err("`comment` is one sign such as \"#\", which no cell of a first column begins with"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_written_as_it_is_read() {
        let form = TextForm {
            delimiter: Delimiter::Tab,
            backslash: true,
            encoding: Encoding::Latin1,
            skip: 3,
            comment: Some(Comment::HASH),
            header: false,
        };
        let expected = [
            "delimiter = \"\\t\"",
            "escape = \"\\\\\"",
            "encoding = \"iso-8859-1\"",
            "skip = 3",
            "comment = \"#\"",
            "header = false",
        ];
        assert_eq!(form.toml(), expected);
        let frozen = serde_json::to_string(&form).unwrap();
        assert_eq!(serde_json::from_str::<TextForm>(&frozen).unwrap(), form);
        // The default leaves no trace, so that what was frozen before there were forms reads, and digests, as it did.
        assert_eq!(serde_json::to_string(&TextForm::default()).unwrap(), "{}");
        assert_eq!(serde_json::from_str::<TextForm>("{}").unwrap(), TextForm::default());
        assert!(TextForm::default().toml().is_empty());
    }

    #[test]
    fn a_comment_is_one_sign() {
        for (text, good) in [("#", true), ("%", true), ("//", false), ("", false), ("a", false), ("\"", false), (";", false)] {
            assert_eq!(Comment::try_from(text.to_owned()).is_ok(), good, "{text}");
        }
    }
}
