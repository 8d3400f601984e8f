//! What a mapping pack needs of a feed's rows: its columns and the key.

/// What is read out of each row of a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowPlan {
    /// Name of the pack, for messages to people.
    pub pack: String,
    /// Columns that a CSV file must have; those of the key need not be repeated. JSON rows are not checked.
    pub columns: Vec<String>,
    /// What makes a row's key.
    pub key: KeyTemplate,
}

/// A text with columns in braces, for example `{BOROUGH}-{BLOCK}-{LOT}`. In JSON rows a dot steps into
/// nested objects: `{StandardFields.ListingKey}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyTemplate(Vec<KeyPart>);

/// A part of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPart {
    /// Text that stands there in every key.
    Text(String),
    /// The value of a column, trimmed.
    Column(String),
}

impl KeyTemplate {
    /// The value of one column.
    #[must_use]
    pub fn column(name: &str) -> Self {
        Self(vec![KeyPart::Column(name.to_owned())])
    }

    /// Reads a template; `None` when a brace is not closed or no column is named, which would give every
    /// row the same key.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, tail) = after.split_once('}')?;
            if name.trim().is_empty() || before.contains('}') {
                return None;
            }
            if !before.is_empty() {
                parts.push(KeyPart::Text(before.to_owned()));
            }
            parts.push(KeyPart::Column(name.trim().to_owned()));
            rest = tail;
        }
        if rest.contains('}') || parts.is_empty() {
            return None;
        }
        if !rest.is_empty() {
            parts.push(KeyPart::Text(rest.to_owned()));
        }
        Some(Self(parts))
    }

    /// Its parts, in order.
    #[must_use]
    pub fn parts(&self) -> &[KeyPart] {
        &self.0
    }

    /// The columns it names, in order.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            KeyPart::Column(name) => Some(name.as_str()),
            KeyPart::Text(_) => None,
        })
    }
}

impl RowPlan {
    /// Every column that a CSV file must have: the key's, then the pack's others.
    #[must_use]
    pub fn required(&self) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        for name in self.key.columns().chain(self.columns.iter().map(String::as_str)) {
            if !all.contains(&name) {
                all.push(name);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        let text = |t: &str| KeyPart::Text(t.to_owned());
        let column = |t: &str| KeyPart::Column(t.to_owned());
        for (template, expect) in [
            ("{ROLL_NUMBER}", Some(vec![column("ROLL_NUMBER")])),
            ("{A}-{ B }", Some(vec![column("A"), text("-"), column("B")])),
            ("si:{SALE DATE}!", Some(vec![text("si:"), column("SALE DATE"), text("!")])),
            ("", None),
            ("constant", None),
            ("{A", None),
            ("A}", None),
            ("{}", None),
            ("{A}}", None),
        ] {
            assert_eq!(KeyTemplate::parse(template).map(|t| t.0), expect, "{template}");
        }
    }
}
