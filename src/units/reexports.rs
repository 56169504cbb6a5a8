//! Whether a registry crate hands a procedural macro on to those who use it.
//!
//! A crate that uses a macro for itself was compiled with it once, and its library is an input like
//! any other. Only if it re-exports the macro can the macro run in a crate above. Rust allows that
//! in few ways: `pub use`, `pub extern crate`, or a `pub use` of a name that `use ... as` or
//! `extern crate ... as` gave it. (A private import cannot be re-exported: <https://doc.rust-lang.org/error_codes/E0365.html>.) So the sources are searched for statements of these forms that have
//! the macro crate's name in them; a statement in a string or a block comment counts as well, which
//! errs on the safe side.

use std::path::Path;

/// Whether any source file below `directory` may re-export from the crate that it knows as `name`.
pub fn may_reexport(directory: &Path, name: &str) -> bool {
    for entry in walkdir::WalkDir::new(directory) {
        let Ok(entry) = entry else { return true };
        // Other endings can be included, too.
        let is_source =
            entry.path().extension().is_some_and(|ending| ending == "rs" || ending == "in");
        if entry.file_type().is_file()
            && is_source
            && !fs_err::read_to_string(entry.path())
                .is_ok_and(|text| !statements_hand_on(&text, name))
        {
            return true;
        }
    }
    false
}

/// Whether a text has a statement that hands the crate `name` on.
fn statements_hand_on(text: &str, name: &str) -> bool {
    let text: String = text.lines().flat_map(|line| [without_comment(line), "\n"]).collect();
    let tokens = tokens(&text);
    for (at, token) in tokens.iter().enumerate() {
        let start = match *token {
            "use" => at + 1,
            "crate" if at > 0 && tokens[at - 1] == "extern" => at + 1,
            _ => continue,
        };
        let statement: Vec<&str> =
            tokens[start..].iter().take_while(|token| **token != ";").copied().collect();
        // What a macro's argument names may be any crate.
        let is_named = statement.contains(&name)
            || (statement.first() == Some(&"$") && statement.get(1) != Some(&"crate"));
        if !is_named {
            continue;
        }
        let first = if *token == "use" { at } else { at - 1 };
        // `pub use`, `pub(crate) use`, `$vis use`.
        let is_private = first == 0 || matches!(tokens[first - 1], ";" | "{" | "}" | "]" | ">");
        if !is_private || statement.contains(&"as") {
            return true;
        }
    }
    false
}

/// A line without a comment at its end. Two slashes within a string are none.
fn without_comment(line: &str) -> &str {
    let is_outside = |at: &usize| line[..*at].matches('"').count().is_multiple_of(2);
    line.find("//").filter(is_outside).map_or(line, |at| &line[..at])
}

/// Words and single other characters, white space left out.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        let length = if is_word(first) {
            rest.find(|letter| !is_word(letter)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        if !first.is_whitespace() {
            tokens.push(&rest[..length]);
        }
        rest = &rest[length..];
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_hand_a_macro_on() {
        for text in [
            "pub use mac::Derive;",
            "pub use {other, mac::{self, X}};",
            "#[doc(hidden)] pub mod private { pub use ::mac::f as g; }",
            "pub extern crate mac;",
            "extern crate mac as hidden; pub use hidden::X;",
            "use mac as m;\npub use m::X;",
            "macro_rules! r { ($v:vis) => { $v use mac::X; } }",
            "pub(crate) use mac::X;",
            "macro_rules! r { ($c:ident) => { pub use $c::X; } } r!(mac);",
            "/* pub use mac::X; */",
            "const URL: &str = \"http://x\"; pub use mac::X;",
        ] {
            assert!(statements_hand_on(text, "mac"), "{text}");
        }
        for text in [
            "",
            "use mac::Derive;\n#[derive(Derive)] pub struct S;",
            "#[mac::attribute] pub fn f() { mac::call!() }",
            "#[macro_use] extern crate mac;",
            "//! use `mac` for this\nuse std::fmt as f;",
            "pub use other::X; use mac::Y;",
            "pub use macro_crate::X;",
            "// a comment\nuse mac::X; // pub use mac::X;",
        ] {
            assert!(!statements_hand_on(text, "mac"), "{text}");
        }
    }
}
