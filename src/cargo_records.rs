//! Cargo's own records of the units in a build directory: their fingerprints, their inputs, and
//! when they ran.
//!
//! They are read only here, and strictly: these are cargo's internals, and an unknown format is an
//! error. We use them for explanations only: no artifact depends on them. Both layouts are known:
//! `<profile>/.fingerprint/<package>-<hash>/` with `<profile>/build/<package>-<hash>/`, and
//! `<profile>/build/<package>/<hash>/{fingerprint,run,out}`.
//! Source: <https://github.com/rust-lang/cargo/blob/0.96.0/src/cargo/core/compiler/fingerprint/mod.rs>

pub(crate) mod dep_info;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use filetime::FileTime;
use rayon::prelude::*;
use serde::Deserialize;

use dep_info::DepInfo;

/// All units in a build directory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Records {
    /// The build directory, absolute.
    pub directory: PathBuf,
    /// By [`Unit::key`].
    pub units: std::collections::BTreeMap<String, Unit>,
}

/// One unit of work: a crate compiled in one way, or a build script run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Unit {
    /// Of the hash file, relative to the build directory, with `/`:
    /// `release/.fingerprint/pyo3-0123456789abcdef/lib-pyo3`.
    pub key: String,
    /// The name of the package.
    pub package: String,
    /// 16 hex digits, as in the names of its files.
    pub hash: String,
    /// `lib-pyo3`, `build-script-build-script-build`, `run-build-script-build-script-build`,
    /// `test-lib-x`, `doc-lib-x`.
    pub stem: String,
    pub kind: Kind,
    /// Relative to the build directory: `release`, `x86_64-unknown-linux-gnu/release`.
    pub profile: String,
    /// The content of the hash file: what dependents' [`Record::deps`] refer to. Empty while the
    /// unit is being built and after it failed.
    pub fingerprint: String,
    /// `None`: cargo was killed while it wrote it.
    pub record: Option<Record>,
    /// The reference files: what the mtimes of inputs are compared with.
    pub references: Vec<Reference>,
    /// When it was last begun.
    pub invoked: Option<FileTime>,
    /// When it was last done.
    pub finished: Option<FileTime>,
    /// Of a run: where its `output` and `out` are.
    pub run_directory: Option<PathBuf>,
    /// Of a run: the date of its `output`, which cargo sets to just before the script ran.
    pub output: Option<FileTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Compile,
    /// A build script that is run.
    Run,
    /// rustdoc.
    Doc,
}

/// A file whose mtime is a unit's reference.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reference {
    /// `None`: it is not there, which makes the unit dirty.
    pub mtime: Option<FileTime>,
    pub inputs: Inputs,
}

/// What is compared with a reference.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Inputs {
    /// Of a `dep-*` file.
    DepInfo(DepInfo),
    /// Of `rerun-if-changed`: relative to the package or absolute; directories stand for all below
    /// them.
    Paths(Vec<PathBuf>),
}

/// The JSON next to a hash file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    pub rustc: u64,
    pub features: String,
    pub declared_features: String,
    pub target: u64,
    pub profile: u64,
    pub path: u64,
    /// Identity of the package, name, is-public, fingerprint.
    pub deps: Vec<(u64, String, bool, u64)>,
    pub local: Vec<Local>,
    pub rustflags: Vec<String>,
    pub config: u64,
    pub compile_kind: u64,
    /// Of older cargos: authors, description and so on.
    pub metadata: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) enum Local {
    Precalculated(String),
    CheckDepInfo {
        dep_info: PathBuf,
        #[serde(default)]
        checksum: bool,
    },
    RerunIfChanged {
        output: PathBuf,
        paths: Vec<PathBuf>,
    },
    RerunIfEnvChanged {
        var: String,
        val: Option<String>,
    },
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("unknown format of `{}`: {reason}", path.display())]
    UnknownFormat { path: PathBuf, reason: String },
}

impl Unit {
    /// What a unit above would call it.
    pub(crate) fn crate_name(&self) -> &str {
        self.stem.split_once('-').map_or(self.stem.as_str(), |(_, name)| name)
    }

    /// A build script of the kind that names nothing: it is run again when any file of its package
    /// changes. So are packages documented.
    pub(crate) fn looks_at_whole_package(&self) -> bool {
        self.record.as_ref().is_some_and(|record| {
            record.local.iter().any(|local| matches!(local, Local::Precalculated(_)))
        })
    }

    /// The variables it depends on, and their values at the time.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let declared =
            self.record.iter().flat_map(|record| &record.local).filter_map(|local| match local {
                Local::RerunIfEnvChanged { var, val } => Some((var.as_str(), val.as_deref())),
                _ => None,
            });
        let read = self.references.iter().filter_map(|reference| match &reference.inputs {
            Inputs::DepInfo(info) => {
                Some(info.env.iter().map(|(name, value)| (name.as_str(), value.as_deref())))
            }
            Inputs::Paths(_) => None,
        });
        declared.chain(read.flatten())
    }

    /// What the mtimes of its inputs are compared with: when it was begun, as cargo remembers it.
    pub(crate) fn reference_time(&self) -> Option<FileTime> {
        match self.kind {
            Kind::Run => self.output,
            _ => self.references.first().and_then(|reference| reference.mtime),
        }
    }

    /// The newest date of anything that cargo wrote for it.
    pub(crate) fn newest(&self) -> Option<FileTime> {
        let references = self.references.iter().filter_map(|reference| reference.mtime);
        references.chain(self.invoked).chain(self.finished).max()
    }

    /// The `.d` file that rustc wrote for it, in either layout. A cdylib's name has no hash.
    pub(crate) fn rustc_dep_file(&self, build_directory: &Path) -> Option<PathBuf> {
        let profile = build_directory.join(&self.profile);
        let name = self.crate_name().replace('-', "_");
        let name = name.strip_prefix("lib_").or(name.strip_prefix("bin_")).unwrap_or(&name);
        let candidates = if self.stem.starts_with("build-script-") {
            vec![profile.join(format!(
                "build/{}-{}/build_script_build-{}.d",
                self.package, self.hash, self.hash
            ))]
        } else {
            vec![
                profile.join(format!("deps/{name}-{}.d", self.hash)),
                profile.join(format!("deps/{name}.d")),
            ]
        };
        if let Some(found) = candidates.into_iter().find(|path| path.is_file()) {
            return Some(found);
        }
        let out = profile.join("build").join(&self.package).join(&self.hash).join("out");
        let entries = fs_err::read_dir(out)
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
            .map(|entry| entry.path());
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "d")).min()
    }
}

impl Records {
    /// Reads a build directory; one that is not there has no units.
    pub(crate) fn read(directory: &Path) -> Result<Self, Error> {
        let mut found = Vec::new();
        for profile in profiles(directory) {
            list_old(&profile.join(".fingerprint"), &mut found);
            list_new(&profile.join("build"), &mut found);
        }
        let units: Vec<Unit> = found
            .par_iter()
            .map(|place| place.read(directory))
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()?;
        let units = units.into_iter().map(|unit| (unit.key.clone(), unit)).collect();
        Ok(Self { directory: directory.to_path_buf(), units })
    }

    /// Units by what their dependents call them: the number that [`Record::deps`] ends with.
    pub(crate) fn by_fingerprint(&self) -> HashMap<u64, &Unit> {
        let number = |text: &str| Some(u64::from_str_radix(text, 16).ok()?.swap_bytes());
        self.units.values().filter_map(|unit| Some((number(&unit.fingerprint)?, unit))).collect()
    }
}

/// The directories that have units: `debug`, `release`, `<triple>/release`.
fn profiles(directory: &Path) -> Vec<PathBuf> {
    let subdirectories = |directory: &Path| -> Vec<PathBuf> {
        let entries = fs_err::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
        entries
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path())
            .collect()
    };
    let is_profile =
        |path: &PathBuf| path.join(".fingerprint").is_dir() || path.join("build").is_dir();
    let mut found = Vec::new();
    for path in subdirectories(directory) {
        if is_profile(&path) {
            found.push(path);
        } else {
            found.extend(subdirectories(&path).into_iter().filter(is_profile));
        }
    }
    found
}

/// A hash file that was found.
struct Place {
    hash_file: PathBuf,
    package: String,
    hash: String,
    profile: PathBuf,
    /// Of the new layout.
    run_directory: Option<PathBuf>,
}

fn list_old(fingerprints: &Path, found: &mut Vec<Place>) {
    for (name, directory) in names(fingerprints) {
        let Some((package, hash)) = name.rsplit_once('-') else { continue };
        let profile = fingerprints.parent().expect("it is in a profile's directory").to_path_buf();
        list_stems(&directory, |hash_file| Place {
            hash_file,
            package: package.to_owned(),
            hash: hash.to_owned(),
            profile: profile.clone(),
            run_directory: None,
        })
        .for_each(|place| found.push(place));
    }
}

fn list_new(build: &Path, found: &mut Vec<Place>) {
    for (package, directory) in names(build) {
        for (hash, directory) in names(&directory) {
            let fingerprint = directory.join("fingerprint");
            if !fingerprint.is_dir() {
                continue;
            }
            let profile = build.parent().expect("it is in a profile's directory").to_path_buf();
            list_stems(&fingerprint, |hash_file| Place {
                hash_file,
                package: package.clone(),
                hash: hash.clone(),
                profile: profile.clone(),
                run_directory: Some(directory.join("run")),
            })
            .for_each(|place| found.push(place));
        }
    }
}

fn names(directory: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs_err::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    entries
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .collect()
}

fn list_stems<'a>(
    directory: &Path,
    place: impl Fn(PathBuf) -> Place + 'a,
) -> impl Iterator<Item = Place> + 'a {
    let is_hash_file = |name: &str| {
        let is_json = Path::new(name).extension().is_some_and(|extension| extension == "json");
        name != "invoked.timestamp"
            && !is_json
            && !name.starts_with("dep-")
            && !name.starts_with("output-")
    };
    names(directory)
        .into_iter()
        .filter(move |(name, _)| is_hash_file(name))
        .map(move |(_, path)| place(path))
}

impl Place {
    fn read(&self, build_directory: &Path) -> Result<Option<Unit>, Error> {
        let Some(relative) = self.hash_file.strip_prefix(build_directory).ok().and_then(slashed)
        else {
            return Ok(None);
        };
        let stem = self.hash_file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Ok(fingerprint) = fs_err::read(&self.hash_file) else { return Ok(None) };
        let kind = match stem.as_str() {
            stem if stem.starts_with("run-build-script-") => Kind::Run,
            stem if stem.starts_with("doc-") => Kind::Doc,
            _ => Kind::Compile,
        };
        let json = self.hash_file.with_file_name(format!("{stem}.json"));
        let record = match fs_err::read(&json).map(|bytes| serde_json::from_slice::<Record>(&bytes))
        {
            Ok(Ok(record)) => Some(record),
            Ok(Err(error)) if error.is_data() => {
                return Err(Error::UnknownFormat { path: json, reason: error.to_string() });
            }
            // Not there, or cut short.
            Ok(Err(_)) | Err(_) => None,
        };
        let run_directory = (kind == Kind::Run).then(|| match &self.run_directory {
            Some(directory) => directory.clone(),
            None => self.profile.join("build").join(format!("{}-{}", self.package, self.hash)),
        });
        let output = run_directory.as_deref().map(|directory| {
            directory.join(if self.run_directory.is_some() { "stdout" } else { "output" })
        });
        let mut references = Vec::new();
        for local in record.iter().flat_map(|record| &record.local) {
            references.extend(reference(local, build_directory)?);
        }
        let invoked_in =
            run_directory.as_deref().or(self.hash_file.parent()).expect("a file has a parent");
        Ok(Some(Unit {
            key: relative,
            package: self.package.clone(),
            hash: self.hash.clone(),
            stem,
            kind,
            profile: self
                .profile
                .strip_prefix(build_directory)
                .ok()
                .and_then(slashed)
                .unwrap_or_default(),
            fingerprint: String::from_utf8_lossy(&fingerprint).into_owned(),
            record,
            references,
            invoked: mtime(&invoked_in.join("invoked.timestamp")),
            finished: mtime(&self.hash_file),
            run_directory,
            output: output.as_deref().and_then(mtime),
        }))
    }
}

fn reference(local: &Local, build_directory: &Path) -> Result<Option<Reference>, Error> {
    let (path, paths) = match local {
        Local::CheckDepInfo { dep_info, .. } => (build_directory.join(dep_info), None),
        Local::RerunIfChanged { output, paths } => (build_directory.join(output), Some(paths)),
        Local::Precalculated(_) | Local::RerunIfEnvChanged { .. } => return Ok(None),
    };
    let inputs = match (paths, fs_err::read(&path)) {
        (Some(paths), _) => Inputs::Paths(paths.clone()),
        (None, Ok(bytes)) => {
            Inputs::DepInfo(dep_info::parse(&bytes).ok_or_else(|| Error::UnknownFormat {
                path: path.clone(),
                reason: "not the first version of cargo's dep-info".to_owned(),
            })?)
        }
        (None, Err(_)) => Inputs::DepInfo(DepInfo::default()),
    };
    Ok(Some(Reference { mtime: mtime(&path), inputs }))
}

fn mtime(path: &Path) -> Option<FileTime> {
    fs_err::symlink_metadata(path)
        .ok()
        .map(|metadata| FileTime::from_last_modification_time(&metadata))
}

fn slashed(path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> =
        path.components().map(|part| part.as_os_str().to_str()).collect();
    Some(parts?.join("/"))
}

#[cfg(test)]
mod tests;
