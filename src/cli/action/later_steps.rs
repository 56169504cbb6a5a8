//! What later steps of a job get: our program, and for plain cargo the pins and the wrapper.
//!
//! The pins and the wrapper stand in `.cargo/config.toml` in the directory *above* the workspace,
//! which cargo reads wherever in the workspace it is called: from a nox or tox session, in a step
//! that clears its environment, by maturin or pip. Variables would reach further than our program
//! does: `maturin-action` and `docker run --env-file` hand them on into containers, where cargo
//! fails if its wrapper is missing. None of them, nor `cross` or cibuildwheel, mounts or copies the
//! directory above the workspace. rust-cache hashes neither that file nor its variables into a key;
//! and what the user sets, by a variable or in a file of the workspace, goes before it.
//!
//! The program stands next to the file, where a clean-up of the temporary directory does not take it
//! away; and the wrapper does nothing of its own once the job is over
//! (`__PYENV_BUILD_WHILE_EXISTS`), so what is left on a machine that is kept does no harm.
//!
//! Sources: <https://doc.rust-lang.org/cargo/reference/config.html#hierarchical-structure>,
//! <https://github.com/PyO3/maturin-action/blob/6df80d74bdb57785f68db3091f6de51d7adb6ab6/src/index.ts#L290-L313>,
//! <https://github.com/cross-rs/cross/blob/8c1a8aa4b661711f4b7b6ac07c2e8929ce2f7d27/src/docker/shared.rs#L958-L977>,
//! <https://github.com/pypa/cibuildwheel/blob/8832cf6b75594121646ec4e32692cc0ea3899f83/cibuildwheel/oci_container.py#L337-L342>,
//! <https://github.com/Swatinem/rust-cache/blob/6323deb102c322ba6fcbdcafc7e3dddab59af2b6/src/config.ts#L157-L167>

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::inputs::LaterSteps;
use crate::project::cargo::cargo_home;
use crate::project::cargo_config;
use crate::ui::Ui;
use crate::{env_vars, fs, token};

/// The file, if there is a directory for it that cargo looks into and we may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConfigFile {
    /// What paths in it are relative to.
    directory: PathBuf,
}

impl ConfigFile {
    /// The one above the job's workspace. An error says why there is none for a project at `root`.
    pub(super) fn find(root: &Path) -> Result<Self, String> {
        let workspace = env_vars::get_os("GITHUB_WORKSPACE")
            .map(PathBuf::from)
            .ok_or("`GITHUB_WORKSPACE` is not set")?;
        let workspace = fs::canonicalize(&workspace).map_err(|error| error.to_string())?;
        if !fs::canonicalize(root).is_ok_and(|root| root.starts_with(&workspace)) {
            return Err("the project is outside the job's workspace".to_owned());
        }
        let directory =
            workspace.parent().ok_or("the job's workspace has no parent directory")?.to_path_buf();
        Self { directory }.if_usable()
    }

    fn if_usable(self) -> Result<Self, String> {
        let home = self.directory.join(".cargo");
        let taken = [home.join("config"), home.join("config.toml")]
            .into_iter()
            .find(|path| path.exists() && !cargo_config::is_of_our_action(path));
        match taken {
            Some(path) => Err(format!("`{}` already exists", path.display())),
            None if fs::canonicalize(&cargo_home()).is_ok_and(|cargos| cargos == home) => {
                Err(format!("`{}` is cargo's home", home.display()))
            }
            None => Ok(self),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.join(".cargo/config.toml")
    }

    /// Removes what an earlier job has left on this machine.
    pub(super) fn remove(&self) -> std::io::Result<()> {
        match fs_err::remove_file(self.path()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes it: `variables` for all that cargo starts, and a copy of `program` as cargo's
    /// wrapper.
    fn write(
        &self,
        program: &Path,
        variables: &BTreeMap<String, String>,
        has_wrapper: bool,
    ) -> std::io::Result<()> {
        let mut config = toml::Table::new();
        let text = |text: &str| toml::Value::String(text.to_owned());
        if has_wrapper {
            let name =
                PathBuf::from(".cargo/pyenv-build").join(program.file_name().unwrap_or_default());
            let copy = self.directory.join(&name);
            fs_err::create_dir_all(copy.parent().expect("it is in a directory"))?;
            // It may be running.
            match fs_err::remove_file(&copy) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => fs_err::copy(program, &copy)?,
            };
            let wrapper = toml::Table::from_iter([(
                "rustc-wrapper".to_owned(),
                text(&name.to_string_lossy()),
            )]);
            config.insert("build".to_owned(), wrapper.into());
        }
        let env: toml::Table =
            variables.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        config.insert("env".to_owned(), env.into());
        let body = toml::to_string(&config).map_err(std::io::Error::other)?;
        fs::write_atomic(
            &self.path(),
            format!("{}\n{body}", cargo_config::OF_OUR_ACTION).as_bytes(),
        )
    }
}

/// What is for later steps.
#[derive(Debug, Default)]
pub(super) struct Exports {
    /// For all processes: our own settings, and where the loader finds libpython.
    pub settings: BTreeMap<String, String>,
    /// For cargo: the pins, the wrapper and what that has to know.
    pub cargo: BTreeMap<String, String>,
}

impl Exports {
    /// Hands the part that is for cargo over, as the user asks for it. Returns what is left for
    /// variables of the job.
    pub(super) fn hand_over(
        mut self,
        how: LaterSteps,
        root: &Path,
        program: &Path,
        ui: &Ui,
    ) -> BTreeMap<String, String> {
        let mut variables = std::mem::take(&mut self.settings);
        match how {
            LaterSteps::Off => {}
            LaterSteps::Env => variables.extend(self.cargo),
            LaterSteps::Config => {
                let has_wrapper = self.cargo.remove("RUSTC_WRAPPER").is_some();
                let is_bypassed = ["RUSTC_WRAPPER", "CARGO_BUILD_RUSTC_WRAPPER"]
                    .into_iter()
                    .find(|name| env_vars::get(name).is_some());
                if let Some(name) = is_bypassed {
                    ui.status(
                        "Note",
                        format_args!(
                            "plain cargo in later steps uses the wrapper from `{name}` instead of \
                                ours; `later-steps: env` runs ours first"
                        ),
                    );
                }
                let written = ConfigFile::find(root).and_then(|file| {
                    let alive = still_running().map_err(|error| error.to_string())?;
                    self.cargo.insert(
                        env_vars::WHILE_EXISTS.to_owned(),
                        alive.to_string_lossy().into_owned(),
                    );
                    file.write(program, &self.cargo, has_wrapper).map_err(|error| error.to_string())
                });
                if let Err(why) = written {
                    ui.status(
                        "Note",
                        format_args!(
                            "plain cargo in later steps does not share the build's artifacts, use \
                                `cargo pyenv-build run -- cargo ...` there: {why}"
                        ),
                    );
                }
            }
        }
        variables
    }
}

/// A file that is there as long as this job runs: the runner empties its temporary directory before
/// and after each job.
///
/// Source: <https://docs.github.com/en/actions/reference/workflows-and-actions/variables#default-environment-variables>
fn still_running() -> std::io::Result<PathBuf> {
    let temp = env_vars::get_os("RUNNER_TEMP")
        .map(PathBuf::from)
        .ok_or_else(|| std::io::Error::other("`RUNNER_TEMP` is not set"))?;
    let path = temp.join("cargo-pyenv-build").join(format!("job-{}", token::random()));
    fs::write_atomic(&path, b"")?;
    Ok(path)
}
