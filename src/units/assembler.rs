//! Sources that have the assembler read files, by its directives `incbin` and `include`, in `asm!` and `global_asm!`.
//!
//! LLVM opens such a file, and rustc does not put it into its dependency file. So a crate is not recorded if it, or a crate whose
//! macros it may use, has one of these directives.

use std::path::Path;

use crate::fs;

/// Whether any source file below `directory` does.
pub fn may_read_files(directory: &Path) -> bool {
    let is_looked_at = |entry: &walkdir::DirEntry| entry.depth() == 0 || !entry.file_type().is_dir() || !fs::is_made_by_tools(entry.path());
    let entries = walkdir::WalkDir::new(directory).into_iter().filter_entry(is_looked_at).filter_map(Result::ok);
    entries
        .filter(|entry| entry.file_type().is_file() && entry.path().extension().is_some_and(|ending| ending == "rs"))
        .any(|entry| is_read_by(entry.path()))
}

/// Whether a file does.
pub fn is_read_by(path: &Path) -> bool {
    const ENDINGS: &[&str] = &["asm", "inc", "rs", "S", "s"];
    if !path.extension().is_some_and(|ending| ENDINGS.iter().any(|one| ending == *one)) {
        return false;
    }
    let text = fs_err::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).to_ascii_lowercase();
    // Written so that this very file does not look like one.
    ["incbin", "include"].iter().any(|directive| {
        let directive = &format!(".{directive}");
        // A name in quotes, which are escaped within a string of Rust.
        text.split(directive).skip(1).any(|rest| rest.starts_with([' ', '\t', '\\', '"']) && rest.trim_start().starts_with(['\\', '"']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_that_have_the_assembler_read_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lib.rs");
        let may = |text: &str| {
            fs_err::write(&path, text).unwrap();
            assert_eq!(may_read_files(dir.path()), is_read_by(&path));
            is_read_by(&path)
        };
        assert!(may(&format!("global_asm!(\".{} \\\"data.bin\\\"\");", "incbin")));
        assert!(may(&format!("global_asm!(\".{} \\\"data.bin\\\"\");", "INCBIN")));
        assert!(may(&format!("global_asm!(r#\"\n.{} \"macros.s\"\n\"#);", "include")));
        assert!(!may("cc::Build::new().include(\"x\").include (\"y\");"));
    }
}
