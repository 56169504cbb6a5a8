//! Files as text: what a world is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What is at a path: a file, or a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    File(String),
    Link(String),
}

pub(crate) type Files = BTreeMap<String, Node>;

/// `== path` begins a file, `== path -> target` is a link; what stands before the first `==` in its
/// line is taken from all lines. A package without a manifest gets one; what a manifest says is
/// added to that, unless it has a `[package]` or `[workspace]` of its own.
pub(crate) fn parse(text: &str) -> Files {
    let mut files = parse_plain(text);
    let sources = files.keys().filter_map(|name| {
        name.strip_suffix("src/main.rs").or_else(|| name.strip_suffix("src/lib.rs"))
    });
    let folders: BTreeSet<String> =
        sources.map(|folder| folder.trim_end_matches('/').to_owned()).collect();
    for folder in &folders {
        let manifest = format!("{folder}/Cargo.toml").trim_start_matches('/').to_owned();
        let more = match files.get(&manifest) {
            Some(Node::File(text)) => text.clone(),
            _ => String::new(),
        };
        if !more.contains("[package]") {
            let name = folder.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("app");
            let rest = format!(
                "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{more}"
            );
            files.insert(manifest, Node::File(rest));
        }
    }
    if !folders.is_empty() && !files.contains_key("Cargo.toml") {
        let members: Vec<String> = folders.iter().map(|folder| format!("{folder:?}")).collect();
        files.insert(
            "Cargo.toml".to_owned(),
            Node::File(format!(
                "[workspace]\nresolver = \"2\"\nmembers = [{}]\n",
                members.join(", ")
            )),
        );
    }
    files
}

/// The same without any manifests that are not there.
pub(crate) fn parse_plain(text: &str) -> Files {
    let indent = text.lines().find_map(|line| line.find("== ")).unwrap_or(0);
    let mut files = Files::new();
    let mut current: Option<String> = None;
    for line in text.lines() {
        let line = if line.len() >= indent && line[..indent].trim().is_empty() {
            &line[indent..]
        } else {
            line.trim_start()
        };
        if let Some(name) = line.strip_prefix("== ") {
            if let Some((name, target)) = name.split_once(" -> ") {
                files.insert(name.to_owned(), Node::Link(target.to_owned()));
                current = None;
            } else {
                files.insert(name.to_owned(), Node::File(String::new()));
                current = Some(name.to_owned());
            }
        } else if let Some(Node::File(text)) = current.as_ref().and_then(|name| files.get_mut(name))
        {
            text.push_str(line);
            text.push('\n');
        }
    }
    files
}

pub(crate) fn write(root: &Path, files: &Files) {
    for (name, node) in files {
        put(&root.join(name), node);
    }
}

pub(crate) fn put(path: &Path, node: &Node) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    match node {
        Node::File(text) => {
            if path.is_symlink() {
                remove(path);
            }
            std::fs::write(path, text).unwrap();
        }
        Node::Link(target) => {
            remove(path);
            std::os::unix::fs::symlink(target, path).unwrap();
        }
    }
}

/// Whatever it is, if it is there.
pub(crate) fn remove(path: &Path) {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(path).unwrap(),
        Ok(_) => std::fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

/// The only file of this name below a directory.
pub(crate) fn find(root: &Path, name: &str) -> PathBuf {
    let found: Vec<PathBuf> = walkdir::WalkDir::new(root)
        .into_iter()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().is_file() && entry.file_name() == name)
        .map(walkdir::DirEntry::into_path)
        .collect();
    assert_eq!(found.len(), 1, "{name} below {}: {found:?}", root.display());
    found.into_iter().next().unwrap()
}

/// The names of the packages below a directory.
pub(crate) fn packages(root: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().is_dir()
                && !entry.path().is_symlink()
                && name != "target"
                && !name.starts_with('.')
            {
                folders.push(entry.path());
            } else if name == "Cargo.toml" {
                let text = std::fs::read_to_string(entry.path()).unwrap();
                names.extend(text.lines().find_map(|line| {
                    Some(line.strip_prefix("name = ")?.trim_matches(['"', '\'']).to_owned())
                }));
            }
        }
    }
    names
}
