//! `store stat URL` and `store key`.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::ci;
use crate::cli::MessageFormat;
use crate::cli::failure::{BuildError, Result};
use crate::cli::{options, sharing};
use crate::digest;
use crate::interpreter;
use crate::layout::Layout;
use crate::process::Cmd;
use crate::project::Project;
use crate::remote::key::Key;
use crate::remote::stat::{self, Build};
use crate::ui::{self, Ui};

/// Shows what a shared store has, and who made it.
pub(super) fn stat(url: &str, format: MessageFormat, ui: &Ui) -> Result<()> {
    let bucket = sharing::open(url)?;
    let found = {
        let _spinner = ui.spinner(format!("reading {}", bucket.shown));
        stat::look(&bucket)
    };
    let mut builds = found.map_err(|failure| BuildError {
        message: format!("failed to read `{}`: {failure}", bucket.shown),
        hint: Some("check the URL, the credentials and the network".to_owned()),
    })?;
    builds.sort_by(|one, other| {
        (&one.project, &other.written_at).cmp(&(&other.project, &one.written_at))
    });
    if format == MessageFormat::Json {
        let builds: Vec<_> = builds
            .iter()
            .map(|build| {
                json!({
                    "project": build.project, "path": build.path, "written_at": build.written_at, "made_by": build.origin,
                    "records": build.records, "environments": build.environments, "files": build.files, "bytes": build.bytes,
                })
            })
            .collect();
        ui.result(json!({"schema": 1, "command": "store stat", "ok": true, "url": bucket.shown, "builds": builds}));
        return Ok(());
    }
    if builds.is_empty() {
        ui.result(format_args!("{}: no builds", bucket.shown));
        return Ok(());
    }
    ui.result(format_args!("{}: {}", bucket.shown, ui::counted(builds.len(), "build")));
    for build in &builds {
        ui.result(line(build));
    }
    Ok(())
}

/// `  rpds-py in /builds/rpds-py: 25 compiled crates, 1 environment, 98.7 MiB, 2h ago, by main at ...`
fn line(build: &Build) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let age = now.saturating_sub(Duration::from_secs(build.written_at));
    let age = indicatif::HumanDuration(age);
    let made_by = build.origin.as_ref().map(|origin| format!(", by {origin}")).unwrap_or_default();
    format!(
        "  {} in {}: {}, {}, {}, {age} ago{made_by}",
        build.project,
        build.path.display(),
        ui::counted(build.records, "compiled crate"),
        ui::counted(build.environments, "environment"),
        indicatif::HumanBytes(build.bytes),
    )
}

/// Prints the names under which a CI cache keeps the exported store: what is the same in all of
/// them comes first, so that each but the first finds the newest that begins with it.
pub(super) fn key(
    directory: &Path,
    layout: &Layout,
    python: Option<&String>,
    format: MessageFormat,
    ui: &Ui,
) -> Result<()> {
    let project = Project::load_any(directory)?;
    let interpreter = project
        .is_python()
        .then(|| interpreter::discover(&options::wanted(&project, python), &layout.interpreters()))
        .transpose()?;
    let identity = interpreter.as_ref().map(|interpreter| &interpreter.identity);
    let key = Key::new(&project.name(), &project.directory, layout.root(), None, identity);
    let lock = project.workspace.cargo_root.as_ref().map(|root| root.join("Cargo.lock"));
    let lock = lock.and_then(|lock| digest::file(&lock).ok());
    let lock = lock.as_deref().map_or("no-lock", |digest| &digest[..16]);
    let all = format!("pyenv-build-{}-{}-{}-", key.project, key.what, key.place);
    let restore = [format!("{all}{lock}-"), all];
    let head = || {
        let git = Cmd::new("git").args(["rev-parse", "HEAD"]).cwd(&project.directory);
        Some(String::from_utf8(git.quick_answer()?).ok()?.trim().to_owned())
    };
    let commit = ci::origin().and_then(|origin| origin.commit).or_else(head).unwrap_or_default();
    let key = format!("{}{}", restore[0], commit.get(..12).unwrap_or(&commit));
    match format {
        MessageFormat::Json => {
            ui.result(json!({"schema": 1, "command": "store key", "ok": true, "key": key, "restore_keys": restore}));
        }
        MessageFormat::Human => {
            ui.result(key);
            for key in &restore {
                ui.result(key);
            }
        }
    }
    Ok(())
}
