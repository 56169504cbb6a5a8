//! What a job compiles, as far as its commands show.
//!
//! Only what is certain counts. [`Unknown`] is whatever the run alone knows: values of expressions,
//! what scripts and other programs do.

use super::builds_otherwise;
use super::caches::Use;
use super::file::{filled, is_ours};
use super::occasions::Occasion;
use crate::doctor::facts::{Leg, Step};

/// Only the run knows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unknown;

pub(super) type Known<T> = Result<T, Unknown>;

/// Subcommands of cargo that compile for the profiles and targets that they name.
const COMPILING: &[&str] = &[
    "build", "b", "test", "t", "check", "c", "clippy", "run", "r", "bench", "doc", "nextest",
    "rustc",
];
/// Those that compile nothing in the target directory.
const OTHERS: &[&str] = &[
    "fmt",
    "fetch",
    "metadata",
    "update",
    "install",
    "binstall",
    "deny",
    "audit",
    "login",
    "generate-lockfile",
    "tree",
    "clean",
    "-V",
    "--version",
];
/// Programs that may compile anything.
const RUNNERS: &[&str] = &["make", "just", "task", "nox", "tox", "bash", "sh", "pwsh", "eval"];
/// In arguments: what decides what a backend has cargo compile.
const OPTIONS: &[&str] = &[
    "--profile",
    "--release",
    "--debug",
    "--target",
    "--features",
    "--no-default-features",
    "--all-features",
];

/// Something that a job compiles. What is empty is the default, or not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Made {
    pub project: String,
    pub settings: String,
    pub target: String,
    pub flags: String,
    /// `3.12`
    pub python: String,
    /// `nightly`
    pub channel: String,
}

impl Made {
    /// In which words the two differ, as far as they certainly do.
    pub(super) fn differences(&self, other: &Self) -> Vec<[String; 2]> {
        let words = |name: &str, none: &str, one: &str, other: &str| {
            let say = |value: &str| {
                if value.is_empty() { none.to_owned() } else { format!("{name} `{value}`") }
            };
            (one != other).then(|| [say(one), say(other)])
        };
        // The default may be the very one that the other names.
        let if_named = |name: &str, one: &str, other: &str| {
            words(name, "", one, other).filter(|_| !one.is_empty() && !other.is_empty())
        };
        let all = [
            words("project", "", &self.project, &other.project),
            words("settings", "no settings", &self.settings, &other.settings),
            words("`--target`", "no `--target`", &self.target, &other.target),
            words("`RUSTFLAGS`", "no `RUSTFLAGS`", &self.flags, &other.flags),
            if_named("Python", &self.python, &other.python),
            if_named("toolchain", &self.channel, &other.channel),
        ];
        all.into_iter().flatten().collect()
    }
}

/// Where a step uses caches: in a leg of a job, on the occasion on which it saves.
pub(super) struct Place<'a> {
    pub one: &'a Use<'a>,
    pub leg: &'a Leg,
    pub occasion: &'a Occasion,
}

impl<'a> Place<'a> {
    pub(super) fn of(one: &'a Use<'a>, leg: &'a Leg) -> Option<Self> {
        let saving = || {
            one.occasions.iter().filter(|occasion| {
                occasion.event.is_some() && occasion.is_shared() && one.may_save(occasion)
            })
        };
        let occasion =
            saving().find(|occasion| occasion.is_default_branch()).or_else(|| saving().next())?;
        let place = Place { one, leg, occasion };
        place.runs(one.step).unwrap_or(false).then_some(place)
    }

    /// Whether a step runs.
    pub(super) fn runs(&self, step: &Step) -> Known<bool> {
        self.occasion.holds(step.condition.as_deref(), Some(self.leg)).ok_or(Unknown)
    }

    /// Text with the leg's values.
    pub(super) fn known(&self, text: &str) -> Known<String> {
        let text = filled(text, self.leg);
        let mut open = text.split("${{").skip(1).map(str::trim_start);
        let is_same_for_all = open.all(|inside| {
            ["runner.os", "runner.arch", "hashFiles("].iter().any(|known| inside.starts_with(known))
        });
        if is_same_for_all { Ok(text) } else { Err(Unknown) }
    }

    /// An input of the step, empty if it is not set.
    pub(super) fn input(&self, name: &str) -> Known<String> {
        self.known(self.one.step.input(name).unwrap_or_default())
    }

    /// The Python that earlier steps have set up; empty if they have not.
    pub(super) fn python(&self, steps: &[Step]) -> Known<String> {
        for step in steps
            .iter()
            .rev()
            .filter(|step| step.is("actions/setup-python") || step.is("astral-sh/setup-uv"))
        {
            if let Some(version) =
                step.input("python-version").or_else(|| step.input("python-version-file"))
                && self.runs(step)?
            {
                return self.known(version);
            }
        }
        Ok(String::new())
    }

    /// All that the commands of the job compile; empty if it is not certain that any does.
    pub(super) fn compiled(&self) -> Known<Vec<Made>> {
        let (mut all, mut is_certain) = (Vec::new(), false);
        let steps = &self.one.job.steps;
        for (at, step) in steps.iter().enumerate() {
            let runs = self.runs(step);
            if runs == Ok(false) {
                continue;
            }
            let is_open = step.uses.as_deref().is_some_and(|uses| uses.starts_with("./"))
                || (step.run.is_none() && builds_otherwise(step).is_some());
            if is_open {
                return Err(Unknown);
            }
            for command in step.commands() {
                if let Some(made) =
                    self.of_command(&filled(&command, self.leg), step, &steps[..at])?
                {
                    all.push(made);
                    is_certain |= runs == Ok(true);
                }
            }
        }
        Ok(if is_certain { all } else { Vec::new() })
    }

    /// What one command compiles, if it does.
    fn of_command(&self, command: &str, step: &Step, before: &[Step]) -> Known<Option<Made>> {
        let Some(words) = shlex::split(command) else {
            return if ["cargo", "maturin"].iter().any(|program| command.contains(program)) {
                Err(Unknown)
            } else {
                Ok(None)
            };
        };
        let count =
            words.iter().take_while(|word| word.contains('=') && !word.starts_with('-')).count();
        let (assigned, words) = words.split_at(count);
        let variable = |name: &str| {
            let inline =
                assigned.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            let value = inline.or_else(|| {
                step.env.get(name).or_else(|| self.one.job.env.get(name)).map(String::as_str)
            });
            self.word(value.unwrap_or_default(), step)
        };
        let is_for_python = is_ours(command);
        let rest = match words {
            [program, rest @ ..] if program == "cargo" => rest,
            [program, rest @ ..]
                if program == "maturin"
                    && matches!(rest.first().map(String::as_str), Some("build" | "develop")) =>
            {
                rest
            }
            [_, rest @ ..] if is_for_python => rest,
            [program, ..] if RUNNERS.contains(&program.as_str()) || program.starts_with("./") => {
                return Err(Unknown);
            }
            _ if builds_otherwise(&Step { run: Some(command.to_owned()), ..Step::default() })
                .is_some() =>
            {
                return Err(Unknown);
            }
            _ => return Ok(None),
        };
        let is_toolchain = |word: &&String| word.starts_with('+');
        let toolchain = rest
            .first()
            .filter(is_toolchain)
            .map_or_else(|| variable("RUSTUP_TOOLCHAIN"), |word| Ok(word[1..].to_owned()))?;
        let mut subcommands = rest
            .iter()
            .skip_while(is_toolchain)
            .map(String::as_str)
            .skip_while(|word| *word == "pyenv-build");
        match subcommands.next() {
            None => {}
            Some(word)
                if is_for_python
                    && (matches!(word, "build" | "run" | "develop") || word.starts_with('-')) => {}
            Some(_) if is_for_python => return Ok(None),
            Some("develop") if words[0] == "maturin" => {}
            Some(word) if COMPILING.contains(&word) => {}
            Some(word) if OTHERS.contains(&word) => return Ok(None),
            // An alias, or another program.
            Some(_) => return Err(Unknown),
        }
        let mut made = Made {
            flags: variable("RUSTFLAGS")?,
            channel: channel(&toolchain).to_owned(),
            ..Made::default()
        };
        if is_for_python {
            // Arguments after `--` belong to the wrapped command.
            let own = words.split(|word| word == "--").next().unwrap_or(words);
            let asked = match self.options(own, &["-p", "--python"], step)?.pop() {
                Some(python) => python,
                None => variable("PYENV_BUILD_PYTHON")?,
            };
            made.python = minor(&if asked.is_empty() { self.python(before)? } else { asked });
        }
        let targets = self.options(words, &["--target"], step)?;
        made.target =
            if targets.is_empty() { variable("CARGO_BUILD_TARGET")? } else { targets.join(" ") };
        Ok(Some(made))
    }

    /// The values of an option.
    fn options(&self, words: &[String], names: &[&str], step: &Step) -> Known<Vec<String>> {
        let mut values = Vec::new();
        for (at, word) in words.iter().enumerate() {
            let glued = names.iter().find_map(|name| word.strip_prefix(name)?.strip_prefix('='));
            let next =
                words.get(at + 1).filter(|_| names.contains(&word.as_str())).map(String::as_str);
            if let Some(value) = glued.or(next) {
                values.push(self.word(value, step)?);
            }
        }
        Ok(values)
    }

    /// A word of a script; for `$NAME`, the variable of the step.
    fn word(&self, word: &str, step: &Step) -> Known<String> {
        let name = word
            .strip_prefix('$')
            .filter(|rest| !rest.starts_with("{{"))
            .map(|name| name.trim_start_matches('{').trim_end_matches('}'));
        let word = match name {
            Some(name) => {
                step.env.get(name).or_else(|| self.one.job.env.get(name)).ok_or(Unknown)?
            }
            None => word,
        };
        self.known(word)
            .and_then(|text| if text.contains(['$', '`']) { Err(Unknown) } else { Ok(text) })
    }
}

/// The channel of a toolchain; a stable one may be any release.
fn channel(toolchain: &str) -> &str {
    match toolchain {
        "" => "",
        name if name.starts_with("nightly") => "nightly",
        name if name.starts_with("beta") => "beta",
        name if name.starts_with("stable") || name.starts_with("1.") => "stable",
        _ => "",
    }
}

/// `3.12` of `3.12.1` and `python3.12`; empty for what may be any version.
fn minor(python: &str) -> String {
    let digits = python.strip_prefix("python").unwrap_or(python);
    let parts: Vec<&str> = digits.split('.').collect();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_free_threaded = digits.ends_with('t');
    match parts.as_slice() {
        [major, minor, ..] if is_number(major) && is_number(minor.trim_end_matches('t')) => {
            format!(
                "{major}.{}{}",
                minor.trim_end_matches('t'),
                if is_free_threaded { "t" } else { "" }
            )
        }
        _ => String::new(),
    }
}

/// Of the arguments of our action: the settings for the backend that decide what cargo compiles,
/// and all other words.
pub(super) fn settings(args: &str) -> Known<(String, String)> {
    let words = shlex::split(args).ok_or(Unknown)?;
    let mut words = words.iter().map(String::as_str);
    let (mut settings, mut others) = (Vec::new(), Vec::new());
    while let Some(word) = words.next() {
        let setting = match word {
            "-C" | "--config-setting" | "--config-settings" => words.next(),
            _ => ["--config-setting=", "--config-settings=", "-C"]
                .iter()
                .find_map(|flag| word.strip_prefix(flag)),
        };
        match setting {
            Some(setting) if decides(setting) => settings.push(setting),
            Some(setting) => others.push(setting),
            None => others.push(word),
        }
    }
    settings.sort_unstable();
    Ok((settings.join(" "), others.join(" ")))
}

fn decides(setting: &str) -> bool {
    let is_named = ["profile=", "cmake.build-type="].iter().any(|name| setting.starts_with(name));
    is_named || OPTIONS.iter().any(|option| setting.contains(option))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_are_certain() {
        for (python, expected) in [
            ("3.12", "3.12"),
            ("3.12.1", "3.12"),
            ("3.13t", "3.13t"),
            ("3.13.2t", "3.13t"),
            ("python3.9", "3.9"),
            ("3.x", ""),
            (">=3.9", ""),
            ("", ""),
        ] {
            assert_eq!(minor(python), expected, "{python}");
        }
        for (toolchain, expected) in [
            ("nightly-2026-01-01", "nightly"),
            ("1.90", "stable"),
            ("stable", "stable"),
            ("mine", ""),
            ("", ""),
        ] {
            assert_eq!(channel(toolchain), expected, "{toolchain}");
        }
    }

    #[test]
    fn settings_that_decide_what_is_compiled() {
        let args = "--sdist -C profile=dev -Cbuild-args='--features x' --config-setting=strip=true";
        assert_eq!(
            settings(args),
            Ok(("build-args=--features x profile=dev".to_owned(), "--sdist strip=true".to_owned()))
        );
        assert_eq!(settings("a 'b"), Err(Unknown));
    }
}
