//! What a build used, in one object: recorded calls themselves, and the names of their files.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use super::key::Paths;
use crate::ci::Origin;
use crate::digest;
use crate::units::entry::Entry;
use crate::units::script;

/// Version of the format.
const SCHEMA: u32 = 1;

/// A file of at most so many bytes, if it is text, is in the manifest and no object of its own.
pub(super) const SMALL: u64 = 16 * 1024;

/// No object of ours is larger once unpacked.
const LARGEST: u64 = 4 * 1024 * 1024 * 1024;

/// So many builds may make or use another record in a record's place before it is forgotten: two
/// branches that alternate keep theirs.
const PASSED_BY: u32 = 2;

/// Days after which a record that nothing used is forgotten.
const UNUSED_DAYS: u64 = 60;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    schema: u32,
    pub paths: Paths,
    /// Seconds since 1970.
    pub written_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// By their paths below the store's version.
    pub records: BTreeMap<String, Record>,
    /// Text files by their digests.
    pub small: BTreeMap<String, String>,
    /// Blobs by their digests.
    pub blobs: BTreeMap<String, Blob>,
    /// By their names in `envs`.
    pub environments: BTreeMap<String, Environment>,
    /// Memos of requests, by their names in `requests`.
    pub memos: BTreeMap<String, String>,
}

/// A recorded call, or a recorded run of a build script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub content: String,
    /// The day, since 1970, on which it was last used.
    pub used: u64,
    /// Builds since then that used another record in its place.
    pub passed_by: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Blob {
    /// Unpacked.
    pub bytes: u64,
    /// The day, since 1970, on which it was uploaded.
    pub uploaded: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Environment {
    /// `envs/<name>.json`.
    pub marker: String,
    /// Its tree, an archive.
    pub blob: String,
}

impl Record {
    /// The digests of the files that go with it.
    pub(crate) fn files(&self, name: &str) -> BTreeSet<String> {
        if is_script(name) {
            return script::products(self.content.as_bytes()).into_iter().collect();
        }
        let entry = serde_json::from_str::<Entry>(&self.content);
        entry
            .map(|entry| entry.outputs.into_iter().map(|output| output.digest).collect())
            .unwrap_or_default()
    }

    /// How long it took to make.
    pub(crate) fn seconds(&self) -> f64 {
        #[derive(Deserialize)]
        struct Took {
            seconds: f64,
        }
        serde_json::from_str::<Took>(&self.content).map_or(0.0, |took| took.seconds)
    }
}

fn is_script(name: &str) -> bool {
    name.starts_with("scripts/")
}

/// Which records stand in each other's place: those of one unit, made with the same arguments, which
/// name the profile and the features.
fn place_of(name: &str, record: &Record) -> String {
    #[derive(Deserialize)]
    struct Called {
        before: Before,
    }
    #[derive(Deserialize)]
    struct Before {
        arguments: Vec<String>,
    }
    let unit = name.rsplit_once('/').map_or(name, |(unit, _name)| unit);
    let arguments = serde_json::from_str::<Called>(&record.content)
        .map(|called| called.before.arguments.join("\n"))
        .unwrap_or_default();
    format!("{unit}\n{arguments}")
}

/// Whether a record can be of use where no tests are built and nothing is linted.
pub(super) fn is_of_a_build(name: &str) -> bool {
    let unit = name.rsplit('/').nth(1).unwrap_or_default();
    !["-test", "-check", "-clippy"].iter().any(|ending| unit.ends_with(ending))
}

impl Manifest {
    pub(crate) fn new(paths: Paths, origin: Option<Origin>, written_at: u64) -> Self {
        Self {
            schema: SCHEMA,
            paths,
            written_at,
            origin,
            records: BTreeMap::new(),
            small: BTreeMap::new(),
            blobs: BTreeMap::new(),
            environments: BTreeMap::new(),
            memos: BTreeMap::new(),
        }
    }

    pub(crate) fn encode(&self) -> io::Result<Vec<u8>> {
        packed(&serde_json::to_vec(self).expect("our own plain data always serialises"))
    }

    /// Reads one. The error says what is wrong with it.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let text = unpacked(bytes, 1024 * 1024 * 1024).map_err(|error| error.to_string())?;
        let manifest: Self = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        if manifest.schema != SCHEMA {
            return Err(format!("its format has version {}", manifest.schema));
        }
        let is_name = |name: &String| {
            let path = Path::new(name);
            path.components().count() == 1
                && matches!(path.components().next(), Some(Component::Normal(_)))
        };
        let is_record = |name: &String| {
            let is_ours = name.starts_with("units/") || is_script(name);
            is_ours
                && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
                && Path::new(name).extension().is_some_and(|ending| ending == "json")
        };
        let is_digest = |name: &&String| {
            name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let archives = manifest.environments.values().map(|environment| &environment.blob);
        let sound = manifest.records.keys().all(is_record)
            && manifest.environments.keys().chain(manifest.memos.keys()).all(is_name)
            && manifest
                .small
                .keys()
                .chain(manifest.blobs.keys())
                .chain(archives)
                .all(|name| is_digest(&name))
            && manifest.small.iter().all(|(name, text)| digest::bytes(text.as_bytes()) == *name)
            && manifest.blobs.values().all(|blob| blob.bytes <= LARGEST);
        if sound { Ok(manifest) } else { Err("a name in it is not valid".to_owned()) }
    }

    /// The same without files that the store does not have after all.
    pub(super) fn without(&self, gone: &BTreeSet<String>) -> Self {
        let mut rest = self.clone();
        rest.blobs.retain(|digest, _| !gone.contains(digest));
        rest
    }

    /// Takes over what an earlier manifest has and this one does not, unless it is out of use.
    pub(crate) fn inherit(&mut self, earlier: &Self, today: u64) {
        let used: BTreeSet<String> =
            self.records.iter().map(|(name, record)| place_of(name, record)).collect();
        for (name, record) in &earlier.records {
            if self.records.contains_key(name) {
                continue;
            }
            let passed_by = record.passed_by + u32::from(used.contains(&place_of(name, record)));
            if passed_by < PASSED_BY && record.used + UNUSED_DAYS >= today {
                self.records.insert(name.clone(), Record { passed_by, ..record.clone() });
            }
        }
        for (name, environment) in &earlier.environments {
            // Those of earlier requirements serve nobody.
            if self.environments.is_empty() {
                self.environments.insert(name.clone(), environment.clone());
                self.memos.clone_from(&earlier.memos);
            }
        }
        let needed = self.needed();
        let is_needed = |name: &String| needed.contains(name);
        for (name, text) in earlier.small.iter().filter(|(name, _)| is_needed(name)) {
            self.small.entry(name.clone()).or_insert_with(|| text.clone());
        }
        for (name, blob) in earlier.blobs.iter().filter(|(name, _)| is_needed(name)) {
            self.blobs.entry(name.clone()).or_insert_with(|| blob.clone());
        }
        let has = |name: &String| self.small.contains_key(name) || self.blobs.contains_key(name);
        self.records.retain(|name, record| record.files(name).iter().all(has));
        self.environments.retain(|_, environment| has(&environment.blob));
    }

    /// The digests of all files that records and environments go with.
    pub(crate) fn needed(&self) -> BTreeSet<String> {
        let of_records = self.records.iter().flat_map(|(name, record)| record.files(name));
        let archives = self.environments.values().map(|environment| environment.blob.clone());
        of_records.chain(archives).collect()
    }
}

/// Compressed, with a checksum.
pub(super) fn packed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::with_capacity(bytes.len() / 4), 3)?;
    encoder.include_checksum(true)?;
    io::copy(&mut &bytes[..], &mut encoder)?;
    encoder.finish()
}

/// At most `limit` bytes; more are an error.
pub(super) fn unpacked(bytes: &[u8], limit: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    zstd::Decoder::new(bytes)?.take(limit + 1).read_to_end(&mut text)?;
    if text.len() as u64 > limit {
        return Err(io::Error::other("it is larger than it says"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths() -> Paths {
        Paths { project: "/p".into(), root: "/p/r".into(), cargo_home: "/c".into(), python: None }
    }

    fn with(records: &[(&str, u32)]) -> Manifest {
        let mut manifest = Manifest::new(paths(), None, 0);
        for (name, passed_by) in records {
            let record = Record { content: "{}".to_owned(), used: 100, passed_by: *passed_by };
            manifest.records.insert((*name).to_owned(), record);
        }
        manifest
    }

    #[test]
    fn what_is_cut_changed_or_leads_elsewhere_is_refused() {
        let whole = with(&[("units/a/a-lib/1.json", 0)]).encode().unwrap();
        Manifest::decode(&whole).unwrap();
        for at in [5, whole.len() / 2, whole.len() - 1] {
            Manifest::decode(&whole[..at]).unwrap_err();
            let mut changed = whole.clone();
            changed[at] ^= 1;
            // Of zstd's own header there is a bit or two that nobody needs.
            if let Ok(read) = Manifest::decode(&changed) {
                assert_eq!(read, Manifest::decode(&whole).unwrap());
            }
        }
        for name in ["../x.json", "units/../../x.json", "/units/x.json", "units/x", "plans/x.json"]
        {
            Manifest::decode(&with(&[(name, 0)]).encode().unwrap()).unwrap_err();
        }
        let mut other = with(&[]);
        other.small.insert("0".repeat(64), "not its digest".to_owned());
        Manifest::decode(&other.encode().unwrap()).unwrap_err();
        let mut other = with(&[]);
        other.memos.insert("a/b".to_owned(), String::new());
        Manifest::decode(&other.encode().unwrap()).unwrap_err();
    }

    #[test]
    fn records_are_forgotten_when_their_unit_goes_on_without_them() {
        let earlier = with(&[
            ("units/a/a-lib/1.json", 1),
            ("units/a/a-lib/2.json", 0),
            ("units/b/b-lib/1.json", 1),
        ]);
        let mut next = with(&[("units/a/a-lib/3.json", 0)]);
        next.inherit(&earlier, 101);
        let names: Vec<(&str, u32)> =
            next.records.iter().map(|(name, record)| (name.as_str(), record.passed_by)).collect();
        assert_eq!(
            names,
            [("units/a/a-lib/2.json", 1), ("units/a/a-lib/3.json", 0), ("units/b/b-lib/1.json", 1)]
        );
        let mut late = with(&[]);
        late.inherit(&earlier, 200);
        assert!(late.records.is_empty());
    }

    #[test]
    fn tests_and_lints_are_no_part_of_a_build() {
        assert!(is_of_a_build("units/a/a-cdylib/1.json") && is_of_a_build("scripts/a/k/1.json"));
        assert!(
            !is_of_a_build("units/a/a-test/1.json")
                && !is_of_a_build("units/a/a-lib-clippy/1.json")
        );
    }

    #[test]
    fn a_file_that_unpacks_to_more_than_it_says_is_refused() {
        let bytes = packed(&vec![0; 100_000]).unwrap();
        assert_eq!(unpacked(&bytes, 100_000).unwrap().len(), 100_000);
        unpacked(&bytes, 99_999).unwrap_err();
    }
}
