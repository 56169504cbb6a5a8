//! `action plan|prepare|build|prune`, as `action.yml` calls them: inputs by the environment,
//! answers through files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::context::{Program, Project, Run, Test, python, sha256, snapshot};

/// A job in which our steps run.
pub(crate) struct Job<'a> {
    test: &'a Test,
    project: &'a Project,
    envs: BTreeMap<String, String>,
}

/// What a step has answered.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    pub outputs: BTreeMap<String, String>,
    pub env: BTreeMap<String, String>,
    path: Vec<String>,
    pub summary: String,
}

impl<'a> Job<'a> {
    pub(crate) fn new(test: &'a Test, project: &'a Project) -> Self {
        let job = Self { test, project, envs: BTreeMap::new() };
        job.event("push", "refs/heads/main", &json!({"repository": {"default_branch": "main"}}))
            .env("GITHUB_ACTIONS", "true")
            .env("CI", "true")
            .env("GITHUB_REPOSITORY", "octo/project")
            .env("GITHUB_WORKFLOW", "CI")
            .env("GITHUB_JOB", "build")
            .env("GITHUB_WORKSPACE", &project.path.to_string_lossy())
            .env("RUNNER_TEMP", &test.path.join("temp").to_string_lossy())
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.envs.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn event(self, name: &str, git_ref: &str, payload: &Value) -> Self {
        let text = payload.to_string();
        let file = self.test.path.join(format!("event-{}.json", &sha256(&text)[..12]));
        std::fs::write(&file, text).unwrap();
        self.env("GITHUB_EVENT_NAME", name)
            .env("GITHUB_REF", git_ref)
            .env("GITHUB_EVENT_PATH", &file.to_string_lossy())
    }

    pub(crate) fn input(self, name: &str, value: &str) -> Self {
        self.env(&format!("INPUT_{}", name.to_uppercase().replace('-', "_")), value)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.test.path.join("files").join(name)
    }

    fn program(&self, step: &str) -> Program {
        let mut program = self.test.program(&["action", step]).in_(self.project);
        for name in ["GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY"] {
            program = program.env(name, self.file(name));
        }
        self.envs.iter().fold(program, |program, (name, value)| program.env(name, value))
    }

    /// Runs a step with empty files, as the runner gives each.
    pub(crate) fn step(&self, step: &str) -> (Run, Answers) {
        let _ = std::fs::remove_dir_all(self.file(""));
        std::fs::create_dir_all(self.file("")).unwrap();
        let run = self.program(step).run();
        let read = |name| std::fs::read_to_string(self.file(name)).unwrap_or_default();
        let answers = Answers {
            outputs: parsed(&read("GITHUB_OUTPUT")),
            env: parsed(&read("GITHUB_ENV")),
            path: read("GITHUB_PATH").lines().map(str::to_owned).collect(),
            summary: read("GITHUB_STEP_SUMMARY"),
        };
        (run, answers)
    }

    /// A step that must succeed.
    pub(crate) fn done(&self, step: &str) -> Answers {
        let (run, answers) = self.step(step);
        run.success();
        answers
    }
}

/// Makes the backend print these lines, as if cargo did, before it builds the wheel; or fail.
fn backend_prints(project: &Project, lines: &[&str], fails: bool) {
    let mut text = std::fs::read_to_string(project.path.join("backend.py")).unwrap();
    if let Some(end) = text.find("\n_build = build_wheel\n") {
        text.truncate(end);
    }
    let lines = serde_json::to_string(lines).unwrap();
    let then =
        if fails { "raise RuntimeError('no luck')" } else { "return _build(*args, **kwargs)" };
    let more = format!(
        "\n_build = build_wheel\n\n\ndef build_wheel(*args, **kwargs):\n    print(*{lines}, sep=\"\\n\", flush=True)\n    {then}\n"
    );
    project.write("backend.py", &(text + &more));
}

/// A project with a crate below its source tree, which the backend has compiled by real cargo.
#[cfg(unix)]
pub(crate) fn with_crate(test: &Test, settings: &str) -> Project {
    let project = test.project("p").pyproject(settings);
    project.write(
        "src/_ext/Cargo.toml",
        "[package]\nname = \"ext\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[workspace]\n",
    );
    project.write(
        "src/_ext/Cargo.lock",
        "version = 4\n\n[[package]]\nname = \"ext\"\nversion = \"0.1.0\"\n",
    );
    project.write("src/_ext/src/lib.rs", "");
    let text = std::fs::read_to_string(project.path.join("backend.py")).unwrap();
    let cargo = CARGO_BUILD.map(|word| format!("\"{word}\"")).join(", ");
    let more = format!(
        "\nimport subprocess\n_build = build_wheel\n\n\ndef build_wheel(*args, **kwargs):\n    \
         subprocess.check_call([{cargo}])\n    return _build(*args, **kwargs)\n"
    );
    project.write("backend.py", &(text + &more));
    project
}

#[cfg(unix)]
const CARGO_BUILD: [&str; 6] =
    ["cargo", "build", "--release", "--offline", "--manifest-path", "src/_ext/Cargo.toml"];

/// PATH with the cargo that runs this test.
#[cfg(unix)]
pub(crate) fn path_with_cargo(test: &Test) -> String {
    test.search_path(&[Path::new(env!("CARGO")).parent().unwrap()]).into_string().unwrap()
}

/// The runner's reading of its files; a name that comes twice would be a smuggled one.
pub(crate) fn parsed(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let (name, delimiter) = line.split_once("<<").expect("a name and its delimiter");
        let value: Vec<&str> = lines.by_ref().take_while(|line| *line != delimiter).collect();
        assert!(found.insert(name.to_owned(), value.join("\n")).is_none(), "{name} twice");
    }
    found
}

/// cargo's configuration above the workspace, as the action has written it.
fn later_cargo(test: &Test) -> toml::Table {
    std::fs::read_to_string(test.path.join(".cargo/config.toml")).unwrap().parse().unwrap()
}

/// What the runner would obey: commands, unless they were stopped.
fn commands(run: &Run) -> Vec<String> {
    let mut stopped: Option<String> = None;
    let mut found = Vec::new();
    // `action.yml` sends stdout to stderr: on two pipes nobody knows what comes first.
    for line in run.stderr.lines().map(str::trim_start) {
        match &stopped {
            Some(end) if line == format!("::{end}::") => stopped = None,
            Some(_) => {}
            None => match line.strip_prefix("::stop-commands::") {
                Some(token) => stopped = Some(token.to_owned()),
                None if line.starts_with("::") || line.contains("##[") => {
                    found.push(line.to_owned());
                }
                None => {}
            },
        }
    }
    assert_eq!(stopped, None, "commands are on again");
    found
}

#[test]
fn three_steps_from_inputs_to_outputs() {
    let test = Test::new();
    let wheels = test.wheels();
    wheels.add("dep", "1", &[]);
    let project = test.project("p").requires(&["dep"]);
    let find_links = format!("--no-index --find-links '{}'", wheels.path.display());
    let job = || Job::new(&test, &project).input("args", &find_links).input("out-dir", "wheels");

    let plan = job().done("plan").outputs;
    let prefix = format!("pyenv-build-env-1/{}/build-", python().abi_tag);
    assert!(plan["env-key"].starts_with(&prefix), "{}", plan["env-key"]);
    for key in plan["env-restore-keys"].lines() {
        assert!(plan["env-key"].starts_with(key) && key.contains(&python().abi_tag), "{key}");
    }
    let root = project.root();
    let paths = ["envs", "requests", "history"]
        .map(|name| root.join(name).to_string_lossy().into_owned())
        .join("\n");
    assert_eq!((plan["env-cache"].as_str(), &plan["env-paths"]), ("save", &paths));
    assert_eq!(project.envs().len(), 0, "nothing is installed before the cache was asked");

    let prepare = job().done("prepare").outputs;
    let fingerprint = &prepare["fingerprint"];
    assert_eq!(fingerprint.len(), 64);
    let roll = std::fs::read_to_string(root.join(".cargo/config.toml")).unwrap();
    assert!(
        roll.starts_with("# ") && roll.lines().count() == 1 && roll.contains(fingerprint),
        "{roll}"
    );
    assert!(
        prepare["store-key"]
            .starts_with(&format!("pyenv-build-store-1/{}/build-", python().abi_tag))
    );
    assert_eq!(prepare["store-key"].split('/').nth(3), Some(&fingerprint[..12]));
    for key in prepare["store-restore-keys"].lines() {
        assert!(prepare["store-key"].starts_with(key) && key.contains(&python().abi_tag), "{key}");
    }
    assert_eq!(
        prepare["rust-cache-prefix-key"],
        format!("v0-rust-pyenv-build-{}", python().abi_tag)
    );
    assert_eq!(prepare["rust-cache"], "false", "there is no Rust in it");

    let (run, build) = job()
        .env("ENV_KEY", &plan["env-key"])
        .env("STORE_KEY", &prepare["store-key"])
        .env("DEPENDENCIES_HIT", "false")
        .step("build");
    let run = run.success();
    assert_eq!(commands(&run), [""; 0]);
    let wheel = Path::new(&build.outputs["wheel"]);
    assert!(wheel.is_file() && wheel.starts_with(project.path.join("wheels")));
    assert_eq!(run.stdout, format!("{}\n", build.outputs["wheel"]));
    assert_eq!(build.outputs["fingerprint"], *fingerprint);
    assert!(Path::new(&build.outputs["python"]).starts_with(&build.outputs["env-path"]));
    assert_eq!(build.outputs["cache-key"], prepare["store-key"]);
    assert_eq!(build.outputs["cache-hit"], "false");
    assert_eq!(build.outputs["compiled-crates"], "0");
    assert_eq!(build.outputs["sdist"], "");
    let report: Value =
        serde_json::from_slice(&std::fs::read(&build.outputs["report"]).unwrap()).unwrap();
    assert_eq!(report["ok"], true);
    assert_eq!(
        later_cargo(&test)["env"]["PYO3_PYTHON"].as_str(),
        Some(build.outputs["python"].as_str())
    );
    assert!(!build.env.contains_key("PYO3_PYTHON"));
    assert_eq!(std::fs::canonicalize(&build.env["PYENV_BUILD_PYTHON"]).unwrap(), python().path);
    assert_eq!(
        build.path,
        [Path::new(env!("CARGO_BIN_EXE_cargo-pyenv-build")).parent().unwrap().to_string_lossy()]
    );

    let again = job()
        .env("ENV_KEY", &plan["env-key"])
        .env("ENV_HIT", "true")
        .env("STORE_KEY", "k")
        .env("STORE_HIT", "true")
        .done("build");
    assert_eq!(again.outputs["cache-hit"], "true");
}

#[test]
fn provision_rolls_a_rust_cache_of_the_users_own() {
    let test = Test::new();
    let project = test.project("p");
    let roll = project.root().join(".cargo/config.toml");
    let provision = || {
        let report = test
            .program(&["--message-format=json", "provision"])
            .in_(&project)
            .run()
            .success()
            .json();
        (
            report["env"]["fingerprint"].as_str().unwrap().to_owned(),
            std::fs::metadata(&roll).unwrap().modified().unwrap(),
        )
    };
    let first = provision();
    assert_eq!(
        std::fs::read_to_string(&roll).unwrap(),
        format!("# The build environment: {}\n", first.0)
    );
    assert_eq!(provision(), first, "and is not touched again");
}

#[test]
fn an_untouched_project_never_rolls_and_a_touched_one_rolls_what_it_must() {
    let test = Test::new();
    let wheels = test.wheels();
    wheels.add("dep", "1", &[]);
    let project = test.project("p").requires(&["dep"]);
    project.write("Cargo.lock", "version = 4\n");
    let find_links = format!("--no-index --find-links '{}'", wheels.path.display());
    let keys = |shared: &str| {
        let job = Job::new(&test, &project).input("args", &find_links).input("shared-key", shared);
        let mut plan = job.done("plan").outputs;
        let prepare = job.done("prepare").outputs;
        let layer: Vec<String> = prepare["store-key"].split('/').map(str::to_owned).collect();
        (
            plan.remove("env-key").unwrap(),
            layer,
            std::fs::metadata(project.root().join(".cargo/config.toml"))
                .unwrap()
                .modified()
                .unwrap(),
        )
    };
    let first = keys("leg");
    // A release that nobody asked for.
    wheels.add("dep", "2", &[]);
    assert_eq!(keys("leg"), first);
    let other_leg = keys("other");
    assert_ne!((&other_leg.0, &other_leg.1[2]), (&first.0, &first.1[2]));
    let differs = |one: &[String], other: &[String]| -> Vec<bool> {
        one.iter().zip(other).map(|(one, other)| one != other).collect()
    };

    let first = keys("leg");
    project.write("src/lib.rs", "// another line\n");
    let sources = keys("leg");
    assert_eq!(sources.0, first.0);
    assert_eq!(differs(&sources.1, &first.1), [false, false, false, false, false, true]);
    assert_eq!(sources.2, first.2, "the file that rolls rust-cache was left alone");

    // Where there is git, what builds leave behind is no source.
    let git = |args: &[&str]| test.command("git").args(args).in_(&project).run().success();
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    let tracked = keys("leg");
    project.write("dist/p.whl", "built");
    assert_eq!(keys("leg"), tracked);

    project.write("Cargo.lock", "version = 4\n# changed\n");
    let lock = keys("leg");
    assert_eq!(differs(&lock.1, &tracked.1), [false, false, false, false, true, true]);

    project.set_requires(&["dep>=2"]);
    let raised = keys("leg");
    assert_ne!(raised.0, lock.0);
    assert_eq!(differs(&raised.1, &lock.1), [false, false, false, true, false, true]);
    assert_ne!(raised.2, lock.2);
}

#[test]
fn whoever_may_not_save_does_not_and_what_publishes_restores_nothing() {
    let test = Test::new();
    let project = test.project("p");
    let payload = |head: &str| {
        json!({
            "repository": {"default_branch": "main"},
            "pull_request": {"number": 7, "head": {"repo": {"full_name": head}}, "base": {"repo": {"full_name": "octo/project"}}},
        })
    };
    let job = || Job::new(&test, &project).input("save-cache", "always");
    let main = || json!({"repository": {"default_branch": "main"}});
    // (job, what it restores, what it saves, the beginning of what it says)
    let table = [
        (job(), "true", "true", ""),
        (job().event("push", "refs/tags/v1", &main()), "false", "false", "caches are off"),
        (job().event("release", "refs/tags/v1", &main()), "false", "false", "caches are off"),
        (
            job().env("ACTIONS_ID_TOKEN_REQUEST_URL", "https://x"),
            "false",
            "false",
            "caches are off",
        ),
        (
            job().env("ACTIONS_ID_TOKEN_REQUEST_URL", "https://x").input("cache", "true"),
            "true",
            "true",
            "",
        ),
        (
            job().event("pull_request", "refs/pull/7/merge", &payload("stranger/project")),
            "true",
            "false",
            "caches are restored but not saved",
        ),
        (
            job().event("pull_request", "refs/pull/7/merge", &payload("octo/project")),
            "true",
            "true",
            "",
        ),
        (
            job().event("pull_request_target", "refs/heads/main", &main()),
            "true",
            "false",
            "caches are restored but not saved",
        ),
        (
            job().event("push", "refs/heads/topic", &main()).input("save-cache", "default-branch"),
            "true",
            "false",
            "caches are restored but not saved",
        ),
        (job().input("cache", "false"), "false", "false", ""),
    ];
    for (job, restore, save, says) in table {
        let (run, plan) = job.step("plan");
        let notes: Vec<&str> =
            run.stderr.lines().filter_map(|line| line.trim_start().strip_prefix("Note ")).collect();
        assert_eq!(notes.len(), usize::from(!says.is_empty()), "{:?}: {notes:?}", job.envs);
        assert!(notes.iter().all(|note| note.starts_with(says)), "{notes:?}");
        let does = match (restore, save) {
            ("false", _) => "no",
            (_, "false") => "restore",
            _ => "save",
        };
        assert_eq!(plan.outputs["env-cache"], does, "{:?}", job.envs);
        let prepare = job.done("prepare").outputs;
        assert_eq!(
            (prepare["save"].as_str(), prepare["store-cache"].as_str()),
            (save, "no"),
            "there is no Rust in it"
        );
        let build = job.env("ENV_KEY", "some-key").done("build");
        assert_eq!(
            build.summary.contains("caches are restored but not saved"),
            says.starts_with("caches are restored")
        );
    }
}

#[test]
#[cfg(unix)]
fn what_publishes_reuses_nothing_in_later_steps_either() {
    let test = Test::new();
    let project = with_crate(&test, "[tool.pyenv-build]\nreuse = \"auto\"\nincremental = true");
    let path = path_with_cargo(&test);
    let job = || Job::new(&test, &project).env("PATH", &path).env("STORE_KEY", "l");
    let tag =
        || job().event("push", "refs/tags/v1", &json!({"repository": {"default_branch": "main"}}));
    let exported = |answers: &Answers| {
        ["PYENV_BUILD_REUSE", "PYENV_BUILD_INCREMENTAL"].map(|name| answers.env.get(name).cloned())
    };
    let cold = job().done("build");
    assert!(cold.summary.contains("\n**cold: 1 crate compiled, "), "{}", cold.summary);
    assert_eq!(exported(&cold), [None, None]);
    assert_eq!(exported(&tag().done("build")), [Some("off".to_owned()), Some("false".to_owned())]);
    assert_eq!(
        exported(&tag().input("cache", "true").done("build")),
        [None, Some("false".to_owned())]
    );
}

#[test]
fn the_key_is_of_what_was_checked_out_not_of_what_hooks_leave_there() {
    let test = Test::new();
    let project = test.project("p").backend(&json!({"record": "left-by-a-hook"}));
    let left = project.path.join("left-by-a-hook");
    let prepare = || Job::new(&test, &project).done("prepare").outputs["store-key"].clone();
    // The backend is asked what it requires, once.
    let first = prepare();
    std::fs::remove_file(&left).unwrap();
    assert_eq!((prepare(), left.exists()), (first, false));
}

#[test]
#[cfg(unix)]
fn a_workspace_below_the_source_tree_is_in_the_keys() {
    let test = Test::new();
    let project = with_crate(&test, "");
    let path = path_with_cargo(&test);
    let prepare = || Job::new(&test, &project).env("PATH", &path).step("prepare");
    let (run, first) = prepare();
    assert!(!run.success().stderr.contains("Note"), "rust-cache knows of the environment");
    let workspace = project.path.join("src/_ext");
    let told = format!("{} -> target", std::fs::canonicalize(&workspace).unwrap().display());
    assert_eq!(
        (first.outputs["rust-cache"].as_str(), &first.outputs["rust-cache-workspaces"]),
        ("true", &told)
    );
    let roll =
        std::fs::read_to_string(workspace.join("target/pyenv-build/.cargo/config.toml")).unwrap();
    assert_eq!(roll, format!("# The build environment: {}\n", first.outputs["fingerprint"]));
    let tag = std::fs::read_to_string(workspace.join("target/CACHEDIR.TAG")).unwrap();
    assert!(tag.starts_with("Signature: 8a477f597d28d172789f06886806bc55"), "cargo cleans it");

    project.write("src/_ext/Cargo.lock", "version = 4\n\n# changed\n");
    let (_, changed) = prepare();
    let parts = |answers: &Answers| {
        answers.outputs["store-key"].split('/').map(str::to_owned).collect::<Vec<_>>()
    };
    let differs: Vec<bool> =
        parts(&first).iter().zip(parts(&changed)).map(|(one, other)| *one != other).collect();
    assert_eq!(differs, [false, false, false, false, true, true]);
}

#[test]
#[cfg(unix)]
fn a_denied_rebuild_fails_the_step() {
    let test = Test::new();
    let project = with_crate(&test, "");
    let job = || {
        Job::new(&test, &project)
            .env("PATH", &path_with_cargo(&test))
            .input("deny-rebuild", "pyo3*\n  ext\n")
    };
    job().done("build");
    job().done("build");
    project.write("src/_ext/src/lib.rs", "pub fn f() {}\n");
    let (run, answers) = job().step("build");
    let run = run.exits(3);
    assert!(
        run.error().contains("`--deny-rebuild` forbids compiling these crates: ext"),
        "{}",
        run.error()
    );
    assert!(commands(&run)[0].starts_with(
        "::error title=cargo pyenv-build::`--deny-rebuild` forbids compiling these crates: ext"
    ));
    assert!(answers.summary.contains("\n**failed: 1"), "{}", answers.summary);
}

#[test]
fn the_summary_and_the_annotation_say_what_was_compiled() {
    let test = Test::new();
    let project = test.project("p");
    backend_prints(
        &project,
        &[
            "   Compiling pyo3-ffi v0.29.0",
            "   Compiling evil|`x` v1.0.0",
            "   Compiling p v0.1.0 (/w/p)",
        ],
        false,
    );
    let job = || {
        Job::new(&test, &project)
            .env("ENV_KEY", "e")
            .env("STORE_KEY", "l")
            .env("DEPENDENCIES_KEY", "v0-rust-x")
    };
    let cold = job().env("DEPENDENCIES_HIT", "false").done("build");
    assert_eq!(cold.outputs["compiled-crates"], "2");
    assert!(cold.summary.contains("\n**cold: 2 crates compiled, "), "{}", cold.summary);
    assert!(
        cold.summary.contains("<details><summary>Compiled crates, and why</summary>"),
        "{}",
        cold.summary
    );

    let (run, warm) = job()
        .env("DEPENDENCIES_HIT", "true")
        .env("ENV_HIT", "true")
        .env("STORE_HIT", "true")
        .step("build");
    let run = run.success();
    let commands = commands(&run);
    assert_eq!(commands.len(), 1);
    assert!(
        commands[0].starts_with(
            "::warning title=cargo pyenv-build::all caches were exact hits, and still 2 crates compiled: pyo3-ffi, p%0A"
        ),
        "{}",
        commands[0]
    );
    let text: Vec<&str> =
        warm.summary.lines().take_while(|line| !line.starts_with("<details>")).collect();
    let text = text
        .join("\n")
        .replace(&python().abi_tag.replace('_', "&#95;"), "[ABI TAG]")
        .replace(" s**", "s**");
    snapshot!(test, text, @r"
    ### cargo pyenv-build: p <code>[ABI TAG]</code>

    **cold: 2 crates compiled, [TIME]**

    | crate | kind | why |
    | --- | --- | --- |
    | <code>pyo3-ffi 0.29.0</code> | dependency | reason unknown |
    | <code>p 0.1.0</code> | workspace | reason unknown |
    ");

    backend_prints(&project, &[], false);
    let (run, warm) = job()
        .env("DEPENDENCIES_HIT", "true")
        .env("ENV_HIT", "true")
        .env("STORE_HIT", "true")
        .step("build");
    assert_eq!(self::commands(&run.success()), [""; 0]);
    assert!(warm.summary.contains("\n**warm: 0 of 2 crates compiled, "), "{}", warm.summary);
    let none = job().input("summary", "false").done("build");
    assert_eq!(none.summary, "");
}

#[test]
fn a_failed_build_is_an_error_with_a_summary() {
    let test = Test::new();
    let project = test.project("p");
    backend_prints(&project, &[], true);
    let (run, answers) = Job::new(&test, &project).env("ENV_KEY", "e").step("build");
    let run = run.exits(1);
    let commands = commands(&run);
    assert_eq!(commands.len(), 1);
    assert!(commands[0].starts_with("::error title=cargo pyenv-build::"), "{}", commands[0]);
    assert!(answers.summary.contains("\n**failed: "), "{}", answers.summary);
    assert_eq!(answers.env, BTreeMap::new(), "nothing is exported");
}

#[test]
fn nothing_that_others_wrote_is_run_or_obeyed() {
    let test = Test::new();
    let project = test.project("p");
    let evil = "x$(touch evil)`touch evil`;touch evil\n::set-output name=wheel::evil\n::add-mask::a\nwheel<<EOF\nevil\nEOF\n##[set-output name=wheel]evil";
    for name in [
        "project",
        "python",
        "args",
        "out-dir",
        "installer",
        "constraints",
        "locked",
        "cache",
        "save-cache",
        "shared-key",
        "rust-cache",
        "build",
        "summary",
        "prune",
    ] {
        for step in ["plan", "prepare", "build", "prune"] {
            let (run, answers) = Job::new(&test, &project)
                .input(name, evil)
                .env("GITHUB_REF", evil)
                .env("GITHUB_JOB", evil)
                .step(step);
            for command in commands(&run) {
                assert!(
                    command.starts_with("::error title=cargo pyenv-build::"),
                    "{name} {step}: {command}"
                );
            }
            // A name that is an input's is not among the outputs, nor is a value that ended early.
            assert!(
                answers
                    .outputs
                    .get("wheel")
                    .is_none_or(|wheel| wheel.is_empty() || wheel.ends_with("none-any.whl")),
                "{name} {step}: {answers:?}"
            );
            assert!(
                answers.env.keys().all(|name| name.contains("PY")),
                "{name} {step}: {answers:?}"
            );
            let keys = ["env-key", "store-key", "rust-cache-shared-key"]
                .iter()
                .filter_map(|name| answers.outputs.get(*name));
            for key in keys {
                assert!(!key.contains(['\n', ',', '$', '`', ' ']), "{key}");
            }
        }
    }
    let everywhere = walkdir::WalkDir::new(&test.path).into_iter().filter_map(Result::ok);
    let evil: Vec<PathBuf> = everywhere
        .map(walkdir::DirEntry::into_path)
        .filter(|path| path.file_name().is_some_and(|name| name == "evil"))
        .collect();
    assert_eq!(evil, [""; 0].map(PathBuf::from));
}

#[test]
fn what_a_build_prints_is_not_obeyed_and_secrets_are_masked_first() {
    let test = Test::new();
    let project = test.project("p");
    backend_prints(
        &project,
        &["::set-output name=wheel::evil", "::add-path::/tmp/evil", "  ::stop-commands::x"],
        false,
    );
    let (run, _) = Job::new(&test, &project)
        .input("github-token", "ghs_0123456789")
        .input("args", "-v")
        .step("build");
    let run = run.success();
    assert!(
        run.stderr.starts_with("::add-mask::ghs_0123456789\n::stop-commands::"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("::set-output name=wheel::evil"), "it is shown");
    assert_eq!(commands(&run), ["::add-mask::ghs_0123456789"]);
}

#[test]
fn a_second_call_is_not_bound_by_what_the_first_has_exported() {
    let test = Test::new();
    let wheels = test.wheels();
    wheels.add("dep", "1", &[]);
    let (one, other) = (test.project("one"), test.project("other").requires(&["dep"]));
    let args = format!("--no-index --find-links '{}'", wheels.path.display());
    let first =
        Job::new(&test, &one).input("args", &args).input("later-steps", "env").done("build");
    let with_exports =
        |job| first.env.iter().fold(job, |job: Job<'_>, (name, value)| job.env(name, value));
    let second =
        with_exports(Job::new(&test, &other).input("args", &args).input("later-steps", "env"))
            .done("build");
    assert_eq!(second.env["PYO3_PYTHON"], second.outputs["python"]);
    assert_ne!(second.env["PYO3_PYTHON"], first.env["PYO3_PYTHON"]);
    assert!(!test.path.join(".cargo").exists(), "variables were asked for");
    // Nor are other commands in later steps, but for the interpreter.
    let later = |project: &Project| {
        let program = test
            .program(&["run"])
            .args(wheels.flags())
            .args(["--", "sh", "-c", "echo $PYO3_PYTHON"])
            .in_(project);
        first
            .env
            .iter()
            .fold(program, |program, (name, value)| program.env(name, value))
            .run()
            .success()
    };
    let (same, another) = (later(&one), later(&other));
    assert_eq!(
        (same.stdout.trim_end(), same.stderr.as_str()),
        (first.outputs["python"].as_str(), ""),
        "and it is not taken for the user's"
    );
    assert_eq!(another.stdout.trim_end(), second.outputs["python"]);
    // What somebody has set in between is theirs.
    let third = with_exports(Job::new(&test, &one)).env("PYENV_BUILD_PYTHON", "/nowhere/python");
    let (run, _) = third.step("plan");
    assert!(run.exits(4).stderr.contains("/nowhere/python"));
}

#[test]
fn without_a_build_there_is_an_environment_for_later_steps() {
    let test = Test::new();
    let project = test.project("p");
    let (run, answers) = Job::new(&test, &project).input("build", "false").step("build");
    assert_eq!(run.success().stdout, "");
    assert_eq!(project.list("dist"), [""; 0]);
    assert_eq!(
        later_cargo(&test)["env"]["PYO3_PYTHON"].as_str(),
        Some(answers.outputs["python"].as_str())
    );
    assert!(!answers.outputs.contains_key("wheel") && answers.summary.is_empty());
}

#[test]
fn mistakes_in_inputs_are_named_and_the_steps_are_for_actions_only() {
    let test = Test::new();
    let project = test.project("p");
    for (name, value, says) in [
        ("cache", "yes", "the input `cache` cannot be `yes`"),
        ("save-cache", "sometimes", "the input `save-cache` cannot be `sometimes`"),
        ("build", "1", "the input `build` cannot be `1`"),
        ("later-steps", "yes", "the input `later-steps` cannot be `yes`"),
        ("installer", "conda", "invalid inputs: invalid value 'conda'"),
        ("args", "--no-such-flag", "invalid inputs: unexpected argument"),
        ("args", "other/directory", "the input `args` contains a directory"),
        ("args", "'open", "the input `args` cannot be `'open`"),
        ("project", "--help", "`--help`"),
    ] {
        let (run, _) = Job::new(&test, &project).input(name, value).step("plan");
        let run = run.exits(2);
        assert!(
            run.error().contains(says) || run.error().contains("--help"),
            "{name}: {}",
            run.error()
        );
        assert_eq!(commands(&run).len(), 1);
    }
    let run = test.program(&["action", "plan"]).in_(&project).run().exits(2);
    assert_eq!(run.stdout, "");
    assert_eq!(run.hint(), "outside GitHub Actions, run `cargo pyenv-build`");
}
