//! `action.yml` and the workflows: what must hold of their text, and the action run by a small
//! runner of our own, on machines that forget everything but the caches.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::actions::parsed;
use crate::context::{Project, Test, copy_tree, python, script};
use crate::docs;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> Value {
    serde_yaml_ng::from_str(&std::fs::read_to_string(root().join(name)).unwrap()).unwrap()
}

fn workflows() -> Vec<(String, Value)> {
    let entries = std::fs::read_dir(root().join(".github/workflows")).unwrap();
    let names = entries
        .map(|entry| format!(".github/workflows/{}", entry.unwrap().file_name().to_string_lossy()));
    names.map(|name| (name.clone(), read(&name))).collect()
}

/// All steps: of the action, of the workflows, of the workflows in README and the documentation.
fn steps() -> Vec<(String, Value)> {
    let mut found: Vec<(String, Value)> = ["action.yml", "summary/action.yml"]
        .into_iter()
        .flat_map(|name| {
            list(&read(name)["runs"]["steps"]).into_iter().map(move |step| (name.to_owned(), step))
        })
        .collect();
    for (name, workflow) in workflows().into_iter().chain(documented()) {
        for job in workflow["jobs"].as_object().unwrap().values() {
            found.extend(list(&job["steps"]).into_iter().map(|step| (name.clone(), step)));
        }
    }
    found
}

/// The workflows in README and the documentation.
fn documented() -> Vec<(String, Value)> {
    let blocks = docs::blocks().into_iter().filter(|block| block.language == "yaml");
    let parsed =
        blocks.map(|block| (block.page, serde_yaml_ng::from_str::<Value>(&block.text).unwrap()));
    let found: Vec<_> = parsed.filter(|(_, value)| value["jobs"].is_object()).collect();
    assert!(found.iter().any(|(page, _)| page == "README.md") && found.len() > 3);
    found
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

#[test]
fn no_script_has_an_expression_in_it_and_every_action_is_pinned() {
    let steps = steps();
    let documented_pages: Vec<String> = documented().into_iter().map(|(page, _)| page).collect();
    assert!(steps.len() > 40, "{}", steps.len());
    for (file, step) in &steps {
        if let Some(run) = step["run"].as_str() {
            assert!(!run.contains("${{"), "{file}: {run}");
        }
        if let Some(uses) = step["uses"].as_str() {
            let commit = uses.split_once('@').map_or("", |(_, commit)| commit);
            let is_pinned =
                commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
            let is_ours = uses == "./"
                || (documented_pages.contains(file)
                    && [
                        "OWNER/cargo-pyenv-build@COMMIT",
                        "OWNER/cargo-pyenv-build/summary@COMMIT",
                    ]
                    .contains(&uses));
            assert!(is_pinned || is_ours, "{file}: {uses}");
        }
    }
    // The same action is the same commit everywhere, and each says which version that is.
    let mut commits: BTreeMap<String, String> = BTreeMap::new();
    for (_, step) in &steps {
        if let Some((name, commit)) = step["uses"].as_str().and_then(|uses| uses.split_once('@')) {
            let repository: Vec<&str> = name.split('/').take(2).collect();
            assert_eq!(
                commits.entry(repository.join("/")).or_insert_with(|| commit.to_owned()),
                commit,
                "{name}"
            );
        }
    }
    for name in ["action.yml", ".github/workflows/ci.yml", ".github/workflows/release.yml"] {
        let text = std::fs::read_to_string(root().join(name)).unwrap();
        for line in text.lines().filter(|line| line.contains("uses: ") && line.contains('@')) {
            assert!(line.contains(" # v"), "{name}: {line}");
        }
    }
}

#[test]
fn every_input_is_described_and_used_and_every_output_is_made() {
    let action = read("action.yml");
    let text = std::fs::read_to_string(root().join("action.yml")).unwrap();
    let expected = [
        "project",
        "python",
        "build",
        "args",
        "out-dir",
        "installer",
        "constraints",
        "locked",
        "cache",
        "save-cache",
        "shared-key",
        "later-steps",
        "rust-cache",
        "deny-rebuild",
        "summary",
        "prune",
        "github-token",
        "version",
        "binary",
    ];
    let inputs = action["inputs"].as_object().unwrap();
    assert_eq!(inputs.keys().collect::<Vec<_>>(), expected);
    for (name, input) in inputs {
        assert!(
            input["description"].as_str().is_some_and(|text| text.len() > 10)
                && input["default"].is_string(),
            "{name}"
        );
        assert!(text.contains(&format!("${{{{ inputs.{name} }}}}")), "{name} is used");
    }
    let expected = [
        "wheel",
        "sdist",
        "python",
        "env-path",
        "fingerprint",
        "cache-key",
        "cache-hit",
        "compiled-crates",
        "report",
    ];
    let outputs = action["outputs"].as_object().unwrap();
    assert_eq!(outputs.keys().collect::<Vec<_>>(), expected);
    assert!(outputs.values().all(|output| output["description"].is_string()));
    // Whatever is read of a step of ours is an output that the program makes.
    let program = ["action.rs", "action/later_steps.rs"]
        .map(|name| std::fs::read_to_string(root().join("src/cli").join(name)).unwrap())
        .concat()
        .replace(char::is_whitespace, "");
    let made = |name: &str| program.contains(&format!("actions::output(\"{name}\","));
    let references: Vec<(&str, &str)> = text
        .split("steps.")
        .skip(1)
        .filter_map(|rest| rest.split([' ', '}']).next()?.split_once(".outputs."))
        .filter(|(step, _)| ["plan", "prepare", "build"].contains(step))
        .collect();
    assert!(references.len() > 20);
    for (step, output) in references {
        assert!(made(output), "{step} makes {output}");
    }
    // And the steps that read inputs read the same ones.
    let steps = list(&action["runs"]["steps"]);
    let env = |id: &str| -> BTreeMap<String, Value> {
        let step = steps.iter().find(|step| step["id"] == id).unwrap();
        step["env"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(name, _)| name.starts_with("INPUT_"))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    assert_eq!(env("plan"), env("prepare"));
    assert_eq!(env("plan"), env("build"));
}

#[test]
fn scripts_of_the_action_name_their_shell_and_send_what_they_say_through_one_pipe() {
    for step in list(&read("action.yml")["runs"]["steps"]) {
        let Some(run) = step["run"].as_str() else {
            assert_eq!(
                step["continue-on-error"], true,
                "trouble with caches fails nothing: {step}"
            );
            continue;
        };
        assert_eq!(step["shell"], "bash", "{run}");
        assert!(
            run == "\"$GITHUB_ACTION_PATH/action/install.sh\""
                || (run.starts_with("\"$PROGRAM\" action ") && run.ends_with(" 1>&2")),
            "{run}"
        );
    }
}

#[test]
fn workflows_have_no_permission_that_a_job_does_not_ask_for() {
    for (name, workflow) in workflows().into_iter().chain(documented()) {
        assert_eq!(workflow["permissions"], json!({}), "{name}");
        for (job, spec) in workflow["jobs"].as_object().unwrap() {
            let permissions = spec["permissions"]
                .as_object()
                .unwrap_or_else(|| panic!("{name}: {job} says what it may"));
            let writes = permissions.iter().filter(|(_, value)| **value == "write").count();
            assert!(writes == 0 || name.ends_with("release.yml"), "{name}: {job}");
        }
    }
}

/// A job with our action in it, on a machine of its own.
struct Machine<'a> {
    test: &'a Test,
    project: &'a Project,
    inputs: BTreeMap<String, String>,
    envs: BTreeMap<String, String>,
    /// Later steps of the job.
    later: Vec<Box<dyn Fn() + 'a>>,
}

/// What a job has come to.
#[derive(Debug, Default)]
struct Ran {
    outputs: BTreeMap<String, String>,
    env: BTreeMap<String, String>,
    path: Vec<String>,
    log: String,
    summary: String,
    /// `restored KEY`, `saved KEY`
    caches: Vec<String>,
}

impl<'a> Machine<'a> {
    /// A fresh one: of earlier jobs nothing is left but the caches.
    fn new(test: &'a Test, project: &'a Project) -> Self {
        for path in [project.root(), project.dist(), test.path.join("temp")] {
            let _ = std::fs::remove_dir_all(path);
        }
        std::fs::create_dir_all(test.path.join("temp")).unwrap();
        std::fs::create_dir_all(test.path.join("caches")).unwrap();
        let event = test.path.join("event.json");
        std::fs::write(&event, json!({"repository": {"default_branch": "main"}}).to_string())
            .unwrap();
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let envs = [
            ("GITHUB_ACTIONS", "true".to_owned()),
            ("CI", "true".to_owned()),
            ("GITHUB_ACTION_PATH", text(root())),
            ("GITHUB_EVENT_NAME", "push".to_owned()),
            ("GITHUB_REF", "refs/heads/main".to_owned()),
            ("GITHUB_EVENT_PATH", text(&event)),
            ("GITHUB_REPOSITORY", "octo/project".to_owned()),
            ("GITHUB_JOB", "build".to_owned()),
            ("GITHUB_WORKSPACE", text(&project.path)),
            ("RUNNER_TEMP", text(&test.path.join("temp"))),
            ("RUNNER_OS", "Linux".to_owned()),
            ("RUNNER_ARCH", "X64".to_owned()),
        ];
        let envs = envs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { test, project, inputs: BTreeMap::new(), envs, later: Vec::new() }
            .input("binary", env!("CARGO_BIN_EXE_cargo-pyenv-build"))
    }

    fn input(mut self, name: &str, value: &str) -> Self {
        self.inputs.insert(name.to_owned(), value.to_owned());
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.envs.insert(name.to_owned(), value.to_owned());
        self
    }

    fn later(mut self, step: impl Fn() + 'a) -> Self {
        self.later.push(Box::new(step));
        self
    }

    /// Runs all steps of `action.yml`, what comes later, and what happens at the end of a job.
    fn run(&self) -> Ran {
        let action = read("action.yml");
        let mut scope: BTreeMap<String, String> = BTreeMap::new();
        for (name, input) in action["inputs"].as_object().unwrap() {
            let value = self
                .inputs
                .get(name)
                .cloned()
                .unwrap_or_else(|| input["default"].as_str().unwrap().to_owned());
            scope.insert(format!("inputs.{name}"), value);
        }
        let mut ran = Ran::default();
        // In their post step, after everything else, they save what there is then.
        let mut posts: Vec<BTreeMap<String, String>> = Vec::new();
        for (number, step) in list(&action["runs"]["steps"]).iter().enumerate() {
            if step["if"].as_str().is_some_and(|condition| !holds(condition, &scope)) {
                continue;
            }
            let id = step["id"].as_str().map_or_else(|| number.to_string(), str::to_owned);
            let outputs = match step["uses"].as_str().map(|uses| uses.split('@').next().unwrap()) {
                None => self.script(step, &scope, &mut ran),
                Some("actions/cache/restore") => {
                    self.restore(&filled_all(&step["with"], &scope), &mut ran)
                }
                Some("actions/cache") => {
                    let with = filled_all(&step["with"], &scope);
                    let outputs = self.restore(&with, &mut ran);
                    if outputs.get("cache-hit").is_none_or(|hit| hit != "true") {
                        posts.push(with);
                    }
                    outputs
                }
                Some(other) => panic!("this project has nothing for {other}"),
            };
            scope.extend(
                outputs
                    .into_iter()
                    .map(|(name, value)| (format!("steps.{id}.outputs.{name}"), value)),
            );
        }
        for (name, output) in action["outputs"].as_object().unwrap() {
            ran.outputs.insert(name.clone(), filled(output["value"].as_str().unwrap(), &scope));
        }
        for later in &self.later {
            later();
        }
        for with in posts.iter().rev() {
            self.save(with, &mut ran);
        }
        ran
    }

    fn script(
        &self,
        step: &Value,
        scope: &BTreeMap<String, String>,
        ran: &mut Ran,
    ) -> BTreeMap<String, String> {
        let files = self.test.path.join("temp/files");
        let _ = std::fs::remove_dir_all(&files);
        std::fs::create_dir_all(&files).unwrap();
        let run = step["run"].as_str().unwrap();
        let mut program = self
            .test
            .command("bash")
            .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", run])
            .in_(self.project);
        for name in ["GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY"] {
            program = program.env(name, files.join(name));
        }
        let given = filled_all(&step["env"], scope);
        let program = self
            .envs
            .iter()
            .chain(&ran.env)
            .chain(&given)
            .fold(program, |program, (name, value)| program.env(name, value));
        let done = program.run().success();
        ran.log += &done.stdout;
        ran.log += &done.stderr;
        let file = |name: &str| std::fs::read_to_string(files.join(name)).unwrap_or_default();
        ran.env.extend(parsed(&file("GITHUB_ENV")));
        ran.summary += &file("GITHUB_STEP_SUMMARY");
        ran.path.extend(file("GITHUB_PATH").lines().map(str::to_owned));
        // Our script writes plain lines.
        let output = file("GITHUB_OUTPUT");
        if run.contains("install.sh") {
            output
                .lines()
                .filter_map(|line| line.split_once('='))
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
                .collect()
        } else {
            parsed(&output)
        }
    }

    /// An entry is a directory with its key, its paths and a copy of each.
    fn entry(&self, key: &str) -> PathBuf {
        self.test.path.join("caches").join(key.replace('/', "+"))
    }

    fn restore(&self, with: &BTreeMap<String, String>, ran: &mut Ran) -> BTreeMap<String, String> {
        let mut found: Vec<(String, std::time::SystemTime)> =
            std::fs::read_dir(self.test.path.join("caches"))
                .unwrap()
                .map(|entry| entry.unwrap())
                .map(|entry| {
                    (
                        entry.file_name().to_string_lossy().replace('+', "/"),
                        entry.metadata().unwrap().modified().unwrap(),
                    )
                })
                .collect();
        found.sort_by_key(|(_, made)| std::cmp::Reverse(*made));
        let mut prefixes =
            std::iter::once(with["key"].as_str()).chain(with["restore-keys"].lines());
        let exact = found.iter().find(|(key, _)| *key == with["key"]);
        let matched = exact.or_else(|| {
            prefixes.find_map(|prefix| found.iter().find(|(key, _)| key.starts_with(prefix)))
        });
        let Some((key, _)) = matched else { return BTreeMap::new() };
        for (index, path) in with["path"].lines().enumerate() {
            let copy = self.entry(key).join(index.to_string());
            if copy.exists() {
                copy_with_links(&copy, Path::new(path));
            }
        }
        ran.caches.push(format!("restored {key}"));
        BTreeMap::from([("cache-hit".to_owned(), (*key == with["key"]).to_string())])
    }

    fn save(&self, with: &BTreeMap<String, String>, ran: &mut Ran) {
        let entry = self.entry(&with["key"]);
        assert!(!entry.exists(), "an entry does not change");
        std::fs::create_dir(&entry).unwrap();
        for (index, path) in with["path"].lines().enumerate() {
            if Path::new(path).exists() {
                copy_with_links(Path::new(path), &entry.join(index.to_string()));
            }
        }
        ran.caches.push(format!("saved {}", with["key"]));
    }
}

/// A copy as tar makes it: links are links, and dates are kept.
fn copy_with_links(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let done =
        std::process::Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
    assert!(done.success());
}

/// `a == 'b' && c != ''`
fn holds(condition: &str, scope: &BTreeMap<String, String>) -> bool {
    condition.split("&&").all(|part| {
        let (left, right, wanted) = match (part.split_once("=="), part.split_once("!=")) {
            (Some((left, right)), _) => (left, right, true),
            (None, Some((left, right))) => (left, right, false),
            (None, None) => panic!("`{part}` is more than this runner understands"),
        };
        let value = scope.get(left.trim()).map_or("", String::as_str);
        (value == right.trim().trim_matches('\'')) == wanted
    })
}

/// Text with its expressions replaced.
fn filled(text: &str, scope: &BTreeMap<String, String>) -> String {
    let Some((before, rest)) = text.split_once("${{") else { return text.to_owned() };
    let (expression, after) = rest.split_once("}}").unwrap();
    let values =
        expression.split("||").map(|name| scope.get(name.trim()).map_or("", String::as_str));
    format!(
        "{before}{}{}",
        values.into_iter().find(|value| !value.is_empty()).unwrap_or_default(),
        filled(after, scope)
    )
}

fn filled_all(map: &Value, scope: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    map.as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), filled(value.as_str().unwrap(), scope)))
        .collect()
}

#[test]
#[ignore = "takes more than a minute; the workflow runs it"]
#[cfg(target_os = "linux")]
fn the_second_job_needs_no_index_and_a_raised_requirement_rolls() {
    let test = Test::new();
    let wheels = test.wheels();
    wheels.add("dep", "1", &[]);
    let project = test.project("p").requires(&["dep"]);
    let args = format!("--no-index --find-links '{}'", wheels.path.display());
    let job = || Machine::new(&test, &project).input("args", &args);

    // What a later step provisions is saved as well.
    let later = project.root().join("requests/of-a-later-step.json");
    let cold = job().later(|| std::fs::write(&later, "{}").unwrap()).run();
    assert!(cold.summary.contains("\n\ncreated <code>"), "{}", cold.summary);
    assert!(Path::new(&cold.outputs["wheel"]).is_file());
    assert_eq!(cold.outputs["cache-hit"], "false");
    assert_eq!(cold.caches.len(), 1, "there is no store without Rust: {:?}", cold.caches);
    assert!(
        cold.caches[0].starts_with(&format!("saved pyenv-build-env-1/{}/build-", python().abi_tag))
    );
    assert_eq!(cold.path, [test.path.join("temp/cargo-pyenv-build/bin").to_string_lossy()]);

    // A fresh machine, and an index that has nothing any more.
    let away = test.path.join("away");
    std::fs::rename(&wheels.path, &away).unwrap();
    let warm = job().run();
    assert!(later.is_file());
    assert!(
        warm.summary.contains("\n\nreused <code>")
            && warm.summary.contains("; unchanged since the last job"),
        "{}",
        warm.summary
    );
    assert_eq!(warm.caches, [cold.caches[0].replace("saved", "restored")]);
    assert_eq!(
        (&warm.outputs["fingerprint"], &warm.outputs["python"]),
        (&cold.outputs["fingerprint"], &cold.outputs["python"])
    );
    assert!(Path::new(&warm.outputs["wheel"]).is_file());
    assert!(!warm.log.contains("Provisioned"), "{}", warm.log);

    // A raised requirement: another key, the old entry to begin with, and the new one is saved.
    std::fs::rename(&away, &wheels.path).unwrap();
    wheels.add("dep", "2", &[]);
    project.set_requires(&["dep>=2"]);
    // As if the last job had been days ago.
    for entry in walkdir::WalkDir::new(test.path.join("caches"))
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.depth() > 1)
    {
        filetime::set_symlink_file_times(
            entry.path(),
            filetime::FileTime::zero(),
            filetime::FileTime::zero(),
        )
        .unwrap();
    }
    let rolled = job().run();
    assert_eq!(rolled.caches.len(), 2, "{:?}", rolled.caches);
    assert_eq!(rolled.caches[0], warm.caches[0]);
    assert!(rolled.caches[1].starts_with("saved ") && rolled.caches[1][6..] != cold.caches[0][6..]);
    assert_ne!(rolled.outputs["fingerprint"], cold.outputs["fingerprint"]);
    let kept = crate::context::list(&project.root().join("envs"));
    assert_eq!(
        kept.iter().filter(|name| !name.contains('.')).count(),
        1,
        "the old environment is not carried along: {kept:?}"
    );

    // The fork, the release and the topic branch.
    let fork = json!({
        "repository": {"default_branch": "main"},
        "pull_request": {"head": {"repo": {"full_name": "stranger/p"}}, "base": {"repo": {"full_name": "octo/project"}}},
    });
    let event = test.path.join("fork.json");
    std::fs::write(&event, fork.to_string()).unwrap();
    project.set_requires(&["dep"]);
    let job = || Machine::new(&test, &project).input("args", &args).input("save-cache", "always");
    let of_fork = job()
        .env("GITHUB_EVENT_NAME", "pull_request")
        .env("GITHUB_EVENT_PATH", &event.to_string_lossy())
        .run();
    assert_eq!(of_fork.caches, [cold.caches[0].replace("saved", "restored")]);
    project.set_requires(&["dep<3"]);
    let release = job().env("GITHUB_REF", "refs/tags/v1").run();
    assert_eq!(release.caches, [""; 0]);
    let topic = job().env("GITHUB_REF", "refs/heads/topic").run();
    assert_eq!(
        topic.caches.len(),
        2,
        "restored and, as it was asked for, saved: {:?}",
        topic.caches
    );
    let without = job().input("cache", "false").run();
    assert_eq!(without.caches, [""; 0]);
}

#[test]
#[cfg(target_os = "linux")]
fn what_is_downloaded_must_have_the_digest_of_the_table() {
    let test = Test::pristine();
    // The script with a table of the test's, and a `curl` that brings a program.
    copy_tree(&root().join("action"), &test.path.join("checkout/action"));
    std::fs::copy(root().join("Cargo.toml"), test.path.join("checkout/Cargo.toml")).unwrap();
    let content = format!("#!/bin/sh\necho cargo pyenv-build {}\n", env!("CARGO_PKG_VERSION"));
    std::fs::write(test.path.join("released"), &content).unwrap();
    script(
        &test.bin().join("curl"),
        "while [ \"$1\" != --output ]; do shift; done; cp released \"$2\"",
    );
    script(&test.bin().join("cargo"), "exit 7");
    let table = |digest: &str| {
        let line = format!(
            "{} x86_64-unknown-linux-musl {digest} https://github.com/x\n",
            env!("CARGO_PKG_VERSION")
        );
        std::fs::write(
            test.path.join("checkout/action/checksums.txt"),
            format!("# comment\n9.9.9 x y z\n{line}"),
        )
        .unwrap();
    };
    let install = |version: &str| {
        let output = test.path.join("output");
        let _ = std::fs::remove_file(&output);
        let run = test
            .command("bash")
            .arg(test.path.join("checkout/action/install.sh"))
            .env("RUNNER_TEMP", test.path.join("temp"))
            .env("RUNNER_OS", "Linux")
            .env("RUNNER_ARCH", "X64")
            .env("GITHUB_OUTPUT", &output)
            .env("INPUT_VERSION", version)
            .run();
        (run, std::fs::read_to_string(&output).unwrap_or_default())
    };
    let program = test.path.join("temp/cargo-pyenv-build/bin/cargo-pyenv-build");
    table(&crate::context::sha256(&content));
    let (run, output) = install("");
    let run = run.success();
    assert!(
        run.stdout.starts_with("installed version ")
            && run.stdout.contains(", and verified its checksum\ncargo pyenv-build "),
        "{}",
        run.stdout
    );
    assert_eq!(output, format!("program={}\n", program.display()));
    let (run, again) = install("");
    assert!(run.success().stdout.starts_with("already installed by an earlier step\n"));
    assert_eq!(again, format!("program={}\n", program.display()));
    std::fs::remove_file(&program).unwrap();
    table(&"0".repeat(64));
    let (run, output) = install("");
    let run = run.exits(1);
    assert!(
        run.stdout.contains("::error title=cargo pyenv-build::checksum mismatch: the downloaded program does not match the release"),
        "{}",
        run.stdout
    );
    assert_eq!(
        (output.as_str(), program.exists(), crate::context::list(program.parent().unwrap()).len()),
        ("", false, 0)
    );
    let (run, _) = install("1.2.3$(touch evil)`touch evil`");
    assert!(run.exits(1).stdout.contains("no checksum is known for version"));
    assert!(!test.path.join("evil").exists());
    // Nothing is known of our own version: it is built.
    std::fs::write(test.path.join("checkout/action/checksums.txt"), "").unwrap();
    let (run, _) = install("");
    assert!(
        run.exits(7).stdout.contains("building cargo-pyenv-build from the action's own checkout")
    );
}
