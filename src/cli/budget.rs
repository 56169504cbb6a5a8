//! `--deny-rebuild`: crates that must not be compiled, and the failure when one was.

use globset::Glob;

use super::failure::{RebuildDenied, Result, UsageError};
use super::warmth::{WarmthArgs, When};
use crate::project::{CargoWorkspace, Settings};
use crate::report::{Crates, render};
use crate::ui::Ui;

/// Crates that must not be compiled.
#[derive(Debug, Clone, Default)]
pub(super) struct Budget {
    specs: Vec<Spec>,
    when: When,
}

#[derive(Debug, Clone)]
enum Spec {
    All,
    Deps,
    Workspace,
    Name(globset::GlobMatcher),
}

impl Budget {
    pub(super) fn new(args: &WarmthArgs, settings: &Settings) -> Result<Self> {
        let invalid =
            |message: String, hint: &str| UsageError { message, hint: Some(hint.to_owned()) };
        let texts =
            if args.deny_rebuild.is_empty() { &settings.deny_rebuild } else { &args.deny_rebuild };
        let spec = |text: &String| match text.as_str() {
            "all" => Ok(Spec::All),
            "deps" => Ok(Spec::Deps),
            "workspace" => Ok(Spec::Workspace),
            pattern => {
                Glob::new(pattern).map(|glob| Spec::Name(glob.compile_matcher())).map_err(|error| {
                    invalid(
                        format!(
                            "`{pattern}` is not a valid pattern for crate names: {}",
                            error.kind()
                        ),
                        "use `all`, `deps`, `workspace` or a pattern such as 'pyo3*'",
                    )
                })
            }
        };
        let when = match (args.deny_rebuild_when, settings.deny_rebuild_when.as_deref()) {
            (Some(when), _) => when,
            (None, None | Some("warm")) => When::Warm,
            (None, Some("always")) => When::Always,
            (None, Some(other)) => {
                return Err(invalid(
                    format!("`tool.pyenv-build.deny-rebuild-when` cannot be `{other}`"),
                    "use `warm` or `always`",
                )
                .into());
            }
        };
        Ok(Self { specs: texts.iter().map(spec).collect::<Result<_, _>>()?, when })
    }

    /// Warns of patterns that no package of the workspace can match: a misspelt one would never
    /// trip.
    pub(super) fn look_at(&self, workspace: &CargoWorkspace, ui: &Ui) {
        for glob in self
            .specs
            .iter()
            .filter_map(|spec| if let Spec::Name(glob) = spec { Some(glob) } else { None })
        {
            if !workspace.packages.iter().any(|package| glob.is_match(&package.name)) {
                ui.warning(format_args!(
                    "`--deny-rebuild {}` has no effect: no package has a matching name",
                    glob.glob()
                ));
            }
        }
    }

    /// Whether what was compiled may have been.
    pub(super) fn check(&self, crates: &Crates) -> Result<(), RebuildDenied> {
        let counts = |one: &&crate::report::CompiledCrate| {
            let matches = self.specs.iter().any(|spec| match spec {
                Spec::All => true,
                Spec::Deps => !one.workspace,
                Spec::Workspace => one.workspace,
                Spec::Name(glob) => glob.is_match(&one.name),
            });
            matches && (self.when == When::Always || one.reason.had_previous_state())
        };
        let denied: Vec<_> = crates.compiled.iter().filter(counts).collect();
        let Some(first) = denied.first() else { return Ok(()) };
        // Where it began, which may be a crate that could be compiled.
        let causes: Vec<String> = crates
            .compiled
            .iter()
            .filter(|one| one.root_cause && one.reason.had_previous_state())
            .map(|one| format!("\n  {} v{}: {}", one.name, one.version, render::because(one)))
            .collect();
        let causes = if causes.is_empty() {
            format!("\n  {} v{}: {}", first.name, first.version, render::because(first))
        } else {
            causes.concat()
        };
        let names: Vec<&str> = denied.iter().map(|one| one.name.as_str()).collect();
        let message = format!(
            "`--deny-rebuild` forbids compiling these crates: {}{causes}",
            names.join(", ")
        );
        Err(RebuildDenied { message })
    }
}
