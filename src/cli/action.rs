//! `action plan|prepare|build|prune`: the steps of `action.yml`, in this order, with the restoring and saving of caches between them.
//!
//! ```text
//! plan      interpreter, what is asked for   -> key of the environments           | restored: .pyenv-build/{envs,requests,history}
//! prepare   provision, fingerprint, roll     -> keys of rust-cache and the store  | restored: target and registry; .pyenv-build/store
//! build     the build, variables, summary    -> what there is to save             | saved: environments, store; rust-cache at the job's end
//! ```
//!
//! The environments come first and by themselves: what they are found by is known without any network, and what was resolved
//! once decides the fingerprint until somebody asks for something else. So an untouched project never rolls, whatever is
//! released meanwhile. Then the fingerprint is known before rust-cache looks for a key, and stands in a comment of a file that rust-cache
//! hashes into the end of its key only: another environment is another key, with the old entry as the fallback (*soft roll*).
//! The ABI tag is in the prefix, which has no fallback (*hard roll*).
//!
//! All inputs come by the environment (`INPUT_OUT_DIR`), all values go out through files; nothing that others wrote is ever in a
//! script. Paths are absolute, and so a part of what GitHub calls an entry's version: what is restored is where it was made.
//! Trouble with caches is said in a line and fails nothing.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, FromArgMatches as _, Parser, Subcommand};
use serde::{Deserialize, Serialize};

use super::build::{self, BuildArgs};
use super::environment::{self, Ask, Sessions, Target};
use super::failure::{self, UsageError};
use super::options::Context;
use super::warmth::{self, Incremental, Reuse};
use super::{MessageFormat, env, exit_with};
use crate::actions::commands::{Annotation, Level};
use crate::actions::context::{self, Policy, SaveCache, UseCache};
use crate::actions::summary::{self, Summary};
use crate::actions::{Actions, input};
use crate::build_env::fingerprint::parts;
use crate::build_env::gc::{Keep, collect};
use crate::build_env::{BuildEnv, Outcome};
use crate::cache::{self, Key};
use crate::layout::Layout;
use crate::process::Cmd;
use crate::report::{ArtifactKind, Crates, ErrorReport, Reason, Report, render};
use crate::ui::{Ui, Verbosity};
use crate::{digest, env_vars, exit_code, fs, interrupt};

/// The steps of our GitHub Action.
#[derive(Debug, Clone, Args)]
pub(super) struct ActionArgs {
    #[command(subcommand)]
    step: StepName,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum StepName {
    /// Before any cache: what the environments are cached under
    Plan,
    /// The environment, and what rust-cache and the store are cached under
    Prepare,
    /// The build, its outputs and its summary
    Build,
    /// Housekeeping among the repository's caches
    Prune,
}

pub(super) fn run(args: &ActionArgs, root: Option<&Path>, ui: &Ui) -> u8 {
    if Actions::detect(ui).is_none() {
        let hint = "outside of GitHub Actions it is `cargo pyenv-build`".to_owned();
        return exit_with(Some(&UsageError { message: "`action` is for GitHub Actions".to_owned(), hint: Some(hint) }.into()), ui);
    }
    let words = words();
    // "Enable debug logging", of who runs a workflow again, is `-v`.
    let is_debugged = env_vars::get("RUNNER_DEBUG").as_deref() == Some("1");
    let own = match &words {
        Ok(Words { quiet: true, .. }) => Some(Verbosity::Quiet),
        Ok(Words { verbose, .. }) if *verbose > 0 || is_debugged => Some(if *verbose > 1 { Verbosity::Debug } else { Verbosity::Verbose }),
        _ => None,
    }
    .map(|verbosity| Ui::new(verbosity, None));
    let ui = own.as_ref().unwrap_or(ui);
    let Some(actions) = Actions::detect(ui) else { return exit_code::USAGE };
    for secret in input("github-token").into_iter().chain(env_vars::get("GITHUB_TOKEN")) {
        actions.mask(&secret);
    }
    let (code, annotation) = {
        // Of branches, inputs, crates and keys others choose the text.
        let _quiet = actions.quiet();
        let outcome = words.and_then(|words| Step::new(&actions, words.build, root, ui)).and_then(|step| match args.step {
            StepName::Plan => step.plan(),
            StepName::Prepare => step.prepare(),
            StepName::Build => step.build(),
            StepName::Prune => {
                step.prune();
                Ok(Done::default())
            }
        });
        match outcome {
            Ok(done) => (done.exit_code, done.annotation),
            Err(error) => (exit_with(Some(&error), ui), Some((Level::Error, in_words(&failure::report(&error))))),
        }
    };
    if let Some((level, message)) = annotation {
        actions.annotate(&Annotation { level, title: "cargo pyenv-build", message: &message, file: None });
    }
    code
}

fn in_words(error: &ErrorReport) -> String {
    let hint = error.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    format!("{}{hint}", error.message)
}

/// Of what the action exports, what is for our own commands in later steps.
const SETTINGS: &[&str] = &[env_vars::PYTHON, env_vars::INSTALLER, env_vars::REUSE, env_vars::INCREMENTAL];

/// Runs this program again without the variables that the action has exported in the same job, if it has: they are for others. To us they
/// would be the user's word, and what is built next would be built for another project's environment. A further call of the action
/// (`is_action`) finds its own interpreter, too.
pub(super) fn without_exports(is_action: bool, ui: &Ui) -> Option<u8> {
    let exported: BTreeMap<String, String> = serde_json::from_str(&env_vars::get(env_vars::EXPORTED)?).unwrap_or_default();
    let program = std::env::current_exe().ok()?;
    let mut again = Cmd::new(program).args(std::env::args_os().skip(1)).env_remove(env_vars::EXPORTED);
    for (name, value) in &exported {
        let is_setting = SETTINGS.contains(&name.as_str());
        // Who has changed it since means it.
        if env_vars::get(name).unwrap_or_default() == *value && (is_action || !is_setting) {
            again = again.env_remove(name);
        }
    }
    Some(match again.spawn_foreground() {
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or_else(|| interrupt::exit_code_of(status)),
        Err(error) => exit_with(Some(&error.into()), ui),
    })
}

/// How a step ended that could do its work.
#[derive(Debug, Default)]
struct Done {
    exit_code: u8,
    annotation: Option<(Level, String)>,
}

/// The arguments of `build`, as the input `args` has them.
#[derive(Debug, Parser)]
#[command(name = "args", disable_help_flag = true)]
struct Words {
    #[command(flatten)]
    build: BuildArgs,
    #[arg(short, long)]
    quiet: bool,
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// What all steps know.
struct Step<'a> {
    actions: &'a Actions<'a>,
    ui: &'a Ui,
    root: Option<&'a Path>,
    args: BuildArgs,
    wants: Wants,
    leg: String,
    policy: Policy,
}

/// Inputs that are true or false.
struct Wants {
    build: bool,
    rust_cache: bool,
    summary: bool,
}

impl<'a> Step<'a> {
    fn new(actions: &'a Actions<'a>, args: BuildArgs, root: Option<&'a Path>, ui: &'a Ui) -> anyhow::Result<Self> {
        let context = context::Context::read();
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
        let project = input("project").unwrap_or_default();
        let extra = input("args").unwrap_or_default();
        let leg = cache::leg(input("shared-key").as_deref(), &context.job, &[&context.workflow, &project, &extra]);
        let policy = context.policy(cache, save);
        let args = alone_if(&policy, args);
        let wants = Wants { build: boolean("build", true)?, rust_cache: boolean("rust-cache", true)?, summary: boolean("summary", true)? };
        Ok(Self { actions, ui, root, args, wants, leg, policy })
    }

    fn open(&self) -> anyhow::Result<Context<'a>> {
        Context::open(&self.args.directories[0], self.root, &self.args.environment, self.ui)
    }

    fn output(&self, name: &str, value: &str) -> anyhow::Result<()> {
        Ok(self.actions.output(name, value)?)
    }

    /// What the environments are cached under; no network, and nothing is installed.
    fn plan(&self) -> anyhow::Result<Done> {
        if let Some(note) = &self.policy.note {
            self.ui.status("Note", note);
        }
        let context = self.open()?;
        let (key, paths) = self.environments(&context)?;
        self.ui.status("Interpreter", format_args!("{} at {}", context.interpreter.identity.display(), context.interpreter.path.display()));
        self.output("restore", word(self.policy.restore))?;
        self.output("env-key", &key.key)?;
        self.output("env-restore-keys", &key.restore_keys.join("\n"))?;
        self.output("env-paths", &paths)?;
        Ok(Done::default())
    }

    fn environments(&self, context: &Context<'_>) -> anyhow::Result<(Key, String)> {
        let memo = context.provisioner().memo_path(&environment::declared(context)?)?;
        let mut hasher = digest::Hasher::default();
        // What was asked for, and what the backend's own answer is known to depend on.
        hasher.field(memo.file_name().unwrap_or_default().as_encoded_bytes());
        hasher.field(context.project.configuration_digest().as_bytes());
        hasher.field(&serde_json::to_vec(&context.config_settings).unwrap_or_default());
        let key = Key::environments(&context.interpreter.identity.abi_tag(), &self.leg, &hasher.finish());
        let layout = &context.layout;
        Ok((key, lines(&[layout.envs(), layout.requests(), layout.history()])))
    }

    /// The environment, and what rust-cache and the store are cached under.
    fn prepare(&self) -> anyhow::Result<Done> {
        let context = self.open()?;
        // Before any hook runs, for those write into the source tree, and only where no cache has the answer.
        let checkout = self.checkout_digests(&context);
        let env = provision(&context)?;
        let layout = &context.layout;
        environment::write_roll(&context, &env)?;
        let [lock, sources] = checkout;
        let key = Key::store(&context.interpreter.identity.abi_tag(), &self.leg, &env.fingerprint, &lock, &sources);
        self.output("fingerprint", &env.fingerprint)?;
        self.output("env-outcome", if env.outcome == Outcome::Created { "made" } else { "reused" })?;
        self.output("store-key", &key.key)?;
        self.output("store-restore-keys", &key.restore_keys.join("\n"))?;
        self.output("store-path", &lines(&[layout.store()]))?;
        let rust_cache = if self.wants.rust_cache && self.policy.restore { self.rust_cache(&context) } else { None };
        self.output("rust-cache", word(rust_cache.is_some()))?;
        self.output("rust-cache-workspaces", &rust_cache.unwrap_or_default())?;
        self.output("rust-cache-prefix-key", &cache::rust_cache_prefix(&context.interpreter.identity.abi_tag()))?;
        self.output("rust-cache-shared-key", &self.leg)?;
        self.output("save", word(self.policy.save))?;
        self.ui.status("Environment", format_args!("{} ({})", env.path.display(), env.fingerprint));
        self.ui.status("Cache key", &key.key);
        Ok(Done::default())
    }

    /// rust-cache's input `workspaces`, if there is anything in this project for it.
    fn rust_cache(&self, context: &Context<'_>) -> Option<String> {
        let (root, target) = context.project.workspace.cargo_directories().or_else(|| {
            self.ui.status("Note", "rust-cache is left out: cargo finds no workspace here");
            None
        })?;
        let relative = relative(&root, &target)?;
        let line = format!("{} -> {}", root.display(), relative.display());
        if line.contains('\n') || root.to_string_lossy().contains("->") || relative.to_string_lossy().contains("->") {
            self.ui.status("Note", "rust-cache is left out: it cannot be told a path with `->` or a line feed in it");
            return None;
        }
        if !context.layout.root().starts_with(&root) && !target.starts_with(&root) {
            let note = "our directory and cargo's are outside of the workspace: rust-cache's key does not know of the build environment";
            self.ui.status("Note", note);
        }
        Some(line)
    }

    /// Digests of what dependencies are compiled from and with, and of the sources as they were checked out.
    fn checkout_digests(&self, context: &Context<'_>) -> [String; 2] {
        let root = &context.project.workspace.root;
        let mut lock = digest::Hasher::default();
        // Below the source tree, if the Cargo workspace is.
        let cargo_root = context.project.workspace.cargo_root.as_ref().unwrap_or(root);
        lock.field(&fs_err::read(cargo_root.join("Cargo.lock")).unwrap_or_default());
        // An entry of another compiler would be found again and again, and never be of use.
        let rustc = env_vars::get("RUSTC").unwrap_or_else(|| "rustc".to_owned());
        lock.field(&Cmd::new(rustc).arg("-vV").cwd(cargo_root).output().map(|output| output.stdout).unwrap_or_default());
        for (name, value) in env_vars::with_prefixes(RUST_VARIABLES) {
            lock.field(name.as_bytes()).field(value.as_bytes());
        }
        let sources = tracked(root).map_or_else(|| digest::tree(root), |files| digest::files(root, &files)).unwrap_or_else(|error| {
            self.ui.warning(format_args!("the sources cannot all be read, and are known by their commit: {error}"));
            digest::bytes(env_vars::get("GITHUB_SHA").unwrap_or_default().as_bytes())
        });
        [lock.finish(), sources]
    }

    /// The build, its outputs, what later steps need, the summary.
    fn build(&self) -> anyhow::Result<Done> {
        let hits = Hits::read();
        let context = self.open()?;
        let layout = &context.layout;
        let mut done = Done::default();
        let report = if self.wants.build {
            done.exit_code = build::run(&self.args, self.root, MessageFormat::Human, self.ui);
            Report::read(&layout.last_report())
        } else {
            None
        };
        let ok = done.exit_code == exit_code::OK;
        if let Some(report) = &report {
            self.output("report", &layout.last_report().to_string_lossy())?;
            self.output("compiled-crates", &report.crates.compiled.len().to_string())?;
            let first =
                |kind| report.artifacts.iter().find(|artifact| artifact.kind == kind).map(|artifact| artifact.path.to_string_lossy());
            self.output("wheel", &first(ArtifactKind::Wheel).unwrap_or_default())?;
            self.output("sdist", &first(ArtifactKind::Sdist).unwrap_or_default())?;
        }
        self.output("cache-key", &hits.store_key)?;
        self.output("cache-hit", word(hits.is_full()))?;
        let mut history = History::read(layout, &self.leg);
        let before = history.clone();
        if ok {
            let env = provision(&context)?;
            self.export(&context, &env)?;
            history.parts = parts(&context.interpreter.identity, &env.distributions);
            if let Some(report) = report.as_ref().filter(|report| hits.is_cold() && report.crates.fresh == 0) {
                history.note_cold(report.crates.compiled.len() as u64, report.seconds);
            }
            history.write(layout, &self.leg);
        }
        // Environments that only an older entry had would be carried along for ever.
        if self.policy.save && ok {
            let keep = Keep { newest: 1, used_within: std::time::Duration::from_secs(3600) };
            if let Err(error) = collect(layout, keep, false, self.ui) {
                self.ui.warning(format_args!("old environments are cached once more: {error}"));
            }
        }
        self.output("save-env", word(self.policy.save && ok && hits.env != hits.env_key))?;
        let has_store = fs_err::read_dir(layout.store()).is_ok_and(|mut entries| entries.next().is_some());
        self.output("save-store", word(self.policy.save && ok && has_store && hits.store != hits.store_key))?;
        if let Some(report) = &report {
            let note = hits.lacks_dependencies(&report.crates).then_some(NOT_BROUGHT);
            if let Some(note) = note {
                self.ui.status("Note", note);
            } else if ok && hits.is_full() && !report.crates.compiled.is_empty() {
                done.annotation = Some((Level::Warning, full_hit_compiled(&report.crates)));
            }
            if let Some(error) = &report.error {
                done.annotation = Some((Level::Error, in_words(error)));
            }
            if self.wants.summary {
                let mut text = self.summary(report, &hits, &before, &history, layout);
                if let Some(note) = note {
                    text.push(&summary::text(note));
                }
                if let Err(error) = text.write() {
                    self.ui.warning(format_args!("there is no summary: {error}"));
                }
            }
        }
        Ok(done)
    }

    /// What later steps need to agree with the build: the interpreter, the pins, this program on PATH.
    fn export(&self, context: &Context<'_>, env: &BuildEnv) -> anyhow::Result<()> {
        let cargo = warmth::cargo_workspace(&context.project, &context.layout, self.ui);
        let mut pins = env::pins(context, env, cargo.as_ref());
        pins.variables.extend(env::library_path(context, cargo.as_ref()));
        pins.variables.extend(env::wrapper(context, cargo.as_ref()));
        let mut exported: BTreeMap<String, String> = pins.environ().collect();
        // `cargo pyenv-build run` in a later step has none of our inputs.
        exported.insert(env_vars::PYTHON.to_owned(), context.interpreter.path.to_string_lossy().into_owned());
        exported.extend(installer().map(|installer| (env_vars::INSTALLER.to_owned(), installer)));
        if self.policy.publishes {
            exported.insert(env_vars::INCREMENTAL.to_owned(), "false".to_owned());
            if !self.policy.restore {
                exported.insert(env_vars::REUSE.to_owned(), "off".to_owned());
            }
        }
        for (name, value) in &exported {
            self.actions.variable(name, value)?;
        }
        self.actions.variable(env_vars::EXPORTED, &serde_json::to_string(&exported).expect("plain data"))?;
        let program = std::env::current_exe().context("failed to find this program")?;
        if let Some(directory) = program.parent() {
            self.actions.path(&directory.to_string_lossy())?;
        }
        self.output("python", &env.python.to_string_lossy())?;
        self.output("env-path", &env.path.to_string_lossy())?;
        self.output("fingerprint", &env.fingerprint)?;
        Ok(())
    }

    fn summary(&self, report: &Report, hits: &Hits, before: &History, now: &History, layout: &Layout) -> Summary {
        let mut summary = Summary::default();
        let name = report.project.as_deref().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        let abi_tag = report.interpreter.as_ref().map_or("", |interpreter| &interpreter.abi_tag);
        summary.push(&format!("### cargo pyenv-build: {} {}", summary::text(&name), summary::code(abi_tag)));
        summary.push(&format!("**{}**", summary::text(&verdict(report, now))));
        if let Some(error) = &report.error {
            summary.push(&summary::code(&error.message));
        }
        let compiled = &report.crates.compiled;
        if !compiled.is_empty() {
            let rows: Vec<Vec<String>> = compiled
                .iter()
                .map(|one| {
                    vec![
                        summary::code(&format!("{} {}", one.name, one.version)),
                        word_of(one.workspace),
                        summary::text(&render::because(one)),
                    ]
                })
                .collect();
            let table = summary::table(&["crate", "whose", "why"], &rows);
            if hits.is_cold() || rows.len() > 20 {
                summary.fold("What was compiled, and why", &table);
            } else {
                summary.push(table.trim_end());
            }
        }
        let scripts: Vec<Vec<String>> = report
            .crates
            .build_scripts
            .iter()
            .filter(|script| script.workspace)
            .map(|script| {
                let outcome = match (script.skipped, script.products_changed) {
                    (true, _) => "skipped: what it declares did not change",
                    (false, Some(true)) => "made something else",
                    (false, Some(false)) => "made the same",
                    (false, None) => "",
                };
                vec![summary::code(&format!("{} {}", script.name, script.version)), format!("{:.2} s", script.seconds), outcome.to_owned()]
            })
            .collect();
        if !scripts.is_empty() {
            summary.fold("Build scripts", &summary::table(&["crate", "took", "outcome"], &scripts));
        }
        if let Some(note) = &self.policy.note {
            summary.push(&summary::text(note));
        }
        if let Some(env) = &report.env {
            let changes = super::fingerprint::difference(&before.parts, &now.parts);
            let mut text = format!(
                "{} {} by {}",
                // To the build it is always there: `prepare` has made it.
                if hits.env_outcome.is_empty() { &env.outcome } else { &hits.env_outcome },
                summary::code(&env.fingerprint[..12.min(env.fingerprint.len())]),
                summary::text(&env.installer)
            );
            if before.parts.is_empty() {
                text += "; nothing is known of the last one";
            } else if changes.is_empty() {
                text += "; as the last time";
            } else {
                for change in changes {
                    let _ = write!(text, "\n- {}", summary::code(&change));
                }
            }
            summary.fold("Build environment", &text);
        }
        let row = |what: &str, outcome: &str, path: Option<PathBuf>, key: &str| {
            let size = path.map(|path| cache::size(size_of(&path))).unwrap_or_default();
            vec![what.to_owned(), outcome.to_owned(), size, summary::code(key)]
        };
        let rows = [
            row("environments", found(&hits.env, &hits.env_key), Some(layout.envs()), &hits.env_key),
            row("rust-cache", &hits.rust_cache_words(), None, &hits.rust_cache_key),
            row("store", found(&hits.store, &hits.store_key), Some(layout.store()), &hits.store_key),
        ];
        summary.fold("Caches", &summary::table(&["cache", "found", "size here", "key"], &rows));
        let times: Vec<Vec<String>> = report
            .hooks
            .iter()
            .map(|hook| vec![summary::code(&hook.name), hook.outcome.clone(), format!("{:.2} s", hook.seconds)])
            .collect();
        summary.fold("Times", &summary::table(&["hook", "outcome", "took"], &times));
        let artifacts: Vec<Vec<String>> = report
            .artifacts
            .iter()
            .map(|one| {
                let name = one.path.file_name().unwrap_or_default().to_string_lossy();
                vec![summary::code(&name), cache::size(one.size_bytes), summary::code(&one.sha256)]
            })
            .collect();
        if !artifacts.is_empty() {
            summary.fold("Artifacts", &summary::table(&["file", "size", "SHA-256"], &artifacts));
        }
        summary
    }

    /// Never a reason to fail.
    fn prune(&self) {
        let wanted = input("prune").unwrap_or_default();
        if wanted.is_empty() || wanted == "false" {
            return;
        }
        if !self.policy.save {
            self.ui.status("Skipped", "pruning: this job does not save caches either");
            return;
        }
        #[cfg(feature = "github")]
        {
            let max_size = match (wanted.as_str(), cache::parse_size(&wanted)) {
                ("true", _) => None,
                (_, Ok(size)) => Some(size),
                (_, Err(message)) => return self.ui.warning(format_args!("the input `prune` is neither true nor false, and {message}")),
            };
            if let Err(error) = super::cache::prune_for_action(max_size, self.ui) {
                self.ui.warning(format_args!("nothing was pruned: {error:#}"));
            }
        }
        #[cfg(not(feature = "github"))]
        self.ui.status("Skipped", "pruning: this program was built without the feature `github`");
    }
}

/// What it is to leave the dependencies to somebody who does not have them.
const NOT_BROUGHT: &str = "dependencies are compiled in each job: `rust-cache: false` leaves cargo's target directory to a step of yours before this \
    one, and none has brought it";

/// As rust-cache has them: variables that change what cargo and compilers make.
const RUST_VARIABLES: &[&str] = &["CARGO", "CC", "CFLAGS", "CXX", "CMAKE", "RUST"];

/// The files that git knows of, so that what builds leave behind (`dist`, `*.egg-info`) is no source. `None` without git, or
/// where git does not trust the directory, as in containers.
fn tracked(root: &Path) -> Option<Vec<String>> {
    let output = Cmd::new("git").args(["ls-files", "-z", "--recurse-submodules"]).cwd(root).output().ok()?;
    let files: Vec<String> = String::from_utf8(output.stdout).ok()?.split_terminator('\0').map(str::to_owned).collect();
    (!files.is_empty()).then_some(files)
}

/// The environment, quietly made if it is not there.
fn provision(context: &Context<'_>) -> anyhow::Result<BuildEnv> {
    environment::provision(context, Target::Wheel, Ask::WhenUnknown, &mut Sessions::new(context.ui), &mut Vec::new())
}

/// The inputs as arguments of `build`. Each is one argument, whatever is in it.
fn words() -> anyhow::Result<Words> {
    let mut line: Vec<OsString> = vec!["args".into()];
    let given = [("--python", input("python")), ("--installer", installer()), ("--out-dir", input("out-dir"))];
    for (flag, value) in given {
        line.extend(value.map(|value| format!("{flag}={value}").into()));
    }
    for (flag, values) in [("--constraint", input("constraints")), ("--deny-rebuild", input("deny-rebuild"))] {
        let values = values.unwrap_or_default();
        line.extend(values.lines().map(str::trim).filter(|value| !value.is_empty()).map(|value| format!("{flag}={value}").into()));
    }
    if boolean("locked", false)? {
        line.push("--locked".into());
    }
    let args = input("args").unwrap_or_default();
    let split = shlex::split(&args).ok_or_else(|| wrong("args", &args, "words as in a shell; is a quote left open?"))?;
    line.extend(split.into_iter().map(OsString::from));
    let project = input("project").unwrap_or_else(|| ".".to_owned());
    line.extend(["--".into(), project.into()]);
    let mut matches = <Words as clap::CommandFactory>::command().try_get_matches_from(line).map_err(|error| not_understood(&error))?;
    let words = Words::from_arg_matches_mut(&mut matches).map_err(|error| not_understood(&error))?;
    if words.build.directories.len() != 1 {
        let hint = Some("the directory is the input `project`".to_owned());
        return Err(UsageError { message: "the input `args` has a directory in it".to_owned(), hint }.into());
    }
    Ok(words)
}

/// What is published comes of its sources: nothing that rustc has made is used again, whatever the project's settings say, unless caches
/// were asked for; and it never comes of incremental state, whose code is another.
fn alone_if(policy: &Policy, mut args: BuildArgs) -> BuildArgs {
    if policy.publishes {
        args.warmth.incremental = Some(Incremental::False);
        if !policy.restore {
            args.warmth.reuse = Some(Reuse::Off);
        }
    }
    args
}

/// `auto` is the input's default, and leaves the word to the project's settings and to `PYENV_BUILD_INSTALLER`.
fn installer() -> Option<String> {
    input("installer").filter(|installer| installer != "auto")
}

fn not_understood(error: &clap::Error) -> anyhow::Error {
    let text = error.to_string();
    let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    let hint = "the inputs become arguments of `cargo pyenv-build build`, which has `--help`".to_owned();
    UsageError { message: format!("the inputs are not understood: {message}"), hint: Some(hint) }.into()
}

fn wrong(name: &str, value: &str, allowed: &str) -> anyhow::Error {
    UsageError { message: format!("the input `{name}` is `{value}`"), hint: Some(format!("it can be {allowed}")) }.into()
}

fn boolean(name: &str, default: bool) -> anyhow::Result<bool> {
    match input(name).as_deref() {
        None => Ok(default),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(other) => Err(wrong(name, other, "true or false")),
    }
}

fn word(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

fn word_of(workspace: bool) -> String {
    if workspace { "yours" } else { "a dependency" }.to_owned()
}

fn lines(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.to_string_lossy().into_owned()).collect::<Vec<_>>().join("\n")
}

/// `target` as seen from `root`, which rust-cache joins to it; across drives there is no such path.
fn relative(root: &Path, target: &Path) -> Option<PathBuf> {
    let common = root.components().zip(target.components()).take_while(|(one, other)| one == other).count();
    if common == 0 {
        return None;
    }
    let up = root.components().skip(common).map(|_| Path::new(".."));
    Some(up.chain(target.components().skip(common).map(|part| Path::new(part.as_os_str()))).collect())
}

fn size_of(directory: &Path) -> u64 {
    let files = walkdir::WalkDir::new(directory).into_iter().filter_map(Result::ok);
    files.filter(|entry| entry.file_type().is_file()).filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
}

/// What the steps between ours came to, by the environment: keys, and what was found for them.
#[derive(Debug, Default)]
struct Hits {
    env_key: String,
    /// The key that was found; empty for none.
    env: String,
    /// What `prepare` did about it: `made` or `reused`.
    env_outcome: String,
    store_key: String,
    store: String,
    rust_cache_key: String,
    /// `true` for an exact hit, `false` for a partial one or none, empty if it did not run.
    rust_cache: String,
}

impl Hits {
    fn read() -> Self {
        let get = |name| env_vars::get(name).unwrap_or_default();
        Self {
            env_key: get("ENV_KEY"),
            env: get("ENV_MATCHED_KEY"),
            env_outcome: get("ENV_OUTCOME"),
            store_key: get("STORE_KEY"),
            store: get("STORE_MATCHED_KEY"),
            rust_cache_key: get("DEPENDENCIES_KEY"),
            rust_cache: get("DEPENDENCIES_HIT"),
        }
    }

    /// All that was looked for was found, and under its own key.
    fn is_full(&self) -> bool {
        !self.store.is_empty() && self.store == self.store_key && self.env == self.env_key && self.rust_cache != "false"
    }

    /// Only the store was there, which is of little use without the dependencies.
    fn lacks_dependencies(&self, crates: &Crates) -> bool {
        self.rust_cache.is_empty()
            && !self.store.is_empty()
            && crates.compiled.iter().any(|one| !one.workspace && one.reason == Reason::FirstBuild)
    }

    fn is_cold(&self) -> bool {
        self.store.is_empty() && self.rust_cache != "true"
    }

    fn rust_cache_words(&self) -> String {
        match self.rust_cache.as_str() {
            "true" => "exactly".to_owned(),
            "" => "not asked".to_owned(),
            _ => "in part, or not at all".to_owned(),
        }
    }
}

fn found(matched: &str, key: &str) -> &'static str {
    match matched {
        "" => "no",
        exact if exact == key => "exactly",
        _ => "an older one",
    }
}

/// What is remembered of former builds, in the environments' cache.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct History {
    schema: u32,
    cold_seconds: Option<f64>,
    /// How many crates a cold build compiles.
    #[serde(default)]
    crates: u64,
    /// Of the last environment.
    #[serde(default)]
    parts: BTreeMap<String, String>,
}

impl History {
    const SCHEMA: u32 = 1;

    fn path(layout: &Layout, leg: &str) -> PathBuf {
        layout.history().join(format!("{}.json", &digest::bytes(leg.as_bytes())[..12]))
    }

    /// Empty if there is none that we understand.
    fn read(layout: &Layout, leg: &str) -> Self {
        let read = || serde_json::from_slice::<Self>(&fs_err::read(Self::path(layout, leg)).ok()?).ok();
        read().filter(|history| history.schema == Self::SCHEMA).unwrap_or_default()
    }

    /// rust-cache tells a hit in part from none as little as a build that found nothing to do: what compiled less than once was
    /// compiled is not a cold build.
    fn note_cold(&mut self, compiled: u64, seconds: f64) {
        if compiled > 0 && compiled >= self.crates {
            self.crates = compiled;
            self.cold_seconds = Some(seconds);
        }
    }

    /// Losing it loses a sentence of the next summary.
    fn write(&mut self, layout: &Layout, leg: &str) {
        self.schema = Self::SCHEMA;
        let _ = fs::write_atomic(&Self::path(layout, leg), &serde_json::to_vec_pretty(self).expect("our own plain data always serialises"));
    }
}

/// `warm: 0 of 38 crates compiled, 0.9 s; a cold build took 27.8 s`
fn verdict(report: &Report, history: &History) -> String {
    let compiled = report.crates.compiled.len() as u64;
    let reused = report.crates.reused.len() as u64;
    let all = (compiled + reused + report.crates.fresh).max(history.crates);
    let kind = match (report.ok, compiled) {
        (false, _) => "failed",
        (true, 0) => "warm",
        (true, some) if some == all => "cold",
        (true, _) => "partly warm",
    };
    let of_all = if all > compiled { format!(" of {all}") } else { String::new() };
    let crates = if all == 1 || (of_all.is_empty() && compiled == 1) { "crate" } else { "crates" };
    let cold = match history.cold_seconds {
        Some(seconds) if kind != "cold" => format!("; a cold build took {seconds:.1} s"),
        _ => String::new(),
    };
    let reused = if reused > 0 { format!(", {reused} reused") } else { String::new() };
    format!("{kind}: {compiled}{of_all} {crates} compiled{reused}, {:.1} s{cold}", report.seconds)
}

fn full_hit_compiled(crates: &Crates) -> String {
    let why: Vec<String> =
        crates.compiled.iter().take(5).map(|one| format!("{} {}: {}", one.name, one.version, render::because(one))).collect();
    format!("every cache was found under its own key, and yet {}\n{}", render::crates_line(crates), why.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::CompiledCrate;

    fn report(compiled: usize, fresh: u64, seconds: f64) -> Report {
        let one = serde_json::json!({"name": "x", "version": "1.0.0", "workspace": false, "reason": "unknown"});
        let one: CompiledCrate = serde_json::from_value(one).unwrap();
        Report { crates: Crates { compiled: vec![one; compiled], fresh, ..Crates::default() }, seconds, ..Report::new("build") }
    }

    #[test]
    fn the_verdict_says_how_warm_it_was() {
        let history = History { cold_seconds: Some(27.81), crates: 38, ..History::default() };
        assert_eq!(verdict(&report(0, 0, 0.9), &history), "warm: 0 of 38 crates compiled, 0.9 s; a cold build took 27.8 s");
        assert_eq!(verdict(&report(1, 37, 4.0), &history), "partly warm: 1 of 38 crates compiled, 4.0 s; a cold build took 27.8 s");
        assert_eq!(verdict(&report(38, 0, 28.0), &history), "cold: 38 crates compiled, 28.0 s");
        assert_eq!(verdict(&report(0, 0, 0.9), &History::default()), "warm: 0 crates compiled, 0.9 s");
        assert_eq!(verdict(&report(1, 0, 0.9), &History::default()), "cold: 1 crate compiled, 0.9 s");
        let failed = Report { ok: false, ..report(2, 0, 1.0) };
        assert_eq!(verdict(&failed, &history), "failed: 2 of 38 crates compiled, 1.0 s; a cold build took 27.8 s");
    }

    #[test]
    fn only_a_whole_build_is_remembered_as_a_cold_one() {
        let mut history = History::default();
        for (compiled, seconds) in [(0, 0.1), (38, 27.8), (3, 9.0), (0, 0.2)] {
            history.note_cold(compiled, seconds);
        }
        assert_eq!((history.crates, history.cold_seconds), (38, Some(27.8)));
        history.note_cold(40, 30.0);
        assert_eq!((history.crates, history.cold_seconds), (40, Some(30.0)));
    }

    #[test]
    fn a_target_directory_is_told_as_seen_from_the_workspace() {
        let seen = |root: &str, target: &str| relative(Path::new(root), Path::new(target)).unwrap();
        assert_eq!(seen("/w/p", "/w/p/target"), Path::new("target"));
        assert_eq!(seen("/w/p", "/w/t"), Path::new("../t"));
        assert_eq!(seen("/w/p/q", "/x/t"), Path::new("../../../x/t"));
    }

    #[test]
    fn a_full_hit_is_one_of_all_that_was_looked_for() {
        let hits = |env: &str, store: &str, rust_cache: &str| Hits {
            env_key: "e".into(),
            env: env.into(),
            store_key: "l".into(),
            store: store.into(),
            rust_cache: rust_cache.into(),
            ..Hits::default()
        };
        assert!(hits("e", "l", "true").is_full() && hits("e", "l", "").is_full());
        for (env, store, rust_cache) in [("e", "l", "false"), ("e", "l0", "true"), ("e0", "l", "true"), ("e", "", "true"), ("", "", "")] {
            assert!(!hits(env, store, rust_cache).is_full(), "{env} {store} {rust_cache}");
        }
        assert!(!Hits::default().is_full(), "without any cache there is no hit");
    }

    #[test]
    fn a_store_without_the_target_directory_is_no_warm_job() {
        let crates = |reason: &str, workspace: bool| {
            let one = serde_json::json!({"name": "x", "version": "1.0.0", "workspace": workspace, "reason": reason});
            Crates { compiled: vec![serde_json::from_value(one).unwrap()], ..Crates::default() }
        };
        let hits = |store: &str, rust_cache: &str| Hits { store: store.into(), rust_cache: rust_cache.into(), ..Hits::default() };
        assert!(hits("l", "").lacks_dependencies(&crates("first-build", false)));
        for (store, rust_cache, reason, workspace) in [
            ("", "", "first-build", false),
            ("l", "true", "first-build", false),
            ("l", "", "unknown", false),
            ("l", "", "first-build", true),
        ] {
            assert!(!hits(store, rust_cache).lacks_dependencies(&crates(reason, workspace)), "{store} {rust_cache} {reason} {workspace}");
        }
    }
}
