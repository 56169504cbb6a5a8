//! `build`: provision, ask for requirements, call the hook, check the artifact, and move it to the
//! output directory.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Args, ValueHint};

use super::budget::Budget;
use super::environment::{self, Ask, Sessions, Target};
use super::failure::{self, BuildError, UsageError};
use super::options::{Context, EnvironmentArgs};
use super::warmth::{Warmth, WarmthArgs, WarmthOptions};
use super::{MessageFormat, exit_with, step_summary};
use crate::build_env::{self, BuildEnv};
use crate::hooks::{self, Answer, Call, Finished, Hook};
use crate::layout::Layout;
use crate::pin::{self, facts};
use crate::project::Project;
use crate::report::cargo_output::{CargoOutput, Line};
use crate::report::{
    Artifact, ArtifactKind, EnvReport, HookReport, InterpreterReport, Report, render, round,
};
use crate::ui::{self, Ui, Verbosity};
use crate::{digest, env_vars, fs, interrupt, sdist, wheel};

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
    outcome: &anyhow::Result<()>,
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
pub(super) fn failed(command: &str, error: &anyhow::Error) -> Report {
    Report { ok: false, error: Some(failure::report(error)), ..Report::new(command) }
}

/// One for each project that was begun, and where it is kept.
pub(super) type Reports = Vec<(Option<Layout>, Report)>;

fn build_all(
    args: &BuildArgs,
    root: Option<&Path>,
    ui: &Ui,
    reports: &mut Reports,
) -> anyhow::Result<()> {
    if let Some(out_dir) =
        args.out_dir.as_deref().filter(|out_dir| out_dir.exists() && !out_dir.is_dir())
    {
        return Err(UsageError {
            message: format!("`{}` is not a directory", std::path::absolute(out_dir)?.display()),
            hint: None,
        }
        .into());
    }
    let contexts: Vec<Context<'_>> = args
        .directories
        .iter()
        .map(|directory| Context::open(directory, root, &args.environment, ui))
        .collect::<Result<_, _>>()?;
    let launcher = launcher_words(args.launcher.as_deref())?;
    let mut sessions = Sessions::behind(launcher, ui);
    let mut first_error = None;
    for (index, context) in contexts.iter().enumerate() {
        let is_last = index + 1 == contexts.len();
        let (report, outcome) = build_one("build", args, context, &mut sessions, is_last, None);
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

/// Handles a wheel instead of moving it to the output directory.
pub(super) type Then<'a> = &'a mut dyn FnMut(&Path, &mut Report) -> anyhow::Result<()>;

/// Builds a project for a command and prints the outcome.
pub(super) fn build_one<'a>(
    command: &str,
    args: &BuildArgs,
    context: &'a Context<'a>,
    sessions: &mut Sessions<'a>,
    is_last: bool,
    then: Option<Then<'_>>,
) -> (Report, anyhow::Result<()>) {
    let start = Instant::now();
    let mut build = Build {
        args,
        context,
        report: Report::new(command),
        cargo: CargoOutput::default(),
        environ: Vec::new(),
        is_last,
        then,
    };
    build.report.project = Some(context.project.directory.clone());
    let outcome = build.run(sessions);
    let (mut report, cargo) = (build.report, build.cargo);
    report.crates.add_what_was_said(cargo.finish());
    let outcome = outcome.and_then(|()| {
        Ok(Budget::new(&args.warmth, &context.project.settings)?.check(&report.crates)?)
    });
    report.seconds = round(start.elapsed().as_secs_f64());
    if let Err(error) = &outcome {
        report.ok = false;
        report.error = Some(failure::report(error));
        return (report, outcome);
    }
    let names = report
        .artifacts
        .iter()
        .map(|artifact| artifact.path.file_name().unwrap_or_default().to_string_lossy());
    let (verb, what) = report.install.as_ref().map_or_else(
        || ("Finished", names.collect::<Vec<_>>().join(" and ")),
        |install| {
            (
                "Installed",
                format!(
                    "{} {} in {}",
                    install.distribution,
                    install.version,
                    install.target.display()
                ),
            )
        },
    );
    context.ui.status(
        verb,
        format_args!(
            "{what} in {} {}",
            ui::seconds(start.elapsed()),
            render::in_brackets(&report.crates)
        ),
    );
    (report, outcome)
}

fn launcher_words(launcher: Option<&str>) -> anyhow::Result<Vec<String>> {
    let Some(text) = launcher else { return Ok(Vec::new()) };
    shlex::split(text).filter(|words| !words.is_empty()).ok_or_else(|| {
        UsageError {
            message: format!("`--launcher {text}` is not a command"),
            hint: Some("quote it as in a shell: `--launcher 'docker exec -i NAME'`".to_owned()),
        }
        .into()
    })
}

/// One project being built.
struct Build<'a, 'b, 'c> {
    args: &'b BuildArgs,
    context: &'a Context<'a>,
    report: Report,
    cargo: CargoOutput,
    /// Variables for cargo, in addition to those of all hooks.
    environ: Vec<(String, Option<String>)>,
    /// No other project comes after it.
    is_last: bool,
    then: Option<Then<'c>>,
}

impl<'a> Build<'a, '_, '_> {
    fn run(&mut self, sessions: &mut Sessions<'a>) -> anyhow::Result<()> {
        let context = self.context;
        // Hooks write into the source tree: setuptools' `build`, Cargo.lock, `dist`. One build at a
        // time.
        let turn = context.layout.project_lock(&context.project.directory);
        let _turn = build_env::lock(
            &turn,
            context.options.lock_timeout,
            context.ui,
            "is building the same project",
        )?;
        self.report.interpreter = Some(InterpreterReport::from(&context.interpreter));
        self.warn_of_no_rust();
        if self.args.sdist || self.args.from_sdist {
            let (built, _scratch) = self.build_sdist(sessions)?;
            if self.args.from_sdist {
                return self.build_from_sdist(&built);
            }
            self.place(&built, ArtifactKind::Sdist)?;
        }
        if self.args.metadata {
            self.build_metadata(sessions)
        } else {
            self.build_wheel(context, sessions)
        }
    }

    /// Provisions for a target and notes it in the report.
    fn provision<'c>(
        &mut self,
        context: &'c Context<'c>,
        target: Target,
        sessions: &mut Sessions<'c>,
    ) -> anyhow::Result<BuildEnv> {
        self.provision_and(context, target, sessions, &mut || {})
    }

    /// [`Self::provision`]; `meanwhile` is called as [`environment::provision_and`] says.
    fn provision_and<'c>(
        &mut self,
        context: &'c Context<'c>,
        target: Target,
        sessions: &mut Sessions<'c>,
        meanwhile: &mut dyn FnMut(),
    ) -> anyhow::Result<BuildEnv> {
        let env = environment::provision_and(
            context,
            target,
            Ask::Always,
            sessions,
            &mut self.report.hooks,
            meanwhile,
        )?;
        self.report.env = Some(EnvReport::from(&env));
        Ok(env)
    }

    /// Under PEP 517, setuptools builds a project that sets no backend, and without a `setup.py` it
    /// ignores Rust code.
    fn warn_of_no_rust(&self) {
        let project = &self.context.project;
        let names_backend = project
            .table(&["build-system"])
            .is_some_and(|table| table.contains_key("build-backend"));
        let has = |file: &str| project.directory.join(file).is_file();
        if !names_backend && has("Cargo.toml") && !has("setup.py") {
            let backend = if project.table(&["tool", "setuptools-rust"]).is_some() {
                "setuptools.build_meta"
            } else {
                "maturin"
            };
            self.context.ui.warning(format_args!(
                "`{}` does not set a build backend, so setuptools builds the project, without Rust",
                project.pyproject_path().display()
            ));
            self.context.ui.hint(format_args!(
                "add `build-backend = \"{backend}\"` to `[build-system]`, next to `requires`"
            ));
        }
    }

    fn target_dir(&self) -> anyhow::Result<Option<PathBuf>> {
        let absolute = |path: &PathBuf| {
            fs::absolute(path)
                .with_context(|| format!("failed to make `{}` absolute", path.display()))
        };
        self.args.target_dir.as_ref().map(absolute).transpose()
    }

    /// Calls a hook, showing and counting what cargo says. `None`: the backend lacks it.
    fn call<'c>(
        &mut self,
        context: &'c Context<'c>,
        env: &BuildEnv,
        hook: Hook,
        sessions: &mut Sessions<'c>,
    ) -> anyhow::Result<Option<Finished>> {
        let ui = context.ui;
        let name = hook.name();
        let mut environ = self.environ.clone();
        if let Some(target_dir) = self.target_dir()? {
            environ.push((
                "CARGO_TARGET_DIR".to_owned(),
                Some(target_dir.to_string_lossy().into_owned()),
            ));
        }
        if ui.is_interactive() {
            // For our spinner to count along.
            environ.push(("CARGO_TERM_PROGRESS_WHEN".to_owned(), Some("always".to_owned())));
            environ.push(("CARGO_TERM_PROGRESS_WIDTH".to_owned(), Some("100".to_owned())));
        }
        let call = Call {
            project: &context.project,
            hook,
            config_settings: &context.config_settings,
            environ: &environ,
            timeout: self.args.hook_timeout,
        };
        let session = sessions.get(context, env)?;
        let spinner =
            ui.spinner(format!("{name} ({})", context.project.build_system.build_backend));
        let cargo = &mut self.cargo;
        let mut show = |line: &str| {
            let meaning = cargo.line(line);
            if ui.verbosity() >= Verbosity::Verbose {
                ui.passthrough(line);
                return;
            }
            match meaning {
                Line::Compiling(what) => {
                    ui.status("Compiling", what);
                }
                Line::Progress { done, total, now } => {
                    spinner.set(format!("{name}: {done}/{total} {now}"));
                }
                Line::Other => {}
            }
        };
        let start = Instant::now();
        let answer = session.call(&call, &mut show);
        if matches!(&answer, Err(error) if !matches!(error, hooks::Error::Hook { .. })) {
            sessions.forget(env);
        }
        let (outcome, finished) = match answer {
            Ok(Answer::Returned(finished)) => ("ok", Ok(Some(finished))),
            Ok(Answer::Unsupported) => ("unsupported", Ok(None)),
            Err(error) => ("error", Err(error)),
        };
        self.report.hooks.push(HookReport {
            name: name.to_owned(),
            seconds: round(start.elapsed().as_secs_f64()),
            outcome: outcome.to_owned(),
        });
        Ok(finished?)
    }

    /// Calls a hook that makes something, and finds what it made. `None`: the backend lacks the
    /// hook.
    fn call_and_fetch<'c>(
        &mut self,
        context: &'c Context<'c>,
        env: &BuildEnv,
        hook: Hook,
        sessions: &mut Sessions<'c>,
    ) -> anyhow::Result<Option<PathBuf>> {
        let name = hook.name();
        let directory = hook.directory().expect("the hook makes something").to_path_buf();
        let session = sessions.get(context, env)?;
        let lent = if session.is_remote() { Some(session.lend()?) } else { None };
        let hook = match &lent {
            Some(lent) => hook.with_directory(lent),
            None => hook,
        };
        let Some(finished) = self.call(context, env, hook, sessions)? else { return Ok(None) };
        if let (Some(lent), Some(name)) = (&lent, plain_name(&finished)) {
            sessions.get(context, env)?.fetch(&lent.join(name), &directory)?;
        }
        let made = made_in(&directory, &finished).ok_or_else(|| {
            let backend = &context.project.build_system.build_backend;
            let message = format!(
                "`{backend}` returned {} from `{name}`, but did not create it in the given \
                    directory",
                finished.value
            );
            BuildError { message, hint: None }
        })?;
        Ok(Some(made))
    }

    /// [`Self::call_and_fetch`] for hooks that a backend must have.
    fn call_required<'c>(
        &mut self,
        context: &'c Context<'c>,
        env: &BuildEnv,
        hook: Hook,
        sessions: &mut Sessions<'c>,
    ) -> anyhow::Result<PathBuf> {
        let name = hook.name();
        self.call_and_fetch(context, env, hook, sessions)?.ok_or_else(|| {
            let backend = &context.project.build_system.build_backend;
            let hint = (name == "build_editable")
                .then(|| "use a backend that supports editable installs (PEP 660)".to_owned());
            BuildError { message: format!("`{backend}` does not support `{name}`"), hint }.into()
        })
    }

    fn build_wheel<'c>(
        &mut self,
        context: &'c Context<'c>,
        sessions: &mut Sessions<'c>,
    ) -> anyhow::Result<()> {
        let (target, kind) = if self.args.editable {
            (Target::Editable, ArtifactKind::Editable)
        } else {
            (Target::Wheel, ArtifactKind::Wheel)
        };
        let options = WarmthOptions::new(&self.args.warmth, &context.project)?;
        let target_dir = self.target_dir()?;
        // While hookd starts. Later, cargo would wait for the backend's cargo, or that for it.
        let mut warmth = None;
        let env = self.provision_and(context, target, sessions, &mut || {
            warmth = Warmth::begin(
                &context.project,
                &context.layout,
                options,
                target_dir.as_deref(),
                context.ui,
            );
        })?;
        if let Some(warmth) = &warmth {
            Budget::new(&self.args.warmth, &context.project.settings)?
                .look_at(warmth.workspace(), context.ui);
        }
        let (_scratch, wheel_directory) = scratch(&context.layout)?;
        let hook = if self.args.editable {
            Hook::BuildEditable { wheel_directory, metadata_directory: None }
        } else {
            Hook::BuildWheel { wheel_directory, metadata_directory: None }
        };
        self.environ = warmth.as_mut().map(|warmth| warmth.ready(context.ui)).unwrap_or_default();
        let built = self.call_required(context, &env, hook, sessions);
        if self.is_last {
            sessions.dismiss();
        }
        if let Some(warmth) = &warmth {
            (self.report.crates, self.report.store) = warmth.end(context.ui);
        }
        let built = built?;
        let cargo = warmth.as_ref().map(Warmth::workspace);
        let pins = pin::pins(&facts::learn(&context.project, &context.interpreter, &env, cargo));
        for note in &pins.notes {
            context.ui.warning(note);
        }
        self.report.set_pins(&pins);
        wheel::check(&built, &context.interpreter.identity)?;
        match &mut self.then {
            Some(then) => then(&built, &mut self.report),
            None => self.place(&built, kind),
        }
    }

    fn build_sdist(
        &mut self,
        sessions: &mut Sessions<'a>,
    ) -> anyhow::Result<(PathBuf, tempfile::TempDir)> {
        let context = self.context;
        let env = self.provision(context, Target::Sdist, sessions)?;
        let (scratch, sdist_directory) = scratch(&context.layout)?;
        let built =
            self.call_required(context, &env, Hook::BuildSdist { sdist_directory }, sessions)?;
        if let Some(ours) = context.layout.within(&context.project.directory) {
            sdist::check(&built, &ours)?;
        }
        Ok((built, scratch))
    }

    /// Builds the wheel from an sdist, unpacked where the last one was.
    fn build_from_sdist(&mut self, archive: &Path) -> anyhow::Result<()> {
        let outer = self.context;
        let base = if outer.project.workspace.is_inside_cargo_workspace() {
            // cargo would take what is unpacked below a workspace for a member that forgot to say
            // so.
            user_cache()?.join(digest::short_of_path(outer.layout.root()))
        } else {
            outer.layout.sdist()
        };
        let name: String = outer
            .project
            .name()
            .chars()
            .map(|c| if c.is_alphanumeric() { c } else { '_' })
            .collect();
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
        sdist::unpack(archive, &target, scratch.path())?;
        self.place(archive, ArtifactKind::Sdist)?;
        let mut project = Project::load(&target)?;
        // Paths in uv's settings are those of the source tree, as `uv build` has it.
        project.sources.clone_from(&outer.project.sources);
        project.uv_file.clone_from(&outer.project.uv_file);
        project.build_constraints.clone_from(&outer.project.build_constraints);
        let context = Context {
            project,
            layout: outer.layout.clone(),
            interpreter: outer.interpreter.clone(),
            options: outer.options.clone(),
            config_settings: outer.config_settings.clone(),
            ui: outer.ui,
        };
        let mut sessions = Sessions::new(outer.ui);
        self.build_wheel(&context, &mut sessions)
    }

    fn build_metadata(&mut self, sessions: &mut Sessions<'a>) -> anyhow::Result<()> {
        let context = self.context;
        let env = self.provision(context, Target::Wheel, sessions)?;
        let (_scratch, metadata_directory) = scratch(&context.layout)?;
        let hook =
            Hook::PrepareMetadataForBuildWheel { metadata_directory: metadata_directory.clone() };
        let made = if let Some(made) = self.call_and_fetch(context, &env, hook, sessions)? {
            made
        } else {
            // PEP 517: "If a build frontend needs this information and the method is not defined,
            // it should call build_wheel and look at the resulting metadata directly."
            let hook = Hook::BuildWheel {
                wheel_directory: metadata_directory.clone(),
                metadata_directory: None,
            };
            let built = self.call_required(context, &env, hook, sessions)?;
            wheel::extract_metadata(&built, &metadata_directory)?
        };
        self.place(&made, ArtifactKind::Metadata)
    }

    /// Moves an artifact to the output directory.
    fn place(&mut self, built: &Path, kind: ArtifactKind) -> anyhow::Result<()> {
        let out_dir = match &self.args.out_dir {
            Some(out_dir) => fs::absolute(out_dir)
                .with_context(|| format!("failed to make `{}` absolute", out_dir.display()))?,
            None => self.context.project.directory.join("dist"),
        };
        let target = out_dir.join(built.file_name().expect("it is a file in a directory"));
        move_to(built, &target, self.args.out_dir.is_none()).with_context(|| {
            format!(
                "failed to move `{}` to `{}`",
                target.file_name().unwrap_or_default().display(),
                out_dir.display()
            )
        })?;
        let artifact = Artifact::new(kind, target).context("failed to read the built artifact")?;
        self.report.artifacts.push(artifact);
        Ok(())
    }
}

/// A temporary directory, and one in it for a hook to write to: what it puts next to that goes as
/// well.
fn scratch(layout: &Layout) -> anyhow::Result<(tempfile::TempDir, PathBuf)> {
    let make = || {
        let scratch = layout.temporary("build-")?;
        let inner = scratch.path().join("out");
        fs_err::create_dir(&inner)?;
        Ok::<_, std::io::Error>((scratch, inner))
    };
    make().map_err(|source| {
        build_env::Error::Write { path: layout.root().to_path_buf(), source }.into()
    })
}

/// What a hook says it made, if that is a name in the directory it was given, and is there.
fn made_in(directory: &Path, finished: &Finished) -> Option<PathBuf> {
    Some(directory.join(plain_name(finished)?)).filter(|path| path.exists())
}

/// What a hook returned, if it is a name and not a path.
fn plain_name(finished: &Finished) -> Option<&str> {
    let name = finished.value.as_str()?;
    Path::new(name).file_name().is_some_and(|file| file == name).then_some(name)
}

/// Moves a file or directory to its final name, replacing what is there.
///
/// `dist` made by us gets a `.gitignore`, as uv's does: an untracked wheel in a package re-runs its
/// build script if that is of the old kind, which looks at all files of the package.
fn move_to(built: &Path, target: &Path, is_default_directory: bool) -> std::io::Result<()> {
    let directory = target.parent().expect("a file has a parent");
    if is_default_directory && !directory.exists() {
        fs_err::create_dir_all(directory)?;
        fs::write_atomic(&directory.join(".gitignore"), b"*\n")?;
    }
    fs_err::create_dir_all(directory)?;
    if same_content(built, target) {
        // The same artifact as before keeps its date: what watches it has nothing to do.
        return Ok(());
    }
    if built.is_dir() {
        fs::remove_dir_all(target)?;
    }
    match fs_err::rename(built, target) {
        Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
            copy_over(built, target)
        }
        other => other,
    }
}

fn same_content(one: &Path, other: &Path) -> bool {
    let size = |path: &Path| {
        fs_err::metadata(path)
            .ok()
            .filter(std::fs::Metadata::is_file)
            .map(|metadata| metadata.len())
    };
    let read = |path: &Path| fs_err::read(path).ok();
    size(one).is_some_and(|size_of_one| size(other) == Some(size_of_one))
        && read(one) == read(other)
}

/// [`move_to`] across file systems: a copy next to the target, then a rename.
fn copy_over(built: &Path, target: &Path) -> std::io::Result<()> {
    let directory = target.parent().expect("a file has a parent");
    let staging = tempfile::Builder::new().prefix(".tmp-").tempdir_in(directory)?;
    let copy = staging.path().join("x");
    for entry in walkdir::WalkDir::new(built) {
        let entry = entry?;
        let to = match entry.path().strip_prefix(built) {
            Ok(relative) if !relative.as_os_str().is_empty() => copy.join(relative),
            _ => copy.clone(),
        };
        if entry.file_type().is_dir() {
            fs_err::create_dir_all(to)?;
        } else {
            fs_err::copy(entry.path(), to)?;
        }
    }
    fs_err::rename(copy, target)
}

fn user_cache() -> anyhow::Result<PathBuf> {
    let base = env_vars::get_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env_vars::get_os("LOCALAPPDATA").map(PathBuf::from))
        .or_else(|| env_vars::get_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(base.join("cargo-pyenv-build").join("sdist"))
}
