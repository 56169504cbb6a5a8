//! The files that a step answers in: `GITHUB_OUTPUT`, `GITHUB_ENV`, `GITHUB_STATE`, `GITHUB_PATH`.
//!
//! ```text
//! name<<ghadelimiter_5f0c...      a name and a value of any number of lines; the delimiter is random for each value, so that
//! the value                       nothing in the value can end it and begin another
//! ghadelimiter_5f0c...
//! /a/directory                    GITHUB_PATH has plain lines
//! ```

use std::io::Write as _;
use std::path::PathBuf;

use crate::{env_vars, token};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum File {
    Output,
    Env,
    Path,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to write to the file in `{variable}`")]
    Write { variable: &'static str, source: std::io::Error },
    #[error("`{variable}` is not set")]
    Missing { variable: &'static str },
    #[error("{what} contains a line feed or another control character: {text:?}")]
    NotALine { what: &'static str, text: String },
}

impl File {
    fn variable(self) -> &'static str {
        match self {
            Self::Output => "GITHUB_OUTPUT",
            Self::Env => "GITHUB_ENV",
            Self::Path => "GITHUB_PATH",
        }
    }

    /// Appends a name and its value.
    pub(crate) fn set(self, name: &str, value: &str) -> Result<(), Error> {
        self.append(&entry(name, value)?)
    }

    /// Appends a line.
    pub(crate) fn line(self, line: &str) -> Result<(), Error> {
        if line.chars().any(char::is_control) {
            return Err(Error::NotALine { what: "a line", text: line.to_owned() });
        }
        self.append(&format!("{line}\n"))
    }

    fn append(self, text: &str) -> Result<(), Error> {
        let variable = self.variable();
        let path =
            env_vars::get_os(variable).map(PathBuf::from).ok_or(Error::Missing { variable })?;
        let mut file = fs_err::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|source| Error::Write { variable, source })?;
        // In one piece: other programs of the step may append as well.
        file.write_all(text.as_bytes()).map_err(|source| Error::Write { variable, source })
    }
}

fn entry(name: &str, value: &str) -> Result<String, Error> {
    if name.is_empty()
        || name.chars().any(char::is_control)
        || name.contains('=')
        || name.contains("<<")
    {
        return Err(Error::NotALine { what: "a name", text: name.to_owned() });
    }
    let delimiter = loop {
        let delimiter = format!("ghadelimiter_{}", token::random());
        if !value.contains(&delimiter) {
            break delimiter;
        }
    };
    Ok(format!("{name}<<{delimiter}\n{value}\n{delimiter}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the runner makes of such a file.
    /// Source: <https://github.com/actions/runner/blob/main/src/Runner.Worker/FileCommandManager.cs>
    fn parsed(text: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut lines = text.split('\n');
        while let Some(line) = lines.next().filter(|line| !line.is_empty()) {
            let (name, rest) = line.split_at(line.find(['=', '<']).unwrap());
            if let Some(value) = rest.strip_prefix('=') {
                found.push((name.to_owned(), value.to_owned()));
                continue;
            }
            let delimiter = rest.strip_prefix("<<").unwrap();
            let value: Vec<&str> = lines.by_ref().take_while(|line| *line != delimiter).collect();
            found.push((name.to_owned(), value.join("\n")));
        }
        found
    }

    #[test]
    fn every_value_comes_back_as_it_was_and_adds_nothing() {
        for value in [
            "",
            "plain",
            "a\nPATH=/evil\nb",
            "x\nEOF\nY<<EOF\nz\nEOF",
            "ghadelimiter_\nZ=1",
            "$(touch x) `id` ${{ 1 }}",
            "\n\n",
        ] {
            let text = entry("wheel", value).unwrap() + &entry("other", "1").unwrap();
            assert_eq!(
                parsed(&text),
                [("wheel".to_owned(), value.to_owned()), ("other".to_owned(), "1".to_owned())]
            );
        }
    }

    #[test]
    fn a_name_is_a_name() {
        for name in ["", "a=b", "a<<b", "a\nb", "a\r"] {
            assert!(matches!(entry(name, "x"), Err(Error::NotALine { .. })), "{name:?}");
        }
    }
}
