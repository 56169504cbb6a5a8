//! `[tool.uv.sources]` and `extra-build-dependencies`: where the project says that build
//! requirements come from, with either installer.

use std::path::Path;

use serde_json::{Value, json};

use crate::context::{Installer, Program, Project, Run, Test, Wheels};
use crate::server::{Response, Server};

/// A simple index of a directory of wheels, and their files.
fn index(wheels: &Path) -> Server {
    let wheels = wheels.to_path_buf();
    Server::start(move |request| -> Response {
        let not_found = (404, "text/plain", Vec::new());
        if let Some(name) = request.target.strip_prefix("/files/") {
            return std::fs::read(wheels.join(name))
                .map_or(not_found, |bytes| (200, "application/octet-stream", bytes));
        }
        let Some(name) = request.target.strip_prefix("/simple/") else { return not_found };
        let name = name.trim_end_matches('/');
        let files = crate::context::list(&wheels)
            .into_iter()
            .filter(|file| file.replace('_', "-").starts_with(&format!("{name}-")));
        let link = |file: String| {
            let hash = crate::context::sha256(std::fs::read(wheels.join(&file)).unwrap());
            format!("<a href=\"/files/{file}#sha256={hash}\">{file}</a>\n")
        };
        let links: String = files.map(link).collect();
        if links.is_empty() { not_found } else { (200, "text/html", links.into_bytes()) }
    })
}

/// A project of the fixture backend to be required, at a version of its own.
fn local(test: &Test, directory: &str, name: &str, version: &str) -> Project {
    let project = test.project(directory);
    project.set_backend(&json!({"name": name, "version": version}));
    let _ = std::fs::remove_dir_all(project.root());
    named(project, name, version)
}

/// Another name and version in `[project]`.
fn named(project: Project, name: &str, version: &str) -> Project {
    let file = project.path.join("pyproject.toml");
    let mut table: toml::Table = std::fs::read_to_string(&file).unwrap().parse().unwrap();
    table.insert(
        "project".to_owned(),
        format!("name = '{name}'\nversion = '{version}'").parse::<toml::Table>().unwrap().into(),
    );
    std::fs::write(file, table.to_string()).unwrap();
    project
}

fn provision(test: &Test, project: &Project, wheels: &Wheels, installer: Installer) -> Program {
    let program = test
        .program(&["--message-format=json", "provision"])
        .args(wheels.flags())
        .installer(installer, test)
        .in_(project)
        .env_remove("UV_NO_CONFIG");
    program.env("NO_PROXY", "127.0.0.1")
}

/// The versions in the environment that is made, of `dep` and what else is named.
fn versions(test: &Test, run: Run, names: &[&str]) -> Vec<String> {
    let report: Value = run.success().json();
    let python = report["env"]["python"].as_str().unwrap();
    let script =
        "import importlib.metadata as m, sys; print(*[m.version(name) for name in sys.argv[1:]])";
    let shown = test.command(python).args(["-I", "-c", script]).args(names).run().success();
    shown.stdout.split_whitespace().map(str::to_owned).collect()
}

fn git(directory: &Path, args: &[&str]) {
    let run = std::process::Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
        .args(args)
        .current_dir(directory)
        .output();
    assert!(run.unwrap().status.success(), "{args:?}");
}

#[test]
fn each_kind_of_source_is_where_the_requirement_comes_from() {
    for installer in Installer::all() {
        let test = Test::new();
        let wheels = test.wheels();
        wheels.add("dep", "1", &[]);
        local(&test, "dep", "dep", "7");
        let repository = local(&test, "repository", "dep", "8");
        git(&repository.path, &["init", "-q", "-b", "main"]);
        git(&repository.path, &["add", "-A"]);
        git(&repository.path, &["commit", "-qm", "x"]);
        git(&repository.path, &["tag", "v8"]);
        let more = Wheels { path: test.path.join("more") };
        std::fs::create_dir(&more.path).unwrap();
        more.add("dep", "9", &[]);
        let server = index(&more.path);
        let url = url::Url::from_file_path(&repository.path).unwrap();
        let cases = [
            ("path", "{ path = '../dep' }".to_owned(), "7"),
            ("editable", "{ path = '../dep', editable = true }".to_owned(), "7"),
            ("file", "{ path = '../more/dep-9-py3-none-any.whl' }".to_owned(), "9"),
            ("git", format!("{{ git = '{url}', tag = 'v8' }}"), "8"),
            ("branch", format!("{{ git = '{url}', branch = 'main' }}"), "8"),
            ("url", format!("{{ url = 'http://{}/files/dep-9-py3-none-any.whl' }}", server.address()), "9"),
            (
                "marker",
                "[{ path = '../nowhere', marker = \"python_version < '3'\" }, { path = '../dep', marker = \"python_version >= '3'\" }]"
                    .to_owned(),
                "7",
            ),
            ("rest", "[{ path = '../dep', marker = \"python_version < '3'\" }]".to_owned(), "1"),
            ("group", "{ path = '../dep', group = 'dev' }".to_owned(), "1"),
            ("extra", "{ path = '../dep', extra = 'dev' }".to_owned(), "1"),
        ];
        for (name, source, version) in cases {
            // A pip before 24.1, as Python may bring it, knows no `git+file:`.
            if source.contains("git =") && installer == Installer::Pip {
                continue;
            }
            let project = test
                .project(name)
                .requires(&["dep"])
                .pyproject(&format!("[tool.uv.sources]\nDep = {source}"));
            let run = provision(&test, &project, &wheels, installer).run();
            assert_eq!(
                versions(&test, run, &["dep"]),
                [version],
                "{name} with {}",
                installer.name()
            );
        }
        let project = test
            .project("off")
            .requires(&["dep"])
            .pyproject("[tool.uv.sources]\ndep = { path = '../dep' }");
        let run = provision(&test, &project, &wheels, installer).env("UV_NO_SOURCES", "1").run();
        assert_eq!(versions(&test, run, &["dep"]), ["1"]);
    }
}

#[test]
fn members_of_the_workspace_and_what_they_need_come_from_it() {
    for installer in Installer::all() {
        let test = Test::new();
        let wheels = test.wheels();
        wheels.add("dep", "1", &[]);
        wheels.add("below", "1", &[]);
        std::fs::write(
            test.path.join("pyproject.toml"),
            "[tool.uv.workspace]\nmembers = ['members/*']\n[tool.uv.sources]\ndep = { workspace = true }\nbelow = { workspace = true }\n",
        )
        .unwrap();
        let dep = local(&test, "members/one", "dep", "7")
            .backend(&json!({"name": "dep", "version": "7", "dependencies": ["below"]}));
        let text = std::fs::read_to_string(dep.path.join("pyproject.toml")).unwrap();
        dep.write(
            "pyproject.toml",
            &text.replace("[project]", "[project]\ndependencies = ['below']"),
        );
        let below = local(&test, "members/two", "below", "8");
        let project = test.project("members/p").requires(&["dep"]);
        let program = provision(&test, &project, &wheels, installer);
        let first = program.run();
        let path = first.json()["env"]["path"].clone();
        assert_eq!(versions(&test, first, &["dep", "below"]), ["7", "8"], "{}", installer.name());
        assert_eq!(program.run().success().json()["env"]["outcome"], "reused");
        // By content, also of what is only required by a requirement.
        below.set_backend(&json!({"name": "below", "version": "9"}));
        let second = program.run();
        assert_ne!(second.json()["env"]["path"], path);
        assert_eq!(versions(&test, second, &["dep", "below"])[0], "7");
    }
}

#[test]
fn a_name_that_is_the_projects_own_is_not_asked_for_elsewhere() {
    for installer in Installer::all() {
        let test = Test::new();
        let (public, corp) = (test.wheels(), Wheels { path: test.path.join("corp") });
        std::fs::create_dir(&corp.path).unwrap();
        public.add("tool", "1", &["dep", "secret-name"]);
        public.add("dep", "100", &[]);
        public.add("secret_name", "100", &[]);
        corp.add("secret_name", "1", &[]);
        let (public, corp) = (index(&public.path), index(&corp.path));
        local(&test, "dep", "dep", "7");
        let project = test.project("p").requires(&["tool", "dep", "Secret.Name>=1"]).pyproject(&format!(
            "[tool.uv.sources]\ndep = {{ path = '../dep' }}\nsecret-name = {{ index = 'corp' }}\n\
             [[tool.uv.index]]\nname = 'corp'\nurl = 'http://{}/simple'\nexplicit = true",
            corp.address()
        ));
        let program = test
            .program(&["--message-format=json", "provision", "-i"])
            .arg(format!("http://{}/simple", public.address()));
        let program =
            program.installer(installer, &test).in_(&project).env("NO_PROXY", "127.0.0.1");
        let program =
            program.env("UV_INDEX_CORP_USERNAME", "me").env("UV_INDEX_CORP_PASSWORD", "s3cret");
        assert_eq!(
            versions(&test, program.run(), &["tool", "dep", "secret-name"]),
            ["1", "7", "1"],
            "{}",
            installer.name()
        );
        let asked: Vec<String> =
            public.requests().into_iter().map(|request| request.target).collect();
        assert!(asked.iter().any(|target| target.contains("tool")), "{asked:?}");
        assert!(
            !asked.iter().any(|target| target.contains("dep") || target.contains("secret")),
            "{} asked for {asked:?}",
            installer.name()
        );
        assert!(
            corp.requests().iter().any(|request| request.authorization.is_some()),
            "the password was given"
        );
        let memo = project.list(".pyenv-build/requests").remove(0);
        assert!(
            !std::fs::read_to_string(project.root().join("requests").join(memo))
                .unwrap()
                .contains("s3cret")
        );
        // A lock file has it too.
        program.clone().args(["--installer", installer.name()]).run().success();
    }
}

#[test]
fn what_only_a_requirement_requires_comes_from_the_projects_source_too() {
    for installer in Installer::all() {
        let test = Test::new();
        let (wheels, corp) = (test.wheels(), Wheels { path: test.path.join("corp") });
        std::fs::create_dir(&corp.path).unwrap();
        wheels.add("tool", "1", &["dep", "below"]);
        wheels.add("dep", "100", &[]);
        wheels.add("below", "100", &[]);
        corp.add("below", "2", &[]);
        let corp = index(&corp.path);
        local(&test, "dep", "dep", "7");
        let project = test.project("p").requires(&["tool"]).pyproject(&format!(
            "[tool.uv.sources]\ndep = {{ path = '../dep' }}\nbelow = {{ index = 'corp' }}\nrarely = {{ path = '../not/checked/out' }}\n\
             [[tool.uv.index]]\nname = 'corp'\nurl = 'http://{}/simple'",
            corp.address()
        ));
        let run = provision(&test, &project, &wheels, installer).run();
        assert_eq!(versions(&test, run, &["dep", "below"]), ["7", "2"], "{}", installer.name());
    }
}

#[test]
fn a_source_is_part_of_the_fingerprint_by_content() {
    for installer in Installer::all() {
        let test = Test::new();
        let wheels = test.wheels();
        let dep = local(&test, "dep", "dep", "7");
        let project = test
            .project("p")
            .requires(&["dep"])
            .pyproject("[tool.uv.sources]\ndep = { path = '../dep' }");
        let program = provision(&test, &project, &wheels, installer);
        let path = |run: Run| run.success().json()["env"]["path"].as_str().unwrap().to_owned();
        let first = path(program.run());
        dep.set_backend(
            &json!({"name": "dep", "version": "7", "members": {"dep.py": "CHANGED = True\n"}}),
        );
        assert_ne!(path(program.run()), first);
        dep.set_backend(&json!({"name": "dep", "version": "7"}));
        assert_eq!(path(program.run()), first);
    }
}

#[test]
fn a_wheel_from_the_source_distribution_has_the_sources_of_the_source_tree() {
    let test = Test::new();
    let wheels = test.wheels();
    local(&test, "dep", "dep", "7");
    let project = test
        .project("p")
        .requires(&["dep"])
        .pyproject("[tool.uv.sources]\ndep = { path = '../dep' }");
    let build = test
        .program(&["--from-sdist"])
        .args(wheels.flags())
        .installer(Installer::quick(), &test)
        .in_(&project);
    assert_eq!(build.run().success().lines().len(), 2);
    assert_eq!(project.envs().len(), 1);
}

#[test]
fn extra_build_dependencies_are_build_requirements() {
    for installer in Installer::all() {
        let test = Test::new();
        let wheels = test.wheels();
        wheels.add("dep", "1", &[]);
        wheels.add("more", "1", &[]);
        local(&test, "more", "more", "7");
        let project = named(test.project("p").requires(&["dep"]), "Tiny.Thing", "1").pyproject(
            "[tool.uv.extra-build-dependencies]\ntiny-thing = ['more']\nother = ['nothing']\n\
             [tool.uv.sources]\nmore = { path = '../more' }",
        );
        let run = provision(&test, &project, &wheels, installer).run();
        assert_eq!(versions(&test, run, &["dep", "more"]), ["1", "7"]);
    }
}

#[test]
fn what_cannot_be_honoured_is_an_error_that_names_the_line() {
    let test = Test::new();
    let wheels = test.wheels();
    wheels.add("dep", "1", &[]);
    let nested = local(&test, "nested", "dep", "1");
    nested.set_requires(&["below"]);
    let nested = nested.pyproject("[tool.uv.sources]\nbelow = { path = '../below' }");
    let message = |source: &str| {
        let _ = std::fs::remove_dir_all(test.path.join("p"));
        let project = test.project("p").requires(&["dep"]).pyproject(source);
        let run = provision(&test, &project, &wheels, Installer::Pip).run().exits(2);
        let error = run.json()["error"].clone();
        assert_eq!(error["kind"], "InvalidProject");
        assert!(error["hint"].is_string(), "{error}");
        let text = std::fs::read_to_string(project.path.join("pyproject.toml")).unwrap();
        let line = text
            .lines()
            .position(|line| line.starts_with("dep =") || line.starts_with("tiny ="))
            .unwrap()
            + 1;
        (error["message"].as_str().unwrap().to_owned(), format!("line {line}: "))
    };
    for (source, says) in [
        ("{ workspace = true }", "not in the workspace"),
        ("{ index = 'corp' }", "names an index that is not defined"),
        ("{ path = '../nowhere' }", "names a path that does not exist"),
        ("{ path = '../p' }", "names the project itself"),
        (
            "[{ path = '../nowhere', marker = \"python_version > '3'\" }]",
            "names a path that does not exist",
        ),
        (
            "{ git = 'https://h/x', rev = 'a', tag = 'b' }",
            "more than one of `rev`, `tag` and `branch`",
        ),
        ("{ path = '../dep', git = 'https://h/x' }", "must be one of"),
        ("{ pth = '../dep' }", "is not a source"),
        ("{ git = 'git@h:x' }", "is not a requirement that installers understand"),
        ("{ path = '../nested', package = false }", "cannot be honoured: `package = false`"),
        ("{ path = '../nested', marker = 'x y' }", "has a marker that is not one"),
    ] {
        let (message, line) = message(&format!("[tool.uv.sources]\ndep = {source}"));
        assert!(message.contains(says) && message.contains(&line), "{source}: {message}");
    }
    let (text, line) = message(
        "[tool.uv.extra-build-dependencies]\ntiny = [{ requirement = 'dep', match-runtime = true }]",
    );
    assert!(text.contains("there is no version to match") && text.contains(&line), "{text}");
    let (text, _) = message("[tool.uv.sources]\ndep = { path = '../nested' }");
    assert!(
        text.contains(nested.path.to_str().unwrap()) && text.contains("cannot be honoured by pip"),
        "{text}"
    );
}

/// Also what only a requirement requires, and what is named by its URL.
#[test]
fn a_lock_file_asks_no_index_for_what_is_the_projects_own() {
    for installer in Installer::all() {
        let test = Test::new();
        let wheels = test.wheels();
        wheels.add("dep", "1", &[]);
        wheels.add("outer", "1", &["dep"]);
        let dep = local(&test, "dep", "dep", "7");
        let url = url::Url::from_file_path(&dep.path).unwrap();
        let by_source = test
            .project("p")
            .requires(&["outer"])
            .pyproject("[tool.uv.sources]\ndep = { path = '../dep' }");
        let by_url = test.project("q").requires(&["outer", &format!("dep @ {url}")]);
        for project in [by_source, by_url] {
            let program = |args: &[&str]| {
                let program = test.program(&["--message-format=json"]).args(args);
                program.args(wheels.flags()).installer(installer, &test).in_(&project).run()
            };
            program(&["lock"]).success();
            let locked = program(&["provision", "--locked"]);
            assert_eq!(versions(&test, locked, &["dep", "outer"]), ["7", "1"]);
        }
    }
}

/// Nobody writes to the other end.
#[test]
#[cfg(unix)]
fn a_pipe_in_a_source_is_not_read() {
    let test = Test::new();
    let wheels = test.wheels();
    let dep = local(&test, "dep", "dep", "7");
    test.command("mkfifo").arg(dep.path.join("pipe")).run().success();
    let project = test
        .project("p")
        .requires(&["dep"])
        .pyproject("[tool.uv.sources]\ndep = { path = '../dep' }");
    let run = provision(&test, &project, &wheels, Installer::quick()).run();
    assert_eq!(versions(&test, run, &["dep"]), ["7"]);
}

#[test]
fn a_lock_file_has_the_sources_and_is_enough() {
    for installer in Installer::all() {
        let test = Test::new();
        let wheels = test.wheels();
        wheels.add("dep", "1", &[]);
        wheels.add("more", "1", &[]);
        local(&test, "dep", "dep", "7");
        let project = test
            .project("p")
            .requires(&["dep", "more"])
            .pyproject("[tool.uv.sources]\ndep = { path = '../dep' }");
        let program = |args: &[&str]| {
            let program = test
                .program(&["--message-format=json"])
                .args(args)
                .args(wheels.flags())
                .installer(installer, &test)
                .in_(&project);
            program.run().success()
        };
        program(&["lock"]);
        let lock = std::fs::read_to_string(project.path.join("pylock.build.toml")).unwrap();
        assert!(!lock.contains("provision-"), "{lock}");
        assert_eq!(
            versions(&test, program(&["provision", "--locked"]), &["dep", "more"]),
            ["7", "1"],
            "{lock}"
        );
    }
}
