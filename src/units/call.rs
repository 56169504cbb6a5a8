//! One rustc call as cargo makes it: the command line, parsed with an allow-list.
//!
//! An argument that is not on the list may read or write something that we would not notice, so a
//! call that has one is passed through to rustc untouched. What the list knows is in [`FLAGS`],
//! [`CODEGEN`], [`UNSTABLE`] and [`link_arguments`]; rustc's own lists are in
//! <https://github.com/rust-lang/rust/blob/1.95.0/compiler/rustc_session/src/options.rs> and
//! <https://github.com/rust-lang/rust/blob/1.95.0/compiler/rustc_session/src/config.rs>.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::link_arguments::{self, has_word};

/// Why a call is passed through. Not an error: rustc then runs as if we were not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unjudged {
    /// cargo asks the compiler about itself, or a build script tries something out.
    #[error("it is a query to the compiler, not a crate")]
    Probe,
    #[error("the argument `{0}` is not known to be safe")]
    Argument(String),
    #[error("`{0}` wraps rustc, and its inputs are unknown")]
    Program(String),
    #[error("the compiler's own files were not found: {0}")]
    Compiler(String),
    #[error("the inputs of the linker are unknown: {0}")]
    Linker(String),
    #[error("the procedural macro `{name}` may read undeclared inputs{}", hint_of(.reads.as_ref()))]
    Macro { name: String, reads: Option<String> },
    #[error("the native code linked into `{0}` is unknown: it was compiled without our wrapper")]
    Closure(String),
    #[error("the native libraries in `{}` are too many to compare", .0.display())]
    NativeLibraries(PathBuf),
    #[error("`{}` could not be read", .0.display())]
    Unreadable(PathBuf),
    #[error("the settings in `{}` changed after they were read", .0.display())]
    Settings(PathBuf),
}

fn hint_of(reads: Option<&String>) -> String {
    reads.map(|reads| format!(": it reads {reads}")).unwrap_or_default()
}

/// A call that compiles, checks or lints one crate.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// The programs before the arguments: `[rustc]`, or `[clippy-driver, rustc]`.
    pub programs: Vec<PathBuf>,
    /// As they were given, for running it.
    pub given: Vec<OsString>,
    /// All arguments but those in `presentation`; response files expanded.
    pub arguments: Vec<String>,
    /// Arguments that decide how messages look, and nothing else.
    pub presentation: Vec<String>,
    pub crate_name: String,
    pub out_dir: PathBuf,
    pub crate_types: BTreeSet<String>,
    /// `dep-info`, `metadata`, `link`, ...
    pub emit: BTreeSet<String>,
    pub extra_filename: String,
    /// `--test`: a program, whatever the crate types.
    pub is_test: bool,
    pub externs: Vec<Extern>,
    /// `-L`.
    pub search: Vec<Search>,
    /// `-l`.
    pub libraries: Vec<String>,
    pub target: Option<String>,
    pub linker: Option<String>,
    pub link_arguments: Vec<String>,
    /// Files that an argument names and that are read: a target specification, a profile, a
    /// linker's script.
    pub files: Vec<PathBuf>,
    pub incremental: Option<PathBuf>,
    /// `-C target-cpu=native`.
    pub native_cpu: bool,
    /// `-C linker-plugin-lto`, as cargo has it for libraries that go into something with LTO: they
    /// are made of bitcode alone.
    pub is_bitcode: bool,
}

/// `--extern [modifiers:]name[=path]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extern {
    pub name: String,
    /// None for what comes with the compiler, such as `proc_macro`.
    pub path: Option<PathBuf>,
}

/// `-L [kind=]path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    pub kind: String,
    pub path: PathBuf,
}

/// Flags with a value that the allow-list knows, without their dashes.
const FLAGS: &str = "\
    allow cap-lints cfg check-cfg codegen color crate-name crate-type deny diagnostic-width edition emit error-format extern forbid \
    force-warn json out-dir remap-path-prefix target warn";

/// Those of them that only decide how messages look.
const PRESENTATION: &[&str] = &["color", "diagnostic-width", "error-format", "json"];

/// Codegen options that neither read nor write files beyond what we look at by name below.
const CODEGEN: &str = "\
    code-model codegen-units collapse-macro-debuginfo control-flow-guard debug-assertions debuginfo default-linker-libraries \
    dwarf-version embed-bitcode extra-filename force-frame-pointers force-unwind-tables incremental inline-threshold \
    instrument-coverage jump-tables link-arg link-args link-dead-code link-self-contained linker linker-features linker-flavor \
    linker-plugin-lto lto metadata no-prepopulate-passes no-redzone no-vectorize-loops no-vectorize-slp opt-level overflow-checks \
    panic prefer-dynamic profile-generate profile-use relocation-model relro-level rpath soft-float split-debuginfo strip \
    symbol-mangling-version target-cpu target-feature";

/// Unstable options of which the same is true. The nightly cargo sets the first four by itself.
const UNSTABLE: &str = "\
    embed-metadata checksum-hash-algorithm binary-dep-depinfo unstable-options allow-features coverage-options macro-backtrace \
    mir-opt-level next-solver no-embed-metadata panic-abort-tests polonius share-generics threads no-parallel-backend \
    hint-mostly-unused";

/// What `--emit` may ask for; with a path behind it, it may be written anywhere.
const EMIT: &[&str] = &["asm", "dep-info", "link", "llvm-bc", "llvm-ir", "metadata", "mir", "obj"];

/// Crates that come with the compiler, which `--extern` names without a path.
const FROM_SYSROOT: &[&str] = &["alloc", "core", "proc_macro", "std", "test"];

impl Call {
    /// Reads a command line: all arguments that we were called with, our own name not among them.
    pub fn parse(command: &[OsString]) -> Result<Self, Unjudged> {
        let count = command.iter().take_while(|word| !starts_arguments(word)).count();
        let (programs, given) = command.split_at(count);
        let mut call = Self {
            programs: programs.iter().map(PathBuf::from).collect(),
            given: given.to_vec(),
            ..Self::default()
        };
        call.check_programs()?;
        let words = expanded(given)?;
        call.read(&words)?;
        Ok(call)
    }

    /// Whether it is clippy that is called.
    pub fn is_clippy(&self) -> bool {
        self.programs.len() == 2
    }

    /// The compiler proper.
    pub fn rustc(&self) -> &Path {
        self.programs.last().expect("checked when it was parsed")
    }

    /// Whether a linker makes something of it.
    pub fn is_linked(&self) -> bool {
        self.emit.contains("link")
            && (self.is_test
                || self
                    .crate_types
                    .iter()
                    .any(|kind| matches!(kind.as_str(), "bin" | "cdylib" | "dylib" | "proc-macro")))
    }

    /// Whether what other crates are made of is copied into what it makes.
    pub fn bundles_its_dependencies(&self) -> bool {
        self.is_linked() || (self.emit.contains("link") && self.crate_types.contains("staticlib"))
    }

    /// What the names of its files begin with, up to the first dot: `serde-0123456789abcdef`;
    /// libraries have `lib` before it.
    pub fn stem(&self) -> String {
        format!("{}{}", self.crate_name, self.extra_filename)
    }

    /// Whether cargo is to be told about artifacts as they are finished.
    pub fn announces_artifacts(&self) -> bool {
        let values =
            self.presentation.iter().filter_map(|argument| argument.strip_prefix("--json="));
        values.flat_map(|value| value.split(',')).any(|value| value == "artifacts")
    }

    fn check_programs(&self) -> Result<(), Unjudged> {
        let name =
            |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let names: Vec<String> = self.programs.iter().map(name).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match names.as_slice() {
            ["rustc"] | ["clippy-driver", "rustc"] => Ok(()),
            [other, ..] => Err(Unjudged::Program((*other).to_owned())),
            [] => Err(Unjudged::Probe),
        }
    }

    fn read(&mut self, words: &[String]) -> Result<(), Unjudged> {
        let mut words = words.iter();
        let mut inputs = 0;
        while let Some(word) = words.next() {
            if word == "-" {
                return Err(Unjudged::Probe);
            }
            if let Some(long) = word.strip_prefix("--") {
                self.long(word, long, &mut words)?;
            } else if let Some(short) = word.strip_prefix('-') {
                self.short(word, short, &mut words)?;
            } else {
                inputs += 1;
                self.arguments.push(word.clone());
            }
        }
        if inputs != 1
            || self.crate_name.is_empty()
            || self.out_dir.as_os_str().is_empty()
            || !self.emit.contains("dep-info")
        {
            return Err(Unjudged::Probe);
        }
        // A linker would need a plugin for it, which we do not look at.
        if self.is_bitcode && self.is_linked() {
            return Err(Unjudged::Argument("-Clinker-plugin-lto".to_owned()));
        }
        // Objects that stay may have names that do not tell whose they are.
        let has = |start: &str| self.arguments.iter().any(|argument| argument.starts_with(start));
        if has("-Csplit-debuginfo=unpacked") && has("-Clto") {
            return Err(Unjudged::Argument("-Csplit-debuginfo=unpacked".to_owned()));
        }
        Ok(())
    }

    fn long<'a>(
        &mut self,
        word: &str,
        long: &str,
        words: &mut impl Iterator<Item = &'a String>,
    ) -> Result<(), Unjudged> {
        if long == "test" {
            self.is_test = true;
            self.arguments.push(word.to_owned());
            return Ok(());
        }
        let (flag, value) = match long.split_once('=') {
            Some((flag, value)) => (flag, value.to_owned()),
            None if matches!(long, "print" | "version" | "help" | "explain") => {
                return Err(Unjudged::Probe);
            }
            None if has_word(FLAGS, long) => {
                (long, words.next().ok_or_else(|| Unjudged::Argument(word.to_owned()))?.clone())
            }
            None => return Err(Unjudged::Argument(word.to_owned())),
        };
        if flag == "print" {
            return Err(Unjudged::Probe);
        }
        if !has_word(FLAGS, flag) {
            return Err(Unjudged::Argument(word.to_owned()));
        }
        self.flag(flag, &value)
    }

    fn flag(&mut self, flag: &str, value: &str) -> Result<(), Unjudged> {
        let argument = format!("--{flag}={value}");
        if PRESENTATION.contains(&flag) {
            self.presentation.push(argument);
            return Ok(());
        }
        match flag {
            "codegen" => return self.codegen(value),
            "crate-name" => value.clone_into(&mut self.crate_name),
            "out-dir" => self.out_dir = PathBuf::from(value),
            "crate-type" => self.crate_types.extend(value.split(',').map(str::to_owned)),
            "emit" => {
                for kind in value.split(',') {
                    if !EMIT.contains(&kind) {
                        return Err(Unjudged::Argument(argument));
                    }
                    self.emit.insert(kind.to_owned());
                }
            }
            "extern" => self
                .externs
                .push(parse_extern(value).ok_or_else(|| Unjudged::Argument(argument.clone()))?),
            "target" => {
                if Path::new(value).extension().is_some_and(|ending| ending == "json") {
                    self.files.push(PathBuf::from(value));
                }
                self.target = Some(value.to_owned());
            }
            _ => {}
        }
        self.arguments.push(argument);
        Ok(())
    }

    fn short<'a>(
        &mut self,
        word: &str,
        short: &str,
        words: &mut impl Iterator<Item = &'a String>,
    ) -> Result<(), Unjudged> {
        if matches!(short, "g" | "O") {
            self.arguments.push(word.to_owned());
            return Ok(());
        }
        if matches!(short, "V" | "vV" | "Vv" | "v" | "h") {
            return Err(Unjudged::Probe);
        }
        let unknown = || Unjudged::Argument(word.to_owned());
        let mut letters = short.chars();
        let letter = letters.next().ok_or_else(unknown)?;
        let rest = letters.as_str();
        if !matches!(letter, 'A' | 'W' | 'D' | 'F' | 'C' | 'L' | 'l' | 'Z') {
            return Err(unknown());
        }
        let value = if rest.is_empty() {
            words.next().ok_or_else(unknown)?.clone()
        } else {
            rest.to_owned()
        };
        match letter {
            'C' => return self.codegen(&value),
            'L' => {
                let (kind, path) = value.split_once('=').unwrap_or(("all", &value));
                if !matches!(kind, "all" | "dependency" | "native" | "framework") {
                    return Err(Unjudged::Argument(format!("-L {value}")));
                }
                self.search.push(Search { kind: kind.to_owned(), path: PathBuf::from(path) });
            }
            'l' => self.libraries.push(value.clone()),
            'Z' => {
                let name = value.split('=').next().unwrap_or_default();
                if !has_word(UNSTABLE, name) {
                    return Err(Unjudged::Argument(format!("-Z {value}")));
                }
            }
            _ => {}
        }
        self.arguments.push(format!("-{letter}{value}"));
        Ok(())
    }

    fn codegen(&mut self, option: &str) -> Result<(), Unjudged> {
        let argument = format!("-C{option}");
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let name = name.replace('_', "-");
        if !has_word(CODEGEN, &name) {
            return Err(Unjudged::Argument(argument));
        }
        match name.as_str() {
            "extra-filename" => value.clone_into(&mut self.extra_filename),
            "incremental" => self.incremental = Some(PathBuf::from(value)),
            "linker" => self.linker = Some(value.to_owned()),
            "linker-flavor" if !matches!(value, "gcc" | "gnu-cc" | "gnu-lld-cc" | "darwin-cc") => {
                return Err(Unjudged::Argument(argument));
            }
            "link-arg" => self.link_argument(value)?,
            "link-args" => value.split_whitespace().try_for_each(|one| self.link_argument(one))?,
            "linker-plugin-lto" if !value.is_empty() => return Err(Unjudged::Argument(argument)),
            "linker-plugin-lto" => self.is_bitcode = true,
            "profile-use" => self.files.push(PathBuf::from(value)),
            "target-cpu" => self.native_cpu |= value == "native",
            _ => {}
        }
        self.arguments.push(argument);
        Ok(())
    }

    fn link_argument(&mut self, argument: &str) -> Result<(), Unjudged> {
        if !link_arguments::is_known(argument) {
            return Err(Unjudged::Argument(format!("-Clink-arg={argument}")));
        }
        // Wherever a file stands in it, it may be read.
        let pieces = argument.split([',', '=']).map(|piece| piece.trim_start_matches('@'));
        self.files.extend(pieces.map(PathBuf::from).filter(|path| path.is_file()));
        self.link_arguments.push(argument.to_owned());
        Ok(())
    }
}

/// Arguments begin with a dash, an `@` for a file of them, or a source file.
fn starts_arguments(word: &OsStr) -> bool {
    let bytes = word.as_encoded_bytes();
    bytes.first().is_some_and(|first| matches!(first, b'-' | b'@')) || bytes.ends_with(b".rs")
}

/// All arguments as text, with those of response files in their place: one per line, as rustc reads
/// them.
///
/// Source: <https://github.com/rust-lang/rust/blob/1.95.0/compiler/rustc_driver_impl/src/args.rs>
fn expanded(given: &[OsString]) -> Result<Vec<String>, Unjudged> {
    let mut words = Vec::with_capacity(given.len());
    for word in given {
        let text =
            word.to_str().ok_or_else(|| Unjudged::Argument(word.to_string_lossy().into_owned()))?;
        match text.strip_prefix('@') {
            Some(file) if !file.starts_with("shell:") => {
                let content = fs_err::read_to_string(file)
                    .map_err(|_error| Unjudged::Unreadable(PathBuf::from(file)))?;
                words.extend(content.lines().map(str::to_owned));
            }
            Some(_) => return Err(Unjudged::Argument(text.to_owned())),
            None => words.push(text.to_owned()),
        }
    }
    Ok(words)
}

/// `[modifier,...:]name[=path]`.
fn parse_extern(value: &str) -> Option<Extern> {
    let (name, path) = match value.split_once('=') {
        Some((name, path)) => (name, Some(PathBuf::from(path))),
        None => (value, None),
    };
    let name = match name.split_once(':') {
        Some((modifiers, name)) => {
            if !modifiers
                .split(',')
                .all(|modifier| matches!(modifier, "priv" | "noprelude" | "nounused" | "force"))
            {
                return None;
            }
            name
        }
        None => name,
    };
    // Without a path it is looked for, where we do not look.
    (path.is_some() || FROM_SYSROOT.contains(&name)).then(|| Extern { name: name.to_owned(), path })
}

#[cfg(test)]
mod tests;
