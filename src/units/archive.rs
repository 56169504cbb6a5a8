//! The members of an rlib: which of them rustc did not make itself.
//!
//! An rlib is an `ar` archive of object files (`*.rcgu.o`) and the crate's metadata (`lib.rmeta`). Members of other names come
//! from native libraries that were put into it.

use std::path::Path;

/// Whether an rlib holds nothing but what rustc made. What cannot be read counts as holding more.
pub fn has_only_own_members(rlib: &Path) -> bool {
    fs_err::read(rlib).ok().as_deref().and_then(members).is_some_and(|names| names.iter().all(|name| is_own(name)))
}

fn is_own(name: &str) -> bool {
    name == "lib.rmeta" || name.ends_with(".rcgu.o") || name.ends_with(".rcgu.dwo")
}

/// The names of an archive's members, in the forms that GNU, BSD and LLVM write. `None`: it is none.
///
/// Format: <https://en.wikipedia.org/wiki/Ar_(Unix)#File_format_details>
fn members(archive: &[u8]) -> Option<Vec<String>> {
    const HEADER: usize = 60;
    let mut rest = archive.strip_prefix(b"!<arch>\n")?;
    let mut long_names: &[u8] = &[];
    let mut names = Vec::new();
    while !rest.is_empty() {
        let (header, content) = rest.split_at_checked(HEADER)?;
        let name = std::str::from_utf8(&header[..16]).ok()?.trim_end();
        let size: usize = std::str::from_utf8(&header[48..58]).ok()?.trim_end().parse().ok()?;
        let (content, after) = content.split_at_checked(size)?;
        rest = if size % 2 == 1 { after.get(1..).unwrap_or_default() } else { after };
        match name {
            // Symbol tables.
            "/" | "/SYM64/" | "__.SYMDEF" | "__.SYMDEF SORTED" => {}
            "//" => long_names = content,
            _ => {
                let name = if let Some(length) = name.strip_prefix("#1/") {
                    let text = content.get(..length.parse().ok()?)?;
                    String::from_utf8_lossy(text).trim_end_matches('\0').to_owned()
                } else if let Some(offset) = name.strip_prefix('/') {
                    let text = long_names.get(offset.parse().ok()?..)?;
                    let end = text.iter().position(|byte| matches!(byte, b'\n' | 0)).unwrap_or(text.len());
                    String::from_utf8_lossy(&text[..end]).trim_end_matches('/').to_owned()
                } else {
                    name.trim_end_matches('/').to_owned()
                };
                if !name.starts_with("__.SYMDEF") {
                    names.push(name);
                }
            }
        }
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, content: &str) -> String {
        let padding = if content.len() % 2 == 1 { "\n" } else { "" };
        format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n{content}{padding}", 0, 0, 0, 644, content.len())
    }

    #[test]
    fn members_of_every_form() {
        let archive = [
            "!<arch>\n",
            &member("/", "x"),
            &member("//", "app-1.app.0.rcgu.o/\nfoo.c.o/\n"),
            &member("/0", "1"),
            &member("/20", "22"),
            &member("lib.rmeta/", ""),
        ]
        .concat();
        assert_eq!(members(archive.as_bytes()).unwrap(), ["app-1.app.0.rcgu.o", "foo.c.o", "lib.rmeta"]);
        let bsd = ["!<arch>\n", &member("#1/12", "foo.rcgu.o\0\0data")].concat();
        assert_eq!(members(bsd.as_bytes()).unwrap(), ["foo.rcgu.o"]);
        assert_eq!(members(b"!<arch>\nshort"), None);
        assert_eq!(members(b""), None);
    }

    #[test]
    fn a_native_library_shows() {
        let dir = tempfile::tempdir().unwrap();
        let rlib = dir.path().join("libx.rlib");
        let write = |members: &[String]| fs_err::write(&rlib, format!("!<arch>\n{}", members.concat())).unwrap();
        write(&[member("lib.rmeta/", "m"), member("x.rcgu.o/", "o")]);
        assert!(has_only_own_members(&rlib));
        write(&[member("lib.rmeta/", "m"), member("foo.o/", "o")]);
        assert!(!has_only_own_members(&rlib));
        assert!(!has_only_own_members(&dir.path().join("gone")));
    }
}
