//! `build`: provision, ask for requirements, call the hook, check the artifact, and move it to the
//! output directory.

mod make;
mod place;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Args, ValueHint};

pub(super) use self::make::{Built, Making, Options};
use super::environment::Sessions;
use super::failure::{self, Error, Result, UsageError};
use super::options::{self, Context, EnvironmentArgs};
use super::warmth::WarmthArgs;
use super::{MessageFormat, exit_with, step_summary};
use crate::build_env;
use crate::layout::Layout;
use crate::project::Project;
use crate::report::Report;
use crate::ui::Ui;
use crate::{digest, env_vars, interrupt, sdist};

/// Build wheels with the project's own backend, in a stable build environment
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    cargo pyenv-build                                   build a wheel of this project into dist/\n  \
    cargo pyenv-build -p 3.13 --sdist -o out crates/py  also build a source distribution\n  \
    cargo pyenv-build --deny-rebuild deps               fail if a dependency is recompiled")]
pub(super) struct BuildArgs {
    /// Project directories
    #[arg(value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub directories: Vec<PathBuf>,
    /// Also build a source distribution
    #[arg(long, conflicts_with_all = ["editable", "metadata"])]
    pub sdist: bool,
    /// Build the wheel from the source distribution, unpacked to a stable path
    #[arg(long, conflicts_with_all = ["editable", "metadata"])]
    pub from_sdist: bool,
    /// Build an editable wheel (PEP 660) instead
    #[arg(long, conflicts_with = "metadata")]
    pub editable: bool,
    /// Only prepare the wheel's metadata directory
    #[arg(long)]
    pub metadata: bool,
    /// Directory for artifacts [default: dist in the project]
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out_dir: Option<PathBuf>,
    /// Cargo's target directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub target_dir: Option<PathBuf>,
    /// Stop a hook that takes longer than this, such as 30m
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub hook_timeout: Option<Duration>,
    /// Run the hooks through another command, such as 'docker exec -i NAME' or 'nice -n 19'.
    ///
    /// Project and environment must have the same paths there. Artifacts are copied back.
    #[arg(long, value_name = "CMD")]
    pub launcher: Option<String>,
    #[command(flatten)]
    pub warmth: WarmthArgs,
    #[command(flatten)]
    pub environment: EnvironmentArgs,
}

/// Builds all projects, even if some fail. Returns the exit code of the first failure.
pub(super) fn run(args: &BuildArgs, root: Option<&Path>, format: MessageFormat, ui: &Ui) -> u8 {
    let (code, report) = run_quietly(args, root, format, ui);
    step_summary::write(&report, ui);
    code
}

/// The same for callers that write their own summary.
pub(super) fn run_quietly(
    args: &BuildArgs,
    root: Option<&Path>,
    format: MessageFormat,
    ui: &Ui,
) -> (u8, Report) {
    let start = Instant::now();
    let mut reports = Vec::new();
    let outcome = build_all(args, root, ui, &mut reports);
    conclude("build", &outcome, reports, start, format, ui)
}

/// Keeps and prints the report of a command that has built. Returns its exit code and the report.
pub(super) fn conclude(
    command: &str,
    outcome: &Result<()>,
    reports: Reports,
    start: Instant,
    format: MessageFormat,
    ui: &Ui,
) -> (u8, Report) {
    let mut layouts: Vec<Layout> = Vec::new();
    let mut finished: Vec<Report> = Vec::new();
    for (layout, report) in reports {
        layouts.extend(layout);
        finished.push(report);
    }
    if let Err(error) = outcome {
        // What failed before any project was begun is in none of their reports.
        if finished.iter().all(|report| report.error.is_none()) {
            finished.push(failed(command, error));
        }
    }
    let report = Report::combine(command, finished, start.elapsed().as_secs_f64());
    layouts.dedup_by(|one, other| one.root() == other.root());
    for layout in &layouts {
        if let Err(error) = report.write(&layout.last_report()) {
            ui.warning(format_args!("could not save the report: {error}"));
        }
    }
    match format {
        MessageFormat::Json => {
            ui.result(
                serde_json::to_string(&report).expect("our own plain data always serialises"),
            );
        }
        MessageFormat::Human => {
            for artifact in &report.artifacts {
                ui.result(artifact.path.display());
            }
        }
    }
    (exit_with(outcome.as_ref().err(), ui), report)
}

/// The report of a command that failed before it could say anything else.
pub(super) fn failed(command: &str, error: &Error) -> Report {
    Report { ok: false, error: Some(failure::report(error)), ..Report::new(command) }
}

/// One for each project that was begun, and where it is kept.
pub(super) type Reports = Vec<(Option<Layout>, Report)>;

fn build_all(args: &BuildArgs, root: Option<&Path>, ui: &Ui, reports: &mut Reports) -> Result<()> {
    if let Some(out_dir) =
        args.out_dir.as_deref().filter(|out_dir| out_dir.exists() && !out_dir.is_dir())
    {
        return Err(UsageError {
            message: format!("`{}` is not a directory", std::path::absolute(out_dir)?.display()),
            hint: None,
        }
        .into());
    }
    if let Some(command) = args.directories.iter().find_map(|directory| misplaced(directory)) {
        return Err(UsageError {
            message: format!("there is no project in `{command}`, which is also a command"),
            hint: Some(format!(
                "options of a command come after it: `cargo pyenv-build {command} [OPTIONS]`"
            )),
        }
        .into());
    }
    let contexts: Vec<Context<'_>> = args
        .directories
        .iter()
        .map(|directory| Context::open(directory, root, &args.environment, ui))
        .collect::<Result<_, _>>()?;
    let launcher = launcher_words(args.launcher.as_deref())?;
    let target_dir = args.target_dir.as_deref().map(options::absolute).transpose()?;
    let mut sessions = Sessions::behind(launcher, ui);
    let mut first_error = None;
    for (index, context) in contexts.iter().enumerate() {
        let options = Options {
            target_dir: target_dir.clone(),
            hook_timeout: args.hook_timeout,
            warmth: args.warmth.clone(),
            is_last: index + 1 == contexts.len(),
        };
        let mut making = Making::new("build", options, context);
        let outcome = build_project(args, context, &mut sessions, &mut making);
        let (report, outcome) = making.conclude(outcome, context);
        reports.push((Some(context.layout.clone()), report));
        if let Err(error) = outcome {
            let is_interrupt = interrupt::pending().is_some();
            // The failure of one does not harm the next; the last to be shown is the first, by the
            // caller.
            match &first_error {
                None => first_error = Some(error),
                Some(_) => failure::show(&error, ui),
            }
            if is_interrupt {
                break;
            }
        }
    }
    first_error.map_or(Ok(()), Err)
}

/// The command that an argument names, where there is no project of that name.
fn misplaced(directory: &Path) -> Option<&str> {
    let name = directory.to_str()?;
    (super::is_command(name) && !Project::is_at(directory)).then_some(name)
}

/// Builds what was asked for of one project, and moves it to the output directory.
fn build_project<'a>(
    args: &BuildArgs,
    context: &'a Context<'a>,
    sessions: &mut Sessions<'a>,
    making: &mut Making,
) -> Result<()> {
    let _lock = Making::lock(context)?;
    if args.sdist || args.from_sdist {
        let sdist = making.sdist(context, sessions)?;
        if args.from_sdist {
            return build_from_sdist(args, context, &sdist, making);
        }
        place(args, context, &sdist, making)?;
    }
    let built = if args.metadata {
        making.metadata(context, sessions)?
    } else {
        making.wheel(context, sessions, args.editable)?
    };
    place(args, context, &built, making)
}

/// Moves an artifact to the output directory and notes it in the report.
fn place(
    args: &BuildArgs,
    context: &Context<'_>,
    built: &Built,
    making: &mut Making,
) -> Result<()> {
    let project = &context.project.directory;
    let artifact = place::place(&built.path, built.kind, args.out_dir.as_deref(), project)?;
    making.report.artifacts.push(artifact);
    Ok(())
}

/// Builds the wheel from an sdist, unpacked where the last one was.
fn build_from_sdist(
    args: &BuildArgs,
    outer: &Context<'_>,
    archive: &Built,
    making: &mut Making,
) -> Result<()> {
    let base = if outer.project.workspace.is_inside_cargo_workspace() {
        // cargo would take what is unpacked below a workspace for a member that forgot to say
        // so.
        user_cache()?.join(digest::short_of_path(outer.layout.root()))
    } else {
        outer.layout.sdist()
    };
    let name: String =
        outer.project.name().chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    let target = base.join(&name);
    let lock = base.join(format!("{name}.lock"));
    let _lock = build_env::lock(
        &lock,
        outer.options.lock_timeout,
        outer.ui,
        "is building in the same directory",
    )?;
    let scratch = tempfile::Builder::new()
        .prefix(".unpack-")
        .tempdir_in(&base)
        .context("failed to create a temporary directory")?;
    sdist::unpack(&archive.path, &target, scratch.path())?;
    place(args, outer, archive, making)?;
    let mut project = Project::load(&target)?;
    // Paths in uv's settings are those of the source tree, as `uv build` has it.
    project.sources.clone_from(&outer.project.sources);
    project.uv_file.clone_from(&outer.project.uv_file);
    project.build_constraints.clone_from(&outer.project.build_constraints);
    project.require_build_hashes = outer.project.require_build_hashes;
    let context = Context {
        project,
        layout: outer.layout.clone(),
        interpreter: outer.interpreter.clone(),
        options: outer.options.clone(),
        config_settings: outer.config_settings.clone(),
        ui: outer.ui,
    };
    let mut sessions = Sessions::new(outer.ui);
    let wheel = making.wheel(&context, &mut sessions, false)?;
    place(args, outer, &wheel, making)
}

fn launcher_words(launcher: Option<&str>) -> Result<Vec<String>> {
    let Some(text) = launcher else { return Ok(Vec::new()) };
    shlex::split(text).filter(|words| !words.is_empty()).ok_or_else(|| {
        UsageError {
            message: format!("`--launcher {text}` is not a command"),
            hint: Some("quote it as in a shell: `--launcher 'docker exec -i NAME'`".to_owned()),
        }
        .into()
    })
}

fn user_cache() -> Result<PathBuf> {
    let base = env_vars::get_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env_vars::get_os("LOCALAPPDATA").map(PathBuf::from))
        .or_else(|| env_vars::get_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(base.join("cargo-pyenv-build").join("sdist"))
}
