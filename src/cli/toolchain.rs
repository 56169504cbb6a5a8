//! The Rust toolchain of a project that is not where we were started.
//!
//! `cargo pyenv-build DIR` is started by rustup's proxy of cargo, which has set `RUSTUP_TOOLCHAIN`
//! for the caller's directory: a `rust-toolchain.toml` in DIR would not count, nor an override of
//! it. And `run --project DIR` starts cargo in the caller's directory. What the user has chosen
//! (`+toolchain`, the variable) counts; else this program runs once more, in the environment that
//! DIR is compiled in.
//!
//! Source: <https://rust-lang.github.io/rustup/overrides.html>, and the variables that its proxies set,
//! <https://github.com/rust-lang/rustup/blob/1.29.0/src/toolchain.rs>

use std::path::{Path, PathBuf};

use super::failure::UsageError;
use super::{Command, again, develop, directory_or_here, exit_with};
use crate::process::Cmd;
use crate::ui::Ui;
use crate::{env_vars, fs};

/// Runs this program again if rustup has chosen another toolchain than that of the command's
/// projects. Returns the exit code.
pub(super) fn again_with_that_of_the_project(command: &Command, ui: &Ui) -> Option<u8> {
    let here = std::env::current_dir().ok().and_then(|here| fs::canonicalize(&here).ok())?;
    let projects =
        projects(command).into_iter().filter_map(|project| fs::canonicalize(&project).ok());
    let elsewhere: Vec<PathBuf> =
        projects.filter(|project| *project != here && project.is_dir()).collect();
    let set = env_vars::get("RUSTUP_TOOLCHAIN");
    // What a hook starts runs in the project; what `run` starts does not.
    let is_run = matches!(command, Command::Run(_));
    if elsewhere.is_empty()
        || set.is_none() && !is_run
        || set.as_ref().is_some_and(|set| is_users(set, &here))
    {
        return None;
    }
    let now = set.or_else(|| active(&here))?;
    let rustup = which::which("rustup").ok()?;
    let mut other = None;
    for project in &elsewhere {
        match active(project) {
            Some(toolchain) => other = other.or(Some(toolchain).filter(|one| *one != now)),
            // Not installed, or in a file that rustup cannot read. What a hook starts hears of it
            // from rustup, or has it installed; what `run` starts would be compiled by another.
            None if is_run => return Some(refuse(&rustup, project, ui)),
            None => return Some(again::run(&ourselves_without_choice()?, ui)),
        }
    }
    let other = other?;
    ui.detail(format_args!("compiling with {other}, the project's toolchain, instead of {now}"));
    let mut again = ourselves_without_choice()?;
    if is_run {
        again = again.env("RUSTUP_TOOLCHAIN", other);
    }
    Some(again::run(&again, ui))
}

/// Says what rustup says of a project. Returns the exit code.
fn refuse(rustup: &Path, project: &Path, ui: &Ui) -> u8 {
    let said = show_active(rustup, project)
        .output_unchecked(None)
        .map(|output| output.stderr)
        .unwrap_or_default();
    let error = UsageError {
        message: format!(
            "rustup finds no toolchain for `{}`: {}",
            project.display(),
            String::from_utf8_lossy(&said).trim().trim_start_matches("error: ")
        ),
        hint: Some("install it with `rustup toolchain install` in that directory".to_owned()),
    };
    exit_with(Some(&error.into()), ui)
}

/// This program, where rustup has chosen no toolchain yet.
fn ourselves_without_choice() -> Option<Cmd> {
    let set_by_rustup = ["RUSTUP_TOOLCHAIN", "RUSTUP_TOOLCHAIN_SOURCE", "RUST_RECURSION_COUNT"];
    let mut again = set_by_rustup.into_iter().fold(again::ourselves()?, Cmd::env_remove);
    if env_vars::get_os("CARGO").is_some_and(|cargo| is_of_a_toolchain(Path::new(&cargo))) {
        again = again.env_remove("CARGO");
    }
    Some(again)
}

/// The directories of the projects that a command compiles.
fn projects(command: &Command) -> Vec<PathBuf> {
    let one =
        |directory: &Option<PathBuf>| vec![directory_or_here(directory.as_deref()).to_path_buf()];
    match command {
        Command::Build(args) => args.directories.clone(),
        Command::Run(args) => one(&args.project),
        Command::Provision(args) => one(&args.directory),
        Command::Lock(args) => one(&args.directory),
        Command::Fingerprint(args) => one(&args.directory),
        Command::Env(args) => one(&args.directory),
        Command::Develop(args) => {
            let argument = directory_or_here(args.directory.as_deref());
            develop::with_extras(argument).into_iter().map(|(directory, _)| directory).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether the user has chosen the toolchain in `RUSTUP_TOOLCHAIN`, and not rustup by the
/// directory.
fn is_users(set: &str, here: &Path) -> bool {
    match env_vars::get("RUSTUP_TOOLCHAIN_SOURCE").as_deref() {
        Some(source) => matches!(source, "cli" | "env"),
        // Before rustup 1.29: no proxy has run, or not to this outcome.
        None => {
            env_vars::get("RUST_RECURSION_COUNT").is_none()
                || active(here).is_none_or(|active| active != set)
        }
    }
}

/// The toolchain that rustup finds in a directory; `None` without a rustup.
fn active(directory: &Path) -> Option<String> {
    let rustup = which::which("rustup").ok()?;
    let answer = String::from_utf8(show_active(&rustup, directory).quick_answer()?).ok()?;
    // `stable-x86_64-unknown-linux-gnu (default)`
    let name = answer.lines().next()?.split(" (").next()?.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

fn show_active(rustup: &Path, directory: &Path) -> Cmd {
    Cmd::new(rustup)
        .args(["show", "active-toolchain"])
        .cwd(directory)
        .env_remove("RUSTUP_TOOLCHAIN")
}

/// Whether a cargo is the one of a toolchain, as cargo says of itself, and not one that the user
/// has chosen.
fn is_of_a_toolchain(cargo: &Path) -> bool {
    cargo.ancestors().nth(3).is_some_and(|toolchains| toolchains.ends_with("toolchains"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cargo_of_a_toolchain() {
        assert!(is_of_a_toolchain(Path::new(
            "/home/me/.rustup/toolchains/stable-x86_64-unknown-linux-gnu/bin/cargo"
        )));
        assert!(!is_of_a_toolchain(Path::new("/usr/bin/cargo")));
    }
}
