//! The members of an rlib: which of them rustc did not make itself.
//!
//! An rlib is an `ar` archive of object files (`*.rcgu.o`) and the crate's metadata (`lib.rmeta`).
//! Members of other names come from native libraries that were put into it.
//!
//! A *thin* archive only names its members, which are files of their own and are read in its stead.

use std::path::{Path, PathBuf};

use object::read::archive::ArchiveFile;

/// How an archive begins, and one that is thin.
const MAGIC: &[u8; 8] = b"!<arch>\n";
const THIN_MAGIC: &[u8; 8] = b"!<thin>\n";

/// Whether a file begins as an archive does, whatever its name is.
pub fn is_one(path: &Path) -> bool {
    path.is_file() && start_of(path).is_some_and(|start| start == *MAGIC || start == *THIN_MAGIC)
}

/// Whether a file begins as a thin archive does.
pub fn is_thin(path: &Path) -> bool {
    start_of(path).is_some_and(|start| start == *THIN_MAGIC)
}

/// The files that a thin archive names; `None` if it cannot be read.
///
/// Their paths are relative to its own directory: <https://sourceware.org/binutils/docs/binutils/ar.html>.
pub fn thin_members(path: &Path) -> Option<Vec<PathBuf>> {
    let names = members(&fs_err::read(path).ok()?)?;
    let directory = path.parent().unwrap_or(path);
    Some(names.iter().map(|name| directory.join(name)).collect())
}

fn start_of(path: &Path) -> Option<[u8; 8]> {
    use std::io::Read as _;
    let mut start = [0; 8];
    fs_err::File::open(path).ok()?.read_exact(&mut start).ok()?;
    Some(start)
}

/// Whether an rlib holds nothing but what rustc made for it. What cannot be read counts as holding
/// more.
///
/// `stem` is the crate's name with its hash: a native library may have been written in Rust, too,
/// and have members like these.
pub fn has_only_own_members(rlib: &Path, stem: &str) -> bool {
    fs_err::read(rlib)
        .ok()
        .as_deref()
        .and_then(members)
        .is_some_and(|names| names.iter().all(|name| is_own(name, stem)))
}

fn is_own(name: &str, stem: &str) -> bool {
    let is_of_crate = name.strip_prefix(stem).is_some_and(|rest| rest.starts_with('.'));
    name == "lib.rmeta" || is_of_crate && (name.ends_with(".rcgu.o") || name.ends_with(".rcgu.dwo"))
}

/// The names of an archive's members; `None` if it cannot be read as one.
fn members(archive: &[u8]) -> Option<Vec<String>> {
    let file = ArchiveFile::parse(archive).ok()?;
    let names = file.members().map(|member| member.map(|member| lossy(member.name())));
    names.collect::<Result<_, _>>().ok()
}

fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, content: &str) -> String {
        let padding = if content.len() % 2 == 1 { "\n" } else { "" };
        format!(
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n{content}{padding}",
            0,
            0,
            0,
            644,
            content.len()
        )
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
        assert_eq!(
            members(archive.as_bytes()).unwrap(),
            ["app-1.app.0.rcgu.o", "foo.c.o", "lib.rmeta"]
        );
        let bsd = ["!<arch>\n", &member("#1/12", "foo.rcgu.o\0\0data")].concat();
        assert_eq!(members(bsd.as_bytes()).unwrap(), ["foo.rcgu.o"]);
        assert_eq!(members(b"!<arch>\nshort"), None);
        assert_eq!(members(b""), None);
    }

    #[test]
    fn a_thin_archive_names_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("libx.a");
        // The size is that of the file, which is elsewhere.
        let named =
            |name: &str| format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 644, 1234);
        let archive = [
            "!<thin>\n",
            &member("/", "x"),
            &member("//", "objects/a.o/\nb.o/\n"),
            &named("/0"),
            &named("/13"),
        ]
        .concat();
        fs_err::write(&path, archive).unwrap();
        assert_eq!(
            thin_members(&path).unwrap(),
            [dir.path().join("objects/a.o"), dir.path().join("b.o")]
        );
        assert!(is_one(&path));
        fs_err::write(&path, "!<arch>\n").unwrap();
        assert!(!is_thin(&path));
        assert!(is_one(&path) && !is_one(dir.path()));
        fs_err::write(&path, "!<thin>\n/0 is cut short").unwrap();
        assert!(is_thin(&path));
        assert_eq!(thin_members(&path), None);
    }

    #[test]
    fn a_native_library_shows() {
        let dir = tempfile::tempdir().unwrap();
        let rlib = dir.path().join("libx.rlib");
        let write = |members: &[String]| {
            fs_err::write(&rlib, format!("!<arch>\n{}", members.concat())).unwrap();
        };
        let has_only_own = || has_only_own_members(&rlib, "x-1");
        write(&[member("lib.rmeta/", "m"), member("x-1.0.rcgu.o/", "o")]);
        assert!(has_only_own());
        write(&[member("lib.rmeta/", "m"), member("foo.o/", "o")]);
        assert!(!has_only_own());
        write(&[member("lib.rmeta/", "m"), member("x-2.0.rcgu.o/", "o")]);
        assert!(!has_only_own(), "a library that is written in Rust");
        assert!(!has_only_own_members(&dir.path().join("gone"), "x-1"));
    }
}
