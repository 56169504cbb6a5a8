//! `cache list|usage|prune`: GitHub's caches of a repository, ours and rust-cache's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use clap::{Args, Subcommand};
use serde_json::json;

use super::MessageFormat;
use super::failure::Result;
use crate::actions::Actions;
use crate::cache::{Entry, Filter, Owner, Policy, Reason, choose, parse_size, size};
use crate::github::{Deleted, Error, Repository};
use crate::ui::Ui;

/// List and prune GitHub caches: ours (`pyenv-build-`) and rust-cache's (`v0-rust-`)
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Needs `GITHUB_TOKEN` or `GH_TOKEN` with `actions: read` (`actions: write` for `prune`); honours `GITHUB_API_URL`."
)]
pub(super) struct CacheArgs {
    #[command(subcommand)]
    command: CacheCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum CacheCommand {
    /// List entries, oldest first
    List(ListArgs),
    /// Show the total size of the entries, by owner and branch
    Usage(WhereArgs),
    /// Remove superseded entries and those of closed pull requests (a dry run without --yes)
    Prune(PruneArgs),
}

#[derive(Debug, Clone, Args)]
pub(super) struct WhereArgs {
    /// Repository [default: the one in `GITHUB_REPOSITORY`]
    #[arg(long, value_name = "OWNER/NAME")]
    pub repository: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(super) struct FilterArgs {
    /// Only entries of this branch, or of a ref such as refs/pull/7/merge
    #[arg(long, value_name = "BRANCH")]
    pub branch: Option<String>,
    /// Only entries for the environment with this fingerprint, or a prefix of it
    #[arg(long, value_name = "HEX")]
    pub fingerprint: Option<String>,
}

impl From<&FilterArgs> for Filter {
    fn from(args: &FilterArgs) -> Self {
        Self { branch: args.branch.clone(), fingerprint: args.fingerprint.clone() }
    }
}

#[derive(Debug, Clone, Args)]
struct ListArgs {
    #[command(flatten)]
    at: WhereArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// Also list entries that are neither ours nor rust-cache's
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Clone, Args)]
pub(super) struct PruneArgs {
    #[command(flatten)]
    pub at: WhereArgs,
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Remove all entries that match --branch and --fingerprint, not only superseded ones
    #[arg(long)]
    pub all: bool,
    /// Also remove the least recently used entries beyond this total size, such as 5GB
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_size: Option<u64>,
    /// Remove the entries
    #[arg(long, short = 'y')]
    pub yes: bool,
    /// Only show what would be removed (the default)
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
}

pub(super) fn run(args: &CacheArgs, format: MessageFormat, ui: &Ui) -> Result<()> {
    let actions = Actions::detect(ui);
    // A fork's pull request chooses the keys of its caches; in the log of a later job they must be
    // text.
    let _quiet = actions.as_ref().map(Actions::quiet);
    match &args.command {
        CacheCommand::List(args) => list(args, format, ui),
        CacheCommand::Usage(args) => usage(args, format, ui),
        CacheCommand::Prune(args) => {
            let pruned = prune(args, ui)?;
            if format == MessageFormat::Json {
                ui.result(pruned.json());
            }
            Ok(())
        }
    }
}

fn list(args: &ListArgs, format: MessageFormat, ui: &Ui) -> Result<()> {
    let filter = Filter::from(&args.filter);
    let mut entries = Repository::open(args.at.repository.as_deref())?.caches()?;
    entries.retain(|entry| (args.all || entry.owner() != Owner::Other) && filter.takes(entry));
    match format {
        MessageFormat::Json => {
            let list: Vec<_> = entries.iter().map(as_json).collect();
            ui.result(json!({"schema": 1, "command": "cache list", "ok": true, "caches": list}));
        }
        MessageFormat::Human => {
            for entry in &entries {
                ui.result(line(entry));
            }
        }
    }
    Ok(())
}

fn usage(args: &WhereArgs, format: MessageFormat, ui: &Ui) -> Result<()> {
    let repository = Repository::open(args.repository.as_deref())?;
    let entries = repository.caches()?;
    let mut by: BTreeMap<(Owner, &str), (u64, u64)> = BTreeMap::new();
    for entry in &entries {
        let (count, bytes) = by.entry((entry.owner(), entry.branch())).or_default();
        *count += 1;
        *bytes += entry.size_bytes;
    }
    let total: u64 = entries.iter().map(|entry| entry.size_bytes).sum();
    match format {
        MessageFormat::Json => {
            let parts: Vec<_> = by
                .iter()
                .map(|((owner, branch), (count, bytes))| json!({"owner": owner.name(), "branch": branch, "count": count, "size_bytes": bytes}))
                .collect();
            let whole = json!({"count": entries.len(), "size_bytes": total});
            ui.result(json!({
                "schema": 1, "command": "cache usage", "ok": true, "repository": repository.full_name(), "total": whole, "parts": parts,
            }));
        }
        MessageFormat::Human => {
            for ((owner, branch), (count, bytes)) in &by {
                ui.result(format_args!(
                    "{:>9}  {count:>4}  {:<12}  {}",
                    size(*bytes),
                    owner.name(),
                    printable(branch)
                ));
            }
            ui.result(format_args!(
                "{:>9}  {:>4}  {:<12}  {}",
                size(total),
                entries.len(),
                "all",
                repository.full_name()
            ));
        }
    }
    Ok(())
}

/// What prune came to.
#[derive(Debug, Default)]
pub(super) struct Pruned {
    pub chosen: Vec<(Entry, Reason)>,
    pub deleted: u64,
    /// Could not be deleted; the next run makes up for it.
    pub failed: u64,
    dry_run: bool,
}

impl Pruned {
    fn json(&self) -> serde_json::Value {
        let list: Vec<_> = self
            .chosen
            .iter()
            .map(|(entry, reason)| {
                let mut one = as_json(entry);
                one["reason"] = json!(reason.name());
                one
            })
            .collect();
        json!({
            "schema": 1, "command": "cache prune", "ok": true, "dry_run": self.dry_run,
            "caches": list, "deleted": self.deleted, "failed": self.failed,
        })
    }
}

/// What the action prunes.
pub(super) fn prune_for_action(max_size: Option<u64>, ui: &Ui) -> Result<()> {
    let at = WhereArgs { repository: None };
    let filter = FilterArgs { branch: None, fingerprint: None };
    prune(&PruneArgs { at, filter, all: false, max_size, yes: true, dry_run: false }, ui).map(drop)
}

/// Housekeeping, and so no reason to fail: what the token does not allow is said in one line, what
/// GitHub cannot do now is left for the next time.
pub(super) fn prune(args: &PruneArgs, ui: &Ui) -> Result<Pruned> {
    let filter = Filter::from(&args.filter);
    if args.all && filter.is_empty() {
        return Err(super::failure::UsageError {
            message: "`--all` alone would remove every cache of cargo-pyenv-build and rust-cache"
                .to_owned(),
            hint: Some("select caches with `--branch` or `--fingerprint`".to_owned()),
        }
        .into());
    }
    let mut pruned = Pruned { dry_run: !args.yes, ..Pruned::default() };
    let repository = Repository::open(args.at.repository.as_deref())?;
    let entries = match repository.caches() {
        Ok(entries) => entries,
        Err(Error::Forbidden { what, permission, .. }) => {
            ui.status("Skipped", not_allowed(what, permission));
            return Ok(pruned);
        }
        Err(error) => return Err(error.into()),
    };
    let policy = Policy {
        filter,
        all: args.all,
        max_size_bytes: args.max_size,
        open_pull_requests: open_pull_requests(&repository, &entries, ui)?,
    };
    let chosen = choose(&entries, &policy);
    pruned.chosen = entries
        .into_iter()
        .filter_map(|entry| chosen.get(&entry.id).map(|reason| (entry, *reason)))
        .collect();
    let bytes = if args.yes {
        match remove(&repository, &mut pruned, ui)? {
            Some(bytes) => bytes,
            None => return Ok(pruned),
        }
    } else {
        for (entry, reason) in &pruned.chosen {
            ui.status("Would remove", format_args!("{} ({reason})", line(entry)));
        }
        pruned.chosen.iter().map(|(entry, _)| entry.size_bytes).sum()
    };
    let count = if args.yes { pruned.deleted } else { pruned.chosen.len() as u64 };
    let caches = if count == 1 { "cache" } else { "caches" };
    let hint = if args.yes || count == 0 { "" } else { "; use `--yes` to remove them" };
    ui.status(
        if args.yes { "Pruned" } else { "Would prune" },
        format_args!("{count} {caches}, {}{hint}", size(bytes)),
    );
    Ok(pruned)
}

/// The pull requests that are open, as far as any of the caches is of one; `None` if that is not
/// known.
///
/// Asked after the caches: a pull request that is opened in between has none of these.
fn open_pull_requests(
    repository: &Repository,
    entries: &[Entry],
    ui: &Ui,
) -> Result<Option<BTreeSet<u64>>> {
    let is_of_one = |entry: &Entry| entry.owner() != Owner::Other && entry.pull_request().is_some();
    if !entries.iter().any(is_of_one) {
        return Ok(None);
    }
    match repository.open_pull_requests() {
        Ok(open) => Ok(Some(open)),
        Err(Error::Interrupted(signal)) => Err(Error::Interrupted(signal).into()),
        Err(error) => {
            let hint = error.hint().unwrap_or_default();
            ui.status(
                "Kept",
                format_args!(
                    "caches of pull requests, because their state is unknown: {error} ({hint})"
                ),
            );
            Ok(None)
        }
    }
}

/// Removes what was chosen, as far as that can be. Returns how many bytes that were, or nothing if
/// the token does not allow it.
fn remove(repository: &Repository, pruned: &mut Pruned, ui: &Ui) -> Result<Option<u64>> {
    let mut first_failure = None;
    let mut bytes = 0;
    for (entry, reason) in &pruned.chosen {
        match repository.delete(entry) {
            Ok(outcome) => {
                pruned.deleted += 1;
                bytes += entry.size_bytes;
                let verb = if outcome == Deleted::Now { "Removed" } else { "Gone" };
                ui.status(verb, format_args!("{} ({reason})", line(entry)));
            }
            Err(Error::Forbidden { what, permission, .. }) => {
                ui.status("Skipped", not_allowed(what, permission));
                return Ok(None);
            }
            Err(error @ Error::Interrupted(_)) => return Err(error.into()),
            Err(error) => {
                pruned.failed += 1;
                let is_hopeless = matches!(error, Error::RateLimited { .. } | Error::Unauthorized);
                first_failure.get_or_insert(error);
                // Each further one would fail as this one did, after as many attempts.
                if is_hopeless || pruned.failed == 3 {
                    break;
                }
            }
        }
    }
    if let Some(error) = first_failure {
        let left = pruned.chosen.len() as u64 - pruned.deleted;
        ui.warning(format_args!(
            "{left} of {} caches were not removed: {error}",
            pruned.chosen.len()
        ));
    }
    Ok(Some(bytes))
}

fn not_allowed(what: &str, permission: &str) -> String {
    format!("the token is not allowed to {what}: add `permissions: {permission}` to the job")
}

fn as_json(entry: &Entry) -> serde_json::Value {
    let time = |time: SystemTime| humantime::format_rfc3339_seconds(time).to_string();
    json!({
        "id": entry.id, "key": entry.key, "ref": entry.git_ref, "owner": entry.owner().name(), "fingerprint": entry.fingerprint(),
        "size_bytes": entry.size_bytes, "created_at": time(entry.created), "last_accessed_at": time(entry.last_used),
    })
}

fn line(entry: &Entry) -> String {
    let used = humantime::format_rfc3339_seconds(entry.last_used).to_string();
    format!(
        "{:>10}  {:>9}  {}  {}  {}",
        entry.id,
        size(entry.size_bytes),
        &used[..10],
        printable(entry.branch()),
        printable(&entry.key)
    )
}

/// Keys and refs are other people's text: they stay on their line.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
