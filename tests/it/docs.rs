//! README and the documentation: their commands are run, their examples parse, their links have the
//! right form.
//!
//! Links within the documentation and their anchors are checked by `mkdocs build --strict`, in
//! `.ci/run`.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

#[cfg(unix)]
use crate::context::{Installer, Project};
use crate::context::{Test, python};

/// Commands that no test here can run, and why. One that is no longer shown anywhere fails the
/// test.
const NOT_RUN: &[(&str, &str)] = &[
    ("cargo run -- build examples/maturin-abi3", "tests/real/examples.rs builds the examples"),
    ("cargo test", "it is what runs this"),
    ("cargo install --locked --path .", "compiles the program for release, for minutes"),
    ("rm -rf .pyenv-build target", "other commands need what it removes"),
    (
        "cargo pyenv-build cache usage --repository OWNER/NAME",
        "asks GitHub; tests/it/cache.rs has a server for it",
    ),
    (
        "cargo pyenv-build cache prune --repository OWNER/NAME",
        "asks GitHub; tests/it/cache.rs has a server for it",
    ),
    ("cargo pyenv-build -p 3.13t", "needs an interpreter that few machines have"),
    (
        "docker run --detach --name builder --volume \"$PWD:$PWD\" registry.example.com/rust-python:1 sleep infinity",
        "needs Docker and an image",
    ),
    (
        "cargo pyenv-build --launcher 'docker exec -i builder'",
        "needs Docker; tests/it/launcher.rs has other launchers",
    ),
    ("RUSTC_WRAPPER=sccache cargo pyenv-build", "needs sccache; tests/real/sccache.rs has it"),
    (
        "cargo pyenv-build develop '.[test]'",
        "needs an active environment; tests/it/develop.rs makes some",
    ),
    (
        "cargo bench --bench reuse -- --json benches/results/reuse.json",
        "takes minutes, on a machine with nothing else to do",
    ),
    (
        "cargo bench --bench job -- --kache \"$(command -v kache)\" --trust cryptography-cffi --json benches/results/job.json",
        "takes a quarter of an hour, on a machine with nothing else to do",
    ),
    (
        "cargo bench --bench warm -- --json benches/results/warm.json",
        "takes minutes, on a machine with nothing else to do",
    ),
    ("cargo bench --bench checkout -- --json benches/results/checkout.json", "the same"),
    ("python3 benches/render.py", "has a test of its own"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README and the pages: name from the top level, text.
fn pages() -> Vec<(String, String)> {
    let entries = walkdir::WalkDir::new(root().join("docs"))
        .sort_by_file_name()
        .into_iter()
        .map(Result::unwrap);
    let files =
        entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "md"));
    let names = files.map(|entry| {
        entry.path().strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/")
    });
    let read = |name: String| {
        let text = std::fs::read_to_string(root().join(&name)).unwrap().replace("\r\n", "\n");
        (name, text)
    };
    std::iter::once("README.md".to_owned()).chain(names).map(read).collect()
}

/// A fenced block.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) page: String,
    pub(crate) language: String,
    pub(crate) text: String,
}

/// All fenced blocks of README and the pages.
pub(crate) fn blocks() -> Vec<Block> {
    let mut found = Vec::new();
    for (page, text) in pages() {
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some(language) = line.trim_start().strip_prefix("```") else { continue };
            let inside: Vec<&str> =
                lines.by_ref().take_while(|line| line.trim() != "```").collect();
            found.push(Block {
                page: page.clone(),
                language: language.trim().to_owned(),
                text: inside.join("\n") + "\n",
            });
        }
    }
    assert!(found.len() > 50, "{}", found.len());
    found
}

/// What a reader is told to run, in the order of the pages, each once.
fn commands() -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for block in blocks() {
        let lines: Vec<&str> = match block.language.as_str() {
            "console" => block.text.lines().filter_map(|line| line.strip_prefix("$ ")).collect(),
            "sh" => block
                .text
                .lines()
                .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
                .collect(),
            _ => continue,
        };
        for line in lines {
            assert!(!line.ends_with('\\'), "{}: one line is one command: {line}", block.page);
            let command = line.split("  # ").next().unwrap().trim().to_owned();
            if !found.contains(&command) {
                found.push(command);
            }
        }
    }
    found
}

#[test]
fn blocks_say_what_they_are() {
    let known = [
        "console",
        "sh",
        "yaml",
        "toml",
        "json",
        "python",
        "rust",
        "ini",
        "dockerfile",
        "groovy",
        "text",
    ];
    for block in blocks() {
        assert!(
            known.contains(&block.language.as_str()),
            "{}: `{}`\n{}",
            block.page,
            block.language,
            block.text
        );
    }
}

#[test]
fn what_is_not_run_is_still_shown() {
    let commands = commands();
    for (command, why) in NOT_RUN {
        assert!(commands.iter().any(|shown| shown == command), "`{command}` is shown nowhere");
        assert!(!why.is_empty());
    }
}

/// A Cargo workspace that is a project and has two more in it; the backend compiles nothing, the
/// commands do.
#[cfg(unix)]
fn workspace(test: &Test) -> Project {
    let project = test.project("p");
    let package = |name: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n")
    };
    project.write(
        "Cargo.toml",
        &(package("p") + "\n[workspace]\nmembers = [\"crates/py\", \"python\"]\n"),
    );
    project.write("src/lib.rs", "");
    for (name, directory) in [("one", "crates/py"), ("two", "python")] {
        for file in ["backend.py", "pyproject.toml"] {
            project.write(
                &format!("{directory}/{file}"),
                &std::fs::read_to_string(project.path.join(file)).unwrap(),
            );
        }
        project.write(&format!("{directory}/Cargo.toml"), &package(name));
        project.write(&format!("{directory}/src/lib.rs"), "");
    }
    project
}

#[cfg(unix)]
#[test]
fn every_command_that_is_shown_works() {
    let test = Test::new();
    let project = workspace(&test);
    let toolchain = Path::new(env!("CARGO")).parent().unwrap();
    let ours = Path::new(env!("CARGO_BIN_EXE_cargo-pyenv-build")).parent().unwrap();
    let interpreter = python().path.to_string_lossy().into_owned();
    let mut ran = 0;
    let commands = commands();
    // Once more what asks for a file that is there only afterwards; other systems' tar has other
    // options.
    let again = commands
        .iter()
        .filter(|command| cfg!(target_os = "linux") && command.starts_with("if "))
        .cloned();
    for command in commands.iter().cloned().chain(again) {
        if NOT_RUN.iter().any(|(not_run, _)| *not_run == command) {
            continue;
        }
        // Which versions a machine has is its own affair.
        let here = ["3.12", "3.13"].iter().fold(command, |text, version| {
            text.replace(&format!("-p {version} "), &format!("-p '{interpreter}' "))
                .strip_suffix(&format!("-p {version}"))
                .map_or_else(|| text.clone(), |start| format!("{start}-p '{interpreter}'"))
        });
        let program = test
            .command("sh")
            .args(["-e", "-c", &here])
            .in_(&project)
            .installer(Installer::quick(), &test);
        let path = test.search_path(&[toolchain, ours]).into_string().unwrap();
        let uv = crate::context::uv()
            .map(|uv| format!(":{}", uv.parent().unwrap().display()))
            .unwrap_or_default();
        let run = program.env("PATH", path + &uv).env("CARGO_NET_OFFLINE", "true").run().success();
        assert!(!run.stderr.contains("warning: "), "`{here}` warns: {}", run.stderr);
        ran += 1;
    }
    assert!(ran > 25, "{ran}");
    assert_eq!(project.last_report()["ok"], true);
}

#[test]
fn examples_parse() {
    let mut python_code = Vec::new();
    for Block { page, language, text } in blocks() {
        let sound = match language.as_str() {
            "yaml" => {
                serde_yaml_ng::from_str::<Value>(&text).map_err(|error| error.to_string()).map(drop)
            }
            "toml" => text.parse::<toml::Table>().map_err(|error| error.to_string()).map(drop),
            // README's report has `...` only within strings.
            "json" => {
                serde_json::from_str::<Value>(&text).map_err(|error| error.to_string()).map(drop)
            }
            "python" => {
                python_code.push(text.clone());
                Ok(())
            }
            _ => Ok(()),
        };
        assert_eq!(sound, Ok(()), "{page}:\n{text}");
    }
    assert!(!python_code.is_empty());
    let test = Test::pristine();
    let code = "import ast, json, sys\nfor text in json.loads(sys.argv[1]): ast.parse(text)";
    test.command(&python().path)
        .args(["-I", "-c", code, &json!(python_code).to_string()])
        .run()
        .success();
}

#[test]
fn examples_for_other_services_have_the_form_that_those_read() {
    let of = |key: &str| -> Vec<Value> {
        let blocks = blocks()
            .into_iter()
            .filter(|block| block.page == "docs/guides/other-ci.md" && block.language == "yaml");
        blocks
            .map(|block| serde_yaml_ng::from_str(&block.text).unwrap())
            .filter(|value: &Value| !value[key].is_null())
            .collect()
    };
    let [gitlab] = <[Value; 1]>::try_from(of("test")).unwrap();
    let job = &gitlab["test"];
    assert!(
        job["script"].as_array().unwrap().iter().all(Value::is_string),
        "what has `: ` in it must be quoted"
    );
    assert!(
        job["cache"]["key"].is_string()
            && job["cache"]["paths"].is_array()
            && job["image"].is_string()
    );
    let [buildkite] = <[Value; 1]>::try_from(of("steps")).unwrap();
    let step = &buildkite["steps"][0];
    assert!(step["command"].as_array().unwrap().iter().all(Value::is_string));
    assert!(step["matrix"].as_array().unwrap().iter().all(Value::is_string), "3.10 is not 3.1");
}

/// Targets of links, in Markdown's two forms, outside of fenced blocks and code.
fn links() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for (page, text) in pages() {
        let mut is_code = false;
        for line in text.lines() {
            if line.trim_start().starts_with("```") {
                is_code = !is_code;
            }
            if is_code {
                continue;
            }
            for rest in line.split("](").skip(1) {
                found.insert((page.clone(), rest.split(')').next().unwrap().to_owned()));
            }
        }
    }
    found
}

#[test]
fn links_have_the_form_of_links() {
    let links = links();
    let external: Vec<_> = links.iter().filter(|(_, target)| target.contains("://")).collect();
    assert!(external.len() > 30, "{}", external.len());
    for (page, target) in external {
        let url =
            url::Url::parse(target).unwrap_or_else(|error| panic!("{page}: {target}: {error}"));
        assert!(
            url.scheme() == "https" && url.host_str().is_some_and(|host| host.contains('.')),
            "{page}: {target}"
        );
        assert!(
            url.username().is_empty() && url.port().is_none() && !target.contains(' '),
            "{page}: {target}"
        );
        // Code is named as it was when it was read.
        let parts: Vec<&str> = url.path().split('/').collect();
        if url.host_str() == Some("github.com")
            && let [_, _, _, "blob", commit, ..] = parts[..]
        {
            let is_commit =
                commit.len() >= 7 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(
                is_commit || commit.starts_with(|c: char| c.is_ascii_digit() || c == 'v'),
                "{page}: {target} is no permalink"
            );
        }
    }
}

#[test]
fn readme_is_short() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.lines().count() <= 120, "what is more belongs into docs");
}

/// Titles and files of the site's pages, in the order of its navigation.
fn navigation(entry: &Value, found: &mut Vec<(String, String)>) {
    match entry {
        Value::Array(entries) => entries.iter().for_each(|entry| navigation(entry, found)),
        Value::Object(named) => {
            for (title, value) in named {
                match value {
                    Value::String(file) => found.push((title.clone(), file.clone())),
                    _ => navigation(value, found),
                }
            }
        }
        _ => panic!("{entry}"),
    }
}

/// <https://llmstxt.org>: a heading, a quoted summary, lists of links with a note.
#[test]
fn llms_txt_has_the_pages_of_the_site() {
    let read =
        |name: &str| std::fs::read_to_string(root().join(name)).unwrap().replace("\r\n", "\n");
    let site: Value = serde_yaml_ng::from_str(&read("mkdocs.yml")).unwrap();
    let mut pages = Vec::new();
    navigation(&site["nav"], &mut pages);
    let text = read("docs/llms.txt");
    let start: Vec<&str> = text.lines().filter(|line| !line.is_empty()).take(2).collect();
    assert!(start[0].starts_with("# ") && start[1].starts_with("> "), "{start:?}");
    let links: Vec<(String, String)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("- ["))
        .map(|line| {
            let (title, rest) = line.split_once("](").unwrap();
            let (file, note) = rest.split_once("): ").unwrap();
            assert!(!note.is_empty(), "{line}");
            (title.to_owned(), file.to_owned())
        })
        .collect();
    assert_eq!(links, pages, "docs/llms.txt and `nav` of mkdocs.yml");
}

#[test]
fn readme_links_to_what_is_there_and_to_the_site() {
    let targets: Vec<String> = links()
        .into_iter()
        .filter(|(page, _)| page == "README.md")
        .map(|(_, target)| target)
        .collect();
    let relative: Vec<&String> = targets
        .iter()
        .filter(|target| !target.contains("://") && !target.starts_with('#'))
        .collect();
    for target in &relative {
        let file = target.split('#').next().unwrap();
        assert!(root().join(file).exists(), "README links to `{target}`");
    }
    assert!(
        relative.iter().filter(|target| target.starts_with("docs/")).count() > 5,
        "{relative:?}"
    );
}

#[test]
fn benchmarks_are_shown_as_they_were_measured() {
    let test = Test::pristine();
    let render =
        || test.command(&python().path).args(["-I", "-B"]).arg(root().join("benches/render.py"));
    // What is checked in.
    render().arg("--check").run().success();

    let (results, docs) = (test.path.join("results"), test.path.join("docs"));
    std::fs::create_dir_all(&results).unwrap();
    std::fs::create_dir_all(&docs).unwrap();
    std::fs::write(
        docs.join("benchmarks.md"),
        "before\n<!-- results -->\n<!-- end of results -->\nafter\n",
    )
    .unwrap();
    let readme = test.path.join("README.md");
    std::fs::write(&readme, "<!-- measured: second job -->\nold\n<!-- end of measured -->\nrest\n")
        .unwrap();
    let row = |name: &str, seconds: [f64; 3]| json!({"name": name, "seconds": seconds});
    let run = json!({
        "schema": 1, "bench": "warm", "program": "0.1.0",
        "machine": {"os": "linux", "arch": "x86_64", "processors": 2, "processor": null, "rustc": "rustc 1.95.0"},
        "tables": [{"title": "a & b, nothing to do", "reference": "build",
                    "rows": [row("build", [2.0, 1.0, 3.0]), row("uv <build>", [4.0, 4.0, 30.0])]}],
    });
    std::fs::write(results.join("warm.json"), run.to_string()).unwrap();
    let of_job = |step: &str, others: f64, ours: f64| {
        json!({"title": format!("p-1{step}"), "reference": "cargo-pyenv-build",
               "rows": [row("rust-cache alone", [others; 3]), row("cargo-pyenv-build", [ours; 3])]})
    };
    let job = json!({
        "schema": 1, "bench": "job", "program": "0.1.0", "machine": run["machine"],
        "tables": [of_job(", the second job", 12.0, 0.52), of_job(", the second job: wheel", 6.0, 0.26),
                   of_job(", the second job: clippy", 3.0, 0.13), of_job(", the second job: test", 3.0, 0.13)],
    });
    std::fs::write(results.join("job.json"), job.to_string()).unwrap();
    let here = || render().arg("--results").arg(&results).arg("--docs").arg(&docs);
    here().arg("--check").run().exits(1);
    here().run().success();
    here().arg("--check").run().success();
    // A number in README, and the picture.
    insta::assert_snapshot!(std::fs::read_to_string(&readme).unwrap(), @r"
    <!-- measured: second job -->
    > A second CI job of `p-1` (wheel, clippy and tests in a fresh checkout, nothing changed)
    > takes **0.52 s**. It takes 12 s with rust-cache alone. Restoring caches is not counted.
    <!-- end of measured -->
    rest
    ");
    let picture = docs.join("benchmarks/second-job.svg");
    let bars = "import sys, xml.etree.ElementTree as tree\n\
        root = tree.parse(sys.argv[1]).getroot()\n\
        print([round(float(bar.get('width'))) for bar in root.iter('{http://www.w3.org/2000/svg}rect')])";
    let widths = |plot: &Path| {
        let said = test.command(&python().path).args(["-I", "-c", bars]).arg(plot).run().success();
        said.stdout.trim().to_owned()
    };
    // Three steps of either, and the legend.
    assert_eq!(widths(&picture), "[210, 105, 105, 9, 4, 4, 10, 10, 10, 10, 10, 10]");
    // They are not what the results say any more.
    std::fs::write(&picture, std::fs::read_to_string(&picture).unwrap().replace("12 s", "11 s"))
        .unwrap();
    let run_of_check = here().arg("--check").run().exits(1);
    assert!(run_of_check.stdout.contains("second-job.svg differs"), "{}", run_of_check.stdout);
    std::fs::remove_file(results.join("job.json")).unwrap();
    std::fs::remove_file(&readme).unwrap();
    here().run().success();
    assert!(!picture.exists());
    let page = std::fs::read_to_string(docs.join("benchmarks.md")).unwrap();
    insta::assert_snapshot!(page, @r"
    before
    <!-- results -->

    ## warm

    `warm` with cargo-pyenv-build 0.1.0, rustc 1.95.0; linux x86_64, 2 processors.

    **a & b, nothing to do** (3 rounds, in turn; seconds)

    | | min | median | max | build / this |
    | --- | --: | --: | --: | --: |
    | build | 1.000 | 2.000 | 3.000 |  |
    | uv <build> | 4.000 | 4.000 | 30.0 | 0.25 |

    ![a & b, nothing to do](benchmarks/warm-1.svg)

    <!-- end of results -->
    after
    ");
    let plot = docs.join("benchmarks/warm-1.svg");
    // 420 are the longest time, 30 s.
    assert_eq!(widths(&plot), "[28, 56]");
    // A plot of what is no longer there goes.
    std::fs::remove_file(results.join("warm.json")).unwrap();
    here().run().success();
    assert!(!plot.exists());
    std::fs::write(
        results.join("warm.json"),
        run.to_string().replace("\"schema\":1", "\"schema\":2"),
    )
    .unwrap();
    let run = here().run().exits(1);
    assert!(run.stderr.contains("the schema is 2, not 1"), "{}", run.stderr);
}
