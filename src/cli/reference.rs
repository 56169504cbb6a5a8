//! The pages of `docs/reference`, made from the code: the commands from clap's tree, settings and
//! report from their types, variables and exit codes from the files that list them, the action from
//! `action.yml`.
//!
//! A test compares them with what is checked in; `PYENV_BUILD_BLESS=1 cargo test --lib reference`
//! writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Arg, Command, CommandFactory as _};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::Cli;
use crate::build_env::settings::{Role, pip, uv};
use crate::project::Settings;
use crate::report::Report;

const GENERATED: &str =
    "<!-- Made from the code by `PYENV_BUILD_BLESS=1 cargo test --lib reference`. -->\n";

/// Variables that are not ours: what they are to us. A test finds each in the code, and none in the
/// code that is not here.
const OTHERS: &[(&str, &[&str], &str)] = &[
    (
        "Build requirements",
        &["PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT", "UV_BUILD_CONSTRAINT"],
        "Constraints files for build requirements, in addition to `-c`.",
    ),
    ("", &["PIP_REQUIRE_HASHES", "UV_REQUIRE_HASHES"], "Same as `--require-hashes`."),
    ("", &["PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"], "Same as `--default-index`."),
    ("", &["PIP_EXTRA_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL"], "Same as `--index`."),
    ("", &["PIP_FIND_LINKS", "UV_FIND_LINKS"], "Same as `--find-links`."),
    ("", &["PIP_NO_INDEX", "UV_NO_INDEX"], "Same as `--no-index`."),
    ("", &["UV_OFFLINE"], "Same as `--offline`."),
    ("", &["UV_NO_SOURCES", "UV_NO_SOURCES_PACKAGE"], "Whether `[tool.uv.sources]` is ignored."),
    (
        "",
        &[
            "PIP_CONFIG_FILE",
            "UV_CONFIG_FILE",
            "UV_NO_CONFIG",
            "XDG_CONFIG_HOME",
            "XDG_CONFIG_DIRS",
            "APPDATA",
            "PROGRAMDATA",
        ],
        "Locations of pip's and uv's own settings.",
    ),
    (
        "Interpreter",
        &["VIRTUAL_ENV"],
        "The interpreter of the active environment comes before those on `PATH`.",
    ),
    ("", &["VIRTUAL_ENV", "CONDA_PREFIX"], "The environment that `develop` installs into."),
    ("", &["PATH"], "Searched for interpreters, uv and cargo."),
    (
        "",
        &["PYENV_ROOT", "PYENV_VERSION", "UV_PYTHON_INSTALL_DIR", "XDG_DATA_HOME"],
        "Searched for more interpreters.",
    ),
    (
        "Cargo",
        &[
            "CARGO",
            "RUSTC",
            "CARGO_HOME",
            "CARGO_TARGET_DIR",
            "CARGO_BUILD_TARGET_DIR",
            "CARGO_BUILD_BUILD_DIR",
        ],
        "Same meaning as in cargo.",
    ),
    (
        "",
        &["RUSTC_WRAPPER", "CARGO_BUILD_RUSTC_WRAPPER"],
        "Your own rustc wrapper, such as sccache: our wrapper calls it.",
    ),
    (
        "",
        &[
            "CARGO_CRATE_NAME",
            "CARGO_MANIFEST_DIR",
            "CARGO_PKG_NAME",
            "CARGO_PKG_VERSION",
            "CLIPPY_CONF_DIR",
            "LIBRARY_PATH",
            "OUT_DIR",
            "RUST_TARGET_PATH",
        ],
        "Cargo's description of a crate, and search paths of rustc, clippy and the linker: these \
            are inputs of a rustc call.",
    ),
    (
        "",
        &["RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "RUSTUP_TOOLCHAIN_SOURCE", "RUST_RECURSION_COUNT"],
        "Same meaning as in rustup. If rustup chose the toolchain by directory, a project in a \
            different directory is compiled with its own toolchain.",
    ),
    (
        "",
        &[
            "CARGO_BUILD_TARGET",
            "PYO3_CROSS",
            "PYO3_CROSS_LIB_DIR",
            "_PYTHON_HOST_PLATFORM",
            "ARCHFLAGS",
        ],
        "If one is set, the extension modules of a wheel may be for another platform than the interpreter's.",
    ),
    (
        "",
        &["PYO3_PYTHON", "PYTHON_SYS_EXECUTABLE", "PYO3_ENVIRONMENT_SIGNATURE", "PYO3_CONFIG_FILE"],
        "Your values take precedence over those of `run` and `env`.",
    ),
    (
        "Output",
        &["NO_COLOR", "CARGO_TERM_COLOR"],
        "Whether output is colored; `--color` takes precedence.",
    ),
    ("", &["CARGO_TERM_PROGRESS_WHEN", "TERM"], "Whether there is a progress bar."),
    (
        "",
        &["CI"],
        "If it is set, and not `false` or `0`: resolutions do not expire, and there is no \
            progress bar.",
    ),
    (
        "Directories",
        &["HOME", "USERPROFILE", "XDG_CACHE_HOME", "LOCALAPPDATA"],
        "Where `--from-sdist` unpacks; value of `~`.",
    ),
    (
        "GitHub",
        &["GITHUB_TOKEN", "GH_TOKEN", "GITHUB_REPOSITORY", "GITHUB_API_URL"],
        "For the subcommands of `cache`: token, repository and API URL.",
    ),
    (
        "",
        &[
            "GITHUB_ACTION",
            "GITHUB_ACTIONS",
            "GITHUB_EVENT_NAME",
            "GITHUB_EVENT_PATH",
            "GITHUB_REF_PROTECTED",
            "GITHUB_SHA",
            "GITHUB_STEP_SUMMARY",
            "GITHUB_WORKSPACE",
            "RUNNER_DEBUG",
            "RUNNER_TEMP",
            "ACTIONS_ID_TOKEN_REQUEST_URL",
        ],
        "The job and step, for the action and other commands.",
    ),
    (
        "Shared store",
        &[
            "AWS_ACCESS_KEY_ID",
            "AWS_CONFIG_FILE",
            "AWS_DEFAULT_PROFILE",
            "AWS_DEFAULT_REGION",
            "AWS_ENDPOINT_URL",
            "AWS_PROFILE",
            "AWS_REGION",
            "AWS_SHARED_CREDENTIALS_FILE",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
        ],
        "Credentials, region and endpoint for `s3://`, as in AWS's own tools; every other `AWS_*` variable that \
            [object_store](https://docs.rs/object_store/latest/object_store/aws/struct.AmazonS3Builder.html#method.from_env) reads counts, too.",
    ),
    (
        "",
        &["AZURE_STORAGE_ENDPOINT"],
        "Endpoint for `az://`; credentials from [`AZURE_*`](https://docs.rs/object_store/latest/object_store/azure/struct.MicrosoftAzureBuilder.html#method.from_env), \
            for `gs://` from [`GOOGLE_*`](https://docs.rs/object_store/latest/object_store/gcp/struct.GoogleCloudStorageBuilder.html#method.from_env).",
    ),
    (
        "",
        &[
            "GITLAB_CI",
            "CI_COMMIT_REF_PROTECTED",
            "CI_MERGE_REQUEST_IID",
            "BUILDKITE",
            "BUILDKITE_BRANCH",
            "BUILDKITE_PIPELINE_DEFAULT_BRANCH",
            "BUILDKITE_PULL_REQUEST",
        ],
        "Whether a job may write to the shared store.",
    ),
];

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

// The commands.

fn cli_page(root: &Command) -> String {
    let mut text = format!("# Commands\n\n{GENERATED}\n");
    text += "`cargo pyenv-build X` and `cargo-pyenv-build X` are the same. Without a command, \
        `build` runs.\n\n";
    text += "| command | |\n| --- | --- |\n";
    for command in visible(root) {
        let name = command.get_name();
        let _ = writeln!(
            text,
            "| [`{name}`](#{name}) | {} |",
            cell(&command.get_about().map(ToString::to_string).unwrap_or_default())
        );
    }
    text += "\n## Global options\n\nThey can be given before or after the command.\n\n";
    for arg in root.get_arguments().filter(|arg| arg.is_global_set()) {
        text += &argument(arg);
    }
    for command in visible(root) {
        section(command, 2, command.get_name(), &mut text);
    }
    text
}

fn section(command: &Command, level: usize, title: &str, text: &mut String) {
    let _ = writeln!(text, "\n{} {title}\n", "#".repeat(level));
    let about = command.get_long_about().or(command.get_about());
    let _ = writeln!(text, "{}\n", about.map(ToString::to_string).unwrap_or_default().trim());
    let usage = command.clone().render_usage().to_string();
    let _ = writeln!(text, "```text\n{}\n```", usage.trim_start_matches("Usage: ").trim());
    let mut groups: Vec<(&str, Vec<&Arg>)> = Vec::new();
    for arg in command.get_arguments() {
        if arg.is_hide_set()
            || arg.is_global_set()
            || ["help", "version"].contains(&arg.get_id().as_str())
        {
            continue;
        }
        let heading = match (arg.get_help_heading(), arg.is_positional()) {
            (Some(heading), _) => heading,
            (None, true) => "Arguments",
            (None, false) => "Options",
        };
        match groups.iter_mut().find(|(known, _)| *known == heading) {
            Some((_, args)) => args.push(arg),
            None => groups.push((heading, vec![arg])),
        }
    }
    groups.sort_by_key(|(heading, _)| {
        ["Arguments", "Options"].iter().position(|first| first == heading).unwrap_or(2)
    });
    for (heading, args) in groups {
        let _ = writeln!(text, "\n**{heading}**\n");
        for arg in args {
            *text += &argument(arg);
        }
    }
    if let Some(after) = command.get_after_help() {
        let _ = writeln!(text, "\n{}", after.to_string().trim());
    }
    for inner in visible(command) {
        section(inner, level + 1, &format!("{title} {}", inner.get_name()), text);
    }
}

fn argument(arg: &Arg) -> String {
    let takes_value = arg.get_action().takes_values();
    let value = || {
        let names = arg.get_value_names().unwrap_or_default();
        names.iter().map(|name| format!("<{name}>")).collect::<Vec<_>>().join(" ")
    };
    let mut names: Vec<String> = Vec::new();
    names.extend(arg.get_short().map(|short| format!("-{short}")));
    names.extend(arg.get_long().map(|long| format!("--{long}")));
    if names.is_empty() {
        names.push(value());
    } else if takes_value {
        let last = names.last_mut().expect("it has a name");
        let _ = write!(last, " {}", value());
    }
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let help = arg
        .get_long_help()
        .or(arg.get_help())
        .map(|help| flat(&help.to_string()))
        .unwrap_or_default();
    let mut text = if help.is_empty() {
        format!("- {}", names.join(", "))
    } else {
        format!("- {}: {help}", names.join(", "))
    };
    if takes_value {
        let defaults: Vec<String> =
            arg.get_default_values().iter().map(|value| format!("`{}`", value.display())).collect();
        if !defaults.is_empty() {
            let _ = write!(text, ". Default: {}", defaults.join(", "));
        }
        if let Some(variable) = arg.get_env() {
            let _ = write!(text, ". Variable: `{}`", variable.display());
        }
    }
    text += "\n";
    let values: Vec<_> =
        arg.get_possible_values().into_iter().filter(|value| !value.is_hide_set()).collect();
    if values.iter().any(|value| value.get_help().is_some()) {
        for value in values {
            let help = value
                .get_help()
                .map(|help| format!(": {}", flat(&help.to_string())))
                .unwrap_or_default();
            let _ = writeln!(text, "    - `{}`{help}", value.get_name());
        }
    } else if !values.is_empty() {
        let values: Vec<String> =
            values.iter().map(|value| format!("`{}`", value.get_name())).collect();
        let _ = writeln!(text, "    - {}", values.join(", "));
    }
    text
}

/// The option for a setting.
fn option_for<'a>(build: &'a Command, setting: &str) -> Option<&'a Arg> {
    build.get_arguments().find(|arg| {
        let aliases = arg.get_all_aliases().unwrap_or_default();
        arg.get_long() == Some(setting) || aliases.contains(&setting)
    })
}

// Settings, variables, exit codes.

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

/// `/// text` and `pub(crate) const NAME: T = VALUE;`, in their order: name, value, text.
fn constants(file: &str) -> Vec<(String, String, String)> {
    let (mut found, mut about) = (Vec::new(), String::new());
    for line in text_of(file).lines() {
        if let Some(more) = line.strip_prefix("/// ") {
            about += more;
            about.push(' ');
        } else if let Some(rest) = line.strip_prefix("pub(crate) const ") {
            let (name, rest) = rest.split_once(':').unwrap();
            let value = rest.split_once(" = ").unwrap().1.trim_end_matches(';').trim_matches('"');
            found.push((name.to_owned(), value.to_owned(), flat(&about)));
            about.clear();
        } else {
            about.clear();
        }
    }
    found
}

fn variables_page(root: &Command) -> String {
    let build = root.find_subcommand("build").unwrap();
    let mut text = format!(
        "# Environment variables\n\n{GENERATED}\n## Ours\n\nAn empty value counts as unset.\n\n"
    );
    text += "| variable | | option |\n| --- | --- | --- |\n";
    for (_, name, about) in
        constants("src/env_vars.rs").into_iter().filter(|(_, name, _)| !name.starts_with("__"))
    {
        let option = build
            .get_arguments()
            .find(|arg| arg.get_env().is_some_and(|variable| variable == name.as_str()));
        let long =
            option.and_then(Arg::get_long).map(|long| format!("`--{long}`")).unwrap_or_default();
        let _ = writeln!(text, "| `{name}` | {} | {long} |", cell(&about));
    }
    text += "\n## Others that are read\n\n| | variables | |\n| --- | --- | --- |\n";
    for (group, names, about) in OTHERS {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(text, "| {group} | {} | {} |", names.join(", "), cell(about));
    }
    text += "\nSee [settings of uv and pip](installers.md) for their variables.\n";
    text += "\n## What hooks, and the commands of `run`, get\n\n\
             | variable | |\n| --- | --- |\n\
             | `PATH` | starts with the build environment's programs |\n\
             | `VIRTUAL_ENV` | the build environment |\n\
             | `PYTHONDONTWRITEBYTECODE` | `1`, because a `__pycache__` in the source tree \
             re-runs build scripts |\n\
             | `PYTHONHOME`, `__PYVENV_LAUNCHER__` | unset |\n\
             | `PYTHONPATH` | unset for hooks |\n\
             | the output of `cargo pyenv-build env` | see [variables that \
             agree](../concepts/rebuilds.md#variables-that-agree) |\n";
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
             The settings are read from the installer's own files, and after a change the build \
             requirements are resolved again. The variable of a setting, such as `UV_NO_BINARY` \
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

// The report.

fn report_schema() -> Value {
    // What is left out when it is empty is not required.
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<Report>().to_value();
    flatten_descriptions(&mut schema);
    schema
}

/// Doc comments have lines.
fn flatten_descriptions(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                match value {
                    Value::String(text) if name == "description" => *text = flat(text),
                    other => flatten_descriptions(other),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(flatten_descriptions),
        _ => {}
    }
}

/// A type in words.
fn kind_of(field: &Value) -> String {
    if let Some(reference) = field["$ref"].as_str() {
        let name = reference.trim_start_matches("#/$defs/");
        return match name {
            "#" => "[Report](#report)".to_owned(),
            _ => format!("[{name}](#{})", name.to_lowercase()),
        };
    }
    if let Some(any) = field["anyOf"].as_array() {
        let kinds: Vec<String> = any.iter().map(kind_of).filter(|kind| kind != "null").collect();
        return kinds.join(" or ");
    }
    let kinds: Vec<&str> = match &field["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let may_be_null = kinds.len() > 1 && kinds.contains(&"null");
    let kind = kinds.into_iter().find(|kind| *kind != "null").unwrap_or("null");
    let kind = match kind {
        "array" => format!("list of {}", kind_of(&field["items"])),
        "object" => format!("object of {}", kind_of(&field["additionalProperties"])),
        kind => kind.to_owned(),
    };
    if may_be_null { format!("{kind} or null") } else { kind }
}

fn without_null(kind: &str) -> &str {
    kind.strip_suffix(" or null").unwrap_or(kind)
}

fn report_page(schema: &Value) -> String {
    let mut text = format!("# JSON report\n\n{GENERATED}\n");
    text += "`cargo pyenv-build --message-format json` prints one object on stdout. The report of \
        the last `build` or `run` is saved to `.pyenv-build/reports/last.json`; `cargo \
        pyenv-build why` prints it as text. Its JSON Schema: \
        [report.schema.json](report.schema.json). New fields may be added without a new `schema` \
        number. Times are in seconds and paths are absolute, unless stated otherwise.\n";
    object("Report", schema, &mut text);
    let none = Map::new();
    for (name, definition) in schema["$defs"].as_object().unwrap_or(&none) {
        object(name, definition, &mut text);
    }
    text
}

fn object(name: &str, definition: &Value, text: &mut String) {
    let _ = writeln!(
        text,
        "\n## {name}\n\n{}\n",
        definition["description"].as_str().unwrap_or_default()
    );
    if let Some(fields) = definition["properties"].as_object() {
        let required: Vec<&str> = definition["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        *text += "| field | type | |\n| --- | --- | --- |\n";
        for (field, value) in fields {
            let kind = kind_of(value);
            // What may be absent is absent instead of null.
            let kind = if required.contains(&field.as_str()) {
                kind
            } else {
                format!("{}, may be absent", without_null(&kind))
            };
            let about = cell(value["description"].as_str().unwrap_or_default());
            let _ = writeln!(text, "| `{field}` | {kind} | {about} |");
        }
    } else {
        *text += "| value | |\n| --- | --- |\n";
        for value in definition["oneOf"]
            .as_array()
            .unwrap_or_else(|| panic!("`{name}` is an object or has documented values"))
        {
            let about = cell(value["description"].as_str().unwrap_or_default());
            let _ = writeln!(text, "| `{}` | {about} |", value["const"].as_str().unwrap());
        }
    }
}

// The action.

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

/// All Rust files of the program.
fn sources() -> Vec<(PathBuf, String)> {
    let entries = walkdir::WalkDir::new(repository().join("src")).into_iter().map(Result::unwrap);
    let files =
        entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "rs"));
    let others = files.filter(|entry| entry.file_name() != "reference.rs");
    others
        .map(|entry| (entry.path().to_path_buf(), fs_err::read_to_string(entry.path()).unwrap()))
        .collect()
}

#[test]
fn every_variable_that_is_read_is_in_the_reference_and_no_other() {
    let documented: BTreeSet<&str> =
        OTHERS.iter().flat_map(|(_, names, _)| names.iter().copied()).collect();
    let sources = sources();
    let mut read = BTreeSet::new();
    for (file, text) in &sources {
        for call in ["env_vars::get(\"", "env_vars::get_os(\""] {
            for rest in text.split(call).skip(1) {
                let name = rest.split('"').next().unwrap();
                assert!(
                    documented.contains(name),
                    "{} reads {name}, which the reference does not have",
                    file.display()
                );
                read.insert(name);
            }
        }
    }
    assert!(read.len() > 20, "{read:?}");
    for name in documented {
        let literal = format!("\"{name}\"");
        assert!(sources.iter().any(|(_, text)| text.contains(&literal)), "nothing reads {name}");
    }
}

#[test]
fn constants_are_read_with_all_their_lines() {
    let ours = constants("src/env_vars.rs");
    assert!(ours.iter().any(|(name, value, about)| {
        name == "ROOT"
            && value == "PYENV_BUILD_ROOT"
            && about
                == "Directory for environments, store and reports, instead of `<workspace \
                    root>/.pyenv-build`."
    }));
    assert_eq!(
        constants("src/exit_code.rs")[0],
        ("OK".to_owned(), "0".to_owned(), "Success.".to_owned())
    );
}
