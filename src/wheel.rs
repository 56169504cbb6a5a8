//! Wheels: the check that the target interpreter can import the built wheel, and reading metadata.
//!
//! A wheel whose extension module is for another Python installs and then fails at import, or
//! crashes (PyO3 issue 4882), so it is an error here, never a wheel. An extension module is
//! recognized by its suffix (PEP 3149): the interpreter's `EXT_SUFFIX`, `.abi3.so`, or no tag at
//! all, which anything may carry.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use pep508_rs::{ExtraName, PackageName};

use crate::env_vars;
use crate::interpreter::Identity;
use crate::project::parse_requirement;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to read the wheel `{}`", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("`{}` is not a readable wheel: {reason}", path.display())]
    Invalid { path: PathBuf, reason: String },
    #[error("`{wheel}` is not for {interpreter}: {what}")]
    WrongAbi { wheel: String, interpreter: String, what: String },
}

impl Error {
    /// What the user can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::WrongAbi { .. } => Some(
                "PYO3_CONFIG_FILE or PYO3_PYTHON may name a different interpreter (see `cargo \
                    pyenv-build env`), or the target directory contains a build for one: remove \
                    `target`"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// Checks a wheel's tags and the extension modules in it.
pub(crate) fn check(wheel: &Path, identity: &Identity) -> Result<(), Error> {
    let name = wheel.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let wrong = |what: String| Error::WrongAbi {
        wheel: name.clone(),
        interpreter: identity.display(),
        what,
    };
    if let Some(what) = wrong_tag(&name, identity) {
        return Err(wrong(what));
    }
    let archive = open(wheel)?;
    let platform_may_differ = [
        "CARGO_BUILD_TARGET",
        "PYO3_CROSS",
        "PYO3_CROSS_LIB_DIR",
        "_PYTHON_HOST_PLATFORM",
        "ARCHFLAGS",
    ]
    .iter()
    .any(|name| env_vars::get(name).is_some());
    let members = archive.file_names().map(|member| member.map(|name| name.to_string()));
    let members: Vec<String> = members
        .collect::<Result<_, _>>()
        .map_err(|error| Error::Invalid { path: wheel.to_path_buf(), reason: error.to_string() })?;
    match wrong_members(&members, identity, platform_may_differ) {
        Some(what) => Err(wrong(what)),
        None => Ok(()),
    }
}

/// What is wrong with a wheel's members: an extension module for another interpreter, and none of
/// the same name for this one.
fn wrong_members(
    members: &[String],
    identity: &Identity,
    platform_may_differ: bool,
) -> Option<String> {
    // `a/_m` of `a/_m.cpython-312-x86_64-linux-gnu.so`
    let stem = |member: &str| {
        let start = member.rfind('/').map_or(0, |at| at + 1);
        let end = member[start..].find('.').map_or(member.len(), |at| start + at);
        member[..end].to_owned()
    };
    let is_module = |member: &str| {
        Path::new(member).extension().is_some_and(|ending| ending == "so" || ending == "pyd")
    };
    let what = |member: &str| wrong_module(member, identity, platform_may_differ);
    let good: BTreeSet<String> = members
        .iter()
        .filter(|member| is_module(member) && what(member).is_none())
        .map(|member| stem(member))
        .collect();
    members.iter().filter(|member| !good.contains(&stem(member))).find_map(|member| what(member))
}

/// What is wrong with a wheel's tags, if anything: `name-version(-build)?-python-abi-platform.whl`.
fn wrong_tag(wheel: &str, identity: &Identity) -> Option<String> {
    let mut fields = wheel.strip_suffix(".whl")?.rsplit('-');
    let (_platform, abis, pythons) = (fields.next()?, fields.next()?, fields.next()?);
    let abi = identity.abi();
    let (major, minor) = identity.major_minor();
    let suits = |tag: &str| match tag {
        "none" => true,
        "abi3" => identity.implementation == "cpython" && !identity.free_threaded,
        "abi3t" => identity.implementation == "cpython",
        tag if tag.starts_with("pypy") => {
            identity.implementation == "pypy" && tag.starts_with(&format!("pypy{major}{minor}"))
        }
        // `cp27mu`, `cp37m` are of Pythons too old for us.
        tag if tag.starts_with("cp") => tag == abi,
        _ => true,
    };
    (!abis.split('.').any(suits))
        .then(|| format!("its tag is `{pythons}-{abis}`, but the interpreter is {abi}"))
}

/// What is wrong with a member, if it is an extension module for another interpreter.
fn wrong_module(member: &str, identity: &Identity, platform_may_differ: bool) -> Option<String> {
    let file = member.rsplit('/').next()?;
    let (_, suffix) = file.split_once('.')?;
    let tag = suffix.strip_suffix(".so").or_else(|| suffix.strip_suffix(".pyd"))?;
    let fits = match tag {
        "abi3" => identity.implementation == "cpython" && !identity.free_threaded,
        "abi3t" => identity.implementation == "cpython",
        tag if tag.starts_with("cpython-")
            || tag.starts_with("pypy")
            || tag.starts_with("graalpy")
            || is_windows_tag(tag) =>
        {
            let own = identity.ext_suffix.as_deref()?.trim_start_matches('.').rsplit_once('.')?.0;
            if platform_may_differ { abi_part(tag) == abi_part(own) } else { tag == own }
        }
        // `libfoo.so.1`, `name.something.so`: no tag that we know.
        _ => true,
    };
    let expected = identity.ext_suffix.as_deref().unwrap_or("none");
    (!fits).then(|| {
        format!("`{member}` has the suffix `.{suffix}`, but the interpreter imports `{expected}`")
    })
}

/// `cp312-win_amd64`
fn is_windows_tag(tag: &str) -> bool {
    tag.strip_prefix("cp").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// `cpython-312-x86_64-linux-gnu` -> `cpython-312`
fn abi_part(tag: &str) -> &str {
    let parts = if is_windows_tag(tag) { 1 } else { 2 };
    tag.match_indices('-').nth(parts - 1).map_or(tag, |(at, _)| &tag[..at])
}

fn open(wheel: &Path) -> Result<zip::ZipArchive<std::fs::File>, Error> {
    let file = fs_err::File::open(wheel)
        .map_err(|source| Error::Read { path: wheel.to_path_buf(), source })?;
    zip::ZipArchive::new(file.into_parts().0)
        .map_err(|error| Error::Invalid { path: wheel.to_path_buf(), reason: error.to_string() })
}

/// What a wheel says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub name: String,
    pub version: String,
    /// The names of what it requires, some of it only for an extra or elsewhere.
    pub requires: Vec<PackageName>,
    /// The extras that it has.
    pub extras: Vec<ExtraName>,
    /// The name of its `.dist-info` directory, installed as in the wheel.
    pub dist_info: String,
    /// Whether it goes to `purelib`; otherwise to `platlib`.
    pub is_pure: bool,
}

/// Reads a wheel's metadata.
pub(crate) fn metadata(wheel: &Path) -> Result<Metadata, Error> {
    let invalid = |reason: String| Error::Invalid { path: wheel.to_path_buf(), reason };
    let mut archive = open(wheel)?;
    let members = archive.file_names().map(|member| member.map(|member| member.to_string()));
    let members =
        members.collect::<Result<Vec<String>, _>>().map_err(|error| invalid(error.to_string()))?;
    let directory = members.iter().find_map(|member| {
        let (directory, file) = member.split_once('/')?;
        (directory.ends_with(".dist-info") && file == "METADATA").then(|| directory.to_owned())
    });
    let dist_info = directory
        .ok_or_else(|| invalid("it has no .dist-info directory with METADATA".to_owned()))?;
    let mut read = |name: &str| {
        let mut text = String::new();
        let mut member = archive
            .by_name(&format!("{dist_info}/{name}"))
            .map_err(|error| invalid(error.to_string()))?;
        member.read_to_string(&mut text).map_err(|error| invalid(error.to_string()))?;
        Ok(text)
    };
    let (metadata, tags) = (read("METADATA")?, read("WHEEL")?);
    let name =
        header(&metadata, "Name").ok_or_else(|| invalid("its METADATA has no Name".to_owned()))?;
    let version = header(&metadata, "Version")
        .ok_or_else(|| invalid("its METADATA has no Version".to_owned()))?;
    let is_pure =
        header(&tags, "Root-Is-Purelib").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let extras =
        headers(&metadata, "Provides-Extra").filter_map(|extra| extra.parse().ok()).collect();
    let requires = headers(&metadata, "Requires-Dist")
        .filter_map(|text| parse_requirement(text).ok())
        .map(|requirement| requirement.name)
        .collect();
    Ok(Metadata { name, version, requires, extras, dist_info, is_pure })
}

/// A field of a file in the format of e-mail headers, the first of that name.
fn header(text: &str, name: &str) -> Option<String> {
    headers(text, name).next().map(str::to_owned)
}

/// All fields of that name.
fn headers<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let head = text.lines().take_while(|line| !line.is_empty());
    let fields = head.filter_map(|line| line.split_once(':'));
    fields.filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// Unpacks a wheel's `.dist-info` directory into `directory` and returns its path: PEP 517's way to
/// the metadata where the backend has no hook for it.
pub(crate) fn extract_metadata(wheel: &Path, directory: &Path) -> Result<PathBuf, Error> {
    let invalid = |reason: String| Error::Invalid { path: wheel.to_path_buf(), reason };
    let mut archive = open(wheel)?;
    let mut root = None;
    for index in 0..archive.len() {
        let mut member = archive.by_index(index).map_err(|error| invalid(error.to_string()))?;
        // A name that leads outside is `None`.
        let Some(path) = member.enclosed_name() else {
            return Err(invalid("a member's name points outside the archive".to_owned()));
        };
        let Some(first) = path.components().next().map(|first| first.as_os_str().to_owned()) else {
            continue;
        };
        if !first.to_string_lossy().ends_with(".dist-info") || member.is_dir() {
            continue;
        }
        let target = directory.join(&path);
        let mut content = Vec::new();
        let written = member.read_to_end(&mut content).and_then(|_| {
            fs_err::create_dir_all(target.parent().unwrap_or(directory))?;
            fs_err::write(&target, &content)
        });
        written.map_err(|source| Error::Read { path: target.clone(), source })?;
        root = Some(directory.join(first));
    }
    root.ok_or_else(|| invalid("it has no .dist-info directory".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpreter::identity_tests::cpython;

    #[test]
    fn tags_must_suit_the_interpreter() {
        let gil = cpython("3.12.1");
        let wrong = |wheel: &str, identity: &Identity| wrong_tag(wheel, identity).is_some();
        for fine in [
            "a-1-py3-none-any.whl",
            "a-1-cp312-cp312-linux_x86_64.whl",
            "a-1-cp39-abi3-linux_x86_64.whl",
            "a-1-1-py2.py3-none-any.whl",
        ] {
            assert!(!wrong(fine, &gil), "{fine}");
        }
        for bad in [
            "a-1-cp313-cp313-linux_x86_64.whl",
            "a-1-cp312-cp312t-linux_x86_64.whl",
            "a-1-pp310-pypy310_pp73-linux_x86_64.whl",
        ] {
            assert!(wrong(bad, &gil), "{bad}");
        }
        let free = Identity { free_threaded: true, ..cpython("3.13.0") };
        assert!(wrong("a-1-cp39-abi3-linux_x86_64.whl", &free));
        assert!(!wrong("a-1-cp313-cp313t-linux_x86_64.whl", &free));
        let pypy = Identity { implementation: "pypy".into(), ..cpython("3.9.16") };
        assert!(!wrong("a-1-pp39-pypy39_pp73-linux_x86_64.whl", &pypy));
        assert!(wrong("a-1-cp39-abi3-linux_x86_64.whl", &pypy));
    }

    #[test]
    fn extension_modules_must_have_the_interpreters_suffix() {
        let gil = cpython("3.12.1");
        let wrong = |member: &str| wrong_module(member, &gil, false).is_some();
        for fine in [
            "p/x.cpython-312-x86_64-linux-gnu.so",
            "p/x.abi3.so",
            "p/x.so",
            "p/libssl.so.3",
            "p/data.so.txt",
            "p.libs/libz-1.2.so",
            "p/x.py",
        ] {
            assert!(!wrong(fine), "{fine}");
        }
        for bad in [
            "p/x.cpython-313-x86_64-linux-gnu.so",
            "p/x.cpython-312t-x86_64-linux-gnu.so",
            "x.pypy39-pp73-x86_64-linux-gnu.so",
            "x.cp312-win_amd64.pyd",
        ] {
            assert!(wrong(bad), "{bad}");
        }
        assert!(wrong("x.cpython-312-aarch64-linux-gnu.so"));
        assert!(
            wrong_module("x.cpython-312-aarch64-linux-gnu.so", &gil, true).is_none(),
            "cross compilation"
        );
        let of = |members: &[&str]| {
            let members: Vec<String> = members.iter().map(|one| (*one).to_owned()).collect();
            wrong_members(&members, &gil, false).is_some()
        };
        let (own, other) =
            ("p/x.cpython-312-x86_64-linux-gnu.so", "p/x.cpython-311-x86_64-linux-gnu.so");
        assert!(!of(&[other, own]) && !of(&[other, "p/x.abi3.so"]), "one for each Python");
        assert!(of(&[other]) && of(&[other, "p/y.so"]) && of(&[other, "q/x.so", "p/x.py"]));
    }
}
