//! Build directories for environments that alternate in one checkout.
//!
//! cargo keeps one state per unit, and PyO3's build scripts depend on the environment's path. So when another environment's turn
//! comes, the state of the last one is set aside under its name, and used when it comes back: neither recompiles for the
//! other. What does not depend on Python is shared by hard links. Environments of another ABI never work in each other's
//! directory (mixing them crashes: <https://github.com/PyO3/pyo3/issues/4882>).
//!
//! With one environment only, nothing of this happens: cargo works in its target directory. `CARGO_BUILD_BUILD_DIR` moves what
//! is between sources and artifacts; artifacts and `target/maturin` stay where they are.

use std::io;
use std::path::{Path, PathBuf};

use filetime::FileTime;

use crate::cargo_records::{Kind, Records};
use crate::freshness::{Ledger, id_of};
use crate::layout::Layout;

/// The variable that tells cargo; stable since 1.91.
pub const VARIABLE: &str = "CARGO_BUILD_BUILD_DIR";

/// Variables by which build scripts are told which Python they build for.
const TIES: &[&str] = &["PYO3_PYTHON", "PYTHON_SYS_EXECUTABLE", CONFIG_FILE];
const CONFIG_FILE: &str = "PYO3_CONFIG_FILE";
const BUILD_EXTENSION: &str = "PYO3_BUILD_EXTENSION_MODULE";

/// Where an environment's builds take place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Where cargo does it by itself.
    Default,
    /// In a directory of its own.
    Own(PathBuf),
}

/// Finds the place for an environment, setting the state of another one aside, or taking a copy of it, if need be.
/// `default`: the records of cargo's own build directory.
pub fn choose(layout: &Layout, default: &Records, environment: &str) -> io::Result<Place> {
    let Some(owner) = owner(layout, default).filter(|owner| !owner.is(environment)) else { return Ok(Place::Default) };
    let own = layout.build().join(environment);
    if own.is_dir() {
        return Ok(Place::Own(own));
    }
    if let Owner::Environment(owner) = owner
        && abi_of(&owner) == abi_of(environment)
    {
        let aside = layout.build().join(&owner);
        // Nobody comes back to what is gone.
        if layout.envs().join(&owner).is_dir() && !aside.exists() {
            copy(layout, &default.directory, &aside)?;
        }
        return Ok(Place::Default);
    }
    copy(layout, &default.directory, &own)?;
    Ok(Place::Own(own))
}

/// The place for what embeds Python, built with a profile: apart from the wheel's crates, if those are of that profile as well.
pub fn choose_embedding(layout: &Layout, default: &Records, environment: &str, profile: &str) -> io::Result<Place> {
    let place = choose(layout, default, environment)?;
    let own = match &place {
        Place::Default => None,
        Place::Own(directory) => Some(Records::read(directory).map_err(io::Error::other)?),
    };
    let records = own.as_ref().unwrap_or(default);
    if !has_extension(records, profile) {
        return Ok(place);
    }
    let apart = layout.build_for_embedding(environment);
    if !apart.is_dir() {
        copy(layout, &records.directory, &apart)?;
    }
    Ok(Place::Own(apart))
}

/// Whether PyO3 was compiled for an extension module, in a profile's directory: an empty value is one for it.
///
/// Source: <https://github.com/PyO3/pyo3/blob/v0.29.0/pyo3-build-config/src/impl_.rs>, `is_linking_libpython`
pub fn has_extension(records: &Records, profile: &str) -> bool {
    let is_built = |name: &str, value: Option<&str>| name == BUILD_EXTENSION && value.is_some();
    let runs = records.units.values().filter(|unit| unit.kind == Kind::Run && unit.fingerprint.len() == 16);
    runs.filter(|unit| unit.profile.rsplit('/').next() == Some(profile))
        .any(|unit| unit.variables().any(|(name, value)| is_built(name, value)))
}

/// The place that [`choose`] would find, without making anything: `None` if it would have to.
pub fn find(layout: &Layout, default: &Records, environment: &str) -> Option<Place> {
    let own = layout.build().join(environment);
    match owner(layout, default) {
        Some(owner) if !owner.is(environment) => own.is_dir().then_some(Place::Own(own)),
        _ => Some(Place::Default),
    }
}

/// `cp312` of `cp312-1a2b3c4d5e6f`.
fn abi_of(environment: &str) -> &str {
    environment.rsplit_once('-').map_or(environment, |(abi, _)| abi)
}

/// Whose a build directory is.
#[derive(Debug)]
enum Owner {
    Environment(String),
    /// Any environment's of this ABI: with a configuration file for the stable ABI, nothing depends on more.
    Abi(String),
}

impl Owner {
    fn is(&self, environment: &str) -> bool {
        match self {
            Self::Environment(name) => name == environment,
            Self::Abi(abi) => abi == abi_of(environment),
        }
    }
}

/// For whom a build directory was used last, by what its build scripts were told.
fn owner(layout: &Layout, records: &Records) -> Option<Owner> {
    let mut runs: Vec<_> = records.units.values().filter(|unit| unit.kind == Kind::Run && unit.fingerprint.len() == 16).collect();
    runs.sort_by_key(|unit| std::cmp::Reverse(unit.finished));
    let envs = layout.envs();
    let environment = runs.iter().find_map(|unit| {
        let told = unit.variables().filter(|(name, _)| TIES.contains(name)).find_map(|(_, value)| {
            let inside = Path::new(value?).strip_prefix(&envs).ok()?;
            Some(inside.components().next()?.as_os_str().to_string_lossy().into_owned())
        });
        told.filter(|name| !name.is_empty())
    });
    let of_config_file = || {
        runs.iter().find_map(|unit| unit.variables().filter(|(name, _)| *name == CONFIG_FILE).find_map(|(_, value)| abi_told_by(value?)))
    };
    environment.map(Owner::Environment).or_else(|| of_config_file().map(Owner::Abi))
}

/// `cp312` of `.../pyo3-config-x86_64-unknown-linux-gnu-3.12-abi3.txt`, which maturin and our pins name so.
///
/// What a free-threaded Python has there has the same name: it is not recognised, and gets a directory of its own.
///
/// Source: <https://github.com/PyO3/maturin/blob/9ad2a8c0/src/compile.rs#L918-L926>
fn abi_told_by(config_file: &str) -> Option<String> {
    let name = Path::new(config_file).file_name()?.to_str()?.strip_prefix("pyo3-config-")?.strip_suffix(".txt")?;
    let (major, minor) = name.rsplit('-').take(2).find_map(|part| part.split_once('.'))?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(major) && is_number(minor)).then(|| format!("cp{major}{minor}"))
}

/// A copy of a build directory that cargo takes for the same: hard links to what compilers replace as a whole, copies with the
/// same dates of what is written in place. The ledger comes along.
fn copy(layout: &Layout, from: &Path, to: &Path) -> io::Result<()> {
    let staging = layout.temporary("build-dir-")?;
    for entry in walkdir::WalkDir::new(from).into_iter().filter_entry(|entry| is_intermediate(from, entry)) {
        let entry = entry?;
        let Ok(relative) = entry.path().strip_prefix(from) else { continue };
        let target = staging.path().join(relative);
        if entry.file_type().is_dir() {
            fs_err::create_dir_all(&target)?;
        } else if entry.file_type().is_file() {
            let in_deps = entry.path().parent().and_then(Path::file_name).is_some_and(|name| name == "deps");
            let is_small = entry.path().extension().is_some_and(|extension| extension == "d");
            if in_deps && !is_small && fs_err::hard_link(entry.path(), &target).is_ok() {
                continue;
            }
            fs_err::copy(entry.path(), &target)?;
            filetime::set_file_mtime(&target, FileTime::from_last_modification_time(&entry.metadata()?))?;
        }
    }
    // The ledger first: without it a copy would be compiled again, with the wrong one it would be, too.
    if let Some(mut ledger) = Ledger::read(&layout.freshness(&id_of(from, layout))) {
        ledger.build_directory = to.to_path_buf();
        ledger.write(&layout.freshness(&id_of(to, layout))).map_err(io::Error::other)?;
    }
    fs_err::create_dir_all(layout.build())?;
    fs_err::rename(staging.path(), to)
}

/// Whether an entry belongs to what is between sources and artifacts: `<profile>/{.fingerprint,build,deps}`.
fn is_intermediate(root: &Path, entry: &walkdir::DirEntry) -> bool {
    let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
    let parts: Vec<_> = relative.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    let is_part = |name: &str| matches!(name, ".fingerprint" | "build" | "deps");
    match parts.as_slice() {
        [one] => entry.file_type().is_dir() && !matches!(&**one, "maturin" | "wheels" | "package" | "doc" | "tmp") && !is_part(one),
        // Below a profile, or below a target triple, whose profiles come next.
        [_, two] => entry.file_type().is_dir() && (is_part(two) || entry.path().join(".fingerprint").is_dir()),
        [_, two, three] if !is_part(two) => entry.file_type().is_dir() && is_part(three),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_for_one_environment_is_set_aside_for_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open(dir.path().join(".pyenv-build")).unwrap();
        let target = dir.path().join("target");
        let built_for = |environment: &str| {
            let python = layout.envs().join(environment).join("bin/python");
            fs_err::create_dir_all(python.parent().unwrap()).unwrap();
            let unit = target.join("release/.fingerprint/pyo3-ffi-00");
            fs_err::create_dir_all(&unit).unwrap();
            fs_err::create_dir_all(target.join("release/deps")).unwrap();
            fs_err::write(target.join("release/deps/libpyo3-01.rlib"), "x").unwrap();
            fs_err::write(target.join("release/libmine.so"), "x").unwrap();
            fs_err::write(unit.join("run-build-script-build-script-build"), "0123456789abcdef").unwrap();
            let json = serde_json::json!({"local": [{"RerunIfEnvChanged": {"var": "PYO3_PYTHON", "val": python}}]});
            fs_err::write(unit.join("run-build-script-build-script-build.json"), json.to_string()).unwrap();
        };
        let place = |environment: &str| choose(&layout, &Records::read(&target).unwrap(), environment).unwrap();
        assert_eq!(place("cp312-a"), Place::Default, "nothing there yet");
        built_for("cp312-a");
        assert_eq!(place("cp312-a"), Place::Default);
        assert_eq!(place("cp312-b"), Place::Default, "the same ABI goes on where it was");
        built_for("cp312-b");
        assert_eq!(place("cp312-a"), Place::Own(layout.build().join("cp312-a")), "and what was there is there");
        assert!(layout.build().join("cp312-a/release/deps/libpyo3-01.rlib").exists());
        assert!(!layout.build().join("cp312-a/release/libmine.so").exists(), "artifacts stay");
        let other = layout.build().join("cp313t-c");
        assert_eq!(find(&layout, &Records::read(&target).unwrap(), "cp313t-c"), None);
        assert_eq!(place("cp313t-c"), Place::Own(other.clone()), "another ABI has a place of its own");
        assert_eq!(find(&layout, &Records::read(&target).unwrap(), "cp313t-c"), Some(Place::Own(other)));
        assert_eq!(place("cp312-b"), Place::Default);
    }

    /// PyO3 with the stable ABI looks at nothing but a file whose name has the version.
    #[test]
    fn a_configuration_file_tells_the_abi() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open(dir.path().join(".pyenv-build")).unwrap();
        let target = dir.path().join("target");
        let unit = target.join("release/.fingerprint/pyo3-ffi-00");
        fs_err::create_dir_all(&unit).unwrap();
        fs_err::create_dir_all(target.join("release/deps")).unwrap();
        fs_err::write(unit.join("run-build-script-build-script-build"), "0123456789abcdef").unwrap();
        let file = target.join("maturin/pyo3-config-x86_64-unknown-linux-gnu-3.12-abi3.txt");
        let json = serde_json::json!({"local": [{"RerunIfEnvChanged": {"var": "PYO3_CONFIG_FILE", "val": file}}]});
        fs_err::write(unit.join("run-build-script-build-script-build.json"), json.to_string()).unwrap();
        let place = |environment: &str| choose(&layout, &Records::read(&target).unwrap(), environment).unwrap();
        assert_eq!(place("cp312-a"), Place::Default);
        assert_eq!(place("cp312-b"), Place::Default, "whatever is in the environment");
        for other in ["cp313-c", "cp312t-d", "pp312-e"] {
            assert_eq!(place(other), Place::Own(layout.build().join(other)));
        }
        assert_eq!(place("cp312-a"), Place::Default);
    }

    #[test]
    fn names_of_configuration_files_are_understood() {
        assert_eq!(abi_told_by("/t/pyo3-config-aarch64-apple-darwin-3.9.txt").as_deref(), Some("cp39"));
        assert_eq!(abi_told_by("/t/pyo3-config-x86_64-unknown-linux-gnu-3.15-abi3t.txt").as_deref(), Some("cp315"));
        for other in ["/t/pyo3-config.txt", "/t/my-own-3.12.txt", "/t/pyo3-config-x-3.x.txt"] {
            assert_eq!(abi_told_by(other), None, "{other}");
        }
    }
}
