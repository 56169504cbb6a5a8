//! Help, completions, mistakes in arguments, colour.

use crate::context::{FILTERS, Test};

const COMMANDS: &[&str] = &[
    "build",
    "develop",
    "provision",
    "env",
    "run",
    "lock",
    "fingerprint",
    "store",
    "why",
    "doctor",
    "gc",
    "cache",
    "completions",
];

fn help(command: Option<&str>) {
    let test = Test::pristine();
    let args: Vec<&str> = command.into_iter().chain(["--help"]).collect();
    // Help shows the values of variables.
    let run = test.program(&args).env_remove("PYENV_BUILD_INSTALLER").run().success();
    assert_eq!(run.stderr, "");
    insta::assert_snapshot!(format!("help-{}", command.unwrap_or("top")), run.stdout);
}

#[test]
fn help_of_the_program() {
    help(None);
}

#[test]
fn help_of_each_command() {
    for command in COMMANDS {
        help(Some(command));
    }
}

#[test]
fn every_command_that_help_names_has_a_snapshot() {
    let test = Test::pristine();
    let run = test.program(&["--help"]).run().success();
    let listed = run
        .lines()
        .into_iter()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    // Text that goes on has a deeper indent.
    let mut names: Vec<&str> = listed
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    names.retain(|name| *name != "help");
    assert_eq!(names, COMMANDS);
}

#[test]
fn version_is_the_crates() {
    let test = Test::pristine();
    for flag in ["--version", "-V"] {
        let run = test.program(&["pyenv-build", flag]).run().success();
        assert!(run.stdout.trim_end().ends_with(env!("CARGO_PKG_VERSION")), "{}", run.stdout);
    }
}

#[test]
fn completions_are_scripts_for_the_program() {
    let test = Test::pristine();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let run = test.program(&["completions", shell]).run().success();
        assert_eq!(run.stderr, "");
        assert!(run.stdout.contains("cargo-pyenv-build"), "{shell}");
        for command in COMMANDS {
            assert!(run.stdout.contains(command), "{shell} knows {command}");
        }
        // Where the shell is at hand, it has to understand the script.
        let check = match shell {
            "bash" | "zsh" => "-n",
            "fish" => "--no-execute",
            "elvish" => "-compileonly",
            _ => continue,
        };
        if let Ok(program) = which::which(shell) {
            let file = test.path.join("completions");
            std::fs::write(&file, &run.stdout).unwrap();
            test.command(program).arg(check).arg(file).run().success();
        }
    }
    test.program(&["completions", "nonsense"]).run().exits(2);
}

#[test]
fn there_is_a_manual_page_of_each_command() {
    let test = Test::pristine();
    let run = test.program(&["man", "pages/man1"]).run().success();
    let directory = test.path.join("pages/man1");
    let names = crate::context::list(&directory);
    let printed: std::collections::BTreeSet<String> =
        run.lines().into_iter().map(str::to_owned).collect();
    assert_eq!(
        printed,
        names.iter().map(|name| directory.join(name).to_string_lossy().into_owned()).collect()
    );
    let page = |name: &str| std::fs::read_to_string(directory.join(format!("{name}.1"))).unwrap();
    for command in COMMANDS {
        let text = page(&format!("cargo-pyenv-build-{command}"));
        assert!(text.contains(".TH") && text.contains(".SH OPTIONS"), "{command}");
    }
    assert!(page("cargo-pyenv-build").contains("The build frontend that keeps cargo warm"));
    assert!(page("cargo-pyenv-build-cache-list").contains(".SH SYNOPSIS"));
    assert!(
        !names.iter().any(|name| name.contains("action") || name.ends_with("-man.1")),
        "{names:?}"
    );
    // Where there is a man, it has no complaints.
    if which::which("groff").is_ok() {
        let said = test
            .command("groff")
            .args(["-man", "-Tutf8", "-ww", "-z"])
            .arg(directory.join("cargo-pyenv-build-build.1"))
            .run()
            .success();
        assert_eq!(said.stderr, "");
    }
    test.program(&["man"]).run().exits(2);
    std::fs::write(test.path.join("file"), "").unwrap();
    assert!(test.program(&["man", "file"]).run().exits(1).error().contains("failed to write"));
}

#[test]
fn mistakes_in_arguments_exit_with_2_and_say_nothing_on_stdout() {
    let test = Test::pristine();
    test.project("p");
    for args in [
        &["--no-such-flag"][..],
        &["p", "--editable", "--sdist"],
        &["p", "--editable", "--metadata"],
        &["p", "-q", "-v"],
        &["p", "--installer", "conda"],
        &["p", "--max-age", "soon"],
        &["p", "--hook-timeout", "soon"],
        &["p", "-C", "=value"],
        &["run"],
        &["env", "--format", "csh"],
        &["gc", "--keep", "-1"],
        &["develop", "--no-deps", "--extra", "x"],
        &["develop", "one", "two"],
        &["completions"],
        &["provision", "one", "two"],
    ] {
        let run = test.program(args).run();
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{args:?}");
        assert!(run.stderr.contains("error: "), "{args:?}");
        // Errors of ours have hints where there is something to say, the parser's name the usage or
        // the value.
        let helps = ["hint: ", "Usage: ", "For more information"]
            .iter()
            .any(|help| run.stderr.contains(help));
        assert!(helps, "{args:?}");
    }
}

#[test]
fn a_wrong_variable_is_a_mistake_as_well() {
    let test = Test::new();
    let project = test.project("p");
    for (name, value) in [
        ("PYENV_BUILD_INSTALLER", "conda"),
        ("PYENV_BUILD_MAX_AGE", "soon"),
        ("PYENV_BUILD_LOCK_TIMEOUT", "soon"),
    ] {
        let run = test.program(&["provision"]).in_(&project).env(name, value).run().exits(2);
        assert!(run.stderr.contains(value), "{name}");
    }
}

#[test]
fn colour_is_for_terminals_or_for_who_wants_it() {
    let test = Test::pristine();
    let project = test.project("p");
    let is_coloured = |args: &[&str], envs: &[(&str, &str)]| {
        let program = test.program(&["gc"]).args(args).in_(&project);
        envs.iter()
            .fold(program, |program, (name, value)| program.env(name, value))
            .run()
            .success()
            .stderr
            .contains('\u{1b}')
    };
    assert!(!is_coloured(&[], &[]));
    assert!(is_coloured(&["--color=always"], &[]));
    assert!(is_coloured(&["--color=always"], &[("NO_COLOR", "1")]));
    assert!(is_coloured(&[], &[("CARGO_TERM_COLOR", "always")]));
    assert!(!is_coloured(&[], &[("CARGO_TERM_COLOR", "always"), ("NO_COLOR", "1")]));
    assert!(!is_coloured(&["--color=never"], &[("CARGO_TERM_COLOR", "always")]));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let test = Test::new();
    let project = test.project("p");
    test.program(&["provision"]).in_(&project).run().success();
    let program = env!("CARGO_BIN_EXE_cargo-pyenv-build");
    let script = format!("{{ '{program}' -q fingerprint --explain; echo $? >&2; }} | true");
    let run = test.command("sh").args(["-c", &script]).in_(&project).run().success();
    assert_eq!(run.stderr, "0\n");
}

#[test]
fn filters_hide_what_changes_and_nothing_else() {
    // A filter that matches too much would make every snapshot worthless.
    let mut settings = insta::Settings::clone_current();
    for (pattern, replacement) in FILTERS {
        settings.add_filter(pattern, *replacement);
    }
    settings.bind(|| {
        insta::assert_snapshot!("in 12.5s, 3 packages, [ABI]-0123456789ab, logs/2026-01-01T00-00-00-000Z-1-1-build_wheel.log", @"in [TIME], 3 packages, [ENV], logs/[WHEN]-build_wheel.log");
    });
}
