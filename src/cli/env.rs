//! `env`: prints the pins, for shells, for later CI steps, for editors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, ValueHint};

use super::environment::{self, Sessions, Target};
use super::failure::Result;
use super::options::{Context, EnvironmentArgs};
use super::warmth::{Incremental, Reuse, WarmthArgs, WarmthOptions};
use super::{directory_or_here, settle, warmth};
use crate::build_env::BuildEnv;
use crate::pin::{self, Pin, Pins, facts, libpython};
use crate::project::CargoWorkspace;
use crate::ui::Ui;
use crate::units::survey;
use crate::{env_vars, fs};

/// Print the variables with which plain cargo shares artifacts with the wheel build
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    eval \"$(cargo pyenv-build env)\"                             set them in this shell\n  \
    cargo pyenv-build env --format github >> \"$GITHUB_ENV\"      set them for later steps of a job\n  \
    cargo pyenv-build env --format cargo >> .cargo/config.toml  set them for editors, in the workspace root")]
pub(super) struct EnvArgs {
    /// Project directory
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub directory: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value = "sh")]
    pub format: Format,
    #[command(flatten)]
    pub environment: EnvironmentArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// `export NAME='value'`, for `eval "$(cargo pyenv-build env)"`
    Sh,
    Fish,
    Powershell,
    /// Lines for the file in `GITHUB_ENV`
    Github,
    Dotenv,
    Json,
    /// An `[env]` table for the .cargo/config.toml next to our directory, for editors
    Cargo,
}

pub(super) fn run(args: &EnvArgs, root: Option<&Path>, ui: &Ui) -> Result<()> {
    let context =
        Context::open(directory_or_here(args.directory.as_deref()), root, &args.environment, ui)?;
    let env =
        environment::provision(&context, Target::Wheel, &mut Sessions::new(ui), &mut Vec::new())?;
    let cargo = warmth::cargo_workspace(&context.project, &context.layout, ui);
    let mut pins = pins(&context, &env, cargo.as_ref());
    // cargo has its own way to have libraries found.
    if args.format != Format::Cargo {
        pins.variables.extend(library_path(&context, cargo.as_ref()));
        pins.variables.extend(wrapper(&context, cargo.as_ref())?);
    }
    let text = render(&pins.variables, args.format, config_base(&context).as_deref());
    if !text.is_empty() {
        ui.result(text.trim_end());
    }
    Ok(())
}

/// The directory that paths in a `.cargo/config.toml` are relative to, if that is in the same
/// directory as ours. cargo looks for it from where it is run, links resolved: what is reached
/// through one is named by its whole path, which is what hooks are given.
fn config_base(context: &Context<'_>) -> Option<PathBuf> {
    let base = &context.project.workspace.root;
    fs::canonicalize(base).is_ok_and(|real| real == *base).then(|| base.clone())
}

/// The variables with which cargo calls us for each rustc, unless `reuse` is off. Before that,
/// cargo must not trust artifacts that were built elsewhere.
pub(super) fn wrapper(context: &Context<'_>, cargo: Option<&CargoWorkspace>) -> Result<Vec<Pin>> {
    let options = WarmthOptions::new(&WarmthArgs::of_environment(), &context.project)?;
    if options.reuse == Reuse::Off {
        return Ok(Vec::new());
    }
    let Some(cargo) = cargo else {
        if !context.project.workspace.manifests.is_empty() {
            context
                .ui
                .warning("the variables for reuse are missing: cargo cannot read the workspace");
            context.ui.hint("try `cargo metadata` in the project");
        }
        return Ok(Vec::new());
    };
    let others = context.project.workspace.target_directories(&context.project.directory);
    settle::settle(&context.layout, &cargo.root, cargo, &others, &[], context.ui);
    let mut variables = warmth::wrapper_variables(
        &context.layout,
        &survey::plan(cargo, &context.project),
        (&context.project.directory, &[]),
        context.ui,
    );
    if options.incremental != Incremental::default() {
        variables.push((env_vars::INCREMENTAL, options.incremental.word().to_owned()));
    }
    let source = "https://doc.rust-lang.org/cargo/reference/config.html#buildrustc-wrapper";
    Ok(variables
        .into_iter()
        .map(|(name, value)| Pin { name, value, source: source.to_owned() })
        .collect())
}

/// The pins for an environment that is there, and says what the user should know of them.
pub(super) fn pins(context: &Context<'_>, env: &BuildEnv, cargo: Option<&CargoWorkspace>) -> Pins {
    let pins = pin::pins(&facts::learn(&context.project, &context.interpreter, env, cargo));
    for note in &pins.notes {
        context.ui.warning(note);
    }
    for pin in &pins.variables {
        context.ui.detail(format_args!("{} {} ({})", pin.name, pin.value, pin.source));
    }
    pins
}

/// Where programs that cargo links with libpython find it, if there are any and the loader does not
/// look there.
pub(super) fn library_path(context: &Context<'_>, cargo: Option<&CargoWorkspace>) -> Option<Pin> {
    cargo.filter(|workspace| libpython::is_linked(workspace))?;
    libpython::library_path(&context.interpreter.identity)
}

/// A variable in an `[env]` table. Nothing is forced: what a hook, or `run`, has set stands for the
/// environment of now, and a table may be older than that.
///
/// Source: <https://doc.rust-lang.org/cargo/reference/config.html#env>
fn cargo_entry(name: &str, value: &str, base: Option<&Path>) -> String {
    let relative = base
        .and_then(|base| Path::new(value).strip_prefix(base).ok())
        .and_then(Path::to_str)
        .filter(|path| !path.is_empty());
    let string = |text: &str| toml::Value::String(text.to_owned());
    match relative {
        Some(path) => format!("{name} = {{ value = {}, relative = true }}", string(path)),
        None => format!("{name} = {}", string(value)),
    }
}

/// Text that ends with a line feed, or is empty. `base` is what paths for cargo are relative to.
fn render(pins: &[Pin], format: Format, base: Option<&Path>) -> String {
    if format == Format::Json {
        let map: BTreeMap<&str, &str> =
            pins.iter().map(|pin| (pin.name, pin.value.as_str())).collect();
        return serde_json::to_string(&map).expect("plain data") + "\n";
    }
    let mut text = String::new();
    if format == Format::Cargo && !pins.is_empty() {
        text += "[env]\n";
    }
    for Pin { name, value, .. } in pins {
        let line = match format {
            Format::Sh => format!("export {name}='{}'", value.replace('\'', r"'\''")),
            Format::Fish => {
                format!("set -gx {name} '{}'", value.replace('\\', r"\\").replace('\'', r"\'"))
            }
            Format::Powershell => format!("$env:{name} = '{}'", value.replace('\'', "''")),
            Format::Github => format!("{name}={}", value.replace(['\n', '\r'], " ")),
            Format::Dotenv => format!(
                "{name}=\"{}\"",
                value.replace('\\', r"\\").replace('"', "\\\"").replace('$', r"\$")
            ),
            Format::Cargo => cargo_entry(name, value, base),
            Format::Json => continue,
        };
        text += &line;
        text += "\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_quotes_what_it_must() {
        let pins =
            [Pin { name: "PYO3_PYTHON", value: "/it's $a \"path\"".into(), source: String::new() }];
        let text = |format| render(&pins, format, None);
        assert_eq!(text(Format::Sh), "export PYO3_PYTHON='/it'\\''s $a \"path\"'\n");
        assert_eq!(text(Format::Fish), "set -gx PYO3_PYTHON '/it\\'s $a \"path\"'\n");
        assert_eq!(text(Format::Powershell), "$env:PYO3_PYTHON = '/it''s $a \"path\"'\n");
        assert_eq!(text(Format::Github), "PYO3_PYTHON=/it's $a \"path\"\n");
        assert_eq!(text(Format::Dotenv), "PYO3_PYTHON=\"/it's \\$a \\\"path\\\"\"\n");
        assert_eq!(text(Format::Json), "{\"PYO3_PYTHON\":\"/it's $a \\\"path\\\"\"}\n");
        let cargo: toml::Table = toml::from_str(&text(Format::Cargo)).unwrap();
        assert_eq!(cargo["env"]["PYO3_PYTHON"].as_str(), Some("/it's $a \"path\""));
        assert_eq!(render(&[], Format::Cargo, None), "");
    }

    #[test]
    fn paths_for_cargo_are_relative_where_they_can_be() {
        let pin = |name, value: &str| Pin { name, value: value.into(), source: String::new() };
        let pins = [
            pin("PYO3_PYTHON", "/p/.pyenv-build/envs/x/bin/python"),
            pin("PYO3_CONFIG_FILE", "/pp/f"),
            pin("PYO3_X", "1"),
        ];
        let expected = "[env]\nPYO3_PYTHON = { value = \".pyenv-build/envs/x/bin/python\", relative = true }\n\
            PYO3_CONFIG_FILE = \"/pp/f\"\nPYO3_X = \"1\"\n";
        assert_eq!(render(&pins, Format::Cargo, Some(Path::new("/p"))), expected);
    }
}
