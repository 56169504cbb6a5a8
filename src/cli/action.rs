//! `action plan|prepare|build|prune|summary`: the steps of `action.yml` and of
//! `summary/action.yml`, with the caches between them.
//!
//! ```text
//! plan      interpreter, the request        -> key of the environments           | restored: .pyenv-build/{envs,requests,history}
//! prepare   provision, fingerprint, roll     -> keys of rust-cache and the store  | restored: target and registry; .pyenv-build/store
//! build     the build, later steps' cargo, summary
//! ...       whatever else the job does                                            | saved, at its end: environments, store, rust-cache
//! ```
//!
//! The environments come first and by themselves: what they are found by is known without any
//! network, and what was resolved once decides the fingerprint until somebody asks for something
//! else. So an untouched project never rolls, whatever is released meanwhile. Then the fingerprint
//! is known before rust-cache looks for a key, and stands in a comment of a file that rust-cache
//! hashes into the end of its key only: a different environment has a different key, with the old
//! entry as the fallback (*soft roll*). The ABI tag is in the prefix, which has no fallback (*hard
//! roll*).
//!
//! `actions/cache` saves in its own post step, after the last step of the job, if the job succeeded
//! and there is no entry of that key: what later steps compile and install is in it, and what this
//! job has not used is not ([`crate::units::store::Store::set_aside`]).
//!
//! All inputs come by the environment (`INPUT_OUT_DIR`), all values go out through files; nothing
//! that others wrote is ever in a script. Paths are absolute, and so a part of what GitHub calls an
//! entry's version: what is restored is where it was made. Trouble with caches is said in a line
//! and fails nothing.

mod history;
mod inputs;
mod job;
mod keys;
mod later_steps;
mod summary;

use std::path::Path;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use self::history::History;
use self::inputs::{LaterSteps, Wants, Words};
use self::keys::Hits;
use self::later_steps::{ConfigFile, Exports};
use super::build::{self, BuildArgs};
use super::environment::{self, Sessions, Target};
use super::failure::{self, Result, UsageError};
use super::options::Context;
use super::{MessageFormat, env, exit_with, options, warmth};
use crate::actions::commands::{Annotation, Level};
use crate::actions::context::{self, Policy};
use crate::actions::{self, Actions, input};
use crate::build_env::fingerprint::parts;
use crate::build_env::gc::{Keep, collect};
use crate::build_env::{BuildEnv, Outcome};
use crate::cache::{self, Key};
use crate::project::Project;
use crate::report::{ArtifactKind, ErrorReport};
use crate::ui::{Ui, Verbosity};
use crate::{env_vars, exit_code};

/// Run a step of our GitHub Action
#[derive(Debug, Clone, Args)]
pub(super) struct ActionArgs {
    #[command(subcommand)]
    step: StepName,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum StepName {
    /// Compute the cache key of the build environments
    Plan,
    /// Provision the environment; compute the cache keys of rust-cache and the store
    Prepare,
    /// Build, and write the outputs and the summary
    Build,
    /// Prune the repository's caches
    Prune,
    /// Summarize what the whole job compiled and reused, and why
    Summary,
}

pub(super) fn run(args: &ActionArgs, root: Option<&Path>, ui: &Ui) -> u8 {
    if Actions::detect(ui).is_none() {
        let hint = "outside GitHub Actions, run `cargo pyenv-build`".to_owned();
        return exit_with(
            Some(
                &UsageError {
                    message: "`action` only works in GitHub Actions".to_owned(),
                    hint: Some(hint),
                }
                .into(),
            ),
            ui,
        );
    }
    let words = inputs::words();
    // "Enable debug logging", of who runs a workflow again, is `-v`.
    let is_debugged = env_vars::get("RUNNER_DEBUG").as_deref() == Some("1");
    let own = match &words {
        Ok(Words { quiet: true, .. }) => Some(Verbosity::Quiet),
        Ok(Words { verbose, .. }) if *verbose > 0 || is_debugged => {
            Some(if *verbose > 1 { Verbosity::Debug } else { Verbosity::Verbose })
        }
        _ => None,
    }
    .map(|verbosity| Ui::new(verbosity, None));
    let ui = own.as_ref().unwrap_or(ui);
    let Some(actions) = Actions::detect(ui) else { return exit_code::USAGE };
    for secret in input("github-token").into_iter().chain(env_vars::get("GITHUB_TOKEN")) {
        actions.mask(&secret);
    }
    let (code, annotation) = {
        // Branch names, inputs, crate names and cache keys are attacker-controlled text.
        let _quiet = actions.quiet();
        let outcome = words.and_then(|words| Step::new(words.build, root, ui)).and_then(|step| {
            match args.step {
                StepName::Plan => step.plan(),
                StepName::Prepare => step.prepare(),
                StepName::Build => step.build(),
                StepName::Prune => {
                    step.prune();
                    Ok(Done::default())
                }
                StepName::Summary => step.summary(),
            }
        });
        match outcome {
            Ok(done) => (done.exit_code, done.annotation),
            Err(error) => (
                exit_with(Some(&error), ui),
                Some((Level::Error, in_words(&failure::report(&error)))),
            ),
        }
    };
    if let Some((level, message)) = annotation {
        actions.annotate(&Annotation {
            level,
            title: "cargo pyenv-build",
            message: &message,
            file: None,
        });
    }
    code
}

fn in_words(error: &ErrorReport) -> String {
    let hint = error.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    format!("{}{hint}", error.message)
}

/// The outcome of a step that ran.
#[derive(Debug, Default)]
struct Done {
    exit_code: u8,
    annotation: Option<(Level, String)>,
}

/// Data that all steps share.
struct Step<'a> {
    ui: &'a Ui,
    root: Option<&'a Path>,
    args: BuildArgs,
    wants: Wants,
    leg: String,
    policy: Policy,
}

impl<'a> Step<'a> {
    fn new(args: BuildArgs, root: Option<&'a Path>, ui: &'a Ui) -> Result<Self> {
        let context = context::Context::read();
        let (cache, save) = inputs::caching()?;
        let project = input("project").unwrap_or_default();
        let extra = input("args").unwrap_or_default();
        let leg = cache::leg(
            input("shared-key").as_deref(),
            &context.job,
            &[&context.workflow, &project, &extra],
        );
        let policy = context.policy(cache, save);
        let args = inputs::alone_if(&policy, args);
        Ok(Self { ui, root, args, wants: Wants::read()?, leg, policy })
    }

    fn open(&self) -> Result<Context<'a>> {
        Context::open(&self.args.directories[0], self.root, &self.args.environment, self.ui)
    }

    /// How a cache is used: `save` (restored and saved), `restore` or `no`.
    fn use_of_cache(&self, is_of_use: bool) -> &'static str {
        match (self.policy.restore && is_of_use, self.policy.save) {
            (false, _) => "no",
            (true, false) => "restore",
            (true, true) => "save",
        }
    }

    /// Computes the cache key of the environments. Uses no network, and installs nothing.
    fn plan(&self) -> Result<Done> {
        if let Some(note) = &self.policy.note {
            self.ui.status("Note", note);
        }
        let context = self.open()?;
        // Of another job on this machine: until it is written again, no cargo is to call us.
        if let Ok(file) = ConfigFile::find(&context.project.workspace.root) {
            file.remove().context("failed to remove the leftovers of an earlier job")?;
        }
        let (key, paths) = keys::environments(&context, &self.leg)?;
        self.ui.status(
            "Interpreter",
            format_args!(
                "{} at {}",
                context.interpreter.identity.display(),
                context.interpreter.path.display()
            ),
        );
        actions::output("env-cache", self.use_of_cache(true))?;
        actions::output("env-key", &key.key)?;
        actions::output("env-restore-keys", &key.restore_keys.join("\n"))?;
        actions::output("env-paths", &paths)?;
        Ok(Done::default())
    }

    /// Provisions the environment, and computes the cache keys of rust-cache and the store.
    fn prepare(&self) -> Result<Done> {
        let context = self.open()?;
        // Before any hook runs, for those write into the source tree, and only where no cache has
        // the answer.
        let [lock, sources] = keys::checkout_digests(&context, self.ui);
        let env = provision(&context)?;
        environment::write_roll(&context, &env)?;
        let abi_tag = context.interpreter.identity.abi_tag();
        let key = Key::store(&abi_tag, &self.leg, &env.fingerprint, &lock, &sources);
        let has_rust = context.project.workspace.cargo_directories().is_some();
        actions::output("fingerprint", &env.fingerprint)?;
        let outcome = if env.outcome == Outcome::Created { "created" } else { "reused" };
        actions::output("env-outcome", outcome)?;
        actions::output("store-cache", self.use_of_cache(has_rust))?;
        actions::output("store-key", &key.key)?;
        actions::output("store-restore-keys", &key.restore_keys.join("\n"))?;
        actions::output("store-path", &context.layout.store().to_string_lossy())?;
        let is_asked = self.wants.rust_cache && self.policy.restore;
        let rust_cache =
            if is_asked { keys::rust_cache_workspaces(&context, self.ui) } else { None };
        actions::output("rust-cache", word(rust_cache.is_some()))?;
        actions::output("rust-cache-workspaces", &rust_cache.unwrap_or_default())?;
        actions::output("rust-cache-prefix-key", &cache::rust_cache_prefix(&abi_tag))?;
        actions::output("rust-cache-shared-key", &self.leg)?;
        actions::output("save", word(self.policy.save))?;
        self.ui.status("Environment", format_args!("{} ({})", env.path.display(), env.fingerprint));
        self.ui.status("Cache key", &key.key);
        Ok(Done::default())
    }

    /// Builds, sets the outputs, exports variables for later steps, and writes the summary.
    fn build(&self) -> Result<Done> {
        let hits = Hits::read();
        let context = self.open()?;
        let layout = &context.layout;
        let mut done = Done::default();
        job::begin(layout, self.policy.save, self.ui);
        let report = if self.wants.build {
            let (code, report) =
                build::run_quietly(&self.args, self.root, MessageFormat::Human, self.ui);
            done.exit_code = code;
            Some(report)
        } else {
            None
        };
        let ok = done.exit_code == exit_code::OK;
        if let Some(report) = &report {
            actions::output("report", &layout.last_report().to_string_lossy())?;
            actions::output("compiled-crates", &report.crates.compiled.len().to_string())?;
            let first = |kind| {
                report
                    .artifacts
                    .iter()
                    .find(|artifact| artifact.kind == kind)
                    .map(|artifact| artifact.path.to_string_lossy())
            };
            actions::output("wheel", &first(ArtifactKind::Wheel).unwrap_or_default())?;
            actions::output("sdist", &first(ArtifactKind::Sdist).unwrap_or_default())?;
        }
        actions::output("cache-key", &hits.store_key)?;
        actions::output("cache-hit", word(hits.is_full()))?;
        let mut history = History::read(layout, &self.leg);
        let before = history.clone();
        if ok {
            let env = provision(&context)?;
            self.export(&context, &env)?;
            history.parts = parts(&context.interpreter.identity, &env.distributions);
            if let Some(report) =
                report.as_ref().filter(|report| hits.is_cold() && report.crates.fresh == 0)
            {
                history.note_cold(report.crates.compiled.len() as u64, report.seconds);
            }
            history.write(layout, &self.leg);
        }
        // Environments that only an older entry had would be carried along for ever.
        if self.policy.save && ok {
            let keep = Keep { newest: 1, used_within: std::time::Duration::from_secs(3600) };
            if let Err(error) = collect(layout, keep, false, self.ui) {
                self.ui.warning(format_args!(
                    "could not remove old environments before caching: {error}"
                ));
            }
        }
        if let Some(report) = &report {
            let note = hits.lacks_dependencies(&report.crates).then_some(NOT_BROUGHT);
            if let Some(note) = note {
                self.ui.status("Note", note);
            } else if ok && hits.is_full() && !report.crates.compiled.is_empty() {
                done.annotation =
                    Some((Level::Warning, summary::full_hit_compiled(&report.crates)));
            }
            if let Some(error) = &report.error {
                done.annotation = Some((Level::Error, in_words(error)));
            }
            if self.wants.summary {
                let mut text =
                    summary::of_build(report, &hits, [&before, &history], layout, &self.policy);
                if let Some(note) = note {
                    text.push(&actions::summary::text(note));
                }
                if let Err(error) = text.write() {
                    self.ui.warning(format_args!("could not write the summary: {error}"));
                }
            }
        }
        Ok(done)
    }

    /// Exports what later steps need to share artifacts with the build: the interpreter, the pins,
    /// and this program on PATH.
    fn export(&self, context: &Context<'_>, env: &BuildEnv) -> Result<()> {
        let cargo = warmth::cargo_workspace(&context.project, &context.layout, self.ui);
        let mut exports = Exports::default();
        // `cargo pyenv-build run` in a later step has none of our inputs.
        exports.settings.insert(
            env_vars::PYTHON.to_owned(),
            context.interpreter.path.to_string_lossy().into_owned(),
        );
        exports.settings.extend(
            inputs::installer().map(|installer| (env_vars::INSTALLER.to_owned(), installer)),
        );
        if !self.wants.summary {
            exports.settings.insert(env_vars::SUMMARY.to_owned(), "false".to_owned());
        }
        let is_reused = !self.policy.publishes || self.policy.restore;
        if self.policy.publishes {
            exports.settings.insert(env_vars::INCREMENTAL.to_owned(), "false".to_owned());
            if !is_reused {
                exports.settings.insert(env_vars::REUSE.to_owned(), "off".to_owned());
            }
        }
        exports.cargo.extend(env::pins(context, env, cargo.as_ref()).environ());
        if is_reused {
            exports.cargo.extend(
                env::wrapper(context, cargo.as_ref())?
                    .into_iter()
                    .map(|pin| (pin.name.to_owned(), pin.value)),
            );
        }
        if self.wants.later_steps != LaterSteps::Off {
            exports.settings.extend(
                env::library_path(context, cargo.as_ref())
                    .map(|pin| (pin.name.to_owned(), pin.value)),
            );
        }
        let program = std::env::current_exe().context("failed to find this program")?;
        let exported = exports.hand_over(
            self.wants.later_steps,
            &context.project.workspace.root,
            &program,
            self.ui,
        );
        for (name, value) in &exported {
            actions::variable(name, value)?;
        }
        actions::variable(
            env_vars::EXPORTED,
            &serde_json::to_string(&exported).expect("plain data"),
        )?;
        if let Some(directory) = program.parent() {
            actions::path(&directory.to_string_lossy())?;
        }
        actions::output("python", &env.python.to_string_lossy())?;
        actions::output("env-path", &env.path.to_string_lossy())?;
        actions::output("fingerprint", &env.fingerprint)?;
        Ok(())
    }

    /// Summarizes what the whole job compiled and reused, in its last step.
    fn summary(&self) -> Result<Done> {
        let project = Project::load_any(&self.args.directories[0])?;
        let verdict =
            job::verdict(&options::layout_of(&project, self.root)?, &project.workspace.root);
        self.ui.status("Job", &verdict.line);
        actions::output("verdict", &verdict.line)?;
        actions::output("compiled-crates", &verdict.compiled.to_string())?;
        if let Err(error) = verdict.summary.write() {
            self.ui.warning(format_args!("could not write the summary: {error}"));
        }
        Ok(Done::default())
    }

    /// Never a reason to fail.
    fn prune(&self) {
        let wanted = input("prune").unwrap_or_default();
        if wanted.is_empty() || wanted == "false" {
            return;
        }
        if !self.policy.save {
            self.ui.status("Skipped", "pruning: this job does not save caches");
            return;
        }
        #[cfg(feature = "github")]
        {
            let max_size = match (wanted.as_str(), cache::parse_size(&wanted)) {
                ("true", _) => None,
                (_, Ok(size)) => Some(size),
                (_, Err(message)) => {
                    return self.ui.warning(format_args!(
                        "the input `prune` must be `true`, `false` or a size: {message}"
                    ));
                }
            };
            if let Err(error) = super::cache::prune_for_action(max_size, self.ui) {
                self.ui.warning(format_args!("nothing was pruned: {error:#}"));
            }
        }
        #[cfg(not(feature = "github"))]
        self.ui.status("Skipped", "pruning: this program was built without the feature `github`");
    }
}

/// The note if `rust-cache` is false and no earlier step restored the dependencies.
const NOT_BROUGHT: &str = "dependencies are compiled in every job: with `rust-cache: false` an \
    earlier step must restore cargo's target directory, and none did";

/// The environment, created without output if needed.
fn provision(context: &Context<'_>) -> Result<BuildEnv> {
    environment::provision(context, Target::Wheel, &mut Sessions::new(context.ui), &mut Vec::new())
}

fn word(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}
