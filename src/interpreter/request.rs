//! What a user may write for an interpreter: a path, a name or a version.

use std::path::PathBuf;
use std::str::FromStr;

use super::identity::Identity;

/// A parsed `--python`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// An executable, or a directory that holds an environment or an installation.
    Path(PathBuf),
    /// A program to look up on PATH.
    Name(String),
    /// A version, perhaps of a certain implementation.
    Version(Version),
}

/// `3`, `3.12`, `3.12.1`, `3.13t`, `pypy3.10`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    /// `cpython`, `pypy`, `graalpy`.
    pub implementation: String,
    /// One to three numbers.
    pub numbers: Vec<u32>,
    pub free_threaded: bool,
    pub debug: bool,
}

impl FromStr for Request {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.contains('/')
            || text.contains(std::path::MAIN_SEPARATOR)
            || text.starts_with('.')
            || text.starts_with('~')
        {
            let home = text.strip_prefix("~/").zip(crate::env_vars::get_os("HOME"));
            return Ok(Self::Path(home.map_or_else(
                || PathBuf::from(text),
                |(rest, home)| PathBuf::from(home).join(rest),
            )));
        }
        Ok(Version::parse(text).map_or_else(|| Self::Name(text.to_owned()), Self::Version))
    }
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let digits = lower.find(|c: char| c.is_ascii_digit());
        let (name, rest) = lower.split_at(digits.unwrap_or(lower.len()));
        let implementation = match name.trim_end_matches(['-', '@']) {
            // `python` alone is a name; `python3.12` asks for a version.
            "" | "cp" | "cpython" | "python" => "cpython",
            "pp" | "pypy" => "pypy",
            "graalpy" => "graalpy",
            _ => return None,
        };
        let (rest, debug) = rest.strip_suffix('d').map_or((rest, false), |rest| (rest, true));
        let (rest, free_threaded) =
            rest.strip_suffix('t').map_or((rest, false), |rest| (rest, true));
        let mut numbers = Vec::new();
        if !rest.is_empty() {
            for part in rest.split('.') {
                numbers.push(part.parse().ok()?);
            }
        }
        // `cp312`, `312`
        if let [packed @ 20..=999] = numbers[..] {
            let digits = packed.to_string();
            numbers = vec![digits[..1].parse().ok()?, digits[1..].parse().ok()?];
        }
        let named_only = numbers.is_empty();
        if numbers.len() > 3
            || (named_only && (implementation == "cpython" || free_threaded || debug))
        {
            return None;
        }
        Some(Self { implementation: implementation.to_owned(), numbers, free_threaded, debug })
    }

    /// Whether an interpreter is what was asked for.
    ///
    /// `3.13` does not match a free-threaded 3.13, as nobody wants one by accident.
    pub(crate) fn matches(&self, identity: &Identity) -> bool {
        let actual: Vec<u32> = identity
            .version
            .split('.')
            .map(|part| {
                part.chars()
                    .take_while(char::is_ascii_digit)
                    .collect::<String>()
                    .parse()
                    .unwrap_or(0)
            })
            .collect();
        identity.implementation == self.implementation
            && identity.free_threaded == self.free_threaded
            && (!self.debug || identity.debug)
            && actual.starts_with(&self.numbers)
    }

    /// Names under which PATH may hold it, the most precise first.
    pub(crate) fn executable_names(&self) -> Vec<String> {
        let stem = if self.implementation == "cpython" { "python" } else { &self.implementation };
        let suffix = format!(
            "{}{}",
            if self.free_threaded { "t" } else { "" },
            if self.debug { "d" } else { "" }
        );
        let mut names = Vec::new();
        for length in (1..=self.numbers.len().min(2)).rev() {
            let numbers: Vec<String> = self.numbers[..length].iter().map(u32::to_string).collect();
            names.push(format!("{stem}{}{suffix}", numbers.join(".")));
            if !suffix.is_empty() {
                names.push(format!("{stem}{}", numbers.join(".")));
            }
        }
        names.push(format!("{stem}3"));
        names.push(stem.to_owned());
        names.dedup();
        names
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let numbers: Vec<String> = self.numbers.iter().map(u32::to_string).collect();
        let name = match self.implementation.as_str() {
            "cpython" => "Python ",
            "pypy" => "PyPy ",
            other => other,
        };
        let text =
            format!("{name}{}{}", numbers.join("."), if self.free_threaded { "t" } else { "" });
        f.write_str(text.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpreter::identity::tests::cpython;

    fn version(text: &str) -> Option<Version> {
        match text.parse().unwrap() {
            Request::Version(version) => Some(version),
            _ => None,
        }
    }

    #[test]
    fn tells_paths_names_and_versions_apart() {
        assert_eq!("./venv".parse(), Ok(Request::Path("./venv".into())));
        assert_eq!("/usr/bin/python3".parse(), Ok(Request::Path("/usr/bin/python3".into())));
        assert_eq!("python".parse(), Ok(Request::Name("python".into())));
        assert_eq!("my-python3.12".parse(), Ok(Request::Name("my-python3.12".into())));
        for text in ["3.12", "python3.12", "cp312", "312", "cpython-3.12"] {
            assert_eq!(version(text).unwrap().numbers, [3, 12], "{text}");
        }
        assert!(version("3.13t").unwrap().free_threaded);
        assert_eq!(version("pypy3.10").unwrap().implementation, "pypy");
        assert_eq!(version("pypy").unwrap().numbers, [0u32; 0]);
        assert_eq!(version("3.12.1.1"), None);
    }

    #[test]
    fn a_version_matches_by_prefix_and_never_by_accident() {
        let matches = |text: &str, identity: &Identity| version(text).unwrap().matches(identity);
        let gil = cpython("3.13.1");
        assert!(matches("3", &gil) && matches("3.13", &gil) && matches("3.13.1", &gil));
        assert!(!matches("3.1", &gil) && !matches("3.13.2", &gil) && !matches("pypy3.13", &gil));
        let free = Identity { free_threaded: true, ..gil.clone() };
        assert!(matches("3.13t", &free) && !matches("3.13", &free) && !matches("3.13t", &gil));
        assert!(matches("3.14", &cpython("3.14.0rc1")));
    }

    #[test]
    fn looks_for_the_most_precise_name_first() {
        assert_eq!(
            version("3.13t").unwrap().executable_names(),
            ["python3.13t", "python3.13", "python3t", "python3", "python"]
        );
        assert_eq!(version("pypy3.10").unwrap().executable_names(), ["pypy3.10", "pypy3", "pypy"]);
    }
}
