//! Wheels compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// What is in a wheel.
#[derive(Debug)]
struct Wheel {
    name: String,
    members: BTreeMap<String, Member>,
}

#[derive(Debug, PartialEq, Eq)]
struct Member {
    mode: Option<u32>,
    bytes: Vec<u8>,
}

impl Wheel {
    fn read(path: &Path) -> Self {
        let mut archive = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
        let mut members = BTreeMap::new();
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            members.insert(
                entry.name().unwrap().into_owned(),
                Member { mode: entry.unix_mode(), bytes },
            );
        }
        Self { name: path.file_name().unwrap().to_string_lossy().into_owned(), members }
    }

    fn names(&self) -> Vec<&str> {
        self.members.keys().map(String::as_str).collect()
    }

    fn text(&self, suffix: &str) -> String {
        let mut found = self.members.iter().filter(|(name, _)| name.ends_with(suffix));
        let (Some((_, member)), None) = (found.next(), found.next()) else {
            panic!("not one `{suffix}` in {:?}", self.names())
        };
        String::from_utf8(member.bytes.clone()).unwrap()
    }

    /// The lines of `RECORD`; what is said of compiled files left out.
    fn record(&self) -> BTreeSet<String> {
        let text = self.text(".dist-info/RECORD");
        text.lines()
            .map(|line| {
                if is_compiled(line.split(',').next().unwrap()) {
                    line.split(',').next().unwrap()
                } else {
                    line
                }
                .to_owned()
            })
            .collect()
    }
}

/// Compilers embed paths and dates.
fn is_compiled(name: &str) -> bool {
    [".so", ".pyd", ".dylib", ".dll"].iter().any(|suffix| name.ends_with(suffix))
}

/// Fails unless two wheels are the same to everybody but the compiler: name, names and modes of
/// members, their bytes.
#[track_caller]
pub(crate) fn assert_same(ours: &Path, theirs: &Path) {
    let (ours, theirs) = (Wheel::read(ours), Wheel::read(theirs));
    assert_eq!(ours.name, theirs.name);
    assert_eq!(ours.names(), theirs.names());
    assert_eq!(ours.record(), theirs.record());
    for (name, our) in &ours.members {
        let their = &theirs.members[name];
        assert_eq!(our.mode, their.mode, "the mode of `{name}`");
        let same =
            is_compiled(name) || name.ends_with(".dist-info/RECORD") || our.bytes == their.bytes;
        assert!(
            same,
            "`{name}`:\n{}\n--- instead of\n{}",
            String::from_utf8_lossy(&our.bytes),
            String::from_utf8_lossy(&their.bytes)
        );
    }
}

/// Fails unless two wheels have the same name, members and metadata.
#[track_caller]
pub(crate) fn assert_alike(ours: &Path, theirs: &Path) {
    let (ours, theirs) = (Wheel::read(ours), Wheel::read(theirs));
    assert_eq!(ours.name, theirs.name);
    assert_eq!(ours.names(), theirs.names());
    for file in [".dist-info/METADATA", ".dist-info/WHEEL"] {
        assert_eq!(ours.text(file), theirs.text(file));
    }
}

/// The members of a wheel.
pub(crate) fn members(wheel: &Path) -> Vec<String> {
    Wheel::read(wheel).members.into_keys().collect()
}
