//! The job of a continuous integration service that we run in, as its variables tell.
//!
//! Sources: <https://docs.github.com/en/actions/reference/workflows-and-actions/variables>,
//! <https://docs.gitlab.com/ci/variables/predefined_variables/>,
//! <https://buildkite.com/docs/pipelines/configure/environment-variables>,
//! <https://www.jenkins.io/doc/book/pipeline/jenkinsfile/#using-environment-variables>

use serde::{Deserialize, Serialize};

use crate::env_vars;

/// Where something was made. Fields are absent where the service does not say them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The branch or tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The machine's name with the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<String>,
    /// The version of this program.
    pub program: String,
}

impl std::fmt::Display for Origin {
    /// `main at 1a2b3c4d5e6f on runner-7 (0.1.0)`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.reference.as_deref().unwrap_or("unknown ref"))?;
        if let Some(commit) = &self.commit {
            write!(f, " at {}", commit.get(..12).unwrap_or(commit))?;
        }
        if let Some(runner) = &self.runner {
            write!(f, " on {runner}")?;
        }
        write!(f, " ({})", self.program)
    }
}

struct Service {
    /// Set in all its jobs.
    marker: &'static str,
    reference: &'static str,
    commit: &'static str,
    runner: &'static str,
}

const SERVICES: &[Service] = &[
    Service {
        marker: "GITHUB_ACTIONS",
        reference: "GITHUB_REF_NAME",
        commit: "GITHUB_SHA",
        runner: "RUNNER_NAME",
    },
    Service {
        marker: "GITLAB_CI",
        reference: "CI_COMMIT_REF_NAME",
        commit: "CI_COMMIT_SHA",
        runner: "CI_RUNNER_DESCRIPTION",
    },
    Service {
        marker: "BUILDKITE",
        reference: "BUILDKITE_BRANCH",
        commit: "BUILDKITE_COMMIT",
        runner: "BUILDKITE_AGENT_NAME",
    },
    Service {
        marker: "JENKINS_URL",
        reference: "BRANCH_NAME",
        commit: "GIT_COMMIT",
        runner: "NODE_NAME",
    },
];

/// Where what is made now is made. `None`: in none of the services we know.
pub fn origin() -> Option<Origin> {
    let service = SERVICES.iter().find(|service| env_vars::get(service.marker).is_some())?;
    Some(Origin {
        reference: env_vars::get(service.reference),
        commit: env_vars::get(service.commit),
        runner: env_vars::get(service.runner),
        program: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// Why somebody without write access may have had a hand in this job, if so: then it shares nothing,
/// whatever the user says. GitHub's events are `actions`' to know.
pub(crate) fn is_from_fork() -> Option<String> {
    let differ = |one: &str, other: &str| {
        env_vars::get(one).is_some_and(|one| Some(one) != env_vars::get(other))
    };
    let gitlab = differ("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", "CI_PROJECT_ID");
    let buildkite = differ("BUILDKITE_PULL_REQUEST_REPO", "BUILDKITE_REPO");
    (gitlab || buildkite).then(|| "the change is from a fork".to_owned())
}

/// Whether what this job makes may be given to other jobs, by the rules of its service: its ref is
/// protected. The error says why not.
pub(crate) fn is_protected() -> Result<(), String> {
    let is = |name: &str, value: &str| env_vars::get(name).is_some_and(|found| found == value);
    if env_vars::get("GITHUB_ACTIONS").is_some() {
        if env_vars::get("GITHUB_EVENT_NAME").is_some_and(|event| event.starts_with("pull_request"))
        {
            return Err("it is a pull request's job".to_owned());
        }
        return is("GITHUB_REF_PROTECTED", "true")
            .then_some(())
            .ok_or_else(|| "its ref is not protected (GITHUB_REF_PROTECTED)".to_owned());
    }
    if env_vars::get("GITLAB_CI").is_some() {
        if env_vars::get("CI_MERGE_REQUEST_IID").is_some() {
            return Err("it is a merge request's pipeline".to_owned());
        }
        return is("CI_COMMIT_REF_PROTECTED", "true")
            .then_some(())
            .ok_or_else(|| "its ref is not protected (CI_COMMIT_REF_PROTECTED)".to_owned());
    }
    if env_vars::get("BUILDKITE").is_some() {
        if env_vars::get("BUILDKITE_PULL_REQUEST").is_some_and(|number| number != "false") {
            return Err("it is a pull request's build".to_owned());
        }
        let branch = env_vars::get("BUILDKITE_BRANCH");
        return (branch.is_some() && branch == env_vars::get("BUILDKITE_PIPELINE_DEFAULT_BRANCH"))
            .then_some(())
            .ok_or_else(|| "it is not a build of the pipeline's default branch".to_owned());
    }
    Err("this is no job of a service that says which refs are protected".to_owned())
}
