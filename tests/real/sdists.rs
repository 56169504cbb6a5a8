//! Source distributions compared.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Name to content, of files.
fn files(sdist: &Path) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(File::open(sdist).unwrap()));
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if !entry.header().entry_type().is_dir() {
            let name = entry.path().unwrap().to_string_lossy().into_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(name, String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    files
}

/// Fails unless two source distributions have the same name and the same files.
#[track_caller]
pub(crate) fn assert_same(ours: &Path, theirs: &Path) {
    assert_eq!(ours.file_name(), theirs.file_name());
    let (ours, theirs) = (files(ours), files(theirs));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (name, our) in &ours {
        assert_eq!(our, &theirs[name], "`{name}`");
    }
}
