//! The inputs of the action: what they mean, and what is said of one that is not understood.

use std::ffi::OsString;

use clap::{FromArgMatches as _, Parser};

use crate::actions::context::{Policy, SaveCache, UseCache};
use crate::actions::input;
use crate::cli::build::BuildArgs;
use crate::cli::failure::{Error, Result, UsageError};
use crate::cli::warmth::{Incremental, Reuse};

/// The arguments of `build`, as the input `args` has them.
#[derive(Debug, Parser)]
#[command(name = "args", disable_help_flag = true)]
pub(super) struct Words {
    #[command(flatten)]
    pub build: BuildArgs,
    #[arg(short, long)]
    pub quiet: bool,
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// How plain cargo in later steps is pinned and kept warm: the input `later-steps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LaterSteps {
    /// By a configuration of cargo's above the workspace: containers, `cross` and other checkouts
    /// do not see it.
    Config,
    /// By variables, for every cargo of the job.
    Env,
    /// Not at all.
    Off,
}

/// Inputs with few values.
pub(super) struct Wants {
    pub build: bool,
    pub rust_cache: bool,
    pub summary: bool,
    pub later_steps: LaterSteps,
}

impl Wants {
    pub(super) fn read() -> Result<Self> {
        let later_steps = match input("later-steps").as_deref() {
            None | Some("config") => LaterSteps::Config,
            Some("env") => LaterSteps::Env,
            Some("false") => LaterSteps::Off,
            Some(other) => return Err(wrong("later-steps", other, "config, env or false")),
        };
        Ok(Self {
            build: boolean("build", true)?,
            rust_cache: boolean("rust-cache", true)?,
            summary: boolean("summary", true)?,
            later_steps,
        })
    }
}

/// The inputs `cache` and `save-cache`.
pub(super) fn caching() -> Result<(UseCache, SaveCache)> {
    let cache = match input("cache").as_deref() {
        None | Some("auto") => UseCache::Auto,
        Some("true") => UseCache::Yes,
        Some("false") => UseCache::No,
        Some(other) => return Err(wrong("cache", other, "auto, true or false")),
    };
    let save = match input("save-cache").as_deref() {
        None | Some("default-branch") => SaveCache::DefaultBranch,
        Some("always") => SaveCache::Always,
        Some("never") => SaveCache::Never,
        Some(other) => return Err(wrong("save-cache", other, "default-branch, always or never")),
    };
    Ok((cache, save))
}

/// The inputs as arguments of `build`. Each is one argument, whatever is in it.
pub(super) fn words() -> Result<Words> {
    let mut line: Vec<OsString> = vec!["args".into()];
    let given = [
        ("--python", input("python")),
        ("--installer", installer()),
        ("--out-dir", input("out-dir")),
    ];
    for (flag, value) in given {
        line.extend(value.map(|value| format!("{flag}={value}").into()));
    }
    for (flag, values) in
        [("--constraint", input("constraints")), ("--deny-rebuild", input("deny-rebuild"))]
    {
        let values = values.unwrap_or_default();
        line.extend(
            values
                .lines()
                .map(str::trim)
                .filter(|value| !value.is_empty())
                .map(|value| format!("{flag}={value}").into()),
        );
    }
    if boolean("locked", false)? {
        line.push("--locked".into());
    }
    let args = input("args").unwrap_or_default();
    let split = shlex::split(&args).ok_or_else(|| {
        wrong("args", &args, "arguments quoted as in a shell (is a quote left open?)")
    })?;
    line.extend(split.into_iter().map(OsString::from));
    let project = input("project").unwrap_or_else(|| ".".to_owned());
    line.extend(["--".into(), project.into()]);
    let mut matches = <Words as clap::CommandFactory>::command()
        .try_get_matches_from(line)
        .map_err(|error| not_understood(&error))?;
    let words =
        Words::from_arg_matches_mut(&mut matches).map_err(|error| not_understood(&error))?;
    if words.build.directories.len() != 1 {
        let hint = Some("set the directory with the input `project`".to_owned());
        return Err(UsageError {
            message: "the input `args` contains a directory".to_owned(),
            hint,
        }
        .into());
    }
    Ok(words)
}

/// What is published comes from its sources: nothing that rustc has made is used again, whatever the
/// project's settings say, unless caches were asked for; and it is never built from incremental
/// state, which changes the code.
pub(super) fn alone_if(policy: &Policy, mut args: BuildArgs) -> BuildArgs {
    if policy.publishes {
        args.warmth.incremental = Some(Incremental::False);
        if !policy.restore {
            args.warmth.reuse = Some(Reuse::Off);
        }
    }
    args
}

/// `auto` is the input's default, and leaves the word to the project's settings and to
/// `PYENV_BUILD_INSTALLER`.
pub(super) fn installer() -> Option<String> {
    input("installer").filter(|installer| installer != "auto")
}

fn not_understood(error: &clap::Error) -> Error {
    let text = error.to_string();
    let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    let hint =
        "the inputs become arguments of `cargo pyenv-build build`; see its `--help`".to_owned();
    UsageError { message: format!("invalid inputs: {message}"), hint: Some(hint) }.into()
}

fn wrong(name: &str, value: &str, allowed: &str) -> Error {
    UsageError {
        message: format!("the input `{name}` cannot be `{value}`"),
        hint: Some(format!("use {allowed}")),
    }
    .into()
}

fn boolean(name: &str, default: bool) -> Result<bool> {
    match input(name).as_deref() {
        None => Ok(default),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(other) => Err(wrong(name, other, "true or false")),
    }
}
