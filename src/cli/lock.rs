//! `lock`: pins the build requirements with hashes, for good, in `pylock.build.toml`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use super::environment::{self, Sessions, Target};
use super::failure::Result;
use super::options::{Context, EnvironmentArgs};
use super::{MessageFormat, directory_or_here};
use crate::ui::{self, Ui};

/// Write all build requirements to pylock.build.toml (PEP 751), with hashes.
///
/// Includes the requirements that the backend adds. With uv, the file covers all interpreters and
/// platforms that the project supports; with pip, only this interpreter. Use it with `--locked`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    cargo pyenv-build lock            write pylock.build.toml\n  \
    cargo pyenv-build build --locked  build from it")]
pub(super) struct LockArgs {
    /// Project directory
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub directory: Option<PathBuf>,
    #[command(flatten)]
    pub environment: EnvironmentArgs,
}

pub(super) fn run(
    args: &LockArgs,
    root: Option<&Path>,
    format: MessageFormat,
    ui: &Ui,
) -> Result<()> {
    let mut context =
        Context::open(directory_or_here(args.directory.as_deref()), root, &args.environment, ui)?;
    // The lock file is what is being made.
    context.options.locked = false;
    let mut sessions = Sessions::new(ui);
    let mut requirements = environment::declared(&context)?;
    for target in [Target::Wheel, Target::Sdist, Target::Editable] {
        let env = environment::provision(&context, target, &mut sessions, &mut Vec::new())?;
        ui.detail(format_args!("{target:?} needs {}", env.path.display()));
        requirements.extend(environment::remembered(&context, target)?);
    }
    requirements.dedup();
    let minimum = context.project.requires_python.as_ref().and_then(lower_bound);
    let (path, packages) = context.provisioner().lock(&requirements, minimum.as_deref())?;
    match format {
        MessageFormat::Human => ui.result(path.display()),
        MessageFormat::Json => {
            ui.result(serde_json::json!({"schema": 1, "command": "lock", "ok": true, "path": path, "packages": packages}));
        }
    }
    ui.status("Locked", ui::counted(packages, "package"));
    Ok(())
}

/// `3.9` of `>=3.9,<4`.
fn lower_bound(specifiers: &pep508_rs::pep440_rs::VersionSpecifiers) -> Option<String> {
    use pep508_rs::pep440_rs::Operator;
    let bounds = specifiers.iter().filter(|specifier| {
        matches!(
            specifier.operator(),
            Operator::GreaterThanEqual
                | Operator::TildeEqual
                | Operator::Equal
                | Operator::EqualStar
        )
    });
    bounds.map(|specifier| specifier.version().clone()).max().map(|version| version.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_python_that_is_supported() {
        let bound = |text: &str| lower_bound(&text.parse().unwrap());
        assert_eq!(bound(">=3.9,<4").as_deref(), Some("3.9"));
        assert_eq!(bound("!=3.10.*").as_deref(), None);
        assert_eq!(bound("~=3.10").as_deref(), Some("3.10"));
    }
}
