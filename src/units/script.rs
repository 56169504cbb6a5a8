//! Build scripts that the user trusts to read what they declare, and no more:
//! `trusted-build-scripts`.
//!
//! In a new checkout cargo runs every local build script again, and what is above it is judged by
//! what it made. That is always right, and takes as long as the script: six seconds where one
//! compiles a large C file. For a trusted script its executable is replaced by one line of shell
//! that calls us. We compare what the script declared the last time (`rerun-if-changed` by content,
//! `rerun-if-env-changed` by value), the script itself and the variables that cargo gives it; if
//! all is what it was, its `OUT_DIR` and what it printed are put in place, and it does not run.
//! Where our program is gone, the line runs the script.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::path::{Component, Path, PathBuf};
use std::process::Stdio;
use std::time::{Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::call::Call;
use super::digests::Digests;
use super::entry::ABSENT;
use super::log::{Event, What};
use super::package::Package;
use super::plan::Plans;
use super::start::Start;
use super::store::{self, Store};
use super::{inputs, tree};
use crate::process::Cmd;
use crate::{digest, env_vars, fs};

/// Our first argument when a trusted script's place is taken.
pub const ARGUMENT: &str = "__build-script";

/// Version of the format.
const SCHEMA: u32 = 1;

/// Variables that cargo sets for build scripts, or that come from other scripts.
///
/// Source: <https://doc.rust-lang.org/cargo/reference/environment-variables.html#environment-variables-cargo-sets-for-build-scripts>
const PREFIXES: &[&str] = &[
    "CARGO_CFG_",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_FEATURE_",
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "DEP_",
];
const VARIABLES: &[&str] = &[
    "DEBUG",
    "HOST",
    "NUM_JOBS",
    "OPT_LEVEL",
    "OUT_DIR",
    "PROFILE",
    "RUSTC",
    "RUSTC_LINKER",
    "TARGET",
];

/// What one run of a script declared, and what it made.
#[derive(Debug, Serialize, Deserialize)]
struct Run {
    schema: u32,
    variables: BTreeMap<String, Option<String>>,
    /// By the state of what is there: see [`state`].
    paths: BTreeMap<PathBuf, String>,
    stdout: String,
    products: BTreeMap<String, Product>,
    seconds: f64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Product {
    Directory,
    Link { to: String },
    File { digest: String, is_executable: bool },
}

/// Puts our line in place of a trusted script's executable, which the call has just made.
#[cfg(unix)]
pub fn take_place(call: &Call) -> io::Result<()> {
    let executable = call.out_dir.join(call.stem());
    let real = executable.with_extension("real");
    let program = std::env::current_exe()?;
    fs_err::copy(&executable, &real)?;
    let quoted = |path: &Path| {
        shlex::try_quote(&path.to_string_lossy())
            .map(std::borrow::Cow::into_owned)
            .map_err(io::Error::other)
    };
    let program = quoted(&program)?;
    // Next to it, wherever the target directory is moved to; cargo calls it by a name in the same
    // directory.
    let real =
        format!("\"${{0%/*}}\"/{}", quoted(Path::new(real.file_name().unwrap_or_default()))?);
    let line = format!(
        "#!/bin/sh\n[ ! -x {program} ] || exec {program} {ARGUMENT} {real} \"$@\"\nexec {real} \"$@\"\n"
    );
    let mut file = tempfile::Builder::new().prefix(store::TEMPORARY).tempfile_in(&call.out_dir)?;
    file.write_all(line.as_bytes())?;
    file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    // Another process that runs it meanwhile runs the script.
    file.persist(&executable).map(drop).map_err(|error| error.error)
}

#[cfg(not(unix))]
pub fn take_place(_call: &Call) -> io::Result<()> {
    Ok(())
}

/// Runs a trusted script, or puts in place what it made before. `args`: the script and its
/// arguments. Returns the exit code.
pub fn run(args: &[OsString]) -> u8 {
    let Some((script, rest)) = args.split_first() else { return 2 };
    let script = Path::new(script);
    let start = Instant::now();
    let is_off = env_vars::get(env_vars::REUSE).is_some_and(|value| value == "off");
    let trusted = if is_off { None } else { Trusted::find(script) };
    let Some(trusted) = trusted else { return plainly(script, rest).0 };
    if let Some(run) = trusted.unchanged() {
        match trusted.restore(&run) {
            Ok(()) => {
                let _ = io::stdout().write_all(run.stdout.as_bytes());
                trusted.log(
                    What::SkippedScript { seconds_saved: run.seconds },
                    start.elapsed().as_secs_f64(),
                );
                return 0;
            }
            // It makes all of it again.
            Err(_) => drop(
                fs::remove_dir_all(&trusted.out_dir)
                    .and_then(|()| fs_err::create_dir_all(&trusted.out_dir)),
            ),
        }
    }
    let begun = SystemTime::now();
    let (code, stdout) = plainly(script, rest);
    if code == 0 {
        // Not kept, it runs again the next time.
        let _ = trusted.record(stdout, begun, start.elapsed().as_secs_f64());
    }
    code
}

/// Runs the script, handing on what it prints.
fn plainly(script: &Path, rest: &[OsString]) -> (u8, String) {
    let mut command = Cmd::new(script).args(rest).to_std();
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    crate::process::die_with_us(&mut command);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let _ =
                writeln!(io::stderr(), "error: failed to start `{}`: {error}", script.display());
            return (101, String::new());
        }
    };
    let mut bytes = Vec::new();
    let mut pipe = child.stdout.take().expect("piped above");
    let mut block = [0; 8192];
    while let Ok(read) = pipe.read(&mut block) {
        if read == 0 {
            break;
        }
        let _ = io::stdout().write_all(&block[..read]);
        bytes.extend_from_slice(&block[..read]);
    }
    let code = child
        .wait()
        .ok()
        .and_then(|status| status.code())
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(101);
    (code, String::from_utf8(bytes).unwrap_or_default())
}

/// Compilers that scripts call without declaring them, where no variable names another.
const COMPILERS: &[&str] = &["c++", "cc", "clang", "clang++", "cl", "g++", "gcc"];

/// The C compilers that a script may call, by content: a newer one may make other code of the same
/// sources.
fn compilers(digests: &mut Digests) -> BTreeMap<PathBuf, Option<String>> {
    let named =
        env_vars::with_prefixes(&["CC", "CXX", "HOST_CC", "HOST_CXX", "TARGET_CC", "TARGET_CXX"]);
    // `ccache gcc` names two.
    let words = named
        .into_iter()
        .flat_map(|(_, value)| value.split_whitespace().map(PathBuf::from).collect::<Vec<_>>());
    let programs = words
        .chain(COMPILERS.iter().map(PathBuf::from))
        .filter_map(|program| which::which(program).ok());
    programs.map(|program| (program.clone(), digests.file(&program))).collect()
}

struct Trusted {
    package: Package,
    out_dir: PathBuf,
    store: Store,
    directory: PathBuf,
}

impl Trusted {
    /// `None`: it cannot be known what the script depends on.
    fn find(script: &Path) -> Option<Self> {
        let package = Package::of_build_script()?;
        let out_dir = PathBuf::from(env_vars::get_os("OUT_DIR")?);
        let store = Store::find()?;
        let plans = Plans::load(&store);
        let mut hasher = digest::Hasher::default();
        hasher.field(&SCHEMA.to_le_bytes()).field(digest::file(script).ok()?.as_bytes());
        hasher.field(std::env::current_dir().ok()?.as_os_str().as_encoded_bytes());
        for (name, value) in env_vars::with_prefixes(PREFIXES) {
            hasher.field(name.as_bytes()).field(value.as_bytes());
        }
        for name in VARIABLES {
            hasher
                .field(name.as_bytes())
                .field(env_vars::raw(name).unwrap_or_default().as_encoded_bytes());
        }
        let settings = plans.current_with(&package.directory).ok()?;
        if !settings.iter().any(|plan| plan.trusted_build_scripts.contains(&package.name)) {
            return None;
        }
        let mut digests = Digests::default();
        for (path, state) in inputs::matched(&settings, &mut digests).ok()? {
            hasher.field(path.as_os_str().as_encoded_bytes()).field(state.as_bytes());
        }
        for (program, digest) in compilers(&mut digests) {
            hasher
                .field(program.as_os_str().as_encoded_bytes())
                .field(digest.unwrap_or_default().as_bytes());
        }
        let directory = store.scripts().join(&package.name).join(&hasher.finish()[..32]);
        Some(Self { package, out_dir, store, directory })
    }

    /// An earlier run whose declared inputs are all what they were.
    fn unchanged(&self) -> Option<Run> {
        let runs = self.store.listed(&self.directory).map(|entry| entry.path());
        let mut runs = runs.filter_map(|path| {
            Some((serde_json::from_slice::<Run>(&store::read_small(&path)?).ok()?, path))
        });
        let mut digests = Digests::default();
        let mut is_same = |run: &Run| {
            run.schema == SCHEMA
                && run.variables.iter().all(|(name, value)| value_of(name) == *value)
                && run
                    .paths
                    .iter()
                    .all(|(path, then)| state(path, &mut digests).as_ref() == Some(then))
        };
        let (run, path) = runs.find(|(run, _)| is_same(run))?;
        self.store.used(&path);
        Some(run)
    }

    fn restore(&self, run: &Run) -> io::Result<()> {
        let files = run.products.values().filter_map(|product| match product {
            Product::File { digest, .. } => Some(digest),
            _ => None,
        });
        for digest in files {
            fs_err::metadata(self.store.blob(digest))?;
        }
        let is_below = |name: &String| {
            Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
        };
        if !run.products.keys().all(is_below) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        fs::remove_dir_all(&self.out_dir)?;
        fs_err::create_dir_all(&self.out_dir)?;
        for (name, product) in &run.products {
            let path = self.out_dir.join(name);
            match product {
                Product::Directory => fs_err::create_dir_all(&path)?,
                Product::Link { to } => link(to, &path)?,
                Product::File { digest, is_executable } => {
                    if !self.store.restore(digest, &path, *is_executable)? {
                        return Err(io::ErrorKind::NotFound.into());
                    }
                }
            }
        }
        Ok(())
    }

    fn record(&self, stdout: String, begun: SystemTime, seconds: f64) -> io::Result<()> {
        let Some(declared) = Declared::read(&stdout) else { return Ok(()) };
        let mut digests = Digests::default();
        let mut paths = BTreeMap::new();
        for path in declared.paths {
            if is_newer(&path, begun) {
                return Ok(());
            }
            let Some(state) = state(&path, &mut digests) else { return Ok(()) };
            paths.insert(path, state);
        }
        // It has written outside `OUT_DIR` as well, which cannot be put in place.
        let is_source = |entry: &walkdir::DirEntry| {
            entry.depth() == 0 || !entry.file_type().is_dir() || !fs::is_made_by_tools(entry.path())
        };
        let start = Start::at(begun);
        let mut sources = walkdir::WalkDir::new(&self.package.directory)
            .into_iter()
            .filter_entry(is_source)
            .filter_map(Result::ok);
        if sources.any(|entry| entry.file_type().is_file() && start.is_newer(entry.path())) {
            return Ok(());
        }
        let mut products = BTreeMap::new();
        for entry in walkdir::WalkDir::new(&self.out_dir).min_depth(1) {
            let entry = entry.map_err(io::Error::other)?;
            let Some(name) = entry.path().strip_prefix(&self.out_dir).ok().and_then(Path::to_str)
            else {
                return Ok(());
            };
            let product = if entry.file_type().is_symlink() {
                let Some(to) = fs_err::read_link(entry.path())?.to_str().map(str::to_owned) else {
                    return Ok(());
                };
                Product::Link { to }
            } else if entry.file_type().is_dir() {
                Product::Directory
            } else {
                let is_executable =
                    tree::is_executable(&entry.metadata().map_err(io::Error::other)?);
                Product::File { digest: self.store.add(entry.path())?, is_executable }
            };
            products.insert(name.to_owned(), product);
        }
        let variables =
            declared.variables.into_iter().map(|name| (name.clone(), value_of(&name))).collect();
        let run = Run { schema: SCHEMA, variables, paths, stdout, products, seconds };
        let bytes = serde_json::to_vec(&run).expect("our own plain data always serialises");
        store::put(&self.directory.join(format!("{}.json", &digest::bytes(&bytes)[..16])), &bytes)
    }

    fn log(&self, what: What, seconds: f64) {
        Event::new(&self.package, true, "build-script-run".to_owned(), false, what, seconds)
            .write(&self.store);
    }
}

/// The digests of what a kept run made.
pub fn products(kept: &[u8]) -> Vec<String> {
    let run = serde_json::from_slice::<Run>(kept).ok();
    let products = run.into_iter().flat_map(|run| run.products.into_values());
    products
        .filter_map(|product| match product {
            Product::File { digest, .. } => Some(digest),
            _ => None,
        })
        .collect()
}

/// The value of a variable as it is kept: that of a secret one by its digest.
fn value_of(name: &str) -> Option<String> {
    env_vars::raw(name).map(|value| super::entry::shown(name, &value.to_string_lossy()))
}

/// What a script said that it reads. `None`: nothing, so that cargo looks at the whole package; or
/// what is no text.
struct Declared {
    paths: Vec<PathBuf>,
    variables: Vec<String>,
}

impl Declared {
    fn read(stdout: &str) -> Option<Self> {
        let mut declared = Self { paths: Vec::new(), variables: Vec::new() };
        for line in stdout.lines() {
            let Some(line) = line.strip_prefix("cargo:") else { continue };
            let line = line.trim_start_matches(':');
            if let Some(path) = line.strip_prefix("rerun-if-changed=") {
                declared.paths.push(std::path::absolute(path).ok()?);
            } else if let Some(name) = line.strip_prefix("rerun-if-env-changed=") {
                declared.variables.push(name.to_owned());
            }
        }
        (!declared.paths.is_empty() || !declared.variables.is_empty()).then_some(declared)
    }
}

/// The state of a declared path: a file by content, a directory with all in it.
fn state(path: &Path, digests: &mut Digests) -> Option<String> {
    match fs_err::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(ABSENT.to_owned()),
        Err(_) => None,
        Ok(metadata) if metadata.is_dir() => {
            tree::whole(path, digests).map(|files| digest::json(&files))
        }
        Ok(_) => digests.file(path),
    }
}

/// Whether something there was written to after the script began.
fn is_newer(path: &Path, begun: SystemTime) -> bool {
    let start = Start::at(begun);
    walkdir::WalkDir::new(path)
        .into_iter()
        .filter_map(Result::ok)
        .any(|entry| start.is_newer(entry.path()))
}

#[cfg(unix)]
fn link(to: &str, path: &Path) -> io::Result<()> {
    fs_err::os::unix::fs::symlink(to, path)
}

#[cfg(not(unix))]
fn link(_to: &str, _path: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)] // the paths are
    fn what_a_script_declares() {
        let declared = Declared::read("cargo:rerun-if-changed=/p/a\ncargo::rerun-if-env-changed=CC\ncargo:rustc-cfg=x\nnoise\n").unwrap();
        assert_eq!(
            (declared.paths, declared.variables),
            (vec!["/p/a".into()], vec!["CC".to_owned()])
        );
        assert!(Declared::read("cargo:rustc-cfg=x").is_none());
    }

    #[test]
    fn the_state_of_a_path() {
        let dir = tempfile::tempdir().unwrap();
        let now = || state(&dir.path().join("d"), &mut Digests::default()).unwrap();
        let mut states = vec![now()];
        let mut changes = |change: &dyn Fn()| {
            change();
            assert!(!states.contains(&now()));
            states.push(now());
        };
        changes(&|| fs_err::create_dir(dir.path().join("d")).unwrap());
        changes(&|| fs_err::write(dir.path().join("d/x"), "1").unwrap());
        changes(&|| fs_err::write(dir.path().join("d/x"), "2").unwrap());
    }
}
