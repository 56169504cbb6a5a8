//! Whether sources name environment variables that are not part of the key, as `env!("NAME")`.
//!
//! rustc tracks `env!` where it expands it itself. A few macros (`paste`) expand it on their own, from their tokens; so they read
//! nothing that nobody declares as long as no source that may reach them has an `env!` in it, but for the variables that are compared
//! for every crate anyway. A name in a comment or a string counts as well, which errs on the safe side.

use std::path::Path;

use crate::fs;

/// Whether any source file below `directory` does.
pub fn are_named_in(directory: &Path) -> bool {
    let is_looked_at = |entry: &walkdir::DirEntry| entry.depth() == 0 || !entry.file_type().is_dir() || !fs::is_made_by_tools(entry.path());
    for entry in walkdir::WalkDir::new(directory).into_iter().filter_entry(is_looked_at) {
        let Ok(entry) = entry else { return true };
        let is_source = entry.path().extension().is_some_and(|ending| ending == "rs" || ending == "in");
        if entry.file_type().is_file() && is_source && fs_err::read_to_string(entry.path()).map_or(true, |text| are_named(&text)) {
            return true;
        }
    }
    false
}

fn are_named(text: &str) -> bool {
    text.match_indices("env").any(|(at, word)| {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_') {
            return false;
        }
        // As a macro is called: `env ! ( "NAME" )`, with any brackets.
        let Some(rest) = text[at + word.len()..].trim_start().strip_prefix('!') else { return false };
        let Some(rest) = rest.trim_start().strip_prefix(['(', '[', '{']) else { return false };
        let name = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"')).map(|(name, _)| name);
        !name.is_some_and(super::inputs::is_compared_for_every_crate)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_in_sources() {
        for text in ["env!(\"X\")", "[<a env ! [ \"X\" ]>]", "std::env!($name)", "// env!(\"X\")", "env!(concat!(\"A\"))"] {
            assert!(are_named(text), "{text}");
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
            assert!(!are_named(text), "{text}");
        }
    }
}
