//! Effects of sources that rustc does not report, in their own crate or through their macros in a
//! dependent crate: [`Traits`].
//!
//! rustc tracks `env!` where it expands it itself. A few macros (`paste`) expand it on their own,
//! from their tokens; so they read nothing that nobody declares as long as no source that may reach
//! them has an `env!` in it, but for the variables that are compared for every crate anyway.
//!
//! LLVM opens the files that assembly includes by `incbin` and `include`, and rustc does not put
//! them into its dependency file. The directive can come from one crate and the `asm!` from
//! another, which may call it by a name of its own, so both are looked for, each by itself.
//!
//! A word in a comment or a string counts as well, which errs on the safe side.

use std::ops::BitOrAssign;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::fs;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traits {
    /// They name variables that are not part of the key.
    pub names_variables: bool,
    /// They have assembly in them.
    pub has_assembly: bool,
    /// They name a directive that has the assembler read a file.
    pub names_directive: bool,
}

impl BitOrAssign for Traits {
    fn bitor_assign(&mut self, other: Self) {
        self.names_variables |= other.names_variables;
        self.has_assembly |= other.has_assembly;
        self.names_directive |= other.names_directive;
    }
}

impl Traits {
    /// Of these files. What is no text is no source.
    pub fn of_files(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let mut all = Self::default();
        for text in paths.into_iter().filter_map(|path| fs_err::read_to_string(path).ok()) {
            all |= Self::of_text(&text);
        }
        all
    }

    /// Of all files below a directory that may be sources.
    pub fn of_directory(directory: &Path) -> Self {
        const ENDINGS: &[&str] = &["S", "asm", "in", "inc", "rs", "s", "txt"];
        let is_looked_at = |entry: &walkdir::DirEntry| {
            !entry.file_type().is_dir() || !fs::is_made_by_tools(entry.path())
        };
        let entries = fs::walk_with_links(directory, is_looked_at).filter_map(Result::ok);
        let is_source = |entry: &walkdir::DirEntry| {
            entry.file_type().is_file()
                && entry
                    .path()
                    .extension()
                    .is_some_and(|ending| ENDINGS.iter().any(|one| ending == *one))
        };
        Self::of_files(entries.filter(is_source).map(walkdir::DirEntry::into_path))
    }

    fn of_text(text: &str) -> Self {
        Self {
            names_variables: names_variables(text),
            has_assembly: names_assembly(text),
            names_directive: names_directive(text),
        }
    }

    pub fn may_have_assembler_read(self) -> bool {
        self.has_assembly && self.names_directive
    }
}

/// `env!("NAME")`.
fn names_variables(text: &str) -> bool {
    text.match_indices("env").any(|(at, word)| {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_') {
            return false;
        }
        // As a macro is called: `env ! ( "NAME" )`, with any brackets.
        let Some(rest) = text[at + word.len()..].trim_start().strip_prefix('!') else {
            return false;
        };
        let Some(rest) = rest.trim_start().strip_prefix(['(', '[', '{']) else { return false };
        let name = rest
            .trim_start()
            .strip_prefix('"')
            .and_then(|rest| rest.split_once('"'))
            .map(|(name, _)| name);
        !name.is_some_and(super::inputs::is_compared_for_every_crate)
    })
}

/// One of the macros of assembly, called or renamed. As a word alone, `asm` is also the ending of
/// files.
fn names_assembly(text: &str) -> bool {
    let is_renamed = |rest: &str| rest.strip_prefix("as").is_some_and(|rest| rest.starts_with(' '));
    text.contains("global_asm")
        || text.contains("naked_asm")
        || text.match_indices("asm").any(|(at, word)| {
            let rest = text[at + word.len()..].trim_start();
            rest.starts_with('!') || is_renamed(rest)
        })
}

/// `incbin`; and `include` as a directive or as a string of its own, for as a word it is in every
/// other source.
fn names_directive(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    // Written so that this very file does not look like one.
    let words = ["inc", "include"];
    text.contains(&format!("{}bin", words[0]))
        || text.contains(&format!("\"{}\"", words[1]))
        || text.split(&format!(".{}", words[1])).skip(1).any(|rest| {
            rest.starts_with([' ', '\t', '\\', '"', '/'])
                && rest.trim_start().starts_with(['\\', '"', '/'])
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_in_sources() {
        for text in [
            "env!(\"X\")",
            "[<a env ! [ \"X\" ]>]",
            "std::env!($name)",
            "// env!(\"X\")",
            "env!(concat!(\"A\"))",
        ] {
            assert!(names_variables(text), "{text}");
        }
        for text in [
            "",
            "env!(\"CARGO_PKG_NAME\")",
            "env!(\"OUT_DIR\")",
            "option_env!(\"X\")",
            "std::env::var(\"X\")",
            "my_env!(\"X\")",
            "use std::env;",
        ] {
            assert!(!names_variables(text), "{text}");
        }
    }

    #[test]
    fn directives_in_sources() {
        let bin = "incbin";
        for text in [
            format!("global_asm!(\".{bin} \\\"data.bin\\\"\");"),
            format!("global_asm!(\".{} \\\"data.bin\\\"\");", bin.to_uppercase()),
            format!("raw!(\"{bin}\", \"data.bin\")"),
            "global_asm!(r#\"\n.include \"macros.s\"\n\"#);".to_owned(),
            "global_asm!(\".include /* a comment */ \\\"m.s\\\"\")".to_owned(),
            "global_asm!(\".include/**/\\\"m.s\\\"\")".to_owned(),
            "raw!(\"include\", \"m.s\")".to_owned(),
        ] {
            assert!(names_directive(&text), "{text}");
        }
        for text in [
            "cc::Build::new().include(\"x\").include (\"y\");",
            "include!(\"x.rs\")",
            "include_str!(\"a.s\")",
        ] {
            assert!(!names_directive(text), "{text}");
        }
    }

    #[test]
    fn macros_of_assembly_in_sources() {
        for text in [
            "global_asm!(\"nop\")",
            "use core::arch::global_asm as embed;",
            "global_asm !(\"nop\")",
            "asm!{}",
            "use core::arch::asm as embed;",
        ] {
            assert!(names_assembly(text), "{text}");
        }
        for text in ["cfg!(feature = \"wasm\")", "plasma!()", "asm_of()", "ends_with(\".asm\")"] {
            assert!(!names_assembly(text), "{text}");
        }
    }

    #[test]
    fn assembly_and_directive_may_be_in_two_crates() {
        let mut all = Traits::of_text(
            "macro_rules! raw { ($d:literal) => { core::arch::global_asm!(concat!(\".\", $d)) } }",
        );
        assert!(!all.may_have_assembler_read());
        all |= Traits::of_text(&format!("raw!(\"{}bin\")", "inc"));
        assert!(all.may_have_assembler_read());
    }
}
