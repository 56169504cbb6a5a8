//! `--embed`: whether what cargo makes has an interpreter inside, as tests that start one do, and must be linked with libpython.
//!
//! An extension module is not linked with it, so its PyO3 is another one. Where both are compiled for one profile, the second gets
//! a build directory of its own.

use std::ffi::OsString;
use std::path::Path;

use clap::{Args, ValueEnum};

use super::failure::UsageError;
use super::warmth;
use crate::build_dirs;
use crate::cargo_records::Records;
use crate::env_vars;
use crate::interpreter::Identity;
use crate::layout::Layout;
use crate::pin::Pin;
use crate::project::Project;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Embed {
    /// If PyO3's feature `auto-initialize` is on, for tests or otherwise; but not for the crates that the wheel is made of
    #[default]
    Auto,
    True,
    False,
}

#[derive(Debug, Clone, Args)]
pub(super) struct EmbedArgs {
    /// Whether programs with an interpreter inside are built, such as tests that start one: they are linked with libpython, which an
    /// extension module is not [default: auto]
    #[arg(
        long,
        value_enum,
        value_name = "WHEN",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        help_heading = "Cargo"
    )]
    pub embed: Option<Embed>,
}

impl EmbedArgs {
    /// From the command line, or the project's settings.
    pub(super) fn wish(&self, project: &Project) -> anyhow::Result<Embed> {
        let set = project.settings.embed.as_ref().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        match (self.embed, set) {
            (Some(wish), _) => Ok(wish),
            (None, None) => Ok(Embed::default()),
            (None, Some(text)) => Ok(Embed::from_str(&text, true).map_err(|_reason| UsageError {
                message: format!("`{}`: `tool.pyenv-build.embed` is `{text}`", project.pyproject_path().display()),
                hint: Some("it can be `\"auto\"`, `true` or `false`".to_owned()),
            })?),
        }
    }
}

/// Whether a command is one for programs that embed Python. `embeds`: whether the workspace has any.
pub(super) fn decide(wish: Embed, embeds: bool, command: &[OsString], project: &Project, layout: &Layout) -> bool {
    match wish {
        Embed::True => true,
        Embed::False => false,
        // What is compiled for the wheel already stays the wheel's, unless it is for tests, which cannot be linked then.
        Embed::Auto => embeds && (runs_tests(command) || !is_the_wheels(&profile_of(command), project, layout)),
    }
}

fn is_the_wheels(profile: &str, project: &Project, layout: &Layout) -> bool {
    let records = warmth::tree_of(project, layout).ok().flatten().and_then(|tree| Records::read(&tree.build_directory).ok());
    records.is_some_and(|records| build_dirs::has_extension(&records, profile))
}

/// cargo's subcommand and all that follows, up to what is for the program that is run; empty for any other command.
fn cargo_words(command: &[OsString]) -> Vec<String> {
    const WITH_VALUE: &[&str] = &["--config", "--color", "-C", "-Z"];
    let is_cargo = command.first().is_some_and(|program| Path::new(program).file_stem().is_some_and(|name| name == "cargo"));
    if !is_cargo {
        return Vec::new();
    }
    let mut words: Vec<String> = command.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    words.truncate(words.iter().position(|word| word == "--").unwrap_or(words.len()));
    while words.first().is_some_and(|word| word.starts_with(['+', '-'])) {
        let taken = if WITH_VALUE.contains(&words[0].as_str()) { 2 } else { 1 };
        words.drain(..taken.min(words.len()));
    }
    words
}

/// Whether a command is cargo that compiles programs and runs them.
pub(super) fn runs_tests(command: &[OsString]) -> bool {
    let words = cargo_words(command);
    words.first().is_some_and(|word| matches!(word.as_str(), "test" | "t" | "nextest" | "bench" | "run" | "r" | "llvm-cov"))
}

/// The directory of the profile that a cargo command builds: `debug`, `release`.
pub(super) fn profile_of(command: &[OsString]) -> String {
    let words = cargo_words(command);
    // What nextest calls a profile is its own.
    let flag = if words.iter().take(2).any(|word| word == "nextest") { "--cargo-profile" } else { "--profile" };
    let named = words.iter().enumerate().find_map(|(at, word)| match word.as_str() {
        "--release" | "-r" => Some("release".to_owned()),
        word if word == flag => words.get(at + 1).cloned(),
        word => word.strip_prefix(flag)?.strip_prefix('=').map(str::to_owned),
    });
    let is_bench = words.first().is_some_and(|word| word == "bench");
    match named.as_deref() {
        None if is_bench => "release".to_owned(),
        None | Some("dev" | "test") => "debug".to_owned(),
        Some("bench") => "release".to_owned(),
        Some(other) => other.to_owned(),
    }
}

/// Where a program with an interpreter inside finds libpython, if that is where no loader looks by itself.
pub(super) fn library_path(identity: &Identity) -> Option<Pin> {
    let name = match identity.platform.as_str() {
        platform if platform.starts_with("win") => "PATH",
        platform if platform.starts_with("macos") => "DYLD_FALLBACK_LIBRARY_PATH",
        _ => "LD_LIBRARY_PATH",
    };
    let directory = if name == "PATH" { Some(identity.base_prefix.as_str()) } else { identity.library_directory.as_deref() };
    let directory = directory
        .filter(|directory| !["/lib", "/lib64", "/usr/lib", "/usr/lib64"].iter().any(|start| Path::new(directory).starts_with(start)))?;
    // Where one is set, macOS does not look where it would without.
    let before = env_vars::get_os(name).or_else(|| name.starts_with("DYLD").then(|| "/usr/local/lib:/usr/lib".into()));
    let paths = std::iter::once(directory.into()).chain(before.iter().flat_map(std::env::split_paths));
    let value = std::env::join_paths(paths).ok()?.into_string().ok()?;
    Some(Pin {
        name,
        value: Some(value),
        source: "https://pyo3.rs/v0.29.0/building-and-distribution#dynamically-embedding-the-python-interpreter".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpreter::identity_tests::cpython;

    fn command(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn what_a_cargo_command_builds() {
        for (text, profile, tests) in [
            ("cargo test", "debug", true),
            ("cargo +nightly test --release", "release", true),
            ("/usr/bin/cargo nextest run --cargo-profile fast", "fast", true),
            ("cargo bench", "release", true),
            ("cargo build --profile=dev -p test", "debug", false),
            ("cargo build -r -- test", "release", false),
            ("cargo clippy --profile bench", "release", false),
            ("cargo --color never -q t -r", "release", true),
            ("make test", "debug", false),
        ] {
            assert_eq!((profile_of(&command(text)).as_str(), runs_tests(&command(text))), (profile, tests), "{text}");
        }
    }

    #[test]
    fn libpython_is_looked_for_where_it_is() {
        let at = |directory: &str| library_path(&Identity { library_directory: Some(directory.into()), ..cpython("3.12.1") });
        assert!(at("/opt/python/lib").unwrap().value.unwrap().starts_with("/opt/python/lib"));
        assert_eq!(at("/usr/lib/x86_64-linux-gnu"), None);
    }
}
