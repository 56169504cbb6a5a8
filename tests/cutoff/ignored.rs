//! What calls look at that need not be in an entry, each with the reason.

use std::path::{Component, Path};

use pyenv_build::units::{inputs, linker};

use crate::strace::Access;

/// Variables that are in an entry whenever they are set, or with which nothing is recorded: the
/// lists of `src/units`.
pub(crate) fn listed(is_linked: bool, is_clippy: bool) -> impl Iterator<Item = &'static str> {
    let linker: [&[&str]; 2] =
        if is_linked { [linker::VARIABLES, linker::WRITES_MORE] } else { [&[], &[]] };
    let clippy = if is_clippy { inputs::CLIPPY_VARIABLES } else { &[] };
    let lists = [inputs::RUSTC_VARIABLES, inputs::CRATE_VARIABLES, linker[0], linker[1], clippy];
    lists.into_iter().flatten().copied()
}

/// Names, or starts of names that end in `*`; and why they need not be in an entry.
const VARIABLES: &[(&str, &str)] = &[
    ("RUSTC_LOG*", "what rustc logs: <https://rustc-dev-guide.rust-lang.org/tracing.html>"),
    ("RUST_BACKTRACE", "what a crash prints"),
    ("RUST_LIB_BACKTRACE", "what a crash prints"),
    ("RUSTC_CTFE_BACKTRACE", "what a crash prints: rustc_const_eval/src/interpret/eval_context.rs"),
    (
        "RUSTC_GRAPHVIZ_FONT",
        "the font of graphs that only `-Z dump-mir-graphviz` makes, which is not judged",
    ),
    (
        "RUST_MIN_STACK",
        "the size of threads' stacks: too small, and rustc crashes, which is not recorded",
    ),
    (
        "UNSTABLE_RUSTDOC_TEST_PATH",
        "the name of what comes from stdin, which is not judged: rustc_driver_impl, `make_input`",
    ),
    (
        "CI",
        "asked for when it is decided how messages look; cargo says that by --color and --error-format (a test compares outputs)",
    ),
    ("MALLOC_CONF", "settings of the allocator"),
    (
        "LLVM_IGNORED_ENV_VAR",
        "asked for and ignored, so that a C++ compiler keeps code: llvm/include/llvm/LinkAllPasses.h",
    ),
    ("CARGO_MAKEFLAGS", "how many may run at once"),
    ("MAKEFLAGS", "how many may run at once"),
    ("TMPDIR", "where temporary files are"),
    ("TEMP", "where temporary files are"),
    ("TMP", "where temporary files are"),
    ("TERM", "how messages look"),
    ("COLUMNS", "how messages look"),
    ("GCC_COLORS", "how messages look"),
    ("GCC_EXTRA_DIAGNOSTIC_OUTPUT", "how messages look"),
    ("GCC_COMPARE_DEBUG", "compares two compilations, and there is none: gcc is called to link"),
    ("COLLECT_GCC", "what gcc tells the programs that it calls"),
    ("LLD_IN_TEST", "how often lld links to test itself: lld/Common/DriverDispatcher.cpp"),
    ("FORCE_LLD_DIAGNOSTICS_CRASH", "makes lld crash, which is not recorded"),
    (
        "PATH",
        "which programs are called: they are looked for each time, and count by path and content",
    ),
    (
        "LD_LIBRARY_PATH",
        "GNU ld looks there for libraries that libraries need: those that it reads are in the entry",
    ),
    ("LLVM_PROFILE_*", "of what an instrumented procedural macro writes about itself"),
    ("LLVM_VP_*", "of what an instrumented procedural macro writes about itself"),
    ("__LLVM_PROFILE_RT_INIT_ONCE", "of what an instrumented procedural macro writes about itself"),
    ("COLLECT_NO_DEMANGLE", "how messages look"),
    ("LIBCTF_DEBUG", "what a library of GNU ld logs"),
    ("__PYENV_BUILD_*", "our own, in the process that becomes rustc"),
    ("PYENV_BUILD_*", "our own, in the process that becomes rustc"),
];

/// The same for variables of the cargo that clippy's lints ask about the workspace: what it answers
/// comes from manifests, the lock file and its configuration, which are in the entry, and from its
/// home, where packages do not change.
const CARGOS: &[&str] = &[
    "APP_SANDBOX_CONTAINER_ID",
    "CARGO_HOME",
    "CARGO_LOG",
    "CARGO_LOG_PROFILE",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLORTERM",
    "ConEmuANSI",
    "DOMTERM",
    "FORCE_HYPERLINK",
    "HOME",
    "KONSOLE_VERSION",
    "NO_COLOR",
    "OPENSSL_CONF",
    "OPENSSL_ia32cap",
    "RUSTUP_HOME",
    "SQLITE_TMPDIR",
    "SSLKEYLOGFILE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM_PROGRAM",
    "TF_BUILD",
    "VTE_VERSION",
    "WT_SESSION",
    "XDG_CONFIG_HOME",
    "__CARGO_*",
];

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

/// Why a variable that a program asked for is not in an entry.
pub(crate) fn variable(name: &str, program: &str) -> Option<&'static str> {
    if program == "cargo" && CARGOS.iter().any(|pattern| matches(pattern, name)) {
        return Some("it changes nothing about what cargo says of the packages");
    }
    VARIABLES.iter().find(|(pattern, _)| matches(pattern, name)).map(|(_, why)| *why)
}

/// What is around a call.
pub(crate) struct Place<'a> {
    pub out_dir: &'a Path,
    /// The name of the crate with its hash.
    pub stem: &'a str,
    pub sysroot: &'a Path,
    /// `TMPDIR`.
    pub temporary: &'a Path,
    /// The libraries that the loader gives to the programs of the call.
    pub loaded: &'a [std::path::PathBuf],
    /// Directories in which something is looked for that is in the entry.
    pub directories: &'a [std::path::PathBuf],
}

/// Why a file that a program looked at is not in an entry.
pub(crate) fn file(
    access: Access,
    path: &Path,
    program: &str,
    place: &Place<'_>,
) -> Option<&'static str> {
    let text = path.to_string_lossy();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let in_any =
        |directories: &[&str]| directories.iter().any(|directory| path.starts_with(directory));
    if path.starts_with(place.temporary) {
        return Some("a temporary file");
    }
    if name.starts_with(".tmp-")
        && path.parent().is_some_and(|folder| folder.ends_with(".pyenv-build/store/v1"))
    {
        return Some("our own, in which the linker says what it read; gone with the call");
    }
    if access != Access::Written && path.is_dir() {
        // In `-L` a crate is taken by its hash, a native library by name: then it is the candidates
        // that count.
        return Some("a directory on the way, or one that is listed");
    }
    if access == Access::Missing
        && place.directories.iter().any(|directory| directory.starts_with(path))
    {
        return Some(
            "a directory that would be searched if it were there: what could be found in it is in the entry",
        );
    }
    if in_any(&["/proc", "/sys", "/dev"]) {
        return Some(
            "the kernel's: the process itself, its memory and random numbers; the processor is in the entry where code is made for it",
        );
    }
    if ["/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/malloc.conf"].contains(&text.as_ref()) {
        return Some("of the loader and the allocator");
    }
    if in_any(&["/usr/lib/locale", "/usr/share/locale", "/usr/lib/x86_64-linux-gnu/gconv"])
        || text.starts_with("/usr/share/locale-langpack")
    {
        return Some("in which language messages are");
    }
    // The libraries of rustc and of the linker are in the entry by other ways.
    if place.loaded.iter().any(|library| library == path) {
        return Some("a library of the system that the loader gives to a program");
    }
    let is_loaded = |name: &str| {
        place.loaded.iter().any(|library| library.file_name().is_some_and(|one| one == name))
    };
    let profile = place.out_dir.parent().unwrap_or(place.out_dir);
    let is_searched_by_loader = path.starts_with(place.sysroot.join("lib"))
        || path.starts_with(profile)
        || path.starts_with(profile.with_file_name("deps"));
    if access == Access::Missing
        && is_searched_by_loader
        && (is_loaded(&name) || is_for_processors(path))
    {
        return Some(
            "where cargo has the loader look first for the libraries of rustc, which are in the entry: in `deps` and in the toolchain",
        );
    }
    let is_own = |stem: &str| {
        name.strip_prefix("lib").unwrap_or(&name).starts_with(stem) && name.ends_with(".rmeta")
    };
    if path.parent() == Some(place.out_dir) && is_own(place.stem) {
        return Some("what an earlier call may have left of the crate itself, which is removed");
    }
    if path.starts_with(place.sysroot.join("lib64")) {
        return Some(
            "a toolchain has its libraries in one of two places, and is installed as a whole",
        );
    }
    if access == Access::Written && path.starts_with(place.out_dir) && !path.exists() {
        return Some(
            "a temporary file beside the outputs: they are renamed, and objects are removed when they are linked",
        );
    }
    if path.starts_with(place.out_dir) && is_temporary(path) {
        return Some("in a temporary directory beside the outputs");
    }
    match program {
        "clippy-driver" | "rustc" if name == "cargo-pyenv-build" => {
            Some("our own, before it becomes rustc")
        }
        "cc" | "collect2" if ["cc", "gcc"].contains(&name.as_ref()) => Some(
            "the driver itself: it is looked for in PATH each time, and its path and content count",
        ),
        "collect2" if ["nm", "gnm", "strip", "gstrip"].contains(&name.as_ref()) => Some(
            "collect2 looks for them and calls them where constructors are to be collected by it, which ELF does not need",
        ),
        "ld.bfd" if name.starts_with("-l") && access == Access::Missing => {
            Some("a file that has the name of an option")
        }
        "cargo" => cargo(path),
        _ => None,
    }
}

/// What the cargo that clippy asks looks at.
fn cargo(path: &Path) -> Option<&'static str> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if path.extension().is_some_and(|ending| ending == "rs")
        || ["benches", "examples", "tests", "bin"].contains(&name.as_ref())
    {
        return Some("whether there is a file for a target: clippy's lints do not look at targets");
    }
    if ["gitconfig", ".gitconfig", ".git", "HEAD"].contains(&name.as_ref())
        || path.ends_with("git/config")
    {
        return Some("how git fetches, which `cargo metadata` need not");
    }
    if path.components().any(|part| matches!(part, Component::Normal(name) if ["certs", "ssl", "openssl"].iter().any(|one| name == *one))) {
        return Some("whom a connection trusts, and there is none");
    }
    if name == ".rustc_info.json" {
        return Some("what cargo remembers of the compiler");
    }
    if name.starts_with(".global-cache")
        || name.starts_with(".package-cache")
        || name == "credentials.toml"
        || name == "credentials"
    {
        return Some("how cargo keeps its home");
    }
    if ["cargo", "rustc", "rustup", "cargo-pyenv-build"].contains(&name.as_ref()) {
        return Some("programs: the compiler is in the entry, and cargo comes with it");
    }
    None
}

/// In a directory of rustc's for one call.
fn is_temporary(path: &Path) -> bool {
    let is_one = |name: &str| {
        ["rustc", "rmeta"]
            .iter()
            .any(|start| name.strip_prefix(start).is_some_and(|rest| rest.len() == 6))
    };
    path.iter().any(|part| part.to_str().is_some_and(is_one))
}

/// Directories with libraries for newer processors.
fn is_for_processors(path: &Path) -> bool {
    path.iter().any(|part| {
        ["glibc-hwcaps", "tls", "x86_64", "haswell", "avx512_1"].iter().any(|one| part == *one)
    })
}
