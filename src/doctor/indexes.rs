//! Where uv and pip take packages from.

use std::collections::BTreeSet;

use super::facts::{IgnoredSettings, Index, IndexSettings};
use super::{Facts, Finding, Rule, Severity, shown};

pub(crate) const AT_ODDS: Rule = Rule {
    id: "installers-at-odds",
    severity: Severity::Warning,
    summary: "uv and pip use different package indexes",
    why: "which one resolves the build requirements depends on whether uv is on PATH: a different \
        index can provide different artifacts, which make a different build environment, for \
        which PyO3 is recompiled",
    suggestion: "set both to the same indexes, or choose one with `[tool.pyenv-build] installer`",
    check: at_odds,
};

pub(crate) const FOR_ONE: Rule = Rule {
    id: "index-for-one-installer",
    severity: Severity::Note,
    summary: "an index variable is set for only one of uv and pip",
    why: "`cargo pyenv-build` passes it to the installer that it uses, but `pip install` or `uv \
        sync` in the same job use a different index",
    suggestion: "set the other installer's variable as well",
    check: for_one,
};

pub(crate) const NOT_FOR_BUILDS: Rule = Rule {
    id: "settings-not-for-builds",
    severity: Severity::Note,
    summary: "settings of uv or pip do not apply to build environments",
    why: "as in `uv build` and `pip wheel`, they say how the project's own dependencies are \
        resolved and where they are installed",
    suggestion: "for build requirements, set `build-constraint-dependencies` or \
        `[tool.pyenv-build] constraints`",
    check: not_for_builds,
};

fn not_for_builds(facts: &Facts) -> Vec<Finding> {
    let find = |settings: &IgnoredSettings| {
        let names: Vec<String> = settings.names.iter().map(|name| format!("`{name}`")).collect();
        let verb = if names.len() == 1 { "does" } else { "do" };
        let message = format!(
            "{} of {} in `{}` {verb} not apply to build environments",
            names.join(", "),
            settings.installer,
            shown(&settings.file, facts)
        );
        NOT_FOR_BUILDS.finding(settings.file.clone(), message, NOT_FOR_BUILDS.suggestion.to_owned())
    };
    facts.ignored_settings.iter().map(find).collect()
}

const PYPI: &str = "https://pypi.org/simple";

impl IndexSettings {
    /// All indexes, in a form that can be compared.
    fn urls(&self) -> BTreeSet<&str> {
        let default = self.default.as_ref().map_or(PYPI, |index| index.url.trim_end_matches('/'));
        std::iter::once(default)
            .chain(self.extra.iter().map(|index| index.url.trim_end_matches('/')))
            .collect()
    }

    fn all(&self) -> impl Iterator<Item = &Index> {
        self.default.iter().chain(&self.extra)
    }

    /// Said in a message.
    fn described(&self, name: &str) -> String {
        let set: Vec<String> =
            self.all().map(|index| format!("`{}` by {}", index.url, index.set_by)).collect();
        if set.is_empty() {
            format!("{name} uses PyPI")
        } else {
            format!("{name} asks {}", set.join(" and "))
        }
    }
}

fn at_odds(facts: &Facts) -> Vec<Finding> {
    let (uv, pip) = (&facts.indexes.uv, &facts.indexes.pip);
    if facts.indexes.installer_is_chosen || uv.urls() == pip.urls() || is_for_one(facts).is_some() {
        return Vec::new();
    }
    let message = format!("{}, {}", uv.described("uv"), pip.described("pip"));
    let suggestion = "set both to the same indexes, or choose one with `installer = \"uv\"` or \
        `\"pip\"` in `[tool.pyenv-build]`"
        .to_owned();
    vec![AT_ODDS.finding(None, message, suggestion)]
}

/// The settings of the only installer that has any, if they are all variables: these we hand on.
fn is_for_one(facts: &Facts) -> Option<(&IndexSettings, &'static str, &'static str)> {
    let (uv, pip) = (&facts.indexes.uv, &facts.indexes.pip);
    let only = |one: &IndexSettings, other: &IndexSettings| {
        one.all().next().is_some()
            && one.all().all(|index| index.is_variable)
            && other.all().next().is_none()
    };
    match (only(uv, pip), only(pip, uv)) {
        (true, _) => Some((uv, "uv", "PIP_INDEX_URL or PIP_EXTRA_INDEX_URL")),
        (_, true) => Some((pip, "pip", "UV_DEFAULT_INDEX or UV_INDEX")),
        _ => None,
    }
}

fn for_one(facts: &Facts) -> Vec<Finding> {
    let find = |(settings, name, others): (&IndexSettings, &str, &str)| {
        FOR_ONE.finding(None, settings.described(name), format!("set {others} to the same value"))
    };
    is_for_one(facts).map(find).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::super::facts::Indexes;
    use super::*;

    fn index(url: &str, is_variable: bool) -> Index {
        Index {
            url: url.into(),
            set_by: if is_variable { "A_VARIABLE" } else { "a file" }.into(),
            is_variable,
        }
    }

    fn ids(uv: Option<Index>, pip: Option<Index>, chosen: bool) -> Vec<&'static str> {
        let settings = |default| IndexSettings { default, extra: vec![] };
        let indexes = Indexes { uv: settings(uv), pip: settings(pip), installer_is_chosen: chosen };
        let facts = Facts { indexes, ..Facts::default() };
        at_odds(&facts).into_iter().chain(for_one(&facts)).map(|finding| finding.rule).collect()
    }

    #[test]
    fn what_we_hand_on_is_a_note_and_what_we_cannot_is_a_warning() {
        let (a, b) = ("https://a.example/simple", "https://b.example/simple/");
        assert_eq!(ids(None, None, false), [""; 0]);
        assert_eq!(ids(Some(index(a, true)), None, false), ["index-for-one-installer"]);
        assert_eq!(ids(None, Some(index(a, true)), false), ["index-for-one-installer"]);
        assert_eq!(
            ids(Some(index(a, false)), None, false),
            ["installers-at-odds"],
            "files are not handed on"
        );
        assert_eq!(ids(Some(index(a, true)), Some(index(b, true)), false), ["installers-at-odds"]);
        assert_eq!(ids(Some(index(a, true)), Some(index(b, true)), true), [""; 0]);
        assert_eq!(
            ids(Some(index(b, true)), Some(index(b.trim_end_matches('/'), false)), false),
            [""; 0]
        );
        assert_eq!(
            ids(Some(index("https://pypi.org/simple/", false)), None, false),
            [""; 0],
            "the default, spelled out"
        );
    }
}
