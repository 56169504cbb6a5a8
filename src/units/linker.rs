//! The linker as an input: which one it is, which files it reads, and which it looked for but did
//! not find.
//!
//! rustc calls a compiler driver (`cc`), which calls a linker. Both may read variables and files of
//! their own (specs, scripts, start files). So the driver and every linker that it may choose count
//! by digest, and the linker itself is asked what it read: `-Wl,--dependency-file`, which GNU ld,
//! gold, lld and mold know, and which leaves the output as it is. A driver that is a script
//! is not judged: what it does cannot be known.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::call::{Call, Unjudged};
use super::digests::Digests;
use super::store::{self, Store};
use super::toolchain::is_script;
use crate::process::Cmd;
use crate::{digest, env_vars};

/// Variables that drivers and linkers read. Found in their sources, and by watching `getenv`:
/// <https://gcc.gnu.org/onlinedocs/gcc/Environment-Variables.html>,
/// <https://sourceware.org/binutils/docs/ld/Environment.html>, <https://github.com/llvm/llvm-project/tree/main/lld>.
pub const VARIABLES: &[&str] = &[
    "BINUTILS_ROOT",
    "CCC_OVERRIDE_OPTIONS",
    "COMPILER_PATH",
    "DYLD_LIBRARY_PATH",
    "GCC_EXEC_PREFIX",
    "GCC_ROOT",
    "GNUTARGET",
    "IPHONEOS_DEPLOYMENT_TARGET",
    "LDEMULATION",
    "LD_PRELOAD",
    "LD_RUN_PATH",
    "LIB",
    "LIBPATH",
    "LIBRARY_PATH",
    "LLD_VERSION",
    "LPATH",
    "MACOSX_DEPLOYMENT_TARGET",
    "SDKROOT",
    "SOURCE_DATE_EPOCH",
    "TVOS_DEPLOYMENT_TARGET",
    "VCINSTALLDIR",
    "WATCHOS_DEPLOYMENT_TARGET",
    "XROS_DEPLOYMENT_TARGET",
    "ZERO_AR_DATE",
];

/// Variables that make a linker write more than its output.
pub const WRITES_MORE: &[&str] = &["LLD_REPRODUCE", "COLLECT_LTO_WRAPPER", "COLLECT_GCC_OPTIONS"];

/// Programs that a driver may call, by the names it looks for. gcc's `collect2` takes `real-ld` and
/// `collect-ld` before `ld`: <https://github.com/gcc-mirror/gcc/blob/releases/gcc-12.2.0/gcc/collect2.cc>, `real_ld_suffix`.
pub const TOOLS: &[&str] = &[
    "collect-ld",
    "collect2",
    "ld",
    "ld.bfd",
    "ld.gold",
    "ld.lld",
    "ld.mold",
    "ld64.lld",
    "lld",
    "lto-wrapper",
    "mold",
    "real-ld",
];

/// Files that a driver may read.
pub const DRIVER_FILES: &[&str] = &["liblto_plugin.so", "specs"];

/// How the names of libraries begin that linkers are made of.
const LINKER_LIBRARIES: &[&str] = &["libLLVM", "libbfd-", "libctf.so", "liblld"];

/// A linker, known well enough to be judged.
#[derive(Debug, Clone)]
pub struct Linker {
    /// Of the driver, of what it may call, and of what it reads of its own.
    pub digest: String,
    /// Directories that it searches by default, after those on its command line.
    directories: Vec<PathBuf>,
}

/// What a driver said of itself, kept as long as its program and the variables are what they were.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Answers {
    asked: String,
    tools: Vec<PathBuf>,
    /// Where it looks for libraries.
    directories: Vec<PathBuf>,
    /// Where it looks for programs, and for files that it reads itself.
    own_directories: Vec<PathBuf>,
}

impl Answers {
    /// Tools and files that are there now; one that has come since it was asked would be taken
    /// before the others.
    fn in_own_directories(&self) -> Vec<PathBuf> {
        let names = TOOLS.iter().chain(DRIVER_FILES);
        let all = names.flat_map(|name| {
            self.own_directories.iter().map(move |directory| directory.join(name))
        });
        all.filter(|path| path.is_file()).collect()
    }
}

impl Linker {
    /// The linker of a call that links.
    pub fn of(call: &Call, store: &Store, digests: &mut Digests) -> Result<Self, Unjudged> {
        if let Some(name) = WRITES_MORE.iter().find(|name| env_vars::get(name).is_some()) {
            return Err(Unjudged::Linker(format!("`{name}` is set")));
        }
        let driver = driver(call)?;
        let unreadable = || Unjudged::Unreadable(driver.clone());
        let real = crate::fs::canonicalize(&driver).map_err(|_error| unreadable())?;
        if is_script(&real) {
            return Err(Unjudged::Linker(format!("`{}` is a script", driver.display())));
        }
        if !is_compiler_driver(&real) {
            return Err(Unjudged::Linker(format!(
                "`{}` is not a known C compiler",
                real.display()
            )));
        }
        let program = digests.file(&real).ok_or_else(unreadable)?;
        let answers = answers(&driver, &program, store);
        let mut hasher = digest::Hasher::default();
        hasher.field(driver.as_os_str().as_encoded_bytes()).field(program.as_bytes());
        for tool in answers.tools.iter().chain(&answers.in_own_directories()) {
            if is_script(tool) {
                return Err(Unjudged::Linker(format!("`{}` is a script", tool.display())));
            }
            hasher
                .field(tool.as_os_str().as_encoded_bytes())
                .field(digests.file(tool).unwrap_or_default().as_bytes());
        }
        Ok(Self { digest: hasher.finish(), directories: answers.directories })
    }

    /// The directories that are searched for libraries, in their order.
    pub fn search(&self, call: &Call) -> Vec<PathBuf> {
        let mut search: Vec<PathBuf> = call
            .search
            .iter()
            .filter(|search| matches!(search.kind.as_str(), "native" | "all"))
            .map(|search| search.path.clone())
            .collect();
        // The driver hands on what stands behind `-Wl,` and `-Xlinker`.
        let mut arguments = call
            .link_arguments
            .iter()
            .flat_map(|argument| argument.strip_prefix("-Wl,").unwrap_or(argument).split(','))
            .filter(|argument| *argument != "-Xlinker");
        while let Some(argument) = arguments.next() {
            let directory = match argument
                .strip_prefix("--library-path")
                .or_else(|| argument.strip_prefix("-L"))
            {
                Some("") => arguments.next(),
                other => other.map(|directory| directory.trim_start_matches('=')),
            };
            search.extend(directory.map(PathBuf::from));
        }
        search.extend(env_vars::get_os("LIBRARY_PATH").iter().flat_map(std::env::split_paths));
        search.extend(self.directories.iter().cloned());
        search
    }
}

/// The arguments that make a linker say what it reads.
pub fn dependency_file_arguments(file: &Path) -> Vec<OsString> {
    // `-Wl` would split the path at a comma.
    let starts: &[&str] = if file.to_string_lossy().contains(',') {
        &["-Clink-arg=-Xlinker", "-Clink-arg=--dependency-file="]
    } else {
        &["-Clink-arg=-Wl,--dependency-file="]
    };
    let mut arguments: Vec<OsString> = starts.iter().map(OsString::from).collect();
    if let Some(last) = arguments.last_mut() {
        last.push(file);
    }
    arguments
}

/// The driver that rustc will call.
fn driver(call: &Call) -> Result<PathBuf, Unjudged> {
    let target = call.target.as_deref().unwrap_or_default();
    if cfg!(windows)
        || cfg!(target_os = "macos")
        || ["windows", "apple", "wasm", ".json", "-none", "uefi", "bpf", "nvptx"]
            .iter()
            .any(|one| target.contains(one))
    {
        return Err(Unjudged::Linker("it does not say so on this platform".to_owned()));
    }
    let name = call.linker.as_deref().unwrap_or("cc");
    if Path::new(name).components().count() > 1 {
        return Ok(PathBuf::from(name));
    }
    which::which(name).map_err(|_error| Unjudged::Linker(format!("`{name}` is not in PATH")))
}

/// Whether a program is named like gcc or clang, whatever comes before and after:
/// `x86_64-linux-gnu-gcc-12`, `clang++`.
fn is_compiler_driver(program: &Path) -> bool {
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = name
        .trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.' || letter == '-');
    let last = name.rsplit('-').next().unwrap_or(name);
    matches!(last, "gcc" | "g++" | "clang" | "clang++" | "cc" | "c++")
}

/// Which linkers a driver may call, and where it looks for libraries.
fn answers(driver: &Path, program: &str, store: &Store) -> Answers {
    let mut hasher = digest::Hasher::default();
    hasher.field(driver.as_os_str().as_encoded_bytes()).field(program.as_bytes());
    for name in ["COMPILER_PATH", "GCC_EXEC_PREFIX", "GCC_ROOT", "LIBRARY_PATH", "PATH"] {
        hasher.field(env_vars::get_os(name).unwrap_or_default().as_encoded_bytes());
    }
    let asked = hasher.finish();
    let memory = store.digests().join(format!("linker-{}.json", &asked[..16]));
    let remembered =
        fs_err::read(&memory).ok().and_then(|bytes| serde_json::from_slice::<Answers>(&bytes).ok());
    if let Some(answers) = remembered
        .filter(|answers| answers.asked == asked && answers.tools == tools(&answers.tools))
    {
        return answers;
    }
    let said = ask(driver, "-print-search-dirs").unwrap_or_default();
    let directories = search_directories(&said, "libraries");
    let mut own_directories = search_directories(&said, "programs");
    own_directories.extend(directories.iter().cloned());
    // `specs` is also looked for above the directory of the version.
    own_directories
        .extend(directories.iter().filter_map(|directory| Some(directory.parent()?.to_path_buf())));
    let mut tools = asked_tools(driver);
    tools.extend(directories.iter().flat_map(|directory| linker_libraries(directory)));
    let answers = Answers { asked, tools: self::tools(&tools), directories, own_directories };
    let _ = store::put(
        &memory,
        &serde_json::to_vec(&answers).expect("our own plain data always serialises"),
    );
    answers
}

fn linker_libraries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let is_one = |name: &str| {
        name.contains(".so") && LINKER_LIBRARIES.iter().any(|start| name.starts_with(start))
    };
    entries
        .filter(|entry| is_one(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect()
}

fn asked_tools(driver: &Path) -> Vec<PathBuf> {
    let programs = TOOLS.iter().map(|tool| format!("-print-prog-name={tool}"));
    let files = DRIVER_FILES.iter().map(|file| format!("-print-file-name={file}"));
    let said = programs.chain(files).filter_map(|question| ask(driver, &question));
    tools(&said.map(|text| PathBuf::from(text.trim_end())).collect::<Vec<_>>())
}

/// Where the tools are: a name alone is looked for in `PATH` each time, since another may have come
/// before it.
fn tools(named: &[PathBuf]) -> Vec<PathBuf> {
    let mut tools: Vec<PathBuf> = named
        .iter()
        .filter_map(|tool| {
            if tool.components().count() > 1 { Some(tool.clone()) } else { which::which(tool).ok() }
        })
        .filter(|tool| tool.is_file())
        .chain(TOOLS.iter().filter_map(|tool| which::which(tool).ok()))
        .collect();
    tools.sort();
    tools.dedup();
    tools
}

fn ask(driver: &Path, question: &str) -> Option<String> {
    String::from_utf8(Cmd::new(driver).arg(question).quick_answer()?).ok()
}

/// One line of `-print-search-dirs`, such as `libraries: =/usr/lib/gcc/...:/lib/`.
fn search_directories(text: &str, what: &str) -> Vec<PathBuf> {
    let line = text.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(": "));
    let list = line.map(|line| line.strip_prefix('=').unwrap_or(line)).unwrap_or_default();
    std::env::split_paths(list).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_are_known_by_their_names() {
        for (name, expected) in [
            ("cc", true),
            ("x86_64-linux-gnu-gcc-12", true),
            ("clang-19", true),
            ("aarch64-linux-gnu-g++", true),
            ("clang++-14", true),
            ("ccache", false),
            ("zig", false),
            ("ld", false),
            ("sccache", false),
        ] {
            assert_eq!(
                is_compiler_driver(Path::new("/usr/bin").join(name).as_path()),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    #[cfg(unix)] // the paths are
    fn directories_of_the_driver() {
        let text = "install: /usr/lib/gcc/x/12/\nprograms: =/a:/b\nlibraries: =/usr/lib/gcc/x/12/:/lib/x/\n";
        assert_eq!(
            search_directories(text, "libraries"),
            ["/usr/lib/gcc/x/12/", "/lib/x/"].map(PathBuf::from)
        );
        assert_eq!(search_directories(text, "programs"), ["/a", "/b"].map(PathBuf::from));
    }
}
