//! The environment variables: ours from `env_vars.rs`, those of others from the list here.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Arg, Command};

use super::{GENERATED, cell, flat, repository, text_of};

/// Variables that are not ours: what they are to us. A test finds each in the code, and none in the
/// code that is not here.
const OTHERS: &[(&str, &[&str], &str)] = &[
    (
        "Build requirements",
        &["PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT", "UV_BUILD_CONSTRAINT"],
        "Constraints files for build requirements, in addition to `-c`.",
    ),
    (
        "",
        &["PIP_REQUIRE_HASHES", "UV_REQUIRE_HASHES", "UV_REQUIRE_BUILD_HASHES"],
        "Same as `--require-hashes`.",
    ),
    ("", &["PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"], "Same as `--default-index`."),
    ("", &["PIP_EXTRA_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL"], "Same as `--index`."),
    ("", &["PIP_FIND_LINKS", "UV_FIND_LINKS"], "Same as `--find-links`."),
    ("", &["PIP_NO_INDEX", "UV_NO_INDEX"], "Same as `--no-index`."),
    ("", &["UV_OFFLINE"], "Same as `--offline`."),
    (
        "",
        &["GIT_SSH_COMMAND"],
        "How git reaches a requirement: pip may ask questions if it is set.",
    ),
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
        &["MATURIN_PEP517_ARGS"],
        "maturin's options for a build; a target directory in it must have grown up with the checkout.",
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

/// `/// text` and `pub(crate) const NAME: T = VALUE;`, in their order: name, value, text.
pub(super) fn constants(file: &str) -> Vec<(String, String, String)> {
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

pub(super) fn variables_page(root: &Command) -> String {
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

/// All Rust files of the program.
fn sources() -> Vec<(PathBuf, String)> {
    let entries = walkdir::WalkDir::new(repository().join("src")).into_iter().map(Result::unwrap);
    let files =
        entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "rs"));
    let others = files.filter(|entry| !entry.path().parent().unwrap().ends_with("cli/reference"));
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
