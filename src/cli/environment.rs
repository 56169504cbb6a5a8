//! From a project to the environment its hooks run in: static requirements, then what the backend
//! asks for.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;

use super::failure::{Error, Result};
use super::options::Context;
use crate::build_env::{self, BuildEnv, Outcome, bin_in, request, satisfies};
use crate::env_vars;
use crate::hooks::{self, Answer, Call, Hook, Session};
use crate::layout::{self, Layout};
use crate::process::mask_credentials;
use crate::project::{Requirement, parse_requirement};
use crate::report::{HookReport, round};
use crate::ui::{Ui, Verbosity};

/// The kind of build, which decides the requirements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Wheel,
    Sdist,
    Editable,
}

impl Target {
    fn hook(self) -> Hook {
        match self {
            Self::Wheel => Hook::GetRequiresForBuildWheel,
            Self::Sdist => Hook::GetRequiresForBuildSdist,
            Self::Editable => Hook::GetRequiresForBuildEditable,
        }
    }
}

/// Running hookds, one per environment.
#[derive(Debug)]
pub(super) struct Sessions<'a> {
    running: Vec<(PathBuf, Session<'a>)>,
    /// The command that hookds are started with; empty for none.
    launcher: Vec<String>,
    ui: &'a Ui,
}

impl<'a> Sessions<'a> {
    pub(super) fn new(ui: &'a Ui) -> Self {
        Self::behind(Vec::new(), ui)
    }

    /// Sessions whose hookds are started by a launcher.
    pub(super) fn behind(launcher: Vec<String>, ui: &'a Ui) -> Self {
        Self { running: Vec::new(), launcher, ui }
    }

    /// Forgets the session of an environment, which ends it: after a failure that is not the
    /// hook's, a new one is safer.
    pub(super) fn forget(&mut self, env: &BuildEnv) {
        self.running.retain(|(path, _)| *path != env.path);
    }

    /// Lets all sessions end by themselves: no more hooks will be called.
    pub(super) fn dismiss(&mut self) {
        for (_, session) in &mut self.running {
            session.dismiss();
        }
    }

    /// The session of an environment, started if there is none.
    pub(super) fn get(
        &mut self,
        context: &'a Context<'a>,
        env: &BuildEnv,
    ) -> Result<&mut Session<'a>> {
        let index = if let Some(index) = self.running.iter().position(|(path, _)| *path == env.path)
        {
            index
        } else {
            let mut session = Session::start(
                &self.launcher,
                &env.python,
                &context.interpreter.identity,
                &environment_of_hookd(env),
                &context.layout,
                self.ui,
            )?;
            session.import_ahead(&context.project);
            self.running.push((env.path.clone(), session));
            self.running.len() - 1
        };
        Ok(&mut self.running[index].1)
    }
}

/// What makes an environment the active one.
pub(super) fn environment_of(env: &BuildEnv) -> Vec<(String, Option<String>)> {
    let mut path = vec![bin_in(&env.path)];
    path.extend(env_vars::get_os("PATH").iter().flat_map(std::env::split_paths));
    let path = std::env::join_paths(path).map(|path| path.to_string_lossy().into_owned()).ok();
    vec![
        ("PATH".to_owned(), path),
        ("VIRTUAL_ENV".to_owned(), Some(env.path.to_string_lossy().into_owned())),
        // Environments do not change, and source trees must not: a `__pycache__` re-runs build
        // scripts without `rerun-if`.
        ("PYTHONDONTWRITEBYTECODE".to_owned(), Some("1".to_owned())),
        ("PYTHONHOME".to_owned(), None),
        ("__PYVENV_LAUNCHER__".to_owned(), None),
    ]
}

/// The environment of a hookd: the build environment is active, and PyO3's build scripts are
/// pointed to its python unless the user has chosen another. The backends set the rest themselves:
/// what of it were set here, they would take for the user's word.
fn environment_of_hookd(env: &BuildEnv) -> Vec<(String, Option<String>)> {
    let python = env.python.to_string_lossy();
    let mut environ = environment_of(env);
    // As pypa/build has it: what a hook imports comes from the environment, which its path vouches
    // for.
    environ.push(("PYTHONPATH".to_owned(), None));
    for name in ["PYO3_PYTHON", "PYTHON_SYS_EXECUTABLE"] {
        let value = env_vars::get(name).unwrap_or_else(|| python.clone().into_owned());
        environ.push((name.to_owned(), Some(value)));
    }
    environ
}

/// Writes the environment's fingerprint to a file that rust-cache hashes into the end of its key: a
/// different environment has a different entry, which starts from the last one. It is a comment; an
/// unchanged file keeps its mtime.
///
/// rust-cache looks below the Cargo workspace. Where that is below the source tree, which our
/// directory is in, the target directory has the file: whatever else is there was not put there by
/// hand either.
///
/// Source: <https://github.com/Swatinem/rust-cache/blob/6323deb102c322ba6fcbdcafc7e3dddab59af2b6/src/config.ts>
pub(super) fn write_roll(context: &Context<'_>, env: &BuildEnv) -> Result<(), build_env::Error> {
    let text = format!("# The build environment: {}\n", env.fingerprint);
    let write = |path: PathBuf, text: &str| {
        crate::fs::write_if_changed(&path, text.as_bytes())
            .map(drop)
            .map_err(|source| build_env::Error::Write { path, source })
    };
    let layout = &context.layout;
    write(layout.roll(), &text)?;
    let workspace = &context.project.workspace;
    let below = workspace.cargo_root.as_ref().filter(|root| !layout.root().starts_with(root));
    if below.is_some()
        && let Some((root, target)) = workspace.cargo_directories()
        && target.starts_with(&root)
    {
        // cargo does this if it makes the directory itself, and cleans none without.
        if !target.exists() {
            write(target.join("CACHEDIR.TAG"), layout::SIGNATURE)?;
        }
        write(Layout::roll_in(&target), &text)?;
    }
    Ok(())
}

/// `[build-system] requires`, parsed.
pub(super) fn declared(context: &Context<'_>) -> Result<Vec<Requirement>> {
    let requires = context.project.build_requires()?;
    requires
        .iter()
        .map(|text| {
            parse_requirement(text).map_err(|reason| anyhow::anyhow!("`{text}`: {reason}").into())
        })
        .collect()
}

/// What the backend said that it requires, when it was last asked.
pub(super) fn remembered(context: &Context<'_>, target: Target) -> Result<Vec<Requirement>> {
    let (memo, _) = context.provisioner().resolve(&declared(context)?)?;
    let dynamic = memo.dynamic.get(&memo_key(context, target)).cloned().unwrap_or_default();
    parse_dynamic(context, target, &dynamic)
}

/// The environment for a target. The backend is asked what it requires only if it never was: before
/// a build, PEP 517 wants it asked each time ([`start`]). The hooks that were called are added to
/// `hooks`.
pub(super) fn provision<'a>(
    context: &'a Context<'a>,
    target: Target,
    sessions: &mut Sessions<'a>,
    hooks: &mut Vec<HookReport>,
) -> Result<BuildEnv> {
    let started = Started::new(context, target)?;
    if started.remembered.is_some() {
        return Ok(started.env);
    }
    started.finish(sessions, hooks)
}

/// Makes an environment that is right if the backend asks for what it asked for before, and starts
/// a hookd there, which imports the backend while the caller does other things.
pub(super) fn start<'a>(
    context: &'a Context<'a>,
    target: Target,
    sessions: &mut Sessions<'a>,
) -> Result<Started<'a>> {
    let started = Started::new(context, target)?;
    sessions.get(context, &started.env)?;
    Ok(started)
}

/// An environment whose backend is still to be asked what it requires.
pub(super) struct Started<'a> {
    context: &'a Context<'a>,
    target: Target,
    begun: Instant,
    declared: Vec<Requirement>,
    memo: request::Memo,
    memo_path: PathBuf,
    /// What the backend answered when it was last asked, and `env` has.
    remembered: Option<Vec<String>>,
    env: BuildEnv,
}

impl<'a> Started<'a> {
    fn new(context: &'a Context<'a>, target: Target) -> Result<Self> {
        let begun = Instant::now();
        let declared = declared(context)?;
        let (memo, memo_path) = context.provisioner().resolve(&declared)?;
        let remembered = memo.dynamic.get(&memo_key(context, target)).cloned();
        let with =
            |dynamic: &[String]| provision_with(context, target, &declared, &memo, dynamic, begun);
        // An answer that was right once may be impossible today; then the hook has the word.
        let (env, remembered) = match remembered {
            Some(dynamic) => match with(&dynamic) {
                Ok(env) => (env, Some(dynamic)),
                Err(error) if dynamic.is_empty() || is_interrupt(&error) => return Err(error),
                Err(_) => (with(&[])?, None),
            },
            None => (with(&[])?, None),
        };
        Ok(Self { context, target, begun, declared, memo, memo_path, remembered, env })
    }

    /// Asks the backend what it requires, and makes another environment if it requires more.
    pub(super) fn finish(
        self,
        sessions: &mut Sessions<'a>,
        hooks: &mut Vec<HookReport>,
    ) -> Result<BuildEnv> {
        let Self { context, target, begun, declared, memo, memo_path, remembered, env } = self;
        let answered = requires(context, target, &env, sessions, hooks)?;
        if remembered.as_ref() == Some(&answered) {
            return Ok(env);
        }
        let mut final_env = provision_with(context, target, &declared, &memo, &answered, begun)?;
        if env.outcome == Outcome::Created && final_env.path == env.path {
            final_env.outcome = Outcome::Created;
        }
        final_env.duration = env.duration.max(final_env.duration);
        // Others may have added their answers meanwhile. Only what could be provisioned is worth
        // remembering.
        let mut memo = request::Memo::read(&memo_path).unwrap_or(memo);
        // What has credentials in it is not written down; it is asked for each time.
        if answered.iter().all(|text| mask_credentials(text) == *text) {
            memo.dynamic.insert(memo_key(context, target), answered);
            memo.write(&memo_path)?;
        }
        Ok(final_env)
    }
}

/// The environment of the declared requirements and the backend's. What is there already adds
/// nothing.
fn provision_with(
    context: &Context<'_>,
    target: Target,
    declared: &[Requirement],
    memo: &request::Memo,
    dynamic: &[String],
    begun: Instant,
) -> Result<BuildEnv> {
    let provisioner = context.provisioner();
    let requirements = parse_dynamic(context, target, dynamic)?;
    if adds_nothing(&requirements, memo, context) {
        return Ok(provisioner.realise(memo, begun)?);
    }
    let all: Vec<Requirement> = declared.iter().cloned().chain(requirements).collect();
    Ok(provisioner.provision(&all)?)
}

fn is_interrupt(error: &Error) -> bool {
    matches!(error, Error::BuildEnv(build_env::Error::Interrupted(_)))
}

fn memo_key(context: &Context<'_>, target: Target) -> String {
    let root = context.layout.root();
    let base = root.parent().unwrap_or(root);
    let project =
        context.project.directory.strip_prefix(base).unwrap_or(&context.project.directory);
    let mut decides = crate::digest::Hasher::default();
    decides.field(context.project.configuration_digest().as_bytes());
    decides.field(&serde_json::to_vec(&context.config_settings).unwrap_or_default());
    request::dynamic_key(&project.to_string_lossy(), target.hook().name(), &decides.finish())
}

fn parse_dynamic(
    context: &Context<'_>,
    target: Target,
    dynamic: &[String],
) -> Result<Vec<Requirement>> {
    dynamic
        .iter()
        .map(|text| {
            parse_requirement(text).map_err(|reason| {
                super::failure::BuildError {
                    message: format!(
                        "`{}` returned `{text}` from `{}`, which is not a valid requirement: \
                            {reason}",
                        context.project.build_system.build_backend,
                        target.hook().name()
                    ),
                    hint: None,
                }
                .into()
            })
        })
        .collect()
}

/// Whether all that the backend asks for is in the environment of the declared requirements anyway.
fn adds_nothing(requirements: &[Requirement], memo: &request::Memo, context: &Context<'_>) -> bool {
    requirements
        .iter()
        .filter(|requirement| requirement.evaluate_markers(&context.interpreter.markers, &[]))
        .all(|requirement| {
            // An extra may bring more than the distribution that has it.
            requirement.extras.is_empty()
                && memo.distributions.iter().any(|distribution| {
                    distribution.name == requirement.name.as_ref()
                        && satisfies(requirement, distribution.version.as_deref())
                })
        })
}

/// Asks the backend what else it requires. A backend without the hook requires nothing else.
fn requires<'a>(
    context: &'a Context<'a>,
    target: Target,
    env: &BuildEnv,
    sessions: &mut Sessions<'a>,
    hooks: &mut Vec<HookReport>,
) -> Result<Vec<String>> {
    let ui = context.ui;
    let hook = target.hook();
    let name = hook.name();
    let session = sessions.get(context, env)?;
    let _spinner = ui.spinner(format!("{name} ({})", context.project.build_system.build_backend));
    let project = &context.project;
    let call = Call {
        project,
        hook,
        config_settings: &context.config_settings,
        environ: &[],
        timeout: None,
    };
    let start = Instant::now();
    let mut show = |line: &str| {
        if ui.verbosity() >= Verbosity::Verbose {
            ui.passthrough(line);
        }
    };
    let answer = session.call(&call, &mut show);
    let mut record = |outcome: &str| {
        let seconds = round(start.elapsed().as_secs_f64());
        hooks.push(HookReport { name: name.to_owned(), seconds, outcome: outcome.to_owned() });
    };
    match answer {
        Ok(Answer::Returned(returned)) => {
            record("ok");
            Ok(serde_json::from_value(returned)
                .with_context(|| format!("`{name}` did not return a list of requirements"))?)
        }
        Ok(Answer::Unsupported) => {
            record("unsupported");
            Ok(Vec::new())
        }
        Err(error) => {
            record("error");
            if !matches!(error, hooks::Error::Hook { .. }) {
                sessions.forget(env);
            }
            Err(error.into())
        }
    }
}
