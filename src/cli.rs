//! The command line: arguments, the order of steps, policy (what is a warning, what stops), output.
//!
//! One file per subcommand, with its arguments and its `run`. Nothing imports `cli`.

mod action;
mod again;
mod budget;
mod build;
#[cfg(feature = "github")]
mod cache;
mod completions;
mod develop;
mod doctor;
mod env;
mod environment;
mod failure;
mod fingerprint;
mod gc;
mod lock;
mod man;
mod options;
mod provision;
#[cfg(test)]
mod reference;
mod run;
mod settle;
mod sharing;
mod step_summary;
mod store;
mod target_dirs;
mod toolchain;
mod warmth;
mod why;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{
    ArgAction, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum, ValueHint,
};

use crate::ui::{Color, Ui, Verbosity};
use crate::{env_vars, exit_code, interrupt, units};
use failure::{Error, Result};

/// The build frontend that keeps cargo warm for Python packages written in Rust
#[derive(Debug, Parser)]
#[command(
    name = "cargo pyenv-build",
    bin_name = "cargo pyenv-build",
    version,
    max_term_width = 110,
    after_help = "Without a command, it builds: `cargo pyenv-build [build options] [DIR]...`\n\n\
        Examples:\n  \
        cargo pyenv-build                          build a wheel of the project in this directory\n  \
        cargo pyenv-build -p 3.13 --sdist crates/py\n  \
        cargo pyenv-build run -- cargo test        test against the same Python as the wheel\n  \
        cargo pyenv-build develop                  install as editable into the active virtual environment\n  \
        cargo pyenv-build why                      show which crates were compiled last, and why"
)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

/// Arguments of all commands.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Global options")]
struct GlobalArgs {
    /// Directory for environments, store and reports [default: .pyenv-build in the workspace root]
    #[arg(long, global = true, env = env_vars::ROOT, value_name = "DIR", value_hint = ValueHint::DirPath)]
    root: Option<PathBuf>,
    /// Format of the results on stdout
    #[arg(long, global = true, value_enum, default_value = "human", value_name = "FORMAT")]
    message_format: MessageFormat,
    /// Control when colored output is used
    #[arg(long, global = true, value_enum, value_name = "WHEN")]
    color: Option<Color>,
    /// Only print errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Print commands and hook output; twice, also the protocol with hookd
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
}

/// The form of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MessageFormat {
    /// Paths, one per line
    Human,
    /// One JSON object
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    Build(build::BuildArgs),
    Develop(develop::DevelopArgs),
    Provision(provision::ProvisionArgs),
    Env(env::EnvArgs),
    Run(run::RunArgs),
    Lock(lock::LockArgs),
    Fingerprint(fingerprint::FingerprintArgs),
    Store(store::StoreArgs),
    Why(why::WhyArgs),
    Doctor(doctor::DoctorArgs),
    Gc(gc::GcArgs),
    #[cfg(feature = "github")]
    Cache(cache::CacheArgs),
    Completions(completions::CompletionsArgs),
    #[command(hide = true)]
    Man(man::ManArgs),
    #[command(hide = true)]
    Action(action::ActionArgs),
}

/// Runs the program with all its arguments, the first being its name. Returns the exit code.
pub fn main(args: Vec<OsString>) -> u8 {
    if args.get(1).is_some_and(|first| first == units::script::ARGUMENT) {
        return units::script::run(&args[2..]);
    }
    let is_ours = |name: &str| name == "pyenv-build" || is_command(name);
    if units::wrapper::is_call(&args, &is_ours) {
        return units::wrapper::run(&args);
    }
    let args = normalised(args);
    let cli = match Cli::command()
        .try_get_matches_from(&args)
        .and_then(|matches| Cli::from_arg_matches(&matches))
    {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, on stdout; the rest are mistakes, on stderr.
            let code = if error.use_stderr() { exit_code::USAGE } else { exit_code::OK };
            let _ = error.print();
            return code;
        }
    };
    let global = cli.global;
    let verbosity = match (global.quiet, global.verbose) {
        (true, _) => Verbosity::Quiet,
        (false, 0) => Verbosity::Normal,
        (false, 1) => Verbosity::Verbose,
        (false, _) => Verbosity::Debug,
    };
    let ui = Ui::new(verbosity, global.color);
    if let Err(error) = interrupt::listen() {
        ui.warning(format_args!("cannot handle Ctrl-C: {error}"));
    }
    let is_action = matches!(cli.command, Command::Action(_));
    let code = again::without_exports(is_action, &ui)
        .or_else(|| again::with_a_temporary_directory(&ui))
        .or_else(|| toolchain::again_with_that_of_the_project(&cli.command, &ui))
        .unwrap_or_else(|| dispatch(&cli.command, &global, &ui));
    // What outlives a command that was not interrupted is meant to.
    #[cfg(windows)]
    if interrupt::pending().is_none() {
        crate::process::windows::release_all();
    }
    code
}

/// Runs a command. Returns the exit code.
fn dispatch(command: &Command, global: &GlobalArgs, ui: &Ui) -> u8 {
    let root = global.root.as_deref();
    let format = global.message_format;
    match command {
        Command::Build(args) => build::run(args, root, format, ui),
        Command::Develop(args) => develop::run(args, root, format, ui),
        Command::Provision(args) => {
            finish("provision", &provision::run(args, root, format, ui), format, ui)
        }
        Command::Env(args) => finish("env", &env::run(args, root, ui), format, ui),
        Command::Run(args) => match run::run(args, root, ui) {
            Ok(code) => code,
            Err(error) => exit_with(Some(&error), ui),
        },
        Command::Lock(args) => finish("lock", &lock::run(args, root, format, ui), format, ui),
        Command::Fingerprint(args) => {
            finish("fingerprint", &fingerprint::run(args, root, format, ui), format, ui)
        }
        Command::Store(args) => finish("store", &store::run(args, root, format, ui), format, ui),
        Command::Why(args) => finish("why", &why::run(args, root, format, ui), format, ui),
        Command::Doctor(args) => match doctor::run(args, root, format, ui) {
            Ok(code) => code,
            Err(error) => finish("doctor", &Err(error), format, ui),
        },
        Command::Gc(args) => finish("gc", &gc::run(args, root, format, ui), format, ui),
        #[cfg(feature = "github")]
        Command::Cache(args) => finish("cache", &cache::run(args, format, ui), format, ui),
        Command::Man(args) => {
            finish("man", &man::run(args, Cli::command(), format, ui), format, ui)
        }
        Command::Action(args) => action::run(args, root, ui),
        Command::Completions(args) => {
            completions::run(args, Cli::command());
            exit_code::OK
        }
    }
}

/// Says how a command ended and returns its exit code; a failure is a JSON object, too, if those
/// were asked for.
fn finish(command: &str, outcome: &Result<()>, format: MessageFormat, ui: &Ui) -> u8 {
    if let (Err(error), MessageFormat::Json) = (outcome, format) {
        let report = build::failed(command, error);
        ui.result(serde_json::to_string(&report).expect("our own plain data always serialises"));
    }
    exit_with(outcome.as_ref().err(), ui)
}

/// Shows an error, if there is one, and returns the exit code for it.
fn exit_with(error: Option<&Error>, ui: &Ui) -> u8 {
    match error {
        None => exit_code::OK,
        Some(error) => {
            failure::show(error, ui);
            failure::exit_code_of(error)
        }
    }
}

/// Whether a command has this name.
fn is_command(name: &str) -> bool {
    Cli::command().find_subcommand(name).is_some()
}

/// The command that somebody may have meant whose word was taken for a directory.
fn command_like(path: &Path) -> Option<String> {
    let command = Cli::command();
    let names =
        command.get_subcommands().filter(|one| !one.is_hide_set()).map(clap::Command::get_name);
    let is_word = path.parent() == std::env::current_dir().ok().as_deref();
    crate::ui::similar(path.file_name()?.to_str().filter(|_| is_word)?, names).map(str::to_owned)
}

/// Brings the arguments into the form `program command ...`: cargo puts `pyenv-build` first, and a
/// missing command means `build`.
fn normalised(mut args: Vec<OsString>) -> Vec<OsString> {
    if args.get(1).is_some_and(|arg| arg == "pyenv-build") {
        args.remove(1);
    }
    if args
        .iter()
        .skip(1)
        .find(|arg| !arg.as_encoded_bytes().starts_with(b"-"))
        .is_some_and(|arg| arg == "help")
    {
        return args;
    }
    // Mistakes are reported when the arguments are parsed again, with the command.
    let names_a_command = match Cli::command().ignore_errors(true).try_get_matches_from(&args) {
        Ok(matches) => matches.subcommand_name().is_some(),
        Err(error) => !error.use_stderr(),
    };
    if !names_a_command {
        args.insert(1, "build".into());
    }
    args
}

/// The project's directory of commands that take at most one.
fn directory_or_here(directory: Option<&Path>) -> &Path {
    directory.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(args: &str) -> String {
        let words =
            std::iter::once("x").chain(args.split_whitespace()).map(OsString::from).collect();
        normalised(words)[1..].join(std::ffi::OsStr::new(" ")).into_string().unwrap()
    }

    #[test]
    fn the_parser_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn both_ways_of_calling_work_and_build_is_what_is_meant() {
        assert_eq!(normal(""), "build");
        assert_eq!(normal("pyenv-build"), "build");
        assert_eq!(normal("pyenv-build build x"), "build x");
        assert_eq!(normal("-p 3.12 x"), "build -p 3.12 x");
        assert_eq!(normal("-q --root r gc"), "-q --root r gc");
        assert_eq!(normal("-vv dir"), "build -vv dir");
        assert_eq!(normal("pyenv-build --help"), "--help");
        assert_eq!(normal("pyenv-build run -- cargo test"), "run -- cargo test");
        assert_eq!(normal("--root=r why"), "--root=r why");
        assert_eq!(normal("why --no-such-option"), "why --no-such-option");
        assert_eq!(normal("-p 3.12 -- build"), "build -p 3.12 -- build");
        assert_eq!(normal("-q --version"), "-q --version");
        assert_eq!(normal("-vv -h"), "-vv -h");
        assert_eq!(normal("-q help build"), "-q help build");
        assert_eq!(normal("help nosuch"), "help nosuch");
        assert_eq!(normal("--message-format json doctor"), "--message-format json doctor");
    }
}
