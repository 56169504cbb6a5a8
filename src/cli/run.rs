//! `run -- CMD`: any command, with the pins and the build environment first on PATH, and warm as a build is.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueHint};

use super::embed::{self, EmbedArgs};
use super::environment::{self, Ask, Sessions, Target};
use super::options::{Context, EnvironmentArgs};
use super::warmth::{Budget, Turn, Warmth, WarmthArgs, Wishes};
use super::{directory_or_here, env, options};
use crate::interrupt;
use crate::process::Cmd;
use crate::project::Project;
use crate::report::{EnvReport, InterpreterReport, Report, round};
use crate::ui::Ui;

/// Runs a command so that cargo agrees with the wheel build and stays as warm: `run -- cargo test`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    cargo pyenv-build run -- cargo test --release           with the PyO3 of the wheel\n  \
    cargo pyenv-build run --embed -- cargo test             for tests that start a Python\n  \
    cargo pyenv-build run --project py -- cargo clippy      of the project in py/")]
pub(super) struct RunArgs {
    /// The project [default: here]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub project: Option<PathBuf>,
    #[command(flatten)]
    pub embed: EmbedArgs,
    #[command(flatten)]
    pub warmth: WarmthArgs,
    #[command(flatten)]
    pub environment: EnvironmentArgs,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// Returns the command's own exit code, or that of a denied rebuild.
pub(super) fn run(args: &RunArgs, root: Option<&Path>, ui: &Ui) -> anyhow::Result<u8> {
    let start = Instant::now();
    let directory = directory_or_here(args.project.as_deref());
    let project = Project::load_any(directory)?;
    let mut report = Report { project: Some(project.directory.clone()), ..Report::new("run") };
    let mut environ = Vec::new();
    let mut environment = None;
    let mut embedding = None;
    let mut is_extension = false;
    let layout;
    if project.is_python() {
        let context = Context::open(directory, root, &args.environment, ui)?;
        let build_env = environment::provision(&context, Target::Wheel, Ask::WhenUnknown, &mut Sessions::new(ui), &mut Vec::new())?;
        let known = env::Known::learn(&context, &build_env);
        let wish = args.embed.wish(&context.project)?;
        if embed::decide(wish, known.has_embedding, &args.command, &context.project, &context.layout) {
            embedding = Some(embed::profile_of(&args.command));
        }
        let pins = known.pins(embedding.is_some())?;
        is_extension = pins.variables.iter().any(|pin| pin.name == "PYO3_BUILD_EXTENSION_MODULE" && pin.value.is_some());
        environ.extend(environment::environment_of(&build_env).into_iter().chain(pins.environ()));
        if embedding.is_some() {
            environ.extend(embed::library_path(&context.interpreter.identity).map(|pin| (pin.name.to_owned(), pin.value)));
        }
        report.interpreter = Some(InterpreterReport::from(&context.interpreter));
        report.env = Some(EnvReport::from(&build_env));
        report.set_pins(&pins);
        environment = build_env.path.file_name().map(|name| name.to_string_lossy().into_owned());
        layout = context.layout.clone();
    } else {
        layout = options::layout_of(&project, root)?;
    }
    let wishes = Wishes::new(&args.warmth, &project)?;
    let budget = Budget::new(&args.warmth, &project.settings)?;
    let turn = environment.as_deref().map(|environment| Turn { environment, embedding: embedding.as_deref() });
    let mut warmth = Warmth::begin(&project, &layout, wishes, None, turn, ui);
    environ.extend(warmth.iter_mut().flat_map(|warmth| warmth.ready(ui)));
    let (program, rest) = args.command.split_first().expect("clap demands one");
    let mut command = Cmd::new(program).args(rest);
    for (name, value) in environ {
        command = match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    ui.detail(command.display());
    // In our own process group: it is the terminal's foreground, and gets Ctrl-C from there as we do.
    let status = command.spawn_foreground();
    let mut is_unfinished = false;
    if let Some(warmth) = &mut warmth {
        let found = warmth.end(ui);
        report.crates = found.crates;
        report.freshness = found.freshness;
        report.incremental = found.incremental;
        is_unfinished = found.is_unfinished;
    }
    let status = status?;
    let code = match status.code() {
        Some(code) => u8::try_from(code).unwrap_or(1),
        None => interrupt::exit_code_of(status),
    };
    if code != 0 && is_extension && is_unfinished && embed::runs_tests(&args.command) {
        ui.hint("if it is symbols of Python that the linker misses, tests start an interpreter: `cargo pyenv-build run --embed -- ...`");
    }
    let denied = budget.check(&report.crates);
    report.ok = code == 0 && denied.is_ok();
    report.seconds = round(start.elapsed().as_secs_f64());
    if warmth.is_some()
        && let Err(error) = report.write(&layout.last_report())
    {
        ui.warning(format_args!("the report was not kept: {error}"));
    }
    if code == 0 {
        denied?;
    }
    Ok(code)
}
