//! `run -- CMD`: any command, with the pins and the build environment first on PATH, and warm as a
//! build is.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueHint};

use super::budget::Budget;
use super::environment::{self, Sessions, Target};
use super::failure::Result;
use super::options::{Context, EnvironmentArgs};
use super::sharing::{Shared, Sharing};
use super::target_dirs;
use super::warmth::{Reuse, Warmth, WarmthArgs, WarmthOptions};
use super::{directory_or_here, env, failure, options, step_summary};
use crate::build_env::BuildEnv;
use crate::interpreter::Identity;
use crate::layout::Layout;
use crate::process::{self, Cmd};
use crate::project::Project;
use crate::report::{EnvReport, InterpreterReport, Report, round};
use crate::ui::Ui;
use crate::{exit_code, interrupt};

/// Run a command, such as `cargo test`, that shares artifacts with the wheel build
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    cargo pyenv-build run -- cargo test --release           test against the wheel's Python\n  \
    cargo pyenv-build run --project py -- cargo clippy      lint the project in py/")]
pub(super) struct RunArgs {
    /// Project directory [default: the current one]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub project: Option<PathBuf>,
    #[command(flatten)]
    pub warmth: WarmthArgs,
    #[command(flatten)]
    pub environment: EnvironmentArgs,
    /// Command to run, with its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// Returns the command's own exit code, or that of a denied rebuild.
pub(super) fn run(args: &RunArgs, root: Option<&Path>, ui: &Ui) -> Result<u8> {
    let start = Instant::now();
    let project = Project::load_any(directory_or_here(args.project.as_deref()))?;
    let mut report = Report { project: Some(project.directory.clone()), ..Report::new("run") };
    let budget = Budget::new(&args.warmth, &project.settings)?;
    let Prepared { layout, environ, warmth, sharing, env } =
        Prepared::new(args, root, &project, &budget, &mut report, ui)?;
    let (program, rest) = args.command.split_first().expect("clap demands one");
    let mut command = Cmd::new(program).args(rest);
    for (name, value) in environ {
        command = match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    ui.detail(command.display());
    // In our own process group: it is the terminal's foreground, and gets Ctrl-C from there as we
    // do.
    let status = command.spawn_foreground();
    if let Some(warmth) = &warmth {
        (report.crates, report.store) = warmth.end(ui);
    }
    if let Some(sharing) = sharing {
        // What a command that failed has compiled is as good.
        report.store.shared = Some(sharing.end(env.as_ref(), Some(&report.crates)));
    }
    let status = match status {
        Ok(status) => status,
        Err(error @ process::Error::Start { .. }) => return Ok(not_started(error, program, ui)),
        Err(error) => return Err(error.into()),
    };
    let own = status.code().and_then(|code| u8::try_from(code).ok());
    let code = own.unwrap_or_else(|| interrupt::exit_code_of(status));
    let denied = budget.check(&report.crates);
    report.ok = code == 0 && denied.is_ok();
    report.seconds = round(start.elapsed().as_secs_f64());
    if warmth.is_some()
        && let Err(error) = report.write(&layout.last_report())
    {
        ui.warning(format_args!("could not save the report: {error}"));
    }
    step_summary::write(&report, ui);
    if code == 0 {
        denied?;
    }
    Ok(code)
}

/// What is there for a command before it starts.
struct Prepared<'a> {
    layout: Layout,
    /// What it gets besides our own environment; `None`: what it must not see.
    environ: Vec<(String, Option<String>)>,
    warmth: Option<Warmth>,
    sharing: Option<Sharing<'a>>,
    /// The build environment, if the project is a Python package.
    env: Option<BuildEnv>,
}

impl<'a> Prepared<'a> {
    /// Provisions the environment, and makes cargo's target directories ready. `report` gets what
    /// there is.
    fn new(
        args: &RunArgs,
        root: Option<&Path>,
        project: &Project,
        budget: &Budget,
        report: &mut Report,
        ui: &'a Ui,
    ) -> Result<Self> {
        let options = WarmthOptions::new(&args.warmth, project)?;
        let target_dir = target_dirs::told(&args.command);
        let share = |layout: &Layout, identity: Option<&Identity>| {
            let shared = Shared {
                project,
                layout,
                identity,
                target: target_dir.as_deref(),
                tests: true,
                environments: !(args.environment.locked || args.environment.require_hashes),
                is_offline: args.environment.offline,
                is_reusing: options.reuse != Reuse::Off,
            };
            Sharing::begin(&args.warmth.sharing, &shared, ui)
        };
        let mut prepared = if project.is_python() {
            let directory = directory_or_here(args.project.as_deref());
            let context = Context::open(directory, root, &args.environment, ui)?;
            let sharing = share(&context.layout, Some(&context.interpreter.identity))?;
            let env = environment::provision(
                &context,
                Target::Wheel,
                &mut Sessions::new(ui),
                &mut Vec::new(),
            )?;
            let warmth = Warmth::begin(project, &context.layout, options, None, ui);
            let cargo = warmth.as_ref().map(Warmth::workspace);
            let pins = env::pins(&context, &env, cargo);
            let mut environ = environment::environment_of(&env);
            environ.extend(pins.environ().map(|(name, value)| (name, Some(value))));
            environ.extend(
                env::library_path(&context, cargo)
                    .map(|pin| (pin.name.to_owned(), Some(pin.value))),
            );
            report.interpreter = Some(InterpreterReport::from(&context.interpreter));
            report.env = Some(EnvReport::from(&env));
            report.set_pins(&pins);
            Self { layout: context.layout, environ, warmth, sharing, env: Some(env) }
        } else {
            let layout = options::layout_of(project, root)?;
            let sharing = share(&layout, None)?;
            let warmth = Warmth::begin(project, &layout, options, None, ui);
            Self { layout, environ: Vec::new(), warmth, sharing, env: None }
        };
        if let Some(warmth) = &mut prepared.warmth {
            budget.look_at(warmth.workspace(), ui);
            warmth.also_in(target_dir);
            let here = std::env::current_dir().unwrap_or_default();
            let configs = target_dirs::options_of(&args.command, "--config");
            warmth.called_in(here.clone(), configs);
            let words = args.command.iter().filter_map(|word| word.to_str());
            warmth.also_in(target_dirs::mentioned(&here, words));
            if let Some(manifest) = target_dirs::option_of(&args.command, "--manifest-path")
                .and_then(|path| std::path::absolute(path).ok())
            {
                warmth.also_of(&manifest, ui);
            }
            if prepared.sharing.is_some() {
                warmth.judge_all_crates();
            }
            prepared.environ.extend(warmth.ready(ui));
        }
        Ok(prepared)
    }
}

/// Says why a command could not be started. Returns the exit code that shells have for it.
fn not_started(error: process::Error, program: &OsStr, ui: &Ui) -> u8 {
    let is_missing = matches!(&error, process::Error::Start { source, .. } if source.kind() == std::io::ErrorKind::NotFound);
    failure::show(&error.into(), ui);
    if is_missing && Path::new(program).components().count() == 1 {
        let rust = "install Rust from https://rustup.rs, or add its `bin` directory to PATH";
        let other = "check the spelling, or add its directory to PATH";
        let fix = if program == "cargo" { rust } else { other };
        ui.hint(format_args!("`{}` is not on PATH: {fix}", program.to_string_lossy()));
    }
    if is_missing { exit_code::NO_SUCH_COMMAND } else { exit_code::CANNOT_RUN }
}
