//! Every environment variable we read or set, in one list, and the one way to read them.
//!
//! Ours start with `PYENV_BUILD_` (`__PYENV_BUILD_` for internal ones). The prefix must not begin
//! with `CARGO`, `CC`, `CFLAGS`, `CXX`, `CMAKE` or `RUST`: Swatinem/rust-cache hashes variables
//! with those prefixes into its restore key, so such a name would make every cache cold
//! (<https://github.com/Swatinem/rust-cache/blob/6323deb/src/config.ts>, `envPrefixes`).

use std::ffi::OsString;
use std::path::PathBuf;

/// Interpreter to build for: a path, a name or a version.
pub(crate) const PYTHON: &str = "PYENV_BUILD_PYTHON";
/// Directory for environments, store and reports, instead of `<workspace root>/.pyenv-build`.
pub(crate) const ROOT: &str = "PYENV_BUILD_ROOT";
/// `uv`, `pip` or `auto`.
pub(crate) const INSTALLER: &str = "PYENV_BUILD_INSTALLER";
/// Seconds to wait for a lock before giving up.
pub(crate) const LOCK_TIMEOUT: &str = "PYENV_BUILD_LOCK_TIMEOUT";
/// Time after which build requirements are resolved again.
pub(crate) const MAX_AGE: &str = "PYENV_BUILD_MAX_AGE";

/// URL of a store that machines share.
pub(crate) const STORE: &str = "PYENV_BUILD_STORE";
/// Whether to write to it: `auto`, `always` or `never`.
pub(crate) const STORE_WRITE: &str = "PYENV_BUILD_STORE_WRITE";
/// Bearer token for a store at `https://`.
#[cfg(feature = "remote")]
pub(crate) const STORE_TOKEN: &str = "PYENV_BUILD_STORE_TOKEN";

/// What our GitHub Action has exported to later steps, as a JSON object; internal.
pub(crate) const EXPORTED: &str = "__PYENV_BUILD_EXPORTED";
/// Whether compiled crates are reused: `auto` or `off`.
pub(crate) const REUSE: &str = "PYENV_BUILD_REUSE";
/// Whether to keep rustc's incremental state: `auto`, `true` or `false`.
pub(crate) const INCREMENTAL: &str = "PYENV_BUILD_INCREMENTAL";

/// Where the wrapper writes what it did, a line for each call; internal, set for the commands that
/// we run.
pub(crate) const UNITS_LOG: &str = "__PYENV_BUILD_UNITS_LOG";
/// Our `store` directory, for the wrapper; internal.
pub(crate) const UNITS_STORE: &str = "__PYENV_BUILD_STORE";
/// Set if crates from registries are judged as local ones are: their outputs go to a store that
/// machines share; internal.
pub(crate) const ALL_CRATES: &str = "__PYENV_BUILD_ALL_CRATES";
/// The user's own `RUSTC_WRAPPER`, which is called behind ours; internal.
pub(crate) const INNER_WRAPPER: &str = "__PYENV_BUILD_INNER_WRAPPER";
/// Set while a wrapper of ours runs rustc, so that one that is called again by another does not
/// judge twice; internal.
pub(crate) const IN_WRAPPER: &str = "__PYENV_BUILD_IN_WRAPPER";

/// The wrapper does nothing of its own once this file is gone; internal.
pub(crate) const WHILE_EXISTS: &str = "__PYENV_BUILD_WHILE_EXISTS";
/// Whether commands in steps of GitHub Actions write to the step's summary: `true` or `false`.
pub(crate) const SUMMARY: &str = "PYENV_BUILD_SUMMARY";

/// Reads a variable; an empty or non-UTF-8 value counts as unset.
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub(crate) fn get(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Reads a variable whose value is a path or another string of the operating system; empty counts
/// as unset.
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub(crate) fn get_os(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Reads a variable as it is: set to nothing is set.
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub(crate) fn raw(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The home directory; without a variable, the one that the system has for this user, as cargo, uv
/// and pip look for it.
pub(crate) fn home() -> Option<PathBuf> {
    let named = get_os("HOME").or_else(|| get_os("USERPROFILE")).map(PathBuf::from);
    named.or_else(|| std::env::home_dir().filter(|home| !home.as_os_str().is_empty()))
}

/// All variables whose names begin with one of these, sorted.
pub(crate) fn with_prefixes(prefixes: &[&str]) -> Vec<(String, String)> {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    let all = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    let mut found: Vec<_> =
        all.filter(|(name, _)| prefixes.iter().any(|prefix| name.starts_with(prefix))).collect();
    found.sort();
    found
}

/// Whether a continuous integration service runs us. `CI` is set by all the common ones.
pub(crate) fn is_ci() -> bool {
    get("CI").is_some_and(|value| value != "false" && value != "0")
}
