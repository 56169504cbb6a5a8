//! Where a source stands in a `pyproject.toml`, for messages.

use std::path::{Path, PathBuf};

use crate::project::Error;

/// A line of a `pyproject.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub file: PathBuf,
    /// `tool.uv.sources.name`
    pub key: String,
    pub line: Option<usize>,
    pub text: String,
}

impl Place {
    pub(super) fn error(&self, reason: &str, hint: &str) -> Error {
        let line = self.line.map(|line| format!("line {line}: ")).unwrap_or_default();
        let message =
            format!("{line}`{}`, for a build requirement, {reason}: `{}`", self.key, self.text);
        Error::Invalid { path: self.file.clone(), message, hint: Some(hint.to_owned()) }
    }
}

/// The line of a key in a table of a TOML file, from one.
pub(super) fn line_of(file: &Path, table: &[&str], key: &str) -> Option<usize> {
    let text = fs_err::read_to_string(file).ok()?;
    let document = toml::de::DeTable::parse(&text).ok()?;
    let (first, rest) = table.split_first()?;
    let start = document.get_ref().get(*first)?.get_ref();
    let table = rest.iter().try_fold(start, |value, key| Some(value.get(*key)?.get_ref()))?;
    let (found, _) = table.as_table()?.iter().find(|(name, _)| name.get_ref() == key)?;
    Some(text[..found.span().start].matches('\n').count() + 1)
}
