//! `develop`: builds an editable wheel (PEP 660) and installs it into the user's virtual
//! environment.
//!
//! It is built as any other wheel, in the build environment of the target's interpreter, which
//! stays as long as the install does: see [`installs`].

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueHint};

use super::build::{self, Making};
use super::environment::Sessions;
use super::failure::{Error, Result, UsageError};
use super::options::{self, Context, EnvironmentArgs};
use super::warmth::WarmthArgs;
use super::{MessageFormat, directory_or_here, step_summary};
use crate::build_env::installer::WheelInstallation;
use crate::build_env::{self, installs};
use crate::interpreter::{self, Interpreter, Request, Source, Wanted};
use crate::layout::Layout;
use crate::process::Cmd;
use crate::project::{self, Project};
use crate::report::{InstallReport, round};
use crate::ui::Ui;
use crate::{env_vars, fs, wheel};

/// Install the project as editable (PEP 660) into the active environment, or into --venv.
///
/// Edits of Python files take effect at once. After edits of Rust files, run the command again: it
/// compiles only the crates that changed.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    cargo pyenv-build develop                      install into the active environment\n  \
    cargo pyenv-build develop --venv .venv '.[test]'\n  \
    cargo pyenv-build develop --no-deps crates/py")]
pub(super) struct DevelopArgs {
    /// Project directory, optionally with extras: `DIR`, `DIR[EXTRA,...]`
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub directory: Option<PathBuf>,
    /// Virtual environment to install into [default: the active one]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub venv: Option<PathBuf>,
    /// Also install the dependencies of this extra (can be repeated)
    #[arg(long = "extra", value_name = "NAME", value_delimiter = ',', conflicts_with = "no_deps")]
    pub extras: Vec<String>,
    /// Do not install dependencies
    #[arg(long)]
    pub no_deps: bool,
    /// Cargo's target directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub target_dir: Option<PathBuf>,
    /// Stop a hook that takes longer than this, such as 30m
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub hook_timeout: Option<Duration>,
    #[command(flatten)]
    pub warmth: WarmthArgs,
    #[command(flatten)]
    pub environment: EnvironmentArgs,
}

/// Returns the exit code.
pub(super) fn run(args: &DevelopArgs, root: Option<&Path>, format: MessageFormat, ui: &Ui) -> u8 {
    let start = Instant::now();
    let mut reports = Vec::new();
    let outcome = develop(args, root, ui, &mut reports);
    let (code, report) = build::conclude("develop", &outcome, reports, start, format, ui);
    step_summary::write(&report, ui);
    code
}

fn develop(
    args: &DevelopArgs,
    root: Option<&Path>,
    ui: &Ui,
    reports: &mut build::Reports,
) -> Result<()> {
    let (directory, mut extras) = with_extras(directory_or_here(args.directory.as_deref()))?;
    if args.no_deps && !extras.is_empty() {
        return Err(UsageError {
            message: "extras add dependencies, but `--no-deps` installs none".to_owned(),
            hint: None,
        }
        .into());
    }
    extras.extend(args.extras.iter().cloned());
    let (project, layout) = options::open_project(&directory, root, ui)?;
    let target = Target::find(args.venv.as_deref(), &project)?;
    let interpreter = target.interpreter(&project, &layout, &args.environment)?;
    let context = Context::new(project, layout, interpreter, &args.environment, ui)?;
    let options = build::Options {
        target_dir: args.target_dir.as_deref().map(options::absolute).transpose()?,
        hook_timeout: args.hook_timeout,
        warmth: args.warmth.clone(),
        is_last: true,
    };
    let mut making = Making::new("develop", options, &context);
    let outcome = build_and_install(args, &extras, &context, &target, &mut making);
    let (report, outcome) = making.conclude(outcome, &context);
    reports.push((Some(context.layout.clone()), report));
    outcome
}

fn build_and_install(
    args: &DevelopArgs,
    extras: &[String],
    context: &Context<'_>,
    target: &Target,
    making: &mut Making,
) -> Result<()> {
    let _lock = Making::lock(context)?;
    let mut sessions = Sessions::new(context.ui);
    let built = making.wheel(context, &mut sessions, true)?;
    let install = target.install(context, &built.env.path, &built.path, extras, args.no_deps)?;
    making.report.install = Some(install);
    Ok(())
}

/// A directory and the extras behind it. A directory whose own name has brackets is that directory.
pub(super) fn with_extras(argument: &Path) -> Result<(PathBuf, Vec<String>)> {
    let whole = || Ok((argument.to_path_buf(), Vec::new()));
    if argument.exists() {
        return whole();
    }
    let Some((directory, extras)) =
        argument.to_str().and_then(|text| text.strip_suffix(']')?.rsplit_once('['))
    else {
        return whole();
    };
    let extras: Vec<String> = extras.split(',').map(|extra| extra.trim().to_owned()).collect();
    if extras.iter().any(String::is_empty) {
        let hint = Some("write it as `DIR[EXTRA,EXTRA]`".to_owned());
        return Err(UsageError {
            message: format!("`{}` has an empty extra", argument.display()),
            hint,
        }
        .into());
    }
    Ok((if directory.is_empty() { ".".into() } else { directory.into() }, extras))
}

/// The environment that is installed into.
#[derive(Debug)]
struct Target {
    /// Absolute.
    directory: PathBuf,
}

impl Target {
    /// The one that is named, else the active one.
    fn find(named: Option<&Path>, project: &Project) -> Result<Self> {
        let variable =
            |name: &'static str| env_vars::get_os(name).map(|path| (name, PathBuf::from(path)));
        let (whose, path) = match named {
            Some(path) => ("--venv", path.to_path_buf()),
            None => match variable("VIRTUAL_ENV").or_else(|| variable("CONDA_PREFIX")) {
                Some(found) => found,
                None => return Err(none_is_active(project).into()),
            },
        };
        let refused = |what: &str, hint: &str| -> Error {
            let hint = Some(hint.to_owned());
            UsageError { message: format!("`{}` ({whose}) {what}", path.display()), hint }.into()
        };
        let absolute = fs::absolute(&path).map_err(|error| {
            refused(&format!("cannot be used: {error}"), "choose a different one with `--venv DIR`")
        })?;
        // The python in an environment stands for it.
        let directory = match absolute.parent().and_then(Path::parent) {
            Some(prefix) if absolute.is_file() => prefix.to_path_buf(),
            _ => absolute,
        };
        if !directory.is_dir() {
            return Err(refused(
                "does not exist",
                "create it again with `python -m venv DIR`, or choose a different one with \
                    `--venv DIR`",
            ));
        }
        if Layout::has(&directory) {
            return Err(refused(
                "is a build environment, which must not be changed",
                "choose an environment of your own with `--venv DIR`",
            ));
        }
        if !directory.join("pyvenv.cfg").is_file() && !directory.join("conda-meta").is_dir() {
            return Err(refused(
                "is not a virtual environment",
                "create one with `python -m venv DIR`, and pass it as `--venv DIR`",
            ));
        }
        if directory.to_str().is_none() {
            return Err(project::Error::NotUnicode { path: directory }.into());
        }
        Ok(Self { directory })
    }

    /// The interpreter in it, which must be the one that is asked for, if one is.
    fn interpreter(
        &self,
        project: &Project,
        layout: &Layout,
        args: &EnvironmentArgs,
    ) -> Result<Interpreter> {
        let cache = layout.interpreters();
        let text = self.directory.to_string_lossy().into_owned();
        let here = Wanted {
            request: Some((text, Source::Flag)),
            requires_python: None,
            directory: project.directory.clone(),
        };
        let own = interpreter::discover(&here, &cache)?;
        let Some(asked) = &args.python else { return Ok(own) };
        let request: Request =
            asked.parse().unwrap_or_else(|never: std::convert::Infallible| match never {});
        let other = match request {
            Request::Version(version) if version.matches(&own.identity) => return Ok(own),
            _ => interpreter::discover(&options::wanted(project, args.python.as_ref()), &cache)?,
        };
        if other.identity == own.identity {
            return Ok(own);
        }
        Err(UsageError {
            message: format!(
                "`--python {asked}` is {}, but `{}` has {}",
                described(&other),
                self.directory.display(),
                described(&own)
            ),
            hint: Some(
                "leave out `--python` and PYENV_BUILD_PYTHON, or choose an environment of that \
                    Python with `--venv DIR`"
                    .to_owned(),
            ),
        }
        .into())
    }

    /// Installs an editable wheel that was built in the build environment `env`.
    fn install(
        &self,
        context: &Context<'_>,
        env: &Path,
        wheel: &Path,
        extras: &[String],
        no_deps: bool,
    ) -> Result<InstallReport> {
        let start = Instant::now();
        let metadata = wheel::metadata(wheel)?;
        for extra in extras
            .iter()
            .filter(|extra| extra.parse().is_ok_and(|extra| !metadata.extras.contains(&extra)))
        {
            context.ui.warning(format_args!("{} has no extra `{extra}`", metadata.name));
            let has: Vec<String> =
                metadata.extras.iter().map(|extra| format!("`{extra}`")).collect();
            context.ui.hint(if has.is_empty() {
                "it has none".to_owned()
            } else {
                format!("it has {}", has.join(", "))
            });
        }
        let python = &context.interpreter.path;
        let dist_info = site_packages(python, metadata.is_pure)?.join(&metadata.dist_info);
        let turn = context.layout.project_lock(&self.directory);
        let _turn = build_env::lock(
            &turn,
            context.options.lock_timeout,
            context.ui,
            "is installing into the same environment",
        )?;
        let begun = installs::begin(
            &context.layout,
            env,
            &self.directory,
            &metadata.name,
            &context.project.directory,
            &dist_info,
        )?;
        let provisioner = context.provisioner();
        let installed = provisioner.install_wheel(&WheelInstallation {
            python,
            wheel,
            name: &metadata.name,
            extras,
            dependencies: if no_deps { &[] } else { &metadata.requires },
            indexes: &provisioner.indexes(),
            directory: &context.project.directory,
            offline: context.options.offline,
        });
        let installer = match installed {
            Ok(installer) => installer,
            Err(error) => {
                begun.abandon()?;
                return Err(error.into());
            }
        };
        build_env::declare_editable(&dist_info, &context.project.directory)?;
        begun.finish()?;
        Ok(InstallReport {
            distribution: metadata.name,
            version: metadata.version,
            target: self.directory.clone(),
            python: python.clone(),
            dist_info,
            installer: installer.to_owned(),
            seconds: round(start.elapsed().as_secs_f64()),
        })
    }
}

/// Where an interpreter's distributions are.
fn site_packages(python: &Path, is_pure: bool) -> Result<PathBuf> {
    let script = "import sys, sysconfig; sys.stdout.buffer.write(sysconfig.get_path(sys.argv[1]).encode('utf-8'))";
    let output = Cmd::new(python)
        .args(["-I", "-c", script, if is_pure { "purelib" } else { "platlib" }])
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned().into())
}

fn described(interpreter: &Interpreter) -> String {
    format!("{} ({})", interpreter.identity.display(), interpreter.base_executable.display())
}

fn none_is_active(project: &Project) -> UsageError {
    let usual = project.directory.join(".venv");
    let hint = if usual.join("pyvenv.cfg").is_file() {
        format!("activate `{0}`, or pass `--venv {0}`", usual.display())
    } else {
        "create one with `python -m venv .venv`, then activate it or pass `--venv .venv`".to_owned()
    };
    UsageError { message: "no virtual environment is active".to_owned(), hint: Some(hint) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extras_stand_behind_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join("a[b]");
        fs_err::create_dir(&odd).unwrap();
        let split = |text: &str| {
            with_extras(Path::new(text))
                .map(|(path, extras)| (path.to_string_lossy().into_owned(), extras.join(" ")))
        };
        let of = |path: &str, extras: &str| (path.to_owned(), extras.to_owned());
        assert_eq!(split(".[test, docs]").unwrap(), of(".", "test docs"));
        assert_eq!(split("[test]").unwrap(), of(".", "test"));
        assert_eq!(split("no/such").unwrap(), of("no/such", ""));
        let odd = odd.to_string_lossy().into_owned();
        assert_eq!(split(&odd).unwrap(), of(&odd, ""));
        assert_eq!(split(&format!("{odd}[c]")).unwrap(), of(&odd, "c"));
        assert!(split(".[]").is_err() && split(".[a,]").is_err());
    }
}
