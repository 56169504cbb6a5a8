//! Pins: the variables with which a backend's cargo and plain cargo share artifacts, so that
//! neither dirties the other's PyO3.
//!
//! PyO3's build scripts register `rerun-if-env-changed` for what they read, so a plain `cargo test`
//! must see the very interpreter that maturin or setuptools-rust hand to cargo. [`pins`] decides
//! that, purely, from [`Facts`]; [`facts`] learns those. Each pin names the line that sets or reads
//! it.
//!
//! | backend | project | set |
//! |---|---|---|
//! | maturin | with PyO3 | `PYO3_PYTHON`, `PYTHON_SYS_EXECUTABLE`, `PYO3_ENVIRONMENT_SIGNATURE` |
//! | maturin | cffi, uniffi, plain program | `PYO3_PYTHON`, `PYTHON_SYS_EXECUTABLE`: cargo has what the hook has |
//! | others | any | `PYO3_PYTHON`, `PYTHON_SYS_EXECUTABLE` |
//!
//! `PYO3_PYTHON` is always the *environment's* python: build scripts import what the build
//! environment holds (maturin 1.6 took the base python and broke pydantic-core: <https://github.com/PyO3/maturin/issues/2133>).
//!
//! **What works without us works with us.** Backends tell their own cargo more:
//! `PYO3_BUILD_EXTENSION_MODULE`, with which nothing is linked with libpython; `PYO3_CONFIG_FILE`
//! for the stable ABI, which names the libpython of the oldest Python; `PYO3_NO_PYTHON`. Tests
//! and programs that start an interpreter cannot be linked then, so these are no pins: hooks have
//! them from their backend, and nobody else. (Where `Cargo.toml` turns PyO3's feature
//! `extension-module` on, its scripts do not look at the variable.) PyO3's own crates
//! are then another pair for the wheel than for tests. [`libpython`] says where programs find it
//! when they are run.
//!
//! No variable can fix these: other cargo features, crate types or rustc arguments than the
//! backend's.

pub(crate) mod facts;
pub(crate) mod libpython;

use std::path::PathBuf;

use pep508_rs::pep440_rs::Version;

use crate::interpreter::Identity;

const MATURIN_CODE: &str =
    "https://github.com/PyO3/maturin/blob/479658ad9bce22c6e4955b2e47182111c166e37c/src/compile.rs";
const SETUPTOOLS_RUST_CODE: &str = "https://github.com/PyO3/setuptools-rust/blob/a071606b75bfa0554573d79a964aed3cf17ac6d8/setuptools_rust/build.py#L717-L748";
const PYO3_CODE: &str = "https://github.com/PyO3/pyo3/blob/f168538672f2c32e32f7c1b702a502ee92de1edf/pyo3-build-config/src/impl_.rs#L2649-L2656";

/// What the pins are decided from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Facts {
    /// The environment's python, as it is run: the string is what cargo compares.
    pub python: PathBuf,
    pub identity: Identity,
    pub backend: BackendVersion,
    pub bindings: Bindings,
    /// `PYO3_*` and `PYTHON_SYS_EXECUTABLE` of the user's own environment.
    pub user: Vec<(String, String)>,
}

/// The backend in the build environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BackendVersion {
    Maturin(Version),
    SetuptoolsRust,
    Other,
}

/// How the crate talks to Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bindings {
    /// With PyO3.
    Pyo3,
    /// cffi, uniffi, a plain program.
    WithoutInterpreter,
    /// cargo could not be asked.
    Unknown,
}

/// One variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pin {
    pub name: &'static str,
    pub value: String,
    /// The line that sets or reads it.
    pub source: String,
}

/// The pins, in order, and what the user should know of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pins {
    pub variables: Vec<Pin>,
    /// Variables of the user's that win, or that lose although they are set; one sentence each.
    pub notes: Vec<String>,
}

impl Pins {
    fn set(&mut self, name: &'static str, value: impl Into<String>, source: impl Into<String>) {
        self.variables.push(Pin { name, value: value.into(), source: source.into() });
    }

    /// As variables for a child: name and value.
    pub(crate) fn environ(&self) -> impl Iterator<Item = (String, String)> {
        self.variables.iter().map(|pin| (pin.name.to_owned(), pin.value.clone()))
    }
}

/// Decides the pins.
pub(crate) fn pins(facts: &Facts) -> Pins {
    match (&facts.backend, facts.bindings) {
        // maturin sets nothing without PyO3 and hands its own environment on, in which every hook
        // has these two.
        (BackendVersion::Maturin(_), Bindings::WithoutInterpreter) | (BackendVersion::Other, _) => {
            python_pins(facts, PYO3_CODE)
        }
        (BackendVersion::Maturin(version), Bindings::Pyo3 | Bindings::Unknown) => {
            maturin(facts, version)
        }
        (BackendVersion::SetuptoolsRust, _) => python_pins(facts, SETUPTOOLS_RUST_CODE),
    }
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
            pins.notes
                .push(format!("{name}={value} is already set, and takes precedence over {ours}"));
            pins.set(name, value, "set by the user");
        }
        _ => pins.set(name, ours, source),
    }
}

/// maturin overrides what the user has set: the hook's cargo gets maturin's values whatever we say,
/// so `run` must, too.
fn maturin(facts: &Facts, version: &Version) -> Pins {
    let mut pins = Pins::default();
    if let Some(file) = user(facts, "PYO3_CONFIG_FILE") {
        // maturin then counts the interpreter as not runnable and sets none of its variables.
        pins.notes.push(format!(
            "PYO3_CONFIG_FILE={file} is already set, and takes precedence over the interpreter"
        ));
        pins.set("PYO3_CONFIG_FILE", file, "set by the user");
        return pins;
    }
    let python = facts.python.to_string_lossy().into_owned();
    override_user(&mut pins, facts, "PYO3_PYTHON", python.clone(), "L897-L909");
    override_user(&mut pins, facts, "PYTHON_SYS_EXECUTABLE", python, "L912");
    override_user(
        &mut pins,
        facts,
        "PYO3_ENVIRONMENT_SIGNATURE",
        signature(&facts.identity, version),
        "L897-L909",
    );
    pins
}

fn override_user(pins: &mut Pins, facts: &Facts, name: &'static str, value: String, lines: &str) {
    if let Some(users) = user(facts, name).filter(|users| *users != value) {
        pins.notes.push(format!(
            "{name}={users} is set, but maturin ignores it and uses {value}; choose the \
                interpreter with `--python`"
        ));
    }
    pins.set(name, value, format!("{MATURIN_CODE}#{lines}"));
}

/// `cpython-3.12-64bit`. The width is literally that for every interpreter that runs; the ABI flags
/// are there from 1.16 on.
///
/// Source: <https://github.com/PyO3/maturin/blob/479658ad9bce22c6e4955b2e47182111c166e37c/src/python_interpreter/mod.rs#L511-L517>
fn signature(identity: &Identity, maturin: &Version) -> String {
    let (major, minor) = identity.major_minor();
    let has_flags = identity.implementation == "cpython" && *maturin >= Version::new([1, 16, 0]);
    let abiflags = if has_flags { identity.abiflags.as_str() } else { "" };
    format!("{}-{major}.{minor}{abiflags}-64bit", identity.implementation)
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
            user: vec![],
        }
    }

    fn shown(facts: &Facts) -> Vec<String> {
        pins(facts).environ().map(|(name, value)| format!("{name}={value}")).collect()
    }

    const COMMON: [&str; 3] = [
        "PYO3_PYTHON=/e/bin/python",
        "PYTHON_SYS_EXECUTABLE=/e/bin/python",
        "PYO3_ENVIRONMENT_SIGNATURE=cpython-3.12-64bit",
    ];

    #[test]
    fn the_interpreter_and_nothing_that_keeps_tests_from_being_linked() {
        assert_eq!(shown(&facts("1.16.0", Bindings::Pyo3)), COMMON);
        assert_eq!(shown(&facts("1.16.0", Bindings::Unknown)), COMMON);
        assert_eq!(shown(&facts("1.16.0", Bindings::WithoutInterpreter)), COMMON[..2]);
        assert_eq!(shown(&facts("setuptools-rust", Bindings::Pyo3)), COMMON[..2]);
        assert_eq!(shown(&facts("other", Bindings::Pyo3)), COMMON[..2]);
    }

    #[test]
    fn the_signature_tells_free_threaded_from_1_16_on() {
        let mut free = facts("1.16.0", Bindings::Pyo3);
        free.identity = Identity { free_threaded: true, abiflags: "t".into(), ..cpython("3.13.0") };
        assert!(
            shown(&free).contains(&"PYO3_ENVIRONMENT_SIGNATURE=cpython-3.13t-64bit".to_owned())
        );
        free.backend = BackendVersion::Maturin("1.15.0".parse().unwrap());
        assert!(shown(&free).contains(&"PYO3_ENVIRONMENT_SIGNATURE=cpython-3.13-64bit".to_owned()));
    }

    #[test]
    fn the_user_wins_with_setuptools_rust_and_loses_with_maturin() {
        let mut setuptools = facts("setuptools-rust", Bindings::Pyo3);
        setuptools.user = vec![("PYO3_PYTHON".into(), "/my/python".into())];
        assert_eq!(shown(&setuptools)[0], "PYO3_PYTHON=/my/python");
        assert_eq!(
            pins(&setuptools).notes,
            ["PYO3_PYTHON=/my/python is already set, and takes precedence over /e/bin/python"]
        );
        let mut maturin = facts("1.16.0", Bindings::Pyo3);
        maturin.user = vec![("PYO3_PYTHON".into(), "/my/python".into())];
        assert_eq!(shown(&maturin)[0], "PYO3_PYTHON=/e/bin/python");
        assert!(pins(&maturin).notes[0].contains("maturin ignores it and uses /e/bin/python"));
        maturin.user = vec![("PYO3_CONFIG_FILE".into(), "/f".into())];
        assert_eq!(shown(&maturin), ["PYO3_CONFIG_FILE=/f"]);
    }
}
