//! From a project to an artifact in a scratch directory: provision, ask for requirements, call the
//! hooks, check what they made.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::place::Scratch;
use crate::build_env::{self, BuildEnv};
use crate::cli::budget::Budget;
use crate::cli::environment::{self, Sessions, Started, Target};
use crate::cli::failure::{self, BuildError, Result};
use crate::cli::options::Context;
use crate::cli::sharing::{Shared, Sharing};
use crate::cli::target_dirs;
use crate::cli::warmth::{Reuse, Warmth, WarmthArgs, WarmthOptions};
use crate::hooks::{self, Answer, Call, Hook};
use crate::pin::{self, facts};
use crate::report::cargo_output::{CargoOutput, Line};
use crate::report::{
    ArtifactKind, EnvReport, HookReport, InterpreterReport, Report, render, round,
};
use crate::ui::{self, Verbosity};
use crate::{env_vars, fs, interrupt, sdist, wheel};

/// How a project is built.
#[derive(Debug)]
pub(in crate::cli) struct Options {
    /// Absolute.
    pub target_dir: Option<PathBuf>,
    pub hook_timeout: Option<Duration>,
    pub warmth: WarmthArgs,
    /// No other project is built after it.
    pub is_last: bool,
}

/// An artifact that is checked and not yet placed. Dropping it removes it.
#[derive(Debug)]
pub(in crate::cli) struct Built {
    pub path: PathBuf,
    pub kind: ArtifactKind,
    pub env: BuildEnv,
    #[expect(dead_code, reason = "it holds the file")]
    scratch: Scratch,
}

/// One project being built: its artifacts one after the other, with one report.
pub(in crate::cli) struct Making {
    options: Options,
    start: Instant,
    pub report: Report,
    cargo: CargoOutput,
    /// Variables for cargo, in addition to those of all hooks.
    environ: Vec<(String, Option<String>)>,
}

impl Making {
    /// Begins the report of a command.
    pub(in crate::cli) fn new(command: &str, options: Options, context: &Context<'_>) -> Self {
        let mut report = Report::new(command);
        report.project = Some(context.project.directory.clone());
        report.interpreter = Some(InterpreterReport::from(&context.interpreter));
        Self {
            options,
            start: Instant::now(),
            report,
            cargo: CargoOutput::default(),
            environ: Vec::new(),
        }
    }

    /// Hooks write into the source tree (setuptools' `build`, Cargo.lock, `dist`), so one build of a
    /// project runs at a time. To be called first, and held to the end.
    pub(in crate::cli) fn lock(context: &Context<'_>) -> Result<fs::Lock, build_env::Error> {
        let path = context.layout.project_lock(&context.project.directory);
        let lock = build_env::lock(
            &path,
            context.options.lock_timeout,
            context.ui,
            "is building the same project",
        )?;
        warn_of_no_rust(context);
        Ok(lock)
    }

    /// The report of the artifacts, and the outcome: the budget may still turn it into a failure.
    /// Prints a success.
    pub(in crate::cli) fn conclude(
        self,
        outcome: Result<()>,
        context: &Context<'_>,
    ) -> (Report, Result<()>) {
        let Self { options, start, mut report, cargo, .. } = self;
        report.crates.add_what_was_said(cargo.finish());
        let outcome = outcome.and_then(|()| {
            Ok(Budget::new(&options.warmth, &context.project.settings)?.check(&report.crates)?)
        });
        report.seconds = round(start.elapsed().as_secs_f64());
        if let Err(error) = &outcome {
            report.ok = false;
            report.error = Some(failure::report(error));
            return (report, outcome);
        }
        let (verb, what) = if let Some(install) = &report.install {
            let target = install.target.display();
            ("Installed", format!("{} {} in {target}", install.distribution, install.version))
        } else {
            let paths = report.artifacts.iter().map(|artifact| &artifact.path);
            let names = paths.map(|path| path.file_name().unwrap_or_default().to_string_lossy());
            ("Finished", names.collect::<Vec<_>>().join(" and "))
        };
        let (taken, crates) = (ui::seconds(start.elapsed()), render::in_brackets(&report.crates));
        context.ui.status(verb, format_args!("{what} in {taken} {crates}"));
        (report, outcome)
    }

    /// Makes a wheel, or an editable one.
    pub(in crate::cli) fn wheel<'c>(
        &mut self,
        context: &'c Context<'c>,
        sessions: &mut Sessions<'c>,
        is_editable: bool,
    ) -> Result<Built> {
        let (target, kind) = if is_editable {
            (Target::Editable, ArtifactKind::Editable)
        } else {
            (Target::Wheel, ArtifactKind::Wheel)
        };
        let options = WarmthOptions::new(&self.options.warmth, &context.project)?;
        let sharing = Sharing::begin(
            &self.options.warmth.sharing,
            &Shared {
                project: &context.project,
                layout: &context.layout,
                identity: Some(&context.interpreter.identity),
                target: self.options.target_dir.as_deref(),
                tests: false,
                environments: !(context.options.locked || context.options.require_hashes),
                is_offline: context.options.offline,
                is_reusing: options.reuse != Reuse::Off,
            },
            context.ui,
        )?;
        let started = environment::start(context, target, sessions)?;
        // While hookd starts. Later, cargo would wait for the backend's cargo, or that for it.
        let mut warmth = Warmth::begin(
            &context.project,
            &context.layout,
            options,
            self.options.target_dir.as_deref(),
            context.ui,
        );
        let env = self.finish(started, sessions)?;
        if let Some(warmth) = &mut warmth {
            let settings = context.config_settings.values().flat_map(|value| match value {
                Value::Array(list) => list.iter().filter_map(|one| one.as_str()).collect(),
                one => Vec::from_iter(one.as_str()),
            });
            let of_maturin = env_vars::get("MATURIN_PEP517_ARGS");
            let said = settings.chain(of_maturin.as_deref());
            warmth.also_in(target_dirs::mentioned(&context.project.directory, said));
            Budget::new(&self.options.warmth, &context.project.settings)?
                .look_at(warmth.workspace(), context.ui);
        }
        let scratch = Scratch::new(&context.layout)?;
        let wheel_directory = scratch.directory.clone();
        let hook = if is_editable {
            Hook::BuildEditable { wheel_directory, metadata_directory: None }
        } else {
            Hook::BuildWheel { wheel_directory, metadata_directory: None }
        };
        if let (Some(warmth), Some(_)) = (&mut warmth, &sharing) {
            warmth.judge_all_crates();
        }
        self.environ = warmth.as_mut().map(|warmth| warmth.ready(context.ui)).unwrap_or_default();
        let built = self.call_required(context, &env, hook, sessions);
        if self.options.is_last {
            sessions.dismiss();
        }
        if let Some(warmth) = &warmth {
            (self.report.crates, self.report.store) = warmth.end(context.ui);
        }
        if let Some(sharing) = sharing {
            let crates = built.is_ok().then_some(&self.report.crates);
            self.report.store.shared = Some(sharing.end(Some(&env), crates));
            if let (Some(signal), Ok(_)) = (interrupt::pending(), &built) {
                return Err(build_env::Error::Interrupted(signal).into());
            }
        }
        let built = built?;
        let cargo = warmth.as_ref().map(Warmth::workspace);
        let pins = pin::pins(&facts::learn(&context.project, &context.interpreter, &env, cargo));
        for note in &pins.notes {
            context.ui.warning(note);
        }
        self.report.set_pins(&pins);
        wheel::check(&built, &context.interpreter.identity)?;
        Ok(Built { path: built, kind, env, scratch })
    }

    /// Makes a source distribution.
    pub(super) fn sdist<'c>(
        &mut self,
        context: &'c Context<'c>,
        sessions: &mut Sessions<'c>,
    ) -> Result<Built> {
        let env = self.provision(context, Target::Sdist, sessions)?;
        let scratch = Scratch::new(&context.layout)?;
        let hook = Hook::BuildSdist { sdist_directory: scratch.directory.clone() };
        let path = self.call_required(context, &env, hook, sessions)?;
        if let Some(ours) = context.layout.within(&context.project.directory) {
            sdist::check(&path, &ours)?;
        }
        Ok(Built { path, kind: ArtifactKind::Sdist, env, scratch })
    }

    /// Makes the metadata directory of the wheel.
    pub(super) fn metadata<'c>(
        &mut self,
        context: &'c Context<'c>,
        sessions: &mut Sessions<'c>,
    ) -> Result<Built> {
        let env = self.provision(context, Target::Wheel, sessions)?;
        let scratch = Scratch::new(&context.layout)?;
        let metadata_directory = scratch.directory.clone();
        let hook =
            Hook::PrepareMetadataForBuildWheel { metadata_directory: metadata_directory.clone() };
        let path = if let Some(made) = self.call_and_fetch(context, &env, hook, sessions)? {
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
        Ok(Built { path, kind: ArtifactKind::Metadata, env, scratch })
    }

    /// Provisions for a target and notes it in the report.
    fn provision<'c>(
        &mut self,
        context: &'c Context<'c>,
        target: Target,
        sessions: &mut Sessions<'c>,
    ) -> Result<BuildEnv> {
        let started = environment::start(context, target, sessions)?;
        self.finish(started, sessions)
    }

    fn finish<'c>(
        &mut self,
        started: Started<'c>,
        sessions: &mut Sessions<'c>,
    ) -> Result<BuildEnv> {
        let env = started.finish(sessions, &mut self.report.hooks)?;
        self.report.env = Some(EnvReport::from(&env));
        Ok(env)
    }

    /// Calls a hook, showing and counting what cargo says. `None`: the backend lacks it.
    fn call<'c>(
        &mut self,
        context: &'c Context<'c>,
        env: &BuildEnv,
        hook: Hook,
        sessions: &mut Sessions<'c>,
    ) -> Result<Option<Value>> {
        let ui = context.ui;
        let name = hook.name();
        let mut environ = self.environ.clone();
        if let Some(target_dir) = &self.options.target_dir {
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
            timeout: self.options.hook_timeout,
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
        let (outcome, returned) = match answer {
            Ok(Answer::Returned(returned)) => ("ok", Ok(Some(returned))),
            Ok(Answer::Unsupported) => ("unsupported", Ok(None)),
            Err(error) => ("error", Err(error)),
        };
        self.report.hooks.push(HookReport {
            name: name.to_owned(),
            seconds: round(start.elapsed().as_secs_f64()),
            outcome: outcome.to_owned(),
        });
        Ok(returned?)
    }

    /// Calls a hook that makes something, and finds what it made. `None`: the backend lacks the
    /// hook.
    fn call_and_fetch<'c>(
        &mut self,
        context: &'c Context<'c>,
        env: &BuildEnv,
        hook: Hook,
        sessions: &mut Sessions<'c>,
    ) -> Result<Option<PathBuf>> {
        let name = hook.name();
        let directory = hook.directory().expect("the hook makes something").to_path_buf();
        let session = sessions.get(context, env)?;
        let lent = if session.is_remote() { Some(session.lend()?) } else { None };
        let hook = match &lent {
            Some(lent) => hook.with_directory(lent),
            None => hook,
        };
        let Some(returned) = self.call(context, env, hook, sessions)? else { return Ok(None) };
        if let (Some(lent), Some(name)) = (&lent, plain_name(&returned)) {
            sessions.get(context, env)?.fetch(&lent.join(name), &directory)?;
        }
        let made = made_in(&directory, &returned).ok_or_else(|| {
            let backend = &context.project.build_system.build_backend;
            let message = format!(
                "`{backend}` returned {returned} from `{name}`, but did not create it in the given \
                    directory"
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
    ) -> Result<PathBuf> {
        let name = hook.name();
        self.call_and_fetch(context, env, hook, sessions)?.ok_or_else(|| {
            let backend = &context.project.build_system.build_backend;
            let hint = (name == "build_editable")
                .then(|| "use a backend that supports editable installs (PEP 660)".to_owned());
            BuildError { message: format!("`{backend}` does not support `{name}`"), hint }.into()
        })
    }
}

/// Under PEP 517, setuptools builds a project that sets no backend, and without a `setup.py` it
/// ignores Rust code.
fn warn_of_no_rust(context: &Context<'_>) {
    let project = &context.project;
    let names_backend =
        project.table(&["build-system"]).is_some_and(|table| table.contains_key("build-backend"));
    let has = |file: &str| project.directory.join(file).is_file();
    if !names_backend && has("Cargo.toml") && !has("setup.py") {
        let backend = if project.table(&["tool", "setuptools-rust"]).is_some() {
            "setuptools.build_meta"
        } else {
            "maturin"
        };
        context.ui.warning(format_args!(
            "`{}` does not set a build backend, so setuptools builds the project, without Rust",
            project.pyproject_path().display()
        ));
        context.ui.hint(format_args!(
            "add `build-backend = \"{backend}\"` to `[build-system]`, next to `requires`"
        ));
    }
}

/// What a hook says it made, if that is a name in the directory it was given, and is there.
fn made_in(directory: &Path, returned: &Value) -> Option<PathBuf> {
    Some(directory.join(plain_name(returned)?)).filter(|path| path.exists())
}

/// What a hook returned, if it is a name and not a path.
fn plain_name(returned: &Value) -> Option<&str> {
    let name = returned.as_str()?;
    Path::new(name).file_name().is_some_and(|file| file == name).then_some(name)
}
