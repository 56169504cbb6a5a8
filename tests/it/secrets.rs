//! Credentials in index URLs, tokens in the environment: they reach the index, and nobody else.

use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;

use crate::context::*;
use crate::server::{Request, Response, Server};

const PASSWORD: &str = "pa55-0f-the-index";
const TOKEN: &str = "t0k3n-0f-the-registry";

/// An index of the wheels in a directory for who knows the password; `watch` is called at each
/// request.
fn index(wheels: &Path, watch: impl Fn() + Send + 'static) -> Server {
    let directory = wheels.to_path_buf();
    let expected = format!("Basic {}", BASE64.encode(format!("me:{PASSWORD}")));
    Server::start(move |request: &Request| -> Response {
        watch();
        if request.authorization.as_ref() != Some(&expected) {
            return (401, "text/plain", Vec::new());
        }
        let name = request.target.trim_matches('/').rsplit('/').next().unwrap_or_default();
        if let Ok(bytes) = std::fs::read(directory.join(name)) {
            return (200, "application/octet-stream", bytes);
        }
        if request.target == "/constraints.txt" {
            return (200, "text/plain", b"dep<3\n".to_vec());
        }
        let files =
            list(&directory).into_iter().filter(|file| file.starts_with(&format!("{name}-")));
        let links: Vec<String> = files
            .map(|file| {
                let hash = sha256(std::fs::read(directory.join(&file)).unwrap());
                format!("<a href=\"/files/{file}#sha256={hash}\">{file}</a>")
            })
            .collect();
        let status = if links.is_empty() { 404 } else { 200 };
        (
            status,
            "text/html",
            format!("<!DOCTYPE html><html><body>{}</body></html>", links.concat()).into_bytes(),
        )
    })
}

/// What is wrong with a text.
#[track_caller]
fn has_no_secrets(what: &str, text: &str) {
    for secret in [PASSWORD, TOKEN, &BASE64.encode(format!("me:{PASSWORD}"))] {
        assert!(!text.contains(secret), "{what} has a secret: {text}");
    }
}

#[track_caller]
fn has_no_secrets_on_disk(project: &Project) {
    let mut seen = 0;
    for entry in walkdir::WalkDir::new(&project.path)
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file())
    {
        let is_the_users = entry.path().file_name().is_some_and(|name| name == "pyproject.toml");
        if !is_the_users {
            has_no_secrets(
                &entry.path().display().to_string(),
                &String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()),
            );
            seen += 1;
        }
    }
    assert!(seen > 10, "there was something to look at");
}

/// How the index is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Pip,
    Uv,
    /// By a requirement of the project's.
    Requirement,
}

#[test]
#[cfg(target_os = "linux")]
fn credentials_of_indexes_and_tokens_go_nowhere_else() {
    use crate::processes::{MARK, processes};
    for installer in Installer::all() {
        for told in [Told::Pip, Told::Uv, Told::Requirement] {
            let test = Test::new();
            let wheels = test.wheels();
            wheels.add("dep", "1", &[]);
            let mark = test.path.display().to_string();
            let titles = Arc::new(Mutex::new(Vec::new()));
            let (seen, watched) = (Arc::clone(&titles), mark.clone());
            let server = index(&wheels.path, move || {
                seen.lock().unwrap().extend(processes(&watched).into_iter().map(|one| one.command));
            });
            let base = format!("http://me:{PASSWORD}@{}", server.address());
            let index = format!("{base}/simple");
            let requirement = match told {
                Told::Requirement => format!("dep @ {base}/files/dep-1-py3-none-any.whl"),
                _ => "dep".to_owned(),
            };
            let project = test.project("p").requires(&[&requirement]);
            // A backend that says too much: what it prints is its own, but how it fails is told by
            // us.
            let backend = std::fs::read_to_string(project.path.join("backend.py")).unwrap();
            let program = |command: &[&str]| {
                let program = test
                    .program(command)
                    .installer(installer, &test)
                    .in_(&project)
                    .env(MARK, &mark)
                    .env("NO_PROXY", "127.0.0.1");
                let program = program.env("SAYS", format!("{index} failed"));
                let program = [
                    "CARGO_REGISTRY_TOKEN",
                    "UV_PUBLISH_TOKEN",
                    "GITHUB_TOKEN",
                    "MATURIN_PASSWORD",
                    "UV_INDEX_OTHER_PASSWORD",
                ]
                .iter()
                .fold(program, |program, name| program.env(name, TOKEN));
                let constraints = format!("{base}/constraints.txt");
                match told {
                    Told::Pip => {
                        program.env("PIP_INDEX_URL", &index).env("PIP_CONSTRAINT", constraints)
                    }
                    Told::Uv => program
                        .env("UV_DEFAULT_INDEX", &index)
                        .env("UV_BUILD_CONSTRAINT", constraints),
                    Told::Requirement => program.env("PIP_NO_INDEX", "1"),
                }
            };
            let check = |run: Run, code: i32, what: &str| {
                assert_eq!(run.code, Some(code), "{what} with {} and {told:?}", installer.name());
                has_no_secrets(what, &run.stdout);
                has_no_secrets(what, &run.stderr);
            };
            check(program(&["-vv", "build", "--message-format=json"]).run(), 0, "build");
            check(program(&["-vv", "build", "--upgrade", "--sdist"]).run(), 0, "build again");
            for command in [
                &["lock"][..],
                &["fingerprint", "--explain"],
                &["env", "--format", "json"],
                &["why", "--message-format=json"],
                &["gc"],
            ] {
                check(program(command).run(), 0, command[0]);
            }
            has_no_secrets_on_disk(&project);

            project.write(
                "backend.py",
                &backend
                    .replace("def build_editable(", "def build_editable(*args):\n    raise ValueError(os.environ['SAYS'])\n\ndef _unused("),
            );
            check(
                program(&["-vv", "build", "--editable", "--message-format=json"]).run(),
                1,
                "a failing hook",
            );
            check(program(&["build", "--editable"]).run(), 1, "a failing hook");
            project.set_requires(&[&requirement, "no-such-thing"]);
            check(
                program(&["-vv", "build", "--message-format=json"]).run(),
                4,
                "what cannot be resolved",
            );
            project.set_requires(&[&format!("gone @ {base}/files/gone-1-py3-none-any.whl")]);
            check(program(&["-vv", "build", "--message-format=json"]).run(), 4, "what is gone");
            has_no_secrets_on_disk(&project);

            assert!(
                server.requests().iter().any(|request| request.authorization.is_some()),
                "the index was told"
            );
            let titles = titles.lock().unwrap();
            assert!(titles.iter().any(|title| title.contains("pip")), "{titles:?}");
            has_no_secrets("a process title", &titles.join("\n"));
        }
    }
}
