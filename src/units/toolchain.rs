//! The compiler as an input: a digest of its programs, its libraries and the standard library.
//!
//! `rustc -vV` is no identity: a distribution's rebuild, a linked toolchain or a compiler under
//! work says the same. A script, or rustup's proxy, is not the compiler itself: a script is refused
//! (it may do anything), and of a proxy the toolchain that it leads to is taken.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::call::{Call, Unjudged};
use super::digests::Digests;
use super::store::{self, Store};
use crate::digest;
use crate::process::Cmd;

/// Where a compiler has its files, by the path it is called by and the variables of rustup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Place {
    /// Digest of the program that was asked.
    program: String,
    sysroot: PathBuf,
}

/// A call's compiler.
#[derive(Debug, Clone)]
pub struct Toolchain {
    /// Of all that it is made of.
    pub digest: String,
    pub sysroot: PathBuf,
}

impl Toolchain {
    pub fn of(call: &Call, store: &Store, digests: &mut Digests) -> Result<Self, Unjudged> {
        let sysroot = sysroot(call.rustc(), store, digests)?;
        let mut files: Vec<PathBuf> = Vec::new();
        for program in &call.programs {
            let real = crate::fs::canonicalize(&found_in_path(program))
                .map_err(|_error| Unjudged::Unreadable(program.clone()))?;
            if is_script(&real) {
                return Err(Unjudged::Program(program.display().to_string()));
            }
            let own = sysroot.join("bin").join(program.file_name().unwrap_or_default());
            let is_proxy =
                real.file_stem().is_some_and(|name| name.to_string_lossy().starts_with("rustup"));
            if own.is_file()
                && !is_proxy
                && crate::fs::canonicalize(&own).ok().as_ref() != Some(&real)
            {
                // It leads to the compiler, and may do more than that.
                return Err(Unjudged::Program(program.display().to_string()));
            }
            files.push(if own.is_file() { own } else { real });
        }
        // Debian has the libraries next to those of the system.
        let mut has_driver = false;
        let bin = files.last().and_then(|rustc| rustc.parent()).map(Path::to_path_buf);
        for directory in [Some(sysroot.join("lib")), multiarch(&sysroot), bin].into_iter().flatten()
        {
            for path in listed(&directory) {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let is_driver = name.contains("rustc_driver");
                if is_driver
                    || name.contains("LLVM")
                        && (name.contains(".so")
                            || name.contains(".dylib")
                            || name.contains(".dll"))
                {
                    has_driver |= is_driver;
                    files.push(path.clone());
                }
            }
        }
        if !has_driver {
            return Err(Unjudged::Compiler(format!(
                "no librustc_driver in `{}`",
                sysroot.join("lib").display()
            )));
        }
        files.extend(standard_library(&sysroot, call.target.as_deref()));
        files.sort();
        files.dedup();
        let mut hasher = digest::Hasher::default();
        for file in &files {
            let Some(digest) = digests.file(file) else {
                return Err(Unjudged::Unreadable(file.clone()));
            };
            hasher.field(file.as_os_str().as_encoded_bytes()).field(digest.as_bytes());
        }
        Ok(Self { digest: hasher.finish(), sysroot })
    }

    /// Whether a file is one of the standard library's, which the digest has.
    pub fn has(&self, path: &Path) -> bool {
        path.starts_with(self.sysroot.join("lib/rustlib"))
    }
}

/// The libraries of one target, or of all that are installed where the target is the compiler's
/// own; and the programs that come with them, a linker among them.
fn standard_library(sysroot: &Path, target: Option<&str>) -> Vec<PathBuf> {
    let rustlib = sysroot.join("lib/rustlib");
    let mut found = Vec::new();
    for directory in listed(&rustlib) {
        let is_target =
            target.is_none_or(|target| directory.file_name().is_some_and(|name| name == target));
        if is_target {
            found.extend(listed(&directory.join("lib")));
        }
        let programs = directory.join("bin");
        found.extend(listed(&programs));
        found.extend(listed(&programs.join("gcc-ld")));
        found.extend(listed(&programs.join("self-contained")));
        found.extend(listed(&directory.join("lib/self-contained")));
    }
    found.retain(|path| path.is_file());
    found
}

fn listed(directory: &Path) -> Vec<PathBuf> {
    fs_err::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .collect()
}

fn multiarch(sysroot: &Path) -> Option<PathBuf> {
    listed(&sysroot.join("lib"))
        .into_iter()
        .find(|path| path.is_dir() && path.to_string_lossy().ends_with("-linux-gnu"))
}

/// The sysroot of a compiler: next to its program, or where it says.
fn sysroot(rustc: &Path, store: &Store, digests: &mut Digests) -> Result<PathBuf, Unjudged> {
    let real = crate::fs::canonicalize(&found_in_path(rustc))
        .map_err(|_error| Unjudged::Unreadable(rustc.to_path_buf()))?;
    if is_script(&real) {
        return Err(Unjudged::Program(rustc.display().to_string()));
    }
    if let Some(root) = real.parent().and_then(Path::parent)
        && root.join("lib/rustlib").is_dir()
        && listed(&root.join("lib")).iter().any(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().contains("rustc_driver"))
        })
    {
        return Ok(root.to_path_buf());
    }
    let program = digests.file(&real).ok_or_else(|| Unjudged::Unreadable(real.clone()))?;
    let is_proxy =
        real.file_stem().is_some_and(|name| name.to_string_lossy().starts_with("rustup"));
    let memory = store.digests().join(format!("sysroot-{}.json", digest::short_of_path(&real)));
    let remembered = || serde_json::from_slice::<Place>(&fs_err::read(&memory).ok()?).ok();
    // Which toolchain a proxy leads to depends on the directory and on rustup's settings.
    if let Some(place) = remembered().filter(|place| !is_proxy && place.program == program) {
        return Ok(place.sysroot);
    }
    let said = Cmd::new(rustc)
        .args(["--print", "sysroot"])
        .quick_answer()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let sysroot = said.map(|text| PathBuf::from(text.trim_end())).filter(|path| path.is_dir());
    let sysroot = sysroot.ok_or_else(|| {
        Unjudged::Compiler(format!(
            "`{} --print sysroot` did not say where they are",
            rustc.display()
        ))
    })?;
    if !is_proxy {
        let place = Place { program, sysroot: sysroot.clone() };
        let _ = store::put(
            &memory,
            &serde_json::to_vec(&place).expect("our own plain data always serialises"),
        );
    }
    Ok(sysroot)
}

/// A program without a directory is looked for in `PATH`.
fn found_in_path(program: &Path) -> PathBuf {
    if program.components().count() > 1 {
        program.to_path_buf()
    } else {
        which::which(program).unwrap_or_else(|_error| program.to_path_buf())
    }
}

/// Whether a program is text for an interpreter.
pub fn is_script(program: &Path) -> bool {
    use std::io::Read as _;
    let mut start = [0; 2];
    fs_err::File::open(program)
        .and_then(|mut file| file.read_exact(&mut start))
        .is_ok_and(|()| start == *b"#!")
}
