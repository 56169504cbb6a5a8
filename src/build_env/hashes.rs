//! `--require-hashes`: the hashes that constraints files allow.

use std::collections::BTreeMap;

use super::Error;
use super::fingerprint::{self, Distribution};
use crate::project::parse_requirement;

/// `name -> allowed sha256` of constraints files (`name==version --hash=sha256:...`, continued over
/// lines by backslashes).
pub(super) fn allowed_hashes(
    constraints: &[String],
) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let mut allowed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in constraints.iter().filter(|file| !file.contains("://")) {
        let text = fs_err::read_to_string(file)
            .map_err(|source| Error::Constraints { path: file.into(), source })?;
        for line in text.replace("\\\r\n", " ").replace("\\\n", " ").lines() {
            let line = line.split(" #").next().unwrap_or_default();
            let (requirement, options) = line
                .split_once("--hash")
                .map_or((line, ""), |(head, _)| (head, &line[head.len()..]));
            let Ok(requirement) = parse_requirement(requirement.trim()) else { continue };
            let hashes = options.split("--hash").filter_map(|option| {
                option.trim_start_matches(['=', ' ']).trim().strip_prefix("sha256:")
            });
            allowed
                .entry(requirement.name.to_string())
                .or_default()
                .extend(hashes.map(|hash| hash.trim().to_ascii_lowercase()));
        }
    }
    Ok(allowed)
}

/// Fails unless every distribution's hash is among those allowed for its name.
pub(super) fn check_hashes(
    distributions: &[Distribution],
    allowed: &BTreeMap<String, Vec<String>>,
    by: &str,
) -> Result<(), Error> {
    for distribution in distributions {
        let name = || distribution.name.clone();
        let Some(hashes) = allowed.get(&distribution.name).filter(|hashes| !hashes.is_empty())
        else {
            return Err(Error::HashMissing { name: name() });
        };
        let (fingerprint::Artifact::Index { sha256: Some(actual), .. }
        | fingerprint::Artifact::Archive { sha256: actual, .. }) = &distribution.artifact
        else {
            return Err(Error::HashMissing { name: name() });
        };
        if !hashes.contains(actual) {
            return Err(Error::HashMismatch {
                name: name(),
                actual: actual.clone(),
                expected_by: by.to_owned(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_read_from_constraints_over_continued_lines() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.txt");
        fs_err::write(&file, "# x\nMaturin==1.9.0 \\\n    --hash=sha256:AA \\\n    --hash=sha256:bb\ntomli==2 ; python_version < '3.11' --hash=sha256:cc # why\nplain>=1\n").unwrap();
        let allowed = allowed_hashes(&[file.to_string_lossy().into_owned()]).unwrap();
        assert_eq!(allowed["maturin"], ["aa", "bb"]);
        assert_eq!(allowed["tomli"], ["cc"]);
        assert!(allowed["plain"].is_empty());
    }
}
