//! All crates that a call depends on, not only those on its command line.
//!
//! rustc finds the crates that its externs need by itself, in the `-L dependency` directories. To
//! know them, too, each call for a library leaves a note in the store: which libraries it was
//! given. The note is of a file with this content: another cargo may have put another one in its
//! place. Only that of a crate from a registry is of a name, for its sources do not change and
//! the hash in its name covers those of all that it depends on
//! (<https://github.com/rust-lang/cargo/blob/0.96.0/src/cargo/core/compiler/build_runner/compilation_files.rs>,
//! `compute_metadata`).
//!
//! Where a note is missing, since a cargo without us made the library, the workspace's plan says
//! which packages it may be made of, and all files that have their names count.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::call::{Call, Unjudged};
use super::digests::Digests;
use super::macros::Macro;
use super::package::Package;
use super::plan::{Plans, Source};
use super::reexports::may_reexport;
use super::store::{self, Store};
use super::traits::Traits;
use super::{dep_info, macros, targets};
use crate::digest;

/// Version of the format.
const SCHEMA: u32 = 2;

/// What a library was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    schema: u32,
    package: String,
    version: String,
    /// That of its manifest.
    directory: PathBuf,
    is_macro: bool,
    /// The file stems of its externs.
    externs: Vec<String>,
    /// Those of them that are macros which it keeps to itself.
    own_macros: Vec<String>,
    traits: Traits,
}

/// The traits of what is in a package's directory; of one that cargo takes for unchangeable it is
/// looked for once.
fn traits_of_package(directory: &Path, store: &Store, is_unchangeable: bool) -> Traits {
    if !is_unchangeable {
        return Traits::of_directory(directory);
    }
    let memory = store.crates().join(format!("traits-{}.json", digest::short_of_path(directory)));
    if let Some(traits) =
        fs_err::read(&memory).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())
    {
        return traits;
    }
    let traits = Traits::of_directory(directory);
    let _ = store::put(
        &memory,
        &serde_json::to_vec(&traits).expect("our own plain data always serialises"),
    );
    traits
}

/// Whether a call makes something that other crates can be made of.
fn makes_library(call: &Call) -> bool {
    !call.is_test
        && !call
            .crate_types
            .iter()
            .all(|kind| matches!(kind.as_str(), "bin" | "cdylib" | "staticlib"))
}

impl Note {
    /// Of a call for a crate from a registry, before it is made: nothing is known afterwards, since
    /// rustc takes our place.
    pub fn of_registry_crate(
        call: &Call,
        package: &Package,
        store: &Store,
        digests: &mut Digests,
    ) -> Option<Self> {
        if !makes_library(call) || call.stem() == call.crate_name {
            return None;
        }
        let mut own_macros = Vec::new();
        for (name, path) in
            call.externs.iter().filter_map(|one| Some((one.name.as_str(), one.path.as_deref()?)))
        {
            let is_unlisted_macro = Self::read(store, path, digests).is_some_and(|note| {
                note.is_macro && !macros::is_listed(&note.package, &note.version)
            });
            if is_unlisted_macro && !may_reexport(&package.directory, name) {
                own_macros.extend(stem(path));
            }
        }
        let mut traits = traits_of_package(&package.directory, store, true);
        // What its build script has made is no part of what never changes.
        if let Some(out_dir) = targets::own_out_dir(call) {
            traits |= Traits::of_directory(&out_dir);
        }
        Some(Self { own_macros, ..Self::new(call, package, traits) })
    }

    /// Of a call for a local crate that has written its dependency file. What it does with its
    /// macros is not looked at.
    pub fn of_local_crate(call: &Call, package: &Package) -> Option<Self> {
        makes_library(call)
            .then(|| Self::new(call, package, Traits::of_files(dep_info::sources(call))))
    }

    fn new(call: &Call, package: &Package, traits: Traits) -> Self {
        Self {
            schema: SCHEMA,
            package: package.name.clone(),
            version: package.version.clone(),
            directory: package.directory.clone(),
            is_macro: call.crate_types.contains("proc-macro"),
            externs: call.externs.iter().filter_map(|one| stem(one.path.as_deref()?)).collect(),
            own_macros: Vec::new(),
            traits,
        }
    }

    /// Leaves it in the store, for the library's name.
    pub fn write_for_name(&self, store: &Store, call: &Call) -> std::io::Result<()> {
        self.write(&named(store, &call.out_dir, &format!("{}{}", self.prefix(), call.stem())))
    }

    /// The same for each file of the library that there is.
    pub fn write_for_content(
        &self,
        store: &Store,
        call: &Call,
        digests: &mut Digests,
    ) -> std::io::Result<()> {
        let stem = format!("{}{}", self.prefix(), call.stem());
        for file in LIBRARIES.iter().map(|ending| call.out_dir.join(format!("{stem}.{ending}"))) {
            digests.forget(&file);
            if let Some(digest) = digests.file(&file) {
                self.write(&of_content(store, &stem, &digest))?;
            }
        }
        Ok(())
    }

    /// A procedural macro on Windows has no `lib` before its name.
    fn prefix(&self) -> &'static str {
        if self.is_macro && cfg!(windows) { "" } else { "lib" }
    }

    /// Equal content is not written again.
    fn write(&self, path: &Path) -> std::io::Result<()> {
        let bytes = serde_json::to_vec(self).expect("our own plain data always serialises");
        if fs_err::read(path).is_ok_and(|old| old == bytes) {
            Ok(())
        } else {
            store::put(path, &bytes)
        }
    }

    /// The note of a library, if it is of this very file.
    fn read(store: &Store, library: &Path, digests: &mut Digests) -> Option<Self> {
        let stem = stem(library)?;
        let bytes = match fs_err::read(named(store, library.parent()?, &stem)) {
            Ok(bytes) if stem.contains('-') => bytes,
            _ => fs_err::read(of_content(store, &stem, &digests.file(library)?)).ok()?,
        };
        let note: Self = serde_json::from_slice(&bytes).ok()?;
        (note.schema == SCHEMA).then_some(note)
    }
}

/// Endings of files that a crate can be made of.
const LIBRARIES: &[&str] = &["rlib", "rmeta", "so", "dylib", "dll"];

fn named(store: &Store, directory: &Path, stem: &str) -> PathBuf {
    store.crates().join(digest::short_of_path(directory)).join(format!("{stem}.json"))
}

fn of_content(store: &Store, stem: &str, digest: &str) -> PathBuf {
    store.crates().join(&digest[..2]).join(format!("{stem}-{}.json", &digest[..32]))
}

/// The directories in which rustc finds the crates of a call.
fn places(call: &Call) -> Vec<&Path> {
    let searched = call
        .search
        .iter()
        .filter(|search| search.kind == "dependency")
        .map(|search| search.path.as_path());
    let mut places: Vec<&Path> = searched
        .chain(call.externs.iter().filter_map(|one| one.path.as_deref()?.parent()))
        .collect();
    places.sort();
    places.dedup();
    places
}

fn stem(path: &Path) -> Option<String> {
    Some(path.file_stem()?.to_str()?.to_owned())
}

/// What a call is made of beyond its own sources.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Closure {
    /// Libraries, those of procedural macros among them.
    pub libraries: BTreeSet<PathBuf>,
    /// The files of procedural macros alone.
    pub macro_libraries: BTreeSet<PathBuf>,
    pub macros: BTreeSet<Macro>,
    /// Of all crates behind the externs, macros among them.
    pub traits: Traits,
}

impl Closure {
    /// Follows the externs of a call.
    pub fn of(
        call: &Call,
        store: &Store,
        plans: &Plans,
        digests: &mut Digests,
    ) -> Result<Self, Unjudged> {
        let mut walk = Walk {
            store,
            plans,
            digests,
            directories: places(call),
            closure: Self::default(),
            seen: BTreeSet::new(),
        };
        for path in call.externs.iter().filter_map(|one| one.path.as_deref()) {
            walk.visit(
                &stem(path).ok_or_else(|| Unjudged::Unreadable(path.to_path_buf()))?,
                Some(path),
            )?;
        }
        Ok(walk.closure)
    }
}

struct Walk<'a> {
    store: &'a Store,
    plans: &'a Plans,
    digests: &'a mut Digests,
    directories: Vec<&'a Path>,
    closure: Closure,
    seen: BTreeSet<String>,
}

impl Walk<'_> {
    fn visit(&mut self, stem: &str, path: Option<&Path>) -> Result<(), Unjudged> {
        if !self.seen.insert(stem.to_owned()) {
            return Ok(());
        }
        let files = match self.files_of(stem) {
            files if files.is_empty() => path.map(Path::to_path_buf).into_iter().collect(),
            files => files,
        };
        if files.is_empty() {
            // Its note names it, and it is not where it was.
            return Err(Unjudged::Closure(stem.to_owned()));
        }
        // Where the same name is in several directories, such as those of the host and of a target,
        // a crate that is named by its path is that one, and any other may be any of them.
        let asked: Vec<PathBuf> =
            path.map_or_else(|| files.clone(), |path| vec![path.to_path_buf()]);
        let notes: Option<Vec<Note>> =
            asked.iter().map(|file| Note::read(self.store, file, self.digests)).collect();
        let Some(notes) = notes else { return self.guess(stem) };
        for note in notes {
            self.closure.traits |= note.traits;
            if note.is_macro {
                self.closure.macro_libraries.extend(files.iter().cloned());
                let mut made_of = BTreeSet::new();
                self.crates_in_macro(&note, &mut made_of)?;
                self.closure.macros.insert(Macro {
                    package: note.package,
                    version: note.version,
                    directory: note.directory,
                    made_of,
                });
            } else {
                for dependency in note.externs.iter().filter(|stem| !note.own_macros.contains(stem))
                {
                    self.visit(dependency, None)?;
                }
            }
        }
        self.closure.libraries.extend(files);
        Ok(())
    }

    /// Everything whose code runs in a procedural macro.
    fn crates_in_macro(
        &mut self,
        note: &Note,
        made_of: &mut BTreeSet<(PathBuf, String)>,
    ) -> Result<(), Unjudged> {
        for stem in &note.externs {
            let mut files = self.files_of(stem);
            if files.is_empty() {
                // Only the macro itself is needed to run it.
                files = self
                    .directories
                    .iter()
                    .map(|directory| directory.join(format!("{stem}.rlib")))
                    .collect();
                files.retain(|file| Note::read(self.store, file, self.digests).is_some());
            }
            let notes: Option<Vec<Note>> =
                files.iter().map(|file| Note::read(self.store, file, self.digests)).collect();
            if let Some(notes) = notes.filter(|notes| !notes.is_empty()) {
                for dependency in notes {
                    if made_of.insert((dependency.directory.clone(), dependency.package.clone())) {
                        self.crates_in_macro(&dependency, made_of)?;
                    }
                }
                continue;
            }
            let packages = self.plans.closure_of_library(crate_name(stem));
            if packages.is_empty() {
                return Err(Unjudged::Closure(stem.clone()));
            }
            made_of.extend(
                packages.iter().map(|package| (package.directory.clone(), package.name.clone())),
            );
        }
        Ok(())
    }

    /// A library without a note: all that the packages it may be made of have left.
    fn guess(&mut self, stem: &str) -> Result<(), Unjudged> {
        let packages = self.plans.closure_of_library(crate_name(stem));
        if packages.is_empty() {
            return Err(Unjudged::Closure(stem.to_owned()));
        }
        for package in &packages {
            let files = package
                .library
                .as_deref()
                .map(|library| self.files_named(library))
                .unwrap_or_default();
            self.closure.traits |=
                traits_of_package(&package.directory, self.store, package.source != Source::Path);
            if package.source == Source::Path {
                // Other directories' sources.
                self.closure.traits |= Traits::of_files(
                    files.iter().flat_map(|file| dep_info::sources_of_library(file)),
                );
            }
            if package.is_macro {
                self.closure.macro_libraries.extend(files.iter().cloned());
                let made_of =
                    self.plans.closure_of_library(package.library.as_deref().unwrap_or_default());
                self.closure.macros.insert(Macro {
                    package: package.name.clone(),
                    version: package.version.clone(),
                    directory: package.directory.clone(),
                    made_of: made_of
                        .iter()
                        .map(|package| (package.directory.clone(), package.name.clone()))
                        .collect(),
                });
            }
            self.closure.libraries.extend(files);
        }
        Ok(())
    }

    /// The files of a library: whatever of these there is.
    fn files_of(&self, stem: &str) -> Vec<PathBuf> {
        const ENDINGS: &[&str] = &["rlib", "so", "dylib", "dll"];
        let in_directory = |directory: &&Path| {
            ENDINGS
                .iter()
                .map(|ending| directory.join(format!("{stem}.{ending}")))
                .find(|path| path.is_file())
        };
        let found: Vec<PathBuf> = self.directories.iter().filter_map(in_directory).collect();
        if !found.is_empty() {
            return found;
        }
        let metadata = |directory: &&Path| {
            Some(directory.join(format!("{stem}.rmeta"))).filter(|path| path.is_file())
        };
        self.directories.iter().filter_map(metadata).collect()
    }

    fn files_named(&self, library: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for directory in &self.directories {
            for entry in fs_err::read_dir(directory).into_iter().flatten().filter_map(Result::ok) {
                let path = entry.path();
                let is_library = path.extension().is_some_and(|ending| {
                    ["rlib", "so", "dylib", "dll"].iter().any(|one| ending == *one)
                });
                if is_library && stem(&path).is_some_and(|stem| crate_name(&stem) == library) {
                    found.push(path);
                }
            }
        }
        found
    }
}

/// The name of a crate in the name of its file: `libserde-0123456789abcdef`.
fn crate_name(stem: &str) -> &str {
    let name = stem.split_once('-').map_or(stem, |(name, _hash)| name);
    name.strip_prefix("lib").unwrap_or(name)
}

#[cfg(test)]
mod tests;
