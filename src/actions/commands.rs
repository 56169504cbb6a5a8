//! Workflow commands: `::name key=value,key=value::message`, one per line.
//!
//! Source: <https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts> (`escapeData`, `escapeProperty`)

use std::fmt;

/// One command, escaped; no value can end the line or begin another command.
pub(crate) fn command(name: &str, properties: &[(&str, &str)], message: &str) -> String {
    let properties: Vec<String> =
        properties.iter().map(|(key, value)| format!("{key}={}", escape_property(value))).collect();
    let space = if properties.is_empty() { "" } else { " " };
    format!("::{name}{space}{}::{}", properties.join(","), escape_data(message))
}

fn escape_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn escape_property(text: &str) -> String {
    escape_data(text).replace(':', "%3A").replace(',', "%2C")
}

/// What the runner shows in addition to the log, on the run's page and on the lines of a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Annotation<'a> {
    pub level: Level,
    pub title: &'a str,
    pub message: &'a str,
    /// Relative to the repository.
    pub file: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Warning,
    Error,
}

impl fmt::Display for Annotation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.level {
            Level::Warning => "warning",
            Level::Error => "error",
        };
        let properties: Vec<(&str, &str)> = self
            .file
            .map(|file| ("file", file))
            .into_iter()
            .chain([("title", self.title)])
            .collect();
        f.write_str(&command(name, &properties, self.message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_value_ends_the_line_or_the_properties() {
        let annotation = Annotation {
            level: Level::Warning,
            title: "a: b, c=d::\n::set-env name=X::1",
            message: "100%\r\n::set-output name=x::y\n::add-path::/tmp",
            file: Some("src,line=1/lib.rs"),
        };
        assert_eq!(
            annotation.to_string(),
            "::warning file=src%2Cline=1/lib.rs,title=a%3A b%2C c=d%3A%3A%0A%3A%3Aset-env name=X%3A%3A1::\
             100%25%0D%0A::set-output name=x::y%0A::add-path::/tmp"
        );
        assert_eq!(command("endgroup", &[], ""), "::endgroup::");
        assert_eq!(
            command("group", &[], "a%0Ab"),
            "::group::a%250Ab",
            "what looks escaped is data, too"
        );
    }
}
