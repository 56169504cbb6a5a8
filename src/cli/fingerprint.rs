//! `fingerprint`: what names the environment, part by part, and what changed since.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueHint};
use serde::{Deserialize, Serialize};

use super::environment::{self, Sessions, Target};
use super::failure::Result;
use super::options::{Context, EnvironmentArgs};
use super::{MessageFormat, directory_or_here};
use crate::build_env::fingerprint::parts;
use crate::ui::Ui;

/// Print the build environment's fingerprint
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    cargo pyenv-build fingerprint --explain\n  \
    cargo pyenv-build fingerprint --message-format json > before.json\n  \
    cargo pyenv-build fingerprint --diff before.json    show what changed since then")]
pub(super) struct FingerprintArgs {
    /// Project directory
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub directory: Option<PathBuf>,
    /// Print every part of the fingerprint
    #[arg(long)]
    pub explain: bool,
    /// Print the changes since an earlier output of `--message-format json fingerprint`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub diff: Option<PathBuf>,
    #[command(flatten)]
    pub environment: EnvironmentArgs,
}

/// The JSON form.
#[derive(Debug, Serialize, Deserialize)]
struct Explained {
    schema: u32,
    fingerprint: String,
    abi_tag: String,
    parts: BTreeMap<String, String>,
}

pub(super) fn run(
    args: &FingerprintArgs,
    root: Option<&Path>,
    format: MessageFormat,
    ui: &Ui,
) -> Result<()> {
    let context =
        Context::open(directory_or_here(args.directory.as_deref()), root, &args.environment, ui)?;
    let env =
        environment::provision(&context, Target::Wheel, &mut Sessions::new(ui), &mut Vec::new())?;
    let identity = &context.interpreter.identity;
    let now = Explained {
        schema: 1,
        fingerprint: env.fingerprint.clone(),
        abi_tag: identity.abi_tag(),
        parts: parts(identity, &env.distributions),
    };
    if let Some(file) = &args.diff {
        let text = fs_err::read_to_string(file).map_err(|error| super::failure::UsageError {
            message: error.to_string(),
            hint: None,
        })?;
        let before: Explained =
            serde_json::from_str(&text).map_err(|error| super::failure::UsageError {
                message: format!(
                    "`{}` is not the output of `fingerprint --message-format json`: {error}",
                    file.display()
                ),
                hint: Some(
                    "create one with `cargo pyenv-build --message-format json fingerprint > FILE`"
                        .to_owned(),
                ),
            })?;
        let lines = difference(&before.parts, &now.parts);
        if lines.is_empty() {
            ui.status("Unchanged", &now.fingerprint);
        }
        for line in lines {
            ui.result(line);
        }
        return Ok(());
    }
    match format {
        MessageFormat::Json => {
            ui.result(serde_json::to_string(&now).context("failed to write JSON")?);
        }
        MessageFormat::Human => {
            ui.result(&now.fingerprint);
            if args.explain {
                for (name, value) in &now.parts {
                    ui.result(format_args!("  {name} = {value}"));
                }
                // What a change does to GitHub's caches; see `cli::action`.
                let of_abi =
                    "implementation, major and minor version, free_threaded, debug, platform";
                ui.status(
                    "ABI tag",
                    format_args!(
                        "{} ({of_abi}): if it changes, no earlier cache is restored",
                        now.abi_tag
                    ),
                );
                ui.status(
                    "Other parts",
                    "if one changes, the newest cache of the ABI tag is restored, and a new one \
                        is saved",
                );
                ui.status(
                    "Not a part",
                    "new releases of a requirement: the resolution is cached until you upgrade",
                );
            }
        }
    }
    Ok(())
}

/// `- gone`, `+ new`, `~ name: old -> new`; nothing for equal maps.
pub(super) fn difference(
    before: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| match (before.get(name), now.get(name)) {
            (Some(old), Some(new)) if old == new => None,
            (Some(old), Some(new)) => Some(format!("~ {name}: {old} -> {new}")),
            (Some(old), None) => Some(format!("- {name}: {old}")),
            (None, Some(new)) => Some(format!("+ {name}: {new}")),
            (None, None) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_went_came_and_changed() {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let before: BTreeMap<_, _> = map(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let now: BTreeMap<_, _> = map(&[("a", "1"), ("b", "2"), ("d", "1")]);
        assert_eq!(difference(&before, &now), ["~ b: 1 -> 2", "- c: 1", "+ d: 1"]);
        assert!(difference(&now, &now).is_empty());
    }
}
