//! What a store has.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::bucket::{Bucket, Failure};
use super::manifest::Manifest;
use crate::ci::Origin;

/// For all of it: a person waits.
const LIMIT: Duration = Duration::from_secs(60);

/// What builds of one kind have stored.
#[derive(Debug)]
pub(crate) struct Build {
    pub project: String,
    /// Where it is built.
    pub path: PathBuf,
    /// Seconds since 1970.
    pub written_at: u64,
    pub origin: Option<Origin>,
    /// Recorded calls.
    pub records: usize,
    pub environments: usize,
    pub files: usize,
    /// Of the files, unpacked. Some may be another build's as well.
    pub bytes: u64,
}

/// All builds. What is damaged is left out.
pub(crate) fn look(bucket: &Bucket) -> Result<Vec<Build>, Failure> {
    let (projects, _) =
        bucket.one(LIMIT, |requests| async move { requests.list("builds").await })?;
    let work = projects.into_iter().map(|project| {
        let requests = bucket.handle();
        async move { builds_of(&requests, project).await }
    });
    let (mut builds, mut failure) = (Vec::new(), None);
    bucket.all(Instant::now() + LIMIT, work.collect(), |answer| match answer {
        Ok(found) => {
            builds.extend(found);
            true
        }
        Err(error) => {
            failure.get_or_insert(error);
            false
        }
    })?;
    failure.map_or(Ok(builds), Err)
}

async fn builds_of(
    requests: &super::bucket::Requests,
    project: String,
) -> Result<Vec<Build>, Failure> {
    let (_, objects) = requests.list(&format!("builds/{project}")).await?;
    let mut builds = Vec::new();
    for object in objects {
        let Some(name) = object.location.filename() else { continue };
        let Some(found) = requests.get(&format!("builds/{project}/{name}")).await? else {
            continue;
        };
        let Ok(manifest) = Manifest::decode(&found.content) else { continue };
        builds.push(Build {
            project: project.clone(),
            written_at: manifest.written_at,
            records: manifest.records.len(),
            environments: manifest.environments.len(),
            files: manifest.blobs.len(),
            bytes: manifest.blobs.values().map(|blob| blob.bytes).sum(),
            path: manifest.paths.project,
            origin: manifest.origin,
        });
    }
    Ok(builds)
}
