//! Running `cargo-pyenv-build`, and reading its report.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::machine::{self, Uv, Venv, run, tools};

/// How the program is run for one project.
#[derive(Debug, Clone)]
pub(crate) struct Ours {
    directory: PathBuf,
    interpreter: PathBuf,
    root: PathBuf,
    uv: Uv,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Ours {
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_path_buf(),
            interpreter: tools().interpreter.clone(),
            root: directory.join(".pyenv-build"),
            uv: Uv::OnPath,
            arguments: Vec::new(),
            variables: Vec::new(),
        }
    }

    pub(crate) fn interpreter(mut self, interpreter: &Path) -> Self {
        interpreter.clone_into(&mut self.interpreter);
        self
    }

    pub(crate) fn root(mut self, root: &Path) -> Self {
        root.clone_into(&mut self.root);
        self
    }

    pub(crate) fn without_uv(mut self) -> Self {
        self.uv = Uv::Absent;
        self
    }

    pub(crate) fn installer(self, name: &str) -> Self {
        self.argument("--installer").argument(name)
    }

    /// One more argument of the subcommand.
    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// One more environment variable.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The directory that is all ours.
    pub(crate) fn root_path(&self) -> &Path {
        &self.root
    }

    pub(crate) fn command(&self, subcommand: &str) -> Command {
        let mut command = machine::command_with(env!("CARGO_BIN_EXE_cargo-pyenv-build"), self.uv);
        command
            .arg("--root")
            .arg(&self.root)
            .arg(subcommand)
            .arg("--python")
            .arg(&self.interpreter)
            .args(&self.arguments);
        command.current_dir(&self.directory).envs(self.variables.iter().cloned());
        command
    }

    fn report(&self, subcommand: &str) -> Report {
        self.report_with(subcommand, &[])
    }

    fn report_with(&self, subcommand: &str, arguments: &[&str]) -> Report {
        let mut command = self.command(subcommand);
        command.args(arguments);
        command.args(["--message-format", "json", "-v"]);
        let output = run(&mut command);
        let json = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", machine::account(&command, &output)));
        Report { json, stderr: String::from_utf8_lossy(&output.stderr).into_owned() }
    }

    pub(crate) fn build(&self) -> Report {
        self.report("build")
    }

    /// Installs the project into a virtual environment.
    pub(crate) fn develop(&self, venv: &Venv) -> Report {
        let report = self.report_with("develop", &["--venv", venv.path().to_str().unwrap()]);
        assert_eq!(report.text("/install/target"), venv.path().to_str().unwrap());
        report
    }

    /// Removes all environments that nothing needs; returns those that are kept because something
    /// does.
    pub(crate) fn gc(&self) -> Vec<PathBuf> {
        let mut command = machine::command(env!("CARGO_BIN_EXE_cargo-pyenv-build"));
        command.arg("--root").arg(&self.root).args([
            "--message-format=json",
            "gc",
            "--keep=0",
            "--used-within=0s",
        ]);
        let json: Value =
            serde_json::from_slice(&run(command.current_dir(&self.directory)).stdout).unwrap();
        json["kept"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["path"].as_str().unwrap().into())
            .collect()
    }

    pub(crate) fn provision(&self) -> Report {
        self.report("provision")
    }

    pub(crate) fn fingerprint(&self) -> Report {
        self.report("fingerprint")
    }

    /// Runs a command with the pins; returns the names of the crates for which rustc ran. cargo
    /// says `Compiling` of others, too.
    pub(crate) fn run(&self, arguments: &[&str]) -> Vec<String> {
        let output = run(self.command("run").arg("--").args(arguments));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("Finished"), "cargo says so at the end: {stderr}");
        let report = std::fs::read(self.root_path().join("reports/last.json")).unwrap();
        let report = Report { json: serde_json::from_slice(&report).unwrap(), stderr };
        report.compiled().into_iter().map(str::to_owned).collect()
    }
}

/// What a run said.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) json: Value,
    pub(crate) stderr: String,
}

impl Report {
    fn text(&self, pointer: &str) -> &str {
        self.json
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("no `{pointer}` in {}", self.json))
    }

    /// The only artifact of a kind.
    pub(crate) fn artifact(&self, kind: &str) -> PathBuf {
        let mut found = self.json["artifacts"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|artifact| artifact["kind"] == kind);
        let (Some(artifact), None) = (found.next(), found.next()) else {
            panic!("not one {kind} in {}", self.json)
        };
        artifact["path"].as_str().unwrap().into()
    }

    /// The wheel, which is all that was made.
    pub(crate) fn wheel(&self) -> PathBuf {
        assert_eq!(self.json["artifacts"].as_array().unwrap().len(), 1, "{}", self.json);
        self.artifact("wheel")
    }

    /// Names of the crates that were compiled.
    pub(crate) fn compiled(&self) -> Vec<&str> {
        self.json["crates"]["compiled"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect()
    }

    pub(crate) fn reused(&self) -> Vec<&str> {
        self.json["crates"]["reused"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect()
    }

    pub(crate) fn env(&self) -> PathBuf {
        self.text("/env/path").into()
    }

    /// `created` or `reused`.
    pub(crate) fn outcome(&self) -> &str {
        self.text("/env/outcome")
    }

    /// `uv` or `pip`.
    pub(crate) fn installer(&self) -> &str {
        self.text("/env/installer")
    }

    /// The environment's fingerprint, in reports of builds and provisioning.
    pub(crate) fn fingerprint(&self) -> &str {
        self.text("/env/fingerprint")
    }

    /// The parts of a fingerprint that stand for distributions: name, version and content.
    pub(crate) fn distributions(&self) -> Vec<(String, String)> {
        let parts = self.json["parts"].as_object().unwrap();
        let pair = |(name, value): (&String, &Value)| {
            Some((name.strip_prefix("distribution.")?.to_owned(), value.as_str()?.to_owned()))
        };
        parts.iter().filter_map(pair).collect()
    }

    #[track_caller]
    pub(crate) fn assert_compiled_nothing(&self, when: &str) {
        assert!(
            self.compiled().is_empty(),
            "{when}: {:?} were compiled\n{}",
            self.compiled(),
            self.stderr
        );
    }
}
