//! The commands and their options, from clap's tree.

use std::fmt::Write as _;

use clap::{Arg, Command};

use super::{GENERATED, cell, flat, visible};

pub(super) fn cli_page(root: &Command) -> String {
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
