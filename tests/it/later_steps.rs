//! Later steps of a job that the action was in: plain cargo is warm, and whatever worked without us
//! works.

use std::path::{Path, PathBuf};

use crate::actions::{Answers, Job, path_with_cargo, with_crate};
use crate::context::{Program, Project, Run, Test, copy_tree, script};

/// A job after our action.
struct After {
    test: Test,
    project: Project,
    answers: Answers,
}

impl After {
    fn new(settings: &str, inputs: impl Fn(Job<'_>) -> Job<'_>) -> Self {
        let test = Test::new();
        let project = with_crate(&test, settings);
        let path = path_with_cargo(&test);
        let answers = inputs(Job::new(&test, &project).env("PATH", &path)).done("build");
        Self { test, project, answers }
    }

    fn crate_directory(&self) -> PathBuf {
        self.project.path.join("src/_ext")
    }

    /// Plain cargo, with what the action exported.
    fn cargo(&self, words: &[&str]) -> Program {
        let program =
            self.test.command("cargo").args(words).arg("--offline").cwd(self.crate_directory());
        let program = program.env("PATH", path_with_cargo(&self.test)).env_remove("RUSTC_WRAPPER");
        self.answers.env.iter().fold(program, |program, (name, value)| program.env(name, value))
    }

    /// How often our wrapper was called so far.
    fn calls(&self) -> usize {
        std::fs::read_to_string(self.project.root().join("reports/calls.jsonl"))
            .unwrap_or_default()
            .lines()
            .count()
    }

    /// Runs cargo after an edit, and says how often our wrapper was called for it.
    fn compiles(&self, cargo: &Program) -> (Run, usize) {
        let before = self.calls();
        let source = self.crate_directory().join("src/lib.rs");
        let text = std::fs::read_to_string(&source).unwrap();
        std::fs::write(&source, format!("{text}pub const C{}: u8 = 1;\n", text.len())).unwrap();
        (cargo.run().success(), self.calls() - before)
    }

    fn config(&self) -> PathBuf {
        self.test.path.join(".cargo/config.toml")
    }
}

#[test]
fn plain_cargo_calls_the_wrapper_and_no_variable_says_so() {
    let after = After::new("", |job| job);
    let said = after.answers.env.keys().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(
        said,
        ["PYENV_BUILD_PYTHON", "__PYENV_BUILD_EXPORTED"],
        "nothing that a container would choke on"
    );
    let (_, calls) = after.compiles(&after.cargo(&["build", "--release"]));
    assert_eq!(calls, 1);
    // In a step that clears its environment, too.
    let bare = after
        .test
        .command("cargo")
        .args(["test", "--no-run", "--offline"])
        .cwd(after.crate_directory());
    let (_, calls) = after.compiles(&bare.env("PATH", path_with_cargo(&after.test)));
    assert!(calls > 0);
    let why = after.test.program(&["why"]).in_(&after.project).run().success().stdout.clone();
    assert!(why.contains("\nsince then, by plain cargo: 1 crate compiled: ext"), "{why}");
    // The last step.
    let summary = Job::new(&after.test, &after.project).done("summary");
    assert!(summary.outputs["verdict"].starts_with("cold: "), "{}", summary.outputs["verdict"]);
    assert!(
        summary.summary.contains("cargo pyenv-build, the whole job: cold"),
        "{}",
        summary.summary
    );
}

#[test]
fn what_the_user_says_goes_before_it() {
    let after = After::new("", |job| job);
    let wrapper = after.test.path.join("mine");
    script(&wrapper, "echo called >> \"$(dirname \"$0\")/called\"\nexec \"$@\"");
    let (_, calls) = after.compiles(&after.cargo(&["build"]).env("RUSTC_WRAPPER", &wrapper));
    assert_eq!((calls, after.test.path.join("called").exists()), (0, true));
    let (_, calls) = after.compiles(&after.cargo(&["build"]).env("RUSTC_WRAPPER", ""));
    assert_eq!(calls, 0);
    std::fs::create_dir(after.project.path.join(".cargo")).unwrap();
    std::fs::write(after.project.path.join(".cargo/config.toml"), "[build]\nrustc-wrapper = ''\n")
        .unwrap();
    let (_, calls) = after.compiles(&after.cargo(&["build"]));
    assert_eq!(calls, 0);
}

#[test]
fn where_the_job_is_over_or_our_directory_is_not_seen_cargo_works_as_without_us() {
    let after = After::new("", |job| job);
    // A container has the workspace at the same path, or at another, and nothing above it.
    let elsewhere = after.test.path.join("container/work");
    copy_tree(&after.project.path.join("src"), &elsewhere.join("src"));
    std::fs::create_dir(after.test.path.join("container/.cargo")).unwrap();
    std::fs::write(
        after.test.path.join("container/.cargo/config.toml"),
        "[build]\nrustc-wrapper = ''\n",
    )
    .unwrap();
    after.cargo(&["build"]).cwd(elsewhere.join("src/_ext")).run().success();
    // A machine that is kept: the runner has emptied its temporary directory, and another job of no
    // concern to us runs.
    std::fs::remove_dir_all(after.test.path.join("temp")).unwrap();
    let (_, calls) = after.compiles(&after.cargo(&["build"]));
    assert_eq!(calls, 0);
    // Even with our own directory gone.
    std::fs::remove_dir_all(after.project.root()).unwrap();
    let (_, calls) = after.compiles(&after.cargo(&["build"]));
    assert_eq!((calls, after.project.root().exists()), (0, false));
    // A job that publishes takes it away before anything is built.
    assert!(after.config().exists());
    let main = serde_json::json!({"repository": {"default_branch": "main"}});
    Job::new(&after.test, &after.project)
        .env("PATH", &path_with_cargo(&after.test))
        .event("push", "refs/tags/v1", &main)
        .done("plan");
    assert!(!after.config().exists());
}

#[test]
fn later_steps_get_no_wrapper_where_nothing_is_to_be_reused() {
    let table = toml_of(&After::new("[tool.pyenv-build]\nreuse = \"off\"", |job| job));
    assert!(!table.contains_key("build") && table.contains_key("env"), "{table}");
    let main = serde_json::json!({"repository": {"default_branch": "main"}});
    let table = toml_of(&After::new("", |job| job.event("push", "refs/tags/v1", &main)));
    assert!(!table.contains_key("build") && table.contains_key("env"), "{table}");
    let off = After::new("", |job| job.input("later-steps", "false"));
    assert!(!off.config().exists() && !off.answers.env.contains_key("PYO3_PYTHON"));
    let (_, calls) = off.compiles(&off.cargo(&["build"]));
    assert_eq!(calls, 0);
}

#[test]
fn variables_are_for_every_cargo_of_the_job() {
    let after = After::new("", |job| job.input("later-steps", "env"));
    assert!(!after.config().exists());
    assert_eq!(after.answers.env["PYO3_PYTHON"], after.answers.outputs["python"]);
    let program = after.cargo(&["build"]).env("RUSTC_WRAPPER", &after.answers.env["RUSTC_WRAPPER"]);
    assert_eq!(after.compiles(&program).1, 1);
}

#[test]
fn a_configuration_that_is_there_is_left_alone() {
    let test = Test::new();
    let project = with_crate(&test, "");
    std::fs::create_dir(test.path.join(".cargo")).unwrap();
    for name in ["config", "config.toml"] {
        let file = test.path.join(".cargo").join(name);
        std::fs::write(&file, "[term]\nquiet = true\n").unwrap();
        let (run, _) = Job::new(&test, &project).env("PATH", &path_with_cargo(&test)).step("build");
        let run = run.success();
        let note = format!(
            "plain cargo in later steps does not share the build's artifacts, use `cargo pyenv-build run -- cargo ...` there: `{}` already exists",
            file.display()
        );
        assert!(run.stderr.contains(&note), "{}", run.stderr);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "[term]\nquiet = true\n");
        std::fs::remove_file(&file).unwrap();
    }
    let (run, _) = Job::new(&test, &project)
        .env("PATH", &path_with_cargo(&test))
        .env("GITHUB_WORKSPACE", &test.bin().to_string_lossy())
        .step("build");
    assert!(run.success().stderr.contains("the project is outside the job's workspace"));
}

#[test]
fn commands_say_a_line_in_the_summary_of_their_step() {
    let after = After::new("", |job| job);
    let summary = after.test.path.join("summary.md");
    let run = |more: &[(&str, &str)], words: &[&str]| {
        let _ = std::fs::remove_file(&summary);
        let program = after
            .test
            .program(words)
            .in_(&after.project)
            .env("PATH", path_with_cargo(&after.test))
            .env("GITHUB_STEP_SUMMARY", &summary);
        more.iter()
            .fold(program, |program, (name, value)| program.env(name, value))
            .run()
            .success();
        std::fs::read_to_string(&summary).unwrap_or_default()
    };
    let actions = ("GITHUB_ACTIONS", "true");
    let cargo = [
        "run",
        "--",
        "cargo",
        "build",
        "--release",
        "--offline",
        "--manifest-path",
        "src/_ext/Cargo.toml",
    ];
    assert!(
        run(&[actions], &cargo)
            .starts_with("<code>cargo pyenv-build run</code>: 0 crates compiled")
    );
    assert_eq!(run(&[actions, ("PYENV_BUILD_SUMMARY", "false")], &cargo), "");
    assert_eq!(run(&[], &cargo), "", "outside of Actions");
    std::fs::write(after.crate_directory().join("src/lib.rs"), "pub fn more() {}\n").unwrap();
    let text = run(&[actions], &["build"]);
    assert!(
        text.starts_with("<code>cargo pyenv-build build</code>: 1 crate compiled in ")
            && text.contains("<code>ext 0.1.0</code>"),
        "{text}"
    );
}

fn toml_of(after: &After) -> toml::Table {
    std::fs::read_to_string(Path::new(&after.config())).unwrap().parse().unwrap()
}
