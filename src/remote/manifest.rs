//! What a build used, in one object: recorded calls themselves, and the names of their files.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use super::key::Paths;
use crate::ci::Origin;
use crate::digest;

/// Version of the format.
const SCHEMA: u32 = 1;

/// A file of at most so many bytes, if it is text, is in the manifest and no object of its own.
pub(super) const SMALL: u64 = 16 * 1024;

/// No object of ours is larger once unpacked.
const LARGEST: u64 = 4 * 1024 * 1024 * 1024;

/// So many builds may make or use another record in a record's place before it is forgotten: two
/// branches that alternate keep theirs.
const PASSED_BY: u32 = 2;

/// So many environments and memos are kept: those of several commands, and of requirements that
/// alternate.
const ENVIRONMENTS: usize = 3;
const MEMOS: usize = 16;

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

/// A recorded call of rustc.
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

/// What is read of a recorded call.
#[derive(Debug, Deserialize)]
struct Call {
    before: Before,
    outputs: Vec<Output>,
    seconds: f64,
}

#[derive(Debug, Deserialize)]
struct Before {
    arguments: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Output {
    digest: String,
}

impl Record {
    /// `None`: it is no recorded call of this version's.
    fn read(&self) -> Option<Call> {
        let call: Call = serde_json::from_str(&self.content).ok()?;
        call.outputs.iter().all(|output| is_digest(&output.digest)).then_some(call)
    }

    /// The digests of the files that go with it. `None`: it cannot be used.
    pub(crate) fn files(&self) -> Option<BTreeSet<String>> {
        Some(self.read()?.outputs.into_iter().map(|output| output.digest).collect())
    }

    /// How long it took to make.
    pub(crate) fn seconds(&self) -> f64 {
        self.read().map_or(0.0, |call| call.seconds)
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Which records stand in each other's place: those of one unit, made with the same arguments, which
/// name the profile and the features.
fn place_of(name: &str, record: &Record) -> String {
    let unit = name.rsplit_once('/').map_or(name, |(unit, _name)| unit);
    let arguments = record.read().map(|call| call.before.arguments.join("\n"));
    format!("{unit}\n{}", arguments.unwrap_or_default())
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
            name.starts_with("units/")
                && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
                && Path::new(name).extension().is_some_and(|ending| ending == "json")
        };
        let archives = manifest.environments.values().map(|environment| &environment.blob);
        let sound = manifest.records.keys().all(is_record)
            && manifest.environments.keys().chain(manifest.memos.keys()).all(is_name)
            && manifest
                .small
                .keys()
                .chain(manifest.blobs.keys())
                .chain(archives)
                .all(|name| is_digest(name))
            && manifest.small.iter().all(|(name, text)| digest::bytes(text.as_bytes()) == *name)
            && manifest.blobs.values().all(|blob| blob.bytes <= LARGEST);
        if sound { Ok(manifest) } else { Err("a name in it is not valid".to_owned()) }
    }

    /// Takes over what another manifest has and this one does not, unless it is out of use or one of
    /// the files that are `gone`.
    pub(crate) fn inherit(&mut self, other: &Self, gone: &BTreeSet<String>, today: u64) {
        let used: BTreeSet<String> =
            self.records.iter().map(|(name, record)| place_of(name, record)).collect();
        for (name, record) in &other.records {
            if self.records.contains_key(name) {
                continue;
            }
            let passed_by = record.passed_by + u32::from(used.contains(&place_of(name, record)));
            if passed_by < PASSED_BY && record.used + UNUSED_DAYS >= today {
                self.records.insert(name.clone(), Record { passed_by, ..record.clone() });
            }
        }
        // Newer ones first: names do not say how old they are, and what this build used is here.
        for (name, environment) in &other.environments {
            if self.environments.len() < ENVIRONMENTS {
                self.environments.entry(name.clone()).or_insert_with(|| environment.clone());
            }
        }
        for (name, memo) in &other.memos {
            if self.memos.len() < MEMOS {
                self.memos.entry(name.clone()).or_insert_with(|| memo.clone());
            }
        }
        for (name, text) in &other.small {
            self.small.entry(name.clone()).or_insert_with(|| text.clone());
        }
        for (name, blob) in other.blobs.iter().filter(|(name, _)| !gone.contains(*name)) {
            self.blobs.entry(name.clone()).or_insert_with(|| blob.clone());
        }
        self.drop_incomplete();
        let needed = self.needed();
        self.small.retain(|name, _| needed.contains(name));
        self.blobs.retain(|name, _| needed.contains(name));
    }

    /// Forgets records and environments whose files are not all in the store.
    pub(super) fn drop_incomplete(&mut self) {
        let (small, blobs) = (&self.small, &self.blobs);
        let has = |name: &String| small.contains_key(name) || blobs.contains_key(name);
        self.records.retain(|_, record| record.files().is_some_and(|files| files.iter().all(has)));
        self.environments.retain(|_, environment| has(&environment.blob));
    }

    /// The digests of all files that records and environments go with.
    pub(crate) fn needed(&self) -> BTreeSet<String> {
        let of_records = self.records.values().filter_map(Record::files).flatten();
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
        Paths {
            project: "/p".into(),
            root: "/p/r".into(),
            target: "".into(),
            cargo_home: "/c".into(),
            sysroot: "/s".into(),
            python: None,
        }
    }

    fn with(records: &[(&str, u32)]) -> Manifest {
        let mut manifest = Manifest::new(paths(), None, 0);
        for (name, passed_by) in records {
            let content = r#"{"before":{"arguments":[]},"outputs":[],"seconds":1.5}"#.to_owned();
            let record = Record { content, used: 100, passed_by: *passed_by };
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
        next.inherit(&earlier, &BTreeSet::new(), 101);
        let names: Vec<(&str, u32)> =
            next.records.iter().map(|(name, record)| (name.as_str(), record.passed_by)).collect();
        assert_eq!(
            names,
            [("units/a/a-lib/2.json", 1), ("units/a/a-lib/3.json", 0), ("units/b/b-lib/1.json", 1)]
        );
        let mut late = with(&[]);
        late.inherit(&earlier, &BTreeSet::new(), 200);
        assert!(late.records.is_empty());
    }

    #[test]
    fn a_record_whose_files_have_no_digests_is_no_record() {
        for digest in ["", "/tmp/x", "../../x", &"g".repeat(64)] {
            let outputs = format!(r#"[{{"digest":"{digest}"}}]"#);
            let content =
                format!(r#"{{"before":{{"arguments":[]}},"outputs":{outputs},"seconds":1}}"#);
            let record = Record { content, used: 0, passed_by: 0 };
            assert_eq!(record.files(), None, "{digest}");
        }
    }

    #[test]
    fn tests_and_lints_are_no_part_of_a_build() {
        assert!(is_of_a_build("units/a/a-cdylib/1.json"));
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
