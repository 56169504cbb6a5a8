//! `dep-*`: which files and variables rustc read for a unit, in cargo's own binary form.
//!
//! Little endian: `u32` 1, `u8` 0xff, `u8` version 1, `u32` count, then per file `u8` kind, path,
//! `u8` has-checksum (and if it has, `u64` size and a text); then `u32` count and per variable a
//! name, `u8` is-set (and if it is, a value). Texts are a `u32` length and bytes.
//! Source: <https://github.com/rust-lang/cargo/blob/0.96.0/src/cargo/core/compiler/fingerprint/dep_info.rs>

use std::path::PathBuf;

/// What a `dep-*` file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DepInfo {
    pub files: Vec<DepFile>,
    /// Variables read with `env!` and `option_env!`; `None`: it was not set.
    pub env: Vec<(String, Option<String>)>,
}

/// A file as cargo names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DepFile {
    /// Relative to the root of the package.
    Package(PathBuf),
    /// Relative to the build directory: what a build script made.
    Build(PathBuf),
    /// Elsewhere; absolute, but not canonical.
    Absolute(PathBuf),
}

/// Reads a `dep-*` file. `None`: not in the form that we know.
pub(crate) fn parse(bytes: &[u8]) -> Option<DepInfo> {
    let mut reader = Reader { rest: bytes };
    if reader.u32()? != 1 || reader.u8()? != 0xff || reader.u8()? != 1 {
        return None;
    }
    let mut info = DepInfo::default();
    for _ in 0..reader.u32()? {
        let kind = reader.u8()?;
        let path = path(reader.bytes()?)?;
        if reader.flag()? {
            reader.take(8)?;
            reader.bytes()?;
        }
        info.files.push(match kind {
            0 => DepFile::Package(path),
            1 if path.is_absolute() => DepFile::Absolute(path),
            1 => DepFile::Build(path),
            _ => return None,
        });
    }
    for _ in 0..reader.u32()? {
        let name = reader.text()?;
        let value = if reader.flag()? { Some(reader.text()?) } else { None };
        info.env.push((name, value));
    }
    reader.rest.is_empty().then_some(info)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.u32()?;
        self.take(count.try_into().ok()?)
    }

    fn text(&mut self) -> Option<String> {
        Some(std::str::from_utf8(self.bytes()?).ok()?.to_owned())
    }
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere paths are text")]
fn path(bytes: &[u8]) -> Option<PathBuf> {
    Some(PathBuf::from(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes)))
}

#[cfg(not(unix))]
fn path(bytes: &[u8]) -> Option<PathBuf> {
    Some(PathBuf::from(std::str::from_utf8(bytes).ok()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn text(bytes: &mut Vec<u8>, text: &str) {
        bytes.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
        bytes.extend(text.as_bytes());
    }

    pub(crate) fn sample() -> Vec<u8> {
        let mut bytes = vec![1, 0, 0, 0, 0xff, 1, 3, 0, 0, 0];
        bytes.push(0);
        text(&mut bytes, "src/lib.rs");
        bytes.push(0);
        bytes.push(1);
        text(&mut bytes, "release/build/x/out/gen.rs");
        bytes.extend([1, 9, 0, 0, 0, 0, 0, 0, 0]);
        text(&mut bytes, "sha256=00");
        bytes.push(1);
        text(&mut bytes, "/shared/data.txt");
        bytes.push(0);
        bytes.extend([2, 0, 0, 0]);
        text(&mut bytes, "A");
        bytes.push(1);
        text(&mut bytes, "1");
        text(&mut bytes, "B");
        bytes.push(0);
        bytes
    }

    #[test]
    #[cfg(unix)]
    fn reads_all_kinds() {
        let info = parse(&sample()).unwrap();
        assert_eq!(
            info.files,
            [
                DepFile::Package("src/lib.rs".into()),
                DepFile::Build("release/build/x/out/gen.rs".into()),
                DepFile::Absolute("/shared/data.txt".into()),
            ]
        );
        assert_eq!(info.env, [("A".into(), Some("1".into())), ("B".into(), None)]);
    }

    #[test]
    fn refuses_every_cut_and_what_it_does_not_know() {
        let bytes = sample();
        for end in 0..bytes.len() {
            assert_eq!(parse(&bytes[..end]), None, "cut at {end}");
        }
        let with = |at: usize, byte: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            parse(&bytes)
        };
        assert_eq!(with(5, 2), None, "another version");
        assert_eq!(with(10, 7), None, "another kind of path");
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(parse(&longer), None, "something after the end");
    }
}
