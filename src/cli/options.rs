//! Arguments that several commands share, combined with the environment and the project's settings.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueHint};

use super::failure::{Result, UsageError};
use crate::build_env::indexes::Indexes;
use crate::build_env::installer::Choice;
use crate::build_env::{self, Provisioner};
use crate::hooks::ConfigSettings;
use crate::interpreter::{self, Interpreter, Source, Wanted};
use crate::layout::Layout;
use crate::project::{self, Project, Settings, uv};
use crate::ui::{self, Ui};
use crate::{env_vars, fs};

/// A week.
const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Options of the build environment.
#[derive(Debug, Clone, Args)]
pub(super) struct EnvironmentArgs {
    /// Interpreter to build for: a path, a name, or a version such as 3.12, 3.13t or pypy3.10
    #[arg(short, long, env = env_vars::PYTHON, value_name = "PYTHON", help_heading = "Build environment")]
    pub python: Option<String>,
    /// Installer that resolves and installs the build requirements
    #[arg(long, env = env_vars::INSTALLER, value_enum, help_heading = "Build environment")]
    pub installer: Option<Choice>,
    /// Setting for the backend, as KEY=VALUE (repeat a KEY to pass a list)
    #[arg(
        short = 'C',
        long = "config-setting",
        alias = "config-settings",
        value_name = "KEY=VALUE",
        allow_hyphen_values = true,
        help_heading = "Build environment"
    )]
    pub config_settings: Vec<String>,
    /// Constrain build requirements with this file (also `PIP_CONSTRAINT`, `UV_BUILD_CONSTRAINT`)
    #[arg(short = 'c', long = "constraint", aliases = ["constraints", "build-constraint", "build-constraints"], value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Build environment")]
    pub constraints: Vec<String>,
    /// Require a hash for every build requirement, from a constraints file
    #[arg(long, help_heading = "Build environment")]
    pub require_hashes: bool,
    /// Install the build requirements from pylock.build.toml, and fail if it does not satisfy them
    #[arg(long, help_heading = "Build environment")]
    pub locked: bool,
    /// Resolve the build requirements again, to the newest allowed versions
    #[arg(short = 'U', long, help_heading = "Build environment")]
    pub upgrade: bool,
    /// Re-resolve build requirements older than this [default: 7days; in CI: never]
    #[arg(long, env = env_vars::MAX_AGE, value_name = "DURATION", value_parser = humantime::parse_duration, help_heading = "Build environment")]
    pub max_age: Option<Duration>,
    /// Do not use the network, only earlier resolutions and the installer's cache
    #[arg(long, help_heading = "Build environment")]
    pub offline: bool,
    /// Package index instead of PyPI (also `PIP_INDEX_URL`, `UV_DEFAULT_INDEX`)
    #[arg(
        short = 'i',
        long = "default-index",
        alias = "index-url",
        value_name = "URL",
        help_heading = "Package indexes"
    )]
    pub default_index: Option<String>,
    /// Additional package index (also `PIP_EXTRA_INDEX_URL`, `UV_INDEX`)
    #[arg(
        long = "index",
        alias = "extra-index-url",
        value_name = "URL",
        help_heading = "Package indexes"
    )]
    pub indexes: Vec<String>,
    /// Directory or page with archives (also `PIP_FIND_LINKS`, `UV_FIND_LINKS`)
    #[arg(short = 'f', long, value_name = "PATH", help_heading = "Package indexes")]
    pub find_links: Vec<String>,
    /// Do not use a package index, only --find-links
    #[arg(long, help_heading = "Package indexes")]
    pub no_index: bool,
}

/// Everything that a command needs to know of a project.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub project: Project,
    pub layout: Layout,
    pub interpreter: Interpreter,
    pub options: build_env::Options,
    pub config_settings: ConfigSettings,
    pub ui: &'a Ui,
}

impl<'a> Context<'a> {
    /// Reads the project in `directory`, opens our directory, finds the interpreter.
    pub(super) fn open(
        directory: &Path,
        root: Option<&Path>,
        args: &EnvironmentArgs,
        ui: &'a Ui,
    ) -> Result<Self> {
        let (project, layout) = open_project(directory, root, ui)?;
        let wanted = wanted(&project, args.python.as_ref());
        let interpreter = interpreter::discover(&wanted, &layout.interpreters())?;
        Self::new(project, layout, interpreter, args, ui)
    }

    /// The same for a project that was read already, and an interpreter that was found.
    pub(super) fn new(
        project: Project,
        layout: Layout,
        interpreter: Interpreter,
        args: &EnvironmentArgs,
        ui: &'a Ui,
    ) -> Result<Self> {
        ui.detail(format_args!(
            "using {} at {}",
            interpreter.identity.display(),
            interpreter.path.display()
        ));
        if let Some(wanted) =
            project.requires_python.as_ref().filter(|wanted| !interpreter.satisfies(wanted))
        {
            let (pyproject, found) = (project.pyproject_path(), interpreter.identity.display());
            ui.warning(format_args!(
                "`{}` requires Python {wanted}, but this is {found}",
                pyproject.display()
            ));
        }
        let options = options(&project, args)?;
        let config_settings = config_settings(&args.config_settings)?;
        Ok(Self { project, layout, interpreter, options, config_settings, ui })
    }

    pub(super) fn provisioner(&self) -> Provisioner<'_> {
        Provisioner {
            layout: &self.layout,
            interpreter: &self.interpreter,
            ui: self.ui,
            options: &self.options,
            directory: &self.project.directory,
            uv_file: self.project.uv_file.as_ref(),
            inline_constraints: &self.project.build_constraints,
            declared: &self.project.build_system.requires,
            sources: &self.project.sources,
        }
    }
}

pub(super) fn root_of(project: &Project, flag: Option<&Path>) -> Result<PathBuf> {
    let root = match (flag, &project.settings.root) {
        (Some(root), _) => root.to_path_buf(),
        (None, Some(root)) => project.directory.join(root),
        (None, None) => project.workspace.root.join(".pyenv-build"),
    };
    if root.to_str().is_none() {
        return Err(project::Error::NotUnicode { path: root }.into());
    }
    // What it has is put first on PATH, where no entry can have one.
    if std::env::join_paths([&root]).is_err() {
        let separator = if cfg!(windows) { ';' } else { ':' };
        return Err(UsageError {
            message: format!(
                "the directory for build environments, `{}`, has a `{separator}` in its name",
                root.display()
            ),
            hint: Some(
                "PATH cannot contain it: rename the directory, or use `--root` or \
                    `[tool.pyenv-build] root`"
                    .to_owned(),
            ),
        }
        .into());
    }
    absolute(&root)
}

/// A path of the user's, made absolute.
pub(super) fn absolute(path: &Path) -> Result<PathBuf> {
    Ok(fs::absolute(path)
        .with_context(|| format!("failed to make `{}` absolute", path.display()))?)
}

/// Our directory for a project.
pub(super) fn layout_of(project: &Project, root: Option<&Path>) -> Result<Layout> {
    Ok(Layout::open(root_of(project, root)?)?)
}

/// Our directory for the project in `directory`, without looking for an interpreter.
pub(super) fn open_layout(directory: &Path, root: Option<&Path>) -> Result<Layout> {
    layout_of(&Project::load_any(directory)?, root)
}

/// Reads the project in `directory` and opens our directory.
pub(super) fn open_project(
    directory: &Path,
    root: Option<&Path>,
    ui: &Ui,
) -> Result<(Project, Layout)> {
    let project = Project::load(directory)?;
    for key in &project.settings.unknown {
        let meant = ui::similar(key, Settings::names())
            .map(|name| format!("; did you mean `{name}`?"))
            .unwrap_or_default();
        ui.warning(format_args!(
            "`{}`: unknown setting `tool.pyenv-build.{key}`{meant}",
            project.pyproject_path().display()
        ));
    }
    let layout = Layout::open(root_of(&project, root)?)?;
    Ok((project, layout))
}

/// The interpreter to look for. `python`: from the command line.
pub(super) fn wanted(project: &Project, python: Option<&String>) -> Wanted {
    let request = match (python, &project.settings.python) {
        // clap has looked into the environment, too.
        (Some(python), _) => {
            let from_environment = env_vars::get(env_vars::PYTHON).as_ref() == Some(python);
            Some((
                python.clone(),
                if from_environment { Source::Environment } else { Source::Flag },
            ))
        }
        (None, Some(python)) => Some((python.clone(), Source::Settings)),
        (None, None) => None,
    };
    Wanted {
        request,
        requires_python: project.requires_python.clone(),
        directory: project.directory.clone(),
    }
}

fn options(project: &Project, args: &EnvironmentArgs) -> Result<build_env::Options> {
    let installer = match (args.installer, project.settings.installer.as_deref()) {
        (Some(choice), _) => choice,
        (None, None | Some("auto")) => Choice::Auto,
        (None, Some("uv")) => Choice::Uv,
        (None, Some("pip")) => Choice::Pip,
        (None, Some(other)) => {
            return Err(UsageError {
                message: format!(
                    "`{}`: `tool.pyenv-build.installer` cannot be `{other}`",
                    project.pyproject_path().display()
                ),
                hint: Some("use `uv`, `pip` or `auto`".to_owned()),
            }
            .into());
        }
    };
    let absolute = |base: &Path, file: &str| -> String {
        if file.contains("://") {
            file.to_owned()
        } else {
            base.join(file).to_string_lossy().into_owned()
        }
    };
    let here = std::env::current_dir().context("failed to find the current directory")?;
    let mut constraints: Vec<String> =
        args.constraints.iter().map(|file| absolute(&here, file)).collect();
    constraints
        .extend(project.settings.constraints.iter().map(|file| absolute(&project.directory, file)));
    for name in ["PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT", "UV_BUILD_CONSTRAINT"] {
        let files = env_vars::get(name).unwrap_or_default();
        constraints.extend(files.split_whitespace().map(|file| absolute(&here, file)));
    }
    constraints.dedup();
    let hashes_by_environment =
        ["PIP_REQUIRE_HASHES", "UV_REQUIRE_HASHES", "UV_REQUIRE_BUILD_HASHES"]
            .into_iter()
            .any(uv::is_set);
    let lock_timeout = match env_vars::get(env_vars::LOCK_TIMEOUT) {
        None => None,
        Some(text) => Some(Duration::from_secs(text.parse().map_err(|_ignored| UsageError {
            message: format!(
                "{} is `{text}`, which is not a number of seconds",
                env_vars::LOCK_TIMEOUT
            ),
            hint: None,
        })?)),
    };
    Ok(build_env::Options {
        installer,
        constraints,
        indexes: Indexes {
            default: args.default_index.clone(),
            extra: args.indexes.clone(),
            find_links: args.find_links.clone(),
            no_index: args.no_index,
        },
        require_hashes: args.require_hashes
            || hashes_by_environment
            || project.require_build_hashes,
        offline: args.offline || uv::is_set("UV_OFFLINE"),
        upgrade: args.upgrade,
        max_age: args.max_age.or(if env_vars::is_ci() { None } else { Some(MAX_AGE) }),
        locked: args.locked,
        lock_timeout,
    })
}

/// `KEY=VALUE` pairs as PEP 517's `config_settings`, the way pip and build make them.
fn config_settings(pairs: &[String]) -> Result<ConfigSettings> {
    use serde_json::Value;
    let mut settings = ConfigSettings::new();
    for pair in pairs {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if key.is_empty() {
            return Err(UsageError {
                message: format!("`-C {pair}` has no key"),
                hint: Some("write `-C KEY=VALUE`".to_owned()),
            }
            .into());
        }
        let value = Value::from(value);
        match settings.get_mut(key) {
            None => {
                settings.insert(key.to_owned(), value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(single) => *single = Value::Array(vec![single.take(), value]),
        }
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_repeat_into_lists() {
        let pairs = ["a=1", "b", "a=2", "a=3", "c=x=y"].map(str::to_owned);
        let settings = config_settings(&pairs).unwrap();
        assert_eq!(
            serde_json::to_string(&settings).unwrap(),
            r#"{"a":["1","2","3"],"b":"","c":"x=y"}"#
        );
        assert!(config_settings(&["=x".to_owned()]).is_err());
    }
}
