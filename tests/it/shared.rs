//! One directory of ours for many: at once, under clocks that jump, and by versions of this program
//! that differ.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::bad_input::half_made;
use crate::context::*;

/// Runs all at once. Returns the reports.
fn at_once(programs: &[Program]) -> Vec<Value> {
    std::thread::scope(|scope| {
        let running: Vec<_> =
            programs.iter().map(|program| scope.spawn(|| program.run().success().json())).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn outcomes(reports: &[Value]) -> BTreeMap<String, usize> {
    reports.iter().fold(BTreeMap::new(), |mut counts, report| {
        *counts.entry(report["env"]["outcome"].as_str().unwrap().to_owned()).or_default() += 1;
        counts
    })
}

#[test]
fn eight_projects_at_once_share_one_environment_that_one_of_them_makes() {
    for installer in Installer::all() {
        let test = Test::new();
        let wheels = test.wheels();
        wheels.add("dep", "1", &["more"]);
        wheels.add("more", "1", &[]);
        let root = test.path.join("root");
        test.prepare(&root);
        let programs: Vec<Program> = (0..8)
            .map(|number| {
                let project = test
                    .project(&format!("p{number}"))
                    .requires(&["dep"])
                    .backend(&json!({"name": format!("tiny{number}")}));
                let program = test
                    .program(&["build", "--message-format=json", "--root"])
                    .arg(&root)
                    .args(wheels.flags());
                program.installer(installer, &test).in_(&project)
            })
            .collect();
        let reports = at_once(&programs);
        assert_eq!(
            outcomes(&reports),
            BTreeMap::from([("created".to_owned(), 1), ("reused".to_owned(), 7)]),
            "{}",
            installer.name()
        );
        assert!(reports.iter().all(|report| report["env"]["path"] == reports[0]["env"]["path"]));
        for (number, report) in reports.iter().enumerate() {
            let name = format!("tiny{number}-1.0-py3-none-any.whl");
            assert!(report["artifacts"][0]["path"].as_str().unwrap().ends_with(&name), "{report}");
        }
        assert_eq!(half_made(&root), [""; 0]);
    }
}

#[test]
fn sixteen_builds_of_one_project_at_once_make_one_environment_and_one_artifact() {
    let test = Test::new();
    let wheels = test.wheels();
    wheels.add("dep", "1", &[]);
    let project = test.project("p").requires(&["dep"]);
    let program = test.program(&["build", "--message-format=json"]).args(wheels.flags());
    let program = program.installer(Installer::quick(), &test).in_(&project);
    let reports = at_once(&vec![program; 16]);
    assert_eq!(
        outcomes(&reports),
        BTreeMap::from([("created".to_owned(), 1), ("reused".to_owned(), 15)])
    );
    assert!(reports.iter().all(|report| report["artifacts"] == reports[0]["artifacts"]));
    assert_eq!(project.list("dist"), [".gitignore", "tiny-1.0-py3-none-any.whl"]);
    assert_eq!(half_made(&project.root()), [""; 0]);
}

/// All below a directory: names and content.
fn everything(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = walkdir::WalkDir::new(directory)
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file());
    entries
        .map(|entry| {
            let name = entry.path().strip_prefix(directory).unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

#[test]
fn a_hookd_of_which_a_file_is_missing_is_written_again() {
    let test = Test::new();
    let project = test.project("p");
    test.program(&["build"]).in_(&project).run().success();
    let names = project.list(".pyenv-build/hookd");
    assert_eq!(names.len(), 1);
    let module = project.root().join("hookd").join(&names[0]).join("hookd/wire.py");
    std::fs::remove_file(&module).unwrap();
    test.program(&["build"]).in_(&project).run().success();
    assert!(module.is_file());
    assert_eq!(project.list(".pyenv-build/hookd"), names);
}

/// What another version has in the directory that it shares with us is neither used nor harmed.
#[test]
fn another_version_of_this_program_shares_the_directory() {
    let test = Test::new();
    let project = test.project("p");
    let root = project.root();
    let foreign = [
        ("envs/cp39-aaaaaaaaaaaa/bin/python", "#!/bin/sh\nexit 1\n"),
        ("envs/cp39-aaaaaaaaaaaa.json", r#"{"schema": 1000, "what": ["is", "this"]}"#),
        ("envs/cp39-aaaaaaaaaaaa.lock", "\u{0}\u{1} not ours"),
        ("envs/cp39-bbbbbbbbbbbb.json", "no JSON at all"),
        ("envs/cp39-bbbbbbbbbbbb/bin/python", ""),
        ("requests/0123456789abcdef.json", r#"{"schema": 1000}"#),
        ("interpreters/0123456789abcdef.json", r#"{"schema": 1000}"#),
        ("hookd/hookd-000000000000.py", "raise SystemExit('another hookd')"),
        ("hookd/hookd-000000000001/hookd.py", "raise SystemExit('another hookd')"),
        ("locks/cccccccccccc.lock", "process of another version"),
        ("cargo/0123.json", r#"{"schema": 1000}"#),
        ("store/of-another-version/x", "y"),
        ("VERSION", "1000"),
    ];
    for (name, text) in foreign {
        project.write(&format!(".pyenv-build/{name}"), text);
    }
    project.write(".pyenv-build/reports/last.json", r#"{"schema": 1000, "ok": "perhaps"}"#);
    let run = test.program(&["why"]).in_(&project).run().exits(2);
    assert!(run.error().starts_with("no report found at"), "{}", run.error());
    for command in [
        &["provision"][..],
        &["fingerprint"],
        &["env"],
        &["build"],
        &["build", "--sdist"],
        &["lock"],
        &["gc"],
    ] {
        test.program(command).in_(&project).run().success();
        let now = everything(&root);
        for (name, text) in foreign {
            assert_eq!(
                now.get(name).map(|bytes| String::from_utf8_lossy(bytes)),
                Some(text.into()),
                "{name} after {command:?}"
            );
        }
    }
    test.program(&["why"]).in_(&project).run().success();
}

/// Every file of ours turned into what another version, or a broken disk, might have left under the
/// same name.
#[test]
fn files_of_another_schema_under_our_own_names_are_made_anew() {
    let test = Test::new();
    let wheels = test.wheels();
    wheels.add("dep", "1", &[]);
    let project = test.project("p").requires(&["dep"]);
    let build = test
        .program(&["build"])
        .args(wheels.flags())
        .installer(Installer::quick(), &test)
        .in_(&project);
    build.run().success();
    let names: Vec<String> = everything(&project.root())
        .into_keys()
        .filter(|name| {
            Path::new(name).extension().is_some_and(|extension| extension == "json")
                && name.split('/').count() == 2
                && !name.starts_with("tools/")
        })
        .collect();
    assert_eq!(names.len(), 4, "marker, memo, interpreter, report: {names:?}");
    for name in names {
        let good = std::fs::read(project.root().join(&name)).unwrap();
        let mut other: Value = serde_json::from_slice(&good).unwrap();
        let schema = other["schema"].clone();
        other["schema"] = 1000.into();
        let mut none = other.clone();
        none.as_object_mut().unwrap().remove("schema");
        let cut = String::from_utf8(good).unwrap();
        for text in [
            other.to_string(),
            none.to_string(),
            "[]".to_owned(),
            "\u{0}".repeat(100),
            cut[..cut.len() / 2].to_owned(),
        ] {
            project.write(&format!(".pyenv-build/{name}"), &text);
            build.run().success();
            let now = std::fs::read(project.root().join(&name)).unwrap();
            assert_eq!(
                serde_json::from_slice::<Value>(&now).unwrap()["schema"],
                schema,
                "{name} was {text:?}"
            );
        }
    }
}

#[test]
fn a_clock_that_jumps_makes_nothing_new_and_breaks_nothing() {
    let test = Test::new();
    let wheels = test.wheels();
    wheels.add("dep", "1", &[]);
    let project = test.project("p").requires(&["dep"]);
    let build = test
        .program(&["build", "--message-format=json"])
        .args(wheels.flags())
        .installer(Installer::quick(), &test)
        .in_(&project);
    let first = build.run().success().json();
    let marker = format!("{}.json", first["env"]["path"].as_str().unwrap());
    let year = Duration::from_secs(365 * 86400);
    for then in [SystemTime::now() + 50 * year, SystemTime::UNIX_EPOCH, SystemTime::now() - year] {
        for (name, _) in
            everything(&project.root()).iter().filter(|(name, _)| !name.contains("/cp"))
        {
            std::fs::File::options()
                .append(true)
                .open(project.root().join(name))
                .unwrap()
                .set_modified(then)
                .unwrap();
        }
        std::fs::File::options().append(true).open(&marker).unwrap().set_modified(then).unwrap();
        let again = build.run().success().json();
        assert_eq!(
            (&again["env"]["outcome"], &again["env"]["path"]),
            (&json!("reused"), &first["env"]["path"])
        );
        // `gc` goes by when an environment was used: that was now, whatever the file has said.
        let used = std::fs::metadata(&marker).unwrap().modified().unwrap();
        assert!(
            SystemTime::now().duration_since(used).is_ok_and(|age| age < year / 12),
            "{used:?}"
        );
    }
}

#[test]
fn a_memo_from_the_future_is_resolved_anew() {
    let test = Test::new();
    let wheels = test.wheels();
    wheels.add("dep", "1", &[]);
    let project = test.project("p").requires(&["dep"]);
    let provision = test
        .program(&["provision"])
        .args(wheels.flags())
        .installer(Installer::quick(), &test)
        .in_(&project);
    let one = provision.run().success();
    wheels.add("dep", "2", &[]);
    assert_eq!(provision.run().success().stdout, one.stdout, "a memo holds");
    let memo = format!(".pyenv-build/requests/{}", project.list(".pyenv-build/requests").remove(0));
    let mut value: Value =
        serde_json::from_slice(&std::fs::read(project.path.join(&memo)).unwrap()).unwrap();
    for resolved_at in [4_000_000_000_u64, u64::MAX] {
        value["resolved_at"] = resolved_at.into();
        project.write(&memo, &value.to_string());
        assert_ne!(provision.run().success().stdout, one.stdout, "{resolved_at} has not come yet");
    }
}
