//! `env`: prints the pins, for shells, for later CI steps, for editors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, ValueHint};

use super::embed::{Embed, EmbedArgs, library_path};
use super::environment::{self, Ask, Sessions, Target};
use super::options::{Context, EnvironmentArgs};
use super::{directory_or_here, warmth};
use crate::build_dirs::{self, Place};
use crate::build_env::BuildEnv;
use crate::cargo_records::Records;
use crate::pin::{self, Facts, Pin, Pins, facts};
use crate::ui::Ui;
use crate::{env_vars, fs};

/// Prints the variables that make a plain cargo agree with the wheel build.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    eval \"$(cargo pyenv-build env)\"                             for this shell\n  \
    cargo pyenv-build env --format github >> \"$GITHUB_ENV\"      for later steps of a job\n  \
    cargo pyenv-build env --format cargo >> .cargo/config.toml  for editors, in the workspace's root")]
pub(super) struct EnvArgs {
    /// The project
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub directory: Option<PathBuf>,
    /// For whom
    #[arg(long, value_enum, default_value = "sh")]
    pub format: Format,
    #[command(flatten)]
    pub embed: EmbedArgs,
    #[command(flatten)]
    pub environment: EnvironmentArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// `export NAME='value'`, for `eval "$(cargo pyenv-build env)"`
    Sh,
    Fish,
    Powershell,
    /// Lines for the file that `GITHUB_ENV` names
    Github,
    Dotenv,
    Json,
    /// An `[env]` table for the .cargo/config.toml beside our directory, so that editors agree, too
    Cargo,
}

pub(super) fn run(args: &EnvArgs, root: Option<&Path>, ui: &Ui) -> anyhow::Result<()> {
    let context = Context::open(directory_or_here(args.directory.as_deref()), root, &args.environment, ui)?;
    let env = environment::provision(&context, Target::Wheel, Ask::WhenUnknown, &mut Sessions::new(ui), &mut Vec::new())?;
    let known = Known::learn(&context, &env);
    let embeds = known.embeds(args.embed.wish(&context.project)?);
    let mut pins = known.pins(embeds)?;
    pins.variables.extend(own_build_directory(&context, &env));
    // cargo has its own way to have libraries found.
    pins.variables.extend(library_path(&context.interpreter.identity).filter(|_| embeds && args.format != Format::Cargo));
    let text = render(&pins.variables, args.format, config_base(&context).as_deref());
    if !text.is_empty() {
        ui.result(text.trim_end());
    }
    Ok(())
}

/// The directory that paths in a `.cargo/config.toml` are relative to, if that is in the same directory as ours. cargo looks for it from
/// where it is run, links resolved: what is reached through one is named by its whole path, which is what hooks are given.
fn config_base(context: &Context<'_>) -> Option<PathBuf> {
    let base = &context.project.workspace.root;
    fs::canonicalize(base).is_ok_and(|real| real == *base).then(|| base.clone())
}

/// Where environments alternate, each has a build directory of its own.
fn own_build_directory(context: &Context<'_>, env: &BuildEnv) -> Option<Pin> {
    if !context.layout.build().is_dir() {
        return None;
    }
    let tree = warmth::tree_of(&context.project, &context.layout).ok()??;
    let name = env.path.file_name()?.to_string_lossy();
    let records = Records::read(&tree.build_directory).ok()?;
    match build_dirs::find(&context.layout, &records, &name)? {
        Place::Own(directory) => Some(Pin {
            name: build_dirs::VARIABLE,
            value: Some(directory.to_string_lossy().into_owned()),
            source: "https://doc.rust-lang.org/cargo/reference/config.html#buildbuild-dir".to_owned(),
        }),
        Place::Default => None,
    }
}

/// What the pins are decided from, for an environment that is there.
pub(super) struct Known<'a> {
    context: &'a Context<'a>,
    facts: Facts,
    /// Something in the workspace starts an interpreter.
    pub has_embedding: bool,
    /// Nothing that is compiled can be linked with libpython.
    is_never_linked: bool,
}

impl<'a> Known<'a> {
    pub(super) fn learn(context: &'a Context<'a>, env: &BuildEnv) -> Self {
        match facts::ask_cargo(&context.project, &context.interpreter.identity) {
            Ok(cargo) => {
                let (has_embedding, is_never_linked) = (cargo.embeds, cargo.is_never_linked);
                let facts = facts::learn(&context.project, &context.interpreter, env, cargo);
                Self { context, facts, has_embedding, is_never_linked }
            }
            Err(error) => {
                context.ui.warning(format_args!("the pins may be incomplete: {error}"));
                let facts = facts::without_cargo(&context.project, &context.interpreter, env);
                Self { context, facts, has_embedding: false, is_never_linked: false }
            }
        }
    }

    /// Whether what is compiled beside the wheel is for programs that embed Python.
    pub(super) fn embeds(&self, wish: Embed) -> bool {
        wish == Embed::True || (wish == Embed::Auto && self.has_embedding)
    }

    /// The pins; what they need on disk is there afterwards.
    pub(super) fn pins(&self, embedding: bool) -> anyhow::Result<Pins> {
        let ui = self.context.ui;
        if embedding && self.is_never_linked {
            ui.warning(
                "Cargo.toml turns PyO3's feature `extension-module` on, so nothing is linked with libpython and no program can start an interpreter",
            );
            ui.hint("have the backend turn it on: `features = [\"pyo3/extension-module\"]` in `[tool.maturin]` or for setuptools-rust");
        }
        let pins = if embedding { pin::embedding(&self.facts) } else { pin::pins(&self.facts) };
        for note in &pins.notes {
            ui.warning(note);
        }
        for pin in &pins.variables {
            ui.detail(format_args!("{} {} ({})", pin.name, pin.value.as_deref().unwrap_or("is unset"), pin.source));
        }
        if let Some((path, content)) = &pins.config_file
            && !path.exists()
        {
            fs::write_if_changed(path, content.as_bytes())
                .map_err(|source| crate::build_env::Error::Write { path: path.clone(), source })?;
        }
        Ok(pins)
    }
}

/// A variable in an `[env]` table. Nothing is forced: what a hook, or `run`, has set stands for the environment of now, and a table may
/// be older than that.
///
/// Source: <https://doc.rust-lang.org/cargo/reference/config.html#env>
fn cargo_entry(name: &str, value: &str, base: Option<&Path>) -> String {
    let relative = base.and_then(|base| Path::new(value).strip_prefix(base).ok()).and_then(Path::to_str).filter(|path| !path.is_empty());
    let string = |text: &str| toml::Value::String(text.to_owned());
    match relative {
        Some(path) => format!("{name} = {{ value = {}, relative = true }}", string(path)),
        None => format!("{name} = {}", string(value)),
    }
}

/// Text that ends with a line feed, or is empty. Variables to be unset are named only where that can be said, and only if
/// they are set. `base` is what paths for cargo are relative to.
fn render(pins: &[Pin], format: Format, base: Option<&Path>) -> String {
    let mut text = String::new();
    let mut map = BTreeMap::new();
    if format == Format::Cargo && !pins.is_empty() {
        text += "[env]\n";
    }
    for Pin { name, value, .. } in pins {
        let is_set = env_vars::get_os(name).is_some();
        let line = match (format, value) {
            (Format::Sh, Some(value)) => format!("export {name}='{}'", value.replace('\'', r"'\''")),
            (Format::Sh, None) if is_set => format!("unset {name}"),
            (Format::Fish, Some(value)) => format!("set -gx {name} '{}'", value.replace('\\', r"\\").replace('\'', r"\'")),
            (Format::Fish, None) if is_set => format!("set -e {name}"),
            (Format::Powershell, Some(value)) => format!("$env:{name} = '{}'", value.replace('\'', "''")),
            (Format::Powershell, None) if is_set => format!("Remove-Item Env:{name}"),
            (Format::Github, Some(value)) => format!("{name}={}", value.replace(['\n', '\r'], " ")),
            (Format::Dotenv, Some(value)) => format!("{name}=\"{}\"", value.replace('\\', r"\\").replace('"', "\\\"").replace('$', r"\$")),
            // It is for cargo itself, which does not look into this table.
            (Format::Cargo, Some(_)) if *name == build_dirs::VARIABLE => continue,
            (Format::Cargo, Some(value)) => cargo_entry(name, value, base),
            (Format::Json, value) => {
                map.insert(*name, value.clone());
                continue;
            }
            (_, None) => continue,
        };
        text += &line;
        text += "\n";
    }
    if format == Format::Json {
        text = serde_json::to_string(&map).expect("plain data") + "\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_quotes_what_it_must() {
        let pins = [
            Pin { name: "PYO3_PYTHON", value: Some("/it's $a \"path\"".into()), source: String::new() },
            Pin { name: "PYO3_SURELY_NOT_SET", value: None, source: String::new() },
        ];
        let text = |format| render(&pins, format, None);
        assert_eq!(text(Format::Sh), "export PYO3_PYTHON='/it'\\''s $a \"path\"'\n");
        assert_eq!(text(Format::Fish), "set -gx PYO3_PYTHON '/it\\'s $a \"path\"'\n");
        assert_eq!(text(Format::Powershell), "$env:PYO3_PYTHON = '/it''s $a \"path\"'\n");
        assert_eq!(text(Format::Github), "PYO3_PYTHON=/it's $a \"path\"\n");
        assert_eq!(text(Format::Dotenv), "PYO3_PYTHON=\"/it's \\$a \\\"path\\\"\"\n");
        assert_eq!(text(Format::Json), "{\"PYO3_PYTHON\":\"/it's $a \\\"path\\\"\",\"PYO3_SURELY_NOT_SET\":null}\n");
        let cargo: toml::Table = toml::from_str(&text(Format::Cargo)).unwrap();
        assert_eq!(cargo["env"]["PYO3_PYTHON"].as_str(), Some("/it's $a \"path\""));
        assert_eq!(render(&[], Format::Cargo, None), "");
    }

    #[test]
    fn paths_for_cargo_are_relative_where_they_can_be() {
        let pin = |name, value: &str| Pin { name, value: Some(value.into()), source: String::new() };
        let pins = [pin("PYO3_PYTHON", "/p/.pyenv-build/envs/x/bin/python"), pin("PYO3_CONFIG_FILE", "/pp/f"), pin("PYO3_X", "1")];
        let expected = "[env]\nPYO3_PYTHON = { value = \".pyenv-build/envs/x/bin/python\", relative = true }\n\
            PYO3_CONFIG_FILE = \"/pp/f\"\nPYO3_X = \"1\"\n";
        assert_eq!(render(&pins, Format::Cargo, Some(Path::new("/p"))), expected);
        let own = [pin(build_dirs::VARIABLE, "/p/b")];
        assert_eq!(render(&own, Format::Cargo, None), "[env]\n");
        assert_eq!(render(&own, Format::Dotenv, Some(Path::new("/p"))), "CARGO_BUILD_BUILD_DIR=\"/p/b\"\n");
    }
}
