//! rustc's dep-info files (`deps/<name>.d`): the source files of a crate, and the variables that it
//! read.
//!
//! ```text
//! /p/target/debug/deps/app-1.d: src/main.rs src/a\ b.rs
//!
//! src/main.rs:
//! src/a\ b.rs:
//!
//! # env-dep:CARGO_PKG_VERSION=0.1.0
//! # env-dep:NOT_SET
//! # checksum:blake3=... file_len:12 src/main.rs
//! ```
//!
//! Source: <https://github.com/rust-lang/rust/blob/1.95.0/compiler/rustc_interface/src/passes.rs>, `write_out_deps`.
//! A linker's `--dependency-file` has the same form.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::call::Call;

/// What a dependency file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DepInfo {
    /// Relative to the working directory of the call, or absolute; each once, in their order.
    pub files: Vec<PathBuf>,
    /// Variables by name, with the value they had; `None`: they were not set.
    pub variables: BTreeMap<String, Option<String>>,
}

impl DepInfo {
    /// Reads what rustc wrote. `None`: it is not a dependency file.
    pub fn of_rustc(text: &str) -> Option<Self> {
        Self::parse(text.lines().map(str::to_owned), &[' '])
    }

    /// Reads what a linker wrote.
    pub fn of_linker(text: &str) -> Option<Self> {
        Self::parse(joined(text).into_iter(), &[' ', '#', '$'])
    }

    fn parse(lines: impl Iterator<Item = String>, escaped: &[char]) -> Option<Self> {
        let mut info = Self::default();
        let mut has_rule = false;
        for line in lines {
            if let Some(variable) = line.strip_prefix("# env-dep:") {
                let (name, value) = match variable.split_once('=') {
                    Some((name, value)) => (name, Some(unescaped_variable(value)?)),
                    None => (variable, None),
                };
                info.variables.insert(unescaped_variable(name)?, value);
            } else if line.starts_with('#') || line.trim().is_empty() {
            } else {
                let (_targets, prerequisites) = split_rule(&line)?;
                has_rule = true;
                for file in words(prerequisites, escaped) {
                    let file = PathBuf::from(file);
                    if !info.files.contains(&file) {
                        info.files.push(file);
                    }
                }
            }
        }
        has_rule.then_some(info)
    }
}

/// Lines, those that end in a backslash joined with the next.
fn joined(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in text.lines() {
        let (content, continues) = match line.strip_suffix('\\') {
            // An escaped backslash at the end is none.
            Some(content) if !content.ends_with('\\') => (content, true),
            _ => (line, false),
        };
        match lines.last_mut().filter(|_| goes_on) {
            Some(last) => {
                last.push(' ');
                last.push_str(content);
            }
            None => lines.push(content.to_owned()),
        }
        goes_on = continues;
    }
    lines
}

/// A rule's targets and prerequisites: the colon that ends the targets is followed by white space
/// or nothing, which one in a Windows path is not.
fn split_rule(line: &str) -> Option<(&str, &str)> {
    let bytes = line.as_bytes();
    let at = (0..bytes.len())
        .find(|&at| bytes[at] == b':' && bytes.get(at + 1).is_none_or(u8::is_ascii_whitespace))?;
    Some((&line[..at], &line[at + 1..]))
}

/// Words between blanks. `\ ` is a blank in one; where they are `escaped`, `\#` is a hash and
/// `$$` a dollar.
fn words(text: &str, escaped: &[char]) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if letters.peek().is_some_and(|next| escaped.contains(next)) => {
                word.extend(letters.next());
            }
            '$' if escaped.contains(&'$') && letters.peek() == Some(&'$') => {
                word.extend(letters.next());
            }
            ' ' => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            letter => word.push(letter),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// rustc writes `\n`, `\r` and `\\` for these three. Anything else behind a backslash is not of its
/// making.
fn unescaped_variable(text: &str) -> Option<String> {
    let mut value = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        value.push(match letter {
            '\\' => match letters.next()? {
                'n' => '\n',
                'r' => '\r',
                '\\' => '\\',
                _ => return None,
            },
            letter => letter,
        });
    }
    Some(value)
}

/// The dependency file of a call.
fn dependency_file(call: &Call) -> PathBuf {
    call.out_dir.join(format!("{}.d", call.stem()))
}

/// What rustc has said of a call.
pub fn of_call(call: &Call) -> Option<DepInfo> {
    DepInfo::of_rustc(&fs_err::read_to_string(dependency_file(call)).ok()?)
}

/// All sources of a call that has written its dependency file.
pub fn sources(call: &Call) -> Vec<PathBuf> {
    of_call(call).map(|info| info.files).unwrap_or_default()
}

/// Those of a library that another cargo may have made, by the dependency file next to it.
pub fn sources_of_library(library: &Path) -> Vec<PathBuf> {
    let name = library.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let dep_info =
        library.with_file_name(format!("{}.d", name.strip_prefix("lib").unwrap_or(&name)));
    let info = fs_err::read_to_string(dep_info).ok().and_then(|text| DepInfo::of_rustc(&text));
    info.map(|info| info.files).unwrap_or_default()
}

/// Has cargo call us again for this crate the next time. A source that was replaced while rustc ran
/// may have kept an old mtime, and cargo would take the crate for fresh; but not one that depends
/// on a file that is not there.
///
/// Source: cargo reads the first rule of the file, <https://github.com/rust-lang/cargo/blob/0.96.0/src/cargo/core/compiler/fingerprint/dep_info.rs>,
/// `parse_rustc_dep_info`.
pub fn leave_dirty(call: &Call) -> std::io::Result<()> {
    let path = dependency_file(call);
    let text = fs_err::read_to_string(&path)?;
    let missing = format!("{}.changed-while-rustc-ran", call.stem());
    let mut is_first = true;
    let lines = text.lines().map(|line| {
        if std::mem::replace(&mut is_first, false) {
            format!("{line} {missing}\n")
        } else {
            format!("{line}\n")
        }
    });
    fs_err::write(&path, lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_variables() {
        let info = DepInfo::of_rustc(
            "/t/deps/app-1.d: src/main.rs src/a\\ b.rs C:\\x\\y.rs\n\n/t/deps/app-1: src/main.rs src/a\\ b.rs C:\\x\\y.rs\n\n\
             src/main.rs:\nsrc/a\\ b.rs:\nC:\\x\\y.rs:\n\n# env-dep:A=b\\nc\\\\d\n# env-dep:NOT_SET\n# env-dep:EMPTY=\n# checksum:blake3=1 file_len:2 x\n",
        )
        .unwrap();
        assert_eq!(info.files, ["src/main.rs", "src/a b.rs", "C:\\x\\y.rs"].map(PathBuf::from));
        let expected = [("A", Some("b\nc\\d")), ("EMPTY", Some("")), ("NOT_SET", None)];
        assert_eq!(
            info.variables,
            expected.map(|(name, value)| (name.to_owned(), value.map(str::to_owned))).into()
        );
    }

    #[test]
    fn what_linkers_write() {
        let info = DepInfo::of_linker("/t/app: \\\n  /lib/Scrt1.o \\\n  /l\\ b/lib$$x.a\n\n/lib/Scrt1.o:\n\n/l\\ b/lib$$x.a:\n").unwrap();
        assert_eq!(info.files, ["/lib/Scrt1.o", "/l b/lib$x.a"].map(PathBuf::from));
    }

    #[test]
    fn what_is_no_dependency_file_is_refused() {
        for text in ["", "\n\n", "no rule here", "# env-dep:A=\\q\na: b"] {
            assert_eq!(DepInfo::of_rustc(text), None, "{text}");
        }
    }
}
