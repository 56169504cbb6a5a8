//! SHA-256 over bytes, files, JSON values and directory trees, always as 64 lower-case hex digits.

use std::io::Read as _;
use std::path::Path;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::fs;

/// A running SHA-256 over length-prefixed fields, so that no two field lists can collide.
#[derive(Default)]
pub(crate) struct Hasher(Sha256);

impl Hasher {
    /// Adds one field.
    pub(crate) fn field(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// The digest of all fields so far.
    pub(crate) fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Digest of a byte string.
pub(crate) fn bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The first digits of a path's digest: a name for what belongs to it.
pub(crate) fn short_of_path(path: &Path) -> String {
    bytes(path.as_os_str().as_encoded_bytes())[..12].to_owned()
}

/// Digest of a value's canonical JSON.
///
/// Canonical: struct fields in declaration order, maps as `BTreeMap`, no white space. Callers own
/// that order, and a schema number belongs in the value.
pub(crate) fn json(value: &impl Serialize) -> String {
    bytes(&serde_json::to_vec(value).expect("our own plain data always serialises"))
}

/// Digest of a file's content, read in blocks.
pub(crate) fn file(path: &Path) -> std::io::Result<String> {
    let mut file = fs_err::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut block)?;
        if read == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&block[..read]);
    }
}

/// Digest of a directory tree: relative paths, kinds, executable bits and contents (link targets
/// for symlinks).
///
/// What tools make is left out: version control, virtual environments, caches, `target`, and what
/// setuptools leaves behind, or each build of such a requirement would change it. Used for
/// requirements that are local directories, where the content is the only version there is.
pub(crate) fn tree(root: &Path) -> std::io::Result<String> {
    let mut hasher = Hasher::default();
    let entries = walkdir::WalkDir::new(root)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || !fs::is_made_by_tools(entry.path()));
    for entry in entries {
        let entry = entry?;
        let relative = entry.path().strip_prefix(root).expect("walkdir stays below its root");
        let kind = entry.file_type();
        hasher.field(relative.as_os_str().as_encoded_bytes());
        if kind.is_symlink() {
            hasher
                .field(b"link")
                .field(fs_err::read_link(entry.path())?.as_os_str().as_encoded_bytes());
        } else if kind.is_dir() {
            hasher.field(b"dir");
        } else if !kind.is_file() {
            // A pipe or a socket would have us wait for somebody.
            hasher.field(b"special");
        } else {
            hasher.field(if is_executable(&entry.metadata()?) { b"exe" } else { b"file" });
            hasher.field(file(entry.path())?.as_bytes());
        }
    }
    Ok(hasher.finish())
}

/// Digest of these files below `root`, as [`tree`] has it; one that is not there counts as such.
pub(crate) fn files(root: &Path, names: &[String]) -> std::io::Result<String> {
    let mut hasher = Hasher::default();
    for name in names {
        let path = root.join(name);
        hasher.field(name.as_bytes());
        match fs_err::symlink_metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => hasher.field(b"gone"),
            Err(error) => return Err(error),
            Ok(kind) if kind.is_symlink() => hasher
                .field(b"link")
                .field(fs_err::read_link(&path)?.as_os_str().as_encoded_bytes()),
            Ok(kind) if kind.is_dir() => hasher.field(b"dir"),
            Ok(kind) if !kind.is_file() => hasher.field(b"special"),
            Ok(kind) => hasher
                .field(if is_executable(&kind) { b"exe" } else { b"file" })
                .field(file(&path)?.as_bytes()),
        };
    }
    Ok(hasher.finish())
}

#[cfg(unix)]
fn is_executable(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_metadata: &std::fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_run_together() {
        let mut one = Hasher::default();
        one.field(b"ab").field(b"c");
        let mut other = Hasher::default();
        other.field(b"a").field(b"bc");
        assert_ne!(one.finish(), other.finish());
    }

    #[test]
    fn a_digest_of_files_sees_these_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs_err::write(dir.path().join(name), text).unwrap();
        let names = ["a".to_owned(), "b".to_owned()];
        let digest = || files(dir.path(), &names).unwrap();
        write("a", "1");
        let without_b = digest();
        write("c", "1");
        assert_eq!(digest(), without_b);
        write("b", "");
        let with_b = digest();
        assert_ne!(with_b, without_b);
        write("a", "2");
        assert_ne!(digest(), with_b);
        write("a", "1");
        assert_eq!(digest(), with_b);
    }

    #[test]
    fn a_tree_digest_sees_content_names_and_kinds_but_not_caches() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        };
        write("a/x", "1");
        let first = tree(dir.path()).unwrap();
        write("target/.rustc_info.json", "{}");
        // Of a worktree.
        write(".git", "gitdir: /elsewhere\n");
        write("target/debug/x", "1");
        // What setuptools leaves behind.
        write("setup.py", "");
        assert_ne!(first, tree(dir.path()).unwrap());
        let first = tree(dir.path()).unwrap();
        write("a.egg-info/PKG-INFO", "1");
        write("build/lib/a.py", "1");
        write("a/__pycache__/x.pyc", "1");
        assert_eq!(first, tree(dir.path()).unwrap());
        write("a/x", "2");
        assert_ne!(first, tree(dir.path()).unwrap());
        write("a/x", "1");
        assert_eq!(first, tree(dir.path()).unwrap());
        fs_err::rename(dir.path().join("a/x"), dir.path().join("a/y")).unwrap();
        assert_ne!(first, tree(dir.path()).unwrap());
    }
}
