//! The store that machines share, around one build.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::{Shared, SharingArgs, StoreWrite};
use crate::actions;
use crate::build_env::BuildEnv;
use crate::cli::failure::{Result, UsageError};
use crate::layout::Layout;
use crate::project::cargo::TARGET_VARIABLES;
use crate::remote::bucket::{Bucket, Failure};
use crate::remote::key::Key;
use crate::remote::place::{self, Place};
use crate::remote::pull::{Pulled, Wanted, pull};
use crate::remote::push::{Used, push};
use crate::report::{Crates, SharedStoreReport, round};
use crate::ui::{Ui, seconds};
use crate::units::store::Store;
use crate::{ci, env_vars};

/// A build that shares.
pub(in crate::cli) struct Sharing<'a> {
    bucket: Bucket,
    key: Key,
    layout: Layout,
    /// Or why not.
    may_write: Result<(), String>,
    pulled: Pulled,
    since: SystemTime,
    report: SharedStoreReport,
    ui: &'a Ui,
}

impl From<place::Error> for UsageError {
    fn from(error: place::Error) -> Self {
        Self { message: error.to_string(), hint: error.hint() }
    }
}

/// Opens a store that a user has named.
pub(in crate::cli) fn open(url: &str) -> Result<Bucket> {
    Ok(Bucket::open(Place::at(url).map_err(UsageError::from)?)?)
}

impl<'a> Sharing<'a> {
    /// Fetches what builds like this one have used. `None`: there is no store.
    pub(in crate::cli) fn begin(
        args: &SharingArgs,
        shared: &Shared<'_>,
        ui: &'a Ui,
    ) -> Result<Option<Self>> {
        let &Shared {
            project,
            layout,
            identity,
            target,
            tests,
            environments,
            is_offline,
            is_reusing,
        } = shared;
        let Some(url) = args.url(project) else { return Ok(None) };
        if !is_reusing {
            ui.detail("the shared store is not used with `--reuse off`");
            return Ok(None);
        }
        if is_offline && !url.starts_with("file:") {
            ui.detail("the shared store is not used offline");
            return Ok(None);
        }
        let bucket = match Place::at(url) {
            Ok(place) => Bucket::open(place).map_err(|error| error.to_string()),
            Err(error @ place::Error::Url { .. }) => return Err(UsageError::from(error).into()),
            // A machine without the credentials builds by itself.
            Err(error) => Err(error.to_string()),
        };
        let bucket = match bucket {
            Ok(bucket) => bucket,
            Err(reason) => {
                ui.warning(format_args!("the shared store is not used: {reason}"));
                ui.hint("`--store ''` builds without it");
                return Ok(None);
            }
        };
        let target = target.map(Path::to_path_buf).or_else(target_of_environment);
        let key = Key::new(
            &project.name(),
            &project.directory,
            layout.root(),
            target.as_deref(),
            identity,
        );
        let start = Instant::now();
        let pulled = {
            let _spinner = ui.spinner(format!("fetching from {}", bucket.shown));
            pull(
                &bucket,
                &key,
                &Store::at(layout.store()),
                layout,
                Wanted { tests, environments },
                ui,
            )
        };
        let mut sharing = Self {
            may_write: may_write(args.store_write.unwrap_or_default()),
            bucket,
            key,
            layout: layout.clone(),
            pulled,
            since: SystemTime::now(),
            report: SharedStoreReport::default(),
            ui,
        };
        sharing.say_what_came(start.elapsed());
        Ok(Some(sharing))
    }

    fn say_what_came(&mut self, duration: Duration) {
        let (pulled, ui, url) = (&self.pulled, self.ui, &self.bucket.shown);
        self.report.fetch_seconds = round(duration.as_secs_f64());
        self.report.fetched_files = pulled.files as u64;
        self.report.fetched_bytes = pulled.bytes;
        self.report.fetched_environments = pulled.environments as u64;
        if pulled.bytes > 0 {
            let size = indicatif::HumanBytes(pulled.bytes);
            ui.status("Fetched", format_args!("{size} from {url} in {}", seconds(duration)));
        } else if pulled.manifest.is_some() {
            ui.detail(format_args!("everything that `{url}` has for this build is here"));
        }
        if let Some((what, there, here)) =
            pulled.moved.as_ref().and_then(|paths| paths.difference(&self.key.paths))
        {
            ui.warning(format_args!(
                "`{url}` has builds of this project for other paths only (moved): {what} is at `{}` there, and at `{}` here",
                there.display(),
                here.display()
            ));
            ui.hint("compiled crates are reused at the same absolute paths: build in the same directory as the job that writes the store");
        }
        if !pulled.gone.is_empty() {
            ui.detail(format_args!(
                "{} files are not in `{url}` any more, or damaged",
                pulled.gone.len()
            ));
        }
        if let Some(problem) = &pulled.problem {
            let problem = problem.clone();
            self.problem("read", &problem, "what is missing is built here");
            if matches!(problem, Failure::Store(_) | Failure::Forbidden(_) | Failure::Late(_)) {
                self.ui.hint("check its URL and credentials; `--store ''` builds without it");
            }
        }
    }

    /// One warning per build, however much goes wrong.
    fn problem(&mut self, verb: &str, failure: &Failure, consequence: &str) {
        let url = &self.bucket.shown;
        if let Failure::Disk(reason) = failure {
            // The next one to write to this disk warns of it.
            let what = format_args!("files of `{url}` that could not be written here: {reason}");
            self.ui.status("Skipped", what);
        } else if *failure != Failure::Interrupted && self.report.problems.is_empty() {
            self.ui
                .warning(format_args!("could not {verb} all of `{url}`: {failure}; {consequence}"));
        }
        self.report.problems.push(failure.to_string());
    }

    /// Stores what the build used. `crates`: what it compiled; without, it failed.
    pub(in crate::cli) fn end(
        mut self,
        env: Option<&BuildEnv>,
        crates: Option<&Crates>,
    ) -> SharedStoreReport {
        match (self.may_write.clone(), crates) {
            (Ok(()), Some(crates)) if crate::interrupt::pending().is_none() => {
                self.store_what_was_used(env, crates);
            }
            (Err(why), _) => {
                self.ui.detail(format_args!("`{}` is not written to: {why}", self.bucket.shown));
                self.report.read_only = Some(why);
            }
            (Ok(()), _) => {}
        }
        self.report.requests = self.bucket.requests();
        self.report.url.clone_from(&self.bucket.shown);
        self.report
    }

    fn store_what_was_used(&mut self, env: Option<&BuildEnv>, crates: &Crates) {
        // A store that could not be read is not written to either. One that forbids to read what is
        // not there, as S3 does without the permission to list, may be empty.
        let may_be_well =
            matches!(self.pulled.problem, None | Some(Failure::Damaged(_) | Failure::Forbidden(_)));
        if self.pulled.manifest.is_none() && !may_be_well {
            return;
        }
        let start = Instant::now();
        let compiled: f64 = crates.compiled.iter().map(|one| one.seconds).sum();
        let used = Used {
            since: self.since,
            environment: env.and_then(|env| Some(env.path.file_name()?.to_str()?.to_owned())),
            compiled: Duration::from_secs_f64(compiled.clamp(0.0, 3600.0)),
        };
        let pushed = {
            let _spinner = self.ui.spinner(format!("storing in {}", self.bucket.shown));
            push(
                &self.bucket,
                &self.key,
                &Store::at(self.layout.store()),
                &self.layout,
                &used,
                self.pulled.manifest.as_ref(),
                &self.pulled.gone,
            )
        };
        self.report.stored_files = pushed.files as u64;
        self.report.stored_bytes = pushed.bytes;
        self.report.store_seconds = round(start.elapsed().as_secs_f64());
        if pushed.records + pushed.files > 0 {
            let (size, taken) = (indicatif::HumanBytes(pushed.bytes), seconds(start.elapsed()));
            self.ui.status("Stored", format_args!("{size} in {} in {taken}", self.bucket.shown));
        }
        if self.pulled.manifest.is_none() && crates.fresh > 0 && pushed.problem.is_none() {
            self.ui.warning(format_args!(
                "crates that were fresh in the target directory ({}) were compiled before the store \
                    was used, and are not in it",
                crates.fresh
            ));
            self.ui.hint("build once without the target directory to store them");
        }
        if let Some(problem) = pushed.problem {
            self.problem("write to", &problem, "other machines build it themselves");
        }
    }
}

/// The target directory that a variable names for all that runs cargo.
fn target_of_environment() -> Option<PathBuf> {
    std::path::absolute(TARGET_VARIABLES.iter().find_map(|name| env_vars::get_os(name))?).ok()
}

fn may_write(when: StoreWrite) -> Result<(), String> {
    let strangers =
        || actions::context::Context::read().is_open_to_strangers().or_else(ci::is_from_fork);
    match when {
        StoreWrite::Never => Err("`--store-write never`".to_owned()),
        StoreWrite::Always => strangers().map_or(Ok(()), Err),
        StoreWrite::Auto => strangers().map_or_else(ci::is_protected, Err),
    }
}
