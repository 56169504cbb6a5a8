//! Pins: the variables that make a backend's cargo and everybody else's agree, so that neither dirties the other's PyO3.
//!
//! PyO3's build scripts register `rerun-if-env-changed` for what they read, so a plain `cargo test` must see the very values
//! that maturin or setuptools-rust hand to cargo. [`pins`] decides them, purely, from [`Facts`]; [`facts`] learns those.
//! Each pin names the line that sets or reads it.
//!
//! | backend | project | set | must be unset |
//! |---|---|---|---|
//! | maturin | library with PyO3 | `PYO3_PYTHON`, `PYTHON_SYS_EXECUTABLE`, `PYO3_ENVIRONMENT_SIGNATURE`, `PYO3_BUILD_EXTENSION_MODULE` (from 1.9.4) | `PYO3_CONFIG_FILE` |
//! | maturin >= 1.14.1 | the same, stable ABI, PyO3 >= 0.29, on an interpreter that supports it | the same and `PYO3_CONFIG_FILE` | |
//! | maturin | program with PyO3 | `PYO3_PYTHON`, `PYTHON_SYS_EXECUTABLE`, `PYO3_ENVIRONMENT_SIGNATURE` | |
//! | maturin | cffi, uniffi, plain program | `PYO3_PYTHON`, `PYTHON_SYS_EXECUTABLE`: cargo has what the hook has | |
//! | setuptools-rust | PyO3 | `PYO3_PYTHON`, `PYTHON_SYS_EXECUTABLE`, `PYO3_BUILD_EXTENSION_MODULE` | |
//! | others | any | `PYO3_PYTHON`, `PYTHON_SYS_EXECUTABLE` | |
//!
//! `PYO3_PYTHON` is always the *environment's* python: build scripts import what the build environment holds (maturin 1.6
//! took the base python and broke pydantic-core: <https://github.com/PyO3/maturin/issues/2133>).
//!
//! Programs with an interpreter inside, such as tests that start one, must be linked with libpython, which extension modules are not: for
//! those, [`embedding`] decides, and PyO3 is another one.
//!
//! What no variable can mend: other cargo features, crate types or rustc arguments than the backend's. PyO3 stays
//! fresh then, but the last crate is compiled once at each switch.

pub mod facts;
pub mod remembered;

use std::path::{Path, PathBuf};

use pep508_rs::pep440_rs::Version;
use serde::{Deserialize, Serialize};

use crate::interpreter::Identity;

const MATURIN_CODE: &str = "https://github.com/PyO3/maturin/blob/479658ad9bce22c6e4955b2e47182111c166e37c/src/compile.rs";
const SETUPTOOLS_RUST_CODE: &str =
    "https://github.com/PyO3/setuptools-rust/blob/a071606b75bfa0554573d79a964aed3cf17ac6d8/setuptools_rust/build.py#L717-L748";
const PYO3_LINKS: &str =
    "https://github.com/PyO3/pyo3/blob/34f08c32dec2a3170fbe2e177910352489678816/pyo3-build-config/src/impl_.rs#L1579-L1587";
const PYO3_CODE: &str =
    "https://github.com/PyO3/pyo3/blob/f168538672f2c32e32f7c1b702a502ee92de1edf/pyo3-build-config/src/impl_.rs#L2649-L2656";

/// What the pins are decided from.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The environment's python, as it is run: the string is what cargo compares.
    pub python: PathBuf,
    pub identity: Identity,
    pub backend: BackendVersion,
    pub bindings: Bindings,
    /// The target directory, links resolved, and the target triple, when the bindings have a stable ABI.
    pub stable_abi_file: Option<(PathBuf, String)>,
    /// `PYO3_*` and `PYTHON_SYS_EXECUTABLE` of the user's own environment.
    pub user: Vec<(String, String)>,
}

/// The backend in the build environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackendVersion {
    Maturin(Version),
    SetuptoolsRust,
    Other,
}

/// How the crate talks to Python.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bindings {
    /// An extension module, with the stable ABIs that it can be built for: the first that the interpreter has is it.
    Pyo3Library { pyo3: Version, stable_abis: Vec<StableAbi> },
    /// A program that uses PyO3.
    Pyo3Program { pyo3: Version },
    /// cffi, uniffi, a plain program.
    WithoutInterpreter,
    /// cargo could not be asked.
    Unknown,
}

/// A stable ABI that PyO3's features ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StableAbi {
    pub kind: StableAbiKind,
    /// The lowest Python, `(3, 9)`; `None` for the bare feature, which means the one that builds.
    pub minimum: Option<(u32, u32)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StableAbiKind {
    Abi3,
    Abi3t,
}

/// The first Python with the stable ABI of free-threading (PEP 803).
const ABI3T_SINCE: (u32, u32) = (3, 15);

impl StableAbi {
    /// Whether an interpreter can build it; PyO3 falls back to a version-specific build elsewhere.
    fn supported_by(self, identity: &Identity) -> bool {
        let version = identity.major_minor();
        let new_enough = self.minimum.is_none_or(|minimum| version >= minimum);
        let kind = match self.kind {
            StableAbiKind::Abi3 => !identity.free_threaded,
            StableAbiKind::Abi3t => version >= ABI3T_SINCE,
        };
        identity.implementation == "cpython" && new_enough && kind
    }

    fn name(self) -> &'static str {
        match self.kind {
            StableAbiKind::Abi3 => "abi3",
            StableAbiKind::Abi3t => "abi3t",
        }
    }
}

/// One variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    pub name: &'static str,
    /// `None`: it must be unset.
    pub value: Option<String>,
    /// The line that sets or reads it.
    pub source: String,
}

/// The pins, in order, and what the user should know of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins {
    pub variables: Vec<Pin>,
    /// `PYO3_CONFIG_FILE` as maturin will write it. If it is missing when cargo runs first, PyO3's build script fails, so it
    /// must be written: with other bytes, maturin would write it again and all of PyO3 would be rebuilt.
    pub config_file: Option<(PathBuf, String)>,
    /// Variables of the user's that win, or that lose although they are set; one sentence each.
    pub notes: Vec<String>,
}

impl Pins {
    fn set(&mut self, name: &'static str, value: impl Into<String>, source: impl Into<String>) {
        self.variables.push(Pin { name, value: Some(value.into()), source: source.into() });
    }

    fn unset(&mut self, name: &'static str, source: impl Into<String>) {
        self.variables.push(Pin { name, value: None, source: source.into() });
    }

    /// As variables for a child: name and value, `None` to unset.
    pub fn environ(&self) -> impl Iterator<Item = (String, Option<String>)> {
        self.variables.iter().map(|pin| (pin.name.to_owned(), pin.value.clone()))
    }
}

/// Decides the pins.
pub fn pins(facts: &Facts) -> Pins {
    match &facts.backend {
        BackendVersion::Maturin(version) => maturin(facts, version),
        BackendVersion::SetuptoolsRust => {
            let mut pins = python_pins(facts, SETUPTOOLS_RUST_CODE);
            if !matches!(facts.bindings, Bindings::WithoutInterpreter) {
                users_or(&mut pins, facts, "PYO3_BUILD_EXTENSION_MODULE", "1", SETUPTOOLS_RUST_CODE);
            }
            pins
        }
        BackendVersion::Other => python_pins(facts, PYO3_CODE),
    }
}

/// The pins for programs with an interpreter inside: the same interpreter, linked with. A configuration file of maturin's does not
/// say where libpython is; one of the user's is the user's word.
pub fn embedding(facts: &Facts) -> Pins {
    let mut pins = pins(facts);
    let users_file = user(facts, "PYO3_CONFIG_FILE").is_some();
    pins.config_file = None;
    for name in ["PYO3_BUILD_EXTENSION_MODULE", "PYO3_NO_PYTHON", "PYO3_CONFIG_FILE"] {
        if name != "PYO3_CONFIG_FILE" || !users_file {
            pins.variables.retain(|pin| pin.name != name);
            pins.unset(name, PYO3_LINKS);
        }
    }
    pins
}

fn user<'a>(facts: &'a Facts, name: &str) -> Option<&'a str> {
    facts.user.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// The interpreter, unless the user has chosen another.
fn python_pins(facts: &Facts, source: &str) -> Pins {
    let mut pins = Pins::default();
    let python = facts.python.to_string_lossy();
    users_or(&mut pins, facts, "PYO3_PYTHON", &python, source);
    users_or(&mut pins, facts, "PYTHON_SYS_EXECUTABLE", &python, source);
    pins
}

fn users_or(pins: &mut Pins, facts: &Facts, name: &'static str, ours: &str, source: &str) {
    match user(facts, name) {
        Some(value) if value != ours => {
            pins.notes.push(format!("{name}={value} is set already and wins over {ours}"));
            pins.set(name, value, "set by the user");
        }
        _ => pins.set(name, ours, source),
    }
}

/// maturin overrides what the user has set: the hook's cargo gets maturin's values whatever we say, so `run` must, too.
fn maturin(facts: &Facts, version: &Version) -> Pins {
    let mut pins = Pins::default();
    let (is_library, stable_abis, pyo3) = match &facts.bindings {
        Bindings::Pyo3Library { pyo3, stable_abis } => (true, stable_abis.as_slice(), Some(pyo3)),
        Bindings::Pyo3Program { pyo3 } => (false, [].as_slice(), Some(pyo3)),
        // maturin sets nothing and hands its own environment on, in which every hook has these two.
        Bindings::WithoutInterpreter => return python_pins(facts, PYO3_CODE),
        Bindings::Unknown => (true, [].as_slice(), None),
    };
    let builds_extension = is_library && at_least(version, [1, 9, 4]);
    if let Some(file) = user(facts, "PYO3_CONFIG_FILE") {
        // maturin then counts the interpreter as not runnable and sets none of its variables.
        pins.notes.push(format!("PYO3_CONFIG_FILE={file} is set already and decides instead of the interpreter"));
        pins.set("PYO3_CONFIG_FILE", file, "set by the user");
        if builds_extension {
            pins.set("PYO3_BUILD_EXTENSION_MODULE", "1", format!("{MATURIN_CODE}#L890-L892"));
        }
        return pins;
    }
    let python = facts.python.to_string_lossy().into_owned();
    override_user(&mut pins, facts, "PYO3_PYTHON", python.clone(), "L897-L909");
    override_user(&mut pins, facts, "PYTHON_SYS_EXECUTABLE", python, "L912");
    override_user(&mut pins, facts, "PYO3_ENVIRONMENT_SIGNATURE", signature(&facts.identity, version), "L897-L909");
    if builds_extension {
        override_user(&mut pins, facts, "PYO3_BUILD_EXTENSION_MODULE", "1".to_owned(), "L890-L892");
    }
    let supported = stable_abis.iter().copied().find(|abi| abi.supported_by(&facts.identity));
    let old_pyo3 = pyo3.is_some_and(|pyo3| !at_least(pyo3, [0, 16, 4]));
    if supported.is_some_and(|abi| abi.kind == StableAbiKind::Abi3) && old_pyo3 && !facts.identity.platform.starts_with("win") {
        pins.set("PYO3_NO_PYTHON", "1", format!("{MATURIN_CODE}#L878-L887"));
    }
    let forces_file = at_least(version, [1, 14, 1]) && pyo3.is_some_and(|pyo3| at_least(pyo3, [0, 29, 0]));
    match (supported, &facts.stable_abi_file) {
        (Some(abi), Some((target_dir, triple))) if forces_file => {
            let path = config_file_path(target_dir, triple, &facts.identity, abi);
            pins.set("PYO3_CONFIG_FILE", path.to_string_lossy(), format!("{MATURIN_CODE}#L924-L962"));
            pins.config_file = Some((path, config_file_content(&facts.identity, abi)));
        }
        _ => pins.unset("PYO3_CONFIG_FILE", format!("{MATURIN_CODE}#L924-L962")),
    }
    pins
}

fn override_user(pins: &mut Pins, facts: &Facts, name: &'static str, value: String, lines: &str) {
    if let Some(users) = user(facts, name).filter(|users| *users != value) {
        pins.notes.push(format!("{name}={users} is set, but maturin uses {value} whatever is set; choose the interpreter with `--python`"));
    }
    pins.set(name, value, format!("{MATURIN_CODE}#{lines}"));
}

/// `cpython-3.12-64bit`. The width is literally that for every interpreter that runs; the ABI flags are there from 1.16 on.
///
/// Source: <https://github.com/PyO3/maturin/blob/479658ad9bce22c6e4955b2e47182111c166e37c/src/python_interpreter/mod.rs#L511-L517>
fn signature(identity: &Identity, maturin: &Version) -> String {
    let (major, minor) = identity.major_minor();
    let abiflags = if identity.implementation == "cpython" && at_least(maturin, [1, 16, 0]) { identity.abiflags.as_str() } else { "" };
    format!("{}-{major}.{minor}{abiflags}-64bit", identity.implementation)
}

fn config_file_path(target_dir: &Path, triple: &str, identity: &Identity, abi: StableAbi) -> PathBuf {
    let (major, minor) = identity.major_minor();
    target_dir.join("maturin").join(format!("pyo3-config-{triple}-{major}.{minor}-{}.txt", abi.name()))
}

/// What maturin writes there, byte for byte; no line feed at the end.
///
/// Source: <https://github.com/PyO3/maturin/blob/479658ad9bce22c6e4955b2e47182111c166e37c/src/python_interpreter/config.rs#L490-L564>
fn config_file_content(identity: &Identity, abi: StableAbi) -> String {
    let (major, minor) = abi.minimum.unwrap_or_else(|| identity.major_minor());
    let name = abi.name();
    let flags = if identity.free_threaded { "Py_GIL_DISABLED" } else { "" };
    format!(
        "implementation=CPython\nversion={major}.{minor}\ntarget_abi=CPython-{name}-{major}.{minor}\nshared=true\nbuild_flags={flags}\nsuppress_build_script_link_lines=false"
    )
}

fn at_least(version: &Version, wanted: [u64; 3]) -> bool {
    *version >= Version::new(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpreter::identity_tests::cpython;

    fn facts(backend: &str, bindings: Bindings) -> Facts {
        let backend = match backend {
            "setuptools-rust" => BackendVersion::SetuptoolsRust,
            "other" => BackendVersion::Other,
            maturin => BackendVersion::Maturin(maturin.parse().unwrap()),
        };
        Facts {
            python: "/e/bin/python".into(),
            identity: cpython("3.12.1"),
            backend,
            bindings,
            stable_abi_file: Some(("/t".into(), "x86_64-unknown-linux-gnu".into())),
            user: vec![],
        }
    }

    fn library(pyo3: &str, abi3: Option<(u32, u32)>) -> Bindings {
        let stable_abis = abi3.map(|minimum| StableAbi { kind: StableAbiKind::Abi3, minimum: Some(minimum) }).into_iter().collect();
        Bindings::Pyo3Library { pyo3: pyo3.parse().unwrap(), stable_abis }
    }

    fn shown(facts: &Facts) -> Vec<String> {
        pins(facts).environ().map(|(name, value)| format!("{name}={}", value.unwrap_or_else(|| "-".into()))).collect()
    }

    const COMMON: [&str; 3] =
        ["PYO3_PYTHON=/e/bin/python", "PYTHON_SYS_EXECUTABLE=/e/bin/python", "PYO3_ENVIRONMENT_SIGNATURE=cpython-3.12-64bit"];

    fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
        COMMON.iter().chain(more).copied().collect()
    }

    #[test]
    fn maturin_libraries_by_version_and_abi() {
        let module = "PYO3_BUILD_EXTENSION_MODULE=1";
        let file = "PYO3_CONFIG_FILE=/t/maturin/pyo3-config-x86_64-unknown-linux-gnu-3.12-abi3.txt";
        let no_file = "PYO3_CONFIG_FILE=-";
        assert_eq!(shown(&facts("1.16.0", library("0.29.0", None))), with(&[module, no_file]));
        assert_eq!(shown(&facts("1.16.0", library("0.29.0", Some((3, 9))))), with(&[module, file]));
        assert_eq!(shown(&facts("1.16.0", library("0.28.3", Some((3, 9))))), with(&[module, no_file]));
        assert_eq!(shown(&facts("1.14.0", library("0.29.0", Some((3, 9))))), with(&[module, no_file]));
        assert_eq!(shown(&facts("1.9.3", library("0.25.0", None))), with(&[no_file]));
        assert_eq!(shown(&facts("1.9.4", library("0.16.3", Some((3, 7))))), with(&[module, "PYO3_NO_PYTHON=1", no_file]));
        // An interpreter below the minimum, or without the ABI, builds version-specific.
        assert_eq!(shown(&facts("1.16.0", library("0.29.0", Some((3, 13))))), with(&[module, no_file]));
    }

    #[test]
    fn what_embeds_python_is_linked_with_it() {
        let shown = |facts: &Facts| -> Vec<String> {
            embedding(facts).environ().map(|(name, value)| format!("{name}={}", value.unwrap_or_else(|| "-".into()))).collect()
        };
        let unset = ["PYO3_BUILD_EXTENSION_MODULE=-", "PYO3_NO_PYTHON=-", "PYO3_CONFIG_FILE=-"];
        let mut facts = facts("1.16.0", library("0.29.0", Some((3, 9))));
        assert_eq!((shown(&facts), embedding(&facts).config_file), (with(&unset).into_iter().map(str::to_owned).collect(), None));
        facts.user = vec![("PYO3_CONFIG_FILE".into(), "/f".into())];
        assert_eq!(shown(&facts), ["PYO3_CONFIG_FILE=/f", unset[0], unset[1]]);
        facts.backend = BackendVersion::SetuptoolsRust;
        assert!(unset.iter().take(2).all(|one| shown(&facts).contains(&(*one).to_owned())));
    }

    #[test]
    fn of_two_stable_abis_the_interpreter_chooses() {
        let abi = |kind, minimum| StableAbi { kind, minimum };
        let both = vec![abi(StableAbiKind::Abi3t, None), abi(StableAbiKind::Abi3, Some((3, 9)))];
        let mut facts = facts("1.16.0", Bindings::Pyo3Library { pyo3: "0.29.0".parse().unwrap(), stable_abis: both });
        let file = |facts: &Facts| pins(facts).config_file.map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned());
        assert_eq!(file(&facts).as_deref(), Some("pyo3-config-x86_64-unknown-linux-gnu-3.12-abi3.txt"));
        facts.identity = cpython("3.15.0");
        assert_eq!(file(&facts).as_deref(), Some("pyo3-config-x86_64-unknown-linux-gnu-3.15-abi3t.txt"));
        facts.identity = Identity { free_threaded: true, ..cpython("3.14.0") };
        assert_eq!(file(&facts), None);
    }

    #[test]
    fn the_signature_tells_free_threaded_from_1_16_on() {
        let mut free = facts("1.16.0", library("0.29.0", Some((3, 9))));
        free.identity = Identity { free_threaded: true, abiflags: "t".into(), ..cpython("3.13.0") };
        assert!(shown(&free).contains(&"PYO3_ENVIRONMENT_SIGNATURE=cpython-3.13t-64bit".to_owned()));
        assert!(shown(&free).contains(&"PYO3_CONFIG_FILE=-".to_owned()), "no abi3 without the GIL");
        free.backend = BackendVersion::Maturin("1.15.0".parse().unwrap());
        assert!(shown(&free).contains(&"PYO3_ENVIRONMENT_SIGNATURE=cpython-3.13-64bit".to_owned()));
    }

    #[test]
    fn programs_and_bindings_without_an_interpreter() {
        assert_eq!(shown(&facts("1.16.0", Bindings::Pyo3Program { pyo3: "0.29.0".parse().unwrap() })), with(&["PYO3_CONFIG_FILE=-"]));
        assert_eq!(shown(&facts("1.16.0", Bindings::WithoutInterpreter)), COMMON[..2]);
    }

    #[test]
    fn the_user_wins_with_setuptools_rust_and_loses_with_maturin() {
        let mut setuptools = facts("setuptools-rust", library("0.26.0", None));
        assert_eq!(
            shown(&setuptools),
            ["PYO3_PYTHON=/e/bin/python", "PYTHON_SYS_EXECUTABLE=/e/bin/python", "PYO3_BUILD_EXTENSION_MODULE=1"]
        );
        setuptools.user = vec![("PYO3_PYTHON".into(), "/my/python".into())];
        assert_eq!(shown(&setuptools)[0], "PYO3_PYTHON=/my/python");
        assert_eq!(pins(&setuptools).notes, ["PYO3_PYTHON=/my/python is set already and wins over /e/bin/python"]);
        let mut maturin = facts("1.16.0", library("0.29.0", None));
        maturin.user = vec![("PYO3_PYTHON".into(), "/my/python".into())];
        assert_eq!(shown(&maturin)[0], "PYO3_PYTHON=/e/bin/python");
        assert!(pins(&maturin).notes[0].contains("maturin uses /e/bin/python whatever is set"));
        maturin.user = vec![("PYO3_CONFIG_FILE".into(), "/f".into())];
        assert_eq!(shown(&maturin), ["PYO3_CONFIG_FILE=/f", "PYO3_BUILD_EXTENSION_MODULE=1"]);
    }

    #[test]
    fn the_config_file_is_what_maturin_writes() {
        let abi = StableAbi { kind: StableAbiKind::Abi3, minimum: Some((3, 9)) };
        assert_eq!(
            config_file_content(&cpython("3.12.1"), abi),
            "implementation=CPython\nversion=3.9\ntarget_abi=CPython-abi3-3.9\nshared=true\nbuild_flags=\nsuppress_build_script_link_lines=false"
        );
    }
}
