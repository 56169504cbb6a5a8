//! `store`: what rustc calls made, by hand.

#[cfg(feature = "remote")]
mod remote;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand, ValueHint};

use super::failure::{BuildError, Error, Result};
use super::{MessageFormat, directory_or_here, options};
#[cfg(feature = "remote")]
use crate::env_vars;
use crate::ui::Ui;
use crate::units::store::Store;
use crate::units::{transfer, upkeep};

/// Show, shrink, verify, export or import the store of compiled crates
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    cargo pyenv-build store stat                         show the number of entries and the size\n  \
    cargo pyenv-build store stat s3://bucket/ci          show which builds a shared store has, and who made them\n  \
    cargo pyenv-build store gc --max-size 500MB          keep the most recently used 500 MB\n  \
    cargo pyenv-build store export cache/store.tar.zst   write one file, for CI caches that store files")]
pub(super) struct StoreArgs {
    #[command(subcommand)]
    command: Command,
    /// Project directory [default: the current one]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    project: Option<PathBuf>,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Show the number of entries and their size
    Stat {
        /// A shared store, such as `s3://BUCKET/PREFIX` [default: the project's own store]
        #[cfg(feature = "remote")]
        #[arg(value_name = "URL", value_hint = ValueHint::Url)]
        url: Option<String>,
    },
    /// Remove entries that were not used recently
    Gc(GcArgs),
    /// Check the content of all entries (exits with 1 if any is damaged)
    Verify {
        /// Remove damaged entries
        #[arg(long)]
        remove: bool,
    },
    /// Print the key and the restore keys for a CI cache that has the exported file
    #[cfg(feature = "remote")]
    Key {
        /// Interpreter that the project is built for
        #[arg(short, long, env = env_vars::PYTHON, value_name = "PYTHON")]
        python: Option<String>,
    },
    /// Write the whole store to one file
    Export {
        /// Output file, a tar archive compressed with zstd
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Add the entries of an exported file to the store
    Import {
        /// File that `export` wrote for the same directory
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
}

#[derive(Debug, Clone, Args)]
struct GcArgs {
    /// Keep entries that were used within this time
    #[arg(long, default_value = "14days", value_name = "DURATION", value_parser = humantime::parse_duration)]
    used_within: Duration,
    /// Maximum size of the store, such as 500MB
    #[arg(long, default_value = "2GiB", value_name = "SIZE", value_parser = parse_size)]
    max_size: u64,
    /// Show what would be removed, without removing it
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(
    args: &StoreArgs,
    root: Option<&Path>,
    format: MessageFormat,
    ui: &Ui,
) -> Result<()> {
    // A shared store is nobody's project.
    #[cfg(feature = "remote")]
    if let Command::Stat { url: Some(url) } = &args.command {
        return remote::stat(url, format, ui);
    }
    let layout = options::open_layout(directory_or_here(args.project.as_deref()), root)?;
    let store = Store::at(layout.store());
    match &args.command {
        Command::Stat { .. } => {
            stat(&store, format, ui);
            Ok(())
        }
        #[cfg(feature = "remote")]
        Command::Key { python } => {
            let directory = directory_or_here(args.project.as_deref());
            remote::key(directory, &layout, python.as_ref(), format, ui)
        }
        Command::Gc(args) => gc(&store, args, format, ui),
        Command::Verify { remove } => verify(&store, *remove, format, ui),
        Command::Export { file } => {
            let count = transfer::export(&store, file).map_err(explained)?;
            moved("export", "Exported", count, file, format, ui);
            Ok(())
        }
        Command::Import { file } => {
            let count = transfer::import(&store, file).map_err(explained)?;
            moved("import", "Imported", count, file, format, ui);
            Ok(())
        }
    }
}

fn explained(error: transfer::Error) -> Error {
    let hint = error.hint().map(str::to_owned);
    match error {
        transfer::Error::Write { .. } => Error::Other(error.into()),
        other => BuildError { message: other.to_string(), hint }.into(),
    }
}

fn moved(command: &str, verb: &str, count: u64, file: &Path, format: MessageFormat, ui: &Ui) {
    match format {
        MessageFormat::Json => {
            let command = format!("store {command}");
            ui.result(serde_json::json!({"schema": 1, "command": command, "ok": true, "file": file, "files": count}));
        }
        MessageFormat::Human => ui.status(verb, format_args!("{count} files ({})", file.display())),
    }
}

fn stat(store: &Store, format: MessageFormat, ui: &Ui) {
    let size = upkeep::size(store);
    match format {
        MessageFormat::Json => ui.result(serde_json::json!({
            "schema": 1, "command": "store stat", "ok": true, "path": store.root(), "entries": size.entries, "blobs": size.blobs,
            "bytes": size.bytes, "incremental_bytes": size.incremental_bytes, "packages": size.packages,
        })),
        MessageFormat::Human => {
            let bytes = indicatif::HumanBytes(size.bytes);
            ui.result(format_args!("{}: {} entries, {} files, {bytes}", store.root().display(), size.entries, size.blobs));
            if size.incremental_bytes > 0 {
                ui.result(format_args!("  {} incremental state", indicatif::HumanBytes(size.incremental_bytes)));
            }
            let mut packages: Vec<(&String, &u64)> = size.packages.iter().collect();
            packages.sort_by_key(|(name, bytes)| (std::cmp::Reverse(**bytes), (*name).clone()));
            for (name, bytes) in packages.into_iter().take(20) {
                ui.result(format_args!("  {} {name}", indicatif::HumanBytes(*bytes)));
            }
        }
    }
}

fn gc(store: &Store, args: &GcArgs, format: MessageFormat, ui: &Ui) -> Result<()> {
    let used_since =
        SystemTime::now().checked_sub(args.used_within).unwrap_or(SystemTime::UNIX_EPOCH);
    let collected =
        upkeep::collect(store, upkeep::Keep { used_since, bytes: args.max_size }, args.dry_run)?;
    match format {
        MessageFormat::Json => ui.result(serde_json::json!({
            "schema": 1, "command": "store gc", "ok": true, "dry_run": args.dry_run, "entries": collected.entries,
            "blobs": collected.blobs, "bytes": collected.bytes,
        })),
        MessageFormat::Human => {
            let verb = if args.dry_run { "Would remove" } else { "Removed" };
            let bytes = indicatif::HumanBytes(collected.bytes);
            ui.status(verb, format_args!("{} entries and {} files ({bytes})", collected.entries, collected.blobs));
        }
    }
    Ok(())
}

fn verify(store: &Store, remove: bool, format: MessageFormat, ui: &Ui) -> Result<()> {
    let damage = upkeep::damage(store);
    for one in damage.iter().filter(|_| remove) {
        fs_err::remove_file(&one.path)?;
    }
    if format == MessageFormat::Json {
        let list: Vec<_> = damage
            .iter()
            .map(|one| serde_json::json!({"path": one.path, "message": one.what}))
            .collect();
        ui.result(serde_json::json!({"schema": 1, "command": "store verify", "ok": damage.is_empty() || remove, "damaged": list, "removed": remove}));
    } else {
        for one in &damage {
            ui.warning(format_args!("`{}`: {}", one.path.display(), one.what));
        }
    }
    if damage.is_empty() || remove {
        if format == MessageFormat::Human {
            let verb = if damage.is_empty() { "Verified" } else { "Removed" };
            ui.status(verb, format_args!("{} ({} damaged)", store.root().display(), damage.len()));
        }
        return Ok(());
    }
    let hint = Some(
        "remove damaged entries with `cargo pyenv-build store verify --remove`; builds never use \
            them"
            .to_owned(),
    );
    Err(BuildError {
        message: format!("`{}`: {} files are damaged", store.root().display(), damage.len()),
        hint,
    }
    .into())
}

/// `500MB`, `2GiB`, `1000000`: bytes, with a unit of 1000 or 1024.
fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits]
        .parse()
        .map_err(|_error| format!("`{text}` does not begin with a number"))?;
    let factor: u64 = match text[digits..].trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        other => return Err(format!("`{other}` is not a unit: write kB, MB, GB, KiB, MiB or GiB")),
    };
    number.checked_mul(factor).ok_or_else(|| format!("`{text}` is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("2GiB"), Ok(upkeep::DEFAULT_BYTES));
        assert_eq!(parse_size("500 MB"), Ok(500_000_000));
        assert_eq!(parse_size("7"), Ok(7));
        assert!(parse_size("2 gigs").unwrap_err().contains("is not a unit"));
        assert!(parse_size("x").is_err() && parse_size("99999999999GiB").is_err());
    }
}
