//! The pages of `docs/reference`, made from the code: the commands from clap's tree, settings and
//! report from their types, variables and exit codes from the files that list them, the action from
//! `action.yml`.
//!
//! A test compares them with what is checked in; `PYENV_BUILD_BLESS=1 cargo test --lib reference`
//! writes them.

mod commands;
mod report;
mod variables;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, Command, CommandFactory as _};
use serde_json::Value;

use self::commands::cli_page;
use self::report::{kind_of, report_page, report_schema, without_null};
use self::variables::{constants, variables_page};
use super::Cli;
use crate::build_env::settings::{Role, pip, uv};
use crate::project::Settings;

const GENERATED: &str =
    "<!-- Made from the code by `PYENV_BUILD_BLESS=1 cargo test --lib reference`. -->\n";

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text_of(name: &str) -> String {
    fs_err::read_to_string(repository().join(name)).unwrap().replace("\r\n", "\n")
}

/// The tree as users see it.
fn commands() -> Command {
    let mut command = Cli::command();
    command.build();
    command
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|command| !command.is_hide_set() && command.get_name() != "help")
}

/// All on one line.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cell(text: &str) -> String {
    flat(text).replace('|', "\\|")
}

/// The option for a setting.
fn option_for<'a>(build: &'a Command, setting: &str) -> Option<&'a Arg> {
    build.get_arguments().find(|arg| {
        let aliases = arg.get_all_aliases().unwrap_or_default();
        arg.get_long() == Some(setting) || aliases.contains(&setting)
    })
}

fn settings_page(root: &Command) -> String {
    let schema = schemars::schema_for!(Settings).to_value();
    let build = root.find_subcommand("build").unwrap();
    let mut text = format!("# Settings\n\n{GENERATED}\n");
    text += "`[tool.pyenv-build]` in `pyproject.toml`: settings for everyone who builds the \
        project. Flags take precedence over variables, and variables over settings. Unknown \
        settings cause a warning.\n\n";
    text += "```toml\n[tool.pyenv-build]\npython = \"3.12\"\nconstraints = [\"constraints.txt\"]\ninputs = [\"schemas/*.json\"]\n\
             deny-rebuild = [\"deps\"]\n```\n\n";
    text += "| setting | type | | option | variable |\n| --- | --- | --- | --- | --- |\n";
    for (name, field) in schema["properties"].as_object().unwrap() {
        let option = option_for(build, name);
        let long =
            option.and_then(Arg::get_long).map(|long| format!("`--{long}`")).unwrap_or_default();
        let variable = option
            .and_then(Arg::get_env)
            .map(|variable| format!("`{}`", variable.display()))
            .unwrap_or_default();
        let kind = if field["type"].is_null() {
            "string or boolean".to_owned()
        } else {
            without_null(&kind_of(field)).to_owned()
        };
        let about = cell(field["description"].as_str().unwrap_or_default());
        let _ = writeln!(text, "| `{name}` | {kind} | {about} | {long} | {variable} |");
    }
    text
}

fn installers_page() -> String {
    // uv reads these from files only.
    const IN_FILES: &[&str] =
        &["build-constraint-dependencies", "extra-build-dependencies", "sources"];
    let mut text = format!("# Settings of uv and pip\n\n{GENERATED}\n");
    text += "Build environments use the same settings of uv and pip as `uv build` and `pip \
        wheel`: package indexes, how they are reached, and which of their files may be used. \
        Settings for a project's own dependencies, or for install locations, are ignored, and so \
        are settings that are not listed here. The installer runs outside the project, with a \
        configuration that contains nothing else.\n\n\
             The settings are read from the installer's own files: those of the project, the user and \
             the system, and for pip also the one in the interpreter's virtual environment, with the \
             sections `[wheel]`, `[install]` and `[global]`. After a change the build requirements \
             are resolved again. The variable of a setting, such as `UV_NO_BINARY` \
             or `PIP_NO_BINARY`, is treated in the same way. Index variables of either installer \
             apply to both.\n";
    for (title, prefix, settings) in [
        ("uv: `[tool.uv]`, `uv.toml`", "UV_", uv::SETTINGS),
        ("pip: `pip.conf`", "PIP_", pip::SETTINGS),
    ] {
        let _ = writeln!(
            text,
            "\n## {title}\n\n| setting | variable | counts | |\n| --- | --- | --- | --- |"
        );
        for setting in settings {
            let (counts, about) = match setting.role {
                Role::Chooses => ("yes", "Decides which packages are available."),
                Role::Reaches => ("yes", "Decides how they are reached."),
                Role::Ours => ("yes, with either installer", ""),
                Role::Ignored => ("no", ""),
            };
            let about = if setting.note.is_empty() { about } else { setting.note };
            let name = if setting.name.starts_with(prefix) {
                String::new()
            } else {
                format!("`{}`", setting.name)
            };
            let variable = if IN_FILES.contains(&setting.name) {
                String::new()
            } else {
                format!("`{}`", setting.variable(prefix))
            };
            let _ = writeln!(text, "| {name} | {variable} | {counts} | {} |", cell(about));
        }
    }
    text
}

fn exit_codes_page() -> String {
    let mut text = format!("# Exit codes\n\n{GENERATED}\n| code | |\n| --- | --- |\n");
    for (_, code, about) in constants("src/exit_code.rs") {
        let _ = writeln!(text, "| {code} | {} |", cell(&about));
    }
    text += "| 130, 143 | Interrupted: Ctrl-C, SIGTERM. |\n\n";
    text += "`cargo pyenv-build run -- CMD` exits with the code of `CMD`. With `--message-format \
        json`, `error.kind` [is more precise](report.md#errorreport).\n";
    text
}

fn action_page() -> String {
    let action: Value = serde_yaml_ng::from_str(&text_of("action.yml")).unwrap();
    let mut text = format!("# Inputs and outputs of the action\n\n{GENERATED}\n");
    text += "See [the guide](../guides/github-actions.md) for how they are used.\n\n## Inputs\n\n| input | default | |\n| --- | --- | --- |\n";
    for (name, input) in action["inputs"].as_object().unwrap() {
        let default = input["default"]
            .as_str()
            .filter(|text| !text.is_empty())
            .map(|text| format!("`{text}`"))
            .unwrap_or_default();
        let _ = writeln!(
            text,
            "| `{name}` | {default} | {} |",
            cell(input["description"].as_str().unwrap())
        );
    }
    text += "\n## Outputs\n\n| output | |\n| --- | --- |\n";
    for (name, output) in action["outputs"].as_object().unwrap() {
        let _ = writeln!(text, "| `{name}` | {} |", cell(output["description"].as_str().unwrap()));
    }
    text
}

fn pages() -> BTreeMap<&'static str, String> {
    let root = commands();
    let schema = report_schema();
    BTreeMap::from([
        ("cli.md", cli_page(&root)),
        ("settings.md", settings_page(&root)),
        ("installers.md", installers_page()),
        ("environment.md", variables_page(&root)),
        ("exit-codes.md", exit_codes_page()),
        ("report.md", report_page(&schema)),
        ("report.schema.json", serde_json::to_string_pretty(&schema).unwrap() + "\n"),
        ("action.md", action_page()),
    ])
}

// `cache` is in the reference.
#[cfg(feature = "github")]
#[test]
fn the_reference_is_that_of_the_code() {
    const BLESS: &str = "PYENV_BUILD_BLESS";
    let directory = repository().join("docs/reference");
    let pages = pages();
    if crate::env_vars::get(BLESS).is_some() {
        fs_err::create_dir_all(&directory).unwrap();
        for (name, text) in &pages {
            fs_err::write(directory.join(name), text).unwrap();
        }
    }
    let there: BTreeSet<String> = fs_err::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        there,
        pages.keys().map(|name| (*name).to_owned()).collect(),
        "files in docs/reference"
    );
    for (name, text) in &pages {
        let checked_in = text_of(&format!("docs/reference/{name}"));
        let different = text.lines().zip(checked_in.lines()).find(|(one, other)| one != other);
        assert!(
            *text == checked_in,
            "docs/reference/{name} does not match the code: run `{BLESS}=1 cargo test --lib \
                reference`, and look at `git diff`. The first difference: {different:#?}"
        );
    }
}

#[test]
fn everything_in_the_reference_says_what_it_is() {
    fn undescribed(command: &Command, found: &mut Vec<String>) {
        for command in visible(command) {
            let name = command.get_bin_name().unwrap_or_default();
            if command.get_about().is_none() {
                found.push(name.to_owned());
            }
            let silent =
                |arg: &&Arg| !arg.is_hide_set() && !arg.is_positional() && arg.get_help().is_none();
            found
                .extend(command.get_arguments().filter(silent).map(|arg| format!("{name}: {arg}")));
            undescribed(command, found);
        }
    }
    let mut found = Vec::new();
    undescribed(&commands(), &mut found);
    for (name, text) in pages().into_iter().filter(|(name, _)| *name != "report.schema.json") {
        let rows = text.lines().filter(|line| line.starts_with("| `") && !line.contains("--- |"));
        let silent = rows.filter(|line| {
            line.trim_end().ends_with("|  |") && !["settings.md", "environment.md"].contains(&name)
        });
        found.extend(silent.map(|line| format!("{name}: {line}")));
    }
    assert_eq!(found, Vec::<String>::new());
}
